package cli

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/slacksim"
)

// Rehearsal is what an app under test runs in.
type Rehearsal struct {
	Listener net.Listener // of the app
	Folder   string       // of its database
	World    func(*slacksim.Sim)
	Clock    slacksim.Clock // of both
	Log      *slog.Logger
}

// Rehearsed is an app that is ready to run in a small Slack of its own.
type Rehearsed struct {
	Slack   *slacksim.Sim
	Serving <-chan struct{} // closed when it takes requests
	server  *server.Server
}

// Rehearse starts a small Slack and puts the app together in it. Nothing of the app runs yet.
func (a App) Rehearse(r Rehearsal) (*Rehearsed, error) {
	simulated, err := a.simApp("http://" + r.Listener.Addr().String())
	if err != nil {
		return nil, err
	}
	slack := slacksim.New(slacksim.Config{App: simulated, Clock: r.Clock})
	r.World(slack)
	if err := slack.Start("127.0.0.1:0"); err != nil {
		return nil, err
	}

	serving := make(chan struct{})
	cfg := simulatedConfig(slack, r.Listener, r.Folder)
	cfg.Log, cfg.Clock, cfg.Serving = r.Log, r.Clock.Now, func() { close(serving) }
	cfg.Install.Now = r.Clock.Now // the database's is looked at once a minute, by which a test's has moved
	a.Fill(&cfg)
	run, err := server.New(cfg)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return nil, errors.Join(err, slack.Close(ctx))
	}
	return &Rehearsed{Slack: slack, Serving: serving, server: run}, nil
}

// Run runs the app until ctx ends.
func (r *Rehearsed) Run(ctx context.Context) error { return r.server.Run(ctx) }
