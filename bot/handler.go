package bot

// What a handler is and how it is registered: a plain value made by an On… function, put into a list. Two handlers of
// one name are an error at start, never a surprise at run time.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// Kind is what a handler listens to.
type Kind string

// The kinds.
const (
	KindEvent   Kind = "event"
	KindMessage Kind = "message"
	KindCommand Kind = "command"
	KindAction  Kind = "action"
	KindView    Kind = "view"
	KindClosed  Kind = "view_closed"
)

// Handler is one registered reaction. Make it with one of the On… functions.
type Handler struct {
	Kind   Kind
	Name   string   // event type, pattern, command or action id
	Scopes []string // permissions it needs: without one of them it does not run, and the person is told what is off
	Extras []string // permissions it is better with, and runs without: see Uses
	About  string   // commands: what Slack shows in its menu
	Usage  string   // commands: the hint behind the name

	UserScopes []string // permissions it needs of a person to act for them: see ActsFor

	given   []option // those that were used, also where they do nothing
	always  bool
	anyone  bool
	slow    bool
	inOrder bool
	first   bool // the Bot's own, behind which the app's follows: that one's time is measured
	limit   time.Duration
	opens   func(ctx context.Context, t *Turn) (slack.ModalViewRequest, error)
	pattern *regexp.Regexp
	run     func(ctx context.Context, t *Turn, payload any) (Reply, error)
}

// Turn is what a handler works with: the workspace's own client and nothing of any other workspace. It is valid until
// the handler returns, and in Reply.Then.
type Turn struct {
	Slack      *slack.Client         // holds this workspace's token; nil when there is no usable connection (see Always)
	Connection connection.Connection // zero when there is none
	Key        connection.Key        // whose connection the delivery is for, connected or not
	Install    Installation          // what can be done with this installation, and with no other
	Log        *slog.Logger

	TeamID    string    // the workspace it happened in
	UserID    string    // who acted
	BotID     string    // of a message: the bot or workflow that wrote it, "" for a person. UserID can be "" then
	UserTeam  string    // that person's workspace when Slack said it: another one in Slack Connect
	ChannelID string    // "" in the App Home
	ThreadTS  string    // the thread to answer in, "" for none
	Text      string    // of the message or behind the command
	Match     []string  // of an OnMessage pattern
	Shared    bool      // the channel is shared with another company
	Ref       string    // reference for people to quote; it is in the log
	Attempt   int       // events and slow work: how often it was begun, this time included
	At        time.Time // events: when it happened, by Slack's clock, whole seconds
	EventID   string    // events and slow work: the same in every attempt, for what a handler must do once
	ViewID    string    // the modal that was submitted; slow work: the one that Opens opened, to be updated

	// AckBy is until when the acknowledgement of a command, a press or a form waits for the handler. Its context lives
	// on behind that. Zero for events and slow work, for which nothing waits.
	AckBy time.Time

	// Trigger opens one modal, within 3 s of the command or the press: see OpenView. "" for events.
	Trigger string

	channelType string // of a message: im, channel, group or mpim; "" when Slack didn't say

	outsider bool // who acts is of another company, or can't be told to be of this one; set where they can be

	openErr error
	context string // of the event, for Viewers
	audit   func(ctx context.Context, eventContext string) ([]Viewer, error)
	address connection.Secret // the response_url
	hooks   func(ctx context.Context, address connection.Secret, m message) error
	idle    func(log *slog.Logger, what string, fields []string)
	unread  func(parts []string) // notes what of the event could not be read
	said    *said                // what was posted in earlier attempts; nil: there were none and will be none
}

// Health says from our records how the connection is in this workspace, without another look-up.
func (t *Turn) Health() install.Health {
	c := t.Connection
	if c.ID != t.Install.c.ID {
		c = t.Install.c
	}
	return t.Install.in.Connections().AssessIn(c, t.openErr, t.TeamID)
}

// Check asks Slack how the connection is in this workspace. It never fails: what could not be found out is in the
// answer. It blocks for some calls to Slack.
func (t *Turn) Check(ctx context.Context) install.Health {
	return t.Install.in.Connections().CheckIn(ctx, t.Install.key, t.TeamID)
}

// Renewing reports that t.Slack is nil because the access ran out and couldn't be renewed just now. That is tried again
// by itself.
func (t *Turn) Renewing() bool { return errors.Is(t.openErr, connection.ErrRenewing) }

