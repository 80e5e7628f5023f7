package web

// Markdown blocks as HTML: prose, tables, and the task lists that rich text doesn't have.
// https://docs.slack.dev/reference/block-kit/blocks/markdown-block

import (
	"strings"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// tasks are the items of a list that are done or not, as rich writes them.
var tasks = strings.NewReplacer(
	"<li><div>[x] ", `<li class="task"><div><span role="img" aria-label="done">☑</span> `,
	"<li><div>[ ] ", `<li class="task"><div><span role="img" aria-label="to do">☐</span> `)

// markdown renders it.
func (f surface) markdown(md string) string {
	return each(blockkit.MarkdownBlocks(md), func(block object) string {
		if block["type"] == "table" {
			return f.table(block)
		}
		return tasks.Replace(all(block["elements"], f.rich))
	})
}
