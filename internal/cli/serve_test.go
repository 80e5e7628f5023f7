package cli

// The main job, end to end: install, listen, answer, leave, come back; on SQLite with one replica and on PostgreSQL
// with two behind a load balancer.

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

func (w *world) startFor() *world {
	if strings.HasPrefix(w.database, "postgres") {
		return w.start(2, nil)
	}
	return w.start(1, nil)
}

func TestInstallListenAnswer(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.startFor()
		dana := slacksim.AcmeAdmin
		b := w.browser()

		landing := b.get(w.proxy.URL + "/")
		for _, want := range []string{"Add to Slack", "Acme IT", "chat:write", "Request to Install", "For your IT team"} {
			if !strings.Contains(landing.body, want) {
				t.Errorf("landing page lacks %q", want)
			}
		}

		page := b.install(dana)
		if page.status != http.StatusOK || !strings.Contains(page.body, "<title>Connected: Switchboard is in Acme "+
			"Corp</title>") {
			t.Fatalf("install: %d %s", page.status, page.body)
		}
		if !strings.Contains(page.body, `src="data:image/`) {
			t.Error("the success page does not show the workspace's icon")
		}
		dm := w.slack.DM(dana)
		w.wait("the welcome message", func() bool { return len(w.fromApp(dm, dana)) == 1 })
		if got := w.fromApp(dm, dana)[0].Text; !strings.Contains(got, "now connected to Acme Corp") {
			t.Errorf("welcome message: %q", got)
		}
		first := w.connections()[0]
		if first.State != "active" || first.InstalledBy != dana || first.TeamName != "Acme Corp" || len(first.Scopes) == 0 {
			t.Errorf("record: %+v", first)
		}

		// The quick answer is the response's body; the live one takes its place.
		reply := w.type_(dana, slacksim.AcmeGeneral, "/connection status")
		if reply.Status != http.StatusOK || !strings.Contains(reply.Text, "Working") ||
			!strings.Contains(reply.Text, "Asking Slack") {
			t.Errorf("status: %d %q", reply.Status, reply.Text)
		}
		w.wait("the live status", func() bool {
			m := w.last(slacksim.AcmeGeneral, dana)
			return m.Ephemeral && strings.Contains(string(m.Blocks), "Checked with Slack just now") &&
				strings.Contains(string(m.Blocks), "connection.details")
		})
		if n := len(w.fromApp(slacksim.AcmeGeneral, slacksim.AcmeMember)); n != 0 {
			t.Errorf("Leon sees %d of Dana's answers", n)
		}

		// A plain member sees the state, and nothing that acts.
		w.type_(slacksim.AcmeMember, slacksim.AcmeGeneral, "/connection")
		w.wait("the live status for a member", func() bool {
			m := w.last(slacksim.AcmeGeneral, slacksim.AcmeMember)
			return strings.Contains(string(m.Blocks), "Checked with Slack just now")
		})
		if m := w.last(slacksim.AcmeGeneral, slacksim.AcmeMember); strings.Count(string(m.Blocks), `"button"`) != 1 ||
			!strings.Contains(string(m.Blocks), "connection.details") {
			t.Errorf("a plain member got other buttons: %s", m.Blocks)
		}

		if got := w.type_(dana, slacksim.AcmeGeneral, "/connection bogus").Text; !strings.Contains(got, "“bogus”") ||
			!strings.Contains(got, "`help`") {
			t.Errorf("unknown word: %q", got)
		}

		// A direct message, and a mention in a thread.
		w.say(slacksim.AcmeMember, w.slack.DM(slacksim.AcmeMember), "status")
		w.wait("the answer in the direct message", func() bool {
			ours := w.fromApp(w.slack.DM(slacksim.AcmeMember), slacksim.AcmeMember)
			return len(ours) == 1 && strings.Contains(string(ours[0].Blocks), "Checked with Slack just now")
		})
		in, _ := w.slack.Installed(slacksim.Acme)
		if err := w.slack.Invite(context.Background(), dana, slacksim.AcmeGeneral, in.BotUserID); err != nil {
			t.Fatal(err)
		}
		ts := w.say(dana, slacksim.AcmeGeneral, "<@"+in.BotUserID+"> help")
		w.wait("the answer to the mention", func() bool {
			m := w.last(slacksim.AcmeGeneral, dana)
			return m.ThreadTS == ts && strings.Contains(m.Text, "Here is what you can ask")
		})

		// The Home tab.
		if err := w.slack.OpenHome(context.Background(), dana, "home"); err != nil {
			t.Fatal(err)
		}
		w.wait("the home tab", func() bool {
			home, ok := w.slack.Home(dana)
			return ok && strings.Contains(string(home.Blocks), "What you can do with Switchboard") &&
				strings.Contains(string(home.Blocks), "Working")
		})

		// Buttons: of the welcome message, and of the Home tab.
		welcome := w.fromApp(dm, dana)[0]
		if ack, err := w.slack.Press(context.Background(), dana, dm, welcome.TS, "connection.test"); err != nil ||
			ack.Status != http.StatusOK {
			t.Fatalf("press: %v %+v", err, ack)
		}
		w.wait("the test message, and the button's answer", func() bool {
			var found int
			for _, m := range w.fromApp(dm, dana) {
				if strings.Contains(m.Text, "This is the test message") || strings.Contains(m.Text, "The test message is in your "+
					"direct messages") {
					found++
				}
			}
			return found == 2
		})
		home, _ := w.slack.Home(dana)
		if _, err := w.slack.PressHome(context.Background(), dana, "connection.check"); err != nil {
			t.Fatal(err)
		}
		w.wait("the home tab, checked again", func() bool { again, _ := w.slack.Home(dana); return again.Hash != home.Hash })

		// Removed: secrets gone, row kept, late events harmless.
		w.settle()
		if err := w.slack.Admins.Uninstall(context.Background(), slacksim.Acme, slacksim.RevokedFirst); err != nil {
			t.Fatal(err)
		}
		gone := w.waitRow("the removal", func(r record) bool { return r.State == "removed" })
		if gone.ID != first.ID {
			t.Errorf("id changed from %s to %s", first.ID, gone.ID)
		}
		w.slack.Admins.RepeatUninstallEvents(context.Background(), slacksim.Acme, slacksim.UninstalledFirst)
		w.settle()

		// Back again: the same id, a second welcome, and the old events once more change nothing.
		page = b.install(slacksim.AcmeMember)
		if !strings.Contains(page.body, "Connected again: Switchboard is back in Acme Corp") {
			t.Errorf("re-install: %s", page.body)
		}
		back := w.connections()
		if len(back) != 1 || back[0].ID != first.ID || back[0].State != "active" ||
			back[0].InstalledBy != slacksim.AcmeMember || back[0].Installs != 2 {
			t.Errorf("after the re-install: %+v", back)
		}
		w.slack.Admins.RepeatUninstallEvents(context.Background(), slacksim.Acme, slacksim.RevokedFirst)
		w.settle()
		w.type_(dana, slacksim.AcmeGeneral, "/connection status")
		w.wait("a live status after late events", func() bool {
			return strings.Contains(string(w.last(slacksim.AcmeGeneral, dana).Blocks), "Checked with Slack just now")
		})
		if got := w.connections(); got[0].State != "active" {
			t.Errorf("late events removed the new install: %+v", got)
		}

		// The second workspace has its own connection, and its own token.
		if page := w.browser().install(slacksim.BirchAdmin); !strings.Contains(page.body, "Birch &amp; Co") {
			t.Errorf("second workspace: %s", page.body)
		}
		w.say(slacksim.BirchMember, w.slack.DM(slacksim.BirchMember), "hello")
		w.wait("an answer in the second workspace", func() bool {
			return len(w.fromApp(w.slack.DM(slacksim.BirchMember), slacksim.BirchMember)) == 1
		})
		for _, c := range w.slack.Calls("chat.postMessage") {
			if c.Arg("channel") == w.slack.DM(slacksim.BirchMember) && c.TeamID != slacksim.Birch {
				t.Errorf("Birch was answered with a token of %s", c.TeamID)
			}
		}
	})
}

