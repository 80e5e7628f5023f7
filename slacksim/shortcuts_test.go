package slacksim_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
)

func withShortcuts(c *slacksim.Config) {
	c.App.Shortcuts = []slacksim.Shortcut{
		{Name: "New ticket", CallbackID: "new_ticket", Description: "Opens a form"},
		{Name: "Make a ticket", CallbackID: "from_message", OnMessage: true},
	}
}

func TestShortcuts(t *testing.T) {
	w := newWorld(t, withShortcuts, func(c *slacksim.Config) { c.App.InteractivityURL = c.App.EventsURL + "/interactive" })
	tok := w.Install(slacksim.AcmeAdmin)
	if _, err := w.Sim.Forms.Shortcut(w.Ctx, slacksim.AcmeMember, "new_ticket"); err != nil {
		t.Fatal(err)
	}
	p := answer(w.Bot.Last(t).Outer)
	if p.Str("type") != "shortcut" || p.Str("callback_id") != "new_ticket" || p.Str("user", "id") != slacksim.AcmeMember ||
		p.Str("user", "username") != "leon" || p.Str("team", "id") != slacksim.Acme || p["is_enterprise_install"] != false {
		t.Errorf("shortcut %v", p)
	}
	for _, absent := range []string{"channel", "message", "response_url", "container", "api_app_id"} {
		if _, there := p[absent]; there {
			t.Errorf("a global shortcut has %s: %v", absent, p)
		}
	}
	if d := w.Sim.Deliveries(); !strings.HasSuffix(d[len(d)-1].URL, "/interactive") {
		t.Errorf("sent to %s", d[len(d)-1].URL)
	}
	if a := w.Call("views.open", tok, "trigger_id", p.Str("trigger_id"), "view", modal("A", nameInput)); a["ok"] != true {
		t.Errorf("its trigger opens nothing: %v", a)
	}

	ts, _ := w.Sim.Say(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "The printer burns")
	reply, _ := w.Sim.Reply(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, ts, "again")
	_, err := w.Sim.Forms.MessageShortcut(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, reply, "from_message")
	if err != nil {
		t.Fatal(err)
	}
	p = answer(w.Bot.Last(t).Outer)
	if p.Str("type") != "message_action" || p.Str("message_ts") != reply ||
		p.Str("channel", "id") != slacksim.AcmeGeneral || p.Str("channel", "name") != "general" ||
		p.Str("message", "text") != "again" ||
		p.Str("message", "thread_ts") != ts || p.Str("message", "user") != slacksim.AcmeAdmin || p.Str("trigger_id") == "" {
		t.Errorf("message shortcut %v", p)
	}
	// The app is not in the channel: its response_url works all the same.
	res, err := http.Post(p.Str("response_url"), "application/json", strings.NewReader(`{"text":"Ticket 7"}`))
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("response_url: %v %v", res, err)
	}
	res.Body.Close()
	all := w.Sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeAdmin)
	if m := all[len(all)-1]; m.Text != "Ticket 7" || !m.Ephemeral {
		t.Errorf("answered %+v", m)
	}
	w.WantBreaches()
}

func TestShortcutsThatAreNotThere(t *testing.T) {
	w := newWorld(t, withShortcuts)
	ts, _ := w.Sim.Say(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "hello")
	global := func(user, id string) error { _, err := w.Sim.Forms.Shortcut(w.Ctx, user, id); return err }
	message := func(user, ts, id string) error {
		_, err := w.Sim.Forms.MessageShortcut(w.Ctx, user, slacksim.AcmeGeneral, ts, id)
		return err
	}
	if err := global(slacksim.AcmeAdmin, "new_ticket"); !errors.Is(err, slacksim.ErrNotInstalled) {
		t.Errorf("before the install: %v", err)
	}
	w.Install(slacksim.AcmeAdmin)
	_, _ = w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/no-such") // leaves a note of Slack's
	all := w.Sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeAdmin)
	note := all[len(all)-1].TS
	before := len(w.Bot.Requests())
	for what, is := range map[string][2]error{
		"an unknown one":        {global(slacksim.AcmeAdmin, "other"), slacksim.ErrNoShortcut},
		"a message's, globally": {global(slacksim.AcmeAdmin, "from_message"), slacksim.ErrNoShortcut},
		"a global one, there":   {message(slacksim.AcmeAdmin, ts, "new_ticket"), slacksim.ErrNoShortcut},
		"on a private note":     {message(slacksim.AcmeAdmin, note, "from_message"), slacksim.ErrNoShortcut},
		"an unknown person":     {global("U0NOBODY", "new_ticket"), slacksim.ErrNoUser},
		"another workspace's":   {global(slacksim.BirchAdmin, "new_ticket"), slacksim.ErrNotInstalled},
		"an unknown message":    {message(slacksim.AcmeAdmin, "1.2", "from_message"), slacksim.ErrNoMessage},
		"outside the channel":   {message(slacksim.BirchAdmin, ts, "from_message"), slacksim.ErrNoChannel},
	} {
		if !errors.Is(is[0], is[1]) {
			t.Errorf("%s: %v, want %v", what, is[0], is[1])
		}
	}
	if n := len(w.Bot.Requests()); n != before {
		t.Errorf("the app got %d of them", n-before)
	}
}

func TestShortcutAnswers(t *testing.T) {
	w := socketWorld(t, withShortcuts)
	w.Install(slacksim.AcmeAdmin)
	p := w.connect()
	if _, err := w.Sim.Forms.Shortcut(w.Ctx, slacksim.AcmeAdmin, "new_ticket"); err != nil {
		t.Fatal(err)
	}
	if f := p.next("interactive"); !f.Accepts || f.Payload["type"] != "shortcut" {
		t.Errorf("%+v", f)
	}
	w.WantBreaches()
	p.with(map[string]any{"text": "Slack shows nobody this"})
	ts, _ := w.Sim.Say(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "hello")
	w.Settled()
	_, err := w.Sim.Forms.MessageShortcut(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, ts, "from_message")
	if err != nil {
		t.Fatal(err)
	}
	w.WantBreaches(slacksim.RuleActionBody)
	w.Sim.Sockets.Drop()
	ack, err := w.Sim.Forms.MessageShortcut(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, ts, "from_message")
	if err != nil || ack.Shown == "" {
		t.Errorf("nobody there: %+v %v", ack, err)
	}
	all := w.Sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeAdmin)
	if m := all[len(all)-1]; m.Text != ack.Shown || !m.Ephemeral {
		t.Errorf("the person reads %+v", m)
	}
}
