package transport

import (
	"log/slog"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/switchboard-go/switchboard/install/connection"
)

// The usual pace keeps to a few calls a minute, too: what the test above sees, in figures.
func TestSocketPace(t *testing.T) {
	t.Parallel()
	p := UsualPace
	for failures, want := range []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
		16 * time.Second, 32 * time.Second, time.Minute, time.Minute} {
		for range 100 {
			if d := p.pause(failures); d < want/2 || d > want {
				t.Fatalf("after %d failures %v, want %v to %v", failures, d, want/2, want)
			}
		}
	}
	if d := p.pause(1 << 20); d < 30*time.Second || d > time.Minute {
		t.Errorf("after very many failures %v", d)
	}
	if p.Ceiling > rate.Every(20*time.Second) || p.Silence > 30*time.Second || p.Drain <= AckBudget ||
		p.Off < time.Minute || p.Apart < 10*time.Second {
		t.Errorf("%+v", p)
	}
}

// A token that Slack refuses once everything else has run for a while ends nothing, whether or not it ever opened a
// connection.
func TestSocketRefusalLongAfterTheStart(t *testing.T) {
	t.Parallel()
	s := &Sockets{began: time.Now().Add(-theStart), Pace: UsualPace, Log: slog.New(slog.DiscardHandler)}
	for range 2 * RefusalsAtStart {
		if s.refuses(&TokenRefused{Code: "invalid_auth"}) {
			t.Fatal("it ends")
		}
	}
	s.refusedSince = s.refusedSince.Add(-s.Pace.Believed)
	if s.refuses(&TokenRefused{Code: "invalid_auth"}) || s.refused == nil {
		t.Error("minutes of refusals end it, or are not believed")
	}
}

// However long Slack asks us to wait, the next connection is tried within a quarter of an hour.
func TestSocketWaitIsBounded(t *testing.T) {
	s := &Sockets{}
	s.wait(1000 * 24 * time.Hour)
	if wait := s.early(); wait > connection.LongestWait {
		t.Errorf("the next connection is opened in %v", wait)
	}
}
