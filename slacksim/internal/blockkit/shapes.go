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
	image := rules{"image_url": str(1, 3000), "slack_file": object(shape{may: rules{"id": str(1, 255), "url": str(1, 3000)}})}
	url := str(1, 3000)
	https := httpsURL(3000)

	return map[string]shape{
		"actions": {on: "MVHS", must: rules{"elements": list(1, 25, elements("actions"))}},
		"alert": {on: "V", must: rules{"text": text(200)},
			may: rules{"level": enum("default", "info", "warning", "error", "success")}},
		"call": {on: "M", must: rules{"call_id": str(1, 255)}, may: rules{"call": anything}},
		"card": {on: "MHS", may: rules{"hero_image": elements("card"), "icon": elements("card"),
			"slack_icon": object(shape{must: rules{"name": str(1, 255)}}), "title": text(150), "subtitle": text(150),
			"body": text(200), "subtext": text(200), "actions": list(1, 3, elements("card-actions"))},
			either: []string{"hero_image", "title", "actions", "body"}, apart: []string{"icon", "slack_icon"}},
		"carousel": {on: "MHS", must: rules{"elements": list(1, 10, within("", "card"))}},
		"container": {on: "MH", must: rules{"child_blocks": list(1, 10, within("container", "actions", "context",
			"divider", "file", "header", "image", "input", "rich_text", "section", "table", "video"))},
			may: rules{"title": plain(150), "rich_text_title": richText, "subtitle": text(150), "icon": elements("context"),
				"width": enum("narrow", "standard", "wide", "full"), "is_collapsible": boolean,
				"default_collapsed": boolean, "has_header_divider": boolean},
			either: []string{"title", "rich_text_title"}, also: collapsible},
		"context":         {on: "MVHS", must: rules{"elements": list(1, 10, contextElement)}},
		"context_actions": {on: "MS", must: rules{"elements": list(1, 5, elements("context_actions"))}},
		"data_table": {on: "MS", must: rules{"caption": str(1, 3000), "rows": tableRows(dataTable)},
			may: rules{"page_size": integer(1, 100), "row_header_column_index": integer(0, 19)}},
		"data_visualization": {on: "MHS", must: rules{"title": str(1, 50), "chart": chart}, also: twoCharts},
		"divider":            {on: "MVHS"},
		"header":             {on: "MVHS", must: rules{"text": plain(150)}, may: rules{"level": integer(1, 4)}},
		"image": {on: "MVHS", must: rules{"alt_text": str(1, 2000)}, either: []string{"image_url", "slack_file"},
			may:   rules{"title": plain(2000), "image_url": image["image_url"], "slack_file": image["slack_file"]},
			apart: []string{"image_url", "slack_file"}},
		"input": {on: "MVH", must: rules{"label": plain(2000), "element": elements("input")},
			may: rules{"hint": plain(2000), "optional": boolean, "dispatch_action": boolean}, also: quietFiles},
		"layout": {on: "MV", must: rules{"label": str(1, 150), "rows": list(1, 5, layoutRow)},
			may: rules{"is_label_visible": boolean, "grid_lines": enum("none", "rows", "outer"), "fallback": list(0, 100,
				within("fallback", "context", "divider", "header", "image", "rich_text", "section", "table", "video"))}},
		"markdown": {on: "MS", must: rules{"text": markdown}},
		"plan": {on: "MS", must: rules{"title": str(1, 3000), "tasks": list(1, 50, within("plan", "task_card"))},
			also: uniqueTasks},
		"rich_text": {on: "MVHS", must: rules{"elements": list(1, 1000, richElement)}},
		"section": {on: "MVHS", may: rules{"text": text(3000), "fields": list(1, 10, text(2000)),
			"accessory": elements("section"), "expand": boolean}, either: []string{"text", "fields"}},
		"table": {on: "MS", must: rules{"rows": tableRows(plainTable)},
			may: rules{"column_settings": list(0, 20, nullable(object(shape{may: rules{
				"align": enum("left", "center", "right"), "is_wrapped": boolean}})))}},
		"task_card": {on: "MS", must: rules{"task_id": str(1, 255), "title": str(1, 3000), "status": taskStatus},
			may: rules{"details": richText, "output": richText, "icon": anything, "hide_title": boolean,
				"sources": list(0, 100, object(shape{must: rules{"url": url, "text": str(1, 3000)}}))}},
		"video": {on: "MVH", must: rules{"video_url": https, "thumbnail_url": url, "alt_text": str(1, 2000),
			"title": plain(199)}, may: rules{"title_url": https, "author_name": str(0, 49), "provider_name": str(0, 3000),
			"provider_icon_url": url, "description": plain(199)}},
	}
}

