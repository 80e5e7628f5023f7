package connection

// Where the app is: "why doesn't it answer in this channel?" mostly ends with "it isn't in it".

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
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
	switch {
	case t.External():
		return bot.Reply{Text: t.say("refused.channels_stranger")}
	case t.Client == nil && t.Health().Reason == connection.ReasonRecordsSilent:
		return recordsSilent(t)
	case t.Client == nil:
		return bot.Reply{Text: sentences(t.say("channels.unasked"), whyUnasked(t), more(t, "status", "ask.fix"))}
	}
	return bot.Reply{
		Text: t.say("channels.asking"),
		Then: func(ctx context.Context) (bot.Reply, error) { return channelsOf(ctx, t, a), nil },
	}
}

// channelsOf asks Slack for them.
func channelsOf(ctx context.Context, t turn, a ask) bot.Reply {
	is, _ := a.standing(ctx, t)
	if is == stranger || is == guest {
		return bot.Reply{Text: t.say("refused.channels_guest")}
	}

	missing := t.Missing(readsPublic, readsPrivate)
	var kinds []string
	if !slices.Contains(missing, readsPublic) {
		kinds = append(kinds, "public_channel")
	}
	if !slices.Contains(missing, readsPrivate) {
		kinds = append(kinds, "private_channel")
	}
	var found []slack.Channel
	whole := true
	if len(kinds) > 0 {
		var err error
		if found, whole, err = memberships(ctx, t, kinds, ""); err != nil {
			t.warn(ctx, "list channels", err)
			return t.refused(t.say("channels.failed"), err, missing...)
		}
	}
	return channelsReply(t, is, found, theirs(ctx, t, found), whole, missing)
}

// theirs returns the ids of those private channels that the person who asks is in, too: Slack shows the others to
// nobody who isn't, and neither does the app, whoever installed it. What can't be found out counts as no.
func theirs(ctx context.Context, t turn, found []slack.Channel) map[string]bool {
	if !slices.ContainsFunc(found, func(c slack.Channel) bool { return c.IsPrivate }) {
		return nil
	}
	shared, _, err := memberships(ctx, t, []string{"private_channel"}, t.UserID)
	if err != nil {
		t.warn(ctx, "list private channels of a person", err)
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
		page, next, err := t.Client.GetConversationsForUserContext(ctx, &slack.GetConversationsForUserParameters{
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
	slices.SortFunc(found, func(a, b slack.Channel) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	var open, closed []string // the names that may be read
	public, private := 0, 0
	for _, c := range found {
		name := mrkdwn.Name("#" + cmp.Or(c.Name, c.ID))
		switch {
		case !c.IsPrivate:
			if public++; is >= member {
				open = append(open, name)
			}
		default:
			if private++; theirs[c.ID] {
				closed = append(closed, name)
			}
		}
	}

	text := t.say("channels.in", "count", len(found))
	switch {
	case len(missing) == 2:
		text = t.say("channels.unseen")
	case !whole:
		text = t.say("channels.in_at_least", "number", len(found))
	}
	r := paragraph(text)
	if !slices.Contains(missing, readsPublic) {
		r = withChannels(t, r, "channels.public", whole, public, open)
	}
	if !slices.Contains(missing, readsPrivate) {
		r = withChannels(t, r, "channels.private", whole, private, closed)
	}

	if len(missing) > 0 {
		lacks := lacking(t, missing)
		r.Text, r.Blocks = r.Text+" "+lacks, append(r.Blocks, mrkdwn.Section(lacks))
		if is == keeper && t.Health().GrantURL != "" {
			button := grantButton(t, t.Install.Describe(missing), "allow", t.plain("spoken.allow_channels"))
			r.Blocks = append(r.Blocks, slack.NewActionBlock("", button))
		}
	}
	add := t.say("channels.add")
	return bot.Reply{Text: mrkdwn.Cut(r.Text, maxSpoken) + " " + add, Blocks: append(r.Blocks, mrkdwn.Section(add))}
}

// withChannels is r with a line about n channels of a kind, of which these may be named. whole: there are no more.
func withChannels(t turn, r bot.Reply, kind string, whole bool, n int, names []string) bot.Reply {
	if !whole {
		kind += "_at_least"
	}
	switch {
	case len(names) == 0 && n > 0:
		kind += "_hidden"
	case len(names) > 0 && n > len(names):
		kind += "_some"
	case len(names) > 0:
		kind += "_named"
	}
	listed := strings.Join(names[:min(channelsNamed, len(names))], ", ")
	if more := len(names) - channelsNamed; more > 0 {
		listed = t.say("channels.names_more", "names", listed, "more", more)
	}

	line := mrkdwn.Cut(t.say(kind, "number", n, "names", listed), mrkdwn.MaxText)
	r.Text += " " + strings.TrimSuffix(strings.ReplaceAll(line, "*", ""), ".") + "."
	r.Blocks = append(r.Blocks, mrkdwn.Section(line))
	return r
}
