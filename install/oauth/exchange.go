package oauth

// A code is spent for tokens, once: from there on they are Slack's last word on the workspace, and are kept, stored or
// given back.

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
)

// exchange makes a connection of the code that a browser brought.
type exchange struct {
	*Config
	pages    *pages
	consents *consents
}

// unused gives the link of an attempt back that was not carried through.
func (ex *exchange) unused(ctx context.Context, a *Attempt) {
	if len(a.LinkHash) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordBudget)
	defer cancel()
	if err := ex.Store.Refill(ctx, usedUp(a.LinkHash)); err != nil {
		ex.Log.WarnContext(ctx, "a link counts as used that was not carried through", "ref", a.Ref, "cause", err)
	}
}

// consent is what Slack granted at the end of a try.
type consent struct {
	c     connection.Connection // as it is to be stored
	pairs []connection.Grant    // what of it is in the journal: its tokens, and those of the person
	was   connection.Connection // what people in its workspace rely on until now; without an id: nothing
}

// isElsewhere reports whether it is of another workspace than the one a link was made for.
func (got consent) isElsewhere(bound connection.Connection) bool {
	return bound.ID != "" && (bound.TeamID != got.c.TeamID || bound.AppID != got.c.AppID ||
		bound.Org() && bound.EnterpriseID != got.c.EnterpriseID)
}

// connect spends the code and stores what Slack granted. Nobody else is held up meanwhile. Of two consents for one
// workspace the later one ends the tokens of the other at Slack, and the two may reach the store in the other order:
// see Connection.Consent.
func (ex *exchange) connect(ctx context.Context, a *Attempt, code string) (done installed, failed *page) {
	bound, failed := ex.useLink(ctx, a)
	if failed != nil {
		return installed{}, failed
	}
	got, failed := ex.obtain(ctx, a, code)
	if failed != nil {
		return installed{}, failed
	}

	elsewhere := got.isElsewhere(bound)
	var id connection.Identity
	var unasked error
	if !elsewhere { // right away: the next consent of a colleague may end this token
		id, unasked = ex.Slack.Identify(ctx, got.c.Token)
	}
	if failed := ex.meet(ctx, &got, a.Ref); failed != nil {
		return installed{}, failed
	}
	if got.was.Token != "" && (elsewhere || unasked != nil) {
		all := append(got.c.Scopes, got.was.Scopes...) // Slack may name the new ones alone
		got.c.Scopes = connection.SplitScopes(strings.Join(all, ","))
	}

	if elsewhere {
		return installed{}, ex.chosenByMistake(ctx, got, bound, a.Ref)
	}
	if failed := ex.identified(ctx, &got, id, unasked, a.Ref); failed != nil {
		return installed{}, failed
	}
	if why := ex.consents.refuses(got.c, got.was); why != nil {
		p := ex.pages.of(*why, a.Ref, "missing", ex.pages.quoted(got.c.Missing(connection.Required(ex.Scopes))))
		p.Facts = ex.consents.giveBack(ctx, got.c, got.pairs)
		return installed{}, p
	}
	return ex.keep(ctx, a, got)
}

// obtain spends the code, and has what Slack gave for it in the journal. What is not ours to keep is not.
func (ex *exchange) obtain(ctx context.Context, a *Attempt, code string) (got consent, failed *page) {
	asked, err := ex.Store.Mark(ctx)
	if err != nil {
		ex.Log.ErrorContext(ctx, "mark the order of consents", "ref", a.Ref, "cause", err) // then the clocks decide
	}
	granted, failed := ex.exchangeCode(ctx, a, code)
	if failed != nil {
		return consent{}, failed
	}

	c := granted.Connection(ex.Now())
	c.Asked, c.GrantID = asked, links.NewRef()+links.NewRef()
	ex.consents.complete(ctx, &c)
	a.TeamID, a.UserID = c.TeamID, c.InstalledBy
	notSetUp := ex.pages.of(outcomeNotSetUp, a.Ref)
	switch {
	case c.Token == "" || strings.EqualFold(string(granted.TokenType), "user"):
		ex.Log.ErrorContext(ctx, "exchange code: Slack gave no bot token", "ref", a.Ref,
			"token_type", string(granted.TokenType))
		return consent{}, notSetUp
	case ex.AppID != "" && c.AppID != ex.AppID:
		ex.Log.ErrorContext(ctx, "exchange code: Slack answered for another app", "ref", a.Ref,
			"want", ex.AppID, "got", c.AppID)
		return consent{}, notSetUp
	}

	// From here on the tokens that this workspace had may be spent: at Slack a consent ends the refresh token before it.
	c.Generation = ex.Tokens.Journal.NextGeneration(ctx, connection.TokenOwner{Key: c.Key})
	return consent{c: c, pairs: ex.consents.journal(ctx, c, granted)}, nil
}

// meet finds the connection that got's workspace has. Without our records nothing can be told about it, and nothing
// stored: the journal keeps what came.
func (ex *exchange) meet(ctx context.Context, got *consent, ref string) *page {
	was, err := ex.consents.relied(ctx, got.c.Key)
	if err != nil {
		ex.Log.ErrorContext(ctx, "find connection of a consent", "ref", ref, "cause", err)
		return ex.pages.of(outcomeNotStored, ref)
	}
	if was.TeamID == got.c.TeamID { // else it is only its organisation's
		got.was = was
	}
	return nil
}

