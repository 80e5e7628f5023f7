package slacksim_test

import (
	"errors"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
)

// inner is a nested object of an event.
func inner(e request, name string) map[string]any {
	o, _ := e.Event[name].(map[string]any)
	return o
}

func TestPersonEditsAndDeletes(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	in, _ := w.Sim.Installed(slacksim.Acme)
	w.Sim.Invite(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, in.BotUserID)
	mention := "<@" + in.BotUserID + "> hello"
	ts, _ := w.Sim.Say(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, mention)
	w.Settled()
	first := w.Bot.Events("app_mention")[0]

	if err := w.Sim.People.Edit(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, ts, "x"); !errors.Is(err,
		slacksim.ErrNotAllowed) {
		t.Errorf("an admin edited another's message: %v", err)
	}
	if err := w.Sim.People.Edit(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, ts, mention+" again"); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	again := w.Bot.Events("app_mention")
	if len(again) != 2 {
		t.Fatalf("%d mentions", len(again))
	}
	edited := again[1]
	if edited.Event["ts"] != ts || edited.Event["edited"] == nil || edited.Event["event_ts"] == ts ||
		edited.Outer["event_id"] == first.Outer["event_id"] ||
		edited.Event["client_msg_id"] != first.Event["client_msg_id"] {
		t.Errorf("the mention came again as %v", edited.Event)
	}
	e := w.Bot.Events("message")[1]
	if e.Event["subtype"] != "message_changed" || e.Event["hidden"] != true || inner(e, "message")["ts"] != ts ||
		inner(e, "message")["text"] != mention+" again" || inner(e, "previous_message")["text"] != mention ||
		inner(e, "previous_message")["edited"] != nil || e.Event["ts"] == ts {
		t.Errorf("the edit came as %v", e.Event)
	}

	// With a reply the root stays as a tombstone, in the history, too.
	reply, _ := w.Sim.Reply(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, ts, "a reply")
	w.Settled()
	if err := w.Sim.People.Delete(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, ts); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	if e = w.Bot.Last(t); e.Event["subtype"] != "message_changed" || inner(e, "message")["subtype"] != "tombstone" ||
		inner(e, "previous_message")["ts"] != ts {
		t.Errorf("the deleted root came as %v", e.Event)
	}
	if list, _ := w.Call("conversations.replies", tok, "channel", slacksim.AcmeGeneral,
		"ts", ts)["messages"].([]any); len(list) != 2 || list[0].(map[string]any)["subtype"] != "tombstone" {
		t.Errorf("the thread is %v", list)
	}

	if err := w.Sim.People.Delete(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, reply); !errors.Is(err,
		slacksim.ErrNotAllowed) {
		t.Errorf("a member deleted another's message: %v", err)
	}
	w.Sim.People.Delete(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, reply)
	w.Settled()
	if e = w.Bot.Last(t); e.Event["subtype"] != "message_deleted" || e.Event["deleted_ts"] != reply ||
		inner(e, "previous_message")["text"] != "a reply" || e.Event["message"] != nil {
		t.Errorf("the deletion came as %v", e.Event)
	}
	w.WantError("chat.delete", tok, "message_not_found", "channel", slacksim.AcmeGeneral, "ts", reply)
	w.WantBreaches()
}

func TestOtherBotsAndWorkflows(t *testing.T) {
	w := newWorld(t)
	w.Install(slacksim.AcmeAdmin)
	in, _ := w.Sim.Installed(slacksim.Acme)
	w.Sim.Invite(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, in.BotUserID)
	mention := "<@" + in.BotUserID + "> deploy"

	w.Sim.People.PostAs(w.Ctx, slacksim.OtherBot{Name: "Deployer", UserID: "U0DEPLOYER"}, slacksim.AcmeGeneral, "",
		mention)
	w.Settled()
	for _, typ := range []string{"message", "app_mention"} {
		e := w.Bot.Events(typ)
		if len(e) != 1 || e[0].Event["user"] != "U0DEPLOYER" || e[0].Event["bot_id"] == nil ||
			e[0].Event["subtype"] != nil || e[0].Event["app_id"] == "A0SWITCH01" {
			t.Fatalf("%s events %v", typ, e)
		}
	}

	w.Sim.People.PostAs(w.Ctx, slacksim.OtherBot{Name: "Standup"}, slacksim.AcmeGeneral, "", "from a workflow")
	w.Settled()
	if e := w.Bot.Last(t).Event; e["subtype"] != "bot_message" || e["user"] != nil || e["username"] != "Standup" {
		t.Errorf("a workflow wrote %v", e)
	}
	if _, err := w.Sim.People.PostAs(w.Ctx, slacksim.OtherBot{}, "C0NOWHERE", "", "x"); !errors.Is(err,
		slacksim.ErrNoChannel) {
		t.Errorf("err %v", err)
	}
}
