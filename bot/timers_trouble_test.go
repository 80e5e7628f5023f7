package bot

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// unlisted are timers whose connections can't be read.
type unlisted struct {
	Timers
	asked atomic.Int32
	works atomic.Bool
}

func (u *unlisted) Enlist(context.Context) error {
	if u.asked.Add(1); u.works.Load() {
		return nil
	}
	return errors.New("the database is away")
}

func (u *unlisted) Drop(context.Context, []string, time.Time) (map[string]int, error) {
	return nil, nil
}

func (u *unlisted) Next(context.Context, []string) (map[string]time.Time, error) { return nil, nil }

func (u *unlisted) Changed() <-chan struct{} { return nil }

// While connections can't be given their timers that is tried again each second, at the start as later, and is one line
// in the log. Once they have them, they are looked for after a minute, then after two, then four. These minutes are of
// synctest's clock, on which a sleep takes no time.
func TestEnlistingIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		kept := &unlisted{}
		ts := &timers{kept: kept, now: time.Now, log: slog.New(slog.NewTextHandler(&said, nil))}
		ctx, cancel := context.WithCancel(t.Context())
		go ts.run(ctx)

		time.Sleep(time.Minute + time.Second/2)
		synctest.Wait()
		if lines := strings.Count(said.String(), "the database is away"); kept.asked.Load() != 61 || lines != 1 {
			t.Errorf("asked %d times in a minute, with %d lines:\n%s", kept.asked.Load(), lines, said.String())
		}

		kept.works.Store(true)
		kept.asked.Store(0)
		time.Sleep(3*time.Minute + 2*time.Second)
		synctest.Wait()
		if n := kept.asked.Load(); n != 3 {
			t.Errorf("asked %d times in the three minutes after that, not at once, after one and after three", n)
		}

		kept.works.Store(false)
		kept.asked.Store(0)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := kept.asked.Load(); n < 50 || n > 70 {
			t.Errorf("asked %d times in the minute from the next look on", n)
		}
		cancel()
		synctest.Wait()
	})
}