// AsUser returns a client that acts for the person who acted, as far as they allowed it (see ActsFor). It blocks for
// the store, and until ctx ends for a token that has to be renewed. If they allowed nothing, the error is
// connection.ErrNotConnected and at the same time a UserError that says where to allow it; connection.ErrRenewing when their token
// couldn't be renewed.
func (t *Turn) AsUser(ctx context.Context) (*slack.Client, error) {
	err := connection.ErrNotConnected
	if t.UserID != "" {
		var u connection.UserToken
		if u, err = t.Install.in.OpenUser(ctx, t.Install.key, t.UserID); err == nil {
			return t.Install.in.Connections().UserClientIn(u, t.TeamID), nil
		}
	}
	if errors.Is(err, connection.ErrNotConnected) {
		text := t.Install.App().Name + " isn't allowed to act for you here."
		if url := t.Health().GrantURL; url != "" && !t.Outsider() {
			text += " To allow it, open " + url
		}
		err = &notActingError{&UserError{Text: text}}
	}
	return nil, err
}

// notActingError is AsUser's word that a person has not let the app act for them. Its own text has no link: what an
// Error returns also ends in logs, and in what a handler says to everybody.
type notActingError struct{ told *UserError }

func (e *notActingError) Error() string   { return "not allowed to act for this person" }
func (e *notActingError) Unwrap() []error { return []error{connection.ErrNotConnected, e.told} }

// UserError is an error with a text for the person who acted, and for nobody else: it can hold a link that is theirs.
// Of an event it is told in their direct message with the app if they wrote there, else in the channel so that only
// they see it, or by direct message where the event has no channel; in a channel that is shared with another company
// only to people of this one. It needs chat:write. Any other error is told as "something went wrong" with a reference.
type UserError struct{ Text string }

// Error is Text, and what an operator finds in the log.
func (e *UserError) Error() string { return e.Text }

// userWord is what a UserError in err says, for who acted alone; false: there is none.
func userWord(err error) (Reply, bool) {
	var told *UserError
	if !errors.As(err, &told) {
		return Reply{}, false
	}
	return Reply{Text: told.Text, private: true}, true
}

// OnEvent registers run for an Events API type, decoded into E (usually a type of slack-go's slackevents). It is run
// after the acknowledgement, and at least once: a process can die between its last step and our record of it, so it may
// run again for one event, after a pause or in another process (Turn.Attempt). Turn.Say posts once all the same, as far
// as that can be known; what else must happen once can be guarded by Turn.EventID. An error is retried with growing
// pauses, 8 times in an hour and a half, and is then a dead letter (app_uninstalled and tokens_revoked until they
// succeed); a UserError is not retried, nor is what Slack refuses for good (channel_not_found …), and a
// *slack.RateLimitedError does not count. A panic is an error. What ends the process (an exit, a panic in a goroutine
// of the handler's own, no memory) is a dead letter after three times.
//
// What the app itself did is no event for it, by whichever of its ids Slack names it; its joining and leaving of
// channels is. What other bots and workflows do is an event like any other, also an app_mention in what they write
// (Turn.BotID): a handler that answers those must not mention them back, or two bots that do so never end. Parts of an
// event that this release can't read, such as a block that is newer, are left out.
//
// What Slack says of the app's own life (app_uninstalled, tokens_revoked, team_access_granted and _revoked,
// grid_migration_started and _finished, channel_id_changed) the Bot handles for every app. A handler of the app's own
// runs after that.
func OnEvent[E any](name string, run func(ctx context.Context, t *Turn, e *E) error, scopes ...string) Handler {
	handle := func(ctx context.Context, t *Turn, payload any) (Reply, error) {
		e, err := read[E](t, payload.(json.RawMessage))
		if err != nil {
			return Reply{}, err
		}
		return Reply{}, run(ctx, t, e)
	}
	return Handler{Kind: KindEvent, Name: name, Scopes: scopes, always: lifecycle(name), run: handle}
}

