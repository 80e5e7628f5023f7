package slacksim

// Slack's notation and Block Kit as HTML. Everything that comes from the app or a person passes through esc exactly
// once; the only tags are the ones written here.
// docs.slack.dev/messaging/formatting-message-text and /reference/block-kit

import (
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// names resolves what mentions point at and knows the reader's zone.
type names struct {
	user, channel func(id string) string // "" for unknown ids
	zone          *time.Location
	now           time.Time
	self          string // the reader, whose mentions stand out
}

func esc(t string) string { return html.EscapeString(t) }

var entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

// plain escapes text in Slack's notation: its three entities become characters first.
func plain(t string) string { return esc(entities.Replace(t)) }

// mrkdwn renders text in Slack's notation.
func (n names) mrkdwn(text string) template.HTML {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "```")
		code, after, closed := strings.Cut(rest, "```")
		if !ok || !closed || strings.TrimSpace(code) == "" {
			n.lines(&b, text)
			return template.HTML(b.String())
		}
		n.lines(&b, strings.TrimSuffix(before, "\n"))
		b.WriteString("<pre>" + n.bare(strings.Trim(code, "\n")) + "</pre>")
		text = strings.TrimPrefix(after, "\n")
	}
}

// lines renders line by line: quotes are grouped, all else is separated by breaks.
func (n names) lines(b *strings.Builder, text string) {
	if text == "" {
		return
	}
	quoting, first := false, true
	for line := range strings.SplitSeq(text, "\n") {
		q, isQuote := strings.CutPrefix(line, "&gt;")
		if !isQuote {
			q, isQuote = strings.CutPrefix(line, ">")
		}
		switch {
		case isQuote && !quoting:
			b.WriteString("<blockquote>")
		case !isQuote && quoting:
			b.WriteString("</blockquote>")
		case !first:
			b.WriteString("<br>")
		}
		quoting, first = isQuote, false
		if isQuote {
			line = strings.TrimPrefix(q, " ")
		}
		n.inline(b, line, 0)
	}
	if quoting {
		b.WriteString("</blockquote>")
	}
}

// bare is text without emphasis, as in code: links and mentions become their words.
func (n names) bare(t string) string {
	var b strings.Builder
	start := 0
	for i := 0; i < len(t); i++ {
		if j := tokenLen(t[i:]); j > 0 {
			b.WriteString(plain(t[start:i]))
			_, words := n.token(t[i+1 : i+j])
			b.WriteString(words)
			i += j
			start = i + 1
		}
	}
	b.WriteString(plain(t[start:]))
	return b.String()
}

// tokenLen is where the > of a token at the start of t stands, or 0. A bare < before another < is no token.
func tokenLen(t string) int {
	if t[0] != '<' {
		return 0
	}
	if j := strings.IndexAny(t[1:], "<>"); j > 0 && t[1+j] == '>' {
		return 1 + j
	}
	return 0
}

var emphasis = map[byte]string{'*': "strong", '_': "em", '~': "s"}

func (n names) inline(b *strings.Builder, t string, depth int) {
	start := 0 // of plain text not yet written
	flush := func(end int) { b.WriteString(plain(t[start:end])) }
	for i := 0; i < len(t); {
		switch c := t[i]; c {
		case '<':
			j := tokenLen(t[i:])
			if j == 0 {
				i++
				continue
			}
			flush(i)
			tag, _ := n.token(t[i+1 : i+j])
			b.WriteString(tag)
			i += j + 1
			start = i
		case '`':
			j := strings.IndexByte(t[i+1:], '`')
			if j <= 0 {
				i++
				continue
			}
			flush(i)
			b.WriteString("<code>" + n.bare(t[i+1:i+1+j]) + "</code>")
			i += j + 2
			start = i
		case '*', '_', '~':
			j := closing(t, i)
			if j < 0 || depth > 4 {
				i++
				continue
			}
			flush(i)
			b.WriteString("<" + emphasis[c] + ">")
			n.inline(b, t[i+1:j], depth+1)
			b.WriteString("</" + emphasis[c] + ">")
			i = j + 1
			start = i
		case ':':
			m := emojiName.FindString(t[i:])
			e := emojis[strings.Trim(m, ":")]
			if e == "" {
				i++
				continue
			}
			flush(i)
			b.WriteString(`<span class="emoji" role="img" aria-label="` + esc(strings.Trim(m, ":")) + `">` + e + `</span>`)
			i += len(m)
			start = i
		default:
			i++
		}
	}
	flush(len(t))
}

