package blockkit

// Tables in Markdown, which rich text doesn't have: Slack makes blocks of their own of them.
// https://docs.slack.dev/reference/block-kit/blocks/markdown-block

import (
	"regexp"
	"strings"
)

// underHeading is the line of a table below its heading. Its colons say how columns are aligned.
var underHeading = regexp.MustCompile(`^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$`)

// MarkdownBlocks is Markdown as blocks: rich text, and tables between it. What is half written of a table, as in a
// stream, is text until the line below the heading is there.
func MarkdownBlocks(md string) (blocks []Object) {
	var prose []string
	write := func() {
		if block, text := Markdown(strings.Join(prose, "\n")); text != "" {
			blocks = append(blocks, block)
		}
		prose = nil
	}

	code := false
	for lines := strings.Split(md, "\n"); len(lines) > 0; {
		if strings.HasPrefix(lines[0], "```") {
			code = !code
		}
		n := 0
		if !code {
			n = tableLines(lines)
		}
		if n == 0 {
			prose, lines = append(prose, lines[0]), lines[1:]
			continue
		}

		write()
		blocks = append(blocks, tableOf(lines[:n]))
		lines = lines[n:]
	}
	write()
	return blocks
}

// tableLines is how many of the lines are a table, 0 where none begins.
func tableLines(lines []string) int {
	if len(lines) < 2 || !strings.Contains(lines[0], "|") || !underHeading.MatchString(lines[1]) ||
		len(cellsOf(lines[0])) != len(cellsOf(lines[1])) {
		return 0
	}
	n := 2
	for n < len(lines) && strings.Contains(lines[n], "|") {
		n++
	}
	return n
}

// cellsOf are those of a row. A bar behind a backslash is no border.
func cellsOf(row string) []string {
	row = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(strings.ReplaceAll(row, `\|`, "\x00")), "|"), "|")
	list := strings.Split(row, "|")
	for i, cell := range list {
		list[i] = strings.TrimSpace(strings.ReplaceAll(cell, "\x00", "|"))
	}
	return list
}

// tableOf is the block of a table: its heading is the first row.
func tableOf(lines []string) Object {
	var settings, rows []any
	for _, line := range cellsOf(lines[1]) {
		switch left, right := strings.HasPrefix(line, ":"), strings.HasSuffix(line, ":"); {
		case left && right:
			settings = append(settings, Object{"align": "center"})
		case right:
			settings = append(settings, Object{"align": "right"})
		default:
			settings = append(settings, Object{"align": "left"})
		}
	}

	for i, line := range lines {
		if i == 1 {
			continue
		}
		cells := cellsOf(line)
		row := []any{}
		for _, cell := range cells[:min(len(cells), len(settings))] { // what stands beyond the last column is dropped
			block, _ := Markdown(cell)
			row = append(row, block)
		}
		rows = append(rows, row)
	}
	return Object{"type": "table", "column_settings": settings, "rows": rows}
}
