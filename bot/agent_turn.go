package bot

// One message that an agent answers. While its handler runs the session says so, and what a person does meanwhile
// reaches it: they press stop, or write the next message. In whichever process that arrives, it is in the inbox, and
// whoever answers looks there.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot/internal/lenient"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	// How long an agent's handler may take, unless it says otherwise (Timeout).
	agentBudget = time.Hour
	// A press of stop ends the work within a second: so often it is looked for.
	lookEvery = 400 * time.Millisecond
	// Slack takes a session that says for an hour that it is working for active.
	// https://docs.slack.dev/reference/methods/agents.sessions.setStatus
	processingFor = 50 * time.Minute
	// What a turn leaves behind is to be said also when its context has ended.
	leaveBudget = 20 * time.Second
	// A message that lay in the inbox for longer than this waited for the one before it.
	waitedLong = 2 * time.Second

	sessionStopped = "agent_session_stopped"
)

// Reasons for which an agent's work ends before its time.
var (
	errStopped   = errors.New("a person pressed stop")
	errOvertaken = errors.New("the person wrote the next message")
)

// Stopped reports whether a context ended because the person pressed stop, or wrote the next message in a thread whose
// handler is told to Cancel.
func Stopped(ctx context.Context) bool {
	cause := context.Cause(ctx)
	return errors.Is(cause, errStopped) || errors.Is(cause, errOvertaken)
}

// Turns is what an Inbox knows of the turns of a conversation. It is a part of Inbox.
type Turns interface {
	// Behind returns events that wait behind e for their OrderingKey, in their order: a few, from the first one on
	// whose Row is greater than row. They stay where they are. See Delivery.Joined.
	Behind(ctx context.Context, e Delivery, row int64) ([]Delivery, error)
	// Came reports whether there is an event with an OrderingKey that begins with prefix and, after that, is greater than
	// from, byte by byte. Those that are done are there for DedupeFor, too. It is asked for presses of stop alone, in
	// whose keys prefix ends with StopKey.
	Came(ctx context.Context, prefix, from string) (bool, error)
	// RecordStream keeps what e's handler has written so far, encrypted like its Body, and makes its lease start anew. It
	// is erased when e is done. An attempt that records something is taken for one that gets ahead: deaths of e that
	// came before don't count any longer, but for those of more than 20 attempts.
	RecordStream(ctx context.Context, e Delivery, state []byte) error
	// StreamState returns what RecordStream kept last, nil for nothing.
	StreamState(ctx context.Context, e Delivery) ([]byte, error)
}

// StopKey is in the OrderingKey of a press of stop, between its thread and its time.
const StopKey = "/stop/"

// SessionStatus is how a session is shown. https://docs.slack.dev/ai/agent-sessions
type SessionStatus string

// The states of a session.
const (
	SessionActive     SessionStatus = slack.AgentSessionStatusActive     // the person can write
	SessionProcessing SessionStatus = slack.AgentSessionStatusProcessing // the agent works, and can be stopped
	SessionSuspended  SessionStatus = slack.AgentSessionStatusSuspended  // the agent waits for the person
	SessionClosed     SessionStatus = slack.AgentSessionStatusClosed     // there are no more answers
)

// threadKey is the ordering key of what happens in an agent's thread; "" when order doesn't matter. Presses of stop
// have one so that they are found. What the app itself writes there has none: it is no next message.
func (r *routes) threadKey(in *inner, key connection.Key, team, botUser string) string {
	_, channel, thread := in.where()
	switch in.Type {
	case sessionStopped:
		return orderingKey(key, team, channel) + "/" + thread + StopKey + in.EventTS
	case "message":
		if own(in.Type, in, key.AppID, botUser, "") {
			return ""
		}
		if h, _ := r.route(in.Type, in, botUser); h != nil && h.Kind == KindAgentMessage {
			return orderingKey(key, team, channel) + "/" + cmp.Or(thread, in.TS)
		}
	}
	return ""
}

// turn is the answering of one message.
type turn struct {
	t     *Thread
	inbox Inbox     // nil: nothing is known of what comes meanwhile
	event *Delivery // nil with it
	stops string    // what ordering keys of presses of stop in its thread begin with
	end   context.CancelCauseFunc

	took []int64 // Rows of the messages that the handler took in

	sending sync.Mutex  // held while one of the streams sends something; it guards their records
	state   streamState // guarded by sending, but for Began, which doesn't change

	mu      sync.Mutex
	shown   SessionStatus // that the session was given last
	at      time.Time     // when it was asked for
	left    bool          // the handler said how it is to be left
	streams []*Stream
}