// closing finds the mark that ends the emphasis opened at i, or -1. Marks inside words, links and code do not count.
func closing(t string, i int) int {
	if r, _ := utf8.DecodeLastRuneInString(t[:i]); i > 0 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
		return -1
	}
	if i+1 >= len(t) || t[i+1] == ' ' || t[i+1] == t[i] {
		return -1
	}
	// Looking on without end would make a text of many marks take quadratic time.
	for j := i + 1; j < len(t) && j < i+4000; j++ {
		switch t[j] {
		case '<':
			j += tokenLen(t[j:])
		case '`':
			if k := strings.IndexByte(t[j+1:], '`'); k > 0 {
				j += k + 1
			}
		case t[i]:
			r, _ := utf8.DecodeRuneInString(t[j+1:])
			if t[j-1] != ' ' && j > i+1 && (j+1 == len(t) || !unicode.IsLetter(r) && !unicode.IsDigit(r)) {
				return j
			}
		}
	}
	return -1
}

var emojiName = regexp.MustCompile(`^:[a-z0-9_+-]+:`)

// emojis are the few that apps use most; others stay as :words:.
var emojis = map[string]string{
	"white_check_mark": "✅", "heavy_check_mark": "✔️", "x": "❌", "warning": "⚠️", "wave": "👋", "tada": "🎉", "eyes": "👀",
	"thumbsup": "👍", "+1": "👍", "thumbsdown": "👎", "-1": "👎", "rocket": "🚀", "red_circle": "🔴", "large_green_circle": "🟢",
	"large_yellow_circle": "🟡", "large_orange_circle": "🟠", "large_blue_circle": "🔵", "hourglass": "⌛",
	"hourglass_flowing_sand": "⏳", "lock": "🔒", "key": "🔑", "link": "🔗", "bell": "🔔", "bulb": "💡", "wrench": "🔧",
	"gear": "⚙️", "information_source": "ℹ️", "question": "❓", "exclamation": "❗", "point_right": "👉", "sparkles": "✨",
	"smile": "😄", "slightly_smiling_face": "🙂", "heart": "❤️", "fire": "🔥", "100": "💯", "robot_face": "🤖", "zap": "⚡",
	"calendar": "📅", "memo": "📝", "mag": "🔍", "no_entry": "⛔", "construction": "🚧", "arrows_counterclockwise": "🔄",
	"electric_plug": "🔌", "satellite_antenna": "📡", "books": "📚", "package": "📦", "pushpin": "📌", "clock1": "🕐",
	"heavy_minus_sign": "➖", "heavy_plus_sign": "➕", "ok_hand": "👌", "pray": "🙏", "party_popper": "🎉", "stop_sign": "🛑",
}

