package bot

// An app that people talk with, as with an assistant: each of them in a conversation of their own, where every message
// begins a thread and the app answers there. https://docs.slack.dev/ai/agent-sessions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/install/connection"
)

const (
	// https://docs.slack.dev/reference/methods/agents.sessions.setStatus
	mostSessionTitle = 200
	// https://docs.slack.dev/reference/methods/assistant.threads.setSuggestedPrompts
	mostPrompts = 4
	// The action_id of FeedbackButtons, and the values of the two.
	feedbackAction = "agent_feedback"
	feedbackGood   = "good"
	feedbackBad    = "bad"
)

// Thread is what somebody does in their conversation with an agent. Say and Stream speak in the thread of what they
// wrote.
type Thread struct {
	*Request
	sayer
	// Payload is the message. It is nil where none was written.
	Payload *slackevents.MessageEvent
	// TS names the message in its conversation, "" where none was written. Request.ThreadTS is the thread's, which is the
	// same for a message that begins one.
	TS string
	// Context is what the person has open in Slack beside the conversation, what matters most first. Reading what it names
	// takes a permission of its own. Slack sends it only to apps that have a handler of OnAgentContext.
	Context []slackevents.AppContextEntity
	// NewTitle is what the person named the session, and OldTitle what it was before: for OnAgentTitle.
	NewTitle, OldTitle string
	// Streams are the messages that Slack ended when the person pressed stop, by their ts: for OnAgentStopped.
	Streams []string

	turn   *turn                          // nil: it is no message that is answered
	joined chan *slackevents.MessageEvent // nil: no handler with WhileBusy(Join)
}

// Joined has the messages that are written in the thread while the handler runs, in their order, each once: for a
// handler with WhileBusy(Join), whichever handler they would have otherwise. What the handler takes from it, it
// answers: when it returns without an error, they are done together with its own. What it doesn't take is then answered
// like any other message. A handler that runs again gets all of them again, from the first one on.
//
// The channel is not closed. Without WhileBusy(Join) nothing comes.
func (t *Thread) Joined() <-chan *slackevents.MessageEvent { return t.joined }

// Prompt is something that a person can say with one press. https://docs.slack.dev/ai/agent-sessions
type Prompt struct {
	Title   string `json:"title"`   // what the button says
	Message string `json:"message"` // what pressing it says. It arrives like a message that was typed
}

// Busy is what happens to a message that is written in a thread while the one before is being answered.
type Busy int

const (
	// Wait answers it when the one before is answered.
	Wait Busy = iota
	// Cancel ends the context of the handler that answers the one before, within a second, and then answers it.
	Cancel
	// Join hands it to the handler that answers the one before, within a second: see Thread.Joined. It waits where that
	// handler doesn't take it.
	Join
)

// WhileBusy says what becomes of a message in a thread in which one is being answered: it is an option of the handler
// that answers. Without it the message waits. That holds across processes that share the inbox.
func WhileBusy(b Busy) Option {
	return func(h *Handler) { h.busy = b; h.with(optionWhileBusy) }
}

// OnAgentOpened returns a handler for when somebody opens their conversation with the agent. There is nothing to answer
// yet: Suggest offers what they could say.
//
// Opening the App Home is the same event of Slack's with another tab, and not for this handler.
// https://docs.slack.dev/reference/events/app_home_opened
func OnAgentOpened(run func(ctx context.Context, t *Thread) error, options ...Option) Handler {
	return newHandler(KindAgentOpened, "", agentOptions(options), inThread(run))
}

// OnAgentMessage returns a handler of what people write to the agent and whose text matches pattern, in the syntax of
// package regexp; "" takes everything. Of several handlers of messages the first in Config.Handlers that matches runs.
//
// run is called as OnEvent's is, with the same promises, but has an hour (Timeout). While it runs the session says that
// the agent is working, with a button to stop it. A press ends run's context within a second, in whichever process it
// runs, and what run returns then counts for nothing: the session is active again, and the thread says that it was
// stopped, unless there is a handler of OnAgentStopped. When run returns, the session is active, or what Status made
// it.
//
// A handler that is running takes one of Config.Workers, of which one workspace gets half at most.
// https://docs.slack.dev/ai/agent-sessions
func OnAgentMessage(pattern string, run func(ctx context.Context, t *Thread) error, options ...Option) Handler {
	own := append(agentOptions(nil), Scopes("im:history"))
	handle := func(ctx context.Context, t *Thread) error { return t.answer(ctx, run) }
	return newHandler(KindAgentMessage, pattern, slices.Concat(own, options), inThread(handle))
}

