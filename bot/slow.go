package bot

// Commands and buttons whose work takes longer than Slack waits: acknowledged once they are in the inbox, answered by their
// response_url.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"switchboard/install"
	"switchboard/install/connection"
	"switchboard/install/slackapi"
)

// slowWork is what the inbox keeps of a slow command or interaction.
type slowWork struct {
	Form    string          `json:"form,omitempty"`    // a command, as it came
	Payload json.RawMessage `json:"payload,omitempty"` // an interaction
	TeamID  string          `json:"team,omitempty"`    // where it happened
	ViewID  string          `json:"view,omitempty"`    // the modal that was opened for it
	Trigger string          `json:"-"`                 // lives for 3 s
}

// openSpare is what opening a modal leaves of the time until the acknowledgement, for keeping the work in the inbox.
const openSpare = 500 * time.Millisecond

// postpone puts a command or an interaction into the inbox. Where that can't be done, the reply says why nothing was
// begun, and closing, unless it is nil, says the same in the modal that was opened for it, to be called once the
// acknowledgement is out.
func (b *Bot) postpone(ctx context.Context, h Handler, k connection.Key, kind string, w slowWork, who asks,
	fill func(*Turn), payload any) (r Reply, closing func()) {
	ref := install.NewRef()
	var opened opened
	if h.opens != nil {
		opened = b.openFirst(ctx, h, k, w.Trigger, who, fill, ref)
		if r := opened.refusal; r != nil && opened.name != "" {
			return *r, func() { b.tasks.Go(func() { opened.close(*r) }) }
		} else if r != nil {
			return *r, nil
		}
		w.ViewID = opened.id
	}
	body, err := json.Marshal(w)
	if err != nil { // cannot be: all of it was decoded from what Slack sent
		b.log.ErrorContext(ctx, "write slow work", "cause", err)
	}
	at := &Turn{}
	fill(at)
	e := Event{ID: "work-" + strings.ToLower(install.NewRef()+install.NewRef()), Kind: kind, Type: h.id(), Key: k, Received: b.now(), Body: body}
	if h.inOrder {
		e.OrderingKey = orderingKey(k, at.TeamID, at.ChannelID)
	}
	if _, err := b.keep(ctx, e, nil); err == nil {
		return Reply{}, nil
	}

	text := " can't reach its records right now. Nothing was begun. Try again in a few minutes."
	if ctx.Err() != nil {
		text = " can't reach its records right now, and it is not certain whether this was begun. " +
			"Look for it before you try again."
	}
	r = Reply{Text: b.install.App().Name + text + " Reference: " + ref + "."}
	if opened.id != "" {
		closing = func() { b.tasks.Go(func() { opened.close(r) }) }
	}
	return r, closing
}

// opened is a modal that was opened for slow work, or why it was not.
type opened struct {
	turn    *Turn
	id      string
	name    string // its external_id, instead of id: Slack may have opened it, and its answer was lost
	refusal *Reply
}

// openFirst opens the modal of a slow handler. It returns while there is time to keep the work and to acknowledge,
// whatever the handler's own code does: a modal that is open only after that is closed with words.
func (b *Bot) openFirst(ctx context.Context, h Handler, k connection.Key, trigger string, who asks, fill func(*Turn),
	ref string) opened {
	limit := b.cfg.ackWithin
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}
	opening, cancel := context.WithTimeout(ctx, limit-min(openSpare, limit/4))
	defer cancel()
	done := make(chan opened, 1)
	b.tasks.Go(func() {
		var o opened
		if err := guard(func() error { o = b.open(opening, h, k, trigger, who, fill, ref); return nil }); err != nil {
			r := b.broke(opening, ref, err, "handler", h.id())
			o = opened{refusal: &r}
		}
		done <- o
	})
	select {
	case o := <-done:
		return o
	case <-opening.Done():
	}

	b.log.WarnContext(ctx, "the window of slow work was not open in time", "handler", h.id(), "ref", ref)
	r := Reply{Text: b.install.App().Name + " couldn't open its window in time, so nothing was begun. " +
		"Try again in a moment. Reference: " + ref + "."}
	b.tasks.Go(func() {
		if o := <-done; o.id != "" || o.name != "" {
			o.close(r)
		}
	})
	return opened{refusal: &r}
}

