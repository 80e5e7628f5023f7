package bottest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/bot/bottest"
)

// The first test that somebody writes: ten lines.
func TestHello(t *testing.T) {
	t.Parallel()
	s := bottest.New(t, hello)
	s.As(bottest.Member).Mention("#general", "hello")
	s.Posted("#general").Want("Hey <@" + bottest.Member.ID + ">!")
}

var hello = bot.OnMention("hello", func(ctx context.Context, m *bot.Message) error {
	_, err := m.Say(ctx, bot.Text("Hey <@"+m.UserID+">!"))
	return err
})

// An act for each kind that has one, and what comes of it.
func TestActs(t *testing.T) {
	t.Parallel()
	s := bottest.New(t, everything()...)
	leon := s.As(bottest.Member)

	ts := leon.Say("#general", "deploy api")
	s.Posted("#general").Want("deploying api")
	leon.InThread(ts).Say("#general", "deploy web")
	if s.Posted("#general").Want("deploying web"); s.Posted("#general").Newest().ThreadTS != ts {
		t.Error("the answer is not in the thread")
	}
	leon.Edit("#general", ts, "deploy it all")
	s.Posted("#general").Want("now it")
	leon.DM("deploy it here")
	leon.Reads("").Want("deploying it here")

	leon.Command("#general", "/ticket")
	leon.Modal().Want("What is it?")
	leon.Submit(map[string]string{"title": "no"})
	leon.Modal().Want("title: …too short")
	leon.Submit(map[string]string{"title": "The printer burns"})
	leon.Modal().Want("Filed: The printer burns")
	leon.Close()

	leon.Command("#general", "/vote")
	s.Posted("#general").Want("Tea or coffee?")
	leon.Press("#general", "vote.tea")
	s.Posted("#general").Want("tea it is")
	leon.MessageShortcut("#general", ts, "remember")
	leon.Reads("#general").Want("I will remember “deploy it all”")
	leon.OpenHome()
	leon.Home().Want("Welcome home")

	s.As(bottest.Outsider).Say("#shared", "deploy ours")
	s.Posted("#shared").Want("deploying ours")
}

func everything() []bot.Handler {
	voted := func(ctx context.Context, a *bot.Action) error {
		return a.Respond(ctx, bot.Reply{Text: strings.TrimPrefix(a.Action.ActionID, "vote.") + " it is", InChannel: true})
	}
	return []bot.Handler{
		bot.OnMessage(`^deploy (\w+)`, deploy, bot.Scopes("channels:history", "im:history"), bot.Edits()),
		bot.OnCommand("/ticket", func(ctx context.Context, c *bot.Command) error {
			_, err := c.OpenModal(ctx, form())
			return err
		}, bot.Describe("Files a ticket", "")),
		bot.OnViewSubmission("ticket", submitted),
		bot.OnCommand("/vote", func(ctx context.Context, c *bot.Command) error {
			const text = "Tea or coffee?"
			button := slack.NewButtonBlockElement("vote.tea", "", slack.NewTextBlockObject("plain_text", "Tea", false, false))
			return c.Respond(ctx, bot.Reply{Text: text, InChannel: true, Blocks: []slack.Block{
				slack.NewSectionBlock(slack.NewTextBlockObject("mrkdwn", text, false, false), nil, nil),
				slack.NewActionBlock("", button),
			}})
		}, bot.Describe("Starts a vote", "")),
		bot.OnAction("vote.*", voted),
		bot.OnMessageShortcut("remember", func(ctx context.Context, sc *bot.Shortcut) error {
			return sc.Respond(ctx, bot.Text("I will remember “"+sc.Text+"”"))
		}, bot.Titled("Remember", "Remembers a message")),
		bot.OnHomeOpened(func(ctx context.Context, h *bot.Home) error {
			return h.Publish(ctx, slack.HomeTabViewRequest{Blocks: slack.Blocks{BlockSet: []slack.Block{
				slack.NewSectionBlock(slack.NewTextBlockObject("mrkdwn", "Welcome home", false, false), nil, nil),
			}}})
		}),
	}
}

