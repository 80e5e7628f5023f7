package bot

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/lenient"
)

// Whatever was put into a form, a handler reads it or hears which inputs it can't read, and the form is made anew with
// all its blocks.
func FuzzForm(f *testing.F) {
	for _, in := range []string{`{"type":"plain_text_input","value":"12"}`, `{"type":"number_input","value":"1e400"}`,
		`{"type":"datetimepicker","selected_date_time":1790000000}`, `{"type":"timepicker","selected_time":"24:00"}`,
		`{"type":"checkboxes","selected_options":[{"value":"a"},null]}`, `{"type":"datepicker","selected_date":"2026-13-01"}`,
		`{"type":"multi_users_select","selected_users":["U1",null]}`, `null`, `[]`,
		`{"type":"rich_text_input","rich_text_value":{"type":"rich_text","elements":[]}}`} {
		f.Add([]byte(`{"type":"view_submission","view":{"title":{"type":"plain_text","text":"T"},"blocks":[{"type":"input",` +
			`"block_id":"b","label":{"type":"plain_text","text":"L"},"element":{"type":"static_select","action_id":"a",` +
			`"initial_option":{"value":"x"},"options":[{"value":"a"}]}}],"state":{"values":{"b":{"a":` + in + `}}}}}`))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		i, _, err := lenient.Decode[slack.InteractionCallback](body)
		if err != nil {
			return
		}
		s := &Submission{Payload: i}
		var into struct {
			Text     string        `block:"b"`
			Several  []string      `block:"b"`
			Number   int           `block:"b"`
			Fraction float64       `block:"b"`
			Ticked   bool          `block:"b"`
			At       time.Time     `block:"b"`
			Since    time.Duration `block:"b"`
		}
		var wrong FieldErrors
		if err := s.Decode(&into); err != nil && (!errors.As(err, &wrong) || wrong["b"] == "") {
			t.Errorf("%q: %v", body, err)
		}
		if into.Text != s.Value("b") || into.Text != "" && len(into.Several) == 0 || into.Ticked != (len(into.Several) > 0) {
			t.Errorf("%q was read as %+v", body, into)
		}

		again, err := formAgain(body, map[string]string{"b": "No."})
		if err != nil {
			return
		}
		var was struct{ View struct{ Blocks []any } }
		if json.Unmarshal(body, &was) == nil && len(again.Blocks.BlockSet) < len(was.View.Blocks) {
			t.Errorf("%q: %d blocks of %d", body, len(again.Blocks.BlockSet), len(was.View.Blocks))
		}
		if written, err := json.Marshal(again); err != nil || !strings.Contains(string(written), "No.") {
			t.Errorf("%q became %s, %v", body, written, err)
		}
	})
}

// Whatever blocks hold, a message has words for those who don't see them, as many as Slack takes.
func FuzzTextOfBlocks(f *testing.F) {
	f.Add([]byte(`[{"type":"section","text":{"type":"mrkdwn","text":"*Hello*"}},{"type":"divider"}]`))
	f.Add(
		[]byte(`[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"user","user_id":7}]}]}]`))
	f.Add(
		[]byte(`[{"type":"actions","elements":[{"type":"button","text":{"text":"Go"}}]},{"type":"markdown","text":"# x"}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var list []jsonBlock
		if json.Unmarshal(body, &list) != nil {
			return
		}
		var blocks []slack.Block
		for _, b := range list {
			blocks = append(blocks, b)
		}
		text := Reply{}.textOf(nil, blocks)
		if text == "" || utf8.RuneCountInString(text) > maxMessageText {
			t.Errorf("%q: %d characters: %.80q", body, utf8.RuneCountInString(text), text)
		}
	})
}
