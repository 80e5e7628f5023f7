package bot

// Whose connection a delivery is for: one row for each shape of payload that Slack's SDKs have a fixture or a rule for.
// The bodies are written afresh after those, with made-up ids. T1 (of E1, where there is one) is the workspace that
// installed the app, T2 (of E2) another company's.

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/slacksim"
)

// shape is a payload and whose it is.
type shape struct {
	name, source string
	kind         string
	body         string // an event, the payload of an interaction, or the form of a command
	key          string
	team         string // where it happened
	userTeam     string // of the person, as far as Slack said
	socket       func(*slacksim.App)
}

const (
	boltPy    = "bolt-py tests/slack_bolt/request/test_internals.py"
	boltPyOrg = "bolt-py tests/scenario_tests/test_events_org_apps.py"
	boltPyEnd = "bolt-py tests/scenario_tests/test_events_token_revocations.py"
	javaSeen  = "java-slack-sdk test_locally/app/EventInSharedChannelsTest.java"
	javaGone  = "java-slack-sdk test_locally/app/EventUninstallationTest.java"
	boltJS    = "bolt-js src/helpers.ts"
	javaNotes = "java-slack-sdk EventRequest.java"
	javaLogs  = "java-slack-sdk json-logs/samples/app-backend"
	connect   = "docs.slack.dev/apis/slack-connect"
	gridDocs  = "docs.slack.dev/enterprise/developing-for-enterprise-orgs"
)

func event(outer, inner string) string {
	return `{"token":"x","type":"event_callback","api_app_id":"A0PARROT01","event_id":"Ev1","event_time":1793611800,"event_context":"4-ctx",` + outer + `,"event":{` + inner + `}}`
}

func press(rest string) string {
	return `{"type":"block_actions","token":"x","api_app_id":"A0PARROT01","trigger_id":"1.2.3","actions":[{"type":"button","action_id":"go","block_id":"b","action_ts":"1.1"}],` + rest + `}`
}

func submit(rest, view string) string {
	return `{"type":"view_submission","token":"x","api_app_id":"A0PARROT01","trigger_id":"1.2.3",` + rest +
		`,"view":{"id":"V1","type":"modal","callback_id":"form",` + view + `}}`
}

const (
	mention   = `"type":"app_mention","user":"U1","text":"<@UBOT> hi","ts":"1.1","channel":"C1"`
	messageOf = `"type":"message","user":"U1","text":"hi","ts":"1.1","channel":"C1","channel_type":"channel"`
)

