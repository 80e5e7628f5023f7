package main

// The stage for one run of `switchboard serve`: a database and a folder of its own, a small Slack, and the app
// installed in its workspaces through the real pages. When it is taken down, nothing is left.

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// public is where browsers would find the app. Nobody listens there: the pages are asked for at the real address under
// this name, so that no port has to be guessed before serve has one.
const public = "http://127.0.0.1:1"

// closers are undone in reverse.
type closers []func() error

func (c *closers) add(f func() error) { *c = append(*c, f) }

func (c *closers) close() error {
	var err error
	for i := len(*c) - 1; i >= 0; i-- {
		err = errors.Join(err, (*c)[i]())
	}
	*c = nil
	return err
}

// stage is a server that is ready to be driven.
type stage struct {
	closers
	server     *child
	secret     connection.Secret
	appID      string
	workspaces []workspace
}

// newStage has a stage built in a folder of its own. What a failure leaves half built is taken down.
func newStage(build func(s *stage, folder string) error) (*stage, error) {
	s := &stage{appID: "A0SWITCHBD", secret: connection.Secret(rand.Text())}
	folder, err := s.folder("")
	if err == nil {
		err = build(s, folder)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// start runs a program, which ends with the stage.
func (s *stage) start(ctx context.Context, folder string, env []string, name string, args ...string) (err error) {
	if s.server, err = startChild(ctx, folder, env, name, args...); err == nil {
		s.add(s.server.stop)
	}
	return err
}

// bareStage starts this program's own bare handler.
func bareStage(ctx context.Context, program string, teams int) (*stage, error) {
	return newStage(func(s *stage, folder string) error {
		s.workspaces = someWorkspaces(teams)
		env := settings(map[string]string{"SLACK_SIGNING_SECRET": s.secret.Reveal()})
		return s.start(ctx, folder, env, program, "bare", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	})
}

// serveStage starts program serve on the database with the app installed in so many workspaces.
func serveStage(ctx context.Context, program, database string, teams int) (*stage, error) {
	return newStage(func(s *stage, folder string) error {
		slack, err := s.slack()
		if err != nil {
			return err
		}
		inbox := "database"
		if database == inMemory {
			database, inbox = "sqlite:", "memory"
		}
		address, err := s.database(ctx, database)
		if err != nil {
			return err
		}

		env := serveSettings(slack, folder, address, inbox)
		if !strings.HasPrefix(address, "sqlite:") {
			migrate := exec.CommandContext(ctx, program, "migrate", "up")
			migrate.Dir, migrate.Env = folder, env
			if out, err := migrate.CombinedOutput(); err != nil {
				return fmt.Errorf("migrate up: %w\n%s", err, out)
			}
		}
		if err := s.start(ctx, folder, env, program, "serve"); err != nil {
			return err
		}

		s.workspaces = someWorkspaces(teams)
		for i := range s.workspaces {
			if err := installIn(ctx, slack, s.server.listen, &s.workspaces[i]); err != nil {
				return fmt.Errorf("install in workspace %d: %w", i+1, err)
			}
		}
		return nil
	})
}

// slack starts a small Slack that knows the app.
func (s *stage) slack() (*slacksim.Sim, error) {
	slack := slacksim.New(slacksim.Config{App: slacksim.App{
		ID: s.appID, Name: "Switchboard", ClientID: "1000000000001.2000000000002", ClientSecret: rand.Text(),
		SigningSecret: s.secret.Reveal(), RedirectURLs: []string{public + "/slack/oauth_redirect"},
		HomeTab: true, MessagesTab: true, TokenRotation: true,
	}})
	s.add(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return slack.Close(ctx)
	})
	return slack, slack.Start("127.0.0.1:0")
}

// serveSettings are those that serve needs for this Slack, on the database at an address.
func serveSettings(slack *slacksim.Sim, folder, address, inbox string) []string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	app := slack.App()
	return settings(map[string]string{
		"SLACK_CLIENT_ID": app.ClientID, "SLACK_CLIENT_SECRET": app.ClientSecret, "SLACK_SIGNING_SECRET": app.SigningSecret,
		"SLACK_APP_ID": app.ID, "SLACK_URL": slack.URL(), "PUBLIC_URL": public,
		"LISTEN_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0", "LOG_LEVEL": "info", "LOG_FORMAT": "json",
		"INBOX": inbox, "DATABASE_URL": address, "DATA_DIR": filepath.Join(folder, "data"),
		"ENCRYPTION_KEYS": base64.StdEncoding.EncodeToString(key),
	})
}

// folder makes a temporary folder, in the system's place for them when in is empty.
func (s *stage) folder(in string) (string, error) {
	folder, err := os.MkdirTemp(in, "switchboard-load-")
	if err != nil {
		return "", fmt.Errorf("make temporary folder: %w", err)
	}
	s.add(func() error { return os.RemoveAll(folder) })
	return folder, nil
}

// database makes an empty database where wanted says, and returns its address. What is there already is not touched.
func (s *stage) database(ctx context.Context, wanted string) (string, error) {
	if path, ok := strings.CutPrefix(wanted, "sqlite:"); ok {
		in, name := path, "switchboard.db"
		if info, err := os.Stat(path); path != "" && err != nil {
			in, name = filepath.Split(path)
			in = filepath.Clean(in)
		} else if path != "" && !info.IsDir() {
			return "", usage("--database: %s exists, and only new databases are driven; name a folder or a new file", path)
		}
		folder, err := s.folder(in)
		return "sqlite:" + filepath.Join(folder, name), err
	}

	u, err := url.Parse(wanted)
	if err != nil {
		return "", usage("--database: not an address like postgres://…") // it may hold a password, so it is not shown
	}
	schema := "load_" + strings.ToLower(rand.Text())
	if err := execute(ctx, wanted, "CREATE SCHEMA "+schema); err != nil {
		return "", err
	}
	s.add(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		return execute(ctx, wanted, "DROP SCHEMA "+schema+" CASCADE")
	})
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

func execute(ctx context.Context, server, statement string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// installIn adds a workspace with one person in it, who installs the app with a browser that is sent to the server's
// real address.
func installIn(ctx context.Context, slack *slacksim.Sim, listen string, w *workspace) error {
	slack.AddWorkspace(slacksim.Workspace{ID: w.team, Name: "Workspace " + w.team})
	slack.AddUser(slacksim.User{ID: w.user, TeamID: w.team, Name: "user" + strings.ToLower(w.user), Admin: true})
	slack.AddChannel(slacksim.Channel{ID: w.channel, TeamID: w.team, Name: "general", Members: []string{w.user}})
	w.dm = slack.DM(w.user)

	browser := http.Client{Timeout: startBudget, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(path string, cookies []*http.Cookie, want int) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+path, nil)
		if err != nil {
			return nil, err
		}
		req.Host = strings.TrimPrefix(public, "http://")
		req.Header.Set("Accept", "text/html")
		for _, c := range cookies {
			req.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
		resp, err := browser.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != want {
			page, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
			return nil, fmt.Errorf("HTTP %d instead of %d: %s", resp.StatusCode, want, page)
		}
		return resp, nil
	}

	start, err := get("/slack/install", nil, http.StatusFound)
	if err != nil {
		return err
	}
	back, err := slack.Authorize(ctx, start.Header.Get("Location"), w.user, slacksim.Choice{})
	if err != nil {
		return err
	}
	callback, err := url.Parse(back)
	if err != nil {
		return err
	}
	if _, err := get(callback.RequestURI(), start.Cookies(), http.StatusOK); err != nil {
		return err
	}

	in, ok := slack.Installed(w.team)
	if !ok {
		return errors.New("the pages said that it worked, and Slack does not know of it")
	}
	w.botUser = in.BotUserID
	if err := slack.Invite(ctx, w.user, w.channel, w.botUser); err != nil {
		return err
	}
	// The mentions that are sent are in nobody's channel. Their answers go into a thread that is.
	w.thread, err = slack.Say(ctx, w.user, w.channel, "The load comes here.")
	return err
}
