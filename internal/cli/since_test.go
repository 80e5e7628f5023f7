package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// Of every state, the command line, the quick answer, the live one and the Home tab name the same beginning: the one
// that is true, which the test saw.
func TestEveryStateBeginsOnce(t *testing.T) {
	t.Parallel()
	keeping(t, func(t *testing.T, w *world) {
		dana := slacksim.AcmeAdmin
		w.start(1, nil)
		b, db := w.browser(), w.store()
		begins := func(what, label string, from time.Time, homes bool) {
			t.Helper()
			w.settle()
			to := time.Now()
			out, errs, code := w.command("connections", "show", "--json", slacksim.Acme)
			var row record
			if err := json.Unmarshal([]byte(out), &row); err != nil || code != 0 || row.StateSince == nil {
				t.Fatalf("%s: exit %d: %s%s %v", what, code, out, errs, err)
			}
			since, err := time.Parse(time.RFC3339, *row.StateSince)
			if err != nil || since.Before(from.Truncate(time.Second)) || since.After(to) || row.Label != label {
				t.Errorf("%s: %q since %v (%v), which began between %v and %v", what, row.Label, since, err, from, to)
			}
			want := fmt.Sprintf("%s since <!date^%d^", label, since.Unix())
			if label == "Removed from Slack" {
				want = fmt.Sprintf("%s, <!date^%d^", label, since.Unix())
			}
			quick := w.quick(what, dana, "/connection status", want)
			live := w.live(dana)
			if !strings.Contains(live.Text, want) {
				t.Errorf("%s: the live answer says %s, want %s", what, live.Text, want)
			}
			if label == "Working" && (strings.Contains(quick.Text, "Nothing to do") ||
				!strings.Contains(quick.Text, " As of <!date^") || !strings.Contains(live.Text, "Nothing to do.")) {
				t.Errorf("%s: quick %s\nlive %s", what, quick.Text, live.Text)
			}
			if !homes {
				return
			}
			if err := w.slack.OpenHome(context.Background(), dana, "home"); err != nil {
				t.Fatal(err)
			}
			said := strings.ReplaceAll(want, label, "*"+label+"*")
			w.wait(what+" in the Home tab", func() bool {
				home, ok := w.slack.Home(dana)
				return ok && strings.Contains(string(unescaped(home.Blocks)), said)
			})
		}
		permit := func(grant, take []string) time.Time {
			t.Helper()
			now := time.Now()
			if err := w.slack.Admins.Permit(slacksim.Acme, grant, take); err != nil {
				t.Fatal(err)
			}
			w.quick("asks Slack", dana, "/connection status") // which says so with any answer
			w.live(dana)
			return now
		}

		installed := time.Now()
		b.get(b.consent(b.begin("/slack/install"), dana, slacksim.Choice{Untick: []string{"team:read"}}))
		w.settle()
		begins("left out", "Working, some features unavailable", installed, true)
		whole := permit([]string{"team:read"}, nil)
		begins("allowed", "Working", whole, true)
		off := permit(nil, []string{"im:history"})
		begins("taken away", "Working, some features unavailable", off, true)
		silent := permit(nil, []string{"chat:write"})
		begins("a required one taken away", "Not working, a permission is missing", silent, true)
		back := permit([]string{"chat:write", "im:history"}, nil)
		begins("given back", "Working", back, true)

		become := func(state connection.State, reason string) time.Time {
			now := time.Now()
			w.change(db, slacksim.Acme, func(c *connection.Connection) {
				c.SetState(state, reason, now)
				c.Note(connection.Change{At: now, By: connection.Actor{Kind: connection.BySwitchboard}, What: connection.DidRenew,
					Outcome: connection.OutcomeFail, Reason: reason})
			})
			return now
		}
		trouble := become(connection.Retrying, connection.ReasonInvalidAuth)
		become(connection.Retrying, connection.ReasonRenewalFailing)
		begins("trouble", "Having trouble, retrying", trouble, true)
		broken := become(connection.ReconnectRequired, connection.ReasonRefreshRejected)
		begins("refused", "Needs reconnecting", broken, true)
		again := time.Now()
		b.install(dana)
		begins("reconnected", "Working", again, true)
	})
}

// live is the answer that takes the place of the quick one, once it has come.
func (w *world) live(userID string) (m slacksim.Message) {
	w.t.Helper()
	w.wait("the live answer", func() bool {
		m = w.last(slacksim.AcmeGeneral, userID)
		return !strings.Contains(m.Text, "Asking Slack")
	})
	return m
}

// unescaped is JSON with Slack's notation as it is written.
func unescaped(raw []byte) []byte {
	return []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(raw)))
}
