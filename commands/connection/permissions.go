package connection

// What the app may do here and why, what it may not, and what it can't do because of that.

import (
	"context"
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
	// What a line that says how many more there are can take.
	roomForMore = 100
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
		return statusReply(t, h, who, asOf(t, h))
	}
	is, _ := a.standing(ctx, t)
	if is == stranger || is == guest {
		return statusReply(t, h, viewer{audience: a.to, standing: is, answered: true}, asOf(t, h))
	}
	return permissionsReply(t, h, is, lastPermissions(ctx, t))
}

// permissionsReply says it to a person of the workspace. last is the newest change of the permissions, zero: none
// known.
func permissionsReply(t turn, h install.Health, is standing, last connection.Change) bot.Reply {
	text := t.say("permissions.all", "all", h.Needed)
	if n := len(h.Missing); n > 0 {
		text = t.say("permissions.some", "allowed", h.Needed-n, "all", h.Needed)
		if h.State == connection.Limited {
			text = sentences(text, t.say("permissions.else_works"))
		}
	}
	blocks := []slack.Block{mrkdwn.Header(t.plain("title.permissions")), mrkdwn.Section(text)}

	if len(h.Missing) > 0 {
		said, shown := notAllowedYet(t, h, is)
		text, blocks = sentences(text, said), append(blocks, shown...)
	}
	if lines := grantedLines(t, h); len(lines) > 0 {
		blocks = append(blocks, mrkdwn.Section(t.say("permissions.allowed")))
		blocks = append(blocks, paragraphs(t, lines)...)
	}
	if !last.At.IsZero() {
		changed := sentences(t.say("permissions.changed", "time", mrkdwn.Time(t.words(), last.At)), by(t, last.By),
			permissionChanges(t, last))
		blocks = append(blocks, mrkdwn.Section(mrkdwn.Cut(changed, maxLine)))
	}
	return bot.Reply{Text: sentences(text, t.say("permissions.at_slack")), Blocks: blocks}
}

// notAllowedYet lists what is missing, with a button for each permission or the way to get one.
func notAllowedYet(t turn, h install.Health, is standing) (said string, blocks []slack.Block) {
	mayGrant := is == keeper && h.GrantURL != ""
	said = t.say("permissions.not_allowed_list", "permissions", labels(t, h.Missing))
	blocks = append(blocks, mrkdwn.Section(t.say("permissions.not_allowed")))
	for i, s := range h.Missing {
		if i == missingShown {
			rest := h.Missing[i:]
			blocks = append(blocks, mrkdwn.Section(
				t.say("permissions.more", "count", len(rest), "permissions", labels(t, rest))))
			break
		}

		block := slack.NewSectionBlock(mrkdwn.Text(permissionLine(t, s, false)), nil, nil)
		if mayGrant {
			spoken := t.plain("spoken.allow_one", "permission", s.Label)
			block.Accessory = slack.NewAccessory(grantButton(t, []connection.Scope{s}, "allow", spoken))
		}
		blocks = append(blocks, block)
	}

	switch {
	case mayGrant && len(h.Missing) > 1:
		all := grantButton(t, nil, "allow_rest", t.plain("spoken.allow_all", "count", len(h.Missing)))
		all.Style = slack.StylePrimary
		blocks = append(blocks, slack.NewActionBlock("", all))
	case !mayGrant:
		if next := toFix(t, h, viewer{standing: is}); next != "" {
			said = sentences(said, next)
			blocks = append(blocks, mrkdwn.Section(next))
		}
	}
	return said, blocks
}

// grantedLines lists what is allowed, each permission with its reason.
func grantedLines(t turn, h install.Health) []string {
	var lines []string
	missing := connection.ScopeNames(h.Missing)
	for _, s := range t.Install.Scopes() {
		if !slices.Contains(missing, s.Name) {
			lines = append(lines, t.say("permissions.granted", "permission", permissionLine(t, s, true)))
		}
	}
	return lines
}

// permissionLine is one permission with its reason, escaped.
func permissionLine(t turn, s connection.Scope, allowed bool) string {
	key := "permissions.required"
	if s.Optional {
		key = "permissions.optional"
	}
	line := t.say(key, "permission", mrkdwn.Name(s.Label), "why", mrkdwn.Escape(mrkdwn.Clip(s.Why, 2*mrkdwn.MaxName)))
	if s.Feature == "" || allowed {
		return line
	}
	return sentences(line, t.say("permissions.without", "feature", mrkdwn.Name(s.Feature)))
}

// labels names permissions in the middle of a sentence, escaped; of many the first ones.
func labels(t turn, scopes []connection.Scope) string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = t.words().Within(s.Label)
	}
	return t.list(names)
}

// paragraphs puts lines into as few sections as hold them whole, up to maxBlocksText characters.
func paragraphs(t turn, lines []string) []slack.Block {
	var blocks []slack.Block
	text, total := "", 0
	for i, l := range lines {
		if total += len([]rune(l)) + 1; total > maxBlocksText {
			text += t.say("permissions.more_lines", "count", len(lines)-i) + "\n"
			break
		}
		if len([]rune(text+l)) > mrkdwn.MaxText-roomForMore {
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

// grantButton leads to Slack's consent for these permissions, nil for all that the app asks for. key is that of its
// words, spoken what is read out for it.
func grantButton(t turn, scopes []connection.Scope, key, spoken string) *slack.ButtonBlockElement {
	wanted := links.GrantRequest{Back: t.ChannelID}
	if scopes != nil {
		wanted.Scopes = connection.ScopeNames(scopes)
	}
	b := mrkdwn.Button(messages.ActionGrant, t.plain("button."+key), spoken)
	b.URL = t.Install.Grant(wanted)
	return b
}
