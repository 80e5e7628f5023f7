package messages

// What is wrong, what isn't allowed, and that it is over: each to the one person who can do something about it.

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// Messages is install.Messages in plain sentences. Of commands it tells only if App names some.
type Messages struct {
	App      install.App
	SlackURL string               // where the app's own pages in Slack are; "": https://slack.com
	Scopes   []connection.Scope   // all that the app can use
	Home     bool                 // the app has a Home tab, and the welcome leads there
	Buttons  []slack.BlockElement // of the welcome, besides the one that opens Home; handlers answer them
}

var _ install.Messages = Messages{}

// New returns the Messages of the app in cfg.
func New(cfg install.Config) Messages {
	return Messages{App: cfg.App, SlackURL: cfg.SlackURL, Scopes: cfg.Scopes}
}

// ActionGrant is the id of buttons that lead to Slack's consent. They are links; Slack tells of the press anyway.
const ActionGrant = "connection.grant"

// maxSentence bounds a sentence that may list things.
const maxSentence = 600

// message is what somebody gets. Screen readers and notifications have the text, the others the blocks.
type message struct {
	text   string
	blocks []slack.Block
}

func (m message) options() []slack.MsgOption {
	return []slack.MsgOption{
		slack.MsgOptionText(m.text, false), slack.MsgOptionBlocks(m.blocks...), slack.MsgOptionDisableLinkUnfurl(),
	}
}

// post sends it to one person. Their id as the channel: Slack opens the direct message by itself.
func (m message) post(ctx context.Context, client *slack.Client, userID string) (channel, ts string, err error) {
	channel, ts, err = client.PostMessageContext(ctx, userID, m.options()...)
	if err != nil {
		return "", "", fmt.Errorf("write to %s: %w", userID, err)
	}
	return channel, ts, nil
}

// Tell writes to one person that the connection needs them.
func (m Messages) Tell(
	ctx context.Context, client *slack.Client, userID string, h install.Health,
) (channel, ts string, err error) {
	return m.trouble(userID, h).post(ctx, client, userID)
}

// TellMissing writes to a person who can allow it that others ask for what isn't allowed.
func (m Messages) TellMissing(
	ctx context.Context, client *slack.Client, userID string, w install.MissingScopes,
) (channel, ts string, err error) {
	return m.missing(userID, w).post(ctx, client, userID)
}

// Resolve edits one of those messages once the trouble is over.
func (m Messages) Resolve(ctx context.Context, client *slack.Client, n connection.Notice, h install.Health) error {
	_, _, _, err := client.UpdateMessageContext(ctx, n.Channel, n.TS, m.resolved(n, h).options()...)
	if err != nil {
		return fmt.Errorf("edit message to resolved: %w", err)
	}
	return nil
}

