package bot_test

// The steps of the work beside the text: in a stream, and where messages are changed, also when the process ends
// between two of them.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// noStreams has Slack take none.
var noStreams = slacksim.Fault{Method: "chat.startStream", Error: "channel_type_not_supported"}

// pieces is what a message consists of, one word for each block: a text as it is, a task as "read=complete(Three.)".
func pieces(m slacksim.Message) (out []string) {
	var blocks []map[string]any
	_ = json.Unmarshal(m.Blocks, &blocks)
	card := func(b map[string]any) string {
		s := fmt.Sprintf("%s=%s", b["title"], b["status"])
		for _, field := range []string{"details", "output"} {
			if b[field] != nil {
				body, _ := json.Marshal(b[field])
				var texts []string
				for _, part := range strings.Split(string(body), `"text":"`)[1:] {
					texts = append(texts, part[:strings.Index(part, `"`)])
				}
				s += "(" + strings.Join(texts, "") + ")"
			}
		}
		return s
	}
	for _, b := range blocks {
		switch b["type"] {
		case "task_card":
			out = append(out, card(b))
		case "plan":
			out = append(out, fmt.Sprintf("plan %s", b["title"]))
			for _, t := range b["tasks"].([]any) {
				out = append(out, card(t.(map[string]any)))
			}
		case "markdown":
			for _, paragraph := range strings.Split(b["text"].(string), "\n\n") {
				out = append(out, strings.TrimSpace(paragraph))
			}
		case "rich_text":
			body, _ := json.Marshal(b)
			text := strings.SplitAfter(string(body), `"text":"`)
			out = append(out, strings.TrimSpace(text[1][:strings.Index(text[1], `"`)]))
		}
	}
	return out
}

