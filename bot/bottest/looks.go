package bottest

// What is there to be read.

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/slacksim"
)

// Place is what a person, or everybody, reads in one place.
type Place struct {
	s       *Suite
	what    string
	key     string
	lines   func() []line           // all that was written there by the app, oldest first
	newest  func() slacksim.Message // nil: these are no messages
	current func() slacksim.View
}

// line is what a message says, or a window.
type line struct {
	ts   string // of a message
	says string
}

// Posted is what the app wrote in a channel of Acme Corp for everybody there.
func (s *Suite) Posted(channel string) *Place {
	s.t.Helper()
	return s.written(s.channel(slacksim.Acme, channel), "", "posted in "+channel)
}

// Reads is what the app wrote that the person reads in a channel, also what they alone see; "": in the direct message.
func (a *Actor) Reads(channel string) *Place {
	a.s.t.Helper()
	return a.s.written(a.place(channel), a.ID, "read by "+a.ID+" in "+channel)
}

// written is what the app wrote in a conversation; viewer "" reads what everybody does.
func (s *Suite) written(place, viewer, what string) *Place {
	messages := func() (all []slacksim.Message) {
		in, _ := s.Sim.Installed(s.teamOf(place))
		for _, m := range s.Sim.Messages(place, viewer) {
			private := m.Ephemeral && viewer == "" // the small Slack shows nobody in particular everything
			ours := in.BotUserID == "" || m.User == in.BotUserID || m.Ephemeral
			if m.BotID != "" && m.AppID == "" && !m.Deleted && !private && ours {
				all = append(all, m)
			}
		}
		return all
	}
	return &Place{
		s: s, what: what, key: place + " " + viewer,
		lines: func() (lines []line) {
			for _, m := range messages() {
				lines = append(lines, line{ts: m.TS, says: m.Text + "\n" + wordsOf(m.Blocks)})
			}
			return lines
		},
		newest: func() slacksim.Message {
			all := messages()
			if len(all) == 0 {
				return slacksim.Message{}
			}
			return all[len(all)-1]
		},
	}
}

// Modal is the window before the person.
func (a *Actor) Modal() *Place {
	return a.s.shownView("the window of "+a.ID, a.open)
}

// Home is the person's Home tab.
func (a *Actor) Home() *Place {
	return a.s.shownView("the Home tab of "+a.ID, func() (slacksim.View, bool) { return a.s.Sim.Home(a.ID) })
}

// preview is what the app shows for a link in a message.
func (s *Suite) preview(place, ts, url string) *Place {
	what := "shown below " + url
	return &Place{s: s, what: what, key: what + " " + ts, lines: func() (lines []line) {
		for _, m := range s.Sim.Messages(place, "") {
			if shown, ok := m.Unfurls[url]; ok && m.TS == ts {
				lines = append(lines, line{says: shown.Title + "\n" + wordsOf(shown.Blocks)})
			}
		}
		return lines
	}}
}

// Execution is a step of a workflow that was started.
type Execution struct {
	s  *Suite
	id string
}

// Ended waits until the app has said what came of the step, and returns that: its Outputs or its Error.
func (x *Execution) Ended() (ended slacksim.Execution) {
	x.s.t.Helper()
	x.s.await(func() bool {
		ended, _ = x.s.Sim.Workflows.Execution(x.id)
		return ended.State != slacksim.ExecutionRunning
	}, func() string { return "the step " + ended.CallbackID + " was neither completed nor failed" })
	return ended
}

func (s *Suite) shownView(what string, view func() (slacksim.View, bool)) *Place {
	return &Place{
		s: s, what: what, key: what,
		current: func() slacksim.View { v, _ := view(); return v },
		lines: func() []line {
			v, ok := view()
			if !ok {
				return nil
			}
			said := v.Title + "\n" + wordsOf(v.Blocks)
			for block, wrong := range v.Errors {
				said += "\n" + block + ": " + wrong
			}
			return []line{{says: said}}
		},
	}
}

