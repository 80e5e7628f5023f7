package bot_test

// Replies as people see them: of Markdown and of blocks, long ones in several messages, and with what goes with them.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/slacksim"
)

const report = "# Report\n\n- [x] ship it\n- [ ] sleep\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nBy <@U0EVIL001>, " +
	"<!channel>"

// filledIn is what is put into the form.
var filledIn = map[string]map[string]string{"size": {"a": "l"}}

// pagesOf is Markdown of n pages of 12,000 characters, whose lines are numbered.
func pagesOf(n int) string {
	var md strings.Builder
	for i := 0; md.Len() < n*12_000-6_000; i++ {
		fmt.Fprintf(&md, "%06d %s\n\n", i, strings.Repeat("words ", 30))
	}
	return md.String()
}

// shows are the numbers of the lines that the app's messages show a person, in order.
func shows(messages []slacksim.Message) (numbers []string) {
	for _, m := range messages {
		if m.BotID == "" || m.Deleted {
			continue
		}
		var blocks []struct{ Text string }
		_ = json.Unmarshal(m.Blocks, &blocks)
		for _, b := range blocks {
			for line := range strings.Lines(b.Text) {
				if number, _, ok := strings.Cut(line, " "); ok && len(number) == 6 {
					numbers = append(numbers, number)
				}
			}
		}
	}
	return numbers
}

// numbered are the numbers of n pages.
func numbered(n int) (numbers []string) {
	for i := range strings.Count(pagesOf(n), "\n\n") {
		numbers = append(numbers, fmt.Sprintf("%06d", i))
	}
	return numbers
}

// Markdown is shown as Markdown in messages and as blocks in windows, has its words as the text, and mentions nobody
// who isn't named.
func TestMarkdown(t *testing.T) {
	t.Parallel()
	md := bot.Markdown(report)
	s := play(t,
		bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
			_, err := m.Say(ctx, md)
			return err
		}),
		bot.OnCommand("/now", func(ctx context.Context, c *bot.Command) error { return c.Respond(ctx, md) },
			bot.Describe("now", "")),
		bot.OnCommandAsync("/later", func(ctx context.Context, c *bot.AsyncCommand) error { return c.Respond(ctx, md) },
			bot.Describe("later", ""), bot.Scopes("chat:write")),
		bot.OnAction("go", func(ctx context.Context, a *bot.Action) error { return a.Update(ctx, md) }),
		bot.OnAction("home", func(ctx context.Context, a *bot.Action) error { return a.Respond(ctx, md) }),
		asksForForm,
		bot.OnViewSubmission("form", func(ctx context.Context, v *bot.Submission) error { return v.Respond(ctx, md) }),
	)
	in, _ := s.sim.Installed(slacksim.Acme)
	button := s.button(t, "go", "")

	for name, act := range map[string]func() error{
		"a mention": func() error {
			_, err := s.sim.Say(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "<@"+in.BotUserID+"> report")
			return err
		},
		"a command":    func() error { command(t, s, slacksim.AcmeMember, "/now"); return nil },
		"an async one": func() error { command(t, s, slacksim.AcmeMember, "/later"); return nil },
		"an action": func() error {
			_, err := s.sim.Press(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, button, "go")
			return err
		},
		"the Home tab": func() error {
			_, err := s.sim.PressHome(ctx, slacksim.AcmeMember, s.homeButton(t, "home"))
			return err
		},
		"a submitted one": func() error {
			_, err := s.sim.SubmitView(ctx, slacksim.AcmeMember, openForm(t, s), filledIn)
			return err
		},
	} {
		if err := act(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var shown string
		inWindow := name == "the Home tab" || name == "a submitted one"
		wait(t, s.sim, name, func() bool {
			if views := s.sim.OpenViews(slacksim.AcmeMember); inWindow {
				if len(views) > 0 {
					shown = string(views[len(views)-1].Blocks)
				}
				return strings.Contains(shown, "☑ ship it") && strings.Contains(shown, `a  b\n-  -\n1  2`)
			}
			m := lastOf(s.sim, slacksim.AcmeGeneral, slacksim.AcmeMember)
			if name == "an action" {
				m, _ = message(s.sim, slacksim.AcmeGeneral, button)
			}
			shown = string(m.Blocks)
			return strings.Contains(shown, `"markdown"`) && strings.Contains(shown, "- [x] ship it") &&
				m.Text == "Report. done: ship it. to do: sleep. a, b. 1, 2. By &lt;\u2060@U0EVIL001&gt;, &lt;\u2060!channel&gt;."
		})
		if !inWindow && (strings.Contains(shown, "<@") || strings.Contains(shown, "<!")) {
			t.Errorf("%s mentions people: %s", name, shown)
		}
		if inWindow {
			views := s.sim.OpenViews(slacksim.AcmeMember)
			if _, err := s.sim.CloseView(ctx, slacksim.AcmeMember, views[len(views)-1].ID, true); err != nil {
				t.Fatal(err)
			}
		} else {
			s.settle(t)
			hide(t, s)
		}
	}
}

