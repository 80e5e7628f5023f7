package bot_test

// The app as an agent, in a small Slack: who hears what, how its sessions look, and what a person does meanwhile.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

const person = slacksim.AcmeMember

// ask has the person write to the agent.
func ask(t testing.TB, s scene, thread, text string) (ts string) {
	t.Helper()
	ts, err := s.sim.Agents.Write(ctx, person, thread, text)
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// status is how a thread's session is shown.
func status(s scene, thread string) string {
	session, _ := s.sim.Agents.Session(s.sim.DM(person), thread)
	return session.Status
}

// thread is what the app has written in a thread, in order.
func thread(s scene, root string) (texts []string) {
	for _, m := range s.sim.Messages(s.sim.DM(person), person) {
		if m.BotID != "" && m.ThreadTS == root {
			texts = append(texts, shown(m))
		}
	}
	return texts
}

// shown is the text of a message, which is in a block where that is Markdown.
func shown(m slacksim.Message) string {
	var blocks []struct {
		Type string
		Text any
	}
	_ = json.Unmarshal(m.Blocks, &blocks)
	for _, b := range blocks {
		if md, ok := b.Text.(string); ok && b.Type == "markdown" {
			return md
		}
	}
	return m.Text
}

// heard is a list that handlers write to.
type heard struct {
	mu   sync.Mutex
	list []string
}

func (h *heard) add(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, fmt.Sprintf(format, args...))
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.list)
}

// What happens in an agent's conversation reaches exactly the handler that is for it, and nobody else.
func TestAgentHearsWhatIsForIt(t *testing.T) {
	t.Parallel()
	var h heard
	note := func(what string) func(context.Context, *bot.Thread) error {
		return func(ctx context.Context, t *bot.Thread) error {
			h.add("%s by %s in %t: %s%s %d", what, t.UserID, t.ThreadTS == t.TS, t.Text, t.NewTitle, len(t.Context))
			return nil
		}
	}
	s := play(t,
		bot.OnEvent("app_home_opened", func(_ context.Context, e *bot.Event[slackevents.AppHomeOpenedEvent]) error {
			h.add("home: %s", e.Payload.Tab)
			return nil
		}),
		bot.OnAgentOpened(func(ctx context.Context, t *bot.Thread) error {
			h.add("opened")
			return t.Suggest(ctx, "Ask me", bot.Prompt{Title: "News", Message: "What is new?"})
		}),
		bot.OnAgentMessage(`^hello`, func(ctx context.Context, t *bot.Thread) error {
			if err := t.Title(ctx, "Greetings"); err != nil {
				return err
			}
			_, err := t.Say(ctx, bot.Text("Hey!"))
			return err
		}),
		bot.OnMessage("rest", func(ctx context.Context, m *bot.Message) error {
			h.add("message: %s", m.Text)
			return nil
		}, bot.Scopes("im:history")),
		bot.OnAgentMessage("", note("message")), bot.OnAgentContext(note("context")), bot.OnAgentTitle(note("title")),
		bot.OnFeedback(func(ctx context.Context, f *bot.Feedback) error { h.add("good: %t", f.Good); return nil }))

	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		s.settle(t)
	}
	dm := s.sim.DM(person)
	step(s.sim.OpenHome(ctx, person, "home"))
	step(s.sim.Agents.Open(ctx, person))
	if p := s.sim.Agents.Prompts(person); p.Title != "Ask me" || len(p.Prompts) != 1 {
		t.Errorf("suggested: %v", p)
	}
	step(s.sim.Agents.ChangeContext(ctx, person,
		slacksim.Entity{Type: slacksim.EntityChannel, Value: slacksim.AcmeGeneral}))
	root := ask(t, s, "", "hello there")
	s.settle(t)
	if got := thread(s, root); !slices.Equal(got, []string{"Hey!"}) || status(s, root) != "active" {
		t.Errorf("answered %q, and the session is %s", got, status(s, root))
	}
	if session, _ := s.sim.Agents.Session(dm, root); session.Title != "Greetings" {
		t.Errorf("the title is %q", session.Title)
	}
	step(s.sim.Agents.Rename(ctx, person, dm, root, "Mine"))
	ask(t, s, "", "take a rest")
	s.settle(t)
	ask(t, s, "", "anything else")
	s.settle(t)

	by := " by " + person + " in "
	want := []string{"home: home", "opened", "context" + by + "true:  1", "title" + by + "false: Mine 0",
		"message: take a rest", "message" + by + "true: anything else 1"}
	if got := h.all(); !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// A press of stop ends the handler's context within a second, also when it arrives at another process; the session is
