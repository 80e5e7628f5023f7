package inbox_test

// What an operator picks out of the inbox, and changes, is what fits and nothing else.

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
)

func TestReason(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":               "",
		"not_in_channel": "not_in_channel",
		"post the summary: chat.postMessage: not_in_channel": "not_in_channel",
		"post: is_archived (C1)":                             "is_archived",
		"first: channel_not_found\nthen: msg_too_long":       "msg_too_long",
		"poll_vote: what was typed is no number":             inbox.ReasonOther,
		"418 I'm a teapot":                                   inbox.ReasonOther,
		"there is no handler star_added here":                inbox.ReasonNoHandler,
		"handler panicked: index out of range":               inbox.ReasonPanic,
		"the process ended 3 times while its handler ran (a panic in a goroutine of its own, an exit, or no memory)": inbox.ReasonEndedProcess,
		"it can't be opened with the keys at hand":                       inbox.ReasonUnreadable,
		"slack rate limit exceeded, retry after 30s":                     inbox.ReasonLimited,
		"the handler took longer than it may: context deadline exceeded": inbox.ReasonTimeout,
		"ask the calendar: context deadline exceeded":                    inbox.ReasonTimeout,
	} {
		if got := inbox.Reason(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestSelections(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		ctx := t.Context()
		event := func(id, team, kind string, ago time.Duration) bot.Delivery {
			e := storetest.Event(id, team)
			e.Type, e.Received = kind, storetest.T0.Add(-ago)
			return e
		}
		for i, id := range []string{"Ev1", "Ev2", "Ev3", "Ev4", "Ev5"} {
			e, _ := in.add(event(id, fmt.Sprint("T", i%2), "message", time.Duration(i)*time.Hour), true)
			storetest.OK(t, in.DeadLetter(ctx, e, []string{"post: not_in_channel", "ask: is_archived"}[i/3]))
		}
		late, _ := in.add(event("Ev6", "T0", "reaction_added", 6*time.Hour), true)
		storetest.OK(t, in.Retry(ctx, late, c.now().Add(time.Hour), true, "not_in_channel"))
		behind := event("Ev7", "T9", "message", 0)
		behind.OrderingKey = "C1"
		in.add(behind, false)
		held := in.claim(1)[0]
		in.add(event("Ev8", "T9", "reaction_added", time.Minute), false)
		behind.ID = "Ev9"
		in.add(behind, false)

		ids := func(s inbox.Selection, newest bool) (found []string) {
			t.Helper()
			for after := int64(0); ; {
				page, err := f.SelectEvents(ctx, s, after, newest, 2)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range page {
					if l.Event.Body != nil || !l.Readable {
						t.Errorf("a list shows what is in %s, or can't open it", l.Event.ID)
					}
					found, after = append(found, l.Event.ID), l.ID
				}
				if len(page) < 2 {
					return found
				}
			}
		}
		for name, test := range map[string]struct {
			s    inbox.Selection
			want []string
		}{
			"all":             {inbox.Selection{}, []string{"Ev1", "Ev2", "Ev3", "Ev4", "Ev5", "Ev6", "Ev7", "Ev8", "Ev9"}},
			"dead":            {inbox.Selection{State: "dead"}, []string{"Ev1", "Ev2", "Ev3", "Ev4", "Ev5"}},
			"ready":           {inbox.Selection{State: "ready"}, []string{"Ev8"}},
			"held":            {inbox.Selection{State: "held"}, []string{"Ev7"}},
			"waiting":         {inbox.Selection{State: "waiting"}, []string{"Ev6"}},
			"queued":          {inbox.Selection{State: "queued"}, []string{"Ev9"}},
			"done":            {inbox.Selection{State: "done"}, nil},
			"a type":          {inbox.Selection{Type: "reaction_added"}, []string{"Ev6", "Ev8"}},
			"a workspace":     {inbox.Selection{Team: "T0"}, []string{"Ev1", "Ev3", "Ev5", "Ev6"}},
			"a reason":        {inbox.Selection{Reason: "not_in_channel"}, []string{"Ev1", "Ev2", "Ev3", "Ev6"}},
			"all of it":       {inbox.Selection{State: "dead", Team: "T1", Reason: "is_archived"}, []string{"Ev4"}},
			"lately":          {inbox.Selection{Since: storetest.T0.Add(-2 * time.Minute)}, []string{"Ev1", "Ev2", "Ev3", "Ev4", "Ev5", "Ev7", "Ev8", "Ev9"}},
			"an organisation": {inbox.Selection{Team: "E1", State: "held"}, []string{"Ev7"}},
		} {
			if got := ids(test.s, false); !slices.Equal(got, test.want) {
				t.Errorf("%s: %v, want %v", name, got, test.want)
			}
			slices.Reverse(test.want)
			if got := ids(test.s, true); !slices.Equal(got, test.want) {
				t.Errorf("%s, newest first: %v, want %v", name, got, test.want)
			}
			if n, err := f.CountEvents(ctx, test.s); n != len(test.want) || err != nil {
				t.Errorf("%s: counted %d, %v, want %d", name, n, err, len(test.want))
			}
		}

		sums, err := f.SumEvents(ctx, inbox.Selection{})
		storetest.OK(t, err)
		key := func(team string) inbox.Sum { return inbox.Sum{Key: storetest.Key("A1", "E1", team)} }
		with := func(s inbox.Sum, state string, n int, ago time.Duration) inbox.Sum {
			s.State, s.N, s.Oldest = state, n, storetest.T0.Add(-ago)
			return s
		}
		if diff := cmp.Diff(inbox.Sums{
			ByType: []inbox.Sum{
				with(inbox.Sum{Type: "message"}, "", 2, 0), with(inbox.Sum{Type: "reaction_added"}, "", 2, 6*time.Hour),
				with(inbox.Sum{Type: "message"}, "dead", 5, 4*time.Hour)},
			ByWorkspace: []inbox.Sum{
				with(key("T9"), "", 3, time.Minute), with(key("T0"), "", 1, 6*time.Hour),
				with(key("T0"), "dead", 3, 4*time.Hour), with(key("T1"), "dead", 2, 3*time.Hour)},
			ByReason: []inbox.Sum{
				with(inbox.Sum{Reason: "not_in_channel"}, "", 1, 6*time.Hour),
				with(inbox.Sum{Reason: "not_in_channel"}, "dead", 3, 2*time.Hour),
				with(inbox.Sum{Reason: "is_archived"}, "dead", 2, 4*time.Hour)},
		}, sums); diff != "" {
			t.Errorf("sums (-want +got):\n%s", diff)
		}

		queues, err := f.Queues(ctx, 5)
		if err != nil || len(queues) != 1 || queues[0].N != 1 || queues[0].First.Event.ID != held.ID {
			t.Errorf("who waits for whom: %+v, %v", queues, err)
		}
		if next, err := f.NextAttempt(ctx); err != nil || !next.Equal(c.now().Add(time.Hour)) {
			t.Errorf("the next attempt: %v, %v", next, err)
		}

		if n, err := f.ReplaySelected(ctx, inbox.Selection{Reason: "not_in_channel", Team: "T0"}); n != 2 || err != nil {
			t.Errorf("replayed %d, %v", n, err)
		}
		if n, err := f.DropSelected(ctx, inbox.Selection{Reason: "is_archived"}); n != 2 || err != nil {
			t.Errorf("dropped %d, %v", n, err)
		}
		if got := ids(inbox.Selection{State: "dead"}, false); !slices.Equal(got, []string{"Ev2"}) {
			t.Errorf("left: %v", got)
		}
		if got := ids(inbox.Selection{State: "waiting"}, false); !slices.Equal(got, []string{"Ev1", "Ev3", "Ev6"}) {
			t.Errorf("replayed: %v", got)
		}
	})
}
