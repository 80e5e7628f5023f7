package bot

// Which handler gets what, what runs around it, and what New and the manifest make of the handlers.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/connection"
)

// onAll are the routes of handlers.
func onAll(t *testing.T, handlers ...Handler) routes {
	t.Helper()
	r, problems := newRoutes(handlers, nil)
	if err := errors.Join(problems...); err != nil {
		t.Fatal(err)
	}
	return r
}

func listens(pattern string, options ...Option) Handler {
	return OnMessage(pattern, func(context.Context, *Message) error { return nil },
		append(options, Scopes("channels:history", "im:history"))...)
}

func mentionOf(pattern string, options ...Option) Handler {
	return OnMention(pattern, func(context.Context, *Message) error { return nil }, options...)
}

func eventNamed(name string, scopes ...string) Handler {
	return OnEvent(name, func(context.Context, *Event[struct{}]) error { return nil }, Scopes(scopes...))
}

// Of all handlers an event comes to one, by its type, subtype, pattern, text and author.
func TestWhichHandlerGetsAnEvent(t *testing.T) {
	t.Parallel()
	link := func(domain string) Handler {
		return OnLink(domain, func(context.Context, *Link) error { return nil })
	}
	r := onAll(t, eventNamed("reaction_added", "reactions:read"), eventNamed("reaction_*", "reactions:read"),
		eventNamed("^(pin|star)_added$", "pins:read"), eventNamed("message.channel_topic", "channels:history"),
		listens(`^order (\d+)$`), listens(`^bots`, Bots()), listens(`^edit`, Edits()), listens(`^gone`, Deletions()),
		mentionOf(`^order (\d+)$`), mentionOf(`^fixed`, Edits()), link("tickets.example.com"),
		OnHomeOpened(func(context.Context, *Home) error { return nil }),
		OnFunction("step", func(context.Context, *Function[struct{}]) error { return nil }, Titled("Step", "A step.")))

	const in = `"user":"U1","channel":"C1","channel_type":"channel","ts":"1.1"`
	const edited = `{"type":"message","subtype":"message_changed","channel":"C1","channel_type":"channel",` +
		`"previous_message":{"user":"U1","text":"was"},"message":{"user":"U1","text":"edit this","edited":{"ts":"2"}}}`
	for body, want := range map[string]string{
		`{"type":"reaction_added"}`:   "event reaction_added",
		`{"type":"reaction_removed"}`: "event reaction_* [reaction_]",
		`{"type":"pin_added"}`: "event ^(pin|star)_added$ " +
			"[pin_added pin]",
		`{"type":"pin_removed"}`:                                  "",
		`{"type":"message","subtype":"channel_topic",` + in + `}`: "event message.channel_topic",
		`{"type":"message","subtype":"channel_name",` + in + `}`:  "",
		`{"type":"message","text":"order 66",` + in +
			`}`: `message ^order (\d+)$ [order 66 66]`,
		`{"type":"message","text":"order now",` + in + `}`:                               "",
		`{"type":"message","text":"<@UBOT> order 7",` + in + `}`:                         "",
		`{"type":"app_mention","text":"<@UBOT> order 7",` + in + `}`:                     `mention ^order (\d+)$ [order 7 7]`,
		`{"type":"app_mention","text":"<@UBOT> fixed","edited":{"ts":"2"},` + in + `}`:   "mention ^fixed [fixed]",
		`{"type":"app_mention","text":"<@UBOT> order 7","edited":{"ts":"2"},` + in + `}`: "",
		`{"type":"message","text":"order 66","bot_id":"B9",` + in + `}`:                  "",
		`{"type":"message","text":"bots","bot_id":"B9",` + in + `}`:                      "message ^bots [bots]",
		edited: "message ^edit [edit]",
		strings.Replace(edited, "was", "edit this", 1):      "", // it only shows a link
		strings.Replace(edited, "edit this", "order 66", 1): "",
		`{"type":"message","subtype":"message_deleted","channel":"C1","channel_type":"channel",` +
			`"previous_message":{"user":"U1","text":"gone"}}`: "message ^gone [gone]",
		`{"type":"message","subtype":"message_deleted","channel":"C1","channel_type":"channel",` +
			`"previous_message":{"user":"U1","text":"order 66"}}`: "",
		`{"type":"message","subtype":"message_changed","channel":"C1","channel_type":"channel",` + // a thread's root
			`"previous_message":{"user":"U1","text":"gone"},"message":{"subtype":"tombstone"}}`: "message ^gone [gone]",
		`{"type":"message","text":"gone","hidden":true,` + in + `}`:           "",
		`{"type":"link_shared","links":[{"domain":"x.tickets.example.com"}]}`: "link tickets.example.com",
		`{"type":"link_shared","links":[{"domain":"mytickets.example.com"}]}`: "",
		`{"type":"app_home_opened","tab":"home"}`:                             "home",
		`{"type":"app_home_opened","tab":"messages"}`:                         "",
		`{"type":"function_executed","function":{"callback_id":"step"}}`:      "function step",
		`{"type":"function_executed","function":{"callback_id":"other"}}`:     "",
	} {
		e, err := decodeEnvelope([]byte(`{"type":"event_callback","event_id":"E","event":` + body + `}`))
		if err != nil {
			t.Fatal(err)
		}
		h, match := r.route(e.Inner.Type, &e.Inner, "UBOT")
		got := h.id()
		if len(match) > 0 {
			got += fmt.Sprint(" ", match)
		}
		if got != want {
			t.Errorf("%s comes to %q, want %q", body, got, want)
		}
	}
}

