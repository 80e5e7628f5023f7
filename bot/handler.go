package bot

// What a handler is and how it is registered: a plain value made by an On… function, put into a list. Two handlers of
// one name are an error at start, never a surprise at run time.

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot/internal/lenient"
	"github.com/switchboard-go/switchboard/bot/internal/patterns"
)

// Kind is what a handler listens to. Numbers and the log name handlers by it, as in "command /weather".
type Kind string

// The kinds of handlers, each made by the function of a like name.
const (
	KindEvent          Kind = "event"       // of the Events API: OnEvent
	KindMessage        Kind = "message"     // that somebody wrote: OnMessage
	KindCommand        Kind = "command"     // with a slash: OnCommand
	KindAction         Kind = "action"      // a press of a button, or a choice in a menu: OnAction
	KindViewSubmission Kind = "view"        // a modal that was submitted: OnView
	KindViewClosed     Kind = "view_closed" // a modal that was closed instead: OnViewClosed
)

// Handler is one reaction of an app to what happens in Slack. Make it with one of the On… functions, change it with
// its methods, which return a changed copy, and put it into Config.Handlers. There is one handler for each Kind and
// Name.
//
// Handlers run in goroutines of their own, any number of them at the same time, and also in other processes that share
// the inbox: what they share has to be safe for that. A panic costs that one run.
type Handler struct {
	Kind Kind
	Name string // the event's type, the message's pattern, the command with its slash, the action_id or callback_id

	// Scopes are the bot's permissions that it needs. Where a workspace hasn't allowed all of them it doesn't run, and
	// who acted reads what the app can't do there and how it is allowed. NewManifest asks for them.
	Scopes []string
	// Extras are the bot's permissions that it is better with, and runs without: see Handler.Uses.
	OptionalScopes []string
	// UserScopes are permissions that it needs of a person to act for them: see Handler.ActsFor.
	UserScopes []string

	About string // commands: what Slack shows in its menu; required
	Usage string // commands: the hint behind the name, as in "[city]"

	given   []option // those that were used, also where they do nothing
	always  bool
	anyone  bool
	slow    bool
	inOrder bool
	first   bool // the Bot's own, behind which the app's follows: that one's time is measured
	limit   time.Duration
	opens   func(ctx context.Context, t *Request) (slack.ModalViewRequest, error)
	pattern *regexp.Regexp
	run     func(ctx context.Context, t *Request, payload any) (Reply, error)
}

// OnEvent returns a handler of one type of event of the Events API, decoded into E: usually the type of that event in
// slack-go's slackevents, or a struct of one's own with the JSON fields that are needed. A block or a field that this
// release can't read is left out of it.
//
// run is called after the acknowledgement, and its context ends after a minute (Handler.Within). It is called at least
// once for each event: a process can die between its last step and our record of it, so the same event can come again,
// after a pause or in another process (Request.Attempt). Request.Say posts once anyway, as far as that can be known. What
// else must happen once can be guarded by Request.EventID.
//
// What run returns decides what follows:
//
//   - nil: the event is done.
//   - A UserError or a NotAllowedError: who acted is told, and the event is done.
//   - What Slack refuses for good (channel_not_found …): the event is done, which is logged.
//   - A *slack.RateLimitedError: it runs again when Slack takes calls again. That doesn't count as a failure.
//   - Any other error, and a panic: it runs again after growing pauses, 8 times in an hour and a half. Then it is a
//     dead letter: kept in the inbox for an operator to see and replay.
//
// What ends the process (an exit, a panic in a goroutine of the handler's own, no memory) is a dead letter after three
// times.
//
// What the app itself did is no event for it, but for its joining and leaving of channels. What other bots and
// workflows do is an event like any other (Request.BotID). A handler of app_mention that answers them must not mention
// them back, or two bots that do so never end.
//
// What Slack says of the app's own life (app_uninstalled, tokens_revoked, team_access_granted and _revoked,
// grid_migration_started and _finished, channel_id_changed) the Bot handles for every app. A handler of the app's own
// runs after that. Those of LifecycleEvents run without a connection, and until they succeed.
//
// The types are listed at https://docs.slack.dev/reference/events. Messages have a function of their own: OnMessage.
// New refuses a type that Slack doesn't have, and one without the scope that Slack sends it for.
func OnEvent[E any](name string, run func(ctx context.Context, t *Request, e *E) error, scopes ...string) Handler {
	handle := reading(unanswered(run))
	return Handler{Kind: KindEvent, Name: name, Scopes: scopes, always: lifecycle(name), run: handle}
}

