package bottest

// What people do. Each act ends when Slack has the app's acknowledgement; what comes of it is looked for by Posted,
// Reads and the like.

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

// Actor is a person who acts. Channels go by their names ("#general") or ids; "" is the direct message with the app.
type Actor struct {
	Person
	s *Suite
	// thread is where they write: see InThread.
	thread string
}

// As returns p, to act.
func (s *Suite) As(p Person) *Actor { return &Actor{Person: p, s: s} }

// InThread returns the same person, who writes in the thread below a message.
func (a *Actor) InThread(ts string) *Actor {
	in := *a
	in.thread = ts
	return &in
}

func (a *Actor) place(channel string) string {
	a.s.t.Helper()
	if channel == "" {
		return a.s.Sim.DM(a.ID)
	}
	return a.s.channel(a.Team, channel)
}

func (a *Actor) ctx() context.Context { return a.s.t.Context() }

// Say writes a message, and returns its ts.
func (a *Actor) Say(channel, text string) (ts string) {
	a.s.t.Helper()
	write := func() (string, error) { return a.s.Sim.Say(a.ctx(), a.ID, a.place(channel), text) }
	if a.thread != "" {
		write = func() (string, error) { return a.s.Sim.Reply(a.ctx(), a.ID, a.place(channel), a.thread, text) }
	}
	return must[string](a.s.t, "say")(write())
}

// BotSays writes a message as another app's bot in a channel of Acme Corp, and returns its ts.
func (s *Suite) BotSays(channel, text string) (ts string) {
	s.t.Helper()
	other := slacksim.OtherBot{Name: "Deployer", UserID: "U0DEPLOYER"}
	return must[string](s.t, "say as a bot")(s.Sim.People.PostAs(s.t.Context(), other, s.Channel(channel), "", text))
}

// DM writes to the app in a direct message.
func (a *Actor) DM(text string) (ts string) {
	a.s.t.Helper()
	return a.Say("", text)
}

// Mention writes a message that begins with a mention of the app.
func (a *Actor) Mention(channel, text string) (ts string) {
	a.s.t.Helper()
	in, _ := a.s.Sim.Installed(a.s.teamOf(a.place(channel)))
	return a.Say(channel, strings.TrimSpace("<@"+in.BotUserID+"> "+text))
}

// teamOf is the workspace that a channel is in.
func (s *Suite) teamOf(channel string) string {
	c, _ := s.Sim.Directory.Channel(channel)
	return c.TeamID
}

// Edit changes the text of one of their messages.
func (a *Actor) Edit(channel, ts, text string) {
	a.s.t.Helper()
	a.check("edit", a.s.Sim.People.Edit(a.ctx(), a.ID, a.place(channel), ts, text))
}

// Delete takes back one of their messages.
func (a *Actor) Delete(channel, ts string) {
	a.s.t.Helper()
	a.check("delete", a.s.Sim.People.Delete(a.ctx(), a.ID, a.place(channel), ts))
}

// Command types a slash command in a channel, as in Command("#general", "/coin toss").
func (a *Actor) Command(channel, line string) {
	a.s.t.Helper()
	must[slacksim.CommandReply](a.s.t, line)(a.s.Sim.Command(a.ctx(), a.ID, a.place(channel), line))
}

// Press presses a button of the app's that the person sees, by its action_id: in the window that is open, else in the
// newest message of the channel that has it. value is what is chosen in a menu instead.
func (a *Actor) Press(channel, actionID string, value ...string) {
	a.s.t.Helper()
	if v, open := a.open(); open && has(v.Blocks, actionID) {
		f := slacksim.Form{ActionID: actionID, Value: value}
		must[slacksim.Ack](a.s.t, "press "+actionID)(a.s.Sim.Forms.PressInView(a.ctx(), a.ID, v.ID, f))
		return
	}

	m := a.withAction(channel, actionID)
	must[slacksim.Ack](a.s.t, "press "+actionID)(
		a.s.Sim.Press(a.ctx(), a.ID, a.place(channel), m.TS, actionID, value...))
}

// Select chooses in a menu of the app's, or ticks boxes, where Press would look for a button.
func (a *Actor) Select(channel, actionID string, values ...string) {
	a.s.t.Helper()
	a.Press(channel, actionID, values...)
}

