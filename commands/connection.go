package commands

// /connection answers the four questions of a workspace admin: is it working, what may it do, who put it here, how do I
// remove it? The same words work in a direct message and after a mention.

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/slack-go/slack"

	"switchboard/bot"
	"switchboard/install"
)

const (
	actionCheck = "connection.check"
	actionTest  = "connection.test"
	actionGrant = "connection.grant" // a link; Slack tells us of the press all the same
	actionOpen  = "connection.open"
)

var connection = bot.OnCommand("/connection", func(ctx context.Context, t *bot.Turn, c *slack.SlashCommand) (bot.Reply, error) {
	return answer(ctx, t, c.Text, private), nil
}).
	Always().Uses("users:read", "team:read", "channels:read", "groups:read").
	Describe("Shows whether this app works here, and what to do if not", "[status | history | disconnect | help]")

// audience is who reads an answer.
type audience int

const (
	private audience = iota // only the person who asked
	direct                  // the direct message with the app
	public                  // everybody in a channel: no buttons, no facts for admins
)

// answer finds the words' answer. It never fails: what cannot be found out is said.
func answer(ctx context.Context, t *bot.Turn, words string, to audience) bot.Reply {
	said := strings.FieldsFunc(words, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("?!.,;:", r) })
	known := func(list ...string) bool {
		return slices.ContainsFunc(said, func(w string) bool { return slices.Contains(list, strings.ToLower(w)) })
	}
	switch {
	case len(said) == 0 && to == private, known("status", "working", "works"):
		return status(ctx, t, to)
	case known("history"):
		return history(ctx, t, to)
	case known("disconnect", "uninstall", "remove"):
		sure := len(said) == 2 && strings.EqualFold(said[0], "disconnect") && strings.EqualFold(said[1], confirmation)
		return disconnect(ctx, t, to, sure)
	case len(said) == 0, known("help", "hi", "hello", "hey", "thanks", "thank"):
		return help(t, "")
	case len(said) == 1 && plainWord.MatchString(said[0]):
		return help(t, "I don't know “"+said[0]+"”. ")
	}
	return help(t, "I know only a few words. ")
}

// plainWord is what can be repeated to a person as it was typed: no mention, no markup.
var plainWord = regexp.MustCompile(`^[\p{L}\p{N}_-]{1,40}$`)

// status answers from our records at once, and lets the live answer follow.
func status(ctx context.Context, t *bot.Turn, to audience) bot.Reply {
	who := viewer{audience: to, standing: unknown}
	if outsider(t) {
		who.standing = stranger
	} else if isInstaller(t) {
		who.standing = keeper
	}
	return statusFor(ctx, t, who)
}

func statusFor(_ context.Context, t *bot.Turn, who viewer) bot.Reply {
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
	health := t.Check(ctx)
	if who.standing == unknown && who.audience != public {
		who.standing, _ = standingOf(ctx, t) // not knowing shows less, and nothing else
	}
	return statusReply(t, health, who, false)
}

// pressedCheck is *Check again* on a status, in a message or in the App Home.
var pressedCheck = bot.OnAction(actionCheck, func(ctx context.Context, t *bot.Turn, a *slack.InteractionCallback) (bot.Reply, error) {
	if err := mustKeep(ctx, t, "do that"); err != nil {
		return bot.Reply{}, err
	}
	if a.View.Type == slack.VTHomeTab {
		if t.Slack == nil {
			return bot.Reply{}, nil // without a token the tab can't be changed; it names the time it is from
		}
		return bot.Reply{Then: func(ctx context.Context) (bot.Reply, error) {
			return bot.Reply{}, publishHome(ctx, t, t.Check(ctx), "")
		}}, nil
	}
	who := viewer{audience: private, standing: keeper}
	if !a.Container.IsEphemeral {
		who.audience = direct
	}
	reply := statusFor(ctx, t, who)
	reply.Replace = true
	return reply, nil
}).Always().Uses("users:read")

// pressedTest is *Send a test message*: the shortest proof that the connection can write.
var pressedTest = bot.OnAction(actionTest, func(ctx context.Context, t *bot.Turn, a *slack.InteractionCallback) (bot.Reply, error) {
	if err := mustKeep(ctx, t, "do that"); err != nil {
		return bot.Reply{}, err
	}
	text := "This is the test message you asked for. " + t.Install.App().Name + " can write to you in this workspace."
	if _, _, err := t.Slack.PostMessageContext(ctx, t.UserID, slack.MsgOptionText(text, false)); err != nil {
		t.Log.WarnContext(ctx, "test message", "slack_error", install.SlackError(err), "cause", install.Cause(err))
		if install.SlackError(err) == "" {
			// No answer is not a no: it may have been sent.
			return bot.Reply{}, &bot.UserError{Text: "Slack didn't answer in time, so we don't know whether the test message was sent. Look in your direct messages. Reference: " + t.Ref + "."}
		}
		return bot.Reply{}, &bot.UserError{Text: "The test message could not be sent. Type /connection status to see why. Reference: " + t.Ref + "."}
	}
	done := "The test message is in your direct messages with " + t.Install.App().Name + "."
	if a.View.Type == slack.VTHomeTab {
		return bot.Reply{Then: func(ctx context.Context) (bot.Reply, error) {
			return bot.Reply{}, publishHome(ctx, t, t.Check(ctx), done+" You find them under Messages.")
		}}, nil
	}
	return bot.Reply{Text: done}, nil
}, "chat:write").Uses("users:read")

