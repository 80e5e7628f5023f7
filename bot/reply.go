package bot

// How a handler's answer reaches the person: as the body of the command's response, through the response_url, or as a
// message in the conversation.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// Reply is an answer. The zero Reply says nothing. A field that does nothing where it stands is logged and counted.
type Reply struct {
	// Text is a whole sentence that stands for the blocks, in Slack's mrkdwn: screen readers and notifications read it
	// instead of them. Without Blocks it is what people see. What comes from outside has to be escaped in it.
	Text string
	// Blocks are what people see. https://docs.slack.dev/reference/block-kit/blocks
	Blocks []slack.Block
	// InChannel shows the answer of a command or an action to everybody in the channel. Otherwise only the person who
	// acted sees it. What a handler of messages answers everybody sees anyway.
	InChannel bool
	// Replace puts an action's answer in the place of the message that held the button.
	Replace bool

	// View takes the place of the modal that was submitted (OnView alone). To open one from elsewhere: Request.OpenModal.
	View *slack.ModalViewRequest
	// Errors keep a submitted modal open (OnView alone): by the block_id of an input, what is wrong with it.
	Errors map[string]string

	// Then runs after the answer is out, for at most 30 s, and its Reply takes the place of this one. It can have a Then
	// of its own. That it fails is in the log; a UserError of it is told. It isn't run again.
	Then func(ctx context.Context) (Reply, error)

	private bool // for the person who acted alone, wherever it is said
}

func (r Reply) empty() bool { return r.Text == "" && len(r.Blocks) == 0 }

// posted is r as a message that is posted, in a thread; "": in none.
func (r Reply) posted(thread string) []slack.MsgOption {
	options := []slack.MsgOption{slack.MsgOptionText(r.Text, false), slack.MsgOptionDisableLinkUnfurl()}
	if len(r.Blocks) > 0 {
		options = append(options, slack.MsgOptionBlocks(r.Blocks...))
	}
	if thread != "" {
		options = append(options, slack.MsgOptionTS(thread))
	}
	return options
}

// idle names the fields of r that do nothing in an answer of h. second: it takes the place of an earlier one, and
// replaces it anyway.
func (h Handler) idle(r Reply, second bool) (fields []string) {
	add := func(name string, set bool) {
		if set {
			fields = append(fields, name)
		}
	}

	if h.Kind == KindViewSubmission {
		add("InChannel", r.InChannel)
		add("Replace", r.Replace)
		add("View beside Errors", r.View != nil && len(r.Errors) > 0)
		return fields
	}

	add("View", r.View != nil)
	add("Errors", len(r.Errors) > 0)
	first := !second && !h.slow && h.Kind != KindAction // there is nothing yet that it could take the place of
	add("Replace", r.Replace && first)
	return fields
}

// sound is an answer of h as far as it can be given. What can't is noted; where that leaves nothing to read, the person
// reads the errors as text, or that something went wrong. second: see Handler.idle.
func (g *gate) sound(h Handler, t *Request, r Reply, second bool) Reply {
	if fields := h.idle(r, second); len(fields) > 0 {
		g.metrics.idle(t.Log, h.id(), fields)
	}
	if unsaid := r.View != nil || len(r.Errors) > 0; unsaid && h.Kind != KindViewSubmission && r.empty() {
		r.Text = cmp.Or(faults(r.Errors), wentWrong(t.Ref))
	}

	if next := r.Then; next != nil {
		r.Then = func(ctx context.Context) (Reply, error) {
			later, err := next(ctx)
			if err != nil {
				return later, err
			}
			return g.sound(h, t, later, true), nil
		}
	}
	return r
}

// message is a Reply as Slack reads it in a command's response and at a response_url.
// https://docs.slack.dev/interactivity/handling-user-interaction
type message struct {
	ResponseType    string        `json:"response_type,omitempty"`
	Text            string        `json:"text"`
	Blocks          []slack.Block `json:"blocks,omitempty"`
	ReplaceOriginal *bool         `json:"replace_original,omitempty"`
	ThreadTS        string        `json:"thread_ts,omitempty"`
}

// message is r for a response_url, in a thread of its conversation if there is one: Slack doesn't put it there by
// itself.
func (r Reply) message(replace bool, thread string) message {
	m := message{Text: r.Text, Blocks: r.Blocks, ReplaceOriginal: &replace, ThreadTS: thread}
	switch {
	case replace: // what is replaced keeps its kind and its place
		m.ThreadTS = ""
	case r.InChannel && !r.private:
		m.ResponseType = "in_channel"
	default:
		m.ResponseType = "ephemeral"
	}
	return m
}

