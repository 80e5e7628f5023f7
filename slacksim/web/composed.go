package web

// Blocks that are made of others, of rows or of tasks. They are shown plainly: what is in them counts here, not how
// Slack draws it.

import (
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// composed renders such a block. ok is false for every other.
func (f surface) composed(typ string, x object) (html string, ok bool) {
	switch typ {
	case "alert":
		return whole("div", "block-alert "+esc(textOf(x["level"])), x, f.text(x["text"])), true
	case "call":
		return whole("div", "block-call", x, "📞 Call"), true
	case "card":
		return whole("div", "block-card", x, f.card(x)), true
	case "carousel":
		return whole("div", "block-carousel", x, each(blockkit.Inside(x), f.block)), true
	case "container":
		return f.container(x), true
	case "context_actions":
		return whole("div", "block-actions", x, all(x["elements"], func(e object) string {
			return f.element(textOf(x["block_id"]), e)
		})), true
	case "table", "data_table":
		return whole("div", "block-table", x, f.table(x)), true
	case "data_visualization":
		return whole("div", "block-table", x, chart(x)), true
	case "layout":
		return whole("div", "block-layout", x, f.layout(x)), true
	case "plan":
		return whole("div", "block-plan", x, "<strong>"+esc(textOf(x["title"]))+"</strong>"+all(x["tasks"], f.task)), true
	case "task_card":
		return f.task(x), true
	case "video":
		return whole("div", "block-video", x, f.linkButton(textOf(x["video_url"]), "", "", "▶ "+f.text(x["title"]))), true
	}
	return "", false
}

// part is a field in an element of that class, "" where the field is missing.
func (f surface) part(x object, name string) string {
	if x[name] == nil {
		return ""
	}
	return within("div", name, f.text(x[name]))
}

func (f surface) card(x object) string {
	out := ""
	if hero, ok := x["hero_image"].(object); ok {
		out = f.image(hero, "hero")
	}
	if x["title"] != nil {
		out += within("strong", "title", f.text(x["title"]))
	}
	for _, name := range []string{"subtitle", "body", "subtext"} {
		out += f.part(x, name)
	}
	return out + all(x["actions"], func(e object) string { return f.element(textOf(x["block_id"]), e) })
}

func (f surface) container(x object) string {
	title := "<strong>" + f.text(x["title"]) + "</strong>"
	if rich, ok := x["rich_text_title"].(object); ok {
		title = all(rich["elements"], f.rich)
	}
	body := f.part(x, "subtitle") + each(blockkit.Inside(x), f.block)
	if x["is_collapsible"] != true {
		return whole("div", "block-container", x, title+body)
	}
	open := " open"
	if x["default_collapsed"] == true {
		open = ""
	}
	return whole("div", "block-container", x, `<details`+open+`><summary>`+title+`</summary>`+body+`</details>`)
}

func (f surface) layout(x object) string {
	out := ""
	if x["is_label_visible"] == true {
		out = "<strong>" + esc(textOf(x["label"])) + "</strong>"
	}
	return out + all(x["rows"], func(row object) string {
		return within("div", "layout-row", all(row["items"], func(item object) string {
			block, _ := item["block"].(object)
			width := textOf(item["width"])
			if width == "" {
				width = "standard"
			}
			return within("div", esc(width), f.block(block))
		}))
	})
}

// table renders one. Its first row is the heading, unless it is the only one.
func (f surface) table(x object) string {
	out := ""
	if x["caption"] != nil {
		out = "<caption>" + esc(textOf(x["caption"])) + "</caption>"
	}

	settings, _ := x["column_settings"].([]any)
	rows := blockkit.Rows(x)
	for i, row := range rows {
		tag := "td"
		if i == 0 && len(rows) > 1 {
			tag = "th"
		}
		out += "<tr>"
		for column, c := range row {
			side := ""
			if column < len(settings) {
				side = aligned(settings[column])
			}
			out += "<" + tag + side + ">" + f.cell(textOf(x["block_id"]), c) + "</" + tag + ">"
		}
		out += "</tr>"
	}
	return "<table>" + out + "</table>"
}

// aligned is the attribute of cells in a column, "" where they begin at the left.
func aligned(setting any) string {
	o, _ := setting.(object)
	if side := textOf(o["align"]); side == "center" || side == "right" {
		return ` align="` + side + `"`
	}
	return ""
}

func (f surface) cell(block string, c object) string {
	if e, ok := c["element"].(object); ok {
		return f.element(block, e)
	}
	switch {
	case c["type"] == "rich_text":
		return all(c["elements"], f.rich)
	case c["text"] != nil:
		return esc(textOf(c["text"]))
	}
	return esc(textOf(c["value"]))
}

// chart shows the figures, not the picture.
func chart(x object) string {
	c, _ := x["chart"].(object)
	figures := func(list any) string {
		return all(list, func(p object) string {
			return "<tr><th>" + esc(textOf(p["label"])) + "</th><td>" + esc(textOf(p["value"])) + "</td></tr>"
		})
	}
	rows := figures(c["segments"]) + all(c["series"], func(s object) string {
		return `<tr><th colspan="2">` + esc(textOf(s["name"])) + "</th></tr>" + figures(s["data"])
	})
	return "<table><caption>" + esc(textOf(x["title"])) + "</caption>" + rows + "</table>"
}

var taskMarks = map[string]string{"pending": "○", "in_progress": "◐", "complete": "✓", "error": "✗"}

func (f surface) task(x object) string {
	body := ""
	if x["hide_title"] != true {
		status := textOf(x["status"])
		body = `<p><span role="img" aria-label="` + esc(strings.ReplaceAll(status, "_", " ")) + `">` + taskMarks[status] +
			`</span> <strong>` + esc(textOf(x["title"])) + `</strong></p>`
	}
	for _, name := range []string{"details", "output"} {
		if rich, ok := x[name].(object); ok {
			body += within("div", name, all(rich["elements"], f.rich))
		}
	}
	body += all(x["sources"], func(s object) string {
		return f.linkButton(textOf(s["url"]), "", "", esc(textOf(s["text"]))) + " "
	})
	return whole("div", "block-task", x, body)
}

// answer is one of the two feedback buttons. Its value says which.
func (f surface) answer(block string, e object, side string) string {
	b, _ := e[side].(object)
	return `<button type="submit" class="button" name="action" value="` +
		esc(field(block, textOf(e["action_id"]), textOf(b["value"]))) + `" data-action-id="` + esc(textOf(e["action_id"])) +
		`"` + f.disabled() + `>` + f.text(b["text"]) + `</button>`
}

// iconButton is there for everybody, or for those it names.
func (f surface) iconButton(block string, e object) string {
	only, _ := e["visible_to_user_ids"].([]any)
	if len(only) > 0 && !slices.ContainsFunc(only, func(id any) bool { return id == f.self }) {
		return ""
	}
	words := object{"type": "plain_text", "text": "🗑 " + blockkit.Words(e["text"])}
	b := object{"action_id": e["action_id"], "text": words, "accessibility_label": e["accessibility_label"]}
	if e["confirm"] != nil {
		b["confirm"] = e["confirm"]
	}
	return f.button(block, b)
}
