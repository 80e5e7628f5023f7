package lasting

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTroubleIsSaidWhenItBeginsAndWhenItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		lines := func(level string) int { return strings.Count(out.String(), "level="+level+" ") }
		trouble := Trouble{Begins: "it breaks", Ends: "it works", Settles: 5 * time.Second}
		ctx, away := context.Background(), errors.New("away")

		trouble.Note(ctx, log, nil)
		if out.Len() > 0 {
			t.Errorf("without trouble: %s", &out)
		}
		for range 10 {
			trouble.Note(ctx, log, away, "event", "Ev1")
			time.Sleep(time.Second)
			trouble.Passed(ctx, log) // it comes and goes
		}
		if lines("WARN") != 1 || lines("DEBUG") != 9 || lines("INFO") != 0 || !strings.Contains(out.String(), "event=Ev1") {
			t.Errorf("while it lasts:\n%s", &out)
		}

		trouble.Note(ctx, log, errors.New("full"))
		if lines("WARN") != 1 {
			t.Errorf("another cause, right away:\n%s", &out)
		}
		time.Sleep(changesEvery)
		trouble.Note(ctx, log, errors.New("full"))
		if lines("WARN") != 2 {
			t.Errorf("another cause, that lasts:\n%s", &out)
		}

		time.Sleep(5 * time.Second)
		for range 3 {
			trouble.Passed(ctx, log)
		}
		if lines("INFO") != 1 || !strings.Contains(out.String(), `msg="it works" times=12 after=1m10s`) {
			t.Errorf("at the end:\n%s", &out)
		}

		trouble.Error = true
		trouble.Note(ctx, log, away)
		if lines("ERROR") != 1 {
			t.Errorf("when it begins anew:\n%s", &out)
		}
	})
}

// An error that names a port, which is another one each time, is the same trouble.
func TestACauseWithNumbersIsSaidOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		trouble := Trouble{Begins: "it breaks", Ends: "it works"}
		for port := range 5 {
			trouble.Note(context.Background(), log, fmt.Errorf("read tcp 10.0.0.1:%d: reset", 40000+port*111))
			time.Sleep(changesEvery)
		}
		if n := strings.Count(out.String(), "level=WARN"); n != 1 {
			t.Errorf("%d lines:\n%s", n, &out)
		}
	})
}

func TestNoTroubleCostsNothing(t *testing.T) {
	var trouble Trouble
	ctx, log := context.Background(), slog.New(slog.DiscardHandler)
	if n := testing.AllocsPerRun(100, func() { trouble.Passed(ctx, log) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
