package bot_test

// Steps of workflows, with what people press in them, over HTTP and through a socket.

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// overBoth runs a test in a Slack that sends over HTTP, and in one that sends through a socket. With socket set, the
// bot has to be played with an AppToken.
func overBoth(t *testing.T, test func(t *testing.T, play func(handlers ...bot.Handler) scene)) {
	t.Helper()
	for transport, socket := range map[string]bool{"HTTP": false, "socket": true} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			test(t, func(handlers ...bot.Handler) scene {
				if !socket {
					return play(t, handlers...)
				}
				s := playWith(t, storagetest.SQLite(t), func(c *bot.Config) { c.AppToken = "xapp-1-A0PARROT01-1" }, handlers...)
				s.overSockets(t)
				return s
			})
		})
	}
}

// steps are those that the tests run.
func (s scene) steps(callbackIDs ...string) {
	s.sim.SetApp(func(a *slacksim.App) {
		for _, id := range callbackIDs {
			a.Functions = append(a.Functions, slacksim.Function{CallbackID: id, Title: id,
				Inputs:  []slacksim.Parameter{{Name: "who", Type: "slack#/types/user_id", Required: true}},
				Outputs: []slacksim.Parameter{{Name: "answer", Type: "string"}}})
		}
	})
}

// step runs one, and returns the id of its execution.
func (s scene) step(t *testing.T, callbackID string) (id string) {
	t.Helper()
	id, err := s.sim.Workflows.Run(ctx, slacksim.AcmeMember, callbackID, map[string]any{"who": slacksim.AcmeAdmin})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// state waits until an execution is in a state.
func (s scene) state(t *testing.T, id, state string) (x slacksim.Execution) {
	t.Helper()
	wait(t, s.sim, "a step that is "+state, func() bool {
		x, _ = s.sim.Workflows.Execution(id)
		return x.State == state
	})
	return x
}

type approval struct {
	Who string `json:"who" slack:"user_id"`
}

// buttons are those of a message.
func buttons(ids ...string) slack.Block {
	var all []slack.BlockElement
	for _, id := range ids {
		all = append(all, slack.NewButtonBlockElement(id, "1", slack.NewTextBlockObject(slack.PlainTextType, id, false,
			false)))
	}
	return slack.NewActionBlock("row", all...)
}

// reason is a form.
func reason() slack.ModalViewRequest {
	plain := func(s string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
	}
	input := slack.NewPlainTextInputBlockElement(nil, "in")
	return slack.ModalViewRequest{Type: slack.VTModal, CallbackID: "reason", Title: plain("Why"), Submit: plain("Send"),
		Blocks: slack.Blocks{BlockSet: []slack.Block{slack.NewInputBlock("why", plain("Why"), nil, input)}}}
}

// What a step posts leads back to it, and so does what is opened there: each with the step's inputs and a token of its
// own, which ends with the step. The workspace's takes its place nowhere.
func TestPressesLeadBackToTheirStep(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, play func(...bot.Handler) scene) {
		var late atomic.Pointer[slack.Client] // the step's, for when it has ended
		back := func(what string, s *bot.Step) {
			var in approval
			if s == nil {
				t.Errorf("%s leads back to no step", what)
			} else if err := s.DecodeInputs(&in); err != nil || in.Who != slacksim.AcmeAdmin || s.CallbackID != "approve" {
				t.Errorf("%s leads back to %s with %+v, %v", what, s.CallbackID, in, err)
			}
		}
		s := play(bot.OnFunction("approve", func(ctx context.Context, f *bot.Function[approval]) error {
			late.Store(f.Step.Client)
			_, _, err := f.Step.Client.PostMessageContext(ctx, slacksim.AcmeGeneral, slack.MsgOptionText("Approve?", false),
				slack.MsgOptionBlocks(buttons("why", "deny", "later", "all")))
			return err
		}, bot.Titled("Approve", "Asks somebody."), bot.Scopes("chat:write")),
			bot.OnAction("why", func(ctx context.Context, a *bot.Action) error {
				back("a press", a.Step)
				_, err := a.OpenModal(ctx, reason())
				return err
			}),
			bot.OnViewSubmission("reason", func(ctx context.Context, v *bot.Submission) error {
				back("a form", v.Step)
				if err := v.Step.Complete(ctx, map[string]any{"answer": v.Value("why")}); err != nil {
					return err
				}
				if err := v.Step.Fail(ctx, "No."); !errors.Is(err, bot.ErrAnswered) {
					t.Errorf("it ends twice: %v", err)
				}
				_, _, err := v.Step.Client.PostMessageContext(ctx, slacksim.AcmeGeneral, slack.MsgOptionText("Too late", false))
				if !errors.Is(err, bot.ErrStepEnded) {
					t.Errorf("the token of a step that has ended: %v", err)
				}
				return nil
			}),
			bot.OnAction("deny", func(ctx context.Context, a *bot.Action) error {
				if err := a.Step.Fail(ctx, "Denied."); err != nil {
					return err
				}
				return a.Update(ctx, bot.Text("Denied by <@"+a.UserID+">."))
			}),
			bot.OnActionAsync("later", func(ctx context.Context, a *bot.AsyncAction) error {
				back("durable work", a.Step)
				return a.Update(ctx, bot.Text("It was begun."))
			}),
			bot.OnAction("all", func(ctx context.Context, a *bot.Action) error {
				return a.Respond(ctx, bot.Reply{Text: "Everybody reads this.", InChannel: true})
			}))
		s.steps("approve")
		press := func(id string) {
			t.Helper()
			ts := lastWith(s.sim, "Approve?")
			if _, err := s.sim.Press(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, ts, id); err != nil {
				t.Fatal(err)
			}
		}

		id := s.step(t, "approve")
		wait(t, s.sim, "the question", func() bool { return lastWith(s.sim, "Approve?") != "" })
		press("why")
		view := s.sim.OpenViews(slacksim.AcmeMember)[0].ID
		if _, err := s.sim.SubmitView(ctx, slacksim.AcmeMember, view,
			map[string]map[string]string{"why": {"in": "Because."}}); err != nil {
			t.Fatal(err)
		}
		if x := s.state(t, id, slacksim.ExecutionCompleted); x.Outputs["answer"] != "Because." {
			t.Errorf("it came to %v", x.Outputs)
		}

		// It is over: who presses then reads that. No dead token was tried.
		press("deny")
		wait(t, s.sim, "a word that it is over", func() bool {
			return strings.Contains(lastOf(s.sim, slacksim.AcmeGeneral, slacksim.AcmeMember).Text,
				"This step of the workflow is over")
		})
		if _, err := late.Load().AuthTestContext(ctx); !errors.Is(err, bot.ErrStepEnded) {
			t.Errorf("the token of the function's own run: %v", err)
		}

		// Such a message has no response_url: answers come to its place all the same, and to everybody.
		id = s.step(t, "approve")
		s.settle(t)
		press("all")
		wait(t, s.sim, "an answer for everybody", func() bool {
			return said(s.sim, slacksim.AcmeGeneral,
				"Everybody reads") == 1
		})
		press("deny")
		if x := s.state(t, id, slacksim.ExecutionFailed); x.Error != "Denied." {
			t.Errorf("it failed with %q", x.Error)
		}
		wait(t, s.sim, "the message's end", func() bool { return said(s.sim, slacksim.AcmeGeneral, "Denied by") == 1 })
		s.step(t, "approve")
		s.settle(t)
		press("later")
		wait(t, s.sim, "the message's end", func() bool { return said(s.sim, slacksim.AcmeGeneral, "It was begun.") == 1 })
		if n := said(s.sim, slacksim.AcmeGeneral, "Approve?"); n != 1 {
			t.Errorf("%d questions are left of three", n)
		}
	})
}

