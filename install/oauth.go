package install

// The OAuth flow: a start page that sends the browser to Slack, and the callback that Slack sends it back to.
// https://docs.slack.dev/authentication/installing-with-oauth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
)

const (
	// A person waits: the start page gives up on the store after this, the callback on everything after the other.
	startBudget  = 2 * time.Second
	extrasBudget = 3 * time.Second // names, icon and welcome message, none of which the install needs
	storeBudget  = 8 * time.Second
	recordBudget = 3 * time.Second
)

var teamID = regexp.MustCompile(`^T[A-Z0-9]{2,20}$`)

// cookieName is bound to the host by the browser when it begins with __Host-, which browsers accept over https only.
func (in *Installer) cookieName() string {
	if in.secure {
		return "__Host-switchboard-install"
	}
	return "switchboard-install"
}

// Handler serves the landing page, the start and the callback. Every answer is a whole page (or JSON, for those who ask
// for it), is never cached, and comes within the budgets above.
func (in *Installer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", in.landing)
	mux.HandleFunc("GET /slack/install", in.start)
	mux.HandleFunc("GET /slack/oauth_redirect", in.callback)
	mux.HandleFunc("POST /slack/undo", in.undone)
	// A pattern for GET also takes HEAD, and a link checker must not use up somebody's state.
	for _, path := range []string{"/slack/install", "/slack/oauth_redirect"} {
		mux.HandleFunc("HEAD "+path, func(w http.ResponseWriter, _ *http.Request) {
			in.guard(w)
			w.Header().Set("Allow", http.MethodGet)
			w.WriteHeader(http.StatusMethodNotAllowed)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { in.show(w, r, in.page(outcomeNoPage, "")) })
	return mux
}

// start answers GET /slack/install: one cookie, and off to Slack. Nothing is kept of it but a line in the log and a
// number. It is also the Marketplace's direct install address, which must answer 302 to Slack.
func (in *Installer) start(w http.ResponseWriter, r *http.Request) {
	s := links.State{Ref: links.NewRef(), Started: in.now().UnixMicro(), Origin: origin(r), Nonce: links.NewNonce()}
	if !in.mode.consents() {
		in.show(w, r, in.page(outcomeSingleWorkspace, s.Ref))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), startBudget)
	defer cancel()

	query := r.URL.Query()
	if t := query.Get("team"); teamID.MatchString(t) {
		s.TeamHint = t
	}
	bad := in.unready(ctx, s.Ref, &outcomeRecordsDown)
	if bad == nil {
		bad = in.follow(ctx, query, &s)
	}
	if bad != nil {
		in.show(w, r, in.page(*bad, s.Ref))
		return
	}

	// A browser that starts twice keeps its cookie, so that both tabs can finish.
	var browser string
	if cookie, err := r.Cookie(in.cookieName()); err == nil {
		if hash, ok := links.HashSecret(cookie.Value); ok {
			browser, s.Browser = cookie.Value, hash
		}
	}
	if browser == "" {
		browser, s.Browser = links.NewSecret()
	}
	in.log.InfoContext(ctx, "install started", "ref", s.Ref, "bound_to", s.Link.Connection)
	in.metrics.installs.WithLabelValues(attemptNone, attemptStarted).Inc()
	in.setBrowser(w, browser, links.StateLife)
	in.redirect(w, in.cfg.SlackURL+"/oauth/v2/authorize?"+in.authorize(s).Encode())
}

// authorize is what Slack's page is asked for.
// https://docs.slack.dev/authentication/installing-with-oauth
func (in *Installer) authorize(s links.State) url.Values {
	ask := url.Values{
		"client_id":    {in.cfg.ClientID},
		"scope":        {strings.Join(connection.ScopeNames(in.cfg.Scopes), ",")},
		"redirect_uri": {in.redirectURI()},
		"state":        {in.links.Sign("state", s)},
	}
	if len(s.Link.Scopes) > 0 { // Slack adds them to what was granted before
		ask.Set("scope", strings.Join(s.Link.Scopes, ","))
	} else if len(in.cfg.UserScopes) > 0 {
		ask.Set("user_scope", strings.Join(connection.ScopeNames(in.cfg.UserScopes), ","))
	}
	if s.TeamHint != "" {
		ask.Set("team", s.TeamHint)
	}
	return ask
}

// follow takes up the link that the query brings, if any, and returns the page to show when it does not work. Whether it was
// used counts in the callback; here it spares a person the way to Slack.
func (in *Installer) follow(ctx context.Context, query url.Values, s *links.State) *outcome {
	signed := query.Get("link")
	if signed == "" {
		if query.Has("connection") {
			return &outcomeUnknownLink // as links were once; those could be made up
		}
		return nil
	}
	var l links.Link
	if !in.links.Verify("grant", signed, &l) {
		return &outcomeBrokenLink
	}
	if !in.now().Before(time.Unix(l.Until, 0)) {
		return &outcomeExpiredLink
	}
	c, err := in.store.Get(ctx, l.Connection)
	if errors.Is(err, connection.ErrNotFound) {
		return &outcomeUnknownLink
	}
	unused := true
	if err == nil {
		unused, err = in.store.Available(ctx, usedUp(links.HashOf(l.Nonce)), in.now())
	}
	if err != nil {
		in.log.ErrorContext(ctx, "follow link", "ref", s.Ref, "cause", err)
		return &outcomeRecordsDown
	}
	if !unused {
		return usedLink(c)
	}
	s.TeamHint, s.Link = c.TeamID, l
	return nil
}

// usedLink is what is said of a link that was used, by what has become of its connection.
func usedLink(c connection.Connection) *outcome {
	if c.Token != "" && (c.State == connection.Active || c.State == connection.Retrying) {
		return &outcomeConnectedLink
	}
	return &outcomeUsedLink
}

// origin is the address as the browser names it, as far as a request tells: to compare two of them, and never to send anybody
// there. It is kept, so it is bounded.
func origin(r *http.Request) string {
	o := r.Header.Get("X-Forwarded-Proto") + "://" + cmp.Or(r.Header.Get("X-Forwarded-Host"), r.Host)
	return o[:min(len(o), 120)]
}

// redirect sends the browser on. Unlike http.Redirect it writes no body, which would repeat the state.
func (in *Installer) redirect(w http.ResponseWriter, address string) {
	in.guard(w)
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusFound)
}