// PressHome presses a button in the Home tab.
func (a *Actor) PressHome(actionID string, value ...string) {
	a.s.t.Helper()
	must[slacksim.Ack](a.s.t, "press "+actionID)(a.s.Sim.PressHome(a.ctx(), a.ID, actionID, value...))
}

// withAction waits for the newest message with an element of this action_id.
func (a *Actor) withAction(channel, actionID string) (found slacksim.Message) {
	a.s.t.Helper()
	place := a.place(channel)
	a.s.await(func() bool {
		for _, m := range slices.Backward(a.s.Sim.Messages(place, a.ID)) {
			if !m.Deleted && has(m.Blocks, actionID) {
				found = m
				return true
			}
		}
		return false
	}, func() string { return "no message here has " + actionID + ":\n" + a.s.shown(place, a.ID) })
	return found
}

// has reports whether blocks have an element of this action_id.
func has(blocks json.RawMessage, actionID string) bool {
	id, _ := json.Marshal(actionID)
	return strings.Contains(string(blocks), `"action_id":`+string(id)) ||
		strings.Contains(string(blocks), `"action_id": `+string(id))
}

// open is the window that the person has before them.
func (a *Actor) open() (v slacksim.View, ok bool) {
	views := a.s.Sim.OpenViews(a.ID)
	if len(views) == 0 {
		return v, false
	}
	return views[len(views)-1], true
}

// Submit submits the window before them, with what they put in by block_id: a text, the values of what is chosen with a
// comma between two, "2026-12-01", "09:30", or "2026-12-01T09:30" in UTC. It waits for the window.
func (a *Actor) Submit(values map[string]string) {
	a.s.t.Helper()
	v := a.Modal().view()
	given := map[string]map[string]string{}
	for block, value := range values {
		given[block] = map[string]string{actionIn(v.Blocks, block): value}
	}
	must[slacksim.Ack](a.s.t, "submit")(a.s.Sim.SubmitView(a.ctx(), a.ID, v.ID, given))
}

// actionIn is the action_id of the input in a block.
func actionIn(blocks json.RawMessage, block string) string {
	var all []struct {
		ID      string `json:"block_id"`
		Element struct {
			ActionID string `json:"action_id"`
		} `json:"element"`
	}
	_ = json.Unmarshal(blocks, &all) // what can't be read has no input
	for _, b := range all {
		if b.ID == block {
			return b.Element.ActionID
		}
	}
	return ""
}

// Close closes the window before them.
func (a *Actor) Close() {
	a.s.t.Helper()
	v := a.Modal().view()
	must[slacksim.Ack](a.s.t, "close")(a.s.Sim.CloseView(a.ctx(), a.ID, v.ID, false))
}

// Shortcut uses a global shortcut.
func (a *Actor) Shortcut(callbackID string) {
	a.s.t.Helper()
	must[slacksim.Ack](a.s.t, "shortcut "+callbackID)(a.s.Sim.Forms.Shortcut(a.ctx(), a.ID, callbackID))
}

// MessageShortcut uses a shortcut in the menu of a message.
func (a *Actor) MessageShortcut(channel, ts, callbackID string) {
	a.s.t.Helper()
	must[slacksim.Ack](a.s.t, "shortcut "+callbackID)(
		a.s.Sim.Forms.MessageShortcut(a.ctx(), a.ID, a.place(channel), ts, callbackID))
}

// Options types into a menu that the app fills, in the window before them or in the newest message that has it, and
// returns what it offers.
func (a *Actor) Options(channel, actionID, typed string) []slacksim.Option {
	a.s.t.Helper()
	f := slacksim.Form{ActionID: actionID, Value: []string{typed}}
	if v, open := a.open(); open && has(v.Blocks, actionID) {
		return must[slacksim.Suggestions](a.s.t, "type")(a.s.Sim.Forms.SuggestInView(a.ctx(), a.ID, v.ID, f)).Options
	}
	m := a.withAction(channel, actionID)
	return must[slacksim.Suggestions](a.s.t, "type")(
		a.s.Sim.Forms.SuggestInMessage(a.ctx(), a.ID, a.place(channel), m.TS, f)).Options
}

