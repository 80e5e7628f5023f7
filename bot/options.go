package bot

// What can be said of a handler besides what it listens to. An option that does nothing where it stands is a slip: who
// wrote it relies on it. So it is refused at the start.

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/patterns"
)

// Option is something said of a handler, behind its function: OnCommand("/coin", toss, Describe("Toss a coin", "")).
type Option func(*Handler)

// option is the name of one that doesn't suit every kind of handler.
type option string

const (
	optionExternal   option = "External"
	optionOpensModal option = "OpensModal"
	optionTimeout    option = "Timeout"
	optionOrdered    option = "Ordered"
	optionDescribe   option = "Describe"
	optionBots       option = "Bots"
	optionEdits      option = "Edits"
	optionDeletions  option = "Deletions"
	optionInBlock    option = "InBlock"
	optionWhileBusy  option = "WhileBusy"
	optionTitled     option = "Titled"
	optionOutputs    option = "Outputs"
	optionNamed      option = "Named"
)

// Scopes are permissions of the bot that the handler needs. Where a workspace hasn't allowed all of them it doesn't
// run, and who acted reads what the app can't do there and how it is allowed. What follows from the kind of handler is
// there by itself: commands, app_mentions:read, and chat:write where it answers in a conversation.
// https://docs.slack.dev/reference/scopes
func Scopes(names ...string) Option {
	return func(h *Handler) {
		for _, name := range names {
			if !slices.Contains(h.Scopes, name) {
				h.Scopes = append(h.Scopes, name)
			}
		}
	}
}

// OptionalScopes are permissions of the bot that the handler is better with and runs without: people can untick them
// when they install. The handler looks at them itself, with Request.Missing.
func OptionalScopes(names ...string) Option {
	return func(h *Handler) { h.OptionalScopes = append(h.OptionalScopes, names...) }
}

// UserScopes are what the handler needs of a person to act for them. Each person who installs or reconnects the app is
// asked for it. Request.UserClient has what came of it.
// https://docs.slack.dev/authentication/installing-with-oauth
func UserScopes(names ...string) Option {
	return func(h *Handler) { h.UserScopes = append(h.UserScopes, names...) }
}

// WithoutConnection makes the handler run even when the workspace has no usable connection, a permission is missing, or
// the database is down: Request.Client can be nil then, and Request.Health says why. Without it people are told that
// the app isn't connected, and events are dropped.
func WithoutConnection() Option { return func(h *Handler) { h.always = true } }

// External makes a handler of actions or views run for people of other companies, too, who meet it in a shared channel.
// Request.External tells them apart. Without it they are told that it is not for them, and the handler doesn't run.
// https://docs.slack.dev/apis/slack-connect
func External() Option {
	return func(h *Handler) { h.anyone = true; h.with(optionExternal) }
}

// OpensModal makes a handler of durable work (OnCommandAsync, OnActionAsync) open the modal that view returns first,
// while its trigger lives (3 s). The handler finds its id in Request.ViewID. It is opened once, also when the handler
// runs again. Building and opening it has 2 s from the arrival on, and view's context ends then. What takes longer, and
// what view's error says, is told to the person, and nothing is begun.
func OpensModal(view func(ctx context.Context, r *Request) (slack.ModalViewRequest, error)) Option {
	return func(h *Handler) { h.opens = view; h.with(optionOpensModal) }
}

// Timeout sets how long a handler can take; its context ends then. Without it that is a minute for events and durable
// work, and for what somebody waits for as long as Slack takes an answer.
func Timeout(limit time.Duration) Option {
	return func(h *Handler) { h.limit = limit; h.with(optionTimeout) }
}

// Ordered has the events of one conversation (the durable commands or actions of one channel) worked one after the
// other, in the order in which they arrived, also across processes. One that failed holds up the others until it is
// done or a dead letter. For messages it holds for all OnMessage handlers as soon as one asks for it.
func Ordered() Option {
	return func(h *Handler) { h.ordered = true; h.with(optionOrdered) }
}

