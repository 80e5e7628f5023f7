package slacksim

// The short-lived things a payload carries, response URLs and trigger ids, and the long-lived incoming webhooks.
// docs.slack.dev/interactivity/handling-user-interaction and /messaging/sending-messages-using-incoming-webhooks

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

const (
	hookLife    = 30 * time.Minute
	hookUses    = 5
	triggerLife = 3 * time.Second
)

// hook is what a response_url may do.
type hook struct {
	url     string
	inst    *installation
	user    string
	channel string
	at      time.Time
	uses    int
	message string // ts of the message whose button was pressed: what replace_original means
	link    string // in that message, where the button was in what the app shows for it
	last    string // ts of the newest answer: what replace_original means after a command
}

type trigger struct {
	user, team string
	inst       *installation
	at         time.Time
	used       bool
}

// hooks are where the app answers later.
type hooks struct {
	*engine
	record   *record
	world    *world
	oauth    *oauth
	events   *events
	byURL    map[string]*hook // by the secret part of the URL
	triggers map[string]*trigger
}

func (s *hooks) newHookLocked(in *installation, user, channel, message string) *hook {
	secret := s.record.secretLocked(randomText(24))
	h := &hook{inst: in, user: user, channel: channel, at: s.clock.Now(), message: message}
	h.url = s.url + "/hooks/response/" + in.home + "/" + randomDigits(12) + "/" + secret
	s.byURL[secret] = h
	return h
}

func (s *hooks) newTriggerLocked(in *installation, user, team string) string {
	id := randomDigits(12) + "." + randomDigits(11) + "." + randomHex(16)
	s.triggers[id] = &trigger{user: user, team: team, inst: in, at: s.clock.Now()}
	return id
}

// takeTriggerLocked spends a trigger id: three seconds, once, for the installation it was given to.
func (s *hooks) takeTriggerLocked(r *apiRequest) (*trigger, *apiError) {
	t := s.triggers[cmp.Or(r.arg("trigger_id"), r.arg("interactivity_pointer"))]
	switch {
	case t == nil || t.inst.home != r.inst.home:
		return nil, fail("invalid_trigger_id")
	case t.used:
		return nil, fail("exchanged_trigger_id")
	case s.clock.Now().Sub(t.at) >= triggerLife:
		return nil, fail("expired_trigger_id")
	}
	t.used = true
	return t, nil
}

// hookPost is what may be sent to a response_url, and as the answer to a command.
type hookPost struct {
	Text            string          `json:"text"`
	Blocks          json.RawMessage `json:"blocks"`
	Attachments     json.RawMessage `json:"attachments"`
	ResponseType    string          `json:"response_type"`
	ReplaceOriginal bool            `json:"replace_original"`
	DeleteOriginal  bool            `json:"delete_original"`
	ThreadTS        string          `json:"thread_ts"`
}

// UnmarshalJSON takes "true" as well as true, and blocks as text as well as JSON, as Slack does.
func (p *hookPost) UnmarshalJSON(b []byte) error {
	var m map[string]any
	if err := blockkit.Decode(b, &m); err != nil {
		return err
	}
	p.Text, p.ThreadTS = blockkit.Text(m["text"]), blockkit.Text(m["thread_ts"])
	p.ResponseType = blockkit.Text(m["response_type"])
	p.ReplaceOriginal = blockkit.Text(m["replace_original"]) == "true"
	p.DeleteOriginal = blockkit.Text(m["delete_original"]) == "true"
	if m["blocks"] != nil {
		p.Blocks = json.RawMessage(blockkit.Text(m["blocks"]))
	}
	if m["attachments"] != nil {
		p.Attachments = json.RawMessage(blockkit.Text(m["attachments"]))
	}
	return nil
}

func (s *hooks) serveResponseURL(w http.ResponseWriter, r *http.Request) {
	body, _ := readBody(r.Body)

	s.mu.Lock()
	h := s.byURL[r.PathValue("secret")]
	call := &Call{Method: "response_url", JSON: body}
	enterprise := ""
	if h != nil {
		call.TeamID, enterprise = h.inst.home, h.inst.enterpriseID
	}
	s.mu.Unlock()

	s.record.guarded(w, r, call, enterprise, func(w http.ResponseWriter) func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		status, err := s.respondLocked(h, r, body)
		writeAnswer(w, status, nil, err)
		return nil
	})
}