// active, and the thread says so. The next message is answered: the press was before it.
func TestStopEndsTheWork(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	handlers := []bot.Handler{bot.OnAgentMessage("^long", func(ctx context.Context, t *bot.Thread) error {
		stream, err := t.Stream(ctx)
		if err != nil {
			return err
		}
		if err := stream.Write(ctx, "So far so good. "); err != nil {
			return err
		}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		if !bot.Stopped(ctx) {
			ended <- fmt.Errorf("not told that it was stopped")
		}
		return ctx.Err()
	}), bot.OnAgentMessage("", func(ctx context.Context, t *bot.Thread) error {
		_, err := t.Say(ctx, bot.Text("Quick."))
		return err
	})}
	s := play(t, handlers...)

	// The press arrives at a process that works nothing.
	other, err := bot.New(bot.Config{Install: s.install, Inbox: s.inbox, Workers: -1, Handlers: handlers,
		SigningSecrets: []connection.Secret{"signing-secret"}})
	if err != nil {
		t.Fatal(err)
	}
	door := httptest.NewServer(other.Handler())
	defer door.Close()

	root, dm := ask(t, s, "", "long work"), s.sim.DM(person)
	wait(t, s.sim, "the beginning", func() bool { return len(thread(s, root)) == 1 && status(s, root) == "processing" })
	s.sim.SetApp(func(a *slacksim.App) { a.EventsURL = door.URL })
	pressed := time.Now()
	if err := s.sim.Agents.Stop(ctx, person, dm, root); err != nil {
		t.Fatal(err)
	}
	receive(t, ended, "the end of the handler's context")
	if took := time.Since(pressed); took > time.Second {
		t.Errorf("the context ended after %v", took)
	}
	wait(t, s.sim, "the session", func() bool { return status(s, root) == "active" })
	wait(t, s.sim, "the word", func() bool { return slices.Contains(thread(s, root), "Stopped.") })

	ask(t, s, root, "and now?")
	wait(t, s.sim, "the next answer", func() bool { return slices.Contains(thread(s, root), "Quick.") })
	s.settle(t)
	if got := thread(s, root); len(got) != 3 || !strings.HasPrefix(got[0], "So far so") {
		t.Errorf("the thread has %q", got)
	}
}

// What a second message in a thread does to the first is as the handler says, wherever events lie and however they
// come. With Join an attempt that fails has done none of it: the next one is handed the second message again.
func TestSecondMessage(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"sqlite", "postgres", "memory", "sqlite socket", "memory socket"} {
		for name, test := range map[string]struct {
			busy  bot.Busy
			fails int // so many attempts
			want  []string
		}{
			"wait":   {bot.Wait, 0, []string{"begin 1", "end 1", "begin 2", "end 2"}},
			"cancel": {bot.Cancel, 0, []string{"begin 1", "cancelled 1", "begin 2", "end 2"}},
			"join":   {bot.Join, 0, []string{"begin 1", "joined 2", "end 1", "begin 3", "end 3"}},
			"join again": {bot.Join, 1, []string{"begin 1", "joined 2", "begin 1", "joined 2", "end 1", "begin 3",
				"end 3"}},
		} {
			t.Run(where+" "+name, func(t *testing.T) {
				t.Parallel()
				secondMessage(t, where, test.busy, test.fails, test.want)
			})
		}
	}
}

// playIn is play with events that lie, and come, where it says.
func playIn(t *testing.T, where string, handlers ...bot.Handler) scene {
	t.Helper()
	database, socket := storagetest.SQLite(t), strings.HasSuffix(where, "socket")
	if where == "postgres" {
		database = storagetest.Postgres(t)
	}
	s := playWith(t, database, func(c *bot.Config) {
		if strings.HasPrefix(where, "memory") {
			c.Inbox = bot.NewMemoryInbox()
		}
		if socket {
			c.AppToken = "xapp-1-A0PARROT01-1"
		}
	}, handlers...)
	if socket {
		s.overSockets(t)
	}
	return s
}