// trouble says what happened, why, until when it still works, and what happens if nobody acts.
func (m Messages) trouble(userID string, h install.Health) message {
	app, place := m.App.Name, h.Connection.Place(m.App.Words)
	happened := fmt.Sprintf("%s needs reconnecting in %s.", mrkdwn.Escape(app), mrkdwn.Name(place))
	if h.ReasonText != "" {
		happened += " " + mrkdwn.Escape(h.ReasonText)
	}

	stands, stops := "it doesn't work", "it stops working"
	if m.App.Commands.Status != "" {
		stands, stops = "its commands and messages don't work", "its commands and messages stop"
	}
	ahead := fmt.Sprintf("Until somebody reconnects it, %s there.", stands)
	if !h.WorksUntil.IsZero() {
		until := mrkdwn.Time(h.WorksUntil)
		ahead = fmt.Sprintf("It still works until %s. If nobody reconnects it, %s then.", until, stops)
	}
	next := "Reconnecting takes about a minute."
	if h.GrantURL == "" {
		next = mrkdwn.Escape(h.NextStep)
	}

	text := happened + " " + ahead + " " + next
	blocks := []slack.Block{
		mrkdwn.Header(app + " needs reconnecting"),
		mrkdwn.Section(happened + "\n" + ahead + "\n" + next),
	}
	if h.GrantURL != "" {
		button := grantButton(h.GrantURL, "Reconnect", fmt.Sprintf("Reconnect %s to %s", app, mrkdwn.Short(place)))
		blocks = append(blocks, button)
		text += " " + mrkdwn.Link(h.GrantURL, "Reconnect it") + "."
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
	blocks = append(blocks, mrkdwn.Section(why+" Nobody else was notified."), m.imprint())
	return message{text: text + " " + why, blocks: blocks}
}

// resolved takes the place of trouble or missing, without anything to press.
func (m Messages) resolved(n connection.Notice, h install.Health) message {
	app, place := mrkdwn.Escape(m.App.Name), mrkdwn.Name(h.Connection.Place(m.App.Words))
	if n.Reason == connection.ReasonMissingScope {
		text := fmt.Sprintf("%s is allowed everything in %s that people asked for. Nothing to do.", app, place)
		return message{text: "Resolved: " + text, blocks: []slack.Block{
			mrkdwn.Header("Resolved: everything is allowed"), mrkdwn.Section(text),
			mrkdwn.Section("You were told that a permission was missing."), m.imprint(),
		}}
	}

	back, next := "works again", "Nothing to do."
	switch {
	case h.Lacking:
		back, next = "has its access again", h.Sentence+" "+h.NextStep
	case h.State == connection.Limited:
		next = h.Sentence
	}
	next = mrkdwn.Escape(mrkdwn.Clip(next, maxSentence))
	text := strings.TrimSpace(fmt.Sprintf("Resolved: %s %s in %s. %s", app, back, place, next))

	was := "You were told that it needed reconnecting, " + mrkdwn.Time(n.At) + "."
	if why := connection.ReasonText(m.App.Words, n.Reason); why != "" {
		was += " " + mrkdwn.Escape(why)
	}
	return message{text: text, blocks: []slack.Block{
		mrkdwn.Header("Resolved: " + m.App.Name + " " + back), mrkdwn.Section(text), mrkdwn.Section(was), m.imprint(),
	}}
}

// missing says what somebody asked for, why the app can't do it, and how it is allowed.
func (m Messages) missing(userID string, w install.MissingScopes) message {
	app := m.App.Name
	asked := fmt.Sprintf("Somebody in %s wanted something from %s that it can't do there.",
		mrkdwn.Short(w.Connection.Place(m.App.Words)), app)
	why := w.Connection.Without(m.App.Words, app, w.Scopes)
	if len(w.Connection.Missing(m.Scopes)) == len(w.Scopes) {
		why += " Everything else works."
	}
	asked, why = mrkdwn.Escape(asked), mrkdwn.Escape(mrkdwn.Clip(why, maxSentence))
	next := "If you allow it, Slack asks you for exactly that. If you don't, nothing changes."

	foot := "You're getting this because you installed the app"
	if w.Connection.InstalledBy != userID {
		foot = "You're getting this because you're an admin"
	}
	foot += ", at most once a day. Nobody else was notified."

	text := asked + " " + why + " " + next + " " + mrkdwn.Link(w.GrantURL, "Allow it") + "."
	return message{text: text, blocks: []slack.Block{
		mrkdwn.Section(asked + "\n" + why + "\n" + next),
		grantButton(w.GrantURL, "Allow it", "Allow "+app+" to "+connection.Permitted(w.Scopes)),
		mrkdwn.Context(foot + " " + strings.Join(Imprint(m.App), " · ")),
	}}
}

// grantButton is the one thing to press in a message.
func grantButton(address, words, spoken string) slack.Block {
	b := mrkdwn.Button(ActionGrant, words, spoken)
	b.URL, b.Style = address, slack.StylePrimary
	return slack.NewActionBlock("", b)
}

func (m Messages) imprint() slack.Block { return mrkdwn.Context(strings.Join(Imprint(m.App), " · ")) }

// Imprint says who runs the app, and where help is, each part with markup.
func Imprint(app install.App) []string {
	var parts []string
	if app.Operator != "" {
		parts = append(parts, "Run by "+mrkdwn.Name(app.Operator))
	}
	if app.SupportURL != "" {
		parts = append(parts, mrkdwn.Link(app.SupportURL, "Get help"))
	}
	if app.PrivacyURL != "" {
		parts = append(parts, mrkdwn.Link(app.PrivacyURL, "Privacy"))
	}
	return append(parts, mrkdwn.Name(cmp.Or(strings.TrimSpace(app.Name+" "+app.Version), "Slack app")))
}

// The first message: to the person who installed, once, and to nobody else.

// stepsShown is how much of what people can do with the app is proposed.
const stepsShown = 3

// Welcome greets the person who installed.
func (m Messages) Welcome(ctx context.Context, client *slack.Client, c connection.Connection) error {
	_, _, err := m.welcome(c).post(ctx, client, c.InstalledBy)
	return err
}

// welcome says what is connected, what the app can read, and what to try first.
func (m Messages) welcome(c connection.Connection) message {
	place, ahead := mrkdwn.Name(cmp.Or(c.TeamName, "your workspace")), ""
	if c.Org() {
		place = mrkdwn.Name(c.Place(m.App.Words))
		ahead = "Until an admin of the organisation adds it to workspaces, it won't respond in any. "
	}
	app := mrkdwn.Escape(m.App.Name)
	text := strings.TrimSpace(fmt.Sprintf("%s is now connected to %s. %s", app, place, ahead))
	if command := m.App.Commands.Status; command != "" {
		text += " Type " + mrkdwn.Escape(command) + " any time to see whether it works."
	}

	connected := fmt.Sprintf("%s is now connected to *%s*.", app, place)
	if missing := c.Missing(m.Scopes); len(missing) > 0 {
		connected += " Not allowed: " + mrkdwn.List(connection.Labels(missing)) + "."
	}
	blocks := []slack.Block{mrkdwn.Section(connected), mrkdwn.Section(m.sees(c) + "\n" + ahead + m.tryFirst(c))}
	if buttons := m.buttons(c); len(buttons) > 0 {
		blocks = append(blocks, slack.NewActionBlock("", buttons...))
	}

	foot := "You're getting this because you installed the app. Nobody else was notified."
	if m.App.Operator != "" {
		foot += " Run by " + mrkdwn.Name(m.App.Operator) + "."
	}
	if m.App.SupportURL != "" {
		foot += " " + mrkdwn.Link(m.App.SupportURL, "Get help")
	}
	return message{text: text, blocks: append(blocks, mrkdwn.Context(foot))}
}

// tryFirst says what to begin with: the command that shows whether it works, or else what the app does.
func (m Messages) tryFirst(c connection.Connection) string {
	first := "*First thing to try:* type `" + mrkdwn.Escape(m.App.Commands.Status) + "` in any channel."
	if m.App.Commands.Status == "" {
		steps := m.App.Does[:min(stepsShown, len(m.App.Does))]
		first = mrkdwn.Escape(mrkdwn.Clip(strings.Join(steps, "\n"), maxSentence))
	}
	if slices.Contains(c.Scopes, "app_mentions:read") {
		first += " To mention it in a channel, type `/invite @" + mrkdwn.Escape(m.App.Name) + "` there first."
	}
	return strings.TrimSpace(first)
}

func (m Messages) buttons(c connection.Connection) []slack.BlockElement {
	if !m.Home {
		return m.Buttons
	}
	at := url.Values{"app": {c.AppID}}
	if c.TeamID != "" {
		at.Set("team", c.TeamID)
	}
	open := mrkdwn.Button("connection.open", "Open Home", "")
	open.URL = cmp.Or(m.SlackURL, "https://slack.com") + "/app_redirect?" + at.Encode()
	return slices.Concat([]slack.BlockElement{open}, m.Buttons)
}

// sees says what the app may read, as far as that was allowed. That something isn't allowed is said of what it asks
// for.
func (m Messages) sees(c connection.Connection) string {
	asked := connection.ScopeNames(m.Scopes)
	direct, mentions := slices.Contains(c.Scopes, "im:history"), slices.Contains(c.Scopes, "app_mentions:read")
	var wide []string
	for _, in := range []struct{ scope, read string }{
		{"channels:history", "public channels"},
		{"groups:history", "private channels"},
		{"mpim:history", "group messages"},
	} {
		if slices.Contains(c.Scopes, in.scope) {
			wide = append(wide, in.read)
		}
	}

	all := "all messages in " + connection.And(wide) + " that it was added to."
	switch {
	case len(wide) > 0 && direct:
		return "It can read messages you send it here, and " + all
	case len(wide) > 0:
		return "It can read " + all
	case direct && mentions:
		return "It can only read messages you send it here and messages that @mention it."
	case direct && !slices.Contains(asked, "app_mentions:read"):
		return "It can only read messages you send it here."
	case direct:
		return "It can only read messages you send it here. It isn't allowed to read messages that @mention it."
	case mentions && !slices.Contains(asked, "im:history"):
		return "It can only read messages that @mention it."
	case mentions:
		return "It can only read messages that @mention it. It isn't allowed to read what you write to it here."
	}
	if !slices.Contains(asked, "im:history") && !slices.Contains(asked, "app_mentions:read") {
		return "It can't read any messages."
	}
	return "It can't read any messages: neither what you write to it here nor messages that @mention it."
}
