package bot

// What an operator watches of the traffic: how much came, how soon it was worked, and what became of it.

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	accepted *prometheus.CounterVec
	acks     *prometheus.HistogramVec
	waits    prometheus.Histogram
	outcomes *prometheus.CounterVec
	unread   *prometheus.CounterVec
	panics   prometheus.Counter
	late     *prometheus.CounterVec
	limited  prometheus.Counter
}

// newMetrics registers with r, which may be nil.
func newMetrics(b *Bot, r prometheus.Registerer) *metrics {
	m := &metrics{
		accepted: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchboard_deliveries_total",
			Help: "Deliveries by Slack: events_api by whether they were new (accepted, duplicate), " +
				"refused for want of the database, or unreadable: kept as dead letters."}, []string{"kind", "result"}),
		acks: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "switchboard_ack_seconds", Help: "From the arrival of a delivery to its acknowledgement.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 3}}, []string{"kind"}),
		waits: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "switchboard_event_wait_seconds", Help: "From the arrival of an event to the first start of its handler.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .5, 1, 5, 30, 120, 600}}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchboard_events_total", Help: "Attempts to work an event, by how they ended."}, []string{"outcome"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "switchboard_panics_total",
			Help: "Panics in the work of handlers, each of which cost that work alone."}),
		limited: prometheus.NewCounter(prometheus.CounterOpts{Name: "switchboard_app_rate_limited_total",
			Help: "Slack's words that it held back events of a workspace for a minute: more than 30,000 in an hour. " +
				"The log names the workspace."}),
		unread: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchboard_unread_payloads_total",
			Help: "Payloads with a block, an element or a field that this release can't read: " +
				"their handlers got the rest."}, []string{"kind"}),
	}
	m.late = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchboard_late_answers_total",
		Help: "Handlers of commands, buttons and forms that were late for the acknowledgement, by what became of them: " +
			"interrupted by a stop, and answers delivered or lost."}, []string{"result"})
	for _, result := range []string{"delivered", "lost", "interrupted"} {
		m.late.WithLabelValues(result)
	}
	for _, kind := range []string{kindEvents, kindInteractive} {
		m.unread.WithLabelValues(kind)
	}
	for _, outcome := range []string{outcomeDone, outcomeRefused, outcomeRetry, outcomeLimited, outcomePutBack,
		outcomeLost, outcomeDead} {
		m.outcomes.WithLabelValues(outcome)
	}
	for _, kind := range []string{kindEvents, kindCommands, kindInteractive, kindUnreadable} {
		for _, result := range []string{"accepted", "duplicate", "refused", "unreadable"} {
			m.accepted.WithLabelValues(kind, result)
		}
	}
	if r == nil {
		return m
	}
	r.MustRegister(m.accepted, m.acks, m.waits, m.outcomes, m.unread, m.panics, m.late, m.limited, inboxGauges{b},
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "switchboard_sockets", Help: "Live connections of Socket Mode."}, func() float64 {
			live, _, _ := b.SocketHealth()
			return float64(live)
		}))
	return m
}

func (m *metrics) began(e Event, now time.Time) {
	if e.Attempt == 1 {
		m.waits.Observe(now.Sub(e.Received).Seconds())
	}
}

func (m *metrics) ended(outcome string) { m.outcomes.WithLabelValues(outcome).Inc() }

// inboxGauges asks the inbox when somebody asks for the numbers.
type inboxGauges struct{ b *Bot }

var (
	inboxSize   = prometheus.NewDesc("switchboard_inbox_events", "Events in the inbox that are not done, by state.", []string{"state"}, nil)
	inboxOldest = prometheus.NewDesc("switchboard_inbox_oldest_seconds", "How long the oldest event that is due has been waiting.", nil, nil)
)

// Describe is prometheus.Collector's.
func (g inboxGauges) Describe(to chan<- *prometheus.Desc) { to <- inboxSize; to <- inboxOldest }

// Collect is prometheus.Collector's. Without the database there are no numbers of it.
func (g inboxGauges) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askBudget)
	defer cancel()
	count, err := g.b.inbox.Count(ctx)
	if err != nil {
		return
	}
	for state, n := range map[string]int{"ready": count.Ready, "held": count.Held, "waiting": count.Waiting, "dead": count.Dead} {
		to <- prometheus.MustNewConstMetric(inboxSize, prometheus.GaugeValue, float64(n), state)
	}
	age := 0.0
	if !count.Oldest.IsZero() {
		age = max(0, g.b.now().Sub(count.Oldest).Seconds())
	}
	to <- prometheus.MustNewConstMetric(inboxOldest, prometheus.GaugeValue, age)
}