// standing is what a person is to the workspace that the connection is for.
type standing int

const (
	unknown  standing = iota // Slack was not asked, or did not answer
	stranger                 // of another company, or a guest
	member
	keeper // the installer, or an admin: gets the buttons
)

// outsider reports whether the person who acts is known to belong to another workspace: in a shared channel they can press
// our buttons, and being an admin over there counts for nothing here.
func outsider(t *bot.Turn) bool {
	c := t.Connection
	switch t.UserTeam {
	case "", c.TeamID, c.EnterpriseID: // on Grid Slack names the organisation
		return false
	}
	return c.ID != "" && !c.Org() // workspaces of an organisation can't be told from others by their id: users.info can
}

func isInstaller(t *bot.Turn) bool {
	c := t.Connection
	surely := !c.Org() || t.UserTeam == c.EnterpriseID
	return t.UserID != "" && t.UserID == c.InstalledBy && surely && !outsider(t)
}

// errUnasked says that there was nothing to ask Slack with.
var errUnasked = errors.New("no token to ask with")

// standingOf finds out what the person is here. What Slack does not say counts as no. It blocks for one call to Slack,
// unless the answer is known.
func standingOf(ctx context.Context, t *bot.Turn) (standing, error) {
	switch {
	case outsider(t):
		return stranger, nil
	case isInstaller(t):
		return keeper, nil
	case t.Slack == nil || t.UserID == "":
		return unknown, errUnasked
	}
	u, err := t.Slack.GetUserInfoContext(ctx, t.UserID)
	if err != nil {
		t.Log.WarnContext(ctx, "ask what the person is", "slack_error", install.SlackError(err), "cause", install.Cause(err))
		return unknown, err
	}
	c := t.Connection
	ours := u.TeamID == c.TeamID && !c.Org()
	admin := u.IsAdmin || u.IsOwner || u.IsPrimaryOwner
	if !ours && c.EnterpriseID != "" {
		// On Grid a person belongs to the organisation; the flags then speak of the workspace asked about.
		ours = u.Enterprise.EnterpriseID == c.EnterpriseID
		// An admin of one workspace doesn't decide for the others of an organisation.
		admin = admin && !c.Org() || u.Enterprise.IsAdmin || u.Enterprise.IsOwner || u.Enterprise.IsPrimaryOwner
	}
	switch {
	case !ours || u.IsStranger || u.Deleted || u.IsRestricted || u.IsUltraRestricted:
		return stranger, nil
	case admin:
		return keeper, nil
	}
	return member, nil
}

// mustKeep refuses people who want to do what is not theirs to do, in words for them. doing completes "Only admins can".
func mustKeep(ctx context.Context, t *bot.Turn, doing string) error {
	if t.Health().Reason == install.ReasonRecordsSilent {
		return &bot.UserError{Text: recordsSilent(t)}
	}
	is, err := standingOf(ctx, t)
	switch {
	case is == keeper:
		return nil
	case errors.Is(err, errUnasked) && t.Renewing():
		return &bot.UserError{Text: "We couldn't ask Slack who you are, because this app's access couldn't be renewed just now. Nothing was changed. Try again in a minute. Reference: " + t.Ref + "."}
	case errors.Is(err, errUnasked):
		return &bot.UserError{Text: "This app can't ask Slack who you are while it isn't connected. Nothing was changed. Type /connection status to see what to do."}
	case install.SlackError(err) == install.ReasonMissingScope:
		return err // the person is told which permission is missing, and how it is allowed
	case err != nil:
		return &bot.UserError{Text: "We couldn't ask Slack whether you may do that. Nothing was changed. Try again in a minute. Reference: " + t.Ref + "."}
	case is == stranger:
		return &bot.UserError{Text: "Only people of the workspace that installed this app can " + doing + ". Nothing was changed."}
	case t.Connection.Org():
		return &bot.UserError{Text: "Only the person who installed this app and admins of the organisation can " + doing + ". Nothing was changed."}
	}
	return &bot.UserError{Text: "Only the person who installed this app and workspace admins can " + doing + ". Nothing was changed."}
}

func recordsSilent(t *bot.Turn) string {
	return "We can't reach our own records right now. Nothing was changed. Try again in a few minutes. Reference: " + t.Ref + "."
}
