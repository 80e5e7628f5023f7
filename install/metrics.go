package install

// Numbers for whoever is paged: how renewals go, whether anything waits in the journal, and how many connections need a
// person. They count this process; what all replicas share is read from the database when somebody asks. Every counter
// is there at 0, so that its first step is an increase.

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/oauth"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/watch"
)

// What a call to Slack came to, beside Slack's codes.
const (
	resultOK       = "ok"
	resultNoAnswer = "no_answer"
	otherLabel     = "other" // a code that is not among labels
	endsNothing    = "none"  // the outcome of what ends no try to install
)

// The kinds of token pairs that are renewed.
const (
	chainBot  = "bot"
	chainUser = "user"
	chainMove = "move" // what does not expire is exchanged for what does
)

// labels are the values that counters begin with.
var labels = struct{ results, chains, told, methods, limits, called, calls, notices []string }{
	// Slack's are those that tell apart whose trouble it is; Slack has many more, which the log names.
	results: []string{resultOK, resultNoAnswer, otherLabel,
		"ratelimited", "internal_error", "fatal_error", "service_unavailable", "server_error", "request_timeout",
		"invalid_refresh_token", "invalid_grant", "invalid_token", "authorization_not_found", "token_already_exchanged",
		"not_allowed_token_type", "token_rotation_not_enabled", "bad_client_secret", "invalid_client_id", "not_authed",
		connection.ReasonTokenRevoked, connection.ReasonTokenExpired, connection.ReasonAccountInactive,
		connection.ReasonInvalidAuth, connection.ReasonMissingScope,
		"org_login_required", "team_added_to_org", "team_access_not_granted", "ekm_access_denied"},
	chains:  []string{chainBot, chainUser, chainMove},
	told:    []string{watch.ResultTold, watch.ResultUnreachable, watch.ResultUnknown, watch.ResultResolved},
	methods: slackapi.Methods(),
	limits:  []string{slackapi.Waited, slackapi.Refused, slackapi.TurnedAway},
	called:  slackapi.CalledMethods(),
	calls:   slackapi.CallResults(),
	notices: []string{connection.NoticeUntold, connection.NoticeTold, connection.NoticeUnreachable},
}

type metrics struct {
	renewals    *prometheus.CounterVec // by kind of token pair and result
	took        prometheus.Histogram
	journal     prometheus.Gauge
	restored    prometheus.Counter
	writable    prometheus.Gauge
	notices     *prometheus.CounterVec // by result
	tellMissing *prometheus.CounterVec // by result
	checks      *prometheus.CounterVec // by result
	limits      *prometheus.CounterVec // by method and what became of the call
	installs    *prometheus.CounterVec // by outcome and reason
	calls       *prometheus.CounterVec // by method and result
	callTook    prometheus.Histogram
}

func newMetrics(store CountStore, log *slog.Logger, reg prometheus.Registerer) *metrics {
	m := &metrics{
		renewals: counter("switchboard_renewals_total",
			"Exchanges of a refresh token for a new pair, by kind (bot, user, move) and result (ok, Slack's error, "+
				"other for one that is not listed, or no_answer).", "kind", "result"),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "switchboard_renewal_seconds",
			Help: "How long Slack took to answer an exchange.", Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10}}),
		journal: prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchboard_journal_entries",
			Help: "Tokens that Slack handed out and the database has not taken yet. 0 when all is well."}),
		writable: prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchboard_journal_writable",
			Help: "1 as long as the journal of this machine can be written; 0 also for half a minute after it was taken away."}),
		restored: prometheus.NewCounter(prometheus.CounterOpts{Name: "switchboard_journal_restored_total",
			Help: "Tokens that the database had lost, in a failover or a restored backup, and that the journal of " +
				"this machine gave back."}),
		notices: counter("switchboard_notices_total",
			"Connections that came to need a person, by result (told, unreachable, unknown), and those that work "+
				"again (resolved).", "result"),
		tellMissing: counter("switchboard_wanted_total",
			"Connections in which people asked for what is not allowed, at most one a day, by whether somebody who "+
				"can allow it was told (told, unreachable, unknown), and those in which all is allowed since "+
				"(resolved).", "result"),
		checks: counter("switchboard_checks_total",
			"auth.test calls, by result (ok, Slack's error, other for one that is not listed, or no_answer).",
			"result"),
		limits: counter("switchboard_slack_limited_total",
			"Calls to Slack that met a limit, by method and what became of them (waited for their turn, refused by "+
				"Slack, turned_away because it would have taken too long).", "method", "result"),
		installs: counter("switchboard_install_attempts_total",
			"What people met on the install pages, by outcome (connected, reconnected, refused, failed, undone, or "+
				"none where it ends nothing) and reason, as in the log.", "outcome", "reason"),
		calls: counter("switchboard_slack_calls_total",
			"Calls of Slack's methods that were sent, repeated ones each, by method (other for one that is not listed) "+
				"and what they came to.", "method", "result"),
		callTook: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "switchboard_slack_call_seconds",
			Help: "How long Slack took to answer a call.", Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10}}),
	}
	m.begin()
	if reg != nil {
		reg.MustRegister(m.renewals, m.took, m.journal, m.restored, m.writable, m.notices, m.tellMissing, m.checks,
			m.limits, m.installs, m.calls, m.callTook, &stateCollector{store: store, log: log})
	}
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// begin has each combination of labels there at 0.
func (m *metrics) begin() {
	for _, result := range labels.results {
		m.checks.WithLabelValues(result)
		for _, kind := range labels.chains {
			m.renewals.WithLabelValues(kind, result)
		}
	}
	for _, told := range labels.told {
		m.notices.WithLabelValues(told)
		m.tellMissing.WithLabelValues(told)
	}
	for _, method := range labels.methods {
		for _, result := range labels.limits {
			m.limits.WithLabelValues(method, result)
		}
	}

	for _, method := range labels.called {
		for _, result := range labels.calls {
			m.calls.WithLabelValues(method, result)
		}
	}

	for _, e := range oauth.Endings() {
		m.installs.WithLabelValues(cmp.Or(string(e.Outcome), endsNothing), e.Reason)
	}
}

