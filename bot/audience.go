package bot

// A message in a shared channel is delivered once, for one of the installations that can see it. A handler that wants
// to know who else reads along can ask for all of them.

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// Authorization is one installation of the app that can see an event.
// https://docs.slack.dev/reference/methods/apps.event.authorizations.list
type Authorization struct {
	EnterpriseID string `json:"enterprise_id"` // "" outside Enterprise Grid
	TeamID       string `json:"team_id"`       // "" for an organisation-wide installation
	UserID       string `json:"user_id"`       // the bot's, or the person's who installed it
	Bot          bool   `json:"is_bot"`
	Org          bool   `json:"is_enterprise_install"`
}

// ErrNoAppToken says that only an app-level token could answer, and there is none: see Request.Authorizations.
var ErrNoAppToken = errors.New("no app-level token: one with the permission authorizations:read is needed " +
	"to ask who else can see an event")

const (
	authorizationsBudget = 15 * time.Second
	authorizationsPages  = 50 // a channel can be shared with 250 companies
	authorizationsLimit  = "100"
)

// Authorizations returns all installations of the app that can see the event: req.Connection, and in a shared channel
// the other companies'. Their tokens are out of reach for it, and what it learns of them is not for the people in the
// channel. It blocks for some calls to Slack, at most 15 s. The error is ErrNoAppToken without Config.AppToken, which
// needs authorizations:read for that. For what is not an event that is an error, too.
// https://docs.slack.dev/reference/methods/apps.event.authorizations.list
func (req *Request) Authorizations(ctx context.Context) ([]Authorization, error) {
	if req.context == "" || req.gate == nil {
		return nil, errors.New("list authorizations: Slack named no event_context")
	}
	return req.gate.audience.authorizations(ctx, req.context)
}

// audience asks who can see an event.
type audience struct {
	slack *slackapi.API
	token connection.Secret // app-level; "": there is none
}

// authorizations asks page by page. slack-go's own call drops the cursor.
func (a *audience) authorizations(ctx context.Context, eventContext string) ([]Authorization, error) {
	if a.token == "" {
		return nil, ErrNoAppToken
	}
	ctx, cancel := context.WithTimeout(ctx, authorizationsBudget)
	defer cancel()

	var all []Authorization
	cursor := ""
	for range authorizationsPages {
		page, next, err := a.page(ctx, eventContext, cursor)
		if err != nil {
			return nil, fmt.Errorf("list authorizations: %w", err)
		}
		all = append(all, page...)
		if cursor = next; cursor == "" {
			return all, nil
		}
	}
	return nil, errors.New("list authorizations: there is no end of pages")
}

func (a *audience) page(ctx context.Context, eventContext,
	cursor string) (page []Authorization, next string, err error) {
	form := url.Values{"event_context": {eventContext}, "limit": {authorizationsLimit}}
	if cursor != "" {
		form.Set("cursor", cursor)
	}

	var answer struct {
		Authorizations []Authorization `json:"authorizations"`
		Next           struct {
			Cursor string `json:"next_cursor"`
		} `json:"response_metadata"`
	}
	if err := a.slack.Call(ctx, "apps.event.authorizations.list", a.token, form, &answer); err != nil {
		return nil, "", err
	}
	return answer.Authorizations, answer.Next.Cursor, nil
}