var shapes = []shape{
	// Rule 1: the first authorization decides.
	{name: "event, one workspace", source: boltPy, kind: transport.KindEvents, key: "-/T1", team: "T1", userTeam: "T1",
		body: event(
			`"team_id":"T1","enterprise_id":null,"authorizations":[{"enterprise_id":null,"team_id":"T1","user_id":"UBOT","is_bot":true,"is_enterprise_install":false}]`, mention+`,"team":"T1"`)},
	{name: "event, workspace in an organisation", source: boltPy, kind: transport.KindEvents, key: "E1/T1", team: "T1",
		body: event(
			`"team_id":"T1","enterprise_id":"E1","authorizations":[{"enterprise_id":"E1","team_id":"T1","user_id":"UBOT","is_bot":true,"is_enterprise_install":false}]`, mention)},
	{name: "event, organisation-wide: no team, the outer one is where", source: boltPyOrg, kind: transport.KindEvents,
		key: "E1/-", team: "T1",
		body: event(
			`"team_id":"T1","enterprise_id":"E1","authorizations":[{"enterprise_id":"E1","team_id":null,"user_id":"WBOT","is_bot":true,"is_enterprise_install":true}]`, mention)},
	{name: "event, organisation-wide that names a team all the same", source: "python-slack-sdk#1640",
		kind: transport.KindEvents, key: "E1/-", team: "T1",
		body: event(
			`"team_id":"T1","authorizations":[{"enterprise_id":"E1","team_id":"T1","is_bot":true,"is_enterprise_install":true}]`,
			mention)},
	{name: "event, organisation-wide that calls the organisation a team", source: "java-slack-sdk AuthTestResponse.java",
		kind: transport.KindEvents, key: "E1/-", team: "T1",
		body: event(
			`"team_id":"T1","authorizations":[{"enterprise_id":"E1","team_id":"E1","is_bot":true,"is_enterprise_install":true}]`,
			mention)},
	{name: "event, authorization without a team or a flag", source: boltPy, kind: transport.KindEvents, key: "E1/T1",
		team: "T1",
		body: event(
			`"team_id":"T1","enterprise_id":"E1","authorizations":[{"enterprise_id":"E1","team_id":null,"is_bot":true}]`,
			mention)},
	{name: "message in a shared channel: the outer ids are the author's", source: javaSeen, kind: transport.KindEvents,
		key: "-/T1", team: "T1", userTeam: "T2",
		body: event(
			`"team_id":"T2","enterprise_id":"E2","context_team_id":"T1","context_enterprise_id":null,`+
				`"is_ext_shared_channel":true,"authorizations":[{"enterprise_id":null,"team_id":"T1","is_bot":true,`+
				`"is_enterprise_install":false}]`, messageOf+`,"user_team":"T2","source_team":"T2"`)},
	{name: "message in a shared channel, author's organisation as their team", source: javaSeen,
		kind: transport.KindEvents, key: "E1/T1", team: "T1", userTeam: "E2",
		body: event(
			`"team_id":"T2","enterprise_id":"E2","context_team_id":"T1","context_enterprise_id":"E1",`+
				`"is_ext_shared_channel":true,"authorizations":[{"enterprise_id":"E1","team_id":"T1","is_bot":true,`+
				`"is_enterprise_install":false}]`, messageOf+`,"source_team":"E2"`)},
	{name: "message in a shared channel, organisation-wide: where is in the context", source: javaNotes,
		kind: transport.KindEvents, key: "E1/-", team: "T1",
		body: event(
			`"team_id":"T2","enterprise_id":"E2","context_team_id":"T1","context_enterprise_id":"E1",`+
				`"is_ext_shared_channel":true,"authorizations":[{"enterprise_id":"E1","team_id":null,"is_bot":true,`+
				`"is_enterprise_install":true}]`, messageOf)},
	{name: "message in a shared channel, organisation-wide without a context: not the author's", source: javaNotes,
		kind: transport.KindEvents, key: "E1/-", team: "",
		body: event(
			`"team_id":"T2","enterprise_id":"E2","is_ext_shared_channel":true,"authorizations":[{"enterprise_id":"E1",`+
				`"team_id":null,"is_bot":true,"is_enterprise_install":true}]`, messageOf)},
	{name: "mention in a shared channel: the outer ids are ours", source: javaSeen, kind: transport.KindEvents,
		key: "-/T1", team: "T1", userTeam: "T2",
		body: event(
			`"team_id":"T1","context_team_id":"T1","is_ext_shared_channel":true,"authorizations":[{"enterprise_id":null,`+
				`"team_id":"T1","is_bot":true,"is_enterprise_install":false}]`, mention+`,"user_team":"T2","team":"T2"`)},
	{name: "reaction in a shared channel", source: javaSeen, kind: transport.KindEvents, key: "-/T1", team: "T1",
		body: event(
			`"team_id":"T1","context_team_id":"T1","is_ext_shared_channel":true,"authorizations":[{"team_id":"T1",`+
				`"is_bot":true}]`, `"type":"reaction_added","user":"U2","reaction":"eyes","item":{"type":"message",`+
				`"channel":"C1","ts":"1.1"}`)},
	// Without authorizations: the outer ids, at last the context's.
	{name: "no authorizations, in an organisation", source: boltPy, kind: transport.KindEvents, key: "E1/T1", team: "T1",
		body: event(`"team_id":"T1","enterprise_id":"E1"`, mention)},
	{name: "no authorizations, organisation-wide", source: boltPy, kind: transport.KindEvents, key: "E1/-", team: "T1",
		body: event(`"team_id":"T1","enterprise_id":"E1","is_enterprise_install":true`, mention)},
	{name: "empty authorizations", source: boltPy, kind: transport.KindEvents, key: "-/T1", team: "T1",
		body: event(`"team_id":"T1","authorizations":[]`, mention)},
	{name: "empty authorizations in a shared channel: the context is ours", source: javaNotes, kind: transport.KindEvents,
		key: "E1/T1", team: "T1",
		body: event(
			`"team_id":"T2","enterprise_id":"E2","context_team_id":"T1","context_enterprise_id":"E1",`+
				`"is_ext_shared_channel":true,"authorizations":[]`, messageOf)},
	{name: "the context alone", source: boltPy, kind: transport.KindEvents, key: "E1/T1", team: "T1",
		body: event(`"context_team_id":"T1","context_enterprise_id":"E1"`, mention)},
	{name: "the context's organisation is not put to another's workspace", source: javaNotes, kind: transport.KindEvents,
		key: "-/T2", team: "T2", body: event(`"team_id":"T2","context_team_id":"T1","context_enterprise_id":"E1"`, mention)},
	// The uninstall family.
	{name: "uninstalled", source: javaGone, kind: transport.KindEvents, key: "-/T1", team: "T1",
		body: event(`"team_id":"T1"`, `"type":"app_uninstalled"`)},
	{name: "uninstalled, in an organisation", source: javaGone, kind: transport.KindEvents, key: "E1/T1", team: "T1",
		body: event(`"team_id":"T1","enterprise_id":"E1"`, `"type":"app_uninstalled"`)},
	{name: "uninstalled, one workspace of an organisation-wide install", source: "lobu#1819", kind: transport.KindEvents,
		key: "E1/T1", team: "T1",
		body: event(`"team_id":"T1","enterprise_id":"E1","is_enterprise_install":true`, `"type":"app_uninstalled"`)},
	{name: "uninstalled, the organisation", source: boltPyEnd, kind: transport.KindEvents, key: "E1/-", team: "",
		body: event(`"enterprise_id":"E1"`, `"type":"app_uninstalled"`)},
	{name: "tokens revoked", source: boltPyEnd, kind: transport.KindEvents, key: "E1/T1", team: "T1",
		body: event(`"team_id":"T1","enterprise_id":"E1"`,
			`"type":"tokens_revoked","tokens":{"oauth":["U1"],"bot":["UBOT"]}`)},
	{name: "tokens revoked, with authorizations of the organisation", source: boltPyEnd, kind: transport.KindEvents,
		key: "E1/T1", team: "T1",
		body: event(
			`"team_id":"T1","enterprise_id":"E1","authorizations":[{"enterprise_id":"E1","team_id":null,"is_enterprise_install":true}]`, `"type":"tokens_revoked","tokens":{"bot":["UBOT"]}`)},
	// Organisations.
	{name: "workspaces added", source: boltPyOrg, kind: transport.KindEvents, key: "E1/-", team: "",
		body: event(
			`"enterprise_id":"E1","authorizations":[{"enterprise_id":"E1","team_id":null,"user_id":"WBOT","is_bot":true,"is_enterprise_install":true}]`, `"type":"team_access_granted","team_ids":["T1"],"event_ts":"1.1"`)},
	{name: "workspaces added, flagged wrongly", source: "docs.slack.dev/reference/events/team_access_granted",
		kind: transport.KindEvents, key: "E1/-", team: "T1",
		body: event(
			`"team_id":"T1","enterprise_id":"E1","authorizations":[{"enterprise_id":"E1","team_id":"T1","is_enterprise_install":false}]`, `"type":"team_access_granted","team_ids":["T1"]`)},
	{name: "a workspace joined an organisation", source: gridDocs, kind: transport.KindEvents, key: "-/T1", team: "T1",
		body: event(`"team_id":"T1"`, `"type":"grid_migration_finished","enterprise_id":"E1"`)},
	// Rule 2: commands.
	{name: "command", source: javaLogs, kind: transport.KindCommands, key: "-/T1", team: "T1", userTeam: "T1",
		body: "command=%2Fgo&team_id=T1&user_id=U1&is_enterprise_install=false"},
	{name: "command, the flag missing", source: "slack-go slash.go", kind: transport.KindCommands, key: "E1/T1",
		team: "T1", userTeam: "T1", body: "command=%2Fgo&team_id=T1&enterprise_id=E1&user_id=U1"},
	{name: "command, organisation-wide", source: boltPyOrg, kind: transport.KindCommands, key: "E1/-", team: "T1",
		userTeam: "T1", body: "command=%2Fgo&team_id=T1&enterprise_id=E1&user_id=U1&is_enterprise_install=true"},
	{name: "command, organisation-wide, JSON boolean", source: "slack-go slash.go", kind: transport.KindCommands,
		key: "E1/-", team: "T1", userTeam: "T1",
		body:   "command=%2Fgo&team_id=T1&enterprise_id=E1&user_id=U1&is_enterprise_install=true",
		socket: func(a *slacksim.App) { a.SocketBooleans = true }},
	{name: "command, JSON boolean false", source: "slack-go slash.go", kind: transport.KindCommands, key: "E1/T1",
		team: "T1", userTeam: "T1", body: "command=%2Fgo&team_id=T1&enterprise_id=E1&user_id=U1&is_enterprise_install=false",
		socket: func(a *slacksim.App) { a.SocketBooleans = true }},
	{name: "command flagged for an organisation that is not named", source: boltJS, kind: transport.KindCommands,
		key: "-/T1", team: "T1", userTeam: "T1", body: "command=%2Fgo&team_id=T1&user_id=U1&is_enterprise_install=true"},
	// Rule 3: interactions.
	{name: "press", source: javaLogs, kind: transport.KindInteractive, key: "-/T1", team: "T1", userTeam: "T1",
		body: press(
			`"team":{"id":"T1","domain":"one"},"enterprise":null,"is_enterprise_install":false,"user":{"id":"U1","team_id":"T1"}`)},
	{name: "press, in an organisation", source: boltPy, kind: transport.KindInteractive, key: "E1/T1", team: "T1",
		userTeam: "T1",
		body: press(
			`"team":{"id":"T1","enterprise_id":"E1"},"enterprise":{"id":"E1"},"user":{"id":"U1","team_id":"T1"}`)},
	{name: "press, the organisation named by the team alone", source: boltJS, kind: transport.KindInteractive,
		key: "E1/T1", team: "T1", userTeam: "T1",
		body: press(`"team":{"id":"T1","enterprise_id":"E1"},"user":{"id":"U1","team_id":"T1"}`)},
	{name: "press, organisation-wide: no team", source: boltPyOrg, kind: transport.KindInteractive, key: "E1/-",
		team: "T1", userTeam: "T1", body: press(
			`"team":null,"enterprise":{"id":"E1"},"is_enterprise_install":true,"user":{"id":"U1","team_id":"T1"}`)},
	{name: "press, the user's team is the organisation", source: boltPy, kind: transport.KindInteractive, key: "E1/T1",
		team: "T1", userTeam: "E1", body: press(
			`"team":{"id":"T1"},"enterprise":{"id":"E1"},"is_enterprise_install":false,"user":{"id":"W1","team_id":"E1"}`)},
	{name: "press, organisation-wide, the user's team is the organisation", source: boltPy,
		kind: transport.KindInteractive, key: "E1/-", team: "", userTeam: "E1",
		body: press(`"team":null,"enterprise":{"id":"E1"},"is_enterprise_install":true,"user":{"id":"W1","team_id":"E1"}`)},
	{name: "press by an outsider: the team is ours", source: connect, kind: transport.KindInteractive, key: "-/T1",
		team: "T1", userTeam: "T2", body: press(`"team":{"id":"T1"},"user":{"id":"U2","team_id":"T2"}`)},
	{name: "press by an outsider: the team is theirs", source: connect, kind: transport.KindInteractive, key: "E2/T2",
		team: "T2", userTeam: "T2", body: press(`"team":{"id":"T2","enterprise_id":"E2"},"user":{"id":"U2","team_id":"T2"}`)},
	// Rule 4: views.
	{name: "form", source: javaLogs, kind: transport.KindInteractive, key: "-/T1", team: "T1", userTeam: "T1",
		body: submit(`"team":{"id":"T1"},"user":{"id":"U1","team_id":"T1"}`, `"team_id":"T1","app_installed_team_id":"T1"`)},
	{name: "form across companies: installed where it says", source: boltPy, kind: transport.KindInteractive, key: "-/T1",
		team: "T1", userTeam: "T2",
		body: submit(`"team":{"id":"T2","enterprise_id":"E2"},"enterprise":{"id":"E2"},"user":{"id":"U2","team_id":"T2"}`,
			`"team_id":"T2","app_installed_team_id":"T1"`)},
	{name: "form across companies, only the person is named", source: boltPy, kind: transport.KindInteractive, key: "-/T1",
		team: "T1", userTeam: "T2",
		body: submit(`"team":null,"enterprise":{"id":"E2"},"user":{"id":"U2","team_id":"T2"}`,
			`"team_id":"T2","app_installed_team_id":"T1"`)},
	{name: "form, in an organisation", source: boltPy, kind: transport.KindInteractive, key: "E1/T1", team: "T1",
		userTeam: "T1",
		body: submit(`"team":{"id":"T1","enterprise_id":"E1"},"enterprise":{"id":"E1"},"user":{"id":"U1","team_id":"T1"}`,
			`"team_id":"T1","app_installed_team_id":"T1"`)},
	{name: "form, installed by the organisation", source: boltJS, kind: transport.KindInteractive, key: "E1/-", team: "T1",
		userTeam: "T1",
		body: submit(`"team":{"id":"T1","enterprise_id":"E1"},"enterprise":{"id":"E1"},"user":{"id":"U1","team_id":"T1"}`,
			`"team_id":"T1","app_installed_team_id":"E1"`)},
	{name: "form of an organisation, sent in by an outsider", source: connect, kind: transport.KindInteractive,
		key: "E1/-", team: "T2", userTeam: "T2",
		body: submit(`"team":{"id":"T2","enterprise_id":"E2"},"enterprise":{"id":"E2"},"user":{"id":"U2","team_id":"T2"}`,
			`"team_id":"T2","app_installed_team_id":"E1"`)},
	{name: "form, the view's team where the payload has none", source: boltPy, kind: transport.KindInteractive,
		key: "E1/T1", team: "T1", userTeam: "E1",
		body: submit(`"team":null,"enterprise":{"id":"E1"},"user":{"id":"W1","team_id":"E1"}`, `"team_id":"T1"`)},
}

