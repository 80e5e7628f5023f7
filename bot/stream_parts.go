package bot

// The messages that a stream consists of: when one ends and the next begins, what is sent of the text, and what becomes
// of a call whose answer was lost.

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/markdown"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/words"
)

const (
	// Slack takes 12,000 characters of Markdown in a call and in a block. What closes and opens code at a seam has room
	// beside this. https://docs.slack.dev/reference/block-kit/blocks/markdown-block
	mostOfPart = 11_000
	// From so many on a message ends where a paragraph does.
	enoughForPart = 9_000
	// Beside a block there are words for those who don't see it, of which chat.update takes 4,000 characters: so many of
	// them have that when they are escaped.
	wordsOfEdit = 800
	// A text without blanks is sent anyway once it has so many bytes.
	longWord = 300
)

// noStreams are the words with which Slack says that there are no streams here.
var noStreams = []string{"channel_type_not_supported", "feature_disabled", "unknown_method", "not_allowed_token_type",
	"method_not_supported_for_channel_type", "enterprise_is_restricted", "not_authorized"}

// openLocked is the message that is being written; nil: there is none.
func (s *Stream) openLocked() *streamPart {
	if n := len(s.record.Parts); n > 0 && !s.record.Parts[n-1].Done {
		return s.record.Parts[n-1]
	}
	return nil
}

// sentLocked is how much of the text is in messages.
func (s *Stream) sentLocked() int {
	if n := len(s.record.Parts); n > 0 {
		return s.record.Parts[n-1].To
	}
	return 0
}

// flushLocked sends what can be sent; with all: all of it. What is in doubt is settled before anything else.
func (s *Stream) flushLocked(ctx context.Context, all bool) error {
	text := s.textNowLocked()
	for try := 0; ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if p := s.openLocked(); p != nil && (p.TS == "" || p.To < p.Next) {
			if err := s.u.patience(ctx, s.settleLocked(ctx, p), &try); err != nil {
				return err
			}
			continue
		}

		to, full := s.nextLocked(text, all)
		more := to > s.sentLocked() || s.stale
		if more {
			if err := s.putLocked(ctx, text, to, &try); err != nil {
				return err
			}
			if s.sentLocked() < to || s.stale {
				continue // it was not taken, or nobody knows
			}
		}

		if full {
			s.endPartLocked(ctx, s.openLocked())
		}
		if !full || !more && !all {
			return s.rememberLocked(ctx, text)
		}
	}
}

// textNowLocked notes that the text is sent now, and returns it.
func (s *Stream) textNowLocked() (text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent, s.pace = s.u.t.Now(), streamPace
	if s.record.Edited {
		s.pace = updatePace
	}
	return s.text
}

// nextLocked is up to where the text is sent next, and whether the message ends there.
func (s *Stream) nextLocked(text string, all bool) (to int, full bool) {
	p := s.openLocked()
	to, full = cut(p, text, s.sentLocked(), all)
	if p != nil && s.agedLocked(p) && !(s.closing && to == len(text)) { // what is left fits
		full = true
	}
	return to, full
}

// rememberLocked keeps what was written and not sent.
func (s *Stream) rememberLocked(ctx context.Context, text string) error {
	if s.record.Text == text {
		return nil
	}
	s.record.Text = text
	return s.u.keepLocked(ctx)
}

// agedLocked reports whether Slack is about to end a message that is being written.
func (s *Stream) agedLocked(p *streamPart) bool {
	return !s.record.Edited && s.u.t.Now().Sub(time.UnixMicro(p.At)) >= streamAge
}

// cut is up to where the text is sent now, from from on, and whether the message p is full then. Slack may lose blanks
// at the beginning of what it is sent, so that is never one: the last word waits for what comes behind it.
func cut(p *streamPart, text string, from int, all bool) (to int, full bool) {
	rest := text[from:]
	used := 0
	if p != nil {
		used = utf8.RuneCountInString(p.Head + text[p.From:p.To])
	}

	to = len(text)
	if !all {
		to = from + wordStart(rest)
	}
	if room := mostOfPart - used; utf8.RuneCountInString(text[from:to]) > room {
		limit := from + bytesOf(rest, max(room, 0))
		if to = from + seam(text[from:limit]); to == from && used == 0 {
			to = limit // one long word
		}
		return to, true
	}
	if room := enoughForPart - used; room < utf8.RuneCountInString(text[from:to]) || room < 0 {
		least := from + bytesOf(rest, max(room, 0))
		if end := strings.Index(text[least:to], "\n\n"); end >= 0 && openFence(text[:least+end]) == "" {
			end = least + end
			for end < to && strings.ContainsRune(" \t\r\n", rune(text[end])) {
				end++
			}
			return end, true
		}
	}
	return to, false
}

