package slacksim_test

import (
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/slacksim/internal/simtest"
)

type (
	request = simtest.Request
	answer  = simtest.Answer
)

const (
	botScopes  = simtest.BotScopes
	callback   = simtest.Callback
	twoButtons = simtest.TwoButtons
	nameInput  = simtest.NameInput
)

var (
	start     = simtest.Start
	modal     = simtest.Modal
	jsonReply = simtest.JSONReply
)

// world is the stage, with what single files of tests do on it.
type world struct{ *simtest.World }

func newWorld(t *testing.T, change ...func(*slacksim.Config)) *world {
	t.Helper()
	return &world{World: simtest.New(t, change...)}
}

func TestInstallTalkAndUninstall(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	if !strings.HasPrefix(tok, "xoxb-") {
		t.Errorf("bot token %q", tok)
	}
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	if a := w.Call("chat.postMessage", tok, "channel", slacksim.AcmeAdmin, "text", "Welcome"); a.Str("channel") != dm {
		t.Errorf("posting to a user id answered %v", a)
	}
	if _, err := w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, dm, "hello"); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	got := w.Bot.Events("message")
	if len(got) != 2 { // its own welcome comes back, too
		t.Fatalf("%d message events, want 2", len(got))
	}
	for _, r := range got {
		want := slacksim.Sign("signing-secret-xyz", start.Unix(), r.Body)
		if r.Header.Get("X-Slack-Signature") != want || r.Header.Get("X-Slack-Request-Timestamp") != "1793611800" {
			t.Errorf("signature %v", r.Header)
		}
		auth := r.Outer["authorizations"].([]any)[0].(map[string]any)
		if auth["team_id"] != slacksim.Acme || auth["is_bot"] != true || auth["enterprise_id"] != nil {
			t.Errorf("authorizations[0] = %v", auth)
		}
	}
	if err := w.Sim.Admins.Uninstall(w.Ctx, slacksim.Acme, slacksim.UninstalledFirst); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	reqs := w.Bot.Requests()
	if a, b := reqs[len(reqs)-2].Event["type"], reqs[len(reqs)-1].Event["type"]; a != "app_uninstalled" ||
		b != "tokens_revoked" {
		t.Errorf("uninstall sent %v, %v", a, b)
	}
	w.WantError("auth.test", tok, "account_inactive")
	w.WantBreaches()
	w.WantError("chat.postMessage", tok, "account_inactive", "channel", dm, "text", "x")
	w.WantBreaches(slacksim.RuleRevokedToken)
	if again := w.Install(slacksim.AcmeAdmin); again == tok {
		t.Error("the token is the same after an uninstall")
	}
}