// chosenByMistake is the end of a consent for another workspace than the one of its link. A workspace that was
// connected before keeps the new tokens, because its old ones ended with them. Else the app is taken out of it.
func (ex *exchange) chosenByMistake(ctx context.Context, got consent, bound connection.Connection, ref string) *page {
	p := ex.pages.of(outcomeWrongWorkspace, ref,
		"chosen", cmp.Or(got.c.TeamName, ex.pages.say("pages.unnamed.chosen")),
		"wanted", cmp.Or(bound.TeamName, ex.pages.say("pages.unnamed.wanted")))
	if got.was.Token == "" {
		p.Facts = ex.consents.giveBack(ctx, got.c, got.pairs)
		return p
	}

	if _, _, err := ex.consents.put(ctx, got.c, got.pairs); err != nil {
		ex.Log.ErrorContext(ctx, "keep the tokens of a workspace that was chosen by mistake", "ref", ref, "cause", err)
		return p
	}
	p.Facts = []string{ex.pages.say("pages.fact.was_connected_unnamed")}
	if got.c.TeamName != "" {
		p.Facts[0] = ex.pages.say("pages.fact.was_connected", "workspace", got.c.TeamName)
	}
	return p
}

// identified takes up what auth.test said of got's token, and returns the page for a token that is not to be stored.
func (ex *exchange) identified(
	ctx context.Context, got *consent, id connection.Identity, unasked error, ref string,
) *page {
	c := &got.c
	reconnects := got.was.Token != "" && unasked != nil && !slackapi.Decisive(unasked)
	overtaken := slackapi.SlackError(unasked) == connection.ReasonTokenExpired && c.RefreshToken != ""
	switch {
	case reconnects, overtaken:
		// Slack has trouble, and giving up would end a connection that works. Or consents of the same moment, at other
		// replicas, ended this token already: one of them counts, and the store sorts that out. The next check asks again.
		ex.Log.WarnContext(ctx, "auth.test after exchange: reconnected without it", "ref", ref,
			"cause", slackapi.Cause(unasked))
		c.CheckAt = c.AuthorizedAt.Add(connection.CheckAgain)
	case unasked != nil:
		ex.consents.discard(ctx, got.pairs)
		return ex.pages.slackRefused(ctx, "auth.test after exchange", unasked, ref)
	case !c.Org() && id.TeamID != c.TeamID:
		ex.Log.ErrorContext(ctx, "auth.test names another workspace than the exchange", "ref", ref,
			"exchange", c.TeamID, "auth_test", id.TeamID)
		ex.consents.discard(ctx, got.pairs)
		return ex.pages.of(outcomeUnexpected, ref)
	default:
		c.BotID, c.TeamURL, c.CheckedAt = id.BotID, id.URL, c.AuthorizedAt
		c.CheckAt = connection.NextCheck(connection.Active, c.CheckedAt, c.CheckedAt)
		if len(id.Scopes) > 0 {
			c.Scopes = id.Scopes // what the token really has
		}
	}
	return nil
}

// keep stores a consent that nothing speaks against.
func (ex *exchange) keep(ctx context.Context, a *Attempt, got consent) (done installed, failed *page) {
	saved, before, err := ex.consents.put(ctx, got.c, got.pairs)
	if err != nil {
		ex.Log.ErrorContext(ctx, "store connection", "ref", a.Ref, "cause", err)
		return installed{}, ex.pages.of(outcomeNotStored, a.Ref)
	}

	a.ConnectionID = saved.ID
	done = installed{now: saved, before: before, by: got.c.AuthorizedBy}
	ex.Log.InfoContext(ctx, "connected", "ref", a.Ref, "connection", saved.ID, "key", saved.Key.String(),
		"installed_by", saved.InstalledBy, "fresh", done.fresh(), "missing_scopes", len(saved.Missing(ex.Scopes)))
	return done, nil
}

// useLink uses up the link that an attempt came by, if any, and returns the connection that it is bound to.
func (ex *exchange) useLink(ctx context.Context, a *Attempt) (bound connection.Connection, failed *page) {
	silent := func(doing string, err error) (connection.Connection, *page) {
		ex.Log.ErrorContext(ctx, doing, "ref", a.Ref, "cause", err)
		p := ex.pages.of(outcomeRecordsDown, a.Ref)
		p.unasked = true
		return connection.Connection{}, p
	}
	if a.BoundTo != "" {
		asking, cancel := context.WithTimeout(ctx, startBudget)
		defer cancel()
		var err error
		if bound, err = ex.Store.Get(asking, a.BoundTo); err != nil {
			return silent("find connection of reconnect link", err)
		}
	}

	if len(a.LinkHash) == 0 {
		return bound, nil
	}
	asking, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	switch first, err := ex.Store.Take(asking, usedUp(a.LinkHash), 1, ex.Now()); {
	case err != nil:
		return silent("use up link", err)
	case !first:
		return connection.Connection{}, ex.pages.of(*usedLink(bound), a.Ref)
	}
	return bound, nil
}

// exchangeCode spends the code at Slack. It blocks for one call, and holds nobody else up.
func (ex *exchange) exchangeCode(ctx context.Context, a *Attempt, code string) (slackapi.Granted, *page) {
	ctx, cancel := context.WithTimeout(ctx, slackapi.CallTimeout)
	defer cancel()
	got, err := ex.Slack.OAuth(ctx, "oauth.v2.access", url.Values{
		"client_id": {ex.ClientID}, "client_secret": {ex.ClientSecret.Reveal()},
		"code": {code}, "redirect_uri": {redirectURI(ex.Links)},
	})
	if err == nil {
		return got, nil
	}

	p := ex.pages.slackRefused(ctx, "exchange code", err, a.Ref)
	wait, limited := slackapi.RetryAfter(err)
	if limited {
		ex.Tokens.Budgets.KeepLimit(ctx, tokens.RenewalsInUse, wait)
	}
	// Slack has not looked at the code when it turned us away for asking too often, or was not reached at all.
	var dial *net.OpError
	p.unasked = limited || errors.As(err, &dial) && dial.Op == "dial"
	return slackapi.Granted{}, p
}
