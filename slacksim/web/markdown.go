package web

// Markdown blocks as HTML: prose, and the tables and task lists that rich text doesn't have.
// https://docs.slack.dev/reference/block-kit/blocks/markdown-block

import (
	"regexp"
	"strings"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// underHeading is the line of a table below its heading. Its colons say how columns are aligned.
var underHeading = regexp.MustCompile(`^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$`)

// tasks are the items of a list that are done or not, as rich writes them.
var tasks = strings.NewReplacer(
	"<li><div>[x] ", `<li class="task"><div><span role="img" aria-label="done">☑</span> `,
	"<li><div>[ ] ", `<li class="task"><div><span role="img" aria-label="to do">☐</span> `)

// markdown renders it.
func (f surface) markdown(md string) string {
	var out strings.Builder
	var prose []string
	write := func() {
		block, _ := blockkit.Markdown(strings.Join(prose, "\n"))
		out.WriteString(tasks.Replace(all(block["elements"], f.rich)))
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
		out.WriteString(f.markdownTable(lines[:n]))
		lines = lines[n:]
	}
	write()
	return out.String()
}

// tableLines is how many of the lines are a table, 0 where none begins.
func tableLines(lines []string) int {
	if len(lines) < 2 || !strings.Contains(lines[0], "|") || !underHeading.MatchString(lines[1]) ||
		len(cells(lines[0])) != len(cells(lines[1])) {
		return 0
	}
	n := 2
	for n < len(lines) && strings.Contains(lines[n], "|") {
		n++
	}
	return n
}

// cells are those of a row. A bar behind a backslash is no border.
func cells(row string) []string {
	row = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(strings.ReplaceAll(row, `\|`, "\x00")), "|"), "|")
	list := strings.Split(row, "|")
	for i, cell := range list {
		list[i] = strings.TrimSpace(strings.ReplaceAll(cell, "\x00", "|"))
	}
	return list
}

func (f surface) markdownTable(lines []string) string {
	align := cells(lines[1])
	row := func(line, tag string) string {
		out := ""
		for i, cell := range cells(line) {
			if i == len(align) {
				break // what stands beyond the last column is dropped
			}
			side := ""
			switch left, right := strings.HasPrefix(align[i], ":"), strings.HasSuffix(align[i], ":"); {
			case left && right:
				side = ` align="center"`
			case right:
				side = ` align="right"`
			}
			block, _ := blockkit.Markdown(cell)
			out += "<" + tag + side + ">" + all(block["elements"], f.rich) + "</" + tag + ">"
		}
		return "<tr>" + out + "</tr>"
	}

	out := row(lines[0], "th")
	for _, line := range lines[2:] {
		out += row(line, "td")
	}
	return "<table>" + out + "</table>"
}
