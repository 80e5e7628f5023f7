package slacksim

// Deliveries to the app: signing, one attempt, events with their retries, and raw deliveries that may lie.
// docs.slack.dev/authentication/verifying-requests-from-slack and /apis/events-api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// outgoing is a delivery that is ready to be sent, once or again.
type outgoing struct {
	kind, typ, team, eventID string
	body                     []byte
	twice                    bool
	acked                    func() // an event was taken; runs under the lock
}

// Ack is the app's answer to one delivery.
type Ack struct {
	Status int // 0 when no answer came
	Header http.Header
	Body   []byte
	Took   time.Duration // real time
	// Err is the word Slack has for a failed delivery: "http_timeout", "connection_failed", "too_many_redirects" or
	// "http_error". It is empty when all is well.
	Err string
	// Shown is what the person is told when it failed.
	Shown string
}

// outbox gets deliveries to the app.
type outbox struct {
	*engine
	record    *record
	sockets   *Sockets
	client    *http.Client
	transport *http.Transport // ours to close; nil when the caller brought a client
}

func newOutbox(given *http.Client, r *record, sockets *Sockets) *outbox {
	s := &outbox{engine: r.engine, record: r, sockets: sockets, client: &http.Client{}}
	if given != nil {
		*s.client = *given
	} else {
		s.transport = &http.Transport{DialContext: (&net.Dialer{}).DialContext, MaxIdleConnsPerHost: 16}
		s.client.Transport = s.transport
	}
	s.client.CheckRedirect = func(_ *http.Request, via []*http.Request) error {
		if len(via) > 2 {
			return errTooManyRedirects
		}
		return nil
	}
	return s
}

var errTooManyRedirects = errors.New("too many redirects")

// sendLocked delivers in the background what is to come in this order.
func (s *outbox) sendLocked(list ...*outgoing) { s.spawnLocked(func() { s.sendAll(list) }) }

// sendAll delivers one event after the other's first answers: the order asked for is the order that arrives.
func (s *outbox) sendAll(list []*outgoing) {
	for _, o := range list {
		s.sendEvent(o, 0, "")
		if o.twice {
			s.sendEvent(o, 0, "")
		}
	}
}

// sendEvent is one attempt with its consequences: Slack retries immediately, after one minute and after five.
func (s *outbox) sendEvent(o *outgoing, num int, reason string) {
	ack := s.post(s.life, o, sending{num: num, reason: reason})
	if s.life.Err() != nil {
		return
	}

	if ack.Status >= 200 && ack.Status < 300 {
		if o.acked != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			o.acked()
			s.noteLocked()
		}
		return
	}
	if ack.Status != 0 {
		s.record.breach(RuleEventStatus, "event %s was answered with HTTP %d", o.typ, ack.Status)
		if ack.Header.Get("X-Slack-No-Retry") == "1" {
			return
		}
	}

	switch num {
	case 0:
		s.sendEvent(o, 1, ack.Err)
	case 1, 2:
		wait := map[int]time.Duration{1: time.Minute, 2: 5 * time.Minute}[num]
		s.mu.Lock()
		s.laterLocked(wait, func() { s.sendEvent(o, num+1, ack.Err) })
		s.mu.Unlock()
	}
}

// sending is how one attempt is made. The zero value is an honest first attempt.
type sending struct {
	url          string // to another address than the app's
	http         bool   // even in Socket Mode
	num          int
	reason       string
	secret       string        // another signing secret
	badSignature bool          // one that does not match
	unsigned     bool          // no signature headers at all
	skew         time.Duration // added to the timestamp
	contentType  string
	extra        http.Header
}

// Sign returns Slack's signature for a body: "v0=" and the hex HMAC-SHA256 of "v0:timestamp:body".
// docs.slack.dev/authentication/verifying-requests-from-slack
func Sign(secret string, timestamp int64, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "v0:%d:", timestamp)
	mac.Write(body)
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