func deploy(ctx context.Context, m *bot.Message) error {
	text := "deploying " + m.Matches[1]
	if m.Text == "deploy it here" {
		text += " here"
	}
	if m.Edited {
		text = "now " + m.Matches[1]
	}
	_, err := m.Say(ctx, bot.Text(text))
	return err
}

func form() slack.ModalViewRequest {
	plain := func(s string) *slack.TextBlockObject { return slack.NewTextBlockObject("plain_text", s, false, false) }
	return slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: "ticket", Title: plain("Ticket"), Submit: plain("File"), Close: plain("Cancel"),
		Blocks: slack.Blocks{BlockSet: []slack.Block{slack.NewInputBlock("title", plain("What is it?"), nil,
			slack.NewPlainTextInputBlockElement(nil, "text"))}},
	}
}

func submitted(ctx context.Context, s *bot.Submission) error {
	title := s.Value("title")
	if len(title) < 5 {
		return s.Errors(map[string]string{"title": "That is too short."})
	}
	return s.Respond(ctx, bot.Text("Filed: "+title))
}

// The acts that lead to something other than a message.
func TestStepsLinksAndReactions(t *testing.T) {
	t.Parallel()
	s := bottest.New(t,
		bot.OnFunction("double", double, bot.Titled("Double", "Doubles a number"),
			bot.Outputs(bot.Parameter{Name: "twice", Type: "integer"})),
		bot.OnLink("tickets.example.com", preview),
		bot.OnEvent("reaction_added", func(ctx context.Context, e *bot.Event[slackevents.ReactionAddedEvent]) error {
			_, err := e.Say(ctx, bot.Text("thanks for :"+e.Payload.Reaction+":"))
			return err
		}, bot.Scopes("reactions:read", "chat:write")),
	)
	leon := s.As(bottest.Member)

	if x := leon.Function("double", map[string]any{"number": 21}).Ended(); fmt.Sprint(x.Outputs["twice"]) != "42" {
		t.Errorf("the step gave %v, %q", x.Outputs, x.Error)
	}
	if x := leon.Function("double", map[string]any{"number": -1}).Ended(); x.Error != "Only what is above 0." {
		t.Errorf("the step failed with %q", x.Error)
	}

	leon.PostLink("#general", "https://tickets.example.com/7").Want("The printer burns")
	leon.React("#general", leon.Say("#general", "done"), "tada")
	s.Posted("#general").Want("thanks for :tada:")
}

// What is taken back, or shown instead of messages, hides nothing that comes later.
func TestWantLooksBehindWhatWasFound(t *testing.T) {
	t.Parallel()
	s := bottest.New(t,
		bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
			first, err := m.Say(ctx, bot.Text("One moment…"))
			if err != nil {
				return err
			}
			if _, err = m.Say(ctx, bot.Text("Nearly there…")); err != nil {
				return err
			}
			if _, _, err = m.Client.DeleteMessageContext(ctx, m.ChannelID, first); err != nil {
				return err
			}
			_, err = m.Say(ctx, bot.Text("Done."))
			return err
		}),
		bot.OnLink("tickets.example.com", preview))
	leon := s.As(bottest.Member)

	for range 2 {
		leon.Mention("#general", "go")
		s.Posted("#general").Want("Nearly there…").Want("Done.").Nothing()
	}
	leon.PostLink("#general", "https://tickets.example.com/7").Want("The printer").Want("burns")
}

// Where several things can be chosen a form takes all of them.
func TestSubmitsSeveralChoices(t *testing.T) {
	t.Parallel()
	s := bottest.New(t,
		bot.OnShortcut("pick", func(ctx context.Context, sc *bot.Shortcut) error {
			view := form()
			plain := slack.NewTextBlockObject("plain_text", "Who?", false, false)
			people := slack.NewOptionsMultiSelectBlockElement(slack.MultiOptTypeUser, nil, "people")
			view.Blocks.BlockSet = append(view.Blocks.BlockSet, slack.NewInputBlock("who", plain, nil, people))
			_, err := sc.OpenModal(ctx, view)
			return err
		}, bot.Titled("Pick", "Picks people")),
		bot.OnViewSubmission("ticket", func(ctx context.Context, v *bot.Submission) error {
			return v.Respond(ctx, bot.Text(v.Value("title")+" "+strings.Join(v.Values("who"), " and ")))
		}))
	leon := s.As(bottest.Member)
	leon.Shortcut("pick")
	leon.Submit(map[string]string{"title": "Yes, both:", "who": bottest.Member.ID + "," + bottest.Guest.ID})
	leon.Modal().Want("Yes, both: " + bottest.Member.ID + " and " + bottest.Guest.ID)
}

