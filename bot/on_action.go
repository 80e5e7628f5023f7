package bot

import (
	"cmp"
	"context"
	"strconv"

	"github.com/slack-go/slack"
)

// Action is a press of a button, a choice in a menu, or another element that somebody used.
type Action struct {
	*Request
	responder
	updater
	modals
	sayer
	// Payload is what Slack sent.
	Payload *slack.InteractionCallback
	// Action is the element that was used, and Value what it says: a button's value, what was chosen, picked or put in.
	// "" for a choice that was taken back, and of several chosen things, which are in Action.
	Action *slack.BlockAction
	Value  string
}

// OnAction returns a handler of a button, a menu or another element with this action_id, in a message, a modal or the
// App Home. "vote.*" is for all that begin so, "^vote\.(up|down)$" is a pattern, whose captures are in Request.Matches.
//
// run is called right away. The acknowledgement is out after 2.5 s even if run has not returned: then it runs on as
// OnCommand's does. Respond answers the person who pressed, or everybody (Reply.InChannel), in the thread of the
// message if it is in one. Update puts the answer in the place of the message that held the button. In a modal or the
// App Home the answer comes in a window on top, which leaves alone what was typed; later than 3 s after the press as a
// direct message. Errors are told as OnCommand's are.
//
// In a channel shared with another company its people can press, too. They are refused, unless the handler is External.
// In an organisation of workspaces (Enterprise Grid) people of its other workspaces can press. Whether they belong to
// the organisation is asked of Slack, once in ten minutes: without the permission users:read they are refused as people
// of another company are. Only an organisation-wide connection knows the workspaces that it was added to without that.
// https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
func OnAction(id string, run func(ctx context.Context, a *Action) error, options ...Option) Handler {
	return newHandler(KindAction, id, options, func(ctx context.Context, r *Request, payload any) error {
		a := &Action{
			Request: r, responder: responder{r}, updater: updater{r}, modals: modals{r}, sayer: sayer{r},
			Payload: payload.(*slack.InteractionCallback),
		}
		a.Action, a.Value = usedIn(a.Payload, r)
		return run(ctx, a)
	})
}

// AsyncAction is an Action that is worked from the inbox.
type AsyncAction struct {
	*Request
	asyncResponder
	sayer
	// Payload is what Slack sent.
	Payload *slack.InteractionCallback
	// Action and Value are as Action's.
	Action *slack.BlockAction
	Value  string
}

// OnActionAsync is OnAction for work that must not be lost: see OnCommandAsync.
func OnActionAsync(id string, run func(ctx context.Context, a *AsyncAction) error, options ...Option) Handler {
	h := newHandler(KindAction, id, options, func(ctx context.Context, r *Request, payload any) error {
		a := &AsyncAction{
			Request: r, asyncResponder: asyncResponder{r}, sayer: sayer{r}, Payload: payload.(*slack.InteractionCallback),
		}
		a.Action, a.Value = usedIn(a.Payload, r)
		return run(ctx, a)
	})
	h.async = true
	return h
}

// usedIn finds the element that the handler of r is for.
func usedIn(i *slack.InteractionCallback, r *Request) (*slack.BlockAction, string) {
	for _, a := range i.ActionCallback.BlockActions {
		captures, ok := r.handler.matches(a.ActionID)
		if ok && (r.handler.block == "" || r.handler.block == a.BlockID) {
			r.Matches = captures
			return a, valueOf(a)
		}
	}
	return &slack.BlockAction{}, ""
}

// valueOf is what one used element says.
// https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
func valueOf(a *slack.BlockAction) string {
	when := ""
	if a.SelectedDateTime != 0 {
		when = strconv.FormatInt(a.SelectedDateTime, 10)
	}
	return cmp.Or(a.Value, a.SelectedOption.Value, a.SelectedUser, a.SelectedChannel, a.SelectedConversation,
		a.SelectedDate, a.SelectedTime, when)
}