// redirectURI is sent at both ends of the flow, where Slack compares the two strings.
func (in *Installer) redirectURI() string { return in.cfg.PublicURL + "/slack/oauth_redirect" }

// callback answers GET /slack/oauth_redirect. Once the state is used, the rest no longer depends on the browser
// staying: the code is spent at Slack the moment we ask.
func (in *Installer) callback(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	back := arrival{state: query.Get("state"), code: query.Get("code"), refusal: query.Get("error"),
		described: query.Get("error_description") != "", origin: origin(r), from: callerOf(r), at: in.now()}
	switch {
	case !in.mode.consents():
		in.show(w, r, in.page(outcomeSingleWorkspace, links.NewRef()))
		return
	case back.code == "" && back.refusal == "":
		// A scanner, or a bookmark.
		in.show(w, r, in.page(outcomeNothingHere, ""))
		return
	case back.state == "" && back.refusal != "":
		// Cancelled on Slack's own admin pages, which know no state: there is no attempt to record it with.
		in.show(w, r, in.refused(back, links.NewRef()))
		return
	case back.state == "":
		// Installed from those pages. Start again from ours; the code is never used, so
		// that nobody can be made to finish somebody else's install.
		in.log.InfoContext(r.Context(), "callback without a state: starting again")
		in.metrics.installs.WithLabelValues(attemptNone, attemptStartedAgain).Inc()
		in.redirect(w, in.cfg.PublicURL+"/slack/install")
		return
	}
	leave, ok := in.crowd.enter(back.from, back.at)
	if !ok {
		in.show(w, r, in.busy(links.NewRef()))
		return
	}
	defer leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), tokens.ConsentBudget)
	defer cancel()

	back.answer = hashOfAnswer(back.code, back.refusal)
	if cookie, err := r.Cookie(in.cookieName()); err == nil {
		back.browser, _ = links.HashSecret(cookie.Value)
	}
	a, p := in.recognise(ctx, back)
	if p == nil {
		done := in.arrived(ctx, back, a)
		p = &done
	}
	in.offerUndo(w, r, p)
	in.show(w, r, *p)
}

// hashOfAnswer tells what Slack sent the browser back with from anything else it could have.
func hashOfAnswer(code, refusal string) []byte {
	sum := sha256.Sum256([]byte(code + "\x00" + refusal))
	return sum[:]
}

