// Package markdown fits Markdown of any length into what Slack takes. Slack renders Markdown by itself, in a block of
// the type "markdown" (https://docs.slack.dev/reference/block-kit/blocks/markdown-block), so nothing is translated
// here: a text is cut where its reader sees no seam, and the words of it are found for those who don't see the block.
package markdown

import (
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// Most is how many characters all markdown blocks of one message may have together.
const Most = 12_000

// parser reads what Slack's block reads: CommonMark with GitHub's tables, task lists and struck-out text.
var parser = goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser()

// Pages cuts src into pieces of at most most characters that each stand for themselves: between two blocks if that is
// possible, else between two items, rows, lines or words. What began on one page goes on with its fence, its table's
// heading or its quotation mark on the next. A text that fits, or most below 200, which leaves no room to cut with
// sense, comes back as it is.
func Pages(src string, most int) []string {
	if utf8.RuneCountInString(src) <= most || most < 200 {
		return []string{src}
	}

	var pages []string
	page := ""
	for _, piece := range blocks(src) {
		if joined := page + piece; utf8.RuneCountInString(strings.TrimSpace(joined)) <= most {
			page = joined
			continue
		}
		if strings.TrimSpace(page) != "" {
			pages = append(pages, strings.TrimSpace(page))
		}
		cut := cutBlock(strings.Trim(piece, "\n"), most)
		pages = append(pages, cut[:len(cut)-1]...)
		page = cut[len(cut)-1] + "\n\n"
	}
	if strings.TrimSpace(page) != "" {
		pages = append(pages, strings.TrimSpace(page))
	}
	return pages
}

// blocks cuts src before each of its outermost blocks.
func blocks(src string) []string {
	source := []byte(src)
	doc := parser.Parse(text.NewReader(source))

	var pieces []string
	from := 0
	for n := doc.FirstChild(); n != nil; n = n.NextSibling() {
		at := startOfLine(src, n.Pos())
		if at > from {
			pieces = append(pieces, src[from:at])
			from = at
		}
	}
	return append(pieces, src[from:])
}

// startOfLine is where the line begins that has the byte at in it.
func startOfLine(src string, at int) int {
	at = max(0, min(at, len(src)))
	return strings.LastIndexByte(src[:at], '\n') + 1
}

// cutBlock cuts one block that is longer than a page. head and foot stand on every page of it.
func cutBlock(block string, most int) []string {
	if utf8.RuneCountInString(block) <= most {
		return []string{block}
	}

	lines := strings.Split(block, "\n")
	head, foot, mark := "", "", ""
	switch {
	case fence(lines[0]) != "":
		head, foot = lines[0]+"\n", "\n"+fence(lines[0])
		lines = lines[1:]
		if last := len(lines) - 1; last >= 0 && strings.TrimSpace(lines[last]) == fence(head) {
			lines = lines[:last]
		}
	case len(lines) > 2 && strings.Contains(lines[0], "|") && delimiter(lines[1]):
		head = lines[0] + "\n" + lines[1] + "\n"
		lines = lines[2:]
	case strings.HasPrefix(strings.TrimSpace(lines[0]), ">"):
		mark = "> "
	}
	if utf8.RuneCountInString(head+foot) > most/2 { // a heading that fills the page itself
		lines, head, foot = strings.Split(block, "\n"), "", ""
	}
	return fill(lines, head, foot, mark, most)
}

// fence is what closes the code block that a line opens; "" if it opens none.
func fence(line string) string {
	line = strings.TrimSpace(line)
	for _, c := range []string{"`", "~"} {
		if n := len(line) - len(strings.TrimLeft(line, c)); n >= 3 {
			return strings.Repeat(c, n)
		}
	}
	return ""
}

// delimiter reports whether a line stands between a table's heading and its rows.
func delimiter(line string) bool {
	return strings.Contains(line, "-") && strings.Trim(line, "|:- \t") == ""
}

// fill puts lines on pages, each between head and foot. A line that is longer than a page is cut between words, and its
// pieces begin with mark.
func fill(lines []string, head, foot, mark string, most int) []string {
	room := most - utf8.RuneCountInString(head+foot)
	var pages []string
	page := ""
	for _, line := range lines {
		for first := true; ; first = false {
			if !first && mark != "" {
				line = mark + line
			}
			if utf8.RuneCountInString(page+line) <= room {
				page += line + "\n"
				break
			}
			if page != "" {
				pages, page = append(pages, head+strings.TrimRight(page, "\n")+foot), ""
				if utf8.RuneCountInString(line) <= room {
					page = line + "\n"
					break
				}
			}
			part, rest := cutLine(line, room)
			pages = append(pages, head+part+foot)
			line = rest
		}
	}
	if strings.TrimSpace(page) != "" {
		pages = append(pages, head+strings.TrimRight(page, "\n")+foot)
	}
	return pages
}

// cutLine cuts a line into at most room characters and the rest: behind its last blank there, or anywhere in a word
// that is longer.
func cutLine(line string, room int) (part, rest string) {
	end := 0
	for range room {
		_, size := utf8.DecodeRuneInString(line[end:])
		end += size
	}
	if blank := strings.LastIndexAny(line[:min(end+1, len(line))], " \t"); blank > end/2 {
		return line[:blank], line[blank+1:]
	}
	return line[:end], line[end:]
}
