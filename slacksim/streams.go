package slacksim

// Messages that an app writes bit by bit. Slack keeps the bits as blocks and, whatever was sent, shows and answers
// those: who reads a streamed message gets rich_text, tables and Slack's own notation, not the Markdown.
// docs.slack.dev/reference/methods/chat.startStream, chat.appendStream and chat.stopStream

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

const (
	// streamLife is when Slack ends a stream, counted from its start, whatever was appended since. No page of Slack's
	// names it. It was measured.
	streamLife = 306 * time.Second

	streamText   = 12_000 // characters of Markdown in a call, and in a chunk
	streamNote   = 256    // characters of each text of a task or a plan
	streamBlocks = 50     // blocks of all chunks together. Those of chat.stopStream are counted apart

	streaming, streamed, streamBroken = "in_progress", "completed", "errored"
)

// streams are the messages that are being written.
type streams struct {
	*engine
	world    *world
	events   *events
	sessions *sessions
	byTS     map[string]*stream
}

// stream is one such message. It outlives its end: what is appended afterwards is refused with the reason.
type stream struct {
	inst    *installation
	channel *channel
	message *Message
	stopped bool // by a person
	plan    bool // tasks are shown together, below a title
	pieces  []*piece
	blocks  int // those of chunks
}

// piece is a part of a streamed message: Markdown, tasks, or blocks.
type piece struct {
	id     string // of the block that shows text or a plan
	text   string
	plan   bool // tasks below a title
	title  string
	tasks  []*streamChunk
	blocks []any
}

// streamChunk is one element of the argument chunks.
type streamChunk struct {
	Type    string            `json:"type"`
	Text    string            `json:"text"`
	ID      string            `json:"id"`
	Title   string            `json:"title"`
	Status  string            `json:"status"`
	Details string            `json:"details"`
	Output  string            `json:"output"`
	Sources []blockkit.Object `json:"sources"`
	Blocks  json.RawMessage   `json:"blocks"`

	shown []any // of Blocks, checked and with their ids
}

// startLocked posts the message and sees to its end.
func (s *streams) startLocked(st *stream, chunks []*streamChunk) (warnings []string) {
	c, m := st.channel, st.message
	m.Streaming = streaming
	s.world.postLocked(c, m)
	s.byTS[m.TS] = st
	warnings = s.addLocked(st, chunks)
	s.events.messageEventsLocked(c, m, "")
	s.sessions.streamedLocked(st, processing)
	s.dueLocked(streamLife, func() {
		if s.endLocked(st, streamBroken) {
			s.sessions.streamedLocked(st, active)
		}
	})
	return warnings
}

// changeLocked changes a streamed message and tells of it.
func (s *streams) changeLocked(st *stream, change func()) {
	before := s.world.messageJSONLocked(st.channel, st.message)
	change()
	s.noteLocked()
	s.events.editEventLocked(st.channel, st.message, "message_changed", before, st.channel.TeamID)
}

// endLocked ends a stream, if it hasn't ended yet.
func (s *streams) endLocked(st *stream, state string) (ended bool) {
	if st.message.Streaming != streaming || st.message.Deleted {
		return false
	}
	s.changeLocked(st, func() { st.message.Streaming = state })
	return true
}

// stopLocked ends the streams of an agent in a thread because a person wants that.
func (s *streams) stopLocked(in *installation, c *channel, threadTS string) []string {
	ended := []string{}
	for _, m := range c.messages {
		st := s.byTS[m.TS]
		if st != nil && st.inst == in && m.ThreadTS == threadTS && s.endLocked(st, streamed) {
			st.stopped = true
			ended = append(ended, m.TS)
		}
	}
	return ended
}

// addLocked takes in chunks, which have been checked, and works out what the message shows then.
func (s *streams) addLocked(st *stream, chunks []*streamChunk) (warnings []string) {
	for _, x := range chunks {
		switch x.Type {
		case "markdown_text":
			text := x.Text
			if s.app.StreamsTrimChunks {
				text = strings.TrimLeft(text, " \t\n")
			}
			s.textLocked(st).text += text
		case "task_update":
			s.taskLocked(st, x)
		case "plan_update":
			if st.plan { // nothing else shows a title
				s.planLocked(st).title = x.Title
			}
		case "blocks":
			room := streamBlocks - st.blocks
			if len(x.shown) > room {
				warnings = append(warnings, "too_many_blocks")
				x.shown = x.shown[:room]
			}
			st.blocks += len(x.shown)
			st.pieces = append(st.pieces, &piece{blocks: x.shown})
		}
	}
	st.show(nil)
	return warnings
}