// OnMessage registers run for new messages whose text matches pattern; t.Match has the captures. What the app itself
// wrote is not heard, and neither are edits and deletions. What other bots and workflows write is heard, like what
// people write: a handler that answers every message returns early where Turn.BotID is set, or two such apps answer
// each other for ever.
//
// Where it listens follows from its scopes: im:history for direct messages, channels:history, groups:history,
// mpim:history. Of several handlers the first that matches runs. A message in a channel that mentions the app is left
// to the handler of app_mention, if there is one, so that one message is answered once. OnMessage panics when pattern
// does not compile.
func OnMessage(pattern string, run func(ctx context.Context, t *Turn, m *slackevents.MessageEvent) (Reply, error),
	scopes ...string) Handler {
	return Handler{Kind: KindMessage, Name: pattern, Scopes: scopes, pattern: regexp.MustCompile(pattern),
		run: func(ctx context.Context, t *Turn, payload any) (Reply, error) {
			m, err := read[slackevents.MessageEvent](t, payload.(json.RawMessage))
			if err != nil {
				return Reply{}, err
			}
			return run(ctx, t, m)
		}}
}

// OnCommand registers run for a slash command. It runs at once, and what it returns is the answer. Slack waits for 3 s;
// a handler that has not returned after 2.5 s is answered for, with a sentence that says so, and runs on: its context
// lives as long as Slack takes its answer at the response_url (29.5 min), and what it returns then takes the place of
// that sentence. Such work is not kept: at a stop of the program its context ends after 10 s, and the person is told
// that it was interrupted; if the process dies, they hear nothing. Work that must not be lost is Slow. An error is told
// to the person; it is not tried again.
// https://docs.slack.dev/interactivity/implementing-slash-commands
func OnCommand(name string, run func(ctx context.Context, t *Turn, c *slack.SlashCommand) (Reply, error),
	scopes ...string) Handler {
	return Handler{Kind: KindCommand, Name: name, Scopes: scopes,
		run: func(ctx context.Context, t *Turn, payload any) (Reply, error) {
			return run(ctx, t, payload.(*slack.SlashCommand))
		}}
}

// OnAction registers run for a button or menu with this action_id, in a message, a modal or the App Home. It runs at
// once, and is acknowledged after 2.5 s even if it has not returned: then it runs on as OnCommand's does. A Reply goes
// to the message's response_url, in the thread of the message if it is in one. In a modal or the App Home, which have
// none, it comes in a window on top, which leaves alone what was typed; later than the trigger lives (3 s) as a direct
// message. https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
//
// In an organisation of workspaces (Enterprise Grid) people of its other workspaces can press it. Whether they belong
// to the organisation is asked of users.info, once in ten minutes: without the permission users:read they are refused
// as people of another company are. Only an organisation-wide connection knows the workspaces that it was added to
// without that. So it is with OnView.
func OnAction(id string, run func(ctx context.Context, t *Turn, a *slack.InteractionCallback) (Reply, error),
	scopes ...string) Handler {
	return Handler{Kind: KindAction, Name: id, Scopes: scopes,
		run: func(ctx context.Context, t *Turn, payload any) (Reply, error) {
			return run(ctx, t, payload.(*slack.InteractionCallback))
		}}
}

// OnView registers run for the submission of a modal with this callback_id. It runs at once. The zero Reply closes the
// modal; Reply.Errors keeps it open; Reply.View takes its place, and so does a Text, as a page with that text. A
// handler that has not returned after 2.5 s runs on as OnCommand's does, and the modal says meanwhile that it takes
// longer. Its answer is then shown in the modal: Errors in the form with what the person put in (but for files, which
// Slack does not take back), the zero Reply as "Done", because no app can close a modal. If the person closed it, a
// Text or Errors come as a direct message.
// https://docs.slack.dev/surfaces/modals#handling_submissions
func OnView(callbackID string, run func(ctx context.Context, t *Turn, v *slack.InteractionCallback) (Reply, error),
	scopes ...string) Handler {
	return Handler{Kind: KindView, Name: callbackID, Scopes: scopes,
		run: func(ctx context.Context, t *Turn, payload any) (Reply, error) {
			return run(ctx, t, payload.(*slack.InteractionCallback))
		}}
}

// OnViewClosed registers run for a modal with this callback_id that was closed without being submitted. Slack tells of
// it only if the view has NotifyOnClose. What run returns is shown to nobody.
func OnViewClosed(callbackID string, run func(ctx context.Context, t *Turn, v *slack.InteractionCallback) error,
	scopes ...string) Handler {
	return Handler{Kind: KindClosed, Name: callbackID, Scopes: scopes,
		run: func(ctx context.Context, t *Turn, payload any) (Reply, error) {
			return Reply{}, run(ctx, t, payload.(*slack.InteractionCallback))
		}}
}

