package blockkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

const (
	pt     = `{"type":"plain_text","text":"T"}`
	md     = `{"type":"mrkdwn","text":"T"}`
	img    = `{"type":"image","image_url":"https://x.example/a.png","alt_text":"a"}`
	btn    = `{"type":"button","text":` + pt + `}`
	opts   = `"options":[{"text":` + pt + `,"value":"1"}]`
	rich   = `{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"T"}]}]}`
	task   = `{"type":"task_card","task_id":"1","title":"T","status":"complete"}`
	cell   = `{"type":"raw_text","text":"T"}`
	digits = `{"type":"raw_number","value":1}`
	card   = `{"type":"card","title":` + pt + `}`
)

func accessory(e string) string { return `{"type":"section","text":` + pt + `,"accessory":` + e + `}` }

func actions(e ...string) string {
	return `{"type":"actions","elements":[` + strings.Join(e, ",") + `]}`
}

func input(e string) string { return `{"type":"input","label":` + pt + `,"element":` + e + `}` }

func contextActions(e string) string { return `{"type":"context_actions","elements":[` + e + `]}` }

func menu(typ, more string) string { return `{"type":"` + typ + `"` + more + `}` }

// fits is a block of each type, and one with each element, with the surfaces that take it.
var fits = []struct{ on, name, block string }{
	{"MVHS", "actions", actions(btn)},
	{"V", "alert", `{"type":"alert","level":"warning","text":` + md + `}`},
	{"M", "call", `{"type":"call","call_id":"R1"}`},
	{"MHS", "card", `{"type":"card","title":` + md + `,"hero_image":` + img + `,"actions":[` + btn + `]}`},
	{"MHS", "carousel", `{"type":"carousel","elements":[` + card + `]}`},
	{"MH", "container", `{"type":"container","title":` + pt + `,"is_collapsible":true,"default_collapsed":true,` +
		`"child_blocks":[{"type":"divider"},` + actions(btn) + `]}`},
	{"MVHS", "context", `{"type":"context","elements":[` + img + `,` + md + `]}`},
	{"MS", "data_table", `{"type":"data_table","caption":"C","page_size":10,"rows":[[` + cell + `,` + cell + `],[` +
		digits + `,` + rich + `]]}`},
	{"MHS", "data_visualization", `{"type":"data_visualization","title":"T","chart":{"type":"pie",` +
		`"segments":[{"label":"a","value":1.5}]}}`},
	{"MHS", "data_visualization", `{"type":"data_visualization","title":"T","chart":` + line("A", "B") + `}`},
	{"MVHS", "divider", `{"type":"divider"}`},
	{"MVHS", "header", `{"type":"header","level":2,"text":` + pt + `}`},
	{"MVHS", "image", `{"type":"image","slack_file":{"id":"F1"},"alt_text":"a","title":` + pt + `}`},
	{"MV", "layout", `{"type":"layout","label":"L","grid_lines":"rows","rows":[{"items":[{"block":{"type":"divider"},` +
		`"width":"narrow"},{"block":` + actions(btn) + `}]}],"fallback":[{"type":"divider"}]}`},
	{"MS", "markdown", `{"type":"markdown","text":"**T**"}`},
	{"MS", "plan", `{"type":"plan","title":"T","tasks":[` + strings.Replace(task, "complete", "pending", 1) + `]}`},
	{"MVHS", "rich_text", rich},
	{"MVHS", "rich_text", `{"type":"rich_text","elements":[{"type":"rich_text_list","style":"bullet","indent":1,` +
		`"elements":[{"type":"rich_text_section","elements":[{"type":"link","url":"https://x.example"}]}]},` +
		`{"type":"rich_text_preformatted","language":"go","elements":[]}]}`},
	{"MVHS", "section", `{"type":"section","fields":[` + md + `],"expand":true}`},
	{"MS", "table", `{"type":"table","rows":[[` + cell + `,` + rich + `]],"column_settings":[null,{"align":"right"}]}`},
	{"MS", "task_card", `{"type":"task_card","task_id":"1","title":"T","status":"in_progress","details":` + rich +
		`,"sources":[{"type":"url","url":"https://x.example","text":"x"}]}`},
	{"MVH", "video", `{"type":"video","video_url":"https://x.example","thumbnail_url":"https://x.example",` +
		`"alt_text":"a","title":` + pt + `}`},

	{"MVHS", "button", accessory(btn)},
	{"MVHS", "image element", accessory(img)},
	{"MVHS", "overflow", accessory(menu("overflow", `,`+opts))},
	{"MVHS", "static_select", accessory(menu("static_select", `,"initial_option":{"text":`+pt+`,"value":"1"},`+opts))},
	{"MVHS", "static_select", actions(menu("static_select", `,"option_groups":[{"label":`+pt+`,`+opts+`}]`))},
	{"MVHS", "external_select", actions(menu("external_select", `,"min_query_length":2`))},
	{"MVHS", "users_select", actions(menu("users_select", `,"placeholder":`+pt))},
	{"MVHS", "conversations_select", actions(menu("conversations_select", `,"filter":{"include":["im"]}`))},
	{"MVHS", "channels_select", actions(menu("channels_select", `,"response_url_enabled":true`))},
	{"MVHS", "multi_static_select", accessory(menu("multi_static_select", `,"max_selected_items":2,`+opts))},
	{"MVHS", "multi_external_select", accessory(menu("multi_external_select", ``))},
	{"MVHS", "multi_users_select", accessory(menu("multi_users_select", `,"initial_users":["U1"]`))},
	{"MVHS", "multi_conversations_select", accessory(menu("multi_conversations_select", ``))},
	{"MVHS", "multi_channels_select", accessory(menu("multi_channels_select", ``))},
	{"MVHS", "checkboxes", accessory(menu("checkboxes", `,`+opts))},
	{"MVHS", "radio_buttons", actions(menu("radio_buttons", `,`+opts))},
	{"MVHS", "datepicker", actions(menu("datepicker", `,"initial_date":"2026-12-01"`))},
	{"MVHS", "timepicker", actions(menu("timepicker", `,"initial_time":"09:30"`))},
	{"MVS", "datetimepicker", actions(menu("datetimepicker", `,"initial_date_time":1790000000`))},
	{"MVH", "plain_text_input", input(menu("plain_text_input", `,"multiline":true,"min_length":1,"max_length":3000`))},
	{"VH", "rich_text_input", input(menu("rich_text_input", `,"action_id":"a","initial_value":`+rich))},
	{"V", "email_text_input", input(menu("email_text_input", ``))},
	{"V", "url_text_input", input(menu("url_text_input", ``))},
	{"V", "number_input", input(menu("number_input", `,"is_decimal_allowed":true,"min_value":"-1.5"`))},
	{"V", "file_input", input(menu("file_input", `,"filetypes":["pdf"],"max_files":10`))},
	{"MS", "feedback_buttons", contextActions(menu("feedback_buttons", `,"positive_button":{"text":`+pt+
		`,"value":"1"},"negative_button":{"text":`+pt+`,"value":"0"}`))},
	{"MS", "icon_button", contextActions(menu("icon_button", `,"icon":"trash","text":`+pt))},
	{"M", "workflow_button", actions(menu("workflow_button", `,"action_id":"w","text":`+pt+
		`,"workflow":{"trigger":{"url":"https://slack.com/shortcuts/x"}}`))},
}

