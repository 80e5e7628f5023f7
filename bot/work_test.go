package bot_test

// Work behind the acknowledgement: it survives failures, is said once, keeps its order where that was asked for, and
// leaves room for others.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
)

var ctx = context.Background()

func say(t *testing.T, sim *slacksim.Sim, user, channel, text string) {
	t.Helper()
	if _, err := sim.Say(ctx, user, channel, text); err != nil {
		t.Fatal(err)
	}
	if err := sim.Settle(ctx); err != nil { // delivered and acknowledged
		t.Fatal(err)
	}
}

// A handler that fails after it spoke runs again, and people read each of its messages once: also the one whose answer
// was lost.
func TestSaidOnce(t *testing.T) {
	t.Parallel()
	for _, history := range []bool{true, false} {
		t.Run(fmt.Sprintf("history=%v", history), func(t *testing.T) {
			t.Parallel()
			scopes := []string{"app_mentions:read", "chat:write"}
			if history {
				scopes = append(scopes, "channels:history")
			}
			var sim *slacksim.Sim
			var runs atomic.Int32
			var keys sync.Map
			h := bot.OnMention("", func(ctx context.Context, t *bot.Message) error {
				runs.Add(1)
				keys.Store(t.EventID, t.Attempt)
				for i := range 3 {
					if t.Attempt == 2 && i == 1 { // Slack posts it, and its answer is lost
						sim.Inject(slacksim.Fault{Method: "chat.postMessage", DropAnswer: true, Times: 1})
					}
					if _, err := t.Say(ctx, bot.Reply{Text: fmt.Sprint("part ", i)}); err != nil {
						return err
					}
					if i == t.Attempt-1 {
						return errors.New("not yet")
					}
				}
				return nil
			}, bot.Scopes(scopes...))
			sim, _ = stage(t, h)
			in, _ := sim.Installed(slacksim.Acme)
			say(t, sim, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "<@"+in.BotUserID+"> go")
			wait(t, sim, "the last part", func() bool { return said(sim, slacksim.AcmeGeneral, "part 2") > 0 })
			want := map[string]int{"part 0": 1, "part 1": 1, "part 2": 1}
			if !history {
				want["part 1"] = 2 // that it was posted can't be known
			}
			for text, n := range want {
				if got := said(sim, slacksim.AcmeGeneral, text); got != n {
					t.Errorf("%q was said %d times, not %d", text, got, n)
				}
			}
			n := 0
			keys.Range(func(any, any) bool { n++; return true })
			if n != 1 {
				t.Errorf("%d keys for one event", n)
			}
		})
	}
}

// Slow commands are acknowledged at once and answered by their response_url, also when they failed at first.
func TestSlowCommand(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var runs atomic.Int32
	h := bot.OnCommandAsync("/report", func(ctx context.Context, t *bot.AsyncCommand) error {
		if err := t.Respond(ctx, bot.Reply{Text: "I am on it: " + t.Payload.Text}); err != nil {
			return err
		}
		<-release
		if runs.Add(1) == 1 {
			panic("out of luck")
		}
		return t.Respond(ctx, bot.Reply{Text: "The report for " + t.Payload.Text + " is ready."})
	}, bot.Describe("takes its time", ""))
	refuses := bot.OnCommandAsync("/refuse", func(context.Context, *bot.AsyncCommand) error {
		return &bot.UserError{Text: "Not on Sundays."}
	}, bot.Describe("refuses", ""))
	sim, _ := stage(t, h, refuses)
	for _, c := range []string{"/report May", "/refuse"} {
		ack, err := sim.Command(ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, c)
		if err != nil || ack.Status != 200 || ack.Text != "" || ack.Took > time.Second {
			t.Errorf("%s: %v %d after %v: %q", c, err, ack.Status, ack.Took, ack.Text)
		}
	}
	wait(t, sim, "word of the work", func() bool { return said(sim, slacksim.AcmeGeneral, "I am on it: May") == 1 })
	wait(t, sim, "a refusal", func() bool { return said(sim, slacksim.AcmeGeneral, "Not on Sundays.") == 1 })
	close(release)
	wait(t, sim, "the report", func() bool { return said(sim, slacksim.AcmeGeneral, "The report for May is ready.") == 1 })
	if n := said(sim, slacksim.AcmeGeneral, "I am on it"); n != 1 || runs.Load() != 2 {
		t.Errorf("%d times on it in %d runs", n, runs.Load())
	}
}

// A slow handler answers more often than Slack's response_url takes: the rest comes as messages that only that person
// sees.
func TestSlowCommandSaysMore(t *testing.T) {
	t.Parallel()
	h := bot.OnCommandAsync("/count", func(ctx context.Context, t *bot.AsyncCommand) error {
		for i := range 7 {
			if err := t.Respond(ctx, bot.Reply{Text: fmt.Sprint("number ", i)}); err != nil {
				return err
			}
		}
		return nil
	}, bot.Scopes("chat:write"), bot.Describe("counts", ""))
	sim, _ := stage(t, h)
	if _, err := sim.Command(ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/count"); err != nil {
		t.Fatal(err)
	}
	wait(t, sim, "all numbers", func() bool { return said(sim, slacksim.AcmeGeneral, "number ") == 7 })
	for _, m := range sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeMember) {
		if strings.Contains(m.Text, "number") {
			t.Error("somebody else reads it")
		}
	}
}

