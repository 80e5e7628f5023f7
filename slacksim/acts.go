package slacksim

// What people do. The forms of the chat (slacksim/web) call these same methods, so a test that calls them does what a
// click does. What they type comes in Slack's notation. docs.slack.dev/messaging/formatting-message-text

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
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
	ErrNoShortcut   = errors.New("the app has no such shortcut there")
	ErrNoOption     = errors.New("no such option was offered")
	ErrShortQuery   = errors.New("too little was typed: Slack does not ask the app for options yet")
	ErrNoOptionsURL = errors.New("the app has no OptionsURL (message_menu_options_url), where Slack asks for options")
)

// object is JSON that is sent.
type object = blockkit.Object

// Forms act as a browser does in which a person types, presses or submits something. They do what Sim.Say, Press and
// SubmitView do, with all that the other elements of the page hold.
type Forms struct {
	*parts
	sim    *Sim
	offers map[offerKey][]Option // what external menus were filled with, the newest first
}

// Say posts a message as a person, in Slack's own notation ("<@U…> hello", with &amp; for &), and returns its ts.
// Events follow in the background, as subscribed and granted: message.channels, .groups or .im where the app is a
// member, and app_mention when the text mentions its bot user. A mention in a channel the app is not in causes no
// event: Slack offers the person to add the app, and the event follows when they do (Invite). A person of another
// workspace may write in a channel shared with theirs. The outer team_id is then the author's and the authorization
// the installed side's. docs.slack.dev/reference/events/message, /app_mention, /apis/slack-connect
func (s *Sim) Say(ctx context.Context, userID, channelID, text string) (ts string, err error) {
	return s.Reply(ctx, userID, channelID, "", text)
}

// Reply is Say in the thread of another message.
func (s *Sim) Reply(_ context.Context, userID, channelID, threadTS, text string) (ts string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, c, err := s.world.memberLocked(userID, channelID)
	if err != nil {
		return "", fmt.Errorf("say: %w", err)
	}
	if threadTS != "" && c.find(threadTS) == nil {
		return "", fmt.Errorf("say: %w", ErrNoMessage)
	}
	if !c.im && !c.has(u.ID) {
		c.Members = append(c.Members, u.ID) // writing to a public channel joins it
	}
	m := s.world.postLocked(c, &Message{User: userID, Text: text, ThreadTS: threadTS, client: clientMsgID()})
	s.events.messageEventsLocked(c, m, u.TeamID)
	s.links.sharedLocked(c, m)
	return m.TS, nil
}

// Type does what the message box does with what a person typed, in a thread where threadTS is one: it says it, or runs
// it as a command. Names become mentions. /invite is Slack's own command. In a thread Slack takes none, and says so.
func (s *Forms) Type(ctx context.Context, userID, channelID, threadTS, text string) error {
	isCommand := strings.HasPrefix(text, "/")
	who, isInvite := strings.CutPrefix(text, "/invite ")
	if isCommand && threadTS != "" {
		return s.refuseInThread(userID, channelID, threadTS, text)
	}
	if isInvite {
		who = s.oauth.encode(userID, strings.TrimSpace(who))
		return s.sim.Invite(ctx, userID, channelID, strings.Trim(who, "<@>"))
	}
	if isCommand {
		_, err := s.sim.Command(ctx, userID, channelID, text)
		return err
	}
	_, err := s.sim.Reply(ctx, userID, channelID, threadTS, s.oauth.encode(userID, text))
	return err
}

var wireToken = regexp.MustCompile(`<[@#!][^<>]*>`)

// encode turns what a person typed into Slack's notation.
func (s *oauth) encode(userID, text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.world.userLocked(userID); u != nil {
		return s.encodeLocked(text, u.TeamID, false)
	}
	return text
}

