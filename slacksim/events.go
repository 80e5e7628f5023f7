package slacksim

// What the app is told, for whom, and what an event is wrapped in. docs.slack.dev/apis/events-api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// Event is something for the app's events URL. The zero value of each field but Inner gets what Slack would send.
type Event struct {
	Name string // subscription name, for events whose inner type differs from it ("message.im"); default: the inner type
	// TeamID and EnterpriseID go on the outside. They are the author's side for messages in shared channels.
	TeamID, EnterpriseID string
	// Installed is the installed side (a team or enterprise id) that authorizations and context_team_id name. Default:
	// TeamID, then EnterpriseID.
	Installed string
	Inner     any // a map, a struct or a json.RawMessage: the "event" object
	// ID and Time default to a fresh id and the clock's time. Use them to repeat an event or to send an old one.
	ID               string
	Time             time.Time
	NoAuthorizations bool // as uninstall events have it
	ExtShared        bool // is_ext_shared_channel

	context string // context_team_id of an organisation's installation; default TeamID
}

// events makes what the app is told.
type events struct {
	*engine
	record   *record
	world    *world
	oauth    *oauth
	outbox   *outbox
	contexts map[string][]*installation // event_context → who can see the event
}

func (s *events) subscribedLocked(name string) bool {
	reached := s.app.SocketMode || s.app.EventsURL != "" && !s.app.EventsUnverified
	return reached && slices.Contains(s.app.Events, name)
}

// wantedLocked: subscribed, and one of the event's scopes was granted there.
func (s *events) wantedLocked(in *installation, name string) bool {
	if in == nil || !s.subscribedLocked(name) {
		return false
	}
	need := eventScopes[name]
	return len(need) == 0 || slices.ContainsFunc(need, in.has)
}

// nullable is null for "", as Slack writes absent ids.
func nullable(v string) any {
	if v == "" {
		return nil
	}
	return v
}

// envelopeLocked wraps an inner event. in is the installed side.
func (s *events) envelopeLocked(e Event, in *installation) *outgoing {
	if e.Time.IsZero() {
		e.Time = s.clock.Now()
	}
	if e.ID == "" {
		s.serial++
		e.ID = fmt.Sprintf("Ev0SIM%06d", s.serial)
	}

	inner, _ := json.Marshal(e.Inner)
	var m map[string]any
	_ = blockkit.Decode(inner, &m)
	if m != nil {
		if m["event_ts"] == nil {
			m["event_ts"] = timestamp(e.Time)
		}
		inner, _ = json.Marshal(m)
	}

	env := map[string]any{
		"token": "deprecated-verification-token", "api_app_id": s.app.ID, "type": "event_callback",
		"event": json.RawMessage(inner), "event_id": e.ID, "event_time": e.Time.Unix(),
	}
	if e.TeamID != "" {
		env["team_id"] = e.TeamID
	}
	if e.EnterpriseID != "" {
		env["enterprise_id"] = e.EnterpriseID
	}

	if !e.NoAuthorizations {
		env["is_ext_shared_channel"] = e.ExtShared
		event := "4-" + randomHex(24)
		env["event_context"] = event
		if in != nil && !in.gone {
			s.contexts[event] = s.oauth.viewersLocked(in, blockkit.Text(m["channel"]))
			env["authorizations"] = []any{in.authorization()}
			ctxTeam := in.teamID
			if in.org {
				ctxTeam = cmp.Or(e.context, e.TeamID)
			}
			env["context_team_id"], env["context_enterprise_id"] = nullable(ctxTeam), nullable(in.enterpriseID)
		}
	}

	body, _ := json.Marshal(env)
	o := &outgoing{kind: "event", typ: cmp.Or(e.Name, blockkit.Text(m["type"])),
		team: cmp.Or(e.TeamID, e.EnterpriseID), eventID: e.ID, body: body}
	if s.record.twice > 0 {
		s.record.twice--
		o.twice = true
	}
	return o
}

// tellLocked sends an event in the background.
func (s *events) tellLocked(e Event, in *installation) { s.outbox.sendLocked(s.envelopeLocked(e, in)) }

