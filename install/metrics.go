package install

// Numbers for whoever is paged: how renewals go, whether anything waits in the journal, and how many connections need a
// person. They count this process; what all replicas share is read from the database when somebody asks.

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	renewals *prometheus.CounterVec // by kind of chain and result
	took     prometheus.Histogram
	journal  prometheus.Gauge
	restored prometheus.Counter
	writable prometheus.Gauge
	notices  *prometheus.CounterVec // by result
	wanted   *prometheus.CounterVec // by result
	checks   *prometheus.CounterVec // by result
	limits   *prometheus.CounterVec // by method and what became of the call
	installs *prometheus.CounterVec // by outcome and reason
}

func newMetrics(in *Installer, reg prometheus.Registerer) *metrics {
	m := &metrics{
		renewals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchboard_renewals_total",
			Help: "Exchanges of a refresh token for a new pair, by kind (bot, user, move) and result (ok, or Slack's error, or no_answer)."}, []string{"kind", "result"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "switchboard_renewal_seconds",
			Help: "How long Slack took to answer an exchange.", Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10}}),
		journal: prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchboard_journal_entries",
			Help: "Tokens that Slack handed out and the database has not taken yet. 0 when all is well."}),
		writable: prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchboard_journal_writable",
			Help: "1 as long as the journal of this machine can be written; 0 also for half a minute after it was taken away."}),
		restored: prometheus.NewCounter(prometheus.CounterOpts{Name: "switchboard_journal_restored_total",
			Help: "Tokens that the database had lost, in a failover or a restored backup, and that the journal of this machine gave back."}),
		notices: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchboard_notices_total",
			Help: "Connections that came to need a person, by result (told, unreachable, unknown), and those that work again (resolved)."}, []string{"result"}),
		wanted: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchboard_wanted_total",
			Help: "Connections in which people asked for what is not allowed, at most one a day, by whether somebody who can allow it was told (told, unreachable, unknown), and those in which all is allowed since (resolved)."}, []string{"result"}),
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchboard_checks_total",
			Help: "auth.test calls, by result (ok, or Slack's error, or no_answer)."}, []string{"result"}),
		limits: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchboard_slack_limited_total",
			Help: "Calls to Slack that met a limit, by method and what became of them (waited for their turn, refused by Slack, turned_away because it would have taken too long)."}, []string{"method", "result"}),
		installs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchboard_install_attempts_total",
			Help: "What people met on the install pages, by outcome (connected, reconnected, refused, failed, undone, or none where it ends nothing) and reason, as in the log."}, []string{"outcome", "reason"}),
	}
	if reg != nil {
		reg.MustRegister(m.renewals, m.took, m.journal, m.restored, m.writable, m.notices, m.wanted, m.checks, m.limits, m.installs, &stateCollector{in: in})
	}
	return m
}

func (m *metrics) renewed(h Holder, c Chain, err error, took time.Duration) {
	kind := "bot"
	switch {
	case c.RefreshToken == "":
		kind = "move"
	case h.UserID != "":
		kind = "user"
	}
	m.renewals.WithLabelValues(kind, result(err)).Inc()
	m.took.Observe(took.Seconds())
}

// limited counts a call that met a limit. Handlers choose the methods, so only the known ones are labels.
func (m *metrics) limited(method, result string) {
	if _, known := paces[method]; !known {
		method = "other"
	}
	m.limits.WithLabelValues(method, result).Inc()
}

// result is an error as a label: Slack's codes are few.
func result(err error) string {
	if err == nil {
		return "ok"
	}
	return orElse(SlackError(err), "no_answer")
}

var connectionsDesc = prometheus.NewDesc("switchboard_connections", "Connections by state, as the database has them.", []string{"state"}, nil)

// stateCollector counts the connections when it is asked, so that every replica says the same.
type stateCollector struct {
	in     *Installer
	failed atomic.Bool // the last time; that is said once, however often somebody asks
}

func (*stateCollector) Describe(ch chan<- *prometheus.Desc) { ch <- connectionsDesc }

func (s *stateCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	counts, err := s.in.store.Count(ctx)
	if failed := s.failed.Swap(err != nil); err != nil {
		if !failed {
			s.in.log.WarnContext(ctx, "count connections", "cause", err)
		}
		return // no number is better than a wrong one
	}
	for _, state := range []State{Active, Retrying, ReconnectRequired, Removed, Paused} {
		ch <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(counts[state]), string(state))
	}
}
