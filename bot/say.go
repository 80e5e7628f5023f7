package bot

// A handler may run again after it has already spoken. What it said is remembered with the event, by the order in which
// it said it, so that people read it once.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// errSilent: there is no way left to answer.
var errSilent = errors.New("the response_url is over")

const (
	// Slack takes this many posts to a response_url, for this long.
	// https://docs.slack.dev/interactivity/handling-user-interaction
	responseUses = 5
	responseLife = 30 * time.Minute
	// What stands in Delivery.Said for a post to a response_url, which has no timestamp.
	responded = "response"
	// The type of the metadata that our messages carry.
	metadataType = "switchboard_say"
	// So many messages are looked through for one that may have been posted: more are not shown to an app that is
	// distributed commercially outside of Slack's Marketplace. https://docs.slack.dev/apis/web-api/rate-limits
	sayPage = 15
	// That may take so long, waiting for a turn included; such an app has one look a minute.
	findBudget = 2 * time.Second
)

// said is what one event's handler posted.
type said struct {
	mu    sync.Mutex
	inbox Inbox
	event *Delivery
	now   func() time.Time
	next  int // how many times this attempt has spoken
}

// turn returns the number of the next post, and what became of it in an earlier attempt; "" when nothing is known.
func (s *said) turn() (i int, was string) {
	if s == nil {
		return 0, ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()

	i = s.next
	s.next++
	if i < len(s.event.Said) {
		was = s.event.Said[i]
	}
	return i, was
}

// delivery is the event as it is now, for goroutines beside the handler, which speaks meanwhile.
func (s *said) delivery() Delivery {
	if s == nil {
		return Delivery{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := *s.event
	e.Said = slices.Clone(e.Said)
	return e
}

// fresh makes the next post one that no earlier attempt has made: what the app itself says about an attempt is not what
// the handler said there.
func (s *said) fresh() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = max(s.next, len(s.event.Said))
}

// last reports whether a failure of this attempt is the one too many.
func (s *said) last() bool { return s != nil && s.event.last() }

// keep remembers a post. That it could not be remembered is no reason to say it again.
func (s *said) keep(ctx context.Context, req *Request, i int, what string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()

	for len(s.event.Said) <= i {
		s.event.Said = append(s.event.Said, "")
	}
	s.event.Said[i] = what
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askBudget)
	defer cancel()

	if err := s.inbox.RecordSaid(ctx, *s.event); err != nil {
		req.Log.WarnContext(ctx, "remember what was said: it may be said again", "cause", err)
	}
}

// say posts r once, as Say promises, without what follows it, and returns the ts of each message that it became.
func (req *Request) say(ctx context.Context, r Reply) (all []string, err error) {
	if req.Client == nil {
		return nil, connection.ErrNotConnected
	}
	if r.private {
		return nil, req.privately(ctx, r)
	}

	if len(r.Files) > 0 {
		if err := req.Need("files:write"); err != nil {
			return nil, err
		}
	}

	// What an earlier attempt posted of it stands in one place, so that the places stay those of the handler's calls.
	i, was := req.said.turn()
	stands := strings.Fields(was)
	all = messagesOf(stands)
	if len(stands) == len(all) { // without a word of its files
		for n, part := range r.parts(req.lang()) {
			if n < len(all) {
				continue
			}
			ts, err := req.sayPart(ctx, part, req.keyOf(i, n))
			if err != nil {
				return all, err
			}
			all = append(all, ts)
			req.said.keep(ctx, req, i, strings.Join(all, " "))
		}
		stands = all
	}
	if len(r.Files) == 0 || strings.Contains(was, filesShared) {
		return all, nil
	}
	return all, req.share(ctx, i, stands, r)
}

// keyOf names the nth message of what is said in a place.
func (req *Request) keyOf(place, n int) string {
	key := req.EventID + "/" + strconv.Itoa(place)
	if n > 0 {
		key += "." + strconv.Itoa(n)
	}
	return key
}

// sayPart posts one message under key, or finds the one that an earlier attempt posted.
func (req *Request) sayPart(ctx context.Context, part Reply, key string) (ts string, err error) {
	options := part.forEverybody(req.ThreadTS, len(req.Missing("chat:write.customize")) == 0)
	switch {
	case req.said != nil:
		if req.Attempt > 1 {
			if ts = req.find(ctx, key); ts != "" {
				return ts, nil
			}
		}
		options = append(options, slack.MsgOptionMetadata(withKey(part.Metadata, key)))
	case part.Metadata != nil:
		options = append(options, slack.MsgOptionMetadata(*part.Metadata))
	}

	_, ts, err = req.Client.PostMessageContext(ctx, req.ChannelID, options...)
	return ts, err
}

// change makes the messages of these ts say r: one that r has no part for is deleted, and what they don't hold follows
// them.
func (req *Request) change(ctx context.Context, all []string, r Reply) error {
	parts := r.parts(req.lang())
	for i, part := range parts {
		if i >= len(all) {
			_, _, err := req.Client.PostMessageContext(ctx, req.ChannelID, part.forEverybody(req.ThreadTS, false)...)
			if err != nil {
				return err
			}
			continue
		}
		_, _, _, err := req.Client.UpdateMessageContext(ctx, req.ChannelID, all[i], slack.MsgOptionText(part.Text, false),
			slack.MsgOptionBlocks(part.Blocks...))
		if err != nil {
			return err
		}
	}

	for _, ts := range all[min(len(parts), len(all)):] {
		if _, _, err := req.Client.DeleteMessageContext(ctx, req.ChannelID, ts); err != nil {
			return err
		}
	}
	return nil
}

// privately says r to who acted and to nobody else: in their direct message with the app where that is where they are,
// else in the conversation so that only they see it, and by direct message where there is none or Slack doesn't take
// it. It takes chat:write.
func (req *Request) privately(ctx context.Context, r Reply) error {
	if req.Client == nil || req.UserID == "" {
		return errSilent
	}

	return r.each(req.lang(), func(part Reply) error {
		var err error
		switch here := part.posted(req.ThreadTS); {
		case strings.HasPrefix(req.ChannelID, "D"):
			_, _, err = req.Client.PostMessageContext(ctx, req.ChannelID, here...)
		case req.ChannelID != "":
			_, err = req.Client.PostEphemeralContext(ctx, req.ChannelID, req.UserID, here...)
		}

		if req.ChannelID == "" || err != nil && slackapi.SlackError(err) != "" {
			_, _, err = req.Client.PostMessageContext(ctx, req.UserID, part.posted("")...)
		}
		return err
	})
}

// tellActor says r privately to who acted, unless they are or may be of another company: what a handler refuses them
// can be about the workspace. Where they can't be told that is in the log, and nothing is tried again.
func (g *gate) tellActor(ctx context.Context, req *Request, r Reply) {
	if !g.insiders.mayHear(ctx, req) {
		req.Log.InfoContext(ctx, "not told why: they may be of another company")
		return
	}
	if err := req.privately(ctx, r); err != nil {
		req.Log.WarnContext(ctx, "tell a person why it was not done",
			"slack_error", slackapi.SlackError(err), "cause", reason(err))
	}
}

// historyScope is what reading a conversation takes, by the first letter of its id. Private channels and group messages
// can't be told apart by it; either permission is tried.
var historyScope = map[byte]string{
	'D': "im:history",
	'C': "channels:history groups:history",
	'G': "groups:history mpim:history",
}

// find looks for the message that an earlier attempt posted under key. "": it is not there, or that can't be known.
func (req *Request) find(ctx context.Context, key string) (ts string) {
	if req.ChannelID == "" {
		return ""
	}
	need, known := historyScope[req.ChannelID[0]]
	if !known || !anyOf(need, req.Connection.Scopes) {
		return ""
	}

	ctx, cancel := context.WithTimeout(ctx, findBudget)
	defer cancel()

	// The message came after the event: a minute more is for clocks that differ.
	oldest := strconv.FormatInt(req.said.event.Received.Add(-time.Minute).Unix(), 10)

	var messages []slack.Message
	var err error
	if req.ThreadTS != "" {
		messages, _, _, err = req.Client.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{
			ChannelID: req.ChannelID, Timestamp: req.ThreadTS, Oldest: oldest, Limit: sayPage, IncludeAllMetadata: true})
	} else {
		var page *slack.GetConversationHistoryResponse
		page, err = req.Client.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{
			ChannelID: req.ChannelID, Oldest: oldest, Limit: sayPage, IncludeAllMetadata: true})
		if err == nil {
			messages = page.Messages
		}
	}
	if err != nil {
		req.Log.InfoContext(ctx, "look for a message of an earlier attempt",
			"slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
		return ""
	}

	for _, m := range messages {
		if hasKey(m.Metadata, key) {
			return m.Timestamp
		}
	}
	return ""
}

