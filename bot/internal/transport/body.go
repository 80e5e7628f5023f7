package transport

// Anybody can send a body, and until the last byte of it nobody knows whether it is Slack's. So it takes memory as it
// comes, not as it was announced; all of them together have a limit; and who has taken longest gives way, which
// Slack's, sent in one go, never has.

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// Slack's events have a few kB. So much is believed of what is announced, to read those in one piece.
	firstBytes = 8 << 10
	// Below this a body needs none of the shared room.
	smallBody = 64 << 10
	// What larger bodies may have of it together (bytes).
	bodiesRoom = 32 << 20
	// MostBodies is how many bodies may be under way. Slack has a handful; at 2,000 events a second it is ten.
	MostBodies = 64
	// LargestCheck is the most of a certificate check, in bytes. Such a check, which is not signed, is some 60.
	LargestCheck = 1 << 10
	// What is refused unread may come to an end for so long, so that the answer isn't lost in a reset.
	unreadLinger = time.Second
)

var (
	errTooLarge = errors.New("the body is too large")
	errGaveWay  = errors.New("the body gave way to others")
)

// bodies are those under way.
type bodies struct {
	mu    sync.Mutex
	under []*body // in the order of their arrival
	bytes int     // of those above smallBody
}

// body is one that is being read.
type body struct {
	all  *bodies
	room int    // its part of bytes
	stop func() // ends a read that waits
	gone bool
}

// begin has one more under way; end is to be called. stop may be called from any goroutine until then.
func (b *bodies) begin(stop func()) *body {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := &body{all: b, stop: stop}
	b.under = append(b.under, one)
	if len(b.under) > MostBodies {
		b.dropLocked(0)
	}
	return one
}

// grow reports whether a body may have n bytes of memory in all.
func (one *body) grow(n int) bool {
	b := one.all
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > smallBody && !one.gone {
		b.bytes += n - one.room
		one.room = n
	}

	for b.bytes > bodiesRoom {
		b.dropLocked(slices.IndexFunc(b.under, func(other *body) bool { return other.room > 0 }))
	}
	return !one.gone
}

func (one *body) end() {
	one.all.mu.Lock()
	defer one.all.mu.Unlock()
	if i := slices.Index(one.all.under, one); i >= 0 {
		one.all.removeLocked(i)
	}
}

func (b *bodies) dropLocked(i int) {
	one := b.under[i]
	one.gone = true
	one.stop()
	b.removeLocked(i)
}

func (b *bodies) removeLocked(i int) {
	b.bytes -= b.under[i].room
	b.under = slices.Delete(b.under, i, i+1)
}

// read returns a request's body, of at most limit bytes, if it is there by until. errTooLarge, errGaveWay, or the
// network's trouble.
func (b *bodies) read(w http.ResponseWriter, r *http.Request, limit int, until time.Time) ([]byte, error) {
	if r.ContentLength > int64(limit) {
		return nil, errTooLarge
	}

	// A ResponseWriter without a connection has no deadline to set, and can't wait.
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(until)
	one := b.begin(func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer one.end()

	read := make([]byte, 0, 1+max(512, min(int(r.ContentLength), firstBytes)))
	for {
		n, err := r.Body.Read(read[len(read):cap(read)])
		read = read[:len(read)+n]
		switch {
		case len(read) > limit:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			_ = conn.SetReadDeadline(time.Time{}) // the connection is still looked at, to see whether the client leaves
			return read, nil
		case len(read) == cap(read):
			more := min(2*cap(read), limit+1)
			if !one.grow(more) {
				return nil, errGaveWay
			}
			read = append(make([]byte, 0, more), read...)
		}
		if err != nil && !one.grow(0) {
			return nil, errGaveWay
		}
		if err != nil {
			return nil, err
		}
	}
}
