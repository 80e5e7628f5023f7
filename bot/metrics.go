package bot

// What an operator watches of the traffic: how much came, what was refused and why, how soon it was worked, and what
// became of it. Every counter is there at 0, so that its first step is an increase. docs/metrics.md has them all.

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
)

// refusedApp is why a delivery for another app was refused, as switchboard_refused_total names it; the other causes are
// the transports'.
const refusedApp = "app_id"

// Why a delivery came to no handler, as switchboard_dropped_total names it.
const (
	droppedUnhandled   = "no_handler"
	droppedOwn         = "own" // the echo of what the app itself did
	droppedUnknownKind = "unknown_kind"
)

// How the run of a handler ended, as switchboard_handled_total names it. Those from notTheirs on were not begun.
const (
	ranDone         = "done"
	ranFailed       = "failed"
	ranPanicked     = "panicked"
	ranLimited      = "limited"    // by Slack's limits, or by our own pace
	ranUserError    = "user_error" // the person was told why not
	ranEnded        = "ended"      // its time was over, or the program stopped
	ranNotTheirs    = "not_theirs" // of another company, or pressed in what another installation wrote
	ranNotAllowed   = "not_allowed"
	ranNotConnected = "not_connected"
	ranUnavailable  = "unavailable" // our records were, or the access could not be renewed
)

// How an answer was lost, as switchboard_lost_answers_total names it.
const (
	lostUndelivered = "not_delivered"
	lostSecondPart  = "second_part" // Reply.Then failed
	lostIdleField   = "idle_field"  // see sound
)

// labels are the values that counters begin with, so that each is there at 0.
var labels = struct {
	deliveries, deliveryResults, refused, dropped, ran, outcomes, late, lost, again []string
}{
	deliveries: []string{
		transport.KindEvents, transport.KindCommands, transport.KindInteractive, transport.KindTimer,
		transport.KindUnreadable,
	},
	deliveryResults: []string{"accepted", "duplicate", "refused", "unreadable"},
	refused:         append(slices.Clone(transport.Causes), refusedApp),
	dropped:         []string{droppedUnhandled, droppedOwn, droppedUnknownKind},
	ran: []string{ranDone, ranFailed, ranPanicked, ranLimited, ranUserError, ranEnded, ranNotTheirs, ranNotAllowed,
		ranNotConnected, ranUnavailable},
	outcomes: []string{outcomeDone, outcomeRefused, outcomeRetry, outcomeLimited, outcomePutBack, outcomeLost,
		outcomeDead},
	late: []string{"delivered", "lost", "interrupted"},
	lost: []string{lostUndelivered, lostSecondPart, lostIdleField},
	// https://docs.slack.dev/apis/events-api#error-handling. Socket Mode gives reasons of the same kind.
	again: []string{"http_timeout", "http_error", "connection_failed", "too_many_redirects", "ssl_error", "timeout",
		"unknown_error", "other"},
}

type metrics struct {
	handlers map[string]*handlerNumbers // by Handler.id: those that are declared, and the Bot's own
	byKind   map[string]prometheus.Observer
	byResult map[[2]string]prometheus.Counter // of deliveries, by kind and result

	accepted *prometheus.CounterVec
	refused  *prometheus.CounterVec
	dropped  *prometheus.CounterVec
	again    *prometheus.CounterVec
	good     prometheus.Gauge
	bad      *prometheus.GaugeVec // when, by cause
	now      func() time.Time
	acks     *prometheus.HistogramVec
	waits    prometheus.Histogram
	outcomes *prometheus.CounterVec
	untold   prometheus.Counter
	ran      *prometheus.CounterVec
	took     *prometheus.HistogramVec
	unread   *prometheus.CounterVec
	panics   prometheus.Counter
	late     *prometheus.CounterVec
	lost     *prometheus.CounterVec
	limited  prometheus.Counter
	unopened prometheus.Counter
}

// handlerNumbers are one handler's, found once: a look-up by labels takes a lock that all handlers share.
type handlerNumbers struct {
	ended map[string]prometheus.Counter // by result
	took  prometheus.Observer
}

