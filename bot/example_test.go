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
func ExampleOnEvent() {
	greet := bot.OnEvent("app_mention", func(ctx context.Context, t *bot.Request, e *slackevents.AppMentionEvent) error {
		_, err := t.Say(ctx, bot.Reply{Text: "Hey <@" + e.User + ">!"})
		return err
	}, "app_mentions:read", "chat:write")

	team := rehearse(greet)
	defer team.end()
	team.say("Hello @bot")
	fmt.Println(team.hear())
	// Output: Hey <@U0ACMELEON>!
}

// The captures of a pattern are in Request.Matches, behind the whole match.
func ExampleOnMessage() {
	double := bot.OnMessage(`^double (\w+)$`,
		func(_ context.Context, t *bot.Request, _ *slackevents.MessageEvent) (bot.Reply, error) {
			return bot.Reply{Text: t.Matches[1] + t.Matches[1]}, nil
		}, "channels:history", "im:history", "chat:write")

	team := rehearse(double)
	defer team.end()
	team.say("double bon")
	fmt.Println(team.hear())
	// Output: bonbon
}

// What a command's handler returns is the answer. A UserError is told in its own words.
func ExampleOnCommand() {
	weather := bot.OnCommand("/weather", func(_ context.Context, _ *bot.Request, c *slack.SlashCommand) (bot.Reply, error) {
		if c.Text == "" {
			return bot.Reply{}, &bot.UserError{Text: "Which city? Try `/weather Lisbon`."}
		}
		return bot.Reply{Text: "It's sunny in " + c.Text + ".", InChannel: true}, nil
	}).Describe("The weather in a city", "[city]")

	team := rehearse(weather)
	defer team.end()
	fmt.Println(team.command("/weather Lisbon").Text)
	fmt.Println(team.command("/weather").Text)
	// Output:
	// It's sunny in Lisbon.
	// Which city? Try `/weather Lisbon`.
}

// A command answers with a button, the button opens a modal, and the modal's submission is checked.
func ExampleOnView() {
	text := func(s string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
	}

	plan := bot.OnCommand("/plan", func(context.Context, *bot.Request, *slack.SlashCommand) (bot.Reply, error) {
		button := slack.NewButtonBlockElement("plan_open", "", text("Name a day"))
		return bot.Reply{Text: "Plan something?", Blocks: []slack.Block{slack.NewActionBlock("", button)}}, nil
	}).Describe("Plan something", "")

	open := bot.OnAction("plan_open", func(ctx context.Context, t *bot.Request, _ *slack.InteractionCallback) (bot.Reply,
		error) {
		day := slack.NewInputBlock("day", text("Day"), nil, slack.NewPlainTextInputBlockElement(nil, "name"))
		_, err := t.OpenModal(ctx, slack.ModalViewRequest{
			Type: slack.VTModal, CallbackID: "plan", Title: text("Plan"), Submit: text("Plan it"),
			Blocks: slack.Blocks{BlockSet: []slack.Block{day}},
		})
		return bot.Reply{}, err
	})

	submit := bot.OnView("plan", func(_ context.Context, _ *bot.Request, v *slack.InteractionCallback) (bot.Reply, error) {
		if day := v.View.State.Values["day"]["name"].Value; !strings.HasSuffix(day, "day") {
			return bot.Reply{Errors: map[string]string{"day": "“" + day + "” is no day of the week."}}, nil
		}
		return bot.Reply{}, nil // the modal closes
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

// A slow handler is acknowledged right away and kept until it succeeds, whatever becomes of the process. This one fails
// at first, which nobody is told, and runs again.
func ExampleHandler_Slow() {
	report := bot.OnCommand("/report", func(ctx context.Context, t *bot.Request, _ *slack.SlashCommand) (bot.Reply, error) {
		if t.Attempt == 1 {
			return bot.Reply{}, errors.New("the warehouse is away")
		}
		_, err := t.Say(ctx, bot.Reply{Text: "Sales are up by 4 %."})
		return bot.Reply{}, err
	}, "chat:write").Slow().Describe("How sales are going", "")

	team := rehearse(report)
	defer team.end()
	fmt.Printf("%q\n", team.command("/report").Text)
	fmt.Println(team.hear())
	// Output:
	// ""
	// Sales are up by 4 %.
}

// The messages of one conversation come one after the other, in their order, however long each takes.
func ExampleHandler_InOrder() {
	sum := 0
	add := bot.OnMessage(`^add (\d+)$`,
		func(_ context.Context, t *bot.Request, _ *slackevents.MessageEvent) (bot.Reply, error) {
			var n int
			if _, err := fmt.Sscan(t.Matches[1], &n); err != nil {
				return bot.Reply{}, err
			}
			sum += n
			return bot.Reply{Text: fmt.Sprint("That makes ", sum, ".")}, nil
		}, "channels:history", "chat:write").InOrder()

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
		bot.OnEvent("reaction_added", func(context.Context, *bot.Request, *slackevents.ReactionAddedEvent) error {
			return nil
		}, "reactions:read"),
	}

	profile := bot.Profile{Name: "Tally", Description: "Counts reactions.", Scopes: bot.Catalogue(nil, handlers)}
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
