package server

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// In a database that several apps share, and after a removal: each app has its own workspaces, and those that are
// there.
func TestWorkspacesOfThisAppAlone(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Database.Keys = connection.Secret(seal.NewKey())
	cfg.Install.AppID, cfg.Workspaces = "A1", &Workspaces{}
	serving := make(chan bool, 1)
	cfg.Serving = func() { serving <- true }
	ours, others := connection.Key{AppID: "A1", TeamID: "T1"}, connection.Key{AppID: "A2", TeamID: "T1"}
	removed := connection.Key{AppID: "A1", TeamID: "T2"}

	db, err := cfg.Database.openToServe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	for k, state := range map[connection.Key]connection.State{
		ours: connection.Active, others: connection.Active, removed: connection.Removed,
	} {
		c := connection.Connection{
			Key: k, State: state, InstalledBy: "U1", InstalledAt: at, AuthorizedBy: "U1", AuthorizedAt: at,
			TokenPair: connection.TokenPair{Token: connection.Secret("xoxb-" + k.String())},
		}
		if _, _, err := db.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	within(t, "the app to serve", serving)
	list, err := cfg.Workspaces.List(ctx)
	if err != nil || len(list) != 1 || list[0].Key != ours || list[0].Token != "" {
		t.Errorf("%+v, %v", list, err)
	}
	if client, err := cfg.Workspaces.Client(ctx, ours); client == nil || err != nil {
		t.Errorf("ours: %v", err)
	}
	for _, k := range []connection.Key{others, removed} {
		if client, err := cfg.Workspaces.Client(ctx, k); client != nil || !errors.Is(err, connection.ErrNotConnected) {
			t.Errorf("%s: %v", k, err)
		}
	}

	// With a token given by hand there is one, whatever the database still has.
	s.only = &connection.Key{AppID: "A1", TeamID: "T9"}
	if list, err := cfg.Workspaces.List(ctx); err != nil || len(list) != 0 {
		t.Errorf("besides the one: %+v, %v", list, err)
	}
	if _, err := cfg.Workspaces.Client(ctx, ours); !errors.Is(err, connection.ErrNotConnected) {
		t.Errorf("besides the one: %v", err)
	}
	stop()
	if err := within(t, "Run to return", ended); err != nil {
		t.Error(err)
	}
}