// view waits until there is one.
func (p *Place) view() slacksim.View {
	p.s.t.Helper()
	p.s.await(func() bool { return p.current().ID != "" }, func() string { return "there is no " + p.what })
	return p.current()
}

// Want waits until something there says all of this, in its text or its blocks; an ellipsis (…) in it stands for
// anything. In messages it looks behind what an earlier Want of the same place has found. It returns the place, so that
// more can be wanted of it.
func (p *Place) Want(says string) *Place {
	p.s.t.Helper()
	pattern := wanted(says)
	p.s.await(func() bool {
		for _, l := range p.unseen() {
			if pattern.MatchString(l.says) {
				p.s.seen[p.key] = l.ts
				return true
			}
		}
		return false
	}, func() string { return fmt.Sprintf("%q was not %s. There is:\n%s", says, p.what, joined(p.lines())) })
	return p
}

// unseen is what is there behind what a Want has found. What is no message is always all there.
func (p *Place) unseen() []line {
	return slices.DeleteFunc(p.lines(), func(l line) bool { return p.newest != nil && l.ts <= p.s.seen[p.key] })
}

// joined is what lines say, for the word of a failed test.
func joined(lines []line) string {
	var says []string
	for _, l := range lines {
		says = append(says, l.says)
	}
	return strings.Join(says, "\n---\n")
}

// Shows waits until the newest message there says all of this, also where that is what it was changed to.
func (p *Place) Shows(says string) *Place {
	p.s.t.Helper()
	pattern := wanted(says)
	p.s.await(func() bool {
		all := p.lines()
		return len(all) > 0 && pattern.MatchString(all[len(all)-1].says)
	}, func() string {
		return fmt.Sprintf("%q is not what is %s last. There is:\n%s", says, p.what, joined(p.lines()))
	})
	return p
}

// wanted is a pattern of what is wanted.
func wanted(says string) *regexp.Regexp {
	return regexp.MustCompile("(?s)" + strings.ReplaceAll(regexp.QuoteMeta(says), "…", ".*"))
}

// Newest is the newest message there, for what Want has no word for.
func (p *Place) Newest() slacksim.Message {
	if p.newest == nil {
		return slacksim.Message{}
	}
	return p.newest()
}

// Nothing fails the test if anything was written there that no Want has found, once all that Slack sent is worked, and
// every timer that is due. What failed and waits for its next attempt it doesn't wait for.
func (p *Place) Nothing() {
	p.s.t.Helper()
	if err := p.s.settle(); err != nil {
		p.s.t.Fatalf("the app is not done: %v", err)
	}
	if left := p.unseen(); len(left) > 0 {
		p.s.t.Fatalf("%s, unexpectedly: %s", p.what, joined(left))
	}
}

// shown is a conversation as a person sees it, for the word of a failed test.
func (s *Suite) shown(place, viewer string) string {
	var lines []string
	for _, m := range s.Sim.Messages(place, viewer) {
		lines = append(lines, m.User+": "+m.Text)
	}
	return strings.Join(lines, "\n")
}

// wordsOf are all texts in blocks, in their order.
func wordsOf(blocks json.RawMessage) string {
	var all any
	if len(blocks) == 0 || json.Unmarshal(blocks, &all) != nil {
		return ""
	}
	var texts []string
	collect(all, &texts)
	return strings.Join(texts, "\n")
}

// collect finds the texts in a part of blocks.
func collect(part any, texts *[]string) {
	switch p := part.(type) {
	case []any:
		for _, e := range p {
			collect(e, texts)
		}
	case map[string]any:
		keys := make([]string, 0, len(p))
		for k := range p {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			if text, ok := p[k].(string); ok && k == "text" {
				*texts = append(*texts, text)
				continue
			}
			collect(p[k], texts)
		}
	}
}