// answerOf is the acknowledgement of a command that carries r.
func answerOf(r Reply) transport.Answer {
	if r.empty() {
		return transport.Answer{}
	}
	m := r.message(false, "")
	m.ReplaceOriginal = nil // there is nothing to replace yet
	return answerWith(m)
}

// encode writes what a handler made. That it can't be written is a *panicError, whether its MarshalJSON panics or says
// so.
func encode(v any) (body []byte, err error) {
	err = guard(func() (err error) {
		if body, err = json.Marshal(v); err != nil {
			panic(err)
		}
		return nil
	})
	return body, err
}

// viewAnswer is what a submitted modal is acknowledged with, so that it doesn't just close.
// https://docs.slack.dev/surfaces/modals#handling_submissions
type viewAnswer struct {
	Action string                  `json:"response_action"`
	Errors map[string]string       `json:"errors,omitempty"`
	View   *slack.ModalViewRequest `json:"view,omitempty"`
}

// answerOfView is the acknowledgement of a submitted modal that carries r: an empty one closes it.
func answerOfView(r Reply) transport.Answer {
	switch {
	case len(r.Errors) > 0:
		return answerWith(viewAnswer{Action: "errors", Errors: r.Errors})
	case r.View != nil:
		return answerWith(viewAnswer{Action: "update", View: r.View})
	case !r.empty():
		return answerWith(viewAnswer{Action: "update", View: page(r)})
	}
	return transport.Answer{}
}

// answerWith is an acknowledgement that carries v as JSON. It panics when that can't be written, as what a handler
// made: accept has a sentence for it.
func answerWith(v any) transport.Answer {
	body, err := encode(v)
	if err != nil {
		panic(err)
	}
	return transport.Answer{Body: body, ContentType: "application/json; charset=utf-8"}
}

// page is a modal that shows r and can only be closed.
func page(r Reply) *slack.ModalViewRequest {
	blocks := r.Blocks
	if len(blocks) == 0 {
		blocks = []slack.Block{mrkdwn.Section(r.Text)}
	}
	return &slack.ModalViewRequest{
		Type:   slack.VTModal,
		Title:  mrkdwn.Plain("Result", mrkdwn.MaxTitle),
		Close:  mrkdwn.Plain("Close", mrkdwn.MaxTitle),
		Blocks: slack.Blocks{BlockSet: blocks},
	}
}

// OpenView opens a modal for the person who typed the command or pressed the button, and returns it as Slack has it. It
// has to be called before any slow work: the trigger lives for 3 s and opens one modal. It needs no permission, and a
// usable connection. It blocks for a call to Slack. https://docs.slack.dev/reference/methods/views.open
func (t *Request) OpenModal(ctx context.Context, view slack.ModalViewRequest) (*slack.View, error) {
	switch {
	case t.TriggerID == "":
		return nil, errors.New("open view: events have no trigger")
	case t.Client == nil:
		return nil, fmt.Errorf("open view: %w", connection.ErrNotConnected)
	}

	opened, err := t.Client.OpenViewContext(ctx, t.TriggerID, view)
	if err != nil {
		return nil, fmt.Errorf("open view: %w", err)
	}
	return &opened.View, nil
}

// say posts r and, when it has a Then, changes the message to what Then returns.
func (g *gate) say(ctx context.Context, t *Request, r Reply) error {
	if r.empty() {
		return nil
	}
	first := r
	first.Then = nil
	ts, err := t.Say(ctx, first)
	if err != nil {
		return fmt.Errorf("post reply: %w", err)
	}
	if r.Then == nil {
		return nil
	}

	later, err := then(ctx, r)
	if _, refused := userWord(err); refused {
		return err
	}
	if err != nil {
		// The first answer stands; posting it again on a retry would help nobody.
		g.metrics.lose(lostSecondPart)
		t.Log.WarnContext(ctx, "second part of a reply", failure(err)...)
		return nil
	}

	if later.empty() {
		return nil
	}

	err = guard(func() error {
		if r.private || later.private { // else everybody reads it
			return t.privately(ctx, later)
		}
		_, _, _, err := t.Client.UpdateMessageContext(ctx, t.ChannelID, ts, slack.MsgOptionText(later.Text, false),
			slack.MsgOptionBlocks(later.Blocks...))
		return err
	})
	if err != nil {
		g.metrics.lose(lostSecondPart)
		t.Log.WarnContext(ctx, "update reply", failure(err, "ref", t.Ref)...)
	}
	return nil
}
