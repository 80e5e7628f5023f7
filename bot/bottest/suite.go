package bottest

// The app under test, and what it runs in.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/words"
	"github.com/switchboard-go/switchboard/internal/cli"
	"github.com/switchboard-go/switchboard/slacksim"
)

// Patience is how long Want waits for what is expected. What an app does takes some milliseconds.
const Patience = 10 * time.Second

// App is what is tested, as switchboard.App has it.
type App struct {
	Name     string // "": Test
	Handlers []bot.Handler
	Use      []bot.Middleware
	OnError  func(ctx context.Context, r *bot.Request, err error) error
	Scopes   []connection.Scope
	Words    *words.Sentences // nil: English
	// LeastInterval is the shortest time between two runs of bot.Every and bot.Cron. 0: 15 minutes.
	LeastInterval time.Duration

	NotInstalled bool // nobody has installed it yet: see Suite.Install
}

// Suite is an app that runs in a small Slack. Its methods are for the test's own goroutine.
type Suite struct {
	// Sim is the small Slack, for what the Suite has no word for: faults, calls, people, channels.
	Sim *slacksim.Sim

	t     testing.TB
	app   *cli.Rehearsed
	clock *slacksim.ManualClock
	seen  map[string]string // of a place: the ts of the message that a Want has found last
	stop  func() error      // ends the app
}

// New runs an app of handlers, installed at Acme Corp. It ends with the test, which fails when the app broke one of
// Slack's rules. With SHOW_LOGS=1 in the environment the app's log is on standard error.
func New(t testing.TB, handlers ...bot.Handler) *Suite {
	t.Helper()
	return NewApp(t, App{Handlers: handlers})
}

// NewApp is New for an app with more than handlers.
func NewApp(t testing.TB, app App) *Suite {
	t.Helper()
	if app.Name == "" {
		app.Name = "Test"
	}
	// Without a monotonic reading, which would go on by itself.
	s := &Suite{t: t, clock: slacksim.NewManualClock(time.Now().Round(0)), seen: map[string]string{}}

	log := slog.New(slog.DiscardHandler)
	if os.Getenv("SHOW_LOGS") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain := cli.App{Name: app.Name, Handlers: app.Handlers, Use: app.Use, OnError: app.OnError, Scopes: app.Scopes,
		Words: app.Words, LeastInterval: app.LeastInterval}
	rehearsal, err := plain.Rehearse(cli.Rehearsal{
		Listener: listen, Folder: filepath.Clean(t.TempDir()), Clock: s.clock, Log: log, World: populate,
	})
	if err != nil {
		t.Fatal(errors.Join(err, listen.Close()))
	}
	s.Sim, s.app = rehearsal.Slack, rehearsal
	t.Cleanup(s.end)
	s.run()

	if !app.NotInstalled {
		s.Install(Admin)
	}
	return s
}

// end ends the app and Slack at the end of the test.
func (s *Suite) end() {
	settled, done := context.WithTimeout(context.Background(), Patience)
	defer done()
	if err := s.Sim.Settle(settled); err != nil {
		s.t.Errorf("Slack is not done: %v", err)
	}
	if err := errors.Join(s.stop(), s.Sim.Close(settled)); err != nil {
		s.t.Errorf("the app ended with %v", err)
	}
	for _, b := range s.Sim.Breaches() {
		s.t.Errorf("a rule of Slack's was broken: %s: %s", b.Rule, b.Detail)
	}
}

// Restart ends the app and starts it again with the same database, as a deployment does. The clock moves while it is
// away.
func (s *Suite) Restart(away time.Duration) {
	s.t.Helper()
	if err := s.stop(); err != nil {
		s.t.Fatalf("the app ended with %v", err)
	}
	s.clock.Advance(away)
	if err := s.app.Again(); err != nil {
		s.t.Fatalf("start the app again: %v", err)
	}
	s.run()
}

// run runs the app until it is stopped.
func (s *Suite) run() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.app.Run(ctx) }()
	s.stop = func() error {
		cancel()
		err := <-ended
		ended <- nil // it can be stopped again
		return err
	}

	select {
	case <-s.app.Serving:
	case err := <-ended:
		ended <- err
		s.t.Fatalf("the app did not start: %v", err)
	case <-time.After(Patience):
		s.t.Fatal("the app did not start in time")
	}
	if err := s.settle(); err != nil { // a connection that is made from now on has its timers
		s.t.Fatalf("the app did not start: %v", err)
	}
}

// settle waits until the app has worked all that it was sent, and all timers that are due.
func (s *Suite) settle() error {
	ctx, cancel := context.WithTimeout(s.t.Context(), Patience)
	defer cancel()
	return s.app.Settle(ctx)
}

// Install installs the app in a person's workspace, by that person, with every permission it asks for.
func (s *Suite) Install(by Person) {
	s.t.Helper()
	if err := install(s.Sim, by); err != nil {
		s.t.Fatalf("install the app: %v", err)
	}
}

// Uninstall removes the app from a person's workspace, as an admin does.
func (s *Suite) Uninstall(from Person) {
	s.t.Helper()
	if err := s.Sim.Admins.Uninstall(s.t.Context(), from.Team, slacksim.RevokedFirst); err != nil {
		s.t.Fatalf("remove the app: %v", err)
	}
}

// Now is the time by the clock of the app and of Slack. It stands still between calls of Advance.
func (s *Suite) Now() time.Time { return s.clock.Now() }

// Advance moves the clock of the app and of Slack. Timers that become due run then, and so does what failed and waits
// for its next attempt: Want waits for what they say. Of one that recurs (bot.Every, bot.Cron) one run is made up for,
// however far the clock moves, some minutes after its time.
//
// Before, whatever still runs may end: a long way is not for what is under way.
func (s *Suite) Advance(d time.Duration) {
	s.t.Helper()
	if d > cli.RehearsedLease/2 {
		if err := s.settle(); err != nil && !errors.Is(err, context.DeadlineExceeded) { // a handler may wait for the clock
			s.t.Fatal(err)
		}
	}
	s.clock.Advance(d)
}

// Handle answers calls of a method of Slack's that the small Slack lacks.
func (s *Suite) Handle(method string, answer slacksim.Answerer) { s.Sim.Handle(method, answer) }

// await waits until ok, or fails the test with what says.
func (s *Suite) await(ok func() bool, says func() string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := s.Sim.WaitFor(ctx, ok); err != nil {
		s.t.Fatal(says())
	}
}

// channel finds a channel by its name with a hash, in a workspace.
func (s *Suite) channel(team, name string) string {
	s.t.Helper()
	bare, named := strings.CutPrefix(name, "#")
	if !named {
		return name // an id
	}
	for _, c := range s.Sim.Directory.Channels(team) {
		if c.Name == bare {
			return c.ID
		}
	}
	s.t.Fatalf("there is no channel %s in %s", name, team)
	return ""
}

// Channel is the id of a channel of Acme Corp ("#general").
func (s *Suite) Channel(name string) string {
	s.t.Helper()
	return s.channel(slacksim.Acme, name)
}

func must[T any](t testing.TB, doing string) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(fmt.Errorf("%s: %w", doing, err))
		}
		return v
	}
}
