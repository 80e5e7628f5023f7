package cli

// What happens to a connection after its install, end to end: who learns of it, how it is left, told of, removed, moved
// to rotation and sealed anew. People and Slack do it; what they read, what Slack saw and what is left in the database
// decide.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// More people of Acme: in these tests Leon, a plain member, is the installer, so that Dana is an admin and nothing
// else.
const (
	anotherMember = "U0ACMEMIA1"
	aGuest        = "U0ACMEGUS1"
)

// keeping is onEach for tests of what is kept: with more people, and with a look at the history at the end.
func keeping(t *testing.T, test func(t *testing.T, w *world)) {
	onEach(t, func(t *testing.T, w *world) {
		w.staffed()
		test(t, w)
	})
}

func (w *world) staffed() *world {
	w.slack.AddUser(slacksim.User{ID: anotherMember, TeamID: slacksim.Acme, Name: "mia", RealName: "Mia Fox"})
	w.slack.AddUser(slacksim.User{ID: aGuest, TeamID: slacksim.Acme, Name: "gus", RealName: "Gus Guest", Guest: true})
	w.slack.AddChannel(slacksim.Channel{ID: slacksim.AcmeGeneral, TeamID: slacksim.Acme, Name: "general",
		Members: []string{slacksim.AcmeAdmin, slacksim.AcmeMember, anotherMember, aGuest}})
	w.t.Cleanup(w.noUnexplainedLines)
	return w
}

// noUnexplainedLines fails when something changed a connection without saying what it did.
func (w *world) noUnexplainedLines() {
	db := w.sql()
	defer db.Close()
	rows, err := db.Query("SELECT connection_id, actor, outcome, reason FROM connection_history WHERE what = 'change'")
	if err != nil {
		return // the test made no tables
	}
	defer rows.Close()
	for rows.Next() {
		var id, actor, outcome, reason string
		if err := rows.Scan(&id, &actor, &outcome, &reason); err != nil {
			w.t.Fatal(err)
		}
		w.t.Errorf("a line of history does not say what was done: %s %s %s %s", id, actor, outcome, reason)
	}
}

// installWith is install with something added to what Slack is asked for.
func (b *browser) installWith(userID string, extra url.Values) answer {
	b.w.t.Helper()
	u, err := url.Parse(b.begin("/slack/install"))
	if err != nil {
		b.w.t.Fatal(err)
	}
	q := u.Query()
	for name, values := range extra {
		q.Set(name, strings.TrimPrefix(q.Get(name)+","+strings.Join(values, ","), ","))
	}
	u.RawQuery = q.Encode()
	a := b.get(b.consent(u.String(), userID, slacksim.Choice{}))
	if a.status != http.StatusOK {
		b.w.t.Fatalf("install: %d %s", a.status, a.body)
	}
	return a
}

// forPeople asks a person, too, to let the app act for them.
var forPeople = url.Values{"user_scope": {"users:read"}}

// change changes a workspace's row as the program itself would.
func (w *world) change(db *storage.DB, team string, fn func(c *connection.Connection)) {
	w.t.Helper()
	if _, err := db.Update(context.Background(), w.key(team),
		func(c *connection.Connection) error { fn(c); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) key(team string) connection.Key {
	return connection.Key{AppID: w.slack.App().ID, TeamID: team}
}

// lines is `connections history --json`, as a script reads it.
func (w *world) lines(name string, more ...string) []change {
	w.t.Helper()
	out, errs, code := w.command(append([]string{"connections", "history", "--json", name}, more...)...)
	var all []change
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 {
		w.t.Fatalf("history of %s: exit %d %v %s%s", name, code, err, out, errs)
	}
	return all
}

// brief is a line of history without its time.
func (c change) brief() string {
	return strings.Join(strings.Fields(c.Actor+" "+c.ActorID+" "+c.What+" "+c.Outcome+" "+c.Reason), " ")
}

func briefs(all []change) []string {
	list := make([]string, len(all))
	for i, c := range all {
		list[i] = c.brief()
	}
	return list
}

// waitLine waits until the newest line of a history is as wanted; nothing tells when the database changes, so it is
// asked.
func (w *world) waitLine(name, want string) {
	w.t.Helper()
	until(w.t, "the line "+want, func() bool { return w.lines(name, "--limit", "1")[0].brief() == want })
}

// until looks now and then whether something is so that nobody tells of.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.After(patience)
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-end:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// secretsOf says which secrets the database holds of a workspace: "token", "refresh", "webhook", and "person" for each
// that the app may act for.
func (w *world) secretsOf(team string) []string {
	w.t.Helper()
	db := w.sql()
	defer db.Close()
	var kept []string
	var token, refresh, webhook, people int
	if err := db.QueryRow("SELECT length(token), length(refresh_token), length(webhook_url) FROM connections WHERE "+
		"team_id = '"+team+"'").Scan(&token, &refresh, &webhook); err != nil {
		w.t.Fatal(err)
	}
	if err := db.QueryRow("SELECT count(*) FROM user_tokens WHERE team_id = '" + team + "'").Scan(&people); err != nil {
		w.t.Fatal(err)
	}
	for i, n := range []int{token, refresh, webhook} {
		if n > 0 {
			kept = append(kept, []string{"token", "refresh", "webhook"}[i])
		}
	}
	for range people {
		kept = append(kept, "person")
	}
	return kept
}

// journaled returns the names of what waits in the journal.
func (w *world) journaled() []string {
	w.t.Helper()
	return slices.Sorted(maps.Keys(w.journal(w.dataDir)))
}

// asRead is a message as text, with the escapes of JSON undone.
func asRead(m slacksim.Message) string {
	return m.Text + "\n" + strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(m.Blocks))
}

// inOrder reports which of the words does not follow those before it.
func inOrder(text string, words ...string) (missing string) {
	for _, word := range words {
		_, rest, found := strings.Cut(text, word)
		if !found {
			return word
		}
		text = rest
	}
	return ""
}

// called counts the calls that Slack got for a method.
func (w *world) called(method string) int { return len(w.slack.Calls(method)) }

// logged counts the lines of the log with a message.
func (w *world) logged(message string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.seen.String(), `"msg":"`+message+`"`)
}

