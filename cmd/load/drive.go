package main

// drive: one server that runs already, and what is printed about it. compare uses the same flags and the same
// measurement.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/switchboard-go/switchboard/install/connection"
)

// loadFlags say what is sent and how.
type loadFlags struct {
	Mode        string        `default:"closed" enum:"closed,open" help:"closed: each connection sends its next request when the last one was answered. open: requests fall due at --rate, and time counts from when they were due. Default: ${default}."`
	Connections int           `placeholder:"N" help:"The most requests under way. Default: 32, in the open loop 256."`
	Rate        float64       `default:"2000" placeholder:"N" help:"Requests a second in the open loop. Default: ${default}."`
	Duration    time.Duration `placeholder:"TIME" help:"How long, at most 10m. Default: 10s, unless --count is given."`
	Count       uint64        `placeholder:"N" help:"How many requests, at most 5000000."`
	Warmup      time.Duration `default:"1s" placeholder:"TIME" help:"How long to send before that, without measuring. Default: ${default}."`
	Event       string        `default:"reaction_added" enum:"app_mention,message,reaction_added" help:"The kind of event: app_mention, message (a direct message) or reaction_added, for which the app has nothing to do. Default: ${default}."`
	Payload     int           `default:"1536" placeholder:"BYTES" help:"The size of an event, at least some 900. Default: ${default}."`
	Teams       int           `default:"10" placeholder:"N" help:"How many workspaces events come from. Default: ${default}."`
	Commands    int           `placeholder:"PERCENT" help:"How many of a hundred requests are slash commands (/connection help). Default: 0."`
	Duplicates  int           `placeholder:"PERCENT" help:"How many of a hundred events were sent before. Default: 0."`
	Timeout     time.Duration `default:"10s" placeholder:"TIME" help:"How long to wait for an answer. Slack waits 3s. Default: ${default}."`
	Settle      time.Duration `default:"10s" placeholder:"TIME" help:"How long to wait at the end until all that was acknowledged is done. Default: ${default}."`
	Allow503    bool          `name:"allow-503" help:"Exit 0 even if some were answered with 503."`
	JSON        bool          `name:"json" help:"Print JSON."`
}

// check refuses what can't be measured, and works out what was left open.
func (f *loadFlags) check() error {
	if f.Connections == 0 {
		f.Connections = 32
		if f.Mode == "open" {
			f.Connections = 256 // with fewer, a server that is slow would be sent less than is due
		}
	}
	if f.Duration == 0 && f.Count == 0 {
		f.Duration = 10 * time.Second
	}

	for _, rule := range []struct {
		flag   string
		value  any
		broken bool
		is     string
	}{
		{"--connections", f.Connections, outside(f.Connections, 1, 10_000), "is not between 1 and 10000"},
		{"--rate", f.Rate, outside(f.Rate, math.SmallestNonzeroFloat64, 1_000_000), "is not between 0 and 1000000"},
		{"--duration", f.Duration, outside(f.Duration, 0, longest), "is not within 10m"},
		{"--count", f.Count, f.Count > greatest, "is more than 5000000"},
		{"--warmup", f.Warmup, outside(f.Warmup, 0, time.Minute), "is not within a minute"},
		{"--teams", f.Teams, outside(f.Teams, 1, 10_000), "is not between 1 and 10000"},
		{"--payload", f.Payload, outside(f.Payload, 0, 1<<20), "is not between 0 and a megabyte"},
		{"--commands", f.Commands, outside(f.Commands, 0, 100), "is no percentage"},
		{"--duplicates", f.Duplicates, outside(f.Duplicates, 0, 100), "is no percentage"},
		{"--timeout", f.Timeout, outside(f.Timeout, time.Millisecond, time.Minute), "is not between 1ms and 1m"},
		{"--settle", f.Settle, outside(f.Settle, 0, longest), "is not within 10m"},
	} {
		if rule.broken {
			return usage("%s: %v %s", rule.flag, rule.value, rule.is)
		}
	}

	if f.Count == 0 {
		if f.Mode == "open" && f.Rate*f.Duration.Seconds() > greatest {
			return usage("--rate %v for %v is more than %d requests", f.Rate, f.Duration, greatest)
		}
		f.Count = greatest
	}
	f.Duration = cmp.Or(f.Duration, longest)
	return nil
}

