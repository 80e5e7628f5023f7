package slacksim

// The world: workspaces, people, channels, messages, views. Plain data behind the Sim's lock. What it causes (events,
// errors) is decided elsewhere.

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// Workspace is one Slack workspace. EnterpriseID is set when it belongs to an organisation.
type Workspace struct {
	ID, Name, Domain             string
	EnterpriseID, EnterpriseName string
	// AppsNeedApproval: plain members who press Allow end on a "request sent" page and the app's callback is never
	// called, as under Slack's app approval.
	AppsNeedApproval bool
}

// User is a person. Owner and PrimaryOwner imply Admin, as they normally do in Slack. TZ is an IANA name, default UTC.
type User struct {
	ID, TeamID, Name, RealName, TZ             string
	Admin, Owner, PrimaryOwner, Guest, Deleted bool
	// OrgAdmin is an admin of the organisation that the workspace belongs to, which implies Admin. Where an organisation
	// names nobody, every admin of one of its workspaces counts as one.
	OrgAdmin bool
	// AlsoIn are other workspaces of that organisation that the person belongs to, as a plain member.
	AlsoIn []string
}

// Location is the person's time zone.
func (u User) Location() *time.Location {
	if l, err := time.LoadLocation(u.TZ); err == nil {
		return l
	}
	return time.UTC
}

// Channel is a channel. Members holds user ids (the bot's too), SharedWith the ids of other workspaces that share it
// through Slack Connect.
type Channel struct {
	ID, TeamID, Name string
	Private          bool
	Members          []string
	SharedWith       []string
}

// Message is a message as a person sees it. Text is in Slack's own notation (mrkdwn, &amp; escapes).
type Message struct {
	TS, ThreadTS string
	User         string // who wrote it; the bot's user id for the app's messages, "USLACKBOT" for Slack's own notes
	BotID        string // messages of apps only
	AppID        string // those of other apps only (OtherBot)
	Username     string // of another app, or of a workflow, which has no User
	Subtype      string // as in Slack: "bot_message", "file_share", …; "" for most
	Files        []File
	Attachments  json.RawMessage // as the app sent them; nil when there are none
	Text         string
	Blocks       json.RawMessage // nil when there are none; ids filled in where the sender left them out
	Ephemeral    bool
	EphemeralTo  string
	Deleted      bool
	Edited       bool
	Reactions    map[string][]string // name → user ids
	Metadata     json.RawMessage     // of an app's message; nil when there is none
	Unfurls      map[string]Unfurl   // what the app shows for links in it, by URL
	At           time.Time

	// Streaming is what became of a message that an app writes bit by bit: "in_progress", "completed", or "errored" when
	// Slack ended it. It is "" for all others.
	Streaming string

	// AppGone: it has blocks, and the app was removed since. What can be pressed in them does nothing any more.
	AppGone bool
	// OffersApp: it is Slack's note that a mentioned app is not in the channel, and it still isn't.
	OffersApp bool

	run *execution // the execution of a function that it was made for

	client   string // client_msg_id: the same in all events about what a person wrote
	editedTS string // when it was last edited, as Slack writes times
}

// Slackbot is the user id of Slack's own notes to a person, as in Slack.
const Slackbot = "USLACKBOT"

type channel struct {
	Channel
	im       bool
	imUser   string
	read     string // a DM: ts of the newest message when its person last looked
	messages []*Message
	pending  map[string]string   // bot user id → ts of a mention that waits for an invitation
	sessions map[string]*session // of agents, by thread
}

type bot struct {
	userID, botID string
	home          string // team or enterprise id
}

type world struct {
	*engine
	teams    []*Workspace // in the order they were added, like users
	users    []*User
	teamByID map[string]*Workspace // there may be very many
	userByID map[string]*User
	channels []*channel
	bots     map[string]*bot     // by team or enterprise id; outlives the installation, as the bot user does in Slack
	contexts map[string][]Entity // what people have before them, by user id
	lastTS   int64               // microseconds of the newest message: timestamps are unique ids
}

