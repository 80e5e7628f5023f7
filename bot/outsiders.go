package bot

// In a channel that is shared with another company, its people can press our buttons and fill in our forms. They learn nothing of the
// workspace that installed the app, and change nothing in it: that is seen to here, before any handler runs.
// https://docs.slack.dev/apis/slack-connect

import (
	"context"
	"strings"
	"time"

	"switchboard/install/connection"
	"switchboard/install/slackapi"
)

// asks is who wants something, as the payload says it.
type asks struct {
	team    string       // the workspace it happened in
	pressed *interaction // nil: a command, which Slack offers only to members of the workspace
}

// Whom Slack said to belong to an organisation is believed to for this long.
const insiderKept = 10 * time.Minute

// admit returns what to answer to a person who may not use h, nil to one who may. t has its connection. What can't be found out
// counts as no. It asks Slack only about people whom the payload doesn't place in the connection's workspace or organisation.
func (b *Bot) admit(ctx context.Context, h Handler, t *Turn, who asks) *Reply {
	c := t.Connection
	if who.pressed == nil || c.ID == "" { // without a connection there is nothing to do or to learn
		return nil
	}
	i := who.pressed
	if i.foreignBot(c) {
		t.Log.InfoContext(ctx, "refused: pressed in what another installation wrote", "handler", h.id())
		return &Reply{Text: escape("This is from another installation of " + b.install.App().Name + " and can't be used from here.")}
	}
	if h.anyone {
		in, _ := b.insider(ctx, t, i.User.ID, i.User.TeamID)
		if t.outsider = !in; !in && t.Slack != nil {
			// The payload may have named their workspace as the place, and our token has no business there.
			t.Slack, t.TeamID = b.install.Client(c), c.TeamID
		}
		return nil
	}
	switch in, err := b.insider(ctx, t, i.User.ID, i.User.TeamID); {
	case err != nil:
		t.Log.WarnContext(ctx, "ask whether a person is of this organisation", "slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
		return &Reply{Text: "We couldn't ask Slack whether this is for you. Try again in a minute. Reference: " + t.Ref + "."}
	case !in:
		t.Log.InfoContext(ctx, "refused: of another company", "handler", h.id())
		return &Reply{Text: escape(forPeopleAt(c, i))}
	}
	return nil
}

// forPeopleAt says whom a button or a form is for. It names the company alone, which Slack shows on the shared channel.
func forPeopleAt(c connection.Connection, i *interaction) string {
	what := "button"
	if i.Type != "block_actions" {
		what = "form"
	}
	return "Only people at " + orElse(c.TeamName, "the company that added this app") + " can use this " + what + "."
}

// Outsider reports whether the payload places who acts in another company than the connection's, or may do so: in a
// shared channel they see the app's messages and can press its buttons, and what they are over there counts for nothing
// here. It asks nobody. On Grid a person of another workspace of the organisation is none; whether they belong to the
// connection's workspace, users.info says.
func (t *Turn) Outsider() bool { return t.outsider || ofAnother(t.Connection, t.UserTeam) }

// ofAnother reports whether the workspace or organisation that a payload names as a person's is certainly another
// company than c's. It is the one rule for that; "" says nothing.
func ofAnother(c connection.Connection, userTeam string) bool {
	switch {
	case c.ID == "", userTeam == "", userTeam == c.TeamID, userTeam == c.EnterpriseID: // on Grid Slack can name the organisation
		return false
	case strings.HasPrefix(userTeam, "E"):
		return c.EnterpriseID != "" // a workspace can have joined an organisation that our record doesn't name yet
	}
	return c.EnterpriseID == "" // workspaces of an organisation can't be told from others by their ids
}

// notForOutsiders is what people of another company read where others read what is wrong with the connection, or what it lacks.
func (t *Turn) notForOutsiders() Reply {
	return Reply{Text: escape(t.Install.App().Name + " can't do that here right now.")}
}

// foreignBot reports whether the button or form was put there by another installation than c: the payload then names one workspace
// and shows what was meant for another.
func (i interaction) foreignBot(c connection.Connection) bool {
	wrote := ""
	switch {
	case i.Message != nil:
		wrote = i.Message.BotID
	case i.View != nil && i.View.Type == "modal": // a Home tab can be older than the connection
		wrote = i.View.BotID
	}
	return wrote != "" && c.BotID != "" && wrote != c.BotID
}

// insider reports whether a person belongs to the workspace or the organisation of t's connection. userTeam is theirs, as the payload
// names it.
func (b *Bot) insider(ctx context.Context, t *Turn, userID, userTeam string) (bool, error) {
	c := t.Connection
	switch {
	case userTeam != "" && (userTeam == c.TeamID || userTeam == c.EnterpriseID):
		return true, nil
	case ofAnother(c, userTeam):
		return false, nil
	case t.Slack == nil || userID == "":
		return false, nil
	}
	// A person of another workspace of the organisation, or one whose workspace is not named.
	key := c.ID + "/" + userTeam + "/" + userID
	b.mu.Lock()
	at, known := b.insiders[key]
	b.mu.Unlock()
	if known && b.now().Sub(at) < insiderKept {
		return true, nil
	}
	in, err := b.askInsider(ctx, t, userID, userTeam)
	if !in {
		return false, err
	}
	b.mu.Lock()
	if len(b.insiders) > 10_000 {
		clear(b.insiders) // costs one more call for each person
	}
	b.insiders[key] = b.now()
	b.mu.Unlock()
	return true, nil
}

// askInsider asks Slack: first for the organisation's workspaces, which needs no permission, then for the person.
func (b *Bot) askInsider(ctx context.Context, t *Turn, userID, userTeam string) (bool, error) {
	c := t.Connection
	var failed error
	if c.Org() && workspace(userTeam) != "" {
		all, err := b.install.Workspaces(ctx, c)
		for _, w := range all {
			if w.ID == userTeam {
				return true, nil
			}
		}
		failed = err
	}
	// Not t.Slack, which names the workspace of the payload: it may be the other company's.
	u, err := b.install.Client(c).GetUserInfoContext(ctx, userID)
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
	return u.TeamID != "" && u.TeamID == c.TeamID || c.EnterpriseID != "" && u.Enterprise.EnterpriseID == c.EnterpriseID, nil
}
