package server

// What an operator watches of the process as a whole: what it is, whether it can do its work, how busy the database's
// connections are, and whether the background work keeps up. docs/metrics.md has all the numbers.

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-go/switchboard/storage"
)

const (
	// overdueGrace is how late the background work can be before it counts: it looks every few seconds.
	overdueGrace = time.Minute
	// countBudget is how long the numbers wait for the database.
	countBudget = 2 * time.Second
)

// buildInfo is 1, with what runs here as labels.
func buildInfo(version string) prometheus.Collector {
	commit := "unknown"
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchboard_build_info",
		Help:        "1, with the app's version, the commit it was built from and Go's release.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "go": runtime.Version()}})
	g.Set(1)
	return g
}

var readyDesc = prometheus.NewDesc("switchboard_ready",
	"Whether a check of /readyz passes, by check. The checks are made when the numbers are asked for.",
	[]string{"check"}, nil)

// Describe is prometheus.Collector's.
func (*readiness) Describe(to chan<- *prometheus.Desc) { to <- readyDesc }

// Collect is prometheus.Collector's.
func (r *readiness) Collect(to chan<- prometheus.Metric) {
	found := r.look(context.Background(), nil)
	for _, name := range Checks {
		ready := 1.0
		if found[name].words != "" {
			ready = 0
		}
		to <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, ready, name)
	}
}

// poolNumbers are those of the connections to the database.
type poolNumbers struct{ db *storage.DB }

var (
	poolMost = prometheus.NewDesc("switchboard_database_connections_max",
		"Connections to the database that this process may have.", nil, nil)
	poolConnections = prometheus.NewDesc("switchboard_database_connections",
		"Connections to the database that this process has, by state.", []string{"state"}, nil)
	poolWaits = prometheus.NewDesc("switchboard_database_waits_total",
		"Statements that had to wait for a connection or, on SQLite, for their turn to write.", nil, nil)
	poolWaited = prometheus.NewDesc("switchboard_database_wait_seconds_total",
		"How long they waited, all together.", nil, nil)
)

// Describe is prometheus.Collector's.
func (poolNumbers) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{poolMost, poolConnections, poolWaits, poolWaited} {
		to <- desc
	}
}

// Collect is prometheus.Collector's.
func (p poolNumbers) Collect(to chan<- prometheus.Metric) {
	use := p.db.Use()
	to <- prometheus.MustNewConstMetric(poolMost, prometheus.GaugeValue, float64(use.Most))
	to <- prometheus.MustNewConstMetric(poolConnections, prometheus.GaugeValue, float64(use.InUse), "in_use")
	to <- prometheus.MustNewConstMetric(poolConnections, prometheus.GaugeValue, float64(use.Idle), "idle")
	to <- prometheus.MustNewConstMetric(poolWaits, prometheus.CounterValue, float64(use.Waits))
	to <- prometheus.MustNewConstMetric(poolWaited, prometheus.CounterValue, use.Waited.Seconds())
}

// upkeepNumbers are those of the background work for one app.
type upkeepNumbers struct {
	db  *storage.DB
	app string // "" is all apps in the database
}

var (
	lookedAfter = prometheus.NewDesc("switchboard_looked_after",
		"What the background work looks after, as the database has it: connections that are checked, token pairs that "+
			"are renewed.", []string{"work"}, nil)
	overdue = prometheus.NewDesc("switchboard_overdue",
		"Renewals and checks that are late by more than a minute, as the database has them.", []string{"work"}, nil)
	overdueOldest = prometheus.NewDesc("switchboard_overdue_oldest_seconds",
		"How late the latest of them is; 0 where none is late.", []string{"work"}, nil)
	tokensExpired = prometheus.NewDesc("switchboard_tokens_expired",
		"Tokens that ran out before they were renewed, as the database has them.", nil, nil)
)

// Describe is prometheus.Collector's.
func (upkeepNumbers) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{lookedAfter, overdue, overdueOldest, tokensExpired} {
		to <- desc
	}
}

// Collect is prometheus.Collector's. Without the database there are no numbers of it.
func (u upkeepNumbers) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), countBudget)
	defer cancel()
	now := u.db.Now()
	kept, err := u.db.Overdue(ctx, u.app, now, overdueGrace)
	if err != nil {
		return
	}

	for _, of := range []struct {
		work string
		all  int
		late storage.Late
	}{{"renewal", kept.Renewed, kept.Renewals}, {"check", kept.Checked, kept.Checks}} {
		age := 0.0
		if !of.late.Since.IsZero() {
			age = max(0, now.Sub(of.late.Since).Seconds())
		}
		to <- prometheus.MustNewConstMetric(lookedAfter, prometheus.GaugeValue, float64(of.all), of.work)
		to <- prometheus.MustNewConstMetric(overdue, prometheus.GaugeValue, float64(of.late.N), of.work)
		to <- prometheus.MustNewConstMetric(overdueOldest, prometheus.GaugeValue, age, of.work)
	}
	to <- prometheus.MustNewConstMetric(tokensExpired, prometheus.GaugeValue, float64(kept.Renewals.Expired))
}