// outside reports whether a value is not within its limits, or is no number.
func outside[T cmp.Ordered](value, least, most T) bool { return !(value >= least && value <= most) }

// target is a server to drive.
type target struct {
	events     *url.URL
	meter      *meter
	secret     connection.Secret
	appID      string
	workspaces []workspace
}

// result is one measurement.
type result struct {
	Server      string  `json:"server,omitempty"`
	Mode        string  `json:"mode"`
	Event       string  `json:"event"`
	Connections int     `json:"connections"`
	Workspaces  int     `json:"workspaces"`
	Payload     int     `json:"payload_bytes"`
	Seconds     float64 `json:"seconds"`
	counts
	Trouble string `json:"first_error,omitempty"`
	figures
}

// counts are of requests. Those of several rounds are added up.
type counts struct {
	Sent        int64 `json:"sent"`
	OK          int64 `json:"answered_200"`
	Unavailable int64 `json:"answered_503"`
	Other       int64 `json:"answered_otherwise"`
	Errors      int64 `json:"errors"`
	Unsent      int64 `json:"unsent"` // in the open loop: due, but given up because the server was so far behind
	Tardy       int64 `json:"later_than_3s"`
	Commands    int64 `json:"commands"`
	Duplicates  int64 `json:"duplicates"`
}

// figures are what is measured. Of several rounds the median counts. What is per request is per acknowledged one: a
// server gains nothing by refusing.
type figures struct {
	PerSecond float64 `json:"acknowledged_per_second"`
	P50       float64 `json:"ack_p50_ms"`
	P95       float64 `json:"ack_p95_ms"`
	P99       float64 `json:"ack_p99_ms"`
	Max       float64 `json:"ack_max_ms"`
	LateP99   float64 `json:"sent_late_p99_ms"` // in the open loop: how far behind the moment it was due

	CPU          float64 `json:"cpu_us_per_ack"`            // of the server, until the last answer
	CPUWithWork  float64 `json:"cpu_us_per_ack_with_work"`  // … and until it had nothing left to do
	PostgresCPU  float64 `json:"postgres_us_per_ack"`       // likewise, of all PostgreSQL processes on this machine
	SettledAfter float64 `json:"settled_after_s"`           // -1: not within --settle
	Undone       float64 `json:"events_not_worked"`         // at the end; -1: the server could not say
	OwnCPU       float64 `json:"sender_us_per_ack"`         // of this program
	Allocated    float64 `json:"allocated_bytes_per_ack"`   // by the server
	Objects      float64 `json:"allocated_objects_per_ack"` // likewise
	Memory       float64 `json:"memory_bytes"`              // resident, at the end
	MemoryPeak   float64 `json:"memory_peak_bytes"`         // of what was seen every second
}

// bad says what went wrong, or nothing.
func (r *result) bad(allow503 bool) error {
	refused := r.Unavailable
	if allow503 {
		refused = 0
	}
	if refused+r.Other+r.Errors+r.Unsent == 0 {
		return nil
	}

	err := fmt.Errorf("of %d requests %d were not acknowledged "+
		"(503: %d, other answers: %d, errors: %d, given up before they were sent: %d)",
		r.Sent+r.Unsent, r.Sent+r.Unsent-r.OK, r.Unavailable, r.Other, r.Errors, r.Unsent)
	if r.Trouble != "" {
		err = fmt.Errorf("%w; the first: %s", err, r.Trouble)
	}
	return err
}