// token renders what stands between < and >. words is the same without tags, for code.
func (n names) token(t string) (tag, words string) {
	body, label, labelled := strings.Cut(t, "|")
	switch {
	case strings.HasPrefix(body, "@"):
		name := n.user(body[1:])
		if name == "" {
			name = label
		}
		if name == "" {
			name = body[1:]
		}
		w := "@" + plain(name)
		class := "mention"
		if body[1:] == n.self && n.self != "" {
			class += " me"
		}
		return `<span class="` + class + `">` + w + `</span>`, w
	case strings.HasPrefix(body, "#"):
		name := n.channel(body[1:])
		if name == "" {
			name = label
		}
		if name == "" {
			name = "private channel"
		}
		w := "#" + plain(name)
		return `<span class="mention">` + w + `</span>`, w
	case strings.HasPrefix(body, "!date^"):
		return n.date(body, label)
	case strings.HasPrefix(body, "!"):
		w := label
		if w == "" {
			w = "@" + strings.TrimPrefix(strings.SplitN(body[1:], "^", 2)[0], "@")
		}
		return `<span class="mention broadcast">` + plain(w) + `</span>`, plain(w)
	}
	if !labelled || label == "" {
		label = body
		if m, ok := strings.CutPrefix(body, "mailto:"); ok {
			label = m
		}
	}
	w := plain(label)
	if href := safeURL(entities.Replace(body)); href != "" {
		return `<a href="` + esc(href) + `" target="_blank" rel="noopener noreferrer">` + w + `</a>`, w
	}
	return esc("<") + plain(t) + esc(">"), esc("<") + plain(t) + esc(">")
}

// safeURL lets through what a link may be; a javascript: URL is none.
func safeURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return ""
		}
	case "mailto", "tel", "slack":
	default:
		return ""
	}
	return u.String()
}

// date renders <!date^unix^format^link|fallback> in the reader's zone.
// docs.slack.dev/messaging/formatting-message-text#date-formatting
func (n names) date(body, fallback string) (tag, words string) {
	parts := strings.SplitN(body, "^", 4)
	sec, err := strconv.ParseInt(parts[1], 10, 64)
	// Beyond year 9999 there is no date to show; Slack shows the fallback for whatever it cannot read.
	if err != nil || len(parts) < 3 || sec < -62135596800 || sec > 253402300799 {
		return plain(fallback), plain(fallback)
	}
	t := time.Unix(sec, 0).In(n.zone)
	text := dateToken.ReplaceAllStringFunc(parts[2], func(k string) string { return n.dateWord(t, k) })
	w := plain(text)
	tag = `<time datetime="` + t.UTC().Format(time.RFC3339) + `" title="` + esc(entities.Replace(fallback)) + `">` + w + `</time>`
	if len(parts) == 4 {
		if href := safeURL(entities.Replace(parts[3])); href != "" {
			tag = `<a href="` + esc(href) + `" target="_blank" rel="noopener noreferrer">` + tag + `</a>`
		}
	}
	return tag, w
}

var dateToken = regexp.MustCompile(`\{[a-z_]+\}`)

func (n names) dateWord(t time.Time, k string) string {
	day := ordinal(t.Day())
	full := t.Format("January ") + day + t.Format(", 2006")
	pretty := func(other string) string {
		y, m, d := n.now.In(n.zone).Date()
		today := time.Date(y, m, d, 0, 0, 0, 0, n.zone)
		y, m, d = t.Date()
		switch that := time.Date(y, m, d, 0, 0, 0, 0, n.zone); {
		case that.Equal(today):
			return "today"
		case that.Equal(today.AddDate(0, 0, -1)):
			return "yesterday"
		case that.Equal(today.AddDate(0, 0, 1)):
			return "tomorrow"
		}
		return other
	}
	switch k {
	case "{date_num}":
		return t.Format("2006-01-02")
	case "{date_slash}":
		return t.Format("01/02/2006")
	case "{date}":
		return full
	case "{date_pretty}":
		return pretty(full)
	case "{date_short}":
		return t.Format("Jan 2, 2006")
	case "{date_short_pretty}":
		return pretty(t.Format("Jan 2, 2006"))
	case "{date_long}", "{date_long_full}":
		return t.Format("Monday, ") + full
	case "{date_long_pretty}", "{day_divider_pretty}":
		return pretty(t.Format("Monday, ") + full)
	case "{time}":
		return t.Format("3:04 PM")
	case "{time_secs}":
		return t.Format("3:04:05 PM")
	case "{ago}":
		return ago(n.now.Sub(t))
	}
	return k
}

