package bot

// What Slack signed and nobody here can read is kept as it came, as a dead letter: a later release may be able to.

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// errUnreadable is why it is a dead letter.
var errUnreadable = errors.New("it can't be read")

// Places in what is no JSON.
var (
	eventIDs     = regexp.MustCompile(`"event_id"\s*:\s*"([A-Za-z0-9_-]{1,100})"`)
	submissions  = regexp.MustCompile(`"type"\s*:\s*"view_submission"`)
	responseURLs = regexp.MustCompile(`"response_url"\s*:\s*("(?:[^"\\]|\\.)+")`)
	appIDs       = regexp.MustCompile(`"api_app_id"\s*:\s*"(A[A-Z0-9]{1,40})"`)
	// Whose it is. What a person wrote can't look like this: quotes in it are escaped. The first is for whom it was
	// delivered, the last may be another company's.
	workspaces = []*regexp.Regexp{
		regexp.MustCompile(`"authorizations"\s*:\s*\[\s*\{[^\]}]*"team_id"\s*:\s*"(T[A-Z0-9]{1,40})"`),
		regexp.MustCompile(`"context_team_id"\s*:\s*"(T[A-Z0-9]{1,40})"`),
		regexp.MustCompile(`"team_id"\s*:\s*"(T[A-Z0-9]{1,40})"`),
		regexp.MustCompile(`"team"\s*:\s*\{\s*"id"\s*:\s*"(T[A-Z0-9]{1,40})"`),
	}
	organisations = []*regexp.Regexp{
		regexp.MustCompile(`"authorizations"\s*:\s*\[\s*\{[^\]}]*"enterprise_id"\s*:\s*"(E[A-Z0-9]{1,40})"`),
		regexp.MustCompile(`"context_enterprise_id"\s*:\s*"(E[A-Z0-9]{1,40})"`),
		regexp.MustCompile(`"enterprise_id"\s*:\s*"(E[A-Z0-9]{1,40})"`),
	}
)

// found is the first place's first match, "" where there is none.
func found(body []byte, places ...*regexp.Regexp) string {
	for _, place := range places {
		if m := place.FindSubmatch(body); m != nil {
			return string(m[1])
		}
	}
	return ""
}

// keepUnreadable puts a delivery into the inbox, where it becomes a dead letter. With an error it is not kept, and not
// to be acknowledged.
func (b *Bot) keepUnreadable(ctx context.Context, kind string, body []byte, cause error) error {
	id := nameOf(body)
	if named := found(body, eventIDs); named != "" {
		id = named
	}

	b.log.WarnContext(ctx, "a delivery could not be read: it is kept as a dead letter",
		"event", id, "kind", transport.Clip(kind), "cause", cause, "bytes", len(body))
	whose := connection.Key{ // as far as that can be seen: it is erased with their connection
		AppID: cmp.Or(b.cfg.AppID, found(body, appIDs)), EnterpriseID: found(body, organisations...),
		TeamID: found(body, workspaces...),
	}
	e := Delivery{ID: id, Kind: kind, Type: transport.KindUnreadable, Key: whose, Received: b.now(), Body: body}
	_, err := b.workers.keep(ctx, e, nil)
	return err
}

// unreadablePress keeps an interaction that can't be read, and tells the person who waits for it: on top of the form
// that they submitted, which keeps what they put in, or at their address where one can be found.
func (b *Bot) unreadablePress(ctx context.Context, payload []byte, cause error) (transport.Answer, error) {
	if err := b.keepUnreadable(ctx, transport.KindInteractive, payload, cause); err != nil {
		return transport.Answer{}, err
	}

	form := submissions.Match(payload)
	var address string
	if m := responseURLs.FindSubmatch(payload); m != nil {
		_ = json.Unmarshal(m[1], &address)
	}

	ref := install.NewRef()
	b.log.InfoContext(ctx, "somebody waits for what could not be read",
		"event", nameOf(payload), "ref", ref, "told", form || address != "")

	sorry := b.gate.say("bot.unreadable", ref)
	switch {
	case form:
		return answerWith(viewAnswer{Action: "push", View: page(b.gate.lang(), sorry)}), nil
	case address == "":
		return transport.Answer{}, nil
	}
	to := &reach{handler: transport.KindUnreadable, act: act{address: connection.Secret(address)}, ctx: ctx}
	return transport.Answer{After: b.answers.after(&result{reply: sorry, ref: ref}, to)}, nil
}

// nameOf names a delivery to which Slack gave no name, so that it is accepted once.
func nameOf(body []byte) string {
	sum := sha256.Sum256(body)
	return "unnamed-" + hex.EncodeToString(sum[:16])
}
