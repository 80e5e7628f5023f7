package bot

import (
	"context"
	"fmt"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Home is the app's Home tab, opened by somebody.
type Home struct {
	*Request
	// Payload is the event.
	Payload *slackevents.AppHomeOpenedEvent
}

// Publish shows view to the person in their Home tab. It needs no permission. It blocks for a call to Slack.
// https://docs.slack.dev/reference/methods/views.publish
func (h *Home) Publish(ctx context.Context, view slack.HomeTabViewRequest) error {
	if h.Client == nil {
		return connection.ErrNotConnected
	}
	view.Type = slack.VTHomeTab
	_, err := h.Client.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: h.UserID, View: view})
	if err != nil {
		return fmt.Errorf("publish the Home tab: %w", err)
	}
	return nil
}

// OnHomeOpened returns a handler of the Home tab, called whenever somebody opens it, with the promises of OnEvent. It
// turns the tab on in the manifest. https://docs.slack.dev/surfaces/app-home
func OnHomeOpened(run func(ctx context.Context, h *Home) error, options ...Option) Handler {
	handle := func(ctx context.Context, r *Request, e *slackevents.AppHomeOpenedEvent) error {
		return run(ctx, &Home{Request: r, Payload: e})
	}
	return newHandler(KindHome, "", options, ofEvent(handle))
}