// arrived goes on with an attempt whose browser is back with an answer of Slack's, and returns the last page. Only when
// Slack can be asked is the state used up.
func (in *Installer) arrived(ctx context.Context, back arrival, a Attempt) page {
	a.ReturnedAt, a.AnswerHash = back.at, back.answer
	switch {
	case back.refusal != "":
		p := in.refused(back, a.Ref)
		in.keepRequest(&p, a)
		in.reassure(ctx, &p, a)
		in.recordFree(ctx, a, p)
		return p
	case !codeLike.MatchString(back.code):
		p := in.page(outcomeOddCode, a.Ref)
		in.keepRequest(&p, a)
		in.reassure(ctx, &p, a)
		return p
	}
	switch err := in.tokens.Budgets.TakeInstall(ctx, in.crowd.suspect(back.from, back.at)); {
	case errors.Is(err, tokens.ErrSpent):
		return in.busy(a.Ref)
	case err != nil:
		in.log.ErrorContext(ctx, "spend from the budget of installs", "ref", a.Ref, "cause", err)
		return in.page(outcomeRecordsDown, a.Ref)
	}
	asking, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	switch err := in.store.BeginAttempt(asking, a); {
	case errors.Is(err, ErrStateUsed):
		return in.again(ctx, back, a) // by another tab, a moment ago
	case err != nil:
		in.log.ErrorContext(ctx, "use up state", "ref", a.Ref, "cause", err)
		return in.page(outcomeRecordsDown, a.Ref)
	}

	p := in.finish(ctx, &a, back.code)
	if p.Reason == outcomeCodeSpent.reason {
		in.crowd.falseCode(back.from, in.now())
	}
	if p.unasked {
		a.ReturnedAt, a.AnswerHash = time.Time{}, nil // a reload does it
	}
	in.keepRequest(&p, a)
	in.record(ctx, a, p)
	return p
}

// busy is the page for somebody who has to wait for others. Nothing was used up, so a reload goes on where it stopped.
func (in *Installer) busy(ref string) page {
	p := in.page(outcomeBusy, ref)
	p.retryAfter = int(busyWait / time.Second)
	p.name("wait", strconv.Itoa(p.retryAfter))
	return p
}

// again answers for a state that was used. To a reload, the back button or a double click in the browser that used it, it
// says how that ended; the first request may still be under way, and is waited for. Another answer of Slack's for the same
// state was not looked at, and the person has to know.
func (in *Installer) again(ctx context.Context, back arrival, a Attempt) page {
	if !links.SameHash(back.browser, a.BrowserHash) {
		return in.page(outcomeUsed, a.Ref)
	}
	a, err := in.ended(ctx, a)
	if err != nil {
		return in.page(outcomeUnended, a.Ref)
	}
	if a.Outcome == OutcomeConnected || a.Outcome == OutcomeReconnected {
		return in.againConnected(ctx, back, a)
	}
	p := in.page(outcomeAfterRefusal, a.Ref)
	if in.sameAnswer(back, a) {
		if a.Outcome != OutcomeRefused {
			p = in.page(outcomeUsed, a.Ref)
		}
		for _, s := range outcomes {
			if s.reason == a.Reason {
				p = in.page(s, a.Ref)
				p.name("missing", "a permission that it needs")
				p.name("wait", "60")
			}
		}
	}
	in.keepRequest(&p, a)
	return p
}

// sameAnswer reports whether a browser is back with what a was ended with, or with what can't be told from it.
func (in *Installer) sameAnswer(back arrival, a Attempt) bool {
	return links.SameHash(back.answer, a.AnswerHash) || a.ReturnedAt.IsZero()
}

// againConnected is again for an attempt that connected a workspace. What is said of that workspace is what is known now.
func (in *Installer) againConnected(ctx context.Context, back arrival, a Attempt) page {
	c, err := in.store.Get(ctx, a.ConnectionID)
	if err != nil {
		in.log.ErrorContext(ctx, "find connection of an install", "ref", a.Ref, "cause", err)
		return in.page(outcomeRecordsDown, a.Ref)
	}
	inForce := c.AuthorizedBy == a.UserID && !c.AuthorizedAt.Before(a.ReturnedAt) && !c.AuthorizedAt.After(a.EndedAt)
	s := outcomeSecondAnswer
	switch {
	case c.State == connection.Removed && inForce && in.wasUndone(ctx, c):
		s = outcomeUndoneSince
	case c.State == connection.Removed:
		s = outcomeRemovedSince
	case c.State == connection.Paused:
		s = outcomePausedSince
	case c.State != connection.Active && c.State != connection.Retrying:
		s = outcomeBrokenSince
	case in.sameAnswer(back, a):
		// What can be undone is an install, and the one in force.
		undo := a.Outcome == OutcomeConnected && inForce
		return in.success(ctx, installed{now: c, before: &c, by: a.UserID, again: true, undo: undo, request: a.Request}, a.Ref)
	}
	p := in.page(s, a.Ref)
	p.name("workspace", cmp.Or(c.TeamName, "your workspace"))
	in.keepRequest(&p, a)
	return p
}

// ended returns an attempt with its ending, and waits for it: the pauses grow, because several may wait, and each look
// is a read.
func (in *Installer) ended(ctx context.Context, a Attempt) (Attempt, error) {
	const first, longest = 100 * time.Millisecond, time.Second
	ctx, cancel := context.WithTimeout(ctx, in.endings)
	defer cancel()
	until := a.LinkUntil
	for pause := first; a.EndedAt.IsZero(); pause = min(2*pause, longest) {
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case <-time.After(pause):
		}
		row, err := in.store.GetAttempt(ctx, a.StateHash)
		if err != nil {
			return a, err
		}
		a = row
	}
	a.LinkUntil = until
	return a, nil
}

