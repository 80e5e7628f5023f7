package commands

// Leaving is asked for twice, done at Slack first, and answered in the response to the command: once the app is gone there
// is no other way left to say anything.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slack-go/slack"

	"switchboard/bot"
	"switchboard/install"
)

// confirmation is the word that makes it happen: /connection disconnect yes.
const confirmation = "yes"

// toSay is how long before a command's deadline the work has to end, so that what came of it is still said in the answer.
const toSay = 300 * time.Millisecond

// disconnect says what would happen, or with sure does it.
func disconnect(ctx context.Context, t *bot.Turn, to audience, sure bool) bot.Reply {
	app := escape(t.Install.App().Name)
	if to != private {
		return bot.Reply{Text: "To disconnect " + app + ", type /connection disconnect. It first says what will happen, to you alone."}
	}
	if err := mustKeep(ctx, t, "disconnect it"); err != nil {
		return bot.Reply{Text: err.Error()}
	}
	h := t.Health()
	o := outcome{app: app, from: escape(place(t.Connection)), back: h.GrantURL, ref: t.Ref}
	switch {
	case h.State == install.Removed || h.State == install.NotConnected:
		return o.words("", install.ErrNotConnected)
	case h.GrantURL == "":
		return o.words("", install.ErrByHand)
	case !sure:
		return farewell(t)
	}
	asking, cancel := ctx, context.CancelFunc(func() {})
	if deadline, ok := ctx.Deadline(); ok {
		asking, cancel = context.WithDeadline(ctx, deadline.Add(-toSay))
	}
	defer cancel()
	said, err := t.Install.Disconnect(asking, t.Connection.Key, install.Person(t.UserID))
	if err != nil {
		t.Log.WarnContext(ctx, "disconnect", "slack_said", said, "slack_error", install.SlackError(err), "cause", install.Cause(err))
	}
	if ctx.Err() != nil && install.SlackError(err) == "" {
		// Too late for the response, and where the app may be gone no other address may be used.
		return bot.Reply{}
	}
	return o.words(said, err)
}

// farewell lists the consequences, and says how to confirm.
func farewell(t *bot.Turn) bot.Reply {
	app, from := escape(t.Install.App().Name), escape(place(t.Connection))
	here := "this workspace"
	if t.Connection.Org() {
		here = "all workspaces of the organisation"
	}
	typed := "/connection disconnect " + confirmation
	intro := fmt.Sprintf("This removes %s from %s, for everybody.", app, from)
	list := "• The app leaves " + here + ": its commands, its messages and its Home tab end.\n" +
		"• Its access is erased at once. Facts, such as who installed it, and its history are kept for some days and then deleted.\n" +
		"• Anybody who may add apps can bring it back, and finds the same connection.\n" +
		"• Other apps, and messages that were sent before, are not touched."
	confirm := "To go ahead, type `" + typed + "`. Nothing has been changed so far."
	return bot.Reply{
		Text: intro + " Its access is erased at once; facts and history are kept for some days. Anybody who may add apps can bring it back." +
			" Other apps are not touched. To go ahead, type " + typed + ". Nothing has been changed so far.",
		Blocks: []slack.Block{
			slack.NewHeaderBlock(plain("Disconnect " + t.Install.App().Name + "?")), section(intro), section(list), section(confirm),
			slack.NewContextBlock("", markdown("Only you can see this.")),
		},
	}
}

// outcome is what there is to say about a disconnect, all of it escaped.
type outcome struct {
	app, from string
	back      string // the page that brings the app back
	ref       string
}

func (o outcome) words(said string, err error) bot.Reply {
	text := ""
	switch slackSaid := install.SlackError(err); {
	case err == nil:
		text = fmt.Sprintf("%s is disconnected from %s. %s", o.app, o.from, disconnectSaid(said))
		if said == "" {
			text += " If it is still on the list of apps there, remove it on its page in Slack: *Configuration*, *Remove App*."
		}
		text += " To bring it back, open " + link(o.back, "the install page") + "."
		return bot.Reply{Text: text}
	case errors.Is(err, install.ErrByHand):
		return bot.Reply{Text: fmt.Sprintf("%s was connected to %s by hand, so it is removed on its page in Slack: *Configuration*, *Remove App*. Nothing was changed.", o.app, o.from)}
	case errors.Is(err, install.ErrNotConnected):
		return bot.Reply{Text: fmt.Sprintf("%s isn't connected to %s, so there is nothing to disconnect. Nothing was changed.", o.app, o.from)}
	case errors.Is(err, install.ErrRenewing):
		text = fmt.Sprintf("%s couldn't renew its access, and without it Slack can't be asked to remove the app. Nothing was changed: it is still connected to %s. Try again in a minute.", o.app, o.from)
	case slackSaid == "ratelimited":
		text = fmt.Sprintf("Slack asked us to slow down, so %s wasn't removed. Nothing was changed: it is still connected to %s. Try again in a few minutes.", o.app, o.from)
	case slackSaid != "":
		text = fmt.Sprintf("Slack didn't remove %s; it said %s. Nothing was changed: it is still connected to %s. Try again, or remove it on its page in Slack: *Configuration*, *Remove App*.", o.app, code(slackSaid), o.from)
	case said != "":
		text = fmt.Sprintf("%s is gone from %s. Its access couldn't be erased from our records just now; that is done as soon as they answer.", o.app, o.from)
	default:
		text = fmt.Sprintf("Slack gave no clear answer in time, so we don't know whether %s was removed from %s. Type /connection status in a minute: if Slack no longer knows that command, it was. If it wasn't, nothing was changed.", o.app, o.from)
	}
	return bot.Reply{Text: text + " Reference: " + o.ref + "."}
}
