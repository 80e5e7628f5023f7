package commands

// The messages to the one person who can do something about a connection: that it needs reconnecting, sent while it can still be
// sent and edited when all is well again; and that people ask for what isn't allowed. Who gets them, and how often, is decided in
// install.

import (
	"context"
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// Tell writes to a person that a connection needs them.
func (m messages) Tell(ctx context.Context, client *slack.Client, userID string, h install.Health) (channel, ts string, err error) {
	return post(ctx, client, userID, notice(m.app, userID, h))
}

// TellMissing writes to a person who can allow it that others ask for what is off.
func (m messages) TellMissing(ctx context.Context, client *slack.Client, userID string, w install.MissingScopes) (channel, ts string, err error) {
	return post(ctx, client, userID, missingNotice(m.app, userID, w))
}

func post(ctx context.Context, client *slack.Client, userID string, r bot.Reply) (channel, ts string, err error) {
	channel, ts, err = client.PostMessageContext(ctx, userID, slack.MsgOptionText(r.Text, false),
		slack.MsgOptionBlocks(r.Blocks...), slack.MsgOptionDisableLinkUnfurl())
	if err != nil {
		return "", "", fmt.Errorf("tell %s: %w", userID, err)
	}
	return channel, ts, nil
}

// Resolve edits one of those messages once the trouble is over.
func (m messages) Resolve(ctx context.Context, client *slack.Client, n connection.Notice, h install.Health) error {
	r := resolved(m.app, n, h)
	if _, _, _, err := client.UpdateMessageContext(ctx, n.Channel, n.TS, slack.MsgOptionText(r.Text, false), slack.MsgOptionBlocks(r.Blocks...)); err != nil {
		return fmt.Errorf("edit message to resolved: %w", err)
	}
	return nil
}

// notice says what happened, why, until when it still works, and what happens if nobody acts.
func notice(app install.App, userID string, h install.Health) bot.Reply {
	name, team := escape(app.Name), escape(place(h.Connection))
	happened := fmt.Sprintf("%s needs reconnecting in %s.", name, team)
	if h.ReasonText != "" {
		happened += " " + escape(h.ReasonText)
	}
	ahead := "Until somebody reconnects it, its commands and messages don't work there."
	if !h.WorksUntil.IsZero() {
		ahead = "It still works until " + when(h.WorksUntil) + ". If nobody reconnects it, its commands and messages stop then."
	}
	next := "Reconnecting takes about a minute."
	if h.GrantURL == "" {
		next = escape(h.NextStep)
	}
	text := happened + " " + ahead + " " + next
	blocks := []slack.Block{
		slack.NewHeaderBlock(plain(app.Name + " needs reconnecting")),
		section(happened + "\n" + ahead + "\n" + next),
	}
	if h.GrantURL != "" {
		button := slack.NewButtonBlockElement(actionGrant, "", plain("Reconnect"))
		button.URL, button.Style = h.GrantURL, slack.StylePrimary
		button.AccessibilityLabel = clip("Reconnect "+app.Name+" to "+place(h.Connection), 75)
		blocks = append(blocks, slack.NewActionBlock("", button))
		text += " " + link(h.GrantURL, "Reconnect it") + "."
	}
	why := "You're getting this because you installed the app."
	switch h.Connection.InstalledBy {
	case userID:
	case "":
		why = "You're getting this because you're an admin."
	default:
		why = "You're getting this because you're an admin, " +
			"and the person who installed it is no longer a full member or can't be reached."
	}
	blocks = append(blocks, section(why+" Nobody else was notified."), slack.NewContextBlock("", markdown(strings.Join(imprint(app), " · "))))
	return bot.Reply{Text: text + " " + why, Blocks: blocks}
}

// resolved takes the place of notice, without anything to press.
func resolved(app install.App, n connection.Notice, h install.Health) bot.Reply {
	if n.Reason == connection.ReasonMissingScope {
		text := fmt.Sprintf("%s is allowed everything in %s that people asked for. Nothing to do.", escape(app.Name), escape(place(h.Connection)))
		return bot.Reply{Text: "Resolved: " + text, Blocks: []slack.Block{
			slack.NewHeaderBlock(plain("Resolved: everything is allowed")), section(text), section("You were told that a permission was missing."),
			slack.NewContextBlock("", markdown(strings.Join(imprint(app), " · "))),
		}}
	}
	back := app.Name + " works again"
	next := "Nothing to do."
	switch {
	case h.Lacking:
		back, next = app.Name+" has its access again", h.Sentence+" "+h.NextStep
	case h.State == connection.Limited:
		next = h.Sentence
	}
	text := fmt.Sprintf("Resolved: %s in %s.", escape(back), escape(place(h.Connection))) + spaced(escape(clip(next, maxSentence)))
	was := "You were told that it needed reconnecting, " + when(n.At) + "."
	if why := connection.ReasonText(n.Reason); why != "" {
		was += " " + escape(why)
	}
	return bot.Reply{Text: text, Blocks: []slack.Block{
		slack.NewHeaderBlock(plain("Resolved: " + back)), section(text), section(was),
		slack.NewContextBlock("", markdown(strings.Join(imprint(app), " · "))),
	}}
}

// missingNotice says what somebody asked for, why the app can't do it, and how it is allowed.
func missingNotice(app install.App, userID string, w install.MissingScopes) bot.Reply {
	asked := fmt.Sprintf("Somebody in %s wanted something from %s that it can't do there.", place(w.Connection), app.Name)
	why := w.Connection.Without(app.Name, w.Scopes)
	if len(w.Connection.Missing(Catalogue())) == len(w.Scopes) {
		why += " Everything else works."
	}
	next := "If you allow it, Slack asks you for exactly that; nothing else changes. If you don't, nothing changes at all."
	button := slack.NewButtonBlockElement(actionGrant, "", plain("Allow it"))
	button.URL, button.Style = w.GrantURL, slack.StylePrimary
	button.AccessibilityLabel = clip("Allow "+app.Name+" to "+connection.Permitted(w.Scopes), 75)
	text := escape(asked+" "+why) + " " + next + " " + link(w.GrantURL, "Allow it") + "."
	foot := "You're getting this because you installed the app"
	if w.Connection.InstalledBy != userID {
		foot = "You're getting this because you're an admin"
	}
	foot += ", at most once a day. Nobody else was notified."
	return bot.Reply{Text: text, Blocks: []slack.Block{
		section(escape(asked) + "\n" + escape(why) + "\n" + next), slack.NewActionBlock("", button),
		slack.NewContextBlock("", markdown(foot+" "+strings.Join(imprint(app), " · "))),
	}}
}
