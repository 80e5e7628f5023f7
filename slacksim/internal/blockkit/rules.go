package blockkit

// The rules that shapes are made of.

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

func anything(*checker, string, any) {}

// anyText is text for which Slack names no limit.
var anyText = str(1, 40_000)

func boolean(c *checker, p string, v any) {
	if _, ok := v.(bool); !ok {
		c.bad(p, "must be a boolean")
	}
}

// str is text of min to max characters.
func str(min, max int) rule {
	return func(c *checker, p string, v any) {
		t, ok := v.(string)
		switch n := utf8.RuneCountInString(t); {
		case !ok:
			c.bad(p, "must be a string")
		case n < min:
			c.bad(p, "must be more than %d characters", min-1)
		case n > max:
			c.bad(p, "must be less than %d characters", max+1)
		}
	}
}

func httpsURL(max int) rule {
	return func(c *checker, p string, v any) {
		if str(1, max)(c, p, v); !strings.HasPrefix(Text(v), "https://") {
			c.bad(p, "must be a valid https URL")
		}
	}
}

func pattern(of, called string) rule {
	re := regexp.MustCompile(of)
	return func(c *checker, p string, v any) {
		if t, ok := v.(string); !ok || !re.MatchString(t) {
			c.bad(p, "must be in the format %s", called)
		}
	}
}

func enum(values ...string) rule {
	return func(c *checker, p string, v any) {
		if t, ok := v.(string); !ok || !slices.Contains(values, t) {
			c.bad(p, "must be a valid enum value: %s", strings.Join(values, ", "))
		}
	}
}

func integer(min, max int64) rule {
	return func(c *checker, p string, v any) {
		n, ok := v.(json.Number)
		i, err := n.Int64()
		switch {
		case !ok || err != nil:
			c.bad(p, "must be an integer")
		case i < min:
			c.bad(p, "must be greater than or equal to %d", min)
		case i > max:
			c.bad(p, "must be less than or equal to %d", max)
		}
	}
}

// number is a number that is written as a string.
func number(c *checker, p string, v any) {
	t, ok := v.(string)
	if _, err := strconv.ParseFloat(t, 64); !ok || err != nil {
		c.bad(p, "must be a number in a string")
	}
}

// text is a text object, plain one without notation.
func text(max int) rule { return textOf(max, "plain_text", "mrkdwn") }

func plain(max int) rule { return textOf(max, "plain_text") }

func textOf(max int, types ...string) rule {
	return func(c *checker, p string, v any) {
		o, ok := c.object(p, v)
		if !ok {
			return
		}
		typ := Text(o["type"])
		if !slices.Contains(types, typ) {
			c.bad(p+"/type", "unsupported type: %s", typ)
			return
		}
		more := map[string]string{"plain_text": "emoji", "mrkdwn": "verbatim"}[typ]
		c.shape(p, o, shape{must: rules{"text": str(1, max)}, may: rules{more: boolean}}, "")
	}
}

func listOf(min, max int, of rule) rule {
	return func(c *checker, p string, v any) {
		all, ok := v.([]any)
		switch {
		case !ok:
			c.bad(p, "must be an array")
		case len(all) < min:
			c.bad(p, "must have at least %d %s", min, map[bool]string{true: "item", false: "items"}[min == 1])
		case len(all) > max:
			c.bad(p, "no more than %d items allowed", max)
		}
		for i, x := range all {
			of(c, fmt.Sprintf("%s/%d", p, i), x)
		}
	}
}

func nullable(of rule) rule {
	return func(c *checker, p string, v any) {
		if v != nil {
			of(c, p, v)
		}
	}
}

// object is one whose type, if it has one, is not looked at.
func object(s shape) rule {
	return func(c *checker, p string, v any) {
		if o, ok := c.object(p, v); ok {
			c.shape(p, o, s, "")
		}
	}
}

func options(max int, words rule) rule { return listOf(1, max, object(optionShape(words))) }

func elements(place string) rule {
	return func(c *checker, p string, v any) { c.element(p, v, place) }
}

func anyBlocks(c *checker, p string, v any) { listOf(0, 1<<20, (*checker).block)(c, p, v) }

// within is a block of one of these types that stands in another.
func within(place string, types ...string) rule {
	return func(c *checker, p string, v any) {
		o, _ := v.(Object)
		if typ := Text(o["type"]); o != nil && !slices.Contains(types, typ) {
			c.bad(p+"/type", "unsupported type: %s", typ)
			return
		}
		outer, count := c.inside, c.count
		c.inside = place
		c.block(p, v)
		c.inside = outer
		if place != "layout" { // what is in a layout counts as if it stood by itself
			c.count = count
		}
	}
}

func richText(c *checker, p string, v any) {
	if o, ok := c.object(p, v); ok && o["type"] != "rich_text" {
		c.bad(p+"/type", "unsupported type: %s", Text(o["type"]))
	} else if ok {
		c.shape(p, o, c.kit.blocks["rich_text"], "block_id")
	}
}

func contextElement(c *checker, p string, v any) {
	if o, _ := v.(Object); o != nil && o["type"] == "image" {
		c.element(p, v, "context")
		return
	}
	text(3000)(c, p, v)
}

