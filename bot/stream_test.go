package bot_test

// Answers that are written bit by bit, by a clock that the tests move, in processes that end at any moment.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// streamLease is how long the events of a process that died lie, by the clock of the test.
const streamLease = 20 * time.Second

// studio is an agent in a small Slack, with a clock that stands still until it is moved.
type studio struct {
	scene
	t        testing.TB
	clock    *slacksim.ManualClock
	handlers []bot.Handler
	now      *process
	booted   int // how many processes there were
}

// process is a program that runs the agent, and can end between any two things that it does to the outside: a call to
// Slack, or a word to the database.
type process struct {
	bot.Inbox
	ctx  context.Context
	end  context.CancelFunc
	over chan struct{}
	err  error // how Run ended

	mu    sync.Mutex
	did   int
	dies  int  // at so many; 0: never
	after bool // once that is done, and before it knows
}

// errDead is all that a dead process hears.
var errDead = fmt.Errorf("the process is dead: %w", bot.ErrLost)

// act does something to the outside, unless the process is dead, or dies of it.
func (p *process) act(do func() error) error {
	p.mu.Lock()
	if p.ctx.Err() != nil {
		p.mu.Unlock()
		return errDead
	}
	p.did++
	dies, after := p.did == p.dies, p.after
	if dies && !after {
		p.end()
	}
	p.mu.Unlock()

	if dies && !after {
		return errDead
	}
	err := do()
	if dies {
		p.end()
		return errDead
	}
	return err
}

// ended waits until nothing of the process is left.
func (p *process) ended(t testing.TB) {
	t.Helper()
	if <-p.over; p.err != nil {
		t.Error(p.err)
	}
}

// alive does what counts for nothing, unless the process is dead.
func (p *process) alive(do func() error) error {
	if p.ctx.Err() != nil {
		return bot.ErrLost
	}
	return do()
}

func (p *process) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	err = p.act(func() (err error) {
		resp, err = http.DefaultTransport.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
		return err
	})
	if err != nil && resp != nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		resp = nil
	}
	return resp, err
}

func (p *process) RecordStream(ctx context.Context, e bot.Delivery, state []byte) error {
	return p.act(func() error { return p.Inbox.RecordStream(context.WithoutCancel(ctx), e, state) })
}

func (p *process) RecordSaid(ctx context.Context, e bot.Delivery) error {
	return p.act(func() error { return p.Inbox.RecordSaid(ctx, e) })
}

func (p *process) Done(ctx context.Context, e bot.Delivery) error {
	return p.act(func() error { return p.Inbox.Done(ctx, e) })
}

func (p *process) Retry(ctx context.Context, e bot.Delivery, at time.Time, counts bool, why string) error {
	return p.alive(func() error { return p.Inbox.Retry(ctx, e, at, counts, why) })
}

func (p *process) DeadLetter(ctx context.Context, e bot.Delivery, why string) error {
	return p.alive(func() error { return p.Inbox.DeadLetter(ctx, e, why) })
}

func (p *process) Outlived(ctx context.Context, e bot.Delivery) error {
	if p.ctx.Err() != nil {
		return nil
	}
	return p.Inbox.Outlived(ctx, e)
}

func (p *process) Claim(ctx context.Context, n, timers int, busy []connection.Key) (claimed []bot.Delivery, err error) {
	err = p.alive(func() (err error) { claimed, err = p.Inbox.Claim(ctx, n, timers, busy); return err })
	return claimed, err
}

func (p *process) ClaimSuspects(ctx context.Context, n int, often bool) (claimed []bot.Delivery, err error) {
	err = p.alive(func() (err error) { claimed, err = p.Inbox.ClaimSuspects(ctx, n, often); return err })
	return claimed, err
}

func (p *process) ExtendLease(ctx context.Context, held []bot.Delivery) (lost []bot.Delivery, err error) {
	err = p.alive(func() (err error) { lost, err = p.Inbox.ExtendLease(ctx, held); return err })
	return lost, err
}

