package bot_test

// What people hear where a permission is missing for what they asked for, and that nothing else suffers from it.

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// onBoth plays handlers on both databases.
func onBoth(t *testing.T, handlers []bot.Handler, test func(t *testing.T, s scene)) {
	t.Run("sqlite", func(t *testing.T) { test(t, playOn(t, storagetest.SQLite(t), handlers...)) })
	t.Run("postgres", func(t *testing.T) { test(t, playOn(t, storagetest.Postgres(t), handlers...)) })
}

// row is the one connection.
func (s scene) row(t testing.TB) connection.Connection {
	t.Helper()
	all, err := s.db.List(ctx)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d connections, %v", len(all), err)
	}
	return all[0]
}

// known makes our records say what Slack says already.
func (s scene) known(t *testing.T) {
	t.Helper()
	at, _ := s.sim.Installed(slacksim.Acme)
	if _, err := s.db.Update(ctx, s.row(t).Key, func(c *connection.Connection) error {
		c.Scopes = slices.Sorted(slices.Values(at.Scopes))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// until looks now and then whether something is so that nobody tells of.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	within(t, 20*time.Second, what, ok)
}

func within(t testing.TB, most time.Duration, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for end := time.After(most); !ok(); {
		select {
		case <-look.C:
		case <-end:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// settle waits until everything that was said is worked off.
func (s scene) settle(t *testing.T) {
	t.Helper()
	settling, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := s.sim.Settle(settling); err != nil {
		t.Error(err)
	}
	until(t, "an empty inbox", func() bool {
		n, err := s.kept.Count(ctx)
		return err == nil && n.Ready+n.Held+n.Waiting == 0
	})
}

// lastOf is the newest message of the app that a person sees.
func lastOf(sim *slacksim.Sim, channel, user string) slacksim.Message {
	all := slices.DeleteFunc(sim.Messages(channel, user), func(m slacksim.Message) bool { return m.BotID == "" })
	if len(all) == 0 {
		return slacksim.Message{}
	}
	return all[len(all)-1]
}

func command(t *testing.T, s scene, user, line string) slacksim.CommandReply {
	t.Helper()
	r, err := s.sim.Command(ctx, user, slacksim.AcmeGeneral, line)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// isOff fails unless m says what the app can't do, why, and has the one button that fixes it.
func isOff(t *testing.T, name string, m slacksim.Message, scope string, taken ...bool) {
	t.Helper()
	want := fmt.Sprintf("Parrot can't try %s: it doesn't have permission to use %s.", scope, scope)
	if len(taken) > 0 {
		want = fmt.Sprintf("Parrot can't try %s: it no longer has permission to use %s.", scope, scope)
	}
	if blocks := string(m.Blocks); !strings.HasPrefix(m.Text, want) || !strings.Contains(blocks, want) ||
		strings.Count(blocks, `"type":"button"`) != 1 ||
		!strings.Contains(blocks, `"url":"https://bot.example.com/slack/install`) {
		t.Errorf("%s: %q %s", name, m.Text, blocks)
	}
}

func TestWhatIsOffIsSaid(t *testing.T) {
	t.Parallel()
	var ran atomic.Int32
	count := func() { ran.Add(1) }
	handlers := []bot.Handler{
		bot.OnCommand("/ok", func(ctx context.Context, t *bot.Command) error {
			return t.Respond(ctx, bot.Reply{Text: "All is well."})
		}, bot.Scopes("chat:write"), bot.Describe("x", "")),
		bot.OnCommand("/files", func(ctx context.Context, t *bot.Command) error {
			count()
			return t.Respond(ctx, bot.Reply{Text: "No files."})
		}, bot.Scopes("files:read"), bot.Describe("x", "")),
		bot.OnCommandAsync("/archive", func(ctx context.Context, t *bot.AsyncCommand) error {
			count()
			return t.Respond(ctx, bot.Reply{Text: "Archived."})
		}, bot.Scopes("files:read"), bot.Describe("x", "")),
		bot.OnCommand("/pick", func(ctx context.Context, t *bot.Command) error {
			return t.Respond(ctx, bot.Reply{Text: "Pick.", Blocks: []slack.Block{slack.NewActionBlock("",
				slack.NewButtonBlockElement("pick", "", slack.NewTextBlockObject("plain_text", "Pick", false, false)))}})
		}, bot.Scopes("chat:write"), bot.Describe("x", "")),
		bot.OnAction("pick", func(ctx context.Context, t *bot.Action) error {
			count()
			return t.Respond(ctx, bot.Reply{Text: "Picked."})
		}, bot.Scopes("files:read")),
		bot.OnMention("", func(context.Context, *bot.Message) error {
			count()
			return nil
		}, bot.Scopes("files:read")),
		bot.OnMessage(".*", func(context.Context, *bot.Message) error {
			count()
			return nil
		}, bot.Scopes("im:history", "groups:history", "files:read")),
		bot.OnEvent("reaction_added", func(context.Context, *bot.Event[struct{}]) error { count(); return nil },
			bot.Scopes("reactions:read", "files:read")),
	}
	onBoth(t, handlers, func(t *testing.T, s scene) {
		ran.Store(0)
		const mia, rex = "U0ACMEMIA1", "U0ACMEREX1"
		s.sim.AddUser(slacksim.User{ID: mia, TeamID: slacksim.Acme, Name: "mia"})
		s.sim.AddUser(slacksim.User{ID: rex, TeamID: slacksim.Acme, Name: "rex"})
		dana, leon, general := slacksim.AcmeAdmin, slacksim.AcmeMember, slacksim.AcmeGeneral
		// groups:history, too, is missing: a direct message does not need it.
		if err := s.sim.Admins.Permit(slacksim.Acme, nil, []string{"files:read", "groups:history"}); err != nil {
			t.Fatal(err)
		}
		s.known(t)

		isOff(t, "a command", command(t, s, leon, "/files").Message, "files:read")
		offs := func(channel, user string) int {
			said := s.sim.Messages(channel, user)
			return len(slices.DeleteFunc(said, func(m slacksim.Message) bool {
				return !strings.Contains(m.Text, " permission to use ")
			}))
		}
		had := offs(general, leon)
		command(t, s, leon, "/archive")
		until(t, "the answer of a slow command", func() bool { return offs(general, leon) > had })
		isOff(t, "a slow command", lastOf(s.sim, general, leon), "files:read")
		pick := command(t, s, leon, "/pick")
		had = offs(general, leon)
		if _, err := s.sim.Press(ctx, leon, general, pick.Message.TS, "pick"); err != nil {
			t.Fatal(err)
		}
		until(t, "the answer of a button", func() bool { return offs(general, leon) > had })
		isOff(t, "a button", lastOf(s.sim, general, leon), "files:read")

		// A mention: in the channel, only for the person who wrote it, once.
		bot := "<@" + s.row(t).BotUserID + ">"
		had = offs(general, leon)
		for range 3 {
			say(t, s.sim, leon, general, bot+" files")
		}
		until(t, "the mention's answer", func() bool { return offs(general, leon) > had })
		isOff(t, "a mention", lastOf(s.sim, general, leon), "files:read")
		if !lastOf(s.sim, general, leon).Ephemeral || offs(general, dana) != 0 {
			t.Error("others read it, too")
		}
		say(t, s.sim, dana, general, bot+" files")
		until(t, "the other person's", func() bool { return offs(general, dana) == 1 })
		// A direct message: there.
		for range 3 {
			say(t, s.sim, mia, s.sim.DM(mia), "files")
		}
		until(t, "the answer in the direct message", func() bool { return offs(s.sim.DM(mia), mia) > 0 })
		isOff(t, "a direct message", lastOf(s.sim, s.sim.DM(mia), mia), "files:read")
		// Nobody waits for what is said to nobody.
		if _, err := s.sim.Sender.Emit(ctx, slacksim.Event{TeamID: slacksim.Acme, Name: "reaction_added",
			Inner: map[string]any{"type": "reaction_added", "user": rex, "reaction": "eyes",
				"item": map[string]any{"type": "message", "channel": general, "ts": "1.2"}}}); err != nil {
			t.Fatal(err)
		}
		// People of another company learn nothing of what this workspace allows.
		if _, err := s.sim.Sender.Emit(ctx, slacksim.Event{TeamID: slacksim.Acme, ExtShared: true,
			Inner: map[string]any{"type": "app_mention", "user": slacksim.BirchAdmin, "user_team": slacksim.Birch,
				"text": bot + " files", "channel": general, "ts": "1.3"}}); err != nil {
			t.Fatal(err)
		}
		if r := command(t, s, leon, "/ok"); r.Text != "All is well." {
			t.Errorf("what needs no more: %q", r.Text)
		}
		s.settle(t)
		if n := offs(general, leon); n != had+1 {
			t.Errorf("three mentions were answered %d times", n-had)
		}
		if n := offs(s.sim.DM(mia), mia); n != 1 {
			t.Errorf("three messages were answered %d times", n)
		}
		for _, call := range s.sim.Calls("chat.postEphemeral") {
			if call.Form.Get("user") == slacksim.BirchAdmin {
				t.Error("a person of another company was answered")
			}
		}
		if n := offs(s.sim.DM(rex), rex); n != 0 {
			t.Errorf("a reaction was answered %d times", n)
		}
		if l, err := s.db.Letters(ctx, "", 10); err != nil || len(l) != 0 {
			t.Errorf("left in the inbox: %+v %v", l, err)
		}
		if n := ran.Load(); n != 0 {
			t.Errorf("handlers ran %d times without what they need", n)
		}
	})
}

// Our records say it is allowed, and Slack says no while the handler runs.
func TestMissingScopeDuringAHandler(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int32
	who := func(ctx context.Context, req *bot.Request, answer func(context.Context, bot.Reply) error) error {
		attempts.Add(1)
		u, err := req.Client.GetUserInfoContext(ctx, req.UserID)
		if err != nil {
			return fmt.Errorf("who is it: %w", err)
		}
		return answer(ctx, bot.Reply{Text: "You are " + u.Name + "."})
	}
	handlers := []bot.Handler{
		bot.OnCommand("/who", func(ctx context.Context, t *bot.Command) error {
			return who(ctx, t.Request, t.Respond)
		}, bot.Describe("x", ""), bot.OptionalScopes("users:read")),
		bot.OnCommandAsync("/whoever", func(ctx context.Context, t *bot.AsyncCommand) error {
			return who(ctx, t.Request, t.Respond)
		}, bot.Describe("x", ""), bot.OptionalScopes("users:read")),
		bot.OnMessage(".*", func(ctx context.Context, t *bot.Message) error {
			return who(ctx, t.Request, func(ctx context.Context, r bot.Reply) error {
				_, err := t.Say(ctx, r)
				return err
			})
		}, bot.Scopes("im:history", "users:read")),
		bot.OnCommand("/forgotten", func(ctx context.Context, t *bot.Command) error {
			_, err := t.Client.GetTeamInfoContext(ctx)
			return err
		}, bot.Describe("x", "")),
	}
	onBoth(t, handlers, func(t *testing.T, s scene) {
		attempts.Store(0)
		leon, general := slacksim.AcmeMember, slacksim.AcmeGeneral
		if r := command(t, s, leon, "/who"); r.Text != "You are leon." {
			t.Fatalf("while it is allowed: %q", r.Text)
		}
		// Slack says no and not what the token may do: it is asked.
		clear := s.sim.Inject(slacksim.Fault{Method: "users.info", Error: "missing_scope"})
		if r := command(t, s, leon, "/who"); !strings.HasPrefix(r.Text, "Something went wrong on our side.") {
			t.Errorf("a no without a reason: %q", r.Text)
		}
		clear()
		wait(t, s.sim, "the question", func() bool { return len(s.sim.Calls("auth.test")) > 0 })
		// What any answer of Slack's says of permissions is kept, also right after the last one.
		if err := s.sim.Admins.Permit(slacksim.Acme, []string{"pins:read"}, nil); err != nil {
			t.Fatal(err)
		}
		command(t, s, leon, "/who")
		until(t, "one more permission", func() bool { return slices.Contains(s.row(t).Scopes, "pins:read") })
		if err := s.sim.Admins.Permit(slacksim.Acme, nil, []string{"users:read"}); err != nil {
			t.Fatal(err)
		}
		isOff(t, "a command", command(t, s, leon, "/who").Message, "users:read", true)
		until(t, "the records", func() bool { return !slices.Contains(s.row(t).Scopes, "users:read") })
		lines, err := s.db.History(ctx, s.row(t).ID, 5)
		if err != nil || len(lines) != 3 || lines[0].What != connection.DidPermissions || lines[0].Reason != "-users:read" ||
			lines[1].Reason != "+pins:read" {
			t.Errorf("history: %+v %v", lines, err)
		}

		// The same in an event and in slow work, whose records are made to say again what is not so.
		stale := func() {
			if _, err := s.db.Update(ctx, s.row(t).Key, func(c *connection.Connection) error {
				c.Scopes = slices.Sorted(slices.Values(append(slices.Clone(c.Scopes), "users:read")))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		stale()
		attempts.Store(0)
		dm := s.sim.DM(leon)
		say(t, s.sim, leon, dm, "who am I?")
		until(t, "the answer in the direct message", func() bool {
			return strings.Contains(lastOf(s.sim, dm, leon).Text, " permission to use ")
		})
		isOff(t, "a direct message", lastOf(s.sim, dm, leon), "users:read", true)
		stale()
		command(t, s, leon, "/whoever")
		until(t, "the answer of slow work", func() bool {
			return strings.Contains(lastOf(s.sim, general, leon).Text, " permission to use ")
		})
		s.settle(t)
		if l, err := s.db.Letters(ctx, "", 10); err != nil || len(l) != 0 || attempts.Load() != 2 {
			t.Errorf("%d attempts, want one each; left in the inbox: %+v %v", attempts.Load(), l, err)
		}
		// What the app never asks for nobody can allow: that is its own fault.
		if r := command(t, s, leon, "/forgotten"); !strings.HasPrefix(r.Text, "Something went wrong on our side.") {
			t.Errorf("a permission that the app does not use: %q", r.Text)
		}
	})
}

// Only what is missing for this kind of conversation counts, and the rest is said in one sentence.
func TestNeed(t *testing.T) {
	t.Parallel()
	need := make(chan error, 1)
	handlers := []bot.Handler{
		bot.OnCommand("/need", func(ctx context.Context, t *bot.Command) error {
			err := t.Need(strings.Fields(t.Payload.Text)...)
			need <- err
			if err != nil {
				return err
			}
			return t.Respond(ctx, bot.Reply{Text: "Enough."})
		}, bot.Describe("x", ""), bot.OptionalScopes("files:read", "pins:read", "users:read")),
	}
	s := play(t, handlers...)
	if err := s.sim.Admins.Permit(slacksim.Acme, nil, []string{"files:read", "pins:read"}); err != nil {
		t.Fatal(err)
	}
	s.known(t)
	if r := command(t, s, slacksim.AcmeMember, "/need users:read"); r.Text != "Enough." ||
		receive(t, need, "the handler") != nil {
		t.Errorf("what is allowed: %q", r.Text)
	}
	r := command(t, s, slacksim.AcmeMember, "/need files:read users:read pins:read")
	if err := receive(t, need, "the handler"); err == nil || err.Error() != "not allowed here: files:read, pins:read" ||
		!strings.HasPrefix(r.Text, "Parrot can't try files:read or try pins:read: it doesn't have permission to use "+
			"files:read or use pins:read.") {
		t.Errorf("%v: %q", err, r.Text)
	}
}

// It was allowed on Slack's own pages, of which nobody tells us: the first who asks for it makes us look, and then it
// works.
func TestAllowedElsewhere(t *testing.T) {
	t.Parallel()
	handlers := []bot.Handler{bot.OnCommand("/files", func(ctx context.Context, t *bot.Command) error {
		return t.Respond(ctx, bot.Reply{Text: "No files."})
	}, bot.Scopes("files:read"), bot.Describe("x", ""))}
	onBoth(t, handlers, func(t *testing.T, s scene) {
		at := s.row(t)
		if _, err := s.db.Update(ctx, at.Key, func(c *connection.Connection) error {
			c.Scopes = []string{"commands"}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		isOff(t, "the first", command(t, s, slacksim.AcmeMember, "/files").Message, "files:read")
		until(t, "the records", func() bool { return slices.Contains(s.row(t).Scopes, "files:read") })
		if r := command(t, s, slacksim.AcmeMember, "/files"); r.Text != "No files." {
			t.Errorf("the next: %q", r.Text)
		}
	})
}