// markdown counts for all such blocks of a message together.
func markdown(c *checker, p string, v any) {
	str(1, 12000)(c, p, v)
	t, _ := v.(string)
	if n := utf8.RuneCountInString(t); n <= 12000 {
		c.sum(p, "markdown", n, 12000, "no more than %d characters in all markdown blocks together")
	}
}

var (
	layoutBlocks = []string{"actions", "alert", "card", "carousel", "container", "context", "data_table",
		"data_visualization", "divider", "header", "image", "input", "rich_text", "section", "table", "video"}

	layoutRow = object(shape{must: rules{"items": listOf(1, 3, object(shape{
		must: rules{"block": within("layout", layoutBlocks...)},
		may:  rules{"width": enum("narrow", "standard", "wide"), "horizontal_alignment": enum("start", "center", "end")},
	}))}})
)

func collapsible(c *checker, p string, o Object) {
	if o["default_collapsed"] == true && o["is_collapsible"] != true {
		c.bad(p+"/default_collapsed", "requires is_collapsible")
	}
	if o["has_header_divider"] == true && o["is_collapsible"] == true {
		c.bad(p+"/has_header_divider", "not allowed with is_collapsible")
	}
}

// quietFiles: a file_input sends nothing before its view is submitted.
func quietFiles(c *checker, p string, o Object) {
	if e, _ := o["element"].(Object); e != nil && e["type"] == "file_input" && o["dispatch_action"] == true {
		c.bad(p+"/dispatch_action", "not supported for file_input")
	}
}

func uniqueTasks(c *checker, p string, o Object) {
	seen := map[string]bool{}
	for i, t := range Objects(o["tasks"]) {
		id := Text(t["task_id"])
		if seen[id] {
			c.bad(fmt.Sprintf("%s/tasks/%d/task_id", p, i), "task_id already exists: %s", id)
		}
		seen[id] = true
	}
}

// taskStatus: only a task of a plan can be pending.
func taskStatus(c *checker, p string, v any) {
	values := []string{"in_progress", "complete", "error"}
	if c.inside == "plan" {
		values = append(values, "pending")
	}
	enum(values...)(c, p, v)
}

// focus is one element of a view.
func focus(c *checker, p string, v any) {
	boolean(c, p, v)
	if v == true {
		c.sum(p, "focus_on_load", 1, 1, "no more than %d element can have focus_on_load")
	}
}

func ordered(low, high string) func(*checker, string, Object) {
	return func(c *checker, p string, o Object) {
		l, errLow := strconv.Atoi(Text(o[low]))
		h, errHigh := strconv.Atoi(Text(o[high]))
		if errLow == nil && errHigh == nil && l > h {
			c.bad(p+"/"+low, "must be less than or equal to %s", high)
		}
	}
}

// initialOptions: what is chosen at first must be among what can be chosen.
func initialOptions(c *checker, p string, o Object) {
	var values []string
	for _, x := range Options(o) {
		values = append(values, Text(x["value"]))
	}
	check := func(p string, v any) {
		if x, _ := v.(Object); x != nil && !slices.Contains(values, Text(x["value"])) {
			c.bad(p, "must match one of the options")
		}
	}
	check(p+"/initial_option", o["initial_option"])
	for i, x := range Objects(o["initial_options"]) {
		check(fmt.Sprintf("%s/initial_options/%d", p, i), x)
	}
}

// richWords are the elements of a line of rich text, with the field that each has to have.
var richWords = map[string]string{
	"broadcast": "range", "channel": "channel_id", "color": "value", "date": "timestamp", "emoji": "name", "link": "url",
	"team": "team_id", "text": "text", "user": "user_id", "usergroup": "usergroup_id",
	"canvas": "file_id", "citation": "", "file": "file_id", "list_record": "file_id", "message_mention": "channel_id",
	"tag": "text", "work_object_mention": "entity_id", "workflow_mention": "workflow_id",
}

func richElement(c *checker, p string, v any) {
	o, ok := c.object(p, v)
	if !ok {
		return
	}
	inside := rule(richWord)
	may := rules{"border": integer(0, 1)}
	switch typ := Text(o["type"]); typ {
	case "rich_text_section":
		may = nil
	case "rich_text_quote":
	case "rich_text_preformatted":
		may["language"] = str(0, 255)
	case "rich_text_list":
		inside = richElement
		may["indent"], may["offset"] = integer(0, 8), integer(0, 1<<31)
		may["style"] = enum("bullet", "ordered")
	default:
		c.bad(p+"/type", "unsupported type: %s", typ)
		return
	}
	c.shape(p, o, shape{must: rules{"elements": listOf(0, 1000, inside)}, may: may}, "")
}

func richWord(c *checker, p string, v any) {
	o, ok := c.object(p, v)
	if !ok {
		return
	}
	need, known := richWords[Text(o["type"])]
	switch {
	case !known:
		c.bad(p+"/type", "unsupported type: %s", Text(o["type"]))
	case need != "" && o[need] == nil:
		c.bad(p, "missing required field: %s", need)
	case need == "text":
		str(1, 40000)(c, p+"/text", o["text"])
	}
}