// newStudio opens one. Its agent has these handlers. The first process is up.
func newStudio(t testing.TB, database string, handlers func(s *studio) []bot.Handler) *studio {
	t.Helper()
	s := &studio{t: t, clock: slacksim.NewManualClock(time.Unix(1793611800, 0))}
	s.handlers = handlers(s)
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	if s.db, err = storage.Open(ctx, database, keys); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if s.inbox, err = s.db.Inbox(ctx, inbox.Config{Lease: streamLease, Now: s.clock.Now}); err != nil {
		t.Fatal(err)
	}
	s.inbox.Start()
	if s.kept == nil {
		s.kept = s.inbox
	}

	m, err := bot.NewManifest(bot.Profile{Name: "Parrot", Description: "Says what you say."}, s.handlers,
		"https://bot.example.com")
	if err != nil {
		t.Fatal(err)
	}
	s.sim = slacksim.New(slacksim.Config{Clock: s.clock, AckTimeout: 20 * time.Second, App: slacksim.App{ID: "A0PARROT01",
		Name: "Parrot", ClientID: "1.2", ClientSecret: "client-secret", SigningSecret: "signing-secret",
		RedirectURLs: []string{"https://bot.example.com/"}, Events: m.Settings.EventSubscriptions.BotEvents,
		MessagesTab: true, Agent: &slacksim.AgentView{Description: "An agent."}, StreamsNeedRecipient: true,
		StreamsTrimChunks: true}})
	s.sim.AddSmallWorld()
	if err := s.sim.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	s.install = s.installed(m.OAuthConfig.Scopes.Bot)
	s.boot(0, false)
	return s
}

// installed has the agent installed in Acme.
func (s *studio) installed(scopes []string) *install.Installer {
	back, err := s.sim.Authorize(ctx, s.sim.URL()+
		"/oauth/v2/authorize?client_id=1.2&state=s&redirect_uri=https://bot.example.com/slack/oauth_redirect&scope="+
		strings.Join(scopes, ","), slacksim.AcmeAdmin, slacksim.Choice{})
	if err != nil {
		s.t.Fatal(err)
	}
	code := strings.Split(strings.SplitAfter(back, "code=")[1], "&")[0]
	granted, err := slack.GetOAuthV2ResponseContext(ctx, http.DefaultClient, "1.2", "client-secret", code,
		"https://bot.example.com/slack/oauth_redirect", slack.OAuthOptionAPIURL(s.sim.URL()+"/api/"))
	if err != nil {
		s.t.Fatal(err)
	}
	c := connection.Connection{Key: connection.Key{AppID: granted.AppID, TeamID: granted.Team.ID},
		TokenPair: connection.TokenPair{Token: connection.Secret(granted.AccessToken)}, BotUserID: granted.BotUserID,
		Scopes: connection.SplitScopes(granted.Scope), State: connection.Active, InstalledAt: s.clock.Now()}
	if _, _, err := s.db.Put(ctx, c); err != nil {
		s.t.Fatal(err)
	}
	return nil
}

