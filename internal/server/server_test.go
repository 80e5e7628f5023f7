package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// config is a Server's without a door of its own.
func config(t *testing.T) Config {
	folder := t.TempDir()
	return Config{
		Install: install.Config{App: install.App{Name: "Test"}, ClientID: "1.2", ClientSecret: "s",
			PublicURL: "http://127.0.0.1:1"},
		Bot: bot.Config{SigningSecrets: []connection.Secret{"s"}},
		Database: Database{
			URL:     connection.Secret("sqlite:" + filepath.Join(folder, "test.db")),
			DataDir: folder,
		},
		Log: slog.New(slog.DiscardHandler),
	}
}

// within waits for what is expected, and fails the test when it doesn't come.
func within[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// Nobody is let in before there is somebody to answer; a stop lets nobody in any more, waits for those who are
// inside, and ends the app's own work after them.
func TestOrderOfStartAndStop(t *testing.T) {
	t.Parallel()
	began, inside, release := make(chan bool, 1), make(chan bool, 1), make(chan bool)
	worked, ended, slow := make(chan bool, 1), make(chan error, 1), make(chan int, 1)
	cfg := config(t)
	cfg.Routes = map[string]http.Handler{"GET /slow": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		inside <- true
		<-release
		_, _ = io.WriteString(w, "done")
	})}
	cfg.Background = []func(context.Context) error{func(ctx context.Context) error {
		began <- true
		<-ctx.Done()
		worked <- true
		return ctx.Err() // that it was told to end is no failure
	}}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path string) int {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code
	}

	if code := ask("/"); code != http.StatusServiceUnavailable {
		t.Errorf("before Run: %d", code)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { ended <- s.Run(ctx) }()
	within(t, "the app's own work to begin", began)
	if code := ask("/"); code != http.StatusOK {
		t.Errorf("while it serves: %d", code)
	}

	go func() { slow <- ask("/slow") }()
	within(t, "a request to be inside", inside)
	stop()
	for end := time.Now().Add(patience); ask("/") != http.StatusServiceUnavailable; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("people are let in after the stop")
		}
	}
	select {
	case <-worked:
		t.Error("the app's own work ended before the last request")
	case err := <-ended:
		t.Errorf("Run returned %v before the last request", err)
	default:
	}
	close(release)
	if code := within(t, "the request that was inside", slow); code != http.StatusOK {
		t.Errorf("the request that was inside: %d", code)
	}
	within(t, "the app's own work to end", worked)
	if err := within(t, "Run to return", ended); err != nil {
		t.Error(err)
	}
}

// What is missing is said at once, all of it; a token given by hand needs less.
func TestWhatNothingWorksWithout(t *testing.T) {
	t.Parallel()
	byHand := install.Config{BotToken: "xoxb-1"}
	for want, cfg := range map[string]Config{
		"SLACK_CLIENT_ID SLACK_CLIENT_SECRET PUBLIC_URL SLACK_SIGNING_SECRET ENCRYPTION_KEYS": {},
		"SLACK_SIGNING_SECRET ENCRYPTION_KEYS":                                                {Install: byHand},
		"ENCRYPTION_KEYS": {Install: byHand,
			Bot: bot.Config{AppToken: "xapp-1"}},
		"": {Install: byHand, Bot: bot.Config{AppToken: "xapp-1"}, Database: Database{URL: "sqlite:a.db"}},
		"SLACK_APP_ID": {Install: byHand, Database: Database{URL: "sqlite:a.db"},
			Bot: bot.Config{AppToken: "xapp-1", Handlers: []bot.Handler{bot.OnShortcut("new", nil)}}},
		"PUBLIC_URL": {
			Install:  install.Config{ClientID: "1.2", ClientSecret: "s", PublicURL: "http://bot.example.com"},
			Bot:      bot.Config{AppToken: "xapp-1"},
			Database: Database{URL: "postgres://a/b", Keys: "k"},
		},
	} {
		var wrong *ConfigError
		var got []string
		if errors.As(cfg.check(), &wrong) {
			for _, p := range wrong.Problems {
				got = append(got, p.Setting)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}

// Work that fails or panics stops the server, which says why.
func TestFailedBackgroundStops(t *testing.T) {
	t.Parallel()
	for says, run := range map[string]func(context.Context) error{
		"out of coffee": func(context.Context) error { return errors.New("out of coffee") },
		"panic: oh":     func(context.Context) error { panic("oh") },
	} {
		cfg := config(t)
		cfg.Background = []func(context.Context) error{func(context.Context) error { return nil }, run}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Run(t.Context()) }()
		if err := within(t, "the end", ended); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// What is ours stays ours, and what can't be a route is said before anything starts.
func TestRoutesBesideOurs(t *testing.T) {
	t.Parallel()
	page := http.NotFoundHandler()
	for pattern, h := range map[string]http.Handler{
		"/": page, "GET /{$}": page, "/slack/install": page, "POST /slack/events": page, "/slack": page, "/{any...}": page,
		"GET /{any}/install": page, "example.com/page": page, "page": page, "": page, "/page": nil, "/a/{x": page,
	} {
		cfg := config(t)
		cfg.Routes = map[string]http.Handler{pattern: h}
		if _, err := New(cfg); err == nil {
			t.Errorf("%q is taken", pattern)
		}
	}
	cfg := config(t)
	cfg.Routes = map[string]http.Handler{"/page": page, "GET /page/{id}": page, "/slackers/": page}
	if _, err := New(cfg); err != nil {
		t.Error(err)
	}
}

// Events in memory are for measuring. Handlers of timers don't keep the server from that, and theirs wait.
func TestMemoryInboxFiresNoTimer(t *testing.T) {
	t.Parallel()
	cfg, began, ended := config(t), make(chan bool, 1), make(chan error, 1)
	cfg.MemoryInbox = true
	cfg.Bot.Handlers = []bot.Handler{
		bot.OnTimer("later", func(context.Context, *bot.Timer) error { return nil }),
		bot.Every(time.Hour, func(context.Context, *bot.Timer) error { return nil }),
	}
	cfg.Background = []func(context.Context) error{func(ctx context.Context) error {
		began <- true
		<-ctx.Done()
		return nil
	}}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { ended <- s.Run(ctx) }()
	select {
	case <-began:
	case err := <-ended:
		t.Fatal(err)
	}
	stop()
	if err := within(t, "Run to return", ended); err != nil {
		t.Error(err)
	}
}