// answer runs an agent's handler for a message, and sees to the session around it.
func (t *Thread) answer(ctx context.Context, run func(ctx context.Context, t *Thread) error) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	u := &turn{t: t, end: end}
	t.turn = u
	if t.said != nil {
		u.inbox, u.event = t.said.inbox, t.said.event
		u.stops = orderingKey(t.Key, t.TeamID, t.ChannelID) + "/" + t.ThreadTS + StopKey
	}
	if err := u.resume(ctx); err != nil {
		return err
	}

	u.look(ctx)
	if Stopped(ctx) {
		return u.leave(ctx, nil)
	}
	u.show(ctx, SessionProcessing)

	var beside sync.WaitGroup
	beside.Go(func() { every(ctx, lookEvery, u.look) })
	beside.Go(func() { every(ctx, lookEvery, u.keepUp) }) // apart, because it waits for Slack
	if u.inbox != nil && t.handler.busy == Join {
		beside.Go(func() { u.join(ctx) })
	}
	err := func() error {
		defer func() { end(nil); beside.Wait() }() // also when it panics
		return run(ctx, t)
	}()

	if err = u.leave(ctx, err); err == nil && u.event != nil {
		u.event.Joined = u.took
	}
	return err
}

// resume takes up what earlier attempts wrote.
func (u *turn) resume(ctx context.Context) error {
	u.state.Began = u.t.TS
	if u.inbox == nil {
		return nil
	}

	// One that waited is not what a press of stop was meant for that came before its time, in a later attempt neither.
	// Two clocks are compared here, and it waited for longer than they differ.
	if u.t.Attempt <= 1 {
		now := u.t.Now()
		if now.Sub(u.event.Received) <= waitedLong {
			return nil
		}
		u.state.Began = max(u.t.TS, slackTime(now))
		if err := u.keepLocked(ctx); err != nil {
			u.t.Log.WarnContext(ctx, "remember since when a message is answered: "+
				"a press of stop from before can end the next attempt", "cause", err)
		}
		return nil
	}

	kept, err := u.inbox.StreamState(ctx, u.t.said.delivery())
	if err != nil {
		return fmt.Errorf("read what was written: %w", err)
	}
	return u.state.read(kept)
}

// slackTime is a time as Slack writes the names of messages.
func slackTime(t time.Time) string { return fmt.Sprintf("%d.%06d", t.Unix(), t.Nanosecond()/1000) }

// every calls do until ctx ends.
func every(ctx context.Context, pause time.Duration, do func(context.Context)) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(ctx)
		}
	}
}

// keepUp sees to what has its time: a status that would run out, and text that is to be sent.
func (u *turn) keepUp(ctx context.Context) {
	u.mu.Lock()
	again := u.shown == SessionProcessing && u.t.Now().Sub(u.at) >= processingFor
	streams := u.streams
	u.mu.Unlock()
	if again {
		u.show(ctx, SessionProcessing)
	}
	for _, s := range streams {
		s.tick(ctx)
	}
}

// look ends the work when somebody pressed stop since it began or, where that is what the handler wants, wrote the next
// message. While the inbox is silent the work goes on.
func (u *turn) look(ctx context.Context) {
	if u.inbox == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askBudget)
	defer cancel()

	if came, err := u.inbox.Came(ctx, u.stops, u.state.Began); err == nil && came {
		u.end(errStopped)
		return
	}
	if u.t.handler.busy != Cancel {
		return
	}
	if next, err := u.inbox.Behind(ctx, u.t.said.delivery(), u.event.Row); err == nil && len(next) > 0 {
		u.end(errOvertaken)
	}
}

// join hands the handler what is written in the thread while it runs. What it takes is done when its own message is;
// until then all of it stays in the inbox, for an attempt that follows or to be answered by itself.
func (u *turn) join(ctx context.Context) {
	row := u.event.Row
	every(ctx, lookEvery, func(ctx context.Context) {
		asking, cancel := context.WithTimeout(ctx, askBudget)
		next, err := u.inbox.Behind(asking, u.t.said.delivery(), row)
		cancel()
		if err != nil {
			return // while the inbox is silent the work goes on
		}

		for _, e := range next {
			row = e.Row
			m, err := writtenIn(e)
			if err != nil {
				u.t.Log.WarnContext(ctx, "read the next message: it is answered by itself", "event", e.ID, "cause", err)
				continue
			}
			select {
			case u.t.joined <- m:
				u.took = append(u.took, e.Row)
			case <-ctx.Done():
				return
			}
		}
	})
}

