package doctor

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
