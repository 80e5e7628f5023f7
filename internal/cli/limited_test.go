package cli

// A workspace that did not allow everything: what is off is named wherever it shows, the rest works, one person hears
// of it, and allowing it later mends it, whoever allows it and wherever.

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
)

// allow returns where the one button of a message leads.
func allow(t *testing.T, m slacksim.Message) string {
	t.Helper()
	var blocks []struct {
		Elements []json.RawMessage
	}
	if err := json.Unmarshal(m.Blocks, &blocks); err != nil {
		t.Fatalf("%v in %s", err, m.Blocks)
	}
	var links []string
	for _, b := range blocks {
		for _, e := range b.Elements {
			var button struct{ Type, URL string }
			if json.Unmarshal(e, &button) == nil && button.Type == "button" {
				links = append(links, button.URL)
			}
		}
	}
	if len(links) != 1 || links[0] == "" {
		t.Fatalf("want one button that leads somewhere: %s", m.Blocks)
	}
	return links[0]
}

// offs are the messages of the app in a person's direct messages that say what it can't do, besides the welcome.
func (w *world) offs(user string) []slacksim.Message {
	return slices.DeleteFunc(w.fromApp(w.slack.DM(user), user), func(m slacksim.Message) bool {
		return !strings.Contains(m.Text, " permission to ") || strings.Contains(m.Text, "is now connected to")
	})
}

