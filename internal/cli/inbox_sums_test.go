package cli

// Why the inbox grows, and what is done about it, by what an operator types.

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

// lying is an event that lies in the inbox.
type lying struct {
	team, kind, lane, state, text string
	ago, next                     time.Duration
}

// lay puts events into an inbox that is empty otherwise.
func (w *world) lay(events ...lying) {
	w.t.Helper()
	w.exec("DELETE FROM inbox")
	now := time.Now()
	for i, e := range events {
		finished := int64(0)
		if e.state == "dead" {
			finished = now.Add(-e.ago).UnixMicro()
		}
		none := "''"
		if strings.HasPrefix(w.database, "sqlite") {
			none = "x''"
		}
		w.exec(fmt.Sprintf("INSERT INTO inbox (app_id, event_id, enterprise_id, team_id, kind, type, lane, state, tag, "+
			"visible_at, attempt, failures, received_at, finished_at, said, error, payload) VALUES ('%s', 'Ev%d', '', '%s', "+
			"'events_api', '%s', '%s', '%s', %d, %d, 1, 0, %d, %d, '', '%s', %s)", w.slack.App().ID, i, e.team, e.kind, e.lane,
			e.state, i, now.Add(e.next).UnixMicro(), now.Add(-e.ago).UnixMicro(), finished, e.text, none))
	}
}

// times is e so many times.
func (e lying) times(n int) []lying { return slices.Repeat([]lying{e}, n) }

func TestWhyTheInboxGrows(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.start(1, nil)
		w.browser().install(slacksim.AcmeAdmin)
		w.settle()
		w.stop()
		ready := lying{team: slacksim.Acme, kind: "message", state: "ready", ago: 3 * time.Hour}
		held := lying{team: slacksim.Birch, kind: "message", lane: "C1", state: "held", ago: 90 * time.Second}
		queued := lying{team: slacksim.Birch, kind: "message", lane: "C1", state: "queued", ago: time.Second}
		waiting := lying{team: slacksim.Birch, kind: "message", lane: "C2", state: "waiting", ago: time.Hour,
			next: 10*time.Minute + 30*time.Second, text: "post: not_in_channel"}
		dead := lying{team: slacksim.Acme, kind: "message", state: "dead", ago: time.Hour, text: "post: is_archived"}

		for name, test := range map[string]struct {
			events   []lying
			settings map[string]string
			want     []string
			not      string
		}{
			"nothing":       {nil, nil, []string{"The inbox is empty."}, "STATE"},
			"nobody works":  {ready.times(5), nil, []string{"5 events are not done. The oldest came 3 hours ago.", "no process takes any. Is switchboard serve running", "5 of what isn't done came from Acme Corp (T0ACME0001)"}, ""},
			"workers 0":     {ready.times(1), map[string]string{"WORKERS": "0"}, []string{"1 event could be worked right away, and WORKERS is 0"}, "Is switchboard"},
			"all are busy":  {append(ready.times(2), held), nil, []string{"workers are busy: 1 event is in hand, the oldest came 90 seconds ago"}, "no process"},
			"behind others": {append(queued.times(2), held), nil, []string{"2 events wait for an earlier one of their conversation. 2 are behind event", "message of T0BIRCH001, 90 seconds old", "being worked in attempt 1"}, "could be worked"},
			"tried again":   {[]lying{waiting}, nil, []string{"1 event waits for the next attempt", "not_in_channel (1)", "due in 10 minutes"}, ""},
			"given up":      {dead.times(1234), nil, []string{"Nothing waits.", "1,234 dead letters: switchboard inbox list --state dead", "STATE", "dead", "TYPE", "WORKSPACE", "Acme Corp", "REASON", "is_archived"}, "not done"},
		} {
			w.lay(test.events...)
			out, errs, code := w.with(test.settings, "inbox")
			if missing := inOrder(out, test.want...); missing != "" || code != 0 ||
				test.not != "" && strings.Contains(out, test.not) {
				t.Errorf("%s: exit %d, no %q, or %q, in:\n%s%s", name, code, missing, test.not, out, errs)
			}
		}

		w.lay(slices.Concat(dead.times(3), ready.times(2), []lying{held, queued, waiting})...)
		out, _, code := w.command("inbox", "sums", "--json", "--limit", "1")
		var sums inboxSums
		if err := json.Unmarshal([]byte(out), &sums); err != nil || code != 0 {
			t.Fatalf("exit %d, %v: %s", code, err, out)
		}
		if len(sums.States) != 5 || len(sums.ByType) != 2 || len(sums.ByWorkspace) != 2 || sums.ByType[0].Events != 5 ||
			!sums.ByReason[1].Dead || sums.ByReason[1].Reason != "is_archived" || sums.ByWorkspace[1].TeamName != "Acme Corp" ||
			len(sums.Queues) != 1 || sums.Queues[0].Behind == nil || sums.NextAttempt == nil || len(sums.Why) < 4 {
			t.Errorf("for scripts: %s", out)
		}
	})
}

func TestReplayByReason(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		if _, errs, code := w.command("migrate", "up"); code != 0 {
			t.Fatal(errs)
		}
		dead := lying{team: slacksim.Acme, kind: "message", state: "dead", ago: time.Hour, text: "post: not_in_channel"}
		old, other, birch := dead, dead, dead
		old.ago, other.text, birch.team = 5*time.Hour, "post: is_archived", slacksim.Birch
		w.lay(slices.Concat(dead.times(700), old.times(3), other.times(2), birch.times(1))...)

		does := func(code int, want string, args ...string) {
			t.Helper()
			out, errs, got := w.command(append([]string{"inbox"}, args...)...)
			if got != code || !strings.Contains(out+errs, want) {
				t.Errorf("%v: exit %d %s%s", args, got, out, errs)
			}
		}
		by := []string{"replay", "--since", "2h", "--reason", "not_in_channel"}
		does(0, "This would replay 701 dead letters. Nothing was changed.\nTo do it, add --yes.", by...)
		does(0, `"would_be_replayed": 701`, append(by, "--json", "--dry-run")...)
		does(0, "This would replay 1 dead letter.", "replay", "--team", slacksim.Birch, "--dry-run")
		does(0, "1 dead letter replayed.", "replay", "--team", slacksim.Birch) // one needs no question
		does(0, "700 dead letters replayed.", append(by, "--yes")...)
		does(0, "This would drop 2 dead letters.", "drop", "--reason", "is_archived")
		does(0, "2 dead letters dropped.", "drop", "--reason", "is_archived", "--yes")
		does(0, "This would drop 3 dead letters.", "drop", "--all", "--dry-run")
		does(2, "give the IDs of dead letters", "drop")
		does(2, "give the IDs of dead letters", "drop", "--all", "--reason", "x")

		does(0, "No event fits.", "list", "--reason", "is_archived")
		does(0, "Showing 50 of 704. For the next page, add: --after ", "list", "--reason", "not_in_channel")
		out, _, _ := w.command("inbox", "list", "--json", "--limit", "1000")
		var all []letterLine
		if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 704 || all[0].ID > all[703].ID ||
			all[0].Reason != "not_in_channel" {
			t.Fatalf("%d events, %v", len(all), err)
		}
		does(0, fmt.Sprintf("--after %d\n", all[699].ID), "list", "--newest", "--limit", "5")
		does(0, `"event_id": "Ev699"`, "list", "--json", "--limit", "1", "--after", fmt.Sprint(all[698].ID))
	})
}
