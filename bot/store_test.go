package bot_test

// What a handler puts into its Store is there the next time, in that workspace and in no other.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

type votes struct {
	N  int
	By []string
}

// withStore runs tests in a handler, on both databases: a slow one, because they need more than a command's three
// seconds where much else runs.
func withStore(t *testing.T, test func(ctx context.Context, t *testing.T, r *bot.Request)) {
	t.Helper()
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tried := make(chan struct{}, 1)
			s := playOn(t, fresh(t), bot.OnCommandAsync("/try", func(ctx context.Context, c *bot.AsyncCommand) error {
				defer func() { tried <- struct{}{} }()
				test(ctx, t, c.Request)
				return nil
			}, bot.Describe("tries", "")))

			command(t, s, slacksim.AcmeMember, "/try")
			select {
			case <-tried:
			case <-time.After(time.Minute):
				t.Error("never tried")
			}
		})
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	withStore(t, func(ctx context.Context, t *testing.T, r *bot.Request) {
		s := r.Store()
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		var v votes
		if found, err := s.Get(ctx, "votes/C1", &v); found || err != nil {
			t.Errorf("before anything was put: %v %v", found, err)
		}
		ok(s.Put(ctx, "votes/C1", votes{N: 1, By: []string{"U1"}}, 0))
		if found, err := s.Get(ctx, "votes/C1", &v); !found || err != nil || v.N != 1 || v.By[0] != "U1" {
			t.Errorf("%v %+v %v", found, v, err)
		}

		storagetest.Together(50, func(i int) {
			ok(bot.Update(ctx, s, "votes/C1", func(v *votes) error {
				v.N++
				v.By = append(v.By, fmt.Sprint(i))
				return nil
			}))
		})
		if _, err := s.Get(ctx, "votes/C1", &v); err != nil || v.N != 51 || len(v.By) != 51 {
			t.Errorf("after 50 steps at once: %d, %d, %v", v.N, len(v.By), err)
		}
		ok(bot.Update(ctx, s, "votes/C2", func(v *votes) error { v.N += 7; return nil })) // of none
		refused := errors.New("closed")
		if err := bot.Update(ctx, s, "votes/C2", func(v *votes) error { v.N = 0; return refused }); err != refused {
			t.Errorf("a refused change: %v", err)
		}
		if _, err := s.Get(ctx, "votes/C2", &v); err != nil || v.N != 7 {
			t.Errorf("after a refused change: %+v %v", v, err)
		}

		ok(s.Put(ctx, "once", true, time.Nanosecond))
		ok(s.Put(ctx, "later", true, time.Hour))
		var is bool
		if found, err := s.Get(ctx, "once", &is); found || err != nil {
			t.Errorf("after its time: %v %v", found, err)
		}
		if found, err := s.Get(ctx, "later", &is); !found || !is || err != nil {
			t.Errorf("before its time: %v %v", found, err)
		}

		var keys []string
		for e, err := range s.List(ctx, "votes/") {
			ok(err)
			var v votes
			ok(e.Decode(&v))
			keys = append(keys, fmt.Sprint(e.Key, " ", v.N))
		}
		if !slices.Equal(keys, []string{"votes/C1 51", "votes/C2 7"}) {
			t.Errorf("listed %q", keys)
		}
		ok(s.Delete(ctx, "votes/C1"))
		if found, err := s.Get(ctx, "votes/C1", &v); found || err != nil {
			t.Errorf("after it was deleted: %v %v", found, err)
		}

		// More than are read in one go.
		for i := range 600 {
			ok(s.Put(ctx, fmt.Sprintf("many/%03d", i), i, 0))
		}
		n := 0
		for e, err := range s.List(ctx, "many/") {
			var i int
			ok(errors.Join(err, e.Decode(&i)))
			if i != n || e.Key != fmt.Sprintf("many/%03d", n) {
				t.Fatalf("place %d: %s is %d", n, e.Key, i)
			}
			n++
		}
		if n != 600 {
			t.Errorf("%d of 600 listed", n)
		}
	})
}

func TestStoreRefuses(t *testing.T) {
	t.Parallel()
	withStore(t, func(ctx context.Context, t *testing.T, r *bot.Request) {
		s := r.Store()
		most := strings.Repeat("k", bot.LongestKey)
		for name, err := range map[string]error{
			"no key":          s.Put(ctx, "", 1, 0),
			"a long key":      s.Put(ctx, most+"k", 1, 0),
			"an odd key":      s.Put(ctx, "a\x00b", 1, 0),
			"a broken key":    s.Put(ctx, "a\xff", 1, 0),
			"a line":          s.Put(ctx, "a\nb", 1, 0),
			"the last rune":   s.Put(ctx, "a\U0010FFFF", 1, 0),
			"a large value":   s.Put(ctx, "k", strings.Repeat("v", bot.LargestValue), 0),
			"a negative life": s.Put(ctx, "k", 1, -time.Second),
			"a large update": bot.Update(ctx, s, "k", func(v *string) error {
				*v = strings.Repeat("v", bot.LargestValue)
				return nil
			}),
		} {
			if !errors.Is(err, bot.ErrStoreLimit) || !strings.HasPrefix(err.Error(), "store: ") {
				t.Errorf("%s: %v", name, err)
			}
		}
		refused := false
		for _, err := range s.List(ctx, "a\nb") {
			refused = errors.Is(err, bot.ErrStoreLimit)
		}
		if !refused {
			t.Error("odd keys were listed")
		}
		if err := s.Put(ctx, "k", make(chan int), 0); err == nil {
			t.Error("a channel was kept")
		}
		if err := s.Put(ctx, most, strings.Repeat("v", bot.LargestValue-2), 0); err != nil {
			t.Errorf("the largest: %v", err)
		}
		if err := (&bot.Request{}).Store().Put(ctx, "k", 1, 0); !errors.Is(err, bot.ErrNoStore) {
			t.Errorf("without a store: %v", err)
		}
	})
}

// Whatever a handler writes into its Request, its Store is that of the workspace that the delivery is from.
func TestStoreIsOfTheDelivery(t *testing.T) {
	t.Parallel()
	withStore(t, func(ctx context.Context, t *testing.T, r *bot.Request) {
		if err := r.Store().Put(ctx, "k", 1, 0); err != nil {
			t.Error(err)
		}
		r.Key, r.Connection, r.TeamID = connection.Key{AppID: "A0PARROT01", TeamID: slacksim.Birch}, connection.Connection{},
			slacksim.Birch
		var n int
		if found, err := r.Store().Get(ctx, "k", &n); !found || err != nil {
			t.Errorf("%v %v", found, err)
		}
	})
}