// post makes one attempt and records it. The signature is made now: a retry after five minutes needs a fresh one.
func (s *outbox) post(ctx context.Context, o *outgoing, how sending) Ack {
	s.mu.Lock()
	target, secret := cmp.Or(how.url, s.app.urlFor(o.kind, o.typ)), cmp.Or(how.secret, s.app.SigningSecret)
	off := o.kind == "interaction" && s.app.NoInteractivity
	bySocket := s.app.SocketMode && !how.http && how.url == "" && !off
	s.mu.Unlock()

	stamp := s.clock.Now().Add(how.skew).Unix()
	sig := Sign(secret, stamp, o.body)
	if how.badSignature {
		sig = Sign(secret+"x", stamp, o.body)
	}
	d := &Delivery{Kind: o.kind, URL: target, EventID: o.eventID, Type: o.typ, TeamID: o.team,
		RetryNum: how.num, RetryReason: how.reason, Body: o.body}
	return s.record.recorded(d, func(d *Delivery) Ack {
		if bySocket {
			return s.sockets.sendEnvelope(ctx, o, how, d)
		}
		return s.attempt(ctx, target, o, how, stamp, sig)
	})
}

// recorded keeps one attempt: before it is made, and again with what came of it.
func (s *record) recorded(d *Delivery, attempt func(*Delivery) Ack) Ack {
	s.mu.Lock()
	d.At = s.clock.Now()
	s.deliveries = append(s.deliveries, d)
	s.noteLocked()
	s.mu.Unlock()
	start := time.Now()
	ack := attempt(d)
	ack.Took = time.Since(start)

	s.mu.Lock()
	defer s.mu.Unlock()
	d.Status, d.Answer, d.Took, d.Err, d.Done = ack.Status, ack.Body, ack.Took, ack.Err, true
	if s.life.Err() == nil {
		switch ack.Err {
		case "http_timeout":
			s.breachLocked(RuleLateAck, "%s %s was not acknowledged within %v", d.Kind, d.Type, s.ackTimeout)
		case "too_many_redirects":
			s.breachLocked(RuleTooManyRedirects, "%s %s", d.Kind, d.Type)
		}
	}
	s.log.Debug("delivery", "kind", d.Kind, "type", d.Type, "status", ack.Status, "err", ack.Err, "retry", d.RetryNum)
	s.noteLocked()
	return ack
}

func (s *outbox) attempt(ctx context.Context, target string, o *outgoing, how sending, stamp int64, sig string) Ack {
	if target == "" {
		return Ack{Err: "connection_failed"}
	}
	ctx, cancel := context.WithTimeout(ctx, s.ackTimeout)
	defer cancel()
	// Deliveries made for a caller end with the Sim, too.
	defer context.AfterFunc(s.life, cancel)()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(o.body))
	if err != nil {
		return Ack{Err: "connection_failed"}
	}
	how.setHeaders(req.Header, o, stamp, sig)

	res, err := s.client.Do(req)
	if err != nil {
		return Ack{Err: failure(err)}
	}
	defer res.Body.Close()
	body, err := readBody(res.Body)
	if err != nil {
		// The headers came in time, the body did not: to Slack that is no acknowledgement.
		return Ack{Err: failure(err)}
	}
	a := Ack{Status: res.StatusCode, Header: res.Header, Body: body}
	if a.Status < 200 || a.Status > 299 {
		a.Err = "http_error"
	}
	return a
}

