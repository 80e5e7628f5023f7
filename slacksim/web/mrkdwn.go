package web

// Slack's notation as HTML. Everything that comes from the app or a person passes through esc exactly once. The only
// tags are the ones written here. docs.slack.dev/messaging/formatting-message-text

import (
	"cmp"
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
	for i := 0; i < len(t); {
		tag, length := n.span(t, i, depth)
		if length == 0 {
			i++
			continue
		}
		b.WriteString(plain(t[start:i]) + tag)
		i += length
		start = i
	}
	b.WriteString(plain(t[start:]))
}

// span renders the token, code, emphasis or emoji that begins at i, and says how long it is: 0 for plain text.
func (n names) span(t string, i, depth int) (tag string, length int) {
	switch c := t[i]; c {
	case '<':
		if j := tokenLen(t[i:]); j > 0 {
			tag, _ = n.token(t[i+1 : i+j])
			return tag, j + 1
		}

	case '`':
		if j := strings.IndexByte(t[i+1:], '`'); j > 0 {
			return "<code>" + n.bare(t[i+1:i+1+j]) + "</code>", j + 2
		}

	case '*', '_', '~':
		if j := closing(t, i); j >= 0 && depth <= 4 {
			var inner strings.Builder
			n.inline(&inner, t[i+1:j], depth+1)
			return "<" + emphasis[c] + ">" + inner.String() + "</" + emphasis[c] + ">", j + 1 - i
		}

	case ':':
		name := strings.Trim(emojiName.FindString(t[i:]), ":")
		if e := emojis[name]; e != "" {
			return `<span class="emoji" role="img" aria-label="` + esc(name) + `">` + e + `</span>`, len(name) + 2
		}
	}
	return "", 0
}

// closing finds the mark that ends the emphasis opened at i, or -1. Marks inside words, links and code do not count.
func closing(t string, i int) int {
	if r, _ := utf8.DecodeLastRuneInString(t[:i]); inWord(r) || i+1 >= len(t) || t[i+1] == ' ' || t[i+1] == t[i] {
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
			if t[j-1] != ' ' && j > i+1 && !inWord(r) {
				return j
			}
		}
	}
	return -1
}

// inWord: at either end of a text there is no rune, which utf8 calls RuneError.
func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

var emojiName = regexp.MustCompile(`^:[a-z0-9_+-]+:`)

// emojis are the few that apps use most. Others stay as :words:.
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
	body, label, _ := strings.Cut(t, "|")
	switch {
	case strings.HasPrefix(body, "@"):
		w := "@" + plain(cmp.Or(n.user(body[1:]), label, body[1:]))
		class := "mention"
		if body[1:] == n.self && n.self != "" {
			class += " me"
		}
		return `<span class="` + class + `">` + w + `</span>`, w
	case strings.HasPrefix(body, "#"):
		w := "#" + plain(cmp.Or(n.channel(body[1:]), label, "private channel"))
		return `<span class="mention">` + w + `</span>`, w
	case strings.HasPrefix(body, "!date^"):
		return n.date(body, label)
	case strings.HasPrefix(body, "!"):
		group, _, _ := strings.Cut(body[1:], "^")
		w := plain(cmp.Or(label, "@"+strings.TrimPrefix(group, "@")))
		return `<span class="mention broadcast">` + w + `</span>`, w
	}

	w := plain(cmp.Or(label, strings.TrimPrefix(body, "mailto:")))
	if href := safeURL(entities.Replace(body)); href != "" {
		return link(href, w), w
	}
	return esc("<") + plain(t) + esc(">"), esc("<") + plain(t) + esc(">")
}

func link(href, inner string) string {
	return `<a href="` + esc(href) + `" target="_blank" rel="noopener noreferrer">` + inner + `</a>`
}

// safeURL lets through what a link may be. A javascript: URL is none.
func safeURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	isPage := (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
	if !isPage && u.Scheme != "mailto" && u.Scheme != "tel" && u.Scheme != "slack" {
		return ""
	}
	return u.String()
}

// date renders <!date^unix^format^link|fallback> in the reader's zone.
// docs.slack.dev/messaging/formatting-message-text#date-formatting
func (n names) date(body, fallback string) (tag, words string) {
	parts := strings.SplitN(body, "^", 4)
	sec, err := strconv.ParseInt(parts[1], 10, 64)
	// Beyond year 9999 there is no date to show. Slack shows the fallback for whatever it cannot read.
	if err != nil || len(parts) < 3 || sec < -62135596800 || sec > 253402300799 {
		return plain(fallback), plain(fallback)
	}
	t := time.Unix(sec, 0).In(n.zone)
	text := dateToken.ReplaceAllStringFunc(parts[2], func(k string) string { return n.dateWord(t, k) })
	w := plain(text)
	tag = `<time datetime="` + t.UTC().Format(time.RFC3339) + `" title="` + plain(fallback) + `">` + w + `</time>`
	if len(parts) == 4 {
		if href := safeURL(entities.Replace(parts[3])); href != "" {
			tag = link(href, tag)
		}
	}
	return tag, w
}

var dateToken = regexp.MustCompile(`\{[a-z_]+\}`)

// dateLayouts are what can be asked for. {d} stands for the day with its ending.
var dateLayouts = map[string]string{
	"{date_num}": "2006-01-02", "{date_slash}": "01/02/2006", "{time}": "3:04 PM", "{time_secs}": "3:04:05 PM",
	"{date}": "January {d}, 2006", "{date_pretty}": "January {d}, 2006",
	"{date_short}": "Jan 2, 2006", "{date_short_pretty}": "Jan 2, 2006",
	"{date_long}": "Monday, January {d}, 2006", "{date_long_full}": "Monday, January {d}, 2006",
	"{date_long_pretty}": "Monday, January {d}, 2006", "{day_divider_pretty}": "Monday, January {d}, 2006",
}

// dateWord is what stands for one of them, and the word itself for anything else. The pretty ones know three days.
func (n names) dateWord(t time.Time, k string) string {
	layout := dateLayouts[k]
	switch {
	case k == "{ago}":
		return ago(n.now.Sub(t))
	case layout == "":
		return k
	case strings.HasSuffix(k, "_pretty}"):
		y, m, d := n.now.In(n.zone).Date()
		for day, word := range map[int]string{d - 1: "yesterday", d: "today", d + 1: "tomorrow"} {
			if t.Format(time.DateOnly) == time.Date(y, m, day, 0, 0, 0, 0, n.zone).Format(time.DateOnly) {
				return word
			}
		}
	}
	return strings.Replace(t.Format(layout), "{d}", ordinal(t.Day()), 1)
}

func ordinal(d int) string {
	suffixes := map[int]string{1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
	return strconv.Itoa(d) + cmp.Or(suffixes[d], "th")
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
