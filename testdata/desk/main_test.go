package main

import (
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot/bottest"
	"github.com/switchboard-go/switchboard/slacksim"
)

func desk(t *testing.T) *bottest.Suite {
	t.Parallel()
	return bottest.NewApp(t, bottest.App{Name: app.Name, Handlers: app.Handlers, Use: app.Use, OnError: app.OnError})
}

// A message becomes a ticket, which follows it until somebody says that it is done.
func TestMessages(t *testing.T) {
	s := desk(t)
	leon, dana := s.As(bottest.Member), s.As(bottest.Admin)

	ts := leon.Say("#general", "help: the printer burns")
	s.Posted("#general").Want("the printer burns…Nobody has it")
	leon.Edit("#general", ts, "help: the printer smokes")
	s.Posted("#general").Nothing()
	dana.Command("#general", "/desk list")
	dana.Reads("#general").Want("1. the printer smokes")

	dana.Press("#general", "ticket.take")
	s.Posted("#general").Shows("<@" + dana.ID + "> has it.")
	dana.Press("#general", "prio.high")
	s.Posted("#general").Shows("high *the printer smokes*")
	if found := dana.Options("#general", "choose", "pri"); len(found) != 1 {
		t.Errorf("the menu offers %v", found)
	}
	dana.Select("#general", "choose", "printers/"+ts)
	s.Posted("#general").Shows("printers")
	leon.Press("#general", "rate.5")
	leon.Reads("#general").Want("Stars: 5")

	leon.React("#general", ts, "white_check_mark")
	s.Posted("#general").Want("Done: the printer smokes").Nothing()
	leon.Press("#general", "ticket.take")
	leon.Reads("#general").Want("That ticket is done.")

	s.BotSays("#general", "help: the router sleeps")
	s.Posted("#general").Want("the router sleeps")
	gone := leon.Say("#general", "help: never mind")
	s.Posted("#general").Want("never mind")
	leon.Delete("#general", gone)
	s.Posted("#general").Nothing()
	leon.Mention("#general", "how many are there?")
	s.Posted("#general").Want("Tickets: 1.")
}

// What bottest has no word for the small Slack has.
func TestFilesAndPeople(t *testing.T) {
	s := desk(t)
	ctx, general := t.Context(), s.Channel("#general")
	shot := slacksim.Upload{Name: "screen.png", Content: []byte("not really")}
	if _, err := s.Sim.People.Share(ctx, bottest.Member.ID, general, "", "Look!", shot); err != nil {
		t.Fatal(err)
	}
	s.Posted("#general").Want("Thanks for the file.")
	if err := s.Sim.Invite(ctx, bottest.Admin.ID, general, bottest.Guest.ID); err != nil {
		t.Fatal(err)
	}
	s.Posted("#general").Want("Welcome, <@" + bottest.Guest.ID + ">.")
}

func TestForm(t *testing.T) {
	s := desk(t)
	leon := s.As(bottest.Member)
	leon.Shortcut("ask")
	leon.Submit(map[string]string{"title": "A new phone"})
	leon.Modal().Want("Tell me more")
	leon.Submit(map[string]string{"text": "please"})
	leon.Modal().Want("text: Write a few words more.")
	leon.Submit(map[string]string{"text": "mine fell into the lake"})
	leon.Modal().Want("Are you sure?")
	leon.Submit(map[string]string{"sure": "yes"})
	leon.Modal().Nothing()
	leon.OpenHome()
	leon.Home().Want("1. A new phone")

	leon.Shortcut("ask")
	leon.Submit(map[string]string{"title": "later"})
	leon.Submit(map[string]string{"text": "lunch"})
	leon.Reads("").Want("I'll see about “lunch”.")
	leon.Shortcut("ask")
	leon.Close()
	s.Advance(time.Hour)
	leon.Reads("").Want("You wanted to look at something.")
}

// Only admins close the desk, and it opens again by itself.
func TestClosed(t *testing.T) {
	s := desk(t)
	leon := s.As(bottest.Member)
	leon.Command("#general", "/desk close")
	leon.Reads("#general").Want("admin")
	s.As(bottest.Admin).Command("#general", "/desk close")
	s.As(bottest.Admin).Reads("#general").Want("The desk is closed.")
	leon.Shortcut("ask")
	leon.Modal().Want("Come back tomorrow.")
	leon.Close()

	s.Advance(36 * time.Hour)
	leon.Shortcut("ask")
	leon.Modal().Want("What is it about?")
	leon.Command("#general", "/desk shut")
	leon.Reads("#general").Want("I don't know “shut”.…/desk close")
}

func TestWorkflowsAndLinks(t *testing.T) {
	s := desk(t)
	leon, dana := s.As(bottest.Member), s.As(bottest.Admin)
	x := leon.Function("open_ticket", map[string]any{"title": "A chair", "channel": s.Channel("#general")})
	dana.Press("#general", "step.agree")
	url, _ := x.Ended().Outputs["url"].(string)
	leon.PostLink("#general", url).Want("A chair")
	none := leon.Function("open_ticket", map[string]any{"title": "", "channel": s.Channel("#general")})
	if said := none.Ended().Error; !strings.Contains(said, "needs a title") {
		t.Errorf("the step failed with %q", said)
	}

	leon.MessageShortcut("#general", leon.Say("#general", "The lamp is dark"), "file")
	leon.Reads("#general").Want("Filed.")
	leon.Command("#general", "/desk export")
	leon.Reads("#general").Want("Tickets…The lamp is dark")
	s.Advance(24 * time.Hour)
	dana.Reads("").Want("Good morning.…The lamp is dark")
}

func TestReminder(t *testing.T) {
	s := desk(t)
	leon := s.As(bottest.Member)
	for _, done := range []bool{true, false} {
		ts := leon.Say("#general", "help: a cable")
		s.Posted("#general").Want("a cable")
		leon.Press("#general", "ticket.remind")
		leon.Reads("#general").Want("In an hour.")
		if done {
			leon.React("#general", ts, "white_check_mark")
			s.Posted("#general").Want("Done: a cable")
		}
		s.Advance(time.Hour)
		if done {
			leon.Reads("").Nothing()
		}
	}
	leon.Reads("").Want("You wanted to look at something.").Nothing()
}

func TestAgent(t *testing.T) {
	s := desk(t)
	leon := s.As(bottest.Member)
	leon.OpenAgent()
	thread := leon.PressPrompt("What's open?")
	leon.Reads("").Want("This is open:…Nothing is open.")
	leon.Rename(thread, "Work")
	leon.Reads("").Want("Now it's “Work”.")
	leon.LookAt("#general")
	leon.Reads("").Nothing()
	leon.AgentMessage("Where am I?")
	leon.Reads("").Want("You look at <#" + s.Channel("#general") + ">.")
	leon.Feedback(true)
	leon.Reads("").Want("Good: true")

	thread = leon.AgentMessage("Wait for me")
	leon.Reads("").Want("This is")
	leon.Stop(thread)
	leon.Reads("").Want("As you wish.")
}
