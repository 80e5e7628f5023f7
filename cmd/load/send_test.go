package main

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const secret = "8f742231b10e8888abcd99yyyzzz85a5"

func testTraffic(c trafficConfig) *traffic {
	c.url = &url.URL{Scheme: "http", Host: "127.0.0.1:3000", Path: "/slack/events"}
	c.secret, c.appID = secret, "A0SWITCHBD"
	if c.event == "" {
		c.event = reaction
	}
	if c.workspaces == nil {
		c.workspaces = someWorkspaces(3)
	}
	return newTraffic(c)
}

// pipes is a network without one, so that a test can have the clock of a synctest bubble.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	ended chan struct{}
}

func (p *pipes) dial(context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours, nil
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.ended) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// against runs a plan against a handler that knows how long the run takes already.
func against(t *testing.T, p plan, handler func(since time.Duration)) *tally {
	t.Helper()
	started := time.Now()
	network := &pipes{conns: make(chan net.Conn), ended: make(chan struct{})}
	var serving sync.WaitGroup
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Done()
		_, _ = io.Copy(io.Discard, r.Body)
		handler(time.Since(started))
	})}
	serving.Go(func() { _ = server.Serve(network) })
	p.dial = network.dial
	count, err := p.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	serving.Wait()
	return count
}

// stall holds everything that arrives from one moment until another.
func stall(from, until time.Duration) func(time.Duration) {
	return func(since time.Duration) {
		if since >= from && since < until {
			time.Sleep(until - since)
		}
	}
}

func seconds(count *tally, percent float64) float64 {
	return float64(count.acks.ValueAtPercentile(percent)) / 1e6
}

// A server that stands still for 10 of 40 seconds delays a quarter of what falls due, evenly from 10 s down to nothing.
// The few connections that wait for it meanwhile must not make that four requests.
func TestOpenLoopCountsFromWhenItWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan{traffic: testTraffic(trafficConfig{}), open: true, connections: 4, rate: 100, duration: 40 * time.Second,
			count: greatest, timeout: time.Minute}
		count := against(t, p, stall(10*time.Second, 20*time.Second))
		if count.OK != 4000 || count.Sent != 4000 || count.Unsent != 0 {
			t.Errorf("of 4000 requests %d were answered, %d sent, %d not sent", count.OK, count.Sent, count.Unsent)
		}
		for percent, want := range map[float64]float64{50: 0, 74: 0, 80: 2, 95: 8, 99: 9.6, 100: 10} {
			if got := seconds(count, percent); math.Abs(got-want) > 0.03 {
				t.Errorf("p%v is %.2f s; must be %.2f s", percent, got, want)
			}
		}
		if late := float64(count.lateness.ValueAtPercentile(99)) / 1e6; math.Abs(late-9.6) > 0.05 {
			t.Errorf("sent late: p99 %.2f s; must be 9.6 s", late)
		}
		if count.Tardy < 690 || count.Tardy > 710 {
			t.Errorf("%d came later than 3 s; must be some 700", count.Tardy)
		}
	})
}

// The same in a closed loop is one slow answer for each connection, which is why there are two.
func TestClosedLoopHidesAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan{traffic: testTraffic(trafficConfig{}), connections: 4, duration: 40 * time.Second, count: greatest,
			timeout: time.Minute}
		stop := stall(10*time.Second, 20*time.Second)
		count := against(t, p, func(since time.Duration) { stop(since); time.Sleep(40 * time.Millisecond) })
		if count.OK < 2900 || count.OK > 3100 || count.Tardy != 4 {
			t.Errorf("%d answers, %d of them late; must be some 3000 and 4", count.OK, count.Tardy)
		}
		if p99 := seconds(count, 99); math.Abs(p99-0.04) > 0.001 {
			t.Errorf("p99 is %.3f s", p99)
		}
	})
}

// What a server leaves no time for is not left out of the count.
func TestOpenLoopGivesUpLoudly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan{traffic: testTraffic(trafficConfig{}), open: true, connections: 4, rate: 10, duration: 40 * time.Second,
			count: greatest, timeout: time.Minute}
		count := against(t, p, stall(10*time.Second, 50*time.Second))
		if count.Sent+count.Unsent != 400 || count.Unsent < 240 || count.Unsent > 250 {
			t.Errorf("%d sent, %d given up; must be 400 together, some 246 given up", count.Sent, count.Unsent)
		}
		r := result{counts: counts{Sent: count.Sent, OK: count.OK, Unsent: count.Unsent}}
		if r.bad(true) == nil {
			t.Error("that is called a success")
		}
	})
}

func TestCountEndsARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, open := range []bool{false, true} {
			p := plan{traffic: testTraffic(trafficConfig{}), open: open, connections: 3, rate: 1000, duration: time.Minute,
				count: 100, timeout: time.Minute}
			if count := against(t, p, func(time.Duration) {}); count.Sent != 100 || count.OK != 100 {
				t.Errorf("open %v: %d sent, %d answered; must be 100", open, count.Sent, count.OK)
			}
		}
	})
}

// A server that keeps silent is an error after the timeout, and no acknowledgement.
func TestSilenceIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan{traffic: testTraffic(trafficConfig{}), connections: 1, duration: time.Minute, count: 2,
			timeout: 2 * time.Second}
		count := against(t, p, func(time.Duration) { time.Sleep(3 * time.Second) })
		if count.Errors != 2 || count.OK != 0 || !errors.Is(count.trouble, os.ErrDeadlineExceeded) {
			t.Errorf("%d errors, %d answers, %v", count.Errors, count.OK, count.trouble)
		}
	})
}

func TestPercentiles(t *testing.T) {
	count := newTally()
	for _, ms := range rand.Perm(10_000) {
		count.note(fresh, http.StatusOK, nil, time.Duration(ms+1)*time.Millisecond, 0)
	}
	for range 5000 { // quick refusals must not make the acknowledgements look quick
		count.note(fresh, http.StatusServiceUnavailable, nil, time.Microsecond, 0)
		count.note(fresh, 0, io.ErrUnexpectedEOF, time.Microsecond, 0)
	}
	for percent, want := range map[float64]float64{50: 5, 95: 9.5, 99: 9.9, 100: 10} {
		if got := seconds(count, percent); math.Abs(got-want)/want > 0.001 {
			t.Errorf("p%v is %v s; must be %v s", percent, got, want)
		}
	}
	if count.OK != 10_000 || count.Unavailable != 5000 || count.Errors != 5000 || count.Sent != 20_000 ||
		count.Tardy != 7000 {
		t.Errorf("%d, %d, %d, %d, %d", count.OK, count.Unavailable, count.Errors, count.Sent, count.Tardy)
	}
	count.note(fresh, http.StatusOK, nil, time.Hour, 0)
	if got := seconds(count, 100); math.Abs(got-longest.Seconds())/longest.Seconds() > 0.001 {
		t.Errorf("what is longer than the longest is %v s", got)
	}
}