// whom has what a handler saw.
type whom struct{ key, team, userTeam string }

// witnesses are handlers of everything in shapes that note what they see. They run without a connection, too.
func witnesses(saw func(whom)) []Handler {
	note := func(req *Request) { saw(whom{req.Key.String(), req.TeamID, req.UserTeam}) }
	heard := func(name string, scopes ...string) Handler {
		return OnEvent(name, func(_ context.Context, t *Event[struct{}]) error {
			note(t.Request)
			return nil
		}, Scopes(scopes...), WithoutConnection())
	}
	return []Handler{
		heard("reaction_added", "reactions:read"), heard("app_uninstalled"), heard("tokens_revoked"),
		heard("team_access_granted"), heard("grid_migration_finished"),
		OnMention("", func(_ context.Context, t *Message) error {
			note(t.Request)
			return nil
		}, WithoutConnection()),
		OnMessage(`.*`, func(_ context.Context, t *Message) error {
			note(t.Request)
			return nil
		}, Scopes("channels:history"), WithoutConnection()),
		OnCommand("/go", func(_ context.Context, t *Command) error {
			note(t.Request)
			return nil
		}, WithoutConnection(), Describe("goes", "")),
		OnAction("go", func(_ context.Context, t *Action) error {
			note(t.Request)
			return nil
		}, WithoutConnection()),
		OnViewSubmission("form", func(_ context.Context, t *Submission) error {
			note(t.Request)
			return nil
		}, WithoutConnection()),
	}
}

