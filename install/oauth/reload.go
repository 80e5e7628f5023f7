package oauth

// Back again: a reload, the back button, a double click, or an address that somebody kept. A state works once, so
// they hear how that ended.

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
)

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
				p = f.pages.of(s, a.Ref)
				p.name("missing", "a permission that it needs")
				p.name("wait", "60")
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

	p := f.pages.of(s, a.Ref)
	p.name("workspace", cmp.Or(c.TeamName, "your workspace"))
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
		p.Unchanged = strings.TrimSpace(p.Unchanged + " " + cmp.Or(c.TeamName, "Your workspace") + " stays connected.")
	}
}
