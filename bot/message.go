package bot

// A Reply as messages: as many as Slack's limits make of it, each with words for those who don't see its blocks.

import (
	"encoding/json"
	"html"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/markdown"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/words"
)

const (
	// Slack takes 40,000 characters of text in a new message, recommends 4,000, and takes no more of a changed one.
	// https://docs.slack.dev/reference/methods/chat.update
	maxMessageText = 4_000
	// https://docs.slack.dev/reference/block-kit/blocks
	maxMessageBlocks = 50
)

// parts are the messages that r is. Each has a text, and of text, Markdown and blocks what Slack takes in one message.
// What is said of the whole (replace, Metadata, AlsoInChannel) is said of the first.
func (r Reply) parts(lang *words.Sentences) []Reply {
	var parts []Reply
	if groups := r.groups(); len(groups) > 0 {
		for i, blocks := range groups {
			text := mrkdwn.Cut(r.Text, maxMessageText)
			if i > 0 || text == "" {
				text = r.textOf(lang, blocks)
			}
			parts = append(parts, Reply{Blocks: blocks, Text: text})
		}
	} else {
		for _, text := range mrkdwn.Split(r.Text, maxMessageText) {
			parts = append(parts, Reply{Text: text})
		}
	}

	for i := range parts {
		p := &parts[i]
		p.InChannel, p.Unfurl, p.Username, p.Icon, p.private = r.InChannel, r.Unfurl, r.Username, r.Icon, r.private
		if i == 0 {
			p.replace, p.Metadata, p.AlsoInChannel = r.replace, r.Metadata, r.AlsoInChannel
		}
	}
	return parts
}

// groups are r's blocks by the messages that take them: 50 in each, with 12,000 characters of Markdown.
func (r Reply) groups() (groups [][]slack.Block) {
	var group []slack.Block
	room := markdown.Most
	for _, b := range r.messageBlocks() {
		size := 0
		if md, ok := b.(*slack.MarkdownBlock); ok {
			size = utf8.RuneCountInString(md.Text)
		}
		if len(group) == maxMessageBlocks || size > room {
			groups, group, room = append(groups, group), nil, markdown.Most
		}
		group, room = append(group, b), room-size
	}
	if len(group) > 0 {
		groups = append(groups, group)
	}
	return groups
}

// messageBlocks are r's blocks for a message: its Markdown, in pages, and behind it Blocks.
func (r Reply) messageBlocks() (blocks []slack.Block) {
	if r.saysMarkdown() {
		for _, page := range markdown.Pages(markdown.Harmless(r.Markdown, r.Mentions), markdown.Most) {
			blocks = append(blocks, slack.NewMarkdownBlock("", page))
		}
	}

	for _, b := range r.Blocks {
		md, ok := b.(*slack.MarkdownBlock)
		if !ok || utf8.RuneCountInString(md.Text) <= markdown.Most {
			blocks = append(blocks, b)
			continue
		}
		for _, page := range markdown.Pages(md.Text, markdown.Most) {
			blocks = append(blocks, slack.NewMarkdownBlock("", page))
		}
	}
	return blocks
}

// viewBlocks are r's blocks for a modal or the Home tab, where Slack takes no markdown block.
// https://docs.slack.dev/reference/block-kit/blocks/markdown-block
func (r Reply) viewBlocks(lang *words.Sentences) (blocks []slack.Block) {
	if r.saysMarkdown() {
		blocks = markdown.Blocks(r.Markdown, maxViewBlocks, r.Mentions, lang.Say("bot.spoken.goes_on"))
	}
	for _, b := range r.Blocks {
		if md, ok := b.(*slack.MarkdownBlock); ok {
			blocks = append(blocks, markdown.Blocks(md.Text, maxViewBlocks, nil, lang.Say("bot.spoken.goes_on"))...)
		} else {
			blocks = append(blocks, b)
		}
	}
	if len(blocks) > 0 {
		return blocks[:min(len(blocks), maxViewBlocks)]
	}

	for _, text := range mrkdwn.Split(r.Text, mrkdwn.MaxText) {
		blocks = append(blocks, mrkdwn.Section(text))
	}
	return blocks[:min(len(blocks), maxViewBlocks)]
}

