package markdown

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"
	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

const (
	mostInBlock  = 3_000 // characters of a block: Slack's limit for a section, kept for rich text
	mostInHeader = 150
	mostInCell   = 40 // of a table, which is text of one width here: ours
	mostIndent   = 8
)

// Blocks is src in other blocks, for where Slack takes no markdown block: in modals and in the Home tab. There are at
// most most of them, if need be with goesOn at the end, which says that there is more. Who is named in mentions is
// mentioned. Tables are text of one width.
func Blocks(src string, most int, mentions []string, goesOn string) []slack.Block {
	b := builder{words: words{source: []byte(src)}, mentions: mentions}
	doc := parser.Parse(text.NewReader(b.source))
	for n := doc.FirstChild(); n != nil; n = n.NextSibling() {
		b.block(n)
	}

	if len(b.made) > most {
		b.made = joined(b.made)
	}
	if len(b.made) > most {
		more := slack.NewRichTextSection(slack.NewRichTextSectionTextElement(goesOn, nil))
		b.made = append(b.made[:most-1], slack.NewRichTextBlock("", more))
	}
	return b.made
}

// builder makes blocks of what is read.
type builder struct {
	words
	mentions []string
	made     []slack.Block
}

// block makes blocks of one of Markdown's.
func (b *builder) block(n ast.Node) {
	switch n := n.(type) {
	case *ast.Heading:
		title := sayings(b.inline(n, slack.RichTextSectionTextStyle{}))
		if count := utf8.RuneCountInString(title); count > 0 && count <= mostInHeader {
			b.made = append(b.made, slack.NewHeaderBlock(slack.NewTextBlockObject(slack.PlainTextType, title, false, false)))
			return
		}
		b.paragraph(b.inline(n, slack.RichTextSectionTextStyle{Bold: true}))
	case *ast.ThematicBreak:
		b.made = append(b.made, slack.NewDividerBlock())
	case *ast.List:
		b.rich(b.list(n, 0)...)
	case *ast.Blockquote:
		for _, part := range pieces(b.within(n)) {
			b.rich(&slack.RichTextQuote{Type: slack.RTEQuote, Elements: part})
		}
	case *ast.FencedCodeBlock, *ast.CodeBlock, *ast.HTMLBlock:
		b.rich(preformatted(b.lines(n))...)
	case *east.Table:
		b.rich(preformatted(b.table(n))...)
	default:
		b.paragraph(b.inline(n, slack.RichTextSectionTextStyle{}))
	}
}

// rich puts elements into a block of their own, or into several.
func (b *builder) rich(elements ...slack.RichTextElement) {
	for _, e := range elements {
		if last := len(b.made) - 1; e != elements[0] && last >= 0 {
			if block, ok := b.made[last].(*slack.RichTextBlock); ok && size(block.Elements...)+size(e) <= mostInBlock {
				block.Elements = append(block.Elements, e)
				continue
			}
		}
		b.made = append(b.made, slack.NewRichTextBlock("", e))
	}
}

func (b *builder) paragraph(says []slack.RichTextSectionElement) {
	for _, part := range pieces(says) {
		b.rich(slack.NewRichTextSection(part...))
	}
}

// list is a list with what is in it: Slack's lists hold no lists, but are indented.
func (b *builder) list(l *ast.List, indent int) (made []slack.RichTextElement) {
	style, number := slack.RTEListBullet, 0
	if l.IsOrdered() {
		style, number = slack.RTEListOrdered, max(0, l.Start-1)
	}

	for item := l.FirstChild(); item != nil; item = item.NextSibling() {
		var says []slack.RichTextSectionElement
		flush := func() {
			for _, part := range pieces(says) {
				one := slack.NewRichTextList(style, min(indent, mostIndent), slack.NewRichTextSection(part...))
				one.Offset = number
				made = append(made, one)
			}
			says = nil
		}
		for n := item.FirstChild(); n != nil; n = n.NextSibling() {
			switch n := n.(type) {
			case *ast.List:
				flush()
				made = append(made, b.list(n, indent+1)...)
			case *ast.FencedCodeBlock, *ast.CodeBlock, *ast.HTMLBlock:
				flush()
				made = append(made, preformatted(b.lines(n))...)
			case *east.Table:
				flush()
				made = append(made, preformatted(b.table(n))...)
			default:
				if len(says) > 0 {
					says = append(says, slack.NewRichTextSectionTextElement("\n", nil))
				}
				says = append(says, b.within(n)...)
			}
		}
		flush()
		if l.IsOrdered() {
			number++
		}
	}
	return made
}

// within is all that a block says, on lines.
func (b *builder) within(n ast.Node) (says []slack.RichTextSectionElement) {
	if first := n.FirstChild(); first == nil || first.Type() == ast.TypeInline {
		if n.FirstChild() == nil {
			if lines := b.lines(n); lines != "" {
				return []slack.RichTextSectionElement{slack.NewRichTextSectionTextElement(lines, nil)}
			}
		}
		return b.inline(n, slack.RichTextSectionTextStyle{})
	}

	for child := n.FirstChild(); child != nil; child = child.NextSibling() {
		part := b.within(child)
		if len(says) > 0 && len(part) > 0 {
			says = append(says, slack.NewRichTextSectionTextElement("\n", nil))
		}
		says = append(says, part...)
	}
	return says
}

