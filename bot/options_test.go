package bot

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// newBot is what New says of these handlers.
func newBot(log *lockedBuffer, handlers ...Handler) error {
	in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: noStore{}})
	if err != nil {
		return err
	}
	cfg := Config{Install: in, AppID: "A1", SigningSecrets: []connection.Secret{"s"}, Handlers: handlers,
		Timers: NoTimers{}}
	if log != nil {
		cfg.Log = textLog(log)
	}
	_, err = New(cfg)
	return err
}

// oneOf is a handler of a kind, "async …" a durable one.
func oneOf(kind string, options ...Option) Handler {
	with := func(o Option) []Option { return append([]Option{o}, options...) }
	switch kind {
	case "event":
		return OnEvent("reaction_added", func(context.Context, *Event[struct{}]) error { return nil },
			with(Scopes("reactions:read"))...)
	case "message":
		return OnMessage("^x", func(context.Context, *Message) error { return nil }, with(Scopes("im:history"))...)
	case "mention":
		return OnMention("^x", func(context.Context, *Message) error { return nil }, options...)
	case "action":
		return OnAction("x", func(context.Context, *Action) error { return nil }, options...)
	case "async action":
		return OnActionAsync("x", func(context.Context, *AsyncAction) error { return nil }, options...)
	case "view":
		return OnViewSubmission("x", func(context.Context, *Submission) error { return nil }, options...)
	case "async view":
		return OnViewSubmissionAsync("x", func(context.Context, *AsyncSubmission) error { return nil }, options...)
	case "view_closed":
		return OnViewClosed("x", func(context.Context, *ViewClosed) error { return nil }, options...)
	case "options":
		return OnOptions("x", func(context.Context, *Options) error { return nil }, options...)
	case "shortcut":
		return OnShortcut("x", func(context.Context, *Shortcut) error { return nil }, with(Titled("x", "x"))...)
	case "message_shortcut":
		return OnMessageShortcut("x", func(context.Context, *Shortcut) error { return nil }, with(Titled("x", "x"))...)
	case "function":
		return OnFunction("x", func(context.Context, *Function[struct{}]) error { return nil }, with(Titled("x", "x"))...)
	case "link":
		return OnLink("example.com", func(context.Context, *Link) error { return nil }, options...)
	case "home":
		return OnHomeOpened(func(context.Context, *Home) error { return nil }, options...)
	case "timer":
		return OnTimer("x", func(context.Context, *Timer) error { return nil }, options...)
	case "every":
		return Every(time.Hour, func(context.Context, *Timer) error { return nil }, options...)
	case "agent_message":
		return OnAgentMessage("", func(context.Context, *Thread) error { return nil }, options...)
	case "agent_stopped":
		return OnAgentStopped(func(context.Context, *Thread) error { return nil }, options...)
	case "async command":
		return OnCommandAsync("/x", func(context.Context, *AsyncCommand) error { return nil },
			with(Describe("x", ""))...)
	}
	return OnCommand("/x", func(context.Context, *Command) error { return nil }, with(Describe("x", ""))...)
}

