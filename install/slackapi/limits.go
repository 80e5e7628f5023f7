package slackapi

// Slack counts an app's calls for each workspace and method, and messages for each channel too, and refuses what is too
// much. Here calls wait for their turn rather than be refused; where that would take too long they fail at once, with
// the time after which to come back. https://docs.slack.dev/apis/web-api/rate-limits
//
// Each process counts what it sends itself. What several replicas send too much together, Slack refuses, and that is
// kept to.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"golang.org/x/time/rate"

	"github.com/switchboard-go/switchboard/install/connection"
)

const (
	// How long one call waits, its repetitions included. At a message a second that is at most ten calls of one channel,
	// so that they cannot take all of the bot's workers; work that would wait longer is better put back.
	turnPatience = 10 * time.Second
	// What is left of the caller's deadline when a call that waited is sent. Sent with less, its answer could be missed,
	// and then nobody knows whether a message was posted.
	turnSpare = 500 * time.Millisecond
	// How often a call that Slack refused is made again.
	turnRepeats = 3
	// How long to wait when Slack doesn't say. It counts in minutes.
	refusalUnsaid = time.Minute
)

// What can become of a call that meets a limit.
const (
	Waited     = "waited"
	Refused    = "refused"
	TurnedAway = "turned_away"
)

// pace is how often a method may be called in one workspace: a number at once, then so many a minute.
type pace struct{ burst, minute int }

// Slack promises the numbers for a minute, says of bursts only that the higher tiers take more of them, and asks apps
// to be made for one call a second of each method.
var (
	tier2 = pace{10, 20}
	tier3 = pace{20, 50}
	tier4 = pace{50, 100}
	// "special": hundreds a minute. https://docs.slack.dev/reference/methods/auth.test
	authTest = pace{60, 300}
	// The ceiling for all messages of a workspace is not published; "one message per second per channel" is.
	// https://docs.slack.dev/reference/methods/chat.postMessage
	posts        = pace{60, 300}
	channelPosts = pace{5, 60}
	// The pace of reading conversations, for an app that is distributed commercially and not in Slack's Marketplace.
	// https://docs.slack.dev/apis/web-api/rate-limits
	seldom = pace{1, 1}
)

// seldomRefusal is the Retry-After by which Slack tells such an app apart: others wait for seconds.
const seldomRefusal = time.Minute

const (
	postMessage = "chat.postMessage"
	history     = "conversations.history"
	replies     = "conversations.replies"
)

// paces has the methods the app uses, each by the facts on its page below https://docs.slack.dev/reference/methods/.
// Others are taken for tier 3, where most are.
var paces = map[string]pace{
	"auth.test":          authTest,
	"chat.appendStream":  tier4,
	"chat.startStream":   tier2,
	"chat.stopStream":    tier2,
	postMessage:          posts,
	"chat.postEphemeral": tier4,
	"chat.update":        tier3,
	"chat.delete":        tier3,
	"conversations.info": tier3,
	"conversations.open": tier3,
	history:              tier3, // or seldom
	replies:              tier3,
	"team.info":          tier3,
	"users.info":         tier4,
	"users.list":         tier2,
	"views.open":         tier4,
	"views.publish":      tier4,
	"views.push":         tier4,
	"views.update":       tier4,
}

// Other stands for the methods that have no name in API.Met: handlers choose them, so there could be any number.
const Other = "other"

// Methods returns the names that API.Met is told, in order, Other last.
func Methods() []string { return append(slices.Sorted(maps.Keys(paces)), Other) }

// met tells of a call that met a limit.
func (a *API) met(method, result string) {
	if _, known := paces[method]; !known {
		method = Other
	}
	a.Met(method, result)
}

// queue is what Slack counts separately. With a channel it is the channel's, without the workspace's. An organisation's
// token counts for each workspace that is named in a call, or else for all together.
type queue struct {
	connection.Key
	method, channel string
}

func (q queue) pace() pace {
	if q.channel != "" {
		return channelPosts
	}
	if p, ok := paces[q.method]; ok {
		return p
	}
	return tier3
}

// bucket is the state of a queue. It is guarded by its shard.
type bucket struct {
	turns  *rate.Limiter // replaced when Slack refuses a call: turns given before then count no longer
	closed time.Time     // Slack takes no call before
	seldom bool          // Slack said so: see seldomRefusal. It is remembered until the process ends
	// Of a workspace's posts: the channel that was refused last, and until when.
	channel string
	until   time.Time
}

func newBucket(p pace) *bucket {
	return &bucket{turns: rate.NewLimiter(rate.Limit(p.minute)/60, p.burst)}
}

// close begins the bucket anew at until, with one call then and no burst.
func (b *bucket) close(p pace, until time.Time) {
	if until.After(b.closed) {
		b.turns, b.closed = newBucket(p).turns, until
		b.turns.AllowN(until, p.burst-1)
	}
}

// pace is that of b, which is of q.
func (b *bucket) pace(q queue) pace {
	if b.seldom {
		return seldom
	}
	return q.pace()
}

