package bot_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/bot/bottest"
	"github.com/switchboard-go/switchboard/slacksim"
)

func plain(s string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
}

// The captures of a pattern are in Matches, and the button's value is in Value.
func ExampleOnAction() {
	ask := bot.OnCommand("/drink", func(ctx context.Context, c *bot.Command) error {
		button := slack.NewButtonBlockElement("drink.tea", "2", plain("Tea"))
		return c.Respond(ctx, bot.Reply{Text: "What is it?", InChannel: true,
			Blocks: []slack.Block{slack.NewActionBlock("", button)}})
	}, bot.Describe("Asks what people drink", ""))

	choose := bot.OnAction(`^drink\.(\w+)$`, func(ctx context.Context, a *bot.Action) error {
		return a.Respond(ctx, bot.Reply{Text: a.Value + " cups of " + a.Matches[1], InChannel: true})
	})

	team := rehearse(ask, choose)
	defer team.end()
	team.press(team.command("/drink"), "drink.tea")
	fmt.Println(team.hear())
	fmt.Println(team.hear())
	// Output:
	// What is it?
	// 2 cups of tea
}

// An event is decoded into its own type.
func ExampleOnEvent() {
	thank := bot.OnEvent("reaction_added", func(ctx context.Context, e *bot.Event[slackevents.ReactionAddedEvent]) error {
		_, err := e.Say(ctx, bot.Text("Thanks for :"+e.Payload.Reaction+":"))
		return err
	}, bot.Scopes("reactions:read", "chat:write"))

	team := rehearse(thank)
	defer team.end()
	ts := team.write("Well done")
	must(team.sim.People.React(ctx, person, slacksim.AcmeGeneral, ts, "tada"))
	fmt.Println(team.hear())
	// Output: Thanks for :tada:
}

// A shortcut in the menu of a message has that message's text.
func ExampleOnMessageShortcut() {
	remember := bot.OnMessageShortcut("remember", func(ctx context.Context, s *bot.Shortcut) error {
		return s.Respond(ctx, bot.Text("Remembered: "+s.Text))
	}, bot.Titled("Remember", "Remembers a message"))

	team := rehearse(remember)
	defer team.end()
	ts := team.write("The door code is 4711")
	_, err := team.sim.Forms.MessageShortcut(ctx, person, slacksim.AcmeGeneral, ts, "remember")
	must(err)
	fmt.Println(team.hear())
	// Output: Remembered: The door code is 4711
}

// A menu is filled while somebody types.
func ExampleOnOptions() {
	menu := bot.OnCommand("/city", func(ctx context.Context, c *bot.Command) error {
		one := 1
		cities := slack.NewOptionsSelectBlockElement(slack.OptTypeExternal, plain("Which?"), "city")
		cities.MinQueryLength = &one
		return c.Respond(ctx, bot.Reply{Blocks: []slack.Block{slack.NewActionBlock("", cities)}})
	}, bot.Describe("Asks for a city", ""))

	offer := bot.OnOptions("city", func(_ context.Context, o *bot.Options) error {
		var found []*slack.OptionBlockObject
		for _, city := range []string{"Lisbon", "London", "Vienna"} {
			if strings.HasPrefix(strings.ToLower(city), o.Value) {
				found = append(found, bot.NewOption(city, city))
			}
		}
		return o.Reply(found...)
	})

	team := rehearse(menu, offer)
	defer team.end()
	ts, typed := team.command("/city").Message.TS, slacksim.Form{ActionID: "city", Value: []string{"l"}}
	found, err := team.sim.Forms.SuggestInMessage(ctx, person, slacksim.AcmeGeneral, ts, typed)
	must(err)
	for _, option := range found.Options {
		fmt.Println(option.Value)
	}
	// Output:
	// Lisbon
	// London
}

// A step of a workflow is given its inputs as a struct, and ends with its outputs.
func ExampleOnFunction() {
	type inputs struct {
		Word string `json:"word" title:"A word"`
	}
	double := bot.OnFunction("double", func(ctx context.Context, f *bot.Function[inputs]) error {
		return f.Complete(ctx, map[string]any{"twice": f.Inputs.Word + f.Inputs.Word})
	}, bot.Titled("Double", "Says a word twice"), bot.Outputs(bot.Parameter{Name: "twice", Type: "string"}),
		bot.Scopes("chat:write"))

	team := rehearse(double)
	defer team.end()
	id, err := team.sim.Workflows.Run(ctx, person, "double", map[string]any{"word": "bon"})
	must(err)
	var step slacksim.Execution
	must(team.sim.WaitFor(ctx, func() bool {
		step, _ = team.sim.Workflows.Execution(id)
		return step.State != slacksim.ExecutionRunning
	}))
	fmt.Println(step.Outputs["twice"])
	// Output: bonbon
}

// Links to a domain are shown with what they lead to.
func ExampleOnLink() {
	const url = "https://tickets.example.com/7"
	preview := bot.OnLink("tickets.example.com", func(ctx context.Context, l *bot.Link) error {
		shown := map[string][]slack.Block{}
		for _, address := range l.URLs {
			shown[address] = []slack.Block{slack.NewSectionBlock(plain("The printer is on fire."), nil, nil)}
		}
		return l.Unfurl(ctx, shown)
	})

	team := rehearse(preview)
	defer team.end()
	ts := team.write(url)
	must(team.sim.WaitFor(ctx, func() bool {
		for _, m := range team.sim.Messages(slacksim.AcmeGeneral, person) {
			if m.TS == ts && len(m.Unfurls) > 0 {
				fmt.Println(strings.Contains(string(m.Unfurls[url].Blocks), "The printer is on fire."))
				return true
			}
		}
		return false
	}))
	// Output: true
}