// OnMessage returns a handler of new messages whose text matches pattern, in the syntax of package regexp. Request.Matches
// has the captures. run is called as OnEvent's is, with the same promises, and its Reply is posted in the conversation.
//
// What the app itself wrote is not heard, and neither are edits and deletions. What other bots and workflows write is
// heard, like what people write: a handler that answers every message returns early where Request.BotID is set, or two
// such apps answer each other for ever.
//
// Where it listens follows from its scopes: im:history for direct messages, channels:history for public channels,
// groups:history for private ones, mpim:history for group messages. At least one of them is needed, and the one of the
// conversation is enough there. Of several handlers the first in Config.Handlers that matches runs. A message in a
// channel that mentions the app is left to the handler of app_mention, if there is one, so that one message is answered
// once.
//
// It panics when pattern does not compile. https://docs.slack.dev/reference/events/message
func OnMessage(pattern string, run func(ctx context.Context, t *Request, m *slackevents.MessageEvent) (Reply, error),
	scopes ...string) Handler {
	matched := regexp.MustCompile(pattern)
	return Handler{Kind: KindMessage, Name: pattern, Scopes: scopes, pattern: matched, run: reading(run)}
}

// OnCommand returns a handler of a slash command, named with its slash: "/weather". Describe is needed with it. The
// permission commands follows by itself.
//
// run is called right away, and the Reply that it returns is the answer: the zero Reply says nothing. Slack waits for
// 3 s. A handler that has not returned after 2.5 s is answered for, with a sentence that says so, and runs on: its
// context lives as long as Slack takes an answer (29.5 min), and what it returns then takes the place of that sentence.
// Such work is kept nowhere: when the program stops, its context ends after 10 s, and the person is told that it was
// interrupted; if the process dies, they hear nothing. Work that must not be lost is Slow.
//
// An error is told to the person and not tried again: a UserError in its own words, any other as "something went wrong"
// with a reference that is in the log, too.
// https://docs.slack.dev/interactivity/implementing-slash-commands
func OnCommand(name string, run func(ctx context.Context, t *Request, c *slack.SlashCommand) (Reply, error),
	scopes ...string) Handler {
	return Handler{Kind: KindCommand, Name: name, Scopes: scopes, run: taking(run)}
}

// OnAction returns a handler of a button, a menu or another element with this action_id, in a message, a modal or the
// App Home. The id is compared as it stands.
//
// run is called right away. The acknowledgement is out after 2.5 s even if run has not returned: then it runs on as
// OnCommand's does. Its Reply goes to the person who pressed, or to everybody (Reply.InChannel, Reply.Replace), in the
// thread of the message if it is in one. In a modal or the App Home it comes in a window on top, which leaves alone
// what was typed; later than 3 s after the press as a direct message. Errors are told as OnCommand's are.
//
// In a channel shared with another company its people can press, too. They are refused, unless the handler is for
// Anyone. In an organisation of workspaces (Enterprise Grid) people of its other workspaces can press. Whether they
// belong to the organisation is asked of Slack, once in ten minutes: without the permission users:read they are refused
// as people of another company are. Only an organisation-wide connection knows the workspaces that it was added to
// without that.
// https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
func OnAction(id string, run func(ctx context.Context, t *Request, a *slack.InteractionCallback) (Reply, error),
	scopes ...string) Handler {
	return Handler{Kind: KindAction, Name: id, Scopes: scopes, run: taking(run)}
}

// OnView returns a handler of the submission of a modal with this callback_id. What was put in is in v.View.State.
//
// run is called right away. The zero Reply closes the modal; Reply.Errors keeps it open; Reply.View takes its place,
// and so does a Text, as a page with that text. An error is shown in it, too. A handler that has not returned after 2.5
// s runs on as OnCommand's does, and the modal says meanwhile that it takes longer. Its answer is then shown in the
// modal: Errors in the form with what the person put in (but for files, which Slack does not take back), the zero Reply
// as "Done", because no app can close a modal. If the person closed it, a Text or Errors come as a direct message.
//
// Who may submit it is as with OnAction. https://docs.slack.dev/surfaces/modals#handling_submissions
func OnView(callbackID string, run func(ctx context.Context, t *Request, v *slack.InteractionCallback) (Reply, error),
	scopes ...string) Handler {
	return Handler{Kind: KindViewSubmission, Name: callbackID, Scopes: scopes, run: taking(run)}
}

