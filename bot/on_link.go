package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Link is a message, or one that is still being written, with links to a domain of the app's.
type Link struct {
	*Request
	// Payload is the event.
	Payload *LinkShared
	// URLs are the links to the handler's domain, as they stand in the message, each once. Those to a domain below it that
	// has a handler of its own are that one's.
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
	handle := func(ctx context.Context, r *Request, e *LinkShared) error {
		return run(ctx, &Link{Request: r, Payload: e, URLs: r.links})
	}
	return newHandler(KindLink, domain, append(own, options...), ofEvent(handle))
}

// ofDomain reports whether a link's domain is one or below it.
func ofDomain(link, domain string) bool {
	link = strings.ToLower(link)
	return link == domain || strings.HasSuffix(link, "."+domain)
}

// linked are the handlers of an event of links, in their order: a message can have some of several domains.
func (r *routes) linked(in *inner) (all []*Handler) {
	for _, h := range r.links {
		if len(r.linksOf(in, h)) > 0 {
			all = append(all, h)
		}
	}
	return all
}

// linksOf are the links of an event that are for h, each once: no other handler has a domain that says more of them.
func (r *routes) linksOf(in *inner, h *Handler) (urls []string) {
	if h.Kind != KindLink {
		return nil
	}
	for _, link := range in.Links {
		host := link.Domain // which can be the one that the manifest has, and that of the link below it
		if u, err := url.Parse(link.URL); err == nil {
			host = cmp.Or(u.Hostname(), host)
		}
		closer := func(other *Handler) bool { return len(other.Name) > len(h.Name) && ofDomain(host, other.Name) }
		if ofDomain(host, h.Name) && !slices.Contains(urls, link.URL) && !slices.ContainsFunc(r.links, closer) {
			urls = append(urls, link.URL)
		}
	}
	return urls
}

// handleLinks brings links of several domains to their handlers. Each has a visit of its own: what one needs, takes and
// comes to is nothing to the others. When some fail, an attempt that follows leaves out those that are done.
func (b *Bot) handleLinks(ctx context.Context, e *Delivery, v visit, in *inner) error {
	shared := b.routes.linked(in)
	if len(shared) < 2 {
		return b.handled(ctx, e, b.gate.pass(ctx, ctx, v))
	}

	var failed error
	find, before := v.find, len(e.Said)
	for _, h := range shared {
		done := h.id()
		if slices.Contains(e.Said, done) {
			continue
		}
		if e.by != nil { // the last one is counted with the event
			b.metrics.ranAs(e.by, e.ran)
		}

		each := v
		each.find = func(req *Request) (*Handler, string) {
			if _, dropped := find(req); dropped != "" {
				return nil, dropped
			}
			req.links, e.by = b.routes.linksOf(in, h), h
			return h, ""
		}
		err := b.handled(ctx, e, b.gate.pass(ctx, ctx, each))
		switch {
		case errors.As(err, new(*notOpened)): // nor will the others come to a connection
			return err
		case err != nil && classOf(err) != final:
			failed = graver(failed, err)
		default:
			e.Said = append(e.Said, done)
		}
	}

	if failed != nil && len(e.Said) > before {
		if err := b.workers.inbox.RecordSaid(ctx, *e); err != nil {
			b.log.WarnContext(ctx, "remember which handlers are done: they may run again", "event", e.ID, "cause", err)
		}
	}
	return failed
}

// graver is the one of two errors that keeps its event for longer.
func graver(a, b error) error {
	if a == nil || classOf(a) == wait && classOf(b) == later {
		return b
	}
	return a
}

var domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$`)

// checkDomain finds out why Slack would refuse a domain.
func (h *Handler) checkDomain() error {
	if !domainName.MatchString(h.Name) {
		return errors.New("a domain is in lower case, without a scheme, a port and a path: tickets.example.com")
	}
	return nil
}