// ended counts a page of the flow.
func (m *metrics) ended(o oauth.Outcome, reason string) {
	m.installs.WithLabelValues(cmp.Or(string(o), endsNothing), reason).Inc()
}

func (m *metrics) Renewed(h connection.TokenOwner, c connection.TokenPair, err error, took time.Duration) {
	kind := chainBot
	switch {
	case c.RefreshToken == "":
		kind = chainMove
	case h.UserID != "":
		kind = chainUser
	}
	m.renewals.WithLabelValues(kind, result(err)).Inc()
	m.took.Observe(took.Seconds())
}

// Checked counts a call of auth.test.
func (m *metrics) Checked(err error) { m.checks.WithLabelValues(result(err)).Inc() }

// Told counts a connection that needs a person, by whether one was told.
func (m *metrics) Told(result string) { m.notices.WithLabelValues(result).Inc() }

// ToldMissing counts a connection in which people asked for what is not allowed, by whether one was told.
func (m *metrics) ToldMissing(result string) { m.tellMissing.WithLabelValues(result).Inc() }

// Restored counts a pair that the store had lost and has again.
func (m *metrics) Restored() { m.restored.Inc() }

// Waiting keeps how many entries wait in the journal.
func (m *metrics) Waiting(entries int) { m.journal.Set(float64(entries)) }

// Writable keeps whether the journal can be written.
func (m *metrics) Writable(ok bool) { m.writable.Set(map[bool]float64{true: 1}[ok]) }

// limited counts a call that met a limit.
func (m *metrics) limited(method, result string) { m.limits.WithLabelValues(method, result).Inc() }

// called counts a call.
func (m *metrics) called(method, result string, took time.Duration) {
	m.calls.WithLabelValues(method, result).Inc()
	m.callTook.Observe(took.Seconds())
}

// result is an error as a label.
func result(err error) string {
	if err == nil {
		return resultOK
	}
	code := cmp.Or(slackapi.SlackError(err), resultNoAnswer)
	if !slices.Contains(labels.results, code) {
		return otherLabel
	}
	return code
}

var (
	connectionsDesc = prometheus.NewDesc("switchboard_connections",
		"Connections by state, as the database has them.", []string{"state"}, nil)
	noticesDesc = prometheus.NewDesc("switchboard_notices",
		"Connections that need a person, by whether one was told, as the database has them.", []string{"state"}, nil)
)

// stateCollector counts the connections when it is asked, so that every replica says the same.
type stateCollector struct {
	store  CountStore
	log    *slog.Logger
	failed atomic.Bool // the last time; that is said once, however often somebody asks
}

// Describe is prometheus.Collector's.
func (*stateCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- connectionsDesc
	ch <- noticesDesc
}

// Collect is prometheus.Collector's.
func (s *stateCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	counts, err := s.store.Count(ctx)
	switch failed := s.failed.Swap(err != nil); {
	case err != nil && !failed:
		s.log.WarnContext(ctx, "count connections", "cause", err)
	case err == nil && failed:
		s.log.InfoContext(ctx, "connections are counted again")
	}
	if err != nil {
		return // no number is better than a wrong one
	}
	for _, state := range []connection.State{connection.Active, connection.Retrying, connection.ReconnectRequired,
		connection.Removed, connection.Paused} {
		ch <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(counts.States[state]), string(state))
	}
	for _, state := range labels.notices {
		ch <- prometheus.MustNewConstMetric(noticesDesc, prometheus.GaugeValue, float64(counts.Notices[state]), state)
	}
}
