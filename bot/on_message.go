package bot

// What people write: to the app, about it, or where it may read along.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot/internal/patterns"
	"github.com/switchboard-go/switchboard/install/connection"
)

// Message is something that somebody wrote. Request.Text is its text, and Request.Matches has what the handler's
// pattern found in it.
type Message struct {
	*Request
	sayer
	// Payload is the event. That of a changed or deleted message has the message in it as slack-go has it.
	Payload *slackevents.MessageEvent
	// TS names the message in its conversation.
	TS string
	// Edited: it was written before, and its text was changed now (Edits). Deleted: it is gone, and Text is what it said
	// (Deletions).
	Edited, Deleted bool
}

// InThread makes what is said from now on an answer in the thread below the message. A message that is in a thread is
// answered there anyway.
func (m *Message) InThread() *Message {
	m.ThreadTS = cmp.Or(m.ThreadTS, m.TS)
	return m
}

// React puts an emoji on the message, by its name without colons. That it is there already is no error. It takes
// reactions:write, and blocks for a call to Slack. https://docs.slack.dev/reference/methods/reactions.add
func (m *Message) React(ctx context.Context, emoji string) error {
	if m.Client == nil {
		return connection.ErrNotConnected
	}
	err := m.Client.AddReactionContext(ctx, emoji, slack.NewRefToMessage(m.ChannelID, m.TS))
	if err != nil && err.Error() != "already_reacted" {
		return fmt.Errorf("react: %w", err)
	}
	return nil
}

// OnMessage returns a handler of new messages whose text matches pattern, in the syntax of package regexp.
// Request.Matches has the captures. run is called as OnEvent's is, with the same promises.
//
// What the app itself wrote is not heard. What other bots and workflows write is heard with Bots, changed texts with
// Edits, and what is deleted with Deletions.
//
// Where it listens follows from its scopes: im:history for direct messages, channels:history for public channels,
// groups:history for private ones, mpim:history for group messages. At least one of them is needed, and the one of the
// conversation is enough there. Of several handlers the first in Config.Handlers that matches runs. A message in a
// channel that mentions the app is left to a handler of mentions, if one matches it, so that one message is answered
// once.
//
// New refuses a pattern that does not compile. https://docs.slack.dev/reference/events/message
func OnMessage(pattern string, run func(ctx context.Context, m *Message) error, options ...Option) Handler {
	return newHandler(KindMessage, pattern, slices.Concat([]Option{Scopes("chat:write")}, options), written(run))
}

// OnMention returns a handler of messages in channels that mention the app and whose text matches pattern, in the
// syntax of package regexp. The mention itself, and the space around it, is no part of what is matched; "" takes every
// mention. Everything else is as with OnMessage. Mentions in direct messages are messages.
//
// The bot hears mentions where it is a member. https://docs.slack.dev/reference/events/app_mention
func OnMention(pattern string, run func(ctx context.Context, m *Message) error, options ...Option) Handler {
	own := []Option{Scopes("app_mentions:read", "chat:write")}
	return newHandler(KindMention, pattern, slices.Concat(own, options), written(run))
}

// written calls run with a message.
func written(run func(ctx context.Context, m *Message) error) func(context.Context, *Request, any) error {
	return ofEvent(func(ctx context.Context, r *Request, e *slackevents.MessageEvent) error {
		m := &Message{Request: r, sayer: sayer{r}, Payload: e, TS: r.written.TS}
		m.Edited, m.Deleted = r.written.edited, r.written.deleted
		return run(ctx, m)
	})
}

// checkPattern finds out why a handler of messages would never run.
func (h *Handler) checkPattern() (err error) {
	if h.pattern, err = regexp.Compile(h.Name); err != nil {
		return err
	}
	if h.Kind == KindMessage && len(messageEvents(h.Scopes)) == 0 {
		return errors.New("no scope that says where it listens (im:history, channels:history, groups:history, mpim:history)")
	}
	if !patterns.LeavesOver(h.Name, "") {
		return errors.New("no text matches this pattern")
	}
	return nil
}

type messageScope struct{ scope, event, channelType string }