// OnViewClosed returns a handler of a modal with this callback_id that was closed without being submitted. Slack tells
// of it only if the view has NotifyOnClose. Nobody waits for it: what becomes of run is in the log alone.
// https://docs.slack.dev/reference/interaction-payloads/view-interactions-payload
func OnViewClosed(callbackID string, run func(ctx context.Context, t *Request, v *slack.InteractionCallback) error,
	scopes ...string) Handler {
	return Handler{Kind: KindViewClosed, Name: callbackID, Scopes: scopes, run: taking(unanswered(run))}
}

// answering is a handler of a payload of type P.
type answering[P any] = func(ctx context.Context, t *Request, payload *P) (Reply, error)

// unanswered is run where nobody waits for a Reply.
func unanswered[P any](run func(ctx context.Context, t *Request, payload *P) error) answering[P] {
	return func(ctx context.Context, t *Request, payload *P) (Reply, error) { return Reply{}, run(ctx, t, payload) }
}

// taking calls run with what was typed or pressed.
func taking[P any](run answering[P]) func(context.Context, *Request, any) (Reply, error) {
	return func(ctx context.Context, t *Request, payload any) (Reply, error) { return run(ctx, t, payload.(*P)) }
}

// reading calls run with an event, without the parts of it that can't be read.
func reading[E any](run answering[E]) func(context.Context, *Request, any) (Reply, error) {
	return func(ctx context.Context, t *Request, payload any) (Reply, error) {
		e, left, err := lenient.Decode[E](payload.(json.RawMessage))
		if err != nil {
			return Reply{}, &decodeError{err}
		}
		if len(left) > 0 && t.unread != nil {
			t.unread(left)
		}
		return run(ctx, t, e)
	}
}

// Always makes the handler run even when the workspace has no usable connection, a permission is missing, or the
// database is down: Request.Client can be nil then, and Request.Health says why. Without it people are told that the app isn't
// connected, and events are dropped.
func (h Handler) Always() Handler { h.always = true; return h }

// Anyone makes an action or view handler run for people of other companies, too, who meet it in a shared channel.
// Request.External tells them apart. Without it they are told that it is not for them, and the handler doesn't run.
// https://docs.slack.dev/apis/slack-connect
func (h Handler) Anyone() Handler { h.anyone = true; return h.with(optionAnyone) }

// Uses declares permissions of the bot that the handler is better with and runs without: people can untick them when
// they install. The handler looks at them itself, with Request.Missing.
func (h Handler) Uses(scopes ...string) Handler {
	h.OptionalScopes = slices.Concat(h.OptionalScopes, scopes)
	return h
}

// ActsFor declares what the handler needs of a person to act for them (user scopes). Each person who installs or
// reconnects the app is asked for it. Request.UserClient has what came of it.
// https://docs.slack.dev/authentication/installing-with-oauth
func (h Handler) ActsFor(scopes ...string) Handler {
	h.UserScopes = slices.Concat(h.UserScopes, scopes)
	return h
}

// Slow makes a command or action acknowledge right away and run from the inbox, with the promises of OnEvent: it
// survives the process and can run again, 4 times at most. The person sees nothing until it answers: by what it
// returns, or before that by Request.Respond. Slack takes answers for 30 minutes, 5 of them.
func (h Handler) Slow() Handler { h.slow = true; return h.with(optionSlow) }

// Opens makes a slow command or action open the modal that view returns first, while its trigger lives (3 s). The
// handler finds its id in Request.ViewID. It is opened once, also when the handler runs again. Building and opening it has
// 2 s from the arrival on. What takes longer is not begun, and the person is told. A view that has to be looked for is
// built by OpensModal.
func (h Handler) Opens(view func(t *Request) slack.ModalViewRequest) Handler {
	if view == nil {
		return h.OpensModal(nil)
	}
	return h.OpensModal(func(_ context.Context, t *Request) (slack.ModalViewRequest, error) { return view(t), nil })
}