// wordStart is where the last word of s begins that has letters before it, or 0. A text without blanks is cut before
// its last letter once it is long.
func wordStart(s string) int {
	letters := strings.IndexFunc(s, isLetter)
	if letters < 0 {
		return 0
	}
	for end := len(s); end > letters; {
		r, size := utf8.DecodeLastRuneInString(s[:end])
		if end -= size; !unicode.IsSpace(r) {
			if before, _ := utf8.DecodeLastRuneInString(s[:end]); unicode.IsSpace(before) && end > letters {
				return end
			}
		}
	}

	if len(s) > longWord {
		_, size := utf8.DecodeLastRuneInString(s)
		if last := strings.TrimRightFunc(s, unicode.IsSpace); len(last) == len(s) && utf8.ValidString(s) {
			return len(s) - size
		}
	}
	return 0
}

func isLetter(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// bytesOf is how many bytes the first n characters of s have.
func bytesOf(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

// seam is where s is best cut: behind its last paragraph, line or word, in that order; 0: nowhere.
func seam(s string) int {
	for _, mark := range []string{"\n\n", "\n", " "} {
		if at := strings.LastIndex(s, mark); at > len(s)/2 || mark == " " && at > 0 {
			return at + len(mark)
		}
	}
	return 0
}

// openFence is the line that opened the code in which a text ends; "" if it ends outside.
func openFence(text string) (open string) {
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		mark := trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "`"))]
		if strings.HasPrefix(trimmed, "~~~") {
			mark = trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "~"))]
		}
		switch {
		case len(mark) < 3:
		case open == "":
			open = trimmed
		case strings.HasPrefix(open, mark) && trimmed == mark:
			open = ""
		}
	}
	return open
}

// opening is what opens the code again in which a text ends.
func opening(text string) string {
	if open := openFence(text); open != "" {
		return open + "\n"
	}
	return ""
}

// closing is what closes the code in which a text ends, with the line break that it needs.
func closing(text string) string {
	open := openFence(text)
	if open == "" {
		return ""
	}
	fence := open[:len(open)-len(strings.TrimLeft(open, open[:1]))]
	if !strings.HasSuffix(text, "\n") {
		fence = "\n" + fence
	}
	return fence
}

