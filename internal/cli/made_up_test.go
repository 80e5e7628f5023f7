package cli_test

// A whole app in a language that nobody speaks (package wordstest): what people read of it in plain letters, or put
// together from pieces, is a sentence that a translation could not reach.

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/bot/bottest"
	"github.com/switchboard-go/switchboard/commands/connection"
	"github.com/switchboard-go/switchboard/install/words/wordstest"
	"github.com/switchboard-go/switchboard/slacksim"
)

// namesThere are names of people and places in the small Slack, what Slack itself writes, and what people type.
var namesThere = []string{"Acme Corp", "Dana Reyes", "Leon Weiss", "Mia Novak", "Birch & Co", "Birch &amp; Co",
	"Birch Co"}

// reader collects what people read.
type reader struct {
	t    *testing.T
	s    *bottest.Suite
	read map[string]string // text → where it was read first
}

// look takes in what everybody sees now.
func (r *reader) look(after string) {
	r.t.Helper()
	for _, who := range []bottest.Person{bottest.Admin, bottest.Member, bottest.Guest, bottest.Outsider} {
		for _, channel := range []string{slacksim.AcmeGeneral, "C0ACMESHAR", r.s.Sim.DM(who.ID)} {
			for _, m := range r.s.Sim.Messages(channel, who.ID) {
				if m.BotID == "" {
					continue
				}
				r.take(after, m.Text)
				r.blocks(after, m.Blocks)
			}
		}
		if home, ok := r.s.Sim.Home(who.ID); ok {
			r.blocks(after, home.Blocks)
		}
		for _, v := range r.s.Sim.OpenViews(who.ID) {
			for _, text := range append(slices.Collect(maps.Values(v.Errors)), v.Title, v.Submit, v.Close) {
				r.take(after, text)
			}
			r.blocks(after, v.Blocks)
		}
	}
}

// sent takes in what the app has sent to Slack, also what others have taken the place of since.
func (r *reader) sent() {
	for _, call := range r.s.Sim.Calls() {
		r.take(call.Method, call.Arg("text"))
		if call.Method == "functions.completeError" {
			r.take(call.Method, call.Arg("error"))
		}
		r.blocks(call.Method, json.RawMessage(call.Arg("blocks")))
		r.blocks(call.Method, json.RawMessage(call.Arg("view")))
		if call.Method == "response_url" {
			r.blocks(call.Method, call.JSON)
		}
	}
}

func (r *reader) take(where, text string) {
	if _, known := r.read[text]; !known && text != "" {
		r.read[text] = where
	}
}

// blocks takes in the texts in blocks, a view or a message.
func (r *reader) blocks(where string, raw json.RawMessage) {
	var all any
	if len(raw) == 0 || json.Unmarshal(raw, &all) != nil {
		return
	}
	var collect func(v any)
	collect = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				collect(e)
			}
		case map[string]any:
			for name, below := range v {
				text, isText := below.(string)
				if isText && slices.Contains([]string{"text", "alt_text", "accessibility_label", "fallback"}, name) {
					r.take(where, text)
				}
				collect(below)
			}
		}
	}
	collect(all)
}

// faults fails the test with each text that a translation doesn't reach.
func (r *reader) faults(known ...string) {
	r.t.Helper()
	for _, text := range slices.Sorted(maps.Keys(r.read)) {
		for _, fault := range wordstest.Faults(text, append(known, namesThere...)...) {
			r.t.Errorf("%s: %s", r.read[text], fault)
		}
	}
	if len(r.read) < 40 {
		r.t.Errorf("only %d texts were read", len(r.read))
	}
}