// OpensModal is Opens with a context, which ends when the time for it is over, and an error: the person is told as of a
// handler's, and nothing is begun.
func (h Handler) OpensModal(view func(ctx context.Context, t *Request) (slack.ModalViewRequest, error)) Handler {
	h.opens = view
	return h.with(optionOpens)
}

// Within sets how long a handler of events or a slow one can take; its context ends then. Without it that is a minute.
func (h Handler) Within(limit time.Duration) Handler { h.limit = limit; return h.with(optionWithin) }

// InOrder has the events of one conversation (the slow commands or actions of one channel) worked one after the other,
// in the order in which they arrived, also across processes. One that failed holds up the others until it is done or a
// dead letter. For messages it holds for all OnMessage handlers as soon as one asks for it.
func (h Handler) InOrder() Handler { h.inOrder = true; return h.with(optionInOrder) }

// Describe sets what Slack shows of a command in its menu: about says what it does, in at most 2,000 characters, and
// usage what can stand behind its name, "" for nothing.
func (h Handler) Describe(about, usage string) Handler {
	h.About, h.Usage = about, usage
	return h.with(optionDescribe)
}

func (h Handler) id() string { return string(h.Kind) + " " + h.Name }

// decodeError is a payload that is not what the handler expects; trying again would not help.
type decodeError struct{ err error }

func (e *decodeError) Error() string { return "decode payload: " + e.err.Error() }
func (e *decodeError) Unwrap() error { return e.err }

var commandName = regexp.MustCompile(`^/[a-z0-9_-]{1,31}$`)

// check finds what would only fail later, in Slack, or never happen.
func (h Handler) check() error {
	if err := h.checkOptions(); err != nil {
		return err
	}
	if err := h.checkName(); err != nil {
		return err
	}

	for _, s := range slices.Concat(h.Scopes, h.OptionalScopes, h.UserScopes) {
		if strings.TrimSpace(s) != s || s == "" {
			return fmt.Errorf("%s %q: scope %q", h.Kind, h.Name, s)
		}
	}

	for _, s := range h.OptionalScopes {
		if slices.Contains(h.Scopes, s) {
			return fmt.Errorf("%s %q: it needs %s already, so Uses does nothing for it", h.Kind, h.Name, s)
		}
	}
	return nil
}

// checkName finds what is wrong with what h listens to.
func (h Handler) checkName() error {
	switch h.Kind {
	case KindCommand:
		if !commandName.MatchString(h.Name) {
			return fmt.Errorf("command %q: Slack allows a slash and 1 to 31 lower-case letters, digits, - and _", h.Name)
		}
		if h.About == "" {
			return fmt.Errorf("command %q: no description for Slack's menu (Describe)", h.Name)
		}
	case KindEvent:
		return h.checkEvent()
	case KindMessage:
		if len(h.messageEvents()) == 0 {
			return fmt.Errorf("message %q: no scope that says where it listens "+
				"(im:history, channels:history, groups:history, mpim:history)", h.Name)
		}
		if !patterns.LeavesOver(h.Name, "") {
			return fmt.Errorf("message %q: no text matches this pattern", h.Name)
		}
	case KindAction, KindViewSubmission, KindViewClosed:
		if n := utf8.RuneCountInString(h.Name); n == 0 || n > 255 {
			return fmt.Errorf("%s %q: Slack allows 1 to 255 characters", h.Kind, h.Name)
		}
		if strings.TrimSpace(h.Name) != h.Name {
			return fmt.Errorf("%s %q: there is space around the id, which is compared as it stands", h.Kind, h.Name)
		}
	default:
		return fmt.Errorf("handler %q: unknown kind", h.Name)
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

// messageEvents returns the subscriptions of an OnMessage handler.
func (h Handler) messageEvents() []string {
	var events []string
	for _, m := range messageScopes {
		if slices.Contains(h.Scopes, m.scope) {
			events = append(events, m.event)
		}
	}
	return events
}

// listens reports whether an OnMessage handler listens in this type of channel.
func (h Handler) listens(channelType string) bool {
	return slices.ContainsFunc(messageScopes, func(m messageScope) bool {
		return m.channelType == channelType && slices.Contains(h.Scopes, m.scope)
	})
}