// idle reports whether b is like a new one.
func (b *bucket) idle(at time.Time) bool {
	return !b.seldom && !b.closed.After(at) && !b.until.After(at) && b.turns.TokensAt(at) >= float64(b.turns.Burst())
}

// limits are the buckets of all workspaces, without those that are like new. The zero value is ready for use.
type limits struct{ shards [64]shard }

// shard has the buckets of some of the workspaces, and all of each. Its lock is held neither while a call waits nor
// while it is made.
type shard struct {
	mu      sync.Mutex
	buckets map[queue]*bucket
	sweepAt int       // the size at which idle buckets are looked for
	latest  time.Time // it is no earlier, even if the clock stands still while calls wait, or is set back
}

var shardSeed = maphash.MakeSeed()

func (l *limits) shard(k connection.Key) *shard {
	return &l.shards[maphash.Comparable(shardSeed, k)%uint64(len(l.shards))]
}

// at takes what the clock says and returns the time.
func (s *shard) at(now time.Time) time.Time {
	if now.After(s.latest) {
		s.latest = now
	}
	return s.latest
}

func (s *shard) bucket(q queue) *bucket {
	if b := s.buckets[q]; b != nil {
		return b
	}
	if len(s.buckets) >= s.sweepAt {
		// Into a new map, because a map that was emptied keeps its size; and only when there are twice as many as the last
		// time, so that it costs every new bucket the same.
		busy := make(map[queue]*bucket, len(s.buckets)/2)
		for q, b := range s.buckets {
			if !b.idle(s.latest) {
				busy[q] = b
			}
		}
		s.buckets, s.sweepAt = busy, max(32, 2*len(busy))
	}
	b := newBucket(q.pace())
	s.buckets[q] = b
	return b
}

// place is a call's place in a queue.
type place struct {
	queue
	bucket *bucket
	turn   *rate.Reservation
	turns  *rate.Limiter // that gave the turn; nil when there is none
	from   time.Time
}

// call is one call on its way to Slack. Its places are in the queue of its method and, for a message, in its channel's.
type call struct {
	shard  *shard
	both   [2]place
	places []place   // one of them or both
	until  time.Time // it has waited until then
}

func (l *limits) call(k connection.Key, method, channel string) *call {
	c := &call{shard: l.shard(k)}
	c.both[0].queue = queue{k, method, ""}
	c.both[1].queue = queue{k, method, channel}
	c.places = c.both[:]
	if channel == "" {
		c.places = c.both[:1]
	}
	return c
}

// take gives the call the places it lacks, and returns how long to wait for the last of them. It gives none when that
// is longer than room.
func (c *call) take(now time.Time, room time.Duration) (wait time.Duration, ok bool) {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	at := c.shard.at(later(now, c.until))
	for i := range c.places {
		p := &c.places[i]
		if p.holds() {
			continue // it has waited for this one
		}
		p.bucket = c.shard.bucket(p.queue)
		p.from = later(at, p.bucket.closed)
		due, turns := p.from, p.bucket.turns
		if short := 1 - turns.TokensAt(p.from); short > 0 {
			due = due.Add(time.Duration(short / float64(turns.Limit()) * float64(time.Second)))
		}
		wait = max(wait, due.Sub(at))
	}
	if wait > 0 && wait > room {
		return wait, false
	}
	for i := range c.places {
		if p := &c.places[i]; !p.holds() {
			p.turns = p.bucket.turns
			p.turn = p.turns.ReserveN(p.from, 1)
		}
	}
	c.until = at.Add(wait)
	return wait, true
}

// holds reports whether p has its turn, and Slack refused nobody since.
func (p *place) holds() bool { return p.turns != nil && p.turns == p.bucket.turns }

// giveBack lets others have the places of a call that is not made.
func (c *call) giveBack() {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	for i := range c.places {
		if p := &c.places[i]; p.holds() {
			p.turn.CancelAt(later(c.shard.latest, p.bucket.closed))
		}
	}
}

// refused closes what Slack has refused a call of, for a time. Of a message it doesn't say whether it was too much for
// the channel or for the workspace: it is taken for the channel, and when a second channel is refused meanwhile, for
// both.
func (c *call) refused(now time.Time, wait time.Duration) {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	until := c.shard.at(now).Add(wait)
	last := c.places[len(c.places)-1].queue
	b := c.shard.bucket(last)
	b.close(b.pace(last), until)
	if last.channel != "" {
		whole := c.places[0].queue
		b := c.shard.bucket(whole)
		if b.channel != last.channel && b.until.After(c.shard.latest) {
			b.close(whole.pace(), until)
		}
		b.channel, b.until = last.channel, until
	}
	for i := range c.places {
		c.places[i].turns = nil
	}
}