// newMetrics registers the numbers of a Bot where its configuration says, with those of handlers. sockets returns how
// many connections of Socket Mode are open.
func newMetrics(c Config, handlers []*Handler, sockets func() float64) *metrics {
	m := &metrics{
		accepted: counters("deliveries_total", "Signed deliveries by Slack, by kind and whether they were new "+
			"(accepted, duplicate), refused because the inbox did not take them, or unreadable: kept as dead letters.",
			[]string{"kind", "result"}, labels.deliveries, labels.deliveryResults),
		refused: counters("refused_total", "Requests and envelopes that were refused, by cause. "+
			"A growing signature, timestamp or app_id usually means a setting is wrong.",
			[]string{"cause"}, labels.refused),
		dropped: counters("dropped_total", "Signed deliveries that came to no handler, by kind and reason.",
			[]string{"kind", "reason"}, labels.deliveries, labels.dropped),
		again: counters("redeliveries_total", "Deliveries that Slack sent again, by the reason that it gave.",
			[]string{"reason"}, labels.again),
		good: prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchboard_last_delivery_timestamp_seconds",
			Help: "When this process last took a delivery with a good signature, for this app (Unix time). 0: never."}),
		bad: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "switchboard_last_refusal_timestamp_seconds",
			Help: "When this process last refused a request or an envelope, by cause (Unix time). 0: never."},
			[]string{"cause"}),
		now: c.Now,
		acks: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "switchboard_ack_seconds",
			Help:    "From the arrival of a delivery to its acknowledgement.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 3}}, []string{"kind"}),
		waits: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "switchboard_event_wait_seconds",
			Help:    "From the arrival of an event to the first start of its handler.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .5, 1, 5, 30, 120, 600}}),
		outcomes: counters("events_total", "Attempts to work an event, by how they ended.",
			[]string{"outcome"}, labels.outcomes),
		untold: counter("untold_events_total", "Events whose end the inbox could not be told, so that they run again."),
		ran: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchboard_handled_total",
			Help: "Runs of handlers, by handler, kind and how they ended, or why they were not begun."},
			[]string{"handler", "kind", "result"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "switchboard_handler_seconds",
			Help:    "How long a handler ran.",
			Buckets: []float64{.005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}}, []string{"handler", "kind"}),
		panics: counter("panics_total", "Panics in the work of handlers, each of which cost that work alone."),
		limited: counter("app_rate_limited_total", "Slack's words that it held back events of a workspace for a minute: "+
			"more than 30,000 in an hour. The log names the workspace."),
		unread: counters("unread_payloads_total", "Payloads with a block, an element or a field that this release "+
			"can't read: their handlers got the rest.",
			[]string{"kind"}, []string{transport.KindEvents, transport.KindInteractive}),
		late: counters("late_answers_total", "Handlers of commands, buttons and forms that were late for the "+
			"acknowledgement, by what became of them: interrupted by a stop, and answers delivered or lost.",
			[]string{"result"}, labels.late),
		lost: counters("lost_answers_total", "Answers that a person did not get, or not all of, by cause.",
			[]string{"cause"}, labels.lost),
		unopened: counter("socket_failures_total", "Connections of Socket Mode that could not be opened."),
	}

	for _, cause := range labels.refused {
		m.bad.WithLabelValues(cause)
	}
	m.resolve(handlers)

	r := c.Metrics
	if r == nil {
		return m
	}
	r.MustRegister(m.accepted, m.refused, m.dropped, m.again, m.good, m.bad, m.acks, m.waits, m.outcomes, m.untold, m.ran, m.took,
		m.unread, m.panics, m.late, m.lost, m.limited, inboxGauges{inbox: c.Inbox, now: c.Now})
	if c.AppToken != "" { // elsewhere there are none, and an alert on 0 would fire
		r.MustRegister(m.unopened, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "switchboard_sockets", Help: "Live connections of Socket Mode.",
		}, sockets))
	}
	return m
}

// resolve finds the series that are counted on the way to an acknowledgement, so that none is looked up there, and has
// each of them there at 0.
func (m *metrics) resolve(handlers []*Handler) {
	m.byKind, m.byResult = map[string]prometheus.Observer{}, map[[2]string]prometheus.Counter{}
	for _, kind := range labels.deliveries {
		m.byKind[kind] = m.acks.WithLabelValues(kind)
		for _, result := range labels.deliveryResults {
			m.byResult[[2]string{kind, result}] = m.accepted.WithLabelValues(kind, result)
		}
	}

	m.handlers = map[string]*handlerNumbers{}
	for _, h := range handlers {
		name, kind := labelOf(h), string(h.Kind)
		n := &handlerNumbers{ended: map[string]prometheus.Counter{}, took: m.took.WithLabelValues(name, kind)}
		for _, result := range labels.ran {
			n.ended[result] = m.ran.WithLabelValues(name, kind, result)
		}
		m.handlers[h.id()] = n
	}
}

// labelOf is a handler as a label has it: its name in the log and the inbox. A pattern can be long.
func labelOf(h *Handler) string {
	const most = 100
	name := strings.ToValidUTF8(h.id(), "\uFFFD")
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	return name
}

// delivered counts a signed delivery. One of a kind that nobody knows counts as unreadable.
func (m *metrics) delivered(kind, result string) {
	c, known := m.byResult[[2]string{kind, result}]
	if !known {
		c = m.byResult[[2]string{transport.KindUnreadable, result}]
	}
	c.Inc()
}

// acked measures an acknowledgement.
func (m *metrics) acked(kind string, took time.Duration) {
	o, known := m.byKind[kind]
	if !known {
		o = m.byKind[transport.KindUnreadable]
	}
	o.Observe(took.Seconds())
}

// ranAs counts a run of a handler. result is one of labels.ran.
func (m *metrics) ranAs(h *Handler, result string) {
	if n := m.handlers[h.id()]; n != nil && n.ended[result] != nil {
		n.ended[result].Inc()
	}
}

// tookFor measures a run of a handler.
func (m *metrics) tookFor(h *Handler, took time.Duration) {
	if n := m.handlers[h.id()]; n != nil {
		n.took.Observe(took.Seconds())
	}
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "switchboard_" + name, Help: help})
}

