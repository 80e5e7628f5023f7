package install

// A wrong workspace is picked in a second. Right after an install the page offers to take it back: once, for half an hour, to the
// browser that installed, and only as long as nobody else came to rely on it.

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
)

// undoneOutcome is for numbers and logs; the attempt's record keeps how the install ended.
const undoneOutcome Outcome = "undone"

func undoOf(c connection.Connection, browser []byte) links.Undo {
	return links.Undo{Connection: c.ID, Consent: c.AuthorizedAt.UnixMicro(), By: c.AuthorizedBy, Browser: browser,
		Until: c.AuthorizedAt.Add(links.UndoLife).Unix(), Nonce: links.NewNonce()}
}

// offerUndo signs what p offers to undo, for the browser with this cookie, which then has to last as long.
func (in *Installer) offerUndo(w http.ResponseWriter, r *http.Request, p *page) {
	cookie, err := r.Cookie(in.cookieName())
	if err != nil || p.undo.ID == "" {
		return
	}
	hash, ours := links.HashSecret(cookie.Value)
	u := undoOf(p.undo, hash)
	if !ours || in.now().Unix() >= u.Until {
		return
	}
	p.Undo = in.links.Sign("undo", u)
	in.setBrowser(w, cookie.Value, links.UndoLife)
}

// undone answers POST /slack/undo: the app is removed from the workspace at Slack, and what we hold of its access is erased.
func (in *Installer) undone(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), tokens.ConsentBudget)
	defer cancel()
	var browser []byte
	if cookie, err := r.Cookie(in.cookieName()); err == nil {
		browser, _ = links.HashSecret(cookie.Value)
	}
	r.Body = http.MaxBytesReader(w, r.Body, 2*links.LongestSigned)
	in.show(w, r, in.takeBack(ctx, r.PostFormValue("undo"), browser, links.NewRef()))
}

func (in *Installer) takeBack(ctx context.Context, signed string, browser []byte, ref string) page {
	var u links.Undo
	if !in.links.Verify("undo", signed, &u) {
		return in.page(outcomeUndoBroken, ref)
	}
	var c connection.Connection
	stop := func(s outcome) page {
		p := in.page(s, ref)
		p.name("workspace", cmp.Or(c.TeamName, "the workspace"))
		return p
	}
	// What went wrong on the way can be tried once more, with what is as good as the one that was used and lasts no longer.
	retry := func(s outcome) page {
		p := stop(s)
		u.Nonce = links.NewNonce()
		p.Undo = in.links.Sign("undo", u)
		return p
	}
	switch {
	case subtle.ConstantTimeCompare(u.Browser, browser) != 1:
		return stop(outcomeUndoOtherBrowser)
	case in.now().Unix() >= u.Until:
		return stop(outcomeUndoExpired)
	}
	asking, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	c, err := in.store.Get(asking, u.Connection)
	switch {
	case errors.Is(err, connection.ErrNotFound), err == nil && c.State == connection.Removed:
		return stop(outcomeUndoUsed)
	case err == nil && !c.AuthorizedAt.Equal(time.UnixMicro(u.Consent)):
		return stop(outcomeUndoLater)
	}
	first := false
	if err == nil {
		first, err = in.store.Take(asking, usedUp(links.HashOf(u.Nonce)), 1, in.now())
	}
	switch {
	case err != nil:
		in.log.ErrorContext(ctx, "undo install", "ref", ref, "cause", err)
		return retry(outcomeUndoRecords)
	case !first:
		return stop(outcomeUndoUnderWay)
	}
	undone := outcomeUndone
	switch said, err := in.Disconnect(ctx, c.Key, connection.Person(u.By)); {
	case errors.Is(err, connection.ErrNotConnected):
		return stop(outcomeUndoUsed)
	case err != nil && (said == "ok" || said == connection.ReasonAccountInactive || said == connection.ReasonTokenRevoked):
		// Slack has done it, and its events will have ours follow.
		in.log.ErrorContext(ctx, "undo install: erase access", "ref", ref, "connection", c.ID, "cause", err)
		undone = outcomeUndoneUnerased
	case errors.Is(err, slackapi.ErrUnclear):
		in.log.WarnContext(ctx, "undo install", "ref", ref, "connection", c.ID, "slack_error", said, "cause", slackapi.Cause(err))
		return retry(outcomeUndoUnclear)
	case err != nil && said == "" && !errors.Is(err, connection.ErrRenewing):
		in.log.ErrorContext(ctx, "undo install", "ref", ref, "connection", c.ID, "cause", slackapi.Cause(err))
		return retry(outcomeUndoRecords)
	case err != nil:
		in.log.WarnContext(ctx, "undo install", "ref", ref, "connection", c.ID, "slack_error", said, "cause", slackapi.Cause(err))
		return retry(outcomeUndoRefused)
	}
	in.noteUndone(ctx, c)
	p := stop(undone)
	p.ConnectionID = c.ID
	return p
}

// undoneMark is the budget that is spent when a consent was taken back on our page: what its install's page says afterwards
// depends on it. It lasts longer than that page.
func undoneMark(c connection.Connection) slackapi.Budget {
	return slackapi.Budget{Name: fmt.Sprintf("undone/%s/%d", c.ID, c.AuthorizedAt.UnixMicro()), Interval: links.UsedKept, Burst: 1}
}

func (in *Installer) noteUndone(ctx context.Context, c connection.Connection) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordBudget)
	defer cancel()
	if _, err := in.store.Take(ctx, undoneMark(c), 1, in.now()); err != nil {
		in.log.WarnContext(ctx, "keep that an install was undone", "connection", c.ID, "cause", err)
	}
}

// wasUndone reports whether c's consent was taken back on our page. Without an answer of the store: no.
func (in *Installer) wasUndone(ctx context.Context, c connection.Connection) bool {
	standing, err := in.store.Available(ctx, undoneMark(c), in.now())
	if err != nil {
		in.log.WarnContext(ctx, "look whether an install was undone", "connection", c.ID, "cause", err)
	}
	return !standing && err == nil
}

// usedUp is the budget of one use of what a nonce stands for: the first to spend it is the only one, whichever replica it is
// on. The store keeps the nonce's hash alone, under which nothing can be signed.
func usedUp(hash []byte) slackapi.Budget {
	return slackapi.Budget{Name: "used/" + hex.EncodeToString(hash), Interval: links.UsedKept, Burst: 1}
}
