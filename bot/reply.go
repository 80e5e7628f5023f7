package bot

// How a handler's answer reaches the person: as the body of the command's response, through the response_url, or as a
// message in the conversation.

import (
	"context"
	"encoding/json"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// Reply is an answer. The zero Reply says nothing. Text makes one of a sentence.
type Reply struct {
	// Text is a whole sentence that stands for the blocks, in Slack's mrkdwn: screen readers and notifications read it
	// instead of them. Without Blocks it is what people see. What comes from outside has to be escaped in it.
	Text string
	// Blocks are what people see. https://docs.slack.dev/reference/block-kit/blocks
	Blocks []slack.Block
	// InChannel shows the answer of a command or an action to everybody in the channel. Otherwise only the person who
	// acted sees it. What is said in a conversation everybody sees anyway.
	InChannel bool
	// Unfurl shows what links in the text lead to. Otherwise they stay links.
	// https://docs.slack.dev/messaging/unfurling-links-in-messages
	Unfurl bool

	// Then runs after the answer is out, for at most 30 s, and its Reply takes the place of this one. It can have a Then
	// of its own. That it fails is in the log; a UserError of it is told. It isn't run again.
	Then func(ctx context.Context) (Reply, error)

	replace bool // it takes the place of the message that held the button
	private bool // for the person who acted alone, wherever it is said

	// Of a modal that was submitted.
	view   *slack.ModalViewRequest
	push   bool // view goes on top, else in its place
	clear  bool
	errors map[string]string

	offer *offer // of a menu's options
}

// Text is a Reply of a sentence in Slack's mrkdwn. What comes from outside has to be escaped in it.
func Text(mrkdwn string) Reply { return Reply{Text: mrkdwn} }

func (r Reply) empty() bool { return r.Text == "" && len(r.Blocks) == 0 }

// posted is r as a message that is posted, in a thread; "": in none.
func (r Reply) posted(thread string) []slack.MsgOption {
	options := []slack.MsgOption{slack.MsgOptionText(r.Text, false)}
	if !r.Unfurl {
		options = append(options, slack.MsgOptionDisableLinkUnfurl())
	}
	if len(r.Blocks) > 0 {
		options = append(options, slack.MsgOptionBlocks(r.Blocks...))
	}
	if thread != "" {
		options = append(options, slack.MsgOptionTS(thread))
	}
	return options
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

// answerOfOptions is the acknowledgement of a menu's question that carries r. Without an offer it offers nothing.
func answerOfOptions(r Reply) transport.Answer {
	if r.offer == nil || len(r.offer.Options)+len(r.offer.Groups) == 0 {
		return transport.Answer{Body: []byte(`{"options":[]}`), ContentType: "application/json; charset=utf-8"}
	}
	return answerWith(r.offer)
}

// answerOfView is the acknowledgement of a submitted modal that carries r: an empty one closes it.
func answerOfView(r Reply) transport.Answer {
	switch {
	case len(r.errors) > 0:
		return answerWith(viewAnswer{Action: "errors", Errors: r.errors})
	case r.clear:
		return answerWith(viewAnswer{Action: "clear"})
	case r.push:
		return answerWith(viewAnswer{Action: "push", View: r.view})
	case r.view != nil:
		return answerWith(viewAnswer{Action: "update", View: r.view})
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