// beginLocked opens a message without text, for what is no text. Where messages are changed it is posted with what it
// is to show.
func (s *Stream) beginLocked(ctx context.Context) error {
	if s.record.Edited {
		s.newPartLocked(s.record.Text)
		return s.u.keepLocked(ctx)
	}

	try := 0
	if err := s.putLocked(ctx, s.record.Text, s.sentLocked(), &try); err != nil {
		return err
	}
	for p := s.openLocked(); p != nil && p.TS == ""; p = s.openLocked() {
		if err := s.settleLocked(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// newPartLocked is a message that goes on behind what is in the others.
func (s *Stream) newPartLocked(text string) *streamPart {
	from := s.sentLocked()
	p := &streamPart{From: from, To: from, Next: from, At: s.u.t.Now().UnixMicro()}
	n := len(s.record.Parts)
	if n > 0 {
		last := s.record.Parts[n-1]
		p.Head = opening(last.Head + text[last.From:last.To])
	}
	s.record.Parts = append(s.record.Parts, p)
	s.carryLocked(n, from)
	return p
}

// putLocked sends the text up to to, in the message that is open or in a new one. That it was not taken is no error if
// it can be sent again; that its answer was lost is none either: then the message is in doubt.
func (s *Stream) putLocked(ctx context.Context, text string, to int, try *int) error {
	p := s.openLocked()
	if p == nil {
		p = s.newPartLocked(text)
	}
	s.record.Text, p.Next = text, to
	if err := s.u.keepLocked(ctx); err != nil {
		s.withdrawLocked(p)
		return err
	}

	err := s.call(ctx, p)
	switch code := slackapi.SlackError(err); {
	case err == nil:
		p.To, *try, s.stale = p.Next, 0, false
		if !s.record.Edited {
			s.u.showed(SessionProcessing, s.u.t.Now()) // which the start of a stream does
		}
		return nil
	case p.TS == "" && !s.record.Edited && slices.Contains(noStreams, code):
		s.record.Edited, s.stale = true, len(s.record.Tasks) > 0
		s.withdrawLocked(p)
		return nil
	case streamEnded(err) && p.TS != "":
		p.Next, p.Done = p.To, true
		return nil
	case !slackapi.MaybeDone(err):
		s.withdrawLocked(p)
	}
	return s.u.patience(ctx, err, try)
}

// withdrawLocked takes back a call that was not made or not taken.
func (s *Stream) withdrawLocked(p *streamPart) {
	if p.Next = p.To; p.TS == "" {
		s.record.Parts = s.record.Parts[:len(s.record.Parts)-1]
	}
}

// call makes the call that brings a message from To to Next.
func (s *Stream) call(ctx context.Context, p *streamPart) (err error) {
	t := s.u.t
	switch text := s.record.Text; {
	case s.record.Edited:
		return s.edit(ctx, p, nil)
	case p.TS == "":
		chunks := []slack.StreamChunk{}
		if first := p.Head + text[p.From:p.Next]; first != "" {
			chunks = append(chunks, slack.NewMarkdownTextChunk(first))
		}
		chunks = append(chunks, s.openChunksLocked(slices.Index(s.record.Parts, p))...)

		options := []slack.MsgOption{
			slack.MsgOptionTS(t.ThreadTS), slack.MsgOptionRecipientUserID(t.UserID),
			slack.MsgOptionRecipientTeamID(cmp.Or(t.UserTeam, t.TeamID)),
		}
		if len(chunks) > 0 {
			options = append(options, slack.MsgOptionChunks(chunks...))
		}
		if s.plan {
			options = append(options, slack.MsgOptionTaskDisplayMode(slack.TaskDisplayModePlan))
		}
		_, ts, err := t.Client.StartStreamContext(ctx, t.ChannelID, options...)
		if err == nil {
			p.TS = ts
		}
		return err
	default:
		_, _, err = t.Client.AppendStreamContext(ctx, t.ChannelID, p.TS, slack.MsgOptionMarkdownText(text[p.To:p.Next]))
		return err
	}
}

// edit posts a message, or makes one what it is to be by Next: its text and tasks, and blocks behind them.
func (s *Stream) edit(ctx context.Context, p *streamPart, blocks []slack.Block) error {
	t := s.u.t
	md := s.markdownLocked(p)
	words := mrkdwn.Escape(markdown.Text(md, wordsOfEdit, tasksIn(t.lang())))
	all := blocks
	if md != "" {
		all = append([]slack.Block{slack.NewMarkdownBlock("", md)}, blocks...)
	}
	if len(all) == 0 { // and it shows nothing
		return nil
	}
	options := []slack.MsgOption{
		slack.MsgOptionText(cmp.Or(words, Reply{}.textOf(t.lang(), blocks)), false), slack.MsgOptionBlocks(all...),
	}

	if p.TS != "" {
		_, _, _, err := t.Client.UpdateMessageContext(ctx, t.ChannelID, p.TS, options...)
		return err
	}
	meta := slack.SlackMetadata{EventType: metadataType, EventPayload: map[string]any{"key": s.key(p)}}
	options = append(options, slack.MsgOptionTS(t.ThreadTS), slack.MsgOptionMetadata(meta),
		slack.MsgOptionDisableLinkUnfurl())
	_, ts, err := t.Client.PostMessageContext(ctx, t.ChannelID, options...)
	if err == nil {
		p.TS = ts
	}
	return err
}

// stopCall ends a stream.
func (s *Stream) stopCall(ctx context.Context, p *streamPart, status SessionStatus, md string,
	blocks []slack.Block) error {
	options := []slack.MsgOption{
		slack.UnsafeMsgOptionEndpoint("", func(v url.Values) { v.Set("session_status", string(status)) }),
		slack.MsgOptionStopStream(p.TS),
	}
	if md != "" {
		options = append(options, slack.MsgOptionMarkdownText(md))
	}
	if len(blocks) > 0 {
		options = append(options, slack.MsgOptionBlocks(blocks...))
	}
	_, _, _, err := s.u.t.Client.SendMessageContext(ctx, s.u.t.ChannelID, options...)
	if err == nil {
		s.u.showed(status, s.u.t.Now())
	}
	return err
}

// endPartLocked ends a message behind which there is another one. If Slack doesn't hear of it, it ends it by itself.
func (s *Stream) endPartLocked(ctx context.Context, p *streamPart) {
	if !s.record.Edited {
		foot := closing(p.Head + s.record.Text[p.From:p.To])
		if err := s.stopCall(ctx, p, SessionProcessing, foot, nil); err != nil && !streamEnded(err) {
			s.u.t.Log.InfoContext(ctx, "end a message of an answer", "slack_error", slackapi.SlackError(err))
		}
	}
	p.Done = true
}

// endLocked ends the last message, with blocks.
func (s *Stream) endLocked(ctx context.Context, blocks []slack.Block) error {
	for len(s.record.Parts) == 0 {
		if len(blocks) == 0 {
			return nil
		}
		if err := s.beginLocked(ctx); err != nil {
			return err
		}
	}

	p := s.record.Parts[len(s.record.Parts)-1]
	for try, lost := 0, false; ; {
		streams := !s.record.Edited && !p.Done
		err := s.endCall(ctx, p, streams, blocks)
		switch {
		case err == nil:
			p.Done = true
			return nil
		case streamEnded(err) && streams:
			// Slack ended it, or has done what was asked of it before.
			p.Done = true
			if lost && s.hasBlocks(ctx, p, blocks) {
				return nil
			}
			continue
		case streamEnded(err): // somebody deleted it
			return nil
		}

		lost = lost || slackapi.MaybeDone(err)
		if err := s.u.patience(ctx, err, &try); err != nil {
			return err
		}
	}
}

// endCall makes the call that ends a message with blocks, if it takes one. streams: Slack has not ended it.
func (s *Stream) endCall(ctx context.Context, p *streamPart, streams bool, blocks []slack.Block) error {
	switch {
	case streams:
		foot := closing(p.Head + s.record.Text[p.From:p.To])
		return s.stopCall(ctx, p, s.u.leftAs(), foot, blocks)
	case len(blocks) > 0:
		if p.TS == "" { // it may be there, and the answer was lost
			p.TS = s.u.t.find(ctx, s.key(p))
		}
		return s.edit(ctx, p, blocks)
	}
	return nil
}

// hasBlocks reports whether a message ends with blocks like these.
func (s *Stream) hasBlocks(ctx context.Context, p *streamPart, blocks []slack.Block) bool {
	messages, err := s.read(ctx, p.TS)
	if err != nil || len(blocks) == 0 {
		return false
	}
	for _, m := range messages {
		if n := len(m.Blocks.BlockSet) - len(blocks); m.Timestamp == p.TS && n >= 0 {
			return slices.EqualFunc(m.Blocks.BlockSet[n:], blocks, func(a, b slack.Block) bool {
				return a.BlockType() == b.BlockType()
			})
		}
	}
	return false
}

// settleLocked finds out what became of a call whose answer is not known: by what stands in the thread or, where that
// doesn't tell, by putting the whole text in its place.
func (s *Stream) settleLocked(ctx context.Context, p *streamPart) error {
	t := s.u.t
	if s.record.Edited {
		if p.TS == "" {
			if p.TS = t.find(ctx, s.key(p)); p.TS == "" {
				s.withdrawLocked(p)
				return nil
			}
		}
		p.Next = p.To // it is made what it is to be by the next change
		return nil
	}

	var messages []slack.Message
	err := errors.New("the conversation can't be read")
	if need, known := historyScope[t.ChannelID[0]]; known && anyOf(need, t.Connection.Scopes) {
		messages, err = s.read(ctx, cmp.Or(p.TS, max(t.TS, slackTime(time.UnixMicro(p.At).Add(-time.Minute)))))
	}
	if err != nil && (ctx.Err() != nil || p.TS == "" && classOf(err) == wait) {
		return err
	}

	text := s.record.Text
	after := p.Head + text[p.From:p.Next]
	if p.TS == "" {
		i := slices.IndexFunc(messages, func(m slack.Message) bool { return s.mayBe(m, after) })
		if i < 0 {
			s.withdrawLocked(p)
			return nil
		}
		p.TS, p.To = messages[i].Timestamp, p.Next
		return nil
	}

	i := slices.IndexFunc(messages, func(m slack.Message) bool { return m.Timestamp == p.TS })
	if i < 0 {
		return s.replaceLocked(ctx, p)
	}
	switch before := p.Head + text[p.From:p.To]; arrival(s.u.t.lang(), messages[i].Text, before, after) {
	case arrived:
		p.To = p.Next
	case missed:
		p.Next = p.To
	default:
		return s.replaceLocked(ctx, p)
	}
	return nil
}

// read reads the thread from a message on.
func (s *Stream) read(ctx context.Context, from string) ([]slack.Message, error) {
	if at, err := strconv.ParseInt(strings.Replace(from, ".", "", 1), 10, 64); err == nil {
		from = slackTime(time.UnixMicro(at - 1)) // a message at the time itself is left out
	}
	messages, _, _, err := s.u.t.Client.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{
		ChannelID: s.u.t.ChannelID, Timestamp: s.u.t.ThreadTS, Oldest: from, Limit: sayPage})
	return messages, err
}

// mayBe reports whether a message is one that was begun with this text, and of which nothing is known yet.
func (s *Stream) mayBe(m slack.Message, text string) bool {
	c := s.u.t.Connection
	if m.Timestamp <= s.u.t.TS || (c.BotUserID == "" || m.User != c.BotUserID) && (c.BotID == "" || m.BotID != c.BotID) {
		return false
	}
	for _, r := range s.u.state.Streams {
		if slices.ContainsFunc(r.Parts, func(p *streamPart) bool { return p.TS == m.Timestamp }) {
			return false
		}
	}
	if slices.Contains(s.u.t.said.delivery().Said, m.Timestamp) {
		return false
	}

	shown, want := lettersShown(m.Text), lettersOf(s.u.t.lang(), text)
	same := 0
	for same < min(len(shown), len(want)) && shown[same] == want[same] {
		same++
	}
	return arrival(s.u.t.lang(), m.Text, "", text) == arrived || want != "" && same > len(want)/2
}

// replaceLocked makes a message what it is to be, and ends it.
func (s *Stream) replaceLocked(ctx context.Context, p *streamPart) error {
	if err := s.stopCall(ctx, p, SessionProcessing, "", nil); err != nil && !streamEnded(err) {
		return err
	}
	if err := s.edit(ctx, p, nil); err != nil && !streamEnded(err) {
		return err
	}
	p.To, p.Done = p.Next, true
	return nil
}

// What a message tells of the call that was to add something to it.
const (
	unknown = iota
	arrived
	missed
)

// arrival compares what a message shows with what it was given before a call and would have been given by it. Slack
// shows no Markdown but what it made of it, so letters are compared, and of those the last ones.
func arrival(lang *words.Sentences, shown, before, after string) int {
	s, b, a := lettersShown(shown), lettersOf(lang, before), lettersOf(lang, after)
	isBefore, isAfter := endsLike(s, b), endsLike(s, a)
	switch {
	case isAfter && !isBefore:
		return arrived
	case isBefore && !isAfter:
		return missed
	}
	return unknown
}

// endsLike reports whether two texts end with the same letters, and are about as long.
func endsLike(s, like string) bool {
	const last = 40
	if like == "" {
		return s == ""
	}
	off := len(s) - len(like)
	return strings.HasSuffix(s, like[max(0, len(like)-last):]) && max(off, -off) <= 8+len(like)/10
}

// lettersOf are the letters and digits of a Markdown text.
func lettersOf(lang *words.Sentences, md string) string {
	return letters(markdown.Text(md, len(md)+1000, tasksIn(lang)))
}

// lettersShown are those of a message.
func lettersShown(text string) string {
	var out strings.Builder
	for text != "" {
		before, rest, found := strings.Cut(text, "<")
		out.WriteString(before)
		link, behind, closed := strings.Cut(rest, ">")
		if !found || !closed {
			out.WriteString(rest)
			break
		}
		if _, label, named := strings.Cut(link, "|"); named {
			link = label
		}
		out.WriteString(link)
		text = behind
	}
	return letters(strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(out.String()))
}

func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if isLetter(r) {
			return r
		}
		return -1
	}, s)
}
