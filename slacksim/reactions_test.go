package slacksim_test

import (
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
)

func TestReactions(t *testing.T) {
	w := newWorld(t, func(c *slacksim.Config) {
		c.App.Events = append(c.App.Events, "reaction_added", "reaction_removed")
	})
	tok := w.Install(slacksim.AcmeAdmin, botScopes+",reactions:read")
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	ts := w.Call("chat.postMessage", tok, "channel", dm, "text", "t").Str("ts")
	react := w.Sim.People.React
	if err := react(w.Ctx, slacksim.AcmeAdmin, dm, ts, "wave::skin-tone-2"); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	in, _ := w.Sim.Installed(slacksim.Acme)
	e := w.Bot.Events("reaction_added")
	if len(e) != 1 || e[0].Event["reaction"] != "wave::skin-tone-2" || e[0].Event["item_user"] != in.BotUserID ||
		inner(e[0], "item")["ts"] != ts || inner(e[0], "item")["channel"] != dm {
		t.Fatalf("%v", e)
	}

	react(w.Ctx, slacksim.AcmeAdmin, dm, ts, "wave::skin-tone-2") // the same again
	w.Call("reactions.add", tok, "channel", dm, "timestamp", ts, "name", "eyes")
	w.WantError("reactions.add", tok, "already_reacted", "channel", dm, "timestamp", ts, "name", "eyes")
	w.Settled()
	if e = w.Bot.Events("reaction_added"); len(e) != 2 || e[1].Event["user"] != in.BotUserID {
		t.Errorf("the app's own reaction came as %v", e)
	}

	w.Sim.People.Unreact(w.Ctx, slacksim.AcmeAdmin, dm, ts, "wave::skin-tone-2")
	w.WantError("reactions.remove", tok, "no_reaction", "channel", dm, "timestamp", ts, "name", "wave")
	w.Settled()
	if e = w.Bot.Events("reaction_removed"); len(e) != 1 || len(w.Sim.Messages(dm, "")[0].Reactions) != 1 {
		t.Errorf("%v, %v", e, w.Sim.Messages(dm, "")[0].Reactions)
	}
}

func TestFilesInAModal(t *testing.T) {
	w, tok := withFiles(t)
	ts := w.Call("chat.postMessage", tok, "channel", slacksim.AcmeMember, "text", "t", "blocks", twoButtons).Str("ts")
	w.Settled()
	w.Sim.Press(w.Ctx, slacksim.AcmeMember, w.Sim.DM(slacksim.AcmeMember), ts, "go")
	trigger, _ := w.Bot.Last(t).Outer["trigger_id"].(string)
	view := w.Call("views.open", tok, "trigger_id", trigger, "view", modal("Files", `[{"type":"input","block_id":"b",
		"label":{"type":"plain_text","text":"Files"},"element":{"type":"file_input","action_id":"f"}}]`)).Str("view", "id")
	if ack, _ := w.Sim.SubmitView(w.Ctx, slacksim.AcmeMember, view, nil); ack.Err != "incomplete" {
		t.Errorf("submitted without a file: %+v", ack)
	}
	f, err := w.Sim.People.Attach(w.Ctx, slacksim.AcmeMember, slacksim.Upload{Name: "a.txt", Content: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	w.WantError("files.info", tok, "file_not_found", "file", f.ID)
	w.Sim.SubmitView(w.Ctx, slacksim.AcmeMember, view, map[string]map[string]string{"b": {"f": f.ID}})
	v, _ := w.Bot.Last(t).Outer["view"].(map[string]any)
	b := v["state"].(map[string]any)["values"].(map[string]any)["b"].(map[string]any)["f"].(map[string]any)
	files, _ := b["files"].([]any)
	if len(files) != 1 || answer(files[0].(map[string]any)).Str("name") != "a.txt" {
		t.Fatalf("state %v", b)
	}
	if a := w.Call("files.info", tok, "file", f.ID); a["ok"] != true {
		t.Errorf("given to the app: %v", a)
	}
}
