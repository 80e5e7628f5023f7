package bot

// What a handler works with: one delivery, and the connection of the workspace that it is for.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/words"
)

// Request is what a handler of any kind works with: what happened, and the workspace's own client. It reaches nothing
// of any other workspace. It is valid until the handler returns, and in Reply.Then. Its methods may be called from any
// number of goroutines; only a handler that speaks from several of them at the same time can't count on Say's and
// Respond's promise for when it runs again.
type Request struct {
	// Client calls Slack with this workspace's bot token. It waits for Slack's rate limits by itself, within the context
	// that a call gets. It is nil when there is no usable connection, which only a handler WithoutConnection meets.
	Client *slack.Client
	// Connection is the connection that Client calls with: its scopes, who installed it, since when. Zero when there is
	// none.
	Connection connection.Connection
	// Key says whose connection the delivery is for, connected or not.
	Key connection.Key
	// Install is what can be done with the app's installation there.
	Install Installation
	// Log has Ref and the connection on each line.
	Log *slog.Logger

	TeamID       string // the workspace it happened in (T…)
	EnterpriseID string // the organisation that the workspace is in (E…), "" for none
	UserID       string // who acted (U…); "" when Slack didn't say
	UserTeam     string // that person's workspace when Slack said it: another one in Slack Connect
	BotID        string // of a message: the bot or workflow that wrote it (B…), "" for a person. UserID can be "" then
	ChannelID    string // the conversation (C…, D… or G…); "" in the App Home and in modals
	ThreadTS     string // the thread to answer in, "" for none
	Text         string // of the message, or what stands behind a command
	ViewID       string // the modal that was submitted or pressed in; durable work: the one of OpensModal, to be updated

	// Matches has the whole match of the handler's pattern and then its captures; nil where it has none.
	Matches []string
	// Shared reports that the channel is shared with another company: see External.
	Shared bool

	// Ref is a reference for people to quote ("7F3K2QX"). It is in the log.
	Ref string
	// EventID is the same in every attempt at an event or durable work, for what a handler must do once. "" for what runs
	// right away, which has one attempt.
	EventID string
	// Attempt is how often an event or durable work was begun, this time included. 0 for what runs right away.
	Attempt int
	// EventTime is when an event happened, by Slack's clock, in whole seconds. Zero for what people do to the app.
	EventTime time.Time
	// AckBy is until when the acknowledgement of a command, a press or a form waits for the handler, whose context lives
	// on behind that. Zero for events and durable work, for which nothing waits.
	AckBy time.Time
	// TriggerID opens one modal, within 3 s of the command or the press: see OpenModal. "" for events.
	TriggerID string
	// Step is the step of a workflow that this is about or leads back to; nil: there is none.
	Step *Step
	// Raw is what Slack sent: the JSON of an event or an interaction, a command's form. It must not be changed.
	Raw []byte

	channelType string // of a message: im, channel, group or mpim; "" when Slack didn't say
	written     writing
	links       []string // of an event of links: those for the handler

	inHome   bool // the Home tab was opened
	inModal  bool // it was pressed in a modal
	outsider bool // who acts is of another company, or can't be told to be of this one; set where they can be

	openErr   error
	pressedTS string // the message that held what was pressed; "" elsewhere

	store   Store
	timers  *timers
	context string               // of the event, for Authorizations
	address connection.Secret    // the response_url
	gate    *gate                // nil for a Request that a test made
	handler *Handler             // nil for a Request that a test made
	work    Next                 // what the handler's middleware is around, in this run
	answer  *recorded            // nil: nobody waits for one
	unread  func(parts []string) // notes what of the event could not be read
	said    *said                // what was posted in earlier attempts; nil: there were none and will be none
}

// Kind is what the handler listens to.
func (req *Request) Kind() Kind {
	if req.handler == nil {
		return ""
	}
	return req.handler.Kind
}

// Handler names the handler as numbers and the log do, as in "command /weather".
func (req *Request) Handler() string { return req.handler.id() }

// Now is the time by the clock that timers and the Store go by, which the whole app has in common: the database's. In a
// test with bottest it is the one that Advance moves, which time.Now knows nothing of.
func (req *Request) Now() time.Time { return req.Install.in.Now() }

