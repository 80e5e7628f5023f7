package connection

// What only the installer and admins get: who sees it, what it says, and that Slack takes it. Where Slack matters it is
// slacksim.

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
)

var quoted = regexp.MustCompile("`[^`]*`")

var (
	testApp = install.App{Name: "Switch & board", Operator: "Acme IT", SupportURL: "https://help.example.com"}
	noon    = time.Date(2026, 9, 27, 12, 0, 0, 0, time.UTC)
)

// historyStore holds nothing but lines of history.
type historyStore struct {
	install.Store
	lines []connection.Change
	err   error
}

func (s historyStore) History(_ context.Context, _ string, n int) ([]connection.Change, error) {
	return s.lines[:min(n, len(s.lines))], s.err
}

// turnOf is a turn of userID on Acme's connection, which has no access that could be used.
func turnOf(t *testing.T, userID string, store historyStore) turn {
	t.Helper()
	in, err := install.New(install.Config{App: testApp, PublicURL: "https://bot.example.com", Scopes: catalogue(),
		Store: store})
	if err != nil {
		t.Fatal(err)
	}
	c := connection.Connection{ID: "con_1", Key: connection.Key{AppID: "A1", TeamID: "T1"}, TeamName: "Acme <Corp>",
		InstalledBy: "U1", State: connection.Active}
	return turn{command: whole, Request: &bot.Request{Install: bot.InstallationOf(in, c.Key, c), UserID: userID,
		UserTeam: "T1", Ref: "7F3K2QX", Log: slog.New(slog.DiscardHandler), Connection: c}}
}