// writtenIn is the message that an event tells of.
func writtenIn(e Delivery) (*slackevents.MessageEvent, error) {
	event, err := eventOf(e.Body)
	if err != nil {
		return nil, err
	}
	m, _, err := lenient.Decode[slackevents.MessageEvent](event)
	return m, err
}

// leave says how the session is now. err is what the handler returned.
func (u *turn) leave(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errStopping) || errors.Is(cause, ErrLost) {
		return err // it goes on elsewhere
	}

	// What is left open takes up what was written since, and ends.
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveBudget)
	defer cancel()
	for _, s := range u.streams {
		switch {
		case errors.Is(cause, errStopped):
			s.halt(leaving)
		case err == nil, errors.Is(cause, errOvertaken):
			err = errors.Join(err, s.Close(leaving))
		}
	}

	switch {
	case errors.Is(cause, errOvertaken): // the next one works on in the session
		return nil
	case errors.Is(cause, errStopped):
		u.show(leaving, SessionActive)
		return nil
	}
	u.mu.Lock()
	shown, left := u.shown, u.left
	u.mu.Unlock()
	if shown == SessionProcessing && !left {
		u.show(leaving, SessionActive)
	}
	return err
}

// show sets the session's status. That it can't be set is no reason not to answer.
func (u *turn) show(ctx context.Context, status SessionStatus) {
	asked := u.t.Now()
	if err := u.t.setStatus(ctx, status); err != nil && ctx.Err() == nil {
		u.t.Log.WarnContext(ctx, "show how a session is", "status", string(status),
			"slack_error", slackapi.SlackError(err), "cause", reason(err))
	}
	u.showed(status, asked)
}

// showed notes that Slack shows the session so, which it was asked for at a time.
func (u *turn) showed(status SessionStatus, asked time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.shown, u.at = status, asked
}

// leftAs is how the session is once the answer is whole.
func (u *turn) leftAs() SessionStatus {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.left {
		return u.shown
	}
	return SessionActive
}

// Status says how the session is, and how it is left when the handler returns: SessionSuspended when the agent waits
// for the person, SessionClosed when there is nothing more to say. Without it a session is processing while its handler
// runs, and then active. It blocks for a call to Slack.
// https://docs.slack.dev/reference/methods/agents.sessions.setStatus
func (t *Thread) Status(ctx context.Context, status SessionStatus) error {
	asked := t.Now()
	if err := t.setStatus(ctx, status); err != nil {
		return fmt.Errorf("set status: %w", err)
	}
	if u := t.turn; u != nil {
		u.showed(status, asked)
		u.mu.Lock()
		u.left = status != SessionProcessing
		u.mu.Unlock()
	}
	return nil
}

func (t *Thread) setStatus(ctx context.Context, status SessionStatus) error {
	switch {
	case t.Client == nil:
		return connection.ErrNotConnected
	case t.ThreadTS == "":
		return errNoThread
	}

	answer, err := t.Client.SetAgentSessionStatusContext(ctx, slack.AgentSessionSetStatusParameters{
		Status: string(status), ChannelID: t.ChannelID, ThreadTS: t.ThreadTS, InitiatorUserID: t.UserID})
	if err != nil {
		return err
	}
	if warnings := strings.Join(answer.ResponseMetadata.Warnings, " "); strings.Contains(warnings, sessionStopped) {
		t.Log.LogAttrs(ctx, slog.LevelWarn, "there is no stop button: the app's settings lack the event "+sessionStopped)
	}
	return nil
}

// stopped is the Bot's own handler of a press of stop. The work itself has seen it in the inbox; if it ended with its
// process, nobody else would say that the session is active. speaks: nobody else says that it was stopped.
func stopped(speaks bool) *Handler {
	h := OnAgentStopped(func(ctx context.Context, t *Thread) error {
		err := t.Status(ctx, SessionActive)
		if err != nil && classOf(err) == final { // which is no reason to keep it from the app's own handler
			t.Log.WarnContext(ctx, "show that a session was stopped", failure(err)...)
			return nil
		}
		if err != nil || !speaks {
			return err
		}
		_, err = t.Say(ctx, Text(t.lang().Say("bot.agent.stopped")))
		return err
	})
	return &h
}
