package bot_test

// A Bot handles what Slack says of the app's own life. Whoever builds on it registers nothing.

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

func TestUninstallOfABotOfOneHandlerIsNoticed(t *testing.T) {
	t.Parallel()
	onBoth(t, []bot.Handler{echo}, func(t *testing.T, s scene) {
		if err := s.sim.Admins.Uninstall(ctx, slacksim.Acme, slacksim.RevokedFirst); err != nil {
			t.Fatal(err)
		}
		until(t, "the removal", func() bool { return s.row(t).State == connection.Removed })
		if c := s.row(t); c.Token != "" || c.Reason != connection.ReasonUninstalled {
			t.Errorf("it is removed for %q, and its token is %q", c.Reason, c.Token.Reveal())
		}
	})
}

// The app's own handler runs after the Bot's. When it fails only that runs again.
func TestHandlerOfTheAppFollowsTheBots(t *testing.T) {
	t.Parallel()
	var saw atomic.Value
	var runs atomic.Int32
	handlers := []bot.Handler{
		bot.OnEvent("app_uninstalled", func(ctx context.Context, t *bot.Event[struct{}]) error {
			saw.Store(t.Check(ctx).State)
			return nil
		}, bot.Scopes("chat:write")),
		bot.OnEvent("grid_migration_started", func(ctx context.Context, t *bot.Event[struct{}]) error {
			if _, err := t.Say(ctx, bot.Reply{Text: "Moving."}); err != nil {
				return err
			}
			if runs.Add(1) == 1 {
				return errors.New("not yet")
			}
			return nil
		}),
	}
	onBoth(t, handlers, func(t *testing.T, s scene) {
		saw.Store(connection.State(""))
		runs.Store(0)
		began := map[string]any{"type": "grid_migration_started", "channel": slacksim.AcmeGeneral}
		if _, err := s.sim.Sender.Emit(ctx, slacksim.Event{TeamID: slacksim.Acme, Inner: began}); err != nil {
			t.Fatal(err)
		}
		until(t, "a second attempt", func() bool { return runs.Load() == 2 })
		moves := 0
		lines, err := s.db.History(ctx, s.row(t).ID, 10)
		for _, line := range lines {
			if line.What == connection.DidMove {
				moves++
			}
		}
		if said := said(s.sim, slacksim.AcmeGeneral, "Moving."); err != nil || moves != 1 || said != 1 {
			t.Errorf("the history has %d moves, and the app said it %d times: %v", moves, said, err)
		}

		if err := s.sim.Admins.Uninstall(ctx, slacksim.Acme, slacksim.OnlyUninstalled); err != nil {
			t.Fatal(err)
		}
		until(t, "the app's handler", func() bool { return saw.Load() != connection.State("") })
		if saw.Load() != connection.Removed {
			t.Errorf("the app's handler finds the connection %v", saw.Load())
		}
	})
}