// A handler of exactly one id goes before those of several, and one of a block before one of any.
func TestWhichHandlerGetsAPress(t *testing.T) {
	t.Parallel()
	action := func(id string, options ...Option) Handler {
		return OnAction(id, func(context.Context, *Action) error { return nil }, options...)
	}
	shortcut := func(on func(string, func(context.Context, *Shortcut) error, ...Option) Handler, id string) Handler {
		return on(id, func(context.Context, *Shortcut) error { return nil }, Titled("Do it", "Does it."))
	}
	r := onAll(t, action("vote.up"), action("vote.*"), action("^poll_(\\d)$"), action("vote.up", InBlock("row")),
		action("in.*", InBlock("row")), OnViewSubmission("order.*", func(context.Context, *Submission) error { return nil }),
		OnViewClosed("order.new", func(context.Context, *ViewClosed) error { return nil }),
		OnOptions("menu", func(context.Context, *Options) error { return nil }, InBlock("row")),
		shortcut(OnShortcut, "x"), shortcut(OnMessageShortcut, "x"))
	pressed := func(id, block string) string {
		return fmt.Sprintf(`{"type":"block_actions","actions":[{"action_id":%q,"block_id":%q}]}`, id, block)
	}
	for body, want := range map[string]string{
		pressed("vote.up", "b"):   "action vote.up",
		pressed("vote.up", "row"): "action vote.up in row",
		pressed("vote.down", "b"): "action vote.*",
		pressed("vote", "b"):      "",
		pressed("voteXup", "b"):   "",
		pressed("a vote.up", "b"): "",
		`{"type":"block_actions","actions":[{"action_id":"other"},{"action_id":"poll_2"}]}`: "action ^poll_(\\d)$",
		pressed("poll_1", "b"): "action ^poll_(\\d)$",
		pressed("poll_x", "b"): "",
		pressed("in.x", "row"): "action in.* in row",
		pressed("in.x", "b"):   "",
		`{"type":"view_submission","view":{"callback_id":"order.new"}}`:   "view order.*",
		`{"type":"view_closed","view":{"callback_id":"order.new"}}`:       "view_closed order.new",
		`{"type":"view_closed","view":{"callback_id":"order.old"}}`:       "",
		`{"type":"shortcut","callback_id":"x"}`:                           "shortcut x",
		`{"type":"message_action","callback_id":"x"}`:                     "message_shortcut x",
		`{"type":"block_suggestion","action_id":"menu","block_id":"row"}`: "options menu in row",
		`{"type":"block_suggestion","action_id":"menu","block_id":"b"}`:   "",
	} {
		var i interaction
		if err := json.Unmarshal([]byte(body), &i); err != nil {
			t.Fatal(err)
		}
		if got := r.pressed(&i).id(); got != want {
			t.Errorf("%s comes to %q, want %q", body, got, want)
		}
	}
}

