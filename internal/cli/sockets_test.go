package cli

// Socket Mode through the whole program: the same answers as over HTTP, with nothing lost while Slack refreshes
// connections.

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// overSockets switches Slack to Socket Mode and starts n replicas that use it.
func (w *world) overSockets(n int) map[string]string {
	w.t.Helper()
	settings := map[string]string{"SLACK_APP_TOKEN": "xapp-1-A0TEST-" + strings.Repeat("f", 40),
		"SLACK_SIGNING_SECRET": "", "LOG_LEVEL": "info"}
	w.slack.SetApp(func(a *slacksim.App) { a.SocketMode, a.AppToken = true, settings["SLACK_APP_TOKEN"] })
	w.start(n, settings)
	w.wait("the first connections", func() bool { return len(w.slack.Sockets.Live()) >= n })
	return settings
}

func (w *world) ready() int { return w.browser().get(w.replicas[0].admin.String() + "/readyz").status }

func TestSocketMode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t))
	w.overSockets(1)
	if page := w.browser().install(slacksim.AcmeAdmin); page.status != http.StatusOK {
		// the installer needs HTTP all the same
		t.Fatalf("install: %d", page.status)
	}
	w.quick("a command", slacksim.AcmeAdmin, "/connection status", "Working")
	dm := w.slack.DM(slacksim.AcmeMember)
	w.say(slacksim.AcmeMember, dm, "help")
	w.wait("an answer", func() bool { return len(w.fromApp(dm, slacksim.AcmeMember)) == 1 })
	if got := w.ready(); got != http.StatusOK {
		t.Errorf("readyz with live connections: %d", got)
	}
	// Switched off in the app's settings: a state that an operator sees, and no end of the process.
	w.slack.SetApp(func(a *slacksim.App) { a.SocketMode = false })
	eventually(t, "readyz to be red", func() bool { return w.ready() == http.StatusServiceUnavailable })
	if page := w.browser().get(w.replicas[0].admin.String() + "/readyz"); !strings.Contains(page.body,
		"Socket Mode is turned off") {
		t.Errorf("readyz says %q", page.body)
	}
}

// Slack ends connections while it sends, as it does once an hour: each event is worked once. (bot's tests do it fifty
// times.)
func TestSocketRefreshesLoseNothing(t *testing.T) {
	storagetest.Long(t)
	t.Parallel()
	w := newWorld(t, storagetest.Postgres(t)) // SQLite belongs to one process
	w.overSockets(2)
	w.browser().install(slacksim.AcmeAdmin)
	w.wait("two connections each", func() bool { return len(w.slack.Sockets.Live()) >= 4 })
	l := newLedger(t)
	const events, refreshes = 1000, 3
	var all sync.WaitGroup
	ids := make([]string, events)
	next := make(chan int)
	for range 8 {
		all.Go(func() {
			for i := range next {
				ids[i] = fmt.Sprintf("EvSock%04d", i)
				body := fmt.Appendf(nil,
					`{"type":"event_callback","api_app_id":%q,"team_id":%q,"event_id":%q,"event_time":%d,"event":{"type":"star_added","ledger":%q,"millis":5}}`, w.slack.App().ID, slacksim.Acme, ids[i], time.Now().Unix(), l.URL)
				w.slack.Sender.Deliver(context.Background(), slacksim.Raw{Kind: "event", Body: body})
			}
		})
	}
	refreshed := 0
	for i := range events {
		if i%300 == 100 && refreshed < refreshes {
			refreshed += w.slack.Sockets.Refresh(50*time.Millisecond, w.slack.Sockets.Live()[0])
		}
		next <- i
	}
	close(next)
	all.Wait()
	l.all(t, "all", ids, patience)
	if times := l.times(); len(times) != 1 || refreshed != refreshes {
		t.Errorf("%d refreshes; worked so many times: %v", refreshed, times)
	}
	t.Logf("%d events through %d connections, %d refreshed meanwhile; worked so many times: %v", events,
		w.slack.Sockets.Opened(), refreshed, l.times())
}

// A token that Slack refuses ends the program with a sentence, not with a loop.
func TestSocketTokenRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t))
	w.slack.SetApp(func(a *slacksim.App) { a.SocketMode, a.AppToken = true, "xapp-1-the-right-one" })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, errs strings.Builder
	err := run(ctx, []string{"serve"}, w.settings(map[string]string{"SLACK_APP_TOKEN": "xapp-1-another-one"}), &out, &errs)
	_, _ = w.Write([]byte(errs.String()))
	if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "SLACK_APP_TOKEN") ||
		strings.Contains(err.Error(), "another-one") {
		t.Errorf("serve ended with %v", err)
	}
	if code := exitCode(&out, err); code != 2 {
		t.Errorf("exit %d", code)
	}
}
