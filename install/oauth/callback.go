package oauth

// The way back: Slack sends the browser with a code, which is spent for tokens, and with the state that it left with.
// Once the state is used, the rest no longer depends on the browser staying: the code is spent at Slack the moment we
// ask.

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"regexp"
	"time"

	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/tokens"
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
