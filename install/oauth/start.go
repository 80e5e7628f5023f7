package oauth

// The way to Slack: the start page, and the link that somebody may come with.

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/internal/spans"
)

// What is counted of attempts that end nothing.
const (
	attemptStarted      = "started"
	attemptStartedAgain = "started_again"
)

var teamID = regexp.MustCompile(`^T[A-Z0-9]{2,20}$`)

// start answers GET /slack/install: one cookie, and off to Slack. Nothing is kept of it but a line in the log and a
// number. It is also the Marketplace's direct install address, which must answer 302 to Slack.
func (f *Flow) start(w http.ResponseWriter, r *http.Request) {
	s := links.State{Ref: links.NewRef(), Started: f.cfg.Now().UnixMicro(), Origin: origin(r), Nonce: links.NewNonce()}
	if !f.cfg.Mode.Consents() {
		f.pages.show(w, r, f.pages.of(outcomeSingleWorkspace, s.Ref))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), startBudget)
	defer cancel()
	ctx, span := f.cfg.Spans.Start(ctx, trace.SpanKindInternal, "start install", "")
	defer span.End()
	span.Say(spans.Reference, s.Ref)
	s.Trace = spans.Carried(ctx)

	query := r.URL.Query()
	if t := query.Get("team"); teamID.MatchString(t) {
		s.TeamHint = t
	}

	bad := f.unready(ctx, s.Ref, &outcomeRecordsDown)
	if bad == nil {
		bad = f.follow(ctx, query, &s)
	}
	if bad != nil {
		span.Say(spans.Outcome, bad.reason)
		f.pages.show(w, r, f.pages.of(*bad, s.Ref))
		return
	}

	// A browser that starts twice keeps its cookie, so that both tabs can finish.
	browser, hash := f.cookie.of(r)
	if hash == nil {
		browser, hash = links.NewSecret()
	}
	s.Browser = hash

	f.cfg.Log.InfoContext(ctx, "install started", "ref", s.Ref, "bound_to", s.Link.Connection)
	f.cfg.Ended("", attemptStarted)
	f.cookie.set(w, browser, links.StateLife)
	f.redirect(w, f.cfg.Slack.Address+"/oauth/v2/authorize?"+f.authorize(s).Encode())
}

// authorize is what Slack's page is asked for.
// https://docs.slack.dev/authentication/installing-with-oauth
func (f *Flow) authorize(s links.State) url.Values {
	ask := url.Values{
		"client_id":    {f.cfg.ClientID},
		"scope":        {strings.Join(connection.ScopeNames(f.cfg.Scopes), ",")},
		"redirect_uri": {redirectURI(f.cfg.Links)},
		"state":        {f.cfg.Links.Sign("state", s)},
	}
	if len(s.Link.Scopes) > 0 { // Slack adds them to what was granted before
		ask.Set("scope", strings.Join(s.Link.Scopes, ","))
	} else if len(f.cfg.UserScopes) > 0 {
		ask.Set("user_scope", strings.Join(connection.ScopeNames(f.cfg.UserScopes), ","))
	}

	if s.TeamHint != "" {
		ask.Set("team", s.TeamHint)
	}
	return ask
}

// follow takes up the link that the query brings, if any, and returns the page to show when it does not work. Whether
// it was used counts in the callback; here it spares a person the way to Slack.
func (f *Flow) follow(ctx context.Context, query url.Values, s *links.State) *outcome {
	signed := query.Get("link")
	if signed == "" {
		if query.Has("connection") {
			return &outcomeUnknownLink // as links were once; those could be made up
		}
		return nil
	}

	var l links.Link
	if !f.cfg.Links.Verify("grant", signed, &l) {
		return &outcomeBrokenLink
	}
	if !f.cfg.Now().Before(time.Unix(l.Until, 0)) {
		return &outcomeExpiredLink
	}

	c, err := f.cfg.Store.Get(ctx, l.Connection)
	if errors.Is(err, connection.ErrNotFound) {
		return &outcomeUnknownLink
	}
	unused := true
	if err == nil {
		unused, err = f.cfg.Store.Available(ctx, usedUp(links.HashOf(l.Nonce)), f.cfg.Now())
	}

	if err != nil {
		f.cfg.Log.ErrorContext(ctx, "follow link", "ref", s.Ref, "cause", err)
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
	if isConnected(c) {
		return &outcomeConnectedLink
	}
	return &outcomeUsedLink
}

// isConnected reports whether people in c's workspace can use the app.
func isConnected(c connection.Connection) bool { return c.Usable() && c.State != connection.Paused }

// origin is the address as the browser names it, as far as a request tells: to compare two of them, and never to send
// anybody there. It is kept, so it is bounded.
func origin(r *http.Request) string {
	o := r.Header.Get("X-Forwarded-Proto") + "://" + cmp.Or(r.Header.Get("X-Forwarded-Host"), r.Host)
	return o[:min(len(o), 120)]
}

// lookAtStore reports whether the store is ready for installs. All who ask at one moment share one look, so that
// however many strangers open our pages, they take one connection of the database.
func (f *Flow) lookAtStore(ctx context.Context) error {
	look := f.looks.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startBudget)
		defer cancel()
		err := f.cfg.Store.Ready(ctx)
		if err == nil {
			err = f.cfg.Store.CheckAnyKey(ctx)
		}
		return nil, err
	})

	select {
	case seen := <-look:
		return seen.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unready returns what people are told when an install could not be finished now: down, where the records can't be
// reached; nil: it could.
func (f *Flow) unready(ctx context.Context, ref string, down *outcome) *outcome {
	err := f.lookAtStore(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, connection.ErrWrongKeys):
		down = &outcomeNotReady
	}
	f.cfg.Log.ErrorContext(ctx, "not ready for installs", "ref", ref, "cause", err)
	return down
}
