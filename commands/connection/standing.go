package connection

// Who may act on the connection: asked of Slack each time, and refused in words that say whom to ask instead.

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// standing is what a person is to the workspace that the connection is for.
type standing int

const (
	unknown  standing = iota // Slack was not asked, or did not answer
	stranger                 // of another company or another workspace of the organisation, deactivated, or a bot
	guest                    // of the workspace, with one channel or more
	member
	keeper // a full member who installed it, or an admin: gets the buttons
)

// errUnasked says that there was nothing to ask Slack with.
var errUnasked = errors.New("no token to ask with")

// standingOf asks Slack what the person is here, now. All rights over the connection come from it, each time that they
// are used: who installed the app may have been made a guest since, and an admin a member. What Slack does not say
// counts as no. It blocks for one call to Slack, unless the payload itself tells that they are of another company.
func standingOf(ctx context.Context, t turn) (standing, error) {
	switch {
	case t.External():
		return stranger, nil
	case t.Client == nil || t.UserID == "":
		return unknown, errUnasked
	}
	u, err := t.Client.GetUserInfoContext(ctx, t.UserID)
	switch slackapi.SlackError(err) {
	case "":
	case "user_not_found", "user_not_visible", "users_not_found":
		return stranger, nil // nobody of this workspace, or of any that it shares a channel with
	}
	if err != nil {
		t.warn(ctx, "ask what the person is", err)
		return unknown, err
	}
	return standingIn(t.Connection, u, t.UserID == t.Connection.InstalledBy), nil
}

// standingIn is what somebody is to c by what Slack says of them. https://docs.slack.dev/reference/objects/user-object
func standingIn(c connection.Connection, u *slack.User, installer bool) standing {
	switch {
	case !belongs(c, u) || u.IsStranger || u.Deleted || u.IsBot:
		return stranger
	case u.IsRestricted || u.IsUltraRestricted:
		return guest
	case installer || decides(c, u):
		return keeper
	}
	return member
}

// belongs reports whether somebody is of c's workspace, or of its organisation where it is for the whole of it: of a
// workspace's connection the organisation's other workspaces decide nothing.
func belongs(c connection.Connection, u *slack.User) bool {
	if c.Org() {
		return ofOrganisation(c, u)
	}
	return u.TeamID == c.TeamID || slices.Contains(u.Enterprise.Teams, c.TeamID)
}

func ofOrganisation(c connection.Connection, u *slack.User) bool {
	return c.EnterpriseID != "" && u.Enterprise.EnterpriseID == c.EnterpriseID
}

// decides reports whether somebody is an admin of what c is for. The user's own flags speak of the workspace in TeamID,
// which is not always the one that the token is for.
func decides(c connection.Connection, u *slack.User) bool {
	of := u.Enterprise
	if ofOrganisation(c, u) && (of.IsAdmin || of.IsOwner || of.IsPrimaryOwner) {
		return true
	}
	elsewhere := strings.HasPrefix(u.TeamID, "T") && u.TeamID != c.TeamID
	return !c.Org() && !elsewhere && (u.IsAdmin || u.IsOwner || u.IsPrimaryOwner)
}

// toSay is how long before the acknowledgement of a command or a press its work has to end, so that what came of it is
// said by that.
const toSay = 300 * time.Millisecond

// inTime is ctx ending toSay before what is waited for: the acknowledgement, or behind it the end of ctx.
func inTime(ctx context.Context, t turn) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if time.Now().Before(t.AckBy) {
		deadline, ok = t.AckBy, true
	}
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline.Add(-toSay))
}

// personBudget is how long Slack may take to say what a person is: of a command's 2.5 s the rest is for what was asked.
const personBudget = 1200 * time.Millisecond

// standing is standingOf within personBudget, unless the answer is known.
func (a ask) standing(ctx context.Context, t turn) (standing, error) {
	if a.is != unknown {
		return a.is, nil
	}
	ctx, cancel := context.WithTimeout(ctx, personBudget)
	defer cancel()
	return standingOf(ctx, t)
}

// mayAct reports whether people may do what they want to. If not, r says so to them. act is what that is, in the keys
// of the sentences.
func (a ask) mayAct(ctx context.Context, t turn, act string) (r bot.Reply, may bool) {
	if t.Health().Reason == connection.ReasonRecordsSilent {
		return recordsSilent(t), false
	}
	is, err := a.standing(ctx, t)
	return refusal(t, is, err, act), is == keeper
}

// refusal says why somebody may not do it, and who can. It is the zero Reply for those who may. err is why we couldn't
// find out who they are.
func refusal(t turn, is standing, err error, act string) bot.Reply {
	key := "refused." + act
	switch {
	case is == keeper:
		return bot.Reply{}
	case errors.Is(err, errUnasked):
		text := sentences(t.say("refused.who_you_are"), whyUnasked(t))
		if t.Renewing() {
			return bot.Reply{Text: sentences(text, t.say("refused.try_soon"), t.ref())}
		}
		return bot.Reply{Text: sentences(text, more(t, "status", "ask.fix"))}
	case slackapi.SlackError(err) == connection.ReasonMissingScope:
		first := t.say(key + "_unasked")
		r := t.NotAllowed("users:read") // which permission is missing, and a button that asks for it
		r.Text = sentences(first, r.Text)
		r.Blocks = slices.Insert(r.Blocks, 0, mrkdwn.Section(first))
		return r
	case err != nil:
		return t.refused(t.say("refused.failed"), err)
	case is == stranger:
		return bot.Reply{Text: t.say(key + "_stranger")}
	case is == guest:
		return bot.Reply{Text: sentences(t.say(key+"_guest"), whoCan(t))}
	}

	if by := t.Connection.InstalledBy; by != "" && by != t.UserID {
		return bot.Reply{Text: t.sayFor(key+"_installer", "installer", mrkdwn.Person(by))}
	}
	return bot.Reply{Text: t.sayFor(key + "_admin")}
}

// whoCan says whom to ask instead.
func whoCan(t turn) string {
	if by := t.Connection.InstalledBy; by != "" && by != t.UserID {
		return t.sayFor("can.ask_installer", "installer", mrkdwn.Person(by))
	}
	return t.sayFor("can.ask_admin")
}