// textOf is what blocks say, in sentences, for notifications and for screen readers, which read nothing else.
func (r Reply) textOf(lang *words.Sentences, blocks []slack.Block) string {
	body, err := encode(blocks)
	if err != nil {
		return "" // who sends them says so
	}
	var read []any
	if json.Unmarshal(body, &read) != nil {
		return ""
	}

	w := wording{lang: lang}
	for _, b := range read {
		w.block(b)
	}
	text := strings.Join(w.said, " ")
	for _, id := range r.Mentions {
		text = strings.ReplaceAll(text, "&lt;@"+id+"&gt;", "<@"+id+">")
	}

	switch {
	case text != "":
		return mrkdwn.Cut(text, maxMessageText)
	case len(w.choices) > 0:
		choices := w.choices[0]
		for _, next := range w.choices[1:] {
			choices = lang.Say("bot.spoken.choice", "before", choices, "next", next)
		}
		return mrkdwn.Cut(lang.Say("bot.spoken.choices", "choices", choices), maxMessageText)
	}
	return lang.Say("bot.spoken.nothing")
}

// tasksIn says the items of a task list.
func tasksIn(lang *words.Sentences) func(done bool, task string) string {
	return func(done bool, task string) string {
		if done {
			return lang.Say("bot.spoken.task_done", "task", task)
		}
		return lang.Say("bot.spoken.task_open", "task", task)
	}
}

// wording collects what blocks say.
type wording struct {
	lang    *words.Sentences
	said    []string // sentences, in mrkdwn
	choices []string // the words of buttons
}

// worded are the fields of blocks and elements that people read, in their order.
// https://docs.slack.dev/reference/block-kit/blocks
var worded = []string{"label", "title", "rich_text_title", "subtitle", "caption", "body", "text", "fields", "rows",
	"elements", "element", "accessory", "child_blocks", "cards", "tasks", "details", "output", "alt_text", "hint"}

// block takes in what a block or an element says.
func (w *wording) block(v any) {
	switch v := v.(type) {
	case string:
		w.sentence(mrkdwn.Escape(v))
	case []any:
		for _, e := range v {
			w.block(e)
		}
	case map[string]any:
		switch kind := text(v["type"]); kind {
		case "mrkdwn":
			w.sentence(text(v["text"]))
		case "markdown":
			w.sentence(mrkdwn.Escape(markdown.Text(text(v["text"]), maxMessageText, tasksIn(w.lang))))
		case "plain_text", "raw_text":
			w.sentence(mrkdwn.Escape(text(v["text"])))
		case "rich_text_section", "rich_text_quote", "rich_text_preformatted":
			w.sentence(runOf(v["elements"]))
		case "button", "workflow_button", "feedback_buttons", "icon_button":
			if words, ok := v["text"].(map[string]any); ok {
				w.choices = append(w.choices, mrkdwn.Escape(text(words["text"])))
			}
		default:
			if _, input := v["action_id"]; input && v["label"] == nil { // a menu: what can be chosen is not said
				return
			}
			for _, field := range worded {
				w.block(v[field])
			}
		}
	}
}

// sentence takes in what is said, with a full stop where it has none.
func (w *wording) sentence(s string) {
	s = strings.Join(strings.Fields(s), " ")
	if s == "" {
		return
	}
	plain := strings.TrimRight(html.UnescapeString(s), "*_~`\"')")
	if last, _ := utf8.DecodeLastRuneInString(plain); !strings.ContainsRune(".,:;!?…。！？", last) {
		s += "."
	}
	w.said = append(w.said, s)
}

// runOf is what the elements of a line of rich text say together.
func runOf(elements any) string {
	list, _ := elements.([]any)
	var s strings.Builder
	for _, e := range list {
		m, _ := e.(map[string]any)
		switch text(m["type"]) {
		case "user":
			s.WriteString("<@" + text(m["user_id"]) + ">")
		case "channel":
			s.WriteString("<#" + text(m["channel_id"]) + ">")
		case "usergroup":
			s.WriteString("<!subteam^" + text(m["usergroup_id"]) + ">")
		case "broadcast":
			s.WriteString("<!" + text(m["range"]) + ">")
		case "emoji":
			s.WriteString(":" + text(m["name"]) + ":")
		case "date":
			s.WriteString(mrkdwn.Escape(text(m["fallback"])))
		case "link":
			says := text(m["text"])
			if says == "" {
				says = text(m["url"])
			}
			s.WriteString(mrkdwn.Escape(says))
		default:
			s.WriteString(mrkdwn.Escape(text(m["text"])))
		}
	}
	return s.String()
}