// Describe sets what Slack shows of a command in its menu: about says what it does, in at most 2,000 characters, and
// usage what can stand behind its name, "" for nothing.
func Describe(about, usage string) Option {
	return func(h *Handler) { h.About, h.Usage = about, usage; h.with(optionDescribe) }
}

// Titled names a shortcut or a step of a workflow: what Slack's menus show, and below it what it does. A shortcut's
// title has at most 24 characters, its description 150.
func Titled(title, about string) Option {
	return func(h *Handler) { h.Title, h.About = title, about; h.with(optionTitled) }
}

// Bots makes a handler of messages or mentions hear what other bots and workflows write, too. Request.BotID tells them
// apart. Two apps that answer each other's messages never end.
func Bots() Option {
	return func(h *Handler) { h.bots = true; h.with(optionBots) }
}

// Edits makes a handler of messages or mentions run again when what somebody wrote is changed: see Message.Edited.
func Edits() Option {
	return func(h *Handler) { h.edits = true; h.with(optionEdits) }
}

// Deletions makes a handler of messages run when one is deleted whose text matches: see Message.Deleted.
func Deletions() Option {
	return func(h *Handler) { h.deletions = true; h.with(optionDeletions) }
}

// InBlock makes a handler of actions one for those in the block with this block_id alone. It goes before one of the
// same action_id in any block.
func InBlock(id string) Option {
	return func(h *Handler) { h.block = id; h.with(optionInBlock) }
}

// Named gives a handler of Every or Cron a name of its own. Under it the handler can get another time and is still the
// same: what its connections have waiting is made anew.
func Named(name string) Option {
	return func(h *Handler) { h.Name = name; h.with(optionNamed) }
}

// Use puts middleware around the handler, inside of Config.Use; the first is outermost.
func Use(middleware ...Middleware) Option {
	return func(h *Handler) { h.use = append(h.use, middleware...) }
}

// with notes that an option was used.
func (h *Handler) with(o option) { h.given = append(slices.Clip(h.given), o) }

// idleOptions says on which handlers an option does nothing, and why.
var idleOptions = []struct {
	option option
	idle   func(h *Handler) bool
	why    string
}{
	{optionDescribe, func(h *Handler) bool { return h.Kind != KindCommand }, "only commands are in Slack's menu"},
	{optionNamed, func(h *Handler) bool {
		return h.calendar == nil && h.broken == ""
	}, "only what recurs has another name"},
	{optionTitled, func(h *Handler) bool { return !h.ofShortcut() && h.Kind != KindFunction },
		"only shortcuts and steps of workflows have a title"},
	{optionOutputs, func(h *Handler) bool { return h.Kind != KindFunction }, "only steps of workflows have outputs"},
	{optionExternal, func(h *Handler) bool { return h.Kind == KindCommand || h.ofShortcut() || h.ofEvents() },
		"only buttons and forms are refused to people of other companies"},
	{optionOpensModal, func(h *Handler) bool { return !h.async },
		"it is for durable work (OnCommandAsync, OnActionAsync). Others open their modal by OpenModal"},
	{optionOpensModal, func(h *Handler) bool { return h.opens == nil }, "there is no function that makes the view"},
	{optionTimeout, func(h *Handler) bool { return h.limit <= 0 }, "a limit is above 0"},
	{optionOrdered, func(h *Handler) bool { return h.Kind == KindTimer }, "a timer is of no conversation"},
	{optionOrdered, func(h *Handler) bool { return !h.ofEvents() && !h.async }, "what isn't durable runs when it comes"},
	{optionOrdered, (*Handler).ofAgents, "the messages of a thread are in their order by WhileBusy(Wait)"},
	{optionBots, func(h *Handler) bool { return !h.ofMessages() }, "only messages are written by bots"},
	{optionEdits, func(h *Handler) bool { return !h.ofMessages() }, "only messages are edited"},
	{optionEdits, func(h *Handler) bool { return h.Kind == KindAgentMessage }, agentsAnswerOnce},
	{optionDeletions, func(h *Handler) bool { return h.Kind != KindMessage }, "Slack tells of deleted messages alone"},
	{optionWhileBusy, func(h *Handler) bool { return h.Kind != KindAgentMessage }, "only agents are busy in a thread"},
	{optionInBlock, func(h *Handler) bool {
		return h.Kind != KindAction && h.Kind != KindOptions
	}, "only actions stand in a block"},
	{optionInBlock, func(h *Handler) bool { return h.block == "" }, "a block_id has at least one character"},
}

