package slacksim

// The app as an agent: how it is declared, and what people do with it. docs.slack.dev/ai/agent-messaging

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// AgentView is what features.agent_view of a manifest says. docs.slack.dev/reference/app-manifest
type AgentView struct {
	Description string   // up to 300 characters
	Prompts     []Prompt // up to 4, shown until the app suggests others
	Actions     []AgentAction
}

// Prompt is something that a person can ask with one press: what they read, and what they say by that.
type Prompt struct{ Title, Message string }

// AgentAction is something that an agent says it can do.
type AgentAction struct{ Name, Description string }

// check says what a manifest's editor would refuse.
func (a *AgentView) check() error {
	if n := utf8.RuneCountInString(a.Description); n == 0 || n > 300 {
		return errors.New("agent_view: agent_description must have 1 to 300 characters")
	}
	if len(a.Prompts) > mostPrompts {
		return fmt.Errorf("agent_view: no more than %d suggested_prompts", mostPrompts)
	}
	if slices.ContainsFunc(a.Prompts, func(p Prompt) bool { return p.Title == "" || p.Message == "" }) {
		return errors.New("agent_view: a suggested prompt needs title and message")
	}
	if slices.ContainsFunc(a.Actions, func(x AgentAction) bool { return x.Name == "" || x.Description == "" }) {
		return errors.New("agent_view: an action needs name and description")
	}
	return nil
}

// Errors of what people try with an agent.
var (
	ErrNoAgent   = errors.New("the app is no agent: App.Agent is missing or not valid, or the Messages tab is off")
	ErrNoSession = errors.New("the app has said nothing of that thread yet")
	ErrNoStop    = errors.New("there is no stop button: the agent isn't working, or the app doesn't hear of stops")
	ErrNoPrompt  = errors.New("no such prompt is suggested")
	ErrTitle     = errors.New("a title has 1 to 200 characters")
)

// SuggestedPrompts are those that a person sees in the conversation with an agent.
type SuggestedPrompts struct {
	Title   string
	Prompts []Prompt
}

// Session is what an agent says of a thread.
type Session struct {
	ChannelID, ThreadTS, Title string
	// Initiator is the person whose question it is, if that is known.
	Initiator string
	// Status is active, processing, suspended or closed.
	Status string
	// Stoppable: there is a stop button.
	Stoppable bool
	// Username and Icon stand on the line that says the agent is working, if the app has set them.
	Username, Icon string
}

// The types of what a person has before them.
const (
	EntityChannel = "slack#/types/channel_id"
	EntityCanvas  = "slack#/types/canvas_id"
	EntityList    = "slack#/types/list_id"
	// EntityMessage has an object for a value: message_ts and channel_id.
	EntityMessage = "slack#/types/message_context"
)

// Entity is something that a person has before them while they talk to an agent. Value is an id, or an object.
type Entity struct {
	Type         string `json:"type"`
	Value        any    `json:"value"`
	TeamID       string `json:"team_id,omitempty"`
	EnterpriseID string `json:"enterprise_id,omitempty"`
}

// Agents do what people do with the app as an agent, in the conversation with it and in threads where it answers.
type Agents struct {
	*parts
	sim *Sim
}

// Open opens the conversation with the agent: app_home_opened with the tab "messages".
func (s *Agents) Open(ctx context.Context, userID string) error {
	if _, err := s.agent(userID); err != nil {
		return fmt.Errorf("open agent: %w", err)
	}
	return s.sim.OpenHome(ctx, userID, "messages")
}

// agent finds the installation that is a person's agent.
func (s *Agents) agent(userID string) (*installation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.world.userLocked(userID)
	if u == nil {
		return nil, ErrNoUser
	}
	in := s.oauth.installLocked(u.TeamID)
	switch {
	case in == nil:
		return nil, ErrNotInstalled
	case !s.agentLocked():
		return nil, ErrNoAgent
	}
	return in, nil
}

// ChangeContext has a person look at something else in Slack, the most important thing first, or at nothing that Slack
// tells of. If it is something else, the app hears app_context_changed. What the person opens and writes from then on
// comes with it, too.
// docs.slack.dev/reference/events/app_context_changed
func (s *Agents) ChangeContext(_ context.Context, userID string, seen ...Entity) error {
	in, err := s.agent(userID)
	if err != nil {
		return fmt.Errorf("change context: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if reflect.DeepEqual(s.world.contexts[userID], slices.Clone(seen)) {
		return nil
	}
	s.world.contexts[userID] = slices.Clone(seen)
	s.noteLocked()
	if s.events.wantedLocked(in, "app_context_changed") {
		s.events.tellLocked(Event{TeamID: s.world.userLocked(userID).TeamID, EnterpriseID: in.enterpriseID,
			Inner: map[string]any{"type": "app_context_changed", "user": userID,
				"channel": s.world.dmLocked(userID).ID, "context": s.world.contextLocked(userID)}}, in)
	}
	return nil
}

// Write writes to the agent, in a thread or, for an empty threadTS, as the beginning of one. It returns the message's
// ts, which in the second case is the thread's.
func (s *Agents) Write(ctx context.Context, userID, threadTS, text string) (ts string, err error) {
	if _, err := s.agent(userID); err != nil {
		return "", fmt.Errorf("write to agent: %w", err)
	}
	return s.sim.Reply(ctx, userID, s.sim.DM(userID), threadTS, text)
}

// Prompts are what the agent suggests to a person: the newest that it set, else the manifest's.
func (s *Agents) Prompts(userID string) SuggestedPrompts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.world.dmLocked(userID)
	if c == nil || !s.agentLocked() {
		return SuggestedPrompts{}
	}
	x, ok := s.sessions.prompts[c.ID]
	if !ok {
		x.Prompts = s.app.Agent.Prompts
	}
	x.Prompts = slices.Clone(x.Prompts)
	return x
}

