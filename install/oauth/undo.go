package oauth

// A wrong workspace is picked in a second. Right after an install the page offers to take it back: once, for half an
// hour, to the browser that installed, and only as long as nobody else came to rely on it.

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
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

// undo takes installs back.
type undo struct {
	*Config
	pages  *pages
	cookie cookie
}

// offer signs what p offers to undo, for the browser with this cookie, which then has to last as long.
func (un *undo) offer(w http.ResponseWriter, r *http.Request, p *page) {
	cookie, hash := un.cookie.of(r)
	if hash == nil || p.undo.ID == "" {
		return
	}

	u := undoOf(p.undo, hash)
	if un.Now().Unix() >= u.Until {
		return
	}
	p.Undo = un.Links.Sign("undo", u)
	un.cookie.set(w, cookie, links.UndoLife)
}

// pressed answers POST /slack/undo: the app is removed from the workspace at Slack, and what we hold of its access is
// erased.
func (un *undo) pressed(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), tokens.ConsentBudget)
	defer cancel()
	_, browser := un.cookie.of(r)
	r.Body = http.MaxBytesReader(w, r.Body, 2*links.LongestSigned)
	un.pages.show(w, r, un.takeBack(ctx, r.PostFormValue("undo"), browser, links.NewRef()))
}

// undoing is one press of the button that undoes an install.
type undoing struct {
	asked links.Undo
	c     connection.Connection // the one that it is about, once it is found
	ref   string
}

// takeBack removes what a browser asks to undo, and returns the page that says how that went.
func (un *undo) takeBack(ctx context.Context, signed string, browser []byte, ref string) *page {
	u := undoing{ref: ref}
	if !un.Links.Verify("undo", signed, &u.asked) {
		return un.pages.of(outcomeUndoBroken, ref)
	}
	if refused := un.claim(ctx, &u, browser); refused != nil {
		return refused
	}
	return un.remove(ctx, u)
}

func (un *undo) page(u undoing, s outcome) *page {
	return un.pages.of(s, u.ref, "workspace", cmp.Or(u.c.TeamName, un.pages.say("pages.unnamed.workspace")))
}

// retry is page for what went wrong on the way: it can be tried again, with what is as good as the one that was used
// and lasts no longer.
func (un *undo) retry(u undoing, s outcome) *page {
	p := un.page(u, s)
	u.asked.Nonce = links.NewNonce()
	p.Undo = un.Links.Sign("undo", u.asked)
	return p
}

// claim finds the connection that u is about and uses u up, or returns the page that says why not.
func (un *undo) claim(ctx context.Context, u *undoing, browser []byte) *page {
	refuse := func(s outcome) *page { return un.page(*u, s) }
	switch {
	case subtle.ConstantTimeCompare(u.asked.Browser, browser) != 1:
		return refuse(outcomeUndoOtherBrowser)
	case un.Now().Unix() >= u.asked.Until:
		return refuse(outcomeUndoExpired)
	}

	asking, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	c, err := un.Store.Get(asking, u.asked.Connection)
	u.c = c
	switch {
	case errors.Is(err, connection.ErrNotFound), err == nil && c.State == connection.Removed:
		return refuse(outcomeUndoUsed)
	case err == nil && !c.AuthorizedAt.Equal(time.UnixMicro(u.asked.Consent)):
		return refuse(outcomeUndoLater)
	}

	first := false
	if err == nil {
		first, err = un.Store.Take(asking, usedUp(links.HashOf(u.asked.Nonce)), 1, un.Now())
	}
	switch {
	case err != nil:
		un.Log.ErrorContext(ctx, "undo install", "ref", u.ref, "cause", err)
		return un.retry(*u, outcomeUndoRecords)
	case !first:
		return refuse(outcomeUndoUnderWay)
	}
	return nil
}

// remove has the app of an install that is undone removed at Slack, and its access erased.
func (un *undo) remove(ctx context.Context, u undoing) *page {
	said, err := un.Watch.Leaving.Disconnect(ctx, u.c.Key, connection.Person(u.asked.By))

	undone := outcomeUndone
	gone := said == "ok" || said == connection.ReasonAccountInactive || said == connection.ReasonTokenRevoked
	level, doing, after := slog.LevelWarn, "undo install", outcomeUndoRefused
	switch {
	case err == nil:
	case errors.Is(err, connection.ErrNotConnected):
		return un.page(u, outcomeUndoUsed)
	case gone: // Slack has done it, and its events will have ours follow
		level, doing, undone = slog.LevelError, "undo install: erase access", outcomeUndoneUnerased
	case errors.Is(err, slackapi.ErrUnclear):
		after = outcomeUndoUnclear
	case said == "" && !errors.Is(err, connection.ErrRenewing):
		level, after = slog.LevelError, outcomeUndoRecords
	}
	if err != nil {
		un.Log.Log(ctx, level, doing, "ref", u.ref, "connection", u.c.ID, "slack_error", said, "cause", slackapi.Cause(err))
	}
	if err != nil && !gone {
		return un.retry(u, after)
	}

	un.note(ctx, u.c)
	p := un.page(u, undone)
	p.ConnectionID = u.c.ID
	return p
}

// undoneMark is the budget that is spent when a consent was taken back on our page: what its install's page says
// afterwards depends on it. It lasts longer than that page.
func undoneMark(c connection.Connection) slackapi.Budget {
	name := fmt.Sprintf("undone/%s/%d", c.ID, c.AuthorizedAt.UnixMicro())
	return slackapi.Budget{Name: name, Interval: links.UsedKept, Burst: 1}
}

func (un *undo) note(ctx context.Context, c connection.Connection) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordBudget)
	defer cancel()
	if _, err := un.Store.Take(ctx, undoneMark(c), 1, un.Now()); err != nil {
		un.Log.WarnContext(ctx, "keep that an install was undone", "connection", c.ID, "cause", err)
	}
}

// isDone reports whether c's consent was taken back on our page. Without an answer of the store: no.
func (un *undo) isDone(ctx context.Context, c connection.Connection) bool {
	standing, err := un.Store.Available(ctx, undoneMark(c), un.Now())
	if err != nil {
		un.Log.WarnContext(ctx, "look whether an install was undone", "connection", c.ID, "cause", err)
	}
	return !standing && err == nil
}

// usedUp is the budget of one use of what a nonce stands for: the first to spend it is the only one, whichever replica
// it is on. The store keeps the nonce's hash alone, under which nothing can be signed.
func usedUp(hash []byte) slackapi.Budget {
	return slackapi.Budget{Name: "used/" + hex.EncodeToString(hash), Interval: links.UsedKept, Burst: 1}
}
