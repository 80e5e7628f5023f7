package oauth

// The way back: Slack sends the browser with a code, which is spent for tokens, and with the state that it left with.
// Once the state is used, the rest no longer depends on the browser staying: the code is spent at Slack the moment we
// ask.
//
// The state goes with the browser to Slack and back and says all that was wanted, signed, so that whoever presses the
// button and never comes back has cost nothing: no row, no lock, no call. It is worth something once, to the browser
// that began, for ten minutes. That it was used is recorded when it comes back (Store.BeginAttempt).

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/tokens"
	"github.com/switchboard-go/switchboard/internal/spans"
)

// callback answers GET /slack/oauth_redirect.
func (f *Flow) callback(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	back := arrival{state: query.Get("state"), code: query.Get("code"), refusal: query.Get("error"),
		described: query.Get("error_description") != "", origin: origin(r), from: callerOf(r), at: f.cfg.Now()}
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
		f.cfg.Log.InfoContext(r.Context(), "callback without a state: starting again")
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
		p = f.traced(ctx, back, a)
	}
	f.undo.offer(w, r, p)
	f.pages.show(w, r, p)
}

// arrival is a browser that Slack sent back.
type arrival struct {
	state           string
	code, refusal   string
	described       bool   // the refusal comes with words, as it does when a person pressed Cancel
	browser, answer []byte // hashes of the cookie (nil without one) and of the code or refusal
	origin          string // the address as this browser names it
	from            string // whoever it is, as far as the connection tells: see caller
	at              time.Time
}

// recognise finds out whose arrival this is, and writes nothing. It returns the attempt to go on with, or the page to
// show instead.
func (f *Flow) recognise(ctx context.Context, back arrival) (Attempt, *page) {
	a, signed := Attempt{}, links.State{}
	hash, ours := links.HashSecret(back.state)
	switch {
	case f.cfg.Links.Verify("state", back.state, &signed):
		a = attemptOf(signed)
		hash = a.StateHash
	case !ours:
		return Attempt{}, f.unknownState(ctx)
	}

	// The release before this one kept a row from the start on, under a state of another form. Those are ten minutes old
	// at most, so with the next release this look-up is for signed states alone.
	asking, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	row, err := f.cfg.Store.GetAttempt(asking, hash)
	switch {
	case errors.Is(err, connection.ErrNotFound) && signed.Nonce == nil:
		return Attempt{}, f.unknownState(ctx)
	case errors.Is(err, connection.ErrNotFound):
	case err != nil:
		f.cfg.Log.ErrorContext(ctx, "look up state", "ref", cmp.Or(a.Ref, "none"), "cause", err)
		return Attempt{}, f.pages.of(outcomeRecordsDown, cmp.Or(a.Ref, links.NewRef()))
	default:
		row.LinkUntil, row.Trace = a.LinkUntil, a.Trace
		if signed.Nonce == nil {
			row.LinkUntil = row.StartedAt.Add(links.LinkLife)
		}
		a = row
	}

	if !a.ReturnedAt.IsZero() {
		return Attempt{}, f.again(ctx, back, a)
	}
	return f.belongs(ctx, back, a)
}

func (f *Flow) unknownState(ctx context.Context) *page {
	p := f.pages.of(outcomeUnknownState, links.NewRef())
	f.cfg.Log.InfoContext(ctx, "callback with a made-up state", "ref", p.Ref)
	return p
}

// belongs checks that an unused state came back in time, and to the browser that began with it.
func (f *Flow) belongs(ctx context.Context, back arrival, a Attempt) (Attempt, *page) {
	mine := links.SameHash(back.browser, a.BrowserHash)
	switch {
	case !back.at.Before(a.ExpiresAt):
		p := f.pages.of(outcomeExpired, a.Ref)
		if mine {
			f.keepRequest(p, a)
			f.reassure(ctx, p, a)
		}
		f.records.endedFree(ctx, a, p)
		return Attempt{}, p
	case mine:
		return a, nil
	}

	// Perhaps a mail scanner or a chat's preview: the browser that started can still finish.
	p := f.pages.of(outcomeOtherBrowser, links.NewRef())
	if back.browser == nil && a.Origin != "" && a.Origin != back.origin {
		// The cookie stayed with the address at which the install began. Only the people who run the app can fix that.
		p = f.pages.of(outcomeOtherAddress, p.Ref)
		level := slog.LevelError
		if !f.strayed.AllowN(back.at, 1) {
			level = slog.LevelDebug // anybody can name another address, as often as they like
		}
		f.cfg.Log.Log(ctx, level,
			"an install began at another address than the public one, so its browser can't be recognised",
			"ref", p.Ref, "attempt", a.Ref, "began_at", a.Origin, "returned_to", back.origin,
			"public_url", f.cfg.Links.PublicURL)
		return Attempt{}, p
	}
	f.cfg.Log.InfoContext(ctx, "callback in another browser", "ref", p.Ref, "attempt", a.Ref)
	return Attempt{}, p
}

