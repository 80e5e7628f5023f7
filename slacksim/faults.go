package slacksim

// Misbehaviour on request. A fault matches calls by method and workspace and is looked for before anything else
// happens, so a refused call does no work, as with Slack's own gateway.

import (
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// Fault tells the Sim to treat calls badly. Set one of Status, Error, RetryAfter, DropAnswer, Body and Hang. Delay goes
// with any of them, or alone for a slow but correct answer.
type Fault struct {
	Method string // "auth.test", "oauth.v2.access", "response_url", "webhook"; "*" or "" for every one
	TeamID string // only calls with a token of this workspace (or enterprise); "" for all
	Times  int    // how many calls; 0 = until cleared

	Delay      time.Duration // real time; ends early when the caller hangs up
	Status     int           // answers with this HTTP status and Body
	Error      string        // answers 200 with {"ok":false,"error":Error}
	RetryAfter int           // answers 429 "ratelimited" with this Retry-After, in seconds
	DropAnswer bool          // does the work, then cuts the connection instead of answering
	Body       string        // answers with this text instead of JSON, with Status or 200
	Hang       bool          // does not answer at all; ends when the caller hangs up or the Sim closes
}

type fault struct {
	Fault
	left int // -1: no end
}

// Inject adds a fault and returns what takes it away again. Faults are tried in the order they were injected. The first
// match counts. clear may be called more than once.
func (s *Sim) Inject(f Fault) (clear func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := &fault{Fault: f, left: cmp.Or(max(f.Times, 0), -1)}
	s.record.faults = append(s.record.faults, x)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		x.left = 0
	}
}

// DeliverTwice makes the next n events arrive twice with the same event_id, as a retry would after a lost answer but
// without retry headers.
func (s *Sender) DeliverTwice(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record.twice = n
}

func (s *record) takeFaultLocked(method, team, enterprise string) *Fault {
	for _, f := range s.faults {
		if f.left == 0 || f.Method != "" && f.Method != "*" && f.Method != method {
			continue
		}
		if f.TeamID != "" && f.TeamID != team && f.TeamID != enterprise {
			continue
		}
		if f.left > 0 {
			f.left--
		}
		return &f.Fault
	}
	return nil
}

// misbehave plays the fault. done means that it has answered (status, error) and the call is over.
func (s *record) misbehave(w http.ResponseWriter, r *http.Request, f *Fault) (done bool, status int, code string) {
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
			return true, 0, "caller_gone"
		case <-s.life.Done():
			return true, 0, "closed"
		}
	}

	switch {
	case f.Hang:
		select {
		case <-r.Context().Done():
		case <-s.life.Done():
		}
		return true, 0, "hang"
	case f.RetryAfter > 0:
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
		writeAnswer(w, http.StatusTooManyRequests, nil, fail("ratelimited"))
		return true, http.StatusTooManyRequests, "ratelimited"
	case f.Error != "":
		status := cmp.Or(f.Status, http.StatusOK)
		writeAnswer(w, status, nil, fail(f.Error))
		return true, status, f.Error
	case f.Status != 0 || f.Body != "":
		status := cmp.Or(f.Status, http.StatusOK)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(f.Body))
		return true, status, "http_" + strconv.Itoa(status)
	}
	return false, 0, ""
}
