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
	Buttons  []slack.BlockElement // of the welcome, besides ours; handlers answer them
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

// say is a sentence of ours. Besides its parameters, which the caller escapes, it knows {app}.
func (m Messages) say(key string, params ...any) string {
	return m.App.Words.Say("messages."+key, append(params, "app", mrkdwn.Escape(m.App.Name))...)
}

// plain is a sentence of ours without markup, for buttons and headlines.
func (m Messages) plain(key string, params ...any) string {
	return m.App.Words.Say("messages."+key, append(params, "app", m.App.Name)...)
}

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

// TellMissing writes to a person who can allow it that others ask for what isn't allowed, or that the app needs it now.
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
	place := h.Connection.Place(m.App.Words)
	happened := sentences(m.say("reconnect", "place", mrkdwn.Name(place)), mrkdwn.Escape(h.ReasonText))
	ahead := m.ahead(h)
	next := m.say("minute")
	if h.GrantURL == "" {
		next = mrkdwn.Escape(h.NextStep)
	}

	text := sentences(happened, ahead, next)
	blocks := []slack.Block{
		mrkdwn.Header(m.plain("title_reconnect")),
		mrkdwn.Section(happened + "\n" + ahead + "\n" + next),
	}
	if h.GrantURL != "" {
		spoken := m.plain("spoken_reconnect", "place", mrkdwn.Short(place))
		button := grantButton(h.GrantURL, m.plain("button_reconnect"), spoken)
		blocks = append(blocks, slack.NewActionBlock("", button))
		text = sentences(text, m.say("link_reconnect", "address", mrkdwn.Address(h.GrantURL)))
	}

	why := m.whyYou(userID, h.Connection)
	blocks = append(blocks, mrkdwn.Section(why), m.imprint())
	return message{text: sentences(text, why), blocks: blocks}
}

// whyYou says why it is this person who is written to.
func (m Messages) whyYou(userID string, c connection.Connection) string {
	switch c.InstalledBy {
	case userID:
		return m.say("nobody_else")
	case "":
		return m.say("to_admin")
	}
	return m.say("to_admin_instead")
}

// ahead says what doesn't work, or until when it does.
func (m Messages) ahead(h install.Health) string {
	commands := ""
	if m.App.Commands.Status != "" {
		commands = "_commands"
	}
	if h.WorksUntil.IsZero() {
		return m.say("stopped" + commands)
	}
	return m.say("stops"+commands, "time", mrkdwn.Time(m.App.Words, h.WorksUntil))
}

// resolved takes the place of trouble or missing, without anything to press.
func (m Messages) resolved(n connection.Notice, h install.Health) message {
	place := mrkdwn.Name(h.Connection.Place(m.App.Words))
	if n.Reason == connection.ReasonMissingScope {
		return message{text: m.say("allowed_spoken", "place", place), blocks: []slack.Block{
			mrkdwn.Header(m.plain("title_allowed")), mrkdwn.Section(m.say("allowed", "place", place)),
			mrkdwn.Section(m.say("was_missing")), m.imprint(),
		}}
	}

	back, next := "works", m.plain("nothing_to_do")
	switch {
	case h.Lacking:
		back, next = "access", sentences(h.Sentence, h.NextStep)
	case h.State == connection.Limited:
		next = h.Sentence
	}
	text := sentences(m.say(back, "place", place), mrkdwn.Escape(mrkdwn.Clip(next, maxSentence)))
	was := sentences(m.say("was_trouble", "time", mrkdwn.Time(m.App.Words, n.At)),
		mrkdwn.Escape(connection.ReasonText(m.App.Words, n.Reason)))
	return message{text: text, blocks: []slack.Block{
		mrkdwn.Header(m.plain("title_" + back)), mrkdwn.Section(text), mrkdwn.Section(was), m.imprint(),
	}}
}