// People of another company whom a handler admits get its answer as anybody does: in the place of the message, also
// from durable work. What is for them alone stands in a window, because the workspace's token need not know them there.
func TestOutsidersPressInAStep(t *testing.T) {
	t.Parallel()
	const shared = "C0ACMESHAR"
	s := play(t, bot.OnFunction("approve", func(ctx context.Context, f *bot.Function[approval]) error {
		_, _, err := f.Step.Client.PostMessageContext(ctx, shared, slack.MsgOptionText("Approve?", false),
			slack.MsgOptionBlocks(buttons("now", "later", "alone", "aside")))
		return err
	}, bot.Titled("Approve", "Asks somebody."), bot.Scopes("chat:write")),
		bot.OnAction("now", func(ctx context.Context, a *bot.Action) error {
			return a.Update(ctx, bot.Text("Now."))
		}, bot.External()),
		bot.OnActionAsync("later", func(ctx context.Context, a *bot.AsyncAction) error {
			return a.Update(ctx, bot.Text("Later."))
		}, bot.External()),
		bot.OnAction("alone", func(ctx context.Context, a *bot.Action) error {
			return a.Respond(ctx, bot.Text("For you alone."))
		}, bot.External()),
		bot.OnActionAsync("aside", func(ctx context.Context, a *bot.AsyncAction) error {
			return a.Respond(ctx, bot.Text("For you aside."))
		}, bot.External()))
	s.steps("approve")
	in, _ := s.sim.Installed(slacksim.Acme)
	s.sim.AddChannel(slacksim.Channel{ID: shared, TeamID: slacksim.Acme, Name: "shared",
		SharedWith: []string{slacksim.Birch}, Members: []string{slacksim.AcmeMember, slacksim.BirchAdmin, in.BotUserID}})

	for button, answer := range map[string]string{
		"now": "Now.", "later": "Later.", "alone": "For you alone.", "aside": "For you aside.",
	} {
		s.step(t, "approve")
		s.settle(t)
		m := lastOf(s.sim, shared, slacksim.BirchAdmin)
		if _, err := s.sim.Press(ctx, slacksim.BirchAdmin, shared, m.TS, button); err != nil {
			t.Fatal(err)
		}
		wait(t, s.sim, answer, func() bool {
			if strings.HasPrefix(answer, "For you") {
				return slices.ContainsFunc(s.sim.OpenViews(slacksim.BirchAdmin), func(v slacksim.View) bool {
					return strings.Contains(string(v.Blocks), answer)
				})
			}
			return lastOf(s.sim, shared, slacksim.BirchAdmin).Text == answer
		})
	}
	if n := len(s.sim.Calls("chat.postEphemeral")); n > 0 {
		t.Errorf("%d times a message was to be shown to them alone", n)
	}
}