// runsOrgLocked reports whether a person is an admin of this organisation.
func (s *world) runsOrgLocked(u *User, enterprise string) bool {
	t := s.teamLocked(u.TeamID)
	if t == nil || enterprise == "" || t.EnterpriseID != enterprise {
		return false
	}
	named := slices.ContainsFunc(s.users, func(x *User) bool {
		xt := s.teamLocked(x.TeamID)
		return x.OrgAdmin && !x.Deleted && xt != nil && xt.EnterpriseID == enterprise
	})
	return u.OrgAdmin || u.Admin && !named
}

// DM returns the id of the person's conversation with the app. It exists from the first question on. An unknown
// user has none: "".
func (s *Sim) DM(userID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.world.dmLocked(userID); c != nil {
		return c.ID
	}
	return ""
}

func (s *world) dmLocked(userID string) *channel {
	u := s.userLocked(userID)
	if u == nil {
		return nil
	}
	if c := first(s.channels, func(c *channel) bool { return c.im && c.imUser == userID }); c != nil {
		return c
	}
	c := &channel{im: true, imUser: userID, pending: map[string]string{}, Channel: Channel{
		ID: "D" + strings.TrimLeft(userID, "UW"), TeamID: u.TeamID, Private: true, Members: []string{userID},
	}}
	s.channels = append(s.channels, c)
	return c
}

func (c *channel) export() Channel {
	x := c.Channel
	x.Members, x.SharedWith = slices.Clone(x.Members), slices.Clone(x.SharedWith)
	return x
}

// Messages returns what viewerID sees in a conversation, oldest first, ephemeral messages for that person included.
// Deleted messages stay in the list, marked. An empty viewerID sees everything.
func (s *Sim) Messages(channelID, viewerID string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.world.channelLocked(channelID)
	if c == nil {
		return nil
	}
	var out []Message
	for _, m := range c.messages {
		if m.Ephemeral && viewerID != "" && m.EphemeralTo != viewerID {
			continue
		}
		x := *m
		x.Reactions, x.Unfurls = maps.Clone(m.Reactions), maps.Clone(m.Unfurls)
		x.AppGone = m.Blocks != nil && s.oauth.authorLocked(m) == nil
		if m.User == Slackbot && !c.im {
			for id := range c.pending {
				x.OffersApp = x.OffersApp || mentions(m.Text, id)
			}
		}
		out = append(out, x)
	}
	return out
}

func (s *world) teamLocked(id string) *Workspace { return s.teamByID[id] }

func (s *world) userLocked(id string) *User { return s.userByID[id] }

func (s *world) channelLocked(id string) *channel {
	return first(s.channels, func(c *channel) bool { return c.ID == id })
}

func (c Channel) inTeam(team string) bool {
	return c.TeamID == team || slices.Contains(c.SharedWith, team)
}

func (c Channel) has(user string) bool { return slices.Contains(c.Members, user) }

// VisibleTo reports whether a person may look into the conversation: any public channel of their workspace, else by
// membership.
func (c Channel) VisibleTo(u User) bool {
	return c.has(u.ID) || !c.Private && !u.Guest && c.inTeam(u.TeamID)
}

// replied reports whether a message has replies. Deleted, it then stays as a tombstone.
func (c *channel) replied(m *Message) bool {
	return slices.ContainsFunc(c.messages, func(x *Message) bool {
		return x.ThreadTS == m.TS && x != m && !x.Deleted && !x.Ephemeral
	})
}

// isReply reports whether m is in a thread, and not the message that the thread is about.
func (m *Message) isReply() bool { return m.ThreadTS != "" && m.ThreadTS != m.TS }

func (c *channel) find(ts string) *Message {
	return first(c.messages, func(m *Message) bool { return m.TS == ts })
}

func (c *channel) kind() string {
	switch {
	case c.im:
		return "im"
	case c.Private:
		return "group"
	default:
		return "channel"
	}
}

// botLocked is the bot user of a workspace or organisation, made on first use and kept across re-installs.
func (s *world) botLocked(home string) *bot {
	b := s.bots[home]
	if b == nil {
		b = &bot{userID: "U" + home[1:] + "BOT", botID: "B" + home[1:] + "BOT", home: home}
		if strings.HasPrefix(home, "E") {
			b.userID = "W" + home[1:] + "BOT"
		}
		s.bots[home] = b
	}
	return b
}

