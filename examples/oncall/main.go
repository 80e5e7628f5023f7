// Command oncall keeps who is on call: a list of people for each service, of whom the first has the pager.
package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard"
	"github.com/switchboard-go/switchboard/bot"
)

// services stand for the catalogue that a real bot asks.
var services = []string{"api", "billing", "search", "website"}

// rota is kept in the Store, for each workspace: the people of each service, who is on call first.
type rota struct {
	People map[string][]string
}

const rotaKey = "rota"

var handlers = []bot.Handler{
	bot.OnCommand("/oncall", nil, bot.Describe("Who is on call", "")),
	bot.OnCommand("/oncall show", show, bot.Describe("shows who is on call for a service", "service")),
	bot.OnCommand("/oncall add", ask, bot.Describe("adds somebody to a service", "")),
	bot.OnOptions("service", suggest),
	bot.OnViewSubmission("oncall.add", add),
	bot.OnAction("oncall.take", take),
	bot.OnHomeOpened(home),
	bot.Cron("0 9 * * 1-5", remind, bot.Scopes("chat:write")),
}

// show answers with who is on call, and a button to take over.
func show(ctx context.Context, c *bot.Command) error {
	var r rota
	if _, err := c.Store().Get(ctx, rotaKey, &r); err != nil {
		return err
	}
	service := strings.ToLower(c.Text)
	if len(r.People[service]) == 0 {
		return &bot.UserError{Text: "Nobody is on call there. Add somebody with `/oncall add`."}
	}
	return c.Respond(ctx, r.card(service))
}

// card is what is shown of a service.
func (r rota) card(service string) bot.Reply {
	text := fmt.Sprintf("<@%s> is on call for %s.", r.People[service][0], service)
	button := slack.NewButtonBlockElement("oncall.take", service, plain("I'll take it"))
	return bot.Reply{Text: text, InChannel: true, Blocks: []slack.Block{section(text), slack.NewActionBlock("", button)}}
}

// take puts who pressed first, and shows that in the message with the button.
func take(ctx context.Context, a *bot.Action) error {
	var now rota
	err := bot.Update(ctx, a.Store(), rotaKey, func(r *rota) error {
		people := slices.DeleteFunc(r.People[a.Value], func(id string) bool { return id == a.UserID })
		if r.People == nil {
			r.People = map[string][]string{}
		}
		r.People[a.Value] = append([]string{a.UserID}, people...)
		now = *r
		return nil
	})
	if err != nil {
		return err
	}
	return a.Update(ctx, now.card(a.Value))
}

// remind tells those who are on call, each morning in each workspace.
func remind(ctx context.Context, t *bot.Timer) error {
	var r rota
	if _, err := t.Store().Get(ctx, rotaKey, &r); err != nil {
		return err
	}
	for _, service := range slices.Sorted(maps.Keys(r.People)) {
		if _, err := t.Say(ctx, r.People[service][0], bot.Text("You're on call for "+service+" today.")); err != nil {
			return err
		}
	}
	return nil
}

// ask opens the form.
func ask(ctx context.Context, c *bot.Command) error {
	one := 1
	service := slack.NewOptionsSelectBlockElement(slack.OptTypeExternal, plain("Type a name"), "service")
	service.MinQueryLength = &one
	person := slack.NewOptionsSelectBlockElement(slack.OptTypeUser, plain("Choose somebody"), "person")
	_, err := c.OpenModal(ctx, slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: "oncall.add", Title: plain("Add somebody"), Submit: plain("Add"),
		Close: plain("Cancel"), Blocks: slack.Blocks{BlockSet: []slack.Block{
			slack.NewInputBlock("service", plain("Service"), nil, service),
			slack.NewInputBlock("person", plain("Person"), nil, person),
		}},
	})
	return err
}

// suggest offers the services that begin with what was typed.
func suggest(_ context.Context, o *bot.Options) error {
	var found []*slack.OptionBlockObject
	for _, name := range services {
		if strings.HasPrefix(name, strings.ToLower(o.Value)) {
			found = append(found, bot.NewOption(name, name))
		}
	}
	return o.Reply(found...)
}

// add checks the form and keeps what it says.
func add(ctx context.Context, s *bot.Submission) error {
	service, person := s.Value("service"), s.Value("person")
	wrong := map[string]string{}
	err := bot.Update(ctx, s.Store(), rotaKey, func(r *rota) error {
		clear(wrong) // it can run again
		switch people := r.People[service]; {
		case slices.Contains(people, person):
			wrong["person"] = "They are on this list already."
		case len(people) == 5:
			wrong["service"] = "Five people are enough."
		}
		if len(wrong) > 0 {
			return nil
		}

		if r.People == nil {
			r.People = map[string][]string{}
		}
		r.People[service] = append(r.People[service], person)
		return nil
	})
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		return s.Errors(wrong)
	}
	return s.Respond(ctx, bot.Text(fmt.Sprintf("<@%s> is on the list for %s.", person, service)))
}

// home lists all services.
func home(ctx context.Context, h *bot.Home) error {
	var r rota
	if _, err := h.Store().Get(ctx, rotaKey, &r); err != nil {
		return err
	}
	lines := []string{"*On call*"}
	for _, service := range slices.Sorted(maps.Keys(r.People)) {
		lines = append(lines, fmt.Sprintf("%s: <@%s>", service, strings.Join(r.People[service], ">, <@")))
	}
	if len(r.People) == 0 {
		lines = append(lines, "Nobody yet. Add somebody with `/oncall add`.")
	}
	return h.Publish(ctx, slack.HomeTabViewRequest{Blocks: slack.Blocks{BlockSet: []slack.Block{
		section(strings.Join(lines, "\n")),
	}}})
}

func section(mrkdwn string) slack.Block {
	return slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, mrkdwn, false, false), nil, nil)
}

func plain(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, text, false, false)
}

func main() {
	switchboard.App{Name: "On call", Summary: "Keeps who is on call.", Handlers: handlers}.Main()
}
