package main

import (
	"testing"

	"github.com/switchboard-go/switchboard/bot/bottest"
)

const told = "The printer in room 3 is on fire"

// A message becomes a ticket, and a link to that shows it.
func TestMessageBecomesTicket(t *testing.T) {
	t.Parallel()
	s := bottest.New(t, handlers()...)
	leon := s.As(bottest.Member)
	leon.MessageShortcut("#general", leon.Say("#general", told), "triage")
	leon.Submit(map[string]string{"text": "fire"})
	leon.Modal().Want("a few words more")
	leon.Submit(map[string]string{"text": told})
	leon.Modal().Want("Filed as https://tickets.example.com/1")

	leon.PostLink("#general", "https://tickets.example.com/1").Want(told)
}

func TestWorkflowFilesTicket(t *testing.T) {
	t.Parallel()
	s := bottest.New(t, handlers()...)
	leon := s.As(bottest.Member)
	x := leon.Function("open_ticket", map[string]any{"title": told}).Ended()
	if x.Outputs["url"] != "https://tickets.example.com/1" {
		t.Errorf("the step gave %v, %q", x.Outputs, x.Error)
	}
	if x := leon.Function("open_ticket", map[string]any{"title": ""}).Ended(); x.Error != "A ticket needs a title." {
		t.Errorf("the step failed with %q", x.Error)
	}
}
