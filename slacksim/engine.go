package slacksim

// What every part of the Sim stands on: the app's settings, the one lock, the clock, what runs in the background, and
// how others wait for what happens. Everything mutable sits behind mu; nothing sends a request or waits while holding
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
	"strings"
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
	lastTS  int64 // microseconds of the newest message: timestamps are unique ids
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

// URL is the address of this Slack, "http://127.0.0.1:port" without a slash at the end; "" before Start or SetURL.
func (s *engine) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// SetURL tells a Sim whose Handler is mounted elsewhere the address it is reached at.
func (s *engine) SetURL(u string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.url = strings.TrimRight(u, "/")
}

// App returns a copy of the app's settings.
func (s *engine) App() App {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.app
	a.Commands = append([]Command(nil), a.Commands...)
	a.Events = append([]string(nil), a.Events...)
	a.RedirectURLs = append([]string(nil), a.RedirectURLs...)
	a.OptionalScopes = append([]string(nil), a.OptionalScopes...)
	return a
}

// Now is the time by the Sim's clock.
func (s *engine) Now() time.Time { return s.clock.Now() }

// noteLocked wakes everyone who waits for Changed, as WaitFor and Settle do.
func (s *engine) noteLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Changed returns a channel that is closed upon the next call, delivery, message or other change.
func (s *engine) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// WaitFor returns when ok reports true, looking again after every call, delivery, message or other change. It waits on
// a signal, not on time; ctx bounds it. ok may use the Sim and is called from this goroutine only.
func (s *engine) WaitFor(ctx context.Context, ok func() bool) error {
	for {
		ch := s.Changed() // taken before looking, so that no change falls between
		if ok() {
			return nil
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Settle waits until no delivery is under way or due now. Retries that wait for the clock do not count.
func (s *engine) Settle(ctx context.Context) error {
	return s.WaitFor(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.busy == 0
	})
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
		s.spawnLocked(f)
	})
}

// idLocked makes an id that is unique here, readable and the same in every run: C0SIM00007.
func (s *engine) idLocked(prefix string) string {
	s.serial++
	return fmt.Sprintf("%s0SIM%05d", prefix, s.serial)
}

// tsLocked makes the next message timestamp. Slack uses it as the message's id, so it never repeats.
func (s *engine) tsLocked() string {
	us := s.clock.Now().UnixMicro()
	if us <= s.lastTS {
		us = s.lastTS + 1
	}
	s.lastTS = us
	return fmt.Sprintf("%d.%06d", us/1e6, us%1e6)
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