func says(t *testing.T, name string, r bot.Reply, want ...string) {
	t.Helper()
	blocks, err := json.Marshal(r.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.NewReplacer("\\u003c", "<", "\\u003e", ">", "\\u0026", "&").Replace(string(blocks))
	for _, w := range want {
		if !strings.Contains(r.Text, w) && !strings.Contains(shown, w) {
			t.Errorf("%s: %q is not in\n%s\n%s", name, w, r.Text, shown)
		}
	}
	first, _, _ := strings.Cut(r.Text, "\n")
	if !strings.HasSuffix(first, ".") || strings.Contains(r.Text, "Acme <Corp>") {
		t.Errorf("%s: %q is not a whole sentence, or not escaped", name, r.Text)
	}
	for _, jargon := range []string{"token", "OAuth", "scope", "refresh", "oops"} {
		if plainText := quoted.ReplaceAllString(r.Text, ""); strings.Contains(strings.ToLower(plainText),
			strings.ToLower(jargon)) {
			t.Errorf("%s: jargon %q in %s", name, jargon, r.Text)
		}
	}
}

func TestWhoSeesHistory(t *testing.T) {
	lines := []connection.Change{{At: noon, By: connection.Person("U1"), What: connection.DidInstall,
		Outcome: connection.OutcomeDone}}
	ctx := context.Background()
	full := historyStore{lines: lines}
	keeps := ask{to: private, is: keeper}
	says(t, "who may", history(ctx, turnOf(t, "U1", full), keeps), "newest first.", "Installed. By <@U1>.",
		"<!date^1790510400^")
	says(t, "nothing yet", history(ctx, turnOf(t, "U1", historyStore{}), keeps),
		"There is no history of Switch &amp; board in Acme &lt;Corp&gt; yet.")
	says(t, "records down", history(ctx, turnOf(t, "U1", historyStore{err: errors.New("down")}), keeps),
		"can't reach our own records", "7F3K2QX")

	elsewhere := turnOf(t, "U1", full)
	elsewhere.UserTeam = "T9"
	for name, r := range map[string]bot.Reply{
		"in a channel": answer(ctx, turnOf(t, "U1", full), "history", public),
		"the installer, whom Slack can't be asked about": answer(ctx, turnOf(t, "U1", full), "history", private),
		"somebody, no access":                            answer(ctx, turnOf(t, "U2", full), "history", private),
		"another company":                                answer(ctx, elsewhere, "history", private),
		"nobody, no connection": answer(ctx,
			turn{command: whole, Request: &bot.Request{Install: turnOf(t, "", full).Install, UserID: "U2"}},
			"history", private),
	} {
		says(t, name, r)
		if strings.Contains(r.Text, "Installed. By") || r.Blocks != nil {
			t.Errorf("%s sees history: %s", name, r.Text)
		}
	}
}

func TestHistoryInWords(t *testing.T) {
	dana, ours, theirs := connection.Person("U1"), connection.Actor{Kind: connection.BySwitchboard},
		connection.Actor{Kind: connection.BySlack}
	for want, c := range map[string]connection.Change{
		"Installed again after a removal. By <@U1>.":                                                                 {By: dana, What: connection.DidReinstall, Outcome: "done"},
		"Access renewed automatically.":                                                                              {By: ours, What: connection.DidRenew, Outcome: "done"},
		"Access not renewed. Slack didn't answer.":                                                                   {By: ours, What: connection.DidRenew, Outcome: "failed", Reason: "no_answer"},
		"Access not renewed. Slack said `invalid_refresh_token`.":                                                    {By: ours, What: connection.DidRenew, Outcome: "failed", Reason: "invalid_refresh_token"},
		"Access to act for <@U2> not renewed, so they have to allow it again.":                                       {By: ours, What: connection.DidRenew, Outcome: "failed", Reason: "U2"},
		"Trouble. According to Slack. Its access was withdrawn in Slack.":                                            {By: theirs, What: connection.DidCheck, Outcome: "failed", Reason: connection.ReasonTokenRevoked},
		"Works again. According to Slack.":                                                                           {By: theirs, What: connection.DidCheck, Outcome: "working"},
		"Removed. According to Slack. The app was removed from this workspace.":                                      {By: theirs, What: connection.DidRemove, Outcome: "done", Reason: connection.ReasonUninstalled},
		"Access withdrawn. According to Slack.":                                                                      {By: theirs, What: connection.DidRemove, Outcome: "done", Reason: connection.ReasonTokenRevoked},
		"Disconnecting tried. By <@U1>. Slack gave no clear answer, so it may have happened.":                        {By: dana, What: connection.DidDisconnect, Outcome: "failed", Reason: "no_answer"},
		"A message sent that it needs reconnecting. Slack didn't answer, so it may not have arrived.":                {By: ours, What: connection.DidTell, Outcome: "failed", Reason: "no_answer"},
		"Disconnected. By the people who run the app. Its access is erased. Slack was not asked.":                    {By: connection.Person(""), What: connection.DidDisconnect, Outcome: "done", Reason: "slack_not_asked"},
		"Not disconnected. By <@U1>. Slack said `it&lt;b&gt;'`.":                                                     {By: dana, What: connection.DidDisconnect, Outcome: "failed", Reason: "it<b>`"},
		"Permissions changed. According to Slack. Allowed now: send messages. No longer allowed: see who is who.":    {By: theirs, What: connection.DidPermissions, Outcome: "done", Reason: "+chat:write -users:read"},
		"<@U2> was told that it needs reconnecting.":                                                                 {By: ours, What: connection.DidTell, Outcome: "done", Reason: "U2"},
		"Trouble over, of which nobody had been told.":                                                               {By: ours, What: connection.DidTell, Outcome: "working"},
		"Allowed to act for <@U2>. By <@U2>.":                                                                        {By: connection.Person("U2"), What: connection.DidUserGrant, Outcome: "done", Reason: "U2"},
		"`moved done`.":                                                                                              {By: ours, What: "moved", Outcome: "done"},
		"Changed. It is now `active`.":                                                                               {By: ours, What: connection.DidChange, Outcome: "done", Reason: "active"},
		"Nobody could be told that it needs reconnecting. There was nobody to write to, or no access to write with.": {By: ours, What: connection.DidTell, Outcome: "failed", Reason: "no_access"},
	} {
		if got := told(turnOf(t, "U1", historyStore{}), c); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestRenewalInWords(t *testing.T) {
	at := noon.Add(8 * time.Hour)
	for _, test := range []struct {
		name   string
		health install.Health
		want   string
	}{
		{"long-lived", install.Health{}, "Doesn't expire"},
		{"long-lived, and can't be moved", install.Health{
			Connection: connection.Connection{TokenPair: connection.TokenPair{Tries: 3,
				RenewAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}}}, "Doesn't expire"},
		{"renewed", install.Health{Connection: connection.Connection{TokenPair: connection.TokenPair{ExpiresAt: at,
			RenewAt: noon}}}, "Automatic. Next renewal by " + mrkdwn.Time(nil, at)},
		{"ends", install.Health{Connection: connection.Connection{TokenPair: connection.TokenPair{ExpiresAt: at}}},
			"Not automatic. Ends " + mrkdwn.Time(nil, at)},
		{"failing", install.Health{Connection: connection.Connection{TokenPair: connection.TokenPair{ExpiresAt: at,
			FailingSince: noon, RenewAt: at, Tries: 3}}},
			"Failing since " + mrkdwn.Time(nil, noon) + ". Trying again at " + mrkdwn.Time(nil, at) + ". Tries so far: 3"},
		{"refused, some left", install.Health{State: connection.ReconnectRequired, WorksUntil: at,
			Connection: connection.Connection{State: connection.ReconnectRequired}},
			"Ended. What is left works until " + mrkdwn.Time(nil, at)},
		{"refused", install.Health{State: connection.ReconnectRequired,
			Connection: connection.Connection{State: connection.ReconnectRequired,
				TokenPair: connection.TokenPair{ExpiresAt: noon}}}, "None now"},
		{"removed", install.Health{State: connection.Removed, Connection: connection.Connection{State: connection.Removed}},
			"None now"},
	} {
		if got := renewal(turnOf(t, "U1", historyStore{}), test.health); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// A connection that ends later says when, to those who see and to those who listen.
func TestStatusSaysUntilWhenItWorks(t *testing.T) {
	turn := turnOf(t, "U1", historyStore{})
	h := turn.Health()
	h.State, h.Label, h.Sentence, h.WorksUntil = connection.ReconnectRequired, "Needs reconnecting",
		"It still works, but not for long.", noon
	r := statusReply(turn, h, viewer{audience: private, standing: keeper, answered: true}, "")
	want := "It works until " + mrkdwn.Time(nil, noon) + "."
	if text := r.Blocks[0].(*slack.SectionBlock).Text.Text; !strings.Contains(r.Text, want) ||
		!strings.Contains(text, want) {
		t.Errorf("%s\n%s", r.Text, text)
	}
}

// A link of one's own is for those who may act. The others have the page where Slack decides who may.
func TestWhoseLink(t *testing.T) {
	turn := turnOf(t, "U1", historyStore{})
	turn.Connection.Scopes = connection.ScopeNames(catalogue()) // so that who is who can be known
	h := turn.Health()
	for _, state := range []connection.State{connection.ReconnectRequired, connection.Limited} {
		for _, is := range []standing{unknown, member, keeper} {
			h.State = state
			h.NextStep = "Somebody can fix it."
			text := everything(t, statusReply(turn, h, viewer{standing: is, answered: true}, ""))
			own, everybodys := strings.Count(text, "/slack/install?"), strings.Contains(text, "/slack/install|Open the "+
				"install page>")
			if own > 1 || own == 1 != (is == keeper) || everybodys != (is != keeper && state == connection.ReconnectRequired) {
				t.Errorf("%s, %v: %s", state, is, text)
			}
		}
	}
	// Who asked for it once is not known to be still somebody who may act.
	h.State = connection.Limited
	for _, to := range []audience{public, direct, private} {
		if text := everything(t, statusReply(turn, h, viewerOf(turn, ask{to: to}), "")); strings.Contains(text,
			"/slack/install?") {
			t.Errorf("to %v: %s", to, text)
		}
	}
	h.State = connection.ReconnectRequired
	if text := everything(t, statusReply(turn, h, viewerOf(turn, ask{to: public}), "")); !strings.Contains(text,
		"/slack/install|Open the install page>") {
		t.Errorf("to everybody, when it is broken: %s", text)
	}
	h.State = connection.Limited
	// Where admins can't be told from others there is a page for them all the same.
	h.Missing = []connection.Scope{described("users:read")}
	if text := everything(t, statusReply(turn, h, viewer{}, "")); !strings.Contains(text,
		"/slack/install|Open the install page>") {
		t.Errorf("nobody can be told from others: %s", text)
	}
}

// everything is all that a person sees of a reply.
func everything(t *testing.T, r bot.Reply) string {
	t.Helper()
	blocks, err := json.Marshal(r.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	return r.Text + strings.NewReplacer("\\u003c", "<", "\\u003e", ">", "\\u0026", "&").Replace(string(blocks))
}

// Nobody is sent where they are not heard: of the ways to ask, each place names those that answer.
func TestPromises(t *testing.T) {
	turn := turnOf(t, "U1", historyStore{})
	all := []string{"commands", "im:history", "app_mentions:read", "chat:write", "users:read"}
	for which := range 1 << len(all) {
		var scopes []string
		for i, s := range all {
			if which>>i&1 == 1 {
				scopes = append(scopes, s)
			}
		}
		turn.Connection.Scopes = scopes
		writes := slices.Contains(scopes, "chat:write")
		command := slices.Contains(scopes, "commands")
		direct := writes && slices.Contains(scopes, "im:history")
		mentions := writes && slices.Contains(scopes, "app_mentions:read")
		for _, access := range []*slack.Client{nil, slack.New("xoxb-1")} {
			turn.Client = access
			promises := func(where, text string, can map[string]bool) {
				t.Helper()
				for words, answered := range can {
					if strings.Contains(text, words) != answered {
						t.Errorf("with %q, access %v, %s says %s", scopes, access != nil, where, text)
					}
				}
			}
			can := map[string]bool{"/connection": command, "in a direct message with me": direct && access != nil,
				"you mention me": mentions && access != nil}
			promises("help", everything(t, listed(turn)), can)
			promises("help on a word", everything(t, help(t.Context(), turn, ask{rest: []string{"check"}})),
				map[string]bool{"/connection": command})
			promises("a pointer", more(turn, "status", "ask.more"), map[string]bool{
				"Type `/connection status`": command, "to me in a direct message": !command && direct && access != nil})
		}

		h := turn.Health()
		for _, who := range []viewer{{standing: keeper, answered: true},
			{standing: keeper, details: true, answered: true}, {standing: member, answered: true}} {
			blocks := homeBlocks(turn, h, who, "")
			home := everything(t, bot.Reply{Blocks: blocks})
			for words, answered := range map[string]bool{"`/connection status`": command, "rite to me in *Messages*": direct,
				"ention me in a channel": mentions, `"Send a test message"`: writes && who.standing == keeper} {
				if strings.Contains(home, words) != answered {
					t.Errorf("with %q the Home tab says %s", scopes, home)
				}
			}
			for _, r := range []bot.Reply{{Blocks: blocks}, statusReply(turn, h, who, ""),
				permissionsReply(turn, h, who.standing, connection.Change{})} {
				if said := everything(t, r); !command &&
					strings.Contains(strings.ReplaceAll(said, "the command /connection", ""), "/connection") {
					t.Errorf("with %q somebody is told to type a command that is gone: %s", scopes, said)
				}
			}
		}
	}
}

func TestDisconnectIsForKeepers(t *testing.T) {
	ctx := context.Background()
	elsewhere, removed := turnOf(t, "U1", historyStore{}), turnOf(t, "U1", historyStore{})
	elsewhere.UserTeam, removed.Connection.State = "T9", connection.Removed
	// There is no store behind these that could be asked to do it, and no access to open a window with.
	says(t, "no access", answer(ctx, turnOf(t, "U1", historyStore{}), "disconnect", private),
		"no longer has access to Acme &lt;Corp&gt;", "*Remove App*")
	says(t, "the word of old", answer(ctx, turnOf(t, "U1", historyStore{}), "disconnect yes", private),
		"no longer has access")
	says(t, "in a channel", answer(ctx, turnOf(t, "U1", historyStore{}), "disconnect yes", public),
		"Type `/connection disconnect`.")
	says(t, "another company", answer(ctx, elsewhere, "disconnect yes", private),
		"Only people in the workspace that installed this app can disconnect it.")
	says(t, "removed", answer(ctx, removed, "disconnect yes", private), "isn't connected to Acme", "nothing to disconnect")
	sim := smallSlack(t)
	client := installed(t, sim, slacksim.AcmeAdmin, slacksim.Choice{})
	for _, about := range []string{"", "{}", `{"connection":"con_2","consent":0}`, "nonsense"} {
		admin := turnOf(t, slacksim.AcmeAdmin, historyStore{})
		admin.Client, admin.UserTeam, admin.Connection.TeamID = client, slacksim.Acme, slacksim.Acme
		says(t, "about "+about, goodbye(ctx, admin, about), "again since", "nothing was changed")
	}
	says(t, "submitted by somebody whom Slack can't be asked about", goodbye(ctx, turnOf(t, "U1", historyStore{}), ""),
		"Slack can't be asked who you are. ")
	says(t, "submitted after somebody else", goodbye(ctx, removed, ""), "isn't connected to Acme", "nothing to disconnect")
	says(t, "submitted by another company", goodbye(ctx, elsewhere, ""), "Only people in the workspace that installed "+
		"this app can disconnect it.")
}

func TestDisconnectSaysWhatHappened(t *testing.T) {
	turn := turnOf(t, "U1", historyStore{})
	refused := slack.SlackErrorResponse{Err: "not_allowed"}
	for _, test := range []struct {
		name, said string
		err        error
		want       []string
	}{
		{"done", "ok", nil, []string{"Switch &amp; board is disconnected from Acme &lt;Corp&gt;. Slack removed the app, and its access is " +
			"erased.", "|the install page>"}},
		{"gone already", "account_inactive", nil, []string{"was gone from Slack already", "the install page"}},
		{"no access", "", nil, []string{"none left to ask Slack with", "remove it on its page in Slack"}},
		{"by hand", "", connection.ErrByHand, []string{"connected to Acme &lt;Corp&gt; by hand", "*Remove App*"}},
		{"not connected", "", connection.ErrNotConnected, []string{"nothing to disconnect"}},
		{"renewing", "", errors.Join(connection.ErrRenewing, refused),
			[]string{"couldn't renew its access", "It is still connected", "7F3K2QX"}},
		{"too often", "ratelimited", slack.SlackErrorResponse{Err: "ratelimited"},
			[]string{"asked us to slow down", "It is still connected", "in a few minutes", "7F3K2QX"}},
		{"refused", "not_allowed", refused, []string{"It said `not_allowed`", "It is still connected", "7F3K2QX"}},
		{"no answer", "", errors.Join(slackapi.ErrUnclear, context.DeadlineExceeded),
			[]string{"we don't know whether", "`/connection status` in a minute", "7F3K2QX"}},
		{"an answer that says neither", "internal_error",
			errors.Join(slackapi.ErrUnclear, slack.SlackErrorResponse{Err: "internal_error"}),
			[]string{"we don't know whether", "7F3K2QX"}},
		{"not asked", "", errors.New("find connection: down"), []string{"couldn't be disconnected from Acme &lt;Corp&gt; just now, and " +
			"Slack wasn't asked", "7F3K2QX"}},
		{"our records failed", "ok", errors.New("erase access: down"),
			[]string{"is gone from Acme &lt;Corp&gt;", "couldn't erase", "7F3K2QX"}},
	} {
		r := disconnected(turn, test.said, test.err)
		says(t, test.name, r, test.want...)
		if r.Then != nil || r.InChannel {
			t.Errorf("%s: more than the answer to the command", test.name)
		}
	}
}

// installed adds the app for userID and returns a client with its access.
func installed(t *testing.T, sim *slacksim.Sim, userID string, choice slacksim.Choice) *slack.Client {
	t.Helper()
	ctx := context.Background()
	back, err := sim.Authorize(ctx, sim.URL()+
		"/oauth/v2/authorize?client_id=1.2&state=s&redirect_uri=https://bot.example.com/back&scope=chat:write,users:read",
		userID, choice)
	if err != nil {
		t.Fatal(err)
	}
	granted, err := slack.GetOAuthV2ResponseContext(ctx, http.DefaultClient, "1.2", "client-secret",
		strings.Split(strings.SplitAfter(back, "code=")[1], "&")[0],
		"https://bot.example.com/back", slack.OAuthOptionAPIURL(sim.URL()+"/api/"))
	if err != nil {
		t.Fatal(err)
	}
	return slack.New(granted.AccessToken, slack.OptionAPIURL(sim.URL()+"/api/"))
}

func smallSlack(t *testing.T) *slacksim.Sim {
	t.Helper()
	sim := slacksim.New(slacksim.Config{App: slacksim.App{ID: "A0SWITCH01", Name: "Switchboard", ClientID: "1.2",
		ClientSecret: "client-secret", SigningSecret: "signing-secret",
		RedirectURLs: []string{"https://bot.example.com/"}, MessagesTab: true, HomeTab: true, OrgReady: true}})
	sim.AddSmallWorld()
	if err := sim.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := sim.Close(context.Background()); err != nil {
			t.Error(err)
		}
		for _, breach := range sim.Breaches() {
			t.Errorf("a rule of Slack's was broken: %s %s", breach.Rule, breach.Detail)
		}
	})
	return sim
}

// The longest history that can come together is still one that Slack takes.
func TestHistoryFitsSlack(t *testing.T) {
	sim := smallSlack(t)
	client := installed(t, sim, slacksim.AcmeAdmin, slacksim.Choice{})
	var lines []connection.Change
	for range historyLines {
		lines = append(lines, connection.Change{At: noon, By: connection.Person("U" + strings.Repeat("A", 40)),
			What: connection.DidPermissions, Outcome: connection.OutcomeDone,
			Reason: strings.Repeat("+"+strings.Repeat("&", 900)+" -"+strings.Repeat("<", 900)+" ", 20)})
	}
	r := history(context.Background(), turnOf(t, "U1", historyStore{lines: lines}), ask{to: private, is: keeper})
	if _, _, err := client.PostMessageContext(context.Background(), slacksim.AcmeAdmin, slack.MsgOptionText(r.Text, false),
		slack.MsgOptionBlocks(r.Blocks...)); err != nil {
		t.Error(err)
	}
	blocks, err := json.Marshal(r.Blocks)
	if n := strings.Count(string(blocks), "• "); err != nil || n != historyLines {
		t.Errorf("%d lines, %v", n, err)
	}
	if n := utf8.RuneCountInString(r.Text); n > 40_000 || len(r.Blocks) > 50 {
		t.Errorf("%d characters, %d blocks", n, len(r.Blocks))
	}
}

// In an organisation's connection an admin of one workspace is a member like others.
func TestKeepersOfAnOrganisation(t *testing.T) {
	sim := smallSlack(t)
	sim.AddWorkspace(slacksim.Workspace{ID: "T0GRID0001", Name: "Grid One", Domain: "grid-one", EnterpriseID: "E0GRID0001",
		EnterpriseName: "Grid Inc"})
	sim.AddUser(slacksim.User{ID: "U0GRIDORG1", TeamID: "T0GRID0001", Name: "oda", Admin: true, Owner: true,
		PrimaryOwner: true})
	sim.AddUser(slacksim.User{ID: "U0GRIDADM1", TeamID: "T0GRID0001", Name: "gia", Admin: true})
	client := installed(t, sim, "U0GRIDADM1", slacksim.Choice{Org: true})
	if err := sim.Admins.GrantTeam(context.Background(), "T0GRID0001"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		key  connection.Key
		user string
		want standing
	}{
		{connection.Key{EnterpriseID: "E0GRID0001"}, "U0GRIDORG1", keeper},
		{connection.Key{EnterpriseID: "E0GRID0001"}, "U0GRIDADM1", member},
		{connection.Key{EnterpriseID: "E0GRID0001", TeamID: "T0GRID0001"}, "U0GRIDADM1", keeper},
	} {
		turn := turnOf(t, test.user, historyStore{})
		turn.Client, turn.UserTeam, turn.Connection.Key = client, "", test.key
		if is, err := standingOf(context.Background(), turn); err != nil || is != test.want {
			t.Errorf("%s on %s: %v %v, want %v", test.user, test.key, is, err, test.want)
		}
	}
}

// Of an organisation's connection its own admins decide, and every answer says so.
func TestOrganisationHasItsOwnWords(t *testing.T) {
	turn := turnOf(t, "U9", historyStore{})
	turn.Connection.Key, turn.Connection.EnterpriseName, turn.UserTeam = connection.Key{AppID: "A1", EnterpriseID: "E1"},
		"Acme Group", "E1"
	for _, state := range []connection.State{connection.Active, connection.ReconnectRequired, connection.Removed} {
		turn.Connection.State = state
		h := turn.Health()
		r := bot.Reply{Blocks: homeBlocks(turn, h, viewer{audience: direct, standing: member}, "")}
		all := everything(t, statusReply(turn, h, viewer{standing: keeper, details: true, answered: true}, "")) + everything(t, r) + everything(t,
			refusal(turn, member, nil, "press"))
		for _, want := range []string{"*Organisation*", "all workspaces of the organisation",
			"n admin of the organisation", "admins of the organisation can use this button"} {
			if !strings.Contains(all, want) {
				t.Errorf("%s: no %q in %s", state, want, all)
			}
		}
		for _, wrong := range []string{"workspace admin", "*Workspace*", "only one for this workspace"} {
			if strings.Contains(all, wrong) {
				t.Errorf("%s: %q in %s", state, wrong, all)
			}
		}
	}
}

// How late it is says the app's clock, which can be another than this machine's.
func TestAnswersGoByTheAppsClock(t *testing.T) {
	t.Parallel()
	later := time.Date(2040, 1, 2, 3, 4, 5, 0, time.UTC)
	in, err := install.New(install.Config{App: testApp, PublicURL: "https://bot.example.com", Scopes: catalogue(),
		Store: historyStore{}, Now: func() time.Time { return later }})
	if err != nil {
		t.Fatal(err)
	}
	turn := turnOf(t, "U1", historyStore{})
	turn.Connection.LastEventAt, turn.Connection.Scopes = later.Add(-100*time.Hour), connection.ScopeNames(catalogue())
	turn.Install = bot.InstallationOf(in, turn.Connection.Key, turn.Connection)

	says(t, "what to copy", support(t.Context(), turn, ask{is: keeper}), later.Format("2006-01-02 15:04:05 UTC"))
	h := turn.Health()
	if got := lastEvent(turn, h); !strings.Contains(got, "None for 4 days") {
		t.Errorf("the last message from Slack: %s", got)
	}
	h.Live = true
	home := homeBlocks(turn, h, viewer{standing: member, answered: true}, "")
	says(t, "the Home tab", bot.Reply{Text: "Home.", Blocks: home},
		"Checked "+mrkdwn.Time(nil, later))
}
