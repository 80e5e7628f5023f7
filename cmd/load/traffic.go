package main

// What is sent: bodies as Slack makes them, built once for each workspace. For a request only the ids and times in them
// are written anew and the whole is signed, because the sender shares its cores with the server it measures.

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// The kinds of event that can be sent. The app has work for the first two. The third is dropped when it is routed, so
// that it shows what the way to a handler costs.
const (
	mention  = "app_mention"
	message  = "message"
	reaction = "reaction_added"
)

// workspace is where an event comes from.
type workspace struct {
	team, user, channel, dm, botUser string
	thread                           string // the message that a mention answers; "" for none
}

// someWorkspaces makes up n workspaces, the same ones in every run.
func someWorkspaces(n int) []workspace {
	all := make([]workspace, n)
	for i := range all {
		id := fmt.Sprintf("0LOAD%05d", i)
		all[i] = workspace{team: "T" + id, user: "U" + id, channel: "C" + id, dm: "D" + id, botUser: "UBOT" + id}
	}
	return all
}

// template is a body with places in it that differ from one request to the next. What goes there has a fixed length.
type template struct {
	text               []byte
	ids, times, micros []int
}

// What stands in those places: the end of an id, a time in seconds, and the six digits behind the point of a message's
// time.
const (
	idPlace    = "################"
	timePlace  = "@@@@@@@@@@"
	microPlace = "~~~~~~"
)

func newTemplate(text string) template {
	places := func(mark string) (at []int) {
		for i := 0; ; i += len(mark) {
			next := strings.Index(text[i:], mark)
			if next < 0 {
				return at
			}
			i += next
			at = append(at, i)
		}
	}
	return template{text: []byte(text), ids: places(idPlace), times: places(timePlace), micros: places(microPlace)}
}

// eventBody is one Events API delivery, padded to size bytes where it would be smaller.
// https://docs.slack.dev/apis/events-api
func eventBody(event, appID string, w workspace, size int) template {
	const ts = timePlace + "." + microPlace
	var inner string
	switch event {
	case mention:
		inner = fmt.Sprintf(`"type":"app_mention","user":%q,"text":"<@%s> help","ts":%q,"team":%q,"channel":%q`,
			w.user, w.botUser, ts, w.team, w.channel)
		if w.thread != "" {
			inner += fmt.Sprintf(`,"thread_ts":%q`, w.thread)
		}
	case message:
		inner = fmt.Sprintf(`"type":"message","user":%q,"text":"help","ts":%q,"team":%q,"channel":%q,"channel_type":"im"`,
			w.user, ts, w.team, w.dm)
	default:
		inner = fmt.Sprintf(`"type":%q,"user":%q,"reaction":"thumbsup","item_user":%q,`+
			`"item":{"type":"message","channel":%q,"ts":%q}`, event, w.user, w.user, w.channel, ts)
	}

	// Slack's larger events are many small objects, which cost more to read than one long text.
	const section = `{"type":"rich_text_section","elements":[{"type":"text","text":"hello"}]},`
	build := func(sections int, pad string) string {
		return fmt.Sprintf(`{"token":"deprecated-verification-token","team_id":%q,"context_team_id":%q,`+
			`"context_enterprise_id":null,"api_app_id":%q,`+
			`"event":{%s,"event_ts":%q,"blocks":[{"type":"rich_text","block_id":"b","elements":[%s`+
			`{"type":"rich_text_section","elements":[{"type":"text","text":"hello%s"}]}]}]},`+
			`"type":"event_callback","event_id":"Ev%s","event_time":%s,`+
			`"authorizations":[{"enterprise_id":null,"team_id":%q,"user_id":%q,"is_bot":true,"is_enterprise_install":false}],`+
			`"is_ext_shared_channel":false,"event_context":"4-eyJldCI6Im1lc3NhZ2UifQ"}`,
			w.team, w.team, appID, inner, ts, strings.Repeat(section, sections), pad, idPlace, timePlace, w.team, w.botUser)
	}
	room := max(0, size-len(build(0, "")))
	return newTemplate(build(room/len(section), strings.Repeat("o", room%len(section))))
}

// commandBody is `/connection help`. It names no response_url: a server that is late would post to it, and it would be
// a real host's. https://docs.slack.dev/interactivity/implementing-slash-commands
func commandBody(appID string, w workspace) template {
	fixed := url.Values{"token": {"deprecated-verification-token"}, "team_id": {w.team}, "team_domain": {"load"},
		"channel_id": {w.channel}, "channel_name": {"general"}, "user_id": {w.user}, "user_name": {"load"},
		"command": {"/connection"}, "text": {"help"}, "api_app_id": {appID}, "is_enterprise_install": {"false"}}
	return newTemplate(fixed.Encode() + "&trigger_id=" + timePlace + "." + microPlace + "." + idPlace)
}

