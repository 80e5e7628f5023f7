package bot

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/lenient"
)

// Every element of a form, as Slack sends what was put in, comes into the field that fits it.
func TestFormValues(t *testing.T) {
	t.Parallel()
	const state = `{"type":"view_submission","view":{"state":{"values":{
		"title":{"a":{"type":"plain_text_input","value":"Printer"}},
		"empty":{"a":{"type":"plain_text_input","value":null}},
		"count":{"a":{"type":"number_input","value":"3"}},
		"price":{"a":{"type":"number_input","value":"2.5"}},
		"who":{"a":{"type":"multi_users_select","selected_users":["U1","U2"]}},
		"kind":{"a":{"type":"static_select","selected_option":{"value":"bug","text":{"type":"plain_text","text":"Bug"}}}},
		"where":{"a":{"type":"conversations_select","selected_conversation":"C1"}},
		"agree":{"a":{"type":"checkboxes","selected_options":[{"value":"yes","text":{"type":"plain_text","text":"Yes"}}]}},
		"none":{"a":{"type":"checkboxes","selected_options":[]}},
		"day":{"a":{"type":"datepicker","selected_date":"2026-12-01"}},
		"at":{"a":{"type":"timepicker","selected_time":"09:30"}},
		"when":{"a":{"type":"datetimepicker","selected_date_time":1790000000}}}}}}`
	var i slack.InteractionCallback
	if err := json.Unmarshal([]byte(state), &i); err != nil {
		t.Fatal(err)
	}
	s := &Submission{Payload: &i}

	type form struct {
		Title string        `block:"title"`
		Empty string        `block:"empty"`
		Gone  string        `block:"no_such_block"`
		Count int           `block:"count"`
		Price float64       `block:"price"`
		Who   []string      `block:"who"`
		Kind  string        `block:"kind"`
		Where string        `block:"where"`
		Agree bool          `block:"agree"`
		None  bool          `block:"none"`
		Left  int           `block:"empty"`
		Day   time.Time     `block:"day"`
		At    time.Duration `block:"at"`
		When  time.Time     `block:"when"`
		Other int
	}
	got := form{None: true, Other: 7}
	if err := s.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := form{Title: "Printer", Count: 3, Price: 2.5, Who: []string{"U1", "U2"}, Kind: "bug", Where: "C1", Agree: true,
		Day: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), At: 9*time.Hour + 30*time.Minute,
		When: time.Unix(1790000000, 0), Other: 7}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if s.Value("kind") != "bug" || s.Value("none") != "" || len(s.Values("agree")) != 1 {
		t.Errorf("kind %q, none %q, agree %q", s.Value("kind"), s.Value("none"), s.Values("agree"))
	}

	var wrong FieldErrors
	if err := s.Decode(&struct {
		Title int       `block:"title"`
		Kind  time.Time `block:"kind"`
	}{}); !errors.As(err, &wrong) || len(wrong) != 2 || wrong["title"] != "Write a whole number." {
		t.Errorf("what doesn't fit: %v", err)
	}
	for _, v := range []any{nil, form{}, new(int), &struct {
		Title map[string]string `block:"title"`
	}{}, &struct {
		Empty int64 `block:"empty"`
	}{}, &struct {
		title string `block:"title"`
	}{}} {
		if err := s.Decode(v); err == nil || errors.As(err, &wrong) {
			t.Errorf("into a %T: %v", v, err)
		}
	}
	if (&Submission{Payload: &slack.InteractionCallback{}}).Value("title") != "" {
		t.Error("a form without a state has a value")
	}
}

