package cli

// demo: the app and a small Slack in one process, for people who want to see it before they trust it.

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/loopback"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/slacksim/web"
	"github.com/switchboard-go/switchboard/storage/seal"
)

type demoCmd struct {
	logFlags
	Addr string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where the small Slack is. If the port is taken, a free one is used. Default: ${default}."`
}

// Run serves until the context ends. Everything is in a temporary folder and gone afterwards.
func (c *demoCmd) Run(env *environment) (err error) {
	s := env.source()
	level, format := c.logFlags.read(s, "warn")
	if host, _, err := net.SplitHostPort(c.Addr); err != nil || !loopback.Is(host) {
		s.bad("--addr", fmt.Sprintf("%q is not an address of this machine", c.Addr),
			"use 127.0.0.1:8080, for example; anybody who can reach the demo can use it")
	}
	if err := s.err(); err != nil {
		return err
	}

	log := newLogger(env.stderr, level, format)
	d, err := env.startDemo(c.Addr, log)
	if err != nil {
		return err
	}

	d.cfg.Log = log
	d.cfg.Serving = func() {
		fmt.Fprintf(env.stdout, "%s's demo is running. Open this address in a browser:\n\n    %s\n\n"+
			"It needs no Slack account and no network. Ctrl-C stops it and leaves nothing behind.\n", env.Name, d.slack.URL())
	}
	return errors.Join(d.run(env.ctx), d.close())
}

// demo is the small Slack with the app's settings for it.
type demo struct {
	slack  *slacksim.Sim
	cfg    server.Config
	folder string
}

// startDemo starts the small Slack and prepares the app's settings; the app itself is for the caller to run. What the
// app does that Slack would refuse goes to log.
func (p *program) startDemo(addr string, log *slog.Logger) (*demo, error) {
	folder, err := os.MkdirTemp("", p.name+"-demo-")
	if err != nil {
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	d := &demo{folder: folder}
	if err := d.start(p, addr, log); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *demo) start(p *program, addr string, log *slog.Logger) error {
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	public := "http://" + listen.Addr().String()
	simulated, err := p.simApp(public, p.DemoHandlers...)
	if err != nil {
		return errors.Join(err, listen.Close())
	}
	var guide []web.Hint
	for _, hint := range p.guide() {
		guide = append(guide, web.Hint(hint))
	}
	d.slack = slacksim.New(slacksim.Config{App: simulated, Pages: web.Pages(guide...), Log: log})
	d.slack.AddLargerWorld()
	if err := d.slack.Start(addr); err != nil {
		host, _, _ := net.SplitHostPort(addr)
		if err = d.slack.Start(net.JoinHostPort(host, "0")); err != nil {
			return errors.Join(fmt.Errorf("start the small Slack: %w", err), listen.Close())
		}
	}

	d.cfg = simulatedConfig(d.slack, listen, d.folder)
	d.cfg.Install.App = install.App{Operator: "you, on this machine"}
	d.cfg.Bot.Handlers, d.cfg.Database.Program = p.DemoHandlers, p.name
	p.Fill(&d.cfg)
	return nil
}

// simulatedConfig is what an app runs with in a small Slack: its credentials, and SQLite in a folder.
func simulatedConfig(slack *slacksim.Sim, listen net.Listener, folder string) server.Config {
	app := slack.App()
	return server.Config{
		Install: install.Config{
			ClientID:     app.ClientID,
			ClientSecret: connection.Secret(app.ClientSecret),
			AppID:        app.ID,
			SlackURL:     slack.URL(),
			PublicURL:    "http://" + listen.Addr().String(),
		},
		Bot: bot.Config{SigningSecrets: []connection.Secret{connection.Secret(app.SigningSecret)}},
		Database: server.Database{
			URL:     connection.Secret("sqlite:" + filepath.Join(folder, "switchboard.db")),
			DataDir: folder,
			Keys:    connection.Secret(seal.NewKey()),
		},
		Listener: listen,
	}
}

// run serves the app of the demo until ctx ends.
func (d *demo) run(ctx context.Context) error {
	s, err := server.New(d.cfg)
	if err != nil {
		return errors.Join(err, d.cfg.Listener.Close())
	}
	return s.Run(ctx)
}

func (d *demo) close() error {
	var err error
	if d.slack != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = d.slack.Close(ctx)
	}
	return errors.Join(err, os.RemoveAll(d.folder))
}

// simApp registers the app, and what the demo has besides, with the small Slack, from a manifest like the real one's.
func (a App) simApp(public string, also ...bot.Handler) (slacksim.App, error) {
	m, err := a.manifest(public, also...)
	if err != nil {
		return slacksim.App{}, err
	}

	app := slacksim.App{ID: "A0SWITCHBD", InstallURL: public + "/",
		ClientID: "1000000000001.2000000000002", ClientSecret: randomHex(), SigningSecret: randomHex()}
	written, err := json.Marshal(m)
	if err != nil {
		return slacksim.App{}, fmt.Errorf("write manifest: %w", err)
	}
	if err := app.SetManifest(written); err != nil {
		return slacksim.App{}, err
	}
	app.EventsUnverified = false // in the demo nobody has to press Verify
	return app, nil
}

func randomHex() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
