package slacksim_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
)

func TestMethodsOfATestsOwn(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	a := w.WantError("bookmarks.add", tok, "unknown_method", "channel_id", slacksim.AcmeGeneral)
	if a.Str("req_method") != "bookmarks.add" {
		t.Errorf("the answer is %v", a)
	}
	w.WantBreaches(slacksim.RuleUnknownMethod)
	if d := w.Sim.Breaches()[0].Detail; !strings.Contains(d, `Sim.Handle("bookmarks.add", …)`) {
		t.Errorf("the breach says %q", d)
	}
	if c := w.Sim.Calls("bookmarks.add"); len(c) != 1 || c[0].Error != "unknown_method" {
		t.Errorf("recorded as %+v", c)
	}

	w.Sim.Handle("bookmarks.add", func(c slacksim.Call) (map[string]any, error) {
		if c.Arg("title") == "" {
			return map[string]any{"needed": "title"}, errors.New("missing_argument")
		}
		in, _ := w.Sim.Installed(c.TeamID) // nothing is locked
		return map[string]any{"bookmark": map[string]any{"title": c.Arg("title"), "by": in.BotUserID}}, nil
	})
	a = w.Call("bookmarks.add", tok, "title", "Runbook")
	if a["ok"] != true || a.Str("bookmark", "title") != "Runbook" || a.Str("bookmark", "by") != "U0ACME0001BOT" {
		t.Errorf("answered %v", a)
	}
	if b := w.json("bookmarks.add", tok, `{"title":"As JSON"}`); b.Str("bookmark", "title") != "As JSON" {
		t.Errorf("answered %v", b)
	}
	if a := w.WantError("bookmarks.add", tok, "missing_argument"); a.Str("needed") != "title" {
		t.Errorf("answered %v", a)
	}
	w.WantError("bookmarks.add", "", "not_authed")
	w.WantError("bookmarks.add", "xoxb-nobody", "invalid_auth")
	calls := w.Sim.Calls("bookmarks.add")
	if len(calls) != 6 || !calls[1].OK || calls[3].Error != "missing_argument" {
		t.Errorf("recorded as %+v", calls)
	}

	// It takes the place of a method that is there, with that method's rules, and can be taken away.
	w.Sim.Handle("team.info", func(slacksim.Call) (map[string]any, error) { return nil, errors.New("fatal_error") })
	w.WantError("team.info", tok, "fatal_error")
	w.WantError("team.info", w.Install(slacksim.BirchAdmin, "chat:write"), "missing_scope")
	w.Sim.Handle("team.info", nil)
	if a := w.Call("team.info", tok); a["ok"] != true {
		t.Errorf("answered %v", a)
	}

	w.Sim.SetApp(func(a *slacksim.App) { a.AppToken = appToken })
	w.Sim.Handle("apps.user.connection.update", func(slacksim.Call) (map[string]any, error) { return nil, nil })
	if a := w.Call("apps.user.connection.update", appToken); a["ok"] != true {
		t.Errorf("with the app's token: %v", a)
	}
	w.WantBreaches(slacksim.RuleUnknownMethod)
}
