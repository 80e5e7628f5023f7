package bottest_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/bot/bottest"
)

// The first test of a bot. In one of your own what is in run is the body of func TestHello(t *testing.T).
func ExampleNew() {
	handlers := []bot.Handler{
		bot.OnMention("hello", func(ctx context.Context, m *bot.Message) error {
			_, err := m.Say(ctx, bot.Text("Hey <@"+m.UserID+">!"))
			return err
		}),
	}

	run(func(t testing.TB) {
		s := bottest.New(t, handlers...)
		s.As(bottest.Member).Mention("#general", "hello")
		s.Posted("#general").Want("Hey <@" + bottest.Member.ID + ">!")
	})
	// Output: ok
}

// A form is filled in by the block_id of each input, and what is wrong with it stands in the window.
func ExampleActor_Submit() {
	check := bot.OnViewSubmission("ticket", func(_ context.Context, s *bot.Submission) error {
		if len(s.Value("title")) < 5 {
			return s.Errors(map[string]string{"title": "Write a few words more."})
		}
		return s.Clear()
	})
	open := bot.OnShortcut("ticket", func(ctx context.Context, s *bot.Shortcut) error {
		_, err := s.OpenModal(ctx, form()) // with an input whose block_id is "title"
		return err
	}, bot.Titled("New ticket", "Files a ticket"))

	run(func(t testing.TB) {
		s := bottest.New(t, open, check)
		leon := s.As(bottest.Member)
		leon.Shortcut("ticket")
		leon.Submit(map[string]string{"title": "no"})
		leon.Modal().Want("Write a few words more.")
	})
	// Output: ok
}

// A test waits for no time: it moves the clock.
func ExampleSuite_Advance() {
	daily := bot.Every(24*time.Hour, func(ctx context.Context, t *bot.Timer) error {
		_, err := t.Say(ctx, t.Connection.InstalledBy, bot.Text("Good morning!"))
		return err
	}, bot.Scopes("chat:write"))

	run(func(t testing.TB) {
		s := bottest.New(t, daily)
		dana := s.As(bottest.Admin) // who installed it
		s.Advance(36 * time.Hour)
		dana.Reads("").Want("Good morning!")
	})
	// Output: ok
}

// run runs a test as go test does, and prints how it ended.
func run(test func(t testing.TB)) {
	t := &outside{ctx: context.Background()}
	ended := make(chan struct{})
	go func() { // which Fatal ends
		defer close(ended)
		defer func() {
			for _, clean := range slices.Backward(t.cleanups) {
				clean()
			}
		}()
		test(t)
	}()
	<-ended
	if !t.failed {
		fmt.Println("ok")
	}
}

// outside is what a test has, outside of one: its failures are the Example's output.
type outside struct {
	testing.TB
	ctx      context.Context
	cleanups []func()
	failed   bool
}

func (t *outside) Context() context.Context          { return t.ctx }
func (t *outside) Helper()                           {}
func (t *outside) Cleanup(clean func())              { t.cleanups = append(t.cleanups, clean) }
func (t *outside) Fatal(args ...any)                 { t.Errorf("%s", fmt.Sprint(args...)); runtime.Goexit() }
func (t *outside) Fatalf(format string, args ...any) { t.Errorf(format, args...); runtime.Goexit() }

func (t *outside) Errorf(format string, args ...any) {
	t.failed = true
	fmt.Printf(format+"\n", args...)
}

func (t *outside) TempDir() string {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}
