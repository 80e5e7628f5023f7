package bot

// What runs around handlers of all kinds alike.

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/words"
)

// Next runs a handler, or the next middleware around it.
type Next func(ctx context.Context, r *Request) error

// Middleware goes around handlers of every kind (Config.Use, Use): what it does before and after next it does before
// and after the handler. It sees a Request that is let in: its connection is open and its permissions are there, unless
// the handler runs WithoutConnection. One that doesn't call next keeps the handler from running; its error is handled
// as the handler's own, so a UserError is told to who acted. It is called once for each handler, when the Bot is made,
// and what it returns runs in any number of goroutines. With OpensModal it runs around the opening, too, where
// Request.Attempt is 0: whom it refuses there gets no modal.
type Middleware func(next Next) Next

// around puts middleware around run; the first is outermost.
func around(run Next, middleware []Middleware) Next {
	for _, m := range slices.Backward(middleware) {
		run = m(run)
	}
	return run
}

// AdminsOnly lets the workspace's admins and owners alone run a handler. Everybody else is told so. Slack is asked each
// time (users.info, which takes users:read); what it doesn't say counts as no.
func AdminsOnly() Middleware {
	return func(next Next) Next {
		return func(ctx context.Context, r *Request) error {
			admin, err := r.IsAdmin(ctx)
			switch {
			case admin:
				return next(ctx, r)
			case err != nil:
				r.Log.WarnContext(ctx, "ask whether a person is an admin", failure(err)...)
				return &UserError{Text: r.lang().Say("bot.admin_unknown", "reference", r.Ref)}
			}
			return &UserError{Text: r.lang().Say("bot.only_admins")}
		}
	}
}

// IsAdmin asks Slack whether who acted is an admin or an owner of the workspace it happened in. Nobody at another
// company is. It takes users:read: without it the error is a *NotAllowedError, as Need's. It blocks for a call to
// Slack.
func (req *Request) IsAdmin(ctx context.Context) (bool, error) {
	if req.Client == nil || req.UserID == "" || req.External() {
		return false, nil
	}
	if err := req.Need("users:read"); err != nil {
		return false, err
	}
	u, err := req.Client.GetUserInfoContext(ctx, req.UserID)
	switch {
	case slackapi.SlackError(err) == connection.ReasonMissingScope: // taken back a moment ago
		return false, &NotAllowedError{Scopes: []string{"users:read"}}
	case err != nil:
		return false, err
	}

	here := u.TeamID == "" || u.TeamID == req.TeamID || req.TeamID == ""
	return here && (u.IsAdmin || u.IsOwner) && !u.Deleted && !u.IsStranger, nil
}

// OnlyIn lets a handler run in these workspaces (T…) and organisations (E…) alone. Who acts elsewhere is told that it
// isn't available there.
func OnlyIn(ids ...string) Middleware {
	return func(next Next) Next {
		return func(ctx context.Context, r *Request) error {
			if slices.Contains(ids, r.TeamID) || r.EnterpriseID != "" && slices.Contains(ids, r.EnterpriseID) {
				return next(ctx, r)
			}
			return &UserError{Text: r.lang().Say("bot.only_elsewhere", "app", mrkdwn.Escape(r.Install.App().Name))}
		}
	}
}

// RateLimit lets each person run a handler n times within a time; beyond that they are told when they can again.
// Replicas count for themselves, and another attempt at the same event is no second run. It remembers 100,000 people.
func RateLimit(n int, per time.Duration) Middleware {
	const most = 100_000
	var mu sync.Mutex
	runs := map[string][]time.Time{} // by person: when they ran it, the oldest first

	// taken notes a run; wait is how long the person has to wait when there are too many.
	taken := func(who string, now time.Time) (wait time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		if len(runs) > most {
			clear(runs)
		}

		recent := slices.DeleteFunc(runs[who], func(at time.Time) bool { return now.Sub(at) >= per })
		switch {
		case n <= 0:
			return per
		case len(recent) >= n:
			runs[who] = recent
			return per - now.Sub(recent[0])
		}
		runs[who] = append(recent, now)
		return 0
	}

	return func(next Next) Next {
		return func(ctx context.Context, r *Request) error {
			if r.Attempt > 1 || r.UserID == "" || r.Attempt == 1 && r.handler.opens != nil { // counted when its modal opened
				return next(ctx, r)
			}
			wait := taken(r.Handler()+" "+r.Key.String()+" "+r.TeamID+" "+r.UserID, r.Now())
			if wait <= 0 {
				return next(ctx, r)
			}
			return &UserError{Text: tooOften(r.lang(), wait)}
		}
	}
}

// tooOften says when a person can again: "… in 40 seconds", "… in 3 minutes".
func tooOften(lang *words.Sentences, wait time.Duration) string {
	seconds := int((wait + time.Second - 1) / time.Second)
	if seconds > 90 {
		return lang.Say("bot.too_often.minutes", "count", (seconds+59)/60)
	}
	return lang.Say("bot.too_often.seconds", "count", seconds)
}