// boot starts a process, which dies of the so manieth thing that it does.
func (s *studio) boot(dies int, after bool) *process {
	s.t.Helper()
	p := &process{Inbox: s.kept, dies: dies, after: after, over: make(chan struct{})}
	p.ctx, p.end = context.WithCancel(context.Background())
	in, err := install.New(install.Config{App: install.App{Name: "Parrot"}, SlackURL: s.sim.URL(), Now: s.clock.Now,
		PublicURL: "https://bot.example.com", Scopes: catalogue(s.handlers), Store: s.db, HTTP: &http.Client{Transport: p}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.now = p
	s.booted++
	b, err := bot.New(bot.Config{Install: in, Handlers: s.handlers, Inbox: p,
		SigningSecrets: []connection.Secret{"signing-secret"}})
	if err != nil {
		s.t.Fatal(err)
	}
	door := httptest.NewServer(b.Handler())
	s.sim.SetApp(func(a *slacksim.App) { a.EventsURL = door.URL })
	go func() {
		p.err = b.Run(p.ctx)
		door.Close()
		close(p.over)
	}()
	return p
}

func (s *studio) close() {
	s.now.end()
	s.now.ended(s.t)
	s.inbox.Close()
	closing, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := errors.Join(s.db.Close(), s.sim.Close(closing)); err != nil {
		s.t.Error(err)
	}
	for _, breach := range s.sim.Breaches() {
		if breach.Rule == slacksim.RuleEventStatus && s.booted > 1 {
			continue // it came as a process died, and Slack sent it again
		}
		s.t.Errorf("a rule of Slack's was broken: %s %s", breach.Rule, breach.Detail)
	}
}

// onlyLetters are the letters of texts, which is what Markdown and what Slack makes of it have in common.
func onlyLetters(texts ...string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, strings.Join(texts, ""))
}

// idle waits until the inbox is empty.
func (s *studio) idle() {
	s.t.Helper()
	settling, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := s.sim.Settle(settling); err != nil {
		s.t.Fatal(err)
	}
	within(s.t, 2*time.Minute, "an empty inbox", func() bool { // an answer of ten minutes can be under way
		n, err := s.kept.Count(ctx)
		if err != nil || n.Dead > 0 {
			s.t.Fatal(n, err)
		}
		return n.Ready+n.Held+n.Waiting == 0
	})
}

// passes moves the clock. In each minute what Slack has sent is answered before: what comes five minutes late is
// refused.
func (s *studio) passes(ctx context.Context, d time.Duration) error {
	now := s.clock.Now()
	if !now.Truncate(time.Minute).Equal(now.Add(d).Truncate(time.Minute)) {
		if err := s.sim.Settle(ctx); err != nil {
			return err
		}
	}
	s.clock.Advance(d)
	return nil
}

// jumps has the studio without leases if its clock is to be moved by d at once: none can be held in that moment.
func (s *studio) jumps(d time.Duration) {
	if d >= streamLease {
		s.kept = bot.NewMemoryInbox()
	}
}

// teller is a handler that streams what tell writes, and closes it with buttons.
func teller(tell func(ctx context.Context, s *bot.Stream) error) bot.Handler {
	return bot.OnAgentMessage("", func(ctx context.Context, t *bot.Thread) error {
		stream, err := t.Stream(ctx)
		if err == nil && !stream.Closed() {
			err = tell(ctx, stream)
		}
		if err != nil {
			return err
		}
		return stream.Close(ctx, t.FeedbackButtons())
	})
}

// What is written comes whole, whatever it is and however long it takes: in several messages where Slack's limits ask
// for it, with its code closed and opened at each seam, and the same where Slack takes no streams.
func TestStreamIsWhole(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("Some words of a long answer, which goes on and on. ", 40)
	code := "```\n" + strings.Repeat("x := first(second, third) // and so on\n", 700) + "```\nDone.\n"
	for name, test := range map[string]struct {
		pieces []string
		pause  time.Duration
		fault  slacksim.Fault
		parts  int
		beside string // for those who don't see blocks, where there is no text
	}{
		"short":           {pieces: []string{"It", " is", " **done", "**,", " and\n\n- good\n- new"}, parts: 1},
		"long":            {pieces: slices.Repeat([]string{long, "\n\n"}, 15), pause: time.Second, parts: 3},
		"all at once":     {pieces: []string{strings.Repeat(long, 15)}, parts: 3},
		"code":            {pieces: []string{code}, parts: 3},
		"one word":        {pieces: []string{strings.Repeat("ö", 25_000)}, parts: 3},
		"nothing":         {parts: 1},
		"for ten minutes": {pieces: slices.Repeat([]string{"word ", "and "}, 60), pause: 5 * time.Second, parts: 3},
		"long pauses":     {pieces: []string{"One two ", "three"}, pause: 290 * time.Second, parts: 2},
		"without streams": {pieces: slices.Repeat([]string{long, "\n\n"}, 15), pause: time.Second, parts: 3,
			fault: noStreams},
		"nothing without streams": {parts: 1, fault: noStreams,
			beside: "Open this message in Slack to see what is in it."},
		"answers get lost": {pieces: slices.Repeat([]string{"more ", "words "}, 20), pause: time.Second, parts: 1,
			fault: slacksim.Fault{Method: "chat.appendStream", DropAnswer: true, Times: 2}},
		"of the start": {pieces: slices.Repeat([]string{"more ", "words "}, 4), pause: time.Second, parts: 1,
			fault: slacksim.Fault{Method: "chat.startStream", DropAnswer: true, Times: 1}},
		"of the end": {pieces: slices.Repeat([]string{"more ", "words "}, 4), pause: time.Second, parts: 1,
			fault: slacksim.Fault{Method: "chat.stopStream", DropAnswer: true, Times: 1}},
		"Slack is away": {pieces: slices.Repeat([]string{"more ", "words "}, 4), pause: time.Second, parts: 1,
			fault: slacksim.Fault{Method: "chat.appendStream", Status: 503, Times: 2}},
		"limited": {pieces: slices.Repeat([]string{"more ", "words "}, 4), pause: time.Second, parts: 1,
			fault: slacksim.Fault{Method: "chat.appendStream", RetryAfter: 1, Times: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStudio(t, storagetest.SQLite(t), func(s *studio) []bot.Handler {
				s.jumps(test.pause)
				return []bot.Handler{teller(func(ctx context.Context, stream *bot.Stream) error {
					for _, piece := range test.pieces {
						if err := stream.Write(ctx, piece); err != nil {
							return err
						}
						if err := s.passes(ctx, test.pause); err != nil {
							return err
						}
					}
					return nil
				}), bot.OnFeedback(func(context.Context, *bot.Feedback) error { return nil })}
			})
			if test.fault.Method != "" {
				s.sim.Inject(test.fault)
			}
			root := ask(t, s.scene, "", "tell me")
			s.idle()

			got := thread(s.scene, root)
			if want := onlyLetters(append(test.pieces, test.beside)...); onlyLetters(got...) != want {
				t.Errorf("%d messages with %d letters, want %d:\n%.600s", len(got), len(onlyLetters(got...)), len(want),
					strings.Join(got, "\n—\n"))
			}
			if len(got) != test.parts || status(s.scene, root) != "active" {
				t.Errorf("%d messages, want %d; the session is %s", len(got), test.parts, status(s.scene, root))
			}
			s.buttons(root, len(test.pieces) > 0)
		})
	}
}

// buttons checks that the last message of a thread, and no other, has the buttons for feedback, and presses one.
func (s *studio) buttons(root string, pressed bool) {
	s.t.Helper()
	dm := s.sim.DM(person)
	var all []slacksim.Message
	for _, m := range s.sim.Messages(dm, person) {
		if m.BotID != "" && m.ThreadTS == root {
			all = append(all, m)
		}
	}
	for i, m := range all {
		if has := strings.Contains(string(m.Blocks), "feedback_buttons"); has != (i == len(all)-1) {
			s.t.Errorf("message %d of %d has buttons: %t", i+1, len(all), has)
		}
		if m.Streaming == "in_progress" || utf8.RuneCountInString(m.Text) > 12_500 {
			s.t.Errorf("message %d is %s, with %d characters", i+1, m.Streaming, utf8.RuneCountInString(m.Text))
		}
	}
	if !pressed || len(all) == 0 {
		return
	}
	if _, err := s.sim.Agents.Feedback(ctx, person, dm, all[len(all)-1].TS, true); err != nil {
		s.t.Error(err)
	}
}

// story is what a handler has written, as the test knows it.
type story struct {
	mu   sync.Mutex
	text string
	at   []int // how much there was before each of the last writes
}

// goesOn takes up a story where an attempt finds it. What is missing was written in the last seconds.
func (y *story) goesOn(t testing.TB, written string, seconds int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	oldest := 0
	if n := len(y.at); n > seconds {
		oldest = y.at[n-seconds]
	}
	if !strings.HasPrefix(y.text, written) || len(written) < oldest {
		t.Errorf("of %d bytes, of which %d must be there, it found %d: …%q", len(y.text), oldest, len(written),
			written[max(0, len(written)-80):])
	}
	y.text = written
	for len(y.at) > 0 && y.at[len(y.at)-1] > len(written) {
		y.at = y.at[:len(y.at)-1]
	}
}

func (y *story) write(piece string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.at = append(y.at, len(y.text))
	y.text += piece
}

// anyWords is Markdown that nobody writes twice.
func anyWords(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(8) {
		word := make([]rune, 1+r.IntN(9))
		for i := range word {
			word[i] = []rune("abcdefghijklmnopqrstuvwxyzäßé0123456789")[r.IntN(39)]
		}
		s := string(word)
		switch r.IntN(12) {
		case 0:
			s = "**" + s + "**"
		case 1:
			s = "`" + s + "`"
		case 2:
			s = "\n\n- " + s
		case 3:
			s += ".\n\n"
		}
		b.WriteString(s)
		b.WriteString([]string{" ", " ", " ", ", ", "\n", ""}[r.IntN(6)])
	}
	return b.String()
}

// An answer of ten minutes, of words that nobody chose, written by a process that is killed three times: anywhere, also
// between Slack's answer and our record of it. The thread has one whole text.
func TestStreamSurvivesItsProcess(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{
		"sqlite": storagetest.SQLite, "postgres": storagetest.Postgres,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range storagetest.Rounds(1, 8) {
				seed := rand.Uint64()
				t.Run(fmt.Sprint(seed), func(t *testing.T) { surviving(t, database(t), seed) })
			}
		})
	}
}

