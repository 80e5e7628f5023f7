package transport

// The HTTP door: whatever Slack sends by POST is read, checked to be Slack's, and accepted, in this order.

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Door takes requests in. All fields are required. They don't change once it is open.
type Door struct {
	Secrets []connection.Secret // the request is signed with one of them
	Accept  Accept
	Within  time.Duration // an acknowledgement is due so long after the request's arrival
	Numbers Numbers
	Log     *slog.Logger
	Now     func() time.Time

	bodies bodies
}

// ServeHTTP answers one request of Slack's, or refuses one that is not Slack's.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	form, body, ok := d.let(w, r, arrived)
	if !ok {
		return
	}
	d.Numbers.Repeated(r.Header.Get("X-Slack-Retry-Reason"))

	ctx, cancel := context.WithDeadline(context.WithoutCancel(r.Context()), arrived.Add(d.Within))
	defer cancel()
	ack, err := d.Accept(ctx, deliveryOf(form, body))
	if err != nil {
		http.Error(w, "Try again.", http.StatusServiceUnavailable)
		return
	}

	if ack.ContentType != "" {
		w.Header().Set("Content-Type", ack.ContentType)
		w.Header().Set("X-Content-Type-Options", "nosniff")
	}

	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(ack.Body)
	if ack.After != nil {
		_ = http.NewResponseController(w).Flush() // the ack must be out before anything that builds on it
		ack.After()
	}
}

// let reads a request and returns what is in it: its form, nil when it is none, and its body. not ok: it was refused,
// or there was nothing to do for it, and is answered.
func (d *Door) let(w http.ResponseWriter, r *http.Request, arrived time.Time) (form url.Values, body []byte, ok bool) {
	if r.Method != http.MethodPost {
		d.Numbers.Refuse(refusedMethod)
		unread(w)
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Slack sends POST requests here.", http.StatusMethodNotAllowed)
		return nil, nil, false
	}

	sent, err := ReadSignature(r.Header, d.Now())
	if err != nil {
		if d.certificateCheck(w, r, arrived) {
			w.WriteHeader(http.StatusOK)
			return nil, nil, false
		}
		d.refuse(w, r, err)
		return nil, nil, false
	}

	if body, ok = d.read(w, r, arrived); !ok {
		return nil, nil, false
	}

	form = FormOf(r.Header.Get("Content-Type"), body)
	if form.Get("ssl_check") == "1" { // nothing is run for it, signed or not
		w.WriteHeader(http.StatusOK)
		return nil, nil, false
	}
	if err := sent.Verify(body, d.Secrets); err != nil {
		d.refuse(w, r, err)
		return nil, nil, false
	}
	return form, body, true
}

// read returns the body of a request. not ok: there is none to be had, which is answered.
func (d *Door) read(w http.ResponseWriter, r *http.Request, arrived time.Time) (body []byte, ok bool) {
	body, err := d.bodies.read(w, r, MaxBody, arrived.Add(AckBudget))
	switch {
	case errors.Is(err, errTooLarge):
		d.Numbers.Refuse(refusedTooLarge)
		unread(w)
		http.Error(w, "The request is too large.", http.StatusRequestEntityTooLarge)
	case errors.Is(err, errGaveWay):
		d.Numbers.Refuse(refusedGaveWay)
		http.Error(w, "Try again.", http.StatusServiceUnavailable)
	case err != nil:
		d.Numbers.Refuse(refusedBody)
		http.Error(w, "The request could not be read.", http.StatusBadRequest)
	}
	return body, err == nil
}

// deliveryOf tells by its form what a request holds; nil: it is no form.
func deliveryOf(form url.Values, body []byte) Delivery {
	switch {
	case form == nil:
		return Delivery{Kind: KindEvents, Body: body}
	case form.Has("payload"):
		return Delivery{Kind: KindInteractive, Body: []byte(form.Get("payload"))}
	case form.Has("command"):
		return Delivery{Kind: KindCommands, Body: body, Form: form}
	}
	return Delivery{Kind: KindUnreadable, Body: body}
}

// certificateCheck reports whether a request without a signature is Slack's test of the certificate: a short form.
// Nothing else of what is not signed is looked at.
func (d *Door) certificateCheck(w http.ResponseWriter, r *http.Request, arrived time.Time) bool {
	if r.Header.Values(SignatureHeader) != nil || r.Header.Values(StampHeader) != nil ||
		r.ContentLength <= 0 || r.ContentLength > LargestCheck ||
		FormOf(r.Header.Get("Content-Type"), nil) == nil {
		return false
	}
	body, err := d.bodies.read(w, r, LargestCheck, arrived.Add(unreadLinger))
	return err == nil && FormOf(r.Header.Get("Content-Type"), body).Get("ssl_check") == "1"
}

// refuse answers what is not Slack's.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, cause error) {
	why := refusedSignature
	var known *refusal
	if errors.As(cause, &known) {
		why = known.cause
	}

	d.Numbers.Refuse(why)
	d.Log.WarnContext(r.Context(), "request refused", "cause", cause, "bytes", r.ContentLength)
	unread(w)
	http.Error(w, "The signature does not match.", http.StatusUnauthorized)
}

// unread keeps the server from waiting long for the rest of a body that nobody wants.
func unread(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadLinger))
}