func ordinal(d int) string {
	suffix := "th"
	if d < 11 || d > 13 {
		switch d % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(d) + suffix
}

func ago(d time.Duration) string {
	form := "%s ago"
	if d < 0 {
		form, d = "in %s", -d
	}
	n, unit := int(d/time.Second), "second"
	switch {
	case d >= 48*time.Hour:
		n, unit = int(d/(24*time.Hour)), "day"
	case d >= time.Hour:
		n, unit = int(d/time.Hour), "hour"
	case d >= time.Minute:
		n, unit = int(d/time.Minute), "minute"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf(form, fmt.Sprintf("%d %s", n, unit))
}

// text renders a text object.
func (n names) text(v any) string {
	o, _ := v.(object)
	t := textOf(o["text"])
	if o["type"] == "mrkdwn" {
		return string(n.mrkdwn(t))
	}
	// plain_text knows no notation but emoji and line breaks.
	var b strings.Builder
	for i, line := range strings.Split(t, "\n") {
		if i > 0 {
			b.WriteString("<br>")
		}
		b.WriteString(emojiAnywhere.ReplaceAllStringFunc(esc(line), func(k string) string {
			if e := emojis[strings.Trim(k, ":")]; e != "" && o["emoji"] != false {
				return e
			}
			return k
		}))
	}
	return b.String()
}

var emojiAnywhere = regexp.MustCompile(`:[a-z0-9_+-]+:`)

// surface says where blocks stand, for what their elements need.
type surface struct {
	names
	inView  bool                        // a modal: buttons belong to its form
	dead    bool                        // nothing can be pressed (the app is gone)
	typed   map[string]map[string]Input // what the person had entered
	errors  map[string]string           // by block_id
	choices func(kind string) []option  // people and channels for the select menus of those
	prefix  string                      // makes element ids unique on the page
	pingTo  string                      // where a link button reports its press
}

type option struct{ Value, Text string }

// blocks renders Block Kit. The interactive parts are form controls: the caller puts them into a form that posts the
// pressed button as action=block_id/action_id and menus and inputs as v/block_id/action_id.
func (f surface) blocks(raw json.RawMessage) template.HTML {
	var list []object
	if decode(raw, &list) != nil {
		return ""
	}
	var b strings.Builder
	for _, x := range list {
		f.block(&b, x)
	}
	return template.HTML(b.String())
}

func (f surface) block(b *strings.Builder, x object) {
	typ, id := textOf(x["type"]), textOf(x["block_id"])
	open := func(tag, class string) {
		b.WriteString(`<` + tag + ` class="block ` + class + `" data-block-id="` + esc(id) + `">`)
	}
	switch typ {
	case "header":
		open("div", "block-header")
		b.WriteString(`<h2>` + f.text(x["text"]) + `</h2></div>`)
	case "divider":
		b.WriteString(`<hr class="block block-divider">`)
	case "section":
		open("div", "block-section")
		b.WriteString(`<div class="section-body">`)
		if x["text"] != nil {
			b.WriteString(`<div class="section-text">` + f.text(x["text"]) + `</div>`)
		}
		if fields, _ := x["fields"].([]any); len(fields) > 0 {
			b.WriteString(`<div class="fields">`)
			for _, y := range fields {
				b.WriteString(`<div class="field">` + f.text(y) + `</div>`)
			}
			b.WriteString(`</div>`)
		}
		b.WriteString(`</div>`)
		if a, ok := x["accessory"].(object); ok {
			b.WriteString(`<div class="accessory">`)
			f.element(b, id, a)
			b.WriteString(`</div>`)
		}
		b.WriteString(`</div>`)
	case "actions":
		open("div", "block-actions")
		els, _ := x["elements"].([]any)
		for _, e := range els {
			if o, ok := e.(object); ok {
				f.element(b, id, o)
			}
		}
		b.WriteString(`</div>`)
	case "context":
		open("div", "block-context")
		els, _ := x["elements"].([]any)
		for _, e := range els {
			o, _ := e.(object)
			if o["type"] == "image" {
				f.image(b, o, "context-image")
			} else {
				b.WriteString(`<span class="context-text">` + f.text(o) + `</span>`)
			}
		}
		b.WriteString(`</div>`)
	case "image":
		open("figure", "block-image")
		if x["title"] != nil {
			b.WriteString(`<figcaption>` + f.text(x["title"]) + `</figcaption>`)
		}
		f.image(b, x, "")
		b.WriteString(`</figure>`)
	case "input":
		f.input(b, x, id)
	case "markdown":
		open("div", "block-markdown")
		b.WriteString(strings.ReplaceAll(esc(textOf(x["text"])), "\n", "<br>") + `</div>`)
	case "rich_text":
		open("div", "block-rich-text")
		f.rich(b, x["elements"])
		b.WriteString(`</div>`)
	default:
		open("div", "block-unknown")
		b.WriteString(`This block is not shown here: <code>` + esc(typ) + `</code></div>`)
	}
}

// rich renders rich_text as far as people's and apps' plain prose needs it.
func (f surface) rich(b *strings.Builder, v any) {
	list, _ := v.([]any)
	for _, e := range list {
		o, _ := e.(object)
		switch o["type"] {
		case "rich_text_section", "rich_text_quote", "rich_text_preformatted", "rich_text_list":
			tag := map[string]string{"rich_text_section": "div", "rich_text_quote": "blockquote", "rich_text_preformatted": "pre",
				"rich_text_list": "ul"}[textOf(o["type"])]
			b.WriteString("<" + tag + ">")
			if tag == "ul" {
				items, _ := o["elements"].([]any)
				for _, i := range items {
					b.WriteString("<li>")
					f.rich(b, []any{i})
					b.WriteString("</li>")
				}
			} else {
				f.rich(b, o["elements"])
			}
			b.WriteString("</" + tag + ">")
		case "text":
			t := strings.ReplaceAll(esc(textOf(o["text"])), "\n", "<br>")
			st, _ := o["style"].(object)
			for _, k := range [][2]string{{"code", "code"}, {"strike", "s"}, {"italic", "em"}, {"bold", "strong"}} {
				if st[k[0]] == true {
					t = "<" + k[1] + ">" + t + "</" + k[1] + ">"
				}
			}
			b.WriteString(t)
		case "link":
			w := textOf(o["text"])
			if w == "" {
				w = textOf(o["url"])
			}
			tag, _ := f.token(escapeText(textOf(o["url"])) + "|" + escapeText(w))
			b.WriteString(tag)
		case "user":
			tag, _ := f.token("@" + textOf(o["user_id"]))
			b.WriteString(tag)
		case "channel":
			tag, _ := f.token("#" + textOf(o["channel_id"]))
			b.WriteString(tag)
		case "emoji":
			b.WriteString(f.text(object{"type": "plain_text", "text": ":" + textOf(o["name"]) + ":"}))
		}
	}
}

func (f surface) image(b *strings.Builder, o object, class string) {
	alt := textOf(o["alt_text"])
	src := safeURL(textOf(o["image_url"]))
	if src == "" {
		b.WriteString(`<span class="no-image">` + esc(alt) + `</span>`)
		return
	}
	b.WriteString(`<img class="` + class + `" src="` + esc(src) + `" alt="` + esc(alt) + `" loading="lazy">`)
}

func (f surface) input(b *strings.Builder, x object, id string) {
	e, _ := x["element"].(object)
	fail := f.errors[id]
	ref := f.prefix + "-" + id
	class := ""
	if fail != "" {
		class = " invalid"
	}
	b.WriteString(`<div class="block block-input` + class + `" data-block-id="` + esc(id) + `">`)
	optional := ""
	if x["optional"] == true {
		optional = ` <span class="optional">(optional)</span>`
	}
	group := e["type"] == "radio_buttons" || e["type"] == "checkboxes"
	if group {
		b.WriteString(`<fieldset><legend>` + f.text(x["label"]) + optional + `</legend>`)
	} else {
		b.WriteString(`<label for="` + esc(ref) + `">` + f.text(x["label"]) + optional + `</label>`)
	}
	f.control(b, id, e, ref, fail != "", x["dispatch_action"] == true)
	if group {
		b.WriteString(`</fieldset>`)
	}
	if x["hint"] != nil {
		b.WriteString(`<p class="hint">` + f.text(x["hint"]) + `</p>`)
	}
	if fail != "" {
		b.WriteString(`<p class="error" id="` + esc(ref) + `-error" role="alert">` + esc(fail) + `</p>`)
	}
	b.WriteString(`</div>`)
}

// field names a control: ids may hold any character, so each part is escaped before the slashes go in.
func field(parts ...string) string {
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

func unfield(name string) []string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i], _ = url.PathUnescape(p)
	}
	return parts
}

