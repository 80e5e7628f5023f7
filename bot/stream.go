package bot

// An answer that people read while it is written. Before each piece of it is sent it is kept with the event, so that an
// attempt that follows a crash or a deployment finds what was written, compares it with what stands in the thread, and
// goes on behind that.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	// Text is sent at most so often. Slack counts the calls of all streams of a workspace together, some 100 a minute.
	// https://docs.slack.dev/reference/methods/chat.appendStream
	streamPace = time.Second
	// Where Slack takes no streams a message is changed instead, so often at most.
	updatePace = 3 * time.Second
	// Slack ends a stream some 5 minutes after its start, whatever was appended since, and says so nowhere. It is ended
	// before, and the text goes on in another message.
	streamAge = 4 * time.Minute
	// Trouble with Slack is waited for, longer each time: half a minute in all.
	streamTries = 5
)

// ErrStreamClosed says that a stream was closed, in this attempt or in one before: see Stream.Closed.
var ErrStreamClosed = errors.New("the stream is closed")

// Stream is a message, or several, that is written bit by bit. Its methods may be called from any number of goroutines.
type Stream struct {
	u *turn
	n int // which of the turn it is

	mu     sync.Mutex
	text   string        // all of it
	sent   time.Time     // when something was sent last
	pace   time.Duration // until something is sent again
	broken error         // nothing is sent any more
	ended  bool          // nothing is taken any more

	// Guarded by turn.sending.
	record  *streamRecord
	plan    bool
	closing bool                             // the last word is sent
	stale   bool                             // a message that is changed doesn't show what is known of the tasks
	given   map[string]slack.TaskUpdateChunk // details and output that this attempt gave, by the ids of their tasks
}

// streamState is what is known of the streams of a turn, as it is kept between attempts.
type streamState struct {
	// Began is since when presses of stop are meant for it, as Slack writes times.
	Began   string          `json:"began"`
	Streams []*streamRecord `json:"streams"`
}

// read takes up what was kept, if anything.
func (s *streamState) read(kept []byte) error {
	if len(kept) == 0 {
		return nil
	}
	if err := json.Unmarshal(kept, s); err != nil {
		return fmt.Errorf("read what was written: %w", err)
	}
	return nil
}

// streamRecord is one stream.
type streamRecord struct {
	Text   string        `json:"text"`
	Parts  []*streamPart `json:"parts"`
	Tasks  []*streamTask `json:"tasks,omitempty"`
	Title  string        `json:"title,omitempty"`  // of the tasks
	Edited bool          `json:"edited,omitempty"` // Slack takes no streams here: messages are changed
	Closed bool          `json:"closed,omitempty"`
}

// streamPart is one message of a stream. Its text is a part of the stream's, from one byte to another.
type streamPart struct {
	TS   string `json:"ts"` // "": it was asked for, and the answer is not known
	From int    `json:"from"`
	To   int    `json:"to"`             // so far it is in the message
	Next int    `json:"next"`           // and so far once the call that was made last has arrived
	Head string `json:"head,omitempty"` // before it in the message: what was open where the one before ended
	At   int64  `json:"at"`             // when it was asked for, in microseconds
	Done bool   `json:"done,omitempty"` // nothing is added
}

// StreamOption is a way to show a stream.
type StreamOption string

// ShowPlan shows the tasks of a stream together, below the title that Stream.Plan gives them. Otherwise they stand
// where they come.
const ShowPlan StreamOption = "plan"

// Stream begins an answer that is written bit by bit, in the thread. Nothing is shown before something is written. When
// the handler runs again its first call returns the stream of its first call before, the second that of the second:
// Stream.Written has what was written until then, and the handler goes on from there.
//
// The text goes out once a second, in messages of at most some 11,000 characters, and in another message after four
// minutes, because Slack ends a stream after five. Where Slack takes no streams, messages are posted and changed
// instead, every three seconds. When the handler returns without an error its streams are closed.
//
// It takes chat:write, and doesn't block. https://docs.slack.dev/reference/methods/chat.startStream
func (t *Thread) Stream(_ context.Context, options ...StreamOption) (*Stream, error) {
	switch {
	case t.Client == nil:
		return nil, connection.ErrNotConnected
	case t.turn == nil:
		return nil, errNoThread
	}

	u := t.turn
	u.sending.Lock()
	defer u.sending.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()

	s := &Stream{u: u, n: len(u.streams), plan: slices.Contains(options, ShowPlan)}
	if s.n == len(u.state.Streams) {
		u.state.Streams = append(u.state.Streams, &streamRecord{})
	}
	s.record = u.state.Streams[s.n]
	s.text, s.ended = s.record.Text, s.record.Closed
	s.stale = s.record.Edited && len(s.record.Tasks) > 0
	u.streams = append(u.streams, s)
	return s, nil
}

// Written is all that was written, by earlier attempts at the event, too. What was written in the second before a crash
// can be missing: then it is nowhere.
func (s *Stream) Written() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text
}