// respond answers durable work once, as Respond promises, without what follows it.
func (req *Request) respond(ctx context.Context, r Reply) error {
	i, was := req.said.turn()
	done := strings.Fields(was)
	for n, part := range r.parts(req.lang()) {
		if n < len(done) {
			continue
		}

		err := errSilent
		if req.address != "" && req.gate != nil && req.said.mayRespond() {
			err = req.gate.responses.post(ctx, req.address, part.message(part.replace && !part.private, req.ThreadTS))
		}
		switch {
		case req.address == "" && req.pressedTS != "" && req.Client != nil && req.ChannelID != "":
			err = req.answerBeside(ctx, part)
		case errors.Is(err, errSilent) || over(err):
			err = req.whisper(ctx, part)
		}
		if err != nil {
			return fmt.Errorf("respond: %w", err)
		}
		done = append(done, responded)
		req.said.keep(ctx, req, i, strings.Join(done, " "))
	}
	return nil
}

// mayRespond reports whether the response_url still takes something.
func (s *said) mayRespond() bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()

	uses := 0
	for _, was := range s.event.Said {
		uses += strings.Count(was, responded)
	}
	return uses < responseUses && s.now().Sub(s.event.Received) < responseLife
}

// over reports whether Slack says that a response_url takes nothing any more.
func over(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "used_url") || strings.Contains(err.Error(), "expired_url"))
}

