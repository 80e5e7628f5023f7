package cli

// What an operator does about one connection, and what people see of it.

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// A pause is noticed by processes that run, survives a reconnect, and is undone.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.start(2, nil)
		b := w.browser()
		b.install(slacksim.AcmeAdmin)
		w.settle()
		asks := func(want ...string) {
			t.Helper()
			reply, err := w.slack.Command(context.Background(), slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/connection status")
			if missing := inOrder(reply.Text, want...); err != nil || missing != "" {
				t.Errorf("people read %q, without %q: %v", reply.Text, missing, err)
			}
			w.settle()
		}
		does := func(want string, args ...string) {
			t.Helper()
			out, errs, code := w.command(append([]string{"connections"}, args...)...)
			if code != 0 || !strings.Contains(out, want) {
				t.Errorf("%v: exit %d %s%s", args, code, out, errs)
			}
		}
		handled := func() float64 { return w.sum(`switchboard_handled_total{kind="message",result="done"}`) }
		asks("Working")

		does("Paused Acme", "pause", slacksim.Acme)
		does("paused already", "pause", slacksim.Acme)
		asks("Paused by the people who run the app")
		before, dm := handled(), w.slack.DM(slacksim.AcmeAdmin)
		w.say(slacksim.AcmeAdmin, dm, "status")
		w.settle()
		if handled() != before {
			t.Error("a message was handled during the pause")
		}
		if page := b.install(slacksim.AcmeAdmin); page.status != http.StatusOK || !strings.Contains(page.body, "paused") {
			t.Errorf("a reconnect during the pause: %d %s", page.status, page.body)
		}
		if rows := w.connections(); rows[0].State != "paused" {
			t.Errorf("after a reconnect it is %s", rows[0].State)
		}

		does("Acme Corp: Working. Slack confirmed its access just now.", "resume", slacksim.Acme)
		asks("Working")
		if _, errs, code := w.command("connections", "resume", slacksim.Acme); code != 1 ||
			!strings.Contains(errs, "is not paused") {
			t.Errorf("a second resume: exit %d %s", code, errs)
		}
		said := strings.Join(briefs(w.lines(slacksim.Acme)), ", ")
		if missing := inOrder(said, "operator resume done", "operator pause done"); missing != "" {
			t.Errorf("no %q in the history: %s", missing, said)
		}
	})
}

// A token that ran out during a pause is renewed at its end, and one that Slack took back is told of.
func TestResumeFindsOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	w.stop()
	pause := func() {
		t.Helper()
		if _, errs, code := w.command("connections", "pause", slacksim.Acme); code != 0 {
			t.Fatal(errs)
		}
	}
	db := w.store()

	pause()
	w.change(db, slacksim.Acme, func(c *connection.Connection) {
		c.ExpiresAt, c.RenewAt = time.Now().Add(-time.Hour), time.Now().Add(-5*time.Hour)
	})
	out, errs, code := w.command("connections", "resume", slacksim.Acme)
	if code != 0 || !strings.Contains(out, "Slack confirmed its access") {
		t.Errorf("after its token ran out: exit %d %s%s", code, out, errs)
	}
	if c := w.row(db, slacksim.Acme); !c.ExpiresAt.After(time.Now()) {
		t.Errorf("its token wasn't renewed: it ends at %v", c.ExpiresAt)
	}

	pause()
	w.slack.Inject(slacksim.Fault{Method: "auth.test", Error: "token_revoked"})
	asked := len(w.slack.Calls("auth.test"))
	out, errs, code = w.command("connections", "check", slacksim.Acme)
	if code != 1 || !strings.Contains(out, "Slack isn't asked during a pause.") ||
		len(w.slack.Calls("auth.test")) != asked {
		t.Errorf("a check during the pause: exit %d %s%s", code, out, errs)
	}
	out, errs, code = w.command("connections", "resume", slacksim.Acme)
	if missing := inOrder(out, "Resumed Acme", "Needs reconnecting. Slack answered: token_revoked."); code != 1 ||
		missing != "" {
		t.Errorf("after its token was revoked: exit %d, no %q in %s%s", code, missing, out, errs)
	}
	if _, errs, code := w.command("connections", "pause", slacksim.Acme); code != 1 ||
		!strings.Contains(errs, "nothing runs there that could be paused") {
		t.Errorf("a pause of what needs reconnecting: exit %d %s", code, errs)
	}
}

