package bot

// What becomes of deliveries at the door, in the log: each by a line for whoever follows one. That the inbox takes none
// is a state, and said once.

import (
	"context"
	"log/slog"
	"time"

	"github.com/switchboard-go/switchboard/internal/lasting"
)

// keptRefused is what a delivery is that the inbox did not take.
const keptRefused = "refused"

// keepingTrouble is that the inbox takes no events. A database that comes and goes is one trouble.
func keepingTrouble() *lasting.Trouble {
	return &lasting.Trouble{
		Begins: "event not accepted: Slack sends it again", Ends: "events are accepted again",
		Error: true, Settles: 5 * time.Second,
	}
}

// noteKept logs what became of e: a result of keptAs.
func (w *workers) noteKept(ctx context.Context, e Delivery, result string, err error) {
	if err != nil {
		w.keeping.Note(ctx, w.log, err, "event", e.ID, "type", e.Type, "team", e.team())
		return
	}
	w.keeping.Passed(ctx, w.log)
	if w.log.Enabled(ctx, slog.LevelDebug) {
		w.log.DebugContext(ctx, "event received", "event", e.ID, "type", e.Type, "team", e.team(), "result", result)
	}
}
