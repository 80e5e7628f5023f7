package bot

// Commands and buttons whose work takes longer than Slack waits: acknowledged once they are in the inbox, answered by their
// response_url.

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"github.com/slack-go/slack"

	"switchboard/install"
)

// slowWork is what the inbox keeps of a slow command or interaction.
type slowWork struct {
	Form    string          `json:"form,omitempty"`    // a command, as it came
	Payload json.RawMessage `json:"payload,omitempty"` // an interaction
	TeamID  string          `json:"team,omitempty"`    // where it happened
	ViewID  string          `json:"view,omitempty"`    // the modal that was opened for it
	Trigger string          `json:"-"`                 // lives for 3 s
}

// postpone puts a command or an interaction into the inbox and returns its acknowledgement: an empty one, or the sentence that
// says why nothing was begun.
func (b *Bot) postpone(ctx context.Context, h Handler, k install.Key, kind string, w slowWork, who asks, fill func(*Turn), payload any) answer {
	ref := install.NewRef()
	if h.opens != nil {
		t, err := b.turn(ctx, k, who.team, ref, askBudget)
		fill(t)
		if refusal := b.admit(ctx, h, t, who); refusal != nil {
			return answerOf(*refusal)
		}
		switch {
		case err != nil:
			return answerOf(b.unavailable(ctx, t, err))
		case len(h.missing(t)) > 0:
			return answerOf(t.NotAllowed(h.missing(t)...))
		}
		opened, err := openView(ctx, h, t, w.Trigger)
		if err != nil {
			return answerOf(b.failed(ctx, t, h, err))
		}
		w.ViewID = opened
	}
	body, err := json.Marshal(w)
	if err != nil { // cannot be: all of it was decoded from what Slack sent
		b.log.ErrorContext(ctx, "write slow work", "cause", err)
	}
	at := &Turn{}
	fill(at)
	e := Event{ID: "work-" + strings.ToLower(install.NewRef()+install.NewRef()), Kind: kind, Type: h.id(), Key: k, Received: b.now(), Body: body}
	if h.inOrder {
		e.Lane = lane(k, at.TeamID, at.ChannelID)
	}
	if _, err := b.keep(ctx, e, nil); err != nil {
		text := " can't reach its records right now. Nothing was begun. Try again in a few minutes."
		if ctx.Err() != nil {
			text = " can't reach its records right now, and it is not certain whether this was begun. Look for it before you try again."
		}
		text = b.install.App().Name + text + " Reference: " + ref + "."
		a := answerOf(Reply{Text: text})
		if w.ViewID != "" {
			a.after = func() { b.tasks.Go(func() { b.closeView(k, who.team, w.ViewID, text) }) }
		}
		return a
	}
	return answer{}
}

// openView opens the modal of a slow handler, as safely as the handler itself runs.
func openView(ctx context.Context, h Handler, t *Turn, trigger string) (id string, err error) {
	r := OnAction("opens", func(ctx context.Context, t *Turn, _ *slack.InteractionCallback) (Reply, error) {
		opened, err := t.Slack.OpenViewContext(ctx, trigger, h.opens(t))
		if err == nil {
			id = opened.View.ID
		}
		return Reply{}, err
	})
	_, err = call(ctx, r, t, &slack.InteractionCallback{})
	return id, err
}

// closeView says in a modal that was opened for slow work why there will be none.
func (b *Bot) closeView(k install.Key, team, id, text string) {
	ctx, cancel := context.WithTimeout(context.Background(), afterBudget)
	defer cancel()
	b.showInView(ctx, k, team, id, Reply{Text: text})
}

// handleSlow runs the handler of slow work and sends its answer.
func (b *Bot) handleSlow(ctx context.Context, e *Event) error {
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
	if refusal := b.admit(ctx, h, t, who); refusal != nil {
		return b.tellPerson(ctx, t, *refusal)
	}
	if err != nil && !h.always {
		if !errors.Is(err, install.ErrNotConnected) && !e.last() {
			return err // our records are silent, or its access is being renewed: tried again
		}
		return b.tellPerson(ctx, t, b.unavailable(ctx, t, err))
	}
	if missing := h.missing(t); len(missing) > 0 && !h.always {
		return b.tellPerson(ctx, t, t.NotAllowed(missing...))
	}
	r, err := b.within(ctx, h, t, payload)
	var user *UserError
	switch {
	case errors.As(err, &user):
		return b.tellPerson(ctx, t, Reply{Text: user.Text})
	case len(h.refused(t, err)) > 0:
		return b.tellPerson(ctx, t, t.NotAllowed(h.refused(t, err)...))
	case err != nil && e.last(): // the last one: the person is told, and the operator finds it
		b.logFailure(ctx, t, h, err)
		_ = b.tellPerson(context.WithoutCancel(ctx), t, Reply{Text: "Something went wrong on our side, and it did not get better. Reference: " + t.Ref + "."})
		return err
	case err != nil:
		b.logFailure(ctx, t, h, err)
		return err
	}
	for !r.empty() || r.Then != nil {
		if !r.empty() {
			err := guard(func() error { return t.Respond(ctx, r) })
			if errors.Is(err, errSilent) { // the work is done, and doing it again would not help
				t.Log.WarnContext(ctx, "there is no way to deliver the answer", "handler", h.id())
				return nil
			}
			if err != nil {
				if e.last() {
					_ = b.tellPerson(context.WithoutCancel(ctx), t, Reply{Text: "The work is done, and its answer could not be delivered. Reference: " + t.Ref + "."})
				}
				return err
			}
		}
		if r.Then == nil {
			break
		}
		replace := !r.empty() || r.Replace
		if r, err = then(ctx, r); err != nil {
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
