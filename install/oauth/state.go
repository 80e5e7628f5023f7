package oauth

// The state of an install under way. It goes with the browser to Slack and back and says all that was wanted, signed,
// so that whoever presses the button and never comes back has cost nothing: no row, no lock, no call. It is worth
// something once, to the browser that began, for ten minutes. That it was used is recorded when it comes back
// (Store.BeginAttempt).

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
)

// attemptOf is the try that s began, as it is recorded when it comes back.
func attemptOf(s links.State) Attempt {
	started := time.UnixMicro(s.Started).UTC()
	a := Attempt{
		Ref: s.Ref, StateHash: links.HashOf(s.Nonce), BrowserHash: s.Browser, TeamHint: s.TeamHint, Origin: s.Origin,
		StartedAt: started, ExpiresAt: started.Add(links.StateLife),
	}
	if l := s.Link; l.Connection != "" {
		a.BoundTo, a.LinkHash, a.LinkUntil = l.Connection, links.HashOf(l.Nonce), time.Unix(l.Until, 0)
		a.Request = links.GrantRequest{Scopes: l.Scopes, Back: l.Back}
	}
	return a
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
		row.LinkUntil = a.LinkUntil
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
