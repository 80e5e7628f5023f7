package bot_test

// The stage of the Examples: a small Slack with a bot installed in it, and one person who acts.

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// rehearsal is a scene without a test: what goes wrong panics. Leon acts, in a channel that the bot is in.
type rehearsal struct {
	testing.TB // none: an Example has none
	scene
	mention string // of the bot
	heard   int    // how many of the bot's messages were told
	after   []func()
}

// rehearse installs a bot with these handlers. end is to be called.
func rehearse(handlers ...bot.Handler) *rehearsal {
	r := &rehearsal{}
	asServed := func(cfg *bot.Config) { cfg.AppID = "A0PARROT01" } // payloads of shortcuts don't say it
	r.scene = playWith(r, storagetest.SQLite(r), asServed, handlers...)
	r.mention = "<@" + r.row(r).BotUserID + ">"
	return r
}

func (r *rehearsal) end() {
	for i := len(r.after) - 1; i >= 0; i-- {
		r.after[i]()
	}
}

// say writes a message, and waits until the bot has it. The bot goes by @bot in it.
func (r *rehearsal) say(text string) {
	text = strings.ReplaceAll(text, "@bot", r.mention)
	if _, err := r.sim.Say(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, text); err != nil {
		panic(err)
	}
	if err := r.sim.Settle(ctx); err != nil {
		panic(err)
	}
}

// write writes a message, and returns its ts.
func (r *rehearsal) write(text string) (ts string) {
	ts, err := r.sim.Say(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, text)
	if err != nil {
		panic(err)
	}
	return ts
}

// command types a command and returns what comes back.
func (r *rehearsal) command(line string) slacksim.CommandReply {
	reply, err := r.sim.Command(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, line)
	if err != nil {
		panic(err)
	}
	return reply
}

// press presses a button below the answer of a command.
func (r *rehearsal) press(reply slacksim.CommandReply, action string) {
	if _, err := r.sim.Press(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, reply.Message.TS, action); err != nil {
		panic(err)
	}
}

// submit fills in the one input of the modal that is open, and returns what the modal shows then: "" when it closed.
func (r *rehearsal) submit(block, action, value string) string {
	view := r.sim.OpenViews(slacksim.AcmeMember)[0]
	given := map[string]map[string]string{block: {action: value}}
	if _, err := r.sim.SubmitView(ctx, slacksim.AcmeMember, view.ID, given); err != nil {
		panic(err)
	}
	open := r.sim.OpenViews(slacksim.AcmeMember)
	if len(open) == 0 {
		return ""
	}
	return cmp.Or(open[0].Errors[block], string(open[0].Blocks))
}

// hear waits for the bot's next message and returns its text.
func (r *rehearsal) hear() (text string) {
	err := r.sim.WaitFor(ctx, func() bool {
		var all []string
		for _, m := range r.sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeMember) {
			if m.BotID != "" {
				all = append(all, m.Text)
			}
		}
		if len(all) > r.heard {
			text = all[r.heard]
		}
		return len(all) > r.heard
	})
	if err != nil {
		panic(err)
	}
	r.heard++
	return text
}

// What play and bottest ask of a test.

func (r *rehearsal) Context() context.Context          { return ctx }
func (r *rehearsal) Helper()                           {}
func (r *rehearsal) Cleanup(f func())                  { r.after = append(r.after, f) }
func (r *rehearsal) Error(args ...any)                 { panic(fmt.Sprint(args...)) }
func (r *rehearsal) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (r *rehearsal) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (r *rehearsal) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (r *rehearsal) TempDir() string {
	dir, err := os.MkdirTemp("", "rehearsal")
	if err != nil {
		panic(err)
	}
	r.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