// botByUserLocked finds a bot by its user id or bot id.
func (s *world) botByUserLocked(id string) *bot {
	for _, b := range s.bots {
		if b.userID == id || b.botID == id {
			return b
		}
	}
	return nil
}

// nameLocked is what people call the bearer of an id.
func (s *world) nameLocked(id string) (name string, isApp bool) {
	if u := s.userLocked(id); u != nil {
		return u.RealName, false
	}
	if t := s.teamLocked(id); t != nil {
		return t.Name, false
	}
	if id != "" && slices.ContainsFunc(s.teams, func(t *Workspace) bool { return t.EnterpriseID == id }) {
		return s.enterpriseNameLocked(id), false
	}
	if s.botByUserLocked(id) != nil || id == s.app.ID && id != "" {
		return cmp.Or(s.app.Name, "App"), true
	}
	if id == Slackbot {
		return "Slackbot", false
	}
	return "", false
}

// authorLocked is the installation that a message comes from, or nil when the app was removed since or never wrote it.
func (s *oauth) authorLocked(m *Message) *installation {
	if b := s.world.botByUserLocked(m.User); b != nil {
		return s.installs[b.home]
	}
	return nil
}

// postLocked appends a message. The caller has checked everything.
func (s *world) postLocked(c *channel, m *Message) *Message {
	m.TS = s.tsLocked()
	m.At = s.clock.Now()
	c.messages = append(c.messages, m)
	s.noteLocked()
	return m
}

func (s *world) readLocked(user string) {
	c := s.dmLocked(user)
	if c == nil {
		return
	}
	if n := len(c.messages); n > 0 && c.messages[n-1].TS > c.read {
		c.read = c.messages[n-1].TS
		s.noteLocked()
	}
}

// noteToLocked is Slack's own word to one person.
func (s *world) noteToLocked(c *channel, user, text string) *Message {
	return s.postLocked(c, &Message{User: Slackbot, Text: text, Ephemeral: true, EphemeralTo: user})
}

func (s *world) memberLocked(userID, channelID string) (*User, *channel, error) {
	u := s.userLocked(userID)
	if u == nil || u.Deleted {
		return nil, nil, ErrNoUser
	}
	c := s.channelLocked(channelID)
	if c == nil || !c.VisibleTo(*u) {
		return nil, nil, ErrNoChannel
	}
	return u, c, nil
}

func (s *world) teamURLLocked(id string) string { return s.url + "/client/" + id + "/" }

// botNameLocked is the app's user name: its name in lower case without spaces.
func (s *world) botNameLocked() string {
	return cmp.Or(strings.ToLower(strings.Join(strings.Fields(s.app.Name), "")), "app")
}

// messageBlocksLocked checks blocks for a message. An empty array means none.
func (s *world) messageBlocksLocked(raw string) (json.RawMessage, []string) {
	return s.blocksLocked(blockkit.Message, raw)
}

func (s *world) blocksLocked(on blockkit.Surface, raw string) (json.RawMessage, []string) {
	out, msgs := blockkit.CheckBlocks(on, json.RawMessage(raw), s.idLocked)
	if len(msgs) > 0 || string(out) == "[]" || string(out) == "null" {
		return nil, msgs
	}
	return out, nil
}

// namedLocked is a workspace's channel of this name.
func (s *world) namedLocked(team, name string) (found *channel) {
	for _, c := range s.channels {
		if !c.im && c.inTeam(team) && c.Name == name {
			found = c
		}
	}
	return found
}