// Emit sends any event in the background, subscribed or not, with Slack's retries, and returns its id. It plays what
// people's actions here do not cause: unknown types, channel_rename, grid_migration_started …
func (s *Sender) Emit(_ context.Context, e Event) (eventID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.app.EventsURL == "" && !s.app.SocketMode {
		return "", errors.New("emit event: the app has no EventsURL")
	}
	o := s.events.envelopeLocked(e, s.oauth.installLocked(cmp.Or(e.Installed, e.TeamID, e.EnterpriseID)))
	s.outbox.sendLocked(o)
	return o.eventID, nil
}

// messageEventsLocked sends what a new message causes. Slack delivers an event once per app, even when two of its
// installations could see it, so one side is picked: where the bot is a member, the author's first.
func (s *events) messageEventsLocked(c *channel, m *Message, authorTeam string) {
	if m.Ephemeral {
		return
	}
	authorTeam = cmp.Or(authorTeam, c.TeamID)
	in := first(s.oauth.sidesLocked(c, authorTeam), c.seenBy)
	if name := c.messageEvent(); s.wantedLocked(in, name) {
		inner := s.world.messageJSONLocked(c, m)
		inner["channel"], inner["channel_type"], inner["event_ts"] = c.ID, c.kind(), m.TS
		if c.im && m.User == c.imUser && s.agentLocked() && s.wantedLocked(in, "app_context_changed") {
			inner["app_context"] = s.world.contextLocked(m.User)
		}
		s.tellLocked(s.fromLocked(c, in, authorTeam, Event{Name: name, Inner: inner}), in)
	}
	// Sent apart: Slack promises no order between the two.
	if !c.im && (m.BotID == "" || m.AppID != "") {
		s.mentionsLocked(c, m, authorTeam)
	}
}

// seenBy reports whether the app of an installation is told of what is written in a conversation.
func (c *channel) seenBy(in *installation) bool { return c.im || c.has(in.bot.userID) }

// messageEvent is the subscription that messages in a conversation come by.
func (c *channel) messageEvent() string {
	return map[string]string{"im": "message.im", "group": "message.groups", "channel": "message.channels"}[c.kind()]
}

// fromLocked fills in the outer ids of a message event: the author's side.
func (s *events) fromLocked(c *channel, in *installation, authorTeam string, e Event) Event {
	e.TeamID = authorTeam
	if t := s.world.teamLocked(authorTeam); t != nil {
		e.EnterpriseID = t.EnterpriseID
	}
	e.ExtShared = len(c.SharedWith) > 0
	teams := append([]string{authorTeam, c.TeamID}, c.SharedWith...)
	if i := slices.IndexFunc(teams, in.covers); i >= 0 {
		e.context = teams[i]
	}
	if inner, ok := e.Inner.(map[string]any); ok && e.ExtShared && !in.covers(authorTeam) {
		inner["user_team"], inner["source_team"] = authorTeam, authorTeam
	}
	return e
}

// mentionsLocked sends the app_mention events of a message. For these the outer team_id is the installed side.
func (s *events) mentionsLocked(c *channel, m *Message, authorTeam string) {
	for _, in := range s.oauth.sidesLocked(c, authorTeam) {
		if !mentions(m.Text, in.bot.userID) {
			continue
		}
		if !c.has(in.bot.userID) {
			c.pending[in.bot.userID] = m.TS
			if s.world.userLocked(m.User) == nil {
				continue
			}
			s.world.noteToLocked(c, m.User, "You mentioned <@"+in.bot.userID+">, but they’re not in this channel.")
			continue
		}
		s.mentionLocked(c, m, in, authorTeam)
	}
}

func mentions(text, id string) bool {
	return strings.Contains(text, "<@"+id+">") || strings.Contains(text, "<@"+id+"|")
}

func (s *events) mentionLocked(c *channel, m *Message, in *installation, authorTeam string) {
	inner := s.world.messageJSONLocked(c, m)
	inner["type"], inner["channel"], inner["event_ts"] = "app_mention", c.ID, cmp.Or(m.editedTS, m.TS)
	s.tellInstalledLocked(c, in, authorTeam, inner)
}

// tellInstalledLocked sends an event about a conversation whose outer ids are the installed side's, if it is wanted.
func (s *events) tellInstalledLocked(c *channel, in *installation, authorTeam string, inner map[string]any) {
	if !s.wantedLocked(in, blockkit.Text(inner["type"])) {
		return
	}
	e := s.fromLocked(c, in, authorTeam, Event{Inner: inner})
	e.TeamID, e.EnterpriseID = in.teamID, in.enterpriseID
	if in.org {
		e.TeamID = c.TeamID
	}
	s.tellLocked(e, in)
}

