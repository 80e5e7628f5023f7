package doctor

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-go/switchboard/storage"
)

// One check that panics, and one that hangs, are told in their own place.
func TestACheckHidesNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		for name, test := range map[string]struct {
			look func(context.Context, *Examined) []Finding
			want string
		}{
			"panics":  {func(context.Context, *Examined) []Finding { panic("xoxb-secret") }, "This check itself is broken."},
			"hangs":   {func(context.Context, *Examined) []Finding { <-ended; return nil }, "no answer within 5s"},
			"indexes": {func(context.Context, *Examined) []Finding { return []Finding{}[4:] }, "out of range"},
			"heeds": {func(ctx context.Context, _ *Examined) []Finding {
				<-ctx.Done()
				return []Finding{{Name: "slow", Status: Failed, Text: "Slack doesn't answer."}}
			}, "Slack doesn't answer."},
		} {
			began := time.Now()
			r := Check{Name: "x", Title: "X", look: test.look}.run(t.Context(), &Examined{}, budget)
			if r.Status != Failed || len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Text, test.want) {
				t.Errorf("%s: %+v", name, r)
			}
			if strings.Contains(r.Findings[0].Text, "xoxb-") {
				t.Errorf("%s: it quotes a secret: %s", name, r.Findings[0].Text)
			}
			if took := time.Since(began); took > budget+time.Second {
				t.Errorf("%s: took %s", name, took)
			}
		}
		close(ended)
	})
}

// A check that hangs keeps neither a repair nor the second look waiting, and shares nothing with that: it may go on.
func TestARepairPassesWhatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		looks := make(chan *Examined, 2)
		repaired := false
		areas := func() []Area {
			return []Area{{Name: "a", Checks: []Check{
				{Name: "hangs", look: func(_ context.Context, e *Examined) []Finding {
					looks <- e
					<-ended
					_, _ = e.database.get(func() (*storage.DB, error) { return nil, errClosed })
					return nil
				}},
				{Name: "mends", look: func(context.Context, *Examined) []Finding {
					if repaired {
						return []Finding{{Name: "mode", Status: OK, Text: "It is well."}}
					}
					return []Finding{{Name: "mode", Status: Failed, Text: "It isn't.",
						Repair: func(context.Context) (string, error) { repaired = true; return "mended it", nil }}}
				}},
			}}}
		}

		e := &Examined{}
		r := examine(t.Context(), areas, e, true)
		checks := r.Areas[0].Checks
		if checks[0].Status != Failed || checks[1].Status != OK || !slices.Equal(checks[1].Fixed, []string{"mended it"}) {
			t.Errorf("%+v", checks)
		}
		if first, second := <-looks, <-looks; first == second {
			t.Error("what hangs and the second look share what was found out")
		}
		close(ended)
		synctest.Wait()
		e.Close()
	})
}