// line is a chart of one series with these points, over the categories A and B.
func line(points ...string) string {
	var data []string
	for _, p := range points {
		data = append(data, `{"label":"`+p+`","value":-1}`)
	}
	return `{"type":"line","series":[{"name":"s","data":[` + strings.Join(data, ",") +
		`]}],"axis_config":{"categories":["A","B"]}}`
}

func filler() func(string) string {
	n := 0
	return func(prefix string) string { n++; return fmt.Sprint(prefix, n) }
}

func TestBlocksBySurface(t *testing.T) {
	seen := map[string]bool{}
	for _, x := range fits {
		seen[strings.TrimSuffix(x.name, " element")] = true
		for _, on := range []Surface{Message, Modal, Home, Stream} {
			_, got := CheckBlocks(on, json.RawMessage("["+x.block+"]"), filler())
			if takes := strings.ContainsRune(x.on, rune(on)); takes != (got == nil) {
				t.Errorf("%s on %c: taken %v, want %v: %v", x.name, on, got == nil, takes, got)
			}
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(Blocks())), slices.Collect(maps.Keys(Elements()))) {
		if !seen[name] && name != "context_actions" && name != "input" {
			t.Errorf("no test has a %s", name)
		}
	}
	file := json.RawMessage(`[{"type":"file","external_id":"x","source":"remote"}]`)
	if _, got := CheckBlocks(Message, file, filler()); got == nil {
		t.Error("apps can't send file blocks")
	}
}

