package connection

// What the app may do here and why, what it may not, and what it can't do because of that.

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/messages"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

const (
	// Missing permissions that get a place, and a button, of their own; the others are listed.
	missingShown = 10
	// All blocks of a message together; Slack refuses more than some 13,000 characters.
	maxBlocksText = 10_000
)

// permissions lists what was asked for and whether it was granted. Everybody in the workspace may read it; the buttons
// are for the installer and admins.
func permissions(ctx context.Context, t turn, a ask) bot.Reply {
	h := t.Health()
	if !h.Found {
		who := viewerOf(t, a)
		who.answered = true
		return statusReply(t, h, who, asOf(h))
	}
	is, _ := a.standing(ctx, t)
	if is == stranger || is == guest {
		return statusReply(t, h, viewer{audience: a.to, standing: is, answered: true}, asOf(h))
	}
	return permissionsReply(t, h, is, lastPermissions(ctx, t))
}

// permissionsReply says it to a person of the workspace. last is the newest change of the permissions, zero: none
// known.
func permissionsReply(t turn, h install.Health, is standing, last connection.Change) bot.Reply {
	app, team := t.app(), mrkdwn.Name(h.Connection.Place(t.Install.App().Words))
	text := fmt.Sprintf("%s has all %d permissions it asks for in %s. Nothing to do.", app, h.Needed, team)
	if n := len(h.Missing); n > 0 {
		text = fmt.Sprintf("%s has %d of the %d permissions it asks for in %s.", app, h.Needed-n, h.Needed, team)
		if h.State == connection.Limited {
			text += " Everything else works."
		}
	}
	blocks := []slack.Block{mrkdwn.Header("Permissions"), mrkdwn.Section(text)}

	if len(h.Missing) > 0 {
		said, shown := notAllowedYet(t, h, is)
		text, blocks = text+said, append(blocks, shown...)
	}
	if lines := grantedLines(t, h); len(lines) > 0 {
		blocks = append(blocks, mrkdwn.Section("*Allowed*"))
		blocks = append(blocks, paragraphs(lines)...)
	}
	if !last.At.IsZero() {
		changed := fmt.Sprintf("Last changed %s%s. %s", mrkdwn.Time(last.At), by(last.By), permissionChanges(t, last))
		blocks = append(blocks, mrkdwn.Section(mrkdwn.Cut(changed, maxLine)))
	}
	text += " Admins change permissions at Slack; what is allowed here is what Slack said."
	return bot.Reply{Text: text, Blocks: blocks}
}

// notAllowedYet lists what is missing, with a button for each permission or the way to get one. said goes behind other
// sentences.
func notAllowedYet(t turn, h install.Health, is standing) (said string, blocks []slack.Block) {
	mayGrant := is == keeper && h.GrantURL != ""
	said = " Not allowed: " + labels(h.Missing) + "."
	blocks = append(blocks, mrkdwn.Section("*Not allowed*"))
	for i, s := range h.Missing {
		if i == missingShown {
			rest := "And " + count(len(h.Missing)-i, "more permission") + ": " + labels(h.Missing[i:]) + "."
			blocks = append(blocks, mrkdwn.Section(rest))
			break
		}

		block := slack.NewSectionBlock(mrkdwn.Text(permissionLine(s, false)), nil, nil)
		if mayGrant {
			block.Accessory = slack.NewAccessory(grantButton(t, []connection.Scope{s}, "Allow it", ": "+s.Label))
		}
		blocks = append(blocks, block)
	}

	switch {
	case mayGrant && len(h.Missing) > 1:
		all := grantButton(t, nil, "Allow the rest", fmt.Sprintf(" the %d missing permissions", len(h.Missing)))
		all.Style = slack.StylePrimary
		blocks = append(blocks, slack.NewActionBlock("", all))
	case !mayGrant && h.NextStep != "":
		next := mrkdwn.Escape(h.NextStep)
		if unasked(h, is) && h.GrantURL != "" {
			next += " " + mrkdwn.Link(everybodys(t), "Open the install page") + "."
		}
		said += " " + next
		blocks = append(blocks, mrkdwn.Section(next))
	}
	return said, blocks
}

// grantedLines lists what is allowed, each permission with its reason.
func grantedLines(t turn, h install.Health) []string {
	var lines []string
	missing := connection.ScopeNames(h.Missing)
	for _, s := range t.Install.Scopes() {
		if !slices.Contains(missing, s.Name) {
			lines = append(lines, "• "+permissionLine(s, true))
		}
	}
	return lines
}

// permissionLine is one permission with its reason, escaped.
func permissionLine(s connection.Scope, allowed bool) string {
	kind := "required"
	if s.Optional {
		kind = "optional"
	}
	text := fmt.Sprintf("*%s* (%s): %s", mrkdwn.Name(s.Label), kind, mrkdwn.Escape(mrkdwn.Clip(s.Why, 2*mrkdwn.MaxName)))
	if off := features([]connection.Scope{s}); !allowed && off != "" {
		text += " Without it, it can't " + off + "."
	}
	return text
}

// paragraphs puts lines into as few sections as hold them whole, up to maxBlocksText characters.
func paragraphs(lines []string) []slack.Block {
	var blocks []slack.Block
	text, total := "", 0
	for i, l := range lines {
		if total += len([]rune(l)) + 1; total > maxBlocksText {
			text += fmt.Sprintf("And %d more.\n", len(lines)-i)
			break
		}
		if len([]rune(text+l)) > mrkdwn.MaxText-len("And 1000 more.\n") {
			blocks = append(blocks, mrkdwn.Section(strings.TrimSpace(text)))
			text = ""
		}
		text += l + "\n"
	}
	if text != "" {
		blocks = append(blocks, mrkdwn.Section(strings.TrimSpace(text)))
	}
	return blocks
}

// grantButton leads to Slack's consent for these permissions, nil for all that the app asks for. spoken is what is read
// out for it, behind the app's name.
func grantButton(t turn, scopes []connection.Scope, words, spoken string) *slack.ButtonBlockElement {
	wanted := links.GrantRequest{Back: t.ChannelID}
	if scopes != nil {
		wanted.Scopes = connection.ScopeNames(scopes)
	}
	b := mrkdwn.Button(messages.ActionGrant, words, "Allow "+t.Install.App().Name+spoken)
	b.URL = t.Install.Grant(wanted)
	return b
}