func TestHistory(t *testing.T) {
	t.Parallel()
	keeping(t, func(t *testing.T, w *world) {
		dana, leon := slacksim.AcmeAdmin, slacksim.AcmeMember
		dm := w.slack.DM
		w.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = false })
		w.startFor()
		b := w.browser()
		b.get(b.consent(b.begin("/slack/install"), leon, slacksim.Choice{Untick: []string{"im:history"}}))
		first := w.connections()[0]

		// Somebody allows more without us, on Slack's own pages: the next question to Slack finds out.
		w.tokenByHand(dana)
		w.quick("status", dana, "/connection status", "some features unavailable")
		w.waitLine(first.ID, "slack permissions done +im:history")
		w.settle()
		w.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = true })
		if out, errs, code := w.command("connections", "exchange", first.ID); code != 0 {
			t.Fatalf("exchange: exit %d %s%s", code, out, errs)
		}
		db := w.store()
		w.change(db, slacksim.Acme, func(c *connection.Connection) { c.RenewAt = time.Now() })
		w.waitLine(first.ID, "switchboard renew done")
		if page := b.get(b.consent(b.begin(w.link(connection.Connection{ID: first.ID}, links.GrantRequest{})), dana,
			slacksim.Choice{})); page.status != http.StatusOK {
			t.Fatalf("reconnect: %d %s", page.status, page.body)
		}

		// The command line and Slack tell the same, newest first.
		all := w.lines(first.ID)
		if got, want := briefs(all), []string{"person " + dana + " reconnect done", "switchboard renew done",
			"switchboard exchange done", "slack permissions done +im:history",
			"person " + leon + " install done"}; !slices.Equal(got, want) {
			t.Errorf("history: %q, want %q", got, want)
		}
		said := []string{"newest first.", "Reconnected. By <@" + dana + ">.", "Access renewed automatically.",
			"Access exchanged for one that is renewed automatically.",
			"Permissions changed. According to Slack. Allowed now: read direct messages to it.",
			"Installed. By <@" + leon + ">."}
		for name, user := range map[string]string{"the installer": leon, "an admin": dana} {
			reply := w.quick(name, user, "/connection history")
			if !reply.Message.Ephemeral {
				t.Errorf("%s: everybody reads it", name)
			}
			for where, text := range map[string]string{"text": reply.Text,
				"blocks": strings.TrimPrefix(asRead(reply.Message), reply.Text)} {
				if missing := inOrder(text, said...); missing != "" {
					t.Errorf("%s: no %q in its place in the %s: %s", name, missing, where, text)
				}
			}
			if n := strings.Count(reply.Text, "• <!date^"); n != len(all) {
				t.Errorf("%s reads %d lines, want %d", name, n, len(all))
			}
		}

		// Who has nothing to do with it is told who has, and reads none of it.
		for name, test := range map[string]struct{ user, says string }{
			"a member": {anotherMember, "Only <@" + leon + ">, who installed it, and workspace admins can see the history."},
			"a guest":  {aGuest, "Guests can't see the history. Ask <@" + leon + ">, who installed it, or a workspace admin."},
		} {
			if reply := w.quick(name, test.user, "/connection history", test.says); strings.Contains(asRead(reply.Message),
				"Installed. By") {
				t.Errorf("%s reads it: %s", name, asRead(reply.Message))
			}
		}

		// In the direct message it is shown too; in a channel it never is.
		w.settle()
		for user, says := range map[string]string{leon: "Installed. By <@" + leon + ">.",
			anotherMember: "Only <@" + leon + ">, who installed it,"} {
			before := len(w.fromApp(dm(user), user))
			w.say(user, dm(user), "history")
			w.wait("the answer to "+user, func() bool { return len(w.fromApp(dm(user), user)) > before })
			if got := asRead(w.last(dm(user), user)); !strings.Contains(got, says) {
				t.Errorf("%s reads in the direct message: %s", user, got)
			}
		}
		in, _ := w.slack.Installed(slacksim.Acme)
		if err := w.slack.Invite(context.Background(), dana, slacksim.AcmeGeneral, in.BotUserID); err != nil {
			t.Fatal(err)
		}
		ts := w.say(dana, slacksim.AcmeGeneral, "<@"+in.BotUserID+"> history")
		w.wait("the answer to the mention", func() bool { return w.last(slacksim.AcmeGeneral, dana).ThreadTS == ts })
		if got := asRead(w.last(slacksim.AcmeGeneral, dana)); !strings.Contains(got, "I only answer that privately") ||
			strings.Contains(got, "Installed") {
			t.Errorf("in a channel: %s", got)
		}

		// With the app gone, nobody can be asked about, the installer neither.
		w.settle()
		if err := w.slack.Admins.Uninstall(context.Background(), slacksim.Acme, slacksim.OnlyUninstalled); err != nil {
			t.Fatal(err)
		}
		w.waitRow("the removal", func(r record) bool { return r.State == "removed" })
		for _, who := range []string{leon, dana} {
			if got := string(w.raw(slacksim.Acme, who, "history").Body); !strings.Contains(got,
				"Slack can't be asked who you are. Switchboard was removed from Slack.") {
				t.Errorf("%s after the removal: %s", who, got)
			}
		}

		// For scripts: names that stay, newest first, no more than asked for.
		out, _, _ := w.command("connections", "history", "--json", slacksim.Acme)
		var fields []map[string]any
		if err := json.Unmarshal([]byte(out), &fields); err != nil || len(fields) != len(all)+1 {
			t.Fatalf("%v: %d lines in %s", err, len(fields), out)
		}
		for _, line := range fields {
			if got, want := slices.Sorted(maps.Keys(line)),
				[]string{"actor", "actor_id", "at", "connection_id", "outcome", "reason", "what"}; !slices.Equal(got, want) ||
				line["connection_id"] != first.ID {
				t.Errorf("fields %q in %v", got, line)
			}
		}
		if got := briefs(w.lines(first.ID, "--limit", "2")); len(got) != 2 || got[0] != "slack remove done app_uninstalled" ||
			got[1] != briefs(all)[0] {
			t.Errorf("--limit 2: %q", got)
		}
		table, errs, code := w.command("connections", "history", slacksim.Acme)
		if missing := inOrder(table, "WHEN", "slack", "remove", "app_uninstalled", dana, "reconnect", "renew", "exchange",
			"permissions", "+im:history", leon, "install"); missing != "" || code != 0 ||
			strings.Count(table, "\n") != len(fields)+1 {
			t.Errorf("in words: exit %d, no %q in its place: %s%s", code, missing, table, errs)
		}
		if _, errs, code := w.command("connections", "history", "T0NOBODY01"); code != 1 ||
			!strings.Contains(errs, `no connection "T0NOBODY01"`) {
			t.Errorf("nobody's: exit %d %s", code, errs)
		}
		// A workspace that was moved into an organisation can have two.
		moved := w.key(slacksim.Acme)
		moved.EnterpriseID = "E0GRID0001"
		other, _, err := db.Put(context.Background(),
			connection.Connection{Key: moved, TokenPair: connection.TokenPair{Token: "xoxb-0-nobody"}, State: connection.Active,
				InstalledBy: dana, AuthorizedBy: dana, InstalledAt: time.Now(), AuthorizedAt: time.Now(), StateSince: time.Now(),
				CheckAt: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if _, errs, code := w.command("connections", "history", slacksim.Acme); code != 1 ||
			!strings.Contains(errs, "could be any of these. Give the id of one:") {
			t.Errorf("two of one name: exit %d %s", code, errs)
		}
		if got := briefs(w.lines(other.ID)); !slices.Equal(got, []string{"person " + dana + " install done"}) {
			t.Errorf("the other one: %q", got)
		}

		// Connections that are older than the history.
		raw := w.sql()
		defer raw.Close()
		for _, statement := range []string{"DELETE FROM connections WHERE id = '" + other.ID + "'",
			"DELETE FROM connection_history"} {
			if _, err := raw.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		if out, _, code := w.command("connections", "history", "--json", first.ID); code != 0 ||
			strings.TrimSpace(out) != "[]" {
			t.Errorf("nothing, for scripts: exit %d %s", code, out)
		}
		if out, _, code := w.command("connections", "history", first.ID); code != 0 ||
			!strings.Contains(out, "This connection has no history") {
			t.Errorf("nothing, in words: exit %d %s", code, out)
		}
	})
}

func TestDisconnect(t *testing.T) {
	t.Parallel()
	for name, who := range map[string]string{"by the installer": slacksim.AcmeMember, "by an admin": slacksim.AcmeAdmin} {
		t.Run(name, func(t *testing.T) {
			keeping(t, func(t *testing.T, w *world) {
				leon := slacksim.AcmeMember
				w.startFor()
				b := w.browser()
				b.installWith(leon, url.Values{"user_scope": {"users:read"}, "scope": {"incoming-webhook"}})
				w.settle()
				first := w.connections()[0]
				if got := w.secretsOf(slacksim.Acme); !slices.Equal(got, []string{"token", "refresh", "webhook", "person"}) {
					t.Fatalf("stored: %q", got)
				}
				untouched := func(after string) {
					t.Helper()
					if _, there := w.slack.Installed(slacksim.Acme); !there || w.called("apps.uninstall") != 0 {
						t.Fatalf("after %s Slack was asked %d times", after, w.called("apps.uninstall"))
					}
					if got := w.connections()[0]; got.State != "active" || len(w.secretsOf(slacksim.Acme)) != 4 {
						t.Errorf("after %s: %+v", after, got)
					}
				}

				// Nobody else can, and nothing happens before the window's button is pressed.
				w.quick("a member", anotherMember, "/connection disconnect", "Only <@"+leon+">, who installed it, and workspace "+
					"admins can disconnect it.")
				w.quick("a guest", aGuest, "/connection disconnect", "Guests can't disconnect it.")
				for _, words := range []string{"disconnect", "uninstall", "remove yes", "disconnect YES please", "yes disconnect"} {
					w.quick(words, who, "/connection "+words)
					views := w.slack.OpenViews(who)
					if len(views) != 1 {
						t.Fatalf("%s: %d windows", words, len(views))
					}
					for _, want := range []string{"This removes Switchboard from Acme Corp, for everybody.",
						"Its access and messages are erased immediately, everything else after 90 days.", "Other apps"} {
						if !strings.Contains(string(views[0].Blocks), want) {
							t.Errorf("%s: no %q in %s", words, want, views[0].Blocks)
						}
					}
					if _, err := w.slack.CloseView(context.Background(), who, views[0].ID, true); err != nil {
						t.Fatal(err)
					}
				}
				w.say(who, w.slack.DM(who), "disconnect yes")
				w.wait("the answer in the direct message", func() bool {
					return strings.Contains(w.last(w.slack.DM(who), who).Text, "To disconnect Switchboard from Acme Corp, press the "+
						"button.")
				})
				w.settle()
				untouched("opening and closing the window")

				// What came of it is in the window; a minute later nothing of it would arrive.
				hooks, before := w.called("response_url"), len(w.slack.Calls())
				said := w.goodbye("pressed", who, "Switchboard is disconnected from Acme Corp. Slack removed the app, and its "+
					"access is erased.", "To bring it back, open")
				if _, there := w.slack.Installed(slacksim.Acme); there {
					t.Error("Slack still has the app")
				}
				gone := w.connections()[0]
				if gone.State != "removed" || gone.Reason != "disconnected" || gone.ID != first.ID ||
					len(w.secretsOf(slacksim.Acme)) != 0 {
					t.Errorf("row: %+v, secrets: %q", gone, w.secretsOf(slacksim.Acme))
				}
				// Slack's two events follow, and come again.
				w.settle()
				w.slack.Admins.RepeatUninstallEvents(context.Background(), slacksim.Acme, slacksim.UninstalledFirst)
				w.settle()
				w.stop() // what was accepted is worked off
				if got := w.connections()[0]; got.State != "removed" || got.Reason != "disconnected" || len(w.journaled()) != 0 {
					t.Errorf("after Slack's own words: %+v, journal %q", got, w.journaled())
				}
				for _, c := range w.slack.Calls()[before:] {
					if c.Method != "apps.uninstall" && c.Method != "auth.test" && c.Method != "users.info" &&
						c.Method != "views.open" {
						t.Errorf("Slack was asked for %s", c.Method)
					}
				}
				if n, m := w.called("apps.uninstall"), w.called("response_url"); n != 1 || m != hooks {
					t.Errorf("apps.uninstall was called %d times, and %d answers were sent late", n, m-hooks)
				}

				// Back by the link in the answer: the same connection, with its history.
				w.startFor()
				link := regexp.MustCompile(`<(` + regexp.QuoteMeta(w.proxy.URL) + `[^|]*)\|the install page>`).
					FindStringSubmatch(said)
				if link == nil {
					t.Fatalf("no link in %q", said)
				}
				if page := b.get(b.consent(b.get(link[1]).location, slacksim.AcmeAdmin,
					slacksim.Choice{})); !strings.Contains(page.body, "Connected again: Switchboard is back in Acme Corp") {
					t.Errorf("back again: %d %s", page.status, page.body)
				}
				back := w.connections()
				if len(back) != 1 || back[0].ID != first.ID || back[0].State != "active" || back[0].Installs != 2 {
					t.Errorf("back again: %+v", back)
				}
				// Slack's word may have come first
				history := slices.DeleteFunc(briefs(w.lines(first.ID)), func(line string) bool {
					return strings.HasPrefix(line, "slack ")
				})
				if want := []string{"person " + slacksim.AcmeAdmin + " reinstall done", "person " + who + " disconnect done ok",
					"person " + leon + " user_grant done " + leon, "person " + leon + " install done"}; !slices.Equal(history, want) {
					t.Errorf("history: %q, want %q", history, want)
				}
				w.quick("status", leon, "/connection status", "Working")
				w.settle()
			})
		})
	}
}

