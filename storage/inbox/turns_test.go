package inbox_test

import (
	"slices"
	"testing"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
)

// What an agent writes lies sealed beside its event, belongs to who has the event, and goes with it. A press of stop is
// found by its thread and its time, also when it is done. An attempt that gets ahead has no deaths before it.
func TestTurns(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		first := storetest.Event("first", "T1")
		first.OrderingKey = "D1/100.1"
		first, _ = in.add(first, false)
		var claimed []bot.Delivery
		until(t, "the first", func() bool { claimed = in.claim(1); return len(claimed) > 0 })
		e := claimed[0]
		storetest.OK(t, in.RecordStream(t.Context(), e, []byte("what nobody reads")))
		if state, err := in.StreamState(t.Context(), e); err != nil || string(state) != "what nobody reads" {
			t.Errorf("kept %q, %v", state, err)
		}

		behind := func(want bool) {
			t.Helper()
			got, err := in.Behind(t.Context(), e, e.Row)
			body := string(storetest.Event("next", "T1").Body)
			if err != nil || len(got) > 0 != want || want && string(got[0].Body) != body {
				t.Errorf("behind: %v %v", got, err)
			}
		}
		behind(false)
		next := storetest.Event("next", "T1")
		next.OrderingKey = first.OrderingKey
		in.add(next, false)
		behind(true)

		stop := storetest.Event("stop", "T1")
		stop.Type, stop.OrderingKey = "agent_session_stopped", "D1/100.1"+bot.StopKey+"0000000200.000100"
		stop, _ = in.add(stop, false)
		for from, want := range map[string]bool{"0000000200.000099": true, "0000000200.000100": false,
			"0000000300.0": false} {
			for _, prefix := range []string{"D1/100.1" + bot.StopKey, "D1/100.2" + bot.StopKey} {
				got, err := in.Came(t.Context(), prefix, from)
				if err != nil || got != (want && prefix == "D1/100.1"+bot.StopKey) {
					t.Errorf("a press after %s in %s: %t %v", from, prefix, got, err)
				}
			}
		}

		// What has an ordering key is ready a little later than it is stored.
		until(t, "the press", func() bool { return len(in.claim(9)) > 0 })

		// Its process dies, and so does the next one, after they got ahead: then one death counts, and not two. Who had it
		// has it no longer.
		for range 2 {
			lost := e
			c.die()
			in.hints(c)
			suspects := in.suspects(9, false)
			at := slices.IndexFunc(suspects, func(s bot.Delivery) bool { return s.ID == "first" })
			if at < 0 {
				t.Fatalf("suspects: %v", suspects)
			}
			if e = suspects[at]; e.Deaths != 1 {
				t.Errorf("attempt %d: %d deaths", e.Attempt, e.Deaths)
			}
			if err := in.RecordStream(t.Context(), lost, nil); err != bot.ErrLost {
				t.Errorf("who lost it: %v", err)
			}
			storetest.OK(t, in.RecordStream(t.Context(), e, []byte("more")))
		}
		storetest.OK(t, in.Done(t.Context(), e))
		if state, err := in.StreamState(t.Context(), e); err != nil || len(state) > 0 {
			t.Errorf("once it is done there is %q, %v", state, err)
		}
	})
}

// What a handler took in is done with its own message, by whoever has that, and not otherwise. The rest is answered by
// itself.
func TestJoined(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		for _, id := range []string{"first", "taken", "other", "left"} {
			e := storetest.Event(id, "T1")
			if e.OrderingKey = "D1/100.1"; id == "other" {
				e.OrderingKey = "D1/200.1"
			}
			in.add(e, false)
		}
		var claimed []bot.Delivery
		until(t, "both threads", func() bool { claimed = append(claimed, in.claim(9)...); return len(claimed) == 2 })
		e := claimed[slices.IndexFunc(claimed, func(e bot.Delivery) bool { return e.ID == "first" })]
		behind, err := in.Behind(t.Context(), e, e.Row)
		storetest.OK(t, err)
		ids(t, "behind", behind, "taken", "left")
		rest, err := in.Behind(t.Context(), e, behind[0].Row)
		storetest.OK(t, err)
		ids(t, "behind the next", rest, "left")

		// Its process is gone, and somebody else has it: who lost it can't say that anything is done.
		lost := e
		lost.Joined = []int64{behind[0].Row}
		c.die()
		in.hints(c)
		suspects := in.suspects(9, false)
		e = suspects[slices.IndexFunc(suspects, func(e bot.Delivery) bool { return e.ID == "first" })]
		if err := in.Done(t.Context(), lost); err != bot.ErrLost {
			t.Errorf("who lost it: %v", err)
		}
		behind, err = in.Behind(t.Context(), e, e.Row)
		storetest.OK(t, err)
		ids(t, "behind, later", behind, "taken", "left")

		e.Joined = []int64{behind[0].Row}
		storetest.OK(t, in.Done(t.Context(), e))
		claimed = nil
		until(t, "what was left", func() bool { claimed = append(claimed, in.claim(9)...); return len(claimed) > 0 })
		ids(t, "by itself", claimed, "left")
	})
}
