package cli

// Every way an install can go that a person can meet, as connections have them everywhere: what the page says, its
// status, its twin in JSON, what the operator finds in the log and in the records, and what is counted. What happens at
// Slack itself is read where the person reads it: before, on the landing page, or after, on the page of success.

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// meeting is one situation, and how a person gets into it.
type meeting struct {
	row     int // its number among the 35 that every installer meets sooner or later; 0: it comes of how ours works
	what    string
	status  int
	outcome string // as it is counted; "" for what is read on a page that is no ending
	reason  string
	says    []string // the title, then sentences, then what can be pressed
	record  bool     // the attempt is in the records
	visit   func(b *browser) answer
}

// atSlack plays consent with a choice by a person, from our start page.
func atSlack(userID string, choice slacksim.Choice) func(b *browser) answer {
	return func(b *browser) answer { return b.get(b.consent(b.begin("/slack/install"), userID, choice)) }
}

func landing(b *browser) answer { return b.get(b.w.proxy.URL + "/") }

// without runs a visit while a table is not there, as in a migration that went wrong, or a database put down to be read
// only.
func without(table string, visit func(b *browser) answer) func(b *browser) answer {
	return func(b *browser) answer {
		b.w.exec("ALTER TABLE " + table + " RENAME TO away")
		defer b.w.exec("ALTER TABLE away RENAME TO " + table)
		return visit(b)
	}
}

func (w *world) exec(statement string) {
	w.t.Helper()
	db := w.sql()
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		w.t.Fatal(err)
	}
}

// sealedByOthers leaves nothing that our keys open, in the journal neither: it keeps pairs.
func (w *world) sealedByOthers() {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dataDir, "journal", "journal.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("DELETE FROM entries"); err != nil {
		w.t.Fatal(err)
	}
	w.sealOne(seal.NewKey())
}

