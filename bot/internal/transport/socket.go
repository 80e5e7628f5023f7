package transport

// One connection of Socket Mode, from Slack's hello to its end.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack/socketmode"
)

// socket is one connection that Slack has greeted.
type socket struct {
	*Sockets
	conn   *websocket.Conn
	since  time.Time
	write1 sync.Mutex // one frame at a time

	leaving   chan struct{} // closed when a successor is wanted
	leaveOnce sync.Once
	unread    chan struct{} // closed when nothing is read any more
	noMore    chan struct{} // closed when nothing is accepted any more
	endOnce   sync.Once
	broken    atomic.Bool // it ended without Slack's word: what is written now seems to go out and goes nowhere

	mu       sync.Mutex
	ending   bool
	accepts  sync.WaitGroup // adds only while not ending
	reason   string         // of Slack's disconnect
	overtime *time.Timer    // ends it when Slack does not
}

// serve reads until the connection ends, by whoever's will, and returns when it is closed.
func (c *socket) serve(ctx context.Context) {
	defer context.AfterFunc(ctx, c.end)()
	c.conn.SetReadLimit(-1)
	// Slack's half of the closing handshake is answered once the acknowledgements under way are out: see end.
	c.conn.SetCloseHandler(func(int, string) error { return nil })
	c.conn.SetPingHandler(func(text string) error {
		_ = c.conn.SetReadDeadline(time.Now().Add(c.Pace.Silence))
		_ = c.conn.WriteControl(websocket.PongMessage, []byte(text), time.Now().Add(time.Second))
		return nil
	})

	var err error
	for err == nil {
		_ = c.conn.SetReadDeadline(time.Now().Add(c.Pace.Silence))
		var frame []byte
		if frame, err = c.read(ctx); err == nil && len(frame) > 0 {
			c.take(ctx, frame)
		}
	}

	var farewell *websocket.CloseError
	c.broken.Store(!errors.As(err, &farewell) || farewell.Code == websocket.CloseAbnormalClosure)
	close(c.unread)
	c.leave()

	c.Sockets.mu.Lock()
	c.live--
	live := c.live
	if c.problem = errors.New("connection lost"); c.dismissal() == "link_disabled" {
		c.problem = ErrSwitchedOff
	}
	c.Sockets.mu.Unlock()

	c.end()
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		err = errors.New("no word from Slack for too long")
	}

	level := slog.LevelInfo
	if c.dismissal() == "" && ctx.Err() == nil {
		level = slog.LevelWarn
	}
	c.Log.Log(context.WithoutCancel(ctx), level, "socket closed", "live", live,
		"lasted", time.Since(c.since).Round(time.Second), "reason", c.dismissal(), "cause", err)
}

// read returns the next frame, nothing of one that is larger than what would be taken over HTTP: such a one is passed
// over, and acknowledged, since sending it again makes it no smaller. It must not cost the connection, and the frames
// behind it.
func (c *socket) read(ctx context.Context) ([]byte, error) {
	_, r, err := c.conn.NextReader()
	if err != nil {
		return nil, err
	}

	frame, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err != nil || len(frame) <= MaxBody {
		return frame, err
	}

	c.Numbers.Refuse(refusedTooLarge)
	id := envelopeID.FindSubmatch(frame)
	rest, err := io.Copy(io.Discard, r)
	c.Log.WarnContext(ctx, "envelope refused: it is too large", "bytes", int64(len(frame))+rest, "limit", MaxBody,
		"acknowledged", id != nil)
	if err == nil && id != nil {
		c.write(acknowledgement(string(id[1]), Answer{}, false))
	}
	return nil, err
}

// dismissed keeps the reason that Slack gave for the end, and asks for a successor. Until Slack hangs up the connection
// is still in use.
func (c *socket) dismissed(reason string) {
	c.mu.Lock()
	c.reason = reason
	if c.overtime == nil && !c.ending {
		c.overtime = time.AfterFunc(c.Pace.Linger, c.end)
	}
	c.mu.Unlock()
	c.leave()
}

// leave asks for a successor.
func (c *socket) leave() {
	c.leaveOnce.Do(func() {
		c.Sockets.mu.Lock()
		c.fresh--
		c.Sockets.mu.Unlock()
		close(c.leaving)
	})
}

// dismissal is the reason that Slack gave for the end, "" while it gave none.
func (c *socket) dismissal() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// end takes nothing new, waits for the acknowledgements of what is being accepted, and closes the connection. When it
// returns that is done.
func (c *socket) end() {
	c.endOnce.Do(func() {
		c.mu.Lock()
		c.ending = true
		if c.overtime != nil {
			c.overtime.Stop()
		}
		c.mu.Unlock()
		close(c.noMore)
		c.Log.Debug("socket ends")

		done := make(chan struct{})
		go func() { defer close(done); c.accepts.Wait() }()
		wait := time.NewTimer(c.Pace.Drain)
		defer wait.Stop()
		select {
		case <-done:
		case <-wait.C:
			c.Log.Warn("acknowledgements given up: accepting took too long")
		}

		c.bye()
		// What Slack has sent meanwhile must be read: closing over it would cut off what we have just written.
		wait.Reset(c.Pace.Farewell)
		select {
		case <-c.unread:
		case <-wait.C:
		}
		_ = c.conn.Close()
	})
}