// goodbye types /connection disconnect, presses the window's button if there is a window, and returns what is said in
// the end.
func (w *world) goodbye(name, who string, want ...string) (said string) {
	w.t.Helper()
	said = asRead(w.quick(name, who, "/connection disconnect").Message)
	for _, v := range w.slack.OpenViews(who) {
		ack, err := w.slack.SubmitView(context.Background(), who, v.ID, nil)
		if err != nil || ack.Status != http.StatusOK || ack.Took > 3*time.Second || ack.Shown != "" {
			w.t.Errorf("%s: %v %d after %v %s", name, err, ack.Status, ack.Took, ack.Shown)
		}
		said = asRead(slacksim.Message{Blocks: w.slack.OpenViews(who)[0].Blocks})
		if _, err := w.slack.CloseView(context.Background(), who, v.ID, true); err != nil {
			w.t.Error(err)
		}
	}
	for _, s := range want {
		if !strings.Contains(said, s) {
			w.t.Errorf("%s: no %q in %q", name, s, said)
		}
	}
	return said
}

// Whatever Slack does, there is an answer within its 3 s, and the connection is either left as it was or gone.
func TestDisconnectWhenSlackHasTrouble(t *testing.T) {
	t.Parallel()
	dana, leon := slacksim.AcmeAdmin, slacksim.AcmeMember
	const uninstall = "apps.uninstall"
	unknown := []string{"we don't know whether Switchboard was removed from Acme Corp", "/connection status",
		"Reference: "}
	for name, test := range map[string]struct {
		fault  slacksim.Fault
		who    string
		says   []string
		line   string // in the history
		gone   bool   // Slack did it all the same
		late   string // what is said when the command's own time is over
		during func(w *world, db *storage.DB)
	}{
		"bad credentials": {slacksim.Fault{Method: uninstall, Error: "bad_client_secret"}, leon,
			[]string{"Slack didn't remove Switchboard. It said `bad_client_secret`.", "It is still connected to Acme Corp.",
				"Reference: "}, "failed bad_client_secret", false, "", nil},
		"not allowed": {slacksim.Fault{Method: uninstall, Error: "must_revoke_access"}, dana,
			[]string{"It said `must_revoke_access`", "It is still connected"}, "failed must_revoke_access", false, "", nil},
		"rate limited": {slacksim.Fault{Method: uninstall, RetryAfter: 30}, leon,
			[]string{"Slack asked us to slow down", "It is still connected", "Try again in a few minutes."},
			"failed ratelimited", false, "", nil},
		"500": {slacksim.Fault{Method: uninstall, Status: 500}, leon, unknown, "failed no_answer", false, "",
			nil},
		"silent": {slacksim.Fault{Method: uninstall, Hang: true}, leon, unknown, "failed no_answer", false, "",
			nil},
		"too slow": {slacksim.Fault{Method: uninstall, Delay: 4 * time.Second}, dana, unknown, "failed no_answer",
			false, "", nil},
		"slow": {slacksim.Fault{Method: uninstall, Delay: time.Second}, leon,
			[]string{"Slack removed the app, and its access is erased."}, "done ok", true, "", nil},
		"its answer lost": {slacksim.Fault{Method: uninstall, DropAnswer: true}, leon, unknown, "failed no_answer", true,
			"", nil},
		"silent about whom": {slacksim.Fault{Method: "users.info", Hang: true}, dana, nil, "", false,
			"We couldn't ask Slack whether you can do that.", nil},
		"no new access": {slacksim.Fault{Method: "oauth.v2.access", Status: 500}, leon,
			[]string{"Switchboard couldn't renew its access just now."}, "", false, "", func(w *world, db *storage.DB) {
				w.change(db, slacksim.Acme, func(c *connection.Connection) { c.ExpiresAt, c.RenewAt = time.Now(), time.Now() })
			}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, storageURL(t)).staffed().start(1, nil)
			w.browser().install(leon)
			w.settle()
			db := w.store()
			first := w.connections()[0]
			clear := w.slack.Inject(test.fault)
			if test.during != nil {
				test.during(w, db)
			}
			w.goodbye(name, test.who, test.says...)
			clear()
			if test.late != "" {
				w.wait("the late answer", func() bool {
					return strings.Contains(w.last(slacksim.AcmeGeneral, test.who).Text, test.late)
				})
			}
			_, there := w.slack.Installed(slacksim.Acme)
			if there == test.gone {
				t.Fatalf("Slack has the app: %v", there)
			}
			if test.line != "" {
				want := "person " + test.who + " disconnect " + test.line
				until(t, "the line of history", func() bool { return slices.Contains(briefs(w.lines(first.ID)), want) })
			}
			if test.gone {
				w.waitRow("the removal", func(r record) bool { return r.State == "removed" })
				if left := w.secretsOf(slacksim.Acme); len(left) != 0 {
					t.Errorf("left: %q", left)
				}
				w.settle()
				return
			}
			if got := w.secretsOf(slacksim.Acme); !slices.Equal(got, []string{"token", "refresh"}) {
				t.Errorf("kept: %q", got)
			}
			// When the trouble is over it can be done.
			w.settle()
			w.waitRow("the connection, which still works", func(r record) bool { return r.State == "active" })
			w.goodbye("once more", test.who, "Slack removed the app, and its access is erased.")
			if got := w.connections()[0]; got.State != "removed" || got.Reason != "disconnected" {
				t.Errorf("once more: %+v", got)
			}
			w.settle()
		})
	}
}

