package bot_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot"
)

// A bot that greets whoever mentions it. In the Examples rehearse installs it in a small Slack, in which somebody acts.
func ExampleOnMention() {
	greet := bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
		_, err := m.Say(ctx, bot.Text("Hey <@"+m.UserID+">!"))
		return err
	})

	team := rehearse(greet)
	defer team.end()
	team.say("Hello @bot")
	fmt.Println(team.hear())
	// Output: Hey <@U0ACMELEON>!
}

// The captures of a pattern are in Request.Matches, behind the whole match.
func ExampleOnMessage() {
	double := bot.OnMessage(`^double (\w+)$`, func(ctx context.Context, m *bot.Message) error {
		_, err := m.Say(ctx, bot.Text(m.Matches[1]+m.Matches[1]))
		return err
	}, bot.Scopes("channels:history", "im:history"))

	team := rehearse(double)
	defer team.end()
	team.say("double bon")
	fmt.Println(team.hear())
	// Output: bonbon
}

// Markdown can come from anywhere: it mentions nobody who isn't named.
func ExampleMarkdown() {
	summary := bot.OnMention("^summary$", func(ctx context.Context, m *bot.Message) error {
		_, err := m.Say(ctx, bot.Markdown("## Today\n\n- [x] shipped\n- [ ] asleep\n\nThanks, <!channel>"))
		return err
	})

	team := rehearse(summary)
	defer team.end()
	team.say("@bot summary")
	said := team.hear() // what a screen reader says; people see the Markdown
	fmt.Println(strings.Contains(said, "Today. done: shipped. to do: asleep."), strings.Contains(said, "<!channel>"))
	// Output: true false
}

// What a command's handler responds is the answer. A UserError is told in its own words.
func ExampleOnCommand() {
	weather := bot.OnCommand("/weather", func(ctx context.Context, c *bot.Command) error {
		if c.Text == "" {
			return &bot.UserError{Text: "Which city? Try `/weather Lisbon`."}
		}
		return c.Respond(ctx, bot.Reply{Text: "It's sunny in " + c.Text + ".", InChannel: true})
	}, bot.Describe("The weather in a city", "[city]"))

	team := rehearse(weather)
	defer team.end()
	fmt.Println(team.command("/weather Lisbon").Text)
	fmt.Println(team.command("/weather").Text)
	// Output:
	// It's sunny in Lisbon.
	// Which city? Try `/weather Lisbon`.
}

// A command answers with a button, the button opens a modal, and the modal's submission is checked.
func ExampleOnViewSubmission() {
	text := func(s string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
	}

	plan := bot.OnCommand("/plan", func(ctx context.Context, c *bot.Command) error {
		button := slack.NewButtonBlockElement("plan_open", "", text("Name a day"))
		return c.Respond(ctx, bot.Reply{Text: "Plan something?", Blocks: []slack.Block{slack.NewActionBlock("", button)}})
	}, bot.Describe("Plan something", ""))

	open := bot.OnAction("plan_open", func(ctx context.Context, a *bot.Action) error {
		day := slack.NewInputBlock("day", text("Day"), nil, slack.NewPlainTextInputBlockElement(nil, "name"))
		_, err := a.OpenModal(ctx, slack.ModalViewRequest{
			Type: slack.VTModal, CallbackID: "plan", Title: text("Plan"), Submit: text("Plan it"),
			Blocks: slack.Blocks{BlockSet: []slack.Block{day}},
		})
		return err
	})

	submit := bot.OnViewSubmission("plan", func(_ context.Context, s *bot.Submission) error {
		if day := s.Payload.View.State.Values["day"]["name"].Value; !strings.HasSuffix(day, "day") {
			return s.Errors(map[string]string{"day": "“" + day + "” is no day of the week."})
		}
		return nil // the modal closes
	})

	team := rehearse(plan, open, submit)
	defer team.end()
	team.press(team.command("/plan"), "plan_open")
	fmt.Printf("%q\n", team.submit("day", "name", "March"))
	fmt.Printf("%q\n", team.submit("day", "name", "Monday"))
	// Output:
	// "“March” is no day of the week."
	// ""
}

// Durable work is acknowledged right away and kept until it succeeds, whatever becomes of the process. This one fails
// at first, which nobody is told, and runs again.
func ExampleOnCommandAsync() {
	report := bot.OnCommandAsync("/report", func(ctx context.Context, c *bot.AsyncCommand) error {
		if c.Attempt == 1 {
			return errors.New("the warehouse is away")
		}
		_, err := c.Say(ctx, bot.Text("Sales are up by 4 %."))
		return err
	}, bot.Scopes("chat:write"), bot.Describe("How sales are going", ""))

	team := rehearse(report)
	defer team.end()
	fmt.Printf("%q\n", team.command("/report").Text)
	fmt.Println(team.hear())
	// Output:
	// ""
	// Sales are up by 4 %.
}

// The messages of one conversation come one after the other, in their order, however long each takes.
func ExampleOrdered() {
	sum := 0
	add := bot.OnMessage(`^add (\d+)$`, func(ctx context.Context, m *bot.Message) error {
		var n int
		if _, err := fmt.Sscan(m.Matches[1], &n); err != nil {
			return err
		}
		sum += n
		_, err := m.Say(ctx, bot.Text(fmt.Sprint("That makes ", sum, ".")))
		return err
	}, bot.Scopes("channels:history"), bot.Ordered())

	team := rehearse(add)
	defer team.end()
	team.say("add 2")
	team.say("add 3")
	fmt.Println(team.hear())
	fmt.Println(team.hear())
	// Output:
	// That makes 2.
	// That makes 5.
}

// The manifest follows from the handlers: what Slack sends, and what the app asks for.
func ExampleNewManifest() {
	handlers := []bot.Handler{
		bot.OnEvent("reaction_added", func(context.Context, *bot.Event[slackevents.ReactionAddedEvent]) error {
			return nil
		}, bot.Scopes("reactions:read")),
	}

	profile := bot.Profile{Name: "Tally", Description: "Counts reactions.", Scopes: bot.Catalogue(nil, nil, handlers)}
	m, err := bot.NewManifest(profile, handlers, "https://tally.example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.OAuthConfig.Scopes.Bot)
	fmt.Println(m.Settings.EventSubscriptions.RequestUrl)
	// Output:
	// [reactions:read]
	// https://tally.example.com/slack/events
}
