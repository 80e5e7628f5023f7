package bot

// What Slack signed and nobody here can read is kept as it came, as a dead letter: a later release may be able to.

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"

	"switchboard/install"
)

// kindUnreadable is a delivery of which not even the kind can be told.
const kindUnreadable = "unreadable"

// errUnreadable is why it is a dead letter.
var errUnreadable = errors.New("it can't be read")

// Places in what is no JSON.
var (
	eventIDs     = regexp.MustCompile(`"event_id"\s*:\s*"([A-Za-z0-9_-]{1,100})"`)
	responseURLs = regexp.MustCompile(`"response_url"\s*:\s*("(?:[^"\\]|\\.)+")`)
)

// keepUnreadable puts a delivery into the inbox, where it becomes a dead letter. With an error it is not kept, and not
// to be acknowledged.
func (b *Bot) keepUnreadable(ctx context.Context, kind string, body []byte, cause error) error {
	id := nameOf(body)
	if m := eventIDs.FindSubmatch(body); m != nil {
		id = string(m[1])
	}
	b.log.WarnContext(ctx, "a delivery could not be read: it is kept as a dead letter",
		"event", id, "kind", clip(kind), "cause", cause, "bytes", len(body))
	e := Event{ID: id, Kind: kind, Type: kindUnreadable, Key: install.Key{AppID: b.cfg.AppID}, Received: b.now(),
		Body: body}
	_, err := b.keep(ctx, e, nil)
	return err
}

// unreadablePress keeps an interaction that can't be read, and tells the person who waits for it, where their address
// can be found.
func (b *Bot) unreadablePress(ctx context.Context, payload []byte, cause error) (answer, error) {
	if err := b.keepUnreadable(ctx, kindInteractive, payload, cause); err != nil {
		return answer{}, err
	}
	var address string
	if m := responseURLs.FindSubmatch(payload); m != nil {
		_ = json.Unmarshal(m[1], &address)
	}
	ref := install.NewRef()
	b.log.InfoContext(ctx, "somebody waits for what could not be read",
		"event", nameOf(payload), "ref", ref, "told", address != "")
	if address == "" {
		return answer{}, nil
	}
	sorry := Reply{Text: b.install.App().Name + " couldn't read what Slack sent about this. Try again, " +
		"and tell whoever runs it if it stays so. Reference: " + ref + "."}
	to := reach{handler: kindUnreadable, address: install.Secret(address)}
	return answer{after: b.after(result{reply: sorry, ref: ref}, to)}, nil
}

// nameOf names a delivery to which Slack gave no name, so that it is accepted once.
func nameOf(body []byte) string {
	sum := sha256.Sum256(body)
	return "unnamed-" + hex.EncodeToString(sum[:16])
}