// traffic is what all senders of one run share.
type traffic struct {
	secret     connection.Secret
	head       string // the first lines of every request
	events     []template
	commands   []template
	share      int // commands among a hundred requests
	duplicates int // repeats among a hundred events
	run        string
	serial     atomic.Uint64
}

// trafficConfig says what is sent and where.
type trafficConfig struct {
	url        *url.URL
	secret     connection.Secret
	appID      string
	event      string
	workspaces []workspace
	payload    int // bytes
	commands   int // percent
	duplicates int // percent
}

func newTraffic(c trafficConfig) *traffic {
	t := &traffic{secret: c.secret, share: c.commands, duplicates: c.duplicates,
		// A server drops ids that it knows, so that those of an earlier run must not come again.
		run: rand.Text()[:6],
		head: "POST " + c.url.RequestURI() + " HTTP/1.1\r\nHost: " + c.url.Host +
			"\r\nUser-Agent: Slackbot 1.0 (+https://api.slack.com/robots)\r\n"}
	for _, w := range c.workspaces {
		t.events = append(t.events, eventBody(c.event, c.appID, w, c.payload))
		t.commands = append(t.commands, commandBody(c.appID, w))
	}
	return t
}

// payload is how many bytes an event has.
func (t *traffic) payload() int { return len(t.events[0].text) }

// kind is what a request was.
type kind int

const (
	fresh kind = iota
	duplicate
	command
)

// sender makes the requests of one connection. It is used by one goroutine.
type sender struct {
	t             *traffic
	mac           hash.Hash
	body, request []byte
	sum           []byte
	last          uint64 // the newest event of this connection: answered, so that Slack could send it again
}

func newSender(t *traffic) *sender {
	return &sender{t: t, mac: hmac.New(sha256.New, []byte(t.secret.Reveal()))}
}

// spread says whether the n-th of many is one of the percent that are different, evenly and in every run the same ones.
func spread(n uint64, percent int) bool {
	p := uint64(percent)
	return (n+1)*p/100 > n*p/100
}

// next makes the n-th request of the run. The bytes are good until the next call.
func (s *sender) next(n uint64, now time.Time) ([]byte, kind) {
	if spread(n, s.t.share) {
		serial := s.t.serial.Add(1)
		body := s.t.commands[serial%uint64(len(s.t.commands))]
		return s.sign(body, serial, now, "application/x-www-form-urlencoded", ""), command
	}
	if e := n - n*uint64(s.t.share)/100; spread(e, s.t.duplicates) && s.last > 0 {
		const again = "X-Slack-Retry-Num: 1\r\nX-Slack-Retry-Reason: http_timeout\r\n"
		return s.sign(s.t.events[s.last%uint64(len(s.t.events))], s.last, now, "application/json", again), duplicate
	}
	s.last = s.t.serial.Add(1)
	return s.sign(s.t.events[s.last%uint64(len(s.t.events))], s.last, now, "application/json", ""), fresh
}

// sign fills the template and puts Slack's headers before it.
// https://docs.slack.dev/authentication/verifying-requests-from-slack
func (s *sender) sign(from template, serial uint64, now time.Time, contentType, more string) []byte {
	s.body = append(s.body[:0], from.text...)
	var room [32]byte
	digits := func(places []int, skip, width int, n uint64) {
		text := strconv.AppendUint(room[:0], n, 10)
		zeros := width - len(text)
		for _, i := range places {
			place := s.body[i+skip : i+skip+width]
			copy(place, "0000000000"[:zeros])
			copy(place[zeros:], text)
		}
	}
	for _, i := range from.ids {
		copy(s.body[i:], s.t.run)
	}
	digits(from.ids, len(s.t.run), len(idPlace)-len(s.t.run), serial)
	digits(from.times, 0, len(timePlace), uint64(now.Unix()))
	digits(from.micros, 0, len(microPlace), serial%1_000_000)

	stamp := strconv.AppendInt(room[:0], now.Unix(), 10)
	s.mac.Reset()
	s.mac.Write([]byte("v0:"))
	s.mac.Write(stamp)
	s.mac.Write([]byte(":"))
	s.mac.Write(s.body)
	s.sum = s.mac.Sum(s.sum[:0])

	b := append(s.request[:0], s.t.head...)
	b = append(append(append(b, "Content-Type: "...), contentType...), "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(s.body)), 10)
	b = append(append(append(b, "\r\nX-Slack-Request-Timestamp: "...), stamp...), "\r\nX-Slack-Signature: v0="...)
	b = append(hex.AppendEncode(b, s.sum), "\r\n"...)
	b = append(append(append(b, more...), "\r\n"...), s.body...)
	s.request = b
	return b
}

// firstOf is the first entry of a list with commas.
func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(first)
}
