package bot_test

// What people hear, and how often work is done, when handlers and records fail.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slack-go/slack"
	_ "modernc.org/sqlite"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
)

// raw is the database without our code.
func (s scene) raw(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(s.database, "sqlite:")+
		"?_pragma=busy_timeout(3000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// hurry makes what waits for its next attempt due.
func (s scene) hurry(t *testing.T, until func() bool) bool {
	t.Helper()
	db := s.raw(t)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for end := time.After(20 * time.Second); !until(); {
		_, _ = db.Exec("UPDATE inbox SET visible_at = 1 WHERE state = 'waiting'")
		select {
		case <-look.C:
		case <-end:
			return false
		}
	}
	return true
}

// A slow command fails for good and says so; the operator mends the cause and replays it: the person hears the answer.
func TestReplayOfSlowWorkIsAnswered(t *testing.T) {
	t.Parallel()
	var mended atomic.Bool
	var runs atomic.Int32
	h := bot.OnCommandAsync("/report", func(ctx context.Context, t *bot.AsyncCommand) error {
		runs.Add(1)
		if !mended.Load() {
			return errors.New("broken")
		}
		return t.Respond(ctx, bot.Reply{Text: "Here is your report."})
	}, bot.Scopes("chat:write"), bot.Describe("x", ""))
	s := play(t, h)
	sim := s.sim
	_, _ = sim.Command(ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/report")
	dead := func() bool { l, _ := s.db.Letters(ctx, "dead", 1); return len(l) == 1 }
	if !s.hurry(t, dead) {
		t.Fatal("not dead")
	}
	if said(sim, slacksim.AcmeGeneral, "Something went wrong") != 1 {
		t.Error("not told")
	}
	mended.Store(true)
	before := runs.Load()
	if _, err := s.db.ReplayLetters(ctx, 0); err != nil {
		t.Fatal(err)
	}
	done := func() bool { l, _ := s.db.Letters(ctx, "", 1); return len(l) == 0 }
	if !s.hurry(t, done) {
		t.Fatal("not done")
	}
	if runs.Load() == before || said(sim, slacksim.AcmeGeneral, "Here is your report.") != 1 {
		t.Errorf("ran %d times, event done, and the answer was said %d times", runs.Load()-before,
			said(sim, slacksim.AcmeGeneral, "Here is your report."))
	}
}

// "I am on it" was said by an attempt that failed; the later ones fail before they speak: the person is told.
func TestApologyIsHeard(t *testing.T) {
	t.Parallel()
	h := bot.OnCommandAsync("/report", func(ctx context.Context, t *bot.AsyncCommand) error {
		if t.Attempt == 1 {
			_ = t.Respond(ctx, bot.Reply{Text: "I am on it."})
		}
		return errors.New("broken")
	}, bot.Scopes("chat:write"), bot.Describe("x", ""))
	s := play(t, h)
	sim := s.sim
	_, _ = sim.Command(ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/report")
	if !s.hurry(t, func() bool { l, _ := s.db.Letters(ctx, "dead", 1); return len(l) == 1 }) {
		t.Fatal("not dead")
	}
	if said(sim, slacksim.AcmeGeneral, "Something went wrong") != 1 {
		t.Error("it is dead, and the person who reads \"I am on it\" was not told")
	}
}

// The same with a UserError of an event's second attempt.
func TestUserErrorIsHeard(t *testing.T) {
	t.Parallel()
	h := bot.OnMessage(".*", func(ctx context.Context, t *bot.Message) error {
		if t.Attempt == 1 {
			_, _ = t.Say(ctx, bot.Reply{Text: "One moment."})
			return errors.New("not yet")
		}
		return &bot.UserError{Text: "There is no such customer."}
	}, bot.Scopes("im:history"))
	s := play(t, h)
	sim := s.sim
	dm := sim.DM(slacksim.AcmeAdmin)
	say(t, sim, slacksim.AcmeAdmin, dm, "go")
	s.hurry(t, func() bool { l, _ := s.db.Letters(ctx, "", 1); return len(l) == 0 })
	if said(sim, dm, "There is no such customer.") != 1 {
		t.Error("the event is done, and the refusal was not said")
	}
}

// A slow button of the App Home has no response_url: its answer is lost, and the work is done once all the same.
func TestSlowButtonInTheHome(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	h := bot.OnActionAsync("export", func(ctx context.Context, t *bot.AsyncAction) error {
		runs.Add(1) // sends the invoice
		return t.Respond(ctx, bot.Reply{Text: "Done."})
	}, bot.Scopes("chat:write"))
	s := play(t, h)
	cs, err := s.db.List(ctx)
	if err != nil || len(cs) != 1 {
		t.Fatal(err, len(cs))
	}
	k := cs[0].Key
	payload := fmt.Sprintf(
		`{"type":"block_actions","api_app_id":%q,"team":{"id":%q},"user":{"id":%q,"team_id":%q},"view":{"type":"home","team_id":%q},"actions":[{"action_id":"export","block_id":"b","type":"button"}]}`, k.AppID, k.TeamID, slacksim.AcmeAdmin, k.TeamID, k.TeamID)
	e := bot.Delivery{ID: "work-1", Kind: "interactive", Type: "action export", Key: k, Received: time.Now(),
		Body: []byte(`{"payload":` + payload + `}`)}
	if _, err := s.inbox.Add(ctx, &e, false); err != nil {
		t.Fatal(err)
	}
	over := func() bool {
		all, _ := s.db.Letters(ctx, "", 1)
		return len(all) == 0 || all[0].State == "dead"
	}
	s.hurry(t, over)
	if l, _ := s.db.Letters(ctx, "dead", 1); runs.Load() != 1 || len(l) != 0 {
		t.Errorf("the work was done %d times, %d dead letters", runs.Load(), len(l))
	}
}

// The records are too slow to say whether slow work is kept: the person is not told that nothing was begun, and it is
// done at most once.
func TestNotCertainWhetherBegun(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	h := bot.OnCommandAsync("/pay", func(ctx context.Context, t *bot.AsyncCommand) error {
		runs.Add(1)
		return t.Respond(ctx, bot.Reply{Text: "Paid."})
	}, bot.Scopes("chat:write"), bot.Describe("x", ""))
	s := play(t, h)
	tx, err := s.raw(t).Begin() // holds the write lock
	if err != nil {
		t.Fatal(err)
	}
	ack, err := s.sim.Command(ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/pay")
	if err != nil || ack.Status != 200 || ack.Took > 3*time.Second || !strings.Contains(ack.Text, "not certain whether "+
		"this was begun") {
		t.Errorf("%v %d after %v: %q", err, ack.Status, ack.Took, ack.Text)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	s.finish()
	if n := runs.Load(); n > 1 {
		t.Errorf("done %d times", n)
	}
}

// What a handler says of its failure is kept without addresses: a response_url lets anybody answer.
func TestErrorsHoldNoAddress(t *testing.T) {
	t.Parallel()
	var address atomic.Value
	h := bot.OnCommandAsync("/leak", func(_ context.Context, t *bot.AsyncCommand) error {
		address.Store(t.Payload.ResponseURL)
		// %v, as people write
		return fmt.Errorf("post the report: %v", errors.New("Post "+t.Payload.ResponseURL+": refused"))
	}, bot.Scopes("chat:write"), bot.Describe("x", ""))
	s := play(t, h)
	if _, err := s.sim.Command(ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/leak"); err != nil {
		t.Fatal(err)
	}
	kept := ""
	if !s.hurry(t, func() bool {
		if l, err := s.db.Letters(ctx, "", 1); err == nil && len(l) == 1 {
			kept = l[0].Error
		}
		return kept != ""
	}) {
		t.Fatal("no error is kept")
	}
	if strings.Contains(kept, address.Load().(string)) || !strings.Contains(kept, "post the report") ||
		!strings.Contains(kept, "[address]") {
		t.Errorf("kept: %q", kept)
	}
}

// The second part of a reply has an end, as Reply says.
func TestThenHasADeadline(t *testing.T) {
	t.Parallel()
	got := make(chan bool, 1)
	h := bot.OnMessage(".*", func(ctx context.Context, t *bot.Message) error {
		_, err := t.Say(ctx, bot.Reply{Text: "one moment", Then: func(ctx context.Context) (bot.Reply, error) {
			_, has := ctx.Deadline()
			got <- has
			return bot.Reply{}, nil
		}})
		return err
	}, bot.Scopes("im:history"))
	s := play(t, h)
	sim := s.sim
	say(t, sim, slacksim.AcmeAdmin, sim.DM(slacksim.AcmeAdmin), "go")
	if !receive(t, got, "what follows the answer") {
		t.Error("Then runs for at most 30 s, says Reply; its context has no deadline")
	}
}

// However little Slack asks for, an attempt that does not count is not made at once.
func TestLimitedWithoutATime(t *testing.T) {
	t.Parallel()
	runs := make(chan time.Time, 100)
	h := bot.OnMessage(".*", func(context.Context, *bot.Message) error {
		runs <- time.Now()
		return &slack.RateLimitedError{}
	}, bot.Scopes("im:history"))
	s := play(t, h)
	say(t, s.sim, slacksim.AcmeAdmin, s.sim.DM(slacksim.AcmeAdmin), "go")
	first, second := receive(t, runs, "the first run"), receive(t, runs, "the second run")
	if gap := second.Sub(first); gap < 900*time.Millisecond {
		t.Errorf("again after %v", gap)
	}
}
