package messages

// What people are told of their connection, by an app that has a command about it, and by one that has none. Where
// Slack matters it is slacksim.

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/slacksim"
)

var noon = time.Date(2026, 9, 27, 12, 0, 0, 0, time.UTC)

// told is the Messages of an app with a command, plain of one without.
var (
	told = Messages{Home: true, Scopes: []connection.Scope{
		{Name: "im:history", Label: "Read what you write to it", Optional: true},
		{Name: "app_mentions:read", Label: "Read messages that @mention it", Optional: true},
	}, App: install.App{
		Name: "Switch & board", Operator: "Acme IT", SupportURL: "https://help.example.com",
		Commands: install.Commands{Status: "/connection status"},
	}}
	plain = Messages{App: install.App{
		Name: "Hello", Does: []string{"You mention it in a channel where it was added, and it answers there."},
	}}
)

// read is all that a person sees of a message.
func read(t *testing.T, m message) string {
	t.Helper()
	blocks, err := json.Marshal(m.blocks)
	if err != nil {
		t.Fatal(err)
	}
	return m.text + "\n" + strings.NewReplacer("\\u003c", "<", "\\u003e", ">", "\\u0026", "&").Replace(string(blocks))
}

func says(t *testing.T, name string, m message, want ...string) {
	t.Helper()
	shown := read(t, m)
	for _, w := range want {
		if !strings.Contains(shown, w) {
			t.Errorf("%s: %q is not in\n%s", name, w, shown)
		}
	}
	for _, jargon := range []string{"token", "OAuth", "scope", "refresh", "oops"} {
		if strings.Contains(strings.ToLower(m.text), strings.ToLower(jargon)) {
			t.Errorf("%s: jargon %q in %s", name, jargon, m.text)
		}
	}
}

// added installs the app in a small Slack for Acme's admin and returns a client with its access.
func added(t *testing.T) (*slacksim.Sim, *slack.Client) {
	t.Helper()
	ctx := context.Background()
	sim := slacksim.New(slacksim.Config{App: slacksim.App{
		ID: "A0SWITCH01", Name: "Switchboard", ClientID: "1.2", ClientSecret: "client-secret",
		SigningSecret: "signing-secret",
		RedirectURLs:  []string{"https://bot.example.com/"}, MessagesTab: true, HomeTab: true,
	}})
	sim.AddSmallWorld()
	if err := sim.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := sim.Close(ctx); err != nil {
			t.Error(err)
		}
		for _, breach := range sim.Breaches() {
			t.Errorf("a rule of Slack's was broken: %s %s", breach.Rule, breach.Detail)
		}
	})

	const back = "https://bot.example.com/back"
	consent := sim.URL() + "/oauth/v2/authorize?client_id=1.2&state=s&redirect_uri=" + back +
		"&scope=chat:write,users:read"
	called, err := sim.Authorize(ctx, consent, slacksim.AcmeAdmin, slacksim.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`code=([^&]*)`).FindStringSubmatch(called)[1]
	granted, err := slack.GetOAuthV2ResponseContext(ctx, http.DefaultClient, "1.2", "client-secret", code, back,
		slack.OAuthOptionAPIURL(sim.URL()+"/api/"))
	if err != nil {
		t.Fatal(err)
	}
	return sim, slack.New(granted.AccessToken, slack.OptionAPIURL(sim.URL()+"/api/"))
}