func (c *socket) bye() {
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = c.conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
}

// envelopeID finds the id in a frame that is no JSON.
var envelopeID = regexp.MustCompile(`"envelope_id"\s*:\s*"([^"\\]{1,200})"`)

// take hands one frame on and returns right away, or as soon as there is a place for it.
func (c *socket) take(ctx context.Context, frame []byte) {
	r, d, err := unpack(frame)
	switch {
	case r.Type == socketmode.RequestTypeDisconnect:
		if r.Reason == "link_disabled" {
			c.wait(c.Pace.Off)
		}
		c.dismissed(cmp.Or(r.Reason, "unsaid"))
		return
	case r.Type == socketmode.RequestTypeHello:
		return
	case d.Kind == "", d.Kind != KindUnreadable && r.EnvelopeID == "":
		c.Numbers.Unknown()
		c.Log.InfoContext(ctx, "envelope could not be read", "type", Clip(r.Type), "bytes", len(frame), "cause", err)
		if r.EnvelopeID != "" { // there is nothing to do for it, neither now nor when Slack sends it again
			c.write(acknowledgement(r.EnvelopeID, Answer{}, false))
		}
		return
	}

	select {
	case c.places <- struct{}{}:
	case <-c.noMore:
		return
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		<-c.places
		return
	}

	arrived := time.Now()
	c.accepts.Go(func() {
		defer func() { <-c.places }()
		ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), arrived.Add(AckBudget))
		defer cancel()
		c.handle(ctx, r, d)
	})
}

// unpack reads what is in a frame. A delivery of no kind is one that this release doesn't know. err is why a part of
// the frame could not be read.
func unpack(frame []byte) (r socketmode.Request, d Delivery, err error) {
	err = json.Unmarshal(frame, &r) // with a field of another type than expected it still reads the others
	if err != nil && r.EnvelopeID == "" {
		if m := envelopeID.FindSubmatch(frame); m != nil {
			r.EnvelopeID = string(m[1])
		}
	}

	switch r.Type {
	case KindEvents, KindInteractive:
		return r, Delivery{Kind: r.Type, Body: r.Payload}, err
	case KindCommands:
		form, err := FormOfJSON(r.Payload)
		if err != nil {
			return r, Delivery{Kind: KindUnreadable, Body: frame}, err
		}
		return r, Delivery{Kind: KindCommands, Body: []byte(form.Encode()), Form: form}, nil
	}
	if err != nil {
		return r, Delivery{Kind: KindUnreadable, Body: frame}, err
	}
	return r, Delivery{}, nil
}

// handle accepts one delivery and acknowledges it. What could not be accepted is not acknowledged: Slack sends it
// again.
func (c *socket) handle(ctx context.Context, r socketmode.Request, d Delivery) {
	c.Numbers.Repeated(r.RetryReason)
	a, err := c.accepted(ctx, d)
	if err != nil {
		c.Log.DebugContext(ctx, "envelope not acknowledged", "type", d.Kind, "attempt", r.RetryAttempt, "cause", err)
		return
	}

	if r.EnvelopeID == "" {
		return // it is kept, and Slack can't be told
	}
	frame := acknowledgement(r.EnvelopeID, a, r.AcceptsResponsePayload)
	carried := len(a.Body) == 0 || r.AcceptsResponsePayload
	if len(frame) > largestSocketAnswer {
		frame, carried = acknowledgement(r.EnvelopeID, a, false), false
	}

	carried = c.write(frame) && carried
	switch {
	case carried, len(a.Body) == 0:
	case a.TooLarge != nil:
		a.TooLarge()
	default:
		c.Numbers.Undelivered()
		c.Log.WarnContext(ctx, "answer dropped: the acknowledgement can't carry it", "type", d.Kind, "bytes", len(a.Body))
	}

	if a.After != nil {
		a.After()
	}
}

// accepted is accept, with a panic as an error: the HTTP server would not die of it either.
func (c *socket) accepted(ctx context.Context, d Delivery) (a Answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			c.Log.ErrorContext(ctx, "accept panicked", "type", d.Kind, "cause", v, "stack", string(debug.Stack()))
			err = errors.New("accept panicked")
		}
	}()
	return c.Accept(ctx, d)
}

// acknowledgement is the frame that acknowledges an envelope, with what the answer says or without.
func acknowledgement(id string, a Answer, carry bool) []byte {
	m := socketmode.Response{EnvelopeID: id}
	if carry && len(a.Body) > 0 {
		m.Payload = string(a.Body)
		if strings.HasPrefix(a.ContentType, "application/json") && json.Valid(a.Body) {
			m.Payload = json.RawMessage(a.Body)
		}
	}
	frame, _ := json.Marshal(m) // of strings and valid JSON
	return frame
}

// write reports whether the frame was written.
func (c *socket) write(frame []byte) bool {
	c.write1.Lock()
	defer c.write1.Unlock()
	if c.broken.Load() {
		return false
	}

	_ = c.conn.SetWriteDeadline(time.Now().Add(AckBudget))
	err := c.conn.WriteMessage(websocket.TextMessage, frame)
	if err == nil {
		return true
	}

	c.Log.Debug("acknowledgement not written", "cause", err)
	_ = c.conn.Close() // half a frame may be out
	return false
}