// measure drives a server and returns how it did.
func (f *loadFlags) measure(ctx context.Context, to target) (result, error) {
	t := newTraffic(trafficConfig{url: to.events, secret: to.secret, appID: to.appID, event: f.Event,
		workspaces: to.workspaces, payload: f.Payload, commands: f.Commands, duplicates: f.Duplicates})
	p := plan{traffic: t, dial: dialTo(to.events.Host), open: f.Mode == "open", connections: f.Connections, rate: f.Rate,
		count: greatest, timeout: f.Timeout}
	if p.duration = f.Warmup; p.duration > 0 {
		if _, err := p.run(ctx); err != nil {
			return result{}, unreachable(err)
		}
		if _, _, err := to.meter.settle(ctx, f.Settle); err != nil {
			return result{}, silent(err)
		}
	}

	p.duration, p.count = f.Duration, f.Count
	runtime.GC() // ours, not in the middle of the measurement
	before, err := to.meter.read(ctx)
	if err != nil {
		return result{}, silent(err)
	}
	own := ownTime()
	peak := to.meter.watch(ctx, before.resident)
	count, err := p.run(ctx)
	own = ownTime() - own
	if err != nil {
		peak()
		return result{}, unreachable(err)
	}

	// Also after Ctrl-C there is something to tell.
	ctx = context.WithoutCancel(ctx)
	after, err := to.meter.read(ctx)
	ended := time.Now()
	end, settled := after, false
	if err == nil {
		end, settled, err = to.meter.settle(ctx, f.Settle)
	}
	most := max(peak(), after.resident, end.resident)
	if err != nil {
		return result{}, silent(err)
	}

	r := result{Mode: f.Mode, Event: f.Event, Connections: f.Connections, Workspaces: len(to.workspaces),
		Payload: t.payload(), Seconds: count.elapsed.Seconds(), counts: count.counts, figures: count.figures()}
	r.cost(before, after, end, own)
	r.MemoryPeak = most
	if r.SettledAfter = -1; settled {
		r.SettledAfter = time.Since(ended).Seconds()
	}
	if count.trouble != nil {
		r.Trouble = count.trouble.Error()
	}
	return r, nil
}

func unreachable(err error) error { return fmt.Errorf("connect to the server: %w", err) }

func silent(err error) error { return fmt.Errorf("ask the server how it is: %w", err) }

// figures are those that the answers alone tell.
func (t *tally) figures() figures {
	ms := func(h *hdrhistogram.Histogram, percent float64) float64 {
		return float64(h.ValueAtPercentile(percent)) / 1000
	}
	return figures{PerSecond: float64(t.OK) / t.elapsed.Seconds(), P50: ms(t.acks, 50), P95: ms(t.acks, 95),
		P99: ms(t.acks, 99), Max: ms(t.acks, 100), LateP99: ms(t.lateness, 99)}
}

// cost adds what the server says it took: before the first request, after the last answer, and at the end of the work
// behind them. own is this program's time, in seconds.
func (r *result) cost(before, after, end numbers, own float64) {
	acks := math.Max(float64(r.OK), 1)
	r.CPU = (after.cpu - before.cpu) / acks * 1e6
	r.CPUWithWork = (end.cpu - before.cpu) / acks * 1e6
	r.PostgresCPU = (end.database - before.database) / acks * 1e6
	r.OwnCPU = own / acks * 1e6

	r.Allocated = (end.allocated - before.allocated) / acks
	r.Objects = (end.objects - before.objects) / acks
	r.Memory = end.resident
	if r.Undone = end.undone; math.IsNaN(end.undone) {
		r.Undone = -1
	}
}