func long(n int) string { return strings.Repeat("ü", n) }

func say(n int) string { return `{"type":"plain_text","text":"` + long(n) + `"}` }

func times(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }

// TestBlockLimits breaks one limit at a time: each complaint names the place.
func TestBlockLimits(t *testing.T) {
	table := func(kind, rows string) string { return `{"type":"` + kind + `","caption":"C","rows":[` + rows + `]}` }
	plainRows := func(rows string) string { return `{"type":"table","rows":[` + rows + `]}` }
	longCell := `{"type":"raw_text","text":"` + long(6000) + `"}`
	pie := `{"type":"data_visualization","title":"T","chart":{"type":"pie","segments":[%s]}}`
	for _, x := range []struct{ on, blocks, pointer, words string }{
		{"M", times(`{"type":"divider"}`, 51), "", "no more than 50 items allowed"},
		{"V", times(`{"type":"divider"}`, 101), "", "no more than 100 items allowed"},
		{"M", `{"type":"divider","colour":"red"}`, "/0", "invalid additional property: colour"},
		{"M", `{"type":"section","text":{"type":"mrkdwn","text":"T","emoji":true}}`, "/0/text", "property: emoji"},
		{"M", `{"type":"header","text":` + say(151) + `}`, "/0/text/text", "must be less than 151 characters"},
		{"M", `{"type":"header","level":5,"text":` + pt + `}`, "/0/level", "less than or equal to 4"},
		{"M", `{"type":"section"}`, "/0", "missing required field: text or fields"},
		{"M", `{"type":"section","fields":[` + times(md, 11) + `]}`, "/0/fields", "no more than 10 items"},
		{"M", actions(times(btn, 26)), "/0/elements", "no more than 25 items"},
		{"M", actions(menu("plain_text_input", "")), "/0/elements/0/type", "unsupported type"},
		{"M", accessory(menu("datetimepicker", "")), "/0/accessory/type", "unsupported type"},
		{"M", actions(`{"type":"button","text":` + pt + `,"action_id":"a"},{"type":"button","text":` + pt +
			`,"action_id":"a"}`), "/0/elements/1/action_id", "already exists"},
		{"M", `{"type":"image","alt_text":"a"}`, "/0", "missing required field: image_url or slack_file"},
		{"M", `{"type":"image","alt_text":"a","image_url":"u","slack_file":{"id":"F1"}}`, "/0", "only one of"},
		{"V", `{"type":"alert","text":` + say(201) + `}`, "/0/text/text", "less than 201"},
		{"V", `{"type":"alert","level":"loud","text":` + pt + `}`, "/0/level", "enum value: default, info"},
		{"M", `{"type":"card","subtitle":` + pt + `}`, "/0", "hero_image or title or actions or body"},
		{"M", `{"type":"card","body":` + say(201) + `}`, "/0/body/text", "less than 201"},
		{"M", `{"type":"card","actions":[` + times(btn, 4) + `]}`, "/0/actions", "no more than 3"},
		{"M", `{"type":"card","title":` + pt + `,"icon":` + img + `,"slack_icon":{"type":"icon","name":"x"}}`, "/0",
			"only one of: icon, slack_icon"},
		{"M", `{"type":"carousel","elements":[` + times(card, 11) + `]}`, "/0/elements", "no more than 10"},
		{"M", `{"type":"carousel","elements":[{"type":"divider"}]}`, "/0/elements/0/type", "unsupported type: divider"},
		{"M", `{"type":"container","child_blocks":[{"type":"divider"}]}`, "/0", "title or rich_text_title"},
		{"M", `{"type":"container","title":` + pt + `,"child_blocks":[` + card + `]}`, "/0/child_blocks/0/type",
			"unsupported type: card"},
		{"M", `{"type":"container","title":` + pt + `,"child_blocks":[` + times(`{"type":"divider"}`, 11) + `]}`,
			"/0/child_blocks", "no more than 10"},
		{"M", `{"type":"container","title":` + pt + `,"default_collapsed":true,"child_blocks":[{"type":"divider"}]}`,
			"/0/default_collapsed", "requires is_collapsible"},
		{"M", contextActions(times(menu("icon_button", `,"icon":"trash","text":`+pt), 6)), "/0/elements", "no more than 5"},
		{"M", contextActions(menu("icon_button", `,"icon":"bin","text":`+pt)), "/0/elements/0/icon", "enum value: trash"},
		{"M", contextActions(btn), "/0/elements/0/type", "unsupported type: button"},
		{"M", table("data_table", `[`+cell+`]`), "/0/rows", "at least 2 items"},
		{"M", table("data_table", times(`[`+cell+`]`, 202)), "/0/rows", "no more than 201"},
		{"M", table("data_table", `[`+cell+`],[`+cell+`,`+cell+`]`), "/0/rows/1", "as many cells"},
		{"M", table("data_table", `[`+rich+`],[`+cell+`]`), "/0/rows/0/0/type", "unsupported type: rich_text"},
		{"M", table("data_table", `[`+times(cell, 21)+`],[`+times(cell, 21)+`]`), "/0/rows/0", "no more than 20"},
		{"M", table("data_table", times(`[`+longCell+`]`, 4)), "/0/rows/3/0", "no more than 20000"},
		{"M", plainRows(times(`[`+cell+`]`, 101)), "/0/rows", "no more than 100"},
		{"M", plainRows(`[`+longCell+`]`) + "," + plainRows(`[`+longCell+`]`), "/1/rows/0/0", "no more than 10000"},
		{"M", fmt.Sprintf(pie, times(`{"label":"a","value":1}`, 13)), "/0/chart/segments", "no more than 12"},
		{"M", fmt.Sprintf(pie, `{"label":"a","value":0}`), "/0/chart/segments/0/value", "greater than 0"},
		{"M", times(fmt.Sprintf(pie, `{"label":"a","value":1}`), 3), "/2", "no more than 2 data_visualization"},
		{"M", `{"type":"data_visualization","title":"` + long(51) + `","chart":` + line("A", "B") + `}`, "/0/title",
			"less than 51"},
		{"M", `{"type":"data_visualization","title":"T","chart":` + line("A") + `}`, "/0/chart/series/0/data",
			"each category"},
		{"V", input(menu("file_input", `,"max_files":11`)), "/0/element/max_files", "less than or equal to 10"},
		{"V", strings.Replace(input(menu("file_input", ``)), `"input"`, `"input","dispatch_action":true`, 1),
			"/0/dispatch_action", "not supported"},
		{"V", input(menu("number_input", ``)), "/0/element", "missing required field: is_decimal_allowed"},
		{"V", input(menu("plain_text_input", `,"min_length":5,"max_length":4`)), "/0/element/min_length", "max_length"},
		{"V", times(input(menu("plain_text_input", `,"focus_on_load":true`)), 2), "/1/element/focus_on_load",
			"no more than 1"},
		{"V", input(btn), "/0/element/type", "unsupported type: button"},
		{"M", `{"type":"layout","label":"L","rows":[` + times(`{"items":[{"block":{"type":"divider"}}]}`, 6) + `]}`,
			"/0/rows", "no more than 5"},
		{"M", `{"type":"layout","label":"L","rows":[{"items":[{"block":` + strings.Replace(rich, "rich_text", "plan", 1) +
			`}]}]}`, "/0/rows/0/items/0/block/type", "unsupported type: plan"},
		{"M", times(`{"type":"divider"}`, 48) + `,{"type":"layout","label":"L","rows":[{"items":[` +
			times(`{"block":{"type":"divider"}}`, 2) + `]}]}`, "", "no more than 50"},
		{"M", `{"type":"markdown","text":"` + long(7000) + `"},{"type":"markdown","text":"` + long(5001) + `"}`, "/1/text",
			"no more than 12000"},
		{"M", `{"type":"plan","title":"T","tasks":[` + times(task, 2) + `]}`, "/0/tasks/1/task_id", "already exists"},
		{"M", strings.Replace(task, "complete", "pending", 1), "/0/status", "in_progress, complete, error"},
		{"M", `{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"sparkle"}]}]}`,
			"/0/elements/0/elements/0/type", "unsupported type: sparkle"},
		{"M", `{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":""}]}]}`,
			"/0/elements/0/elements/0/text", "more than 0 characters"},
		{"M", `{"type":"video","video_url":"http://x.example","thumbnail_url":"u","alt_text":"a","title":` + say(200) + `}`,
			"/0/title/text", "less than 200"},
		{"M", `{"type":"video","video_url":"http://x.example","thumbnail_url":"u","alt_text":"a","title":` + pt + `}`,
			"/0/video_url", "https"},
		{"M", actions(`{"type":"button","value":"` + long(2001) + `","text":` + pt + `}`), "/0/elements/0/value",
			"less than 2001"},
		{"M", actions(`{"type":"button","text":` + pt + `,"confirm":{"title":` + say(101) + `,"text":` + pt +
			`,"confirm":` + pt + `,"deny":` + pt + `}}`), "/0/elements/0/confirm/title/text", "less than 101"},
		{"M", actions(menu("static_select", ``)), "/0/elements/0", "options or option_groups"},
		{"M", actions(menu("static_select", `,"initial_option":{"text":`+pt+`,"value":"2"},`+opts)),
			"/0/elements/0/initial_option", "one of the options"},
		{"M", accessory(menu("checkboxes", `,"initial_options":[{"text":`+pt+`,"value":"2"}],`+opts)),
			"/0/accessory/initial_options/0", "one of the options"},
		{"M", accessory(menu("radio_buttons", `,"initial_option":{"text":`+pt+`,"value":"2"},`+opts)),
			"/0/accessory/initial_option", "one of the options"},
		{"M", accessory(menu("multi_static_select", `,"initial_options":[{"text":`+pt+`,"value":"2"}],`+opts)),
			"/0/accessory/initial_options/0", "one of the options"},
		{"M", actions(menu("overflow", `,"options":[`+times(`{"text":`+pt+`,"value":"1"}`, 6)+`]`)),
			"/0/elements/0/options", "no more than 5"},
		{"M", actions(menu("static_select", `,"options":[{"text":`+pt+`,"value":"`+long(151)+`"}]`)),
			"/0/elements/0/options/0/value", "less than 151"},
		{"M", actions(menu("workflow_button", `,"action_id":"w","text":`+pt+`,"workflow":{"trigger":{}}`)),
			"/0/elements/0/workflow/trigger", "missing required field: url"},
	} {
		_, got := CheckBlocks(Surface(x.on[0]), json.RawMessage("["+x.blocks+"]"), filler())
		at := "[json-pointer:/blocks" + x.pointer + "]"
		if !slices.ContainsFunc(got, func(c string) bool {
			return strings.Contains(c, x.words) && strings.HasSuffix(c, at)
		}) {
			t.Errorf("%.120s: %v, want %q at %s", x.blocks, got, x.words, at)
		}
	}
}