// encodeLocked turns what a person typed into Slack's notation: escapes, @name, #channel. Notation already there stays.
// With labels mentions carry the name, as in commands.
func (s *oauth) encodeLocked(text, team string, labels bool) string {
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

func (s *oauth) encodePlainLocked(text, team string, labels bool) string {
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
		replace("@"+s.app.Name, in.bot.userID, s.world.botNameLocked())
		replace("@"+s.world.botNameLocked(), in.bot.userID, s.world.botNameLocked())
	}
	for _, u := range s.world.users {
		if u.TeamID == team {
			replace("@"+u.RealName, u.ID, u.Name)
			replace("@"+u.Name, u.ID, u.Name)
		}
	}
	for _, c := range s.world.channels {
		if !c.im && c.inTeam(team) {
			replace("#"+c.Name, c.ID, map[bool]string{true: "", false: c.Name}[c.Private])
		}
	}
	return text
}

// Look notes that a person has the app's messages before them (see Directory.Unread).
func (s *Forms) Look(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.readLocked(userID)
}

// refuseInThread is what Slack does with a slash command typed in a thread, its own ones included: a note, and nothing
// for the app.
func (s *Forms) refuseInThread(userID, channelID, threadTS, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, c, err := s.world.memberLocked(userID, channelID)
	if err != nil {
		return err
	}
	if c.find(threadTS) == nil {
		return ErrNoMessage
	}
	s.world.postLocked(c, &Message{User: Slackbot, ThreadTS: threadTS, Ephemeral: true, EphemeralTo: userID,
		Text: "`" + blockkit.Escape(strings.Fields(text)[0]) + "` is not supported in threads. Sorry!"})
	return nil
}

// Invite adds someone to a channel: a person, or the app by its bot user id. The app gets member_joined_channel, and a
// mention that waited for the invitation is delivered now. Inviting a member is harmless.
func (s *Sim) Invite(_ context.Context, byUserID, channelID, whom string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, c, err := s.world.memberLocked(byUserID, channelID)
	if err != nil {
		return fmt.Errorf("invite: %w", err)
	}
	if c.im {
		return fmt.Errorf("invite: %w", ErrNoChannel)
	}
	b := s.world.botByUserLocked(whom)
	if b == nil && s.world.userLocked(whom) == nil {
		return fmt.Errorf("invite: %w", ErrNoUser)
	}
	if b != nil && s.oauth.installs[b.home] == nil {
		return fmt.Errorf("invite: %w", ErrNotInstalled)
	}
	s.events.joinLocked(c, whom, byUserID)
	return nil
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
	name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	s.mu.Lock()
	c, h, form, err := s.Forms.commandLocked(userID, channelID, name, strings.TrimSpace(rest))
	s.mu.Unlock()
	if err != nil {
		return CommandReply{}, fmt.Errorf("command %s: %w", name, err)
	}

	o := &outgoing{kind: "command", typ: name, team: form.Get("team_id"), body: []byte(form.Encode())}
	r := CommandReply{Ack: s.outbox.post(ctx, o, sending{})}
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
		s.record.breachLocked(RuleCommandStatus, "%s was answered with HTTP %d", name, r.Status)
	default:
		s.hooks.showReplyLocked(&r, h, c, name)
	}

	if r.Shown != "" {
		r.Text = r.Shown
		r.Message = *s.world.noteToLocked(c, userID, blockkit.Escape(r.Shown))
	}
	return r, nil
}