// What is not there is said to be not there, and what is left of it is erased.
func TestDisconnectWhatIsGone(t *testing.T) {
	t.Parallel()
	leon := slacksim.AcmeMember
	t.Run("removed, and nobody told us", func(t *testing.T) {
		w := newWorld(t, storageURL(t)).staffed().start(1, nil)
		w.allowed = append(w.allowed, slacksim.RuleRevokedToken) // asking with the dead token is how we find out
		w.browser().installWith(leon, forPeople)
		w.settle()
		if err := w.slack.Admins.Uninstall(context.Background(), slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
			t.Fatal(err)
		}
		if got := string(w.raw(slacksim.Acme, leon, "disconnect").Body); !strings.Contains(got,
			"there is nothing to disconnect.") {
			t.Errorf("the answer: %s", got)
		}
		// That is how it is found out.
		if w.waitRow("the removal", func(r record) bool {
			return r.State == "removed" && r.Reason == "account_inactive"
		}); len(w.secretsOf(slacksim.Acme)) != 0 {
			t.Errorf("left: %q", w.secretsOf(slacksim.Acme))
		}
		for range 2 {
			if got := string(w.raw(slacksim.Acme, leon, "disconnect").Body); !strings.Contains(got,
				"there is nothing to disconnect.") {
				t.Errorf("again: %s", got)
			}
		}
		if n := w.called("apps.uninstall"); n != 0 {
			t.Errorf("Slack was asked %d times", n)
		}
	})
	t.Run("no access left to ask with", func(t *testing.T) {
		w := newWorld(t, storageURL(t)).staffed().start(1, nil)
		w.browser().install(leon)
		w.settle()
		w.change(w.store(), slacksim.Acme, func(c *connection.Connection) {
			now := time.Now()
			c.Erase(connection.ReconnectRequired, connection.ReasonTokenRevoked, now)
			c.Note(connection.Change{At: now, By: connection.Actor{Kind: connection.BySlack}, What: connection.DidRemove,
				Outcome: connection.OutcomeDone, Reason: connection.ReasonTokenRevoked})
		})
		w.quick("no access", leon, "/connection disconnect", "no longer has access to Acme Corp",
			"Remove it on its page in Slack")
		if got := w.connections()[0]; got.State != "reconnect_required" || w.called("apps.uninstall") != 0 {
			t.Errorf("row: %+v", got)
		}
		w.settle()
	})
	t.Run("connected by hand", func(t *testing.T) {
		w := newWorld(t, storageURL(t))
		w.start(1, single(w.tokenByHand(slacksim.AcmeAdmin)))
		w.quick("by hand", slacksim.AcmeAdmin, "/connection disconnect", "was connected to Acme Corp by hand", "*Remove App*")
		if got := w.connections()[0]; got.State != "active" || w.called("apps.uninstall") != 0 {
			t.Errorf("row: %+v", got)
		}
		w.settle()
	})
}

func TestDisconnectCommand(t *testing.T) {
	t.Parallel()
	keeping(t, func(t *testing.T, w *world) {
		leon := slacksim.AcmeMember
		w.startFor()
		w.browser().installWith(leon, forPeople)
		w.browser().install(slacksim.BirchAdmin)
		w.settle()
		disconnect := func(args ...string) (string, string, int) {
			return w.command(append([]string{"connections", "disconnect"}, args...)...)
		}
		state := func(team string) string {
			i := slices.IndexFunc(w.connections(), func(r record) bool { return r.TeamID == team })
			return w.connections()[i].State + " " + w.connections()[i].Reason
		}
		first := w.connections()[0]

		for _, args := range [][]string{{first.ID}, {slacksim.Acme}, {"--erase-anyway", first.ID}} {
			if out, errs, code := disconnect(args...); code != 0 || !strings.Contains(out, "This would remove the app from "+
				"Acme Corp ("+first.ID+")") || !strings.Contains(out, "Nothing was changed. To do it, add --yes.") {
				t.Errorf("%q: exit %d %s%s", args, code, out, errs)
			}
		}
		if _, errs, code := disconnect("--yes", "T0NOBODY01"); code != 1 ||
			!strings.Contains(errs, `no connection "T0NOBODY01"`) {
			t.Errorf("nobody's: exit %d %s", code, errs)
		}
		if _, errs, code := disconnect("--yes"); code != 2 || !strings.Contains(errs, "<name>") {
			t.Errorf("without a name: exit %d %s", code, errs)
		}
		clear := w.slack.Inject(slacksim.Fault{Method: "apps.uninstall", Error: "bad_client_secret"})
		if out, errs, code := disconnect("--yes", first.ID); code != 1 || out != "" ||
			!strings.Contains(errs, "bad_client_secret") || !strings.Contains(errs, "Nothing was changed.") ||
			!strings.Contains(errs, "--erase-anyway") {
			t.Errorf("refused: exit %d %s%s", code, out, errs)
		}
		clear()
		clear = w.slack.Inject(slacksim.Fault{Method: "apps.uninstall", Status: 503})
		if out, errs, code := disconnect("--yes", first.ID); code != 1 || out != "" ||
			!strings.Contains(errs, "we don't know whether the app was removed from Acme Corp") ||
			!strings.Contains(errs, "Run it again") {
			t.Errorf("no answer: exit %d %s%s", code, out, errs)
		}
		clear()
		if got := state(slacksim.Acme); got != "active " || len(w.secretsOf(slacksim.Acme)) != 3 {
			t.Errorf("so far: %q", got)
		}

		asked := w.called("apps.uninstall")
		if out, errs, code := disconnect("--yes", slacksim.Acme); code != 0 ||
			!strings.Contains(out, "Slack removed the app from Acme Corp, and its access is erased.") {
			t.Errorf("--yes: exit %d %s%s", code, out, errs)
		}
		if _, there := w.slack.Installed(slacksim.Acme); there || w.called("apps.uninstall") != asked+1 ||
			len(w.secretsOf(slacksim.Acme)) != 0 {
			t.Errorf("Slack has it: %v; it was asked %d times; left %q", there, w.called("apps.uninstall")-asked,
				w.secretsOf(slacksim.Acme))
		}
		if _, errs, code := disconnect("--yes", slacksim.Acme); code != 1 ||
			!strings.Contains(errs, "Acme Corp is no longer connected; nothing was changed") {
			t.Errorf("again: exit %d %s", code, errs)
		}
		w.settle()
		if got := state(slacksim.Acme); got != "removed disconnected" {
			t.Errorf("after Slack's own words: %q", got)
		}
		if got := briefs(w.lines(first.ID)); !slices.Contains(got, "operator disconnect done ok") ||
			!slices.Contains(got, "operator disconnect failed bad_client_secret") ||
			!slices.Contains(got, "operator disconnect failed no_answer") {
			t.Errorf("history: %q", got)
		}

		// Without Slack: our part alone, and said so. The program that serves goes by it at once.
		asked = len(w.slack.Calls())
		if out, errs, code := disconnect("--yes", "--erase-anyway", slacksim.Birch); code != 0 ||
			!strings.Contains(out, "Slack was not asked") || !strings.Contains(out, "until somebody removes it") {
			t.Errorf("--erase-anyway: exit %d %s%s", code, out, errs)
		}
		if _, there := w.slack.Installed(slacksim.Birch); !there || len(w.slack.Calls()) != asked ||
			len(w.secretsOf(slacksim.Birch)) != 0 || state(slacksim.Birch) != "removed disconnected" {
			t.Errorf("Slack has it: %v, %d calls, left %q, state %q", there, len(w.slack.Calls())-asked,
				w.secretsOf(slacksim.Birch), state(slacksim.Birch))
		}
		if reply, err := w.slack.Command(context.Background(), slacksim.BirchAdmin, slacksim.BirchGeneral,
			"/connection status"); err != nil || !strings.Contains(reply.Text, "Removed from Slack") ||
			!strings.Contains(reply.Text, "It was disconnected.") {
			t.Errorf("what people read: %v %q", err, reply.Text)
		}
		if got := w.journaled(); len(got) != 0 {
			t.Errorf("journal: %q", got)
		}
		if page := w.browser().install(slacksim.BirchAdmin); !strings.Contains(page.body, "Connected again") ||
			state(slacksim.Birch) != "active " {
			t.Errorf("back: %s", page.body)
		}
	})
}

// metrics reads the numbers of one replica and fails when Prometheus could not.
func (w *world) metrics(r *replica) map[string]float64 {
	w.t.Helper()
	a := w.browser().get(r.admin.String() + "/metrics")
	if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		w.t.Fatalf("metrics: %d %s", a.status, a.header.Get("Content-Type"))
	}
	numbers := map[string]float64{}
	for line := range strings.Lines(a.body) {
		line = strings.TrimSuffix(line, "\n")
		m := metricLine.FindStringSubmatch(line)
		if m == nil {
			w.t.Errorf("not a line of metrics: %q", line)
			continue
		}
		if m[1] == "" {
			continue // HELP or TYPE
		}
		n, err := strconv.ParseFloat(m[2], 64)
		if _, twice := numbers[m[1]]; err != nil || twice {
			w.t.Errorf("%q: %v, twice: %v", line, err, twice)
		}
		numbers[m[1]] = n
	}
	return numbers
}

// metricLine is a comment or a number in the text format: https://prometheus.io/docs/instrumenting/exposition_formats/
var metricLine = regexp.MustCompile(
	`^(?:# (?:HELP|TYPE) [a-zA-Z_:][a-zA-Z0-9_:]* .+|([a-zA-Z_:][a-zA-Z0-9_:]*(?:\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)+\})?) (\S+))$`)

// sum adds a number up over all replicas.
func (w *world) sum(name string) float64 {
	w.t.Helper()
	var n float64
	for _, r := range w.replicas {
		n += w.metrics(r)[name]
	}
	return n
}