const agentsAnswerOnce = "an agent has answered a message by the time it is changed"

// ofEvents reports whether h is run for events, which come from the inbox and have nobody who waits for an answer.
func (h *Handler) ofEvents() bool {
	switch h.Kind {
	case KindEvent, KindFunction, KindLink, KindHome, KindTimer:
		return true
	}
	return h.ofMessages() || h.ofAgents()
}

// ofShortcut reports whether h is run for a shortcut.
func (h *Handler) ofShortcut() bool { return h.Kind == KindShortcut || h.Kind == KindMessageShortcut }

// ofMessages reports whether h is run for what somebody wrote.
func (h *Handler) ofMessages() bool {
	return h.Kind == KindMessage || h.Kind == KindMention || h.Kind == KindAgentMessage
}

// checkOptions finds an option that does nothing on h.
func (h *Handler) checkOptions() error {
	given := h.given
	if h.Usage != "" || h.About != "" && h.Title == "" && !slices.Contains(given, optionTitled) { // as fields
		given = append(slices.Clip(given), optionDescribe)
	}

	for _, o := range given {
		for _, rule := range idleOptions {
			if rule.option == o && rule.idle(h) {
				return fmt.Errorf("%s does nothing here: %s", o, rule.why)
			}
		}
	}
	return nil
}

// shadowed finds handlers of messages that never run, because one before each takes every text that they could have,
// wherever they listen.
func shadowed(messages []*Handler) (problems []error) {
	for i, h := range messages {
		var first *Handler
		free := slices.ContainsFunc(messageScopes, func(m messageScope) bool {
			if !h.listens(m.channelType) {
				return false
			}
			before := slices.IndexFunc(messages[:i], func(other *Handler) bool {
				return other.listens(m.channelType) && other.takes(h)
			})
			if before >= 0 {
				first = messages[before]
			}
			return before < 0
		})
		if !free && first != nil {
			problems = append(problems, never(h, first, "takes every text that matches it"))
		}
	}
	return problems
}

// takes reports whether h takes every message that other could have, where both listen.
func (h *Handler) takes(other *Handler) bool {
	hears := (h.bots || !other.bots) && (h.edits || !other.edits) && (h.deletions || !other.deletions)
	all := h.Name == "" // which matches every text
	return hears && h.Name != other.Name && (all || !patterns.LeavesOver(other.Name, h.Name))
}

// shadowedNames finds handlers that never run, because one before each takes every name that they could have.
func shadowedNames(several []*Handler) (problems []error) {
	for i, h := range several {
		before := slices.IndexFunc(several[:i], func(other *Handler) bool {
			return other.Name != h.Name && (other.block == "" || other.block == h.block) &&
				!patterns.LeavesOver(h.pattern.String(), other.pattern.String())
		})
		if before >= 0 {
			problems = append(problems, never(h, several[before], "takes every name that it could have"))
		}
	}
	return problems
}

// never says that h never runs because of another handler.
func never(h, because *Handler, takes string) error {
	return fmt.Errorf("%s %q%s: never runs, because %q%s before it %s. Put it first", h.Kind, h.Name, h.at(),
		because.Name, because.at(), takes)
}

// odd is what is worth a word about h at the start, though it may be meant; "" when there is nothing.
func (h *Handler) odd() string {
	if h.Kind == KindEvent && h.pattern == nil {
		if _, known := eventScopes[h.Name]; !known && messageSubtype(h.Name) == "" {
			return "this release knows no event of this name: the handler runs only if Slack has it"
		}
	}
	return ""
}