// textLocked is the piece that text is added to: the last one, if it is text.
func (s *streams) textLocked(st *stream) *piece {
	if n := len(st.pieces); n > 0 && !st.pieces[n-1].plan && st.pieces[n-1].tasks == nil && st.pieces[n-1].blocks == nil {
		return st.pieces[n-1]
	}
	return s.pieceLocked(st)
}

func (s *streams) pieceLocked(st *stream) *piece {
	p := &piece{id: s.world.idLocked("b")}
	st.pieces = append(st.pieces, p)
	return p
}

// planLocked is the one piece that shows the tasks of a message whose task_display_mode is plan.
func (s *streams) planLocked(st *stream) *piece {
	p := first(st.pieces, func(p *piece) bool { return p.plan })
	if p == nil {
		p = s.pieceLocked(st)
		p.plan = true
	}
	return p
}

// taskLocked shows a task, or what is new of one that is shown: title and status take the place of the old ones,
// details and output are added to them.
func (s *streams) taskLocked(st *stream, x *streamChunk) {
	for _, p := range st.pieces {
		old := first(p.tasks, func(t *streamChunk) bool { return t.ID == x.ID })
		if old == nil {
			continue
		}
		old.Title, old.Status = x.Title, x.Status
		old.Details, old.Output = old.Details+x.Details, old.Output+x.Output
		if x.Sources != nil {
			old.Sources = x.Sources
		}
		return
	}

	add := s.pieceLocked
	if st.plan {
		add = s.planLocked
	}
	p := add(st)
	p.tasks = append(p.tasks, x)
}

// show works out the message: its pieces, and the blocks that come last.
func (st *stream) show(last []any) {
	blocks, text := []any{}, []string{}
	for _, p := range st.pieces {
		switch {
		case p.blocks != nil:
			blocks = append(blocks, p.blocks...)
		case p.plan:
			blocks = append(blocks, object{"type": "plan", "block_id": p.id, "title": p.title, "tasks": cards(p.tasks)})
		case p.tasks != nil:
			blocks = append(blocks, cards(p.tasks)...)
		case p.text != "":
			for i, b := range blockkit.MarkdownBlocks(p.text) {
				if b["block_id"] = p.id; i > 0 {
					b["block_id"] = fmt.Sprint(p.id, "-", i)
				}
				blocks = append(blocks, b)
			}
			_, t := blockkit.Markdown(p.text)
			text = append(text, t)
		}
	}

	m := st.message
	m.Text, m.Blocks = strings.Join(text, "\n"), nil
	if blocks = append(blocks, last...); len(blocks) > 0 {
		m.Blocks, _ = json.Marshal(blocks)
	}
}

// cards are the blocks that show tasks.
func cards(tasks []*streamChunk) (out []any) {
	for _, t := range tasks {
		card := object{"type": "task_card", "task_id": t.ID, "title": t.Title, "status": t.Status}
		for k, md := range map[string]string{"details": t.Details, "output": t.Output} {
			if md != "" {
				card[k], _ = blockkit.Markdown(md)
			}
		}
		if t.Sources != nil {
			card["sources"] = t.Sources
		}
		out = append(out, card)
	}
	return out
}

// streamMethods are the three methods that write such a message.
type streamMethods struct{ chatMethods }

func (s streamMethods) start(r *apiRequest) (map[string]any, *apiError) {
	c, err := s.placeLocked(r, true)
	if err != nil {
		return nil, err
	}
	if c.im && !s.app.MessagesTab {
		return nil, fail("messages_tab_disabled")
	}
	root, err := s.rootLocked(c, r.arg("thread_ts"))
	if err != nil {
		return nil, err
	}
	if err := s.recipientLocked(r, c); err != nil {
		return nil, err
	}
	if mode := r.arg("task_display_mode"); !slices.Contains([]string{"", "timeline", "plan", "dense"}, mode) {
		return nil, failWith("invalid_arguments", "[ERROR] unknown task_display_mode: "+mode)
	}
	if err := r.customised(); err != nil {
		return nil, err
	}
	chunks, err := s.chunksLocked(r)
	if err != nil {
		return nil, err
	}

	m := s.author(r)
	m.ThreadTS = root.TS
	st := &stream{inst: r.inst, channel: c, message: m, plan: r.arg("task_display_mode") == "plan"}
	warnings := s.streams.startLocked(st, chunks)
	return warned(map[string]any{"channel": c.ID, "ts": m.TS}, warnings)
}

