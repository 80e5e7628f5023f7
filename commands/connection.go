package commands

// /connection answers the four questions of a workspace admin: is it working, what may it do, who put it here, how do I
// remove it? The same words work in a direct message and after a mention.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	actionCheck       = "connection.check"
	actionTest        = "connection.test"
	actionPermissions = "connection.permissions"
	actionDisconnect  = "connection.disconnect"
	actionMore        = "connection.more"  // the menu behind the buttons; each choice is a word
	actionGrant       = "connection.grant" // a link; Slack tells us of the press all the same
	actionOpen        = "connection.open"
	actionOffered     = "connection.say." // and a word, for everybody who could type it
)

// command is what people type.
const command = "/connection"

// The permissions for reading who is who and where the app is are optional: what needs them says so.
var connectionCommand = bot.OnCommand(command, func(ctx context.Context, t *bot.Turn, c *slack.SlashCommand) (bot.Reply, error) {
	return answer(ctx, t, c.Text, private), nil
}).
	Always().Uses("users:read", "team:read", readsPublic, readsPrivate).
	Describe("Shows whether this app works here, and what to do if not", usage())

// status answers from our records at once, and lets the live answer follow.
func status(_ context.Context, t *bot.Turn, a ask) bot.Reply {
	who := viewerOf(t, a)
	who.verbose = slices.ContainsFunc(a.rest, func(w string) bool { return strings.EqualFold(w, "verbose") })
	return statusFor(t, who)
}

// check is status for those who ask again and again.
func check(_ context.Context, t *bot.Turn, a ask) bot.Reply {
	who := viewerOf(t, a)
	who.again = true
	return statusFor(t, who)
}

// viewerOf is what is known of the person who asks without asking Slack: that somebody installed the app says nothing
// of what they are by now.
func viewerOf(t *bot.Turn, a ask) viewer {
	who := viewer{audience: a.to, standing: a.is}
	if t.Outsider() {
		who.standing = stranger
	}
	return who
}

func statusFor(t *bot.Turn, who viewer) bot.Reply {
	if t.Slack == nil && !t.Renewing() {
		// No token to ask with: what we know is all there is.
		return statusReply(t, t.Health(), who, false)
	}
	quick := statusReply(t, t.Health(), who, true)
	quick.Then = func(ctx context.Context) (bot.Reply, error) { return live(ctx, t, who), nil }
	return quick
}

// live asks Slack, about the connection and about the person, and says what came of it.
func live(ctx context.Context, t *bot.Turn, who viewer) bot.Reply {
	h, asked := look(ctx, t, who.again)
	if who.standing == unknown && who.audience != public {
		who.standing, _ = standingOf(ctx, t) // not knowing shows less, and nothing else
	}
	learn(ctx, t, h, &who)
	r := statusReply(t, h, who, false)
	if !asked {
		seconds := int(install.RecheckEvery.Seconds())
		note := fmt.Sprintf("Slack was asked less than %[1]d seconds ago, so this is the last answer. Ask again in %[1]d seconds.", seconds)
		if !h.CheckedAt.IsZero() && who.standing >= member {
			note = fmt.Sprintf("Slack was asked less than %[1]d seconds ago, so this is the last answer; Slack last confirmed the connection %[2]s. Ask again in %[1]d seconds.", seconds, when(h.CheckedAt))
		}
		r.Text += " " + note
		r.Blocks = append(r.Blocks, section(note))
	}
	return r
}

// look asks Slack how the connection is. With again it does so only now and then; in between the answer is from our records, and
// asked is false.
func look(ctx context.Context, t *bot.Turn, again bool) (h install.Health, asked bool) {
	if again && !t.Install.MayRecheck(ctx) {
		return t.Health(), false
	}
	return t.Check(ctx), true
}

// learn finds out what a status tells besides the connection's own facts. What can't be found out is left out.
func learn(ctx context.Context, t *bot.Turn, h install.Health, who *viewer) {
	if !h.Found || who.audience == public || who.standing < member {
		return
	}
	changes, err := t.Install.History(ctx, historyLooked)
	if err != nil {
		t.Log.WarnContext(ctx, "read history", "cause", err)
	}
	for _, c := range changes {
		if c.What == connection.DidPermissions {
			who.permissions = c
			break
		}
	}
	if by := h.Connection.InstalledBy; by != "" && by != t.UserID && t.Slack != nil {
		u, err := t.Slack.GetUserInfoContext(ctx, by)
		who.installerLeft = err == nil && u.Deleted
	}
}

