package mrkdwn

// Text, blocks and buttons. Where a limit is given, it is in characters as people count them.

import (
	"fmt"
	"html"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/words"
)

// Slack's limits, in characters: https://docs.slack.dev/reference/block-kit and /reference/views
const (
	MaxHeader = 150
	MaxField  = 2000
	MaxText   = 3000 // of a section
	MaxButton = 75   // a button's or a menu's words, and what is read out for them
	MaxTitle  = 24   // a window's title and its buttons
)

// MaxName is ours: as much as people read of a name from outside.
const MaxName = 100

// Plain is text without markup of at most so many characters.
func Plain(s string, most int) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, Clip(s, most), false, false)
}

// Text is text with markup, cut to MaxText.
func Text(s string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, Cut(s, MaxText), false, false)
}

// Field is one field of a section: a name, and below it text with markup.
func Field(name, value string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, Cut("*"+name+"*\n"+value, MaxField), false, false)
}

// Header is a headline without markup.
func Header(s string) slack.Block { return slack.NewHeaderBlock(Plain(s, MaxHeader)) }

// Section is a paragraph with markup.
func Section(s string) slack.Block { return slack.NewSectionBlock(Text(s), nil, nil) }

// Whole is a Section that Slack doesn't fold behind "Show more".
func Whole(s string) slack.Block {
	return slack.NewSectionBlock(Text(s), nil, nil, slack.SectionBlockOptionExpand(true))
}

// Context is small print with markup.
func Context(s string) slack.Block { return slack.NewContextBlock("", Text(s)) }

// Button is a button. spoken is what a screen reader says for it; "": its words.
func Button(actionID, words, spoken string) *slack.ButtonBlockElement {
	b := slack.NewButtonBlockElement(actionID, "", Plain(words, MaxButton))
	b.AccessibilityLabel = Clip(spoken, MaxButton)
	return b
}

// Clip is s in at most so many characters.
func Clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// Cut is Clip for text with markup: what would be left of a link, a time or an escape is dropped, and code is ended.
func Cut(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}

	const end = "…```"
	s = string([]rune(s)[:most-len([]rune(end))])
	if i := strings.LastIndexByte(s, '<'); i > strings.LastIndexByte(s, '>') {
		s = s[:i]
	}
	if i := strings.LastIndexByte(s, '&'); i > strings.LastIndexByte(s, ';') {
		s = s[:i]
	}

	s = strings.TrimRight(s, "`") + "…"
	switch block := strings.Count(s, "```"); {
	case block%2 == 1:
		s += "```"
	case (strings.Count(s, "`")-3*block)%2 == 1:
		s += "`"
	}
	return s
}

// Split is s in pieces of at most so many characters, for messages that follow each other: between paragraphs if that
// is possible, else between lines or words. No link, time or escape is cut, and code goes on as code.
func Split(s string, most int) (pieces []string) {
	const fence = "```"
	for code := false; s != ""; {
		if code {
			s = fence + "\n" + s
		}
		if utf8.RuneCountInString(s) <= most {
			return append(pieces, s)
		}

		end := splitAt(s, most-len("\n"+fence))
		piece, rest := strings.TrimRight(s[:end], " \n"), strings.TrimLeft(s[end:], "\n")
		if code = strings.Count(piece, fence)%2 == 1; code {
			piece += "\n" + fence
		} else {
			rest = strings.TrimLeft(rest, " \n")
		}
		pieces, s = append(pieces, piece), rest
	}
	return pieces
}

// splitAt is where s, which is longer than most characters, is cut with sense.
func splitAt(s string, most int) (end int) {
	for range most {
		_, size := utf8.DecodeRuneInString(s[end:])
		end += size
	}

	half := end / 2
	for _, between := range []string{"\n\n", "\n", " "} {
		if at := strings.LastIndex(s[:end], between); at > half {
			end = at
			break
		}
	}

	if at := strings.LastIndexByte(s[:end], '<'); at > half && at > strings.LastIndexByte(s[:end], '>') {
		end = at
	}
	if at := strings.LastIndexByte(s[:end], '&'); at > half && at > strings.LastIndexByte(s[:end], ';') {
		end = at
	}
	for end-1 > half && s[end-1] == '`' && s[end] == '`' {
		end--
	}
	return end
}

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// Escape makes text from outside harmless. Slack's own escapes in it are kept single.
func Escape(s string) string { return escapes.Replace(html.UnescapeString(s)) }

// Sentence is a sentence of an app's own, escaped, in at most so many characters. What stands between backticks, such
// as a command that people type, is code.
func Sentence(s string, most int) string { return Cut(Escape(s), most) }

// Short is a name from outside, unescaped: on one line, of a length to be read, and without what would turn the text
// behind it into code.
func Short(s string) string {
	return Clip(strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "`", "'"), MaxName)
}

// Name is Short, escaped.
func Name(s string) string { return Escape(Short(s)) }

// Code is a word of Slack's as it came, for those who look it up.
func Code(s string) string {
	return "`" + strings.ReplaceAll(Escape(Clip(s, 60)), "`", "'") + "`"
}

// Time is a moment in the reader's own zone, with UTC for those who read the plain text; "never" for the zero Time. Slack
// writes the day and the time of day in the reader's language, and said has what stands between them.
// https://docs.slack.dev/messaging/formatting-message-text
func Time(said *words.Sentences, t time.Time) string {
	if t.IsZero() {
		return said.Say("times.never")
	}
	shown := said.Say("times.moment", "day", "{date_short_pretty}", "time", "{time}")
	return fmt.Sprintf("<!date^%d^%s|%s>", t.Unix(), shown, t.UTC().Format("2006-01-02 15:04 UTC"))
}

// Day is Time without the time of day.
func Day(t time.Time) string {
	return fmt.Sprintf("<!date^%d^{date_short_pretty}|%s>", t.Unix(), t.UTC().Format("2006-01-02"))
}

// Person mentions somebody by their id; a dash without one. In a direct message that notifies nobody else.
func Person(id string) string {
	if id == "" {
		return "–"
	}
	return "<@" + id + ">"
}

var addressEscapes = strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E", "|", "%7C", " ", "%20")

// Address is an address as it stands in a link, "<address|words>". What would end it, and what Slack escapes
// everywhere, is escaped.
func Address(address string) string { return addressEscapes.Replace(address) }

// Link is an address to be pressed.
func Link(address, words string) string { return "<" + Address(address) + "|" + Escape(words) + ">" }
