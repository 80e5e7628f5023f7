package slacksim

// What people do. The forms of the chat (slacksim/web) call these same methods, so a test that calls them does what a
// click does.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"switchboard/slacksim/internal/blockkit"
)

// Errors of what people try.
var (
	ErrNoUser       = errors.New("no such person")
	ErrNoChannel    = errors.New("no such conversation, or the person is not in it")
	ErrNoMessage    = errors.New("no such message, or the person does not see it")
	ErrNoAction     = errors.New("no such button or menu there")
	ErrNoView       = errors.New("no such open view")
	ErrNotInstalled = errors.New("the app is not installed there")
	ErrNoCommand    = errors.New("the app has no such command")
)

// object is JSON that is sent.
type object = blockkit.Object

// Say posts a message as a person, in Slack's own notation ("<@U…> hello", with &amp; for &), and returns its ts. Events
// follow in the background, as subscribed and granted: message.channels, .groups or .im where the app is a member, and
// app_mention when the text mentions its bot user. A mention in a channel the app is not in causes no event: Slack
// offers the person to add the app, and the event follows when they do (Invite). A person of another workspace may
// write in a channel shared with theirs; the outer team_id is then the author's and the authorization the installed
// side's. docs.slack.dev/reference/events/message, /app_mention, /apis/slack-connect
func (s *Sim) Say(ctx context.Context, userID, channelID, text string) (ts string, err error) {
	return s.Reply(ctx, userID, channelID, "", text)
}

// Reply is Say in the thread of another message.
func (s *Sim) Reply(_ context.Context, userID, channelID, threadTS, text string) (ts string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, c, err := s.memberLocked(userID, channelID)
	if err != nil {
		return "", fmt.Errorf("say: %w", err)
	}
	if threadTS != "" && c.find(threadTS) == nil {
		return "", fmt.Errorf("say: %w", ErrNoMessage)
	}
	if !c.im && !c.has(u.ID) {
		c.Members = append(c.Members, u.ID) // writing to a public channel joins it
	}
	m := s.postLocked(c, &Message{User: userID, Text: text, ThreadTS: threadTS})
	s.messageEventsLocked(c, m, u.TeamID)
	return m.TS, nil
}

// Type does what the message box does with what a person typed, in a thread where threadTS is one: it says it, or runs
// it as a command. Names become mentions. /invite is Slack's own command; in a thread Slack takes none, and says so.
func (s *Sim) Type(ctx context.Context, userID, channelID, threadTS, text string) error {
	isCommand := strings.HasPrefix(text, "/")
	who, isInvite := strings.CutPrefix(text, "/invite ")
	if isCommand && threadTS != "" {
		return s.refuseInThread(userID, channelID, threadTS, text)
	}
	if isInvite {
		who = s.encode(userID, strings.TrimSpace(who))
		return s.Invite(ctx, userID, channelID, strings.Trim(who, "<@>"))
	}
	if isCommand {
		_, err := s.Command(ctx, userID, channelID, text)
		return err
	}
	_, err := s.Reply(ctx, userID, channelID, threadTS, s.encode(userID, text))
	return err
}

// encode turns what a person typed into Slack's notation.
func (s *Sim) encode(userID, text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.userLocked(userID); u != nil {
		return s.encodeLocked(text, u.TeamID, false)
	}
	return text
}

// refuseInThread is what Slack does with a slash command typed in a thread, its own ones included: a note, and nothing
// for the app.
func (s *Sim) refuseInThread(userID, channelID, threadTS, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, c, err := s.memberLocked(userID, channelID)
	if err != nil {
		return err
	}
	if c.find(threadTS) == nil {
		return ErrNoMessage
	}
	s.postLocked(c, &Message{User: Slackbot, ThreadTS: threadTS, Ephemeral: true, EphemeralTo: userID,
		Text: "`" + blockkit.Escape(strings.Fields(text)[0]) + "` is not supported in threads. Sorry!"})
	return nil
}