// afresh takes the app out of every workspace and forgets that it was there.
func (w *world) afresh() {
	w.t.Helper()
	for _, at := range []string{slacksim.Acme, slacksim.Birch, grid} {
		if _, there := w.slack.Installed(at); there {
			if err := w.slack.Admins.Uninstall(context.Background(), at, slacksim.NoUninstallEvents); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	w.exec("DELETE FROM connections")
	w.exec("DELETE FROM budgets WHERE name LIKE 'oauth.v2.access%'") // nobody installs as often as these tests do
}

// meetings are all situations but those that need another setting. Each begins with nobody connected.
func (w *world) meetings() []meeting {
	dana, leon, ivy := slacksim.AcmeAdmin, slacksim.AcmeMember, slacksim.BirchAdmin
	twice := func(first, then func(b *browser) answer) func(b *browser) answer {
		return func(b *browser) answer { first(b.w.browser()); return then(b) }
	}
	bound := func(wish links.GrantRequest) string {
		return w.link(connection.Connection{ID: w.connections()[0].ID}, wish)
	}
	undo := func(then func(b *browser, signed string) answer) func(b *browser) answer {
		return func(b *browser) answer {
			return then(b, signedUndo.FindStringSubmatch(b.as("text/html", atSlack(dana, slacksim.Choice{})).body)[1])
		}
	}
	nobody, refused, failed := "none", "refused", "failed"
	return []meeting{
		{1, "Cancel", 200, refused, "cancelled",
			[]string{"You pressed Cancel", "so nothing was allowed", "Nothing was changed.", "Try again",
				"Read what it asks for and why"}, true,
			atSlack(dana, slacksim.Choice{Deny: true})},
		{1, "Cancel on Slack's own pages, which know no state", 200, refused, "cancelled",
			[]string{"You pressed Cancel", "Nothing was changed."}, false,
			func(b *browser) answer {
				return b.get(w.proxy.URL + "/slack/oauth_redirect?error=access_denied&error_description=no")
			}},
		{2, "denied without a word", 403, refused, "access_denied",
			[]string{"Slack didn't allow it", "You may need an admin's approval", "Nothing was changed.", "Copy the message",
				"Try another workspace"}, true,
			atSlack(dana, slacksim.Choice{DenyWithoutDescription: true})},
		{3, "an admin has to approve; Slack never sends anybody back", 200, "", "",
			[]string{"Request to Install", "doesn't send you back here", "come back to this page", "A message for your admin"},
			false, landing},
		{4, "only owners may install; Slack says so", 200, "", "",
			[]string{"only owners may install", "send them the message above"}, false, landing},
		{5, "an expired state", 400, refused, "state_expired", []string{"This link has expired", "Links last 10 minutes to " +
			"keep your workspace safe", "Nothing was changed.", "Start again"}, true,
			func(b *browser) answer {
				return b.get(b.consent(b.begunBefore(11*time.Minute), dana, slacksim.Choice{}))
			}},
		{6, "an unknown state", 400, refused, "state_unknown",
			[]string{"We couldn't match this request", "couldn't match this to a request from this browser", "Start again here"},
			false,
			func(b *browser) answer {
				return b.get(w.proxy.URL + "/slack/oauth_redirect?code=1.2.3&state=" + strings.Repeat("A", 43))
			}},
		{6, "a state that never was one", 400, refused, "state_unknown", []string{"We couldn't match this request"}, false,
			func(b *browser) answer {
				return b.get(w.proxy.URL + "/slack/oauth_redirect?code=1.2.3&state=" +
					url.QueryEscape(`"><script>alert(1)</script>`))
			}},
		{7, "another browser", 400, refused, "other_browser",
			[]string{"You started in a different browser", "Finish there, or start again here.", "Start again"}, false,
			func(b *browser) answer {
				return w.stranger(b).get(b.consent(b.begin("/slack/install"), dana, slacksim.Choice{}))
			}},
		{8, "a reload of a page of success", 200, "reconnected", "already_finished",
			[]string{"Connected: Switchboard is in Acme Corp", "This install finished earlier.", "Open in Slack"}, false,
			func(b *browser) answer {
				back := b.consent(b.begin("/slack/install"), dana, slacksim.Choice{})
				b.get(back)
				return b.get(back)
			}},
		{8, "the address of somebody's success", 409, nobody, "state_used",
			[]string{"This link was already used", "Each link works once", "Start a new install"}, false,
			func(b *browser) answer {
				back := b.consent(b.begin("/slack/install"), dana, slacksim.Choice{})
				b.get(back)
				return w.stranger(b).get(back)
			}},
		{8, "a link that was used", 409, refused, "link_used", []string{"You're already connected", "Switchboard is " +
			"connected to the workspace that this link was for.", "or <code>/connection reconnect</code> for a new link",
			"Start a new install"}, false,
			func(b *browser) answer {
				atSlack(dana, slacksim.Choice{})(w.browser())
				link := bound(links.GrantRequest{})
				c := w.browser()
				c.get(c.consent(c.begin(link), dana, slacksim.Choice{}))
				return b.get(w.proxy.URL + link)
			}},
		{9, "a plain visit", 400, nobody, "nothing_here",
			[]string{"Nothing to do here", "start from the install page", "Go to the install page"}, false,
			func(b *browser) answer { return b.get(w.proxy.URL + "/slack/oauth_redirect") }},
		{10, "a code that Slack doesn't take", 400, refused, "code_spent",
			[]string{"Slack's permission ran out", "Start again"}, true,
			func(b *browser) answer {
				return b.get(strings.Replace(b.consent(b.begin("/slack/install"), dana, slacksim.Choice{}), "code=", "code=9", 1))
			}},
		{10, "a code that was used", 400, refused, "code_spent", []string{"Slack's permission ran out"}, true,
			b6("code_already_used")},
		{10, "a code that can't be one", 400, refused, "code_malformed",
			[]string{"This address is damaged", "so Slack wasn't asked", "Nothing was changed.", "Start again"}, false,
			func(b *browser) answer {
				return b.get(strings.Replace(b.consent(b.begin("/slack/install"), dana, slacksim.Choice{}), "code=", "code=%20", 1))
			}},
		{11, "the redirect address is not configured", 502, failed, "not_set_up",
			[]string{"This app isn't set up correctly yet", "Only the people who run it can fix that",
				"Contact the people who run it"}, true, b6("bad_redirect_uri")},
		{12, "a wrong client secret", 502, failed, "not_set_up",
			[]string{"This app isn't set up correctly yet", "Contact the people who run it"}, true, b6("bad_client_secret")},
		{13, "not distributed", 403, refused, "not_distributed",
			[]string{"Only its owner's workspace can add it", "Contact the people who run it", "Try another workspace"}, true,
			b6("invalid_team_for_non_distributed_app")},
		{14, "a permission isn't allowed; Slack's page says so", 200, "", "",
			[]string{"When Slack says that a permission isn't allowed", "An owner or admin can change it"}, false, landing},
		{14, "a permission isn't allowed; the exchange says so", 403, refused, "permission_not_allowed",
			[]string{"A permission isn't allowed", "Read what it asks for and why", "Copy the message"}, true,
			b6("unapproved_scope")},
		{15, "another workspace than the link's", 409, refused, "wrong_workspace",
			[]string{"You chose Birch & Co, this link is for Acme Corp", "Check the workspace in the top-right menu",
				"Acme Corp is as it was.", "What you allowed was given back.", "Choose Acme Corp", "Connect Birch & Co instead"},
			true,
			func(b *browser) answer {
				atSlack(dana, slacksim.Choice{})(w.browser())
				return b.get(b.consent(b.begin(bound(links.GrantRequest{})), ivy, slacksim.Choice{}))
			}},
		{15, "a wrong workspace without a link", 200, "connected", "connected",
			[]string{"Connected: Switchboard is in Birch & Co", "Not the right workspace?", "Undo this install"}, true,
			atSlack(ivy, slacksim.Choice{})},
		{16, "connected already", 200, "reconnected", "already_connected", []string{"Already connected: Switchboard is in " +
			"Acme Corp", "Nothing to do.", "Open in Slack"}, true,
			twice(atSlack(dana, slacksim.Choice{}), atSlack(dana, slacksim.Choice{}))},
		{17, "two people at once", 200, "reconnected", "connected_by_other",
			[]string{"Already connected: Switchboard is in Acme Corp", "Dana Reyes connected this workspace a moment ago. " +
				"There is one connection per workspace.", "Open in Slack"}, true,
			twice(atSlack(dana, slacksim.Choice{}), atSlack(leon, slacksim.Choice{}))},
		{19, "removed before, and back", 200, "connected", "connected_again",
			[]string{"Connected again: Switchboard is back in Acme Corp", "Welcome back. It's ready to use again.",
				"Open in Slack"}, true,
			twice(func(b *browser) answer {
				a := atSlack(dana, slacksim.Choice{})(b)
				b.w.removed(slacksim.Acme)
				return a
			}, atSlack(dana, slacksim.Choice{}))},
		{20, "an optional permission left out", 200, "connected", "connected_limited",
			[]string{"Connected, with some features unavailable: Switchboard is in Acme Corp",
				"It can't answer direct messages: it doesn't have permission to read direct messages to it.", "Allow the rest",
				"Continue in Slack"}, true,
			atSlack(dana, slacksim.Choice{Untick: []string{"im:history"}})},
		{21, "a permission left out that it can't do without", 403, refused, "permission_required",
			[]string{"Switchboard can't work without “Send messages”", "What you allowed was given back.", "Nothing was saved.",
				"Try again"}, true,
			atSlack(dana, slacksim.Choice{Untick: []string{"chat:write"}})},
		{22, "for a whole organisation", 200, "connected", "connected_org",
			[]string{"Installed for Grid Inc (organisation)", "Next: add it to workspaces.",
				"/manage/" + grid + "/integrations/profile/", "Add it to workspaces"}, true,
			atSlack(gridAdmin, slacksim.Choice{Org: true})},
		{23, "the organisation has it, the workspace doesn't", 200, "", "", []string{"If your organisation already " +
			"has it", "An organisation admin adds it to this workspace"}, false, landing},
		{23, "and the person tries all the same", 409, refused, "org_has_it",
			[]string{"Your organisation already has it", "An organisation admin can add it to this workspace",
				"Could you add it to our workspace, too?", "Copy the message"}, true, b6("cannot_install_an_org_installed_app")},
		// Slack's page lets no guest get further; what it answers to a code of somebody who may not is the nearest.
		{24, "an account that may not add apps", 403, refused, "not_allowed_to_install",
			[]string{"Your Slack account can't add apps here", "Ask a member who can, or an admin.", "Nothing was saved.",
				"Copy the message"}, true, b6("user_is_restricted")},
		{24, "an account that isn't ready", 403, refused, "account_not_ready",
			[]string{"Slack wants something from you first", "confirm your email address"}, true, b6("user_email_unverified")},
		{25, "Slack answers 500", 502, failed, "slack_down",
			[]string{"Slack had trouble", "Nothing was saved.", "Try again", "See whether Slack has trouble"}, true,
			faulty(slacksim.Fault{Method: "oauth.v2.access", Times: 1, Status: 500})},
		{25, "Slack answers nonsense", 502, failed, "slack_down", []string{"Slack had trouble"}, true,
			faulty(slacksim.Fault{Method: "oauth.v2.access", Times: 1, Body: "<html>"})},
		{25, "Slack cuts the line", 502, failed, "slack_down", []string{"Slack had trouble"}, true,
			faulty(slacksim.Fault{Method: "oauth.v2.access", Times: 1, DropAnswer: true})},
		{25, "Slack says that it has trouble", 502, failed, "slack_down", []string{"Slack had trouble"}, true,
			b6("internal_error")},
		{25, "Slack says that it was too slow", 504, failed, "slack_timeout",
			[]string{"Slack didn't answer in time", "Try again"}, true, b6("request_timeout")},
		{25, "Slack is moving the workspace", 503, failed, "workspace_moving", []string{"This workspace is being moved"},
			true, b6("org_login_required")},
		{26, "Slack asks to wait", 503, failed, "slack_rate_limited",
			[]string{"Slack asks us to wait", "in about 7 seconds", "Try again in 7 seconds"}, true,
			faulty(slacksim.Fault{Method: "oauth.v2.access", Times: 1, RetryAfter: 7})},
		{27, "Slack says right after that the app isn't active", 502, failed, "not_active",
			[]string{"Slack says the app isn't active", "Nothing was saved.", "Try again", "Copy the message"}, true,
			faulty(slacksim.Fault{Method: "auth.test", Times: 1, Error: "account_inactive"})},
		{29, "the records are away", 503, failed, "records_unavailable",
			[]string{"We can't reach our records", "in a few minutes", "Try again"}, false,
			without("connections", func(b *browser) answer { return b.get(w.proxy.URL + "/slack/install") })},
		{29, "they are being worked on", 503, nobody, "updating",
			[]string{"Switchboard isn't ready right now", "Come back in a few minutes.", "Try again"}, false,
			without("connections", landing)},
		{29, "and somebody comes back from Slack", 503, failed, "records_unavailable",
			[]string{"We can't reach our records", "Try again"}, false,
			func(b *browser) answer {
				back := b.consent(b.begin("/slack/install"), dana, slacksim.Choice{})
				return without("install_attempts", func(b *browser) answer { return b.get(back) })(b)
			}},
		{30, "other keys than those of the records: the landing page has no button", 503, failed, "not_ready",
			[]string{"Switchboard can't be installed right now", "Only the people who run it can fix that",
				"Contact the people who run it"}, false,
			func(b *browser) answer { w.sealedByOthers(); return landing(b) }},
		{30, "and the start is refused", 503, failed, "not_ready", []string{"Switchboard can't be installed right now"},
			false, func(b *browser) answer { w.sealedByOthers(); return b.get(w.proxy.URL + "/slack/install") }},
		{32, "the welcome message could not be sent", 200, "connected", "connected",
			[]string{"Connected: Switchboard is in Acme Corp", "We couldn't send you a message in Slack. You'll find " +
				"Switchboard there under Apps.", "Open in Slack"}, true,
			func(b *browser) answer {
				defer w.slack.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "restricted_action"})()
				return atSlack(dana, slacksim.Choice{})(b)
			}},
		{33, "no app of Slack's on this machine: the other way is visible", 200, "connected", "connected",
			[]string{"/app_redirect?app=A0SWITCHBD&team=" + slacksim.Acme, "/client/" + slacksim.Acme, "Open in Slack",
				"Open Slack in the browser"}, true, atSlack(dana, slacksim.Choice{})},
		{34, "an error that nobody knows", 500, failed, "unexpected",
			[]string{"Something went wrong", "Nothing was saved.", "Try again", "Contact the people who run it",
				"mailto:it@example.com?subject=Switchboard%20for%20Slack%2C%20reference%20"}, true, b6("zombie_apocalypse")},
		{35, "begun at another address than PUBLIC_URL", 421, failed, "other_address",
			[]string{"This install began at another address", "only the people who run Switchboard can fix that",
				"Start at the right address"}, false,
			func(b *browser) answer {
				start := w.stranger(b).get(w.replicas[0].public.String() + "/slack/install")
				return b.get(b.consent(start.location, dana, slacksim.Choice{}))
			}},
		{0, "a link that was changed", 400, refused, "link_broken",
			[]string{"This link is damaged", "type <code>/connection reconnect</code>", "Start a new install"}, false,
			func(b *browser) answer { return b.get(w.proxy.URL + "/slack/install?link=abcdef") }},
		{0, "a link of nobody", 404, refused, "link_unknown", []string{"This link no longer works", "Start a new install"},
			false,
			func(b *browser) answer {
				return b.get(w.proxy.URL + w.link(connection.Connection{ID: "con_aaaaaaaaaaaaaaaa"}, links.GrantRequest{}))
			}},
		{0, "a page that isn't there", 404, nobody, "no_such_page", []string{"Page not found", "Go to the install page"},
			false, func(b *browser) answer { return b.get(w.proxy.URL + "/wp-login.php") }},
		{0, "taken back", 200, "undone", "undone",
			[]string{"Undone: Switchboard is no longer in Acme Corp", "Slack removed Switchboard from Acme Corp. Its access " +
				"and its messages are erased.", "No other workspace was touched.", "Install to another workspace"}, false,
			undo(func(b *browser, signed string) answer { return b.undo(signed) })},
		{0, "taken back twice", 409, refused, "undo_used",
			[]string{"Nothing to undo: Switchboard is no longer in Acme Corp", "undone or removed before", "Install again"},
			false, undo(func(b *browser, signed string) answer { b.undo(signed); return b.undo(signed) })},
		{0, "taken back in another browser", 403, refused, "undo_other_browser",
			[]string{"Not undone: this is a different browser", "type <code>/connection disconnect</code> in Slack"}, false,
			undo(func(b *browser, signed string) answer { return w.stranger(b).undo(signed) })},
		{0, "taken back after somebody connected it again", 409, refused, "undo_reinstalled",
			[]string{"Not undone: it was connected again since", "may rely on it",
				"type <code>/connection disconnect</code>"}, false,
			undo(func(b *browser, signed string) answer {
				atSlack(leon, slacksim.Choice{})(w.browser())
				return b.undo(signed)
			})},
		{0, "taken back with something made up", 400, refused, "undo_broken",
			[]string{"Not undone: we couldn't match this request"}, false,
			undo(func(b *browser, signed string) answer { return b.undo(signed + "A") })},
		{0, "taken back, and Slack refuses", 502, failed, "undo_refused",
			[]string{"Not undone: Slack didn't remove it", "Nothing was erased.", "Try to undo again",
				"See whether Slack has trouble"}, false,
			undo(func(b *browser, signed string) answer {
				defer w.slack.Inject(slacksim.Fault{Method: "apps.uninstall", Error: "must_revoke_access"})()
				return b.undo(signed)
			})},
		{0, "taken back, and the records are away", 503, failed, "undo_records",
			[]string{"Not undone: we can't reach our records", "Try to undo again"}, false,
			undo(func(b *browser, signed string) answer {
				return without("connections", func(b *browser) answer { return b.undo(signed) })(b)
			})},
		// Last: what Slack handed out waits in the journal, and is tried again later.
		{28, "the records fail after Slack's answer", 503, failed, "not_stored",
			[]string{"Almost connected: we couldn't finish", "Slack shows the app as added", "We keep trying",
				"Finish connecting"}, true,
			without("connection_history", atSlack(dana, slacksim.Choice{}))},
	}
}