func clientMsgID() string {
	h := randomHex(16)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// deleteLocked takes a message away and says so. A root with replies stays as a tombstone.
func (s *events) deleteLocked(c *channel, m *Message, authorTeam string) {
	before := s.world.messageJSONLocked(c, m)
	m.Deleted = true
	s.noteLocked()
	subtype := "message_deleted"
	if c.replied(m) {
		subtype = "message_changed"
	}
	s.editEventLocked(c, m, subtype, before, authorTeam)
}

// editEventLocked sends message_changed or message_deleted: hidden messages whose author is nested.
func (s *events) editEventLocked(c *channel, m *Message, subtype string, before map[string]any, authorTeam string) {
	if m.Ephemeral {
		return
	}
	inner := map[string]any{"type": "message", "subtype": subtype, "hidden": true,
		"channel": c.ID, "channel_type": c.kind(), "ts": s.world.tsLocked(), "previous_message": before}
	if subtype == "message_changed" {
		inner["message"] = s.world.messageJSONLocked(c, m)
	} else {
		inner["deleted_ts"] = m.TS
	}
	s.tellOnceLocked(c, authorTeam, c.messageEvent(), inner)
}

// tellOnceLocked sends an event about a conversation to the first side that sees it and wants it, the author's first.
// Slack delivers an event once per app, even when two of its installations could see it.
func (s *events) tellOnceLocked(c *channel, authorTeam, name string, inner map[string]any) {
	for _, in := range s.oauth.sidesLocked(c, authorTeam) {
		if c.seenBy(in) && s.wantedLocked(in, name) {
			s.tellLocked(s.fromLocked(c, in, authorTeam, Event{Name: name, Inner: inner}), in)
			return
		}
	}
}

func (s *events) joinLocked(c *channel, whom, by string) {
	if c.has(whom) {
		return
	}
	c.Members = append(c.Members, whom)

	note := "joined #" + c.Name
	if by != "" {
		note = "was added to #" + c.Name + " by <@" + by + ">"
	}
	s.world.postLocked(c, &Message{User: whom, Text: note})

	for _, in := range s.oauth.sidesLocked(c, c.TeamID) {
		if !c.has(in.bot.userID) {
			continue
		}
		if s.wantedLocked(in, "member_joined_channel") {
			inner := map[string]any{"type": "member_joined_channel", "user": whom,
				"channel": c.ID, "channel_type": "C", "team": c.TeamID}
			if by != "" {
				inner["inviter"] = by
			}
			s.tellLocked(s.fromLocked(c, in, c.TeamID, Event{Inner: inner}), in)
		}

		if ts := c.pending[whom]; ts != "" && in.bot.userID == whom {
			delete(c.pending, whom)
			if m := c.find(ts); m != nil {
				author := c.TeamID
				if u := s.world.userLocked(m.User); u != nil {
					author = u.TeamID
				}
				s.mentionLocked(c, m, in, author)
			}
		}
	}
}

func (s *events) sendUninstallLocked(in *installation, order UninstallOrder, bots, users []string,
	delay time.Duration) {
	rev := Event{Name: "tokens_revoked", Inner: tokensRevoked(bots, users)}
	un := Event{Name: "app_uninstalled", Inner: map[string]any{"type": "app_uninstalled"}}

	list := map[UninstallOrder][]Event{
		RevokedFirst: {rev, un}, UninstalledFirst: {un, rev}, OnlyRevoked: {rev}, OnlyUninstalled: {un},
	}

	var ready []*outgoing
	for _, e := range list[order] {
		// Both come without authorizations: the tokens they would name are dead.
		e.TeamID, e.EnterpriseID, e.NoAuthorizations = in.teamID, in.enterpriseID, true
		if s.subscribedLocked(e.Name) {
			ready = append(ready, s.envelopeLocked(e, in))
		}
	}

	if delay > 0 {
		s.laterLocked(delay, func() { s.outbox.sendAll(ready) })
		return
	}
	s.outbox.sendLocked(ready...)
}

// tokensRevoked is the event that names the bots and people whose tokens died.
func tokensRevoked(bots, users []string) map[string]any {
	return map[string]any{"type": "tokens_revoked", "tokens": map[string]any{
		"bot": append([]string{}, bots...), "oauth": append([]string{}, users...),
	}}
}
