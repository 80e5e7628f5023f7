package slacksim

// What every part of the Sim stands on: the app's settings, the one lock, the clock, what runs in the background, and
// how others wait for what happens. Everything mutable sits behind mu. Nothing sends a request or waits while holding
// it.

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"sync"
	"time"
)

type engine struct {
	clock      Clock
	log        *slog.Logger
	ackTimeout time.Duration
	life       context.Context
	end        context.CancelFunc
	work       sync.WaitGroup // deliveries and the server's goroutine

	mu      sync.Mutex
	app     App
	url     string
	closed  bool
	changed chan struct{} // closed and replaced upon each change
	busy    int           // deliveries under way or due now
	timers  map[int]func() bool
	serial  int
}

func newEngine(cfg Config) *engine {
	s := &engine{
		clock: cfg.Clock, log: cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)), app: cfg.App,
		ackTimeout: cmp.Or(max(cfg.AckTimeout, 0), 3*time.Second),
		changed:    make(chan struct{}), timers: map[int]func() bool{},
	}
	if s.clock == nil {
		s.clock = SystemClock{}
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// noteLocked wakes everyone who waits for Changed, as WaitFor and Settle do.
func (s *engine) noteLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// spawnLocked runs f in a goroutine that Close and Settle know of. After Close it does nothing.
func (s *engine) spawnLocked(f func()) {
	if s.closed {
		return
	}
	s.busy++
	s.work.Go(func() {
		defer func() {
			s.mu.Lock()
			s.busy--
			s.noteLocked()
			s.mu.Unlock()
		}()
		f()
	})
}

// laterLocked runs f like spawnLocked does, when the clock has moved by d.
func (s *engine) laterLocked(d time.Duration, f func()) {
	s.dueLocked(d, func() { s.spawnLocked(f) })
}

// dueLocked runs f under the lock when the clock has moved by d: what Slack does by itself has happened when the clock
// shows a later time.
func (s *engine) dueLocked(d time.Duration, f func()) {
	if s.closed {
		return
	}
	s.serial++
	id := s.serial
	s.timers[id] = s.clock.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.timers[id]; !ok {
			return // stopped by Close
		}
		delete(s.timers, id)
		f()
	})
}

// timestamp writes a time as Slack does in events.
func timestamp(t time.Time) string { return fmt.Sprintf("%d.%06d", t.Unix(), t.Nanosecond()/1000) }

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func randomText(n int) string {
	b := make([]byte, n)
	for i := range b {
		k, _ := rand.Int(rand.Reader, big.NewInt(int64(len(alnum))))
		b[i] = alnum[k.Int64()]
	}
	return string(b)
}

func randomDigits(n int) string {
	k, _ := rand.Int(rand.Reader, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n-1)), nil))
	return new(big.Int).Add(k, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n-1)), nil)).String()
}

// maxBody bounds what is read from anyone: generous beside Slack's own limits.
const maxBody = 4 << 20

func readBody(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, maxBody)) }
