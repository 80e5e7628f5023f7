package bot

// How a handler's answer reaches the person: as the body of the command's response, through the response_url, or as a
// message in the conversation.

import (
	"context"
	"encoding/json"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/words"
)

// Reply is an answer. The zero Reply says nothing. Text makes one of a sentence, Markdown one of Markdown.
//
// What is longer than Slack takes in one message (4,000 characters of Text, 12,000 of Markdown, 50 blocks) becomes
// several that follow each other in the same place. In a modal it is cut.
type Reply struct {
	// Text is a whole sentence that stands for the blocks, in Slack's mrkdwn: screen readers and notifications read it
	// instead of them. Without Markdown and Blocks it is what people see. What comes from outside has to be escaped in it
	// (mrkdwn.Escape). Where it is empty, it is made of the words of the Markdown and the blocks.
	Text string
	// Markdown is what people see, as the function Markdown says. It stands above Blocks.
	Markdown string
	// Mentions are whom Markdown mentions: ids of people, groups and channels, and the words here, channel and everyone.
	// What else in it looks like a mention (<@U…>, <!channel>) is words that notify nobody, wherever they came from.
	Mentions []string
	// Blocks are what people see. https://docs.slack.dev/reference/block-kit/blocks
	Blocks []slack.Block
	// InChannel shows the answer of a command or an action to everybody in the channel. Otherwise only the person who
	// acted sees it. What is said in a conversation everybody sees anyway.
	InChannel bool
	// Unfurl shows what links in the text lead to. Otherwise they stay links.
	// https://docs.slack.dev/messaging/unfurling-links-in-messages
	Unfurl bool
	// AlsoInChannel shows what is said in a thread in its channel, too.
	AlsoInChannel bool
	// Metadata goes with the message that Say posts, for apps to read. Say adds a property switchboard_say to it, by which
	// it finds the message again. https://docs.slack.dev/messaging/message-metadata
	Metadata *slack.SlackMetadata
	// Files are shared behind the text, in one message of their own, in the same place. They take files:write, and go with
	// Say alone: Slack has no files that only one person sees. When a handler runs again they are shared once, as far as
	// their upload was recorded: see Say.
	Files []File
	// Username and Icon are another name and picture for what is said: an emoji (":robot_face:") or an address. Without
	// the permission chat:write.customize it has the app's own.
	Username, Icon string

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

// Markdown is a Reply of Markdown as everybody writes it, with GitHub's tables, task lists and struck-out text.
// Messages show it as it is; more than 12,000 characters become several of them, cut between paragraphs, list items or
// rows. In modals and the Home tab, where Slack takes no Markdown, its parts become blocks, and tables text of one
// width. Its words are the text for notifications and screen readers.
//
// It can come from anywhere, from a language model, too: it mentions nobody who is not in Reply.Mentions.
// https://docs.slack.dev/reference/block-kit/blocks/markdown-block
func Markdown(md string) Reply { return Reply{Markdown: md} }

func (r Reply) empty() bool {
	return r.Text == "" && len(r.Blocks) == 0 && !r.saysMarkdown() && len(r.Files) == 0
}

// says reports whether there is something to show.
func (r Reply) says() bool { return !r.empty() || r.view != nil || len(r.errors) > 0 }

// answerOf is the acknowledgement of a command that carries the first message of r.
func answerOf(lang *words.Sentences, r Reply) transport.Answer {
	parts := r.parts(lang)
	if len(parts) == 0 {
		return transport.Answer{}
	}
	m := parts[0].message(false, "")
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
func answerOfView(lang *words.Sentences, r Reply) transport.Answer {
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
		return answerWith(viewAnswer{Action: "update", View: page(lang, r)})
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
func page(lang *words.Sentences, r Reply) *slack.ModalViewRequest {
	return &slack.ModalViewRequest{
		Type:   slack.VTModal,
		Title:  mrkdwn.Plain(lang.Say("bot.window.title"), mrkdwn.MaxTitle),
		Close:  mrkdwn.Plain(lang.Say("bot.window.close"), mrkdwn.MaxTitle),
		Blocks: slack.Blocks{BlockSet: r.viewBlocks(lang)},
	}
}