// hide posts something, so that the last message is another.
func hide(t *testing.T, s scene) {
	t.Helper()
	if _, _, err := s.app(t).PostMessage(slacksim.AcmeGeneral, slack.MsgOptionText("Next.", false)); err != nil {
		t.Fatal(err)
	}
}

func message(sim *slacksim.Sim, channel, ts string) (slacksim.Message, bool) {
	for _, m := range sim.Messages(channel, slacksim.AcmeMember) {
		if m.TS == ts {
			return m, true
		}
	}
	return slacksim.Message{}, false
}

// Whom the author names is mentioned, and nobody else.
func TestMentionsOfMarkdown(t *testing.T) {
	t.Parallel()
	s := play(t, bot.OnCommand("/who", func(ctx context.Context, c *bot.Command) error {
		r := bot.Markdown("For <@" + c.UserID + ">, not <@U0OTHER01>.")
		r.Mentions = []string{c.UserID}
		return c.Respond(ctx, r)
	}, bot.Describe("who", "")))
	r := command(t, s, slacksim.AcmeMember, "/who")
	if !strings.Contains(string(r.Message.Blocks), "<@"+slacksim.AcmeMember+">") &&
		!strings.Contains(string(r.Message.Blocks), `\u003c@`+slacksim.AcmeMember) {
		t.Errorf("nobody is mentioned: %s", r.Message.Blocks)
	}
	if r.Text != "For <@"+slacksim.AcmeMember+">, not &lt;\u2060@U0OTHER01&gt;." {
		t.Errorf("the text is %q", r.Text)
	}
}

// A long answer is several messages in the thread, each once, though the handler runs again, and Say knows the first.
func TestLongMarkdownIsSaidOnce(t *testing.T) {
	t.Parallel()
	var first []string
	s := play(t, bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
		ts, err := m.Say(ctx, bot.Markdown(pagesOf(3)))
		first = append(first, ts)
		if err == nil && m.Attempt < 3 {
			err = errors.New("try again")
		}
		if err == nil {
			_, err = m.Say(ctx, bot.Text("The end."))
		}
		return err
	}))
	in, _ := s.sim.Installed(slacksim.Acme)
	root, err := s.sim.Say(ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "What is there to read?")
	if err != nil {
		t.Fatal(err)
	}
	// The second message of the first attempt is refused.
	posts := 0
	s.sim.Inject(slacksim.Fault{Method: "chat.postMessage", Delay: 1, Times: 1})
	s.sim.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "internal_error", Times: 1})
	if _, err := s.sim.Reply(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, root,
		"<@"+in.BotUserID+"> read"); err != nil {
		t.Fatal(err)
	}
	s.hurry(t, func() bool { return said(s.sim, slacksim.AcmeGeneral, "The end.") == 1 })
	s.settle(t)
	all := slices.DeleteFunc(s.sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeMember), func(m slacksim.Message) bool {
		return m.ThreadTS != root || m.BotID == ""
	})
	if got := shows(all); !slices.Equal(got, numbered(3)) {
		t.Errorf("%d messages show %d lines of %d, from %v", len(all), len(got), len(numbered(3)), got[:min(3, len(got))])
	}
	if len(all) != 4 || slices.ContainsFunc(first, func(ts string) bool { return ts != all[0].TS }) || len(first) < 3 {
		t.Errorf("%d messages, and Say returned %v (%d)", len(all), first, posts)
	}
	for _, m := range all {
		if m.Text == "" || utf8.RuneCountInString(m.Text) > 4000 {
			t.Errorf("a text of %d characters", utf8.RuneCountInString(m.Text))
		}
	}
}

// What takes the place of a long answer changes its messages, and those that it has no part for go.
func TestLongAnswerIsReplaced(t *testing.T) {
	t.Parallel()
	s := play(t, bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
		pages := map[string]int{"shorter": 3, "longer": 1}[m.Text[strings.LastIndex(m.Text, " ")+1:]]
		r := bot.Markdown(strings.Repeat("before\n\n", pages*1200))
		r.Then = func(context.Context) (bot.Reply, error) { return bot.Markdown(pagesOf(4 - pages)), nil }
		_, err := m.Say(ctx, r)
		return err
	}))
	in, _ := s.sim.Installed(slacksim.Acme)
	for _, way := range []string{"shorter", "longer"} {
		dm := slacksim.AcmeGeneral
		before := len(shows(s.sim.Messages(dm, slacksim.AcmeMember)))
		if _, err := s.sim.Say(ctx, slacksim.AcmeMember, dm, "<@"+in.BotUserID+"> "+way); err != nil {
			t.Fatal(err)
		}
		s.settle(t)
		all := s.sim.Messages(dm, slacksim.AcmeMember)
		want := numbered(map[string]int{"shorter": 1, "longer": 3}[way])
		if got := shows(all)[before:]; !slices.Equal(got, want) {
			t.Errorf("%s: %d lines of %d", way, len(got), len(want))
		}
		for _, m := range all {
			if !m.Deleted && m.BotID != "" && strings.Contains(string(m.Blocks), "before") {
				t.Errorf("%s: the first answer is still there", way)
			}
		}
	}
}