func TestIdsAreFilledIn(t *testing.T) {
	out, wrong := CheckBlocks(Message, json.RawMessage(`[`+actions(btn)+`,{"type":"container","title":`+pt+
		`,"child_blocks":[`+accessory(btn)+`]}]`), filler())
	if wrong != nil || strings.Count(string(out), `"block_id"`) != 3 || strings.Count(string(out), `"action_id"`) != 2 {
		t.Errorf("%s %v", out, wrong)
	}
}

func TestValidatePointsInside(t *testing.T) {
	bad := `[{"type":"section","text":{"type":"sparkle","text":"T"}}]`
	for kind, x := range map[string][2]string{
		"blocks":  {bad, "/0/text/type"},
		"message": {`{"blocks":` + bad + `}`, "/blocks/0/text/type"},
		"view":    {`{"type":"modal","title":` + pt + `,"blocks":` + bad + `}`, "/blocks/0/text/type"},
	} {
		got := Validate(kind, json.RawMessage(x[0]))
		if len(got) != 1 || got[0].Pointer != x[1] {
			t.Errorf("%s: %v", kind, got)
		}
	}
	for _, x := range fits {
		if got := Validate("blocks", json.RawMessage("["+x.block+"]")); got != nil {
			t.Errorf("%s alone: %v", x.name, got)
		}
	}
}