var signedUndo = regexp.MustCompile(`name="undo" value="([A-Za-z0-9_-]+)"`)

// undo presses the button on the page of success.
func (b *browser) undo(signed string) answer {
	b.w.t.Helper()
	return b.post(b.w.proxy.URL+"/slack/undo", url.Values{"undo": {signed}})
}

// as makes a visit with another taste.
func (b *browser) as(accept string, visit func(b *browser) answer) answer {
	was := b.accept
	defer func() { b.accept = was }()
	b.accept = accept
	return visit(b)
}

// removed has Slack take the app out and waits until we know.
func (w *world) removed(team string) {
	w.t.Helper()
	if err := w.slack.Admins.Uninstall(context.Background(), team, slacksim.RevokedFirst); err != nil {
		w.t.Fatal(err)
	}
	w.waitRow("the removal", func(r record) bool { return r.TeamID == team && r.State == "removed" })
}

// inLog returns the lines that tell of an ending, by reference.
func (w *world) inLog(ref string) (reasons []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.seen.String()) {
		var l struct{ Msg, Ref, Reason, Outcome string }
		if strings.HasPrefix(line, `{"time"`) && json.Unmarshal([]byte(line), &l) == nil && l.Msg == "install page" &&
			l.Ref == ref {
			reasons = append(reasons, l.Reason)
		}
	}
	return reasons
}

