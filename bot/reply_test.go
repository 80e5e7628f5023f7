package bot

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
)

// A field of an answer that does nothing where it stands is named, with its handler, and counted.
func TestIdleFieldOfAnAnswer(t *testing.T) {
	t.Parallel()
	everybody := Reply{Text: "Hm.", InChannel: true}
	b, numbers, log := counted(t, nil,
		OnCommand("/x", func(ctx context.Context, c *Command) error { return c.Respond(ctx, everybody) },
			Describe("x", ""), WithoutConnection()),
		OnViewSubmission("x", func(ctx context.Context, s *Submission) error { return s.Respond(ctx, everybody) },
			WithoutConnection()))
	for _, test := range []struct {
		of   string
		d    transport.Delivery
		idle []string
	}{
		{"command /x", transport.Delivery{Kind: transport.KindCommands,
			Form: url.Values{"command": {"/x"}, "team_id": {"T1"}}}, nil},
		{"view x", transport.Delivery{Kind: transport.KindInteractive, Body: []byte(
			`{"type":"view_submission","api_app_id":"A1","team":{"id":"T1"},"user":{"id":"U1"},"view":{"id":"V1","callback_id":"x"}}`)},
			[]string{"idle_field"}},
	} {
		before := series(t, numbers)
		a, err := b.accept(t.Context(), test.d)
		if err != nil || !strings.Contains(string(a.Body), "Hm.") {
			t.Errorf("%s is answered with %s, %v", test.of, a.Body, err)
		}
		steps(t, test.of, "switchboard_lost_answers_total cause=", before, series(t, numbers), test.idle...)
		if said := strings.Contains(log.String(), `of="`+test.of+`" fields=InChannel`); said != (test.idle != nil) {
			t.Errorf("%s: it is said %v in\n%s", test.of, said, log)
		}
	}
}

// One act has one answer. A handler that goes on behind the error has the first one, one that returns it has failed.
func TestSecondAnswer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"goes on": "First.", "returns it": "Something went wrong"} {
		b, _, _ := counted(t, nil, OnCommand("/x", func(ctx context.Context, c *Command) error {
			first, second := c.Respond(ctx, Text("First.")), c.Respond(ctx, Text("Second."))
			if first != nil || !errors.Is(second, ErrAnswered) {
				t.Errorf("answered with %v, and then %v", first, second)
			}
			if c.Text == "goes on" {
				return nil
			}
			return second
		}, Describe("x", ""), WithoutConnection()))
		a, err := b.accept(t.Context(), transport.Delivery{Kind: transport.KindCommands,
			Form: url.Values{"command": {"/x"}, "text": {text}, "team_id": {"T1"}}})
		if err != nil || !strings.Contains(string(a.Body), want) {
			t.Errorf("one that %s is answered with %s, %v", text, a.Body, err)
		}
	}
}