// PressPrompt presses a suggested prompt, by its title. To the app it looks as if the person had written its message.
func (s *Agents) PressPrompt(ctx context.Context, userID, title string) (ts string, err error) {
	list := s.Prompts(userID).Prompts
	i := slices.IndexFunc(list, func(p Prompt) bool { return p.Title == title })
	if i < 0 {
		return "", fmt.Errorf("press prompt %q: %w", title, ErrNoPrompt)
	}
	return s.Write(ctx, userID, "", blockkit.Escape(list[i].Message))
}

// Session is what is said of a thread. ok is false where nothing is.
func (s *Agents) Session(channelID, threadTS string) (_ Session, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.world.channelLocked(channelID)
	if c == nil || c.sessions[threadTS] == nil {
		return Session{}, false
	}
	x := c.sessions[threadTS]
	out := Session{ChannelID: channelID, ThreadTS: threadTS, Title: x.title, Initiator: x.initiator, Status: x.status()}
	for _, a := range x.agents {
		if a.status == out.Status {
			out.Username, out.Icon = a.username, a.icon
		}
		out.Stoppable = out.Stoppable || a.stoppable && a.status == processing
	}
	return out, true
}

// sessionLocked finds a thread that a person sees, and what is said of it.
func (s *Agents) sessionLocked(userID, channelID, threadTS string) (*User, *channel, *session, error) {
	u, c, err := s.world.memberLocked(userID, channelID)
	if err != nil {
		return nil, nil, nil, err
	}
	if c.sessions[threadTS] == nil || c.find(threadTS) == nil {
		return nil, nil, nil, ErrNoSession
	}
	return u, c, c.sessions[threadTS], nil
}

// Stop presses the stop button of a thread. Slack ends the streams in it and tells the app with agent_session_stopped.
// It leaves the status to the app. docs.slack.dev/reference/events/agent_session_stopped
func (s *Agents) Stop(_ context.Context, userID, channelID, threadTS string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, c, x, err := s.sessionLocked(userID, channelID, threadTS)
	if err != nil {
		return fmt.Errorf("stop agent: %w", err)
	}
	none := true
	for _, a := range x.agents {
		if !a.stoppable || a.status != processing {
			continue
		}
		none = false
		s.events.tellInstalledLocked(c, a.inst, c.TeamID, map[string]any{"type": "agent_session_stopped",
			"channel": c.ID, "thread_ts": threadTS, "user": userID,
			"streaming_message_ts": s.streams.stopLocked(a.inst, c, threadTS)})
	}
	if none {
		return fmt.Errorf("stop agent: %w", ErrNoStop)
	}
	return nil
}

// Rename gives a thread another title. The app hears agent_session_title_changed, which it doesn't of its own ones.
func (s *Agents) Rename(_ context.Context, userID, channelID, threadTS, title string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, c, x, err := s.sessionLocked(userID, channelID, threadTS)
	if err == nil && (title == "" || utf8.RuneCountInString(title) > titleLength) {
		err = ErrTitle
	}
	if err != nil {
		return fmt.Errorf("rename session: %w", err)
	}

	inner := map[string]any{"type": "agent_session_title_changed", "channel": c.ID, "thread_ts": threadTS,
		"user": userID, "title": title, "team_id": c.TeamID}
	if x.title != "" {
		inner["previous_title"] = x.title
	}
	if t := s.world.teamLocked(c.TeamID); t.EnterpriseID != "" {
		inner["enterprise_id"] = t.EnterpriseID
	}
	s.sessions.changeLocked(c, c.find(threadTS), func(x *session) { x.title = title })
	for _, a := range x.agents {
		s.events.tellInstalledLocked(c, a.inst, c.TeamID, inner)
	}
	return nil
}

// Feedback presses one of the feedback buttons of a message, the good one or the bad one, and waits for the
// acknowledgement. docs.slack.dev/reference/block-kit/block-elements/feedback-buttons-element
func (s *Agents) Feedback(ctx context.Context, userID, channelID, ts string, good bool) (Ack, error) {
	side := map[bool]string{true: "positive_button", false: "negative_button"}[good]
	f := Form{}
	s.mu.Lock()
	if c := s.world.channelLocked(channelID); c != nil && c.find(ts) != nil {
		blockkit.EachElement(c.find(ts).Blocks, func(b, e object, _ bool) {
			if o, ok := e[side].(object); ok && e["type"] == "feedback_buttons" {
				f = Form{BlockID: blockkit.Text(b["block_id"]), ActionID: blockkit.Text(e["action_id"]),
					Value: []string{blockkit.Text(o["value"])}}
			}
		})
	}
	s.mu.Unlock()
	return s.sim.Forms.PressInMessage(ctx, userID, channelID, ts, f)
}
