package main

// The senders. In a closed loop each connection sends its next request when the last one was answered, which shows how
// much a server takes. In an open loop requests fall due at a set rate, as what people do does, whether or not the
// server keeps up.
//
// In the open loop time counts from the moment a request was due. A server that stalls for a second delays all that
// fell due in it. Counted from when each was really sent, all but those few that were under way would look quick.

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// Slack takes an answer that comes later for none. https://docs.slack.dev/apis/events-api
	slackWaits = 3 * time.Second
	// A run ends this long after its last request was due, however many are still to be sent.
	grace = 15 * time.Second
	// The pause after a connection could not be made. Tries at a server that is gone would keep a core busy.
	redial = 20 * time.Millisecond

	longest  = 10 * time.Minute
	greatest = 5_000_000
)

// plan is how requests are sent.
type plan struct {
	traffic     *traffic
	dial        func(context.Context) (net.Conn, error)
	open        bool
	connections int
	rate        float64       // a second, in the open loop
	duration    time.Duration // 0: until count
	count       uint64
	timeout     time.Duration // for one answer
}

// tally is what came back.
type tally struct {
	mu sync.Mutex
	counts
	acks     *hdrhistogram.Histogram // of 200s alone: a quick refusal is no quick acknowledgement
	lateness *hdrhistogram.Histogram // of sending, in the open loop
	trouble  error                   // the first
	elapsed  time.Duration
}

func newTally() *tally {
	// In microseconds, to three digits: some 200 KB whatever the number of requests.
	return &tally{acks: hdrhistogram.New(1, longest.Microseconds(), 3),
		lateness: hdrhistogram.New(1, longest.Microseconds(), 3)}
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 0), longest.Microseconds())) // within its range, so it has no error
}

func (t *tally) note(what kind, status int, err error, took, late time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Sent++
	switch what {
	case command:
		t.Commands++
	case duplicate:
		t.Duplicates++
	}

	switch {
	case err != nil:
		t.Errors++
	case status == http.StatusOK:
		t.OK++
		record(t.acks, took)
		if took > slackWaits {
			t.Tardy++
		}
	case status == http.StatusServiceUnavailable:
		t.Unavailable++
	default:
		t.Other++
		err = fmt.Errorf("HTTP %d", status)
	}
	t.trouble = cmp.Or(t.trouble, err)
	record(t.lateness, late)
}

// run sends until the plan is done or ctx ended, and returns when nothing is under way any more.
func (p plan) run(ctx context.Context) (*tally, error) {
	t := newTally()
	// Before the clock runs: what is measured is a server with its connections made, as Slack's are.
	lines := make([]*line, p.connections)
	for i := range lines {
		lines[i] = &line{dial: p.dial, timeout: p.timeout}
		defer lines[i].close()
		if _, err := lines[i].connect(ctx); err != nil {
			return nil, err
		}
	}

	var working sync.WaitGroup
	var numbers atomic.Uint64
	started := time.Now()
	for _, l := range lines {
		working.Go(func() {
			defer context.AfterFunc(ctx, l.interrupt)()
			p.send(ctx, l, started, &numbers, t)
		})
	}
	working.Wait()
	t.elapsed = time.Since(started)
	return t, nil
}

func (p plan) send(ctx context.Context, l *line, started time.Time, numbers *atomic.Uint64, t *tally) {
	s := newSender(p.traffic)
	for ctx.Err() == nil {
		n := numbers.Add(1) - 1
		if n >= p.count {
			return
		}
		due := time.Now()
		if p.open {
			due = started.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
		}
		if p.duration > 0 && due.Sub(started) >= p.duration {
			return
		}
		if !sleepUntil(ctx, due) {
			return
		}

		began := time.Now()
		if began.Sub(due) > grace {
			t.mu.Lock()
			t.Unsent++
			t.mu.Unlock()
			continue
		}

		request, what := s.next(n, began)
		status, err := l.ask(ctx, request)
		if ctx.Err() != nil {
			return // interrupted by us: no fault of the server's
		}
		t.note(what, status, err, time.Since(due), began.Sub(due))
	}
}

// sleepUntil reports false when ctx ended before.
func sleepUntil(ctx context.Context, at time.Time) bool {
	wait := time.Until(at)
	if wait <= 0 {
		return true
	}
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}

// line is one connection that is kept. net/http's own client would cost as much as the server it is to measure.
type line struct {
	dial    func(context.Context) (net.Conn, error)
	timeout time.Duration
	in      *bufio.Reader

	mu   sync.Mutex
	conn net.Conn // nil: to be made
	cut  bool
}

func (l *line) connect(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	conn, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, errors.Join(context.Canceled, conn.Close())
	}
	l.conn = conn
	if l.in == nil {
		l.in = bufio.NewReaderSize(conn, 4<<10)
	} else {
		l.in.Reset(conn)
	}
	return conn, nil
}

// interrupt ends what is under way.
func (l *line) interrupt() {
	l.mu.Lock()
	l.cut = true
	l.mu.Unlock()
	l.close()
}

func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

// ask sends a request and waits for the end of its answer.
func (l *line) ask(ctx context.Context, request []byte) (status int, err error) {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn == nil {
		if conn, err = l.connect(ctx); err != nil {
			sleepUntil(ctx, time.Now().Add(redial))
			return 0, err
		}
	}

	keep := false
	defer func() {
		if !keep {
			l.close()
		}
	}()

	if err := conn.SetDeadline(time.Now().Add(l.timeout)); err != nil {
		return 0, err
	}
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	answer, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return 0, fmt.Errorf("read answer: %w", err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return 0, fmt.Errorf("read answer: %w", err)
	}
	keep = !answer.Close
	return answer.StatusCode, nil
}

// dialTo connects to an address that must lead to this machine, whatever its name resolves to.
func dialTo(address string) func(context.Context) (net.Conn, error) {
	var d net.Dialer
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		if to, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !to.IP.IsLoopback() {
			return nil, errors.Join(fmt.Errorf("%s is not on this machine", address), conn.Close())
		}
		return conn, nil
	}
}