// Each option on each kind of handler is taken where it does something, and refused where it does nothing.
func TestOptionsByKind(t *testing.T) {
	t.Parallel()
	opens := func(context.Context, *Request) (slack.ModalViewRequest, error) { return slack.ModalViewRequest{}, nil }
	const async = "async command|async action|async view"
	const events = "event|message|mention|function|link|home"
	const all = events + "|command|action|view|view_closed|shortcut|message_shortcut|options|timer|every|" +
		"agent_message|agent_stopped|" + async
	options := map[string]struct {
		add   Option
		suits string // the kinds for which it does something
	}{
		"WithoutConnection": {WithoutConnection(), all},
		"OptionalScopes":    {OptionalScopes("files:read"), all},
		"UserScopes":        {UserScopes("files:read"), all},
		"External":          {External(), "action|view|view_closed|options|async action|async view"},
		"OpensModal":        {OpensModal(opens), async},
		"Timeout":           {Timeout(time.Hour), all},
		"Ordered":           {Ordered(), events + "|" + async},
		"Titled":            {Titled("x", "x"), "shortcut|message_shortcut|function"},
		"Outputs":           {Outputs(Parameter{Name: "id", Type: "string"}), "function"},
		"Named":             {Named("x"), "every"},
		"WhileBusy":         {WhileBusy(Join), "agent_message"},
		"Describe":          {Describe("x", ""), "command|async command"},
		"Bots":              {Bots(), "message|mention|agent_message"},
		"Edits":             {Edits(), "message|mention"},
		"Deletions":         {Deletions(), "message"},
		"InBlock":           {InBlock("b"), "action|options|async action"},

		// Options that do nothing anywhere.
		"Timeout of nothing":  {Timeout(0), ""},
		"Timeout in the past": {Timeout(-time.Second), ""},
		"OpensModal of nil":   {OpensModal(nil), ""},
		"InBlock of no name":  {InBlock(""), ""},
		"OptionalScopes of what it has": {func(h *Handler) {
			Scopes("chat:write")(h)
			OptionalScopes("chat:write")(h)
		}, ""},
	}
	for name, o := range options {
		for kind := range strings.SplitSeq(all, "|") {
			suits := slices.Contains(strings.Split(o.suits, "|"), kind)
			err := newBot(nil, oneOf(kind, o.add))
			if suits && err != nil {
				t.Errorf("%s on %s: %v", name, kind, err)
			}

			option, _, _ := strings.Cut(name, " ")
			if !suits && (err == nil || !strings.Contains(err.Error(), option+" does nothing")) {
				t.Errorf("%s on %s does nothing, and New says: %v", name, kind, err)
			}
		}
	}

	if h := oneOf("view"); newBot(nil, Handler{Kind: h.Kind, Name: h.Name, About: "x", run: h.run}) == nil {
		t.Error("a form with a description is taken")
	}
}

