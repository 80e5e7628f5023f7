package slacksim

// Links in messages, and what the app shows in their place.
// docs.slack.dev/reference/events/link_shared, docs.slack.dev/messaging/unfurling-links-in-messages

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// Unfurl is what the app shows for a link. Attachment is as the app sent it. Blocks have their ids filled in, and
// Title and Entity are there where the app sent a preview or the metadata of a Work Object.
type Unfurl struct {
	URL        string
	Attachment json.RawMessage
	Blocks     json.RawMessage
	Title      string
	Entity     json.RawMessage

	inst *installation // that shows it
}

// Draft is a message that somebody is writing, with what the app shows for its links.
type Draft struct {
	UnfurlID  string
	UserID    string
	ChannelID string
	Text      string
	Unfurls   map[string]Unfurl // by the URL as it was typed
	// Prompt is what the person is told where the app wants them to sign in first, PromptURL where to.
	Prompt, PromptURL string
}

// Links knows what people are writing, and what was shared.
type Links struct {
	*engine
	world  *world
	oauth  *oauth
	events *events
	shares map[string]*share // by unfurl_id
}

// share is one link_shared event.
type share struct {
	Draft
	inst    *installation
	user    *User
	urls    []string
	channel *channel
	message *Message // nil in a draft
	acked   bool     // the app was told, and has said so
}

const (
	inComposer = "composer"
	inHistory  = "conversations_history"
	composer   = "COMPOSER" // the channel of what isn't sent yet
)

// Compose types a message into the box of a conversation without sending it. For links of the app's domains it gets
// link_shared as of a draft, with the channel COMPOSER, which chat.unfurl knows by the unfurl_id that is returned: ""
// if the app is not told, as in an organisation, where Slack sends none.
func (s *Links) Compose(_ context.Context, userID, channelID, text string) (unfurlID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, c, err := s.world.memberLocked(userID, channelID)
	if err != nil {
		return "", fmt.Errorf("compose: %w", err)
	}
	if t := s.world.teamLocked(u.TeamID); t != nil && t.EnterpriseID != "" {
		return "", nil
	}
	return s.shareLocked(u, c, nil, text), nil
}

// Draft returns what Compose has written. ok is false for an unknown unfurl_id.
func (s *Links) Draft(unfurlID string) (d Draft, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.shares[unfurlID]
	if x == nil || x.message != nil {
		return Draft{}, false
	}
	d = x.Draft
	d.Unfurls = maps.Clone(d.Unfurls)
	return d, true
}

// sharedLocked tells the app of the links in a message that a person has sent.
func (s *Links) sharedLocked(c *channel, m *Message) {
	if u := s.world.userLocked(m.User); u != nil && !m.Ephemeral {
		s.shareLocked(u, c, m, m.Text)
	}
}

// shareLocked sends link_shared to the installation of the author's own workspace: outsiders' links are not told. It
// returns the unfurl_id, "" when nothing was sent.
func (s *Links) shareLocked(u *User, c *channel, m *Message, text string) string {
	in := s.oauth.installLocked(u.TeamID)
	links, urls := []any{}, []string{}
	for _, raw := range linksIn(text) {
		if domain := s.domainLocked(raw); domain != "" && !slices.Contains(urls, raw) {
			links, urls = append(links, map[string]any{"domain": domain, "url": raw}), append(urls, raw)
		}
	}
	if len(links) == 0 || !s.events.wantedLocked(in, "link_shared") {
		return ""
	}

	x := &share{inst: in, user: u, urls: urls, channel: c, message: m,
		Draft: Draft{UserID: u.ID, ChannelID: c.ID, Text: text, Unfurls: map[string]Unfurl{}}}
	ts := s.world.tsLocked()
	if m != nil {
		ts = m.TS
	}
	x.UnfurlID = c.ID + "." + ts + "." + randomHex(16)
	inner := map[string]any{"type": "link_shared", "user": u.ID, "links": links, "user_locale": "en-GB",
		"unfurl_id": x.UnfurlID, "source": inComposer, "channel": composer, "message_ts": x.UnfurlID,
		"is_bot_user_member": c.im || c.has(in.bot.userID)}
	if m != nil {
		inner["source"], inner["channel"], inner["message_ts"] = inHistory, c.ID, m.TS
		if m.ThreadTS != "" {
			inner["thread_ts"] = m.ThreadTS
		}
	}

	s.shares[x.UnfurlID] = x
	o := s.events.envelopeLocked(Event{TeamID: u.TeamID, EnterpriseID: in.enterpriseID, Inner: inner}, in)
	o.acked = func() { x.acked = true }
	s.events.outbox.sendLocked(o)
	return x.UnfurlID
}

