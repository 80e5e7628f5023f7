package connection

// Conversations as people have them: every word, by each kind of person, typed, written and pressed, with the whole bot
// between slacksim and a database.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hbollon/go-edlib"
	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// The people of the conversations: Leon installed the app and is no admin.
const (
	leon, dana = slacksim.AcmeMember, slacksim.AcmeAdmin
	mia, gus   = "U0ACMEMIA1", "U0ACMEGUES" // a member, a guest
	ivy        = slacksim.BirchAdmin        // an admin of another company
	general    = slacksim.AcmeGeneral
	together   = "C0TOGETHER" // shared with that company
	secret     = "C0SECRET01"
)

// failing is a store whose look-ups fail, or never end, when told to.
type failing struct {
	install.Store
	how atomic.Int32 // 0: not at all; 1: at once; 2: it is silent
}

func (f *failing) Lookup(ctx context.Context, k connection.Key) (connection.Connection, error) {
	switch f.how.Load() {
	case 1:
		return connection.Connection{}, errors.New("the database is gone")
	case 2:
		<-ctx.Done()
		return connection.Connection{}, ctx.Err()
	}
	return f.Store.Lookup(ctx, k)
}

// scene is the app in Acme Corp, on its stage.
type scene struct {
	t      *testing.T
	sim    *slacksim.Sim
	db     *storage.DB
	store  *failing
	in     *install.Installer
	key    connection.Key
	client *slack.Client // with the app's access
	silent bool          // Slack answers nothing in this scene
}

