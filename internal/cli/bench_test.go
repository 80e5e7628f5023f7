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

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/commands"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// benchDoor is the program's door on a fresh database with one connection, its workers running; it ends with the
// benchmark.
func benchDoor(b *testing.B, address string) http.Handler {
	b.Helper()
	database := server.Database{URL: connection.Secret(address), DataDir: b.TempDir(),
		Keys: connection.Secret(seal.NewKey())}
	keys, err := database.Keyring()
	if err != nil {
		b.Fatal(err)
	}
	db, err := database.Open(b.Context(), keys)
	if err != nil {
		b.Fatal(err)
	}
	c := connection.Connection{Key: connection.Key{AppID: "A1", TeamID: "T1"},
		TokenPair: connection.TokenPair{Token: "xoxb-0-bench"}, State: connection.Active, InstalledAt: time.Now()}
	if _, err = db.Migrate(b.Context()); err == nil {
		_, _, err = db.Put(b.Context(), c)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		b.Fatal(err)
	}

	serving, ended := make(chan struct{}), make(chan error, 1)
	cfg := server.Config{
		Install: install.Config{ClientID: "1.2", ClientSecret: "s",
			SlackURL: "http://127.0.0.1:1", PublicURL: "http://127.0.0.1:2"},
		Bot:      bot.Config{SigningSecrets: []connection.Secret{"s"}},
		Database: database,
		Log:      newLogger(io.Discard, 8, "json"),
		Serving:  func() { close(serving) },
	}
	ours().Fill(&cfg)
	s, err := server.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- s.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	select {
	case <-serving:
	case err := <-ended:
		b.Fatal(err)
	}
	return s.Handler()
}

// A whole /connection command through the program's own routes: signature, look-up in the database, answer. Slack is
// not asked: help needs no live answer.
func BenchmarkCommandRoundTrip(b *testing.B) {
	for name, address := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			door := benchDoor(b, address(b))
			body := []byte(url.Values{"command": {"/connection"}, "text": {"help"}, "team_id": {"T1"}, "user_id": {"U1"},
				"channel_id": {"C1"}, "api_app_id": {"A1"}}.Encode())
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
		d, err := ours().startDemo("127.0.0.1:0", nil)
		if err != nil {
			b.Fatal(err)
		}
		d.cfg.Log = newLogger(io.Discard, 8, "json")
		ended := make(chan error, 1)
		go func() { ended <- d.run(ctx) }()
		for _, page := range []string{d.slack.URL(), d.cfg.Install.PublicURL} {
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
	for name, address := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			began := make(chan time.Time, 1)
			was := handlersOf
			defer func() { handlersOf = was }()
			handlersOf = func() []bot.Handler {
				return append(commands.All(), bot.OnEvent("bench", func(context.Context, *bot.Event[struct{}]) error {
					began <- time.Now()
					return nil
				}, bot.WithoutConnection()))
			}
			door := benchDoor(b, address(b))
			run := time.Now().UnixNano()
			var toHandler, toAck []time.Duration
			for b.Loop() {
				body := fmt.Appendf(nil,
					`{"type":"event_callback","api_app_id":"A1","team_id":"T1","event_id":"Ev%d-%d","event_time":1,"event":{"type":"bench"}}`, run, len(toAck))
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
		})
	}
}