// Every input of Slack's comes into the fields that fit it, filled and left empty.
// https://docs.slack.dev/reference/block-kit/block-elements
func TestEveryInputDecodes(t *testing.T) {
	t.Parallel()
	const option = `{"text":{"type":"plain_text","text":"One"},"value":"one"}`
	const rich = `{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"Ask "},` +
		`{"type":"user","user_id":"U1"},{"type":"text","text":" <now>","style":{"bold":true}}]},` +
		`{"type":"rich_text_list","style":"bullet","elements":[{"type":"rich_text_section","elements":[` +
		`{"type":"link","url":"https://example.com/1"},{"type":"emoji","name":"eyes"}]}]}]}`
	const file = `{"id":"F1","name":"a.txt","mimetype":"text/plain","size":3,"url_private":"https://files.slack.com/F1"}`
	for _, test := range []struct {
		element, filled, empty string
		value                  string
		values                 []string
	}{
		{"plain_text_input", `"value":"it"`, `"value":null`, "it", []string{"it"}},
		{"email_text_input", `"value":"a@example.com"`, `"value":null`, "a@example.com", []string{"a@example.com"}},
		{"url_text_input", `"value":"https://example.com"`, `"value":null`, "https://example.com",
			[]string{"https://example.com"}},
		{"number_input", `"value":"3"`, `"value":null`, "3", []string{"3"}},
		{"datepicker", `"selected_date":"2026-12-01"`, `"selected_date":null`, "2026-12-01", []string{"2026-12-01"}},
		{"timepicker", `"selected_time":"09:30","timezone":"Europe/Berlin"`, `"selected_time":null`, "09:30",
			[]string{"09:30"}},
		{"datetimepicker", `"selected_date_time":1790000000`, `"selected_date_time":null`, "1790000000",
			[]string{"1790000000"}},
		{"static_select", `"selected_option":` + option, `"selected_option":null`, "one", []string{"one"}},
		{"external_select", `"selected_option":` + option, `"selected_option":null`, "one", []string{"one"}},
		{"radio_buttons", `"selected_option":` + option, `"selected_option":null`, "one", []string{"one"}},
		{"users_select", `"selected_user":"U1"`, `"selected_user":null`, "U1", []string{"U1"}},
		{"channels_select", `"selected_channel":"C1"`, `"selected_channel":null`, "C1", []string{"C1"}},
		{"conversations_select", `"selected_conversation":"D1"`, `"selected_conversation":null`, "D1", []string{"D1"}},
		{"checkboxes", `"selected_options":[` + option + `]`, `"selected_options":[]`, "", []string{"one"}},
		{"multi_static_select", `"selected_options":[` + option + `,` + option + `]`, `"selected_options":[]`, "",
			[]string{"one", "one"}},
		{"multi_external_select", `"selected_options":[` + option + `]`, `"selected_options":[]`, "", []string{"one"}},
		{"multi_users_select", `"selected_users":["U1","U2"]`, `"selected_users":[]`, "", []string{"U1", "U2"}},
		{"multi_channels_select", `"selected_channels":["C1"]`, `"selected_channels":[]`, "", []string{"C1"}},
		{"multi_conversations_select", `"selected_conversations":["C1","D1"]`, `"selected_conversations":[]`, "",
			[]string{"C1", "D1"}},
		{"file_input", `"files":[` + file + `]`, `"files":[]`, "", []string{"F1"}},
		{"rich_text_input", `"rich_text_value":` + rich, `"rich_text_value":null`,
			"Ask <@U1> &lt;now&gt;\nhttps://example.com/1:eyes:",
			[]string{"Ask <@U1> &lt;now&gt;\nhttps://example.com/1:eyes:"}},
	} {
		decode := func(state string) (value string, values []string, given bool, s *Submission) {
			i, left, err := lenient.Decode[slack.InteractionCallback]([]byte(`{"type":"view_submission","view":{"state":{` +
				`"values":{"in":{"a":{"type":"` + test.element + `",` + state + `}}}}}}`))
			if err != nil || len(left) > 0 {
				t.Fatalf("%s can't be read: %v %v", test.element, left, err)
			}
			var form struct {
				Value  string   `block:"in"`
				Values []string `block:"in"`
				Given  bool     `block:"in"`
			}
			s = &Submission{Payload: i}
			if err := s.Decode(&form); err != nil {
				t.Errorf("%s: %v", test.element, err)
			}
			return form.Value, form.Values, form.Given, s
		}
		value, values, given, s := decode(test.filled)
		if value != test.value || !reflect.DeepEqual(values, test.values) || !given || s.Value("in") != value {
			t.Errorf("%s is %q, %q, %v; want %q, %q", test.element, value, values, given, test.value, test.values)
		}
		if value, values, given, _ := decode(test.empty); value != "" || len(values) > 0 || given {
			t.Errorf("%s, left empty, is %q, %q, %v", test.element, value, values, given)
		}

		var own struct {
			Files []slack.File        `block:"in"`
			Rich  slack.RichTextBlock `block:"in"`
		}
		if err := s.Decode(&own); err != nil || (len(own.Files) == 1) != (test.element == "file_input") ||
			(len(own.Rich.Elements) == 2) != (test.element == "rich_text_input") {
			t.Errorf("%s in Slack's own types: %+v, %v", test.element, own, err)
		}
	}
}

// What was chosen is shown in the form made anew as the form offers it: Slack takes back no other option, and shows it
// with its own marks.
func TestChosenAsOffered(t *testing.T) {
	t.Parallel()
	const element, form = `{"type":"%s","action_id":"a",%s}`, `{"view":{"title":{"type":"plain_text","text":"T"},` +
		`"blocks":[{"type":"input","block_id":"b","element":%s}],"state":{"values":{"b":{"a":{"type":"%s",%s}}}}}}`
	const one, shown = `{"text":{"type":"plain_text","text":"One"},"value":"1"}`,
		`{"text":{"type":"plain_text","text":"One","emoji":true},"value":"1"}`
	for _, test := range []struct{ kind, offers, chosen, begins string }{
		{"static_select", `"options":[` + one + `]`, `"selected_option":` + shown, `"initial_option":` + one},
		{"static_select", `"option_groups":[{"options":[` + one + `]}]`, `"selected_option":` + shown,
			`"initial_option":` + one},
		{"checkboxes", `"options":[` + one + `]`, `"selected_options":[` + shown + `]`, `"initial_options":[` + one + `]`},
		{"external_select", `"min_query_length":1`, `"selected_option":` + shown, `"initial_option":` + shown},
	} {
		offered := fmt.Sprintf(element, test.kind, test.offers)
		again, err := formAgain(fmt.Appendf(nil, form, offered, test.kind, test.chosen), map[string]string{"b": "No."})
		if err != nil {
			t.Fatal(err)
		}
		var want, got any
		if err := json.Unmarshal(fmt.Appendf(nil, element, test.kind, test.offers+","+test.begins), &want); err != nil {
			t.Fatal(err)
		}
		got = again.Blocks.BlockSet[0].(jsonBlock)["element"]
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s begins with %v, want %v", test.kind, got, want)
		}
	}
}