// React puts an emoji on a message, by its name without colons.
func (a *Actor) React(channel, ts, emoji string) {
	a.s.t.Helper()
	a.check("react", a.s.Sim.People.React(a.ctx(), a.ID, a.place(channel), ts, emoji))
}

// PostLink writes a link, and returns what the app shows below it.
func (a *Actor) PostLink(channel, url string) *Place {
	a.s.t.Helper()
	place, ts := a.place(channel), a.Say(channel, url)
	return a.s.preview(place, ts, url)
}

// Function starts a workflow that consists of one step of the app's, with what the step is given.
func (a *Actor) Function(callbackID string, inputs map[string]any) *Execution {
	a.s.t.Helper()
	id := must[string](a.s.t, "run "+callbackID)(a.s.Sim.Workflows.Run(a.ctx(), a.ID, callbackID, inputs))
	return &Execution{s: a.s, id: id}
}

// OpenHome opens the app's Home tab.
func (a *Actor) OpenHome() {
	a.s.t.Helper()
	a.check("open the Home tab", a.s.Sim.OpenHome(a.ctx(), a.ID, "home"))
}

// AgentMessage writes to the app as an agent: a message of its own begins a thread, InThread goes on in one. It returns
// the message's ts.
func (a *Actor) AgentMessage(text string) (ts string) {
	a.s.t.Helper()
	return must[string](a.s.t, "write to the agent")(a.s.Sim.Agents.Write(a.ctx(), a.ID, a.thread, text))
}

// OpenAgent opens the conversation with the agent.
func (a *Actor) OpenAgent() {
	a.s.t.Helper()
	a.check("open the agent", a.s.Sim.Agents.Open(a.ctx(), a.ID))
}

// PressPrompt presses what the agent suggests to say, by its title, and returns the ts of the message that becomes of
// it. It waits for the suggestion.
func (a *Actor) PressPrompt(title string) (ts string) {
	a.s.t.Helper()
	offered := func() []slacksim.Prompt { return a.s.Sim.Agents.Prompts(a.ID).Prompts }
	a.s.await(func() bool {
		return slices.ContainsFunc(offered(), func(p slacksim.Prompt) bool { return p.Title == title })
	}, func() string { return fmt.Sprintf("%q is not suggested, but %v", title, offered()) })
	return must[string](a.s.t, "press "+title)(a.s.Sim.Agents.PressPrompt(a.ctx(), a.ID, title))
}

// LookAt has them open a channel beside the conversation with the agent.
func (a *Actor) LookAt(channel string) {
	a.s.t.Helper()
	seen := slacksim.Entity{Type: slacksim.EntityChannel, Value: a.place(channel), TeamID: a.Team}
	a.check("look at "+channel, a.s.Sim.Agents.ChangeContext(a.ctx(), a.ID, seen))
}

// Rename gives a thread with the agent another title.
func (a *Actor) Rename(thread, title string) {
	a.s.t.Helper()
	a.check("rename", a.s.Sim.Agents.Rename(a.ctx(), a.ID, a.s.Sim.DM(a.ID), thread, title))
}

// Stop presses the stop button of a thread with the agent, a second later: a press is meant for what began before it.
func (a *Actor) Stop(thread string) {
	a.s.t.Helper()
	a.s.Advance(time.Second)
	a.check("stop", a.s.Sim.Agents.Stop(a.ctx(), a.ID, a.s.Sim.DM(a.ID), cmp.Or(thread, a.thread)))
}

// Feedback presses a thumb below the agent's newest answer that has them. It waits for one.
func (a *Actor) Feedback(good bool) {
	a.s.t.Helper()
	dm, ts := a.s.Sim.DM(a.ID), ""
	a.s.await(func() bool {
		for _, m := range a.s.Sim.Messages(dm, a.ID) {
			if strings.Contains(string(m.Blocks), "feedback_buttons") {
				ts = m.TS
			}
		}
		return ts != ""
	}, func() string { return "no answer has feedback buttons:\n" + a.s.shown(dm, a.ID) })
	must[slacksim.Ack](a.s.t, "give feedback")(a.s.Sim.Agents.Feedback(a.ctx(), a.ID, dm, ts, good))
}

func (a *Actor) check(doing string, err error) {
	a.s.t.Helper()
	if err != nil {
		a.s.t.Fatalf("%s: %v", doing, err)
	}
}