// The Home tab is made anew whenever somebody opens it.
func ExampleOnHomeOpened() {
	welcome := bot.OnHomeOpened(func(ctx context.Context, h *bot.Home) error {
		text := slack.NewSectionBlock(plain("Your tickets"), nil, nil)
		return h.Publish(ctx, slack.HomeTabViewRequest{Blocks: slack.Blocks{BlockSet: []slack.Block{text}}})
	}, bot.Scopes("chat:write"))

	team := rehearse(welcome)
	defer team.end()
	must(team.sim.OpenHome(ctx, person, "home"))
	must(team.sim.WaitFor(ctx, func() bool {
		home, shown := team.sim.Home(person)
		return shown && strings.Contains(string(home.Blocks), "Your tickets")
	}))
	fmt.Println("shown")
	// Output: shown
}

// A timer runs for the workspace that it was scheduled in. Another one with its name and key takes its place.
func ExampleOnTimer() {
	later := bot.OnCommand("/later", func(ctx context.Context, c *bot.Command) error {
		return c.Schedule(ctx, "later", c.ChannelID, c.Now().Add(50*time.Millisecond), c.Text)
	}, bot.Describe("Says something later", "what"))

	say := bot.OnTimer("later", func(ctx context.Context, t *bot.Timer) error {
		var text string
		if err := t.Decode(&text); err != nil {
			return err
		}
		_, err := t.Say(ctx, t.Key, bot.Text(text))
		return err
	}, bot.Scopes("chat:write"))

	team := rehearse(later, say)
	defer team.end()
	team.command("/later Lunch is over")
	fmt.Println(team.hear())
	// Output: Lunch is over
}

// Every runs for each workspace. The clock is the test's here: nobody waits for a day.
func ExampleEvery() {
	daily := bot.Every(24*time.Hour, func(ctx context.Context, t *bot.Timer) error {
		_, err := t.Say(ctx, t.Connection.InstalledBy, bot.Text("Good morning!"))
		return err
	}, bot.Scopes("chat:write"))

	team := &rehearsal{}
	defer team.end()
	s := bottest.New(team, daily)
	s.Advance(36 * time.Hour)
	fmt.Println(s.As(bottest.Admin).Reads("").Want("morning").Newest().Text)
	// Output: Good morning!
}

// Cron runs by a calendar, in a zone that stands before it.
func ExampleCron() {
	standup := bot.Cron("CRON_TZ=Europe/Vienna 0 9 * * 1-5", func(ctx context.Context, t *bot.Timer) error {
		_, err := t.Say(ctx, t.Connection.InstalledBy, bot.Text("Standup is at "+t.At.UTC().Format("15:04")+" UTC."))
		return err
	}, bot.Scopes("chat:write"), bot.Named("standup"))

	team := &rehearsal{}
	defer team.end()
	s := bottest.New(team, standup)
	s.Advance(4 * 24 * time.Hour) // there is a working day among them
	at := s.As(bottest.Admin).Reads("").Want("Standup").Newest().Text
	fmt.Println(at == "Standup is at 07:00 UTC." || at == "Standup is at 08:00 UTC.") // in summer, in winter
	// Output: true
}

// Slack tells of a modal that was closed only where the view asks for it.
func ExampleOnViewClosed() {
	order := bot.OnCommand("/order", func(ctx context.Context, c *bot.Command) error {
		_, err := c.OpenModal(ctx, slack.ModalViewRequest{
			Type: slack.VTModal, CallbackID: "order", Title: plain("Order"), Close: plain("Not now"),
			NotifyOnClose: true, PrivateMetadata: c.ChannelID,
			Blocks: slack.Blocks{BlockSet: []slack.Block{slack.NewSectionBlock(plain("Tea or coffee?"), nil, nil)}},
		})
		return err
	}, bot.Describe("Orders a drink", ""))

	closed := bot.OnViewClosed("order", func(ctx context.Context, v *bot.ViewClosed) error {
		channel := v.Payload.View.PrivateMetadata
		_, _, err := v.Client.PostMessageContext(ctx, channel, slack.MsgOptionText("Maybe later.", false))
		return err
	}, bot.Scopes("chat:write"))

	team := rehearse(order, closed)
	defer team.end()
	team.command("/order")
	_, err := team.sim.CloseView(ctx, person, team.sim.OpenViews(person)[0].ID, false)
	must(err)
	fmt.Println(team.hear())
	// Output: Maybe later.
}

// What a handler keeps is this workspace's. Update runs its function again if somebody else was faster.
func ExampleUpdate() {
	count := bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
		var now int
		err := bot.Update(ctx, m.Store(), "mentions/"+m.UserID, func(n *int) error {
			*n++
			now = *n
			return nil
		})
		if err != nil {
			return err
		}
		_, err = m.Say(ctx, bot.Text(fmt.Sprint("Mention ", now)))
		return err
	})

	team := rehearse(count)
	defer team.end()
	for range 2 {
		team.say("@bot, are you there?")
		fmt.Println(team.hear())
	}
	// Output:
	// Mention 1
	// Mention 2
}

// Middleware runs around handlers of every kind.
func ExampleUse() {
	polite := func(next bot.Next) bot.Next {
		return func(ctx context.Context, r *bot.Request) error {
			if !strings.HasSuffix(r.Text, "please") {
				return &bot.UserError{Text: "Say please."}
			}
			return next(ctx, r)
		}
	}
	ping := bot.OnCommand("/ping", func(ctx context.Context, c *bot.Command) error {
		return c.Respond(ctx, bot.Text("pong"))
	}, bot.Describe("Answers", ""), bot.Use(polite))

	team := rehearse(ping)
	defer team.end()
	fmt.Println(team.command("/ping").Text)
	fmt.Println(team.command("/ping please").Text)
	// Output:
	// Say please.
	// pong
}