// commandLocked is what the app gets of a command, the conversation it was typed into, and where its answer goes.
func (s *Forms) commandLocked(userID, channelID, name, rest string) (*channel, *hook, url.Values, error) {
	u, c, err := s.world.memberLocked(userID, channelID)
	if err != nil {
		return nil, nil, nil, err
	}
	i := slices.IndexFunc(s.app.Commands, func(x Command) bool { return x.Name == name })
	// Commands belong to the members of the installing workspace, also in shared channels.
	in := s.oauth.installLocked(u.TeamID)
	if i < 0 || in == nil || !in.has("commands") {
		s.world.noteToLocked(c, userID, blockkit.Escape(name)+" is not a valid command.")
		if i < 0 {
			return nil, nil, nil, ErrNoCommand
		}
		return nil, nil, nil, ErrNotInstalled
	}

	if s.app.Commands[i].ShouldEscape {
		rest = s.oauth.encodeLocked(rest, u.TeamID, true)
	}
	team, h := s.world.teamLocked(u.TeamID), s.hooks.newHookLocked(in, userID, c.ID, "")
	form := url.Values{
		"token": {"deprecated-verification-token"}, "team_id": {u.TeamID}, "team_domain": {team.Domain},
		"channel_id": {c.ID}, "channel_name": {commandChannelName(c)}, "user_id": {u.ID}, "user_name": {u.Name},
		"command": {name}, "text": {rest}, "response_url": {h.url}, "api_app_id": {s.app.ID},
		"trigger_id": {s.hooks.newTriggerLocked(in, u.ID, u.TeamID)}, "is_enterprise_install": {fmt.Sprint(in.org)},
	}
	if team.EnterpriseID != "" {
		form.Set("enterprise_id", team.EnterpriseID)
		form.Set("enterprise_name", s.world.enterpriseNameLocked(team.EnterpriseID))
	}
	return c, h, form, nil
}

// showReplyLocked shows a 200's body: nothing, plain text, or a message.
func (s *hooks) showReplyLocked(r *CommandReply, h *hook, c *channel, name string) {
	body := strings.TrimSpace(string(r.Body))
	if body == "" {
		return
	}
	var p hookPost
	ct := r.Header.Get("Content-Type")
	switch {
	case strings.HasPrefix(ct, "application/json"):
		if err := json.Unmarshal(r.Body, &p); err != nil {
			s.record.breachLocked(RuleCommandBody, "%s: the reply says it is JSON and is not", name)
			r.Shown = name + " failed with the error \"invalid_command_response\""
			return
		}
	case strings.HasPrefix(body, "{") && json.Unmarshal(r.Body, &p) == nil && (p.Text != "" || p.Blocks != nil):
		// Slack shows such a body as raw text: the Content-Type decides.
		s.record.breachLocked(RuleCommandBody, "%s: a JSON reply without Content-Type application/json", name)
		p = hookPost{Text: body}
	default:
		p.Text = body
	}

	m, err := s.answerLocked(h, c, &p, RuleCommandBody)
	if err != nil {
		r.Shown = name + " failed with the error \"" + err.code + "\""
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

// OpenHome opens the app's conversation at a tab, "home" or "messages", and sends app_home_opened. The home view comes
// along only if one was published. docs.slack.dev/reference/events/app_home_opened
func (s *Sim) OpenHome(_ context.Context, userID, tab string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.world.userLocked(userID)
	if u == nil {
		return fmt.Errorf("open home: %w", ErrNoUser)
	}
	in := s.oauth.installLocked(u.TeamID)
	if in == nil {
		return fmt.Errorf("open home: %w", ErrNotInstalled)
	}

	if tab == "" {
		tab = "home"
	}
	if tab == "messages" {
		s.world.readLocked(userID)
	}
	if !s.events.wantedLocked(in, "app_home_opened") {
		return nil
	}

	inner := map[string]any{"type": "app_home_opened", "user": userID, "channel": s.world.dmLocked(userID).ID, "tab": tab}
	if v := s.views.homes[userID]; v != nil && tab == "home" {
		inner["view"] = s.views.viewJSONLocked(v, nil)
	}
	if tab == "messages" && s.agentLocked() && s.events.wantedLocked(in, "app_context_changed") {
		inner["context"] = s.world.contextLocked(userID)
	}
	s.events.tellLocked(Event{TeamID: u.TeamID, EnterpriseID: in.enterpriseID, Inner: inner}, in)
	return nil
}