func surviving(t *testing.T, database string, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	var y story
	var until time.Time
	s := newStudio(t, database, func(s *studio) []bot.Handler {
		until = s.clock.Now().Add(10 * time.Minute)
		return []bot.Handler{bot.OnAgentMessage("", func(ctx context.Context, thread *bot.Thread) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(s.now.ctx, cancel)()
			stream, err := thread.Stream(ctx)
			if err != nil {
				return err
			}
			y.goesOn(t, stream.Written(), 3)
			for !stream.Closed() && s.clock.Now().Before(until) {
				piece := anyWords(r)
				y.write(piece)
				if err := stream.Write(ctx, piece); err != nil {
					return err
				}
				if err := s.passes(ctx, time.Second); err != nil {
					return err
				}
			}
			return stream.Close(ctx, thread.FeedbackButtons())
		}), bot.OnFeedback(func(context.Context, *bot.Feedback) error { return nil })}
	})
	s.now.mu.Lock()
	s.now.dies, s.now.after = s.now.did+5+r.IntN(400), r.IntN(2) == 0
	s.now.mu.Unlock()
	root := ask(t, s.scene, "", "tell me a story")

	for kill := range 3 {
		select {
		case <-s.now.ctx.Done():
		case <-time.After(time.Minute):
			t.Fatal("nobody died")
		}
		s.now.ended(t)
		s.clock.Advance(streamLease + time.Second)
		dies := 5 + r.IntN(300)
		if kill == 2 {
			dies = 0
		}
		s.boot(dies, r.IntN(2) == 0)
	}
	s.idle()

	got := thread(s.scene, root)
	want, have := onlyLetters(y.text), onlyLetters(got...)
	if have != want {
		at := 0
		for at < min(len(want), len(have)) && want[at] == have[at] {
			at++
		}
		t.Errorf("the thread has %d letters, want %d; they differ from %d on:\n%.80s\n%.80s", len(have), len(want), at,
			have[max(0, at-20):], want[max(0, at-20):])
	}
	if status(s.scene, root) != "active" {
		t.Errorf("the session is %s", status(s.scene, root))
	}
	s.buttons(root, true)
	t.Logf("%d messages, %d letters", len(got), len(have))
}

// Others write while the handler closes the stream: what was taken is in the thread, and the rest was refused.
func TestWritersMeetTheClose(t *testing.T) {
	t.Parallel()
	var taken atomic.Int32
	s := newStudio(t, storagetest.SQLite(t), func(*studio) []bot.Handler {
		return []bot.Handler{bot.OnAgentMessage("", func(ctx context.Context, th *bot.Thread) error {
			answer, err := th.Stream(ctx)
			if err != nil {
				return err
			}

			var writers sync.WaitGroup
			for range 8 {
				writers.Go(func() {
					for answer.Write(ctx, "x") == nil {
						taken.Add(1)
					}
				})
			}
			for taken.Load() < 100 {
				runtime.Gosched()
			}
			err = answer.Close(ctx)
			writers.Wait()
			return err
		})}
	})
	root := ask(t, s.scene, "", "write")
	s.idle()
	if got := len(onlyLetters(thread(s.scene, root)...)); got != int(taken.Load()) {
		t.Errorf("%d letters are in the thread, of %d that were taken", got, taken.Load())
	}
}
