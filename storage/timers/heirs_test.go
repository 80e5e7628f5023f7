package timers_test

import (
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
)

// end takes a connection out of use, or back into it.
func (s stage) end(t *testing.T, k connection.Key, state connection.State) {
	t.Helper()
	_, err := s.Update(t.Context(), k, func(c *connection.Connection) error {
		if state == connection.Removed {
			c.Erase(state, connection.ReasonUninstalled, s.time())
		}
		c.SetState(state, connection.ReasonNone, s.time())
		return nil
	})
	storetest.OK(t, err)
}

// Where an organisation's install takes the place of a workspace's own, what was scheduled runs by it, in whatever
// order that comes about.
func TestHeirs(t *testing.T) {
	t.Parallel()
	organisation := storetest.Key("A1", "E1", "")
	type acts struct {
		s        stage
		own, org bot.ValueOwner
	}
	install := func(t *testing.T, a *acts) {
		org := storetest.Put(t, a.s.Fixture, storetest.Full(organisation))
		a.org = bot.ValueOwner{ConnectionID: org.ID, AppID: "A1", TeamID: "T1"}
	}
	own := storetest.Key("A1", "E1", "T1")

	for name, tt := range map[string]struct {
		do   func(t *testing.T, a *acts)
		want string // what comes; "" for nothing
	}{
		"the organisation comes, then the workspace's goes": {func(t *testing.T, a *acts) {
			install(t, a)
			a.s.end(t, own, connection.Removed)
		}, "1"},
		"the workspace's goes, then the organisation comes": {func(t *testing.T, a *acts) {
			a.s.end(t, own, connection.ReconnectRequired)
			install(t, a)
		}, "1"},
		"it is due between them": {func(t *testing.T, a *acts) {
			a.s.end(t, own, connection.Removed)
			a.s.move(2 * time.Hour)
			a.s.fire(t, "remind")
			install(t, a)
		}, "1"},
		"the organisation's comes back": {func(t *testing.T, a *acts) {
			install(t, a)
			a.s.end(t, organisation, connection.ReconnectRequired)
			a.s.end(t, own, connection.Removed)
			a.s.move(2 * time.Hour)
			a.s.fire(t, "remind")
			a.s.end(t, organisation, connection.Active)
		}, "1"},
		"the organisation's comes back unseen, and is found by the walk": {func(t *testing.T, a *acts) {
			install(t, a)
			a.s.end(t, own, connection.Removed)
			a.s.move(2 * time.Hour)
			storetest.Exec(t, a.s.Fixture, "UPDATE timers SET parked = 1")
			storetest.OK(t, a.s.replicas[1].timers.Enlist(t.Context()))
		}, "1"},
		"the workspace's is swept before it is due": {func(t *testing.T, a *acts) {
			a.s.schedule(t, a.own, "U1", a.s.time().Add(200*24*time.Hour), "1")
			install(t, a)
			a.s.end(t, own, connection.Removed)
			a.s.move(100 * 24 * time.Hour)
			_, err := a.s.Sweep(t.Context(), a.s.time().Add(-90*24*time.Hour))
			storetest.OK(t, err)
			a.s.move(100 * 24 * time.Hour)
		}, "1"},
		"it is scheduled anew by the organisation's": {func(t *testing.T, a *acts) {
			install(t, a)
			a.s.end(t, own, connection.Removed)
			a.s.schedule(t, a.org, "U1", a.s.time().Add(time.Minute), "2")
		}, "2"},
		"what was scheduled anew has run when the workspace's goes": {func(t *testing.T, a *acts) {
			install(t, a)
			a.s.schedule(t, a.org, "U1", a.s.time().Add(time.Minute), "2")
			a.s.move(2 * time.Minute)
			a.s.fire(t, "remind")
			a.s.end(t, own, connection.Removed)
		}, "2"},
		"it is cancelled by the organisation's": {func(t *testing.T, a *acts) {
			install(t, a)
			a.s.end(t, own, connection.Removed)
			found, err := a.s.replicas[0].timers.Cancel(t.Context(), a.org, "remind", "U1")
			if err != nil || !found {
				t.Errorf("found %v, %v", found, err)
			}
		}, ""},
		"the workspace's is paused": {func(t *testing.T, a *acts) {
			install(t, a)
			a.s.end(t, own, connection.Paused)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s stage) {
				c := s.connect(t, "T1")
				a := &acts{s: s, own: homeOf(c)}
				s.schedule(t, a.own, "U1", s.time().Add(time.Hour), "1")
				tt.do(t, a)

				s.move(2 * time.Hour)
				for range 3 { // what is passed on is found at the second look
					s.fire(t, "remind")
				}
				got := ""
				for _, e := range s.work(t) {
					got += string(e.Body)
				}
				if got != tt.want {
					t.Errorf("came %q, want %q", got, tt.want)
				}
			})
		})
	}
}