func TestTellAndResolve(t *testing.T) {
	sim, client := added(t)
	ctx := context.Background()
	h := install.Health{
		State: connection.ReconnectRequired, ReasonText: connection.ReasonText(nil, connection.ReasonRefreshRejected),
		WorksUntil: noon,
		GrantURL:   "https://bot.example.com/slack/install?connection=con_1",
		Connection: connection.Connection{
			ID: "con_1", Key: connection.Key{TeamID: slacksim.Acme}, TeamName: strings.Repeat("Very & Long ", 20),
			InstalledBy: slacksim.AcmeAdmin,
		},
	}
	channel, ts, err := told.Tell(ctx, client, slacksim.AcmeAdmin, h)
	if err != nil || channel != sim.DM(slacksim.AcmeAdmin) {
		t.Fatalf("%s %v", channel, err)
	}
	says(t, "notice", told.trouble(slacksim.AcmeAdmin, h), "Its access couldn't be renewed.",
		"It still works until "+mrkdwn.Time(nil, noon)+".", "If nobody reconnects it, its commands and messages stop then.",
		"You're getting this because you installed the app.", "Run by Acme IT", `"style":"primary"`,
		`"accessibility_label":"Reconnect Switch & board to Very & Long`)
	if n := strings.Count(string(sim.Messages(channel, slacksim.AcmeAdmin)[0].Blocks), `"type":"button"`); n != 1 {
		t.Errorf("%d buttons", n)
	}
	says(t, "to an admin", told.trouble(slacksim.AcmeMember, h), "the person who installed it is no longer a full member",
		"you're an admin")
	by := h
	by.GrantURL, by.NextStep, by.WorksUntil = "", "The people who run the app set its access by hand. They can fix it.",
		time.Time{}
	if m := told.trouble(slacksim.AcmeAdmin, by); strings.Contains(m.text, "Reconnecting takes") ||
		!strings.Contains(m.text, "They can fix it") {
		t.Errorf("without an install page: %s", m.text)
	}

	h = install.Health{State: connection.Active, Connection: h.Connection}
	err = told.Resolve(ctx, client, connection.Notice{Reason: connection.ReasonRefreshRejected, At: noon, Channel: channel,
		TS: ts}, h)
	if err != nil {
		t.Fatal(err)
	}
	all := sim.Messages(channel, slacksim.AcmeAdmin)
	last := all[len(all)-1]
	if len(all) != 1 || !strings.HasPrefix(last.Text, "Resolved: Switch &amp; board works again in Very &amp; Long") ||
		!strings.Contains(last.Text, "Nothing to do.") || strings.Contains(string(last.Blocks), "button") {
		t.Errorf("%d messages, %s %s", len(all), last.Text, last.Blocks)
	}
	h.State, h.Sentence = connection.Limited, "It can't answer mentions: it no longer has permission to see them."
	says(t, "some features unavailable", told.resolved(connection.Notice{At: noon}, h), "works again", h.Sentence)
	h.Lacking, h.Sentence, h.NextStep = true, "It can't answer you: it no longer has permission to write.",
		"An admin can allow it."
	silent := told.resolved(connection.Notice{At: noon}, h)
	says(t, "a required permission gone", silent, "has its access again", h.Sentence, h.NextStep)
	if shown := read(t, silent); strings.Contains(shown, "works again") || strings.Contains(shown, "Nothing to do") {
		t.Errorf("said to work, and it doesn't: %s", shown)
	}
}