// posted is a part as a message that is posted, in a thread; "": in none.
func (r Reply) posted(thread string) []slack.MsgOption {
	options := []slack.MsgOption{slack.MsgOptionText(r.Text, false)}
	if r.Unfurl {
		options = append(options, slack.MsgOptionEnableLinkUnfurl())
	} else {
		options = append(options, slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl())
	}
	if len(r.Blocks) > 0 {
		options = append(options, slack.MsgOptionBlocks(r.Blocks...))
	}
	if thread != "" {
		options = append(options, slack.MsgOptionTS(thread))
	}
	return options
}

// forEverybody is posted with what only a message takes that everybody reads. named: the app may take another name.
func (r Reply) forEverybody(thread string, named bool) []slack.MsgOption {
	options := r.posted(thread)
	if thread != "" && r.AlsoInChannel {
		options = append(options, slack.MsgOptionBroadcast())
	}
	if named && r.Username != "" {
		options = append(options, slack.MsgOptionUsername(r.Username))
	}
	switch {
	case !named || r.Icon == "":
	case strings.HasPrefix(r.Icon, ":"):
		options = append(options, slack.MsgOptionIconEmoji(r.Icon))
	default:
		options = append(options, slack.MsgOptionIconURL(r.Icon))
	}
	return options
}

// message is a part as Slack reads it in a command's response and at a response_url.
// https://docs.slack.dev/interactivity/handling-user-interaction
type message struct {
	ResponseType    string        `json:"response_type,omitempty"`
	Text            string        `json:"text"`
	Blocks          []slack.Block `json:"blocks,omitempty"`
	ReplaceOriginal *bool         `json:"replace_original,omitempty"`
	ThreadTS        string        `json:"thread_ts,omitempty"`
	UnfurlLinks     bool          `json:"unfurl_links"`
	UnfurlMedia     bool          `json:"unfurl_media"`
}

// message is a part for a response_url, in a thread of its conversation if there is one: Slack doesn't put it there by
// itself.
func (r Reply) message(replace bool, thread string) message {
	m := message{Text: r.Text, Blocks: r.Blocks, ReplaceOriginal: &replace, ThreadTS: thread,
		UnfurlLinks: r.Unfurl, UnfurlMedia: r.Unfurl}
	switch {
	case replace: // what is replaced keeps its kind and its place
		m.ThreadTS = ""
	case r.InChannel && !r.private:
		m.ResponseType = "in_channel"
	default:
		m.ResponseType = "ephemeral"
	}
	return m
}

// withKey is metadata with what Say finds the message by, beside what the app itself keeps there.
func withKey(own *slack.SlackMetadata, key string) slack.SlackMetadata {
	if own == nil {
		return slack.SlackMetadata{EventType: metadataType, EventPayload: map[string]any{"key": key}}
	}
	both := map[string]any{metadataType: key}
	for name, v := range own.EventPayload {
		both[name] = v
	}
	return slack.SlackMetadata{EventType: own.EventType, EventPayload: both}
}

// hasKey reports whether a message was posted under key.
func hasKey(m slack.SlackMetadata, key string) bool {
	return m.EventType == metadataType && m.EventPayload["key"] == key || m.EventPayload[metadataType] == key
}

// each calls post with each part of r, up to the first error.
func (r Reply) each(lang *words.Sentences, post func(part Reply) error) error {
	for _, part := range r.parts(lang) {
		if err := post(part); err != nil {
			return err
		}
	}
	return nil
}

// messages reports how many messages r is.
func (r Reply) messages() int {
	if !r.saysMarkdown() && len(r.Blocks) <= 1 && len(r.Text) <= maxMessageText {
		return min(1, len(r.Blocks)+len(r.Text))
	}
	return len(r.parts(nil))
}

func (r Reply) saysMarkdown() bool {
	return strings.TrimSpace(r.Markdown) != ""
}