// A handler that nothing ever comes to is refused, with what was meant where that is clear; one of a name that Slack
// may have is let through, with a word.
func TestNamesThatNeverCome(t *testing.T) {
	t.Parallel()
	event := func(name string, scopes ...string) Handler {
		return OnEvent(name, func(context.Context, *Event[struct{}]) error { return nil }, Scopes(scopes...))
	}
	action := func(id string) Handler { h := oneOf("action"); h.Name = id; return h }
	message := func(pattern string, scopes ...string) Handler {
		return OnMessage(pattern, func(context.Context, *Message) error { return nil }, Scopes(scopes...))
	}
	hears := func(pattern string, option Option) Handler {
		h := message(pattern, "im:history")
		option(&h)
		return h
	}
	shortcut := func(id, title, about string) Handler {
		return OnShortcut(id, func(context.Context, *Shortcut) error { return nil }, Titled(title, about))
	}
	step := func(id, title string) Handler {
		return OnFunction(id, func(context.Context, *Function[struct{}]) error { return nil }, Titled(title, "Opens it."))
	}
	inBlock := func(id, block string) Handler {
		h := actionNamed(id)
		InBlock(block)(&h)
		return h
	}
	for name, test := range map[string]struct {
		handlers []Handler
		refused  string // "": taken
		logged   string
	}{
		"a plural":                  {[]Handler{event("app_mentions")}, "app_mention?", ""},
		"a letter missing":          {[]Handler{event("reaction_aded")}, "reaction_added?", ""},
		"the present":               {[]Handler{event("member_join_channel")}, "member_joined_channel?", ""},
		"in capitals":               {[]Handler{event("App_Mention")}, "app_mention?", ""},
		"with a hyphen":             {[]Handler{event("team-join")}, "team_join?", ""},
		"with a space":              {[]Handler{event("team_join ")}, "team_join?", ""},
		"empty":                     {[]Handler{event("")}, "lower-case letters", ""},
		"an unknown one with a dot": {[]Handler{event("news.letters")}, "lower-case letters", ""},
		"a subscription":            {[]Handler{event("message.im")}, "OnMessage with the scope im:history", ""},
		"another subscription": {[]Handler{event("message.channels")}, "OnMessage with the scope channels:history",
			""},
		"a message":              {[]Handler{event("message")}, "use OnMessage", ""},
		"a subtype":              {[]Handler{event("message_changed")}, "message of that subtype", ""},
		"of the old interface":   {[]Handler{event("user_typing")}, "RTM", ""},
		"of the envelope":        {[]Handler{event("url_verification")}, "isn't an event", ""},
		"a press":                {[]Handler{event("block_actions")}, "OnAction", ""},
		"without its permission": {[]Handler{event("message_metadata_posted")}, "metadata.message:read", ""},
		"without either permission": {[]Handler{event("member_left_channel", "chat:write")},
			"channels:read or groups:read", ""},
		"several without their permission": {[]Handler{event("reaction_*", "pins:read")}, "none of these comes", ""},
		"with one of them":                 {[]Handler{event("member_left_channel", "groups:read")}, "", ""},
		"without an access":                {[]Handler{event("tokens_revoked")}, "", ""},
		"new to us":                        {[]Handler{event("canvas_opened")}, "", `handler="event canvas_opened"`},
		"known":                            {[]Handler{event("user_huddle_changed", "users:read")}, "", ""},
		"an id of blanks":                  {[]Handler{action("  ")}, "space around the id", ""},
		"an id with a blank":               {[]Handler{action("x ")}, "space around the id", ""},
		"a long id":                        {[]Handler{action(strings.Repeat("x", 256))}, "1 to 255", ""},
		"a long id of two bytes a letter":  {[]Handler{action(strings.Repeat("ä", 255))}, "", ""},
		"several ids":                      {[]Handler{action("vote.*")}, "", ""},
		"a pattern of no text":             {[]Handler{message(`hello^`, "im:history")}, "no text matches", ""},
		"behind one that takes all": {[]Handler{message(`.*`, "im:history"), message(`^help`, "im:history")},
			`never runs, because ".*"`, ""},
		"behind one that takes its texts": {[]Handler{message(`^help`, "im:history"), message(`^help me`, "im:history")},
			"never runs", ""},
		"behind one that hears no bots":      {[]Handler{message(`.*`, "im:history"), hears(`^help`, Bots())}, "", ""},
		"behind one that hears no edits":     {[]Handler{message(`.*`, "im:history"), hears(`^help`, Edits())}, "", ""},
		"behind one that hears no deletions": {[]Handler{message(`.*`, "im:history"), hears(`^help`, Deletions())}, "", ""},
		"behind an empty pattern": {[]Handler{message(``, "im:history"), message(`(?s).+`, "im:history")},
			"never runs", ""},
		"behind one of another block": {[]Handler{inBlock("v*", "a"), inBlock("vo*", "b"), actionNamed("vo*")}, "", ""},
		"behind one of its block":     {[]Handler{inBlock("v*", "a"), inBlock("vo*", "a")}, "never runs", ""},
		"a pattern of no id":          {[]Handler{actionNamed(`^x^y`)}, "no name matches", ""},
		"a shortcut without an id":    {[]Handler{shortcut("", "Do it", "Does it.")}, "1 to 255 characters", ""},
		"a shortcut without a title":  {[]Handler{shortcut("x", "", "Does it.")}, "Titled", ""},
		"a shortcut without words":    {[]Handler{shortcut("x", "Do it", "")}, "Titled", ""},
		"a shortcut of a long title":  {[]Handler{shortcut("x", strings.Repeat("ä", 25), "Does it.")}, "24 characters", ""},
		"a shortcut of many words":    {[]Handler{shortcut("x", "Do it", strings.Repeat("x", 151))}, "150", ""},
		"a shortcut at the limits":    {[]Handler{shortcut("x", strings.Repeat("ä", 24), strings.Repeat("x", 150))}, "", ""},
		"a domain with its scheme": {[]Handler{OnLink("https://example.com", func(context.Context, *Link) error {
			return nil
		})}, "without a scheme", ""},
		"a step of an odd name":  {[]Handler{step("open it", "Open")}, "letters, digits, _ and -", ""},
		"a step without a title": {[]Handler{step("open", "")}, "Titled", ""},
		"made by hand":           {[]Handler{{Kind: KindAction, Name: "x"}}, "no function that runs", ""},
		"before it":              {[]Handler{message(`^help me`, "im:history"), message(`^help`, "im:history")}, "", ""},
		"behind one elsewhere":   {[]Handler{message(`.*`, "im:history"), message(`^help`, "channels:history")}, "", ""},
		"behind one in a part": {[]Handler{message(`.*`, "im:history"), message(`^help`, "im:history", "channels:history")},
			"", ""},
		"behind two together": {[]Handler{message(`.*`, "im:history"), message(`^`, "channels:history"),
			message(`^help`, "im:history", "channels:history")}, "never runs", ""},
	} {
		log := &lockedBuffer{}
		err := newBot(log, test.handlers...)
		if test.refused == "" && err != nil || test.refused != "" &&
			(err == nil || !strings.Contains(err.Error(), test.refused)) {
			t.Errorf("%s: %v, want %q", name, err, test.refused)
		}
		if said := log.String(); test.logged == "" && said != "" || !strings.Contains(said, test.logged) {
			t.Errorf("%s: logged %q, want %q", name, said, test.logged)
		}
	}
}