// lines is a block as it is written.
func (b *builder) lines(n ast.Node) string {
	var s strings.Builder
	for i := range n.Lines().Len() {
		line := n.Lines().At(i)
		s.Write(line.Value(b.source))
	}
	return strings.TrimRight(s.String(), "\n")
}

// inline is what stands in a block, in a style.
func (b *builder) inline(n ast.Node, style slack.RichTextSectionTextStyle) []slack.RichTextSectionElement {
	var says []slack.RichTextSectionElement
	write := func(s string) { says = b.say(says, s, style) }
	for child := n.FirstChild(); child != nil; child = child.NextSibling() {
		inner := style
		switch child := child.(type) {
		case *ast.Text:
			write(b.text(child))
		case *ast.String:
			write(string(child.Value))
		case *ast.CodeSpan:
			inner.Code = true
			says = append(says, b.inline(child, inner)...)
		case *ast.Emphasis:
			inner.Bold, inner.Italic = style.Bold || child.Level > 1, style.Italic || child.Level == 1
			says = append(says, b.inline(child, inner)...)
		case *east.Strikethrough:
			inner.Strike = true
			says = append(says, b.inline(child, inner)...)
		case *ast.Link:
			says = append(says, link(string(child.Destination), sayings(b.inline(child, style)), style))
		case *ast.Image:
			says = append(says, link(string(child.Destination), sayings(b.inline(child, style)), style))
		case *ast.AutoLink:
			says = append(says, link(b.address(child), string(child.Label(b.source)), style))
		case *ast.RawHTML:
			for i := range child.Segments.Len() {
				part := child.Segments.At(i)
				write(string(part.Value(b.source)))
			}
		case *east.TaskCheckBox:
			write(map[bool]string{true: "☑ ", false: "☐ "}[child.IsChecked])
		default:
			says = append(says, b.inline(child, style)...)
		}
	}
	return b.mentioned(says)
}

// address is where a link leads that is nothing but its address.
func (b *builder) address(n *ast.AutoLink) string {
	url := string(n.URL(b.source))
	if n.AutoLinkType == ast.AutoLinkEmail && !strings.HasPrefix(url, "mailto:") {
		return "mailto:" + url
	}
	return url
}

// text is what a piece of text says.
func (w *words) text(n *ast.Text) string {
	said := n.Value(w.source)
	if !n.IsRaw() {
		said = util.ResolveEntityNames(util.ResolveNumericReferences(util.UnescapePunctuations(said)))
	}
	switch {
	case n.HardLineBreak():
		return string(said) + "\n"
	case n.SoftLineBreak():
		return string(said) + " "
	}
	return string(said)
}

// say adds s to says, in one element with what stands before it in the same style.
func (b *builder) say(says []slack.RichTextSectionElement, s string,
	style slack.RichTextSectionTextStyle) []slack.RichTextSectionElement {
	if s == "" {
		return says
	}
	if last := len(says) - 1; last >= 0 {
		if e, ok := says[last].(*slack.RichTextSectionTextElement); ok && styleOf(e) == style {
			e.Text += s
			return says
		}
	}
	return append(says, slack.NewRichTextSectionTextElement(s, styled(style)))
}

func styled(style slack.RichTextSectionTextStyle) *slack.RichTextSectionTextStyle {
	if style == (slack.RichTextSectionTextStyle{}) {
		return nil
	}
	return &style
}

func styleOf(e *slack.RichTextSectionTextElement) slack.RichTextSectionTextStyle {
	if e.Style == nil {
		return slack.RichTextSectionTextStyle{}
	}
	return *e.Style
}

// link is a link, or its words where Slack takes no such address.
func link(url, says string, style slack.RichTextSectionTextStyle) slack.RichTextSectionElement {
	scheme, _, _ := strings.Cut(url, ":")
	if !slices.Contains([]string{"http", "https", "mailto", "tel"}, strings.ToLower(scheme)) || len(url) > mostInBlock {
		return slack.NewRichTextSectionTextElement(clip(says+" ("+url+")", mostInBlock), styled(style))
	}
	return slack.NewRichTextSectionLinkElement(url, clip(says, mostInBlock), styled(style))
}

var person = regexp.MustCompile(`<@([UW][A-Z0-9]+)>`)

