package slacksim

// What an agent says of a thread: that it is working, waits, or is done, and what the thread is called. Slack keeps
// that with the thread's first message. docs.slack.dev/ai/agent-sessions

import (
	"slices"
	"time"
	"unicode/utf8"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

const (
	processing = "processing"
	active     = "active"

	// processingLife is when an agent that is said to be working no longer is. Saying it again begins a new hour.
	processingLife = time.Hour

	titleLength = 200 // characters
	mostPrompts = 4
)

// agentStatuses are what an agent can be, and a thread is the first of them that one of its agents is.
var agentStatuses = []string{"suspended", processing, active, "closed"}

// session is what the agents of a thread say of it.
type session struct {
	title, initiator string
	agents           []*agentState // one for each installation that takes part
}

// agentState is one agent in a thread.
type agentState struct {
	inst           *installation
	status         string
	until          time.Time // for processing
	stoppable      bool      // the app hears of a stop
	username, icon string    // of the line that says it is working
}

func (x *session) status() string {
	for _, status := range agentStatuses {
		if slices.ContainsFunc(x.agents, func(a *agentState) bool { return a.status == status }) {
			return status
		}
	}
	return active
}

// json is what the thread's first message tells.
func (x *session) json() map[string]any {
	ids, list, last := []string{}, []any{}, time.Time{}
	for _, a := range x.agents {
		one := map[string]any{"agent_bot_user_id": a.inst.bot.userID, "status": a.status,
			"is_stoppable": a.stoppable && a.status == processing}
		if a.status == processing {
			one["date_status_processing_expire"] = a.until.Unix()
			if a.until.After(last) {
				last = a.until
			}
		}
		ids, list = append(ids, a.inst.bot.userID), append(list, one)
	}

	out := map[string]any{"status": x.status(), "title": x.title, "agent_bot_user_ids": ids, "agent_statuses": list}
	if x.status() == processing {
		out["date_status_processing_expire"] = last.Unix()
	}
	return out
}

// sessions are those of all threads, and what else an agent shows.
type sessions struct {
	*engine
	world   *world
	events  *events
	prompts map[string]SuggestedPrompts // by conversation
}

// agentLocked reports whether the app is an agent.
func (s *engine) agentLocked() bool {
	return s.app.Agent != nil && s.app.MessagesTab && s.app.Agent.check() == nil
}

// changeLocked changes the session of a thread, which it makes if there is none, and tells of it as of a change of the
// thread's first message: neither its text nor its blocks have changed.
func (s *sessions) changeLocked(c *channel, root *Message, change func(*session)) *session {
	before := s.world.messageJSONLocked(c, root)
	x := c.sessions[root.TS]
	if x == nil {
		x = &session{}
		if c.sessions == nil {
			c.sessions = map[string]*session{}
		}
		c.sessions[root.TS] = x
	}
	change(x)
	s.noteLocked()
	s.events.editEventLocked(c, root, "message_changed", before, c.TeamID)
	return x
}

// setLocked sets what an installation's agent is in a thread.
func (s *sessions) setLocked(in *installation, c *channel, root *Message, status string, more func(*session,
	*agentState)) *session {
	return s.changeLocked(c, root, func(x *session) {
		a := first(x.agents, func(a *agentState) bool { return a.inst.home == in.home })
		if a == nil {
			a = &agentState{}
			x.agents = append(x.agents, a)
		}
		a.inst = in // it may have been installed again
		a.status, a.stoppable = status, s.events.wantedLocked(in, "agent_session_stopped")
		if more != nil {
			more(x, a)
		}
		if status == processing {
			a.until = s.clock.Now().Add(processingLife)
			s.dueLocked(processingLife, func() { s.lapseLocked(c, root, a) })
		}
	})
}

// lapseLocked takes it that an agent is ready again that was said to be working an hour ago.
func (s *sessions) lapseLocked(c *channel, root *Message, a *agentState) {
	if a.status == processing && !s.clock.Now().Before(a.until) {
		s.changeLocked(c, root, func(*session) { a.status = active })
	}
}

// streamedLocked is what a stream does to the session of its thread, if the app is an agent.
func (s *sessions) streamedLocked(st *stream, status string) {
	root := st.channel.find(st.message.ThreadTS)
	if !s.agentLocked() || root == nil {
		return
	}
	s.setLocked(st.inst, st.channel, root, status, func(x *session, _ *agentState) {
		if x.initiator == "" && s.world.userLocked(root.User) != nil {
			x.initiator = root.User
		}
	})
}

// sessionMethods are those of agents. feature_disabled, name_taken and is_archived are for what this Slack doesn't
// have. They are played with Inject.
type sessionMethods struct{ *parts }

// threadLocked finds the thread that a call is about.
func (s sessionMethods) threadLocked(r *apiRequest) (*channel, *Message, *apiError) {
	c, err := s.channelLocked(r)
	if err != nil {
		return nil, nil, err
	}
	ts := r.arg("thread_ts")
	if ts == "" {
		return nil, nil, fail("thread_ts_required")
	}

	missing := "thread_not_found"
	if r.method == "agents.sessions.rename" {
		missing = "session_not_found"
	}
	m := c.find(ts)
	if m == nil || m.Deleted || m.Ephemeral || m.isReply() {
		return nil, nil, fail(missing)
	}
	return c, m, nil
}

// channelLocked finds the conversation that a call is about, which the app must be in.
func (s sessionMethods) channelLocked(r *apiRequest) (*channel, *apiError) {
	c := s.world.channelLocked(r.arg("channel_id"))
	member := c != nil && (c.im || c.has(r.inst.bot.userID))
	if c == nil || !s.oauth.reachesLocked(r.inst, c) || c.Private && !member {
		return nil, fail("channel_not_found")
	}
	if !member {
		return nil, fail("not_authorized")
	}
	return c, nil
}

func (s sessionMethods) setStatus(r *apiRequest) (map[string]any, *apiError) {
	if !s.agentLocked() {
		return nil, fail("not_authorized")
	}
	status, title, name := r.arg("status"), r.arg("title"), r.arg("username")
	if !slices.Contains(agentStatuses, status) {
		return nil, fail("invalid_status")
	}
	c, root, err := s.threadLocked(r)
	if err != nil {
		return nil, err
	}
	initiator := r.arg("initiator_user_id")
	if initiator != "" && s.world.userLocked(initiator) == nil {
		return nil, fail("user_not_found")
	}
	if utf8.RuneCountInString(title) > titleLength || utf8.RuneCountInString(name) > titleLength {
		return nil, failWith("invalid_arguments", "[ERROR] title and username must be less than 201 characters")
	}
	if err := r.customised(); err != nil {
		return nil, err
	}

	isNew := c.sessions[root.TS] == nil
	var mine *agentState
	x := s.sessions.setLocked(r.inst, c, root, status, func(x *session, a *agentState) {
		mine = a
		if isNew {
			x.title, x.initiator = title, initiator
		}
		if icon := r.arg("icon_emoji") + r.arg("icon_url"); icon != "" || name != "" {
			a.username, a.icon = name, icon
		}
	})

	var warnings []string
	if !mine.stoppable {
		warnings = []string{"missing_agent_session_stopped_event_subscription"}
	}
	return warned(map[string]any{"status": x.status(), "agent_status": mine.status, "title": x.title}, warnings)
}

// rename gives a thread a title. What the app itself posted outside a thread becomes one that way.
func (s sessionMethods) rename(r *apiRequest) (map[string]any, *apiError) {
	if !s.agentLocked() {
		return nil, fail("not_authorized")
	}
	c, root, err := s.threadLocked(r)
	if err != nil {
		return nil, err
	}
	title := r.arg("title")
	if title == "" || utf8.RuneCountInString(title) > titleLength {
		return nil, fail("invalid_name")
	}
	if c.sessions[root.TS] == nil {
		if root.User != r.inst.bot.userID || root.ThreadTS != "" {
			return nil, fail("session_not_found")
		}
		s.sessions.setLocked(r.inst, c, root, active, nil)
	}
	s.sessions.changeLocked(c, root, func(x *session) { x.title = title })
	return map[string]any{"title": title}, nil
}

// suggest is assistant.threads.setSuggestedPrompts. For an agent a thread_ts makes it do nothing, and say that it did.
func (s sessionMethods) suggest(r *apiRequest) (map[string]any, *apiError) {
	if !s.agentLocked() {
		return nil, fail("not_agent_app")
	}
	c, err := s.channelLocked(r)
	if err != nil {
		return nil, err
	}
	if !c.im {
		return nil, fail("channel_not_found")
	}

	var list []object
	if blockkit.Decode([]byte(r.arg("prompts")), &list) != nil || len(list) == 0 || len(list) > mostPrompts {
		return nil, failWith("invalid_arguments", "[ERROR] must be 1 to 4 prompts [json-pointer:/prompts]")
	}
	x := SuggestedPrompts{Title: r.arg("title")}
	for _, o := range list {
		p := Prompt{Title: blockkit.Text(o["title"]), Message: blockkit.Text(o["message"])}
		if p.Title == "" || p.Message == "" {
			return nil, failWith("invalid_arguments", "[ERROR] a prompt needs title and message [json-pointer:/prompts]")
		}
		x.Prompts = append(x.Prompts, p)
	}

	if r.arg("thread_ts") == "" {
		s.sessions.prompts[c.ID] = x
		s.noteLocked()
	}
	return nil, nil
}
