package bot

// The steps of the work that an answer shows beside its text. Slack keeps them by their ids in the message that is
// written. Where it takes no streams they are a list in the message that is changed.

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	// A list of tasks gets the characters that the text leaves of the 12,000 of a block, less some for what is between.
	mostWithTasks = 11_800
	betweenTasks  = 8
	// Slack takes as many characters of each text of a task.
	mostOfTask = 256
)

// streamTask is a task, as far as it is known.
type streamTask struct {
	Task slack.TaskUpdateChunk `json:"task"` // with all of its details and output
	Part int                   `json:"part"` // which message shows it; one that is open goes on to the next
	At   int                   `json:"at"`   // behind so much of the text
}

// open reports whether there is more to come of a task.
func (t *streamTask) open() bool {
	return t.Task.Status == slack.TaskCardStatusPending || t.Task.Status == slack.TaskCardStatusInProgress
}

// brief is what of a task can be sent any number of times: Slack adds details and output to those that are there.
func brief(t slack.TaskUpdateChunk) slack.TaskUpdateChunk {
	t.Details, t.Output, t.Sources = "", "", nil
	return t
}

// Task shows a step of the work and how far it is, or what is new of one that is shown: its id says which, and a title
// or a status that is left out stays. Details and output are Markdown that is added to what the task has. A handler
// that runs again and says the same of a task shows it once. Title, details and output have 256 characters each.
//
// It blocks for a call to Slack. Where Slack takes no streams, the tasks are a list in the text, which follows within
// three seconds. https://docs.slack.dev/reference/methods/chat.appendStream
func (s *Stream) Task(ctx context.Context, task slack.TaskUpdateChunk) error {
	s.u.sending.Lock()
	defer s.u.sending.Unlock()
	if s.record.Closed {
		return ErrStreamClosed
	}
	if !s.record.Edited { // it comes behind the text so far
		if err := s.flushLocked(ctx, true); err != nil {
			return err
		}
	}

	task.Type = slack.StreamChunkTaskUpdate
	task = s.noteLocked(task)
	return s.chunkLocked(ctx, task, brief(task))
}

// Plan gives the tasks of a stream that has ShowPlan a title of at most 256 characters. It blocks as Task does.
func (s *Stream) Plan(ctx context.Context, title string) error {
	s.u.sending.Lock()
	defer s.u.sending.Unlock()
	if s.record.Closed {
		return ErrStreamClosed
	}
	s.record.Title = title
	plan := slack.NewPlanUpdateChunk(title)
	return s.chunkLocked(ctx, plan, plan)
}

// noteLocked takes in a task, or what is new of one, and returns what Slack doesn't have of that.
func (s *Stream) noteLocked(task slack.TaskUpdateChunk) slack.TaskUpdateChunk {
	at := len(s.Written())
	part := len(s.record.Parts)
	if s.openLocked() != nil {
		part--
	}

	known := &streamTask{Task: brief(task), Part: part, At: at}
	same := func(t *streamTask) bool { return t.Task.ID == task.ID }
	if i := slices.IndexFunc(s.record.Tasks, same); i >= 0 {
		known = s.record.Tasks[i]
		if known.Part < part { // that message has ended
			known.Part, known.At = part, at
			s.record.Tasks = slices.Delete(s.record.Tasks, i, i+1)
		}
	}
	if !slices.Contains(s.record.Tasks, known) {
		s.record.Tasks = append(s.record.Tasks, known)
	}

	if s.given == nil {
		s.given = map[string]slack.TaskUpdateChunk{}
	}
	given := s.given[task.ID]
	given.Details, task.Details = unsaid(known.Task.Details, given.Details, task.Details)
	given.Output, task.Output = unsaid(known.Task.Output, given.Output, task.Output)
	s.given[task.ID] = given

	task.Title, task.Status = cmp.Or(task.Title, known.Task.Title), cmp.Or(task.Status, known.Task.Status)
	known.Task.Title, known.Task.Status = task.Title, task.Status
	known.Task.Details += task.Details
	known.Task.Output += task.Output
	if task.Sources != nil {
		known.Task.Sources = task.Sources
	}
	return task
}

// unsaid is all that an attempt has given with more of it, and what of that is not known from the attempts before.
func unsaid(known, given, more string) (all, fresh string) {
	all = given + more
	if strings.HasPrefix(known, all) {
		return all, ""
	}
	if rest, goesOn := strings.CutPrefix(all, known); goesOn {
		return all, rest
	}
	return all, more
}

