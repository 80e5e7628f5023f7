package blockkit

// Markdown as Slack keeps it: whoever reads a message back that was sent as Markdown gets rich_text, and a text in
// Slack's own notation. Neither is what was sent, so an app that compares must not compare with that.
// docs.slack.dev/messaging/formatting-message-text, docs.slack.dev/reference/block-kit/blocks/rich-text-block

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Markdown converts it. block has no elements where there is nothing to show. What is half written, as in a stream,
// stays as it is: two asterisks without their match are two asterisks. Tables are left as they are, too: see
// MarkdownBlocks.
func Markdown(md string) (block Object, text string) {
	d := &document{}
	if md != "" {
		for lines := strings.Split(md, "\n"); len(lines) > 0; {
			lines = d.take(lines)
		}
	}
	d.close()
	return Object{"type": "rich_text", "elements": d.elements}, strings.Join(d.text, "\n")
}

// document is Markdown while it is read.
type document struct {
	elements []any
	text     []string

	kind  string // what the lines are that were read last: "", section, quote, bullet or ordered
	spans []span // of an open section or quote
	items []any  // of an open list
}

var (
	heading  = regexp.MustCompile(`^#{1,6} +(.*)$`)
	bullet   = regexp.MustCompile(`^ {0,3}[-*+] +(.*)$`)
	numbered = regexp.MustCompile(`^ {0,3}(\d{1,9}[.)]) +(.*)$`)
	quoted   = regexp.MustCompile(`^> ?(.*)$`)
)

// take reads one line, or several that belong together, and returns the rest.
func (d *document) take(lines []string) (rest []string) {
	line, rest := lines[0], lines[1:]
	if strings.HasPrefix(line, "```") {
		return d.fence(rest)
	}

	if m := bullet.FindStringSubmatch(line); m != nil {
		d.item("bullet", "• ", m[1])
	} else if m := numbered.FindStringSubmatch(line); m != nil {
		d.item("ordered", m[1]+" ", m[2])
	} else if m := quoted.FindStringSubmatch(line); m != nil {
		d.prose("quote", "&gt; ", inline(m[1], style{}))
	} else if m := heading.FindStringSubmatch(line); m != nil {
		d.prose("section", "", inline(m[1], style{bold: true}))
	} else {
		d.prose("section", "", inline(line, style{}))
	}
	return rest
}

// fence reads code up to the line that ends it, or to the end.
func (d *document) fence(lines []string) (rest []string) {
	d.close()
	end := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "```") })
	code, rest := lines, nil
	if end >= 0 {
		code, rest = lines[:end], lines[end+1:]
	}
	words := strings.Join(code, "\n")
	inside := []any{}
	if words != "" {
		inside = append(inside, Object{"type": "text", "text": words})
	}
	d.elements = append(d.elements, Object{"type": "rich_text_preformatted", "elements": inside})
	d.text = append(d.text, "```\n"+Escape(words)+"\n```")
	return rest
}

func (d *document) item(kind, mark, md string) {
	d.become(kind)
	spans := inline(md, style{})
	d.items = append(d.items, Object{"type": "rich_text_section", "elements": objects(spans)})
	d.text = append(d.text, mark+notation(spans))
}

func (d *document) prose(kind, mark string, spans []span) {
	if d.kind == kind {
		d.spans = join(d.spans, span{text: "\n"})
	}
	d.become(kind)
	d.spans = join(d.spans, spans...)
	d.text = append(d.text, mark+notation(spans))
}

func (d *document) become(kind string) {
	if d.kind != kind {
		d.close()
		d.kind = kind
	}
}

// close ends what is open.
func (d *document) close() {
	switch {
	case len(d.items) > 0:
		d.elements = append(d.elements, Object{"type": "rich_text_list", "style": d.kind, "indent": 0,
			"elements": d.items})
	case len(d.spans) > 0:
		d.elements = append(d.elements, Object{"type": "rich_text_" + d.kind, "elements": objects(d.spans)})
	}
	d.kind, d.items, d.spans = "", nil, nil
}

// style is how a span is written.
type style struct{ bold, italic, strike, code bool }

// span is text of one style, a link, or somebody who is mentioned.
type span struct {
	text, link, user, channel string
	style
}

