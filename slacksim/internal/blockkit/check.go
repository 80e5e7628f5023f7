package blockkit

// Block Kit's limits, checked as Slack checks them: a block that is one character too long is refused here, not
// discovered in production. docs.slack.dev/reference/block-kit/blocks and /reference/views

import (
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

// CheckMessage validates the blocks of a message and returns them with missing block and action ids filled in, as
// Slack does. fill makes an id with a prefix. Complaints come with JSON pointers, in Slack's wording. With any of them
// the blocks are of no use.
func CheckMessage(raw json.RawMessage, fill func(prefix string) string) (blocks json.RawMessage, complaints []string) {
	c := &checker{most: 50, fill: fill}
	blocks = c.blocks("/blocks", raw)
	return blocks, c.complaints
}

// CheckView does the same with a view, which must be of the type wanted: "modal" or "home". The blocks come back in
// the view.
func CheckView(raw json.RawMessage, wanted string, fill func(prefix string) string) (view Object, complaints []string) {
	c := &checker{most: 100, fill: fill}
	view = c.view(raw)
	if len(c.complaints) == 0 && Text(view["type"]) != wanted {
		c.bad("/view/type", "must be %s here", wanted)
	}
	return view, c.complaints
}

type checker struct {
	complaints []string
	most       int // blocks
	ids        map[string]bool
	fill       func(prefix string) string
}

func (c *checker) bad(path, format string, args ...any) {
	c.complaints = append(c.complaints, "[ERROR] "+fmt.Sprintf(format, args...)+" [json-pointer:"+path+"]")
}

var knownBlocks = []string{
	"actions", "alert", "call", "card", "carousel", "container", "context", "context_actions", "data_table",
	"data_visualization", "divider", "file", "header", "image", "input", "layout", "markdown", "plan", "rich_text",
	"section", "table", "task_card", "video",
}

func (c *checker) blocks(path string, raw json.RawMessage) json.RawMessage {
	var list []Object
	if err := Decode(raw, &list); err != nil {
		c.bad(path, "must be a valid JSON array of blocks")
		return nil
	}
	if len(list) > c.most {
		c.bad(path, "no more than %d items allowed", c.most)
	}

	c.ids = map[string]bool{}
	for i, b := range list {
		p := fmt.Sprintf("%s/%d", path, i)
		if b == nil {
			c.bad(p, "must be an object")
			continue
		}
		c.block(p, b)
	}
	out, _ := json.Marshal(list)
	return out
}

func (c *checker) block(p string, b Object) {
	typ, _ := b["type"].(string)
	if !slices.Contains(knownBlocks, typ) {
		c.bad(p+"/type", "unsupported type: %s", typ)
		return
	}

	c.id(p, b, "block_id", c.ids, "block_id already exists: %s")

	switch typ {
	case "header":
		c.text(p+"/text", b["text"], 150, true, true)
	case "section":
		c.section(p, b)
	case "actions":
		c.actions(p, b)
	case "context":
		c.context(p, b)
	case "image":
		c.image(p, b)
		c.note(p+"/title", b["title"], 2000)
	case "input":
		c.input(p, b)
	case "markdown":
		c.str(p+"/text", b["text"], 12000, true)
	}
}

// id checks a block's or an element's id, which must not be among those seen, and fills in a missing one. Its prefix is
// the first letter of its name. again is the complaint about one that was there before.
func (c *checker) id(p string, o Object, name string, seen map[string]bool, again string) {
	c.str(p+"/"+name, o[name], 255, false)
	id, _ := o[name].(string)
	if id == "" {
		id = c.fill(name[:1])
		o[name] = id
	}
	if seen[id] {
		c.bad(p+"/"+name, again, id)
	}
	seen[id] = true
}

func (c *checker) section(p string, b Object) {
	fields, hasFields := b["fields"].([]any)
	if b["text"] == nil && !hasFields {
		c.bad(p, "missing required field: text or fields")
	}
	if b["text"] != nil {
		c.text(p+"/text", b["text"], 3000, false, true)
	}

	if b["fields"] != nil {
		c.count(p+"/fields", len(fields), 10)
	}
	for i, f := range fields {
		c.text(fmt.Sprintf("%s/fields/%d", p, i), f, 2000, false, true)
	}

	if b["accessory"] != nil {
		c.element(p+"/accessory", b["accessory"], map[string]bool{})
	}
}

func (c *checker) actions(p string, b Object) {
	seen := map[string]bool{}
	for i, e := range c.elements(p, b, 25) {
		q := fmt.Sprintf("%s/elements/%d", p, i)
		if o, _ := e.(Object); o != nil && slices.Contains([]string{"plain_text_input", "image"}, Text(o["type"])) {
			c.bad(q+"/type", "unsupported type: %s", Text(o["type"]))
			continue
		}
		c.element(q, e, seen)
	}
}

func (c *checker) context(p string, b Object) {
	for i, e := range c.elements(p, b, 10) {
		q := fmt.Sprintf("%s/elements/%d", p, i)
		if o, _ := e.(Object); o != nil && o["type"] == "image" {
			c.image(q, o)
		} else {
			c.text(q, e, 3000, false, true)
		}
	}
}

func (c *checker) input(p string, b Object) {
	c.text(p+"/label", b["label"], 2000, true, true)
	c.note(p+"/hint", b["hint"], 2000)
	if o, _ := b["element"].(Object); o == nil {
		c.bad(p, "missing required field: element")
	} else if slices.Contains([]string{"button", "overflow", "image"}, Text(o["type"])) {
		c.bad(p+"/element/type", "unsupported type: %s", Text(o["type"]))
	} else {
		c.element(p+"/element", o, map[string]bool{})
	}
}

// note checks a title, hint or placeholder, which may be left out.
func (c *checker) note(p string, v any, max int) {
	if v != nil {
		c.text(p, v, max, true, false)
	}
}

func (c *checker) elements(p string, b Object, max int) []any {
	l, ok := b["elements"].([]any)
	if !ok {
		c.bad(p+"/elements", "missing required field: elements")
		return nil
	}
	c.count(p+"/elements", len(l), max)
	return l
}

// count checks how many there are of something.
func (c *checker) count(p string, n, max int) {
	if n == 0 {
		c.bad(p, "must have at least 1 item")
	}
	if n > max {
		c.bad(p, "no more than %d items allowed", max)
	}
}

// str checks a string's length in characters.
func (c *checker) str(p string, v any, max int, required bool) {
	if v == nil {
		if required {
			c.bad(p, "missing required field")
		}
		return
	}
	t, ok := v.(string)
	switch n := utf8.RuneCountInString(t); {
	case !ok:
		c.bad(p, "must be a string")
	case required && n == 0:
		c.bad(p, "must be more than 0 characters")
	case n > max:
		c.bad(p, "must be less than %d characters", max+1)
	}
}

func (c *checker) text(p string, v any, max int, plain, required bool) {
	o, ok := v.(Object)
	if !ok {
		c.bad(p, "missing required field: text")
		return
	}
	typ := Text(o["type"])
	if typ != "plain_text" && (plain || typ != "mrkdwn") {
		c.bad(p+"/type", "unsupported type: %s", typ)
	}
	c.str(p+"/text", o["text"], max, required)
}

func (c *checker) image(p string, o Object) {
	if o["slack_file"] == nil {
		c.str(p+"/image_url", o["image_url"], 3000, true)
	}
	c.str(p+"/alt_text", o["alt_text"], 2000, true)
}

var knownElements = []string{
	"button", "channels_select", "checkboxes", "conversations_select", "datepicker", "datetimepicker",
	"email_text_input", "external_select", "feedback_buttons", "file_input", "icon_button", "image",
	"multi_channels_select", "multi_conversations_select", "multi_external_select", "multi_static_select",
	"multi_users_select", "number_input", "overflow", "plain_text_input", "radio_buttons", "rich_text_input",
	"static_select", "timepicker", "url_text_input", "users_select", "workflow_button",
}

func (c *checker) element(p string, v any, seen map[string]bool) {
	o, ok := c.object(p, v)
	if !ok {
		return
	}
	typ := Text(o["type"])
	if !slices.Contains(knownElements, typ) {
		c.bad(p+"/type", "unsupported type: %s", typ)
		return
	}
	if typ == "image" {
		c.image(p, o)
		return
	}

	c.id(p, o, "action_id", seen, "action_id %q already exists")
	c.note(p+"/placeholder", o["placeholder"], 150)
	if o["confirm"] != nil {
		c.confirm(p+"/confirm", o["confirm"])
	}

	switch typ {
	case "button":
		c.button(p, o)
	case "overflow":
		c.options(p, o, 5)
	case "static_select", "multi_static_select":
		c.menu(p, o)
	case "checkboxes", "radio_buttons":
		c.options(p, o, 10)
	}
}

func (c *checker) button(p string, o Object) {
	c.text(p+"/text", o["text"], 75, true, true)
	c.str(p+"/value", o["value"], 2000, false)
	c.str(p+"/url", o["url"], 3000, false)
	c.str(p+"/accessibility_label", o["accessibility_label"], 75, false)
	if st := Text(o["style"]); o["style"] != nil && st != "primary" && st != "danger" {
		c.bad(p+"/style", "must be a valid enum value: primary, danger")
	}
}

func (c *checker) menu(p string, o Object) {
	groups, ok := o["option_groups"].([]any)
	if !ok {
		c.options(p, o, 100)
		return
	}
	for i, g := range groups {
		if m, _ := g.(Object); m != nil {
			c.options(fmt.Sprintf("%s/option_groups/%d", p, i), m, 100)
		}
	}
}

func (c *checker) options(p string, o Object, max int) {
	l, _ := o["options"].([]any)
	c.count(p+"/options", len(l), max)
	for i, v := range l {
		q := fmt.Sprintf("%s/options/%d", p, i)
		if m, ok := c.object(q, v); ok {
			c.text(q+"/text", m["text"], 75, false, true)
			c.str(q+"/value", m["value"], 150, true)
			c.str(q+"/url", m["url"], 3000, false)
		}
	}
}

func (c *checker) confirm(p string, v any) {
	if o, ok := c.object(p, v); ok {
		c.text(p+"/title", o["title"], 100, true, true)
		c.text(p+"/text", o["text"], 300, false, true)
		c.text(p+"/confirm", o["confirm"], 30, true, true)
		c.text(p+"/deny", o["deny"], 30, true, true)
	}
}

func (c *checker) object(p string, v any) (o Object, ok bool) {
	if o, ok = v.(Object); !ok {
		c.bad(p, "must be an object")
	}
	return o, ok
}

func (c *checker) view(raw json.RawMessage) Object {
	var v Object
	if err := Decode(raw, &v); err != nil || v == nil {
		c.bad("/view", "must be a valid JSON object")
		return nil
	}
	typ := Text(v["type"])
	if typ != "modal" && typ != "home" {
		c.bad("/view/type", "must be a valid enum value: modal, home")
		return nil
	}

	var list []Object
	if b, err := json.Marshal(v["blocks"]); v["blocks"] == nil || err != nil {
		c.bad("/view", "missing required field: blocks")
	} else {
		filled := c.blocks("/view/blocks", b)
		_ = Decode(filled, &list)
		var back []any
		_ = Decode(filled, &back)
		v["blocks"] = back
	}

	c.str("/view/private_metadata", v["private_metadata"], 3000, false)
	c.str("/view/callback_id", v["callback_id"], 255, false)
	c.str("/view/external_id", v["external_id"], 255, false)
	if typ == "home" {
		return v
	}

	c.text("/view/title", v["title"], 24, true, true)
	for _, k := range []string{"submit", "close"} {
		if v[k] != nil {
			c.text("/view/"+k, v[k], 24, true, true)
		}
	}
	if v["submit"] == nil && slices.ContainsFunc(list, func(b Object) bool { return b["type"] == "input" }) {
		c.bad("/view", "missing required field: submit (the view has input blocks)")
	}
	return v
}