// A response_url takes five posts. What is longer follows as messages that only that person sees.
func TestLongerThanAResponseURLTakes(t *testing.T) {
	t.Parallel()
	long := bot.Markdown(pagesOf(8))
	s := play(t,
		bot.OnCommand("/now", func(ctx context.Context, c *bot.Command) error { return c.Respond(ctx, long) },
			bot.Describe("now", ""), bot.Scopes("chat:write")),
		bot.OnCommandAsync("/later", func(ctx context.Context, c *bot.AsyncCommand) error { return c.Respond(ctx, long) },
			bot.Describe("later", ""), bot.Scopes("chat:write")))
	seen := 0
	for _, line := range []string{"/now", "/later"} {
		command(t, s, slacksim.AcmeMember, line)
		var got []string
		wait(t, s.sim, "all of "+line, func() bool {
			got = shows(s.sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeMember))[seen:]
			return len(got) >= len(numbered(8))
		})
		if !slices.Equal(got, numbered(8)) {
			t.Errorf("%s: not in order", line)
		}
		seen += len(got)
	}
	if n := len(shows(s.sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeAdmin))); n != 0 {
		t.Errorf("others read %d lines", n)
	}
}

// Long text is cut between words into messages that chat.update takes, too.
func TestLongText(t *testing.T) {
	t.Parallel()
	s := play(t, bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
		r := bot.Text(strings.Repeat("<https://a.example|a link> ", 600))
		r.Then = func(context.Context) (bot.Reply, error) { return bot.Text(strings.Repeat("a word ", 1000)), nil }
		_, err := m.Say(ctx, r)
		return err
	}))
	in, _ := s.sim.Installed(slacksim.Acme)
	say(t, s.sim, slacksim.AcmeMember, slacksim.AcmeGeneral, "<@"+in.BotUserID+"> go")
	s.settle(t)
	words := 0
	for _, m := range s.sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeMember) {
		if m.BotID != "" && !m.Deleted {
			words += strings.Count(m.Text, "word")
			if n := utf8.RuneCountInString(m.Text); n > 4000 || strings.Contains(m.Text, "link") {
				t.Errorf("a message of %d characters: %.60s", n, m.Text)
			}
		}
	}
	if words != 1000 {
		t.Errorf("%d words", words)
	}
	for _, c := range s.sim.Calls("chat.postMessage") {
		if text := c.Arg("text"); strings.Count(text, "<") != strings.Count(text, ">") {
			t.Errorf("a link was cut: …%.40s", text[len(text)-40:])
		}
	}
}

