package bot

// What a handler is and how it is registered: a plain value made by an On… function, put into a list. Two handlers of
// one name are an error at start, never a surprise at run time.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/lenient"
	"github.com/switchboard-go/switchboard/bot/internal/patterns"
	"github.com/switchboard-go/switchboard/bot/internal/schedule"
)

// Kind is what a handler listens to. Numbers and the log name handlers by it, as in "command /weather".
type Kind string

// The kinds of handlers, each made by the function of a like name.
const (
	KindEvent          Kind = "event"       // of the Events API: OnEvent
	KindMessage        Kind = "message"     // that somebody wrote: OnMessage
	KindMention        Kind = "mention"     // of the app: OnMention
	KindCommand        Kind = "command"     // with a slash: OnCommand
	KindAction         Kind = "action"      // a press of a button, or a choice in a menu: OnAction
	KindViewSubmission Kind = "view"        // a modal that was submitted: OnViewSubmission
	KindViewClosed     Kind = "view_closed" // a modal that was closed instead: OnViewClosed

	KindShortcut        Kind = "shortcut"         // from Slack's own menus: OnShortcut
	KindMessageShortcut Kind = "message_shortcut" // from a message's menu: OnMessageShortcut
	KindOptions         Kind = "options"          // for a menu from outside: OnOptions
	KindFunction        Kind = "function"         // a step of a workflow: OnFunction
	KindLink            Kind = "link"             // to a domain of the app's: OnLink
	KindHome            Kind = "home"             // the Home tab: OnHomeOpened

	KindAgentOpened  Kind = "agent_opened"  // the conversation with an agent: OnAgentOpened
	KindAgentMessage Kind = "agent_message" // written there: OnAgentMessage
	KindAgentStopped Kind = "agent_stopped" // the button that stops it: OnAgentStopped
	KindAgentContext Kind = "agent_context" // what the person looks at beside it: OnAgentContext
	KindAgentTitle   Kind = "agent_title"   // a session's, by a person: OnAgentTitle
)

// Handler is one reaction of an app to what happens in Slack. Make it with one of the On… functions, and put it into
// Config.Handlers. There is one handler for each Kind and Name.
//
// Handlers run in goroutines of their own, any number of them at the same time, and also in other processes that share
// the inbox: what they share has to be safe for that. A panic costs that one run.
type Handler struct {
	Kind Kind
	// Name is the event's type, the message's pattern, the command with its slash, the action_id or callback_id.
	//
	// Names of events, actions and views can stand for several: one that ends with * is the beginning that they have in
	// common ("vote.*"), one that begins with ^ is a pattern of package regexp. A handler of exactly one name goes before
	// them, and of several of them the first runs.
	Name string

	// Scopes are the bot's permissions that it needs. Where a workspace hasn't allowed all of them it doesn't run, and
	// who acted reads what the app can't do there and how it is allowed. NewManifest asks for them.
	Scopes []string
	// OptionalScopes are the bot's permissions that it is better with, and runs without.
	OptionalScopes []string
	// UserScopes are permissions that it needs of a person to act for them.
	UserScopes []string

	Title string // shortcuts and steps of workflows: their name in Slack's menus; required
	About string // commands, shortcuts and steps: what Slack shows of it; required
	Usage string // commands: the hint behind the name, as in "[city]"

	inputs    []Parameter // of a step
	outputs   []Parameter
	place     string   // where it was made: bot.go:12
	given     []option // those that were used, also where they do nothing
	block     string   // actions: only those in the block of this id
	describes bool     // a command that nothing runs for: its subcommands do
	always    bool
	anyone    bool
	async     bool
	ordered   bool
	busy      Busy // agents: what a message does in a thread in which one is being answered
	bots      bool // messages of other bots, too
	edits     bool // and what was changed in them
	deletions bool
	first     bool // the Bot's own, behind which the app's follows: that one's time is measured
	limit     time.Duration
	opens     func(ctx context.Context, r *Request) (slack.ModalViewRequest, error)
	pattern   *regexp.Regexp
	use       []Middleware
	named     string            // its id, made once
	chain     Next              // use around what runs, made once; nil: there is none
	calendar  schedule.Calendar // of timers that recur
	broken    string            // why that can't be told
	run       func(ctx context.Context, r *Request, payload any) error
}

// newHandler is a handler made by the exported function that calls it. run gets what Slack sent, decoded as that
// function has it.
func newHandler(kind Kind, name string, options []Option, run func(context.Context, *Request, any) error) Handler {
	h := Handler{Kind: kind, Name: name, run: run}
	if _, file, line, ok := runtime.Caller(2); ok {
		h.place = fmt.Sprintf("%s:%d", filepath.Base(file), line)
	}
	for _, set := range options {
		set(&h)
	}
	return h
}

