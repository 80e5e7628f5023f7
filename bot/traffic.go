package bot

// An operator reads when Slack last sent something for a workspace, so that is kept with its connection.

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/lasting"
)

// traffic writes down when Slack sent something, and for whom.
type traffic struct {
	install *install.Installer
	log     *slog.Logger
	now     func() time.Time

	mu      sync.Mutex
	trouble lasting.Trouble              // to keep that
	seen    map[connection.Key]time.Time // whose → when their last event was written down
}

// saw writes down, at most once a minute for each connection, that Slack still sends something.
func (t *traffic) saw(k connection.Key, at time.Time) {
	const every, most, patience = time.Minute, 100_000, 10 * time.Second
	now := t.now()

	t.mu.Lock()
	last, known := t.seen[k]
	due := !known || now.Sub(last) >= every
	if due {
		if len(t.seen) >= most {
			clear(t.seen) // costs one extra write per connection
		}
		t.seen[k] = now
	}
	t.mu.Unlock()

	if !due {
		return
	}

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := t.install.Lifecycle().SawEvent(ctx, k, at); err != nil && !errors.Is(err, connection.ErrNotFound) {
		t.trouble.Note(ctx, t.log, err, "key", k.String())
	} else {
		t.trouble.Passed(ctx, t.log)
	}
}