// OnAgentStopped returns a handler for when somebody presses stop. The Bot has ended the work by then, or is about to,
// and the session is active: the handler only has to say so.
// https://docs.slack.dev/reference/events/agent_session_stopped
func OnAgentStopped(run func(ctx context.Context, t *Thread) error, options ...Option) Handler {
	return newHandler(KindAgentStopped, "", agentOptions(options), inThread(run))
}

// OnAgentContext returns a handler for when what somebody has open beside the conversation changes: see Thread.Context.
// Slack sends an event for every channel that they look at. With this handler messages have a Context, too.
// https://docs.slack.dev/reference/events/app_context_changed
func OnAgentContext(run func(ctx context.Context, t *Thread) error, options ...Option) Handler {
	return newHandler(KindAgentContext, "", agentOptions(options), inThread(run))
}

// OnAgentTitle returns a handler for when somebody gives a session another title. What Thread.Title does is not heard.
// https://docs.slack.dev/reference/events/agent_session_title_changed
func OnAgentTitle(run func(ctx context.Context, t *Thread) error, options ...Option) Handler {
	return newHandler(KindAgentTitle, "", agentOptions(options), inThread(run))
}

// Feedback is what somebody thinks of an answer: see FeedbackButtons.
type Feedback struct {
	*Request
	responder
	// Payload is what Slack sent, with the message in it.
	Payload *slack.InteractionCallback
	// Good: they liked it.
	Good bool
	// TS names the message in its conversation.
	TS string
}

// OnFeedback returns a handler of FeedbackButtons. It runs as OnAction's do.
func OnFeedback(run func(ctx context.Context, f *Feedback) error, options ...Option) Handler {
	return newHandler(KindAction, feedbackAction, options, func(ctx context.Context, r *Request, payload any) error {
		f := &Feedback{Request: r, responder: responder{r}, Payload: payload.(*slack.InteractionCallback)}
		_, value := usedIn(f.Payload, r)
		f.Good, f.TS = value == feedbackGood, cmp.Or(f.Payload.Container.MessageTs, f.Payload.Message.Timestamp)
		return run(ctx, f)
	})
}

// FeedbackButtons are a block with a thumb up and a thumb down, to stand at the end of an answer: Stream.Close takes
// it. OnFeedback hears of the presses.
// https://docs.slack.dev/reference/block-kit/block-elements/feedback-buttons-element
func (t *Thread) FeedbackButtons() slack.Block {
	text := func(key string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, t.lang().Say(key), false, false)
	}
	return slack.NewContextActionsBlock("", slack.NewFeedbackButtonsBlockElement(feedbackAction,
		slack.NewFeedbackButton(text("bot.agent.good"), feedbackGood),
		slack.NewFeedbackButton(text("bot.agent.bad"), feedbackBad)))
}

// agentKinds are the kinds of handlers for types of events that are an agent's alone.
var agentKinds = map[string]Kind{
	"agent_session_stopped": KindAgentStopped, "app_context_changed": KindAgentContext,
	"agent_session_title_changed": KindAgentTitle,
}

// ofAgents reports whether h makes an app an agent.
func (h *Handler) ofAgents() bool {
	return h.Kind == KindAgentOpened || h.Kind == KindAgentMessage || h.Kind == KindAgentStopped ||
		h.Kind == KindAgentContext || h.Kind == KindAgentTitle
}

// agentSubscriptions are the events that Slack has to send for h. The stop button is there only for an app that hears
// of it.
func (h *Handler) agentSubscriptions() []string {
	switch h.Kind {
	case KindAgentOpened:
		return []string{"app_home_opened"}
	case KindAgentMessage:
		return []string{"message.im", "agent_session_stopped"}
	}
	for name, kind := range agentKinds {
		if kind == h.Kind {
			return []string{name}
		}
	}
	return nil
}

func agentOptions(options []Option) []Option {
	return slices.Concat([]Option{Scopes("assistant:write", "chat:write")}, options)
}

// threadFacts is what an agent's event says besides who acted and where.
type threadFacts struct {
	Context       slackevents.AppContext `json:"context"`
	AppContext    slackevents.AppContext `json:"app_context"` // of a message
	Streams       []string               `json:"streaming_message_ts"`
	Title         string                 `json:"title"`
	PreviousTitle string                 `json:"previous_title"`
}