// check asks Slack now, and its exit code says whether the app works there.
func TestCheckCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	w.stop()
	check := func() (found checked, code int) {
		t.Helper()
		before := len(w.slack.Calls("auth.test"))
		out, _, code := w.command("connections", "check", "--json", slacksim.Acme)
		if err := json.Unmarshal([]byte(out), &found); err != nil || len(w.slack.Calls("auth.test")) == before {
			t.Fatalf("%v, or Slack wasn't asked: %s", err, out)
		}
		return found, code
	}
	if found, code := check(); code != 0 || found.State != "active" || !found.Answered || found.ID == "" {
		t.Errorf("exit %d %+v", code, found)
	}
	w.slack.Inject(slacksim.Fault{Method: "auth.test", Error: "token_revoked"})
	if found, code := check(); code != 1 || found.State != "reconnect_required" || found.Reason != "token_revoked" ||
		!strings.Contains(found.NextStep, "can reconnect it") {
		t.Errorf("exit %d %+v", code, found)
	}
	out, errs, code := w.command("connections", "check", slacksim.Acme)
	if missing := inOrder(out+errs, "Needs reconnecting.", "Slack answered: token_revoked.", "can reconnect it"); code != 1 ||
		missing != "" {
		t.Errorf("in words: exit %d, no %q in %s%s", code, missing, out, errs)
	}
}

// A link is bound to its workspace, and alone on standard output.
func TestReconnectLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	link := func(args ...string) (path, said string) {
		t.Helper()
		out, errs, code := w.command(append([]string{"connections", "reconnect-link", slacksim.Acme}, args...)...)
		path, found := strings.CutPrefix(out, w.proxy.URL)
		if code != 0 || !found || strings.Count(out, "\n") != 1 || strings.Contains(errs, "link=") {
			t.Fatalf("exit %d %s%s", code, out, errs)
		}
		return strings.TrimSpace(path), errs
	}

	path, said := link()
	if missing := inOrder(said, "reconnects Acme Corp", "no other workspace", "works once and expires in 1 hour"); missing != "" {
		t.Errorf("no %q in %s", missing, said)
	}
	b := w.browser()
	if page := b.get(b.consent(b.begin(path), slacksim.BirchAdmin, slacksim.Choice{})); page.status < 400 {
		t.Errorf("another workspace's admin: %d %s", page.status, page.body)
	}
	path, _ = link()
	if page := b.get(b.consent(b.begin(path), slacksim.AcmeAdmin, slacksim.Choice{})); page.status != http.StatusOK {
		t.Errorf("an admin: %d %s", page.status, page.body)
	}
	if _, said := link("--for", "7d"); !strings.Contains(said, "expires in 7 days") {
		t.Errorf("for a week: %s", said)
	}

	for _, wrong := range []struct {
		settings map[string]string
		args     []string
		want     string
	}{
		{nil, []string{"--for", "8d"}, "7d or less"},
		{map[string]string{"PUBLIC_URL": ""}, nil, "PUBLIC_URL: is not set"},
		{map[string]string{"SLACK_BOT_TOKEN": "xoxb-by-hand"}, nil, "SLACK_BOT_TOKEN: is set"},
	} {
		_, errs, code := w.with(wrong.settings, append([]string{"connections", "reconnect-link", slacksim.Acme},
			wrong.args...)...)
		if code != 2 || !strings.Contains(errs, wrong.want) {
			t.Errorf("%v: exit %d %s", wrong, code, errs)
		}
	}
}

// The operator's label survives a reconnect, and no removal makes it another workspace's.
func TestLabel(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.start(1, nil)
		b := w.browser()
		b.install(slacksim.AcmeAdmin)
		w.settle()
		label := func(code int, want string, args ...string) {
			t.Helper()
			out, errs, got := w.command(append([]string{"connections", "label", slacksim.Acme}, args...)...)
			if got != code || !strings.Contains(out+errs, want) {
				t.Errorf("%q: exit %d %s%s", args, got, out, errs)
			}
		}
		label(0, "Labelled Acme Corp", "Pilot customer: call Ann first")
		b.install(slacksim.AcmeAdmin)
		if out, _, _ := w.command("connections", "show", slacksim.Acme); !strings.Contains(out, "Pilot customer: call Ann") {
			t.Errorf("after a reconnect: %s", out)
		}
		if out, _, _ := w.command("connections", "list", "--label", "PILOT"); !strings.Contains(out, "Pilot customer: call Ann") {
			t.Errorf("list: %s", out)
		}
		label(2, "up to 80", strings.Repeat("x", 81))
		label(2, "one line", "two\nlines")
		label(2, "one line", "\u202eturned")
		label(2, "give a label, or --clear")
		label(2, "give a label, or --clear", "both", "--clear")
		label(0, "has no label now", "--clear")
		if rows := w.connections(); rows[0].Note != "" {
			t.Errorf("cleared: %q", rows[0].Note)
		}
	})
}