// Closed reports whether the stream is closed. One that an earlier attempt has closed is whole: there is nothing to
// write.
func (s *Stream) Closed() bool {
	s.u.sending.Lock()
	defer s.u.sending.Unlock()
	return s.record.Closed
}

// Write adds Markdown, of any length: what models make is good as it is. It blocks while something is sent. The error
// is why ctx ended, ErrStreamClosed, or Slack's when it refuses the text.
func (s *Stream) Write(ctx context.Context, markdown string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}

	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return ErrStreamClosed
	}
	s.text += markdown
	broken, due := s.broken, s.dueLocked()
	s.mu.Unlock()
	if broken != nil || !due {
		return broken
	}

	s.u.sending.Lock()
	defer s.u.sending.Unlock()
	err := s.flushLocked(ctx, false)
	if err != nil && !errors.Is(err, ErrLost) && slackapi.SlackError(err) == "" && ctx.Err() == nil {
		// Slack or the database can't be reached. What was written is not lost by that: it is sent the next time.
		s.u.t.Log.InfoContext(ctx, "send what is written: it is tried again", "cause", reason(err))
		return nil
	}
	return err
}

// Writer is s for what writes to an io.Writer. ctx holds for every call.
func (s *Stream) Writer(ctx context.Context) io.Writer { return streamWriter{s, ctx} }

type streamWriter struct {
	s   *Stream
	ctx context.Context
}

// Write implements io.Writer.
func (w streamWriter) Write(p []byte) (int, error) {
	if err := w.s.Write(w.ctx, string(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// dueLocked reports whether it is time to send something.
func (s *Stream) dueLocked() bool {
	since := s.u.t.Now().Sub(s.sent)
	return since >= s.pace || since < 0
}

// patience waits after a call, if that failed; an error: there is no sense in that, or no more time.
func (u *turn) patience(ctx context.Context, err error, try *int) error {
	if err == nil {
		return nil
	}
	code := slackapi.SlackError(err)
	wait := time.Second << *try
	switch asked, limited := slackapi.RetryAfter(err); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case code == "stopped_by_user":
		u.end(errStopped)
		return errStopped
	case limited:
		wait = max(asked, shortestLimit)
	case code != "" && !slackapi.MaybeDone(err), *try >= streamTries:
		return err
	default:
		*try++
	}

	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// streamEnded reports whether Slack says that a message is written no further: it was ended, or is gone.
func streamEnded(err error) bool {
	code := slackapi.SlackError(err)
	return code == "message_not_in_streaming_state" || code == "message_not_found"
}

// tick sends what is left over from the last call, and ends a message that has its age.
func (s *Stream) tick(ctx context.Context) {
	s.mu.Lock()
	due := s.dueLocked() && s.broken == nil
	s.mu.Unlock()
	if !due || ctx.Err() != nil {
		return
	}

	s.u.sending.Lock()
	defer s.u.sending.Unlock()
	if s.record.Closed {
		return
	}
	if err := s.flushLocked(ctx, false); err != nil && slackapi.SlackError(err) != "" {
		s.mu.Lock()
		s.broken = err
		s.mu.Unlock()
	}
}

// Close sends what is left, ends the message with blocks, if any, and has the session active. A stream that is closed
// already stays as it is. It blocks for some calls to Slack.
func (s *Stream) Close(ctx context.Context, blocks ...slack.Block) error {
	s.u.sending.Lock()
	defer s.u.sending.Unlock()
	if s.record.Closed {
		return nil
	}
	s.closing = true
	s.end(true) // what another goroutine writes from here on would not be sent
	defer func() {
		s.closing = false
		s.end(s.record.Closed)
	}()

	if err := s.flushLocked(ctx, true); err != nil {
		return err
	}
	if err := s.endLocked(ctx, blocks); err != nil {
		return err
	}

	s.record.Closed = true
	if err := s.u.keepLocked(ctx); err != nil {
		s.u.t.Log.WarnContext(ctx, "remember that an answer is whole", "cause", err)
	}
	return nil
}

func (s *Stream) end(ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = ended
}

// halt ends what a person has stopped. Slack has done so with what it knew of.
func (s *Stream) halt(ctx context.Context) {
	s.u.sending.Lock()
	defer s.u.sending.Unlock()
	if p := s.openLocked(); p != nil && p.TS != "" && !s.record.Edited {
		_ = s.stopCall(ctx, p, SessionActive, "", nil)
	}
	s.record.Closed = true
	s.end(true)
}

// keepLocked keeps what is known of the turn's streams.
func (u *turn) keepLocked(ctx context.Context) error {
	if u.inbox == nil {
		return nil
	}
	state, err := json.Marshal(u.state)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askBudget)
	defer cancel()
	err = u.inbox.RecordStream(ctx, u.t.said.delivery(), state)
	if errors.Is(err, ErrLost) {
		u.end(ErrLost)
	}
	return err
}

// key names one message of a stream among all messages of the app.
func (s *Stream) key(p *streamPart) string {
	i := slices.Index(s.record.Parts, p)
	return s.u.t.EventID + "/stream/" + strconv.Itoa(s.n) + "/" + strconv.Itoa(i)
}
