package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// load calls the program as main does.
func load(t *testing.T, getenv func(string) string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = exitCode(&errs, run(t.Context(), args, getenv, &out, &errs))
	for _, text := range []string{out.String(), errs.String()} {
		if strings.Contains(text, secret) {
			t.Errorf("the signing secret is printed by load %v", args)
		}
	}
	return out.String(), errs.String(), code
}

func withSecret(name string) string {
	return map[string]string{"SLACK_SIGNING_SECRET": secret + ", the-next-one"}[name]
}

func TestWrongCalls(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"--url http://192.0.2.1:3000/slack/events", "not this machine"},
		{"--url http://slack.com/slack/events", "not this machine"},
		{"--url http://0.0.0.0:3000/slack/events", "not this machine"},
		{"--url http://127.0.0.1.example.com/", "not this machine"},
		{"--url http://127.0.0.1@example.com/", "not an address"},
		{"--url https://127.0.0.1/", "not an address"},
		{"--admin http://[2001:db8::1]:3001", "not this machine"},
		{"bare --listen 0.0.0.0:3000", "not an address of this machine"},
		{"bare --admin example.com:3000", "not an address of this machine"},
		{"--count 5000001", "more than 5000000"},
		{"--duration 11m", "not within 10m"},
		{"--mode open --rate 20000 --duration 10m", "more than 5000000"},
		{"--mode sideways", "closed"},
		{"--event app_uninstalled", "app_mention"},
		{"--commands 101", "no percentage"},
		{"--duplicates=-1", "no percentage"},
		{"--app-id nonsense", "not an id"},
		{"--secret x", "unknown flag"},
	} {
		if out, errs, code := load(t, withSecret, strings.Fields(c.args)...); code != 2 || !strings.Contains(errs, c.says) ||
			out != "" {
			t.Errorf("load %s: exit %d: %s%s", c.args, code, errs, out)
		}
	}
	if _, errs, code := load(t, func(string) string { return "" }, "--count", "1"); code != 2 ||
		!strings.Contains(errs, "SLACK_SIGNING_SECRET is not set") {
		t.Errorf("without a secret: exit %d: %s", code, errs)
	}
	if out, _, code := load(t, withSecret, "--help"); code != 0 || !strings.Contains(out, "bare") {
		t.Errorf("--help: exit %d: %s", code, out)
	}
}

// A name can be given any address by those who own it.
func TestDialRefusesWhatIsElsewhere(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		own, ok := a.(*net.IPNet)
		if !ok || own.IP.IsLoopback() || own.IP.To4() == nil {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(own.IP.String(), "0"))
		if err != nil {
			continue
		}
		defer l.Close()
		if _, err := dialTo(l.Addr().String())(t.Context()); err == nil ||
			!strings.Contains(err.Error(), "not on this machine") {
			t.Errorf("dial %s: %v", l.Addr(), err)
		}
		return
	}
	t.Skip("this machine has no other address")
}

// bare and drive, as they are called.
func TestBareIsDriven(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	log := &childLog{serving: make(chan []byte, 1)}
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"bare", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, withSecret, io.Discard, log)
	}()
	var at struct{ Listen, Admin string }
	select {
	case line := <-log.serving:
		if err := json.Unmarshal(line, &at); err != nil {
			t.Fatal(err)
		}
	case err := <-ended:
		t.Fatal(err)
	}
	to := []string{"--url", "http://" + at.Listen + "/slack/events", "--admin", "http://" + at.Admin, "--warmup", "10ms",
		"--settle", "0", "--connections", "4"}
	for _, mode := range []string{"closed", "open"} {
		out, errs, code := load(t, withSecret, append(to, "--mode", mode, "--count", "500", "--commands", "20",
			"--duplicates", "50", "--json")...)
		var r result
		if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
			t.Fatalf("%s: exit %d, %v: %s", mode, code, err, errs)
		}
		if r.Sent != 500 || r.OK != 500 || r.Commands != 100 || r.Duplicates < 190 || r.Payload != 1536 || r.PerSecond <= 0 ||
			r.P50 <= 0 || r.P50 > r.P95 || r.P95 > r.P99 || r.P99 > r.Max || r.MemoryPeak < 1e6 || r.Objects < 1 {
			t.Errorf("%s: %+v", mode, r)
		}
	}
	if out, errs, code := load(t, withSecret, append(to, "--count", "100")...); code != 0 ||
		!strings.Contains(out, "200: 100   503: 0   other: 0   errors: 0") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	_, errs, code := load(t, func(string) string { return "another" }, append(to, "--count", "10")...)
	if code != 1 || !strings.Contains(errs, "HTTP 401") {
		t.Errorf("with another secret: exit %d: %s", code, errs)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("bare ended with %v", err)
	}
	if _, errs, code := load(t, withSecret, append(to, "--count", "10")...); code != 1 ||
		!strings.Contains(errs, "connect to the server") {
		t.Errorf("without a server: exit %d: %s", code, errs)
	}
}

// Anything but a 200 is a failure; a 503 need not be.
func TestRefusalsAreTold(t *testing.T) {
	var mu sync.Mutex
	n := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/slack/events", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%4 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w,
			"# HELP x y\nprocess_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 2.5e+07\nother{a=\"b c\"} 3\n")
	})
	mux.HandleFunc("/silent/metrics", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "other 3\n") })
	server := httptest.NewServer(mux)
	defer server.Close()
	to := []string{"--url", server.URL + "/slack/events", "--warmup", "0", "--settle", "0", "--count", "100", "--admin",
		server.URL}
	out, errs, code := load(t, withSecret, to...)
	if code != 1 || !strings.Contains(out, "200: 75   503: 25") || !strings.Contains(errs, "of 100 requests 25 were not "+
		"acknowledged") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := load(t, withSecret, append(to, "--allow-503")...); code != 0 ||
		!strings.Contains(out, "503: 25") || !strings.Contains(out, "25 MB") {
		t.Errorf("--allow-503: exit %d: %s%s", code, out, errs)
	}
	if _, errs, code := load(t, withSecret, append(to, "--admin", server.URL+"/silent")...); code != 1 ||
		!strings.Contains(errs, "does not say how much") {
		t.Errorf("without numbers: exit %d: %s", code, errs)
	}
}