// mentioned turns the text that stands for people who may be mentioned into mentions.
func (b *builder) mentioned(says []slack.RichTextSectionElement) []slack.RichTextSectionElement {
	if len(b.mentions) == 0 {
		return says
	}

	var made []slack.RichTextSectionElement
	for _, e := range says {
		t, ok := e.(*slack.RichTextSectionTextElement)
		if !ok || styleOf(t).Code {
			made = append(made, e)
			continue
		}
		rest := t.Text
		for at := person.FindStringSubmatchIndex(rest); at != nil; at = person.FindStringSubmatchIndex(rest) {
			id := rest[at[2]:at[3]]
			if !slices.Contains(b.mentions, id) {
				made, rest = b.say(made, rest[:at[1]], styleOf(t)), rest[at[1]:]
				continue
			}
			made = b.say(made, rest[:at[0]], styleOf(t))
			made, rest = append(made, slack.NewRichTextSectionUserElement(id, t.Style)), rest[at[1]:]
		}
		made = b.say(made, rest, styleOf(t))
	}
	return made
}

// table is a table in lines of text, whose columns are as wide as what is in them.
func (b *builder) table(n ast.Node) string {
	var rows [][]string
	var widths []int
	for row := n.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []string
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			says := clip(sayings(b.inline(cell, slack.RichTextSectionTextStyle{})), mostInCell)
			if len(cells) == len(widths) {
				widths = append(widths, 0)
			}
			widths[len(cells)] = max(widths[len(cells)], utf8.RuneCountInString(says))
			cells = append(cells, says)
		}
		rows = append(rows, cells)
		if len(rows) == 1 {
			rows = append(rows, nil) // for the line below the heading
		}
	}

	var lines []string
	for _, cells := range rows {
		line := ""
		for i, width := range widths {
			says, fill := "", " "
			switch {
			case cells == nil:
				fill = "-"
			case i < len(cells):
				says = cells[i]
			}
			line += says + strings.Repeat(fill, width-utf8.RuneCountInString(says)) + "  "
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return strings.Join(lines, "\n")
}

// preformatted is text of one width, in as many elements as it takes.
func preformatted(s string) (made []slack.RichTextElement) {
	if s == "" {
		return nil
	}
	for _, page := range fill(strings.Split(s, "\n"), "", "", "", mostInBlock) {
		made = append(made, &slack.RichTextPreformatted{Type: slack.RTEPreformatted,
			Elements: []slack.RichTextSectionElement{slack.NewRichTextSectionTextElement(page, nil)}})
	}
	return made
}

// sayings are the words of elements.
func sayings(says []slack.RichTextSectionElement) string {
	var s strings.Builder
	for _, e := range says {
		switch e := e.(type) {
		case *slack.RichTextSectionTextElement:
			s.WriteString(e.Text)
		case *slack.RichTextSectionLinkElement:
			s.WriteString(e.Text)
		case *slack.RichTextSectionUserElement:
			s.WriteString("<@" + e.UserID + ">")
		}
	}
	return strings.TrimSpace(s.String())
}

// pieces cuts what a paragraph says into parts that fit a block.
func pieces(says []slack.RichTextSectionElement) (parts [][]slack.RichTextSectionElement) {
	var part []slack.RichTextSectionElement
	room := mostInBlock
	for _, e := range says {
		n := utf8.RuneCountInString(sayings([]slack.RichTextSectionElement{e}))
		t, isText := e.(*slack.RichTextSectionTextElement)
		if isText {
			n = utf8.RuneCountInString(t.Text)
		}
		for isText && n > mostInBlock {
			head, rest := cutLine(t.Text, mostInBlock)
			if len(part) > 0 {
				parts, part, room = append(parts, part), nil, mostInBlock
			}
			parts = append(parts, []slack.RichTextSectionElement{slack.NewRichTextSectionTextElement(head, t.Style)})
			t = slack.NewRichTextSectionTextElement(rest, t.Style)
			e, n = t, utf8.RuneCountInString(rest)
		}
		if n > room {
			parts, part, room = append(parts, part), nil, mostInBlock
		}
		if n > 0 {
			part, room = append(part, e), room-n
		}
	}
	if len(part) > 0 {
		parts = append(parts, part)
	}
	return parts
}

// joined puts blocks of rich text together, as far as they fit.
func joined(blocks []slack.Block) (made []slack.Block) {
	for _, b := range blocks {
		next, ok := b.(*slack.RichTextBlock)
		if last := len(made) - 1; ok && last >= 0 {
			before, ok := made[last].(*slack.RichTextBlock)
			if ok && size(before.Elements...)+size(next.Elements...) <= mostInBlock {
				before.Elements = append(before.Elements, next.Elements...)
				continue
			}
		}
		made = append(made, b)
	}
	return made
}

// size is how many characters are in elements.
func size(elements ...slack.RichTextElement) (n int) {
	for _, e := range elements {
		switch e := e.(type) {
		case *slack.RichTextSection:
			n += utf8.RuneCountInString(sayings(e.Elements))
		case *slack.RichTextQuote:
			n += utf8.RuneCountInString(sayings(e.Elements))
		case *slack.RichTextPreformatted:
			n += utf8.RuneCountInString(sayings(e.Elements))
		case *slack.RichTextList:
			n += size(e.Elements...)
		}
	}
	return n
}

func clip(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}
