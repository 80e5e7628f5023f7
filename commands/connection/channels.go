package connection

// Where the app is: "why doesn't it answer in this channel?" mostly ends with "it isn't in it".

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// The permissions that let the app see the channels it is in.
const (
	readsPublic  = "channels:read"
	readsPrivate = "groups:read"
)

const (
	// How many channels are read: more than one message can name, and no more calls than Slack takes at once.
	channelPages   = 10
	channelsInPage = 200
	// How many of each kind are named.
	channelsNamed = 40
)

// channels lists the channels the app is a member of, as far as the person who asks may know them.
func channels(ctx context.Context, t turn, a ask) bot.Reply {
	app := mrkdwn.Escape(t.Install.App().Name)
	switch {
	case t.Outsider():
		return bot.Reply{Text: "Only people of the workspace that installed this app can see that."}
	case t.Slack == nil && t.Health().Reason == connection.ReasonRecordsSilent:
		return bot.Reply{Text: recordsSilent(t)}
	case t.Slack == nil:
		return bot.Reply{Text: "Slack can't be asked which channels " + app + " is in, because it " + whyUnasked(t) + "." +
			more(t, "status", "to see what to do")}
	}
	var types, missing []string
	for _, kind := range [][2]string{{readsPublic, "public_channel"}, {readsPrivate, "private_channel"}} {
		if slices.Contains(t.Connection.Scopes, kind[0]) {
			types = append(types, kind[1])
		} else {
			missing = append(missing, kind[0])
		}
	}
	return bot.Reply{Text: "Slack is being asked which channels " + app + " is in. The answer follows.", Then: func(ctx context.Context) (bot.Reply, error) {
		is, _ := a.standing(ctx, t)
		if is == stranger || is == guest {
			return bot.Reply{Text: "Only members of the workspace can see that."}, nil
		}
		var found []slack.Channel
		whole := true
		if len(types) > 0 {
			var err error
			if found, whole, err = memberships(ctx, t, types, ""); err != nil {
				t.Log.WarnContext(ctx, "list channels", "slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
				return bot.Reply{Text: "We couldn't find out which channels " + app + " is in. " + slackSaid(t, err, missing...) + " Reference: " + t.Ref + "."}, nil
			}
		}
		return channelsReply(t, is, found, theirs(ctx, t, found), whole, missing), nil
	}}
}

// theirs returns the ids of those private channels that the person who asks is in, too: Slack shows the others to
// nobody who isn't, and neither does the app, whoever installed it. What can't be found out counts as no.
func theirs(ctx context.Context, t turn, found []slack.Channel) map[string]bool {
	if !slices.ContainsFunc(found, func(c slack.Channel) bool { return c.IsPrivate }) {
		return nil
	}
	shared, _, err := memberships(ctx, t, []string{"private_channel"}, t.UserID)
	if err != nil {
		t.Log.WarnContext(ctx, "list private channels of a person",
			"slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
	}
	ids := map[string]bool{}
	for _, c := range shared {
		ids[c.ID] = true
	}
	return ids
}

// memberships asks Slack for the channels of the bot, or of a person: of their private ones Slack tells those that the
// bot is in. whole: that is all of them. https://docs.slack.dev/reference/methods/users.conversations
func memberships(
	ctx context.Context, t turn, types []string, userID string,
) (found []slack.Channel, whole bool, err error) {
	cursor := ""
	for range channelPages {
		page, next, err := t.Slack.GetConversationsForUserContext(ctx, &slack.GetConversationsForUserParameters{
			UserID: userID, Types: types, TeamID: t.TeamID, ExcludeArchived: true, Cursor: cursor, Limit: channelsInPage,
		})
		if err != nil {
			return nil, false, err
		}
		found = append(found, page...)
		if cursor = next; cursor == "" {
			return found, true, nil
		}
	}
	return found, false, nil
}

// channelsReply says where the app is. theirs are the private channels that the person who asks is in; missing are the
// permissions without which a kind of channel can't be seen.
func channelsReply(
	t turn, is standing, found []slack.Channel, theirs map[string]bool, whole bool, missing []string,
) bot.Reply {
	app := mrkdwn.Escape(t.Install.App().Name)
	slices.SortFunc(found, func(a, b slack.Channel) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	var open, closed []string
	private := 0
	for _, c := range found {
		name := mrkdwn.Name("#" + cmp.Or(c.Name, c.ID))
		switch {
		case !c.IsPrivate:
			open = append(open, name)
		case theirs[c.ID]:
			closed = append(closed, name)
			fallthrough
		default:
			private++
		}
	}
	atLeast := ""
	if !whole {
		atLeast = "at least "
	}
	var lines []string
	// kind adds a line about n channels, of which these may be named.
	kind := func(title, scope string, n int, names []string, hidden string) {
		if slices.Contains(missing, scope) {
			return
		}
		line := fmt.Sprintf("*%s:* %s%d", title, atLeast, n)
		switch shown := len(names); {
		case shown > channelsNamed:
			line += ": " + strings.Join(names[:channelsNamed], ", ") + fmt.Sprintf(", and %d more", shown-channelsNamed)
		case shown > 0:
			line += ": " + strings.Join(names, ", ")
		}
		if n > len(names) {
			line += ". " + hidden
		}
		lines = append(lines, mrkdwn.Cut(line, mrkdwn.MaxText))
	}
	named := open
	if is < member {
		named = nil
	}
	kind("Public channels", readsPublic, len(open), named,
		"Their names are shown to members of the workspace, and Slack couldn't be asked whether you are one.")
	kind("Private channels", readsPrivate, private, closed, "You only see the names of those you're in.")

	text := fmt.Sprintf("%s is in %s%s.", app, atLeast, count(len(found), "channel"))
	if len(missing) == 2 {
		text = app + " can't see which channels it is in. Where it was added, it works anyway."
	}
	add := fmt.Sprintf("To add it to a channel, type `/invite @%s` there.", app)
	blocks := []slack.Block{mrkdwn.Section(text)}
	for _, l := range lines {
		blocks = append(blocks, mrkdwn.Section(l))
	}
	all := text
	for _, l := range lines {
		all += " " + strings.TrimSuffix(strings.ReplaceAll(l, "*", ""), ".") + "."
	}
	if len(missing) > 0 {
		lacks := lacking(t, missing)
		all += " " + lacks
		blocks = append(blocks, mrkdwn.Section(lacks))
		if is == keeper && t.Health().GrantURL != "" {
			blocks = append(blocks, slack.NewActionBlock("", grantButton(t, t.Install.Describe(missing), "Allow it", " to see which channels it is in")))
		}
	}
	return bot.Reply{Text: mrkdwn.Cut(all, maxSpoken) + " " + add, Blocks: append(blocks, mrkdwn.Section(add))}
}

// count is "1 channel", "2 channels".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