type number struct {
	Number int `json:"number" title:"The number"`
}

func double(ctx context.Context, f *bot.Function[number]) error {
	if f.Inputs.Number <= 0 {
		return &bot.UserError{Text: "Only what is above 0."}
	}
	return f.Complete(ctx, map[string]any{"twice": 2 * f.Inputs.Number})
}

func preview(ctx context.Context, l *bot.Link) error {
	text := slack.NewTextBlockObject("plain_text", "The printer burns", false, false)
	return l.Unfurl(ctx, map[string][]slack.Block{l.URLs[0]: {slack.NewSectionBlock(text, nil, nil)}})
}

// The clock is the test's, for the app and for Slack.
func TestClock(t *testing.T) {
	t.Parallel()
	var now time.Time
	s := bottest.New(t, bot.OnMention("hello", func(ctx context.Context, m *bot.Message) error {
		now = m.Now()
		_, err := m.Say(ctx, bot.Text("Hey <@"+m.UserID+">!"))
		return err
	}))
	before := s.Sim.Now()
	s.Advance(20 * time.Hour) // its token has to be renewed
	s.As(bottest.Admin).Mention("#general", "hello again")
	s.Posted("#general").Want("Hey")
	if !now.Equal(s.Sim.Now()) {
		t.Errorf("the handler has it at %v, Slack at %v", now, s.Sim.Now())
	}
	if d := s.Sim.Now().Sub(before); d < 20*time.Hour {
		t.Errorf("the clock moved %v", d)
	}
}

// A second workspace has a connection of its own.
func TestSecondWorkspace(t *testing.T) {
	t.Parallel()
	s := bottest.New(t, hello)
	s.Install(bottest.OtherAdmin)
	s.As(bottest.OtherAdmin).Mention("#general", "hello")
	s.As(bottest.OtherAdmin).Reads("#general").Want("Hey <@" + bottest.OtherAdmin.ID + ">!")
	s.Posted("#general").Nothing()
}

// What is due runs when the clock gets there, and not before, by the clock that the handlers are told.
func TestTimers(t *testing.T) {
	t.Parallel()
	const later = 90 * time.Minute
	s := bottest.New(t,
		bot.OnCommand("/later", func(ctx context.Context, c *bot.Command) error {
			if err := c.Schedule(ctx, "later", c.ChannelID, c.Now().Add(later), c.Text); err != nil {
				return err
			}
			return c.Respond(ctx, bot.Text("Later."))
		}, bot.Describe("Says it later", "")),
		bot.OnTimer("later", func(ctx context.Context, r *bot.Timer) error {
			var text string
			if err := r.Decode(&text); err != nil {
				return err
			}
			_, err := r.Say(ctx, r.Key, bot.Text(text))
			return err
		}, bot.Scopes("chat:write")),
		bot.Every(24*time.Hour, func(ctx context.Context, r *bot.Timer) error {
			_, err := r.Say(ctx, bottest.Guest.ID, bot.Text("Another day."))
			return err
		}, bot.Scopes("chat:write")),
	)
	leon, began := s.As(bottest.Member), s.Now()

	for _, day := range []string{"one", "two"} { // also after the clock has moved
		leon.Command("#general", "/later "+day)
		leon.Reads("#general").Want("Later.")
		s.Advance(later - time.Minute)
		s.Posted("#general").Nothing()
		s.Advance(time.Minute)
		s.Posted("#general").Want(day).Nothing()

		s.Advance(24*time.Hour - later) // a whole day, in which one begins, whatever the time at which this runs
		s.As(bottest.Guest).Reads("").Want("Another day.").Nothing()
	}
	if moved := s.Now().Sub(began); moved != 2*24*time.Hour {
		t.Errorf("the clock moved by %s", moved)
	}
}