// open asks whether the person may, and opens the modal, until ctx ends.
func (b *Bot) open(ctx context.Context, h Handler, k connection.Key, trigger string, who asks, fill func(*Turn),
	ref string) opened {
	t, err := b.turn(ctx, k, who.team, ref, askBudget)
	fill(t)
	var r Reply
	if refusal := b.admit(ctx, h, t, who); refusal != nil {
		return opened{refusal: refusal}
	}
	switch {
	case err != nil:
		r = b.unavailable(ctx, t, err)
		return opened{refusal: &r}
	case len(h.missing(t)) > 0:
		r = t.NotAllowed(h.missing(t)...)
		return opened{refusal: &r}
	}

	// As safely as the handler itself runs.
	name := ""
	shows := Handler{Kind: h.Kind, Name: h.Name, run: func(ctx context.Context, t *Turn, _ any) (Reply, error) {
		view, err := h.opens(ctx, t)
		if err == nil {
			err = ctx.Err() // with the time over, the person has read that there will be none
		}
		if err != nil {
			return Reply{}, err
		}
		view.ExternalID = cmp.Or(view.ExternalID, "opened-"+strings.ToLower(ref+install.NewRef()))
		shown, err := t.Slack.OpenViewContext(ctx, trigger, view)
		switch {
		case err == nil:
			t.ViewID = shown.View.ID
		case slackapi.SlackError(err) == "":
			name = view.ExternalID
		}
		return Reply{}, err
	}}
	t.ViewID = ""
	if _, err := call(ctx, shows, t, nil); err != nil {
		r = b.failed(ctx, t, h, err)
		return opened{turn: t, name: name, refusal: &r}
	}
	return opened{turn: t, id: t.ViewID}
}

// close says in the modal why there will be no work.
func (o opened) close(r Reply) {
	ctx, cancel := context.WithTimeout(context.Background(), afterBudget)
	defer cancel()
	_, err := o.turn.Slack.UpdateViewContext(ctx, *page(r), o.name, "", o.id)
	if err != nil && slackapi.SlackError(err) != "not_found" { // it was not opened, or is closed
		o.turn.Log.WarnContext(ctx, "say in a modal that nothing was begun",
			"slack_error", slackapi.SlackError(err), "cause", reason(err))
	}
}

