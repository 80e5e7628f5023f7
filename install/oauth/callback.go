package oauth

// The way back: Slack sends the browser with a code, which is spent for tokens, and with the state that it left with.
// Once the state is used, the rest no longer depends on the browser staying.

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
)

// callback answers GET /slack/oauth_redirect. Once the state is used, the rest no longer depends on the browser
// staying: the code is spent at Slack the moment we ask.
func (f *Flow) callback(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	back := arrival{state: query.Get("state"), code: query.Get("code"), refusal: query.Get("error"),
		described: query.Get("error_description") != "", origin: origin(r), from: callerOf(r), at: f.now()}
	switch {
	case !f.cfg.Mode.Consents():
		f.pages.show(w, r, f.pages.of(outcomeSingleWorkspace, links.NewRef()))
		return
	case back.code == "" && back.refusal == "":
		// A scanner, or a bookmark.
		f.pages.show(w, r, f.pages.of(outcomeNothingHere, ""))
		return
	case back.state == "" && back.refusal != "":
		// Cancelled on Slack's own admin pages, which know no state: there is no attempt to record it with.
		f.pages.show(w, r, f.pages.refused(back, links.NewRef()))
		return
	case back.state == "":
		// Installed from those pages. Start again from ours; the code is never used, so
		// that nobody can be made to finish somebody else's install.
		f.log.InfoContext(r.Context(), "callback without a state: starting again")
		f.cfg.Ended("", attemptStartedAgain)
		f.redirect(w, f.cfg.Links.PublicURL+"/slack/install")
		return
	}

	leave, ok := f.crowd.enter(back.from, back.at)
	if !ok {
		f.pages.show(w, r, f.pages.busy(links.NewRef()))
		return
	}
	defer leave()

	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), tokens.ConsentBudget)
	defer cancel()

	back.answer = hashOfAnswer(back.code, back.refusal)
	_, back.browser = f.cookie.of(r)
	a, p := f.recognise(ctx, back)
	if p == nil {
		p = f.arrived(ctx, back, a)
	}
	f.undo.offer(w, r, p)
	f.pages.show(w, r, p)
}

// hashOfAnswer tells what Slack sent the browser back with from anything else it could have.
func hashOfAnswer(code, refusal string) []byte {
	sum := sha256.Sum256([]byte(code + "\x00" + refusal))
	return sum[:]
}

// arrived goes on with an attempt whose browser is back with an answer of Slack's, and returns the last page. Only when
// Slack can be asked is the state used up.
func (f *Flow) arrived(ctx context.Context, back arrival, a Attempt) *page {
	a.ReturnedAt, a.AnswerHash = back.at, back.answer
	switch {
	case back.refusal != "":
		p := f.pages.refused(back, a.Ref)
		f.keepRequest(p, a)
		f.reassure(ctx, p, a)
		f.records.endedFree(ctx, a, p)
		return p
	case !codeLike.MatchString(back.code):
		p := f.pages.of(outcomeOddCode, a.Ref)
		f.keepRequest(p, a)
		f.reassure(ctx, p, a)
		return p
	}

	switch err := f.cfg.Tokens.Budgets.TakeInstall(ctx, f.crowd.suspect(back.from, back.at)); {
	case errors.Is(err, tokens.ErrSpent):
		return f.pages.busy(a.Ref)
	case err != nil:
		f.log.ErrorContext(ctx, "spend from the budget of installs", "ref", a.Ref, "cause", err)
		return f.pages.of(outcomeRecordsDown, a.Ref)
	}

	asking, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	switch err := f.store.BeginAttempt(asking, a); {
	case errors.Is(err, ErrStateUsed):
		return f.again(ctx, back, a) // by another tab, a moment ago
	case err != nil:
		f.log.ErrorContext(ctx, "use up state", "ref", a.Ref, "cause", err)
		return f.pages.of(outcomeRecordsDown, a.Ref)
	}

	p := f.finish(ctx, &a, back.code)
	if p.Reason == outcomeCodeSpent.reason {
		f.crowd.falseCode(back.from, f.now())
	}
	if p.unasked {
		a.ReturnedAt, a.AnswerHash = time.Time{}, nil // a reload does it
	}
	f.keepRequest(p, a)
	f.records.ended(ctx, a, p)
	return p
}

// codeLike is what a code of Slack's can look like: undocumented, so there is room. What looks otherwise is not sent to
// Slack, whose limits all of us share, and never logged.
var codeLike = regexp.MustCompile(`^[A-Za-z0-9._-]{1,512}$`)

// finish spends the code, stores what Slack granted, and returns the last page.
func (f *Flow) finish(ctx context.Context, a *Attempt, code string) *page {
	done, failed := f.connect(ctx, a, code)
	switch {
	case failed == nil:
	case failed.Reason == outcomeUsedLink.reason, failed.Reason == outcomeNotStored.reason:
		return failed // what was not stored, the journal may carry through yet
	default:
		// A link that stays where several people read it is not lost because one of them chose another workspace.
		f.unused(ctx, a)
		return failed
	}
	done.undo, done.request = done.fresh(), a.Request
	return f.success(ctx, done, a.Ref)
}