// respondLocked does what a post to a response_url asks for. The words used_url and expired_url and the status 404 are
// field reports, not documentation.
func (s *hooks) respondLocked(h *hook, r *http.Request, body []byte) (status int, err *apiError) {
	switch {
	case h == nil || r.Method != http.MethodPost:
		return http.StatusNotFound, fail("invalid_url")
	case h.inst.gone:
		s.record.breachLocked(RuleUninstalledHook, "a response_url of %s was used after the app was removed", h.inst.home)
		return http.StatusNotFound, fail("expired_url")
	case s.clock.Now().Sub(h.at) >= hookLife:
		s.record.breachLocked(RuleHookExpired, "a response_url was used after 30 minutes")
		return http.StatusNotFound, fail("expired_url")
	case h.uses >= hookUses:
		s.record.breachLocked(RuleHookOverused, "a response_url was used more than %d times", hookUses)
		return http.StatusNotFound, fail("used_url")
	}

	var p hookPost
	if err := json.Unmarshal(body, &p); err != nil {
		s.record.breachLocked(RuleHookBody, "a post to a response_url was not JSON")
		return http.StatusBadRequest, fail("invalid_payload")
	}
	h.uses++

	c := s.world.channelLocked(h.channel)
	if c == nil { // Home tab: there is nowhere to answer
		return http.StatusNotFound, fail("invalid_url")
	}
	if p.DeleteOriginal && h.link != "" {
		s.replaceUnfurlLocked(h, c, &p, nil)
		return http.StatusOK, nil
	}
	if p.DeleteOriginal {
		if m := s.originalLocked(h, c); m != nil {
			m.Deleted = true
			s.noteLocked()
		}
		return http.StatusOK, nil
	}
	if _, err = s.answerLocked(h, c, &p, RuleHookBody); err != nil {
		return http.StatusBadRequest, err
	}
	return http.StatusOK, nil
}

// originalLocked is the message that replace_original and delete_original speak of.
func (s *hooks) originalLocked(h *hook, c *channel) *Message {
	ts := h.message
	if ts == "" {
		if s.app.CommandAnswersStay {
			return nil
		}
		ts = h.last
	}
	if m := c.find(ts); ts != "" && m != nil && !m.Deleted {
		return m
	}
	return nil
}

// answerLocked shows a command's reply or a response_url post. rule names the breach when Slack would refuse it.
func (s *hooks) answerLocked(h *hook, c *channel, p *hookPost, rule string) (*Message, *apiError) {
	blocks, err := s.contentLocked(p.Text, p.Blocks, len(p.Attachments) > 0, "an answer had")
	switch {
	case err != nil && err.messages != nil:
		s.record.breachLocked(rule, "invalid blocks: %s", strings.Join(err.messages, "; "))
		return nil, err
	case err != nil:
		s.record.breachLocked(rule, "neither text nor blocks")
		return nil, err
	}

	text := cut(p.Text, 40000)
	if p.ReplaceOriginal && h.link != "" {
		return s.replaceUnfurlLocked(h, c, p, blocks), nil
	}
	if p.ReplaceOriginal {
		if m := s.originalLocked(h, c); m != nil {
			m.Text, m.Blocks, m.Edited = text, blocks, !m.Ephemeral
			s.noteLocked()
			return m, nil
		}
	}

	m := &Message{User: h.inst.bot.userID, BotID: h.inst.bot.botID, Text: text, Blocks: blocks, ThreadTS: p.ThreadTS}
	if p.ResponseType != "in_channel" {
		m.Ephemeral, m.EphemeralTo = true, h.user
	}
	s.world.postLocked(c, m)
	h.last = m.TS
	if !m.Ephemeral {
		s.events.messageEventsLocked(c, m, "")
	}
	return m, nil
}

// contentLocked checks what a message would show, and fills in its blocks. what says in a breach who sent it how.
func (s *hooks) contentLocked(text string, blocks json.RawMessage, attached bool, what string) (json.RawMessage,
	*apiError) {
	var out json.RawMessage
	if len(blocks) > 0 {
		var msgs []string
		if out, msgs = s.world.messageBlocksLocked(string(blocks)); len(msgs) > 0 {
			return nil, failWith("invalid_blocks", msgs...)
		}
	}
	if text == "" && out == nil && !attached {
		return nil, fail("no_text")
	}
	if out != nil && strings.TrimSpace(text) == "" {
		s.record.breachLocked(RuleNoText, "%s blocks but no text", what)
	}
	return out, nil
}

func (s *hooks) serveWebhook(w http.ResponseWriter, r *http.Request) {
	body, _ := readBody(r.Body)
	// A webhook takes JSON as the body or as a form field named payload.
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		if r.ParseForm() == nil {
			body = []byte(r.PostForm.Get("payload"))
		}
	}

	s.mu.Lock()
	h := s.oauth.webhooks[r.PathValue("secret")]
	call := &Call{Method: "webhook", JSON: body}
	if h != nil {
		call.TeamID = h.inst.home
	}
	s.mu.Unlock()

	s.record.guarded(w, r, call, "", func(w http.ResponseWriter) func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		status, word := s.webhookLocked(h, body)
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, word) // webhooks answer in plain words
		return nil
	})
}

func (s *hooks) webhookLocked(h *webhook, body []byte) (int, string) {
	var p hookPost
	switch {
	case h == nil:
		return http.StatusForbidden, "invalid_token"
	case h.inst.gone:
		return http.StatusNotFound, "no_service"
	case json.Unmarshal(body, &p) != nil:
		return http.StatusBadRequest, "invalid_payload"
	}

	c := s.world.channelLocked(h.channel)
	if c == nil {
		return http.StatusNotFound, "channel_not_found"
	}
	blocks, err := s.contentLocked(p.Text, p.Blocks, len(p.Attachments) > 0, "a webhook post had")
	if err != nil {
		return http.StatusBadRequest, err.code
	}

	m := &Message{User: h.inst.bot.userID, BotID: h.inst.bot.botID, Text: p.Text, Blocks: blocks, ThreadTS: p.ThreadTS}
	s.world.postLocked(c, m)
	s.events.messageEventsLocked(c, m, "")
	return http.StatusOK, "ok"
}