// keepRequest makes "try again" on p ask for what a's link asked for, of the same workspace: with a fresh link, since the one that
// brought the person here may be used up. It lasts no longer than that one, so that a link for an hour is no way in for
// ever. Who used a link that was used before gets none.
func (in *Installer) keepRequest(p *page, a Attempt) {
	now := in.now()
	if a.BoundTo == "" || p.Reason == outcomeUsedLink.reason || !now.Before(a.LinkUntil) {
		return
	}
	until := now.Add(links.LinkLife)
	if a.LinkUntil.Before(until) {
		until = a.LinkUntil
	}
	for _, b := range []*action{&p.Primary, &p.Secondary} {
		if b.again {
			b.URL = in.links.GrantUntil(connection.Connection{ID: a.BoundTo}, a.Request, until)
		}
	}
}

// reassure says on p, of an attempt that Slack was not asked about, that the workspace it was for stays connected: where it is.
func (in *Installer) reassure(ctx context.Context, p *page, a Attempt) {
	if a.BoundTo == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, startBudget)
	defer cancel()
	c, err := in.store.Get(ctx, a.BoundTo)
	if err == nil && c.Token != "" && (c.State == connection.Active || c.State == connection.Retrying) {
		p.Unchanged = strings.TrimSpace(p.Unchanged + " " + cmp.Or(c.TeamName, "Your workspace") + " stays connected.")
	}
}

