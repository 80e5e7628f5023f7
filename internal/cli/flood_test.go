package cli

// A flood of strangers on the install pages of a running serve: what it costs, what events and a real person notice of
// it. Run it for half a minute, with figures: LONG_TESTS=1 go test -v -run TestInstallFlood ./internal/cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// flood is many strangers from a few addresses, in front of one replica.
type flood struct {
	w      *world
	to     string
	client *http.Client
	asked  atomic.Int64
	odd    atomic.Int64 // not answered with what strangers are to get
}

// visit asks for a page, and returns where it leads and the cookie.
func (f *flood) visit(ctx context.Context, path, cookie string, who int) (location, browser string, status int) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.to+path, nil)
	if err != nil {
		f.w.t.Error(err)
		return "", "", 0
	}
	req.Header.Set("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", who)) // as a proxy says it
	req.Header.Set("Cookie", cookie)
	resp, err := f.client.Do(req)
	if err != nil {
		return "", "", 0 // the flood is over, or it went unheard
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	f.asked.Add(1)
	if c := resp.Cookies(); len(c) > 0 {
		browser = c[0].Name + "=" + c[0].Value
	}
	return resp.Header.Get("Location"), browser, resp.StatusCode
}

// start begins an install that nobody finishes.
func (f *flood) start(ctx context.Context, who, _ int) {
	if _, _, status := f.visit(ctx, "/slack/install", "", who); status != http.StatusFound && ctx.Err() == nil {
		f.odd.Add(1)
	}
}

// code begins one and comes back with a made-up code: every second one can't be Slack's.
func (f *flood) code(ctx context.Context, who, n int) {
	location, cookie, _ := f.visit(ctx, "/slack/install", "", who)
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return
	}
	code := fmt.Sprintf("%d.%d.0123456789abcdef", who, n)
	if n%2 == 1 {
		code += " malformed" + strings.Repeat("x", 600)
	}
	_, _, status := f.visit(ctx, "/slack/oauth_redirect?"+url.Values{"code": {code},
		"state": {u.Query().Get("state")}}.Encode(), cookie, who)
	if status != http.StatusBadRequest && status != http.StatusServiceUnavailable && ctx.Err() == nil {
		f.odd.Add(1)
	}
}

// peakMemory is the most that a process had resident, in MB.
func peakMemory(t *testing.T, process *os.Process) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process.Pid))
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.Atoi(strings.Fields(kb)[0])
			return n >> 10
		}
	}
	return 0
}

func TestInstallFlood(t *testing.T) {
	t.Parallel()
	strangers := storagetest.Rounds(16, 200)
	lasts := time.Duration(storagetest.Rounds(600, 10_000)) * time.Millisecond
	for name, attack := range map[string]func(*flood, context.Context, int, int){"starts": (*flood).start,
		"codes": (*flood).code} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(t *testing.T, w *world) {
				w.breaches = true // codes that Slack does not know
				w.start(0, nil)
				r, err := w.startProcess(map[string]string{"LOG_LEVEL": "info"})
				if err != nil {
					t.Fatal(err)
				}
				w.slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Delay: 300 * time.Millisecond}) // as Slack may take
				began := peakMemory(t, r.process)
				f := &flood{w: w, to: r.public.String(),
					client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: strangers},
						Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
				defer f.client.CloseIdleConnections()

				ctx, end := context.WithTimeout(t.Context(), lasts)
				defer end()
				var all sync.WaitGroup
				for i := range strangers {
					all.Go(func() {
						for n := 0; ctx.Err() == nil; n++ {
							attack(f, ctx, i%8, n)
						}
					})
				}
				s := w.sender(newLedger(t))
				all.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						s.deliver(f.to, fmt.Sprintf("Ev%s-%d", s.run, i), i%20)
						select {
						case <-time.After(10 * time.Millisecond):
						case <-ctx.Done():
						}
					}
				})
				select {
				case <-time.After(lasts / 3): // into the middle of it
				case <-ctx.Done():
				}
				waited := time.Now()
				if a := w.patient(slacksim.AcmeAdmin); a.status != http.StatusOK {
					t.Errorf("a person who installs meanwhile: %d", a.status)
				}
				real := time.Since(waited)
				all.Wait()
				w.holds(f, s, r, flooded{lasts: lasts, real: real, began: began})
			})
		})
	}
}

// patient is somebody who installs, and reloads the page for as long as it says that too many others do.
func (w *world) patient(userID string) (a answer) {
	b := w.browser()
	back := b.consent(b.begin("/slack/install"), userID, slacksim.Choice{})
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for range 10 {
		if a = b.get(back); a.status != http.StatusServiceUnavailable {
			return a
		}
		<-again.C
	}
	return a
}

// flooded is what was measured from outside.
type flooded struct {
	lasts, real time.Duration
	began       int // MB
}

// holds fails the test when the flood cost what it must not, and prints what it cost.
func (w *world) holds(f *flood, s *sender, r *replica, m flooded) {
	t := w.t
	t.Helper()
	db := w.sql()
	defer db.Close()
	var rows int
	if err := db.QueryRow("SELECT count(*) FROM install_attempts").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	// The last strangers hung up while their codes were still on the way to Slack.
	eventually(t, "a call for each row", func() bool { return len(w.slack.Calls("oauth.v2.access")) >= rows })
	calls, malformed := 0, 0
	for _, c := range w.slack.Calls("oauth.v2.access") {
		if calls++; strings.Contains(c.Form.Get("code"), "malformed") {
			malformed++
		}
	}
	// What installs may ask: a burst, and four a second. A row is one that was asked for.
	if most := 62 + 4*int(m.lasts/time.Second+2); calls > most || rows > calls || malformed > 0 {
		t.Errorf("%d calls to Slack, %d of them with codes that can't be one, and %d rows; at most %d, 0 and as many as "+
			"calls", calls, malformed, rows, most)
	}
	if s.percentile(1) > 3*time.Second || len(s.other) > 0 || f.odd.Load() > 0 {
		t.Errorf("worst acknowledgement %v, others %v, %d odd answers to strangers", s.percentile(1), s.other, f.odd.Load())
	}
	if m.real > 8*time.Second {
		t.Errorf("a person's install took %v", m.real)
	}
	peak := peakMemory(t, r.process)
	if peak > m.began+200 {
		t.Errorf("memory grew from %d to %d MB", m.began, peak)
	}
	t.Logf("%s: %d requests of strangers in %v, %d rows, %d codes presented to Slack; memory %d MB, before %d MB; %d "+
		"events, worst acknowledgement %v, median %v; a real install took %v",
		t.Name(), f.asked.Load(), m.lasts, rows, calls, peak, m.began, len(s.took), s.percentile(1).Round(time.Millisecond),
		s.percentile(.5).Round(time.Millisecond), m.real.Round(time.Millisecond))
}