// meet goes into a situation twice, as a person and as a tool, and reads everything.
func (w *world) meet(db *storage.DB, m meeting) {
	t := w.t
	t.Helper()
	name := fmt.Sprintf("row %d, %s", m.row, m.what)
	metric := fmt.Sprintf(`switchboard_install_attempts_total{outcome=%q,reason=%q}`, m.outcome, m.reason)
	counted := w.sum(metric)

	w.afresh()
	a := m.visit(w.browser())
	body := html.UnescapeString(a.body)
	if a.status != m.status {
		t.Errorf("%s: %d, want %d", name, a.status, m.status)
	}
	if m.outcome != "" && !strings.Contains(body, "<title>"+m.says[0]) && m.row != 33 {
		t.Errorf("%s: no title %q", name, m.says[0])
	}
	for _, s := range m.says {
		if !strings.Contains(body, s) {
			_, text, _ := strings.Cut(body, "</style>")
			t.Errorf("%s: no %q in%s", name, s, text)
		}
	}
	if wait := a.header.Get("Retry-After"); (m.status == http.StatusServiceUnavailable) != (wait != "") {
		t.Errorf("%s: Retry-After %q", name, wait)
	}
	guarded(t, name, a)
	if m.outcome == "" {
		return
	}

	w.afresh()
	b := w.browser()
	b.accept = "application/json"
	a = m.visit(b)
	p := decodePage(t, a.body)
	if a.status != m.status || p.Reason != m.reason || p.Title != m.says[0] && m.row != 33 || p.Message == "" ||
		p.Next.URL == "" {
		t.Errorf("%s: as JSON: %d %+v", name, a.status, p)
	}
	if quiet := m.reason == "nothing_here" || m.reason == "no_such_page"; quiet == (p.Ref != "") {
		t.Errorf("%s: reference %q", name, p.Ref)
	}
	if got := w.inLog(p.Ref); len(got) == 0 || !slices.Contains(got, m.reason) {
		t.Errorf("%s: the log says %q", name, got)
	}
	if n := w.sum(metric) - counted; n != 2 && !(n > 2 && m.reason == "connected") {
		t.Errorf("%s: counted %v times as %s", name, n, metric)
	}
	want := m.reason
	if !m.record {
		want = ""
	}
	if p.Ref != "" && m.row != 8 {
		if got := w.attempt(db, p.Ref); got.Reason != want || m.record &&
			(string(got.Outcome) != m.outcome || got.EndedAt.IsZero()) {
			t.Errorf("%s: the record says %q %q", name, got.Outcome, got.Reason)
		}
	}
	ended := m.record && (m.outcome == "refused" || m.outcome == "failed")
	if ended && m.reason != "wrong_workspace" && m.reason != "not_stored" {
		if rows := w.connections(); len(rows) > 0 {
			t.Errorf("%s: something is stored: %+v", name, rows)
		}
	}
}