// hashOfAnswer tells what Slack sent the browser back with from anything else it could have.
func hashOfAnswer(code, refusal string) []byte {
	sum := sha256.Sum256([]byte(code + "\x00" + refusal))
	return sum[:]
}

// traced is arrived as a part of the trace that the start began: the browser's way to Slack and back lies between.
func (f *Flow) traced(ctx context.Context, back arrival, a Attempt) *page {
	within, span := f.cfg.Spans.Start(spans.Continue(ctx, a.Trace), trace.SpanKindInternal, "install", "")
	defer span.End()
	if a.Trace != "" {
		span.Link(ctx)
	}

	p := f.arrived(within, back, a)
	span.Say(spans.Reference, a.Ref)
	span.Say(spans.Outcome, string(p.outcome))
	span.Say(spans.Result, p.Reason)
	span.Say(spans.Connection, p.ConnectionID)
	if p.outcome == OutcomeFailed {
		span.Fail(p.Reason)
	}
	return p
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
		f.cfg.Log.ErrorContext(ctx, "spend from the budget of installs", "ref", a.Ref, "cause", err)
		return f.pages.of(outcomeRecordsDown, a.Ref)
	}

	asking, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	switch err := f.cfg.Store.BeginAttempt(asking, a); {
	case errors.Is(err, ErrStateUsed):
		return f.again(ctx, back, a) // by another tab, a moment ago
	case err != nil:
		f.cfg.Log.ErrorContext(ctx, "use up state", "ref", a.Ref, "cause", err)
		return f.pages.of(outcomeRecordsDown, a.Ref)
	}

	p := f.finish(ctx, &a, back.code)
	if p.Reason == outcomeCodeSpent.reason {
		f.crowd.falseCode(back.from, f.cfg.Now())
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
	done, failed := f.exchange.connect(ctx, a, code)
	switch {
	case failed == nil:
	case failed.Reason == outcomeUsedLink.reason, failed.Reason == outcomeNotStored.reason:
		return failed // what was not stored, the journal may carry through yet
	default:
		// A link that stays where several people read it is not lost because one of them chose another workspace.
		f.exchange.unused(ctx, a)
		return failed
	}
	done.undo, done.request = done.fresh(), a.Request
	return f.success(ctx, done, a.Ref)
}

// Back again: a reload, the back button, a double click, or an address that somebody kept. A state works once, so
// they hear how that ended.

// again answers for a state that was used. To a reload, the back button or a double click in the browser that used it,
// it says how that ended; the first request may still be under way, and is waited for. Another answer of Slack's for
// the same state was not looked at, and the person has to know.
func (f *Flow) again(ctx context.Context, back arrival, a Attempt) *page {
	if !links.SameHash(back.browser, a.BrowserHash) {
		return f.pages.of(outcomeUsed, a.Ref)
	}
	a, err := f.ended(ctx, a)
	if err != nil {
		return f.pages.of(outcomeUnended, a.Ref)
	}
	if a.Outcome == OutcomeConnected || a.Outcome == OutcomeReconnected {
		return f.againConnected(ctx, back, a)
	}

	p := f.pages.of(outcomeAfterRefusal, a.Ref)
	if f.sameAnswer(back, a) {
		if a.Outcome != OutcomeRefused {
			p = f.pages.of(outcomeUsed, a.Ref)
		}
		for _, s := range outcomes {
			if s.reason == a.Reason {
				p = f.pages.of(s, a.Ref, "missing", f.pages.say("pages.unnamed.permission"), "wait", 60)
			}
		}
	}
	f.keepRequest(p, a)
	return p
}