// sour gives a workspace a refresh token that Slack does not know, and lets it fall due. One rejection is behind it, so
// that the next is the last.
func (w *world) sour(db *storage.DB, team string) {
	w.t.Helper()
	unknown := "xoxe-1-" + strings.Repeat("sour", 30)
	w.private = append(w.private, unknown)
	w.change(db, team, func(c *connection.Connection) {
		now := time.Now()
		c.RefreshToken, c.RenewAt, c.Tries, c.Rejections, c.FailingSince = connection.Secret(unknown), now, 1, 1, now
		c.SetState(connection.Retrying, connection.ReasonRenewalFailing, now)
		c.Note(connection.Change{At: now, By: connection.Actor{Kind: connection.BySwitchboard}, What: connection.DidRenew,
			Outcome: connection.OutcomeFail, Reason: "invalid_refresh_token"})
	})
}

// A connection that only a person can mend: one is told, once, whatever the number of replicas and restarts.
func TestToldOnce(t *testing.T) {
	t.Parallel()
	keeping(t, func(t *testing.T, w *world) {
		dana, ivy := slacksim.AcmeAdmin, slacksim.BirchAdmin
		dm := w.slack.DM(dana)
		w.start(2, nil)
		b := w.browser()
		b.install(dana)
		w.browser().install(ivy)
		w.settle()
		db := w.store()
		acme, birch := w.connections()[0], w.connections()[1]
		w.sour(db, slacksim.Acme)
		w.wait("the message", func() bool { return len(w.fromApp(dm, dana)) == 2 })
		told := w.fromApp(dm, dana)[1]
		link := linkIn(told.Text)
		if missing := inOrder(told.Text, "Switchboard needs reconnecting in Acme Corp. Its access couldn't be renewed.",
			"It still works until <!date^", "If nobody reconnects it, its commands and messages stop then.",
			"Reconnecting takes about a minute.", "<"+link+"|",
			"You're getting this because you installed the app."); missing != "" || !strings.HasSuffix(told.Text, ".") {
			t.Errorf("no %q in its place in %q", missing, told.Text)
		}
		if said := asRead(told); !strings.Contains(said, `"url":"`+link+`"`) || strings.Count(said, `"type":"button"`) != 1 {
			t.Errorf("its button: %s", said)
		}
		w.waitLine(acme.ID, "switchboard tell done "+dana)
		if n := w.logged("a connection needs a person"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		if n := w.sum(`switchboard_notices_total{result="told"}`); n != 1 {
			t.Errorf("counted %v times", n)
		}
		for _, r := range w.replicas {
			numbers := w.metrics(r)
			for state, want := range map[string]float64{"active": 1, "reconnect_required": 1, "retrying": 0, "removed": 0,
				"paused": 0} {
				if got, there := numbers[`switchboard_connections{state="`+state+`"}`]; !there || got != want {
					t.Errorf("connections %s: %v, want %v", state, got, want)
				}
			}
		}
		// It works on with what is left, and whoever asks learns until when.
		w.quick("status", slacksim.AcmeMember, "/connection status", "Needs reconnecting", "It works until <!date^")
		w.settle()

		// Somebody opens the link for another workspace: one that is connected, and one that is not.
		w.slack.AddWorkspace(slacksim.Workspace{ID: "T0CEDAR001", Name: "Cedar"})
		w.slack.AddUser(slacksim.User{ID: "U0CEDARKIM", TeamID: "T0CEDAR001", Name: "kim", Admin: true})
		for user, name := range map[string]string{ivy: "Birch & Co", "U0CEDARKIM": "Cedar"} {
			other := w.browser()
			other.accept = "application/json"
			a := other.get(other.consent(other.get(link).location, user, slacksim.Choice{}))
			if p := decodePage(t, a.body); a.status != http.StatusConflict || p.Reason != "wrong_workspace" ||
				p.Unchanged != "Acme Corp is as it was." ||
				p.Title != "You chose "+name+", this link is for Acme Corp" {
				t.Errorf("another workspace: %d %+v", a.status, p)
			}
		}
		rows := w.connections()
		if len(rows) != 2 || rows[0].State != "reconnect_required" || rows[0].Installs != 1 || rows[1].ID != birch.ID ||
			rows[1].State != "active" {
			t.Errorf("after another workspace: %+v", rows)
		}
		at, _ := w.slack.Installed(slacksim.Birch)
		if c, err := db.Get(context.Background(), birch.ID); err != nil || c.RefreshToken.Reveal() != at.RefreshToken {
			t.Errorf("the other workspace's tokens are not Slack's newest any more (%v)", err)
		}

		// Both replicas start anew. When the next workspace was told, the first has had its turn.
		w.settle()
		w.stop()
		w.start(2, nil)
		w.sour(db, slacksim.Birch)
		w.wait("the other message", func() bool { return len(w.fromApp(w.slack.DM(ivy), ivy)) == 2 })
		w.waitLine(birch.ID, "switchboard tell done "+ivy)
		if n := len(w.fromApp(dm, dana)); n != 2 {
			t.Errorf("%d messages after the restart, want the welcome and the one", n)
		}
		if n := w.sum(`switchboard_notices_total{result="told"}`); n != 1 {
			t.Errorf("after the restart counted %v times", n)
		}

		// Reconnected by the link: the message says so, and asks for nothing any more.
		if page := b.get(b.consent(b.get(link).location, dana, slacksim.Choice{})); !strings.Contains(page.body,
			"Reconnected: Switchboard works again in Acme Corp") {
			t.Errorf("reconnect: %d %s", page.status, page.body)
		}
		w.wait("the message to be resolved", func() bool {
			m := w.last(dm, dana)
			return m.TS == told.TS && strings.HasPrefix(m.Text,
				"Resolved: Switchboard works again in Acme Corp. Nothing to do.") && !strings.Contains(string(m.Blocks), `"button"`)
		})
		w.waitLine(acme.ID, "switchboard tell working "+dana)
		if n := len(w.fromApp(dm, dana)); n != 2 {
			t.Errorf("%d messages, want the welcome and the one", n)
		}
		if n := w.sum(`switchboard_notices_total{result="resolved"}`); n != 1 {
			t.Errorf("resolved %v times", n)
		}
		if got := w.connections()[0]; got.State != "active" || got.ID != acme.ID || got.Reason != "" {
			t.Errorf("row: %+v", got)
		}
		if n := w.logged("a connection needs a person"); n != 2 {
			t.Errorf("logged %d times for two workspaces", n)
		}
	})
}

// When the installer can't be written to, an admin is, and learns why.
func TestToldWhenTheInstallerIsAway(t *testing.T) {
	t.Parallel()
	const owner, ada = "U0ACMEOLGA", "U0ACMEADM2"
	leon := slacksim.AcmeMember
	for name, test := range map[string]struct {
		away func(w *world)
		to   string // "": there is nobody
	}{
		"left": {func(w *world) {
			w.slack.AddUser(slacksim.User{ID: leon, TeamID: slacksim.Acme, Name: "leon", Deleted: true})
		}, owner},
		"is a guest by now": {func(w *world) {
			w.slack.AddUser(slacksim.User{ID: leon, TeamID: slacksim.Acme, Name: "leon", Guest: true})
		}, owner},
		"can't be written to": {func(w *world) {
			w.slack.Inject(slacksim.Fault{Method: "chat.postMessage", Times: 1, Error: "user_disabled"})
		}, owner},
		"so can't the owner": {func(w *world) {
			w.slack.Inject(slacksim.Fault{Method: "chat.postMessage", Times: 2, Error: "user_disabled"})
		}, ada},
		"and nobody else can be": {func(w *world) {
			w.slack.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "user_disabled"})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // with each other
			w := newWorld(t, storageURL(t)).staffed()
			w.slack.AddUser(slacksim.User{ID: ada, TeamID: slacksim.Acme, Name: "ada", RealName: "Ada Admin", Admin: true})
			w.slack.AddUser(slacksim.User{ID: owner, TeamID: slacksim.Acme, Name: "olga", RealName: "Olga Owner", Owner: true})
			w.start(1, nil)
			w.browser().install(leon)
			w.settle()
			first := w.connections()[0]
			test.away(w)
			w.sour(w.store(), slacksim.Acme)
			if test.to == "" {
				w.waitLine(first.ID, "switchboard tell failed user_disabled")
				if n := w.sum(`switchboard_notices_total{result="unreachable"}`); n != 1 ||
					w.logged("nobody could be told in Slack") != 1 || w.logged("a connection needs a person") != 1 {
					t.Errorf("counted %v times", n)
				}
				return
			}
			w.waitLine(first.ID, "switchboard tell done "+test.to)
			for _, u := range w.slack.Directory.Users(slacksim.Acme) {
				got, want := len(w.fromApp(w.slack.DM(u.ID), u.ID)), 0
				if u.ID == leon {
					want++ // the welcome
				}
				if u.ID == test.to {
					want++
				}
				if got != want {
					t.Errorf("%s got %d messages, want %d", u.RealName, got, want)
				}
			}
			if m := w.last(w.slack.DM(test.to), test.to); !strings.Contains(strings.ToLower(m.Text),
				"the person who installed it") || !strings.Contains(m.Text, "you're an admin") {
				t.Errorf("it says %q", m.Text)
			}
		})
	}
}