// seldom remembers that the call's method may be called once a minute in its workspace.
func (c *call) seldom() {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	c.shard.bucket(c.places[0].queue).seldom = true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Doer is what slack-go wants of an HTTP client.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// limited is the HTTP client of a Web API client for the workspace of key. A call blocks until its turn, at most for
// turnPatience and until ctx's deadline; if its turn is later it fails at once with a *slack.RateLimitedError.
type limited struct {
	api *API
	key connection.Key
	// the workspace that calls with an organisation's token are about, unless they name one; "" when none is known
	team string
	next Doer
}

// Do is http.Client's.
func (l limited) Do(r *http.Request) (*http.Response, error) {
	_, method, ok := strings.Cut(r.URL.Path, "/api/")
	if !ok {
		return l.next.Do(r) // a file
	}
	if l.key.Org() {
		r = WithArgument(r, "team_id", l.team)
		l.key.TeamID = argument(r, "team_id")
	}
	channel := ""
	if method == postMessage {
		channel = argument(r, "channel")
	}
	c := l.api.limits.call(l.key, method, channel)
	waited := time.Duration(0)
	for try := 0; ; try++ {
		wait, err := l.await(r.Context(), c, method, turnPatience-waited)
		if err != nil {
			if r.Body != nil {
				_ = r.Body.Close()
			}
			return nil, err
		}
		waited += wait
		resp, err := l.next.Do(r)
		if err != nil {
			return resp, err
		}
		refused, err := verdictOf(resp)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
		if refused == 0 {
			return resp, nil
		}
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection is used again
		_ = resp.Body.Close()
		if (method == history || method == replies) && refused >= seldomRefusal && resp.Header.Get("Retry-After") != "" {
			c.seldom()
		}
		c.refused(l.api.Now(), refused)
		l.api.met(method, Refused)
		next, ok := again(r)
		if try == turnRepeats || !ok {
			return nil, &slack.RateLimitedError{RetryAfter: refused}
		}
		r = next
	}
}

// await blocks until c's turn and returns how long that was.
func (l limited) await(ctx context.Context, c *call, method string,
	room time.Duration) (waited time.Duration, err error) {
	if deadline, ok := ctx.Deadline(); ok {
		room = min(room, time.Until(deadline)-turnSpare)
	}
	for {
		wait, ok := c.take(l.api.Now(), room-waited)
		if !ok {
			l.api.met(method, TurnedAway)
			return 0, &slack.RateLimitedError{RetryAfter: wait}
		}
		if wait == 0 {
			return waited, nil
		}
		if waited == 0 {
			l.api.met(method, Waited)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			waited += wait // and look again: Slack may have refused somebody meanwhile
		case <-ctx.Done():
			timer.Stop()
			c.giveBack()
			return 0, ctx.Err()
		}
	}
}

// errNoWord is an answer that is neither ok nor an error. slack-go takes it for success.
var errNoWord = errors.New("the answer says neither ok nor an error")

// verdictOf returns for how long Slack refuses more calls like the one that resp answers; 0 when it does not. The body
// of such an answer can still be read. errNoWord.
func verdictOf(resp *http.Response) (time.Duration, error) {
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return refusedFor(resp), nil
	case http.StatusOK:
	default:
		return 0, nil
	}

	code, err := errorOf(resp)
	if code == "ratelimited" || code == "rate_limited" {
		return refusedFor(resp), nil
	}
	return 0, err
}

// CodeOf is Slack's word for what is wrong with a call, in its answer: "" for nothing. The body of that can still be
// read.
func CodeOf(resp *http.Response) string {
	if resp.StatusCode != http.StatusOK {
		return ""
	}
	code, _ := errorOf(resp)
	return code
}

// errorOf is CodeOf of an answer with status 200. errNoWord.
func errorOf(resp *http.Response) (code string, err error) {
	p := &peeked{ReadCloser: resp.Body}
	n, _ := io.ReadFull(resp.Body, p.space[:])
	p.head, resp.Body = p.space[:n], p
	if saysOK.Match(p.head) {
		return "", nil // what it is, as a rule
	}

	body, err := io.ReadAll(p)
	_ = p.Close()
	if err != nil {
		return "", err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var verdict struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
	}
	switch err := json.Unmarshal(body, &verdict); {
	case err != nil || verdict.OK: // what is no JSON is slack-go's to refuse
		return "", nil
	case strings.TrimSpace(verdict.Error) == "":
		return "", errNoWord
	}
	return verdict.Error, nil
}

// saysOK matches the beginning of nearly all answers, so that those need not be read twice.
var saysOK = regexp.MustCompile(`^\s*\{\s*"ok"\s*:\s*true\s*[,}]`)

// refusedFor is for how long, by the answer's Retry-After.
func refusedFor(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return refusalUnsaid
	}
	return min(time.Duration(max(min(seconds, 1<<30), 1))*time.Second, connection.LongestWait)
}

// peeked is a body whose head was read ahead.
type peeked struct {
	io.ReadCloser
	head  []byte
	space [256]byte
}

func (p *peeked) Read(b []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	return p.ReadCloser.Read(b)
}
