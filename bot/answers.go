package bot

// The ways to answer. Each kind of handler has those that Slack takes there, so that no other compiles.

import (
	"context"
	"errors"
	"fmt"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
)

// sayer is for kinds that happen in a conversation.
type sayer struct{ r *Request }

// Say posts reply in the conversation that the request came from, for everybody there, and returns the message's ts, of
// several messages the first's. In a thread it stays in the thread. What only the person who acted is to read
// (NotAllowed) it shows to nobody else, and returns "". A Reply.Then changes the message. It takes chat:write. It
// blocks for a call to Slack, and before that for Slack's limits. Without a connection the error is
// connection.ErrNotConnected.
//
// When a handler runs again (Request.Attempt), its first Say returns the message that its first Say posted before, its
// second the second, and so on: a handler that speaks in another order, or says something else this time, must look at
// Request.Attempt. Two moments are left in which a message can be posted twice: the process is killed between Slack's
// answer and our record of it, or Slack posted it and its answer was lost. There the newest 15 messages of the
// conversation or the thread are searched for it, which needs the history permission for that kind of conversation.
// Without it, where more was written meanwhile, or when Slack does not answer within 2 s, the message is posted again.
// An app that is distributed commercially and not in Slack's Marketplace may look once a minute in each workspace, so
// for it a second message within a minute after a failure can be a repetition. Slack itself offers no way to say
// "once". https://docs.slack.dev/apis/web-api/rate-limits
func (s sayer) Say(ctx context.Context, reply Reply) (ts string, err error) {
	return s.r.sayAll(ctx, reply)
}

// responder is for kinds whose answer goes with the acknowledgement, or takes its place.
type responder struct{ r *Request }

// Respond is the answer: only the person who acted sees it, unless reply.InChannel. It is kept, and reaches the person
// when the handler returns. There is one; the error is ErrAnswered for a second. It doesn't block.
func (r responder) Respond(_ context.Context, reply Reply) error { return r.r.record(reply) }

// updater is for kinds that come from a message of the app's own.
type updater struct{ r *Request }

// Update is the answer, as Respond's, but in the place of the message that held the button.
func (u updater) Update(_ context.Context, reply Reply) error {
	reply.replace = true
	return u.r.record(reply)
}

// modals is for kinds whose trigger opens one.
type modals struct{ r *Request }

// OpenModal opens a modal for the person who acted, and returns it as Slack has it. It has to be called before any slow
// work: the trigger lives for 3 s and opens one modal. Where the request leads back to a step of a workflow (Step), the
// modal does, too. It needs no permission, and a usable connection. It blocks for a call to Slack.
// https://docs.slack.dev/reference/methods/views.open
func (m modals) OpenModal(ctx context.Context, view slack.ModalViewRequest) (*slack.View, error) {
	switch {
	case m.r.TriggerID == "":
		return nil, errors.New("open modal: there is no trigger")
	case m.r.Client == nil:
		return nil, fmt.Errorf("open modal: %w", connection.ErrNotConnected)
	}

	opened, err := m.r.opener().OpenViewContext(ctx, m.r.TriggerID, view)
	if err != nil {
		return nil, fmt.Errorf("open modal: %w", err)
	}
	return &opened.View, nil
}

// asyncResponder is for durable work, which is acknowledged already.
type asyncResponder struct{ r *Request }

// Respond answers through the response_url, in the thread of what was pressed: only the person who acted sees it,
// unless reply.InChannel. Slack takes 5 answers within 30 minutes; after that it comes as a message that only that
// person sees, if the app may post there. Where there is no response_url, in the Home tab and in modals, it comes as a
// direct message. Like Say it answers once when a handler runs again. A Reply.Then takes the answer's place. It blocks
// for a call to Slack. https://docs.slack.dev/interactivity/handling-user-interaction
func (a asyncResponder) Respond(ctx context.Context, reply Reply) error {
	return a.r.respondAll(ctx, reply)
}

// Update is Respond in the place of the message that held the button, or of the answer before.
func (a asyncResponder) Update(ctx context.Context, reply Reply) error {
	reply.replace = true
	return a.r.respondAll(ctx, reply)
}

// sayAll posts r and, when it has a Then, changes the message to what Then returns.
func (req *Request) sayAll(ctx context.Context, r Reply) (ts string, err error) {
	if r.empty() {
		return "", nil
	}
	all, err := req.say(ctx, r)
	if len(all) > 0 {
		ts = all[0]
	}
	if err != nil || r.Then == nil {
		return ts, err
	}

	later, err := then(ctx, r)
	if _, refused := userWord(err); refused {
		return ts, err
	}
	if err != nil {
		// The first answer stands; posting it again on a retry would help nobody.
		req.loseSecondPart(ctx, err)
		return ts, nil
	}
	if later.empty() {
		return ts, nil
	}

	err = guard(func() error {
		if r.private || later.private { // else everybody reads it
			return req.privately(ctx, later)
		}
		if err := req.change(ctx, all, later); err != nil || len(later.Files) == 0 {
			return err
		}
		ids, err := req.upload(ctx, later.Files)
		if err == nil {
			err = req.complete(ctx, ids, later.Files)
		}
		return err
	})
	if err != nil {
		req.loseSecondPart(ctx, err)
	}
	return ts, nil
}

// loseSecondPart notes that what was to follow an answer does not.
func (req *Request) loseSecondPart(ctx context.Context, err error) {
	if req.gate != nil {
		req.gate.metrics.lose(lostSecondPart)
	}
	req.Log.WarnContext(ctx, "second part of a reply", failure(err)...)
}

// respondAll answers durable work, and brings what follows the answer.
func (req *Request) respondAll(ctx context.Context, r Reply) error {
	if len(r.Files) > 0 {
		return errFilesPublic
	}
	for !r.empty() || r.Then != nil {
		if !r.empty() {
			if err := guard(func() error { return req.respond(ctx, r) }); err != nil {
				return &undelivered{err}
			}
		}
		if r.Then == nil {
			break
		}

		replace := !r.empty() || r.replace
		next, err := then(ctx, r)
		if told, refused := userWord(err); refused {
			next = told
		} else if err != nil {
			req.loseSecondPart(ctx, err)
			break
		}
		r = next
		r.replace = r.replace || replace
	}
	return nil
}

// undelivered is an answer of durable work that did not reach the person.
type undelivered struct{ err error }

func (e *undelivered) Error() string { return "deliver the answer: " + e.err.Error() }
func (e *undelivered) Unwrap() error { return e.err }