// polyglot is a small bot of every kind that says things, whose own texts are in the made-up language, too.
func polyglot() []bot.Handler {
	own := wordstest.Accented
	about := bot.Describe(own("Does something"), "")
	fails := errors.New("the coffee machine is empty")
	command := func(run func(ctx context.Context, c *bot.Command) error) func(context.Context, *bot.Command) error {
		return run
	}
	form := slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: "form", Title: slack.NewTextBlockObject("plain_text", own("A form"), false, false),
		Submit: slack.NewTextBlockObject("plain_text", own("Send"), false, false),
		Close:  slack.NewTextBlockObject("plain_text", own("Close"), false, false),
		Blocks: slack.Blocks{BlockSet: []slack.Block{slack.NewInputBlock("many",
			slack.NewTextBlockObject("plain_text", own("How many"), false, false), nil,
			slack.NewPlainTextInputBlockElement(nil, "many"))}},
	}

	return []bot.Handler{
		bot.OnCommand("/do", nil, bot.Describe(own("The tool"), "")),
		bot.OnCommand("/do fail", command(func(context.Context, *bot.Command) error { return fails }), about),
		bot.OnCommand("/do panic", command(func(context.Context, *bot.Command) error { panic("at the disco") }), about),
		bot.OnCommand("/do admin", command(func(context.Context, *bot.Command) error { return nil }), about,
			bot.Use(bot.AdminsOnly()), bot.OptionalScopes("users:read")),
		bot.OnCommand("/do elsewhere", command(func(context.Context, *bot.Command) error { return nil }), about,
			bot.Use(bot.OnlyIn("T0ELSEWHERE"))),
		bot.OnCommand("/do once", command(func(context.Context, *bot.Command) error { return nil }), about,
			bot.Use(bot.RateLimit(1, time.Hour))),
		bot.OnCommand("/do files", command(func(context.Context, *bot.Command) error { return nil }), about,
			bot.Scopes("files:read", "reactions:write")),
		bot.OnCommand("/do act", command(func(ctx context.Context, c *bot.Command) error {
			_, err := c.UserClient(ctx)
			return err
		}), about, bot.UserScopes("search:read")),
		bot.OnCommand("/do limited", command(func(context.Context, *bot.Command) error {
			return &slack.RateLimitedError{RetryAfter: 7 * time.Second}
		}), about),
		bot.OnCommand("/do form", command(func(ctx context.Context, c *bot.Command) error {
			_, err := c.OpenModal(ctx, form)
			return err
		}), about),
		bot.OnCommand("/do buttons", command(func(ctx context.Context, c *bot.Command) error {
			press := slack.NewButtonBlockElement("press", "1",
				slack.NewTextBlockObject("plain_text", own("Press"), false, false))
			return c.Respond(ctx, bot.Reply{Blocks: []slack.Block{slack.NewActionBlock("", press)}, InChannel: true})
		}), about),
		bot.OnCommand("/do nothing", command(func(ctx context.Context, c *bot.Command) error {
			return c.Respond(ctx, bot.Reply{Blocks: []slack.Block{slack.NewDividerBlock()}})
		}), about),
		bot.OnCommand("/do tasks", command(func(ctx context.Context, c *bot.Command) error {
			return c.Respond(ctx, bot.Markdown("- [x] "+own("ship it")+"\n- [ ] "+own("sleep")))
		}), about),
		bot.OnAction("press", func(context.Context, *bot.Action) error { return nil }),
		bot.OnViewSubmission("form", func(_ context.Context, s *bot.Submission) error {
			var in struct {
				Many int `block:"many"`
			}
			if err := s.Decode(&in); err != nil {
				var wrong bot.FieldErrors
				if errors.As(err, &wrong) {
					return s.Errors(wrong)
				}
				return err
			}
			return s.Respond(context.Background(), bot.Text(own("Thank you.")))
		}),
		bot.OnFunction("step", func(context.Context, *bot.Function[struct{}]) error {
			return &bot.NotAllowedError{Scopes: []string{"files:read"}}
		},
			bot.Titled(own("A step"), own("Does it."))),
		bot.OnMention(own("fail"), func(context.Context, *bot.Message) error {
			return &bot.NotAllowedError{
				Scopes: []string{"files:read"}}
		}),
	}
}

// TestMadeUpLanguage walks through the app with everybody, in good and in bad days.
func TestMadeUpLanguage(t *testing.T) {
	t.Parallel()
	made := wordstest.MadeUp()
	status := connection.Command{Name: "/status", Mentions: true, DirectMessages: true, Home: true, Words: made}
	s := bottest.NewApp(t, bottest.App{
		Name: wordstest.Accented("Polyglot"), Words: made, Handlers: append(polyglot(), status.Handlers()...),
	})
	r := &reader{t: t, s: s, read: map[string]string{}}
	settle := func(after string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), bottest.Patience)
		defer cancel()
		if err := s.Sim.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		r.look(after)
	}
	people := []*bottest.Actor{s.As(bottest.Admin), s.As(bottest.Member), s.As(bottest.Guest)}
	where := func(who *bottest.Actor) string {
		if who.ID == bottest.Guest.ID {
			return "#shared" // guests are in few channels
		}
		return "#general"
	}
	ask := func(when string) {
		t.Helper()
		for _, who := range people {
			for _, word := range []string{"", "details", "check", "permissions", "channels", "history", "reconnect", "test",
				"support", "disconnect", "help", "help disconnect", "hello", "thanks", "weather"} {
				who.Command(where(who), strings.TrimSpace("/status "+word))
				settle(when + ", /status " + word)
			}
			who.DM("status")
			who.Mention(where(who), "permissions")
			who.OpenHome()
			settle(when + ", by message")
		}
	}

	ask("all is well")
	for _, who := range people {
		for _, word := range []string{"", "help", "unknown", "fail", "panic", "admin", "elsewhere", "once", "once", "files",
			"act", "limited", "buttons", "nothing", "tasks"} {
			who.Command(where(who), "/do "+word)
			settle("/do " + word)
		}
	}
	leon := s.As(bottest.Member)
	leon.Command("#general", "/do form")
	leon.Submit(map[string]string{"many": wordstest.Accented("few")})
	settle("a form with faults")
	leon.Submit(map[string]string{"many": "3"})
	settle("a form")
	leon.Command("#shared", "/do buttons")
	s.As(bottest.Outsider).Press("#shared", "press")
	settle("an outsider presses")
	leon.Mention("#general", wordstest.Accented("fail"))
	settle("a mention without a permission")
	leon.Function("step", nil).Ended()
	settle("a step fails")

	for _, missing := range [][]string{{"users:read", "im:history"}, {"chat:write"}} {
		if err := s.Sim.Admins.Permit(slacksim.Acme, nil, missing); err != nil {
			t.Fatal(err)
		}
		people[0].Command("#general", "/status check")
		settle("checked")
		ask("without " + strings.Join(missing, ", "))
		if err := s.Sim.Admins.Permit(slacksim.Acme, missing, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, fault := range []slacksim.Fault{
		{Method: "auth.test", Status: 503}, {Method: "auth.test", Error: "token_revoked"},
	} {
		s.Advance(time.Minute)
		clear := s.Sim.Inject(fault)
		ask("auth.test answers " + fault.Error)
		clear()
	}
	s.Advance(10 * time.Minute)
	settle("trouble was told")
	s.Posted("#project-atlas").Nothing() // what waited for the clock is done, so that nothing asks after the removal
	if err := s.Sim.Admins.Uninstall(context.Background(), slacksim.Acme, slacksim.RevokedFirst); err != nil {
		t.Fatal(err)
	}

	r.sent()
	r.faults("/status", "/do")
}