// Why a workspace stopped is what show says first: since when, what Slack said, who was told, what to do.
func TestShowSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	w.stop()
	db := w.store()
	id, now := w.connections()[0].ID, time.Now()
	link := "switchboard connections reconnect-link " + id

	for name, test := range map[string]struct {
		change func(c *connection.Connection)
		want   []string
	}{
		"it works": {func(c *connection.Connection) { c.SetState(connection.Active, "", now) },
			[]string{"Acme Corp: working, since ", "seconds ago)."}},
		"its token was withdrawn, and somebody was told": {func(c *connection.Connection) {
			c.SetState(connection.ReconnectRequired, connection.ReasonTokenRevoked, now.Add(-3*time.Hour))
			c.Notice = connection.Notice{Reason: c.Reason, At: now.Add(-3 * time.Hour), To: slacksim.AcmeAdmin}
		}, []string{"Acme Corp: needs reconnecting, since ", "(3 hours ago)", "Its access was withdrawn in Slack.",
			"Slack answered: token_revoked.", slacksim.AcmeAdmin + " was told in Slack at ", "send " + slacksim.AcmeAdmin +
				" a link: " + link}},
		"nobody could be told": {func(c *connection.Connection) {
			c.SetState(connection.ReconnectRequired, connection.ReasonRefreshRejected, now.Add(-2*time.Hour))
			c.AuthorizedAt, c.FailingSince, c.RenewalError = now.Add(-9*time.Hour), now.Add(-3*time.Hour), "invalid_refresh_token"
			c.Note(connection.Change{At: now, What: connection.DidTell, Outcome: connection.OutcomeFail, Reason: "no_access"})
		}, []string{"Slack answers renewals of its token with invalid_refresh_token, since ",
			"Nobody could be told in Slack: no_access.", link}},
		"it is tried again": {func(c *connection.Connection) {
			c.SetState(connection.Retrying, connection.ReasonRenewalFailing, now)
			c.AuthorizedAt, c.FailingSince, c.RenewalError = now.Add(-9*time.Hour), now.Add(-3*time.Hour), "no_answer"
		}, []string{"having trouble", "have got no answer from Slack since", "tried again by itself", "connections check " + id}},
		"a permission was taken": {func(c *connection.Connection) {
			c.SetState(connection.Active, "", now)
			c.Scopes = []string{"commands"}
		}, []string{"not working, a permission is missing", "To have it allowed", link}},
		"it is paused": {func(c *connection.Connection) { c.SetState(connection.Paused, "", now) },
			[]string{"paused by the people who run the app", "connections resume " + id}},
	} {
		before := w.row(db, slacksim.Acme)
		w.change(db, slacksim.Acme, test.change)
		out, errs, code := w.command("connections", "show", slacksim.Acme)
		first, _, _ := strings.Cut(out, "\n\n")
		if missing := inOrder(first, test.want...); missing != "" || code != 0 || strings.Contains(first, "\n") {
			t.Errorf("%s: exit %d, no %q in %s%s", name, code, missing, first, errs)
		}
		w.change(db, slacksim.Acme, func(c *connection.Connection) {
			key, id := c.Key, c.ID
			*c = before
			c.Key, c.ID = key, id
		})
	}

	w.change(db, slacksim.Acme, func(c *connection.Connection) {
		c.Erase(connection.Removed, connection.ReasonDisconnected, now)
		c.Note(connection.Change{At: now, By: connection.Person(slacksim.AcmeAdmin), What: connection.DidDisconnect,
			Outcome: connection.OutcomeDone})
	})
	if out, _, _ := w.command("connections", "show", slacksim.Acme); inOrder(out, "removed from Slack",
		slacksim.AcmeAdmin+" did that, at ") != "" {
		t.Errorf("a removed one: %.600s", out)
	}
}