func (how sending) setHeaders(h http.Header, o *outgoing, stamp int64, sig string) {
	ct := "application/x-www-form-urlencoded"
	if o.kind == "event" || o.kind == "verification" {
		ct = "application/json"
	}
	h.Set("Content-Type", cmp.Or(how.contentType, ct))
	h.Set("User-Agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
	if !how.unsigned {
		h.Set("X-Slack-Request-Timestamp", strconv.FormatInt(stamp, 10))
		h.Set("X-Slack-Signature", sig)
	}
	if how.num > 0 {
		h.Set("X-Slack-Retry-Num", strconv.Itoa(how.num))
		h.Set("X-Slack-Retry-Reason", how.reason)
	}
	maps.Copy(h, how.extra)
}

// failure is Slack's word for why no answer came.
func failure(err error) string {
	switch {
	case errors.Is(err, errTooManyRedirects):
		return "too_many_redirects"
	case errors.Is(err, context.DeadlineExceeded):
		return "http_timeout"
	case strings.Contains(err.Error(), "tls:") || strings.Contains(err.Error(), "x509:"):
		return "ssl_error"
	}
	return "connection_failed"
}

// Raw is a delivery of any shape. It is honest unless an option makes it lie.
type Raw struct {
	URL  string // default: EventsURL, or in Socket Mode a socket, where nothing is signed
	Kind string // "event" (JSON, the default), "command" or "interaction" (form)
	Body []byte
	Type string // for the record only

	ContentType string // default by Kind
	Header      http.Header
	RetryNum    int
	RetryReason string

	Secret       string        // signs with this secret instead of the app's
	BadSignature bool          // the signature does not match the body
	Unsigned     bool          // sends no signature headers
	Skew         time.Duration // added to the timestamp: -6*time.Minute is a replay, +6*time.Minute a wrong clock
}

// Sender delivers to the app what nobody's action in this Slack causes: any event, any request, and Slack's own probes.
type Sender struct{ *parts }

// Deliver sends a raw signed request once, waits for the answer and returns it. It is never retried, and an answer
// other than 2xx is no breach.
func (s *Sender) Deliver(ctx context.Context, r Raw) Ack {
	o := &outgoing{kind: cmp.Or(r.Kind, "event"), typ: r.Type, body: r.Body}
	return s.outbox.post(ctx, o, sending{url: r.URL, num: r.RetryNum, reason: r.RetryReason, secret: r.Secret,
		badSignature: r.BadSignature, unsigned: r.Unsigned, skew: r.Skew, contentType: r.ContentType, extra: r.Header})
}

// urlFor is where the app takes deliveries of a kind and type. Options have no address but their own.
func (a App) urlFor(kind, typ string) string {
	switch {
	case kind == "command":
		i := slices.IndexFunc(a.Commands, func(c Command) bool { return c.Name == typ })
		if i >= 0 && a.Commands[i].URL != "" {
			return a.Commands[i].URL
		}
		return cmp.Or(a.CommandsURL, a.EventsURL)
	case kind == "interaction" && a.NoInteractivity:
		return ""
	case kind == "interaction" && typ == "block_suggestion":
		return a.OptionsURL
	case kind == "interaction":
		return cmp.Or(a.InteractivityURL, a.EventsURL)
	}
	return a.EventsURL
}

// VerifyURL sends the signed url_verification request that Slack sends when an events URL is saved, and checks that the
// challenge comes back: as text, as a form or as JSON. Events are sent there from then on.
// docs.slack.dev/reference/events/url_verification
func (s *Sender) VerifyURL(ctx context.Context) error {
	challenge := randomText(40)
	body, _ := json.Marshal(map[string]string{
		"token": "deprecated-verification-token", "challenge": challenge, "type": "url_verification",
	})
	o := &outgoing{kind: "verification", typ: "url_verification", body: body}
	ack := s.outbox.post(ctx, o, sending{http: true})
	if ack.Status >= 200 && ack.Status < 300 {
		got := strings.TrimSpace(string(ack.Body))
		var j struct{ Challenge string }
		form, _ := url.ParseQuery(got)
		_ = json.Unmarshal(ack.Body, &j)
		if challenge == got || challenge == form.Get("challenge") || challenge == j.Challenge {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.app.EventsUnverified = false
			return nil
		}
	}
	s.record.breach(RuleVerification, "the challenge did not come back (HTTP %d)", ack.Status)
	return fmt.Errorf("verify events URL: the challenge did not come back (HTTP %d, %s)", ack.Status, ack.Err)
}

// SendSSLCheck sends the ssl_check probe that Slack makes on command URLs from time to time. It is signed like
// everything else. The app should answer 200 and do nothing.
func (s *Sender) SendSSLCheck(ctx context.Context) Ack {
	return s.Deliver(ctx, Raw{Kind: "command", Type: "ssl_check",
		Body: []byte("ssl_check=1&token=deprecated-verification-token")})
}
