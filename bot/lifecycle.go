package bot

// What Slack says of the app's own life in a workspace: that it left, that access was taken back, which workspaces an
// organisation added it to, that a workspace moves into an organisation, that a channel has another id. A Bot sees to
// it for every app, which registers nothing. install decides what it means.
//
// An app can handle the same events. Its handler runs after the Bot's.

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/connection"
)

// LifecycleEvents returns the types of events that say that the app left: app_uninstalled and tokens_revoked. Nothing
// else will say it again, so they are tried until they are handled, and an inbox keeps them when it erases what else
// waits for a connection that is gone.
func LifecycleEvents() []string { return []string{"app_uninstalled", "tokens_revoked"} }

func lifecycle(kind string) bool { return slices.Contains(LifecycleEvents(), kind) }

// revoked lists the users whose tokens are gone, never the tokens.
type revoked struct {
	Tokens struct {
		Bot    []string `json:"bot"`
		People []string `json:"oauth"`
	} `json:"tokens"`
}

// teams lists the workspaces that an organisation's app was added to or taken from.
type teams struct {
	IDs []string `json:"team_ids"`
}

type channelIDs struct {
	From string `json:"old_channel_id"`
	To   string `json:"new_channel_id"`
}

// ofTheBot are the handlers of every Bot, by the type of event. Doing one's work twice changes nothing.
// https://docs.slack.dev/reference/events/tokens_revoked
// https://docs.slack.dev/enterprise/developing-for-enterprise-orgs
var ofTheBot = func() map[string]*Handler {
	all := map[string]*Handler{}
	for _, h := range []Handler{
		OnEvent("app_uninstalled", func(ctx context.Context, t *Event[struct{}]) error {
			said := connection.Removal{Reason: connection.ReasonUninstalled, At: t.EventTime}
			return t.Install.in.Lifecycle().HandleRemoval(ctx, t.Key, said)
		}),
		OnEvent("tokens_revoked", tokensRevoked),
		OnEvent("team_access_granted", func(ctx context.Context, t *Event[teams]) error {
			return t.Install.in.Lifecycle().HandleTeamAccess(ctx, t.Key, true, t.Payload.IDs, t.EventTime)
		}),
		// An organisation's connection never goes because one of its workspaces does.
		OnEvent("team_access_revoked", func(ctx context.Context, t *Event[teams]) error {
			return t.Install.in.Lifecycle().HandleTeamAccess(ctx, t.Key, false, t.Payload.IDs, t.EventTime)
		}),
		// While a workspace is moved Slack may refuse calls. They are tried again as after other trouble. The history
		// says why.
		OnEvent("grid_migration_started", func(ctx context.Context, t *Event[struct{}]) error {
			return t.Install.in.Lifecycle().HandleMigrationStarted(ctx, t.Key)
		}),
		// Afterwards the token tells where it belongs now.
		OnEvent("grid_migration_finished", func(ctx context.Context, t *Event[struct{}]) error {
			return t.Install.in.Lifecycle().HandleMigrationFinished(ctx, t.Key)
		}),
		OnEvent("channel_id_changed", func(ctx context.Context, t *Event[channelIDs]) error {
			return t.Install.in.Lifecycle().HandleChannelChanged(ctx, t.Key, t.Payload.From, t.Payload.To)
		}),
	} {
		h.always = true
		all[h.Name] = &h
	}
	return all
}()

// tokensRevoked handles both lists whatever becomes of the other. Either may be missing: a person who takes back what
// they allowed leaves the bot's access alone.
func tokensRevoked(ctx context.Context, t *Event[revoked]) error {
	var bots, people error
	if len(t.Payload.Tokens.Bot) > 0 {
		said := connection.Removal{Reason: connection.ReasonTokenRevoked, At: t.EventTime}
		bots = t.Install.in.Lifecycle().HandleRemoval(ctx, t.Key, said)
	}

	if len(t.Payload.Tokens.People) > 0 {
		people = t.Install.in.Lifecycle().HandleUsersRevoked(ctx, t.Key, t.Payload.Tokens.People, t.EventTime)
	}
	return errors.Join(bots, people)
}

// lifecycleSubscriptions are the types of events of its own life that an app with these permissions is sent.
func lifecycleSubscriptions(scopes []string) (events []string) {
	for kind := range ofTheBot {
		if kind != "channel_id_changed" || anyOf("channels:read groups:read im:read mpim:read", scopes) {
			events = append(events, kind)
		}
	}
	return events
}

// seenTo is what stands first in Delivery.Said once the Bot has seen to an event that the app handles as well: when the
// app's handler fails, only that runs again.
const seenTo = "seen to"

// seeTo does the Bot's own part of an event, which comes to v if the app handles it, too. done: nothing is left to do.
func (b *Bot) seeTo(ctx context.Context, e *Delivery, v *visit) (done bool, err error) {
	builtIn := ofTheBot[e.Type]
	if builtIn == nil && e.Type != sessionStopped {
		return false, nil
	}

	shared := b.routes.find(KindEvent, e.Type) != nil
	if e.Type == sessionStopped {
		shared = shared || b.routes.exact[target{kind: KindAgentStopped}] != nil
		builtIn = stopped(!shared)
	}
	h := *builtIn
	h.first = shared

	if len(e.Said) == 0 || e.Said[0] != seenTo {
		before := *v
		before.find = func(*Request) (*Handler, string) {
			e.by = &h
			return &h, ""
		}
		o := b.gate.pass(ctx, ctx, before)
		if err := b.handled(ctx, e, o); err != nil || !shared {
			return true, err
		}
		o.req.said.keep(ctx, o.req, 0, seenTo)
	}

	fill := v.fill
	v.fill = func(req *Request) {
		fill(req)
		req.said.next = 1
	}
	return !shared, nil
}

// eventsHeld notes that Slack holds back events of a workspace. The acknowledgement doesn't wait for the database.
func (b *Bot) eventsHeld(ctx context.Context, e *envelope) {
	if !b.ours(ctx, "app_rate_limited", e.AppID) {
		return
	}
	b.metrics.limited.Inc()
	b.log.WarnContext(ctx, "Slack holds events back: more than 30,000 in an hour for one workspace",
		"team", transport.Clip(e.TeamID))
	key := connection.Key{AppID: cmp.Or(e.AppID, b.cfg.AppID), TeamID: workspace(e.TeamID)}
	if key.TeamID == "" {
		return
	}

	minute, _ := e.HeldMinute.(float64)
	b.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), eventOpenBudget)
		defer cancel()
		if err := b.install.Lifecycle().HandleRateLimited(ctx, key, time.Unix(int64(minute), 0)); err != nil {
			b.log.WarnContext(ctx, "events are held back", "team", transport.Clip(e.TeamID), "cause", err)
		}
	})
}
