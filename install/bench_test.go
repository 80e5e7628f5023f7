package install_test

// How fast tokens can be renewed, and whether very many of them fit into Slack's limit.

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// fleet connects n workspaces to an app with rotation on, past the browser, and returns what renews them. With direct,
// Slack is called without a network.
func fleet(b *testing.B, database string, n int,
	direct bool) (*install.Installer, *storage.DB, *slacksim.Sim, *slacksim.ManualClock) {
	b.Helper()
	ctx := context.Background()
	clock := slacksim.NewManualClock(time.Now().Truncate(time.Second))
	sim := slacksim.New(slacksim.Config{Clock: clock,
		App: slacksim.App{ID: "A0RENEWAL1", ClientID: "1.2", ClientSecret: "s", SigningSecret: "s",
			RedirectURLs: []string{stage.Redirect}, TokenRotation: true, StrictRefresh: true}})
	if err := sim.Start("127.0.0.1:0"); err != nil {
		b.Fatal(err)
	}
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		b.Fatal(err)
	}
	db, err := storage.Open(ctx, database, keys)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := db.Migrate(ctx); err != nil {
		b.Fatal(err)
	}
	if err := db.UseJournal(b.TempDir() + "/journal"); err != nil {
		b.Fatal(err)
	}
	client := slackapi.NewHTTPClient()
	if direct {
		client.Transport = stage.RoundTripper(func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			sim.Handler().ServeHTTP(w, r)
			return w.Result(), nil
		})
	}
	in, err := install.New(install.Config{ClientID: "1.2", ClientSecret: "s", SlackURL: sim.URL(),
		PublicURL: stage.Redirect, Store: db, Now: clock.Now, HTTP: client})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		client.CloseIdleConnections()
		_ = db.Close()
		_ = sim.Close(ctx)
		if breaches := sim.Breaches(); len(breaches) > 0 {
			b.Errorf("%d rules of Slack's were broken: %+v", len(breaches), breaches[0])
		}
	})
	teams := make(chan int)
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for i := range teams {
				c, err := grant(sim, clock, fmt.Sprintf("T%09d", i))
				if err == nil {
					_, _, err = db.Put(ctx, c)
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range n {
		teams <- i
	}
	close(teams)
	work.Wait()
	return in, db, sim, clock
}

// grant installs the app into a new workspace and returns the connection that comes of it.
func grant(sim *slacksim.Sim, clock *slacksim.ManualClock, team string) (connection.Connection, error) {
	user := "U" + team
	sim.AddWorkspace(slacksim.Workspace{ID: team, Name: team, Domain: team})
	sim.AddUser(slacksim.User{ID: user, TeamID: team, Name: "ada", Admin: true})
	address := sim.URL() + "/oauth/v2/authorize?client_id=1.2&state=s&redirect_uri=" + stage.Redirect + "&scope=chat:write"
	back, err := sim.Authorize(context.Background(), address, user, slacksim.Choice{})
	if err != nil {
		return connection.Connection{}, err
	}
	granted, err := install.ExchangeCode(sim, back, stage.Redirect, "s")
	if err != nil {
		return connection.Connection{}, err
	}
	c := connection.Connection{Key: connection.Key{AppID: "A0RENEWAL1", TeamID: team}, TeamName: team,
		State: connection.Active, InstalledAt: clock.Now(), AuthorizedAt: clock.Now()}
	c.TokenPair = connection.Started(granted.Token, granted.Refresh, granted.Life, clock.Now())
	return c, nil
}

// renewals/s/core is what one core of this machine renews, slacksim and the database's client included; PostgreSQL's
// own work is on top. The limit on calls is lifted.
func BenchmarkRenewals(b *testing.B) {
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			defer install.Unlimited()()
			const n = 200
			in, _, _, clock := fleet(b, fresh(b), n, false)
			ctx := context.Background()
			cpu, began, renewed := processTime(), time.Now(), 0
			for b.Loop() {
				clock.Advance(stage.Life * 17 / 24)
				for done := 0; done < n; {
					more, err := in.RenewDue(ctx)
					if err != nil || more == 0 {
						b.Fatalf("%d of %d renewed: %v", done, n, err)
					}
					done += more
				}
				renewed += n
			}
			b.ReportMetric(float64(renewed)/time.Since(began).Seconds(), "renewals/s")
			b.ReportMetric(float64(renewed)/(processTime()-cpu).Seconds(), "renewals/s/core")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// processTime is the CPU time that this process has used.
func processTime() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// 100,000 connections (500 with -short) fall due within one hour, and are renewed second by simulated second, with the
// limit as it is in life. Reported are the most calls that Slack got in any 60 s, how long it took, and how much life a
// token had left at worst; one that ended, or more than Slack's 600 calls in a minute, fails. It takes some ten minutes
// of real time.
func BenchmarkHundredThousandDue(b *testing.B) {
	n := 100_000
	if testing.Short() {
		n = 500
	}
	for b.Loop() {
		in, db, sim, clock := fleet(b, storagetest.SQLite(b), n, true)
		ctx := context.Background()
		start := clock.Now()
		// Spread over an hour, as the jitter of the first renewals leaves them.
		list, err := db.List(ctx)
		if err != nil {
			b.Fatal(err)
		}
		for i, c := range list {
			if _, err := db.Update(ctx, c.Key, func(c *connection.Connection) error {
				c.RenewAt = start.Add(stage.Life*2/3 + time.Duration(i)*time.Hour/time.Duration(n))
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		}
		clock.Advance(stage.Life * 2 / 3)
		var total int
		var perSecond []int
		for total < n {
			more, err := in.RenewDue(ctx)
			if err != nil {
				b.Fatal(err)
			}
			total += more
			perSecond = append(perSecond, more)
			clock.Advance(time.Second)
			if clock.Now().Sub(start) > stage.Life+time.Hour {
				b.Fatalf("%d of %d renewed when the last token ended", total, n)
			}
		}
		var most, window int
		for i, calls := range perSecond {
			window += calls
			if i >= 60 {
				window -= perSecond[i-60]
			}
			most = max(most, window)
		}
		if most > 600 {
			b.Errorf("%d calls in a minute", most)
		}
		tightest := stage.Life
		for _, c := range renewedAt(sim) {
			if left := start.Add(stage.Life).Sub(c); left < tightest {
				tightest = left
			}
		}
		if tightest <= 0 {
			b.Errorf("a token ended %v before it was renewed", -tightest)
		}
		b.ReportMetric(float64(most), "calls/min(max)")
		b.ReportMetric(tightest.Minutes(), "minutes-left(min)")
		b.ReportMetric(float64(len(perSecond))/60, "minutes")
		runtime.GC()
	}
}

// renewedAt returns when refresh tokens were spent.
func renewedAt(sim *slacksim.Sim) (at []time.Time) {
	for _, c := range sim.Calls("oauth.v2.access") {
		if c.OK && c.Form.Get("grant_type") == "refresh_token" {
			at = append(at, c.At)
		}
	}
	return at
}