// rootLocked is the message that a stream answers in the thread of. "0" is none, too.
func (s streamMethods) rootLocked(c *channel, ts string) (*Message, *apiError) {
	if ts == "" || ts == "0" {
		return nil, fail("invalid_thread_ts")
	}
	m := c.find(ts)
	switch {
	case m == nil || m.Deleted || m.Ephemeral:
		return nil, fail("thread_not_found")
	case m.isReply():
		return nil, fail("invalid_thread_ts")
	}
	return m, nil
}

// recipientLocked checks for whom a stream is. In a channel it has to be said, and the team is the person's.
func (s streamMethods) recipientLocked(r *apiRequest, c *channel) *apiError {
	user, team := r.arg("recipient_user_id"), r.arg("recipient_team_id")
	if !c.im || s.app.StreamsNeedRecipient {
		if team == "" {
			return fail("missing_recipient_team_id")
		}
		if user == "" {
			return fail("missing_recipient_user_id")
		}
	}
	if user == "" {
		return nil
	}

	u := s.world.userLocked(user)
	if u == nil || !c.im && !c.VisibleTo(*u) || c.im && c.imUser != user {
		return fail("user_not_found")
	}
	home := s.world.teamLocked(u.TeamID)
	if team != "" && team != home.ID && team != home.EnterpriseID {
		return fail("user_not_found")
	}
	return nil
}

// customised: another name or picture needs a permission of its own.
func (r *apiRequest) customised() *apiError {
	if (r.has("icon_emoji") || r.has("icon_url") || r.has("username")) && !r.scope("chat:write.customize") {
		return r.missing("chat:write.customize")
	}
	return nil
}

// warned is an answer with warnings, if there are any.
func warned(answer map[string]any, warnings []string) (map[string]any, *apiError) {
	if len(warnings) > 0 {
		answer["warning"] = strings.Join(warnings, ",")
		answer["response_metadata"] = map[string]any{"warnings": warnings}
	}
	return answer, nil
}

func (s streamMethods) append(r *apiRequest) (map[string]any, *apiError) {
	st, err := s.openLocked(r)
	if err != nil {
		return nil, err
	}
	chunks, err := s.chunksLocked(r)
	if err != nil {
		return nil, err
	}
	if len(chunks) == 0 {
		return nil, fail("no_text")
	}

	var warnings []string
	s.streams.changeLocked(st, func() { warnings = s.streams.addLocked(st, chunks) })
	return warned(map[string]any{"channel": st.channel.ID, "ts": st.message.TS}, warnings)
}

func (s streamMethods) stop(r *apiRequest) (map[string]any, *apiError) {
	st, err := s.openLocked(r)
	if err != nil {
		return nil, err
	}
	chunks, err := s.chunksLocked(r)
	if err != nil {
		return nil, err
	}
	last, err := s.lastLocked(r)
	if err != nil {
		return nil, err
	}
	meta, err := s.metadataLocked(r)
	if err != nil {
		return nil, err
	}
	status := cmp.Or(r.arg("session_status"), active)
	if !slices.Contains(agentStatuses, status) {
		return nil, fail("invalid_status")
	}

	var warnings []string
	m := st.message
	s.streams.changeLocked(st, func() {
		warnings = s.streams.addLocked(st, chunks)
		st.show(last)
		m.Streaming, m.Metadata = streamed, meta
	})
	s.sessions.streamedLocked(st, status)
	return warned(map[string]any{"channel": st.channel.ID, "ts": m.TS,
		"message": s.world.messageJSONLocked(st.channel, m)}, warnings)
}

// lastLocked are the blocks that a stream ends with.
func (s streamMethods) lastLocked(r *apiRequest) ([]any, *apiError) {
	if !r.has("blocks") {
		return nil, nil
	}
	out, msgs := s.world.blocksLocked(blockkit.Stream, r.arg("blocks"))
	if len(msgs) > 0 {
		return nil, failWith("invalid_blocks", msgs...)
	}
	var list []any
	_ = blockkit.Decode(out, &list)
	return list, nil
}