// play sets the scene. untick are permissions that Leon does not allow. The app is in #general, in a private channel,
// and in one shared with another company.
func play(t *testing.T, database string, untick ...string) *scene {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	db, err := storage.Open(ctx, database, keys)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	m, err := bot.NewManifest(profile(), whole.Handlers(), "https://bot.example.com")
	if err != nil {
		t.Fatal(err)
	}
	sim := slacksim.New(slacksim.Config{App: slacksim.App{ID: "A0SWITCH01", Name: "Switchboard", ClientID: "1.2",
		ClientSecret: "client-secret", SigningSecret: "signing-secret",
		RedirectURLs: []string{"https://bot.example.com/"}, Events: m.Settings.EventSubscriptions.BotEvents, HomeTab: true,
		MessagesTab: true}})
	sim.AddSmallWorld()
	sim.AddUser(slacksim.User{ID: mia, TeamID: slacksim.Acme, Name: "mia", RealName: "Mia Member"})
	sim.AddUser(slacksim.User{ID: gus, TeamID: slacksim.Acme, Name: "gus", RealName: "Gus Guest", Guest: true})
	sim.AddChannel(slacksim.Channel{ID: general, TeamID: slacksim.Acme, Name: "general",
		Members: []string{leon, dana, mia, gus}})
	sim.AddChannel(slacksim.Channel{ID: secret, TeamID: slacksim.Acme, Name: "secret-plans", Private: true,
		Members: []string{leon}})
	sim.AddChannel(slacksim.Channel{ID: together, TeamID: slacksim.Acme, Name: "acme-birch", Members: []string{leon, ivy},
		SharedWith: []string{slacksim.Birch}})
	if err := sim.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	app := theApp()
	app.Operator, app.SupportURL = "Acme IT", "mailto:it@example.com"
	s := &scene{t: t, sim: sim, db: db, store: &failing{Store: db}}
	s.in, err = install.New(install.Config{App: app, ClientID: "1.2", ClientSecret: "client-secret", SlackURL: sim.URL(),
		PublicURL: "https://bot.example.com", Scopes: catalogue(), Store: s.store})
	if err != nil {
		t.Fatal(err)
	}
	inbox, err := db.Inbox(ctx, inbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	inbox.Start()
	b, err := bot.New(bot.Config{Install: s.in, Handlers: whole.Handlers(), Inbox: inbox,
		SigningSecrets: []connection.Secret{"signing-secret"}})
	if err != nil {
		t.Fatal(err)
	}
	door := httptest.NewServer(b.Handler())
	sim.SetApp(func(a *slacksim.App) {
		a.EventsURL, a.Commands = door.URL, []slacksim.Command{{Name: "/connection", ShouldEscape: true}}
	})
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	s.install(leon, untick...)
	in, _ := sim.Installed(slacksim.Acme)
	for _, c := range []string{general, secret, together} {
		if err := sim.Invite(ctx, leon, c, in.BotUserID); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		settle, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		s.store.how.Store(0)
		if err := sim.Settle(settle); err != nil {
			t.Error(err)
		}
		if s.silent { // what still waits for it ends now
			_ = sim.Close(settle)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		door.Close()
		s.in.Finish()
		s.in.Slack().HTTP.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
		inbox.Close()
		if err := errors.Join(db.Close(), sim.Close(settle)); err != nil {
			t.Error(err)
		}
		for _, breach := range sim.Breaches() {
			switch breach.Rule {
			case slacksim.RuleRevokedToken: // asking with a dead token is how we find out
			case slacksim.RuleLateAck, slacksim.RuleEventStatus: // a busy machine; Slack sends the event again
			default:
				t.Errorf("a rule of Slack's was broken: %s %s", breach.Rule, breach.Detail)
			}
		}
	})
	return s
}

// install adds the app, or adds it again.
func (s *scene) install(userID string, untick ...string) {
	s.t.Helper()
	ctx := context.Background()
	scopes := strings.Join(connection.ScopeNames(catalogue()), ",")
	back, err := s.sim.Authorize(ctx, s.sim.URL()+
		"/oauth/v2/authorize?client_id=1.2&state=s&redirect_uri=https://bot.example.com/slack/oauth_redirect&scope="+scopes,
		userID, slacksim.Choice{Untick: untick})
	if err != nil {
		s.t.Fatal(err)
	}
	granted, err := slack.GetOAuthV2ResponseContext(ctx, s.in.Slack().HTTP, "1.2", "client-secret",
		strings.Split(strings.SplitAfter(back, "code=")[1], "&")[0],
		"https://bot.example.com/slack/oauth_redirect", slack.OAuthOptionAPIURL(s.sim.URL()+"/api/"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.key = connection.Key{AppID: granted.AppID, TeamID: granted.Team.ID}
	s.client = slack.New(granted.AccessToken, slack.OptionAPIURL(s.sim.URL()+"/api/"))
	now := time.Now()
	if _, _, err := s.db.Put(ctx, connection.Connection{Key: s.key,
		TokenPair: connection.TokenPair{Token: connection.Secret(granted.AccessToken)}, TeamName: "Acme Corp",
		BotUserID: granted.BotUserID, Scopes: connection.SplitScopes(granted.Scope), State: connection.Active,
		StateSince: now, InstalledBy: userID, InstalledAt: now, AuthorizedBy: userID, AuthorizedAt: now,
		CheckedAt: now}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) wait(what string, ok func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.sim.WaitFor(ctx, ok); err != nil {
		s.t.Fatalf("waited in vain for %s", what)
	}
}

// last is the newest message of the app that a person sees in a conversation, as they read it.
func (s *scene) last(channel, user string) (slacksim.Message, string) {
	all := s.sim.Messages(channel, user)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].BotID != "" && !all[i].Deleted {
			return all[i], read(all[i].Text, all[i].Blocks)
		}
	}
	return slacksim.Message{}, ""
}

// read is text and blocks without JSON's escapes.
func read(text string, blocks []byte) string {
	return text + "\n" + strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&", `\n`, "\n", `\"`, `"`).
		Replace(string(blocks))
}

// asks is in every answer behind which another one follows.
const asks = "Asking Slack"

// command types /connection and returns what the person reads in the end. An answer that comes late, or breaks Slack's
// rules, fails the test.
func (s *scene) command(user, text string) string {
	s.t.Helper()
	reply, err := s.sim.Command(context.Background(), user, general, strings.TrimSpace("/connection "+text))
	if err != nil || reply.Status != http.StatusOK || reply.Took > 3*time.Second || reply.Err != "" {
		s.t.Fatalf("%s by %s: %v %d after %v %s", text, user, err, reply.Status, reply.Took, reply.Err)
	}
	if reply.Text == "" {
		return ""
	}
	shown := read(reply.Text, reply.Message.Blocks)
	if strings.Contains(reply.Text, asks) {
		s.wait("the live answer to "+text, func() bool {
			_, shown = s.last(general, user)
			return !strings.Contains(shown, asks)
		})
	}
	s.fits(text+" by "+user, reply.Message)
	return shown
}

// fits holds what arrived against Slack's rules.
func (s *scene) fits(name string, m slacksim.Message) {
	s.t.Helper()
	var r rules
	r.marked("text", m.Text)
	if m.Blocks != nil {
		r.blocks(m.Blocks, 50)
	}
	if r.faults != nil {
		s.t.Errorf("%s: %q", name, r.faults)
	}
}

// write says something in the direct message with the app, and returns the answer.
func (s *scene) write(user, text string) (m slacksim.Message, shown string) {
	s.t.Helper()
	dm := s.sim.DM(user)
	ts, err := s.sim.Say(context.Background(), user, dm, text)
	if err != nil {
		s.t.Fatal(err)
	}
	s.wait("the answer to "+text, func() bool {
		m, shown = s.last(dm, user)
		return m.TS > ts && !strings.Contains(m.Text, asks)
	})
	s.fits(text, m)
	return m, shown
}

func (s *scene) connection() connection.Connection {
	s.t.Helper()
	c, err := s.db.Lookup(context.Background(), s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// has checks what somebody reads; a want that begins with ! must not be there.
func has(t *testing.T, name, shown string, want ...string) {
	t.Helper()
	for _, w := range want {
		if not, found := strings.CutPrefix(w, "!"); found && strings.Contains(shown, not) || !found &&
			!strings.Contains(shown, w) {
			t.Errorf("%s: %q in\n%s", name, w, shown)
		}
	}
}

const (
	notTheirs = "Only <@" + leon + ">, who installed it, and workspace admins can"
	notGuests = "Guests can't"
)

// What each kind of person is told for each word, typed as a command and written in a direct message.
func TestWhoIsToldWhat(t *testing.T) {
	t.Parallel()
	s := play(t, storagetest.SQLite(t))
	line := []string{"✅ *Working* since <!date^", "Nothing to do.", "Checked with Slack just now.", `"connection.details"`,
		"!Connected by", "!Check again", "!Disconnect…", "!8 of 8"}
	facts := []string{"✅ *Working* since <!date^", "Connected by", "8 of 8 allowed", "Access renewal", "One connection",
		"Data kept", "Just now, with Slack"}
	keeps := append([]string{"Check again", "Review permissions", "Send a test message", "Disconnect…"}, facts...)
	visitor := []string{"✅ *Working*.", "!Connected by", "!Acme", `!"type":"button"`}
	for _, test := range []struct {
		typed                      string
		installer, member, visitor []string // the installer's is an admin's, too
	}{
		{"", line, line, visitor},
		{"status", line, line, visitor},
		{"details", keeps, append([]string{`!"type":"button"`}, facts...), visitor},
		{"status verbose", keeps, append([]string{`!"type":"button"`}, facts...), visitor},
		{"permissions", []string{"has all 8 permissions", "*Send messages* (required): To answer you."},
			[]string{"has all 8 permissions", `!"type":"button"`}, []string{"Working", "!permissions"}},
		{"channels", []string{"Switchboard is in 3 channels.", "*Public channels:* 2: #acme-birch, #general",
			"*Private channels:* 1", "`/invite @Switchboard`"},
			[]string{"#general", "*Private channels:* 1. You only see the names of those you're in.", "!in..", "!secret-plans"},
			[]string{"Only members of the workspace can see that.", "!#"}},
		{"history", []string{"newest first.", "Installed. By <@" + leon + ">."},
			[]string{notTheirs + " see the history.", "!Installed"},
			[]string{notGuests + " see the history. Ask <@" + leon + ">, who installed it, or a workspace admin.",
				"!Installed"}},
		{"reconnect", []string{"is connected to Acme Corp. You don't have to do anything",
			"It stays the same connection, with its history.", "It works once and expires in an hour.", "!settings",
			"https://bot.example.com/slack/install"}, []string{notTheirs + " reconnect it.", "!https"},
			[]string{notGuests + " reconnect it.", "!https"}},
		{"support", []string{"is run by Acme IT.", "mailto:it@example.com?subject=Reference%20", "Connection: con_",
			"State: active", "!xox"}, []string{"is run by Acme IT.", "Reference: ", "Connection: con_"},
			[]string{"is run by Acme IT.", "Reference: ", "!con_", "!Acme Corp"}},
		{"help", []string{"Here is what you can ask Switchboard.", "`/connection channels`"},
			[]string{"`/connection disconnect`"}, []string{"Here is what you can ask Switchboard."}},
		{"help disconnect", []string{"/connection disconnect: removes it from Slack",
			"Nothing happens before you press its button"}, []string{"A window lists what will happen"}, nil},
		{"statsu", []string{"I don't know “statsu”. Did you mean `status`? Try `status`"}, []string{"Did you mean `status`?"},
			nil},
		{"hlep", []string{"Did you mean `help`?"}, nil, nil},
		{"premissions", []string{"Did you mean `permissions`?"}, nil, nil},
		{"discconect", []string{"Did you mean `disconnect`?", "!window"}, nil, nil},
		{"tset", []string{"Did you mean `test`?", "!This is the test message"}, nil, nil},
		{"frobnicate", []string{"I don't know “frobnicate”. Try `status`", "!Did you mean"}, nil, nil},
		{"how is the weather today", []string{"I don't understand that. Try `status`"}, nil, nil},
	} {
		for who, want := range map[string][]string{leon: test.installer, dana: test.installer, mia: test.member,
			gus: test.visitor} {
			if want == nil {
				continue
			}
			has(t, who+" types "+test.typed, s.command(who, test.typed), want...)
			if who == leon && test.typed != "" || who == mia && strings.HasPrefix(test.typed, "h") {
				_, shown := s.write(who, cmp.Or(test.typed, "status"))
				has(t, who+" writes "+test.typed, shown, want...)
			}
		}
	}
	// Of private channels everybody reads the names of those they are in, whatever else they may do.
	has(t, "the installer, who is in it", s.command(leon, "channels"), "*Private channels:* 1: #secret-plans",
		"!You only see the names")
	has(t, "an admin, who is not", s.command(dana, "channels"), "*Private channels:* 1. You only see the names",
		"!secret-plans")
	end := s.sim.Inject(slacksim.Fault{Method: "users.conversations", Error: "user_not_found", Times: 2})
	if shown := s.command(leon, "channels"); strings.Contains(shown, "secret-plans") {
		t.Errorf("where Slack doesn't say what he is in: %s", shown)
	}
	end()
	// What does something.
	tests := func() int {
		n := 0
		for _, c := range s.sim.Calls("chat.postMessage") {
			if strings.Contains(c.Arg("text"), "This is the test message") {
				n++
			}
		}
		return n
	}
	has(t, "leon types test", s.command(leon, "test"), "The test message is in your direct messages with Switchboard, "+
		"under *Messages*.")
	has(t, "dana types test", s.command(dana, "test"), "The test message is in your direct messages with Switchboard, "+
		"under *Messages*.")
	has(t, "mia types test", s.command(mia, "test"), notTheirs)
	has(t, "gus types test", s.command(gus, "test"), notGuests)
	_, shown := s.write(leon, "test")
	has(t, "leon writes test", shown, "This is the test message you asked for.")
	if n := tests(); n != 3 {
		t.Errorf("%d test messages", n)
	}
	for who, want := range map[string]string{mia: notTheirs, gus: notGuests} {
		has(t, who+" types disconnect", s.command(who, "disconnect"), want+" disconnect it.")
		if len(s.sim.OpenViews(who)) != 0 {
			t.Errorf("%s got the window", who)
		}
	}
}

// In a channel shared with another company its people read the headline, and every press of theirs is refused.
func TestOutsidersGetNothing(t *testing.T) {
	t.Parallel()
	s := play(t, storagetest.SQLite(t))
	ctx := context.Background()
	in, _ := s.sim.Installed(slacksim.Acme)
	reveals := regexp.MustCompile(`Acme Corp|con_[0-9a-z]|secret-plans|` + leon + `|bot\.example\.com`)
	for _, w := range append([]string{"", "statsu", "disconnect yes"},
		strings.Split(strings.Trim(usage(nil), "[]"), " | ")...) {
		ts, err := s.sim.Say(ctx, ivy, together, "<@"+in.BotUserID+"> "+w)
		if err != nil {
			t.Fatal(err)
		}
		var shown string
		s.wait("the answer to "+w, func() bool {
			m, text := s.last(together, ivy)
			shown = text
			return m.ThreadTS == ts
		})
		if found := reveals.FindString(shown); found != "" {
			t.Errorf("%s tells another company %q: %s", w, found, shown)
		}
	}
	// A message with all our buttons, as if one had got there.
	more := slack.NewOverflowBlockElement(actionMore)
	for _, w := range vocabulary(nil)[:5] {
		more.Options = append(more.Options, slack.NewOptionBlockObject(w.name, mrkdwn.Plain(w.name, mrkdwn.MaxButton), nil))
	}
	var elements []slack.BlockElement
	ids := []string{actionCheck, actionTest, actionPermissions, actionDisconnect}
	for _, id := range ids {
		elements = append(elements, slack.NewButtonBlockElement(id, "", mrkdwn.Plain(id, mrkdwn.MaxButton)))
	}
	_, ts, err := s.client.PostMessageContext(ctx, together, slack.MsgOptionText("Buttons.", false),
		slack.MsgOptionBlocks(slack.NewActionBlock("", append(elements, more)...)))
	if err != nil {
		t.Fatal(err)
	}
	refused := regexp.MustCompile(
		`Only people at Acme Corp can use this button\.|Only people (of|in) the workspace .* can do that\.`)
	press := func(id string, value ...string) {
		t.Helper()
		before := len(s.sim.Messages(together, ivy))
		if ack, err := s.sim.Press(ctx, ivy, together, ts, id, value...); err != nil || ack.Status != http.StatusOK {
			t.Fatalf("%s: %v %d", id, err, ack.Status)
		}
		s.wait("the refusal of "+id, func() bool { return len(s.sim.Messages(together, ivy)) > before })
		if _, shown := s.last(together, ivy); !refused.MatchString(shown) ||
			reveals.MatchString(refused.ReplaceAllString(shown, "")) {
			t.Errorf("%s %v: %s", id, value, shown)
		}
	}
	asked := len(s.sim.Calls("views.open")) + len(s.sim.Calls("users.conversations")) + len(s.sim.Calls("users.info"))
	for _, id := range ids {
		press(id)
	}
	for _, o := range more.Options {
		press(actionMore, o.Value)
	}
	if n := len(s.sim.Calls("views.open")) + len(s.sim.Calls("users.conversations")) +
		len(s.sim.Calls("users.info")); n != asked {
		t.Errorf("Slack was asked %d times for a person of another company", n-asked)
	}
}

// window returns the one window that a person has open.
func (s *scene) window(user string) slacksim.View {
	s.t.Helper()
	views := s.sim.OpenViews(user)
	if len(views) != 1 {
		s.t.Fatalf("%d windows", len(views))
	}
	var r rules
	r.length("title", views[0].Title, 1, 24)
	r.length("submit", views[0].Submit, 0, 24)
	r.length("private_metadata", views[0].PrivateMetadata, 0, 3000)
	if r.blocks(views[0].Blocks, 100); r.faults != nil {
		s.t.Errorf("window: %q", r.faults)
	}
	return views[0]
}

// The window is opened from everywhere, says what will happen, and is the only thing that does it.
func TestDisconnectWindow(t *testing.T) {
	ctx := context.Background()
	press := func(s *scene, channel, user, action string, value ...string) {
		s.t.Helper()
		m, _ := s.last(channel, user)
		if ack, err := s.sim.Press(ctx, user, channel, m.TS, action, value...); err != nil || ack.Status != http.StatusOK {
			s.t.Fatalf("press %s: %v %d", action, err, ack.Status)
		}
	}
	for name, open := range map[string]func(s *scene){
		"typed": func(s *scene) {
			if said := s.command(dana, "disconnect"); said != "" {
				s.t.Errorf("besides the window: %s", said)
			}
		},
		"typed with the word of old": func(s *scene) { s.command(dana, "disconnect yes") },
		"written": func(s *scene) {
			_, shown := s.write(dana, "disconnect")
			has(s.t, "written", shown, "To disconnect Switchboard from Acme Corp, press the button.",
				"nothing happens before you confirm")
			press(s, s.sim.DM(dana), dana, actionDisconnect)
		},
		"the menu of a status": func(s *scene) {
			s.command(dana, "details")
			press(s, general, dana, actionMore, "disconnect")
		},
		"the Home tab": func(s *scene) {
			s.home(dana)
			if ack, err := s.sim.PressHome(ctx, dana, actionMore, "disconnect"); err != nil || ack.Status != http.StatusOK {
				s.t.Fatalf("%v %d", err, ack.Status)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, storagetest.SQLite(t))
			open(s)
			v := s.window(dana)
			has(t, "the window", read(v.Title+v.Submit, v.Blocks), "Disconnect?", "Disconnect Switchboard",
				"This removes Switchboard from Acme Corp, for everybody.", "Its access and messages are erased immediately, "+
					"everything else after 90 days.",
				"Other apps")
			if strings.Contains(v.PrivateMetadata, "xox") || !strings.Contains(v.PrivateMetadata, s.connection().ID) {
				t.Errorf("it remembers %s", v.PrivateMetadata)
			}
			if _, err := s.sim.CloseView(ctx, dana, v.ID, false); err != nil {
				t.Fatal(err)
			}
			if _, there := s.sim.Installed(slacksim.Acme); !there || s.connection().State != connection.Active {
				t.Fatal("opening and closing it did something")
			}
			open(s)
			ack, err := s.sim.SubmitView(ctx, dana, s.window(dana).ID, nil)
			if err != nil || ack.Status != http.StatusOK || ack.Took > 3*time.Second {
				t.Fatalf("submit: %v %d after %v", err, ack.Status, ack.Took)
			}
			v = s.window(dana)
			has(t, "the window at the end", read(v.Title, v.Blocks), "Switchboard is disconnected from Acme Corp. Slack "+
				"removed the app, and its access is erased.", "To bring it back, open")
			if c := s.connection(); c.State != connection.Removed || c.Reason != connection.ReasonDisconnected ||
				c.Token != "" || v.Submit != "" {
				t.Errorf("%s %s, the window has %q", c.State, c.Reason, v.Submit)
			}
			if _, there := s.sim.Installed(slacksim.Acme); there {
				t.Error("Slack still has the app")
			}
		})
	}
	for name, test := range map[string]struct {
		between func(s *scene)
		says    string
	}{
		"no longer an admin": {func(s *scene) {
			s.sim.AddUser(slacksim.User{ID: dana, TeamID: slacksim.Acme, Name: "dana"})
		}, notTheirs + " disconnect it."},
		"installed again meanwhile": {func(s *scene) { s.install(leon) },
			"Switchboard was connected to Acme Corp again since this window was opened, so nothing was changed."},
		"Slack refuses": {func(s *scene) {
			s.sim.Inject(slacksim.Fault{Method: "apps.uninstall", Error: "must_revoke_access"})
		},
			"It said `must_revoke_access`. It is still connected to Acme Corp."},
		"Slack is silent": {func(s *scene) {
			s.sim.Inject(slacksim.Fault{Method: "apps.uninstall", Hang: true})
		}, "we don't know whether Switchboard was removed from Acme Corp"},
		"Slack doesn't say who it is": {func(s *scene) {
			s.sim.Inject(slacksim.Fault{Method: "users.info", Hang: true})
		}, "We couldn't ask Slack whether you can do that."},
		"the database is down": {func(s *scene) { s.store.how.Store(1) }, "We can't reach our own records right now."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, storagetest.SQLite(t))
			s.command(dana, "disconnect")
			view := s.window(dana).ID
			test.between(s)
			ack, err := s.sim.SubmitView(ctx, dana, view, nil)
			if err != nil || ack.Status != http.StatusOK || ack.Took > 3*time.Second || ack.Shown != "" {
				t.Fatalf("submit: %v %d after %v %s", err, ack.Status, ack.Took, ack.Shown)
			}
			s.store.how.Store(0)
			has(t, "the window", read("", s.window(dana).Blocks), test.says)
			if c := s.connection(); c.State != connection.Active || c.Token == "" {
				t.Errorf("%s %s", c.State, c.Reason)
			}
		})
	}
}

// home opens the Home tab and returns what is in it.
func (s *scene) home(user string) string {
	s.t.Helper()
	was, _ := s.sim.Home(user)
	if err := s.sim.OpenHome(context.Background(), user, "home"); err != nil {
		s.t.Fatal(err)
	}
	var now slacksim.View
	s.wait("the Home tab", func() bool { now, _ = s.sim.Home(user); return now.Hash != was.Hash })
	var r rules
	if r.blocks(now.Blocks, 100); r.faults != nil {
		s.t.Errorf("home: %q", r.faults)
	}
	return read("", now.Blocks)
}

// The Home tab, by each kind of person, and its buttons.
func TestHomeTab(t *testing.T) {
	t.Parallel()
	s := play(t, storagetest.SQLite(t))
	ctx := context.Background()
	all := []string{"What you can do with Switchboard", theApp().Does[0], "✅ *Working* since <!date^", "Nothing to do.",
		"Checked <!date^", "Reopen this tab to refresh.", `"connection.details"`}
	for who, want := range map[string][]string{
		leon: append([]string{"Check again", "Review permissions", "Disconnect…"}, all...),
		dana: append([]string{"Check again"}, all...),
		mia:  append([]string{"!Check again", "!connection.more", "!Could you look at"}, all...),
		gus:  {"What you can do with Switchboard", "✅ *Working*.", "!Acme", `!"type":"button"`},
	} {
		home := s.home(who)
		has(t, who, home, want...)
		if strings.Index(home, "What you can do") > strings.Index(home, "*Working*") {
			t.Errorf("%s reads of the connection first: %s", who, home)
		}
	}
	press := func(action string, value ...string) slacksim.View {
		t.Helper()
		if ack, err := s.sim.PressHome(ctx, dana, action, value...); err != nil || ack.Status != http.StatusOK {
			t.Fatalf("%s: %v %d", action, err, ack.Status)
		}
		v := s.window(dana)
		if _, err := s.sim.CloseView(ctx, dana, v.ID, true); err != nil {
			t.Fatal(err)
		}
		return v
	}
	has(t, "details", read("", press(actionDetails).Blocks), "*Working* since <!date^", "!✅", "Connected by",
		"8 of 8 allowed", "Access renewal", "One connection", "Data kept", "when Slack last confirmed it", "Run by Acme IT",
		`!"type":"button"`)
	has(t, "history", read("", press(actionMore, "history").Blocks), "newest first.", "Installed. By")
	has(t, "support", read("", press(actionMore, "support").Blocks), "is run by Acme IT.", "Connection: con_")
	has(t, "permissions", read("", press(actionMore, "permissions").Blocks), "has all 8 permissions")
	for _, action := range [][]string{{actionCheck}, {actionMore, "test"}} {
		was, _ := s.sim.Home(dana)
		if ack, err := s.sim.PressHome(ctx, dana, action[0], action[1:]...); err != nil || ack.Status != http.StatusOK {
			t.Fatalf("%s: %v %d", action, err, ack.Status)
		}
		s.wait("the tab after "+action[len(action)-1], func() bool {
			now, _ := s.sim.Home(dana)
			return now.Hash != was.Hash
		})
	}
	now, _ := s.sim.Home(dana)
	has(t, "after the test", read("", now.Blocks), "The test message is in your direct messages with Switchboard, under "+
		"*Messages*.")
	// Who is no admin any more learns it from the press.
	s.sim.AddUser(slacksim.User{ID: dana, TeamID: slacksim.Acme, Name: "dana"})
	has(t, "an admin no longer", read("", press(actionMore, "permissions").Blocks), notTheirs+" use this button.")
}

// What is missing has a name, a reason and a button; what doesn't need it works.
func TestWithoutOptionalPermissions(t *testing.T) {
	t.Parallel()
	s := play(t, storagetest.SQLite(t), readsPublic, readsPrivate, "users:read")
	const page = "<https://bot.example.com/slack/install|Open the install page>"
	has(t, "status", s.command(leon, "status"), "Working, some features unavailable", "see public channels",
		"see private channels it is in", "see who is who", page)
	has(t, "permissions", s.command(leon, "permissions"), "has 5 of the 8 permissions", "*See who is who*", page)
	has(t, "channels", s.command(leon, "channels"), "can't see which channels it is in", "It can't list the public "+
		"channels it is in or list the private channels it is in: it doesn't have permission to see public channels or see "+
		"private channels it is in.", "`/invite @Switchboard`")
	// Nobody can be told from a guest, the installer neither.
	for _, who := range []string{leon, dana} {
		has(t, "the status of "+who, s.command(who, "status"), "some features unavailable", "!connection.grant",
			"!/slack/install?",
			page)
		has(t, "the details of "+who, s.command(who, "details"), "!Connected by", `!"type":"button"`, "!/slack/install?",
			page)
	}
	has(t, "an admin's permissions", s.command(dana, "permissions"), "has 5 of the 8 permissions", `!"type":"button"`)
	has(t, "the installer's history", s.command(leon, "history"), "Slack couldn't be asked whether you can see the "+
		"history.", "Allow it")
	has(t, "an admin's history", s.command(dana, "history"), "Slack couldn't be asked whether you can see the history. "+
		"Switchboard can't show admins their buttons: it doesn't have permission to see who is who.",
		"Allow it")
	has(t, "an admin's reconnect", s.command(dana, "reconnect"), "this is the link that everybody can have", page)
	has(t, "the Home tab", s.home(dana), "some features unavailable", "!connection.grant", "!connection.more", page)

	s = play(t, storagetest.SQLite(t), readsPrivate)
	has(t, "permissions", s.command(leon, "permissions"), `"action_id":"connection.grant"`,
		`"accessibility_label":"Allow Switchboard: See private channels it is in"`)
	has(t, "public channels alone", s.command(leon, "channels"), "*Public channels:* 2: #acme-birch, #general",
		"!*Private channels:*", "it doesn't have permission to see private channels it is in.", "Allow it")
}

// All pages are read, up to a bound that is said.
func TestChannelsOfMany(t *testing.T) {
	t.Parallel()
	s := play(t, storagetest.SQLite(t))
	in, _ := s.sim.Installed(slacksim.Acme)
	add := func(from, to int) {
		for i := from; i < to; i++ {
			s.sim.AddChannel(slacksim.Channel{ID: fmt.Sprintf("C0MANY%05d", i), TeamID: slacksim.Acme,
				Name: fmt.Sprintf("many-%05d", i), Members: []string{leon, in.BotUserID}})
		}
	}
	add(0, 427)
	has(t, "430", s.command(leon, "channels"), "Switchboard is in 430 channels.", "*Public channels:* 429: #acme-birch",
		"#many-00000", "and 389 more", "*Private channels:* 1: #secret-plans")
	if n := len(s.sim.Calls("users.conversations")); n != 4 {
		t.Errorf("%d calls for 430 channels and those of one person", n)
	}
	add(427, 2100)
	has(t, "2,103", s.command(leon, "channels"), "Switchboard is in at least 2000 channels.")
}

// Whatever is down, each word has an answer within Slack's 3 s, in whole sentences.
func TestWordsInTrouble(t *testing.T) {
	words := append([]string{"", "statsu"}, strings.Split(strings.Trim(usage(nil), "[]"), " | ")...)
	sentence := regexp.MustCompile(`[.?…]$`)
	for name, trouble := range map[string]struct {
		make func(s *scene)
		want map[string]string // by word; "*" is for those that have none of their own
	}{
		"no row": {func(s *scene) {
			if err := s.in.Leaving().EraseAnyway(context.Background(), s.key, connection.Person(leon)); err != nil {
				s.t.Fatal(err)
			}
			if _, err := s.db.Sweep(context.Background(), time.Now().Add(time.Hour)); err != nil {
				s.t.Fatal(err)
			}
		}, map[string]string{"status": "Not connected", "channels": "isn't connected here",
			"reconnect": "<https://bot.example.com/slack/install|Open the page for that>",
			"history":   "Switchboard isn't connected here.", "permissions": "Not connected",
			"disconnect": "isn't connected to this workspace, so there is nothing to disconnect",
			"test":       "Switchboard isn't connected here.", "support": "State: not_connected"}},
		"dead access": {func(s *scene) {
			if _, err := s.db.Update(context.Background(), s.key, func(c *connection.Connection) error {
				c.Erase(connection.ReconnectRequired, connection.ReasonTokenRevoked, time.Now())
				return nil
			}); err != nil {
				s.t.Fatal(err)
			}
		}, map[string]string{"status": "Its access was withdrawn in Slack.", "check": "Needs reconnecting",
			"channels": "Switchboard needs reconnecting.", "permissions": "permissions", "support": "Reason: token_revoked"}},
		"the database is gone": {func(s *scene) { s.store.how.Store(1) }, map[string]string{"*": "We can't reach our own " +
			"records right now.", "help": "Here is what", "statsu": "I don't know", "support": "Reason: records_unavailable"}},
		"the database is silent": {func(s *scene) { s.store.how.Store(2) }, map[string]string{"*": "We can't reach our own " +
			"records right now.", "help": "Here is what", "statsu": "I don't know", "support": "Reason: records_unavailable"}},
		"Slack is silent": {func(s *scene) {
			s.silent = true
			s.sim.Inject(slacksim.Fault{Hang: true})
		}, nil},
		"Slack answers 500": {func(s *scene) { s.sim.Inject(slacksim.Fault{Status: 500}) }, nil},
		"Slack wants less":  {func(s *scene) { s.sim.Inject(slacksim.Fault{RetryAfter: 30}) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, storagetest.SQLite(t))
			trouble.make(s)
			var all sync.WaitGroup
			for _, who := range []string{leon, dana, mia} {
				for _, w := range words {
					all.Go(func() {
						reply, err := s.sim.Command(context.Background(), who, general, strings.TrimSpace("/connection "+w))
						if err != nil || reply.Status != http.StatusOK || reply.Took > 3*time.Second {
							t.Errorf("%s by %s: %v %d after %v", w, who, err, reply.Status, reply.Took)
							return
						}
						if strings.Contains(reply.Text, "This takes longer than Slack lets me wait") ||
							!sentence.MatchString(reply.Text) && len(s.sim.OpenViews(who)) == 0 {
							t.Errorf("%s by %s: %q", w, who, reply.Text)
						}
						s.fits(w, reply.Message)
						want := cmp.Or(trouble.want[w], trouble.want["*"])
						if who == leon || strings.HasPrefix(name, "the database") {
							has(t, w+" by "+who, read(reply.Text, reply.Message.Blocks), want)
						}
					})
				}
			}
			all.Wait()
		})
	}
}

// Slack is asked about one connection every 10 seconds at most, by all processes together; status asks each time.
func TestCheckIsSparing(t *testing.T) {
	for name, database := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, database(t))
			asked := func() int { return len(s.sim.Calls("auth.test")) }
			before := asked()
			has(t, "the first", s.command(leon, "check"), "✅ *Working*", "Checked with Slack just now.")
			if n := asked() - before; n != 1 {
				t.Errorf("the first check asked %d times", n)
			}
			has(t, "the second", s.command(dana, "check"), "Slack was asked less than 10 seconds ago and last "+
				"confirmed it <!date^", "Ask again in 10 seconds.", "!just now", "!✅")
			s.command(dana, "details")
			before = asked()
			m, _ := s.last(general, dana)
			if _, err := s.sim.Press(context.Background(), dana, general, m.TS, actionCheck); err != nil {
				t.Fatal(err)
			}
			s.wait("the button's answer", func() bool {
				m, _ := s.last(general, dana)
				return strings.Contains(m.Text, "Ask again in 10 seconds.")
			})
			other, err := install.New(install.Config{App: theApp(), SlackURL: s.sim.URL(), PublicURL: "https://bot.example.com",
				Store: s.db})
			if err != nil {
				t.Fatal(err)
			}
			if other.Connections().MayRecheck(context.Background(), s.connection()) || asked() != before {
				t.Errorf("another process may ask, too; Slack was asked %d times", asked()-before)
			}
			has(t, "status", s.command(leon, "status"), "Checked with Slack just now.")
		})
	}
}

// Facts that are looked up for a status.
func TestStatusTellsWhatChanged(t *testing.T) {
	t.Parallel()
	s := play(t, storagetest.SQLite(t))
	s.sim.AddUser(slacksim.User{ID: leon, TeamID: slacksim.Acme, Name: "leon", Deleted: true})
	if _, err := s.db.Update(context.Background(), s.key, func(c *connection.Connection) error {
		c.Note(connection.Change{At: time.Now(), By: connection.Actor{Kind: connection.BySlack},
			What: connection.DidPermissions, Outcome: connection.OutcomeDone, Reason: "-team:read"})
		c.LastEventAt = time.Now().Add(-100 * time.Hour)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	has(t, "details", s.command(mia, "details"), "They have left, but the connection doesn't depend on them",
		"*Permissions changed*", "According to Slack.")
	has(t, "permissions", s.command(mia, "permissions"), "Last changed", "No longer allowed: see the workspace's name "+
		"and icon.")
}

func TestSlips(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"status", "status", 0}, {"statsu", "status", 1}, {"hlep", "help", 1},
		{"premissions", "permissions", 1}, {"discconect", "disconnect", 2}, {"tst", "test", 1}, {"testt", "test", 1},
		{"", "abc", 3}, {"abc", "", 3}, {"ca", "abc", 3}, {"größe", "grösse", 2}} {
		if got := edlib.OSADamerauLevenshteinDistance(test.a, test.b); got != test.want {
			t.Errorf("the distance of %q and %q is %d, want %d", test.a, test.b, got, test.want)
		}
	}
	for typed, want := range map[string]string{"statsu": "status", "hlep": "help", "halp": "help",
		"premissions": "permissions", "permisions": "permissions", "discconect": "disconnect", "diconnect": "disconnect",
		"uninstal": "disconnect", "chanels": "channels", "channles": "channels", "histroy": "history",
		"recconect": "reconnect", "chekc": "check", "tset": "test", "suport": "support", "xyzzy": "", "a": "",
		"frobnicate": ""} {
		if w, _ := nearest(nil, typed); w.name != want {
			t.Errorf("%s is near %q, want %q", typed, w.name, want)
		}
	}
}

// One word means one thing, whatever is said around it.
func TestFind(t *testing.T) {
	for said, want := range map[string]string{"is it working": "status", "hi": "hello", "hi is it working": "status",
		"help disconnect": "help", "how do I uninstall it": "disconnect", "show me the history": "history",
		"STATUS": "status", "is this a test": "", "test": "test", "what may it do": "",
		"which channels are you in": "channels", "thanks": "thanks", "hello help": "help"} {
		w, _, _ := lookupWord(nil, strings.Fields(said))
		if w.name != want {
			t.Errorf("%q is %q, want %q", said, w.name, want)
		}
	}
	seen := map[string]string{}
	for _, w := range vocabulary(nil) {
		for _, name := range append([]string{w.typed}, w.also...) {
			if seen[name] != "" {
				t.Errorf("%s means %s and %s", name, seen[name], w.name)
			}
			seen[name] = w.name
		}
		if w.answer == nil || w.typed == "" {
			t.Errorf("%s is not whole", w.name)
		}
	}
	for _, action := range []string{"check", "test", "permissions", "disconnect", "history", "support"} { // behind buttons
		if _, ok := getWord(nil, action); !ok {
			t.Errorf("a button stands for %s", action)
		}
	}
}

// What Slack refuses is told in words, with its code only where there are none.
func TestWhatSlackSaid(t *testing.T) {
	turn := turnOf(t, "U1", historyStore{})
	for want, err := range map[string]error{
		"I'm not in that channel. Type `/invite @Switch &amp; board` there.": slack.SlackErrorResponse{
			Err: "not_in_channel"},
		"Your workspace's rules stop this. An admin can change that.": slack.SlackErrorResponse{
			Err: "restricted_action"},
		"it doesn't have permission to see who is who.": fmt.Errorf("ask: %w",
			slack.SlackErrorResponse{Err: "missing_scope"}),
		"Slack asked us to slow down. Try again in 30 seconds.": &slack.RateLimitedError{
			RetryAfter: 30 * time.Second},
		"Slack asked us to slow down. Try again in 10 minutes.": &slack.RateLimitedError{
			RetryAfter: 10 * time.Minute},
		"Slack didn't answer in time.": context.DeadlineExceeded,
		"The app was removed from this workspace, or the workspace was closed.": slack.SlackErrorResponse{
			Err: "account_inactive"},
		"Slack said `zombie_apocalypse`.": slack.SlackErrorResponse{
			Err: "zombie_apocalypse"},
		"Your workspace's rules stop this: it is being moved into an organisation": slack.SlackErrorResponse{
			Err: "org_login_required"},
	} {
		if got := slackSaid(turn, err, "users:read"); !strings.Contains(got, want) {
			t.Errorf("%v: %s", err, got)
		}
	}
}

// Text with markup is never cut in the middle of it.
func TestCut(t *testing.T) {
	for _, s := range []string{strings.Repeat("&amp;", 50), strings.Repeat("x <https://a.b/c|d> ", 20),
		strings.Repeat("`code` ", 40), "```" + strings.Repeat("x", 200) + "```", strings.Repeat("<!date^1^{date}|x>", 20)} {
		for most := 20; most < 60; most++ {
			got := mrkdwn.Cut(s, most)
			var r rules
			if r.marked("text", got); r.faults != nil || len([]rune(got)) > most {
				t.Errorf("%d of %.30q: %q %q", most, s, got, r.faults)
			}
		}
	}
	var r rules
	if r.marked("text", mrkdwn.Text(strings.Repeat("x&amp;", 1000)).Text); r.faults != nil {
		t.Errorf("%q", r.faults)
	}
	if got := mrkdwn.Cut("short & whole", 20); got != "short & whole" {
		t.Error(got)
	}
}
