package bot

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Link is a message, or one that is still being written, with links to a domain of the app's.
type Link struct {
	*Request
	// Payload is the event.
	Payload *LinkShared
	// URLs are the links to the handler's domain, as they stand in the message.
	URLs []string
}

// LinkShared is the event of a link. https://docs.slack.dev/reference/events/link_shared
type LinkShared struct {
	Channel   string `json:"channel"` // COMPOSER while the message is being written
	User      string `json:"user"`
	MessageTS string `json:"message_ts"`
	ThreadTS  string `json:"thread_ts"`
	UnfurlID  string `json:"unfurl_id"`
	Source    string `json:"source"` // conversations_history or composer
	Member    bool   `json:"is_bot_user_member"`
	Links     []struct {
		Domain string `json:"domain"`
		URL    string `json:"url"`
	} `json:"links"`
}

// Unfurl shows blocks below links, by the link as it stands in URLs. Doing it again changes what is shown. It takes
// links:write. It blocks for a call to Slack. https://docs.slack.dev/reference/methods/chat.unfurl
func (l *Link) Unfurl(ctx context.Context, shown map[string][]slack.Block) error {
	if l.Client == nil {
		return connection.ErrNotConnected
	}
	unfurls := map[string]slack.Attachment{}
	for link, blocks := range shown {
		unfurls[link] = slack.Attachment{Blocks: slack.Blocks{BlockSet: blocks}}
	}

	var err error
	if l.Payload.UnfurlID != "" && l.Payload.Source != "" {
		_, _, _, err = l.Client.UnfurlMessageByIDContext(ctx, l.Payload.UnfurlID, l.Payload.Source, unfurls)
	} else {
		_, _, _, err = l.Client.UnfurlMessageContext(ctx, l.Payload.Channel, l.Payload.MessageTS, unfurls)
	}
	if err != nil {
		return fmt.Errorf("unfurl: %w", err)
	}
	return nil
}

// OnLink returns a handler of links to a domain ("tickets.example.com", with those below it) in what people write, with
// the promises of OnEvent. The manifest asks Slack for the domain, of which it takes five, and for links:read and
// links:write. In a message that is still being written nothing can be said: its ChannelID is "".
// https://docs.slack.dev/messaging/unfurling-links-in-messages
func OnLink(domain string, run func(ctx context.Context, l *Link) error, options ...Option) Handler {
	own := []Option{Scopes("links:read", "links:write")}
	return newHandler(KindLink, domain, append(own, options...), func(ctx context.Context, r *Request, payload any) error {
		e, err := decodeEvent[LinkShared](r, payload)
		if err != nil {
			return err
		}

		l := &Link{Request: r, Payload: e}
		for _, link := range e.Links {
			if ofDomain(link.Domain, domain) {
				l.URLs = append(l.URLs, link.URL)
			}
		}
		return run(ctx, l)
	})
}

// ofDomain reports whether a link's domain is one or below it.
func ofDomain(link, domain string) bool {
	link = strings.ToLower(link)
	return link == domain || strings.HasSuffix(link, "."+domain)
}

// linked is the handler of an event of links, nil where there is none: a message can have some of several domains.
func (r *routes) linked(in *inner) *Handler {
	var all []*Handler
	for _, h := range r.links {
		for _, link := range in.Links {
			if ofDomain(link.Domain, h.Name) {
				all = append(all, h)
				break
			}
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}

	h := *all[0]
	h.chain = nil
	h.run = func(ctx context.Context, req *Request, payload any) error {
		var failed []error
		for _, each := range all {
			failed = append(failed, each.runIn(ctx, req, payload))
		}
		return errors.Join(failed...)
	}
	return &h
}

var domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$`)

// checkDomain finds out why Slack would refuse a domain.
func (h Handler) checkDomain() error {
	if !domainName.MatchString(h.Name) {
		return errors.New("a domain is in lower case, without a scheme, a port and a path: tickets.example.com")
	}
	return nil
}