// messageJSONLocked is a message as the API and events show it.
func (s *world) messageJSONLocked(c *channel, m *Message) map[string]any {
	if m.Deleted {
		return tombstone(m)
	}
	out := map[string]any{"type": "message", "ts": m.TS, "text": m.Text}
	for k, v := range map[string]string{"user": m.User, "subtype": m.Subtype, "thread_ts": m.ThreadTS,
		"username": m.Username, "client_msg_id": m.client, "streaming_state": m.Streaming} {
		if v != "" {
			out[k] = v
		}
	}
	root := s.rootLocked(c, m)
	if root != nil {
		out["parent_user_id"] = root.User
	}
	if x := c.sessions[m.TS]; x != nil {
		out["agent_session"] = x.json()
	}
	if m.Blocks != nil {
		out["blocks"] = m.Blocks
	}
	if m.Attachments != nil || m.Unfurls != nil {
		var sent []any
		_ = blockkit.Decode(m.Attachments, &sent)
		out["attachments"] = append(sent, s.unfurledJSONLocked(m)...)
	}
	if m.Subtype == "thread_broadcast" && root != nil {
		out["root"] = s.messageJSONLocked(c, root)
	}
	if m.Files != nil {
		out["files"], out["upload"] = s.filesJSON(c, m.Files), false
	}
	if u := s.userLocked(m.User); u != nil {
		out["team"] = u.TeamID
	}

	maps.Copy(out, s.botJSONLocked(c, m))
	if m.Edited {
		out["edited"] = map[string]any{"user": m.User, "ts": cmp.Or(m.editedTS, m.TS)}
	}
	return out
}

// botJSONLocked is what a message tells of the app or the bot that wrote it, nothing for a person's.
func (s *world) botJSONLocked(c *channel, m *Message) map[string]any {
	switch {
	case m.AppID != "":
		return map[string]any{"bot_id": m.BotID, "app_id": m.AppID, "team": c.TeamID, "bot_profile": map[string]any{
			"id": m.BotID, "app_id": m.AppID, "name": m.Username, "deleted": false, "team_id": c.TeamID,
			"updated": m.At.Unix(), "user_id": m.User,
		}}
	case m.BotID == "":
		return nil
	}

	home := c.TeamID
	if b := s.botByUserLocked(m.BotID); b != nil && !strings.HasPrefix(b.home, "E") {
		home = b.home
	}
	return map[string]any{"bot_id": m.BotID, "app_id": s.app.ID, "team": home, "bot_profile": map[string]any{
		"id": m.BotID, "app_id": s.app.ID, "name": s.app.Name, "deleted": false, "team_id": home, "updated": m.At.Unix(),
		"user_id": m.User, "icons": s.iconsLocked(),
	}}
}

// contextLocked is what a person has before them, as events tell it.
func (s *world) contextLocked(userID string) map[string]any {
	out := map[string]any{}
	if list := s.contexts[userID]; len(list) > 0 {
		out["entities"] = list
	}
	return out
}

func (s *world) rootLocked(c *channel, m *Message) *Message {
	if m.ThreadTS == "" || m.ThreadTS == m.TS {
		return nil
	}
	return c.find(m.ThreadTS)
}

// tombstone stands where a deleted message was that has replies.
func tombstone(m *Message) map[string]any {
	return map[string]any{"type": "message", "subtype": "tombstone", "user": Slackbot, "hidden": true, "ts": m.TS,
		"thread_ts": m.TS, "text": "This message was deleted."}
}

func (s *world) iconsLocked() map[string]any {
	out := map[string]any{}
	for _, n := range []string{"36", "48", "72"} {
		out["image_"+n] = s.url + "/icon/" + s.app.ID + "-" + n + ".svg"
	}
	return out
}

func (s *world) firstAdminLocked(team string) *User {
	member := func(u *User) bool { return u.TeamID == team && !u.Deleted && !u.Guest }
	admin := first(s.users, func(u *User) bool { return member(u) && u.Admin })
	return cmp.Or(admin, first(s.users, member))
}

func (s *world) enterpriseNameLocked(id string) string {
	named := func(t *Workspace) bool { return t.EnterpriseID == id && t.EnterpriseName != "" }
	if t := first(s.teams, named); t != nil {
		return t.EnterpriseName
	}
	return id
}

// idLocked makes an id that is unique here, readable and the same in every run: C0SIM00007.
func (s *world) idLocked(prefix string) string {
	s.serial++
	return fmt.Sprintf("%s0SIM%05d", prefix, s.serial)
}

// tsLocked makes the next message timestamp. Slack uses it as the message's id, so it never repeats.
func (s *world) tsLocked() string {
	us := max(s.clock.Now().UnixMicro(), s.lastTS+1)
	s.lastTS = us
	return fmt.Sprintf("%d.%06d", us/1e6, us%1e6)
}
