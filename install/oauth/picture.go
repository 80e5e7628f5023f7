package oauth

// Messages as pictures: what people see in Slack, drawn in HTML. Nothing in them can be pressed, and screen readers get
// the message's words.

import (
	"html"
	"html/template"
	"regexp"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/words"
)

// Picture is an answer of the app, which the landing page shows as people see it in Slack.
type Picture struct {
	By      string        // the name of whoever asks; "": nobody is shown asking
	Asked   string        // what they type: "/poll Lunch? Pizza, Salad"
	Private bool          // nobody else sees the answer
	Text    string        // the answer in whole sentences, for those who see no pictures
	Blocks  []slack.Block // the answer as it looks; none: Text
	// Names are what people and channels in it are called, by their ids.
	Names map[string]string
}

// drawn is a Picture, ready for the template.
type drawn struct {
	App         string
	Icon        template.URL
	By, Initial string
	Asked       string
	Asker       bool // By and Asked are shown
	Private     bool
	Said        string // all of it in words
	Blocks      []drawnBlock
}

// drawnBlock is a block of a message. Kind is one of header, section, context, actions, divider.
type drawnBlock struct {
	Kind    string
	Lines   []line
	Fields  [][]line
	Buttons []drawnButton
	Aside   bool // its button stands beside it
}

type drawnButton struct {
	Label  string
	Strong bool
}

// line is a line of text in pieces. Style is a strong or em, code, link or mention, or "".
type line []span

type span struct{ Style, Text string }

// drawnLines is how many lines of a message are drawn: a picture is no place to read.
const drawnLines = 12

// draw is p as the template takes it.
func (ps *pages) draw(p Picture) drawn {
	d := drawn{App: ps.App.Name, Icon: ps.look.icon, By: p.By, Initial: initial(p.By), Asked: p.Asked, Private: p.Private,
		Asker: p.By != "" && p.Asked != ""}
	draws := pen{ps.App.Words, p.Names}
	key := "pages.picture.says"
	if d.Asker {
		key = "pages.picture.asks"
	}
	d.Said = ps.say(key, "person", p.By, "asked", p.Asked, "app", ps.App.Name, "said", draws.plain(p.Text))
	left := drawnLines
	for _, b := range p.Blocks {
		drawn, ok := draws.block(b)
		if left -= drawn.height(); ok && left >= 0 {
			d.Blocks = append(d.Blocks, drawn)
		}
	}
	if len(d.Blocks) == 0 && p.Text != "" {
		d.Blocks = []drawnBlock{{Kind: "section", Lines: draws.lines(p.Text)}}
	}
	return d
}

func (b drawnBlock) height() int {
	tall := len(b.Lines) + len(b.Fields)
	if len(b.Buttons) > 0 && !b.Aside {
		tall++
	}
	return tall
}

// pen draws messages in an app's words.
type pen struct {
	words *words.Sentences
	names map[string]string
}

// block draws the blocks that messages are made of; ok is false for others.
func (of pen) block(b slack.Block) (d drawnBlock, ok bool) {
	switch b := b.(type) {
	case *slack.HeaderBlock:
		return drawnBlock{Kind: "header", Lines: of.text(b.Text)}, b.Text != nil
	case *slack.SectionBlock:
		d = drawnBlock{Kind: "section", Lines: of.text(b.Text)}
		for _, f := range b.Fields {
			d.Fields = append(d.Fields, of.text(f))
		}
		if b.Accessory != nil && b.Accessory.ButtonElement != nil {
			d.Buttons, d.Aside = []drawnButton{drawButton(b.Accessory.ButtonElement)}, true
		}
		return d, true
	case *slack.ContextBlock:
		d = drawnBlock{Kind: "context"}
		for _, e := range b.ContextElements.Elements {
			if t, isText := e.(*slack.TextBlockObject); isText {
				d.Lines = append(d.Lines, of.text(t)...)
			}
		}
		return d, len(d.Lines) > 0
	case *slack.ActionBlock:
		d = drawnBlock{Kind: "actions"}
		if b.Elements == nil {
			return d, false
		}
		for _, e := range b.Elements.ElementSet {
			if button, isButton := e.(*slack.ButtonBlockElement); isButton {
				d.Buttons = append(d.Buttons, drawButton(button))
			}
		}
		return d, len(d.Buttons) > 0
	case *slack.DividerBlock:
		return drawnBlock{Kind: "divider"}, true
	}
	return d, false
}

func drawButton(b *slack.ButtonBlockElement) drawnButton {
	d := drawnButton{Strong: b.Style == slack.StylePrimary}
	if b.Text != nil {
		d.Label = b.Text.Text
	}
	return d
}

func (of pen) text(t *slack.TextBlockObject) []line {
	switch {
	case t == nil:
		return nil
	case t.Type == slack.PlainTextType:
		return []line{{{Text: t.Text}}}
	}
	return of.lines(t.Text)
}

// marked is what has markup within a line: code, what stands in angle brackets, and emphasis, which begins and ends at
// the edge of a word. https://docs.slack.dev/messaging/formatting-message-text
var marked = regexp.MustCompile("`[^`]+`|<[^<>]+>|\\*[^*\\s](?:[^*]*[^*\\s])?\\*|\\b_[^_\\s](?:[^_]*[^_\\s])?_\\b")

// lines is text with markup, line by line.
func (of pen) lines(text string) (all []line) {
	for raw := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		var l line
		add := func(style, text string) {
			if text != "" {
				l = append(l, span{style, html.UnescapeString(text)})
			}
		}

		from := 0
		for _, at := range marked.FindAllStringIndex(raw, -1) {
			add("", raw[from:at[0]])
			inside := raw[at[0]+1 : at[1]-1]
			switch raw[at[0]] {
			case '`':
				add("code", of.plain(inside))
			case '*':
				add("strong", of.plain(inside))
			case '_':
				add("em", of.plain(inside))
			default:
				add(of.token(inside))
			}
			from = at[1]
		}
		add("", raw[from:])
		all = append(all, l)
	}
	return all
}

// token is what stands between angle brackets: a person, a channel, a time, or a link.
func (of pen) token(inside string) (style, text string) {
	body, label, labelled := strings.Cut(inside, "|")
	name := of.names[strings.TrimLeft(body, "@#")]
	if name == "" {
		name = label
	}
	switch body[0] {
	case '@':
		if name == "" {
			name = of.words.Say("pages.picture.someone")
		}
		return "mention", "@" + name
	case '#':
		if name == "" {
			name = of.words.Say("pages.picture.channel")
		}
		return "mention", "#" + name
	case '!':
		return "", label
	}
	if labelled {
		return "link", label
	}
	return "link", body
}

// plain is text without its markup.
func (of pen) plain(text string) string {
	var b strings.Builder
	if !marked.MatchString(text) {
		return html.UnescapeString(text)
	}
	for i, l := range of.lines(text) {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, s := range l {
			b.WriteString(s.Text)
		}
	}
	return b.String()
}