// messageScopes says which subscription a history scope pays for, and in which channel type Slack's events name it.
var messageScopes = []messageScope{
	{"im:history", "message.im", "im"},
	{"channels:history", "message.channels", "channel"},
	{"groups:history", "message.groups", "group"},
	{"mpim:history", "message.mpim", "mpim"},
}

// messageEvents returns the subscriptions that these scopes pay for.
func messageEvents(scopes []string) []string {
	var events []string
	for _, m := range messageScopes {
		if slices.Contains(scopes, m.scope) {
			events = append(events, m.event)
		}
	}
	return events
}

// listens reports whether a handler of messages listens in this type of channel. That of mentions does everywhere.
func (h *Handler) listens(channelType string) bool {
	if h.Kind == KindAgentMessage {
		return channelType == "im"
	}
	return h.Kind == KindMention || slices.ContainsFunc(messageScopes, func(m messageScope) bool {
		return m.channelType == channelType && slices.Contains(h.Scopes, m.scope)
	})
}

// hears reports whether h is for a message like this.
func (h *Handler) hears(m *writing) bool {
	switch {
	case m.BotID != "" && !h.bots, m.edited && !h.edits, m.deleted && !h.deletions:
		return false
	}
	return true
}

// writing is what somebody wrote, changed or took back.
type writing struct {
	User    string `json:"user"`
	BotID   string `json:"bot_id"`
	Text    string `json:"text"`
	TS      string `json:"ts"`
	Subtype string `json:"subtype"`
	Edited  *struct {
		TS string `json:"ts"`
	} `json:"edited"`

	edited, deleted bool
}

// writingOf finds in an event what somebody wrote, changed or took back; not ok: it tells of nothing like that. Slack
// also says message_changed when it shows a link or counts a reply: the text tells them apart.
// https://docs.slack.dev/reference/events/message/message_changed
func (in *inner) writingOf() (m writing, ok bool) {
	switch in.Subtype {
	case "message_changed", "message_deleted":
		return in.changed()
	}

	m = writing{User: text(in.User), BotID: in.BotID, Text: in.Text, TS: in.TS, Subtype: in.Subtype}
	m.edited = in.Type == "app_mention" && len(in.Edited) > 0 // Slack sends the mention anew
	return m, writtenSubtypes[in.Subtype] && !in.Hidden && (m.User != "" || m.BotID != "")
}

// changed is writingOf for what was changed or taken back.
func (in *inner) changed() (m writing, ok bool) {
	if in.Subtype == "message_changed" {
		var before writing
		if json.Unmarshal(in.Message, &m) != nil || json.Unmarshal(in.Previous, &before) != nil {
			return writing{}, false
		}
		if m.Subtype == "tombstone" { // the root of a thread, whose answers stay
			before.deleted = true
			return before, writtenSubtypes[before.Subtype]
		}
		m.edited = true
		return m, writtenSubtypes[m.Subtype] && m.Edited != nil && m.Text != before.Text
	}

	if json.Unmarshal(in.Previous, &m) != nil {
		return writing{}, false
	}
	m.deleted = true
	return m, writtenSubtypes[m.Subtype]
}

// writtenSubtypes are the message subtypes of what somebody wrote; edits, deletions and joins are not among them.
// https://docs.slack.dev/reference/events/message
var writtenSubtypes = map[string]bool{
	"": true, "bot_message": true, "file_share": true, "me_message": true, "thread_broadcast": true,
}

// mentions reports whether a text mentions the user, as <@U1> or <@U1|name>.
func mentions(text, user string) bool {
	return user != "" && (strings.Contains(text, "<@"+user+">") || strings.Contains(text, "<@"+user+"|"))
}

// besideMention is a text without the mention of a user, and without the space around it.
func besideMention(text, user string) string {
	before, behind, found := strings.Cut(text, "<@"+user)
	if user == "" || !found {
		return strings.TrimSpace(text)
	}
	if _, rest, closed := strings.Cut(behind, ">"); closed {
		behind = rest
	}
	return strings.TrimSpace(strings.TrimSpace(before) + " " + strings.TrimSpace(behind))
}