// counters are there from the start, each combination of values at 0.
func counters(name, help string, names []string, values ...[]string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchboard_" + name, Help: help}, names)
	begin := func(given ...string) { v.WithLabelValues(given...) }
	for _, first := range values[0] {
		if len(values) == 1 {
			begin(first)
			continue
		}
		for _, second := range values[1] {
			begin(first, second)
		}
	}
	return v
}

// Repeated counts a delivery that Slack sent again. Without a reason it was not.
func (m *metrics) Repeated(reason string) {
	if reason == "" {
		return
	}
	if !slices.Contains(labels.again, reason) {
		reason = "other"
	}
	m.again.WithLabelValues(reason).Inc()
}

// Unknown counts an envelope of no kind that this release knows.
func (m *metrics) Unknown() { m.drop(transport.KindUnreadable, droppedUnknownKind) }

// Undelivered counts an answer that its acknowledgement couldn't carry.
func (m *metrics) Undelivered() { m.lose(lostUndelivered) }

// SocketFailed counts a connection of Socket Mode that could not be opened.
func (m *metrics) SocketFailed() { m.unopened.Inc() }

// Refuse counts what is not taken, and notes when: whether something good came after it tells a wrong setting from a
// stranger.
func (m *metrics) Refuse(cause string) {
	m.refused.WithLabelValues(cause).Inc()
	m.bad.WithLabelValues(cause).Set(unixTime(m.now()))
}

// unixTime is in seconds, with a fraction.
func unixTime(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// drop counts what comes to no handler.
func (m *metrics) drop(kind, reason string) { m.dropped.WithLabelValues(kind, reason).Inc() }

// lose counts an answer that nobody reads.
func (m *metrics) lose(cause string) { m.lost.WithLabelValues(cause).Inc() }

// idle notes that a part of an answer does nothing where it stands. Who made it has to change it: what they meant is
// lost until then.
func (m *metrics) idle(log *slog.Logger, what string, fields []string) {
	m.lose(lostIdleField)
	log.Error("an answer has fields that do nothing there", "of", what, "fields", strings.Join(fields, ", "))
}

// leftOut notes what a handler does without, because this release can't read it. The names are of fields, not what
// people wrote.
func (m *metrics) leftOut(log *slog.Logger, kind string, parts []string) {
	const most = 10
	m.unread.WithLabelValues(kind).Inc()
	log.Warn("parts of a payload can't be read: the handler gets the rest", "kind", kind, "parts", len(parts),
		"first", transport.Clip(strings.Join(parts[:min(most, len(parts))], " ")))
}

func (m *metrics) began(e Delivery, now time.Time) {
	if e.Attempt == 1 {
		m.waits.Observe(now.Sub(e.Received).Seconds())
	}
}

func (m *metrics) ended(outcome string) { m.outcomes.WithLabelValues(outcome).Inc() }

// inboxGauges asks the inbox when somebody asks for the numbers.
type inboxGauges struct {
	inbox Inbox
	now   func() time.Time
}

var (
	inboxSize = prometheus.NewDesc("switchboard_inbox_events",
		"Events in the inbox that are not done, by state.", []string{"state"}, nil)
	inboxOldest = prometheus.NewDesc("switchboard_inbox_oldest_seconds",
		"How long the oldest event that is not done has been waiting: due, being worked, or put off.", nil, nil)
	inboxWaiting = prometheus.NewDesc("switchboard_inbox_state_oldest_seconds",
		"How long ago the oldest event in each state came; 0 where there is none.", []string{"state"}, nil)
	inboxErased = prometheus.NewDesc("switchboard_inbox_erased_total",
		"Events that were erased, not worked, because the connection they were for was removed.", nil, nil)
)

// Describe is prometheus.Collector's.
func (g inboxGauges) Describe(to chan<- *prometheus.Desc) {
	to <- inboxSize
	to <- inboxOldest
	to <- inboxWaiting
	to <- inboxErased
}

// Collect is prometheus.Collector's. Without the database there are no numbers of it.
func (g inboxGauges) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askBudget)
	defer cancel()
	count, err := g.inbox.Count(ctx)
	if err != nil {
		return
	}

	age := func(since time.Time) float64 {
		if since.IsZero() {
			return 0
		}
		return max(0, g.now().Sub(since).Seconds())
	}
	for _, of := range []struct {
		state  string
		n      int
		oldest time.Time
	}{
		{"ready", count.Ready, count.OldestReady}, {"held", count.Held, count.OldestHeld},
		{"waiting", count.Waiting, count.OldestWaiting}, {"dead", count.Dead, count.OldestDead},
	} {
		to <- prometheus.MustNewConstMetric(inboxSize, prometheus.GaugeValue, float64(of.n), of.state)
		to <- prometheus.MustNewConstMetric(inboxWaiting, prometheus.GaugeValue, age(of.oldest), of.state)
	}
	to <- prometheus.MustNewConstMetric(inboxOldest, prometheus.GaugeValue, age(count.Oldest))
	to <- prometheus.MustNewConstMetric(inboxErased, prometheus.CounterValue, float64(count.Erased))
}