// inThread calls run with what happened in an agent's conversation.
func inThread(run func(ctx context.Context, t *Thread) error) func(context.Context, *Request, any) error {
	return func(ctx context.Context, r *Request, payload any) error {
		facts, err := decodeEvent[threadFacts](r, payload)
		if err != nil {
			return err
		}

		t := &Thread{
			Request: r, sayer: sayer{r}, NewTitle: facts.Title, OldTitle: facts.PreviousTitle, Streams: facts.Streams,
			Context: facts.Context.Entities,
		}
		if r.handler.Kind == KindAgentMessage {
			if t.Payload, err = decodeEvent[slackevents.MessageEvent](r, payload); err != nil {
				return err
			}
			t.TS, t.Context = r.written.TS, facts.AppContext.Entities
			if r.handler.busy == Join {
				t.joined = make(chan *slackevents.MessageEvent)
			}
		}
		return run(ctx, t)
	}
}

// errNoThread says that something is asked of a thread where there is none.
var errNoThread = errors.New("there is no thread: the conversation was opened, and nothing was written yet")

// Suggest offers the person at most four things to say, above the place where they write, below a title ("" for Slack's
// own). It blocks for a call to Slack.
// https://docs.slack.dev/reference/methods/assistant.threads.setSuggestedPrompts
func (t *Thread) Suggest(ctx context.Context, title string, prompts ...Prompt) error {
	switch {
	case t.Client == nil:
		return connection.ErrNotConnected
	case len(prompts) == 0 || len(prompts) > mostPrompts:
		return fmt.Errorf("suggest: %d prompts, Slack takes 1 to %d", len(prompts), mostPrompts)
	}

	// With a thread Slack shows an agent's prompts nowhere, and says nothing of it.
	suggested := slack.AssistantThreadsSetSuggestedPromptsParameters{Title: title, ChannelID: t.ChannelID}
	for _, p := range prompts {
		suggested.AddPrompt(p.Title, p.Message)
	}
	if err := t.Client.SetAssistantThreadsSuggestedPromptsContext(ctx, suggested); err != nil {
		return fmt.Errorf("suggest: %w", err)
	}
	return nil
}

// Title gives the session a title of at most 200 characters. It blocks for a call to Slack.
// https://docs.slack.dev/reference/methods/agents.sessions.rename
func (t *Thread) Title(ctx context.Context, title string) error {
	switch {
	case t.Client == nil:
		return connection.ErrNotConnected
	case t.ThreadTS == "":
		return errNoThread
	}
	if utf8.RuneCountInString(title) > mostSessionTitle {
		title = string([]rune(title)[:mostSessionTitle-1]) + "…"
	}

	_, err := t.Client.RenameAgentSessionContext(ctx, slack.AgentSessionRenameParameters{
		ChannelID: t.ChannelID, ThreadTS: t.ThreadTS, Title: title})
	if err != nil {
		return fmt.Errorf("rename session: %w", err)
	}
	return nil
}

// AgentView is what Slack shows of an app that is an agent.
type AgentView struct {
	Description string   `json:"agent_description"`           // 1 to 300 characters
	Prompts     []Prompt `json:"suggested_prompts,omitempty"` // at most 4, until Suggest offers others
}

// agentView is the agent in a manifest; nil where no handler makes the app one.
func agentView(p Profile, handlers []Handler) *AgentView {
	if !slices.ContainsFunc(handlers, func(h Handler) bool { return h.ofAgents() }) {
		return nil
	}
	view := p.Agent
	view.Description = cmp.Or(view.Description, p.Description, p.Name)
	return &view
}

// check holds a against the rules of Slack's manifest reference.
func (a *AgentView) check(p *problems) {
	if a == nil {
		return
	}
	p.length("agent description", a.Description, 1, 300)
	if len(a.Prompts) > mostPrompts {
		p.bad("%d suggested prompts, Slack allows %d", len(a.Prompts), mostPrompts)
	}
	for _, prompt := range a.Prompts {
		if prompt.Title == "" || prompt.Message == "" {
			p.bad("a suggested prompt has a title and a message: %q, %q", prompt.Title, prompt.Message)
		}
	}
}

// clashes finds handlers of events that never run because a handler of an agent's kind gets those events.
func (r *routes) clashes() (problems []error) {
	for name, kind := range agentKinds {
		agents, other := r.exact[target{kind: kind}], r.exact[target{kind: KindEvent, name: name}]
		if agents != nil && other != nil {
			problems = append(problems, never(other, agents, "gets every such event"))
		}
	}
	return problems
}