var (
	wireLink = regexp.MustCompile(`<(https?://[^<>|]+)(\|[^<>]*)?>`)
	bareLink = regexp.MustCompile(`https?://[^\s<>|]+[^\s<>|.,;:!?)]`)
)

// linksIn finds the addresses in a message, in Slack's notation or as they are typed.
func linksIn(text string) (out []string) {
	for _, m := range wireLink.FindAllStringSubmatch(text, -1) {
		out = append(out, unescape.Replace(m[1]))
	}
	for _, raw := range bareLink.FindAllString(wireLink.ReplaceAllString(text, " "), -1) {
		out = append(out, unescape.Replace(raw))
	}
	return out
}

var unescape = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

// domainLocked is the app's domain that an address is on, or below. "" for none.
func (s *Links) domainLocked(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Hostname())
	for _, d := range s.app.UnfurlDomains {
		if host == d || strings.HasSuffix(host, "."+d) {
			return d
		}
	}
	return ""
}

// ackGrace is how long chat.unfurl waits at most, in real time, for an acknowledgement that may be under way: the app
// sends it first, but through another connection.
const ackGrace = time.Second

// waitForAck keeps chat.unfurl until the event that it is about was acknowledged. Slack refuses it before.
func (s chatMethods) waitForAck(r *apiRequest) {
	ctx, cancel := context.WithTimeout(s.life, min(ackGrace, s.ackTimeout/2))
	defer cancel()
	for {
		s.mu.Lock()
		x, changed := s.links.findLocked(r), s.changed
		ready := x == nil || x.acked
		s.mu.Unlock()
		if ready {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// findLocked is the event that a call of chat.unfurl is about, by unfurl_id and source or by channel and ts.
func (s *Links) findLocked(r *apiRequest) *share {
	if id := r.arg("unfurl_id"); id != "" {
		return s.shares[id]
	}
	if r.arg("channel") == composer {
		return s.shares[r.arg("ts")]
	}
	for _, x := range s.shares {
		if x.message != nil && x.channel.ID == r.arg("channel") && x.message.TS == r.arg("ts") {
			return x
		}
	}
	return nil
}

// chatUnfurl shows something for links that were shared. Doing it again replaces it.
// docs.slack.dev/reference/methods/chat.unfurl
func (s chatMethods) chatUnfurl(r *apiRequest) (map[string]any, *apiError) {
	x, err := s.unfurlableLocked(r)
	if err != nil {
		return nil, err
	}
	found, err := s.unfurlsLocked(r, x)
	if err != nil {
		return nil, err
	}
	if err := s.promptLocked(r, x, len(found) > 0); err != nil {
		return nil, err
	}

	if x.message == nil {
		addUnfurls(x.Unfurls, found)
		s.noteLocked()
		return nil, nil
	}

	m, before := x.message, s.world.messageJSONLocked(x.channel, x.message)
	if m.Unfurls == nil {
		m.Unfurls = map[string]Unfurl{}
	}
	addUnfurls(m.Unfurls, found)
	s.noteLocked()
	if len(found) > 0 {
		// Whoever follows messages hears of an unfurl as of an edit that changes no text.
		s.events.editEventLocked(x.channel, m, "message_changed", before, x.user.TeamID)
	}
	return nil, nil
}

// addUnfurls replaces what was shown for the same links. A Work Object and an attachment stand beside each other.
func addUnfurls(into, found map[string]Unfurl) {
	for at, u := range found {
		old := into[at]
		if u.Attachment == nil {
			u.Attachment, u.Blocks, u.Title = old.Attachment, old.Blocks, old.Title
		}
		if u.Entity == nil {
			u.Entity = old.Entity
		}
		into[at] = u
	}
}

// links are those of a message that the app shows something for. An attachment's id is its place among them, from 1.
func (m *Message) links() []string { return slices.Sorted(maps.Keys(m.Unfurls)) }

// unfurledJSONLocked are the attachments that a message has for its links.
func (s *world) unfurledJSONLocked(m *Message) (out []any) {
	for i, at := range m.links() {
		a, u := object{}, m.Unfurls[at]
		_ = blockkit.Decode(u.Attachment, &a)
		maps.Copy(a, object{"id": i + 1, "from_url": at, "app_unfurl_url": at, "is_app_unfurl": true, "app_id": s.app.ID})
		if u.Blocks != nil {
			a["blocks"] = u.Blocks
		}
		out = append(out, a)
	}
	return out
}

// linkLocked is the link whose unfurl has the element that a form is about, "" where none has. What the message itself
// has comes first.
func (s *Forms) linkLocked(m *Message, f Form) string {
	has := func(blocks json.RawMessage) (found bool) {
		blockkit.EachElement(blocks, func(b, e object, _ bool) { found = found || f.names(b, e) })
		return found
	}
	if len(m.Unfurls) == 0 || has(m.Blocks) {
		return ""
	}
	links := m.links()
	if i := slices.IndexFunc(links, func(at string) bool { return has(m.Unfurls[at].Blocks) }); i >= 0 {
		return links[i]
	}
	return ""
}

// addUnfurlLocked says in a payload that it comes from what is shown for a link.
func (s *Forms) addUnfurlLocked(p, container object, m *Message, link string) {
	i := slices.Index(m.links(), link)
	maps.Copy(container, object{"type": "message_attachment", "attachment_id": i + 1, "is_app_unfurl": true,
		"app_unfurl_url": link})
	p["app_unfurl"] = s.world.unfurledJSONLocked(m)[i]
}

// replaceUnfurlLocked does what an answer asks for that replaces what is shown for a link, or takes it away.
func (s *hooks) replaceUnfurlLocked(h *hook, c *channel, p *hookPost, blocks json.RawMessage) *Message {
	m := c.find(h.message)
	if m == nil || m.Unfurls[h.link].URL == "" {
		return m
	}
	delete(m.Unfurls, h.link)
	if !p.DeleteOriginal {
		attachment, _ := json.Marshal(map[string]string{"text": p.Text})
		m.Unfurls[h.link] = Unfurl{URL: h.link, Attachment: attachment, Blocks: blocks, inst: h.inst}
	}
	s.noteLocked()
	return m
}

// unfurlableLocked is the event that a call is about, if it may be answered.
func (s chatMethods) unfurlableLocked(r *apiRequest) (*share, *apiError) {
	if len(s.app.UnfurlDomains) == 0 {
		return nil, fail("cannot_find_service")
	}
	if code := r.whichUnfurl(); code != "" {
		return nil, fail(code)
	}

	x := s.links.findLocked(r)
	if x != nil && x.inst != r.inst {
		x = nil // another installation's
	}
	if r.has("unfurl_id") {
		if x == nil || (r.arg("source") == inComposer) != (x.message == nil) {
			return nil, fail("invalid_unfurl_id")
		}
		return x, nil
	}
	if x == nil || x.message != nil && x.message.Deleted {
		return nil, s.whyNotLocked(r)
	}
	return x, nil
}

// whichUnfurl is the error code of a call that does not say what it is about, in one way or the other.
func (r *apiRequest) whichUnfurl() string {
	id, source := r.has("unfurl_id"), r.arg("source")
	switch {
	case id && source == "":
		return "missing_source"
	case !id && source != "":
		return "missing_unfurl_id"
	case !id && !r.has("channel"):
		return "missing_channel"
	case !id && !r.has("ts"):
		return "missing_ts"
	case source != "" && source != inComposer && source != inHistory:
		return "invalid_source"
	}
	return ""
}

// whyNotLocked says why nothing can be unfurled in a message that no event told of.
func (s chatMethods) whyNotLocked(r *apiRequest) *apiError {
	c := s.world.channelLocked(r.arg("channel"))
	if c == nil || !s.oauth.reachesLocked(r.inst, c) {
		return fail("cannot_find_channel")
	}
	m := c.find(r.arg("ts"))
	if m == nil || m.Deleted || m.Ephemeral {
		return fail("cannot_find_message")
	}
	if s.world.userLocked(m.User) == nil {
		return fail("cannot_unfurl_message") // an app's own, or Slack's
	}
	return fail("cannot_unfurl_url")
}

// unfurlsLocked reads what is to be shown, by URL.
func (s chatMethods) unfurlsLocked(r *apiRequest, x *share) (map[string]Unfurl, *apiError) {
	found := map[string]Unfurl{}
	if raw := r.arg("metadata"); raw != "" {
		if err := entitiesOf(raw, found); err != nil {
			return nil, err
		}
	}
	var list map[string]json.RawMessage
	switch raw := r.arg("unfurls"); {
	case raw == "" && len(found) == 0 && !r.wantsSignIn():
		return nil, fail("missing_unfurls")
	case raw != "" && json.Unmarshal([]byte(raw), &list) != nil:
		return nil, fail("invalid_unfurls_format")
	}

	for at, attachment := range list {
		u, err := s.attachmentLocked(at, attachment)
		if err != nil {
			return nil, err
		}
		u.Entity, u.inst = found[at].Entity, r.inst
		found[at] = u
	}
	for at := range found {
		// Slack has no other word for an event that the app has not acknowledged yet.
		if !x.acked || !slices.Contains(x.urls, at) {
			return nil, fail("cannot_unfurl_url")
		}
	}
	return found, nil
}

// attachmentLocked is what is to be shown for one link: blocks, or an attachment of the older kind.
func (s chatMethods) attachmentLocked(at string, raw json.RawMessage) (Unfurl, *apiError) {
	var o object
	if blockkit.Decode(raw, &o) != nil || o == nil {
		return Unfurl{}, fail("cannot_parse_attachment")
	}
	u := Unfurl{URL: at, Attachment: raw}
	if preview, ok := o["preview"].(object); ok {
		u.Title = blockkit.Words(preview["title"])
	}
	if o["blocks"] == nil {
		if blockkit.Text(o["text"])+blockkit.Text(o["title"])+blockkit.Text(o["fallback"])+u.Title == "" {
			return Unfurl{}, fail("cannot_parse_attachment")
		}
		return u, nil
	}
	blocks, complaints := s.world.messageBlocksLocked(blockkit.Text(o["blocks"]))
	if len(complaints) > 0 {
		return Unfurl{}, failWith("cannot_parse_attachment", complaints...)
	}
	u.Blocks = blocks
	return u, nil
}

// entitiesOf reads Work Objects: which link each belongs to is in its app_unfurl_url.
func entitiesOf(raw string, into map[string]Unfurl) *apiError {
	var m struct {
		Entities []json.RawMessage `json:"entities"`
	}
	if json.Unmarshal([]byte(raw), &m) != nil || len(m.Entities) == 0 {
		return fail("invalid_metadata_format")
	}
	for _, e := range m.Entities {
		var head struct {
			Type string `json:"entity_type"`
			URL  string `json:"app_unfurl_url"`
		}
		if json.Unmarshal(e, &head) != nil || !strings.HasPrefix(head.Type, "slack#/entities/") || head.URL == "" {
			return fail("invalid_metadata_format")
		}
		into[head.URL] = Unfurl{URL: head.URL, Entity: e}
	}
	return nil
}

// wantsSignIn reports whether a call asks the person to sign in to the app's service first.
func (r *apiRequest) wantsSignIn() bool {
	return r.flag("user_auth_required") || r.has("user_auth_url") || r.has("user_auth_message") ||
		r.has("user_auth_blocks")
}

// promptLocked asks whoever shared the links to sign in first. Slack does that once for each message.
func (s chatMethods) promptLocked(r *apiRequest, x *share, unfurled bool) *apiError {
	if !r.wantsSignIn() {
		return nil
	}
	text, to := r.arg("user_auth_message"), r.arg("user_auth_url")
	if text == "" && to != "" {
		text = "Sign in to " + blockkit.Escape(s.app.Name) + " to see more of this link: <" + to + ">"
	}
	if u, err := url.Parse(to); to != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http") {
		return fail("cannot_auth_user")
	}
	if raw := r.arg("user_auth_blocks"); raw != "" {
		if _, complaints := s.world.messageBlocksLocked(raw); len(complaints) > 0 {
			return failWith("cannot_prompt", complaints...)
		}
	}
	if x.Prompt != "" || unfurled {
		return fail("cannot_prompt")
	}

	if text == "" {
		text = blockkit.Escape(s.app.Name) + " wants to show more of this link."
	}
	x.Prompt, x.PromptURL = text, to
	if x.message != nil {
		s.world.noteToLocked(x.channel, x.UserID, text)
	}
	s.noteLocked()
	return nil
}