// Types of events are told apart by more than a slip: none that Slack has is taken for another.
func TestEventsAreNoneOfTheOthers(t *testing.T) {
	t.Parallel()
	for known, need := range eventScopes {
		if known == "app_mention" { // OnMention's
			continue
		}
		if why := neverEvents[known]; why != "" {
			t.Errorf("%s is in both lists", known)
		}
		h := OnEvent(known, func(context.Context, *Event[struct{}]) error { return nil },
			Scopes(strings.Fields(need)...), WithoutConnection())
		if err := newBot(nil, h); err != nil {
			t.Error(err)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: noStore{}})
	if err != nil {
		t.Fatal(err)
	}
	for want, cfg := range map[string]Config{
		"no installer":          {SigningSecrets: []connection.Secret{"s"}},
		"no signing secret":     {Install: in},
		"empty signing secret":  {Install: in, SigningSecrets: []connection.Secret{"s", ""}},
		"without an AppToken":   {Install: in, SigningSecrets: []connection.Secret{"s"}, Sockets: 2},
		"Slack allows an app 1": {Install: in, AppToken: "xapp-1", Sockets: 11},
		"which app a shortcut is of, so Config.AppID has to": {Install: in, SigningSecrets: []connection.Secret{"s"},
			Handlers: []Handler{OnShortcut("new", nil, Titled("New", "Makes one"))}},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A Bot for Socket Mode whose RunSockets nobody has called says so.
func TestSocketsForgotten(t *testing.T) {
	for _, test := range []struct {
		token  connection.Secret
		runs   bool
		wanted bool
	}{{"xapp-1", false, true}, {"xapp-1", true, false}, {"", false, false}} {
		synctest.Test(t, func(t *testing.T) {
			b, log := loggedBot(t, func(c *Config) { c.AppToken = test.token })
			ctx, cancel := context.WithCancel(context.Background())
			if test.runs {
				ended, end := context.WithCancel(ctx)
				end()
				if err := b.RunSockets(ended); err != nil {
					t.Error(err)
				}
			}
			ended := make(chan error)
			go func() { ended <- b.Run(ctx) }()
			time.Sleep(time.Minute)
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if said := strings.Contains(log.String(), "nobody has called the Bot's RunSockets"); said != test.wanted {
				t.Errorf("token %v, runs %v: said %v", test.token != "", test.runs, said)
			}
		})
	}
}
