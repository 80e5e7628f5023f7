package commands

// /connection answers the four questions of a workspace admin: is it working, what may it do, who put it here, how do I
// remove it? The same words work in a direct message and after a mention.

import (
	"context"
	"strings"

	"github.com/slack-go/slack"

	"switchboard/bot"
	"switchboard/install"
)

const (
	actionCheck = "connection.check"
	actionTest  = "connection.test"
	actionGrant = "connection.grant" // a link; Slack tells us of the press all the same
	actionHome  = "connection.home"
)

var connection = bot.OnCommand("/connection", func(ctx context.Context, t *bot.Turn, c *slack.SlashCommand) (bot.Reply, error) {
	return answer(ctx, t, c.Text, private), nil
}, "chat:write", "users:read", "team:read").
	Always().
	Describe("Shows whether this app works here, and what to do if not", "[status | help]")

// audience is who reads an answer.
type audience int

const (
	private audience = iota // only the person who asked
	direct                  // the direct message with the app
	public                  // everybody in a channel: no buttons, no facts for admins
)

// answer finds the words' answer. It never fails: what cannot be found out is said.
func answer(ctx context.Context, t *bot.Turn, words string, to audience) bot.Reply {
	word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(words)), " ")
	switch strings.Trim(word, "?!.,") {
	case "", "status":
		if word == "" && to != private {
			return help(t, "", to)
		}
		return status(ctx, t, to)
	case "help", "hi", "hello", "hey":
		return help(t, "", to)
	}
	return help(t, word, to)
}

// status answers from our records at once, and lets the live answer follow.
func status(_ context.Context, t *bot.Turn, to audience) bot.Reply {
	known := t.Health()
	who := viewer{audience: to, userID: t.UserID, outsider: outsider(t), mayAct: isInstaller(t)}
	if t.Slack == nil {
		// No token to ask with: what we know is all there is.
		return statusReply(t, known, who, false)
	}
	quick := statusReply(t, known, who, true)
	quick.Then = func(ctx context.Context) (bot.Reply, error) { return live(ctx, t, who), nil }
	return quick
}

// live asks Slack and says what came of it.
func live(ctx context.Context, t *bot.Turn, who viewer) bot.Reply {
	health := t.Install.Check(ctx, t.Key)
	if !who.mayAct && who.audience != public && !health.Broken() {
		who.mayAct = mayAct(ctx, t)
	}
	return statusReply(t, health, who, false)
}

// pressedCheck is *Check again* on a status, in a message or in the App Home.
var pressedCheck = bot.OnAction(actionCheck, func(ctx context.Context, t *bot.Turn, a *slack.InteractionCallback) (bot.Reply, error) {
	if !mayAct(ctx, t) {
		return bot.Reply{}, refusal(t)
	}
	if a.View.Type == slack.VTHomeTab {
		return bot.Reply{Then: func(ctx context.Context) (bot.Reply, error) {
			return bot.Reply{}, publishHome(ctx, t, t.Install.Check(ctx, t.Key))
		}}, nil
	}
	who := viewer{audience: private, userID: t.UserID, mayAct: true}
	if !a.Container.IsEphemeral {
		who.audience = direct
	}
	quick := status(ctx, t, who.audience)
	quick.Replace = true
	quick.Then = func(ctx context.Context) (bot.Reply, error) { return live(ctx, t, who), nil }
	return quick, nil
}, "users:read").Always()

// pressedTest is *Send a test message*: the shortest proof that the connection can write.
var pressedTest = bot.OnAction(actionTest, func(ctx context.Context, t *bot.Turn, _ *slack.InteractionCallback) (bot.Reply, error) {
	if !mayAct(ctx, t) {
		return bot.Reply{}, refusal(t)
	}
	text := "This is the test message you asked for. " + t.Install.App().Name + " can write to you in this workspace."
	if _, _, err := t.Slack.PostMessageContext(ctx, t.UserID, slack.MsgOptionText(text, false)); err != nil {
		t.Log.WarnContext(ctx, "test message", "slack_error", install.SlackError(err), "cause", install.Cause(err))
		return bot.Reply{}, &bot.UserError{Text: "The test message could not be sent. Type /connection status to see why. Reference: " + t.Ref + "."}
	}
	return bot.Reply{Text: "The test message is in your direct messages with " + t.Install.App().Name + "."}, nil
}, "chat:write", "users:read")

// refusal is for people who press what is not theirs to press.
func refusal(t *bot.Turn) error {
	if outsider(t) {
		return &bot.UserError{Text: "Only people of the workspace that installed this app can do that. Nothing was changed."}
	}
	return &bot.UserError{Text: "Only the person who installed this app and workspace admins can do that. Nothing was changed."}
}

// outsider reports whether the person who acts belongs to another workspace: in a shared channel they can press our
// buttons, and being an admin over there counts for nothing here.
func outsider(t *bot.Turn) bool {
	c := t.Connection
	return t.UserTeam != "" && c.ID != "" && t.UserTeam != c.TeamID && (!c.Org() || t.UserTeam[0] == 'E' && t.UserTeam != c.EnterpriseID)
}

func isInstaller(t *bot.Turn) bool {
	return t.UserID != "" && t.UserID == t.Connection.InstalledBy && !outsider(t)
}

// mayAct reports whether the person is the installer or an admin of this very workspace. What Slack does not say counts
// as no. It blocks for one call to Slack, unless the person is the installer.
func mayAct(ctx context.Context, t *bot.Turn) bool {
	if outsider(t) {
		return false
	}
	if isInstaller(t) {
		return true
	}
	if t.Slack == nil || t.UserID == "" {
		return false
	}
	u, err := t.Slack.GetUserInfoContext(ctx, t.UserID)
	if err != nil {
		t.Log.WarnContext(ctx, "ask whether the person is an admin", "slack_error", install.SlackError(err), "cause", install.Cause(err))
		return false
	}
	c := t.Connection
	same := u.TeamID == c.TeamID
	admin := u.IsAdmin || u.IsOwner || u.IsPrimaryOwner
	if c.Org() || !same && c.EnterpriseID != "" {
		// On Grid a person belongs to the organisation; the flags then speak of the workspace asked about.
		same = u.Enterprise.EnterpriseID == c.EnterpriseID && c.EnterpriseID != ""
		admin = admin || u.Enterprise.IsAdmin || u.Enterprise.IsOwner
	}
	return same && admin && !u.IsStranger && !u.Deleted && !u.IsRestricted && !u.IsUltraRestricted
}
