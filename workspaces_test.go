package switchboard_test

// What an app's own pages and jobs get of the workspaces: the right one's access or none.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard"
	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// hosted is an app with a page and a job of its own, served by a program that has an http.Server, beside a small Slack.
type hosted struct {
	t      *testing.T
	slack  *slacksim.Sim
	server *switchboard.Server
	public *httptest.Server
	log    logged
	job    chan *switchboard.Workspaces // what the job got
}

const hostedApp = "A0HELLO001"

// newHosted puts it together and runs nothing.
func newHosted(t *testing.T) *hosted {
	h := &hosted{t: t, job: make(chan *switchboard.Workspaces, 1)}
	var app http.Handler // once it is there
	h.public = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { app.ServeHTTP(w, r) }))
	t.Cleanup(h.public.Close)
	h.slack = slacksim.New(slacksim.Config{App: slacksim.App{
		ID: hostedApp, Name: "Hello", ClientID: "123.456", ClientSecret: "client-secret", SigningSecret: "signing-secret",
		RedirectURLs:  []string{h.public.URL + "/slack/oauth_redirect"},
		EventsURL:     h.public.URL + "/slack/events",
		Events:        []string{"app_uninstalled", "tokens_revoked"},
		TokenRotation: true,
	}})
	h.slack.AddSmallWorld()
	if err := h.slack.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.slack.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})

	var err error
	h.server, err = switchboard.New(switchboard.Config{
		App: switchboard.App{
			Name:     "Hello",
			Handlers: []bot.Handler{hello},
			Routes: func(all *switchboard.Workspaces) map[string]http.Handler {
				return map[string]http.Handler{"GET /whose/{team}": whose(all)}
			},
			Background: []func(context.Context, *switchboard.Workspaces) error{
				func(_ context.Context, all *switchboard.Workspaces) error {
					h.job <- all
					return nil
				},
			},
		},
		ClientID: "123.456", ClientSecret: "client-secret", SigningSecrets: []connection.Secret{"signing-secret"},
		AppID: hostedApp, SlackURL: h.slack.URL(), PublicURL: h.public.URL, DataDir: t.TempDir(),
		Log: slog.New(slog.NewJSONHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	app = h.server.Handler()
	return h
}

// whose is a page that says whom Slack takes the app for in a workspace.
func whose(all *switchboard.Workspaces) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, err := all.Client(r.Context(), connection.Key{AppID: hostedApp, TeamID: r.PathValue("team")})
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		me, err := client.AuthTestContext(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, me.TeamID)
	})
}

// run serves until the function that it returns is called.
func (h *hosted) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	h.t.Cleanup(cancel)
	ended := make(chan error, 1)
	go func() { ended <- h.server.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
	}
}

// get asks for a page with a browser's cookies, and follows no redirect.
func (h *hosted) get(jar http.CookieJar, address string) (page, to string) {
	h.t.Helper()
	client := http.Client{Jar: jar, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	resp, err := client.Get(address)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text), resp.Header.Get("Location")
}

// install connects a workspace as its admin does.
func (h *hosted) install(team string) {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	admin, _ := h.slack.Directory.FirstAdmin(team)
	_, consent := h.get(jar, h.public.URL+"/slack/install")
	back, err := h.slack.Authorize(h.t.Context(), consent, admin.ID, slacksim.Choice{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.get(jar, back)
	if _, there := h.slack.Installed(team); !there {
		h.t.Fatal("nothing was installed for", team)
	}
}

func TestPagesAndJobsGetTheRightWorkspace(t *testing.T) {
	t.Parallel()
	h := newHosted(t)
	all := h.server.Workspaces()
	key := func(team string) connection.Key { return connection.Key{AppID: hostedApp, TeamID: team} }
	if _, err := all.List(t.Context()); !errors.Is(err, switchboard.ErrNotServing) {
		t.Errorf("before Run: %v", err)
	}

	stop := h.run()
	select {
	case got := <-h.job:
		if got != all {
			t.Error("a job has other workspaces than the Server")
		}
	case <-time.After(patience):
		t.Fatalf("the job doesn't begin: %s", &h.log)
	}
	h.install(slacksim.Acme)
	h.install(slacksim.Birch)
	list, err := all.List(t.Context())
	if err != nil || len(list) != 2 || list[0].Key != key(slacksim.Acme) || list[1].Key != key(slacksim.Birch) {
		t.Fatalf("connected: %+v, %v", list, err)
	}
	for _, c := range list {
		if c.Token != "" || c.RefreshToken != "" || c.State != connection.Active {
			t.Errorf("%+v", c)
		}
		if page, _ := h.get(nil, h.public.URL+"/whose/"+c.TeamID); page != c.TeamID {
			t.Errorf("the page of %s works with the access of %s", c.TeamID, page)
		}
	}

	for why, k := range map[string]connection.Key{
		"another app":               {AppID: "A0OTHER001", TeamID: slacksim.Acme},
		"no app":                    {TeamID: slacksim.Acme},
		"no workspace":              {AppID: hostedApp},
		"a workspace without it":    key("T0NOBODY01"),
		"an organisation's install": {AppID: hostedApp, EnterpriseID: slacksim.Northwind},
	} {
		if client, err := all.Client(t.Context(), k); client != nil || !errors.Is(err, connection.ErrNotConnected) {
			t.Errorf("%s: %v", why, err)
		}
	}

	if err := h.slack.Admins.Uninstall(t.Context(), slacksim.Acme, slacksim.UninstalledFirst); err != nil {
		t.Fatal(err)
	}
	// The removal is an event, and is worked after Slack was answered: nothing outside tells when.
	for end := time.Now().Add(patience); len(list) != 1; time.Sleep(10 * time.Millisecond) {
		if list, err = all.List(t.Context()); err != nil || time.Now().After(end) {
			t.Fatalf("after the removal: %+v, %v", list, err)
		}
	}
	if _, err := all.Client(t.Context(), key(slacksim.Acme)); !errors.Is(err, connection.ErrNotConnected) {
		t.Errorf("of a removed one: %v", err)
	}

	stop()
	if _, err := all.Client(t.Context(), key(slacksim.Birch)); !errors.Is(err, switchboard.ErrNotServing) {
		t.Errorf("after Run: %v", err)
	}
	said := h.log.String() + fmt.Sprintf("%+v %#v", list, all)
	for _, secret := range h.slack.Secrets() {
		if strings.Contains(said, secret) {
			t.Errorf("a secret was printed: %s", said)
		}
	}
}