// TestEdges fits each limit exactly, and breaks it by one: § is a text of that length, and # what there is as many of.
func TestEdges(t *testing.T) {
	const words = `{"type":"plain_text","text":"§"}`
	option := func(text, value string) string { return `,"options":[{"text":` + text + `,"value":"` + value + `"}]` }
	confirm := func(title, text, yes string) string {
		return accessory(`{"type":"button","text":` + pt + `,"confirm":{"title":` + title + `,"text":` + text +
			`,"confirm":` +
			yes + `,"deny":` + pt + `}}`)
	}
	video := func(title, author string) string {
		return `{"type":"video","video_url":"https://x.example","thumbnail_url":"u","alt_text":"a","title":` + title +
			`,"author_name":"` + author + `"}`
	}
	bars := func(points, categories string) string {
		return `{"type":"data_visualization","title":"T","chart":{"type":"bar","series":[` + points +
			`],"axis_config":{"categories":["A"],` + categories + `}}}`
	}
	series := func(name string) string { return `{"name":"` + name + `","data":[{"label":"A","value":1}]}` }
	pie := func(segments string) string {
		return `{"type":"data_visualization","title":"T","chart":{"type":"pie","segments":[` + segments + `]}}`
	}
	feedback := func(text, value string) string {
		return contextActions(`{"type":"feedback_buttons","positive_button":{"text":` + text + `,"value":"` + value +
			`"},"negative_button":{"text":` + pt + `,"value":"0"}}`)
	}

	for _, x := range []struct {
		on       Surface
		max      int
		template string
		item     string // what # is made of; § in it is its number
	}{
		{Message, 25, actions("#"), btn},
		{Modal, 200, `{"type":"alert","text":` + words + `}`, ""},
		{Message, 150, `{"type":"card","title":` + words + `}`, ""},
		{Message, 150, `{"type":"card","title":` + pt + `,"subtitle":` + words + `}`, ""},
		{Message, 200, `{"type":"card","body":` + words + `}`, ""},
		{Message, 200, `{"type":"card","title":` + pt + `,"subtext":` + words + `}`, ""},
		{Message, 3, `{"type":"card","actions":[#]}`, btn},
		{Message, 10, `{"type":"carousel","elements":[#]}`, card},
		{Message, 10, `{"type":"container","title":` + pt + `,"child_blocks":[#]}`, `{"type":"divider"}`},
		{Message, 150, `{"type":"container","title":` + words + `,"child_blocks":[{"type":"divider"}]}`, ""},
		{Message, 150, `{"type":"container","title":` + pt + `,"subtitle":` + words + `,"child_blocks":[{"type":"divider"}]}`,
			""},
		{Message, 10, `{"type":"context","elements":[#]}`, md},
		{Message, 5, contextActions("#"), menu("icon_button", `,"icon":"trash","text":`+pt)},
		{Message, 201, `{"type":"data_table","caption":"C","rows":[#]}`, `[` + cell + `]`},
		{Message, 50, `{"type":"data_visualization","title":"§","chart":` + line("A", "B") + `}`, ""},
		{Message, 12, pie("#"), `{"label":"a","value":1}`},
		{Message, 20, pie(`{"label":"§","value":1}`), ""},
		{Message, 12, bars("#", `"x_label":"x"`), series("s§")},
		{Message, 20, bars(series("§"), `"x_label":"x"`), ""},
		{Message, 50, bars(series("s"), `"x_label":"§"`), ""},
		{Message, 50, bars(series("s"), `"y_label":"§"`), ""},
		{Message, 150, `{"type":"header","text":` + words + `}`, ""},
		{Message, 3000, `{"type":"image","image_url":"§","alt_text":"a"}`, ""},
		{Message, 2000, `{"type":"image","image_url":"u","alt_text":"§"}`, ""},
		{Message, 2000, `{"type":"image","image_url":"u","alt_text":"a","title":` + words + `}`, ""},
		{Modal, 2000, `{"type":"input","label":` + words + `,"element":{"type":"plain_text_input"}}`, ""},
		{Modal, 2000, `{"type":"input","label":` + pt + `,"hint":` + words + `,"element":{"type":"plain_text_input"}}`, ""},
		{Message, 150, `{"type":"layout","label":"§","rows":[{"items":[{"block":{"type":"divider"}}]}]}`, ""},
		{Message, 5, `{"type":"layout","label":"L","rows":[#]}`, `{"items":[{"block":{"type":"divider"}}]}`},
		{Message, 3, `{"type":"layout","label":"L","rows":[{"items":[#]}]}`, `{"block":{"type":"divider"}}`},
		{Message, 12000, `{"type":"markdown","text":"§"}`, ""},
		{Message, 50, `{"type":"plan","title":"T","tasks":[#]}`, strings.Replace(task, `"1"`, `"§"`, 1)},
		{Message, 3000, `{"type":"section","text":` + words + `}`, ""},
		{Message, 10, `{"type":"section","fields":[#]}`, md},
		{Message, 2000, `{"type":"section","fields":[` + words + `]}`, ""},
		{Message, 100, `{"type":"table","rows":[#]}`, `[` + cell + `]`},
		{Message, 20, `{"type":"table","rows":[[#]]}`, cell},
		{Message, 20, `{"type":"table","rows":[[` + cell + `]],"column_settings":[#]}`, `{"align":"left"}`},
		{Message, 10000, `{"type":"table","rows":[[{"type":"raw_text","text":"§"}]]}`, ""},
		{Message, 199, video(words, "a"), ""},
		{Message, 49, video(pt, "§"), ""},
		{Message, 199, strings.Replace(video(pt, "a"), `"video"`, `"video","description":`+words, 1), ""},
		{Message, 255, `{"type":"divider","block_id":"§"}`, ""},

		{Message, 75, accessory(`{"type":"button","text":` + words + `}`), ""},
		{Message, 2000, accessory(`{"type":"button","value":"§","text":` + pt + `}`), ""},
		{Message, 3000, accessory(`{"type":"button","url":"§","text":` + pt + `}`), ""},
		{Message, 75, accessory(`{"type":"button","accessibility_label":"§","text":` + pt + `}`), ""},
		{Message, 4000, accessory(`{"type":"button","agent_prompt":"§","text":` + pt + `}`), ""},
		{Message, 255, accessory(`{"type":"button","action_id":"§","text":` + pt + `}`), ""},
		{Message, 100, confirm(words, pt, pt), ""},
		{Message, 300, confirm(pt, words, pt), ""},
		{Message, 30, confirm(pt, pt, words), ""},
		{Message, 30, strings.Replace(confirm(pt, pt, pt), `"deny":`+pt, `"deny":`+words, 1), ""},
		{Message, 5, accessory(`{"type":"overflow","options":[#]}`), `{"text":` + pt + `,"value":"§"}`},
		{Message, 100, accessory(`{"type":"static_select","options":[#]}`), `{"text":` + pt + `,"value":"§"}`},
		{Message, 100, accessory(`{"type":"static_select","option_groups":[#]}`), `{"label":` + pt + `,` + opts + `}`},
		{Message, 75, accessory(menu("static_select", option(words, "1"))), ""},
		{Message, 150, accessory(menu("static_select", option(pt, "§"))), ""},
		{Message, 150, accessory(menu("users_select", `,"placeholder":`+words)), ""},
		{Message, 10, accessory(`{"type":"checkboxes","options":[#]}`), `{"text":` + pt + `,"value":"§"}`},
		{Message, 10, accessory(`{"type":"radio_buttons","options":[#]}`), `{"text":` + pt + `,"value":"§"}`},
		{Message, 75, accessory(menu("checkboxes", option(words, "1"))), ""},
		{Message, 75, accessory(menu("radio_buttons", option(words, "1"))), ""},
		{Message, 75, accessory(menu("overflow", option(words, "1"))), ""},
		{Message, 75, accessory(menu("checkboxes", option(pt+`,"description":`+words, "1"))), ""},
		{Message, 75, accessory(menu("static_select", `,"option_groups":[{"label":`+words+`,`+opts+`}]`)), ""},
		{Modal, 150, input(menu("plain_text_input", `,"placeholder":`+words)), ""},
		{Message, 2000, accessory(`{"type":"image","image_url":"u","alt_text":"§"}`), ""},
		{Message, 3000, accessory(`{"type":"image","image_url":"§","alt_text":"a"}`), ""},
		{Message, 75, contextActions(menu("icon_button", `,"icon":"trash","text":`+words)), ""},
		{Message, 75, feedback(words, "1"), ""},
		{Message, 2000, feedback(pt, "§"), ""},
		{Message, 2000, contextActions(menu("icon_button", `,"icon":"trash","value":"§","text":`+pt)), ""},
		{Message, 75, actions(menu("workflow_button", `,"action_id":"w","text":`+words+
			`,"workflow":{"trigger":{"url":"u"}}`)), ""},
	} {
		for _, n := range []int{x.max, x.max + 1} {
			var items []string
			for i := range n {
				items = append(items, strings.ReplaceAll(x.item, "§", fmt.Sprint(i)))
			}
			block := strings.ReplaceAll(x.template, "#", strings.Join(items, ","))
			block = strings.ReplaceAll(block, "§", long(n))
			if _, got := CheckBlocks(x.on, json.RawMessage("["+block+"]"), filler()); (got == nil) != (n == x.max) {
				t.Errorf("%d of at most %d in %.110s: %.200v", n, x.max, x.template, got)
			}
		}
	}
}

