package watch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
)

func TestDisconnect(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		by := connection.Person(slacksim.AcmeAdmin)

		for _, f := range []slacksim.Fault{{Error: "bad_client_secret"}, {Status: 500, Body: "x"}, {RetryAfter: 5}} {
			f.Method = "apps.uninstall"
			clear := r.Slack.Inject(f)
			if _, err := in.Disconnect(r.Ctx, c.Key, by); err == nil || r.Row(in.db, c.Key).Token != c.Token {
				t.Errorf("%+v: %v", f, err)
			}
			if lines, err := in.History(r.Ctx, c, 1); err != nil || len(lines) != 1 ||
				lines[0].What != connection.DidDisconnect || lines[0].Outcome != connection.OutcomeFail {
				t.Errorf("%+v: history: %+v (%v)", f, lines, err)
			}
			clear()
		}
		r.Clock.Advance(stage.Life + time.Hour) // its token ran out: it is renewed for this
		said, err := in.Disconnect(r.Ctx, c.Key, by)
		if err != nil || said != "ok" {
			t.Fatalf("%q %v", said, err)
		}
		if _, there := r.Slack.Installed(c.TeamID); there {
			t.Error("the app is still installed")
		}
		now := r.Row(in.db, c.Key)
		if now.State != connection.Removed || now.Reason != connection.ReasonDisconnected || now.Token != "" ||
			now.RefreshToken != "" || now.ID != c.ID {
			t.Errorf("%+v", now)
		}
		// Slack's own two events follow, and change nothing.
		for _, reason := range []string{connection.ReasonTokenRevoked, connection.ReasonUninstalled,
			connection.ReasonTokenRevoked} {
			if err := in.HandleRemoval(r.Ctx, c.Key, connection.Removal{Reason: reason, At: r.Clock.Now()}); err != nil {
				t.Error(err)
			}
		}
		if again := r.Row(in.db, c.Key); again.Reason != connection.ReasonDisconnected {
			t.Errorf("%s", again.Reason)
		}
		if _, err := in.Disconnect(r.Ctx, c.Key, by); !errors.Is(err, connection.ErrNotConnected) {
			t.Errorf("twice: %v", err)
		}
		lines, err := in.History(r.Ctx, c, 10)
		if err != nil || lines[0].What != connection.DidDisconnect || lines[0].By != by ||
			lines[0].Outcome != connection.OutcomeDone || lines[0].Reason != "ok" {
			t.Errorf("history: %+v (%v)", lines, err)
		}
		if back := r.connect(in, slacksim.AcmeAdmin); back.ID != c.ID || back.State != connection.Active {
			t.Errorf("back: %+v", back)
		}
		// Removed in Slack meanwhile, and the word is lost.
		if err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
			t.Fatal(err)
		}
		r.Breaches = true // the dead token is used once more, to ask
		if said, err := in.Disconnect(r.Ctx, c.Key, by); err != nil || said != "account_inactive" ||
			r.Row(in.db, c.Key).Token != "" {
			t.Errorf("%q %v", said, err)
		}
	})
}

// slowNotes is a database that hangs, once, on the line of a disconnect that failed.
type slowNotes struct {
	*storage.DB
	reached, goOn chan struct{}
	once          sync.Once
}

func (s *slowNotes) Update(ctx context.Context, k connection.Key,
	change func(*connection.Connection) error) (connection.Connection, error) {
	s.once.Do(func() { close(s.reached); <-s.goOn })
	return s.DB.Update(ctx, k, change)
}

// A person waits a moment for the record of what failed, not for ever. What comes after that isn't followed by it: the
// history never says "not disconnected" of what is.
func TestFailureStandsBehindNoSuccess(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(nil)
	c := r.connect(in, slacksim.AcmeAdmin)
	slow := &slowNotes{DB: in.db, reached: make(chan struct{}), goOn: make(chan struct{})}
	waiting := r.replica(func(cfg *config) { cfg.Store = slow })
	by := connection.Person(slacksim.AcmeAdmin)

	r.Slack.Inject(slacksim.Fault{Method: "apps.uninstall", Error: "internal_error", Times: 1})
	ctx, leave := context.WithCancel(r.Ctx)
	go func() { <-slow.reached; leave() }()
	if said, err := waiting.Disconnect(ctx, c.Key, by); said != "internal_error" || err == nil {
		t.Fatalf("%q %v", said, err)
	}
	if said, err := in.Disconnect(r.Ctx, c.Key, by); said != "ok" || err != nil {
		t.Fatalf("%q %v", said, err)
	}
	close(slow.goOn)
	waiting.Wait()

	lines, err := in.History(r.Ctx, c, 5)
	if err != nil || len(lines) != 2 || lines[0].What != connection.DidDisconnect ||
		lines[0].Outcome != connection.OutcomeDone {
		t.Errorf("history: %+v (%v)", lines, err)
	}
}

// Facts and history of a removed connection are kept for a time, and then gone.
func TestRemovedIsSwept(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(func(cfg *config) { cfg.Keep = 30 * 24 * time.Hour })
		c, other := r.connect(in, slacksim.AcmeAdmin), r.connect(in, slacksim.BirchAdmin)
		if _, err := in.Disconnect(r.Ctx, c.Key, connection.Actor{Kind: connection.ByOperator}); err != nil {
			t.Fatal(err)
		}
		r.Clock.Advance(29 * 24 * time.Hour)
		if err := in.Sweep(r.Ctx); err != nil {
			t.Fatal(err)
		}
		if lines, err := in.History(r.Ctx, c, 10); err != nil || len(lines) != 2 {
			t.Errorf("after 29 days: %d lines (%v)", len(lines), err)
		}
		r.Clock.Advance(2 * 24 * time.Hour)
		if err := in.Sweep(r.Ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := in.db.Get(r.Ctx, c.ID); !errors.Is(err, connection.ErrNotFound) {
			t.Errorf("after 31 days: %v", err)
		}
		if lines, err := in.History(r.Ctx, c, 10); err != nil || len(lines) != 0 {
			t.Errorf("after 31 days: %d lines (%v)", len(lines), err)
		}
		if _, err := in.db.Get(r.Ctx, other.ID); err != nil {
			t.Error(err)
		}
	})
}