// What Slack says of a removal, in every shape it can come in: the right end each time, and no secret left of what is
// gone.
func TestRemovalsEndRight(t *testing.T) {
	t.Parallel()
	type place struct{ team, person, bot string }
	gone := func(order slacksim.UninstallOrder) func(w *world, p place) {
		return func(w *world, p place) {
			if err := w.slack.Admins.Uninstall(context.Background(), p.team, order); err != nil {
				w.t.Fatal(err)
			}
			w.settle()
		}
	}
	tell := func(w *world, p place, at time.Time, inner map[string]any) {
		if _, err := w.slack.Sender.Emit(context.Background(),
			slacksim.Event{TeamID: p.team, Inner: inner, NoAuthorizations: true, Time: at}); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
	}
	revoked := func(tokens any) map[string]any { return map[string]any{"type": "tokens_revoked", "tokens": tokens} }
	lists := func(p place) map[string]any {
		return map[string]any{"bot": []string{p.bot}, "oauth": []string{p.person}}
	}
	uninstalled := map[string]any{"type": "app_uninstalled"}
	quietly := func(w *world, do func() error) { // Slack's own events are lost
		events := w.slack.App().Events
		w.slack.SetApp(func(a *slacksim.App) { a.Events = nil })
		err := do()
		w.slack.SetApp(func(a *slacksim.App) { a.Events = events })
		if err != nil {
			w.t.Fatal(err)
		}
	}
	raw := func(w *world, p place, format string, lie slacksim.Raw) int {
		lie.Body = fmt.Appendf(nil, format, w.slack.App().ID, p.team, "Ev"+p.team)
		return w.slack.Sender.Deliver(context.Background(), lie).Status
	}
	const removed, unusable, active = "removed app_uninstalled", "reconnect_required token_revoked", "active "
	everything := []string{"token", "refresh", "person"}

	tests := []struct {
		name      string
		longLived bool // the app has rotation off
		play      func(w *world, p place)
		state     string
		left      []string
	}{
		{"removed: tokens first", false, gone(slacksim.RevokedFirst), removed, nil},
		{"removed: app first", false, gone(slacksim.UninstalledFirst), removed, nil},
		{"removed: the app's word alone", false, gone(slacksim.OnlyUninstalled), removed, nil},
		{"removed: the tokens' word alone", false, gone(slacksim.OnlyRevoked), unusable, nil},
		{"removed, long-lived", true, gone(slacksim.RevokedFirst), removed, nil},
		{"removed, each word twice", false, func(w *world, p place) {
			w.slack.Sender.DeliverTwice(2)
			gone(slacksim.RevokedFirst)(w, p)
		}, removed, nil},
		{"removed, and said again later", false, func(w *world, p place) {
			gone(slacksim.UninstalledFirst)(w, p)
			w.slack.Admins.RepeatUninstallEvents(context.Background(), p.team, slacksim.RevokedFirst)
		}, removed, nil},
		{"removed, without the list of people", false, func(w *world, p place) {
			gone(slacksim.NoUninstallEvents)(w, p)
			tell(w, p, time.Now(), revoked(map[string]any{"bot": []string{p.bot}}))
			tell(w, p, time.Now(), uninstalled)
		}, removed, nil},
		{"removed, without the list of bots", false, func(w *world, p place) {
			gone(slacksim.NoUninstallEvents)(w, p)
			tell(w, p, time.Now(), revoked(map[string]any{"oauth": []string{p.person}}))
			tell(w, p, time.Now(), uninstalled)
		}, removed, nil},
		{"removed, without a time", false, func(w *world, p place) {
			gone(slacksim.NoUninstallEvents)(w, p)
			raw(w, p, `{"type":"event_callback","api_app_id":%q,"team_id":%q,"event_id":%q,"event":{"type":"app_uninstalled"}}`,
				slacksim.Raw{})
		}, removed, nil},
		{"the bot's access alone", true, func(w *world, p place) {
			in, _ := w.slack.Installed(p.team)
			resp, err := http.PostForm(w.slack.URL()+"/api/auth.revoke", url.Values{"token": {in.BotToken}})
			if err != nil {
				w.t.Fatal(err)
			}
			_ = resp.Body.Close()
			w.settle()
		}, unusable, []string{"person"}},
		{"a person's access alone", false, func(w *world, p place) {
			if err := w.slack.Admins.RevokeUser(context.Background(), p.person); err != nil {
				w.t.Fatal(err)
			}
			w.settle()
		}, active, []string{"token", "refresh"}},
		{"a person's access, without the list of bots", false, func(w *world, p place) {
			quietly(w, func() error { return w.slack.Admins.RevokeUser(context.Background(), p.person) })
			for range 2 {
				tell(w, p, time.Now(), revoked(map[string]any{"oauth": []string{p.person, "U0NOBODY01"}}))
			}
		}, active, []string{"token", "refresh"}},
		{"back before the words came", false, func(w *world, p place) {
			gone(slacksim.NoUninstallEvents)(w, p)
			w.browser().installWith(p.person, forPeople)
			for _, inner := range []map[string]any{uninstalled, revoked(lists(p)), uninstalled} {
				tell(w, p, time.Now().Add(-time.Hour), inner)
			}
		}, active, everything},
		{"back, and the words have the time of now", false, func(w *world, p place) {
			gone(slacksim.RevokedFirst)(w, p)
			w.waitRow("the removal", func(r record) bool { return r.TeamID == p.team && r.State == "removed" })
			w.browser().installWith(p.person, forPeople)
			for _, inner := range []map[string]any{revoked(lists(p)), uninstalled} {
				tell(w, p, time.Now(), inner)
			}
		}, active, everything},
		{"words that are not so", false, func(w *world, p place) {
			tell(w, p, time.Now(), revoked(lists(p)))
			tell(w, p, time.Now(), uninstalled)
		}, active, everything},
		{"empty lists, no lists, odd lists", false, func(w *world, p place) {
			for _, tokens := range []any{map[string]any{"bot": []string{}, "oauth": []string{}}, map[string]any{}, nil,
				[]string{}, map[string]any{"bot": p.bot}, map[string]any{"oauth": []any{nil, 7}}} {
				tell(w, p, time.Now(), revoked(tokens))
			}
		}, active, everything},
		{"somebody who is not Slack", false, func(w *world, p place) {
			gone(slacksim.NoUninstallEvents)(w, p) // it is true, and still not theirs to say
			const said = `{"type":"event_callback","api_app_id":%q,"team_id":%q,"event_id":%q,"event":{"type":"app_uninstalled"}}`
			for _, lie := range []slacksim.Raw{{BadSignature: true}, {Unsigned: true}, {Skew: -6 * time.Minute}} {
				if status := raw(w, p, said, lie); status != http.StatusUnauthorized {
					w.t.Errorf("a lie was answered with %d", status)
				}
			}
		}, active, everything},
		{"another app's", false, func(w *world, p place) {
			gone(slacksim.NoUninstallEvents)(w, p)
			raw(w, p,
				`{"type":"event_callback","was":%q,"api_app_id":"A0OTHER001","team_id":%q,"event_id":%q,"event":{"type":"app_uninstalled"}}`, slacksim.Raw{})
		}, active, everything},
	}
	keeping(t, func(t *testing.T, w *world) {
		w.startFor()
		for i, test := range tests {
			p := place{team: fmt.Sprintf("T0CASE%04d", i), person: fmt.Sprintf("U0CASE%04d", i)}
			w.slack.AddWorkspace(slacksim.Workspace{ID: p.team, Name: fmt.Sprintf("Case %02d", i)})
			w.slack.AddUser(slacksim.User{ID: p.person, TeamID: p.team, Name: "case" + strconv.Itoa(i), Admin: true})
			w.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = !test.longLived })
			w.browser().installWith(p.person, forPeople)
			in, _ := w.slack.Installed(p.team)
			p.bot = in.BotUserID
			w.settle()
			test.play(w, p)
			if test.state != active { // what comes later may heal it
				w.waitRow(test.name, func(r record) bool { return r.TeamID == p.team && r.State+" "+r.Reason == test.state })
			}
		}
		w.settle()
		w.stop() // what was accepted is worked off
		rows := w.connections()
		for i, test := range tests {
			team := fmt.Sprintf("T0CASE%04d", i)
			at := slices.IndexFunc(rows, func(r record) bool { return r.TeamID == team })
			if got := rows[at].State + " " + rows[at].Reason; got != test.state {
				t.Errorf("%s: %q, want %q: %q", test.name, got, test.state, briefs(w.lines(team)))
			}
			if left := w.secretsOf(team); !slices.Equal(left, test.left) {
				t.Errorf("%s: the database holds %q, want %q", test.name, left, test.left)
			}
		}
		if got := w.journaled(); len(got) != 0 {
			t.Errorf("journal: %q", got)
		}
	})
}