// whisper posts a message that only the person who acted sees: in the conversation, or a direct message where there is
// none.
func (req *Request) whisper(ctx context.Context, r Reply) error {
	switch {
	case req.Client == nil || req.UserID == "":
		return errSilent
	case req.ChannelID == "":
		return req.direct(ctx, r)
	}
	return r.each(req.lang(), func(part Reply) error {
		_, err := req.Client.PostEphemeralContext(ctx, req.ChannelID, req.UserID, part.posted(req.ThreadTS)...)
		return err
	})
}

// Answers to what somebody did go to the response_url that came with it, and to no other place.

// responses posts to response_urls.
type responses struct {
	client *http.Client
	slack  string // where our own Slack is: an address there is as good as one on Slack's hosts for them
}

func newResponses(slack *slackapi.API) *responses {
	return &responses{slack: slack.Address, client: &http.Client{
		Transport: slack.HTTP.Transport,
		Timeout:   10 * time.Second,
		// A redirect would lead to a host that nobody has looked at.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// post answers through a response_url. Slack takes 5 posts within 30 minutes. Its errors do not hold the address.
func (r *responses) post(ctx context.Context, address connection.Secret, m message) error {
	if address == "" {
		return errors.New("respond: no response_url")
	}
	u, err := r.address(address.Reveal())
	if err != nil {
		return fmt.Errorf("respond: response_url: %w", err)
	}

	body, err := encode(m)
	if err != nil {
		return fmt.Errorf("respond: %w", err)
	}

	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("respond: response_url is not usable")
	}

	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("respond: %w", slackapi.Cause(err))
	}

	defer func() { _ = resp.Body.Close() }()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("respond: Slack answered %d %s", resp.StatusCode, transport.Clip(string(answer)))
	}
	return nil
}

// address is where a response_url leads, on one of Slack's hosts for them; posting anywhere else would hand out what we
// say.
func (r *responses) address(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, errors.New("not an address")
	}

	if u.Scheme == "https" && (u.Host == "hooks.slack.com" || u.Host == "hooks.slack-gov.com") {
		return u, nil
	}
	own, err := url.Parse(r.slack)
	if err == nil && u.Scheme == own.Scheme && u.Host == own.Host {
		return u, nil
	}
	return nil, fmt.Errorf("host %q is not Slack's", transport.Clip(u.Host))
}