func elementShapes() map[string]shape {
	const everywhere = "MVHS"
	pressed := "actions section card-actions"
	chosen := "actions section input"
	confirm := object(shape{must: rules{"title": plain(100), "text": text(300), "confirm": plain(30), "deny": plain(30)},
		may: rules{"style": enum("primary", "danger")}})
	style, words := enum("primary", "danger"), plain(150)
	trigger := object(shape{may: rules{"trigger_actions_on": list(1, 2, enum("on_enter_pressed", "on_character_entered"))}})

	// with is what all elements of a kind may hold, and some more.
	with := func(base rules, more rules) rules {
		out := rules{}
		for _, m := range []rules{base, more} {
			for k, r := range m {
				out[k] = r
			}
		}
		return out
	}
	menu := rules{"placeholder": words, "confirm": confirm, "focus_on_load": focus}
	several := with(menu, rules{"max_selected_items": integer(1, 100)})
	typed := rules{"placeholder": words, "initial_value": str(0, 3000), "dispatch_action_config": trigger,
		"focus_on_load": focus}
	picked := rules{"confirm": confirm, "focus_on_load": focus}
	filter := object(shape{may: rules{"include": list(1, 4, enum("im", "mpim", "private", "public")),
		"exclude_external_shared_channels": boolean, "exclude_bot_users": boolean}})
	groups := list(1, 100, object(shape{must: rules{"label": plain(75), "options": options(100, plain(75))}}))
	static := rules{"options": options(100, plain(75)), "option_groups": groups}
	feedback := object(shape{must: rules{"text": plain(75), "value": str(0, 2000)},
		may: rules{"accessibility_label": str(0, 75)}})
	option := object(optionShape(text(75)))

	return map[string]shape{
		"button": {on: everywhere, in: pressed, must: rules{"text": plain(75)}, may: rules{"value": str(0, 2000),
			"url": str(0, 3000), "style": style, "confirm": confirm, "accessibility_label": str(0, 75),
			"agent_prompt": str(1, 4000), "agent_prompt_display": str(0, 4000), "visible_to_user_ids": list(0, 100, str(1, 255))}},
		"image": {on: everywhere, in: "section context card", must: rules{"alt_text": str(1, 2000)},
			may:    rules{"image_url": str(1, 3000), "slack_file": anything},
			either: []string{"image_url", "slack_file"}},
		"overflow": {on: everywhere, in: "actions section", must: rules{"options": options(5, plain(75))},
			may: rules{"confirm": confirm}},

		"static_select": {on: everywhere, in: chosen, may: with(menu, with(static, rules{"initial_option": option})),
			either: []string{"options", "option_groups"}, apart: []string{"options", "option_groups"}, also: initialOptions},
		"external_select": {on: everywhere, in: chosen,
			may: with(menu, rules{"initial_option": option, "min_query_length": integer(0, 3000)})},
		"users_select": {on: everywhere, in: chosen, may: with(menu, rules{"initial_user": str(1, 255)})},
		"conversations_select": {on: everywhere, in: chosen, may: with(menu, rules{"initial_conversation": str(1, 255),
			"default_to_current_conversation": boolean, "response_url_enabled": boolean, "filter": filter})},
		"channels_select": {on: everywhere, in: chosen,
			may: with(menu, rules{"initial_channel": str(1, 255), "response_url_enabled": boolean})},
		"multi_static_select": {on: everywhere, in: chosen,
			may:    with(several, with(static, rules{"initial_options": list(1, 100, option)})),
			either: []string{"options", "option_groups"}, apart: []string{"options", "option_groups"}, also: initialOptions},
		"multi_external_select": {on: everywhere, in: chosen,
			may: with(several, rules{"initial_options": list(1, 100, option), "min_query_length": integer(0, 3000)})},
		"multi_users_select": {on: everywhere, in: chosen,
			may: with(several, rules{"initial_users": list(0, 100, str(1, 255))})},
		"multi_conversations_select": {on: everywhere, in: chosen,
			may: with(several, rules{"initial_conversations": list(0, 100, str(1, 255)),
				"default_to_current_conversation": boolean, "filter": filter})},
		"multi_channels_select": {on: everywhere, in: chosen,
			may: with(several, rules{"initial_channels": list(0, 100, str(1, 255))})},

		"checkboxes": {on: everywhere, in: chosen, must: rules{"options": options(10, text(75))}, also: initialOptions,
			may: with(picked, rules{"initial_options": list(1, 10, option), "visible_to_user_ids": list(0, 100, str(1, 255))})},
		"radio_buttons": {on: everywhere, in: chosen, must: rules{"options": options(10, text(75))}, also: initialOptions,
			may: with(picked, rules{"initial_option": option})},
		"datepicker": {on: everywhere, in: chosen,
			may: with(picked, rules{"placeholder": words, "initial_date": pattern(`^\d{4}-\d\d-\d\d$`, "YYYY-MM-DD")})},
		"timepicker": {on: everywhere, in: chosen, may: with(picked, rules{"placeholder": words,
			"initial_time": pattern(`^\d\d:\d\d$`, "HH:mm"), "timezone": str(1, 255)})},
		"datetimepicker": {on: "MVS", in: "actions input",
			may: with(picked, rules{"initial_date_time": integer(1_000_000_000, 9_999_999_999)})},

		"plain_text_input": {on: "MVH", in: "input", also: ordered("min_length", "max_length"), may: with(typed,
			rules{"multiline": boolean, "min_length": integer(0, 3000), "max_length": integer(1, 3000)})},
		"rich_text_input": {on: "VH", in: "input", must: rules{"action_id": str(1, 255)}, may: with(typed,
			rules{"initial_value": richText, "min_lines": integer(1, 100), "max_lines": integer(1, 100)}),
			also: ordered("min_lines", "max_lines")},
		"email_text_input": {on: "V", in: "input", may: typed},
		"url_text_input":   {on: "V", in: "input", may: typed},
		"number_input": {on: "V", in: "input", must: rules{"is_decimal_allowed": boolean},
			may: with(typed, rules{"min_value": number, "max_value": number, "initial_value": number})},
		"file_input": {on: "V", in: "input",
			may: rules{"filetypes": list(1, 100, str(1, 255)), "max_files": integer(1, 10)}},

		"feedback_buttons": {on: "MS", in: "context_actions",
			must: rules{"positive_button": feedback, "negative_button": feedback}},
		"icon_button": {on: "MS", in: "context_actions", must: rules{"icon": enum("trash"), "text": plain(75)},
			may: rules{"value": str(0, 2000), "confirm": confirm, "accessibility_label": str(0, 75),
				"visible_to_user_ids": list(0, 100, str(1, 255))}},
		"workflow_button": {on: "M", in: "actions section", must: rules{"action_id": str(1, 255), "text": plain(75),
			"workflow": object(shape{must: rules{"trigger": object(shape{must: rules{"url": str(1, 3000)},
				may: rules{"customizable_input_parameters": list(0, 100, anything)}})}})},
			may: rules{"style": style, "accessibility_label": str(0, 75)}},
	}
}

func optionShape(words rule) shape {
	return shape{must: rules{"text": words, "value": str(1, 150)},
		may: rules{"description": text(75), "url": str(0, 3000)}}
}
