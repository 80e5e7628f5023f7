package bot_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// In a shared channel, people of the other company press everything there is to press. Nothing runs for them but what
// was made for anyone, whichever workspace the payload names.
func TestOutsidersRunNothing(t *testing.T) {
	t.Parallel()
	for _, theirs := range []bool{false, true} {
		t.Run(fmt.Sprintf("payload names theirs=%v", theirs), func(t *testing.T) {
			var mu sync.Mutex
			ran := map[string]string{}
			note := func(what string, req *bot.Request) bot.Reply {
				mu.Lock()
				defer mu.Unlock()
				ran[what+" by "+req.UserID] = req.TeamID
				return bot.Reply{Text: "secret of " + req.Connection.Key.String()}
			}
			pressed := func(what string, options ...bot.Option) bot.Handler {
				return bot.OnAction(what, func(ctx context.Context, t *bot.Action) error {
					return t.Respond(ctx, note(what, t.Request))
				}, options...)
			}
			pressedLater := func(what string, options ...bot.Option) bot.Handler {
				return bot.OnActionAsync(what, func(ctx context.Context, t *bot.AsyncAction) error {
					return t.Respond(ctx, note(what, t.Request))
				}, options...)
			}
			modal := func(context.Context, *bot.Request) (slack.ModalViewRequest, error) {
				input := slack.NewInputBlock("b", slack.NewTextBlockObject("plain_text", "What", false, false), nil,
					slack.NewPlainTextInputBlockElement(nil, "a"))
				return slack.ModalViewRequest{Type: slack.VTModal, CallbackID: "form", NotifyOnClose: true,
					Title:  slack.NewTextBlockObject("plain_text", "Form", false, false),
					Submit: slack.NewTextBlockObject("plain_text", "Send", false, false),
					Blocks: slack.Blocks{BlockSet: []slack.Block{input}}}, nil
			}
			s := play(t, pressed("plain", bot.Scopes("chat:write", "commands")),
				pressed("always", bot.WithoutConnection()), pressedLater("slow"),
				pressedLater("opens", bot.OpensModal(modal)),
				bot.OnAction("anyone", func(ctx context.Context, t *bot.Action) error {
					view, _ := modal(ctx, t.Request)
					if _, err := t.OpenModal(ctx, view); err != nil {
						return err
					}
					return t.Respond(ctx, note("anyone", t.Request))
				}, bot.External()),
				bot.OnViewSubmission("form", func(ctx context.Context, t *bot.Submission) error {
					return t.Respond(ctx, note("form", t.Request))
				}),
				bot.OnViewClosed("form", func(_ context.Context, t *bot.ViewClosed) error {
					note("closed", t.Request)
					return nil
				}))
			s.sim.SetApp(func(a *slacksim.App) { a.OutsidersNameTheirOwn = theirs })
			const shared = "C0SHARED01"
			in, _ := s.sim.Installed(slacksim.Acme)
			s.sim.AddChannel(slacksim.Channel{ID: shared, TeamID: slacksim.Acme, Name: "both",
				SharedWith: []string{slacksim.Birch}, Members: []string{slacksim.AcmeMember, slacksim.BirchAdmin, in.BotUserID}})
			var buttons []slack.BlockElement
			actions := []string{"plain", "always", "slow", "opens", "anyone"}
			for _, id := range actions {
				buttons = append(buttons, slack.NewButtonBlockElement(id, "",
					slack.NewTextBlockObject("plain_text", id, false, false)))
			}
			_, ts, err := slack.New(in.BotToken, slack.OptionAPIURL(s.sim.URL()+"/api/")).PostMessage(shared,
				slack.MsgOptionText("Press.", false), slack.MsgOptionBlocks(slack.NewActionBlock("", buttons...)))
			if err != nil {
				t.Fatal(err)
			}
			pressAll := func(user string) {
				t.Helper()
				for _, id := range actions {
					if ack, err := s.sim.Press(ctx, user, shared, ts, id); err != nil || ack.Status != 200 {
						t.Fatalf("%s: %v %+v", id, err, ack)
					}
					if id == "opens" && (len(s.sim.OpenViews(user)) > 0) != (user == slacksim.AcmeMember) {
						t.Errorf("%s sees the modal: %v", user, len(s.sim.OpenViews(user)) > 0)
					}
				}
			}
			submit := func(user string) slacksim.Ack {
				t.Helper()
				views := s.sim.OpenViews(user)
				if len(views) == 0 {
					t.Fatalf("%s has no modal", user)
				}
				ack, err := s.sim.SubmitView(ctx, user, views[len(views)-1].ID, map[string]map[string]string{"b": {"a": "x"}})
				if err != nil || ack.Status != 200 {
					t.Fatalf("submit: %v %+v", err, ack)
				}
				return ack
			}
			pressAll(slacksim.BirchAdmin)
			if !theirs { // otherwise their own workspace has no app, and nothing opens
				if ack := submit(slacksim.BirchAdmin); !strings.Contains(string(ack.Body), "Only people at ") {
					t.Errorf("the form: %s", ack.Body)
				}
				if views := s.sim.OpenViews(slacksim.BirchAdmin); len(views) > 0 {
					if _, err := s.sim.CloseView(ctx, slacksim.BirchAdmin, views[0].ID, true); err != nil {
						t.Fatal(err)
					}
				}
			}
			pressAll(slacksim.AcmeMember)
			submit(slacksim.AcmeMember)
			s.finish()
			mu.Lock()
			defer mu.Unlock()
			for what := range ran {
				// With no connection of theirs, a handler that always runs has nothing to work with.
				if strings.HasSuffix(what, slacksim.BirchAdmin) && (theirs || !strings.HasPrefix(what, "anyone")) &&
					!(theirs && strings.HasPrefix(what, "always")) {
					t.Errorf("%s", what)
				}
			}
			for _, what := range append(actions, "form") {
				if ran[what+" by "+slacksim.AcmeMember] != slacksim.Acme {
					t.Errorf("%s did not run for a person of the workspace: %v", what, ran)
				}
			}
			for _, m := range s.sim.Messages(shared, slacksim.BirchAdmin) {
				if strings.Contains(m.Text, slacksim.Acme) && !strings.Contains(fmt.Sprint(ran), "anyone by "+slacksim.BirchAdmin) {
					t.Errorf("shown to the outsider: %s", m.Text)
				}
			}
		})
	}
}