// The welcome says what the app can read, as far as that was allowed, and nothing that isn't so.
func TestWelcome(t *testing.T) {
	t.Parallel()
	c := connection.Connection{ID: "con_1", Key: connection.Key{AppID: "A1", TeamID: "T1"}, TeamName: "Acme <Corp>",
		InstalledBy: "U1"}
	for scope, sees := range map[string]string{
		"": "It can't read any messages.", "im:history": "It can only read messages you send it here.",
		"app_mentions:read": "It can only read messages that @mention it.",
	} {
		asks := Messages{App: told.App, Scopes: []connection.Scope{{Name: scope}}}
		c.Scopes = []string{scope}
		if welcome := read(t, asks.welcome(c, "")); !strings.Contains(welcome, sees) ||
			strings.Contains(welcome, "isn't allowed") {
			t.Errorf("of an app that asks for %q alone the welcome says %s", scope, welcome)
		}
	}
	for _, test := range []struct {
		scopes   []string
		mentions bool
		sees     string
	}{
		{[]string{"im:history", "app_mentions:read"}, true, "It can only read messages you send it here and " +
			"messages that @mention it."},
		{[]string{"im:history"}, false, "It can only read messages you send it here."},
		{[]string{"app_mentions:read"}, true, "It can only read messages that @mention it."},
		{nil, false, "It can't read any messages."},
		{[]string{"channels:history", "im:history"}, false, "It can read messages you send it here, and all messages in " +
			"public channels that it was added to."},
		{[]string{"app_mentions:read", "channels:history", "groups:history"}, true,
			"It can read all messages in public channels and private channels that it was added to."},
	} {
		c.Scopes = test.scopes
		if welcome := read(t, told.welcome(c, "")); !strings.Contains(welcome, test.sees) ||
			strings.Contains(welcome, "/invite") != test.mentions {
			t.Errorf("with %q the welcome says %s", test.scopes, welcome)
		}
	}

	// What is missing has a name, and a button for whoever can allow it.
	c.Scopes = []string{"app_mentions:read"}
	const page = "https://bot.example.com/slack/install?link=x"
	says(t, "one is missing", told.welcome(c, page), "It doesn't have permission to read what you write to it.",
		"|Allow it>.", `"url":"`+page+`"`, `"style":"primary"`,
		`"accessibility_label":"Allow Switch & board to read what you write to it"`)
	if whole := read(t, told.welcome(c, "")); strings.Contains(whole, "Allow it") {
		t.Errorf("without a page to allow it on: %s", whole)
	}
	does := told
	does.App.Does = []string{"Type `/poll` & ask.", "Type `/standup`."}
	says(t, "an app that does something", does.welcome(c, ""), "*First thing to try:* Type `/poll` &amp; ask.",
		"Type `/connection status` any time to see whether it works.")

	// What it posts in a channel takes being there, as mentions do.
	for _, test := range []struct {
		does   []string
		scopes []string
		says   string // "": nothing of channels
	}{
		{does.App.Does, []string{"chat:write"}, "To have it post in a channel, type `/invite @Switch &amp; board` there " +
			"first."},
		{does.App.Does, []string{"chat:write", "app_mentions:read"}, "To mention it or have it post in a channel, type " +
			"`/invite @Switch &amp; board` there first."},
		{does.App.Does, []string{"chat:write", "chat:write.public"}, ""},
		{does.App.Does, nil, ""},
		{nil, []string{"chat:write"}, ""},
		{nil, []string{"chat:write", "app_mentions:read"}, "To mention it in a channel, type `/invite"},
	} {
		does.App.Does, c.Scopes = test.does, test.scopes
		welcome := read(t, does.welcome(c, ""))
		if !strings.Contains(welcome, test.says) || strings.Contains(welcome, "/invite") != (test.says != "") {
			t.Errorf("doing %q with %q: %s", test.does, test.scopes, welcome)
		}
	}

	c.Key, c.TeamName = connection.Key{AppID: "A1", EnterpriseID: "E1"}, "Acme Group"
	if all := read(t, told.welcome(c, "")); strings.Count(all,
		"Until an admin of the organisation adds it to workspaces") != 2 || strings.Contains(all, "team=") {
		t.Errorf("an organisation's welcome: %s", all)
	}
}

// An app without a command about its connection mentions none, and leads to no Home tab that it hasn't.
func TestAppWithoutCommands(t *testing.T) {
	t.Parallel()
	c := connection.Connection{
		ID: "con_1", Key: connection.Key{AppID: "A1", TeamID: "T1"}, TeamName: "Acme Corp", InstalledBy: "U1",
		Scopes: []string{"app_mentions:read"},
	}
	h := install.Health{Connection: c, State: connection.ReconnectRequired,
		GrantURL: "https://bot.example.com/slack/install?connection=con_1"}
	welcome := plain.welcome(c, "")
	says(t, "welcome", welcome, "Hello is now connected to Acme Corp.", "You mention it in a channel where it was added",
		"type `/invite @Hello` there first.")
	trouble := plain.trouble("U1", h)
	says(t, "trouble", trouble, "Hello needs reconnecting in Acme Corp.",
		"Until somebody reconnects it, it doesn't work there.", "|Reconnect it>.")
	h.WorksUntil = noon
	ending := plain.trouble("U1", h)
	says(t, "trouble ahead", ending, "If nobody reconnects it, it stops working then.")
	missing := plain.missing("U1", install.MissingScopes{Connection: c, GrantURL: h.GrantURL, Scopes: []connection.Scope{{
		Name: "chat:write", Label: "Send messages", Feature: "answer you",
	}}})
	says(t, "missing", missing, "Hello can't answer you: it doesn't have permission to send messages.", "|Allow it>.")

	for _, m := range []message{welcome, trouble, ending, missing, plain.resolved(connection.Notice{At: noon}, h)} {
		shown := strings.ReplaceAll(read(t, m), "/invite", "")
		if found := regexp.MustCompile("command|[ `]/[a-z]|Home|Open ").FindString(shown); found != "" {
			t.Errorf("%q in %s", found, shown)
		}
	}
}
