package bot_test

// What an agent's handler has around it while it works, by a clock that the tests move, in processes that end.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// A message that a handler has taken in belongs to the answer: it is answered once, also when the process ends before
// the answer is whole. The attempt that follows is handed it again.
func TestJoinedMessageOutlivesItsProcess(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{
		"sqlite": storagetest.SQLite, "postgres": storagetest.Postgres,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h heard
			s := newStudio(t, database(t), func(s *studio) []bot.Handler {
				return []bot.Handler{bot.OnAgentMessage("", func(ctx context.Context, t *bot.Thread) error {
					h.add("begin %s", t.Text)
					stream, err := t.Stream(ctx)
					if err != nil {
						return err
					}
					var m *slackevents.MessageEvent
					select {
					case m = <-t.Joined():
					case <-ctx.Done():
						return ctx.Err()
					}
					h.add("joined %s", m.Text)
					if said := m.Text + " is taken. "; !strings.HasPrefix(said, stream.Written()) || stream.Written() == "" {
						err = stream.Write(ctx, said)
					}
					if t.Attempt == 1 {
						s.now.end()
						return context.Canceled
					}
					return errors.Join(err, stream.Close(ctx))
				}, bot.WhileBusy(bot.Join))}
			})
			first := s.now
			root := ask(t, s.scene, "", "1")
			wait(t, s.sim, "the first", func() bool { return status(s.scene, root) == "processing" })
			ask(t, s.scene, root, "2")
			receive(t, first.ctx.Done(), "the end of the process, with the message taken in")
			first.ended(t)
			s.clock.Advance(streamLease + time.Second)
			s.boot(0, false)
			s.idle()

			if got, want := h.all(), []string{"begin 1", "joined 2", "begin 1", "joined 2"}; !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
			if got := onlyLetters(thread(s.scene, root)...); got != "2istaken" {
				t.Errorf("the thread has %q", got)
			}
		})
	}
}

// What a handler has taken in is answered by itself where its own answer comes to nothing.
func TestJoinedMessageOfAnAnswerThatFails(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{
		"refused by Slack": slack.SlackErrorResponse{Err: "channel_not_found"},
		"refused by us":    &bot.UserError{Text: "Not today."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h heard
			s := newStudio(t, storagetest.SQLite(t), func(*studio) []bot.Handler {
				return []bot.Handler{bot.OnAgentMessage("", func(_ context.Context, t *bot.Thread) error {
					h.add("begin %s", t.Text)
					if t.Text == "2" {
						return nil
					}
					h.add("joined %s", (<-t.Joined()).Text)
					return failure
				}, bot.WhileBusy(bot.Join))}
			})
			root := ask(t, s.scene, "", "1")
			wait(t, s.sim, "the first", func() bool { return status(s.scene, root) == "processing" })
			ask(t, s.scene, root, "2")
			s.idle()
			if got, want := h.all(), []string{"begin 1", "joined 2", "begin 2"}; !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// What the app writes itself is no next message of the thread, also for a handler that hears other bots.
func TestOwnMessageIsNoNextMessage(t *testing.T) {
	t.Parallel()
	var h heard
	s := newStudio(t, storagetest.SQLite(t), func(s *studio) []bot.Handler {
		return []bot.Handler{bot.OnAgentMessage("", func(ctx context.Context, t *bot.Thread) error {
			if _, err := t.Say(ctx, bot.Text("One moment…")); err != nil {
				return err
			}
			if err := s.sim.Settle(ctx); err != nil { // the app has heard of it
				return err
			}
			m := <-t.Joined()
			h.add("joined %s", m.Text)
			return nil
		}, bot.Bots(), bot.WhileBusy(bot.Join))}
	})
	root := ask(t, s.scene, "", "1")
	wait(t, s.sim, "a word", func() bool { return len(thread(s.scene, root)) > 0 })
	ask(t, s.scene, root, "2")
	s.idle()
	if got, want := h.all(), []string{"joined 2"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Slack takes an agent that said an hour ago that it is working for ready. One that works for longer says it again.
func TestProcessingIsSaidAgain(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	s := newStudio(t, storagetest.SQLite(t), func(s *studio) []bot.Handler {
		s.jumps(time.Hour)
		return []bot.Handler{bot.OnAgentMessage("", func(ctx context.Context, _ *bot.Thread) error {
			close(begun)
			<-finish
			return ctx.Err()
		})}
	})
	root := ask(t, s.scene, "", "take your time")
	receive(t, begun, "the beginning")
	for n := range 4 {
		wait(t, s.sim, "the status", func() bool {
			calls := s.sim.Calls("agents.sessions.setStatus")
			return len(calls) > n && calls[n].Done
		})
		if err := s.passes(ctx, 51*time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := status(s.scene, root); got != "processing" {
			t.Errorf("after %d times 51 minutes the session is %s", n+1, got)
		}
	}
	close(finish)
	s.idle()
	if got := status(s.scene, root); got != "active" {
		t.Errorf("in the end the session is %s", got)
	}
}

// A press of stop ends what was under way then. What waited behind that goes on, and when it is tried again the press
// is as old as before.
func TestOldStopEndsNothing(t *testing.T) {
	t.Parallel()
	begun, let := make(chan string, 9), make(chan struct{})
	s := newStudio(t, storagetest.SQLite(t), func(s *studio) []bot.Handler {
		return []bot.Handler{bot.OnAgentMessage("", func(ctx context.Context, t *bot.Thread) error {
			begun <- fmt.Sprint(t.Text, " ", t.Attempt)
			switch {
			case t.Text == "1":
				<-ctx.Done()
				<-let
				return ctx.Err()
			case t.Attempt == 1:
				return errors.New("it fails")
			}
			_, err := t.Say(ctx, bot.Text("Two."))
			return err
		})}
	})

	root := ask(t, s.scene, "", "1")
	receive(t, begun, "the beginning")
	wait(t, s.sim, "the first", func() bool { return status(s.scene, root) == "processing" })
	ask(t, s.scene, root, "2")
	if err := s.sim.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(3 * time.Second)
	if err := s.sim.Agents.Stop(ctx, person, s.sim.DM(person), root); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(time.Second)
	close(let)
	if got := receive(t, begun, "the second to begin"); got != "2 1" {
		t.Fatalf("begun: %q", got)
	}

	until(t, "the second to be tried again", func() bool {
		s.clock.Advance(2 * time.Second)
		return len(begun) > 0
	})
	s.idle()
	if got := thread(s.scene, root); !slices.Contains(got, "Two.") {
		t.Errorf("the thread has %q", got)
	}
}
