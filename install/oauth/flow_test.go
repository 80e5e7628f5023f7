package oauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// stub is a store that answers what a test has it asked.
type stub struct {
	Store
	ready func(ctx context.Context) error
	sweep func(kept, nameless time.Time) (int64, error)
	write func(ctx context.Context, what string) // an attempt's end, or a budget

	lookup func(k connection.Key) (connection.Connection, error)
}

func (s stub) Lookup(_ context.Context, k connection.Key) (connection.Connection, error) {
	return s.lookup(k)
}

func (s stub) Ready(ctx context.Context) error       { return s.ready(ctx) }
func (s stub) CheckAnyKey(ctx context.Context) error { return ctx.Err() }
func (s stub) SweepAttempts(_ context.Context, kept, nameless time.Time) (int64, error) {
	return s.sweep(kept, nameless)
}

func (s stub) EndAttempt(ctx context.Context, a Attempt) error {
	s.write(ctx, a.Ref+" "+a.Reason)
	return nil
}

func (s stub) Refill(ctx context.Context, b slackapi.Budget) error {
	s.write(ctx, b.Name)
	return nil
}

func (s stub) Take(ctx context.Context, b slackapi.Budget, n int, _ time.Time) (bool, error) {
	s.write(ctx, fmt.Sprint(b.Name, " ", n))
	return true, nil
}

// What became of an install is written down also when the time that its page had is over.
func TestEndingsAreWrittenDown(t *testing.T) {
	t.Parallel()
	var wrote []string
	cfg := &Config{Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler)}
	cfg.Store = stub{write: func(ctx context.Context, what string) {
		if _, bounded := ctx.Deadline(); ctx.Err() != nil || !bounded {
			t.Errorf("%s: %v, bounded: %v", what, ctx.Err(), bounded)
		}
		wrote = append(wrote, what)
	}}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	(&records{Config: cfg}).ended(over, Attempt{Ref: "REF"}, &page{Reason: "unexpected"})
	(&exchange{Config: cfg}).unused(over, &Attempt{LinkHash: []byte{1, 2}})
	(&exchange{Config: cfg}).unused(over, &Attempt{}) // without a link there is none to give back
	(&undo{Config: cfg}).note(over, connection.Connection{ID: "con_1", AuthorizedAt: time.UnixMicro(7)})
	if want := []string{"REF unexpected", "used/0102", "undone/con_1/7 1"}; !slices.Equal(wrote, want) {
		t.Errorf("it wrote %q, not %q", wrote, want)
	}
}

// An attempt is kept for 90 days, and for a week if anybody can have made it up.
func TestHowLongAttemptsAreKept(t *testing.T) {
	t.Parallel()
	store := stub{sweep: func(kept, nameless time.Time) (int64, error) {
		if noon.Sub(kept) != 90*24*time.Hour || noon.Sub(nameless) != 7*24*time.Hour {
			t.Errorf("kept since %v, and nameless ones since %v", kept, nameless)
		}
		return 7, nil
	}}
	f := &Flow{cfg: &Config{Store: store, Now: func() time.Time { return noon }}}
	if n, err := f.Sweep(t.Context()); n != 7 || err != nil {
		t.Error(n, err)
	}
}

// However many open our pages at one moment, the store is looked at once, and who leaves ends that for nobody.
func TestOneLookForAll(t *testing.T) {
	t.Parallel()
	var looks atomic.Int32
	looking, answer := make(chan struct{}), make(chan struct{})
	f := &Flow{cfg: &Config{Store: stub{ready: func(ctx context.Context) error {
		if looks.Add(1) == 1 {
			close(looking)
			<-answer
		}
		return ctx.Err()
	}}}}
	ctx, leave := context.WithCancel(t.Context())
	first, last := make(chan error, 1), make(chan error, 1)
	go func() { first <- f.lookAtStore(ctx) }()
	<-looking
	leave()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who left: %v", err)
	}
	for range 20 {
		if err := f.lookAtStore(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("who comes and leaves: %v", err)
		}
	}

	joined := make(chan struct{})
	go func() {
		look := f.looks.DoChan("", nil) // it is under way, so nothing is called
		close(joined)
		last <- (<-look).Err
	}()
	<-joined
	close(answer)
	if err := <-last; err != nil || looks.Load() != 1 {
		t.Errorf("%d looks, the last one: %v", looks.Load(), err)
	}
	if err := f.lookAtStore(t.Context()); err != nil || looks.Load() != 2 {
		t.Errorf("%d looks, after it: %v", looks.Load(), err)
	}
}

// What a request says of its address is kept with the attempt, as far as an address goes.
func TestOriginIsBounded(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/slack/install", nil)
	if got := origin(r); got != "://example.com" {
		t.Errorf("without a proxy: %q", got)
	}
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("X-Forwarded-Host", "bot.example.com")
	if got := origin(r); got != "https://bot.example.com" {
		t.Errorf("behind a proxy: %q", got)
	}
	r.Header.Set("X-Forwarded-Host", strings.Repeat("x", 10_000))
	if got := origin(r); len(got) != 120 {
		t.Errorf("%d letters", len(got))
	}
}