func (s span) object() Object {
	o := Object{"type": "text", "text": s.text}
	switch {
	case s.user != "":
		return Object{"type": "user", "user_id": s.user}
	case s.channel != "":
		return Object{"type": "channel", "channel_id": s.channel}
	case s.link != "":
		o = Object{"type": "link", "url": s.link, "text": s.text}
	}
	st := Object{}
	for k, on := range map[string]bool{"bold": s.bold, "italic": s.italic, "strike": s.strike, "code": s.code} {
		if on {
			st[k] = true
		}
	}
	if len(st) > 0 {
		o["style"] = st
	}
	return o
}

func objects(spans []span) []any {
	out := []any{} // also of an empty line
	for _, s := range spans {
		out = append(out, s.object())
	}
	return out
}

// notation is what the text of a message says.
func notation(spans []span) string {
	var b strings.Builder
	for _, s := range spans {
		t := Escape(s.text)
		switch {
		case s.user != "":
			t = "<@" + s.user + ">"
		case s.channel != "":
			t = "<#" + s.channel + ">"
		case s.link != "":
			t = "<" + s.link + "|" + t + ">"
		}
		for _, mark := range []struct {
			on   bool
			with string
		}{{s.code, "`"}, {s.strike, "~"}, {s.italic, "_"}, {s.bold, "*"}} {
			if mark.on {
				t = mark.with + t + mark.with
			}
		}
		b.WriteString(t)
	}
	return b.String()
}

var (
	codeSpan = regexp.MustCompile("^`([^`]+)`")
	linkSpan = regexp.MustCompile(`^\[([^\]\n]+)\]\(([^()\s]+)\)`)
	token    = regexp.MustCompile(`^<([@#][A-Z0-9]+|https?://[^<>\s|]+)>`)
)

// inline reads the spans of a line.
func inline(md string, st style) (out []span) {
	plain := 0 // where text begins that means itself
	for i := 0; i < len(md); {
		spans, n := spanAt(md, i, st)
		if n == 0 {
			_, n = utf8.DecodeRuneInString(md[i:])
			i += n
			continue
		}
		out = join(out, span{text: md[plain:i], style: st})
		out = join(out, spans...)
		i += n
		plain = i
	}
	return join(out, span{text: md[plain:], style: st})
}

// join appends spans, those of one style as one.
func join(out []span, more ...span) []span {
	for _, s := range more {
		n := len(out)
		switch {
		case s == span{style: s.style}:
		case n > 0 && out[n-1] == span{text: out[n-1].text, style: s.style} && s == span{text: s.text, style: s.style}:
			out[n-1].text += s.text
		default:
			out = append(out, s)
		}
	}
	return out
}

// spanAt reads what begins at i and means more than itself, and says how long it is.
func spanAt(md string, i int, st style) (spans []span, n int) {
	rest := md[i:]
	switch rest[0] {
	case '\\':
		if len(rest) > 1 && unicode.IsPunct(rune(rest[1])) {
			return []span{{text: rest[1:2], style: st}}, 2
		}
	case '`':
		if m := codeSpan.FindStringSubmatch(rest); m != nil {
			st.code = true
			return []span{{text: m[1], style: st}}, len(m[0])
		}
	case '[':
		if m := linkSpan.FindStringSubmatch(rest); m != nil {
			return []span{{text: m[1], link: m[2], style: st}}, len(m[0])
		}
	case '<':
		if m := token.FindStringSubmatch(rest); m != nil {
			return []span{mentioned(m[1])}, len(m[0])
		}
	case '*', '_', '~':
		return emphasis(md, i, st)
	}
	return nil, 0
}

func mentioned(word string) span {
	switch word[0] {
	case '@':
		return span{user: word[1:]}
	case '#':
		return span{channel: word[1:]}
	}
	return span{text: word, link: word}
}

// emphasis reads **bold**, *italic*, _italic_ and ~~struck~~ text.
func emphasis(md string, i int, st style) (spans []span, n int) {
	rest := md[i:]
	for _, mark := range []string{"**", "__", "~~", "*", "_"} {
		if !strings.HasPrefix(rest, mark) {
			continue
		}
		inner := rest[len(mark):]
		end := strings.Index(inner, mark)
		if end <= 0 || inner[0] == ' ' || inner[end-1] == ' ' {
			return nil, 0
		}
		after := inner[end+len(mark):]
		// snake_case_words are no emphasis.
		if mark == "_" && (i > 0 && isWord(md[i-1]) || after != "" && isWord(after[0])) {
			return nil, 0
		}

		switch mark {
		case "~~":
			st.strike = true
		case "*", "_":
			st.italic = true
		default:
			st.bold = true
		}
		return inline(inner[:end], st), 2*len(mark) + end
	}
	return nil, 0
}

func isWord(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