// missing says what somebody asked for, why the app can't do it, and how it is allowed.
func (m Messages) missing(userID string, w install.MissingScopes) message {
	if w.Updated {
		return m.needed(userID, w)
	}
	asked := m.say("asked", "place", mrkdwn.Name(w.Connection.Place(m.App.Words)))
	why := mrkdwn.Escape(mrkdwn.Clip(w.Connection.Without(m.App.Words, m.App.Name, w.Scopes), maxSentence))
	if len(w.Connection.Missing(m.Scopes)) == len(w.Scopes) {
		why = sentences(why, m.say("else_works"))
	}
	next := m.say("exactly")

	foot := m.say("daily_installer")
	if w.Connection.InstalledBy != userID {
		foot = m.say("daily_admin")
	}
	text := sentences(asked, why, next, m.say("link_allow", "address", mrkdwn.Address(w.GrantURL)))
	return message{text: text, blocks: []slack.Block{
		mrkdwn.Section(asked + "\n" + why + "\n" + next),
		slack.NewActionBlock("", m.allowButton(w.GrantURL, w.Scopes)),
		mrkdwn.Context(foot + " " + strings.Join(Imprint(m.App), " · ")),
	}}
}

// needed says what the app needs since it was updated, and how that is allowed.
func (m Messages) needed(userID string, w install.MissingScopes) message {
	needs := m.say("needs", "place", mrkdwn.Name(w.Connection.Place(m.App.Words)),
		"permissions", mrkdwn.Escape(mrkdwn.Clip(m.permissions(w.Scopes), maxSentence)))
	until := m.say("needs_until")

	foot := m.whyYou(userID, w.Connection)
	text := sentences(needs, until, m.say("link_allow", "address", mrkdwn.Address(w.GrantURL)))
	return message{text: text, blocks: []slack.Block{
		mrkdwn.Section(needs + "\n" + until),
		slack.NewActionBlock("", m.allowButton(w.GrantURL, w.Scopes)),
		mrkdwn.Context(foot + " " + strings.Join(Imprint(m.App), " · ")),
	}}
}

// permissions are those of scopes in words, to go into a sentence.
func (m Messages) permissions(scopes []connection.Scope) string {
	var permissions []string
	for _, s := range scopes {
		permissions = append(permissions, m.App.Words.Within(s.Label))
	}
	return m.App.Words.And(permissions)
}

// allowButton leads to Slack's consent for these permissions.
func (m Messages) allowButton(address string, scopes []connection.Scope) *slack.ButtonBlockElement {
	spoken := m.plain("spoken_allow", "permissions", m.permissions(scopes))
	return grantButton(address, m.plain("button_allow"), spoken)
}

// grantButton is the one thing to press in a message.
func grantButton(address, words, spoken string) *slack.ButtonBlockElement {
	b := mrkdwn.Button(ActionGrant, words, spoken)
	b.URL, b.Style = address, slack.StylePrimary
	return b
}

// sentences puts whole sentences behind each other. Empty ones are left out.
func sentences(said ...string) string {
	return strings.Join(slices.DeleteFunc(said, func(s string) bool { return s == "" }), " ")
}

func (m Messages) imprint() slack.Block { return mrkdwn.Context(strings.Join(Imprint(m.App), " · ")) }

// Imprint says who runs the app, and where help is, each part with markup.
func Imprint(app install.App) []string {
	var parts []string
	if app.Operator != "" {
		parts = append(parts, app.Words.Say("messages.run_by", "operator", mrkdwn.Name(app.Operator)))
	}
	if app.SupportURL != "" {
		parts = append(parts, app.Words.Say("messages.help", "address", mrkdwn.Address(app.SupportURL)))
	}
	if app.PrivacyURL != "" {
		parts = append(parts, app.Words.Say("messages.privacy", "address", mrkdwn.Address(app.PrivacyURL)))
	}
	unnamed := app.Words.Say("messages.unnamed_app")
	return append(parts, mrkdwn.Name(cmp.Or(strings.TrimSpace(app.Name+" "+app.Version), unnamed)))
}

// The first message: to the person who installed, once, and to nobody else.

// Welcome greets the person who installed. grantURL is the page that allows what is missing, "" for none.
func (m Messages) Welcome(ctx context.Context, client *slack.Client, c connection.Connection, grantURL string) error {
	_, _, err := m.welcome(c, grantURL).post(ctx, client, c.InstalledBy)
	return err
}