// moved checks that all connections rotate now, that each was exchanged once, and that people noticed nothing.
func (w *world) moved() {
	w.t.Helper()
	for _, r := range w.connections() {
		if r.State != "active" || r.ExpiresAt == nil || r.RenewAt == nil {
			w.t.Errorf("not moved: %+v", r)
		}
		if got := briefs(w.lines(r.ID, "--limit", "1")); got[0] != "switchboard exchange done" {
			w.t.Errorf("history of %s: %q", r.TeamID, got)
		}
	}
	exchanged := map[string]int{}
	for _, c := range w.slack.Calls("oauth.v2.exchange") {
		if c.Error != "token_rotation_not_enabled" {
			exchanged[c.Arg("token")]++
		}
	}
	for token, n := range exchanged {
		if n != 1 {
			w.t.Errorf("a token of %d characters was exchanged %d times", len(token), n)
		}
	}
	if len(exchanged) != 2 || w.called("auth.revoke") != 0 {
		w.t.Errorf("%d tokens exchanged, %d revoked", len(exchanged), w.called("auth.revoke"))
	}
	w.answers("after the move")
}

// answers checks that both workspaces are served, in a command and by a live answer.
func (w *world) answers(when string) {
	w.t.Helper()
	for user, channel := range map[string]string{slacksim.AcmeAdmin: slacksim.AcmeGeneral,
		slacksim.BirchAdmin: slacksim.BirchGeneral} {
		if reply := w.type_(user, channel, "/connection status"); !strings.Contains(reply.Text, "Working") {
			w.t.Errorf("%s: %q", when, reply.Text)
		}
		w.wait("the live status "+when, func() bool {
			return strings.Contains(string(w.last(channel, user).Blocks), "Checked with Slack just now")
		})
	}
	w.settle()
}

// longLived installs both workspaces while the app has rotation off.
func (w *world) longLived() {
	w.t.Helper()
	w.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = false })
	for _, user := range []string{slacksim.AcmeAdmin, slacksim.BirchAdmin} {
		w.browser().install(user)
	}
	w.settle()
	for _, r := range w.connections() {
		if r.ExpiresAt != nil || r.RenewAt != nil {
			w.t.Fatalf("not long-lived: %+v", r)
		}
	}
}

func TestMoveToRotationByCommand(t *testing.T) {
	t.Parallel()
	keeping(t, func(t *testing.T, w *world) {
		w.startFor()
		w.longLived()
		db := w.store()
		before, err := db.Lookup(context.Background(), w.key(slacksim.Acme))
		if err != nil {
			t.Fatal(err)
		}

		// Slack has it off: said, and every token stays as it is.
		out, errs, code := w.command("connections", "exchange", "--all")
		if code != 1 || !strings.Contains(out, "Moved 0 connection(s).") || !strings.Contains(errs, "2 connection(s) were "+
			"not moved") {
			t.Errorf("with rotation off: exit %d %s%s", code, out, errs)
		}
		for _, team := range []string{"Acme Corp", "Birch & Co"} {
			if !strings.Contains(errs, team+": not moved; its token keeps working as it is: token_rotation_not_enabled") {
				t.Errorf("nothing of %s in %s", team, errs)
			}
		}
		after, err := db.Lookup(context.Background(), w.key(slacksim.Acme))
		if err != nil || after.Token != before.Token || after.RefreshToken != "" || !after.ExpiresAt.IsZero() ||
			after.State != connection.Active {
			t.Errorf("with rotation off: %v %+v", err, after)
		}
		w.answers("with rotation off")

		w.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = true })
		out, errs, code = w.command("connections", "exchange", slacksim.Acme)
		if code != 0 || !strings.Contains(out, "Acme Corp: moved to rotation.") ||
			!strings.Contains(out, "Moved 1 connection(s).") || errs != "" {
			t.Errorf("one: exit %d %s%s", code, out, errs)
		}
		out, errs, code = w.command("connections", "exchange", "--all")
		if code != 0 || !strings.Contains(out, "Birch & Co: moved to rotation.") || strings.Contains(out, "Acme") ||
			errs != "" {
			t.Errorf("the rest: exit %d %s%s", code, out, errs)
		}
		w.moved()
		calls := len(w.slack.Calls())
		for name, says := range map[string]string{"--all": "Moved 0 connection(s).",
			slacksim.Acme: "Acme Corp: nothing to move: its token already rotates."} {
			if out, errs, code := w.command("connections", "exchange", name); code != 0 || !strings.Contains(out, says) ||
				strings.Contains(out, "moved to") || len(w.slack.Calls()) != calls {
				t.Errorf("%s again: exit %d %s%s", name, code, out, errs)
			}
		}

		// The first renewal ends the old token at Slack; nobody uses it any more.
		w.change(db, slacksim.Acme, func(c *connection.Connection) { c.RenewAt = time.Now() })
		w.waitLine(w.connections()[0].ID, "switchboard renew done")
		w.answers("after the first renewal")

		for _, args := range [][]string{{}, {"--all", slacksim.Acme}} {
			if _, errs, code := w.command(append([]string{"connections", "exchange"}, args...)...); code != 2 ||
				!strings.Contains(errs, "name one connection, or give --all") {
				t.Errorf("%q: exit %d %s", args, code, errs)
			}
		}
		if _, errs, code := w.command("connections", "exchange", "T0NOBODY01"); code != 1 ||
			!strings.Contains(errs, "no connection") {
			t.Errorf("nobody's: exit %d %s", code, errs)
		}
	})
}

// Ctrl-C while Slack is being asked: the token it hands out is kept all the same.
func TestMoveToRotationIsStopped(t *testing.T) {
	t.Parallel()
	keeping(t, func(t *testing.T, w *world) {
		w.startFor()
		w.longLived()
		w.stop() // so that nobody else brings it home
		w.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = true })
		w.slack.Inject(slacksim.Fault{Method: "oauth.v2.exchange", Times: 1, Delay: 500 * time.Millisecond})
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		type ended struct {
			errs string
			code int
		}
		done := make(chan ended, 1)
		go func() {
			var out, errs bytes.Buffer
			code := exitCode(&errs, run(ctx, []string{"connections", "exchange", "--all"}, w.settings(nil), &out, &errs))
			_, _ = w.Write(append(out.Bytes(), errs.Bytes()...))
			done <- ended{errs.String(), code}
		}()
		w.wait("Slack to be asked", func() bool { return w.called("oauth.v2.exchange") == 1 })
		stop()
		if got := <-done; got.code != 1 || !strings.Contains(got.errs, "stopped while Acme Corp was being moved; what "+
			"Slack answers is kept.") {
			t.Errorf("exit %d %s", got.code, got.errs)
		}
		if out, errs, code := w.command("connections", "exchange", "--all"); code != 0 ||
			!strings.Contains(out, "Birch & Co: moved to rotation.") || !strings.Contains(out, "Moved 1 connection(s).") {
			t.Errorf("to go on: exit %d %s%s", code, out, errs)
		}
		w.startFor()
		w.moved()
		if got := w.journaled(); len(got) != 0 {
			t.Errorf("journal: %q", got)
		}
	})
}

func TestMoveToRotationWhileServing(t *testing.T) {
	t.Parallel()
	keeping(t, func(t *testing.T, w *world) {
		w.startFor()
		w.longLived()
		w.stop()
		w.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = true })
		w.start(2, map[string]string{"MOVE_TO_ROTATION": "true"})
		w.waitRow("Acme to move", func(r record) bool { return r.TeamID == slacksim.Acme && r.ExpiresAt != nil })
		w.waitRow("Birch to move", func(r record) bool { return r.TeamID == slacksim.Birch && r.ExpiresAt != nil })
		w.moved()
		if n := w.sum(`switchboard_renewals_total{kind="move",result="ok"}`); n != 2 {
			t.Errorf("counted %v moves", n)
		}
	})
}

// withJournal opens the database beside the program, with these keys and a journal of this machine.
func (w *world) withJournal(keys, folder string) *storage.DB {
	w.t.Helper()
	was := w.keys
	w.keys = keys
	db := w.store()
	w.keys = was
	if err := db.UseJournal(folder); err != nil {
		w.t.Fatal(err)
	}
	return db
}

// keysCheck is `keys check --json` with these keys.
func (w *world) keysCheck(keys string) (report keyReport, stderr string, code int) {
	w.t.Helper()
	out, errs, code := w.with(map[string]string{"ENCRYPTION_KEYS": keys}, "keys", "check", "--json")
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		w.t.Fatalf("keys check: exit %d %v %s%s", code, err, out, errs)
	}
	return report, errs, code
}

