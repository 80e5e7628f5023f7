package commands

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
)

const (
	// Missing permissions that get a place, and a button, of their own; the others are listed.
	missingShown = 10
	// All blocks of a message together; Slack refuses more than some 13,000 characters.
	maxBlocksText = 10_000
)

// permissions lists what was asked for and whether it was granted. Everybody in the workspace may read it; the buttons are for the
// installer and admins.
func permissions(ctx context.Context, t *bot.Turn, a ask) bot.Reply {
	h := t.Health()
	if !h.Found {
		return statusReply(t, h, viewerOf(t, a), false)
	}
	is, _ := a.standing(ctx, t)
	if is == stranger || is == guest {
		return statusReply(t, h, viewer{audience: a.to, standing: is}, false)
	}
	var last connection.Change
	if changes, err := t.Install.History(ctx, historyLooked); err == nil {
		if i := slices.IndexFunc(changes, func(c connection.Change) bool { return c.What == connection.DidPermissions }); i >= 0 {
			last = changes[i]
		}
	}
	return permissionsReply(t, h, is, last)
}

// permissionsReply says it to a person of the workspace. last is the newest change of the permissions, zero: none known.
func permissionsReply(t *bot.Turn, h install.Health, is standing, last connection.Change) bot.Reply {
	app, team := escape(t.Install.App().Name), escape(place(h.Connection))
	intro := fmt.Sprintf("%s has all %d permissions it asks for in %s. Nothing to do.", app, h.Needed, team)
	if n := len(h.Missing); n > 0 {
		intro = fmt.Sprintf("%s has %d of the %d permissions it asks for in %s.", app, h.Needed-n, h.Needed, team)
		if h.State == connection.Limited {
			intro += " Everything else works."
		}
	}
	blocks := []slack.Block{slack.NewHeaderBlock(plain("Permissions")), section(intro)}
	text := intro
	mayGrant := is == keeper && h.GrantURL != ""
	if len(h.Missing) > 0 {
		text += " Not allowed: " + labels(h.Missing) + "."
		blocks = append(blocks, section("*Not allowed*"))
		for i, s := range h.Missing {
			if i == missingShown {
				rest := "And " + count(len(h.Missing)-i, "more permission") + ": " + labels(h.Missing[i:]) + "."
				blocks = append(blocks, section(rest))
				break
			}
			block := slack.NewSectionBlock(markdown(permissionLine(s, false)), nil, nil)
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
			next := escape(h.NextStep)
			if unasked(h, is) && h.GrantURL != "" {
				next += " " + link(everybodys(t), "Open the install page") + "."
			}
			text += " " + next
			blocks = append(blocks, section(next))
		}
	}
	lines := grantedLines(t, h)
	if len(lines) > 0 {
		blocks = append(blocks, section("*Allowed*"))
		blocks = append(blocks, paragraphs(lines)...)
	}
	if !last.At.IsZero() {
		changed := fmt.Sprintf("Last changed %s%s. %s", when(last.At), by(last.By), permissionChanges(strings.Fields(last.Reason)))
		blocks = append(blocks, section(cut(changed, maxLine)))
	}
	return bot.Reply{Text: text + " Admins change permissions at Slack; what is allowed here is what Slack said.", Blocks: blocks}
}

// grantedLines lists what is allowed, each permission with its reason.
func grantedLines(t *bot.Turn, h install.Health) []string {
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
	text := fmt.Sprintf("*%s* (%s): %s", brief(s.Label), kind, escape(clip(s.Why, 2*maxName)))
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
		if len([]rune(text+l)) > maxText-len("And 1000 more.\n") {
			blocks = append(blocks, section(strings.TrimSpace(text)))
			text = ""
		}
		text += l + "\n"
	}
	if text != "" {
		blocks = append(blocks, section(strings.TrimSpace(text)))
	}
	return blocks
}

// grantButton leads to Slack's consent for these permissions, nil for all that the app asks for. spoken is what is read out for it.
func grantButton(t *bot.Turn, scopes []connection.Scope, words, spoken string) *slack.ButtonBlockElement {
	b := slack.NewButtonBlockElement(actionGrant, "", label(words, maxButton))
	wish := links.GrantRequest{Back: t.ChannelID}
	if scopes != nil {
		wish.Scopes = connection.ScopeNames(scopes)
	}
	b.URL = t.Install.Grant(wish)
	b.AccessibilityLabel = clip("Allow "+t.Install.App().Name+spoken, maxButton)
	return b
}
