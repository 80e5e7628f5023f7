package bot

// In a channel that is shared with another company, its people can press our buttons and fill in our forms. They learn
// nothing of the workspace that installed the app, and change nothing in it: that is seen to here, before any handler
// runs.
// https://docs.slack.dev/apis/slack-connect

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/words"
)

// Whom Slack said to belong to an organisation is believed to for this long.
const insiderKept = 10 * time.Minute

// insiders knows who belongs to whom, as far as a payload or Slack says.
type insiders struct {
	install *install.Installer
	now     func() time.Time

	mu    sync.Mutex
	known map[string]time.Time // connection, workspace and person → when Slack said that they belong together
}

// admit is the one rule for who may use h: nil for who may, else what they are told. req has its connection. What can't
// be found out counts as no. It asks Slack only about people whom the payload doesn't place in the connection's
// workspace or organisation.
//
// Only what was pressed is refused. Slack offers commands to members of the workspace alone, and what happens in a
// shared channel is an event whoever does it: see Request.External.
func (i *insiders) admit(ctx context.Context, h *Handler, req *Request, pressed *interaction) *Reply {
	c := req.Connection
	if pressed == nil || c.ID == "" { // without a connection there is nothing to do or to learn
		return nil
	}

	if pressed.foreignBot(c) {
		req.Log.InfoContext(ctx, "refused: pressed in what another installation wrote", "handler", h.id())
		app := mrkdwn.Escape(i.install.App().Name)
		return &Reply{Text: req.lang().Say("bot.other_installation", "app", app)}
	}

	in, err := i.insider(ctx, req)
	switch {
	case h.anyone:
		if req.outsider = !in; !in && req.Client != nil {
			// The payload may have named their workspace as the place, and our token has no business there.
			req.Client, req.TeamID = i.install.Client(c), c.TeamID
		}
		return nil
	case in:
		return nil
	case err != nil:
		req.Log.WarnContext(ctx, "ask whether a person is of this organisation",
			"slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
		return &Reply{Text: req.lang().Say("bot.person_unknown", "reference", req.Ref)}
	}
	req.Log.InfoContext(ctx, "refused: of another company", "handler", h.id())
	return &Reply{Text: forPeopleAt(req.lang(), c, pressed)}
}

// mayHear reports whether who acted may be told something about the workspace, which people of other companies may not.
// Where the payload leaves open who they are Slack is asked; what can't be found out counts as no.
func (i *insiders) mayHear(ctx context.Context, req *Request) bool {
	if !req.Shared && req.UserTeam == "" { // elsewhere everybody is of this workspace
		return true
	}
	in, err := i.insider(ctx, req)
	if in {
		req.outsider = false
	} else if err != nil {
		req.Log.InfoContext(ctx, "ask whether a person is of this organisation",
			"slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
	}
	return in
}

// forPeopleAt says whom a button or a form is for. It names the company alone, which Slack shows on the shared channel.
func forPeopleAt(lang *words.Sentences, c connection.Connection, i *interaction) string {
	what := "form"
	switch i.Type {
	case "block_actions":
		what = "button"
	case "shortcut", "message_action":
		what = "shortcut"
	}
	if c.TeamName == "" {
		return lang.Say("bot.only_at_owner." + what)
	}
	return lang.Say("bot.only_at."+what, "company", mrkdwn.Escape(c.TeamName))
}

// External reports whether who acts is of another company than the connection's, or can't be told to be of this one
// without asking Slack: in a shared channel they see the app's messages and can press its buttons, and what they are
// over there counts for nothing here. It asks nobody. On Grid a person of another workspace of the organisation is
// none. Whether they belong to the connection's workspace, users.info says. https://docs.slack.dev/apis/slack-connect
func (req *Request) External() bool {
	return req.outsider || sideOf(req.Connection, req.UserTeam) == theirs
}

// side is where a payload places a person.
type side int

const (
	unclear side = iota // only Slack can say
	ours                // in the connection's workspace or organisation
	theirs              // certainly in another company
)

// sideOf is the one rule for who is an outsider: where the workspace or organisation that a payload names as a
// person's stands to c. "" says nothing.
func sideOf(c connection.Connection, userTeam string) side {
	switch {
	case c.ID == "" || userTeam == "":
		return unclear
	case userTeam == c.TeamID, userTeam == c.EnterpriseID: // on Grid Slack can name the organisation
		return ours
	case strings.HasPrefix(userTeam, "E") && c.EnterpriseID == "":
		return unclear // a workspace can have joined an organisation that our record doesn't name yet
	case strings.HasPrefix(userTeam, "E"), c.EnterpriseID == "":
		return theirs
	}
	return unclear // workspaces of an organisation can't be told from others by their ids
}

// notForOutsiders is what people of another company read where others read what is wrong with the connection, or what
// it lacks.
func (req *Request) notForOutsiders() Reply {
	return Reply{Text: req.lang().Say("bot.cant_now", "app", mrkdwn.Escape(req.Install.App().Name))}
}

// foreignBot reports whether the button or form was put there by another installation than c: the payload then names
// one workspace and shows what was meant for another.
func (i *interaction) foreignBot(c connection.Connection) bool {
	wrote := ""
	switch {
	case i.Message != nil && i.Type == "message_action": // of anybody
	case i.Message != nil:
		wrote = i.Message.BotID
	case i.View != nil && i.View.Type == "modal": // a Home tab can be older than the connection
		wrote = i.View.BotID
	}
	return wrote != "" && c.BotID != "" && wrote != c.BotID
}

// insider reports whether who acts belongs to the workspace or the organisation of the request's connection.
func (i *insiders) insider(ctx context.Context, req *Request) (bool, error) {
	c := req.Connection
	switch at := sideOf(c, req.UserTeam); {
	case at == ours:
		return true, nil
	case at == theirs, req.Client == nil, req.UserID == "":
		return false, nil
	}

	// A person of another workspace of the organisation, or one whose workspace is not named.
	key := c.ID + "/" + req.UserTeam + "/" + req.UserID
	i.mu.Lock()
	at, known := i.known[key]
	i.mu.Unlock()
	if known && i.now().Sub(at) < insiderKept {
		return true, nil
	}

	in, err := i.askInsider(ctx, req)
	if !in {
		return false, err
	}

	i.mu.Lock()
	if len(i.known) > 10_000 {
		clear(i.known) // costs one more call for each person
	}
	i.known[key] = i.now()
	i.mu.Unlock()
	return true, nil
}

// askInsider asks Slack: first for the organisation's workspaces, which needs no permission, then for the person.
func (i *insiders) askInsider(ctx context.Context, req *Request) (bool, error) {
	c := req.Connection
	var failed error
	if c.Org() && workspace(req.UserTeam) != "" {
		all, err := i.install.Connections().Workspaces(ctx, c)
		for _, w := range all {
			if w.ID == req.UserTeam {
				return true, nil
			}
		}
		failed = err
	}

	// Not req.Client, which names the workspace of the payload: it may be the other company's.
	u, err := i.install.Client(c).GetUserInfoContext(ctx, req.UserID)
	switch slackapi.SlackError(err) {
	case "":
	case "user_not_found", "user_not_visible", "users_not_found", "missing_scope":
		return false, failed // nobody here, or it can't be known
	}
	if err != nil {
		return false, err
	}

	if u.IsStranger || u.Deleted {
		return false, nil
	}
	inOrganisation := c.EnterpriseID != "" && u.Enterprise.EnterpriseID == c.EnterpriseID
	return inOrganisation || u.TeamID != "" && u.TeamID == c.TeamID, nil
}