// A new key is for everything that is sealed: connections, what people granted, and what waits in the journal.
func TestKeysOfJournalAndPeople(t *testing.T) {
	t.Parallel()
	keeping(t, func(t *testing.T, w *world) {
		leon := slacksim.AcmeMember
		w.startFor()
		w.browser().installWith(leon, forPeople)
		w.settle()
		w.stop()
		// The next pair of a connection, as a process leaves it that ended before it could store it.
		db := w.withJournal(w.keys, filepath.Join(w.dataDir, "journal"))
		c, err := db.Lookup(context.Background(), w.key(slacksim.Acme))
		if err != nil {
			t.Fatal(err)
		}
		pair := connection.Grant{TokenOwner: connection.TokenOwner{Key: c.Key},
			Origin: connection.Renewal{Spent: c.RefreshToken}, Token: "xoxe.xoxb-1-journaled", Refresh: "xoxe-1-journaled-too",
			Life: 12 * time.Hour, At: time.Now()}
		w.private = append(w.private, string(pair.Token), string(pair.Refresh))
		name, err := db.Journal(pair)
		if err != nil {
			t.Fatal(err)
		}

		old, added := w.keys, seal.NewKey()
		if report, errs, code := w.keysCheck(old); code != 0 || report.Rows != 1 || report.UserTokens != 1 ||
			report.Journal != 3 || len(report.Keys) != 1 || report.Keys[0].Rows != 5 || len(report.Unreadable) != 0 {
			t.Errorf("before: exit %d %+v %s", code, report, errs)
		}
		report, errs, code := w.keysCheck(added)
		// Beside the pair that waits the journal keeps what is stored.
		if want := []string{c.ID, c.ID + "/" + leon, name}; code != 1 || len(report.Unreadable) != 5 ||
			slices.ContainsFunc(want, func(name string) bool {
				return !slices.Contains(report.Unreadable, name)
			}) || !strings.Contains(errs, "can't be read with these keys") {
			t.Errorf("the new key alone: exit %d %q, want %q; %s", code, report.Unreadable, want, errs)
		}
		alone := map[string]string{"ENCRYPTION_KEYS": added}
		if out, errs, code := w.with(alone, "serve"); code != 2 ||
			!strings.Contains(errs, "don't open what is stored") || !strings.Contains(errs, "keys rotate "+
			"--erase-unreadable") {
			t.Errorf("serve with the new key alone: exit %d %s%s", code, out, errs)
		}
		both := map[string]string{"ENCRYPTION_KEYS": added + "," + old}
		if out, errs, code := w.with(both, "keys", "rotate", "--json"); code != 0 ||
			!strings.Contains(out, `"resealed": 5`) || !strings.Contains(out, `"unreadable": 0`) {
			t.Errorf("rotate: exit %d %s%s", code, out, errs)
		}
		if out, errs, code := w.with(both, "keys", "rotate"); code != 0 || !strings.Contains(out, "Encrypted 0 row(s)") {
			t.Errorf("rotate again: exit %d %s%s", code, out, errs)
		}
		if report, errs, code := w.keysCheck(added); code != 0 || report.Keys[0].Rows != 5 {
			t.Errorf("after: exit %d %+v %s", code, report, errs)
		}
		// Nothing was lost on the way: the pair is stored by the next program, which has the new key alone.
		entries, err := w.withJournal(added, filepath.Join(w.dataDir, "journal")).Journaled()
		if err != nil || len(entries) != 1 || entries[0].Journaled != name || entries[0].Token != pair.Token ||
			entries[0].Refresh != pair.Refresh || entries[0].Spent() != pair.Spent() {
			t.Errorf("the entry: %v, %d of them", err, len(entries))
		}
		w.keys = added
		w.breaches = true // Slack does not know the pair that we made up
		w.startFor()
		until(t, "the journal to be empty", func() bool { return len(w.journaled()) == 0 })
		w.stop()
		db = w.store()
		if c, err := db.Lookup(context.Background(), c.Key); err != nil || c.RefreshToken != pair.Refresh {
			t.Errorf("the pair from the journal is not in the database (%v)", err)
		}
		if u, err := db.GetUser(context.Background(), connection.TokenOwner{Key: c.Key, UserID: leon}); err != nil ||
			u.Token == "" {
			t.Errorf("the person's token: %v", err)
		}
	})
}

// An entry that no key opens is nobody's to throw away but the operator's.
func TestJournalOfAnUnknownKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).staffed().start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	lost := seal.NewKey()
	name, err := w.withJournal(lost, filepath.Join(w.dataDir, "journal")).
		Journal(connection.Grant{TokenOwner: connection.TokenOwner{Key: w.key("T0NOBODY01")},
			Origin: connection.Renewal{Spent: "xoxe-1-spent-before"}, Token: "xoxe.xoxb-1-nobody", Refresh: "xoxe-1-nobody-too",
			At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	number := func() float64 { return w.sum("switchboard_journal_entries") }
	until(t, "the entry to be counted", func() bool { return number() == 1 })
	w.quick("while it lies there", slacksim.AcmeAdmin, "/connection status", "Working")
	w.settle()
	w.stop()
	w.start(1, nil)
	until(t, "the entry to be counted again", func() bool { return number() == 1 })
	if got := w.journaled(); !slices.Equal(got, []string{name}) {
		t.Fatalf("journal: %q", got)
	}
	if report, errs, code := w.keysCheck(w.keys); code != 1 || !slices.Equal(report.Unreadable, []string{name}) ||
		!strings.Contains(errs, "can't be read with these keys") || !slices.ContainsFunc(report.Keys, func(k keyLine) bool {
		return !k.Known && k.Rows == 1
	}) {
		t.Errorf("check: exit %d %+v %s", code, report, errs)
	}
	if out, errs, code := w.command("keys", "check"); code != 1 ||
		!strings.Contains(out, "missing from ENCRYPTION_KEYS") || !strings.Contains(out, "No key opens: "+name) {
		t.Errorf("check, in words: exit %d %s%s", code, out, errs)
	}
	if out, errs, code := w.command("keys", "rotate"); code != 1 || !slices.Equal(w.journaled(), []string{name}) {
		t.Errorf("rotate: exit %d %s%s", code, out, errs)
	}
	// It is not this command's, which did what it was asked.
	for _, args := range [][]string{{"disconnect", slacksim.Acme}, {"exchange", "--all"}} {
		if out, errs, code := w.command(append([]string{"connections"}, args...)...); code != 0 ||
			strings.Contains(errs, "could not be stored") {
			t.Errorf("%q: exit %d %s%s", args, code, out, errs)
		}
	}
	// With its key it is read, and is found to be nobody's.
	w.stop()
	w.start(1, map[string]string{"ENCRYPTION_KEYS": w.keys + "," + lost})
	until(t, "the journal to be empty", func() bool { return len(w.journaled()) == 0 })
	if _, errs, code := w.keysCheck(w.keys); code != 0 {
		t.Errorf("in the end: exit %d %s", code, errs)
	}
}

// The numbers that docs/running.md and alerts name are there, and no page of the admin address holds a secret or a
// workspace.
func TestMetrics(t *testing.T) {
	t.Parallel()
	keeping(t, func(t *testing.T, w *world) {
		w.startFor()
		b := w.browser()
		b.installWith(slacksim.AcmeAdmin, forPeople)
		w.browser().install(slacksim.BirchAdmin)
		w.settle()
		db := w.store()
		w.change(db, slacksim.Acme, func(c *connection.Connection) { c.RenewAt = time.Now() })
		w.waitLine(slacksim.Acme, "switchboard renew done")
		w.quick("status", slacksim.AcmeAdmin, "/connection status", "Working")
		w.wait("the live answer", func() bool {
			return strings.Contains(string(w.last(slacksim.AcmeGeneral, slacksim.AcmeAdmin).Blocks), "Checked with Slack just now")
		})
		w.sour(db, slacksim.Birch)
		w.waitLine(slacksim.Birch, "switchboard tell done "+slacksim.BirchAdmin)
		for name, want := range map[string]float64{
			`switchboard_renewals_total{kind="bot",result="ok"}`:                    1,
			`switchboard_renewals_total{kind="bot",result="invalid_refresh_token"}`: 1,
			`switchboard_notices_total{result="told"}`:                              1,
			`switchboard_renewal_seconds_count`:                                     2,
			`switchboard_journal_entries`:                                           0,
		} {
			if got := w.sum(name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if got := w.sum(`switchboard_checks_total{result="ok"}`); got < 1 {
			t.Errorf("%v checks", got)
		}
		for _, r := range w.replicas {
			page := b.get(r.admin.String() + "/metrics").body
			for _, want := range []string{"# TYPE switchboard_renewals_total counter",
				"# TYPE switchboard_renewal_seconds histogram", "# TYPE switchboard_journal_entries gauge",
				"# TYPE switchboard_connections gauge", "go_goroutines "} {
				if !strings.Contains(page, want) {
					t.Errorf("no %q", want)
				}
			}
			for _, private := range []string{slacksim.Acme, slacksim.Birch, slacksim.AcmeAdmin, "con_", "Acme Corp", "xox"} {
				if strings.Contains(page, private) {
					t.Errorf("%q is in the numbers", private)
				}
			}
			for _, path := range []string{"/metrics", "/livez", "/readyz"} {
				if a := b.get(r.public.String() + path); a.status != http.StatusNotFound {
					t.Errorf("%s is on the public address: %d", path, a.status)
				}
			}
		}
	})
}