// Always makes the handler run even when the workspace has no usable connection or our database is down: t.Slack is nil
// then. Without it people are told that the app isn't connected, and events are dropped. Those that say that the access
// is gone (LifecycleEvents) have it from the start.
func (h Handler) Always() Handler { h.always = true; return h }

// Anyone makes an action or view handler run for people of other companies too, who meet it in a shared channel.
// Without it they are told that it is not for them, before the handler runs.
func (h Handler) Anyone() Handler { h.anyone = true; return h.with(optionAnyone) }

// Uses declares permissions that the handler is better with and runs without. It looks at them itself: see
// Turn.Missing.
func (h Handler) Uses(scopes ...string) Handler {
	h.Extras = slices.Concat(h.Extras, scopes)
	return h
}

// ActsFor declares what the handler needs of a person to act for them (user scopes). Each person who installs or
// reconnects the app is asked for it; Turn.AsUser has what came of it.
func (h Handler) ActsFor(scopes ...string) Handler {
	h.UserScopes = slices.Concat(h.UserScopes, scopes)
	return h
}

// Slow makes a command or action acknowledge at once and work from the inbox, with the promises of OnEvent: it survives
// the process and may run again. The person sees nothing until it answers: by what it returns, or before that by
// Turn.Respond. Both go to the response_url, which Slack takes for 30 minutes and 5 times.
func (h Handler) Slow() Handler { h.slow = true; return h.with(optionSlow) }

// Opens makes a slow command or action open a modal first, while its trigger lives (3 s): view says which. The handler
// finds it in Turn.ViewID. It is opened once, also when the handler runs again. Building and opening it has 2 s from
// the arrival on; what takes longer is not begun, and the person is told. A view that has to be looked for is built by
// OpensModal.
func (h Handler) Opens(view func(t *Turn) slack.ModalViewRequest) Handler {
	if view == nil {
		return h.OpensModal(nil)
	}
	return h.OpensModal(func(_ context.Context, t *Turn) (slack.ModalViewRequest, error) { return view(t), nil })
}

// OpensModal is Opens with a context, which ends when the time for it is over, and an error: the person is told as of a
// handler's, and nothing is begun.
func (h Handler) OpensModal(view func(ctx context.Context, t *Turn) (slack.ModalViewRequest, error)) Handler {
	h.opens = view
	return h.with(optionOpens)
}

// Within sets how long an event's or slow handler may take; its context ends then. Without it that is a minute.
func (h Handler) Within(limit time.Duration) Handler { h.limit = limit; return h.with(optionWithin) }

// InOrder has the events of one conversation (the slow commands of one channel) worked one after the other, in the
// order in which they arrived, also across processes; one that failed holds up the others until it is a dead letter.
// For messages it holds for all OnMessage handlers as soon as one asks for it.
func (h Handler) InOrder() Handler { h.inOrder = true; return h.with(optionInOrder) }

// Describe sets what Slack shows of a command.
func (h Handler) Describe(about, usage string) Handler {
	h.About, h.Usage = about, usage
	return h.with(optionDescribe)
}

func (h Handler) id() string { return string(h.Kind) + " " + h.Name }

// read decodes an event for its handler, without the parts of it that can't be read.
func read[E any](t *Turn, event json.RawMessage) (*E, error) {
	e, left, err := decode[E](event)
	if err != nil {
		return nil, &decodeError{err}
	}
	if len(left) > 0 && t.unread != nil {
		t.unread(left)
	}
	return e, nil
}

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
	for _, s := range slices.Concat(h.Scopes, h.Extras, h.UserScopes) {
		if strings.TrimSpace(s) != s || s == "" {
			return fmt.Errorf("%s %q: scope %q", h.Kind, h.Name, s)
		}
	}
	for _, s := range h.Extras {
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
		if !leavesOver(h.Name, "") {
			return fmt.Errorf("message %q: no text matches this pattern", h.Name)
		}
	case KindAction, KindView, KindClosed:
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
	for _, m := range messageScopes {
		if m.channelType == channelType {
			return slices.Contains(h.Scopes, m.scope)
		}
	}
	return false
}