// id names h among all handlers, in the inbox and in the log; "" where there is none.
func (h *Handler) id() string {
	switch {
	case h == nil:
		return ""
	case h.named != "":
		return h.named
	}
	id := strings.TrimSuffix(string(h.Kind)+" "+h.Name, " ")
	if h.block != "" {
		id += " in " + h.block
	}
	return id
}

// at is where h was made, for errors.
func (h *Handler) at() string {
	if h.place == "" {
		return ""
	}
	return " (" + h.place + ")"
}

// severalNames reports whether a name stands for more than itself.
func severalNames(name string) bool {
	return strings.HasSuffix(name, "*") || strings.HasPrefix(name, "^")
}

// namePattern is the pattern of package regexp that a name with several meanings is.
func namePattern(name string) string {
	if prefix, ok := strings.CutSuffix(name, "*"); ok && !strings.HasPrefix(name, "^") {
		return "^" + regexp.QuoteMeta(prefix)
	}
	return name
}

// is reports whether h is for a name.
func (h *Handler) is(name string) bool {
	if h.pattern == nil {
		return h.Name == name
	}
	return h.pattern.MatchString(name)
}

// matches reports whether h is for a name, and returns the captures if h's is a pattern.
func (h *Handler) matches(name string) (captures []string, ok bool) {
	if h.pattern == nil {
		return nil, h.Name == name
	}
	captures = h.pattern.FindStringSubmatch(name)
	return captures, captures != nil
}

// decodeEvent is an event as E, without the parts of it that can't be read, which are noted.
func decodeEvent[E any](r *Request, payload any) (*E, error) {
	e, left, err := lenient.Decode[E](payload.(json.RawMessage))
	if err != nil {
		return nil, &decodeError{err}
	}
	if len(left) > 0 && r.unread != nil {
		r.unread(left)
	}
	return e, nil
}

// ofEvent makes a handler's function of one that gets an event as E.
func ofEvent[E any](run func(ctx context.Context, r *Request, e *E) error) func(context.Context, *Request, any) error {
	return func(ctx context.Context, r *Request, payload any) error {
		e, err := decodeEvent[E](r, payload)
		if err != nil {
			return err
		}
		return run(ctx, r, e)
	}
}

// decodeError is a payload that is not what the handler expects; trying again would not help.
type decodeError struct{ err error }

func (e *decodeError) Error() string { return "decode payload: " + e.err.Error() }
func (e *decodeError) Unwrap() error { return e.err }

// check finds what would only fail later, in Slack, or never happen, and compiles the pattern of its name.
func (h *Handler) check() error {
	err := h.checkOptions()
	if err == nil && h.run == nil {
		err = errors.New("it has no function that runs: make it with an On… function")
	}
	if err == nil {
		err = h.checkName()
	}
	if err == nil {
		err = h.checkScopes()
	}
	if err != nil {
		return fmt.Errorf("%s %q%s: %w", h.Kind, h.Name, h.at(), err)
	}
	return nil
}

func (h *Handler) checkScopes() error {
	for _, s := range slices.Concat(h.Scopes, h.OptionalScopes, h.UserScopes) {
		if strings.TrimSpace(s) != s || s == "" {
			return fmt.Errorf("scope %q", s)
		}
	}
	for _, s := range h.OptionalScopes {
		if slices.Contains(h.Scopes, s) {
			return fmt.Errorf("it needs %s already, so OptionalScopes does nothing for it", s)
		}
	}
	return nil
}

// checkName finds what is wrong with what h listens to.
func (h *Handler) checkName() error {
	switch h.Kind {
	case KindCommand:
		return h.checkCommand()
	case KindMessage, KindMention, KindAgentMessage:
		return h.checkPattern()
	case KindAgentOpened, KindAgentStopped, KindAgentContext, KindAgentTitle:
		return nil
	case KindEvent:
		if err := h.compileName(); err != nil {
			return err
		}
		return h.checkEvent()
	case KindLink:
		return h.checkDomain()
	case KindFunction:
		return h.checkFunction()
	case KindHome:
		return nil
	case KindShortcut, KindMessageShortcut:
		return h.checkShortcut()
	case KindAction, KindViewSubmission, KindViewClosed, KindOptions:
		if n := utf8.RuneCountInString(h.Name); n == 0 || n > 255 {
			return errors.New("an id has 1 to 255 characters")
		}
		if strings.TrimSpace(h.Name) != h.Name {
			return errors.New("there is space around the id, which is compared as it stands")
		}
		return h.compileName()
	case KindTimer:
		return h.checkTimer()
	}
	return errors.New("unknown kind")
}

// compileName takes in a name that stands for several.
func (h *Handler) compileName() (err error) {
	if !severalNames(h.Name) {
		return nil
	}
	if h.pattern, err = regexp.Compile(namePattern(h.Name)); err != nil {
		return err
	}
	if !patterns.LeavesOver(h.pattern.String(), "") {
		return errors.New("no name matches this pattern")
	}
	return nil
}