// typeIn is what a Bot answers a command with.
func typeIn(t *testing.T, b *Bot, command, text string) string {
	t.Helper()
	a, err := b.acceptCommand(t.Context(), url.Values{"command": {command}, "text": {text}, "team_id": {"T1"},
		"user_id": {"U1"}, "channel_id": {"C1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var m shown
	if len(a.Body) > 0 {
		if err := json.Unmarshal(a.Body, &m); err != nil {
			t.Fatal(err)
		}
	}
	return m.Text
}

type shown struct{ Text string }

// A command's text leads to its longest subcommand, with the rest as words; help and what isn't known are answered from
// the descriptions.
func TestSubcommands(t *testing.T) {
	t.Parallel()
	sub := func(name, usage string) Handler {
		return OnCommand(name, func(ctx context.Context, c *Command) error {
			return c.Respond(ctx, Text(fmt.Sprintf("%s %q", name, c.Args)))
		}, Describe("Runs "+name, usage), WithoutConnection())
	}
	async := OnCommandAsync("/standup report", func(context.Context, *AsyncCommand) error { return nil },
		Describe("Reports", ""))
	b, _ := loggedBot(t, nil, sub("/standup new", "[name]"), sub("/standup new daily", ""), async,
		OnCommand("/standup", nil, Describe("Runs standups.", "")), sub("/poll close", ""), sub("/poll", ""),
		sub("/faq help", ""), sub("/faq", ""), sub("/lone", ""))
	const help = "Runs standups. This is what you can type after /standup:\n• `/standup new [name]`: Runs /standup new\n" +
		"• `/standup new daily`: Runs /standup new daily\n• `/standup report`: Reports"
	for _, test := range [][3]string{
		{"/standup", "new Team", `/standup new ["Team"]`},
		{"/standup", `NEW  "Team One" “and two” x`, `/standup new ["Team One" "and two" "x"]`},
		{"/standup", "new daily 9:00", `/standup new daily ["9:00"]`},
		{"/standup", "new\tdaily\n9:00", `/standup new daily ["9:00"]`},
		{"/standup", "new dailyish", `/standup new ["dailyish"]`},
		{"/standup", "help", help},
		{"/standup", "", help},
		{"/standup", "bogus <x>", "I don't know “bogus”. " + help},
		{"/standup", "<!here> x", "I don't know “&lt;!here&gt;”. " + help},
		{"/faq", "help", `/faq help []`},
		{"/lone", "help", `/lone ["help"]`},
		{"/poll", "lunch?", `/poll ["lunch?"]`},
		{"/poll", "close 3", `/poll close ["3"]`},
		{"/poll", "help", "This is what you can type after /poll:\n• `/poll close`: Runs /poll close\n• `/poll`: Runs /poll"},
		{"/other", "", "This app doesn't know that command."},
	} {
		if got := typeIn(t, b, test[0], test[1]); got != test[2] {
			t.Errorf("%s %s: %q, want %q", test[0], test[1], got, test[2])
		}
	}
	if h := b.routes.command("/standup", "report now"); h == nil || !h.async {
		t.Errorf("a durable subcommand: %s", h.id())
	}
}

// Middleware goes around every handler, the app's outside of the handler's own, and is made once for each. OnError sees
// what is left of the errors, panics too.
func TestMiddlewareAndOnError(t *testing.T) {
	t.Parallel()
	var order []string
	made := 0
	note := func(name string) Middleware {
		return func(next Next) Next {
			made++
			return func(ctx context.Context, r *Request) error {
				order = append(order, name)
				err := next(ctx, r)
				order = append(order, "/"+name)
				return err
			}
		}
	}
	command := func(name string, run func() error, options ...Option) Handler {
		return OnCommand(name, func(ctx context.Context, c *Command) error {
			order = append(order, c.Handler())
			if err := run(); err != nil {
				return err
			}
			return c.Respond(ctx, Text("Done."))
		}, append(options, Describe("x", ""), WithoutConnection())...)
	}
	bad := errors.New("out of luck")
	b, _ := loggedBot(t, func(c *Config) {
		c.Use = []Middleware{note("app")}
		c.OnError = func(_ context.Context, r *Request, err error) error {
			order = append(order, "error of "+r.Handler())
			switch {
			case errors.Is(err, bad):
				return nil
			case err.Error() == "break the hook":
				panic("out of luck")
			case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errTooLong):
				t.Errorf("a limit that is over is told as %v", err)
			}
			return err
		}
	}, command("/ok", func() error { return nil }, Use(note("outer"), note("inner"))),
		command("/bad", func() error { return bad }), command("/panics", func() error { panic("out of luck") }),
		command("/no", func() error { return nil }, Use(OnlyIn("T2"))),
		command("/here", func() error { return nil }, Use(OnlyIn("T1"))),
		command("/often", func() error { return nil }, Use(RateLimit(2, time.Hour))),
		OnCommand("/slow", func(ctx context.Context, c *Command) error {
			order = append(order, c.Handler())
			<-ctx.Done()
			return ctx.Err()
		}, Describe("x", ""), WithoutConnection(), Timeout(time.Millisecond)),
		command("/hook", func() error { return errors.New("break the hook") }),
		OnCommand("/both", func(ctx context.Context, c *Command) error {
			return errors.Join(c.Respond(ctx, Text("Done.")), errors.New("not quite"))
		}, Describe("x", ""), WithoutConnection()))
	for _, test := range []struct{ command, answer, order string }{
		{"/ok", "Done.", "app outer inner command /ok /inner /outer /app"},
		{"/ok", "Done.", "app outer inner command /ok /inner /outer /app"},
		{"/bad", "", "app command /bad /app error of command /bad"},
		{"/panics", "Something went wrong on our side.", "app command /panics error of command /panics"},
		{"/no", "doesn't offer that in this workspace.", "app /app error of command /no"},
		{"/here", "Done.", "app command /here /app"},
		{"/often", "Done.", "app command /often /app"},
		{"/often", "Done.", "app command /often /app"},
		{"/often", "That's too often. You can do it again in 60 minutes.", "app /app error of command /often"},
		{"/slow", "This took too long, so it was ended. Check what was done before you try again. Reference: ",
			"app command /slow /app error of command /slow"},
		{"/hook", "Something went wrong on our side.", "app command /hook /app error of command /hook"},
		{"/both", "Something went wrong on our side.", "app /app error of command /both"},
	} {
		order = nil
		got := typeIn(t, b, test.command, "")
		if !strings.Contains(got, test.answer) || test.answer == "" && test.command == "/bad" && got != "" {
			t.Errorf("%s is answered %q, want %q", test.command, got, test.answer)
		}
		if got := strings.Join(order, " "); got != test.order {
			t.Errorf("%s: %s, want %s", test.command, got, test.order)
		}
	}
	if made != 9+2 {
		t.Errorf("middleware was made %d times", made)
	}
}

// There is one answer. The zero Reply is none.
func TestOneAnswer(t *testing.T) {
	t.Parallel()
	b, _ := loggedBot(t, nil, OnCommand("/x", func(ctx context.Context, c *Command) error {
		nothing, first, second := c.Respond(ctx, Reply{}), c.Respond(ctx, Text("One.")), c.Respond(ctx, Text("Two."))
		if nothing != nil || first != nil || !errors.Is(second, ErrAnswered) ||
			!strings.Contains(second.Error(), "command /x") {
			t.Errorf("%v %v %v", nothing, first, second)
		}
		return nil
	}, Describe("x", ""), WithoutConnection()))
	if got := typeIn(t, b, "/x", ""); got != "One." {
		t.Errorf("answered %q", got)
	}

	r := &Request{}
	s, o := &Submission{Request: r}, &Options{Request: r}
	view := slack.ModalViewRequest{CallbackID: "next"}
	for want, answer := range map[string]func() error{
		`{"response_action":"errors","errors":{"b":"No."}}`: func() error { return s.Errors(map[string]string{"b": "No."}) },
		`{"response_action":"update","view":{`:              func() error { return s.Update(view) },
		`{"response_action":"push","view":{`:                func() error { return s.Push(view) },
		`{"response_action":"clear"}`:                       s.Clear,
		`{"response_action":"update","view":{"type":"modal","title":{"type":"plain_text","text":"Result"`: func() error {
			return s.Respond(t.Context(), Text("Saved."))
		},
	} {
		r.answer = nil
		if err := answer(); err != nil {
			t.Fatal(err)
		}
		if got := string(answerOfView(nil, r.answer.get()).Body); !strings.HasPrefix(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}

	one := NewOption("Ann", "u1")
	group := slack.NewOptionGroupBlockElement(slack.NewTextBlockObject("plain_text", "Team", false, false), one)
	for want, answer := range map[string]func() error{
		`{"options":[]}`: func() error { return o.Reply() },
		`{"options":[{"text":{"type":"plain_text","text":"Ann"`:         func() error { return o.Reply(one) },
		`{"option_groups":[{"label":{"type":"plain_text","text":"Team"`: func() error { return o.ReplyGroups(group) },
	} {
		r.answer = nil
		if err := answer(); err != nil {
			t.Fatal(err)
		}
		if got := string(answerOfOptions(r.answer.get()).Body); !strings.HasPrefix(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	r.answer = nil
	many := slices.Repeat([]*slack.OptionBlockObject{one}, MaxOptions+1)
	for _, err := range []error{o.Reply(many...), o.ReplyGroups(slices.Repeat([]*slack.OptionGroupBlockObject{group},
		MaxOptions+1)...), o.ReplyGroups(&slack.OptionGroupBlockObject{Options: many})} {
		if err == nil || !strings.Contains(err.Error(), "101") {
			t.Errorf("too many options: %v", err)
		}
	}
}

// What is wrong between two handlers names the places of both.
func TestStartChecksNameBothPlaces(t *testing.T) {
	t.Parallel()
	for name, handlers := range map[string][]Handler{
		"twice":           {eventNamed("team_join", "users:read"), eventNamed("team_join", "users:read")},
		"a text taken":    {listens("^a"), listens("^ab")},
		"a name taken":    {oneOf("action"), func() Handler { h := oneOf("action"); return h }()},
		"a prefix taken":  {actionNamed("a*"), actionNamed("ab*")},
		"a mention taken": {mentionOf("."), mentionOf("^a")},
	} {
		err := newBot(nil, handlers...)
		if err == nil || strings.Count(err.Error(), "_test.go:") < 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func actionNamed(id string) Handler {
	return OnAction(id, func(context.Context, *Action) error { return nil })
}

// What nobody handles is said once for each name, with the line that would handle it.
func TestSuggestions(t *testing.T) {
	t.Parallel()
	b, log := loggedBot(t, nil, oneOf("event"))
	for range 2 {
		typeIn(t, b, "/weather", "")
		for _, body := range []string{
			`{"type":"block_actions","actions":[{"action_id":"go"}]}`, `{"type":"block_suggestion","action_id":"menu"}`,
			`{"type":"view_submission","view":{"callback_id":"form"}}`, `{"type":"view_closed","view":{"callback_id":"form"}}`,
			`{"type":"shortcut","callback_id":"short"}`, `{"type":"message_action","callback_id":"msg"}`,
		} {
			if _, err := b.acceptInteraction(t.Context(), []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
		for _, body := range []string{
			`{"type":"team_join"}`, `{"type":"message","subtype":"channel_topic"}`, `{"type":"app_mention","user":"U1"}`,
			`{"type":"function_executed","function":{"callback_id":"step"}}`,
			`{"type":"link_shared","links":[{"domain":"example.com"}]}`,
		} {
			e, err := decodeEnvelope([]byte(`{"type":"event_callback","event_id":"E","event":` + body + `}`))
			if err != nil {
				t.Fatal(err)
			}
			if err := b.handle(t.Context(), &Delivery{Kind: transport.KindEvents, Type: e.Inner.Type}, &e); err != nil {
				t.Error(err)
			}
		}
	}
	for _, line := range []string{`bot.OnCommand(\"/weather\"`, `bot.OnAction(\"go\"`, `bot.OnOptions(\"menu\"`,
		`bot.OnViewSubmission(\"form\"`, `bot.OnViewClosed(\"form\"`, `bot.OnShortcut(\"short\"`,
		`bot.OnMessageShortcut(\"msg\"`, `bot.OnEvent(\"team_join\"`, `bot.OnEvent(\"message.channel_topic\"`,
		`bot.OnMention(\"\"`, `bot.OnFunction(\"step\"`, `bot.OnLink(\"example.com\"`} {
		if n := strings.Count(log.String(), line); n != 1 {
			t.Errorf("%s was suggested %d times", line, n)
		}
	}
}

// Names come from outside: so many are remembered, as much of each.
func TestSuggestionsAreBounded(t *testing.T) {
	t.Parallel()
	var s suggestions
	log := &lockedBuffer{}
	s.suggest(t.Context(), textLog(log), KindAction, strings.Repeat("x", 10_000))
	if n := len(log.String()); n > 1_000 {
		t.Errorf("a long name takes %d bytes of the log", n)
	}
	for i := range mostSuggested + 50 {
		s.suggest(t.Context(), textLog(log), KindAction, fmt.Sprint("a", i))
	}
	if n := strings.Count(log.String(), "handle_it_with"); n != mostSuggested || len(s.said) != mostSuggested {
		t.Errorf("%d were said, and %d remembered", n, len(s.said))
	}
}

// The manifest has what follows from each kind, over HTTP and for Socket Mode.
func TestManifestOfEveryKind(t *testing.T) {
	t.Parallel()
	type inputs struct {
		Who   string `json:"who" title:"Person" slack:"user_id"`
		Count int    `json:"count,omitempty"`
	}
	handlers := append(counting(new(int)),
		OnFunction("ticket", func(context.Context, *Function[inputs]) error { return nil }, Titled("Ticket", "Opens one."),
			Outputs(Parameter{Name: "id", Type: "string", Title: "Id", Required: true})),
		OnCommand("/standup new", nil, Describe("New one", "[name]")), OnCommand("/standup end", nil, Describe("End", "")),
		OnCommand("/standup", nil, Describe("Runs standups", "")), OnCommand("/poll new", nil, Describe("Asks", "")))
	m, err := NewManifest(Profile{Name: "App", Description: "An app."}, handlers, "https://bot.example.com")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		of   any
		want string
	}{
		{m.Features.Shortcuts, `[{"name":"Do it","callback_id":"x","description":"Does it.","type":"global"},` +
			`{"name":"Do it","callback_id":"x","description":"Does it.","type":"message"}]`},
		{m.Features.UnfurlDomains, `["example.com"]`},
		{m.Features.AppHome, `{"home_tab_enabled":true,"messages_tab_enabled":true,"messages_tab_read_only_enabled":false}`},
		{m.Functions["ticket"], `{"title":"Ticket","description":"Opens one.","input_parameters":{"properties":{` +
			`"count":{"type":"integer"},"who":{"type":"slack#/types/user_id","title":"Person"}},"required":["who"]},` +
			`"output_parameters":{"properties":{"id":{"type":"string","title":"Id"}},"required":["id"]}}`},
		{m.Settings.FunctionRuntime, `"remote"`},
		{m.Settings.Interactivity, `{"is_enabled":true,"request_url":"https://bot.example.com/slack/events",` +
			`"message_menu_options_url":"https://bot.example.com/slack/events"}`},
		{m.OverSockets().Settings.Interactivity, `{"is_enabled":true}`},
		{m.OverSockets().Features.Shortcuts, `[{"name":"Do it","callback_id":"x","description":"Does it.","type":"global"},` +
			`{"name":"Do it","callback_id":"x","description":"Does it.","type":"message"}]`},
	} {
		if got, err := json.Marshal(part.of); err != nil || string(got) != part.want {
			t.Errorf("%s, want %s", got, part.want)
		}
	}

	var commands []string
	for _, c := range m.Features.SlashCommands {
		commands = append(commands, c.Command+": "+c.Description+" "+c.UsageHint)
	}
	if got := strings.Join(commands, "\n"); got != "/poll: Asks [new | help]\n/standup: Runs standups [new | end | "+
		"help]\n"+
		"/x: does it " {
		t.Errorf("commands:\n%s", got)
	}
	several := OnEvent("^(reaction|pin)_added$", func(context.Context, *Event[struct{}]) error { return nil },
		Scopes("pins:read"))
	if got := several.subscriptions(); !slices.Equal(got, []string{"pin_added"}) {
		t.Errorf("a pattern with the permission of one of its events subscribes to %q", got)
	}
	for _, e := range []string{"function_executed", "link_shared", "app_home_opened", "app_mention", "message.channels",
		"reaction_added"} {
		if !slices.Contains(m.OverSockets().Settings.EventSubscriptions.BotEvents, e) {
			t.Errorf("no subscription to %s", e)
		}
	}
}

// A link goes to the handler whose domain says most of it, and once where it stands twice.
func TestLinksOfAHandler(t *testing.T) {
	t.Parallel()
	link := func(domain string) Handler {
		return OnLink(domain, func(context.Context, *Link) error { return nil })
	}
	r := onAll(t, link("example.com"), link("docs.example.com"), link("example.org"))
	e, err := decodeEnvelope([]byte(`{"type":"event_callback","event_id":"E","event":{"type":"link_shared","links":[` +
		`{"domain":"example.com","url":"https://www.example.com/1"},{"domain":"example.com","url":"https://www.example.com/1"},` +
		`{"domain":"example.com","url":"https://Docs.Example.com/2"},{"domain":"example.org","url":"https://example.org/3"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]string{"example.com": "https://www.example.com/1",
		"docs.example.com": "https://Docs.Example.com/2", "example.org": "https://example.org/3"} {
		h := r.byID["link "+domain]
		if got := strings.Join(r.linksOf(&e.Inner, h), " "); got != want {
			t.Errorf("%s gets %q, want %q", domain, got, want)
		}
	}
}

// What is shown for a link names the event by its id where it has one: a message that is still written has no other.
func TestUnfurlNamesItsEvent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		id, source string
		want       url.Values
	}{
		{"U.1", "composer", url.Values{"unfurl_id": {"U.1"}, "source": {"composer"}}},
		{"", "", url.Values{"channel": {"C1"}, "ts": {"1.1"}}},
		{"U.1", "", url.Values{"channel": {"C1"}, "ts": {"1.1"}}},
	} {
		got := url.Values{}
		slackAt := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, name := range []string{"unfurl_id", "source", "channel", "ts"} {
				if v := r.FormValue(name); v != "" {
					got.Set(name, v)
				}
			}
			_, _ = w.Write([]byte(`{"ok":true}`))
		}))
		l := &Link{Request: ofAnn(t, slackAt.URL, nil), Payload: &LinkShared{Channel: "C1", MessageTS: "1.1",
			UnfurlID: test.id, Source: test.source}}
		err := l.Unfurl(t.Context(), map[string][]slack.Block{"https://example.com": {slack.NewDividerBlock()}})
		slackAt.Close()
		if err != nil || got.Encode() != test.want.Encode() {
			t.Errorf("%q %q: %v, want %v; %v", test.id, test.source, got, test.want, err)
		}
	}
}

// Every handler, of every kind, has its numbers from the start.
func TestEveryKindIsCountedFromTheStart(t *testing.T) {
	t.Parallel()
	handlers := counting(new(int))
	_, numbers, _ := counted(t, func(c *Config) { c.AppID, c.Timers = "A1", NoTimers{} }, handlers...)
	at := series(t, numbers)
	for _, h := range handlers {
		for _, result := range labels.ran {
			name := "switchboard_handled_total handler=" + h.id() + " kind=" + string(h.Kind) + " result=" + result
			if n, there := at[name]; !there || n != 0 {
				t.Errorf("%s: %v, %v", name, n, there)
			}
		}
	}
}

// Whatever is typed, the subcommand with the most of its words at the beginning gets the rest, as words.
func FuzzSubcommand(f *testing.F) {
	for _, text := range []string{"new daily 9:00", "NEW\tTeam", "new\u00a0x", `new "a b" „c“ d`, "help", " ", "newdaily",
		"\"", "new  daily\n"} {
		f.Add(text)
	}
	nothing := func(context.Context, *Command) error { return nil }
	names := []string{"", "new", "new daily", "report"}
	var handlers []Handler
	for _, sub := range names {
		handlers = append(handlers, OnCommand(strings.TrimSpace("/do "+sub), nothing, Describe("x", "")))
	}
	r, problems := newRoutes(handlers, nil)
	if len(problems) > 0 {
		f.Fatal(problems)
	}
	f.Fuzz(func(t *testing.T, text string) {
		typed, want, most := strings.Fields(text), "", 0
		for _, sub := range names {
			words := strings.Fields(sub)
			if len(words) > most && len(typed) >= len(words) && slices.EqualFunc(words, typed[:len(words)], strings.EqualFold) {
				want, most = sub, len(words)
			}
		}
		h := r.command("/do", text)
		if h == nil || h.Name != strings.TrimSpace("/do "+want) {
			t.Fatalf("%q comes to %q, want the subcommand %q", text, h.Name, want)
		}

		req := &Request{Text: text, handler: h}
		args := req.takeWords()
		if !strings.Contains(text, req.Text) || strings.TrimSpace(req.Text) != req.Text {
			t.Errorf("%q: the rest is %q", text, req.Text)
		}
		if utf8.ValidString(text) && !strings.ContainsAny(text, "\"“”„«»") && !slices.Equal(args, typed[most:]) {
			t.Errorf("%q: words %q", text, args)
		}
	})
}

// A name that ends with * is for exactly the ids that begin so.
func FuzzPrefix(f *testing.F) {
	f.Add("vote.", "vote.up")
	f.Add("a[b](c)\\d", "a[b](c)\\d+")
	f.Add("", "x")
	f.Fuzz(func(t *testing.T, prefix, id string) {
		h := actionNamed(prefix + "*")
		if strings.HasPrefix(prefix, "^") || !utf8.ValidString(id) || h.check() != nil {
			return
		}
		if _, ok := h.matches(id); ok != strings.HasPrefix(id, prefix) {
			t.Errorf("%q is for %q: %v", h.Name, id, ok)
		}
	})
}

// Whatever is delivered, of any kind, comes to one handler at most, and none of our own code panics.
func FuzzDeliveries(f *testing.F) {
	const acts = `"api_app_id":"A1","team":{"id":"T1"},"user":{"id":"U1"},`
	for _, body := range []string{
		`{"type":"function_executed","function":{"callback_id":"x"},"inputs":{},"function_execution_id":"Fx1"}`,
		`{"type":"function_executed","function":{"callback_id":"x"},"inputs":[7],"function_execution_id":7}`,
		`{"type":"link_shared","user":"U1","channel":"COMPOSER","links":[{"domain":"example.com","url":"x"},null]}`,
		`{"type":"app_home_opened","user":"U1","tab":"home","view":{}}`, `{"type":"app_home_opened","tab":"messages"}`,
		`{"type":"message","subtype":"message_changed","message":{"text":"say"},"previous_message":null}`,
		`{"type":"agent_session_stopped","channel":"D1","thread_ts":"1.1","streaming_message_ts":null}`,
	} {
		f.Add(true, []byte(body))
	}
	for _, body := range []string{
		`{"type":"block_actions",` + acts + `"actions":[{"type":"button","action_id":"x"},null]}`,
		`{"type":"view_submission",` + acts + `"view":{"callback_id":"x","state":{"values":{"b":null}}}}`,
		`{"type":"view_closed",` + acts + `"view":{"callback_id":"x"}}`, `{"type":"shortcut",` + acts + `"callback_id":"x"}`,
		`{"type":"message_action",` + acts + `"callback_id":"x","message":[]}`,
		`{"type":"block_suggestion",` + acts + `"action_id":"x","value":7}`,
	} {
		f.Add(false, []byte(body))
	}
	f.Fuzz(func(t *testing.T, event bool, body []byte) {
		ran := 0
		b, log := loggedBot(t, func(c *Config) { c.AppID, c.Timers = "A1", NoTimers{} }, counting(&ran)...)
		if event {
			body = fmt.Appendf(nil, `{"type":"event_callback","event_id":"Ev1","team_id":"T1","api_app_id":"A1","event":%s}`,
				body)
			env, err := decodeEnvelope(body)
			if err != nil {
				return
			}
			e := &Delivery{Kind: transport.KindEvents, Type: env.Inner.Type, Key: connection.Key{AppID: "A1", TeamID: "T1"},
				Body: body}
			_ = b.handle(t.Context(), e, nil)
		} else if _, err := b.acceptInteraction(t.Context(), body); err != nil {
			t.Errorf("%q: %v", body, err)
		}
		if ran > 1 || strings.Contains(log.String(), "panicked") {
			t.Errorf("%q: %d handlers ran; %s", body, ran, log)
		}
	})
}
