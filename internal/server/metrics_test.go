package server

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// gathered is every number of a collector, by its name and labels.
func gathered(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	numbers := prometheus.NewRegistry()
	numbers.MustRegister(c)
	families, err := numbers.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			all[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}

// What the background work leaves undone is counted, and how late it is; and so are the connections to the database.
func TestOverdueIsANumber(t *testing.T) {
	t.Parallel()
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	db, err := storage.Open(t.Context(), storagetest.SQLite(t), keys)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}

	now := db.Now()
	for team, late := range map[string]time.Duration{"T1": 10 * time.Minute, "T2": 2 * time.Hour, "T3": -time.Hour} {
		c := connection.Connection{Key: connection.Key{AppID: "A1", TeamID: team}, State: connection.Active,
			StateSince: now, AuthorizedAt: now.Add(-9 * time.Hour), CheckAt: now.Add(-late),
			TokenPair: connection.TokenPair{Token: "xoxe.xoxb-1", RefreshToken: "xoxe-1", RenewAt: now.Add(-late),
				ExpiresAt: now.Add(time.Hour - late)}}
		if _, _, err := db.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}

	got := gathered(t, upkeepNumbers{db, "A1"})
	for name, want := range map[string]float64{
		"switchboard_looked_after check": 3, "switchboard_looked_after renewal": 3,
		"switchboard_overdue check": 2, "switchboard_overdue renewal": 2, "switchboard_tokens_expired": 1,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	for _, work := range []string{"check", "renewal"} {
		if age := got["switchboard_overdue_oldest_seconds "+work]; age < 7200 || age > 7300 {
			t.Errorf("the oldest %s is late by %v s, want two hours", work, age)
		}
	}
	if n := gathered(t, upkeepNumbers{db, "A2"})["switchboard_overdue check"]; n != 0 {
		t.Errorf("another app's checks count: %v", n)
	}

	pool := gathered(t, poolNumbers{db})
	if pool["switchboard_database_connections idle"] < 1 || pool["switchboard_database_connections in_use"] != 0 ||
		pool["switchboard_database_connections_max"] < 2 {
		t.Errorf("the connections: %v", pool)
	}
}

// Before a process serves, its numbers say so, and which checks fail.
func TestReadinessIsANumber(t *testing.T) {
	t.Parallel()
	r := &readiness{stop: t.Context(), log: slog.New(slog.DiscardHandler)}
	got := gathered(t, r)
	for _, name := range Checks {
		n, there := got["switchboard_ready "+name]
		if want := map[bool]float64{true: 1}[name == "stopping"]; !there || n != want {
			t.Errorf("%s while it starts: %v (there: %v)", name, n, there)
		}
	}
	for name := range gathered(t, buildInfo("1.2.3")) {
		if !strings.Contains(name, "1.2.3") {
			t.Errorf("%s doesn't have the version", name)
		}
	}
}