// One person pressing twice, colleagues pressing together: one connection all the same.
func TestFiftyCallbacksAtOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.startFor()
		// Fifty consents in a second end each other's tokens at Slack, and names are asked for with each.
		// Refresh tokens among them, which is found out by presenting them.
		w.allowed = append(w.allowed, slacksim.RuleExpiredToken, slacksim.RuleRefreshReused)
		const n = 50
		type visitor struct {
			b    *browser
			back string
		}
		visitors := make([]visitor, n)
		for i := range visitors {
			b := w.browser()
			user := slacksim.AcmeAdmin
			if i%2 == 1 {
				user = slacksim.AcmeMember
			}
			visitors[i] = visitor{b, b.consent(b.begin("/slack/install"), user, slacksim.Choice{})}
		}
		answers := make(chan answer, n)
		for _, v := range visitors {
			go func() { answers <- v.b.get(v.back) }()
		}
		titles := map[string]int{}
		for range n {
			a := <-answers
			title, _, _ := strings.Cut(a.body[strings.Index(a.body, "<title>")+len("<title>"):], "<")
			titles[title]++
			if a.status != http.StatusOK || !strings.Contains(title, "onnected: Switchboard ") ||
				!strings.Contains(title, " in Acme Corp") {
				t.Errorf("answer: %d %q", a.status, title)
			}
		}
		if got := titles["Connected: Switchboard is in Acme Corp"]; got != 1 {
			t.Errorf("%d callbacks made the connection, want 1: %v", got, titles)
		}
		w.settle()
		rows := w.connections()
		if len(rows) != 1 || rows[0].Installs != n {
			t.Errorf("rows: %+v", rows)
		}
		welcomes := len(w.fromApp(w.slack.DM(slacksim.AcmeAdmin), slacksim.AcmeAdmin)) +
			len(w.fromApp(w.slack.DM(slacksim.AcmeMember), slacksim.AcmeMember))
		// Which of fifty tokens Slack keeps can't be known from its answers: they are renewed soon to find out. It is known
		// of one that was asked for when all others were stored: then the row has it.
		db := w.store()
		c, err := db.Get(t.Context(), rows[0].ID)
		at, _ := w.slack.Installed(slacksim.Acme)
		last := err == nil && c.RefreshToken.Reveal() == at.RefreshToken
		if err != nil || !last && c.RenewAt.After(c.AuthorizedAt.Add(2*time.Minute)) {
			t.Errorf("they are renewed only %v after the last install (%v)", c.RenewAt.Sub(c.AuthorizedAt), err)
		}
		w.due([]office{{team: slacksim.Acme}}, time.Now(), 0)
		w.expect("the tokens that Slack handed out last", patience, func() bool {
			at, _ := w.slack.Installed(slacksim.Acme)
			return w.row(db, slacksim.Acme).RefreshToken.Reveal() == at.RefreshToken
		})
		// The token of the first install may have ended before the message could be sent.
		if welcomes > 1 {
			t.Errorf("%d welcome messages, want 1", welcomes)
		}
	})
}

