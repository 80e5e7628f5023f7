package bot

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/slack-go/slack"
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
	}{}} {
		if err := s.Decode(v); err == nil || errors.As(err, &wrong) {
			t.Errorf("into a %T: %v", v, err)
		}
	}
	if (&Submission{Payload: &slack.InteractionCallback{}}).Value("title") != "" {
		t.Error("a form without a state has a value")
	}
}