// unused gives the link of an attempt back that was not carried through.
func (f *Flow) unused(ctx context.Context, a *Attempt) {
	if len(a.LinkHash) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordBudget)
	defer cancel()
	if err := f.store.Refill(ctx, usedUp(a.LinkHash)); err != nil {
		f.log.WarnContext(ctx, "a link counts as used that was not carried through", "ref", a.Ref, "cause", err)
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
func (f *Flow) connect(ctx context.Context, a *Attempt, code string) (done installed, failed *page) {
	bound, failed := f.useLink(ctx, a)
	if failed != nil {
		return installed{}, failed
	}
	got, failed := f.obtain(ctx, a, code)
	if failed != nil {
		return installed{}, failed
	}

	elsewhere := got.isElsewhere(bound)
	var id connection.Identity
	var unasked error
	if !elsewhere { // right away: the next consent of a colleague may end this token
		id, unasked = f.cfg.Slack.Identify(ctx, got.c.Token)
	}
	if failed := f.meet(ctx, &got, a.Ref); failed != nil {
		return installed{}, failed
	}
	if got.was.Token != "" && (elsewhere || unasked != nil) {
		all := append(got.c.Scopes, got.was.Scopes...) // Slack may name the new ones alone
		got.c.Scopes = connection.SplitScopes(strings.Join(all, ","))
	}

	if elsewhere {
		return installed{}, f.chosenByMistake(ctx, got, bound, a.Ref)
	}
	if failed := f.identified(ctx, &got, id, unasked, a.Ref); failed != nil {
		return installed{}, failed
	}
	if why := f.consents.refuses(got.c, got.was); why != nil {
		p := f.pages.of(*why, a.Ref)
		p.name("missing", quoted(got.c.Missing(connection.Required(f.cfg.Scopes))))
		p.Facts = f.consents.giveBack(ctx, got.c, got.pairs)
		return installed{}, p
	}
	return f.keep(ctx, a, got)
}

// obtain spends the code, and has what Slack gave for it in the journal. What is not ours to keep is not.
func (f *Flow) obtain(ctx context.Context, a *Attempt, code string) (got consent, failed *page) {
	asked, err := f.store.Mark(ctx)
	if err != nil {
		f.log.ErrorContext(ctx, "mark the order of consents", "ref", a.Ref, "cause", err) // then the clocks decide
	}
	granted, failed := f.exchangeCode(ctx, a, code)
	if failed != nil {
		return consent{}, failed
	}

	c := granted.Connection(f.now())
	c.Asked, c.GrantID = asked, links.NewRef()+links.NewRef()
	f.consents.complete(ctx, &c)
	a.TeamID, a.UserID = c.TeamID, c.InstalledBy
	notSetUp := f.pages.of(outcomeNotSetUp, a.Ref)
	switch {
	case c.Token == "" || strings.EqualFold(string(granted.TokenType), "user"):
		f.log.ErrorContext(ctx, "exchange code: Slack gave no bot token", "ref", a.Ref,
			"token_type", string(granted.TokenType))
		return consent{}, notSetUp
	case f.cfg.AppID != "" && c.AppID != f.cfg.AppID:
		f.log.ErrorContext(ctx, "exchange code: Slack answered for another app", "ref", a.Ref,
			"want", f.cfg.AppID, "got", c.AppID)
		return consent{}, notSetUp
	}

	// From here on the tokens that this workspace had may be spent: at Slack a consent ends the refresh token before it.
	c.Generation = f.cfg.Tokens.Journal.NextGeneration(ctx, connection.TokenOwner{Key: c.Key})
	return consent{c: c, pairs: f.consents.journal(ctx, c, granted)}, nil
}

// meet finds the connection that got's workspace has. Without our records nothing can be told about it, and nothing
// stored: the journal keeps what came.
func (f *Flow) meet(ctx context.Context, got *consent, ref string) *page {
	was, err := f.consents.relied(ctx, got.c.Key)
	if err != nil {
		f.log.ErrorContext(ctx, "find connection of a consent", "ref", ref, "cause", err)
		return f.pages.of(outcomeNotStored, ref)
	}
	if was.TeamID == got.c.TeamID { // else it is only its organisation's
		got.was = was
	}
	return nil
}

// chosenByMistake is the end of a consent for another workspace than the one of its link. A workspace that was
// connected before keeps the new tokens, because its old ones ended with them. Else the app is taken out of it.
func (f *Flow) chosenByMistake(ctx context.Context, got consent, bound connection.Connection, ref string) *page {
	p := f.pages.of(outcomeWrongWorkspace, ref)
	p.name("chosen", cmp.Or(got.c.TeamName, "another workspace"))
	p.name("wanted", cmp.Or(bound.TeamName, "the workspace it was made for"))
	if got.was.Token == "" {
		p.Facts = f.consents.giveBack(ctx, got.c, got.pairs)
		return p
	}

	if _, _, err := f.consents.put(ctx, got.c, got.pairs); err != nil {
		f.log.ErrorContext(ctx, "keep the tokens of a workspace that was chosen by mistake", "ref", ref, "cause", err)
		return p
	}
	p.Facts = []string{cmp.Or(got.c.TeamName, "That workspace") + " was connected before, and stays so."}
	return p
}

// identified takes up what auth.test said of got's token, and returns the page for a token that is not to be stored.
func (f *Flow) identified(ctx context.Context, got *consent, id connection.Identity, unasked error, ref string) *page {
	c := &got.c
	reconnects := got.was.Token != "" && unasked != nil && !slackapi.Decisive(unasked)
	overtaken := slackapi.SlackError(unasked) == connection.ReasonTokenExpired && c.RefreshToken != ""
	switch {
	case reconnects, overtaken:
		// Slack has trouble, and giving up would end a connection that works. Or consents of the same moment, at other
		// replicas, ended this token already: one of them counts, and the store sorts that out. The next check asks again.
		f.log.WarnContext(ctx, "auth.test after exchange: reconnected without it", "ref", ref,
			"cause", slackapi.Cause(unasked))
		c.CheckAt = c.AuthorizedAt.Add(connection.CheckAgain)
	case unasked != nil:
		f.consents.discard(ctx, got.pairs)
		return f.pages.slackRefused(ctx, "auth.test after exchange", unasked, ref)
	case !c.Org() && id.TeamID != c.TeamID:
		f.log.ErrorContext(ctx, "auth.test names another workspace than the exchange", "ref", ref,
			"exchange", c.TeamID, "auth_test", id.TeamID)
		f.consents.discard(ctx, got.pairs)
		return f.pages.of(outcomeUnexpected, ref)
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
func (f *Flow) keep(ctx context.Context, a *Attempt, got consent) (done installed, failed *page) {
	saved, before, err := f.consents.put(ctx, got.c, got.pairs)
	if err != nil {
		f.log.ErrorContext(ctx, "store connection", "ref", a.Ref, "cause", err)
		return installed{}, f.pages.of(outcomeNotStored, a.Ref)
	}

	a.ConnectionID = saved.ID
	done = installed{now: saved, before: before, by: got.c.AuthorizedBy}
	f.log.InfoContext(ctx, "connected", "ref", a.Ref, "connection", saved.ID, "key", saved.Key.String(),
		"installed_by", saved.InstalledBy, "fresh", done.fresh(), "missing_scopes", len(saved.Missing(f.cfg.Scopes)))
	return done, nil
}

// useLink uses up the link that an attempt came by, if any, and returns the connection that it is bound to.
func (f *Flow) useLink(ctx context.Context, a *Attempt) (bound connection.Connection, failed *page) {
	silent := func(doing string, err error) (connection.Connection, *page) {
		f.log.ErrorContext(ctx, doing, "ref", a.Ref, "cause", err)
		p := f.pages.of(outcomeRecordsDown, a.Ref)
		p.unasked = true
		return connection.Connection{}, p
	}
	if a.BoundTo != "" {
		asking, cancel := context.WithTimeout(ctx, startBudget)
		defer cancel()
		var err error
		if bound, err = f.store.Get(asking, a.BoundTo); err != nil {
			return silent("find connection of reconnect link", err)
		}
	}

	if len(a.LinkHash) == 0 {
		return bound, nil
	}
	asking, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	switch first, err := f.store.Take(asking, usedUp(a.LinkHash), 1, f.now()); {
	case err != nil:
		return silent("use up link", err)
	case !first:
		return connection.Connection{}, f.pages.of(*usedLink(bound), a.Ref)
	}
	return bound, nil
}

// exchangeCode spends the code at Slack. It blocks for one call, and holds nobody else up.
func (f *Flow) exchangeCode(ctx context.Context, a *Attempt, code string) (slackapi.Granted, *page) {
	ctx, cancel := context.WithTimeout(ctx, slackapi.CallTimeout)
	defer cancel()
	got, err := f.cfg.Slack.OAuth(ctx, "oauth.v2.access", url.Values{
		"client_id": {f.cfg.ClientID}, "client_secret": {f.cfg.ClientSecret.Reveal()},
		"code": {code}, "redirect_uri": {f.redirectURI()},
	})
	if err == nil {
		return got, nil
	}

	p := f.pages.slackRefused(ctx, "exchange code", err, a.Ref)
	wait, limited := slackapi.RetryAfter(err)
	if limited {
		f.cfg.Tokens.Budgets.KeepLimit(ctx, tokens.RenewalsInUse, wait)
	}
	// Slack has not looked at the code when it turned us away for asking too often, or was not reached at all.
	var dial *net.OpError
	p.unasked = limited || errors.As(err, &dial) && dial.Op == "dial"
	return slackapi.Granted{}, p
}