func TestViewEdges(t *testing.T) {
	for max, view := range map[int]string{
		24:   `{"type":"modal","title":{"type":"plain_text","text":"§"},"blocks":[]}`,
		3000: `{"type":"home","private_metadata":"§","blocks":[]}`,
		255:  `{"type":"home","callback_id":"§","external_id":"§","blocks":[]}`,
	} {
		for _, n := range []int{max, max + 1} {
			wanted, _, _ := strings.Cut(strings.TrimPrefix(view, `{"type":"`), `"`)
			_, got := CheckView(json.RawMessage(strings.ReplaceAll(view, "§", long(n))), wanted, filler())
			if (got == nil) != (n == max) {
				t.Errorf("%d of at most %d: %.200v", n, max, got)
			}
		}
	}
	for wanted, view := range map[string]string{
		"home":  `{"type":"modal","title":` + pt + `,"blocks":[]}`,
		"modal": `{"type":"modal","title":` + pt + `,"blocks":[` + input(menu("plain_text_input", "")) + `]}`,
	} {
		if _, got := CheckView(json.RawMessage(view), wanted, filler()); len(got) != 1 {
			t.Errorf("%s: %v", wanted, got)
		}
	}
}

// Whatever blocks are sent, they are refused, or shown with ids that make them no worse.
func FuzzBlocks(f *testing.F) {
	for _, s := range []string{`[{"type":"divider"}]`, `[{"type":"section","fields":[null]}]`, `{}`, `[[]]`,
		`[{"type":"container","title":{"type":"plain_text","text":"t"},"child_blocks":[{"type":"container"}]}]`,
		`[{"type":"data_table","caption":"c","rows":[[{"type":"raw_text","text":"a"}],[{"type":"raw_number","value":1}]]}]`,
		`[{"type":"layout","label":"l","rows":[{"items":[{"block":{"type":"divider"}}]}]}]`} {
		f.Add(byte('M'), []byte(s))
	}
	f.Fuzz(func(t *testing.T, on byte, raw []byte) {
		n := 0
		fill := func(prefix string) string { n++; return fmt.Sprint(prefix, "~", n) }
		blocks, complaints := CheckBlocks(Surface(on), raw, fill)
		if len(complaints) > 0 {
			return
		}
		again, complaints := CheckBlocks(Surface(on), blocks, fill)
		if len(complaints) > 0 || !bytes.Equal(again, blocks) {
			t.Errorf("%q became %s, and that %s: %v", raw, blocks, again, complaints)
		}
		EachElement(blocks, func(_, e Object, _ bool) { Initial(e) })
	})
}