// sameAnswer reports whether a browser is back with what a was ended with, or with what can't be told from it.
func (f *Flow) sameAnswer(back arrival, a Attempt) bool {
	return links.SameHash(back.answer, a.AnswerHash) || a.ReturnedAt.IsZero()
}

// againConnected is again for an attempt that connected a workspace. What is said of that workspace is what is known
// now.
func (f *Flow) againConnected(ctx context.Context, back arrival, a Attempt) *page {
	c, err := f.cfg.Store.Get(ctx, a.ConnectionID)
	if err != nil {
		f.cfg.Log.ErrorContext(ctx, "find connection of an install", "ref", a.Ref, "cause", err)
		return f.pages.of(outcomeRecordsDown, a.Ref)
	}
	inForce := c.AuthorizedBy == a.UserID && !c.AuthorizedAt.Before(a.ReturnedAt) && !c.AuthorizedAt.After(a.EndedAt)

	s := outcomeSecondAnswer
	switch {
	case c.State == connection.Removed && inForce && f.undo.isDone(ctx, c):
		s = outcomeUndoneSince
	case c.State == connection.Removed:
		s = outcomeRemovedSince
	case c.State == connection.Paused:
		s = outcomePausedSince
	case c.State != connection.Active && c.State != connection.Retrying:
		s = outcomeBrokenSince
	case f.sameAnswer(back, a):
		// What can be undone is an install, and the one in force.
		undo := a.Outcome == OutcomeConnected && inForce
		return f.success(ctx, installed{now: c, before: &c, by: a.UserID, again: true, undo: undo, request: a.Request}, a.Ref)
	}

	p := f.pages.of(s, a.Ref, "workspace", cmp.Or(c.TeamName, f.pages.say("pages.unnamed.your_workspace")))
	f.keepRequest(p, a)
	return p
}

// ended returns an attempt with its ending, and waits for it: the pauses grow, because several may wait, and each look
// is a read.
func (f *Flow) ended(ctx context.Context, a Attempt) (Attempt, error) {
	const first, longest = 100 * time.Millisecond, time.Second
	ctx, cancel := context.WithTimeout(ctx, f.Patience)
	defer cancel()

	until := a.LinkUntil
	for pause := first; a.EndedAt.IsZero(); pause = min(2*pause, longest) {
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case <-time.After(pause):
		}
		row, err := f.cfg.Store.GetAttempt(ctx, a.StateHash)
		if err != nil {
			return a, err
		}
		a = row
	}
	a.LinkUntil = until
	return a, nil
}

// keepRequest makes "try again" on p ask for what a's link asked for, of the same workspace: with a fresh link, since
// the one that brought the person here may be used up. It lasts no longer than that one, so that a link for an hour is
// no way in for ever. Who used a link that was used before gets none.
func (f *Flow) keepRequest(p *page, a Attempt) {
	now := f.cfg.Now()
	if a.BoundTo == "" || p.Reason == outcomeUsedLink.reason || !now.Before(a.LinkUntil) {
		return
	}

	until := now.Add(links.LinkLife)
	if a.LinkUntil.Before(until) {
		until = a.LinkUntil
	}
	for _, b := range []*action{&p.Primary, &p.Secondary} {
		if b.again {
			b.URL = f.cfg.Links.GrantUntil(connection.Connection{ID: a.BoundTo}, a.Request, until)
		}
	}
}

// reassure says on p, of an attempt that Slack was not asked about, that the workspace it was for stays connected:
// where it is.
func (f *Flow) reassure(ctx context.Context, p *page, a Attempt) {
	if a.BoundTo == "" {
		return
	}

	ctx, cancel := context.WithTimeout(ctx, startBudget)
	defer cancel()
	c, err := f.cfg.Store.Get(ctx, a.BoundTo)
	if err == nil && isConnected(c) {
		stays := f.pages.say("pages.fact.still_connected_unnamed")
		if c.TeamName != "" {
			stays = f.pages.say("pages.fact.still_connected", "workspace", c.TeamName)
		}
		p.Unchanged = strings.TrimSpace(p.Unchanged + " " + stays)
	}
}