func TestOptionalPermissionLeftOut(t *testing.T) {
	t.Parallel()
	keeping(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		dana, leon, mia := slacksim.AcmeAdmin, slacksim.AcmeMember, anotherMember
		w.start(2, nil)
		b := w.browser()
		b.get(b.consent(b.begin("/slack/install"), leon, slacksim.Choice{Untick: []string{"im:history"}}))
		w.settle()
		row := w.connections()[0]
		if row.State != "limited" || !slices.Equal(row.Missing, []string{"im:history"}) {
			t.Errorf("after the install: %s, missing %s", row.State, row.Missing)
		}

		// The feature is named, and everything else works.
		const why = "It can't answer direct messages: it doesn't have permission to read direct messages to it."
		w.quick("status", mia, "/connection status", "Working, some features unavailable", why)
		w.settle()
		in, _ := w.slack.Installed(slacksim.Acme)
		if err := w.slack.Invite(ctx, dana, slacksim.AcmeGeneral, in.BotUserID); err != nil {
			t.Fatal(err)
		}
		ts := w.say(dana, slacksim.AcmeGeneral, "<@"+in.BotUserID+"> status")
		w.wait("the answer to the mention", func() bool {
			m := w.last(slacksim.AcmeGeneral, mia)
			return m.BotID != "" && m.ThreadTS == ts
		})

		// Slack does not deliver what may not be read; who opens the conversation hears why. The installer needs no message
		// besides.
		if err := w.slack.OpenHome(ctx, leon, "messages"); err != nil {
			t.Fatal(err)
		}
		w.wait("the sentence for the installer", func() bool { return len(w.offs(leon)) > 0 })
		if own := w.offs(leon)[0].Text; !strings.Contains(own, "If Slack doesn't let you allow it, ask a workspace admin.") {
			t.Errorf("the installer reads %q", own)
		}
		for range 10 {
			for _, user := range []string{mia, dana} {
				if err := w.slack.OpenHome(ctx, user, "messages"); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.wait("the sentence", func() bool { return len(w.offs(mia)) > 0 && len(w.offs(dana)) > 0 })
		w.settle()
		said := w.offs(mia)[0]
		if missing := inOrder(said.Text, "Switchboard can't answer direct messages: it doesn't have permission to read "+
			"direct messages to it. Everything else works.",
			"ask <@"+leon+">, who installed it, or a workspace admin.", "|Allow it>."); missing != "" {
			t.Errorf("no %q in its place in %q", missing, said.Text)
		}
		if len(w.offs(mia)) != 1 || len(w.offs(dana)) != 1 {
			t.Errorf("said %d and %d times", len(w.offs(mia)), len(w.offs(dana)))
		}

		// One person who can allow it hears of it: the installer, once, over both replicas and a restart.
		w.wait("the message to the installer", func() bool { return len(w.offs(leon)) > 1 })
		w.hasLine(row.ID, "switchboard tell_wanted done "+leon)
		if n := w.sum(`switchboard_wanted_total{result="told"}`); n != 1 {
			t.Errorf("counted %v times", n)
		}
		w.stop()
		w.start(2, nil)
		for i := range 5 {
			user := fmt.Sprintf("U0ACMEZ%03d", i)
			w.slack.AddUser(slacksim.User{ID: user, TeamID: slacksim.Acme, Name: "z" + user})
			if err := w.slack.OpenHome(ctx, user, "messages"); err != nil {
				t.Fatal(err)
			}
			w.wait("the sentence for another", func() bool { return len(w.offs(user)) == 1 })
		}
		w.settle()
		told := w.offs(leon)[1:]
		if len(told) != 1 || w.sum(`switchboard_wanted_total{result="told"}`) != 0 {
			t.Errorf("the installer was told %d times", len(told))
		}
		if missing := inOrder(told[0].Text, "Somebody in Acme Corp wanted something from Switchboard that it can't do there.",
			"Switchboard can't answer direct messages: it doesn't have permission to read direct messages to it. Everything "+
				"else works.", "Slack asks you for exactly that"); missing != "" {
			t.Errorf("no %q in its place in %q", missing, told[0].Text)
		}
		if where := allow(t, told[0]); !strings.HasPrefix(where, w.proxy.URL+"/") {
			t.Errorf("the installer's button leads to %q", where)
		}

		// Allowed by the button: it works, and history says who did it.
		link := allow(t, said)
		page := b.get(b.consent(b.get(link).location, dana, slacksim.Choice{}))
		if page.status != http.StatusOK {
			t.Fatalf("%d %s", page.status, page.body)
		}
		w.hasLine(row.ID, "person "+dana+" permissions done +im:history")
		w.wait("the installer's message to be resolved", func() bool {
			all := w.fromApp(w.slack.DM(leon), leon)
			return strings.HasPrefix(all[len(all)-1].Text, "Resolved: Switchboard is allowed everything in Acme Corp that "+
				"people asked for.") && all[len(all)-1].TS == told[0].TS
		})
		w.hasLine(row.ID, "switchboard tell_wanted working "+leon)
		if n := w.sum(`switchboard_wanted_total{result="resolved"}`) +
			w.sum(`switchboard_notices_total{result="resolved"}`); n != 1 {
			t.Errorf("resolved %v times", n)
		}
		if row := w.connections()[0]; row.State != "active" || len(row.Missing) != 0 || row.Installs != 2 {
			t.Errorf("after allowing it: %+v", row)
		}
		w.quick("status", mia, "/connection status", "Working since <!date^")
		w.say(mia, w.slack.DM(mia), "help")
		w.wait("the answer to a direct message", func() bool {
			return strings.Contains(w.last(w.slack.DM(mia), mia).Text, "Here is what you can ask")
		})
		if err := w.slack.OpenHome(ctx, aGuest, "messages"); err != nil {
			t.Fatal(err)
		}
		w.settle()
		if len(w.offs(aGuest)) != 0 {
			t.Error("said to be off when it is on")
		}
		if n := w.dead(); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// Permissions that change on Slack's own pages: taken away, it is noticed by the next answer of Slack's, said to
// whoever needs it, and over when it is allowed again.
func TestPermissionTakenAway(t *testing.T) {
	t.Parallel()
	keeping(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		dana, leon := slacksim.AcmeAdmin, slacksim.AcmeMember
		w.start(2, nil)
		w.browser().install(leon)
		w.settle()
		row := w.connections()[0]
		// An admin who did not install gets buttons, because Slack says who is an admin.
		w.quick("details", dana, "/connection details")
		w.wait("the buttons", func() bool {
			return strings.Contains(string(w.last(slacksim.AcmeGeneral, dana).Blocks), "connection.permissions")
		})
		w.settle()
		buttons := w.last(slacksim.AcmeGeneral, dana).TS
		if err := w.slack.OpenHome(ctx, dana, "home"); err != nil {
			t.Fatal(err)
		}
		w.wait("the Home", func() bool {
			home, ok := w.slack.Home(dana)
			return ok && strings.Contains(string(home.Blocks), "connection.more")
		})

		if err := w.slack.Admins.Permit(slacksim.Acme, nil, []string{"users:read"}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.slack.Press(ctx, dana, slacksim.AcmeGeneral, buttons, "connection.permissions"); err != nil {
			t.Fatal(err)
		}
		const off = "it no longer has permission to see who is who."
		w.wait("the sentence", func() bool { return strings.Contains(w.last(slacksim.AcmeGeneral, dana).Text, off) })
		allow(t, w.last(slacksim.AcmeGeneral, dana))
		w.hasLine(row.ID, "slack permissions done -users:read")
		if r := w.connections()[0]; r.State != "limited" || !slices.Equal(r.Missing, []string{"users:read"}) {
			t.Errorf("%s, missing %s", r.State, r.Missing)
		}
		// A button of the Home has no place for an answer: it comes as a window.
		if _, err := w.slack.PressHome(ctx, dana, "connection.more", "permissions"); err != nil {
			t.Fatal(err)
		}
		if views := w.slack.OpenViews(dana); len(views) != 1 ||
			!strings.Contains(asRead(slacksim.Message{Blocks: views[0].Blocks}), off) {
			t.Errorf("the window: %+v", views)
		}
		// Everything else goes on, and an answer that says the same changes nothing.
		w.quick("status", leon, "/connection status", "Working, some features unavailable",
			off)
		w.settle()
		if n := w.logged("permissions changed"); n != 1 {
			t.Errorf("logged %d times", n)
		}

		if err := w.slack.Admins.Permit(slacksim.Acme, []string{"users:read"}, nil); err != nil {
			t.Fatal(err)
		}
		w.quick("status", dana, "/connection status")
		w.hasLine(row.ID, "slack permissions done +users:read")
		w.settle()
		if r := w.connections()[0]; r.State != "active" || len(r.Missing) != 0 {
			t.Errorf("%s, missing %s", r.State, r.Missing)
		}
		if n := w.logged("permissions changed"); n != 2 {
			t.Errorf("logged %d times", n)
		}
		if n := w.dead(); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// The installer is gone, and the admin who would hear of it is the one who asked.
func TestAdminWhoAskedIsNotTold(t *testing.T) {
	t.Parallel()
	keeping(t, func(t *testing.T, w *world) {
		dana, leon := slacksim.AcmeAdmin, slacksim.AcmeMember
		w.start(1, nil)
		b := w.browser()
		b.get(b.consent(b.begin("/slack/install"), leon, slacksim.Choice{Untick: []string{"im:history"}}))
		w.settle()
		w.slack.AddUser(slacksim.User{ID: leon, TeamID: slacksim.Acme, Name: "leon", Deleted: true})
		if err := w.slack.OpenHome(context.Background(), dana, "messages"); err != nil {
			t.Fatal(err)
		}
		w.wait("the sentence", func() bool { return len(w.offs(dana)) > 0 })
		w.wait("the search for an admin", func() bool { return w.called("users.list") > 0 })
		w.stop() // what was begun is finished
		if n := len(w.offs(dana)); n != 1 || strings.Contains(w.offs(dana)[0].Text, "Somebody") {
			t.Errorf("told %d times: %+v", n, w.offs(dana))
		}
	})
}

// That somebody was told what people ask for does not keep them from hearing that it needs reconnecting.
func TestTroubleIsToldBesidesWhatIsWanted(t *testing.T) {
	t.Parallel()
	keeping(t, func(t *testing.T, w *world) {
		leon, mia := slacksim.AcmeMember, anotherMember
		w.start(1, nil)
		b := w.browser()
		b.get(b.consent(b.begin("/slack/install"), leon, slacksim.Choice{Untick: []string{"im:history"}}))
		w.settle()
		row := w.connections()[0]
		if err := w.slack.OpenHome(context.Background(), mia, "messages"); err != nil {
			t.Fatal(err)
		}
		w.hasLine(row.ID, "switchboard tell_wanted done "+leon)
		w.sour(w.store(), slacksim.Acme)
		w.wait("the message about the trouble", func() bool {
			return strings.HasPrefix(w.last(w.slack.DM(leon), leon).Text, "Switchboard needs reconnecting in Acme Corp.")
		})
		w.hasLine(row.ID, "switchboard tell done "+leon)
	})
}

// hasLine waits until a line is in a history; others may follow it.
func (w *world) hasLine(name, want string) {
	w.t.Helper()
	until(w.t, "the line "+want, func() bool { return slices.Contains(briefs(w.lines(name)), want) })
}

// dead counts the dead letters.
func (w *world) dead() (n int) {
	w.t.Helper()
	db := w.sql()
	defer db.Close()
	if err := db.QueryRow("SELECT count(*) FROM inbox WHERE state = 'dead'").Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}
