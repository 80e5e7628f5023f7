package bot

import (
	"context"
	"fmt"

	"github.com/slack-go/slack"
)

// Options is Slack's question for what a menu with an external source has to offer, while somebody types in it.
type Options struct {
	*Request
	// Payload is what Slack sent, and Value what was typed so far.
	Payload *slack.InteractionCallback
	Value   string
}

// MaxOptions is how many options Slack takes, and how many groups with so many each.
// https://docs.slack.dev/reference/interaction-payloads/block_suggestion-payload
const MaxOptions = 100

// offer is what Slack gets to show.
type offer struct {
	Options []*slack.OptionBlockObject      `json:"options,omitempty"`
	Groups  []*slack.OptionGroupBlockObject `json:"option_groups,omitempty"`
}

// Reply is the answer: what the menu offers, at most MaxOptions. None says that nothing was found.
func (o *Options) Reply(options ...*slack.OptionBlockObject) error {
	if len(options) > MaxOptions {
		return fmt.Errorf("%d options, Slack takes %d", len(options), MaxOptions)
	}
	return o.record(Reply{offer: &offer{Options: options}})
}

// ReplyGroups is Reply with options under headings.
func (o *Options) ReplyGroups(groups ...*slack.OptionGroupBlockObject) error {
	for _, g := range groups {
		if len(g.Options) > MaxOptions {
			return fmt.Errorf("%d options in a group, Slack takes %d", len(g.Options), MaxOptions)
		}
	}
	if len(groups) > MaxOptions {
		return fmt.Errorf("%d groups of options, Slack takes %d", len(groups), MaxOptions)
	}
	return o.record(Reply{offer: &offer{Groups: groups}})
}

// NewOption is an option with a text of at most 75 characters and a value of at most 150.
func NewOption(text, value string) *slack.OptionBlockObject {
	return slack.NewOptionBlockObject(value, slack.NewTextBlockObject(slack.PlainTextType, text, false, false), nil)
}

// OnOptions returns a handler of the menu with this action_id whose options come from outside (external_select). It is
// called for what is typed, as the menu's min_query_length says, and Slack waits 3 s: what comes later is not shown,
// and there is no second chance. An error shows nobody a sentence: the menu stays empty, and the log has it.
// https://docs.slack.dev/reference/block-kit/block-elements/select-menu-element#external_select
func OnOptions(actionID string, run func(ctx context.Context, o *Options) error, options ...Option) Handler {
	return newHandler(KindOptions, actionID, options, func(ctx context.Context, r *Request, payload any) error {
		p := payload.(*slack.InteractionCallback)
		r.Matches, _ = r.handler.matches(p.ActionID)
		return run(ctx, &Options{Request: r, Payload: p, Value: p.Value})
	})
}