func TestEveryMeeting(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.addGrid()
		w.startFor()
		db := w.store()
		met := map[int]bool{18: true, 31: true} // in the tests below, with other settings
		for i, m := range w.meetings() {
			if i%2 == 1 { // a process posts a few messages to one person at once, and then one a second
				w.afresh()
				w.settle()
				w.stop()
				w.startOne(nil)
			}
			w.meet(db, m)
			met[m.row] = true
		}
		for row := 1; row <= 35; row++ {
			if !met[row] {
				t.Errorf("row %d is nowhere", row)
			}
		}
	})
}

// noLinksInLogs looks for what opens a way in. A page holds links; a log holds none.
func (w *world) noLinksInLogs() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.seen.String()) {
		if strings.HasPrefix(line, `{"time"`) && strings.Contains(line, "link=") {
			w.t.Errorf("a link is in the log: %s", line)
		}
	}
}

// A workspace that another copy of the app has: with one database and one row for each app and workspace that can't be
// met. The nearest is an answer of Slack's for another app than the one this copy is set up for.
func TestMeetingAnotherCopy(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.start(1, map[string]string{"SLACK_APP_ID": "A0ANOTHER1"})
		w.meet(w.store(), meeting{18, "another app", 502, "failed", "not_set_up",
			[]string{"This app isn't set up correctly yet", "Contact the people who run it"}, true,
			atSlack(slacksim.AcmeAdmin, slacksim.Choice{})})
		if rows := w.connections(); len(rows) != 0 {
			t.Errorf("stored: %+v", rows)
		}
	})
}