func TestWhose(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"http", "socket"} {
		t.Run(way, func(t *testing.T) {
			stage := newSocketStage(t)
			saw := make(chan whom, 1)
			b := stage.bot(witnesses(func(w whom) { saw <- w })...)
			b.workers.pool.open = true // events are worked at once
			door := b.Handler()
			if way == "socket" {
				stage.connect(b, nil)
				stage.connected(2)
			}
			for i, s := range shapes {
				body := []byte(strings.Replace(s.body, `"Ev1"`, fmt.Sprintf(`"Ev%d"`, i), 1))
				if way == "http" && s.socket != nil {
					continue
				}
				status := 0
				kind := map[string]string{transport.KindEvents: "event", transport.KindCommands: "command",
					transport.KindInteractive: "interaction"}[s.kind]
				if s.kind == transport.KindInteractive {
					body = []byte(url.Values{"payload": {s.body}}.Encode())
				}
				if way == "http" {
					r := signed("signing-secret", kind, body)
					w := httptest.NewRecorder()
					door.ServeHTTP(w, r)
					status = w.Code
				} else {
					stage.SetApp(func(a *slacksim.App) {
						a.SocketBooleans = false
						if s.socket != nil {
							s.socket(a)
						}
					})
					status = stage.Sender.Deliver(stage.ctx, slacksim.Raw{Kind: kind, Body: body}).Status
				}
				if status != http.StatusOK {
					t.Errorf("%s (%s): answered %d", s.name, s.source, status)
				}
				select {
				case got := <-saw:
					if want := (whom{"A0PARROT01/" + s.key, s.team, s.userTeam}); got != want {
						t.Errorf("%s (%s): %v, want %v", s.name, s.source, got, want)
					}
				case <-stage.ctx.Done():
					t.Fatalf("%s (%s): no handler ran", s.name, s.source)
				}
			}
			b.tasks.Wait()
		})
	}
}

// signed is a request of now, as Slack sends it.
func signed(secret, kind string, body []byte) *http.Request {
	content := "application/x-www-form-urlencoded"
	if kind == "event" {
		content = "application/json"
	}
	r := request(content, body)
	r.Header.Set("X-Slack-Signature", sign(secret, r.Header.Get("X-Slack-Request-Timestamp"), string(body)))
	return r
}
