package bot

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/slack-go/slack"
)

// Shortcut is a shortcut that somebody used: from the menu of Slack's own search and composer, or from the menu of a
// message, which is in Payload.Message then. Text is that message's.
//
// The answer to one from a message reaches the person in its channel. That to a global one, which happens nowhere,
// comes in a window, or as a direct message where the shortcut is too long ago for a window.
type Shortcut struct {
	*Request
	responder
	modals
	// Payload is what Slack sent.
	Payload *slack.InteractionCallback
}

// OnShortcut returns a handler of a global shortcut with this callback_id. Titled is needed with it. The permission
// commands follows by itself. run is called right away, as OnAction's is, and usually opens a modal.
// https://docs.slack.dev/interactivity/implementing-shortcuts
func OnShortcut(callbackID string, run func(ctx context.Context, s *Shortcut) error, options ...Option) Handler {
	return newHandler(KindShortcut, callbackID, withCommands(options), ofShortcut(run))
}

// OnMessageShortcut is OnShortcut for one in the menu of messages. The app need not be in the message's channel to
// answer, but to post there.
func OnMessageShortcut(callbackID string, run func(ctx context.Context, s *Shortcut) error, options ...Option) Handler {
	return newHandler(KindMessageShortcut, callbackID, withCommands(options), ofShortcut(run))
}

func ofShortcut(run func(ctx context.Context, s *Shortcut) error) func(context.Context, *Request, any) error {
	return func(ctx context.Context, r *Request, payload any) error {
		s := &Shortcut{
			Request: r, responder: responder{r}, modals: modals{r}, Payload: payload.(*slack.InteractionCallback),
		}
		s.Text = s.Payload.Message.Text
		return run(ctx, s)
	}
}

// checkShortcut finds out why Slack would refuse a shortcut.
func (h *Handler) checkShortcut() error {
	length := utf8.RuneCountInString
	switch {
	case length(h.Name) < 1 || length(h.Name) > 255:
		return errors.New("a callback_id has 1 to 255 characters")
	case h.Title == "" || h.About == "":
		return errors.New("no title and description for Slack's menu (Titled)")
	case length(h.Title) > 24 || length(h.About) > 150:
		return errors.New("a title has at most 24 characters, a description 150")
	}
	return nil
}

func (h *Handler) manifestShortcut() slack.Shortcut {
	kind := slack.GlobalShortcut
	if h.Kind == KindMessageShortcut {
		kind = slack.MessageShortcut
	}
	return slack.Shortcut{Name: h.Title, CallbackID: h.Name, Description: h.About, Type: kind}
}

// interactive reports whether h needs Slack's interactivity.
func (h *Handler) interactive() bool { return h.Kind != KindCommand && !h.ofEvents() }

// checkShortcuts finds shortcuts that no connection would be found for.
// https://docs.slack.dev/reference/interaction-payloads/shortcuts-interaction-payload
func (c Config) checkShortcuts() (problems []error) {
	for _, h := range c.Handlers {
		if h.ofShortcut() && c.AppID == "" {
			problems = append(problems, fmt.Errorf("%s%s: Slack doesn't say which app a shortcut is of, so Config.AppID has to",
				h.id(), h.at()))
		}
	}
	return problems
}