// historyLooked is how many lines are looked through for a change of the permissions.
const historyLooked = 50

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
func standingOf(ctx context.Context, t *bot.Turn) (standing, error) {
	switch {
	case t.Outsider():
		return stranger, nil
	case t.Slack == nil || t.UserID == "":
		return unknown, errUnasked
	}
	u, err := t.Slack.GetUserInfoContext(ctx, t.UserID)
	switch slackapi.SlackError(err) {
	case "":
	case "user_not_found", "user_not_visible", "users_not_found":
		return stranger, nil // nobody of this workspace, or of any that it shares a channel with
	}
	if err != nil {
		t.Log.WarnContext(ctx, "ask what the person is", "slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
		return unknown, err
	}
	return standingIn(t.Connection, u, t.UserID == t.Connection.InstalledBy), nil
}

// standingIn is what somebody is to c by what Slack says of them. https://docs.slack.dev/reference/objects/user-object
func standingIn(c connection.Connection, u *slack.User, installer bool) standing {
	ofOrg := c.EnterpriseID != "" && u.Enterprise.EnterpriseID == c.EnterpriseID
	belongs := ofOrg
	if !c.Org() { // the organisation alone is not enough: its other workspaces decide nothing here
		belongs = u.TeamID == c.TeamID || slices.Contains(u.Enterprise.Teams, c.TeamID)
	}

	// These speak of the workspace in team_id, which is not always the one that the token is for.
	admin := u.IsAdmin || u.IsOwner || u.IsPrimaryOwner
	if c.Org() || strings.HasPrefix(u.TeamID, "T") && u.TeamID != c.TeamID {
		admin = false
	}
	admin = admin || ofOrg && (u.Enterprise.IsAdmin || u.Enterprise.IsOwner || u.Enterprise.IsPrimaryOwner)

	switch {
	case !belongs || u.IsStranger || u.Deleted || u.IsBot:
		return stranger
	case u.IsRestricted || u.IsUltraRestricted:
		return guest
	case admin || installer:
		return keeper
	}
	return member
}

// toSay is how long before the acknowledgement of a command or a press its work has to end, so that what came of it is
// said by that.
const toSay = 300 * time.Millisecond

// inTime is ctx ending toSay before what is waited for: the acknowledgement, or behind it the end of ctx.
func inTime(ctx context.Context, t *bot.Turn) (context.Context, context.CancelFunc) {
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
func (a ask) standing(ctx context.Context, t *bot.Turn) (standing, error) {
	if a.is != unknown {
		return a.is, nil
	}
	ctx, cancel := context.WithTimeout(ctx, personBudget)
	defer cancel()
	return standingOf(ctx, t)
}

// mayAct reports whether people may do what they want to; if not, r says so to them. doing completes "Only admins can".
func (a ask) mayAct(ctx context.Context, t *bot.Turn, doing string) (r bot.Reply, may bool) {
	if t.Health().Reason == connection.ReasonRecordsSilent {
		return bot.Reply{Text: recordsSilent(t)}, false
	}
	is, err := a.standing(ctx, t)
	return refusal(t, is, err, doing), is == keeper
}

// refusal says why somebody may not do it; the zero Reply for those who may. err is why what they are could not be found out.
func refusal(t *bot.Turn, is standing, err error, doing string) bot.Reply {
	switch {
	case is == keeper:
		return bot.Reply{}
	case errors.Is(err, errUnasked):
		text := "Slack can't be asked who you are, because this app " + whyUnasked(t) + "."
		if t.Renewing() {
			return bot.Reply{Text: text + " Try again in a minute. Reference: " + t.Ref + "."}
		}
		return bot.Reply{Text: text + more(t, "status", "to see what to do")}
	case slackapi.SlackError(err) == connection.ReasonMissingScope:
		first := fmt.Sprintf("Slack couldn't be asked whether you may %s, so nothing was done.", doing)
		r := t.NotAllowed("users:read") // which permission is missing, and a button that asks for it
		r.Text = first + " " + r.Text
		r.Blocks = slices.Insert(r.Blocks, 0, section(first))
		return r
	case err != nil:
		return bot.Reply{Text: "We couldn't ask Slack whether you may do that. " +
			slackSaid(t, err) + " Reference: " + t.Ref + "."}
	case is == stranger:
		return bot.Reply{Text: "Only people in the workspace that installed this app can " + doing + "."}
	case is == guest:
		return bot.Reply{Text: "Guests can't " + doing + ". " + whoCan(t)}
	}
	able := "workspace admins"
	if t.Connection.Org() {
		able = "admins of the organisation"
	}
	if by := t.Connection.InstalledBy; by != "" && by != t.UserID {
		able = person(by) + ", who installed it, and " + able
	}
	return bot.Reply{Text: "Only " + able + " can " + doing + "."}
}

// whoCan says whom to ask instead.
func whoCan(t *bot.Turn) string {
	c := t.Connection
	if c.InstalledBy == "" || c.InstalledBy == t.UserID {
		return "Ask " + c.Admin() + "."
	}
	return "Ask " + person(c.InstalledBy) + ", who installed it, or " + c.Admin() + "."
}

func recordsSilent(t *bot.Turn) string {
	return "We can't reach our own records right now. Try again in a few minutes. Reference: " + t.Ref + "."
}
