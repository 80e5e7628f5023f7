package main

// What the server says of itself in /metrics: processor time and memory, before, while and after it is driven.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// numbers are a server's at one moment.
type numbers struct {
	cpu       float64 // seconds, user and system
	resident  float64 // bytes
	allocated float64 // bytes, ever
	objects   float64 // allocated, ever
	database  float64 // seconds that all PostgreSQL processes on this machine spent
	undone    float64 // events that were acknowledged and wait or are being worked
}

// undone are the states of what lies in Switchboard's inbox and will be worked.
var undone = []string{`switchboard_inbox_events{state="ready"}`, `switchboard_inbox_events{state="held"}`,
	`switchboard_inbox_events{state="waiting"}`}

// meter asks one server.
type meter struct {
	url    string
	client *http.Client
	inbox  atomic.Bool // it has said how much is in its inbox
}

func newMeter(admin *url.URL) *meter {
	return &meter{url: admin.JoinPath("metrics").String(), client: &http.Client{
		Timeout: 10 * time.Second, // a saturated server takes its time
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return dialTo(address)(ctx)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (m *meter) read(ctx context.Context) (numbers, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url, nil)
	if err != nil {
		return numbers{}, err
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return numbers{}, err
	}
	defer resp.Body.Close()

	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return numbers{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return numbers{}, fmt.Errorf("HTTP %d from %s", resp.StatusCode, m.url)
	}

	var n numbers
	inbox := make([]float64, len(undone))
	wanted := map[string]*float64{"process_cpu_seconds_total": &n.cpu, "process_resident_memory_bytes": &n.resident,
		"go_memstats_alloc_bytes_total": &n.allocated, "go_memstats_mallocs_total": &n.objects}
	for i, name := range undone {
		wanted[name] = &inbox[i]
	}

	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if to := wanted[name]; to != nil {
			if *to, err = strconv.ParseFloat(value, 64); err != nil {
				return numbers{}, fmt.Errorf("read %s: %w", name, err)
			}
			delete(wanted, name)
		}
	}

	if wanted["process_cpu_seconds_total"] != nil || wanted["process_resident_memory_bytes"] != nil {
		return numbers{}, errors.New(m.url + " does not say how much processor time and memory the process took")
	}
	if wanted[undone[0]] == nil {
		m.inbox.Store(true)
	} else if m.inbox.Load() {
		n.undone = math.NaN() // its database has no time to count
	}
	for _, events := range inbox {
		n.undone += events
	}
	n.database = databaseTime()
	return n, nil
}

// databaseTime is the processor time of all PostgreSQL processes here, in seconds, or 0 where /proc doesn't tell. What
// ended processes took is counted by their parent.
func databaseTime() float64 {
	const ticks = 100 // a second, on every Linux that Go runs on
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	var sum uint64
	for _, f := range files {
		stat, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(stat, []byte("(postgres)")) {
			continue
		}
		_, after, _ := strings.Cut(string(stat), "(postgres) ")
		for i, field := range strings.Fields(after) {
			if i >= 11 && i <= 14 { // utime, stime and the children's, counted from the field behind the name
				n, _ := strconv.ParseUint(field, 10, 64)
				sum += n
			}
		}
	}
	return float64(sum) / ticks
}

// watch follows the memory, every second until stop, which returns the most that was seen.
func (m *meter) watch(ctx context.Context, peak float64) (stop func() float64) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if n, err := m.read(ctx); err == nil {
					peak = max(peak, n.resident)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return func() float64 { cancel(); watching.Wait(); return peak }
}

// settle waits until the server has nothing left to do, at most patience: events are worked after they were
// acknowledged.
func (m *meter) settle(ctx context.Context, patience time.Duration) (last numbers, settled bool, err error) {
	const (
		pace  = 250 * time.Millisecond
		quiet = 0.011 // s: one tick of the kernel's clock, which being asked costs now and then
	)

	end := time.Now().Add(patience)
	if last, err = m.read(ctx); err != nil {
		return last, false, err
	}
	for still := 0; still < 2; {
		if !time.Now().Before(end) || !sleepUntil(ctx, time.Now().Add(pace)) {
			return last, false, nil
		}
		now, err := m.read(ctx)
		if err != nil {
			return last, false, err
		}
		if still++; now.cpu-last.cpu > quiet || now.undone != 0 {
			still = 0
		}
		last = now
	}
	return last, true, nil
}
