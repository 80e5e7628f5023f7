package bot_test

// One event, for whoever follows it: by its id in the log, and as a trace.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// followed are the lines of a log about one event, in as few words as tell them apart.
func followed(t *testing.T, log, event string) (lines []string) {
	t.Helper()
	for line := range strings.Lines(log) {
		var l struct {
			Msg, Event, Type, Team, Handler, Result, Outcome, Ref string
			Attempt, Failures                                     int
			Took                                                  int64
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		switch {
		case l.Event != event:
		case l.Msg == "event ended" && (l.Took <= 0 || l.Team != slacksim.Acme || l.Type != "message"):
			t.Errorf("a line lacks something: %s", line)
		default:
			lines = append(lines, strings.Join(strings.Fields(fmt.Sprint(l.Msg, " ", l.Result, " ", l.Outcome, " ", l.Attempt)), " "))
		}
	}
	return lines
}

// An event that fails once and is then done, a command that is worked behind its acknowledgement, and a timer.
func TestFollowingOneEvent(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			followingOneEvent(t, fresh(t))
		})
	}
}

func followingOneEvent(t *testing.T, database string) {
	var log logged
	seen := tracetest.NewSpanRecorder()
	var event string
	handlers := []bot.Handler{
		bot.OnMessage("^hello", func(ctx context.Context, m *bot.Message) error {
			event = m.EventID
			if m.Attempt == 1 {
				return errors.New("not yet")
			}
			if err := m.Schedule(ctx, "later", "tea", time.Now(), nil); err != nil {
				return err
			}
			_, err := m.Say(ctx, bot.Text("Hello to you."))
			return err
		}, bot.Scopes("im:history", "chat:write")),
		bot.OnCommandAsync("/report", func(ctx context.Context, c *bot.AsyncCommand) error {
			return c.Respond(ctx, bot.Text("Here it is."))
		}, bot.Describe("takes its time", "")),
		bot.OnTimer("later", func(ctx context.Context, r *bot.Timer) error {
			_, err := r.Say(ctx, slacksim.AcmeGeneral, bot.Text("Later."))
			return err
		}, bot.Scopes("chat:write")),
	}
	s := playWith(t, database, func(cfg *bot.Config) {
		cfg.Traces = sdk.NewTracerProvider(sdk.WithSpanProcessor(seen))
		cfg.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}, handlers...)
	dana, dm := slacksim.AcmeAdmin, s.sim.DM(slacksim.AcmeAdmin)
	s.sim.Sender.DeliverTwice(1)
	say(t, s.sim, dana, dm, "hello")
	wait(t, s.sim, "the answer", func() bool { return said(s.sim, dm, "Hello to you.") == 1 })
	wait(t, s.sim, "the timer", func() bool { return said(s.sim, slacksim.AcmeGeneral, "Later.") == 1 })
	if _, err := s.sim.Command(t.Context(), dana, slacksim.AcmeGeneral, "/report"); err != nil {
		t.Fatal(err)
	}
	wait(t, s.sim, "the report", func() bool { return said(s.sim, slacksim.AcmeGeneral, "Here it is.") == 1 })
	s.finish()

	want := []string{"event received accepted 0", "event claimed 1", "handler failed 1", "event ended failed retry 1",
		"event claimed 2", "event ended done done 2"}
	got := followed(t, log.String(), event)
	const twice = "event received duplicate 0"
	if !slices.Contains(got, twice) {
		t.Errorf("the log doesn't say that the event came twice: %q", got)
	}
	got = slices.DeleteFunc(got, func(line string) bool { return line == twice }) // at any moment
	if !slices.Equal(got, want) {
		t.Errorf("the log says %q of the event, not %q", got, want)
	}
	for what, want := range map[string]string{
		"message":         "accept events_api > keep message > handle message > run message ^hello",
		"command /report": "accept slash_commands > keep command /report > handle command /report > run command /report",
		"timer later":     "handle timer later > run timer later",
	} {
		if got := ways(seen.Ended(), what); !slices.Contains(got, want) {
			t.Errorf("the ways to a handler are %q, and none is %q", got, want)
		}
	}
	if n := len(slices.DeleteFunc(ways(seen.Ended(), "message"), func(way string) bool {
		return !strings.HasSuffix(way, "run message ^hello")
	})); n != 2 {
		t.Errorf("%d attempts are in the event's trace, not 2", n)
	}
}

// ways are the names from the root of a trace to each span below "handle" of what is handled.
func ways(spans []sdk.ReadOnlySpan, what string) (all []string) {
	byID := map[string]sdk.ReadOnlySpan{}
	for _, s := range spans {
		byID[s.SpanContext().SpanID().String()] = s
	}
	for _, s := range spans {
		way, of := s.Name(), byID[s.Parent().SpanID().String()]
		if of == nil || of.Name() != "handle "+what {
			continue
		}
		for ; of != nil; of = byID[of.Parent().SpanID().String()] {
			way = of.Name() + " > " + way
		}
		all = append(all, way)
	}
	return all
}
