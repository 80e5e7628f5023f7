package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"switchboard/bot"
	"switchboard/commands"
	"switchboard/install/connection"
	"switchboard/slacksim"
	"switchboard/storage"
	"switchboard/storage/seal"
	"switchboard/storage/storagetest"
)

// benchApp is the program on a fresh database, with nothing running yet; it is closed with the benchmark.
func benchApp(b *testing.B, database string) *app {
	b.Helper()
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		b.Fatal(err)
	}
	db, err := storage.Open(b.Context(), database, keys)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	a, err := newApp(appConfig{app: commands.App(), clientID: "1.2", clientSecret: "s", signingSecrets: []connection.Secret{"s"},
		slackURL: "http://127.0.0.1:1", publicURL: "http://127.0.0.1:2", db: db, log: newLogger(io.Discard, 8, "json")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(a.close)
	return a
}

// A whole /connection command through the program's own routes: signature, look-up in the database, answer. Slack is not
// asked: help needs no live answer.
func BenchmarkCommandRoundTrip(b *testing.B) {
	for name, address := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite, "postgres": storagetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			ctx := context.Background()
			a := benchApp(b, address(b))
			db := a.cfg.db
			c := connection.Connection{Key: connection.Key{AppID: "A1", TeamID: "T1"}, TokenPair: connection.TokenPair{Token: "xoxb-0-bench"}, State: connection.Active, InstalledAt: time.Now()}
			if _, _, err := db.Put(ctx, c); err != nil {
				b.Fatal(err)
			}
			door := a.public()
			body := []byte(url.Values{"command": {"/connection"}, "text": {"help"}, "team_id": {"T1"}, "user_id": {"U1"}, "channel_id": {"C1"}, "api_app_id": {"A1"}}.Encode())
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/slack/events", bytes.NewReader(body))
				now := time.Now().Unix()
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.Header.Set("X-Slack-Request-Timestamp", strconv.FormatInt(now, 10))
				r.Header.Set("X-Slack-Signature", slacksim.Sign("s", now, body))
				w := httptest.NewRecorder()
				door.ServeHTTP(w, r)
				if w.Code != http.StatusOK || w.Body.Len() == 0 {
					b.Fatal(w.Code)
				}
			}
		})
	}
}

// How long from the start of the demo until its first page is answered, compiling and downloading left out.
func BenchmarkDemoFirstPage(b *testing.B) {
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		d, err := startDemo(ctx, "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		d.cfg.log = newLogger(io.Discard, 8, "json")
		a, err := newApp(d.cfg)
		if err != nil {
			b.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- a.run(ctx) }()
		for _, page := range []string{d.slack.URL(), d.cfg.publicURL} {
			resp, err := http.Get(page + "/")
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Fatal(resp.Status)
			}
		}
		b.StopTimer()
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := errors.Join(<-ended, d.close()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// How long an event takes from its request to its handler when nothing else is going on, with the commit in between.
func BenchmarkEventToHandler(b *testing.B) {
	for name, address := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite, "postgres": storagetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			began := make(chan time.Time, 1)
			was := handlersOf
			defer func() { handlersOf = was }()
			handlersOf = func() []bot.Handler {
				return append(commands.All(), bot.OnEvent("bench", func(context.Context, *bot.Turn, *struct{}) error { began <- time.Now(); return nil }).Always())
			}
			ctx, cancel := context.WithCancel(context.Background())
			a := benchApp(b, address(b))
			ended := make(chan error, 1)
			go func() { ended <- a.bot.Run(ctx) }()
			door := a.public()
			run := time.Now().UnixNano()
			var toHandler, toAck []time.Duration
			for b.Loop() {
				body := fmt.Appendf(nil, `{"type":"event_callback","api_app_id":"A1","team_id":"T1","event_id":"Ev%d-%d","event_time":1,"event":{"type":"bench"}}`, run, len(toAck))
				r := httptest.NewRequest(http.MethodPost, "/slack/events", bytes.NewReader(body))
				now := time.Now().Unix()
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("X-Slack-Request-Timestamp", strconv.FormatInt(now, 10))
				r.Header.Set("X-Slack-Signature", slacksim.Sign("s", now, body))
				w := httptest.NewRecorder()
				start := time.Now()
				door.ServeHTTP(w, r)
				toAck = append(toAck, time.Since(start))
				toHandler = append(toHandler, (<-began).Sub(start))
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
			for what, took := range map[string][]time.Duration{"handler": toHandler, "ack": toAck} {
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs-to-"+what)
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs-to-"+what)
			}
			cancel()
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
		})
	}
}