// Tasks are shown where they come, each once and as it is at last, with all of its details: in a stream as cards, and
// as a list where messages are changed. A process that ends between two of them, and a handler that then says the same
// again, or nothing any more, change nothing of that. What is open goes on to the next message, in a plan with its
// title.
func TestStreamShowsTasks(t *testing.T) {
	t.Parallel()
	const readCard, readLine = "Read=complete(Of 1999.)(Three.)", "- ✅ Read\n  Of 1999.\n  Three."
	const list = readLine + "\n- ✅ Write"
	long := strings.Repeat("Some words. ", 770)
	for name, test := range map[string]struct {
		tasking
		fault slacksim.Fault
		want  [][]string // by message
	}{
		"in a stream": {want: [][]string{{"First this.", readCard, "Write=complete", "Then that."}}},
		"in a plan": {tasking: tasking{options: inPlan},
			want: [][]string{{"First this.", "plan My plan", readCard, "Write=complete", "Then that."}}},
		"in a stream that goes on": {tasking: tasking{dies: true},
			want: [][]string{{"First this.", readCard, "Write=complete", "Then that."}}},
		"in another message": {tasking: tasking{options: inPlan, pause: 245 * time.Second},
			want: [][]string{{"First this.", "plan My plan", readCard, "Write=in_progress"},
				{"plan My plan", "Write=complete", "Then that."}}},
		"in another message, by itself": {tasking: tasking{options: inPlan, pause: 245 * time.Second, open: true},
			want: [][]string{{"First this.", "plan My plan", readCard, "Write=in_progress"},
				{"Then that.", "plan My plan", "Write=in_progress"}}},
		"in a list": {fault: noStreams,
			want: [][]string{{"First this.", list, "Then that."}}},
		"in a list with a title": {fault: noStreams, tasking: tasking{options: inPlan},
			want: [][]string{{"First this.", "**My plan**", list, "Then that."}}},
		"in a list that goes on": {fault: noStreams, tasking: tasking{dies: true},
			want: [][]string{{"First this.", list, "Then that."}}},
		"in a list that nobody goes on with": {fault: noStreams, tasking: tasking{dies: true, quiet: true},
			want: [][]string{{"First this.", readLine + "\n- ⏳ Write"}}},
		"in a list without text that nobody goes on with": {fault: noStreams,
			tasking: tasking{silent: true, dies: true, quiet: true}, want: [][]string{{readLine + "\n- ⏳ Write"}}},
		"alone in a list": {fault: noStreams, tasking: tasking{silent: true, only: true},
			want: [][]string{{"- ⏳ Read\n  Of 1999."}}},
		"alone where an answer gets lost": {tasking: tasking{silent: true, only: true},
			fault: slacksim.Fault{Method: "chat.appendStream", DropAnswer: true, Times: 1},
			want:  [][]string{{"Read=in_progress(Of 1999.)"}}},
		"in lists of two messages": {fault: noStreams, tasking: tasking{before: long + "\n\nThen", open: true},
			want: [][]string{{"First this.", readLine, strings.TrimSpace(long)}, {"Then that.", "- ⏳ Write"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStudio(t, storagetest.SQLite(t), func(s *studio) []bot.Handler {
				s.jumps(test.pause)
				return []bot.Handler{test.handler(s)}
			})
			if test.fault.Method != "" {
				s.sim.Inject(test.fault)
			}
			first := s.now
			root := ask(t, s.scene, "", "do it")
			if test.dies {
				<-first.ctx.Done()
				first.ended(t)
				s.clock.Advance(streamLease + time.Second)
				s.boot(0, false)
			}
			s.idle()

			var got [][]string
			for _, m := range s.sim.Messages(s.sim.DM(person), person) {
				if m.BotID != "" && m.ThreadTS == root {
					got = append(got, pieces(m))
				}
			}
			if !slices.EqualFunc(got, test.want, slices.Equal[[]string]) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

var inPlan = []bot.StreamOption{bot.ShowPlan}

// tasking is a handler with two tasks.
type tasking struct {
	options []bot.StreamOption
	silent  bool          // there is no text
	only    bool          // nothing comes behind the first task, as it is at first
	before  string        // text between the two
	dies    bool          // its first process ends behind the second one
	quiet   bool          // and the next one only closes the stream
	pause   time.Duration // behind the second one
	open    bool          // which is not done in the end
}

func (p tasking) handler(s *studio) bot.Handler {
	task := func(id, title string, status slack.TaskCardStatus, details, output string) slack.TaskUpdateChunk {
		t := slack.NewTaskUpdateChunk(id, title)
		t.Status, t.Details, t.Output = status, details, output
		return t
	}
	return bot.OnAgentMessage("", func(ctx context.Context, t *bot.Thread) error {
		stream, err := t.Stream(ctx, p.options...)
		if err != nil {
			return err
		}
		if t.Attempt > 1 && p.quiet {
			return stream.Close(ctx)
		}
		write := func(texts ...string) (err error) {
			for _, text := range texts {
				if !strings.Contains(stream.Written(), text) {
					err = errors.Join(err, stream.Write(ctx, text))
				}
			}
			return err
		}

		if !p.silent {
			err = errors.Join(write("First this. "), stream.Plan(ctx, "My plan"))
		}
		err = errors.Join(err, stream.Task(ctx, task("1", "Read", slack.TaskCardStatusInProgress, "Of 1999.", "")))
		if p.only {
			return errors.Join(err, stream.Close(ctx))
		}
		err = errors.Join(err, s.passes(ctx, 5*time.Second),
			stream.Task(ctx, task("1", "", slack.TaskCardStatusComplete, "", "Three.")))
		if p.before != "" {
			err = errors.Join(err, s.passes(ctx, 5*time.Second), write(p.before, " that. "))
		}
		err = errors.Join(err, stream.Task(ctx, task("2", "Write", slack.TaskCardStatusInProgress, "", "")))
		if err != nil {
			return err
		}

		if p.dies && t.Attempt == 1 {
			s.now.end()
			return context.Canceled
		}
		if err := s.passes(ctx, p.pause); err != nil {
			return err
		}
		if p.open { // a word that nothing follows is not sent yet, so what it begins is another message
			return errors.Join(write("Then", " that. "), stream.Close(ctx))
		}
		return errors.Join(stream.Task(ctx, task("2", "", slack.TaskCardStatusComplete, "", "")),
			write("Then that. "), stream.Close(ctx))
	})
}

// A list of many tasks below a long text leaves out what there is no room for, and never text: first what is below the
// titles, then the first tasks.
func TestTasksLeaveRoomForText(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("Some words. ", 850)
	for n, want := range map[int]string{3: "Of 1999.", 40: "- ✅ Task 1\n", 150: "- ✅ Task 150"} {
		s := newStudio(t, storagetest.SQLite(t), func(s *studio) []bot.Handler {
			return []bot.Handler{bot.OnAgentMessage("", func(ctx context.Context, t *bot.Thread) error {
				stream, err := t.Stream(ctx)
				if err != nil {
					return err
				}
				err = stream.Write(ctx, text)
				for i := range n {
					task := slack.NewTaskUpdateChunk(fmt.Sprint(i), fmt.Sprintf("Task %d", i+1))
					task.Status, task.Details = slack.TaskCardStatusComplete, strings.Repeat("Of 1999. ", 20)
					err = errors.Join(err, stream.Task(ctx, task))
				}
				return errors.Join(err, stream.Close(ctx))
			})}
		})
		s.sim.Inject(noStreams)
		root := ask(t, s.scene, "", "do it")
		s.idle()
		got := thread(s.scene, root)
		if len(got) != 1 || !strings.Contains(got[0], strings.TrimSpace(text)) || !strings.Contains(got[0], want) {
			t.Errorf("%d tasks: %d messages, want one with %q: …%.300s", n, len(got), want,
				strings.Join(got, "\n")[max(0, len(strings.Join(got, "\n"))-300):])
		}
	}
}

// An attempt that says of a task what is known adds nothing, one that says more adds the rest, and one that says
// something else is believed.
func TestWhatIsNewOfATask(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ known, given, more, all, fresh string }{
		{"", "", "One.", "One.", "One."}, {"One.", "", "One.", "One.", ""}, {"One.", "", "One. Two.", "One. Two.", " Two."},
		{"One. Two.", "One.", " Two.", "One. Two.", ""}, {"One.", "One.", " Two.", "One. Two.", " Two."},
		{"One.", "", "Two.", "Two.", "Two."},
	} {
		if all, fresh := bot.Unsaid(test.known, test.given, test.more); all != test.all || fresh != test.fresh {
			t.Errorf("%+v: all %q, new %q", test, all, fresh)
		}
	}
}
