package blockkit

import "maps"

// What elements hold, and what they share. docs.slack.dev/reference/block-kit/block-elements
var (
	buttonStyle = enum("primary", "danger")
	confirm     = object(shape{must: rules{"title": plain(100), "text": text(300),
		"confirm": plain(30), "deny": plain(30)},
		may: rules{"style": buttonStyle}})
	userIDs = listOf(0, 100, anyText) // ids

	chosenFields = rules{"confirm": confirm, "focus_on_load": focus}
	menuFields   = with(chosenFields, rules{"placeholder": plain(150)})
	typedFields  = rules{"placeholder": plain(150), "initial_value": str(0, 3000), "focus_on_load": focus,
		"dispatch_action_config": object(shape{may: rules{
			"trigger_actions_on": listOf(1, 2, enum("on_enter_pressed", "on_character_entered"))}})}
)

// Where elements stand: places are named as in elements and (*checker).element.
const (
	everywhere = "MVHS"
	asButton   = "actions section card-actions"
	asMenu     = "actions section input"
)

// with is what all elements of a kind may hold, and some more.
func with(base, more rules) rules {
	out := maps.Clone(base)
	maps.Copy(out, more)
	return out
}

func optionShape(words rule) shape {
	return shape{must: rules{"text": words, "value": str(1, 150)},
		may: rules{"description": text(75), "url": str(0, 3000)}}
}

func elementShapes() map[string]shape {
	out := buttonShapes()
	for _, more := range []map[string]shape{menuShapes(), inputShapes()} {
		maps.Copy(out, more)
	}
	return out
}

// buttonShapes are what people press, and pictures.
func buttonShapes() map[string]shape {
	feedback := object(shape{must: rules{"text": plain(75), "value": str(0, 2000)},
		may: rules{"accessibility_label": str(0, 75)}})
	trigger := object(shape{must: rules{"url": anyText},
		may: rules{"customizable_input_parameters": anything}})

	return map[string]shape{
		"button": {on: everywhere, in: asButton, must: rules{"text": plain(75)}, may: rules{"value": str(0, 2000),
			"url": str(0, 3000), "style": buttonStyle, "confirm": confirm, "accessibility_label": str(0, 75),
			"agent_prompt": str(1, 4000), "agent_prompt_display": anything, "visible_to_user_ids": userIDs}},
		"image": {on: everywhere, in: "section context card", must: rules{"alt_text": str(1, 2000)},
			may:    rules{"image_url": str(1, 3000), "slack_file": anything},
			either: []string{"image_url", "slack_file"}},
		"overflow": {on: everywhere, in: "actions section", must: rules{"options": options(5, plain(75))},
			may: rules{"confirm": confirm}},
		"feedback_buttons": {on: "MS", in: "context_actions",
			must: rules{"positive_button": feedback, "negative_button": feedback}},
		"icon_button": {on: "MS", in: "context_actions", must: rules{"icon": enum("trash"), "text": plain(75)},
			may: rules{"value": str(0, 2000), "confirm": confirm, "accessibility_label": str(0, 75),
				"visible_to_user_ids": userIDs}},
		"workflow_button": {on: "M", in: "actions section", must: rules{"action_id": anyText, "text": plain(75),
			"workflow": object(shape{must: rules{"trigger": trigger}})},
			may: rules{"style": buttonStyle, "accessibility_label": str(0, 75)}},
	}
}

// menuShapes are what people choose from.
func menuShapes() map[string]shape {
	several := with(menuFields, rules{"max_selected_items": integer(1, 100)})
	filter := object(shape{may: rules{"include": listOf(1, 4, enum("im", "mpim", "private", "public")),
		"exclude_external_shared_channels": boolean, "exclude_bot_users": boolean}})
	static := rules{"options": options(100, plain(75)), "option_groups": listOf(1, 100, object(shape{
		must: rules{"label": plain(75), "options": options(100, plain(75))}}))}
	option := object(optionShape(text(75)))
	lists := []string{"options", "option_groups"}

	out := map[string]shape{
		"static_select": {may: with(with(menuFields, static), rules{"initial_option": option}), either: lists, apart: lists,
			also: initialOptions},
		"external_select": {may: with(menuFields, rules{"initial_option": option, "min_query_length": integer(0, 3000)})},
		"users_select":    {may: with(menuFields, rules{"initial_user": anyText})},
		"conversations_select": {may: with(menuFields, rules{"initial_conversation": anyText,
			"default_to_current_conversation": boolean, "response_url_enabled": boolean, "filter": filter})},
		"channels_select": {may: with(menuFields, rules{"initial_channel": anyText, "response_url_enabled": boolean})},

		"multi_static_select": {may: with(with(several, static), rules{"initial_options": listOf(1, 100, option)}),
			either: lists, apart: lists, also: initialOptions},
		"multi_external_select": {may: with(several, rules{"initial_options": listOf(1, 100, option),
			"min_query_length": integer(0, 3000)})},
		"multi_users_select": {may: with(several, rules{"initial_users": userIDs})},
		"multi_conversations_select": {may: with(several, rules{"initial_conversations": userIDs,
			"default_to_current_conversation": boolean, "filter": filter})},
		"multi_channels_select": {may: with(several, rules{"initial_channels": userIDs})},

		"checkboxes": {must: rules{"options": options(10, text(75))}, also: initialOptions,
			may: with(chosenFields, rules{"initial_options": listOf(1, 10, option), "visible_to_user_ids": userIDs})},
		"radio_buttons": {must: rules{"options": options(10, text(75))}, also: initialOptions,
			may: with(chosenFields, rules{"initial_option": option})},
		"datepicker": {may: with(menuFields, rules{"initial_date": pattern(`^\d{4}-\d\d-\d\d$`, "YYYY-MM-DD")})},
		"timepicker": {may: with(menuFields, rules{"initial_time": pattern(`^\d\d:\d\d$`, "HH:mm"),
			"timezone": anyText})},
	}
	for name, s := range out {
		s.on, s.in = everywhere, asMenu
		out[name] = s
	}
	out["datetimepicker"] = shape{on: "MVS", in: "actions input",
		may: with(chosenFields, rules{"initial_date_time": integer(1_000_000_000, 9_999_999_999)})}
	return out
}

// inputShapes are what people type into, and files.
func inputShapes() map[string]shape {
	return map[string]shape{
		"plain_text_input": {on: "MVH", in: "input", also: ordered("min_length", "max_length"), may: with(typedFields,
			rules{"multiline": boolean, "min_length": integer(0, 3000), "max_length": integer(1, 3000)})},
		"rich_text_input": {on: "VH", in: "input", must: rules{"action_id": anyText}, may: with(typedFields,
			rules{"initial_value": richText, "min_lines": integer(1, 100), "max_lines": integer(1, 100)}),
			also: ordered("min_lines", "max_lines")},
		"email_text_input": {on: "V", in: "input", may: typedFields},
		"url_text_input":   {on: "V", in: "input", may: typedFields},
		"number_input": {on: "V", in: "input", must: rules{"is_decimal_allowed": boolean},
			may: with(typedFields, rules{"min_value": number, "max_value": number, "initial_value": number})},
		"file_input": {on: "V", in: "input",
			may: rules{"filetypes": listOf(1, 100, anyText), "max_files": integer(1, 10)}},
	}
}