func secondMessage(t *testing.T, where string, busy bot.Busy, fails int, want []string) {
	var h heard
	goOn := make(chan struct{})
	s := playIn(t, where, bot.OnAgentMessage(`^(\d)$`, func(ctx context.Context, t *bot.Thread) error {
		h.add("begin %s", t.Text)
		if t.Text == "1" {
			if _, err := t.Say(ctx, bot.Text("One.")); err != nil {
				return err
			}
			if busy == bot.Join {
				select {
				case m := <-t.Joined():
					h.add("joined %s", m.Text)
				case <-ctx.Done():
					return ctx.Err()
				}
				if t.Attempt <= fails {
					return errors.New("not yet")
				}
				if _, err := t.Say(ctx, bot.Text("Two.")); err != nil {
					return err
				}
			}
			select {
			case <-goOn:
			case <-ctx.Done():
				h.add("cancelled 1")
				return ctx.Err()
			}
		}
		h.add("end %s", t.Text)
		return nil
	}, bot.WhileBusy(busy)))

	root := ask(t, s, "", "1")
	wait(t, s.sim, "the first", func() bool { return len(thread(s, root)) == 1 })
	ask(t, s, root, "2")
	if busy == bot.Join { // the third one comes too late
		wait(t, s.sim, "the second", func() bool { return len(thread(s, root)) == 2 })
		ask(t, s, root, "3")
	}
	if busy != bot.Cancel {
		if err := s.sim.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		close(goOn)
	}
	until(t, "all that there is to hear", func() bool { return len(h.all()) >= len(want) })
	s.settle(t)
	if got := h.all(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// The manifest makes the app an agent, with what Slack asks for, and start checks refuse what would never run.
func TestManifestOfAgent(t *testing.T) {
	t.Parallel()
	run := func(context.Context, *bot.Thread) error { return nil }
	agent := bot.OnAgentMessage("", run)
	profile := bot.Profile{Name: "Parrot", Description: "Says what you say."}
	m, err := bot.NewManifest(profile, []bot.Handler{agent, bot.OnAgentOpened(run)}, "https://bot.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if v := m.Features.AgentView; v == nil || v.Description != profile.Description {
		t.Errorf("agent_view: %v", v)
	}
	if got := m.OAuthConfig.Scopes.Bot; !slices.Equal(got, []string{"assistant:write", "chat:write", "im:history"}) {
		t.Errorf("scopes: %q", got)
	}
	for _, event := range []string{"app_home_opened", "message.im", "agent_session_stopped"} {
		if !slices.Contains(m.Settings.EventSubscriptions.BotEvents, event) {
			t.Errorf("%s is not subscribed to", event)
		}
	}
	plain, err := bot.NewManifest(profile, []bot.Handler{mentions}, "https://bot.example.com")
	if err != nil || plain.Features.AgentView != nil {
		t.Errorf("an app that is no agent: %v %v", plain.Features.AgentView, err)
	}

	five := slices.Repeat([]bot.Prompt{{Title: "a", Message: "b"}}, 5)
	for want, agent := range map[string]bot.AgentView{
		"300": {Description: strings.Repeat("x", 301)}, "5 suggested": {Prompts: five},
		"a title and": {Prompts: []bot.Prompt{{Title: "a"}}},
	} {
		profile.Agent = agent
		_, err := bot.NewManifest(profile, []bot.Handler{bot.OnAgentMessage("", run)}, "https://bot.example.com")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}

	s := play(t, agent)
	for want, handlers := range map[string][]bot.Handler{
		"gets every such event": {bot.OnAgentStopped(run),
			bot.OnEvent("agent_session_stopped", func(context.Context, *bot.Event[struct{}]) error { return nil })},
		"takes every text":   {bot.OnAgentMessage(`.*`, run), bot.OnAgentMessage("^a", run)},
		"WhileBusy does":     {bot.OnMention("", nil, bot.WhileBusy(bot.Cancel))},
		"two handlers":       {bot.OnAgentOpened(run), bot.OnAgentOpened(run)},
		"Ordered does":       {bot.OnAgentMessage("", run, bot.Ordered())},
		"Edits does nothing": {bot.OnAgentMessage("", run, bot.Edits())},
	} {
		_, err := bot.New(bot.Config{Install: s.install, Handlers: handlers,
			SigningSecrets: []connection.Secret{"signing-secret"}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