// ownTime is the processor time of this program so far, in seconds, or 0 where it can't be known.
func ownTime() float64 {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := registry.Gather()
	if err != nil {
		return 0
	}
	for _, f := range families {
		if f.GetName() == "process_cpu_seconds_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return 0
}

func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "sent           %d in %.1f s: %s loop, %d connections, %d workspaces, %d bytes of %s\n",
		r.Sent, r.Seconds, r.Mode, r.Connections, r.Workspaces, r.Payload, r.Event)
	if r.Commands+r.Duplicates > 0 {
		fmt.Fprintf(w, "               %d of them slash commands, %d sent before\n", r.Commands, r.Duplicates)
	}
	fmt.Fprintf(w, "answered       200: %d   503: %d   other: %d   errors: %d\n", r.OK, r.Unavailable, r.Other, r.Errors)
	if r.Unsent > 0 {
		fmt.Fprintf(w, "               %d were due and not sent: the server was more than %v behind\n", r.Unsent, grace)
	}
	if r.Tardy > 0 {
		fmt.Fprintf(w, "               %d later than the 3 s that Slack waits\n", r.Tardy)
	}

	fmt.Fprintf(w, "acknowledged   %.0f a second\n", r.PerSecond)
	fmt.Fprintf(w, "time to ack    p50 %s   p95 %s   p99 %s   max %s\n",
		millis(r.P50), millis(r.P95), millis(r.P99), millis(r.Max))
	if r.Mode == "open" {
		fmt.Fprintf(w, "               from when each was due; 99 of 100 were sent within %s of that\n", millis(r.LateP99))
	}

	fmt.Fprintf(w, "server's CPU   %.1f µs for each ack until the last one", r.CPU)
	if r.SettledAfter < 0 {
		fmt.Fprintf(w, "; %.1f µs so far with the work behind them, which is not finished (%.0f events)\n",
			r.CPUWithWork, max(r.Undone, 0))
	} else {
		fmt.Fprintf(w, "; %.1f µs with the work behind them\n", r.CPUWithWork)
	}
	fmt.Fprintf(w, "               %.1f KB in %.0f objects allocated for each\n", r.Allocated/1000, r.Objects)
	fmt.Fprintf(w, "server's RAM   %s at the end, %s at most\n", megabytes(r.Memory), megabytes(r.MemoryPeak))
	fmt.Fprintf(w, "this program   %.1f µs of CPU for each\n", r.OwnCPU)
}

func millis(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.1f s", ms/1000)
	}
}

func megabytes(bytes float64) string { return fmt.Sprintf("%.0f MB", bytes/1e6) }

type driveCmd struct {
	loadFlags
	URL    string   `default:"http://127.0.0.1:3000/slack/events" help:"Where the server takes requests, on this machine. Default: ${default}."`
	Admin  string   `default:"http://127.0.0.1:3001" placeholder:"URL" help:"The server's ADMIN_ADDR, for /metrics. Default: ${default}."`
	AppID  string   `default:"A0SWITCHBD" placeholder:"ID" help:"The server's SLACK_APP_ID. Default: ${default}."`
	TeamID []string `placeholder:"ID" help:"A workspace to send from, instead of made-up ones. Can be repeated."`
}

var slackID = regexp.MustCompile(`^[A-Z0-9]{2,30}$`)

// Run drives the server until the plan is done or the context ends.
func (c *driveCmd) Run(env *environment) error {
	if err := c.check(); err != nil {
		return err
	}

	to := target{appID: c.AppID, workspaces: someWorkspaces(c.Teams)}
	if len(c.TeamID) > 0 {
		to.workspaces = someWorkspaces(len(c.TeamID))
		for i, id := range c.TeamID {
			to.workspaces[i].team = id
		}
	}
	for _, id := range append(c.TeamID, c.AppID) {
		if !slackID.MatchString(id) {
			return usage("%q is not an id of Slack's", id)
		}
	}

	var err error
	if to.events, err = here("--url", c.URL); err != nil {
		return err
	}
	admin, err := here("--admin", c.Admin)
	if err != nil {
		return err
	}
	to.meter = newMeter(admin)
	defer to.meter.client.CloseIdleConnections()
	if to.secret, err = env.signingSecret(); err != nil {
		return err
	}

	r, err := c.measure(env.ctx, to)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(env.stdout, r)
	} else {
		r.print(env.stdout)
	}
	return errors.Join(err, r.bad(c.Allow503))
}

// onThisMachine reports whether an address, with or without a port, leads nowhere else.
func onThisMachine(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// here parses an address and refuses it unless it is on this machine: whoever is sent this would be attacked by it.
func here(flag, address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.User != nil {
		return nil, usage("%s: %q is not an address like http://127.0.0.1:3000", flag, address)
	}
	if !onThisMachine(u.Host) {
		return nil, usage("%s: %s is not this machine, and load is never sent to another; "+
			"name 127.0.0.1, [::1] or localhost", flag, u.Host)
	}

	if u.Port() == "" {
		u.Host += ":80"
	}
	return u, nil
}
