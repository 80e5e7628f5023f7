package bot_test

// What Slack signed and nobody can read whole: a field of another type costs that field, and what can't be read at all
// is kept.

import (
	"context"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

func TestOddEventIsUnderstood(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	gone := make(chan string, 20)
	s := play(t, bot.OnEvent("app_uninstalled", func(_ context.Context, t *bot.Event[struct{}]) error {
		runs.Add(1)
		gone <- t.Key.String()
		return nil
	}, bot.Scopes("chat:write"), bot.WithoutConnection()))
	k := s.row(t).Key
	for name, body := range map[string]string{
		"a text that is an object": `{"type":"event_callback","api_app_id":"APP","team_id":"TEAM","event_id":"Ev0A","event_time":1,"event":{"type":"app_uninstalled","text":{"a":1}}}`,
		"a time in quotes":         `{"type":"event_callback","api_app_id":"APP","team_id":"TEAM","event_id":"Ev0B","event_time":"1793611800","event":{"type":"app_uninstalled"}}`,
		"a type that is a number":  `{"type":7,"api_app_id":"APP","team_id":"TEAM","event_id":"Ev0E","event":{"type":"app_uninstalled"}}`,
		"no name":                  `{"type":"event_callback","api_app_id":"APP","team_id":"TEAM","event":{"type":"app_uninstalled","hidden":"?"}}`,
	} {
		body = strings.NewReplacer("APP", k.AppID, "TEAM", k.TeamID).Replace(body)
		before := runs.Load()
		for range 2 { // Slack may send it again
			if a := s.sim.Sender.Deliver(ctx, slacksim.Raw{Body: []byte(body)}); a.Status != 200 {
				t.Errorf("%s: answered with %d", name, a.Status)
			}
		}
		until(t, name, func() bool { return len(gone) > 0 })
		if whose := <-gone; whose != k.String() {
			t.Errorf("%s: for %s, not %s", name, whose, k)
		}
		until(t, "the inbox to be worked", func() bool {
			n, err := s.inbox.Count(ctx)
			return err == nil && n.Ready+n.Held == 0
		})
		if n := runs.Load() - before; n != 1 {
			t.Errorf("%s: handled %d times", name, n)
		}
	}
	if letters, err := s.db.Letters(ctx, "", 10); err != nil || len(letters) > 0 {
		t.Errorf("left over: %+v %v", letters, err)
	}
}

func TestUnreadableDeliveryIsKept(t *testing.T) {
	t.Parallel()
	s := play(t, echo, bot.OnEvent("app_uninstalled", func(context.Context, *bot.Event[struct{}]) error { return nil },
		bot.Scopes("chat:write"), bot.WithoutConnection()))
	event := func(body string) slacksim.Raw { return slacksim.Raw{Body: []byte(body)} }
	press := func(payload string) slacksim.Raw {
		return slacksim.Raw{Kind: "interaction", Body: []byte(url.Values{"payload": {payload}}.Encode())}
	}
	address := strings.ReplaceAll(s.sim.URL(), "/", `\/`) + `\/hooks\/response\/T1\/1\/x`
	for _, test := range []struct {
		name string
		raw  slacksim.Raw
		id   string         // of the letter; "": one of ours
		key  connection.Key // whose it is, as far as that can be seen
	}{
		{"cut off", event(`{"type":"event_callback","event_id":"Ev0CUT","event":{"type":"mess`), "Ev0CUT", connection.Key{}},
		{"cut off behind its workspace",
			event(
				`{"team_id":"T0ACME","api_app_id":"A0APP","enterprise_id":"E0ACME","event_id":"Ev0TEAM","event":{"text":"\"team_id\":\"T0OTHER\" is`), "Ev0TEAM",
			connection.Key{AppID: "A0APP", EnterpriseID: "E0ACME", TeamID: "T0ACME"}},
		{"cut off behind the workspace that hears it",
			event(`{"team_id":"T0AUTHOR","context_team_id":"T0HEARS","event_id":"Ev0CONTEXT","event":{`), "Ev0CONTEXT",
			connection.Key{TeamID: "T0HEARS"}},
		{"authorized, and a list",
			event(
				`{"team_id":"T0AUTHOR","event_id":"Ev0LIST","event":[],"authorizations":[{"enterprise_id":null,"team_id":"T0HEARS"}]}`), "Ev0LIST",
			connection.Key{TeamID: "T0HEARS"}},
		{"an event that is none", event(`{"type":"event_callback","event_id":"Ev0NONE","event":"app_uninstalled"}`),
			"Ev0NONE", connection.Key{}},
		{"a list", event(`[]`), "", connection.Key{}},
		{"nothing in it", event(`{}`), "", connection.Key{}},
		{"an id that no database keeps",
			event(`{"type":"event_callback","event_id":"Ev0NUL","team_id":"T\u0000","event":{"type":"app_uninstalled"}}`),
			"Ev0NUL", connection.Key{}},
		{"authorizations that are none",
			event(
				`{"type":"event_callback","event_id":"Ev0AUTH","team_id":"T1","authorizations":{"team_id":"T2"},"event":{"type":"app_uninstalled"}}`), "Ev0AUTH", connection.Key{TeamID: "T1"}},
		{"a press that is cut off", press(`{"type":"block_actions","response_url":"` + address +
			`","actions":[{"action_id":`), "", connection.Key{}},
		{"a press that is a number", press(`7`), "", connection.Key{}},
		{"a form of something else", slacksim.Raw{Kind: "command", Body: []byte("what=ever")}, "", connection.Key{}},
	} {
		for range 2 { // Slack may send it again
			if a := s.sim.Sender.Deliver(ctx, test.raw); a.Status != 200 {
				t.Errorf("%s: answered with %d", test.name, a.Status)
			}
		}
		until(t, "a dead letter", func() bool {
			n, err := s.inbox.Count(ctx)
			return err == nil && n.Ready+n.Held+n.Waiting == 0
		})
		letters, err := s.db.Letters(ctx, "dead", 10)
		if err != nil || len(letters) != 1 {
			t.Fatalf("%s: %d dead letters %v", test.name, len(letters), err)
		}
		l, err := s.db.Letter(ctx, letters[0].ID)
		want := string(test.raw.Body)
		if form, err := url.ParseQuery(want); err == nil && form.Has("payload") {
			want = form.Get("payload")
		}
		if err != nil || string(l.Event.Body) != want || l.Error == "" {
			t.Errorf("%s: kept as %q (%s) %v", test.name, l.Event.Body, l.Error, err)
		}
		if l.Event.Key != test.key {
			t.Errorf("%s: it is kept for %v, not %v", test.name, l.Event.Key, test.key)
		}
		if test.id != "" && l.Event.ID != test.id || test.id == "" && !strings.HasPrefix(l.Event.ID, "unnamed-") {
			t.Errorf("%s: its id is %s", test.name, l.Event.ID)
		}
		if _, err := s.db.DropLetters(ctx, 0); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, s.sim, "a word for who pressed", func() bool { return len(s.sim.Calls("response_url")) > 0 })
	if c := s.sim.Calls("response_url")[0]; !strings.Contains(c.Arg("text"), "couldn't read what Slack sent") ||
		!strings.Contains(c.Arg("text"), "Reference: ") {
		t.Errorf("they read %q", c.Arg("text"))
	}
}

// Who submitted a form that can't be read sees that in it, and what they put in is still below.
func TestUnreadableFormStaysOpen(t *testing.T) {
	t.Parallel()
	s := play(t, echo)
	payload := `{"type":"view_submission","view":{"state":{"values":{"b":{"a":{"value":"\"type\":\"block_actions\"`
	a := s.sim.Sender.Deliver(ctx, slacksim.Raw{Kind: "interaction",
		Body: []byte(url.Values{"payload": {payload}}.Encode())})
	for _, want := range []string{`"response_action":"push"`, "couldn't read what Slack sent", "Reference: "} {
		if !strings.Contains(string(a.Body), want) {
			t.Errorf("answered with %q, without %s", a.Body, want)
		}
	}
}