func (s *Sim) memberLocked(userID, channelID string) (*User, *channel, error) {
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

// sidesLocked lists the installations that could see a conversation, the author's side first.
func (s *Sim) sidesLocked(c *channel, authorTeam string) []*installation {
	var out []*installation
	for _, team := range append([]string{authorTeam, c.TeamID}, c.SharedWith...) {
		if !c.inTeam(team) {
			continue
		}
		if in := s.installLocked(team); in != nil && !slices.Contains(out, in) {
			out = append(out, in)
		}
	}
	return out
}

// messageEventsLocked sends what a new message causes. Slack delivers an event once per app, even when two of its
// installations could see it, so one side is picked: where the bot is a member, the author's first.
func (s *Sim) messageEventsLocked(c *channel, m *Message, authorTeam string) {
	if m.Ephemeral {
		return
	}
	if authorTeam == "" {
		authorTeam = c.TeamID
	}
	var in *installation
	for _, x := range s.sidesLocked(c, authorTeam) {
		if c.im || c.has(x.bot.userID) {
			in = x
			break
		}
	}
	var list []*outgoing
	name := map[string]string{"im": "message.im", "group": "message.groups", "channel": "message.channels"}[c.kind()]
	if s.wantedLocked(in, name) {
		inner := s.messageJSONLocked(c, m)
		inner["channel"], inner["channel_type"], inner["event_ts"] = c.ID, c.kind(), m.TS
		if m.BotID == "" {
			inner["client_msg_id"] = clientMsgID()
		}
		list = append(list, s.envelopeLocked(s.fromLocked(c, in, authorTeam, Event{Name: name, Inner: inner}), in))
	}
	if !c.im && m.BotID == "" {
		list = append(list, s.mentionsLocked(c, m, authorTeam)...)
	}
	for _, o := range list {
		s.spawnLocked(func() { s.sendAll([]*outgoing{o}) }) // apart: Slack promises no order between the two
	}
}

// fromLocked fills in the outer ids of a message event: the author's side.
func (s *Sim) fromLocked(c *channel, in *installation, authorTeam string, e Event) Event {
	e.TeamID = authorTeam
	if t := s.teamLocked(authorTeam); t != nil {
		e.EnterpriseID = t.EnterpriseID
	}
	e.ExtShared = len(c.SharedWith) > 0
	if i := slices.IndexFunc(append([]string{authorTeam, c.TeamID}, c.SharedWith...), in.covers); i >= 0 {
		e.context = append([]string{authorTeam, c.TeamID}, c.SharedWith...)[i]
	}
	if inner, ok := e.Inner.(map[string]any); ok && e.ExtShared && !in.covers(authorTeam) {
		inner["user_team"], inner["source_team"] = authorTeam, authorTeam
	}
	return e
}

// mentionsLocked makes the app_mention events of a message. For these the outer team_id is the installed side.
func (s *Sim) mentionsLocked(c *channel, m *Message, authorTeam string) (list []*outgoing) {
	for _, in := range s.sidesLocked(c, authorTeam) {
		if !mentions(m.Text, in.bot.userID) {
			continue
		}
		if !c.has(in.bot.userID) {
			c.pending[in.bot.userID] = m.TS
			s.noteToLocked(c, m.User, "You mentioned <@"+in.bot.userID+">, but they’re not in this channel.")
			continue
		}
		if o := s.mentionLocked(c, m, in, authorTeam); o != nil {
			list = append(list, o)
		}
	}
	return list
}

func mentions(text, id string) bool {
	return strings.Contains(text, "<@"+id+">") || strings.Contains(text, "<@"+id+"|")
}

func (s *Sim) mentionLocked(c *channel, m *Message, in *installation, authorTeam string) *outgoing {
	if !s.wantedLocked(in, "app_mention") {
		return nil
	}
	inner := s.messageJSONLocked(c, m)
	inner["type"], inner["channel"], inner["event_ts"] = "app_mention", c.ID, m.TS
	inner["client_msg_id"] = clientMsgID()
	e := s.fromLocked(c, in, authorTeam, Event{Inner: inner})
	e.TeamID, e.EnterpriseID = in.teamID, in.enterpriseID
	if in.org {
		e.TeamID = c.TeamID
	}
	return s.envelopeLocked(e, in)
}

func clientMsgID() string {
	h := randomHex(16)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// editEventLocked sends message_changed or message_deleted: hidden messages whose author is nested.
func (s *Sim) editEventLocked(c *channel, m *Message, subtype string, before map[string]any) {
	name := map[string]string{"im": "message.im", "group": "message.groups", "channel": "message.channels"}[c.kind()]
	for _, in := range s.sidesLocked(c, c.TeamID) {
		if !(c.im || c.has(in.bot.userID)) || !s.wantedLocked(in, name) {
			continue
		}
		inner := map[string]any{"type": "message", "subtype": subtype, "hidden": true, "channel": c.ID, "channel_type": c.kind(),
			"ts": s.tsLocked(), "previous_message": before}
		if subtype == "message_changed" {
			inner["message"] = s.messageJSONLocked(c, m)
		} else {
			inner["deleted_ts"] = m.TS
		}
		o := s.envelopeLocked(s.fromLocked(c, in, c.TeamID, Event{Name: name, Inner: inner}), in)
		s.spawnLocked(func() { s.sendAll([]*outgoing{o}) })
		return
	}
}

// Invite adds someone to a channel: a person, or the app by its bot user id. The app gets member_joined_channel, and a
// mention that waited for the invitation is delivered now. Inviting a member is harmless.
func (s *Sim) Invite(_ context.Context, byUserID, channelID, whom string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, c, err := s.memberLocked(byUserID, channelID)
	if err != nil {
		return fmt.Errorf("invite: %w", err)
	}
	if c.im {
		return fmt.Errorf("invite: %w", ErrNoChannel)
	}
	b := s.botByUserLocked(whom)
	if b == nil && s.userLocked(whom) == nil {
		return fmt.Errorf("invite: %w", ErrNoUser)
	}
	if b != nil && s.installs[b.home] == nil {
		return fmt.Errorf("invite: %w", ErrNotInstalled)
	}
	s.joinLocked(c, whom, byUserID)
	return nil
}

func (s *Sim) joinLocked(c *channel, whom, by string) {
	if c.has(whom) {
		return
	}
	c.Members = append(c.Members, whom)
	note := "joined " + "#" + c.Name
	if by != "" {
		note = "was added to #" + c.Name + " by <@" + by + ">"
	}
	s.postLocked(c, &Message{User: whom, Text: note})
	for _, in := range s.sidesLocked(c, c.TeamID) {
		if !c.has(in.bot.userID) {
			continue
		}
		if s.wantedLocked(in, "member_joined_channel") {
			inner := map[string]any{"type": "member_joined_channel", "user": whom, "channel": c.ID, "channel_type": "C", "team": c.TeamID}
			if by != "" {
				inner["inviter"] = by
			}
			o := s.envelopeLocked(s.fromLocked(c, in, c.TeamID, Event{Inner: inner}), in)
			s.spawnLocked(func() { s.sendAll([]*outgoing{o}) })
		}
		if ts := c.pending[whom]; ts != "" && in.bot.userID == whom {
			delete(c.pending, whom)
			if m := c.find(ts); m != nil {
				author := c.TeamID
				if u := s.userLocked(m.User); u != nil {
					author = u.TeamID
				}
				if o := s.mentionLocked(c, m, in, author); o != nil {
					s.spawnLocked(func() { s.sendAll([]*outgoing{o}) })
				}
			}
		}
	}
}

// CommandReply is what came of a slash command.
type CommandReply struct {
	Ack
	Text    string  // what the person reads first: the reply's text, Shown, or "" for a silent acknowledgement
	Message Message // the reply as shown; zero when there was none
}

// Command types a slash command ("/connection status") into a conversation. It sends one signed request, never retried,
// waits for the answer and shows it as Slack would: a reply to the person alone unless response_type is in_channel, and
// Slack's own words when the app answered late, with a status other than 200, or not at all.
// err is for what never reaches the app: an unknown person, conversation or command, or no installation.
// docs.slack.dev/interactivity/implementing-slash-commands
func (s *Sim) Command(ctx context.Context, userID, channelID, line string) (CommandReply, error) {
	s.mu.Lock()
	u, c, err := s.memberLocked(userID, channelID)
	if err != nil {
		s.mu.Unlock()
		return CommandReply{}, fmt.Errorf("command: %w", err)
	}
	name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	i := slices.IndexFunc(s.app.Commands, func(x Command) bool { return x.Name == name })
	// Commands belong to the members of the installing workspace, also in shared channels.
	in := s.installLocked(u.TeamID)
	if i < 0 || in == nil || !in.has("commands") {
		s.noteToLocked(c, userID, blockkit.Escape(name)+" is not a valid command.")
		s.mu.Unlock()
		if i < 0 {
			return CommandReply{}, fmt.Errorf("command %s: %w", name, ErrNoCommand)
		}
		return CommandReply{}, fmt.Errorf("command %s: %w", name, ErrNotInstalled)
	}
	if s.app.Commands[i].ShouldEscape {
		rest = s.encodeLocked(rest, u.TeamID, true)
	}
	team := s.teamLocked(u.TeamID)
	hookURL := s.newHookLocked(in, userID, c.ID, "")
	h := s.hooks[hookURL[strings.LastIndexByte(hookURL, '/')+1:]]
	form := url.Values{
		"token": {"deprecated-verification-token"}, "team_id": {u.TeamID}, "team_domain": {team.Domain},
		"channel_id": {c.ID}, "channel_name": {commandChannelName(c)}, "user_id": {u.ID}, "user_name": {u.Name},
		"command": {name}, "text": {rest}, "response_url": {hookURL}, "api_app_id": {s.app.ID},
		"trigger_id": {s.newTriggerLocked(in, u.ID, u.TeamID)}, "is_enterprise_install": {fmt.Sprint(in.org)},
	}
	if team.EnterpriseID != "" {
		form.Set("enterprise_id", team.EnterpriseID)
		form.Set("enterprise_name", s.enterpriseNameLocked(team.EnterpriseID))
	}
	to := s.app.commandsURL()
	s.mu.Unlock()

	o := &outgoing{kind: "command", typ: name, team: u.TeamID, body: []byte(form.Encode())}
	r := CommandReply{Ack: s.post(ctx, o, to, sending{})}
	if ctx.Err() != nil || s.life.Err() != nil {
		return r, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Err == "http_timeout":
		r.Shown = name + " failed with the error \"operation_timeout\""
	case r.Status == 0:
		r.Shown = name + " failed because the app did not respond."
	case r.Status != http.StatusOK:
		r.Shown = name + " failed with the error \"http_service_error\""
		s.breachLocked(RuleCommandStatus, "%s was answered with HTTP %d", name, r.Status)
	default:
		s.showReplyLocked(&r, h, c, name)
	}
	if r.Shown != "" {
		r.Text = r.Shown
		r.Message = *s.noteToLocked(c, userID, blockkit.Escape(r.Shown))
	}
	return r, nil
}

// showReplyLocked shows a 200's body: nothing, plain text, or a message.
func (s *Sim) showReplyLocked(r *CommandReply, h *hook, c *channel, name string) {
	body := strings.TrimSpace(string(r.Body))
	if body == "" {
		return
	}
	var p hookPost
	ct := r.Header.Get("Content-Type")
	switch {
	case strings.HasPrefix(ct, "application/json"):
		if err := json.Unmarshal(r.Body, &p); err != nil {
			s.breachLocked(RuleCommandBody, "%s: the reply says it is JSON and is not", name)
			r.Shown = name + " failed with the error \"invalid_command_response\""
			return
		}
	case strings.HasPrefix(body, "{") && json.Unmarshal(r.Body, &p) == nil && (p.Text != "" || p.Blocks != nil):
		// Slack shows such a body as raw text: the Content-Type decides.
		s.breachLocked(RuleCommandBody, "%s: a JSON reply without Content-Type application/json", name)
		p = hookPost{Text: body}
	default:
		p.Text = body
	}
	m, code, _ := s.answerLocked(h, c, &p, RuleCommandBody)
	if code != "" {
		r.Shown = name + " failed with the error \"" + code + "\""
		return
	}
	r.Text, r.Message = m.Text, *m
}

func commandChannelName(c *channel) string {
	switch c.kind() {
	case "im":
		return "directmessage"
	case "group":
		return "privategroup"
	}
	return c.Name
}

var wireToken = regexp.MustCompile(`<[@#!][^<>]*>`)

// encodeLocked turns what a person typed into Slack's notation: escapes, @name, #channel. Notation already there stays.
// With labels mentions carry the name, as in commands.
func (s *Sim) encodeLocked(text, team string, labels bool) string {
	var b strings.Builder
	last := 0
	for _, at := range wireToken.FindAllStringIndex(text, -1) {
		b.WriteString(s.encodePlainLocked(text[last:at[0]], team, labels))
		b.WriteString(text[at[0]:at[1]])
		last = at[1]
	}
	b.WriteString(s.encodePlainLocked(text[last:], team, labels))
	return b.String()
}

func (s *Sim) encodePlainLocked(text, team string, labels bool) string {
	text = blockkit.Escape(text)
	replace := func(word, id, label string) {
		if word == "@" || word == "#" {
			return
		}
		if labels && label != "" {
			id += "|" + label
		}
		re := regexp.MustCompile(`(?i)(^|[\s(])` + regexp.QuoteMeta(blockkit.Escape(word)) + `($|[^\w-])`)
		// Twice, since a match eats the blank that the next one needs.
		for range 2 {
			text = re.ReplaceAllString(text, "${1}<"+word[:1]+id+">${2}")
		}
	}
	if in := s.installLocked(team); in != nil {
		replace("@"+s.app.Name, in.bot.userID, s.botNameLocked())
		replace("@"+s.botNameLocked(), in.bot.userID, s.botNameLocked())
	}
	for _, u := range s.users {
		if u.TeamID == team {
			replace("@"+u.RealName, u.ID, u.Name)
			replace("@"+u.Name, u.ID, u.Name)
		}
	}
	for _, c := range s.channels {
		if !c.im && c.inTeam(team) {
			replace("#"+c.Name, c.ID, map[bool]string{true: "", false: c.Name}[c.Private])
		}
	}
	return text
}

// OpenHome opens the app's conversation at a tab, "home" or "messages", and sends app_home_opened. The home view comes
// along only if one was published. docs.slack.dev/reference/events/app_home_opened
func (s *Sim) OpenHome(_ context.Context, userID, tab string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.userLocked(userID)
	if u == nil {
		return fmt.Errorf("open home: %w", ErrNoUser)
	}
	in := s.installLocked(u.TeamID)
	if in == nil {
		return fmt.Errorf("open home: %w", ErrNotInstalled)
	}
	if tab == "" {
		tab = "home"
	}
	if tab == "messages" {
		s.readLocked(userID)
	}
	if !s.wantedLocked(in, "app_home_opened") {
		return nil
	}
	inner := map[string]any{"type": "app_home_opened", "user": userID, "channel": s.dmLocked(userID).ID, "tab": tab}
	if v := s.homes[userID]; v != nil && tab == "home" {
		inner["view"] = s.viewJSONLocked(v, nil)
	}
	e := Event{TeamID: u.TeamID, EnterpriseID: in.enterpriseID, Inner: inner}
	o := s.envelopeLocked(e, in)
	s.spawnLocked(func() { s.sendAll([]*outgoing{o}) })
	return nil
}

// Input is what a person chose in one element: Value for typed text and single choices, Values for several.
type Input struct {
	Value  string
	Values []string
}

// Inputs are those of a form, by block_id and action_id. What is left out keeps its initial value.
type Inputs map[string]map[string]Input

// Form is what a page sends when a person presses something in it.
type Form struct {
	// ActionID names the element; where BlockID is empty, the first one of that name.
	BlockID, ActionID string
	// Value is what a menu was set to.
	Value []string
	// Inputs are what the other elements held.
	Inputs Inputs
}

// Press presses a button, or changes a menu, in a message and waits for the acknowledgement. value is what a menu was
// set to and is left out for buttons. The person may come from another workspace if the channel is shared. Interactions
// are never retried. docs.slack.dev/reference/interaction-payloads/block_actions-payload
func (s *Sim) Press(ctx context.Context, userID, channelID, ts, actionID string, value ...string) (Ack, error) {
	return s.PressInMessage(ctx, userID, channelID, ts, Form{ActionID: actionID, Value: value})
}

// PressInMessage is Press with the whole form that the message's elements are.
func (s *Sim) PressInMessage(ctx context.Context, userID, channelID, ts string, f Form) (Ack, error) {
	s.mu.Lock()
	c, in, p, err := s.pressedLocked(userID, channelID, ts, f)
	s.mu.Unlock()
	if err != nil {
		return Ack{}, fmt.Errorf("press %s: %w", f.ActionID, err)
	}

	ack := s.interact(ctx, in, p)
	if ack.Shown != "" {
		s.mu.Lock()
		s.noteToLocked(c, userID, ack.Shown)
		s.mu.Unlock()
	}
	return ack, nil
}

// pressedLocked is the payload of a press in a message, the conversation it is in and the installation it is for.
func (s *Sim) pressedLocked(userID, channelID, ts string, f Form) (*channel, *installation, object, error) {
	u, c, err := s.memberLocked(userID, channelID)
	if err != nil {
		return nil, nil, nil, err
	}
	m := c.find(ts)
	if m == nil || m.Deleted || m.Ephemeral && m.EphemeralTo != userID {
		return nil, nil, nil, ErrNoMessage
	}
	action := s.actionLocked(m.Blocks, f)
	if action == nil {
		return nil, nil, nil, ErrNoAction
	}
	in := s.authorLocked(m)
	if in == nil {
		return nil, nil, nil, ErrNotInstalled
	}

	p := s.interactionLocked(in, u, "block_actions")
	container := object{"type": "message", "message_ts": m.TS, "channel_id": c.ID, "is_ephemeral": m.Ephemeral}
	if m.ThreadTS != "" {
		container["thread_ts"] = m.ThreadTS
	}
	p["container"] = container
	p["channel"] = object{"id": c.ID, "name": commandChannelName(c)}
	p["response_url"] = s.newHookLocked(in, userID, c.ID, m.TS)
	p["state"] = object{"values": s.stateLocked(m.Blocks, f.Inputs)}
	p["actions"] = []any{action}
	if !m.Ephemeral {
		p["message"] = s.messageJSONLocked(c, m) // Slack leaves the message out for ephemeral ones
	}
	return c, in, p, nil
}

// PressHome is Press in the person's Home tab.
func (s *Sim) PressHome(ctx context.Context, userID, actionID string, value ...string) (Ack, error) {
	return s.PressInView(ctx, userID, "", Form{ActionID: actionID, Value: value})
}

// PressView is Press in an open modal.
func (s *Sim) PressView(ctx context.Context, userID, viewID, actionID string, value ...string) (Ack, error) {
	return s.PressInView(ctx, userID, viewID, Form{ActionID: actionID, Value: value})
}

// PressInView is PressView with the whole form, or PressHome for an empty viewID.
func (s *Sim) PressInView(ctx context.Context, userID, viewID string, f Form) (Ack, error) {
	s.mu.Lock()
	u := s.userLocked(userID)
	v := s.homes[userID]
	if viewID != "" {
		v, _ = s.findViewLocked(userID, viewID)
	}
	if u == nil || v == nil {
		s.mu.Unlock()
		return Ack{}, fmt.Errorf("press %s: %w", f.ActionID, ErrNoView)
	}
	if s.installs[v.inst.home] != v.inst {
		s.mu.Unlock()
		return Ack{}, fmt.Errorf("press %s: %w", f.ActionID, ErrNotInstalled)
	}
	action := s.actionLocked(v.Blocks, f)
	if action == nil {
		s.mu.Unlock()
		return Ack{}, fmt.Errorf("press %s: %w", f.ActionID, ErrNoAction)
	}
	p := s.interactionLocked(v.inst, u, "block_actions")
	p["container"] = object{"type": "view", "view_id": v.ID}
	values := s.stateLocked(v.Blocks, f.Inputs)
	p["view"] = s.viewJSONLocked(v, values)
	p["actions"] = []any{action}
	v.Errors, v.Typed = nil, f.Inputs
	s.mu.Unlock()

	ack := s.interact(ctx, v.inst, p)
	if ack.Shown != "" {
		s.mu.Lock()
		v.Errors = map[string]string{"": ack.Shown}
		s.noteLocked()
		s.mu.Unlock()
	}
	return ack, nil
}

// interactionLocked holds the fields all interaction payloads share.
func (s *Sim) interactionLocked(in *installation, u *User, typ string) object {
	team := s.teamLocked(u.TeamID)
	p := object{
		"type": typ, "token": "deprecated-verification-token", "api_app_id": s.app.ID, "enterprise": nil,
		"is_enterprise_install": in.org, "trigger_id": s.newTriggerLocked(in, u.ID, u.TeamID),
		"user": object{"id": u.ID, "username": u.Name, "name": u.Name, "team_id": u.TeamID},
	}
	// team is the installed side; someone from outside shows by user.team_id alone.
	side := team
	outside := !s.relatedLocked(in, u.TeamID)
	if outside && !in.org && !s.app.OutsidersNameTheirOwn {
		side = s.teamLocked(in.teamID)
	}
	if side != nil {
		p["team"] = object{"id": side.ID, "domain": side.Domain}
		if side.EnterpriseID != "" {
			p["team"].(object)["enterprise_id"] = side.EnterpriseID
			p["team"].(object)["enterprise_name"] = s.enterpriseNameLocked(side.EnterpriseID)
		}
	}
	if outside && s.app.OutsidersNameTheirOwn {
		p["is_enterprise_install"] = false
		if team.EnterpriseID != "" {
			p["enterprise"] = object{"id": team.EnterpriseID, "name": s.enterpriseNameLocked(team.EnterpriseID)}
		}
		return p
	}
	if in.org {
		p["team"] = nil // organisation-wide: only the person's side says which workspace
	}
	if in.enterpriseID != "" {
		p["enterprise"] = object{"id": in.enterpriseID, "name": s.enterpriseNameLocked(in.enterpriseID)}
	}
	return p
}

// interact sends an interaction. Anything but 200 shows the person a warning.
func (s *Sim) interact(ctx context.Context, in *installation, p object) Ack {
	raw, _ := json.Marshal(p)
	typ := blockkit.Text(p["type"])
	s.mu.Lock()
	to := s.app.interactivityURL()
	s.mu.Unlock()
	body := url.Values{"payload": {string(raw)}}.Encode()
	ack := s.post(ctx, &outgoing{kind: "interaction", typ: typ, team: in.home, body: []byte(body)}, to, sending{})
	if ack.Status != 0 && ack.Status != http.StatusOK {
		s.breach(RuleActionStatus, "%s was answered with HTTP %d", typ, ack.Status)
	}
	if ack.Status != http.StatusOK && s.life.Err() == nil && ctx.Err() == nil {
		ack.Shown = "This app responded with an error. (" + ack.Err + ")"
		if ack.Err == "http_timeout" {
			ack.Shown = "This app did not respond in time."
		}
	}
	return ack
}

// actionLocked builds the entry of actions[] for what was pressed, or nil if blocks have no such element.
func (s *Sim) actionLocked(blocks json.RawMessage, f Form) object {
	var out object
	blockkit.EachElement(blocks, func(b, e object, _ bool) {
		if out != nil || blockkit.Text(e["action_id"]) != f.ActionID ||
			f.BlockID != "" && f.BlockID != blockkit.Text(b["block_id"]) {
			return
		}
		a := object{"type": e["type"], "action_id": f.ActionID, "block_id": b["block_id"],
			"action_ts": fmt.Sprintf("%d.%06d", s.clock.Now().Unix(), s.clock.Now().Nanosecond()/1000)}
		if e["type"] == "button" {
			a["text"] = e["text"]
			for _, k := range []string{"value", "style", "url"} {
				if e[k] != nil {
					a[k] = e[k]
				}
			}
		} else {
			in := Input{Values: f.Value}
			if len(f.Value) > 0 {
				in.Value = f.Value[0]
			}
			maps.Copy(a, elementState(e, in))
		}
		out = a
	})
	return out
}

// elementState is what state.values holds for one element with an input.
func elementState(e object, in Input) object {
	typ := blockkit.Text(e["type"])
	out := object{"type": typ}
	all := in.Values
	if len(all) == 0 && in.Value != "" {
		all = []string{in.Value}
	}
	pick := func() []any {
		list := []any{}
		blockkit.EachOption(e, func(o object) {
			// A single choice whose value holds a comma is not a list.
			if v := blockkit.Text(o["value"]); slices.Contains(all, v) || v == in.Value && v != "" {
				list = append(list, o)
			}
		})
		return list
	}
	switch typ {
	case "static_select", "radio_buttons", "overflow", "external_select":
		out["selected_option"] = nil
		if l := pick(); len(l) > 0 {
			out["selected_option"] = l[0]
		} else if typ == "external_select" && in.Value != "" {
			out["selected_option"] = object{"text": object{"type": "plain_text", "text": in.Value}, "value": in.Value}
		}
	case "multi_static_select", "checkboxes", "multi_external_select":
		out["selected_options"] = pick()
	case "users_select":
		out["selected_user"] = nullable(in.Value)
	case "channels_select":
		out["selected_channel"] = nullable(in.Value)
	case "conversations_select":
		out["selected_conversation"] = nullable(in.Value)
	case "multi_users_select":
		out["selected_users"] = all
	case "multi_channels_select":
		out["selected_channels"] = all
	case "multi_conversations_select":
		out["selected_conversations"] = all
	case "datepicker":
		out["selected_date"] = nullable(in.Value)
	case "timepicker":
		out["selected_time"] = nullable(in.Value)
	case "datetimepicker":
		out["selected_date_time"] = nil
		if t, err := time.Parse("2006-01-02T15:04", in.Value); err == nil {
			out["selected_date_time"] = t.Unix()
		}
	default:
		out["value"] = nullable(in.Value)
	}
	return out
}

// stateLocked builds state.values: the given inputs over the initial ones, for every element but buttons.
func (s *Sim) stateLocked(blocks json.RawMessage, given Inputs) map[string]map[string]any {
	out := map[string]map[string]any{}
	blockkit.EachElement(blocks, func(b, e object, _ bool) {
		switch e["type"] {
		case "button", "overflow", "image":
			return
		}
		bid, aid := blockkit.Text(b["block_id"]), blockkit.Text(e["action_id"])
		in, ok := given[bid][aid]
		if !ok {
			in.Value, in.Values = blockkit.Initial(e)
		}
		if out[bid] == nil {
			out[bid] = map[string]any{}
		}
		out[bid][aid] = elementState(e, in)
	})
	return out
}

// SubmitView presses a modal's submit button. values holds, by block_id and action_id, what was typed or chosen (for
// several choices, comma-separated); inputs left out keep their initial values. The acknowledgement does what Slack
// does with it: an empty body closes the view, response_action may show errors, update, push or clear; anything else is
// a breach and shows the person an error. docs.slack.dev/reference/interaction-payloads/view-interactions-payload
func (s *Sim) SubmitView(ctx context.Context, userID, viewID string, values map[string]map[string]string) (Ack, error) {
	given := Inputs{}
	for b, m := range values {
		given[b] = map[string]Input{}
		for a, v := range m {
			given[b][a] = Input{Value: v, Values: strings.Split(v, ",")}
		}
	}
	return s.SubmitForm(ctx, userID, viewID, given)
}

// SubmitForm is SubmitView with inputs as a page sends them.
func (s *Sim) SubmitForm(ctx context.Context, userID, viewID string, given Inputs) (Ack, error) {
	s.mu.Lock()
	u := s.userLocked(userID)
	v, _ := s.findViewLocked(userID, viewID)
	if u == nil || v == nil {
		s.mu.Unlock()
		return Ack{}, fmt.Errorf("submit view: %w", ErrNoView)
	}
	if s.installs[v.inst.home] != v.inst {
		s.mu.Unlock()
		return Ack{}, fmt.Errorf("submit view: %w", ErrNotInstalled)
	}
	v.Errors, v.Typed = nil, given
	values := s.stateLocked(v.Blocks, given)
	if missing := missingInputs(v.Blocks, values); len(missing) > 0 {
		v.Errors = missing
		s.noteLocked()
		s.mu.Unlock()
		return Ack{Err: "incomplete"}, nil // Slack's own client does not send an incomplete form
	}
	p := s.interactionLocked(v.inst, u, "view_submission")
	p["view"] = s.viewJSONLocked(v, values)
	p["response_urls"] = []any{}
	s.mu.Unlock()
	ack := s.interact(ctx, v.inst, p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if ack.Status == http.StatusOK {
		s.viewAckLocked(&ack, userID, v)
	}
	if ack.Shown != "" {
		v.Errors = map[string]string{"": ack.Shown}
		s.noteLocked()
	}
	return ack, nil
}

func missingInputs(blocks json.RawMessage, values map[string]map[string]any) map[string]string {
	out := map[string]string{}
	blockkit.EachElement(blocks, func(b, e object, input bool) {
		if !input || b["optional"] == true {
			return
		}
		o, _ := values[blockkit.Text(b["block_id"])][blockkit.Text(e["action_id"])].(object)
		for k, v := range o {
			if k == "type" {
				continue
			}
			if l, ok := v.([]any); v == nil || ok && len(l) == 0 {
				out[blockkit.Text(b["block_id"])] = "Please complete this required field."
			}
		}
	})
	return out
}

// viewAckLocked applies the answer to a view_submission.
func (s *Sim) viewAckLocked(ack *Ack, user string, v *View) {
	_, at := s.findViewLocked(user, v.ID)
	refuse := func(format string, args ...any) {
		why := fmt.Sprintf(format, args...)
		s.breachLocked(RuleViewAck, "%s", why)
		ack.Err, ack.Shown = "view_ack", "We had some trouble connecting. Try again?"
	}
	if len(strings.TrimSpace(string(ack.Body))) == 0 {
		s.dropViewLocked(user, at)
		return
	}
	var a struct {
		Action string            `json:"response_action"`
		Errors map[string]string `json:"errors"`
		View   json.RawMessage   `json:"view"`
	}
	if json.Unmarshal(ack.Body, &a) != nil || a.Action == "" {
		refuse("the body is neither empty nor a response_action: %.60q", ack.Body)
		return
	}
	switch a.Action {
	case "clear":
		s.dropViewLocked(user, 0)
	case "errors":
		inputs := map[string]bool{}
		blockkit.EachElement(v.Blocks, func(b, _ object, input bool) { inputs[blockkit.Text(b["block_id"])] = input })
		if len(a.Errors) == 0 {
			refuse("errors without errors")
			return
		}
		for id := range a.Errors {
			if !inputs[id] {
				refuse("errors for %q, which is no input block", id)
				return
			}
		}
		v.Errors = a.Errors
		s.noteLocked()
	case "update", "push":
		next, msgs := s.newViewLocked(a.View, "modal")
		if len(msgs) > 0 {
			refuse("%s with an invalid view: %s", a.Action, strings.Join(msgs, "; "))
			return
		}
		if a.Action == "update" {
			v.become(next)
		} else if len(s.stacks[user]) >= 3 {
			refuse("push beyond three views")
			return
		} else {
			next.inst, next.UserID, next.TeamID = v.inst, user, v.TeamID
			next.RootViewID, next.PreviousViewID = v.RootViewID, v.ID
			s.stacks[user] = append(slices.Clone(s.stacks[user]), next)
		}
		s.noteLocked()
	default:
		refuse("unknown response_action %q", a.Action)
	}
}

// CloseView closes a modal with its close button; with all it closes the whole stack. The app hears of it as view_closed
// only if the view asked for that. docs.slack.dev/reference/interaction-payloads/view-interactions-payload
func (s *Sim) CloseView(ctx context.Context, userID, viewID string, all bool) (Ack, error) {
	s.mu.Lock()
	u := s.userLocked(userID)
	v, at := s.findViewLocked(userID, viewID)
	if u == nil || v == nil {
		s.mu.Unlock()
		return Ack{}, fmt.Errorf("close view: %w", ErrNoView)
	}
	if all {
		at = 0
	}
	s.dropViewLocked(userID, at)
	if !v.NotifyOnClose {
		s.mu.Unlock()
		return Ack{Status: http.StatusOK}, nil
	}
	p := s.interactionLocked(v.inst, u, "view_closed")
	delete(p, "trigger_id")
	p["view"], p["is_cleared"] = s.viewJSONLocked(v, nil), all
	s.mu.Unlock()
	return s.interact(ctx, v.inst, p), nil
}

// Shortcut sends a global shortcut, which has no channel and no response_url.
// docs.slack.dev/reference/interaction-payloads/shortcuts-interaction-payload
func (s *Sim) Shortcut(ctx context.Context, userID, callbackID string) (Ack, error) {
	s.mu.Lock()
	u := s.userLocked(userID)
	if u == nil {
		s.mu.Unlock()
		return Ack{}, fmt.Errorf("shortcut: %w", ErrNoUser)
	}
	in := s.installLocked(u.TeamID)
	if in == nil || !in.has("commands") {
		s.mu.Unlock()
		return Ack{}, fmt.Errorf("shortcut: %w", ErrNotInstalled)
	}
	p := s.interactionLocked(in, u, "shortcut")
	p["callback_id"], p["action_ts"] = callbackID, fmt.Sprintf("%d.000000", s.clock.Now().Unix())
	s.mu.Unlock()
	return s.interact(ctx, in, p), nil
}