// welcome says what is connected, what to try first, what the app can read, and what is missing.
func (m Messages) welcome(c connection.Connection, grantURL string) message {
	place, ahead := mrkdwn.Name(cmp.Or(c.TeamName, m.say("your_workspace"))), ""
	if c.Everywhere() {
		place, ahead = mrkdwn.Name(c.Place(m.App.Words)), m.say("not_added")
	}
	lacks, missing := "", c.Missing(m.Scopes)
	if len(missing) > 0 {
		lacks = mrkdwn.Escape(mrkdwn.Clip(c.Without(m.App.Words, "", missing), maxSentence))
	}
	whether := ""
	if command := m.App.Commands.Status; command != "" {
		whether = m.say("whether", "command", mrkdwn.Escape(command))
	}

	// What is missing stands above the button that allows it.
	lines := []string{ahead, m.tryFirst(), sentences(m.sees(c), m.invite(c)), whether, lacks}
	lines = slices.DeleteFunc(lines, func(s string) bool { return s == "" })
	blocks := []slack.Block{
		mrkdwn.Section(m.say("connected", "place", place)), mrkdwn.Section(strings.Join(lines, "\n")),
	}
	var buttons []slack.BlockElement
	if lacks != "" && grantURL != "" {
		buttons = append(buttons, m.allowButton(grantURL, missing))
		lacks = sentences(lacks, m.say("link_allow", "address", mrkdwn.Address(grantURL)))
	}
	if buttons = append(buttons, m.buttons(c)...); len(buttons) > 0 {
		blocks = append(blocks, slack.NewActionBlock("", buttons...))
	}

	foot := m.say("nobody_else")
	if m.App.Operator != "" {
		foot = sentences(foot, m.say("run_by_sentence", "operator", mrkdwn.Name(m.App.Operator)))
	}
	if m.App.SupportURL != "" {
		foot = sentences(foot, m.say("help", "address", mrkdwn.Address(m.App.SupportURL)))
	}
	return message{
		text:   sentences(m.say("connected_spoken", "place", place), ahead, lacks, whether),
		blocks: append(blocks, mrkdwn.Context(foot)),
	}
}

// tryFirst says what to begin with: the first thing that people can do with the app.
func (m Messages) tryFirst() string {
	if len(m.App.Does) == 0 {
		return ""
	}
	return m.say("first", "does", mrkdwn.Sentence(m.App.Does[0], maxSentence))
}

// invite says how the app comes into a channel, if being there is of use: it can be mentioned there, or has something
// to post. With chat:write.public it posts anywhere in public.
func (m Messages) invite(c connection.Connection) string {
	has := func(scope string) bool { return slices.Contains(c.Scopes, scope) }
	posts := len(m.App.Does) > 0 && has("chat:write") && !has("chat:write.public")
	switch {
	case posts && has("app_mentions:read"):
		return m.say("mention_and_post")
	case posts:
		return m.say("post")
	case has("app_mentions:read"):
		return m.say("mention")
	}
	return ""
}

func (m Messages) buttons(c connection.Connection) []slack.BlockElement {
	if !m.Home {
		return m.Buttons
	}
	at := url.Values{"app": {c.AppID}}
	if c.TeamID != "" {
		at.Set("team", c.TeamID)
	}
	open := mrkdwn.Button("connection.open", m.plain("button_home"), "")
	open.URL = cmp.Or(m.SlackURL, "https://slack.com") + "/app_redirect?" + at.Encode()
	return slices.Concat([]slack.BlockElement{open}, m.Buttons)
}

// sees says what the app may read, as far as that was allowed.
func (m Messages) sees(c connection.Connection) string {
	direct, mentions := slices.Contains(c.Scopes, "im:history"), slices.Contains(c.Scopes, "app_mentions:read")
	var wide []string
	for _, in := range []struct{ scope, read string }{
		{"channels:history", "public_channels"},
		{"groups:history", "private_channels"},
		{"mpim:history", "group_messages"},
	} {
		if slices.Contains(c.Scopes, in.scope) {
			wide = append(wide, m.say(in.read))
		}
	}

	places := m.App.Words.And(wide)
	switch {
	case len(wide) > 0 && direct:
		return m.say("sees_direct_and_wide", "places", places)
	case len(wide) > 0:
		return m.say("sees_wide", "places", places)
	case direct && mentions:
		return m.say("sees_both")
	case direct:
		return m.say("sees_direct")
	case mentions:
		return m.say("sees_mentions")
	}
	return m.say("sees_nothing")
}
