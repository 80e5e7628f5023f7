package blockkit

// What each block, element and view of 2026 holds, where it may stand, and its limits. Lengths are in characters.
// docs.slack.dev/reference/block-kit/blocks, /block-elements and /composition-objects

import "strings"

// shape is what an object may hold.
type shape struct {
	on     string   // the surfaces it may stand on, by their letters (Surface)
	in     string   // elements: where they may stand
	must   rules    // fields it has to have
	may    rules    // fields it may have; anything else is refused
	either []string // one of these fields has to be there
	apart  []string // two fields that exclude each other
	also   func(c *checker, p string, o Object)
}

func (s shape) stands(on Surface) bool { return on == anyOf || strings.IndexByte(s.on, byte(on)) >= 0 }

// rule checks a value that is there. p is its JSON pointer.
type rule func(c *checker, p string, v any)

type rules map[string]rule

// kit is all of Block Kit.
type kit struct{ blocks, elements, views map[string]shape }

var shapes = &kit{blocks: blockShapes(), elements: elementShapes(), views: viewShapes()}

// Blocks are the types of blocks that an app may send, each with the letters of its surfaces.
func Blocks() map[string]string { return surfaces(shapes.blocks) }

// Elements are the types of elements, likewise.
func Elements() map[string]string { return surfaces(shapes.elements) }

func surfaces(of map[string]shape) map[string]string {
	out := map[string]string{}
	for k, s := range of {
		out[k] = s.on
	}
	return out
}

func viewShapes() map[string]shape {
	title := plain(24)
	common := func(more rules) rules {
		out := rules{"private_metadata": str(0, 3000), "callback_id": str(0, 255), "external_id": str(0, 255)}
		for k, r := range more {
			out[k] = r
		}
		return out
	}
	return map[string]shape{
		"modal": {must: rules{"title": title, "blocks": anyBlocks}, may: common(rules{"submit": title, "close": title,
			"clear_on_close": boolean, "notify_on_close": boolean, "submit_disabled": boolean})},
		"home": {must: rules{"blocks": anyBlocks}, may: common(rules{"title": anything, "submit": anything,
			"close": anything, "clear_on_close": boolean, "notify_on_close": boolean})},
	}
}

func blockShapes() map[string]shape {
	url := str(1, 3000)
	file := object(shape{may: rules{"id": anyText, "url": url}})
	https := httpsURL(3000)

	return map[string]shape{
		"actions": {on: "MVHS", must: rules{"elements": listOf(1, 25, elements("actions"))}},
		"alert": {on: "V", must: rules{"text": text(200)},
			may: rules{"level": enum("default", "info", "warning", "error", "success")}},
		"call": {on: "M", must: rules{"call_id": anyText}, may: rules{"call": anything}},
		"card": {on: "MHS", may: rules{"hero_image": elements("card"), "icon": elements("card"),
			"slack_icon": object(shape{must: rules{"name": anyText}}), "title": text(150), "subtitle": text(150),
			"body": text(200), "subtext": text(200), "actions": listOf(1, 3, elements("card-actions"))},
			either: []string{"hero_image", "title", "actions", "body"}, apart: []string{"icon", "slack_icon"}},
		"carousel": {on: "MHS", must: rules{"elements": listOf(1, 10, within("", "card"))}},
		"container": {on: "MH", must: rules{"child_blocks": listOf(1, 10, within("container", "actions", "context",
			"divider", "file", "header", "image", "input", "rich_text", "section", "table", "video"))},
			may: rules{"title": plain(150), "rich_text_title": richText, "subtitle": text(150), "icon": elements("context"),
				"width": enum("narrow", "standard", "wide", "full"), "is_collapsible": boolean,
				"default_collapsed": boolean, "has_header_divider": boolean},
			either: []string{"title", "rich_text_title"}, also: collapsible},
		"context":         {on: "MVHS", must: rules{"elements": listOf(1, 10, contextElement)}},
		"context_actions": {on: "MS", must: rules{"elements": listOf(1, 5, elements("context_actions"))}},
		"data_table": {on: "MS", must: rules{"caption": anyText, "rows": tableRows(dataTable)},
			may: rules{"page_size": integer(1, 100), "row_header_column_index": integer(0, 19)}},
		"data_visualization": {on: "MHS", must: rules{"title": str(1, 50), "chart": chart}, also: twoCharts},
		"divider":            {on: "MVHS"},
		"header":             {on: "MVHS", must: rules{"text": plain(150)}, may: rules{"level": integer(1, 4)}},
		"image": {on: "MVHS", must: rules{"alt_text": str(1, 2000)}, either: []string{"image_url", "slack_file"},
			may:   rules{"title": plain(2000), "image_url": url, "slack_file": file},
			apart: []string{"image_url", "slack_file"}},
		"input": {on: "MVH", must: rules{"label": plain(2000), "element": elements("input")},
			may: rules{"hint": plain(2000), "optional": boolean, "dispatch_action": boolean}, also: quietFiles},
		"layout": {on: "MV", must: rules{"label": str(1, 150), "rows": listOf(1, 5, layoutRow)},
			may: rules{"is_label_visible": boolean, "grid_lines": enum("none", "rows", "outer"), "fallback": listOf(0, 100,
				within("fallback", "context", "divider", "header", "image", "rich_text", "section", "table", "video"))}},
		"markdown": {on: "MS", must: rules{"text": markdown}},
		"plan": {on: "MS", must: rules{"title": anyText, "tasks": listOf(1, 50, within("plan", "task_card"))},
			also: uniqueTasks},
		"rich_text": {on: "MVHS", must: rules{"elements": listOf(1, 1000, richElement)}},
		"section": {on: "MVHS", may: rules{"text": text(3000), "fields": listOf(1, 10, text(2000)),
			"accessory": elements("section"), "expand": boolean}, either: []string{"text", "fields"}},
		"table": {on: "MS", must: rules{"rows": tableRows(plainTable)},
			may: rules{"column_settings": listOf(0, 20, nullable(object(shape{may: rules{
				"align": enum("left", "center", "right"), "is_wrapped": boolean}})))}},
		"task_card": {on: "MS", must: rules{"task_id": anyText, "title": anyText, "status": taskStatus},
			may: rules{"details": richText, "output": richText, "icon": anything, "hide_title": boolean,
				"sources": listOf(0, 100, object(shape{must: rules{"url": url, "text": anyText}}))}},
		"video": {on: "MVH", must: rules{"video_url": https, "thumbnail_url": url, "alt_text": str(1, 2000),
			"title": plain(199)}, may: rules{"title_url": https, "author_name": str(0, 49), "provider_name": anyText,
			"provider_icon_url": url, "description": plain(199)}},
	}
}