// element renders a button, image or menu outside an input block; menus act at once.
func (f surface) element(b *strings.Builder, block string, e object) {
	action := textOf(e["action_id"])
	switch e["type"] {
	case "image":
		f.image(b, e, "accessory-image")
	case "button":
		class := "button"
		if st := textOf(e["style"]); st == "primary" || st == "danger" {
			class += " " + st
		}
		attrs := ` class="` + class + `" data-action-id="` + esc(action) + `"`
		if l := textOf(e["accessibility_label"]); l != "" {
			attrs += ` aria-label="` + esc(l) + `"`
		}
		if u := textOf(e["url"]); u != "" {
			href := safeURL(u)
			if href == "" {
				b.WriteString(`<span` + attrs + ` aria-disabled="true">` + f.text(e["text"]) + `</span>`)
				return
			}
			// The browser itself reports the press (ping); the script takes that over where it runs.
			ping := ""
			if f.pingTo != "" && !f.dead {
				ping = ` ping="` + esc(f.pingTo+"?action="+url.QueryEscape(field(block, action))) + `"`
			}
			b.WriteString(`<a` + attrs + ` href="` + esc(href) + `" target="_blank" rel="noopener noreferrer"` + ping + `>` + f.text(e["text"]) + `</a>`)
			return
		}
		b.WriteString(`<button type="submit" name="action" value="` + esc(field(block, action)) + `"` + attrs + f.confirmData(e))
		if f.dead {
			b.WriteString(` disabled`)
		}
		if f.inView {
			b.WriteString(` formnovalidate`)
		}
		b.WriteString(`>` + f.text(e["text"]) + `</button>`)
	case "overflow":
		// A menu that opens without a script; each entry is a button that carries the choice.
		b.WriteString(`<details class="overflow"><summary aria-label="More actions">⋯</summary><div class="menu">`)
		eachOption(e, func(o object) {
			b.WriteString(`<button type="submit" class="menu-item" name="action" value="` +
				esc(field(block, action, textOf(o["value"]))) + `" data-action-id="` + esc(action) + `" data-value="` + esc(textOf(o["value"])) + `"` + f.confirmData(e))
			if f.dead {
				b.WriteString(` disabled`)
			}
			b.WriteString(`>` + f.text(o["text"]) + `</button>`)
		})
		b.WriteString(`</div></details>`)
	default:
		ref := f.prefix + "-" + block + "-" + action
		b.WriteString(`<span class="menu-control" data-action-id="` + esc(action) + `">`)
		f.control(b, block, e, ref, false, true)
		b.WriteString(`</span>`)
	}
}