// ErrAnswered says that a handler has given its answer already: there is one.
var ErrAnswered = errors.New("the handler has answered already")

// recorded is the answer that a handler gave. It reaches the person when the handler returns.
type recorded struct {
	mu    sync.Mutex
	given bool
	reply Reply
}

// record keeps a handler's answer. One that says and does nothing is none.
func (req *Request) record(r Reply) error {
	if r.empty() && r.Then == nil && r.view == nil && len(r.errors) == 0 && !r.clear && r.offer == nil {
		return nil
	}
	if len(r.Files) > 0 {
		return fmt.Errorf("%s: %w", req.Handler(), errFilesPublic)
	}
	if req.answer == nil {
		req.answer = &recorded{}
	}
	req.answer.mu.Lock()
	defer req.answer.mu.Unlock()
	if req.answer.given {
		return fmt.Errorf("%s: %w", req.Handler(), ErrAnswered)
	}
	req.answer.given, req.answer.reply = true, r
	return nil
}

// get is the answer that was kept, the zero Reply if there was none.
func (a *recorded) get() Reply {
	if a == nil {
		return Reply{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reply
}

// Health says how the connection is in this workspace, in words for people, from what was found when the handler began.
// It doesn't block.
func (req *Request) Health() install.Health {
	c := req.Connection
	if c.ID != req.Install.c.ID {
		c = req.Install.c
	}
	return req.Install.in.Connections().AssessIn(c, req.openErr, req.TeamID)
}

// Check asks Slack how the connection is in this workspace, and says that in words for people. It never fails: what
// could not be found out is in the answer. It blocks for the database and some calls to Slack, as long as ctx lives.
func (req *Request) Check(ctx context.Context) install.Health {
	return req.Install.in.Connections().CheckIn(ctx, req.Install.key, req.TeamID)
}

// lang is what the app says in. A Request that a test made of nothing says it in English.
func (req *Request) lang() *words.Sentences {
	if req == nil || req.Install.in == nil {
		return nil
	}
	return req.Install.App().Words
}

// Renewing reports that Client is nil because the access ran out and couldn't be renewed just now. That is tried again
// by itself.
func (req *Request) Renewing() bool { return errors.Is(req.openErr, connection.ErrRenewing) }

// UserClient returns a client that acts for the person who acted, as far as they allowed it (UserScopes). If they
// allowed nothing, the error is connection.ErrNotConnected and at the same time a UserError that says where to allow
// it: a handler returns it as it is. It is connection.ErrRenewing when their token couldn't be renewed just now. It
// blocks for the database, and until ctx ends for a token that has to be renewed.
func (req *Request) UserClient(ctx context.Context) (*slack.Client, error) {
	err := connection.ErrNotConnected
	if req.UserID != "" {
		var u connection.UserToken
		if u, err = req.Install.in.OpenUser(ctx, req.Install.key, req.UserID); err == nil {
			return req.Install.in.Connections().UserClientIn(u, req.TeamID), nil
		}
	}

	if errors.Is(err, connection.ErrNotConnected) {
		text := req.lang().Say("bot.not_acting", "app", mrkdwn.Escape(req.Install.App().Name))
		if url := req.Health().GrantURL; url != "" && !req.External() {
			text += " " + req.lang().Say("bot.allow_acting", "link", url)
		}
		err = &notActingError{&UserError{Text: text}}
	}
	return nil, err
}

// notActingError is UserClient's word that a person has not let the app act for them. Its own text has no link: what an
// Error returns also ends in logs, and in what a handler says to everybody.
type notActingError struct{ told *UserError }

func (e *notActingError) Error() string   { return "not allowed to act for this person" }
func (e *notActingError) Unwrap() []error { return []error{connection.ErrNotConnected, e.told} }

// UserError is an error with a text for the person who acted, and for nobody else: it can hold a link that is theirs. A
// handler returns one, as it is or wrapped, and is not run again. Any other error is told as "something went wrong"
// with a reference.
//
// Who typed a command, pressed a button or submitted a form reads it as the answer. Of an event it is told in their
// direct message with the app if they wrote there, else in the channel so that only they see it, or by direct message
// where the event has no channel; in a channel that is shared with another company only to people of this one. That
// needs chat:write.
type UserError struct {
	Text string // whole sentences, in Slack's mrkdwn
}

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
