package bot_test

// A panic costs the work it is in, wherever that is: what a handler returned is its own code, too. Were a recover
// missing here, this process would be gone, and with it all the tests.

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
)

// own is a block of a handler's making that panics when it is written; odd one that can't be written.
type (
	own struct{ slack.SectionBlock }
	odd struct{ slack.SectionBlock }
)

func (own) MarshalJSON() ([]byte, error) { panic("a handler's own block") }
func (odd) MarshalJSON() ([]byte, error) { return nil, errors.New("no such block") }

var (
	ownBlocks = bot.Reply{Text: "Here it is.", Blocks: []slack.Block{own{}}}
	oddBlocks = bot.Reply{Text: "Here it is.", Blocks: []slack.Block{odd{}}}
)

// thenOwn answers, and panics in the second part of its answer.
func thenOwn(blocks bool) bot.Reply {
	return bot.Reply{Text: "One moment.", Then: func(context.Context) (bot.Reply, error) {
		if blocks {
			return ownBlocks, nil
		}
		panic("in Then")
	}}
}

// panics are handlers that do, each in another place.
func panics() []bot.Handler {
	typed := func(name string, r bot.Reply) bot.Handler {
		return bot.OnCommand(name, func(ctx context.Context, t *bot.Command) error { return t.Respond(ctx, r) },
			bot.Describe("x", ""))
	}
	typedAsync := func(name string, r bot.Reply, options ...bot.Option) bot.Handler {
		return bot.OnCommandAsync(name, func(ctx context.Context, t *bot.AsyncCommand) error { return t.Respond(ctx, r) },
			append(options, bot.Describe("x", ""))...)
	}
	pressed := func(id string, r bot.Reply) bot.Handler {
		return bot.OnAction(id, func(ctx context.Context, t *bot.Action) error { return t.Respond(ctx, r) })
	}
	ownView := modal("It went well.")
	ownView.Blocks.BlockSet = []slack.Block{own{}}
	return []bot.Handler{
		bot.OnMessage(`^own$`, func(ctx context.Context, t *bot.Message) error {
			_, err := t.Say(ctx, ownBlocks)
			return err
		}, bot.Scopes("im:history")),
		bot.OnMessage(`^then own$`, func(ctx context.Context, t *bot.Message) error {
			_, err := t.Say(ctx, thenOwn(true))
			return err
		}, bot.Scopes("im:history")),
		bot.OnMessage(`^fine$`, func(ctx context.Context, t *bot.Message) error {
			_, err := t.Say(ctx, bot.Reply{Text: "All is well."})
			return err
		}, bot.Scopes("im:history")),
		typed("/own", ownBlocks), typed("/odd", oddBlocks), typed("/then", thenOwn(false)), typed("/thenown", thenOwn(true)),
		typedAsync("/slow", ownBlocks),
		typedAsync("/opens", bot.Reply{}, bot.OpensModal(
			func(context.Context, *bot.Request) (slack.ModalViewRequest, error) { panic("in OpensModal") })),
		typedAsync("/opensown", bot.Reply{}, bot.OpensModal(
			func(context.Context, *bot.Request) (slack.ModalViewRequest, error) { return ownView, nil })),
		pressed("own", ownBlocks), pressed("then", thenOwn(true)),
		bot.OnViewSubmission("own", func(_ context.Context, t *bot.Submission) error { return t.Update(ownView) }),
		bot.OnViewSubmission("then", func(ctx context.Context, t *bot.Submission) error {
			return t.Respond(ctx, thenOwn(true))
		}),
	}
}

// Whoever acted reads a sentence with a reference.
func TestPanicCostsOnePieceOfWork(t *testing.T) {
	t.Parallel()
	s := play(t, panics()...)
	dm := s.sim.DM(slacksim.AcmeMember)
	for _, text := range []string{"own", "then own", "fine"} {
		say(t, s.sim, slacksim.AcmeMember, dm, text)
	}
	for _, name := range []string{"/own", "/odd", "/opens", "/opensown"} {
		if r := command(t, s, slacksim.AcmeMember, name); r.Status != 200 || !strings.Contains(r.Text, "Reference: ") {
			t.Errorf("%s is answered with %d %q", name, r.Status, r.Text)
		}
	}
	for _, name := range []string{"/then", "/thenown", "/slow"} {
		if r := command(t, s, slacksim.AcmeMember, name); r.Status != 200 {
			t.Errorf("%s is answered with %d %q", name, r.Status, r.Text)
		}
	}

	k := s.row(t).Key
	press := func(payload string) slacksim.Ack {
		payload = strings.NewReplacer("APP", k.AppID, "TEAM", k.TeamID, "USER", slacksim.AcmeMember).Replace(payload)
		return s.sim.Sender.Deliver(ctx, slacksim.Raw{Kind: "interaction",
			Body: []byte(url.Values{"payload": {payload}}.Encode())})
	}
	for _, id := range []string{"own", "then"} {
		a := press(
			`{"type":"view_submission","api_app_id":"APP","team":{"id":"TEAM"},"user":{"id":"USER","team_id":"TEAM"},"view":{"id":"V1","type":"modal","callback_id":"` + id + `"}}`)
		if want := map[string]string{"own": "Reference: ", "then": "One moment."}[id]; a.Status != 200 ||
			!strings.Contains(string(a.Body), want) {
			t.Errorf("the form %q is answered with %d %s", id, a.Status, a.Body)
		}
	}
	button := func(id string) {
		ts := postButton(t, s, id)
		if _, err := s.sim.Press(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, ts, id); err != nil {
			t.Fatal(err)
		}
	}
	button("own")
	button("then")
	told := func() (n int) {
		for _, c := range s.sim.Calls("response_url") {
			if c.Done && strings.Contains(c.Arg("text"), "Reference: ") {
				n++
			}
		}
		return n
	}
	// /thenown, and both buttons
	wait(t, s.sim, "the sentences behind the acknowledgements", func() bool { return told() >= 3 })
	wait(t, s.sim, "who comes after", func() bool {
		return said(s.sim, dm, "All is well.") == 1 && said(s.sim, dm, "One moment.") == 1
	})

	// Neither is lost without a trace: what is tried again waits for that.
	until(t, "the inbox to be worked", func() bool {
		n, err := s.inbox.Count(ctx)
		return err == nil && n.Ready+n.Held == 0 && n.Waiting == 2 // the first message, and the slow command
	})
}

// postButton posts a message with a button into #general.
func postButton(t *testing.T, s scene, actionID string) (ts string) {
	t.Helper()
	c, err := s.db.Lookup(ctx, s.row(t).Key)
	if err != nil {
		t.Fatal(err)
	}
	client := slack.New(c.Token.Reveal(), slack.OptionAPIURL(s.sim.URL()+"/api/"))
	b := slack.NewButtonBlockElement(actionID, "1", slack.NewTextBlockObject(slack.PlainTextType, "Go", false, false))
	_, ts, err = client.PostMessage(slacksim.AcmeGeneral, slack.MsgOptionText("Shall I?", false),
		slack.MsgOptionBlocks(slack.NewActionBlock("", b)))
	if err != nil {
		t.Fatal(err)
	}
	return ts
}