// Closed to new workspaces: said before on the landing page, and after consent, which Slack lets nobody forbid.
func TestMeetingClosedInstalls(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.start(1, map[string]string{"INSTALLS": "closed"})
		db := w.store()
		w.meet(db, meeting{31, "closed", 403, "refused", "closed", []string{"Switchboard isn't open to new workspaces " +
			"right now", "What you allowed was given back.", "Nothing was saved.", "Ask for access"}, true,
			atSlack(slacksim.AcmeAdmin, slacksim.Choice{})})
		if _, there := w.slack.Installed(slacksim.Acme); there {
			t.Error("Slack still has the app")
		}
		w.meet(db, meeting{31, "closed, said before", 200, "", "",
			[]string{"isn't open to new workspaces right now", "can reconnect", "Ask for access"}, false, landing})
		if page := landing(w.browser()); strings.Contains(page.body, "Add to Slack</a>") {
			t.Error("there is a button that leads nowhere")
		}
		w.settle()
		w.stop()
		w.start(1, map[string]string{"INSTALLS": slacksim.Birch + ", E0OTHER001"})
		w.meet(db, meeting{31, "not named", 403, "refused", "closed", []string{"Switchboard isn't open to new workspaces " +
			"right now"}, true, atSlack(slacksim.AcmeAdmin, slacksim.Choice{})})
		w.meet(db, meeting{31, "named", 200, "connected", "connected", []string{"Connected: Switchboard is in Birch & Co"},
			true, atSlack(slacksim.BirchAdmin, slacksim.Choice{})})
		w.meet(db, meeting{31, "some are named, said before", 200, "", "", []string{"Only workspaces that the people who " +
			"run Switchboard have chosen can connect", "Add to Slack"}, false, landing})
	})
}

// What is wrong with addresses is said before anything starts, with the fix.
func TestMeetingWrongAddresses(t *testing.T) {
	for setting, value := range map[string]string{"PUBLIC_URL": "http://bot.example.com", "SLACK_URL": "http://slack.com",
		"INSTALLS": "T0123ABC,acme"} {
		settings := map[string]string{"SLACK_CLIENT_ID": "1.2", "SLACK_CLIENT_SECRET": "x", "SLACK_SIGNING_SECRET": "x",
			"PUBLIC_URL": "https://bot.example.com", "DATA_DIR": t.TempDir(), setting: value}
		if said := refused(t, settings, "serve"); !strings.Contains(said, setting+": ") {
			t.Errorf("%s=%s: %s", setting, value, said)
		}
	}
}