// lastWith is the newest message of #general with these words.
func lastWith(sim *slacksim.Sim, words string) (ts string) {
	for _, m := range slices.Backward(sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeMember)) {
		if strings.Contains(m.Text, words) {
			return m.TS
		}
	}
	return ""
}

// A step whose token runs out before the handler is done fails with words, instead of going on as the workspace.
func TestStepOutlivesItsToken(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	s := play(t, bot.OnFunction("slow", func(ctx context.Context, f *bot.Function[approval]) error {
		runs.Add(1)
		_, _, err := f.Step.Client.PostMessageContext(ctx, slacksim.AcmeGeneral, slack.MsgOptionText("Late", false))
		return err
	}, bot.Titled("Slow", "Takes long."), bot.Scopes("chat:write")))
	s.steps("slow")
	s.sim.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "token_expired"})

	x := s.state(t, s.step(t, "slow"), slacksim.ExecutionFailed)
	s.settle(t)
	if !strings.HasPrefix(x.Error, "This step of the workflow is over") || runs.Load() != 1 {
		t.Errorf("after %d runs it failed with %q", runs.Load(), x.Error)
	}
}

// A step that nothing more comes of fails with words that people can read, whatever ended it.
func TestStepsEndInWords(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, play func(...bot.Handler) scene) {
		step := func(id string, run func(ctx context.Context) error, options ...bot.Option) bot.Handler {
			return bot.OnFunction(id, func(ctx context.Context, _ *bot.Function[approval]) error { return run(ctx) },
				append(options, bot.Titled(id, "A step."), bot.Scopes("chat:write"))...)
		}
		s := play(
			step("dies", func(context.Context) error { return errors.New("out of luck") }),
			step("panics", func(context.Context) error { panic("out of luck") }),
			step("long", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, bot.Timeout(time.Millisecond)),
			step("no", func(context.Context) error { return &bot.UserError{Text: "There is no printer."} }))
		s.steps("dies", "panics", "long", "no")
		ids, db := map[string]string{}, s.raw(t)
		failedOnce := func(n int) {
			t.Helper()
			until(t, "steps that failed once", func() bool {
				have := 0
				_ = db.QueryRow("SELECT count(*) FROM inbox WHERE state = 'waiting' AND failures > 0").Scan(&have)
				return have == n
			})
		}
		dead := func(change string, n int) {
			t.Helper()
			if _, err := db.Exec("UPDATE inbox SET " + change + " WHERE state = 'waiting'"); err != nil {
				t.Fatal(err)
			}
			if !s.hurry(t, func() bool { l, _ := s.db.Letters(ctx, "dead", 5); return len(l) == n }) {
				t.Fatal("not dead")
			}
		}

		ids["dies"] = s.step(t, "dies")
		failedOnce(1)
		dead("begun = 3", 1) // its process ended during three attempts
		for _, id := range []string{"panics", "long", "no"} {
			ids[id] = s.step(t, id)
		}
		failedOnce(2)
		dead("failures = 7", 3) // their last attempt is before them
		for id, want := range map[string]string{"dies": "Something went wrong on our side. ",
			"panics": "Something went wrong",
			"long":   "This took too long, so it was ended. ", "no": "There is no printer."} {
			x, _ := s.sim.Workflows.Execution(ids[id])
			if x.State != slacksim.ExecutionFailed || !strings.HasPrefix(x.Error, want) {
				t.Errorf("%s is %s with %q, want %q", id, x.State, x.Error, want)
			}
		}
	})
}