// chunkLocked sends a chunk that is no text, behind the text so far. again is what of it can be sent twice.
func (s *Stream) chunkLocked(ctx context.Context, chunk, again slack.StreamChunk) error {
	if err := s.u.keepLocked(ctx); err != nil {
		return err
	}
	if s.record.Edited {
		return s.listLocked(ctx)
	}

	for try := 0; ; {
		if err := s.flushLocked(ctx, true); err != nil || s.record.Edited {
			return err
		}
		p := s.openLocked()
		if p == nil {
			if err := s.beginLocked(ctx); err != nil {
				return err
			}
			continue
		}

		_, _, err := s.u.t.Client.AppendStreamContext(ctx, s.u.t.ChannelID, p.TS, slack.MsgOptionChunks(chunk))
		switch {
		case err == nil:
			return nil
		case streamEnded(err):
			p.Done = true
			continue
		case slackapi.MaybeDone(err):
			chunk = again
		}
		if err := s.u.patience(ctx, err, &try); err != nil {
			return err
		}
	}
}

// listLocked shows the tasks in a message that is changed, when its time has come.
func (s *Stream) listLocked(ctx context.Context) error {
	s.stale = true
	s.mu.Lock()
	broken, due := s.broken, s.dueLocked()
	s.mu.Unlock()
	if broken != nil || !due {
		return broken
	}
	return s.flushLocked(ctx, false)
}

// carryLocked takes the tasks that are open along into the message that begins.
func (s *Stream) carryLocked(part, from int) {
	for _, t := range s.record.Tasks {
		if t.open() && t.Part < part {
			t.Part, t.At = part, from
		}
	}
}

// tasksLocked are those that a message shows.
func (s *Stream) tasksLocked(part int) (tasks []*streamTask) {
	for _, t := range s.record.Tasks {
		if t.Part == part {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

// openChunksLocked are what a message begins with that goes on with tasks.
func (s *Stream) openChunksLocked(part int) (chunks []slack.StreamChunk) {
	tasks := s.tasksLocked(part)
	if s.plan && s.record.Title != "" && len(tasks) > 0 {
		chunks = append(chunks, slack.NewPlanUpdateChunk(s.record.Title))
	}
	for _, t := range tasks {
		if t.open() {
			chunks = append(chunks, brief(t.Task))
		}
	}
	return chunks
}

// markdownLocked is what a message is by Next where it is no stream: its text, with its tasks where they came.
func (s *Stream) markdownLocked(p *streamPart) string {
	text := s.record.Text[:p.Next]
	tasks := s.tasksLocked(slices.Index(s.record.Parts, p))
	title := ""
	if s.plan && s.record.Title != "" && len(tasks) > 0 {
		title = "**" + s.record.Title + "**\n\n"
	}
	lines := taskLines(tasks, mostWithTasks-utf8.RuneCountInString(p.Head+text[p.From:]+title))

	var md strings.Builder
	head, from := p.Head, p.From
	for len(lines) > 0 {
		at := min(max(tasks[0].At, from), p.Next)
		n := 1
		for n < len(lines) && (s.plan || tasks[n].At <= at) {
			n++
		}
		before := head + text[from:at]
		md.WriteString(before + closing(before) + "\n\n" + title + strings.Join(lines[:n], "\n") + "\n\n")
		head, from, title = opening(before), at, ""
		lines, tasks = lines[n:], tasks[n:]
	}

	rest := head + text[from:]
	rest += closing(rest)
	if listed := md.String(); listed != "" {
		rest = strings.Trim(listed+rest, "\n")
	}
	return rest
}

// taskMarks show how far a task is.
var taskMarks = map[slack.TaskCardStatus]string{
	slack.TaskCardStatusPending: "◻️", slack.TaskCardStatusInProgress: "⏳", slack.TaskCardStatusComplete: "✅",
	slack.TaskCardStatusError: "⚠️",
}

// taskLines are the lines of tasks, for which there is room. With too little they are titles alone, and then those of
// the last ones: the others are empty.
func taskLines(tasks []*streamTask, room int) []string {
	lines := make([]string, len(tasks))
	for _, whole := range []bool{true, false} {
		length := 0
		for i, t := range tasks {
			lines[i] = taskLine(t.Task, whole)
			length += utf8.RuneCountInString(lines[i]) + betweenTasks
		}
		if length <= room {
			return lines
		}
	}

	for i, line := range slices.Backward(lines) {
		if room -= utf8.RuneCountInString(line) + betweenTasks; room < 0 {
			lines[i] = ""
		}
	}
	return lines
}

// taskLine is an item of a list.
func taskLine(t slack.TaskUpdateChunk, whole bool) string {
	line := strings.TrimSpace("- " + taskMarks[t.Status] + " " + strings.Join(strings.Fields(t.Title), " "))
	if !whole {
		return line
	}

	const below = "\n  "
	for _, more := range []string{t.Details, t.Output} {
		if more = strings.TrimSpace(mrkdwn.Clip(more, mostOfTask)); more != "" {
			line += below + strings.ReplaceAll(more, "\n", below)
		}
	}
	for _, source := range t.Sources {
		line += below + "[" + source.Text + "](" + source.URL + ")"
	}
	return line
}
