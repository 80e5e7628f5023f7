package bot

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/connection"
)

// A field of an answer that does nothing where it stands is named, with its handler, and counted; a person who would
// read nothing reads something.
func TestIdleFieldsOfAnAnswer(t *testing.T) {
	t.Parallel()
	view, wrong := &slack.ModalViewRequest{}, map[string]string{"b": "No such day."}
	for name, test := range map[string]struct {
		kind  Kind
		reply Reply
		idle  string // "" : every field is used
		reads string // part of what the person reads
	}{
		"errors of a command":           {KindCommand, Reply{Errors: wrong}, "Errors", "No such day."},
		"errors beside words":           {KindCommand, Reply{Text: "Hm.", Errors: wrong}, "Errors", "Hm."},
		"a view of a command":           {KindCommand, Reply{View: view}, "View", "Something went wrong"},
		"both":                          {KindCommand, Reply{View: view, Errors: wrong}, "View, Errors", "No such day."},
		"a command that replaces":       {KindCommand, Reply{Text: "Hm.", Replace: true}, "Replace", "Hm."},
		"a command in the channel":      {KindCommand, Reply{Text: "Hm.", InChannel: true}, "", "Hm."},
		"a view of a button":            {KindAction, Reply{Text: "Hm.", View: view}, "View", "Hm."},
		"a button that replaces":        {KindAction, Reply{Text: "Hm.", Replace: true, InChannel: true}, "", "Hm."},
		"an answer to a message":        {KindMessage, Reply{Text: "Hm.", InChannel: true}, "", "Hm."},
		"errors of a message":           {KindMessage, Reply{Errors: wrong}, "Errors", "No such day."},
		"a message that replaces":       {KindMessage, Reply{Text: "Hm.", Replace: true}, "Replace", "Hm."},
		"a form":                        {KindViewSubmission, Reply{Errors: wrong}, "", ""},
		"a form's next page":            {KindViewSubmission, Reply{View: view}, "", ""},
		"a form's page beside errors":   {KindViewSubmission, Reply{View: view, Errors: wrong}, "View beside Errors", ""},
		"a form in the channel":         {KindViewSubmission, Reply{Text: "Hm.", InChannel: true}, "InChannel", "Hm."},
		"a form that replaces":          {KindViewSubmission, Reply{Text: "Hm.", Replace: true}, "Replace", "Hm."},
		"the zero Reply of a command":   {KindCommand, Reply{}, "", ""},
		"errors where there are none":   {KindCommand, Reply{Errors: map[string]string{}}, "", ""},
		"words behind the first answer": {KindCommand, Reply{Text: "Hm."}, "", "Hm."},
	} {
		for _, second := range []bool{false, true} {
			b, numbers, log := counted(t, nil)
			h, turn := Handler{Kind: test.kind, Name: "x"}, &Request{Log: b.log, Ref: "REF"}
			given := test.reply
			if second { // the same behind a first answer
				given = Reply{Text: "First.", Then: func(context.Context) (Reply, error) { return test.reply, nil }}
			}
			before := series(t, numbers)
			r := b.gate.sound(h, turn, given, false)
			idle := test.idle
			if second {
				r, _ = r.Then(t.Context())
				if idle == "Replace" && test.kind != KindViewSubmission { // which a second answer does anyway
					idle = ""
				}
			}
			line := lineWith(log.String(), "an answer has fields")
			var want []string
			if idle != "" {
				want = []string{"idle_field"}
			}
			steps(t, name, "switchboard_lost_answers_total cause=", before, series(t, numbers), want...)
			if (idle == "") != (line == "") || !strings.Contains(strings.ReplaceAll(line, `"`, ""), "fields="+idle) &&
				idle != "" {
				t.Errorf("%s (second %v): idle %q, logged as %s", name, second, test.idle, line)
			}
			if !strings.Contains(r.Text, test.reads) || test.reads == "" && r.Text != "" {
				t.Errorf("%s (second %v): the person reads %q", name, second, r.Text)
			}
		}
	}
}

// What a handler returns passes there, and what it says by itself as well.
func TestIdleFieldsAreSaid(t *testing.T) {
	t.Parallel()
	wrong := Reply{Errors: map[string]string{"b": "No such day."}}
	b, _, log := counted(t, nil,
		OnCommand("/x", func(ctx context.Context, turn *Request, _ *slack.SlashCommand) (Reply, error) {
			_ = turn.Respond(ctx, Reply{Text: "Hm.", Then: func(context.Context) (Reply, error) { return Reply{}, nil }})
			return wrong, nil
		}).Describe("x", "").Always(),
		OnAction("x", func(context.Context, *Request, *slack.InteractionCallback) (Reply, error) { return wrong, nil }).Always().
			Slow())
	a, err := b.accept(t.Context(), transport.Delivery{Kind: transport.KindCommands,
		Form: url.Values{"command": {"/x"}, "team_id": {"T1"}}})
	if err != nil || !strings.Contains(string(a.Body), "No such day.") {
		t.Errorf("the command is answered with %s, %v", a.Body, err)
	}
	press := `{"payload":{"type":"block_actions","api_app_id":"A1","team":{"id":"T1"},"actions":[{"action_id":"x","type":"button"}]}}`
	b.workers.work(t.Context(), Delivery{Kind: transport.KindInteractive, Type: "action x",
		Key: connection.Key{AppID: "A1", TeamID: "T1"}, Attempt: 1, Body: []byte(press)}, nil)
	for _, of := range []string{`of="command /x" fields=Errors`, `of="action x" fields=Errors`,
		"of=Request.Respond fields=Then"} {
		if !strings.Contains(log.String(), of) {
			t.Errorf("%s is not said in\n%s", of, log)
		}
	}
}