func TestStopsGracefully(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	w.breaches = true // what Slack sends after the stop finds nobody; in life it finds another replica
	b := w.browser()
	ready := w.replicas[0].admin.String() + "/readyz"
	if a := b.get(ready); a.status != http.StatusOK {
		t.Fatalf("readyz: %d %s", a.status, a.body)
	}
	if a := b.get(w.replicas[0].admin.String() + "/livez"); a.status != http.StatusOK {
		t.Fatalf("livez: %d", a.status)
	}
	// The callback is under way, held up by Slack, when the stop comes: it is finished all the same.
	back := b.consent(b.begin("/slack/install"), slacksim.AcmeAdmin, slacksim.Choice{})
	w.slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Times: 1, Delay: 500 * time.Millisecond})
	page := make(chan answer, 1)
	go func() { page <- b.get(back) }()
	w.wait("the exchange", func() bool { return len(w.slack.Calls("oauth.v2.access")) == 1 })
	w.replicas[0].stop()
	if a := <-page; !strings.Contains(a.body, "Connected: Switchboard is in Acme Corp") {
		t.Errorf("the callback under way was not finished: %d %s", a.status, a.body)
	}
	w.stop()
	if rows := w.connections(); len(rows) != 1 {
		t.Errorf("rows: %+v", rows)
	}
}

// The record's names are a contract with people's scripts.
func TestConnectionsListContract(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	out, _, _ := w.command("connections", "list", "--json")
	var rows []map[string]any
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"id", "app_id", "enterprise_id", "team_id", "team_name", "state", "reason", "scopes",
		"installed_by", "installed_at", "expires_at", "last_event_at"} {
		if _, ok := rows[0][name]; !ok {
			t.Errorf("no field %q in %s", name, out)
		}
	}
	id := rows[0]["id"].(string)
	for _, name := range []string{id, slacksim.Acme} {
		if out, errs, code := w.command("connections", "show", name); code != 0 || !strings.Contains(out, id) ||
			!strings.Contains(out, "Working (active)") {
			t.Errorf("show %s: exit %d %s %s", name, code, out, errs)
		}
	}
	if _, errs, code := w.command("connections", "show", "T0NOBODY"); code != 1 ||
		!strings.Contains(errs, "no connection") {
		t.Errorf("show of nobody: exit %d %s", code, errs)
	}
	if out, _, code := w.command("connections", "show", "--json", id); code != 0 ||
		!strings.Contains(out, `"id": "`+id+`"`) {
		t.Errorf("show --json: exit %d %s", code, out)
	}
}

// A page's reference is found by the operator.
func TestAttemptsAreListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	if out, _, code := w.command("connections", "attempts"); code != 0 || !strings.Contains(out, "Nobody has tried") {
		t.Errorf("none: exit %d %s", code, out)
	}
	b := w.browser()
	b.accept = "application/json"
	ended := decodePage(t, b.get(b.consent(b.begin("/slack/install"), slacksim.AcmeAdmin,
		slacksim.Choice{Deny: true})).body)
	b.begin("/slack/install")
	out, _, code := w.command("connections", "attempts")
	if code != 0 || !strings.Contains(out, ended.Ref) || !strings.Contains(out, "cancelled") ||
		strings.Count(out, "\n") != 2 {
		t.Errorf("exit %d %s", code, out)
	}
	var rows []map[string]any
	out, _, _ = w.command("connections", "attempts", "--json", "--limit", "1")
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 1 || rows[0]["outcome"] != "refused" ||
		rows[0]["returned_at"] == nil {
		t.Errorf("%v %s", err, out)
	}
}