// An app that says so has timers that run often.
func TestOftenWhereItIsAllowed(t *testing.T) {
	t.Parallel()
	s := bottest.NewApp(t, bottest.App{LeastInterval: time.Minute, Handlers: []bot.Handler{
		bot.Every(5*time.Minute, func(ctx context.Context, r *bot.Timer) error {
			_, err := r.Say(ctx, bottest.Member.ID, bot.Text("Five minutes."))
			return err
		}, bot.Scopes("chat:write")),
	}})

	for range 2 {
		s.Advance(10 * time.Minute)
		s.As(bottest.Member).Reads("").Want("Five minutes.").Nothing()
	}
}

// A handler that fails runs again when the clock gets there, also behind what the clock passed before.
func TestFailsOnce(t *testing.T) {
	t.Parallel()
	s := bottest.New(t, bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
		if m.Attempt == 1 {
			return errors.New("not yet")
		}
		_, err := m.Say(ctx, bot.Text(fmt.Sprint("attempt ", m.Attempt)))
		return err
	}))
	for range 2 {
		s.As(bottest.Member).Mention("#general", "are you there?")
		s.Posted("#general").Nothing()
		s.Advance(time.Hour)
		s.Posted("#general").Want("attempt 2")
	}
}

// failing is a test whose failures are kept.
type failing struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (f *failing) Errorf(format string, args ...any) {
	f.failures = append(f.failures, fmt.Sprintf(format, args...))
}

func (f *failing) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

func (f *failing) Cleanup(end func()) { f.cleanups = append(f.cleanups, end) }

// A test fails where the app breaks one of Slack's rules, and where it says what nobody wanted.
func TestWhatFailsATest(t *testing.T) {
	t.Parallel()
	bare := bot.OnMention("bare", func(ctx context.Context, m *bot.Message) error {
		words := slack.NewSectionBlock(slack.NewTextBlockObject("plain_text", "Bare", false, false), nil, nil)
		_, _, err := m.Client.PostMessageContext(ctx, m.ChannelID, slack.MsgOptionBlocks(words))
		return err
	})
	for text, test := range map[string]struct {
		looks func(posted *bottest.Place)
		want  string
	}{
		"hello and no more": {func(p *bottest.Place) { p.Want("Hey").Nothing() }, ""},
		"hello":             {func(p *bottest.Place) { p.Nothing() }, "posted in #general, unexpectedly: Hey"},
		"bare":              {func(p *bottest.Place) { p.Want("Bare") }, "a rule of Slack's was broken"},
	} {
		f := &failing{TB: t}
		done := make(chan struct{})
		go func() { // which a failure ends
			defer close(done)
			defer func() {
				for _, end := range slices.Backward(f.cleanups) {
					end()
				}
			}()
			s := bottest.New(f, hello, bare)
			s.As(bottest.Member).Mention("#general", text)
			test.looks(s.Posted("#general"))
		}()
		<-done
		got := strings.Join(f.failures, "\n")
		if test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%s: it fails with %q, want %q", text, got, test.want)
		}
	}
}

// What is kept is still there after a restart, and what was due meanwhile runs.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := bottest.New(t,
		bot.OnCommand("/note", func(ctx context.Context, c *bot.Command) error {
			if err := c.Store().Put(ctx, "note", c.Text, 0); err != nil {
				return err
			}
			return c.Schedule(ctx, "later", "note", c.Now().Add(time.Hour), nil)
		}, bot.Describe("Says it later", "what")),
		bot.OnTimer("later", func(ctx context.Context, tm *bot.Timer) error {
			var note string
			if _, err := tm.Store().Get(ctx, "note", &note); err != nil {
				return err
			}
			_, err := tm.Say(ctx, bottest.Member.ID, bot.Text(note))
			return err
		}, bot.Scopes("chat:write")),
	)
	leon := s.As(bottest.Member)
	leon.Command("#general", "/note tea")
	s.Restart(59 * time.Minute)
	leon.Reads("").Nothing()
	s.Restart(2 * time.Minute)
	leon.Reads("").Want("tea").Nothing()

	leon.Command("#general", "/note cake")
	s.Advance(time.Hour)
	leon.Reads("").Want("cake")
}
