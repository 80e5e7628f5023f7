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

// RehearsedLease is for how long an event of an app under test is lent. It is the longest that INBOX_LEASE takes,
// because nobody else is there to take the event, and a test's clock jumps.
const RehearsedLease = 10 * time.Minute

const settleEvery = 2 * time.Millisecond

// Rehearsal is what an app under test runs in.
type Rehearsal struct {
	Listener net.Listener // of the app
	Folder   string       // of its database
	World    func(*slacksim.Sim)
	Clock    slacksim.Clock // of both, without a monotonic reading: the database's is to follow where it jumps
	Log      *slog.Logger
}

// Rehearsed is an app that is ready to run in a small Slack of its own.
type Rehearsed struct {
	Slack   *slacksim.Sim
	Serving <-chan struct{} // closed when it takes requests
	server  *server.Server
	cfg     server.Config
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

	cfg := simulatedConfig(slack, r.Listener, r.Folder)
	cfg.Log, cfg.Clock, cfg.Bot.Lease = r.Log, r.Clock.Now, RehearsedLease
	a.Fill(&cfg)
	rehearsed := &Rehearsed{Slack: slack, cfg: cfg}
	if err := rehearsed.prepare(); err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return nil, errors.Join(err, slack.Close(ctx))
	}
	return rehearsed, nil
}

// prepare puts the app together.
func (r *Rehearsed) prepare() (err error) {
	serving := make(chan struct{})
	r.cfg.Serving = func() { close(serving) }
	r.Serving = serving
	r.server, err = server.New(r.cfg)
	return err
}

// Again makes an app that has run ready to run another time: at the same address, with the same database.
func (r *Rehearsed) Again() (err error) {
	if r.cfg.Listener, err = net.Listen("tcp", r.cfg.Listener.Addr().String()); err != nil {
		return err
	}
	return r.prepare()
}

// Run runs the app until ctx ends.
func (r *Rehearsed) Run(ctx context.Context) error { return r.server.Run(ctx) }

// Settle waits until the app has worked all that came in and every timer that is due. It looks every few milliseconds.
func (r *Rehearsed) Settle(ctx context.Context) error {
	look := time.NewTicker(settleEvery)
	defer look.Stop()
	for {
		// What Slack still delivers comes first: the app keeps it before it acknowledges.
		err := r.Slack.Settle(ctx)
		idle := false
		if err == nil {
			idle, err = r.server.Idle(ctx)
		}
		if idle || err != nil {
			return err
		}

		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}