// openLocked is the stream that an app writes on. The same answer is given to one that Slack ended, that the app
// stopped and, when it is stopped again, that a person stopped.
func (s streamMethods) openLocked(r *apiRequest) (*stream, *apiError) {
	_, m, err := s.ownLocked(r, "message_not_owned_by_app")
	if err != nil {
		return nil, err
	}
	st := s.streams.byTS[m.TS]
	switch {
	case st != nil && m.Streaming == streaming:
		return st, nil
	case st != nil && st.stopped && r.method == "chat.appendStream":
		return nil, fail("stopped_by_user")
	}
	return nil, fail("message_not_in_streaming_state")
}

// chunksLocked reads what a call adds to a message, from one of the two arguments for it. Either all of it is taken, or
// nothing.
func (s streamMethods) chunksLocked(r *apiRequest) ([]*streamChunk, *apiError) {
	md, raw := r.arg("markdown_text"), r.arg("chunks")
	switch {
	case md != "" && r.has("chunks"):
		return nil, fail("cannot_provide_both_markdown_text_and_chunks")
	case md != "":
		raw = blockkit.Text([]any{object{"type": "markdown_text", "text": md}})
	case raw == "":
		return nil, nil
	}

	var chunks []*streamChunk
	if err := json.Unmarshal([]byte(raw), &chunks); err != nil || slices.Contains(chunks, nil) {
		return nil, failWith("invalid_chunks", "[ERROR] must be a JSON array of chunks [json-pointer:/chunks]")
	}
	for i, x := range chunks {
		if err := s.checkLocked(x, fmt.Sprintf("/chunks/%d", i)); err != nil {
			return nil, err
		}
	}
	return chunks, nil
}

// checkLocked checks a chunk and prepares its blocks.
func (s streamMethods) checkLocked(x *streamChunk, at string) *apiError {
	bad := func(field, why string) *apiError {
		return failWith("invalid_chunks", "[ERROR] "+why+" [json-pointer:"+at+field+"]")
	}
	long := func(field, text string) *apiError {
		if utf8.RuneCountInString(text) > streamNote {
			return bad(field, fmt.Sprintf("must be less than %d characters", streamNote+1))
		}
		return nil
	}

	switch x.Type {
	case "markdown_text":
		if x.Text == "" {
			return bad("/text", "missing required field: text")
		}
		if utf8.RuneCountInString(x.Text) > streamText {
			return fail("msg_too_long")
		}
		return nil
	case "plan_update":
		if x.Title == "" {
			return bad("/title", "missing required field: title")
		}
		return long("/title", x.Title)
	case "task_update":
		return s.checkTask(x, bad, long)
	case "blocks":
		return s.checkBlocksLocked(x, bad)
	}
	return bad("/type", "unsupported type: "+x.Type)
}

func (s streamMethods) checkTask(x *streamChunk, bad, long func(field, text string) *apiError) *apiError {
	switch {
	case x.ID == "":
		return bad("/id", "missing required field: id")
	case x.Title == "":
		return bad("/title", "missing required field: title")
	case !slices.Contains([]string{"pending", "in_progress", "complete", "error"}, x.Status):
		return bad("/status", "must be a valid enum value: pending, in_progress, complete, error")
	}
	for i, o := range x.Sources {
		if o["type"] != "url" || o["url"] == nil || o["text"] == nil {
			return bad(fmt.Sprintf("/sources/%d", i), "must be a url with its text")
		}
	}
	for field, text := range map[string]string{"/title": x.Title, "/details": x.Details, "/output": x.Output} {
		if err := long(field, text); err != nil {
			return err
		}
	}
	return nil
}

// checkBlocksLocked checks as many of a chunk's blocks as can be shown: the rest is left out with a warning, not
// refused.
func (s streamMethods) checkBlocksLocked(x *streamChunk, bad func(field, why string) *apiError) *apiError {
	var list []any
	if blockkit.Decode(x.Blocks, &list) != nil || len(list) == 0 {
		return bad("/blocks", "must have at least 1 item")
	}
	kept, _ := json.Marshal(list[:min(len(list), streamBlocks)])
	checked, msgs := s.world.blocksLocked(blockkit.Stream, string(kept))
	if len(msgs) > 0 {
		return bad("/blocks", strings.Join(msgs, "; "))
	}
	rest := list[min(len(list), streamBlocks):]
	_ = blockkit.Decode(checked, &x.shown)
	x.shown = append(x.shown, rest...)
	return nil
}