// A modal needs its trigger within 3 s: it is opened before the slow work begins, once.
func TestSlowCommandOpensAModal(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	h := bot.OnCommandAsync("/form", func(ctx context.Context, t *bot.AsyncCommand) error {
		if runs.Add(1) == 1 {
			return errors.New("not yet")
		}
		_, err := t.Client.UpdateViewContext(ctx, modal("It is filled in."), "", "", t.ViewID)
		return err
	}, bot.Scopes("chat:write"), bot.Describe("opens a form", ""),
		bot.OpensModal(func(context.Context, *bot.Request) (slack.ModalViewRequest, error) {
			return modal("One moment."), nil
		}))
	sim, _ := stage(t, h)
	if _, err := sim.Command(ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/form"); err != nil {
		t.Fatal(err)
	}
	if n := len(sim.Calls("views.open")); n != 1 {
		t.Fatalf("%d modals at the acknowledgement", n)
	}
	wait(t, sim, "the filled form", func() bool {
		calls := sim.Calls("views.update")
		return len(calls) > 0 && calls[len(calls)-1].Done
	})
	if c := sim.Calls("views.update")[0]; !c.OK || len(sim.Calls("views.open")) != 1 {
		t.Errorf("update: %s; %d opened", c.Error, len(sim.Calls("views.open")))
	}
}

func modal(text string) slack.ModalViewRequest {
	return slack.ModalViewRequest{Type: slack.VTModal, Title: slack.NewTextBlockObject("plain_text", "Form", false, false),
		Blocks: slack.Blocks{BlockSet: []slack.Block{slack.NewSectionBlock(slack.NewTextBlockObject("plain_text", text, false,
			false), nil, nil)}}}
}

// Messages of a conversation are handled in their order when a handler asks for it, though the first one fails at
// first; other conversations go on meanwhile.
func TestInOrder(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var order []string
	var failed bool
	h := bot.OnMessage(`.*`, func(ctx context.Context, t *bot.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if t.Payload.Text == "1" && !failed {
			failed = true
			return errors.New("not yet")
		}
		order = append(order, t.Payload.Text)
		_, err := t.Say(ctx, bot.Reply{Text: "got " + t.Payload.Text})
		return err
	}, bot.Scopes("im:history"), bot.Ordered())
	sim, _ := stage(t, h)
	dm, other := sim.DM(slacksim.AcmeAdmin), sim.DM(slacksim.AcmeMember)
	for i := range 10 {
		say(t, sim, slacksim.AcmeAdmin, dm, fmt.Sprint(i))
		if i == 1 {
			say(t, sim, slacksim.AcmeMember, other, "other")
			wait(t, sim, "the other conversation", func() bool { return said(sim, other, "got other") == 1 })
		}
	}
	wait(t, sim, "all", func() bool { return said(sim, dm, "got ") == 10 })
	mu.Lock()
	defer mu.Unlock()
	order = slices.DeleteFunc(order, func(s string) bool { return s == "other" })
	if got := strings.Join(order, ""); got != "0123456789" {
		t.Errorf("in the order %s", got)
	}
}

// A handler that takes longer than it may is ended, and its event tried again; what fails for good is a dead letter.
func TestWithinItsTime(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	h := bot.OnMessage(`.*`, func(ctx context.Context, t *bot.Message) error {
		if runs.Add(1) == 1 {
			<-ctx.Done()
			return ctx.Err()
		}
		_, err := t.Say(ctx, bot.Reply{Text: "in time"})
		return err
	}, bot.Scopes("im:history"), bot.Timeout(500*time.Millisecond))
	sim, _ := stage(t, h)
	dm := sim.DM(slacksim.AcmeAdmin)
	say(t, sim, slacksim.AcmeAdmin, dm, "go")
	wait(t, sim, "the answer", func() bool { return said(sim, dm, "in time") == 1 })
}

// Slack's rate limit is no failure: the event comes back when Slack takes calls again, however often that happens.
func TestRateLimitedIsNoFailure(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int32
	h := bot.OnMessage(`.*`, func(ctx context.Context, t *bot.Message) error {
		if n := attempts.Add(1); n <= 4 {
			return fmt.Errorf("call: %w", &slack.RateLimitedError{RetryAfter: time.Millisecond})
		}
		_, err := t.Say(ctx, bot.Reply{Text: "at last"})
		return err
	}, bot.Scopes("im:history"))
	sim, _ := stage(t, h)
	dm := sim.DM(slacksim.AcmeAdmin)
	say(t, sim, slacksim.AcmeAdmin, dm, "go")
	wait(t, sim, "the answer", func() bool { return said(sim, dm, "at last") == 1 })
}
