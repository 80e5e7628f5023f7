package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/slack-go/slack"
)

// A handler gets the element that it is for, with what it says and what its pattern found.
func TestWhatWasUsed(t *testing.T) {
	t.Parallel()
	const element = `{"type":"block_actions","actions":[{"action_id":"other","block_id":"b","type":"button",` +
		`"value":"no"},{"action_id":"vote.up","block_id":"b",%s}]}`
	for fields, want := range map[string]string{
		`"type":"button","value":"v"`: "v",
		`"type":"static_select","selected_option":{"text":{"type":"plain_text","text":"T"},"value":"v"}`: "v",
		`"type":"static_select","selected_option":null`:                                                  "",
		`"type":"users_select","selected_user":"U1"`:                                                     "U1",
		`"type":"channels_select","selected_channel":"C1"`:                                               "C1",
		`"type":"conversations_select","selected_conversation":"D"`:                                      "D",
		`"type":"datepicker","selected_date":"2026-12-01"`:                                               "2026-12-01",
		`"type":"timepicker","selected_time":"09:30"`:                                                    "09:30",
		`"type":"datetimepicker","selected_date_time":1790000000`:                                        "1790000000",
		`"type":"multi_users_select","selected_users":["U1","U2"]`:                                       "",
	} {
		var i slack.InteractionCallback
		if err := json.Unmarshal(fmt.Appendf(nil, element, fields), &i); err != nil {
			t.Fatal(err)
		}
		for name, captures := range map[string]string{"vote.up": "[]", `^vote\.(up|down)$`: "[vote.up up]",
			"vote.*": "[vote.]"} {
			for block, found := range map[string]bool{"": true, "b": true, "c": false} {
				h := actionNamed(name)
				h.block = block
				if err := h.check(); err != nil {
					t.Fatal(err)
				}
				r := &Request{handler: &h}
				a, value := usedIn(&i, r)
				if (a.ActionID == "vote.up") != found || found && (value != want || fmt.Sprint(r.Matches) != captures) ||
					!found && value != "" {
					t.Errorf("%s in %q, %s: %+v says %q, found %v", name, block, fields, a, value, r.Matches)
				}
			}
		}
	}
}

// A menu's handler has what its pattern found, and one of a shortcut the message's text.
func TestWhatAMenuAndAShortcutGet(t *testing.T) {
	t.Parallel()
	var matches []string
	menu := OnOptions(`^user_(\w+)$`, func(_ context.Context, o *Options) error { matches = o.Matches; return nil })
	text := ""
	shortcut := OnMessageShortcut("x", func(_ context.Context, s *Shortcut) error { text = s.Text; return nil },
		Titled("Do it", "Does it."))
	for body, h := range map[string]Handler{`{"type":"block_suggestion","action_id":"user_ann","value":"a"}`: menu,
		`{"type":"message_action","callback_id":"x","message":{"text":"Shall I?"}}`: shortcut} {
		if err := h.check(); err != nil {
			t.Fatal(err)
		}
		var i slack.InteractionCallback
		if err := json.Unmarshal([]byte(body), &i); err != nil {
			t.Fatal(err)
		}
		if err := h.runIn(t.Context(), &Request{handler: &h}, &i); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Join(matches, " ") != "user_ann ann" || text != "Shall I?" {
		t.Errorf("matches %q, text %q", matches, text)
	}
}

// What a kind can't do without is among its scopes.
func TestScopesThatFollow(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{"command": "commands", "async command": "commands", "shortcut": "commands",
		"message_shortcut": "commands", "message": "chat:write,im:history", "mention": "app_mentions:read,chat:write",
		"link": "links:read,links:write", "action": "", "view": "", "options": "", "home": "", "timer": ""} {
		if got := strings.Join(ScopesOf([]Handler{oneOf(kind)}), ","); got != want {
			t.Errorf("%s needs %q, want %q", kind, got, want)
		}
	}
}

// A message is answered in the thread that it is in, else in its own when that is asked for. An emoji that is there
// already is fine.
func TestMessageAnswers(t *testing.T) {
	t.Parallel()
	for thread, want := range map[string]string{"": "2.2", "1.1": "1.1"} {
		m := &Message{Request: &Request{ThreadTS: thread}, TS: "2.2"}
		if m.InThread(); m.ThreadTS != want {
			t.Errorf("from %q in %q", thread, m.ThreadTS)
		}
	}
	for code, fine := range map[string]bool{"already_reacted": true, "invalid_name": false} {
		address, _ := saying(t, `{"ok":false,"error":"`+code+`"}`)
		m := &Message{Request: ofAnn(t, address, nil), TS: "2.2"}
		if err := m.React(t.Context(), "eyes"); (err == nil) != fine {
			t.Errorf("%s: %v", code, err)
		}
	}
}