// confirmData carries a confirmation dialog to the script; without one the server asks on a page of its own.
func (f surface) confirmData(e object) string {
	c, ok := e["confirm"].(object)
	if !ok {
		return ""
	}
	word := func(k string) string { o, _ := c[k].(object); return textOf(o["text"]) }
	return ` data-confirm-title="` + esc(word("title")) + `" data-confirm-text="` + esc(entities.Replace(word("text"))) +
		`" data-confirm-yes="` + esc(word("confirm")) + `" data-confirm-no="` + esc(word("deny")) + `"`
}

// control renders an element that holds a value. act adds the button that sends it at once, which the script replaces.
func (f surface) control(b *strings.Builder, block string, e object, ref string, invalid, act bool) {
	typ, action := textOf(e["type"]), textOf(e["action_id"])
	name := "v/" + field(block, action)
	now, ok := f.typed[block][action]
	if !ok {
		now = initial(e)
	}
	chosen := func(v string) bool {
		if v == now.Value && v != "" {
			return true
		}
		for _, x := range now.Values {
			if x == v {
				return true
			}
		}
		return false
	}
	hint := ""
	if p, ok := e["placeholder"].(object); ok {
		hint = textOf(p["text"])
	}
	attrs := ` id="` + esc(ref) + `" name="` + esc(name) + `" data-action-id="` + esc(action) + `"`
	if invalid {
		attrs += ` aria-invalid="true" aria-describedby="` + esc(ref) + `-error"`
	}
	if act {
		label := hint
		if label == "" {
			label = action
		}
		attrs += ` data-acts="1" aria-label="` + esc(label) + `"`
	}
	if f.dead {
		attrs += ` disabled`
	}
	typed := func(kind string) {
		b.WriteString(`<input type="` + kind + `"` + attrs + ` placeholder="` + esc(hint) + `" value="` + esc(now.Value) + `">`)
	}
	switch typ {
	case "plain_text_input":
		if e["multiline"] == true {
			b.WriteString(`<textarea rows="4"` + attrs + ` placeholder="` + esc(hint) + `">` + "\n" + esc(now.Value) + `</textarea>`)
		} else {
			typed("text")
		}
	case "email_text_input":
		typed("email")
	case "url_text_input":
		typed("url")
	case "number_input":
		typed("number")
	case "datepicker":
		typed("date")
	case "timepicker":
		typed("time")
	case "datetimepicker":
		typed("datetime-local")
	case "radio_buttons", "checkboxes":
		kind := map[string]string{"radio_buttons": "radio", "checkboxes": "checkbox"}[typ]
		eachOption(e, func(o object) {
			v := textOf(o["value"])
			check := ""
			if chosen(v) {
				check = " checked"
			}
			if f.dead {
				check += " disabled"
			}
			b.WriteString(`<label class="choice"><input type="` + kind + `" name="` + esc(name) + `" value="` + esc(v) + `" data-action-id="` + esc(action) + `"` + check + `> ` + f.text(o["text"]) + `</label>`)
		})
	case "static_select", "multi_static_select", "users_select", "channels_select", "conversations_select",
		"multi_users_select", "multi_channels_select", "multi_conversations_select":
		if strings.HasPrefix(typ, "multi_") {
			attrs += " multiple"
		}
		b.WriteString(`<select` + attrs + `>`)
		if !strings.HasPrefix(typ, "multi_") {
			if hint == "" {
				hint = "Choose…"
			}
			b.WriteString(`<option value="">` + esc(hint) + `</option>`)
		}
		one := func(v, text string) {
			sel := ""
			if chosen(v) {
				sel = " selected"
			}
			b.WriteString(`<option value="` + esc(v) + `"` + sel + `>` + text + `</option>`)
		}
		if strings.HasSuffix(typ, "static_select") {
			eachOption(e, func(o object) { one(textOf(o["value"]), f.text(o["text"])) })
		} else if f.choices != nil {
			for _, o := range f.choices(strings.TrimPrefix(typ, "multi_")) {
				one(o.Value, esc(o.Text))
			}
		}
		b.WriteString(`</select>`)
	default:
		b.WriteString(`<span class="block-unknown">This element is not shown here: <code>` + esc(typ) + `</code></span>`)
		return
	}
	if act && !f.dead {
		b.WriteString(`<button type="submit" class="button set" name="action" value="` + esc(field(block, action)) + `" formnovalidate` + f.confirmData(e) + `>Set</button>`)
	}
}