// Who is of another company learns nothing of the workspace, also where a handler is for anyone, or answers by itself.
func TestOutsidersLearnNothing(t *testing.T) {
	t.Parallel()
	const shared = "C0SHARED01"
	pressed := bot.OnAction("anyone", func(ctx context.Context, t *bot.Action) error {
		return t.Respond(ctx, bot.Reply{Text: "Hello."})
	}, bot.Scopes("files:read"), bot.External())
	later := bot.OnActionAsync("later", func(_ context.Context, t *bot.AsyncAction) error {
		return t.Need("files:read")
	}, bot.External())
	mention := bot.OnMention("", func(context.Context, *bot.Message) error { return nil },
		bot.Scopes("users:read", "files:read"))
	heard := bot.OnMessage("^say", func(ctx context.Context, t *bot.Message) error {
		_, err := t.Say(ctx, t.NotAllowed("files:read"))
		return err
	}, bot.Scopes("channels:history"))
	onBoth(t, []bot.Handler{pressed, later, mention, heard}, func(t *testing.T, s scene) {
		in, _ := s.sim.Installed(slacksim.Acme)
		s.sim.AddChannel(slacksim.Channel{ID: shared, TeamID: slacksim.Acme, Name: "both",
			SharedWith: []string{slacksim.Birch},
			Members:    []string{slacksim.AcmeAdmin, slacksim.AcmeMember, slacksim.BirchAdmin, in.BotUserID}})
		row := s.row(t)
		buttons := []slack.BlockElement{slack.NewButtonBlockElement("anyone", "",
			slack.NewTextBlockObject("plain_text", "Press", false, false)),
			slack.NewButtonBlockElement("later", "", slack.NewTextBlockObject("plain_text", "Press", false, false))}
		_, ts, err := slack.New(in.BotToken, slack.OptionAPIURL(s.sim.URL()+"/api/")).PostMessage(shared,
			slack.MsgOptionText("Press.", false), slack.MsgOptionBlocks(slack.NewActionBlock("", buttons...)))
		if err != nil {
			t.Fatal(err)
		}
		set := func(change func(c *connection.Connection)) {
			t.Helper()
			if _, err := s.db.Update(ctx, row.Key, func(c *connection.Connection) error { change(c); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		learns := func(when string) {
			t.Helper()
			s.settle(t)
			for _, channel := range []string{shared, s.sim.DM(slacksim.BirchAdmin)} {
				for _, m := range s.sim.Messages(channel, slacksim.BirchAdmin) {
					if all := m.Text + string(m.Blocks); strings.Contains(all, "install") || strings.Contains(all, "allowed to") ||
						strings.Contains(all, "Reconnecting") {
						t.Errorf("%s: %s", when, all)
					}
				}
			}
		}
		press := func(user string) {
			t.Helper()
			for _, id := range []string{"anyone", "later"} {
				if ack, err := s.sim.Press(ctx, user, shared, ts, id); err != nil || ack.Status != 200 {
					t.Fatalf("%v %+v", err, ack)
				}
			}
		}
		mentions := func(user string) { t.Helper(); say(t, s.sim, user, shared, "<@"+in.BotUserID+"> hello") }
		if err := s.sim.Admins.Permit(slacksim.Acme, nil, []string{"files:read"}); err != nil {
			t.Fatal(err)
		}
		s.known(t)
		set(func(c *connection.Connection) { c.InstalledBy = slacksim.AcmeAdmin })
		press(slacksim.BirchAdmin)
		mentions(slacksim.BirchAdmin)
		say(t, s.sim, slacksim.BirchAdmin, shared, "say what is missing")
		// Not every event says of which workspace a person is.
		if _, err := s.sim.Sender.Emit(ctx, slacksim.Event{TeamID: slacksim.Acme, ExtShared: true,
			Inner: map[string]any{"type": "app_mention", "user": slacksim.BirchAdmin,
				"channel": shared, "text": "<@" + in.BotUserID + "> hello", "ts": "1793611800.000001",
				"event_ts": "1793611800.000001"}}); err != nil {
			t.Fatal(err)
		}
		learns("a permission is missing")
		mentions(slacksim.AcmeMember)
		s.settle(t)
		if m := lastOf(s.sim, shared, slacksim.AcmeMember); !strings.Contains(m.Text, " permission to use ") {
			t.Errorf("a person of the workspace reads %q", m.Text)
		}
		set(func(c *connection.Connection) {
			c.Erase(connection.ReconnectRequired, connection.ReasonTokenRevoked, time.Now())
		})
		press(slacksim.BirchAdmin)
		learns("it needs reconnecting")
	})
}

// What another installation wrote is used from nowhere else: not even by a handler that is for anyone.
func TestWrittenByAnotherInstallation(t *testing.T) {
	t.Parallel()
	ran := make(chan string, 10)
	note := func(a *slack.InteractionCallback) error {
		ran <- a.ActionCallback.BlockActions[0].ActionID + " in " + a.Message.BotID
		return nil
	}
	press := func(_ context.Context, t *bot.Action) error { return note(t.Payload) }
	s := play(t, bot.OnAction("plain", press, bot.Scopes("chat:write", "commands")),
		bot.OnAction("anyone", press, bot.External()),
		bot.OnActionAsync("slow", func(_ context.Context, t *bot.AsyncAction) error { return note(t.Payload) },
			bot.External()))
	if _, err := s.db.Update(ctx, s.row(t).Key, func(c *connection.Connection) error {
		c.BotID = "B0OURS0001"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, wrote := range []string{"B0THEIRS01", "B0OURS0001"} {
		for _, id := range []string{"plain", "anyone", "slow"} {
			payload := fmt.Sprintf(
				`{"type":"block_actions","api_app_id":"A0PARROT01","team":{"id":%[1]q},"user":{"id":%[2]q,"team_id":%[1]q},"message":{"bot_id":%[3]q},"actions":[{"type":"button","action_id":%[4]q,"block_id":"b"}]}`,
				slacksim.Acme, slacksim.AcmeMember, wrote, id)
			if ack := s.sim.Sender.Deliver(ctx, slacksim.Raw{Kind: "interaction",
				Body: []byte(url.Values{"payload": {payload}}.Encode())}); ack.Status != 200 {
				t.Fatalf("%+v", ack)
			}
		}
	}
	s.settle(t)
	close(ran)
	n := 0
	for what := range ran {
		if n++; strings.HasSuffix(what, "B0THEIRS01") {
			t.Error(what)
		}
	}
	if n < 3 {
		t.Errorf("%d of 3 ran for what this installation wrote", n)
	}
}

// Whom the payload doesn't place is asked about; who was deactivated is of no workspace any more, whatever else Slack
// says of them.
func TestDeactivatedPersonIsNoInsider(t *testing.T) {
	t.Parallel()
	ran := make(chan string, 10)
	s := play(t, bot.OnAction("plain", func(_ context.Context, t *bot.Action) error {
		ran <- t.UserID
		return nil
	}, bot.Scopes("chat:write", "users:read")))
	const gone = "U0ACMEGONE"
	s.sim.AddUser(slacksim.User{ID: gone, TeamID: slacksim.Acme, Name: "gone", Admin: true, Deleted: true})
	for _, user := range []string{gone, slacksim.AcmeMember} {
		payload := fmt.Sprintf(
			`{"type":"block_actions","api_app_id":"A0PARROT01","team":{"id":%q},"user":{"id":%q},"actions":[{"type":"button","action_id":"plain","block_id":"b"}]}`, slacksim.Acme, user)
		if ack := s.sim.Sender.Deliver(ctx, slacksim.Raw{Kind: "interaction",
			Body: []byte(url.Values{"payload": {payload}}.Encode())}); ack.Status != 200 {
			t.Fatalf("%+v", ack)
		}
	}
	s.finish()
	close(ran)
	var who []string
	for user := range ran {
		who = append(who, user)
	}
	if len(who) != 1 || who[0] != slacksim.AcmeMember {
		t.Errorf("it ran for %q", who)
	}
}
