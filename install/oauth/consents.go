package oauth

// What Slack granted: kept on this machine's disk, stored, or given back. What the store can't take waits in the
// journal.

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/internal/spans"
)

// consents stores what people allowed at Slack.
type consents struct {
	*Config
	competing competing
}

// complete fills in whose a consent is, where the answer to its code did not say so readably: the app's id from the
// settings, the workspace's and the organisation's from auth.test. Only then, because until the tokens are in the
// journal every call is a risk.
func (cs *consents) complete(ctx context.Context, c *connection.Connection) {
	c.AppID = cmp.Or(c.AppID, cs.AppID)
	if c.Token == "" || c.AppID != "" && (c.TeamID != "" || c.EnterpriseID != "") {
		return
	}

	id, err := cs.Slack.Identify(ctx, c.Token)
	if err != nil {
		cs.Log.ErrorContext(ctx, "a consent doesn't say whose it is, and Slack couldn't be asked",
			"slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
		return
	}

	c.AppID, c.EnterpriseID, c.TeamID = cmp.Or(c.AppID, id.AppID), id.EnterpriseID, id.TeamID
	if id.IsEnterpriseInstall {
		c.TeamID = ""
	}
	c.TeamName = cmp.Or(c.TeamName, id.Team)
}

// journal keeps on this machine's disk what a consent brought, until it is stored or refused: the connection and,
// where the app asked to act for people, the token of the person.
func (cs *consents) journal(
	ctx context.Context, c connection.Connection, granted slackapi.Granted,
) (pairs []connection.Grant) {
	pairs = []connection.Grant{c.Grant()}
	if u := granted.AuthedUser; u.AccessToken != "" && u.ID != "" {
		person := connection.TokenOwner{Key: c.Key, UserID: string(u.ID)}
		pairs = append(pairs, connection.Grant{
			TokenOwner: person, Origin: connection.Consent{},
			Token: connection.Secret(u.AccessToken), Refresh: connection.Secret(u.RefreshToken),
			Life: time.Duration(u.ExpiresIn), At: c.AuthorizedAt, Scopes: connection.SplitScopes(string(u.Scope)),
			Generation: cs.Tokens.Journal.NextGeneration(ctx, person), GrantID: c.GrantID, GrantedAt: c.AuthorizedAt,
		})
	}
	for i := range pairs {
		cs.Tokens.Journal.Keep(ctx, &pairs[i])
	}
	return pairs
}

// discard forgets what a consent brought that is not to be stored.
func (cs *consents) discard(ctx context.Context, pairs []connection.Grant) {
	for _, p := range pairs {
		cs.Tokens.Journal.Drop(ctx, p)
	}
}

// relied returns the connection that people in k's workspace rely on, even if it has no access any more and needs
// reconnecting. It may be under the key from before the workspace moved, or the organisation's. Without an id: there is
// none. An error is the store's trouble.
func (cs *consents) relied(ctx context.Context, k connection.Key) (connection.Connection, error) {
	ctx, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	var was connection.Connection
	err := insist(ctx, func() (err error) {
		if was, err = cs.Store.Lookup(ctx, k); errors.Is(err, connection.ErrNotFound) {
			was, err = connection.Connection{}, nil
		}
		return err
	})

	switch {
	case err != nil:
		return connection.Connection{}, err
	case was.State == connection.Removed:
		return connection.Connection{}, nil
	}
	return was, nil
}

// refuses returns why a consent is not stored; nil: it is. was is the connection that its workspace has, without an id
// for none: one that works goes on working, and one that needs reconnecting is not new.
func (cs *consents) refuses(c, was connection.Connection) *outcome {
	admitted := func(id string) bool { return id != "" && slices.Contains(cs.Admit, id) }
	switch {
	case was.Token != "":
		return nil
	case cs.Closed && was.ID == "" && !admitted(c.TeamID) && !admitted(c.EnterpriseID):
		return &outcomeClosed
	case len(c.Missing(connection.Required(cs.Scopes))) > 0:
		return &outcomeRequired
	}
	return nil
}

// giveBack forgets what a consent brought and removes the app at Slack, where it was just added; unless somebody relies
// on it there, as the workspaces of an organisation do on the organisation's install. It is forgotten first: a process
// that dies in between leaves an app that does nothing, and no connection that was refused. It returns what the person
// has to know of it.
func (cs *consents) giveBack(ctx context.Context, c connection.Connection, pairs []connection.Grant) []string {
	cs.discard(ctx, pairs)
	if was, err := cs.relied(ctx, c.Key); err != nil || was.ID != "" {
		cs.Log.WarnContext(ctx, "access that was refused is not given back where others may rely on it",
			"key", c.Key.String(), "connection", was.ID, "cause", err)
		return []string{cs.App.Words.Say("pages.fact.relied_on", "app", cs.App.Name)}
	}

	said, err := cs.Watch.Leaving.Uninstall(ctx, c)
	if err == nil {
		return []string{cs.App.Words.Say("pages.fact.given_back")}
	}
	cs.Log.ErrorContext(ctx, "access that was refused could not be given back", "key", c.Key.String(),
		"slack_error", said, "cause", slackapi.Cause(err))
	key := "pages.fact.still_listed"
	if slackapi.MaybeDone(err) {
		key = "pages.fact.maybe_listed"
	}
	return []string{cs.App.Words.Say(key, "app", cs.App.Name)}
}

// put stores a consent, and tries again while ctx allows: Slack has done its part, so giving up here costs the person a
// second consent. What the store doesn't take in that time waits in the journal. The install stands without the
// person's token.
func (cs *consents) put(
	ctx context.Context, c connection.Connection, pairs []connection.Grant,
) (now connection.Connection, before *connection.Connection, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	ctx, span := cs.Spans.Start(ctx, trace.SpanKindInternal, "store connection", "")
	defer span.End()
	span.Say(spans.Team, c.TeamID)
	span.Say(spans.Enterprise, c.EnterpriseID)
	c.LeftOut(cs.Scopes)

	if err := insist(ctx, func() (err error) {
		cs.Tokens.Pairs.Rehome(ctx, c.Key)
		now, before, err = cs.Store.Put(ctx, c)
		return err
	}); err != nil {
		span.Fail("not_stored")
		return connection.Connection{}, nil, err
	}

	span.Say(spans.Connection, now.ID)
	cs.putAside(ctx, pairs[0], now, before)
	for _, p := range pairs[1:] {
		if err := cs.putPerson(ctx, p, now); err != nil {
			cs.Log.ErrorContext(ctx, "keep a person's token", "connection", now.ID, "cause", err)
		}
	}
	return now, before, nil
}

// putAside keeps the pair that was stored, and beside it the one of a competing consent until a renewal shows which of
// them counts.
func (cs *consents) putAside(
	ctx context.Context, p connection.Grant, now connection.Connection, before *connection.Connection,
) {
	cs.Tokens.Journal.NotPending(p.Token)
	if now.GrantID != p.GrantID {
		cs.Tokens.Journal.Settle(ctx, p, connection.Aside)
		return
	}
	if now.Contested && before != nil {
		cs.Tokens.Journal.Settle(ctx, before.Grant(), connection.Aside)
	}
	cs.Tokens.Journal.Settle(ctx, p.StoredIn(&now), connection.Kept)
}

// putPerson is what put does with the token of the person who consented: where the consent met another one of theirs,
// the pair that lost with it is put aside, and the other one tried soon.
func (cs *consents) putPerson(ctx context.Context, p connection.Grant, now connection.Connection) error {
	seen, err := cs.Store.GetUser(ctx, p.TokenOwner)
	isRival := err == nil && seen.Token != "" && seen.Reason == connection.ReasonNone &&
		seen.GrantedAt.Sub(p.GrantedAt).Abs() < connection.LateConsent
	if !now.Contested || !isRival {
		return cs.Tokens.Delivery.Bring(ctx, p)
	}
	if now.GrantID != p.GrantID {
		cs.Tokens.Journal.Settle(ctx, p, connection.Aside)
	} else {
		cs.Tokens.Journal.Settle(ctx, seen.Grant(), connection.Aside)
		err = cs.Tokens.Delivery.Bring(ctx, p)
	}

	tried := cs.Tokens.Pairs.Update(ctx, p.TokenOwner, func(a connection.Access) error {
		a.Pair().Soon(p.GrantedAt)
		return nil
	})
	return errors.Join(err, tried)
}

// insist asks the store up to four times, as long as ctx allows, and returns the last error.
func insist(ctx context.Context, ask func() error) error {
	const tries = 4
	err := ask()
	for try := 1; try < tries && err != nil; try++ {
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(time.Duration(try) * 250 * time.Millisecond):
		}
		err = ask()
	}
	return err
}