// handleSlow runs the handler of slow work and sends its answer.
func (b *Bot) handleSlow(ctx context.Context, e *Event) error {
	if e.Type == kindUnreadable {
		return &decodeError{errUnreadable}
	}
	h, ok := b.byName[e.Type]
	var w slowWork
	if !ok { // another release may have it
		return errors.New("there is no handler " + clip(e.Type) + " here")
	}
	if err := json.Unmarshal(e.Body, &w); err != nil {
		return &decodeError{err}
	}
	var payload any
	var fill func(*Turn)
	var who asks
	switch e.Kind {
	case kindCommands:
		form, err := url.ParseQuery(w.Form)
		if err != nil {
			return &decodeError{err}
		}
		command := commandOf(form)
		payload, fill = &command, fillCommand(command)
		_, who.team = commandKey(form, b.cfg.AppID)
	default:
		i, _, err := decode[interaction](w.Payload)
		if err != nil {
			return &decodeError{err}
		}
		callback, err := b.callback(w.Payload)
		if err != nil {
			return &decodeError{err}
		}
		_, team := i.key(b.cfg.AppID)
		payload, fill, who = callback, i.fill(team), asks{team: team, pressed: i}
	}
	t, err := b.turn(ctx, e.Key, who.team, install.NewRef(), eventOpenBudget)
	fill(t)
	t.ViewID = w.ViewID
	b.attempt(t, e)
	if err == nil {
		b.sawTraffic(t.Connection.Key, e.Received)
	}
	if e.Deaths >= mostDeaths {
		_ = b.tellPerson(ctx, t, Reply{Text: "Something went wrong on our side, and it did not get better. Reference: " + t.Ref + "."})
		return errEndsProcess
	}
	e.by = h
	if refusal := b.admit(ctx, h, t, who); refusal != nil {
		e.ran = ranNotTheirs
		return b.tellPerson(ctx, t, *refusal)
	}
	if err != nil && !h.always {
		e.ran = unopened(err)
		if !errors.Is(err, install.ErrNotConnected) && !e.last() {
			return err // our records are silent, or its access is being renewed: tried again
		}
		return b.tellPerson(ctx, t, b.unavailable(ctx, t, err))
	}
	if missing := h.missing(t); len(missing) > 0 && !h.always {
		e.ran = ranNotAllowed
		return b.tellPerson(ctx, t, t.NotAllowed(missing...))
	}
	r, err := b.within(ctx, h, t, payload)
	e.ran = resultOf(ctx, h, t, err)
	told, refused := userWord(err)
	switch {
	case refused:
		return b.tellPerson(ctx, t, told)
	case len(h.refused(t, err)) > 0:
		return b.tellPerson(ctx, t, t.NotAllowed(h.refused(t, err)...))
	case err != nil && (e.last() || classOf(err) == final): // the last one: the person is told, and the operator finds it
		b.logFailure(ctx, t, h, err)
		_ = b.tellPerson(context.WithoutCancel(ctx), t, Reply{Text: "Something went wrong on our side, and it did not get better. Reference: " + t.Ref + "."})
		return err
	case err != nil:
		b.logFailure(ctx, t, h, err)
		return err
	}
	r = b.sound(h, t, r, false)
	for !r.empty() || r.Then != nil {
		if !r.empty() {
			first := r
			first.Then = nil
			err := guard(func() error { return t.Respond(ctx, first) })
			if errors.Is(err, errSilent) { // the work is done, and doing it again would not help
				b.metrics.lose(lostUndelivered)
				t.Log.WarnContext(ctx, "there is no way to deliver the answer", "handler", h.id())
				return nil
			}
			if err != nil {
				if e.last() || classOf(err) == final {
					_ = b.tellPerson(context.WithoutCancel(ctx), t, Reply{Text: "The work is done, and its answer could not be delivered. Reference: " + t.Ref + "."})
				}
				return err
			}
		}
		if r.Then == nil {
			break
		}
		replace := !r.empty() || r.Replace
		r, err = then(ctx, r)
		if told, refused := userWord(err); refused {
			r, err = told, nil
		}
		if err != nil {
			b.metrics.lose(lostSecondPart)
			t.Log.WarnContext(ctx, "second part of a reply", failure(err)...)
			break
		}
		r.Replace = r.Replace || replace
	}
	return nil
}

// tellPerson says what the app itself has to say about slow work. It takes none of the places of what the handler says: those
// are for its next attempt, or for when the work is replayed.
func (b *Bot) tellPerson(ctx context.Context, t *Turn, r Reply) error {
	own := *t
	if own.said != nil {
		own.said = &said{inbox: spoken{b.inbox}, event: &Event{Said: append([]string(nil), t.said.event.Said...), Received: t.said.event.Received}, now: b.now}
		own.said.fresh()
	}
	err := own.Respond(ctx, r)
	if errors.Is(err, errSilent) {
		return nil
	}
	return err
}

// spoken is an inbox that keeps no record of what was said.
type spoken struct{ Inbox }

func (spoken) Says(context.Context, Event) error { return nil }