func (in *Installer) setBrowser(w http.ResponseWriter, browser string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: in.cookieName(), Value: browser, Path: "/", MaxAge: int(life / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// finish spends the code, stores what Slack granted, and returns the last page.
func (in *Installer) finish(ctx context.Context, a *Attempt, code string) page {
	done, failed := in.connect(ctx, a, code)
	switch {
	case failed == nil:
	case failed.Reason == outcomeUsedLink.reason, failed.Reason == outcomeNotStored.reason: // the journal may carry it through yet
		return *failed
	default:
		// A link that stays where several people read it is not lost because one of them chose another workspace.
		in.unused(ctx, a)
		return *failed
	}
	done.undo, done.request = done.fresh(), a.Request
	return in.success(ctx, done, a.Ref)
}

// unused gives the link of an attempt back that was not carried through.
func (in *Installer) unused(ctx context.Context, a *Attempt) {
	if len(a.LinkHash) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordBudget)
	defer cancel()
	if err := in.store.Refill(ctx, usedUp(a.LinkHash)); err != nil {
		in.log.WarnContext(ctx, "a link counts as used that was not carried through", "ref", a.Ref, "cause", err)
	}
}

// connect spends the code and stores what Slack granted. Nobody else is held up meanwhile. Of two consents for one
// workspace the later one ends the tokens of the other at Slack, and the two may reach the store in the other order:
// see Connection.Consent.
func (in *Installer) connect(ctx context.Context, a *Attempt, code string) (done installed, failed *page) {
	stop := func(p page) (installed, *page) { return installed{}, &p }
	bound, failed := in.useLink(ctx, a)
	if failed != nil {
		return installed{}, failed
	}
	asked, err := in.store.Mark(ctx)
	if err != nil {
		in.log.ErrorContext(ctx, "mark the order of consents", "ref", a.Ref, "cause", err) // then the clocks decide
	}
	granted, failed := in.exchangeCode(ctx, a, code)
	if failed != nil {
		return installed{}, failed
	}
	now := in.now()
	c := granted.Connection(now)
	c.Asked, c.GrantID = asked, links.NewRef()+links.NewRef()
	token := c.Token
	in.complete(ctx, &c)
	a.TeamID, a.UserID = c.TeamID, c.InstalledBy
	switch {
	case token == "" || strings.EqualFold(string(granted.TokenType), "user"):
		in.log.ErrorContext(ctx, "exchange code: Slack gave no bot token", "ref", a.Ref, "token_type", string(granted.TokenType))
		return stop(in.page(outcomeNotSetUp, a.Ref))
	case in.cfg.AppID != "" && c.AppID != in.cfg.AppID:
		in.log.ErrorContext(ctx, "exchange code: Slack answered for another app", "ref", a.Ref, "want", in.cfg.AppID, "got", c.AppID)
		return stop(in.page(outcomeNotSetUp, a.Ref))
	}
	// From here on the tokens that this workspace had may be spent: at Slack a consent ends the refresh token before it.
	c.Generation = in.tokens.Journal.NextGeneration(ctx, connection.TokenOwner{Key: c.Key})
	pairs := in.journalConsent(ctx, c, granted)
	elsewhere := bound.ID != "" && (bound.TeamID != c.TeamID || bound.AppID != c.AppID || bound.Org() && bound.EnterpriseID != c.EnterpriseID)
	var id connection.Identity
	var unasked error
	if !elsewhere { // at once: the next consent of a colleague may end this token
		id, unasked = in.slack.Identify(ctx, token)
	}
	was, err := in.relied(ctx, c.Key)
	if err != nil {
		// Without our records nothing can be told about the workspace, and nothing stored. The journal keeps what came.
		in.log.ErrorContext(ctx, "find connection of a consent", "ref", a.Ref, "cause", err)
		return stop(in.page(outcomeNotStored, a.Ref))
	}
	if was.TeamID != c.TeamID {
		was = connection.Connection{} // only its organisation's
	}
	works := was.Token != ""
	if works && (elsewhere || unasked != nil) {
		c.Scopes = connection.SplitScopes(strings.Join(append(c.Scopes, was.Scopes...), ",")) // Slack may name the new ones alone
	}
	if elsewhere {
		p := in.page(outcomeWrongWorkspace, a.Ref)
		p.name("chosen", cmp.Or(c.TeamName, "another workspace"))
		p.name("wanted", cmp.Or(bound.TeamName, "the workspace it was made for"))
		if works {
			if _, _, err := in.put(ctx, c, pairs); err != nil {
				in.log.ErrorContext(ctx, "keep the tokens of a workspace that was chosen by mistake", "ref", a.Ref, "cause", err)
			} else {
				p.Facts = []string{cmp.Or(c.TeamName, "That workspace") + " was connected before, and stays so."}
			}
			return stop(p)
		}
		p.Facts = in.giveBack(ctx, c, pairs)
		return stop(p)
	}
	switch {
	case works && unasked != nil && !slackapi.Decisive(unasked), slackapi.SlackError(unasked) == connection.ReasonTokenExpired && c.RefreshToken != "":
		// Slack has trouble, and giving up would end a connection that works. Or consents of the same moment, at other replicas, ended
		// this token already: one of them counts, and the store sorts that out. The next check asks again.
		in.log.WarnContext(ctx, "auth.test after exchange: reconnected without it", "ref", a.Ref, "cause", slackapi.Cause(unasked))
		c.CheckAt = now.Add(checkAgain)
	case unasked != nil:
		in.discard(ctx, pairs)
		return stop(in.slackRefused(ctx, "auth.test after exchange", unasked, a.Ref))
	case !c.Org() && id.TeamID != c.TeamID:
		in.log.ErrorContext(ctx, "auth.test names another workspace than the exchange", "ref", a.Ref, "exchange", c.TeamID, "auth_test", id.TeamID)
		in.discard(ctx, pairs)
		return stop(in.page(outcomeUnexpected, a.Ref))
	default:
		c.BotID, c.TeamURL = id.BotID, id.URL
		c.CheckedAt, c.CheckAt = now, connection.NextCheck(connection.Active, now, now)
		if len(id.Scopes) > 0 {
			c.Scopes = id.Scopes // what the token really has
		}
	}
	if why := in.refuses(c, was); why != nil {
		p := in.page(*why, a.Ref)
		p.name("missing", quoted(c.Missing(connection.Required(in.cfg.Scopes))))
		p.Facts = in.giveBack(ctx, c, pairs)
		return stop(p)
	}

	saved, before, err := in.put(ctx, c, pairs)
	if err != nil {
		in.log.ErrorContext(ctx, "store connection", "ref", a.Ref, "cause", err)
		return stop(in.page(outcomeNotStored, a.Ref))
	}
	a.ConnectionID = saved.ID
	done = installed{now: saved, before: before, by: c.AuthorizedBy}
	in.log.InfoContext(ctx, "connected", "ref", a.Ref, "connection", saved.ID, "key", saved.Key.String(),
		"installed_by", saved.InstalledBy, "fresh", done.fresh(), "missing_scopes", len(saved.Missing(in.cfg.Scopes)))
	return done, nil
}

// useLink uses up the link that an attempt came by, if any, and returns the connection that it is bound to.
func (in *Installer) useLink(ctx context.Context, a *Attempt) (bound connection.Connection, failed *page) {
	silent := func(doing string, err error) (connection.Connection, *page) {
		in.log.ErrorContext(ctx, doing, "ref", a.Ref, "cause", err)
		p := in.page(outcomeRecordsDown, a.Ref)
		p.unasked = true
		return connection.Connection{}, &p
	}
	if a.BoundTo != "" {
		asking, cancel := context.WithTimeout(ctx, startBudget)
		defer cancel()
		var err error
		if bound, err = in.store.Get(asking, a.BoundTo); err != nil {
			return silent("find connection of reconnect link", err)
		}
	}
	if len(a.LinkHash) == 0 {
		return bound, nil
	}
	asking, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	switch first, err := in.store.Take(asking, usedUp(a.LinkHash), 1, in.now()); {
	case err != nil:
		return silent("use up link", err)
	case !first:
		p := in.page(*usedLink(bound), a.Ref)
		return connection.Connection{}, &p
	}
	return bound, nil
}

// exchangeCode spends the code at Slack. It blocks for one call, and holds nobody else up.
func (in *Installer) exchangeCode(ctx context.Context, a *Attempt, code string) (slackapi.Granted, *page) {
	ctx, cancel := context.WithTimeout(ctx, slackapi.CallTimeout)
	defer cancel()
	got, err := in.slack.OAuth(ctx, "oauth.v2.access", url.Values{
		"client_id": {in.cfg.ClientID}, "client_secret": {in.cfg.ClientSecret.Reveal()}, "code": {code}, "redirect_uri": {in.redirectURI()},
	})
	if err == nil {
		return got, nil
	}
	p := in.slackRefused(ctx, "exchange code", err, a.Ref)
	wait, limited := slackapi.RetryAfter(err)
	if limited {
		in.tokens.Budgets.KeepLimit(ctx, tokens.RenewalsInUse, wait)
	}
	// Slack has not looked at the code when it turned us away for asking too often, or was not reached at all.
	var dial *net.OpError
	p.unasked = limited || errors.As(err, &dial) && dial.Op == "dial"
	return slackapi.Granted{}, &p
}

// complete fills in whose a consent is, where the answer to its code did not say so readably: the app's id from the
// settings, the workspace's and the organisation's from auth.test. Only then, because until the tokens are in the
// journal every call is a risk.
func (in *Installer) complete(ctx context.Context, c *connection.Connection) {
	c.AppID = cmp.Or(c.AppID, in.cfg.AppID)
	if c.Token == "" || c.AppID != "" && (c.TeamID != "" || c.EnterpriseID != "") {
		return
	}
	id, err := in.slack.Identify(ctx, c.Token)
	if err != nil {
		in.log.ErrorContext(ctx, "a consent doesn't say whose it is, and Slack couldn't be asked", "slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
		return
	}
	c.AppID, c.EnterpriseID, c.TeamID = cmp.Or(c.AppID, id.AppID), id.EnterpriseID, id.TeamID
	if id.IsEnterpriseInstall {
		c.TeamID = ""
	}
	c.TeamName = cmp.Or(c.TeamName, id.Team)
}

// journalConsent keeps on this machine's disk what a consent brought, until it is stored or refused: the connection and,
// where the app asked to act for people, the token of the person.
func (in *Installer) journalConsent(ctx context.Context, c connection.Connection, granted slackapi.Granted) (pairs []connection.Grant) {
	pairs = []connection.Grant{c.Grant()}
	if u := granted.AuthedUser; u.AccessToken != "" && u.ID != "" {
		person := connection.TokenOwner{Key: c.Key, UserID: string(u.ID)}
		pairs = append(pairs, connection.Grant{TokenOwner: person, Origin: connection.Consent{}, Token: connection.Secret(u.AccessToken), Refresh: connection.Secret(u.RefreshToken),
			Life: time.Duration(u.ExpiresIn), At: c.AuthorizedAt, Scopes: connection.SplitScopes(string(u.Scope)),
			Generation: in.tokens.Journal.NextGeneration(ctx, person), GrantID: c.GrantID, GrantedAt: c.AuthorizedAt})
	}
	for i := range pairs {
		in.tokens.Journal.Keep(ctx, &pairs[i])
	}
	return pairs
}

// discard forgets what a consent brought that is not to be stored.
func (in *Installer) discard(ctx context.Context, pairs []connection.Grant) {
	for _, p := range pairs {
		in.tokens.Journal.Drop(ctx, p)
	}
}

// relied returns the connection that people in k's workspace rely on, even if it has no access any more and needs reconnecting. It
// may be under the key from before the workspace moved, or the organisation's. Without an id: there is none. An error is the
// store's trouble.
func (in *Installer) relied(ctx context.Context, k connection.Key) (connection.Connection, error) {
	ctx, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	var was connection.Connection
	err := insist(ctx, func() (err error) {
		if was, err = in.store.Lookup(ctx, k); errors.Is(err, connection.ErrNotFound) {
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

// refuses returns why a consent is not stored; nil: it is. was is the connection that its workspace has, without an id for none:
// one that works goes on working, and one that needs reconnecting is not new.
func (in *Installer) refuses(c, was connection.Connection) *outcome {
	admitted := func(id string) bool { return id != "" && slices.Contains(in.cfg.Admit, id) }
	switch {
	case was.Token != "":
		return nil
	case in.cfg.Closed && was.ID == "" && !admitted(c.TeamID) && !admitted(c.EnterpriseID):
		return &outcomeClosed
	case len(c.Missing(connection.Required(in.cfg.Scopes))) > 0:
		return &outcomeRequired
	}
	return nil
}

// giveBack forgets what a consent brought and removes the app at Slack, where it was just added; unless somebody relies on it
// there, as the workspaces of an organisation do on the organisation's install. It is forgotten first: a process that dies in
// between leaves an app that does nothing, and no connection that was refused. It returns what the person has to know of it.
func (in *Installer) giveBack(ctx context.Context, c connection.Connection, pairs []connection.Grant) []string {
	in.discard(ctx, pairs)
	if was, err := in.relied(ctx, c.Key); err != nil || was.ID != "" {
		in.log.WarnContext(ctx, "access that was refused is not given back where others may rely on it", "key", c.Key.String(), "connection", was.ID, "cause", err)
		return []string{"Slack still lists " + in.cfg.App.Name + " there, because it was connected before."}
	}
	said, err := in.uninstall(ctx, c)
	if err == nil {
		return []string{"What you allowed was given back."}
	}
	in.log.ErrorContext(ctx, "access that was refused could not be given back", "key", c.Key.String(), "slack_error", said, "cause", slackapi.Cause(err))
	if slackapi.MaybeDone(err) {
		return []string{"Slack may still list " + in.cfg.App.Name + " there. " + strings.ReplaceAll(removeByHand, "{app}", "it")}
	}
	return []string{"Slack still lists " + in.cfg.App.Name + " there. " + strings.ReplaceAll(removeByHand, "{app}", "it")}
}

// put stores a consent, and tries again while ctx allows: Slack has done its part, so giving up here costs the person a second
// consent. What the store doesn't take in that time waits in the journal. The install stands without the person's token.
func (in *Installer) put(ctx context.Context, c connection.Connection, pairs []connection.Grant) (connection.Connection, *connection.Connection, error) {
	ctx, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	c.LeftOut(in.cfg.Scopes)
	var now connection.Connection
	var before *connection.Connection
	if err := insist(ctx, func() (err error) {
		in.tokens.Pairs.Rehome(ctx, c.Key)
		now, before, err = in.store.Put(ctx, c)
		return err
	}); err != nil {
		return connection.Connection{}, nil, err
	}
	in.putAside(ctx, pairs[0], now, before)
	for _, p := range pairs[1:] {
		if err := in.putPerson(ctx, p, now); err != nil {
			in.log.ErrorContext(ctx, "keep a person's token", "connection", now.ID, "cause", err)
		}
	}
	return now, before, nil
}

// putAside keeps the pair that was stored, and beside it the one of a competing consent until a renewal shows which of
// them counts.
func (in *Installer) putAside(ctx context.Context, p connection.Grant, now connection.Connection, before *connection.Connection) {
	in.tokens.Journal.NotPending(p.Token)
	if now.GrantID != p.GrantID {
		in.tokens.Journal.Settle(ctx, p, connection.Aside)
		return
	}
	if now.Contested && before != nil {
		in.tokens.Journal.Settle(ctx, before.Grant(), connection.Aside)
	}
	in.tokens.Journal.Settle(ctx, p.StoredIn(&now), connection.Kept)
}

// putPerson is what put does with the token of the person who consented: where the consent met another one of theirs,
// the pair that lost with it is put aside, and the other one tried soon.
func (in *Installer) putPerson(ctx context.Context, p connection.Grant, now connection.Connection) error {
	seen, err := in.store.GetUser(ctx, p.TokenOwner)
	isRival := err == nil && seen.Token != "" && seen.Reason == connection.ReasonNone && seen.GrantedAt.Sub(p.GrantedAt).Abs() < connection.LateConsent
	if !now.Contested || !isRival {
		return in.tokens.Delivery.Bring(ctx, p)
	}
	if now.GrantID != p.GrantID {
		in.tokens.Journal.Settle(ctx, p, connection.Aside)
	} else {
		in.tokens.Journal.Settle(ctx, seen.Grant(), connection.Aside)
		err = in.tokens.Delivery.Bring(ctx, p)
	}
	tried := in.tokens.Pairs.Update(ctx, p.TokenOwner, func(a connection.Access) error {
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

// installed is what the success page and the welcome message are made from.
type installed struct {
	now     connection.Connection
	before  *connection.Connection // nil: there was none
	by      string                 // user ID
	again   bool                   // the page is shown a second time; nothing happened
	undo    bool                   // nobody relies on it yet, so whoever installed may take it back
	request links.GrantRequest     // of the link it came by
}

// fresh reports whether this was an install, as against one more consent for a connection that works.
func (i installed) fresh() bool {
	return !i.again && (i.before == nil || i.before.State == connection.Removed)
}

// success asks Slack for what makes the page friendly, writes the welcome message, and returns the page. Nothing here can
// fail the install.
func (in *Installer) success(ctx context.Context, i installed, ref string) page {
	ctx, cancel := context.WithTimeout(ctx, extrasBudget)
	defer cancel()
	var work sync.WaitGroup
	welcomed := true
	if i.fresh() && in.cfg.Messages != nil {
		work.Go(func() {
			if err := in.welcome(ctx, i.now); err != nil {
				welcomed = false
				in.log.WarnContext(ctx, "welcome message", "ref", ref, "connection", i.now.ID, "slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
			}
		})
	}
	c := i.now
	work.Go(func() {
		if c.TeamIcon == "" || c.InstalledByName == "" || i.fresh() {
			in.learnNames(ctx, &c)
		}
	})
	work.Wait()
	i.now = c
	return in.successPage(ctx, i, welcomed, ref)
}

// welcome calls Messages.Welcome, again where another install took the token meanwhile.
func (in *Installer) welcome(ctx context.Context, c connection.Connection) error {
	for {
		err := in.cfg.Messages.Welcome(ctx, in.Client(c), c)
		if slackapi.SlackError(err) != connection.ReasonTokenExpired {
			return err
		}
		// Somebody else installed too, twice: that ends this consent's token, and theirs is in the row.
		now, findErr := in.store.Lookup(ctx, c.Key)
		if findErr != nil || now.Token == c.Token || now.Token == "" {
			return err
		}
		c = now
	}
}

// learnNames asks Slack for the workspace's picture and the installer's name, and keeps them. Both are only for people to
// read, so failing is fine.
func (in *Installer) learnNames(ctx context.Context, c *connection.Connection) {
	client := in.Client(*c)
	var work sync.WaitGroup
	var icon, team, name string
	if slices.Contains(c.Scopes, "team:read") && !c.Org() {
		work.Go(func() {
			if info, err := client.GetTeamInfoContext(ctx); err == nil {
				team = info.Name
				for _, size := range []string{"image_132", "image_88", "image_68", "image_34"} {
					if s, ok := info.Icon[size].(string); ok && icon == "" {
						icon = s
					}
				}
			}
		})
	}
	if slices.Contains(c.Scopes, "users:read") && c.InstalledBy != "" {
		work.Go(func() {
			if u, err := client.GetUserInfoContext(ctx, c.InstalledBy); err == nil {
				name = u.RealName
			}
		})
	}
	work.Wait()
	learned := func(c *connection.Connection) {
		if icon != "" {
			c.TeamIcon = icon
		}
		if team != "" {
			c.TeamName = team
		}
		if name != "" {
			c.InstalledByName = name
		}
	}
	learned(c)
	if icon == "" && team == "" && name == "" {
		return
	}
	by := c.InstalledBy
	if _, err := in.store.Update(ctx, c.Key, func(row *connection.Connection) error {
		if row.InstalledBy == by {
			learned(row)
		}
		return nil
	}); err != nil {
		in.log.WarnContext(ctx, "keep names", "connection", c.ID, "cause", err)
	}
}

// record writes how an attempt ended that was begun (Store.BeginAttempt).
func (in *Installer) record(ctx context.Context, a Attempt, p page) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordBudget) // the callback's own may be spent
	defer cancel()
	a.Outcome, a.Reason, a.EndedAt = p.outcome, p.Reason, in.now()
	if err := in.store.EndAttempt(ctx, a); err != nil {
		in.log.ErrorContext(ctx, "record install attempt", "ref", a.Ref, "cause", err)
	}
}

// Endings that cost no call to Slack can be had as often as somebody asks. Each process records so many of them, which
// is more than people bring about; the others are shown, logged and counted alone.
const (
	freeEvery = 2 * time.Second
	freeBurst = 100
)

// recordFree records an attempt that ended without a question to Slack, in one statement.
func (in *Installer) recordFree(ctx context.Context, a Attempt, p page) {
	if !in.free.AllowN(in.now(), 1) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordBudget)
	defer cancel()
	a.Outcome, a.Reason, a.EndedAt = p.outcome, p.Reason, in.now()
	if err := in.store.BeginAttempt(ctx, a); err != nil && !errors.Is(err, ErrStateUsed) {
		in.log.ErrorContext(ctx, "record install attempt", "ref", a.Ref, "cause", err)
	}
}