// Blocks without a text have one that says what is in them.
func TestTextOfBlocks(t *testing.T) {
	t.Parallel()
	plain := func(s string) *slack.TextBlockObject { return mrkdwn.Plain(s, 100) }
	button := slack.NewActionBlock("", mrkdwn.Button("x", "Take it", ""), mrkdwn.Button("y", "Leave it", ""))
	for _, test := range []struct {
		name   string
		blocks []slack.Block
		want   string
	}{
		{"sections", []slack.Block{mrkdwn.Header("Q & A"), mrkdwn.Section("*Due* today"), slack.NewDividerBlock(),
			mrkdwn.Context("By Dana!")}, "Q &amp; A. *Due* today. By Dana!"},
		{"fields", []slack.Block{slack.NewSectionBlock(nil, []*slack.TextBlockObject{mrkdwn.Field("When", "now")}, nil)},
			"*When* now."},
		{"buttons behind words", []slack.Block{mrkdwn.Section("Shall I?"), button}, "Shall I?"},
		{"buttons alone", []slack.Block{button}, "You can choose: Take it, Leave it."},
		{"a picture", []slack.Block{slack.NewImageBlock("https://a.example/c.png", "A cat", "", nil)}, "A cat."},
		{"rich text", []slack.Block{slack.NewRichTextBlock("", slack.NewRichTextSection(
			slack.NewRichTextSectionTextElement("Ask ", nil), slack.NewRichTextSectionUserElement("U1", nil),
			slack.NewRichTextSectionTextElement(" <now>", nil)))}, "Ask <@U1> &lt;now&gt;."},
		{"Markdown", []slack.Block{slack.NewMarkdownBlock("", "**Good** morning")}, "Good morning."},
		{"a table", []slack.Block{&slack.TableBlock{Type: slack.MBTTable, Rows: [][]slack.TableCell{
			{slack.NewTableRawTextCell("a"), slack.NewTableRawTextCell("b")}}}}, "a. b."},
		{"a question", []slack.Block{slack.NewInputBlock("i", plain("Your name"), nil,
			slack.NewPlainTextInputBlockElement(plain("Dana"), "n"))}, "Your name."},
		{"a line", []slack.Block{slack.NewDividerBlock()}, "Open this message in Slack to see what is in it."},
	} {
		if got := bot.TextOf(bot.Reply{Blocks: test.blocks}); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	var many []slack.Block
	for i := range 120 {
		many = append(many, mrkdwn.Section(fmt.Sprintf("Line %d", i)))
	}
	if n := bot.PartsOf(bot.Reply{Text: "All of it.", Blocks: many}); !slices.Equal(n, []int{50, 50, 20}) {
		t.Errorf("120 blocks in messages of %v", n)
	}
}

// What goes with a message: links as they are wanted, metadata beside our own, the channel, and another name where that
// is allowed.
func TestOptionsOfAReply(t *testing.T) {
	t.Parallel()
	s := play(t, bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
		meta := &slack.SlackMetadata{EventType: "task_made", EventPayload: map[string]any{"id": "7"}}
		r := bot.Reply{Text: "See https://a.example", Unfurl: strings.Contains(m.Text, "unfurl"), AlsoInChannel: true,
			Metadata: meta, Username: "Robot", Icon: ":robot_face:"}
		if _, err := m.InThread().Say(ctx, r); err != nil {
			return err
		}
		if len(meta.EventPayload) != 1 {
			t.Errorf("the handler's metadata became %v", meta.EventPayload)
		}
		if m.Attempt == 1 {
			return errors.New("try again")
		}
		return nil
	}, bot.OptionalScopes("chat:write.customize"), bot.Scopes("channels:history")))
	in, _ := s.sim.Installed(slacksim.Acme)
	// The answer is lost, so that the second attempt looks for the message.
	s.sim.Inject(slacksim.Fault{Method: "chat.postMessage", DropAnswer: true, Times: 1})
	say(t, s.sim, slacksim.AcmeMember, slacksim.AcmeGeneral, "<@"+in.BotUserID+"> unfurl")
	s.hurry(t, func() bool { n, err := s.inbox.Count(ctx); return err == nil && n.Ready+n.Held+n.Waiting == 0 })
	calls := s.sim.Calls("chat.postMessage")
	if len(calls) != 1 {
		t.Fatalf("posted %d times: it was not found by its metadata", len(calls))
	}
	for name, want := range map[string]string{"unfurl_links": "true", "reply_broadcast": "true", "username": "Robot",
		"icon_emoji": ":robot_face:"} {
		if got := calls[0].Arg(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	var meta slack.SlackMetadata
	if err := json.Unmarshal([]byte(calls[0].Arg("metadata")), &meta); err != nil || meta.EventType != "task_made" ||
		meta.EventPayload["id"] != "7" || meta.EventPayload["switchboard_say"] == "" {
		t.Errorf("metadata %+v, %v", meta, err)
	}

	say(t, s.sim, slacksim.AcmeMember, slacksim.AcmeGeneral, "<@"+in.BotUserID+"> plain")
	s.hurry(t, func() bool { return len(s.sim.Calls("chat.postMessage")) > 1 })
	call := s.sim.Calls("chat.postMessage")[1]
	if call.Arg("unfurl_links") != "false" || call.Arg("unfurl_media") != "false" {
		t.Errorf("links are shown: %q %q", call.Arg("unfurl_links"), call.Arg("unfurl_media"))
	}
	s.hurry(t, func() bool { n, err := s.inbox.Count(ctx); return err == nil && n.Ready+n.Held+n.Waiting == 0 })
}

// An answer in a window that no acknowledgement carries is put there behind it.
func TestBigViews(t *testing.T) {
	t.Parallel()
	wide := strings.Repeat("ö", 250)
	s := play(t,
		asksForForm,
		bot.OnViewSubmission("form", func(ctx context.Context, v *bot.Submission) error {
			return v.Respond(ctx, bot.Markdown(strings.Repeat("- "+wide+"\n", 60)+"\nThe end."))
		}))
	ack, err := s.sim.SubmitView(ctx, slacksim.AcmeMember, openForm(t, s), filledIn)
	if err != nil || len(ack.Body) > 20<<10 {
		t.Fatalf("%d bytes, %v", len(ack.Body), err)
	}
	wait(t, s.sim, "all of it", func() bool {
		views := s.sim.OpenViews(slacksim.AcmeMember)
		return len(views) == 1 && strings.Contains(string(views[0].Blocks), "The end.")
	})
}
