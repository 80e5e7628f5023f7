// Package blockkit reads Block Kit: what the simulator's engine and its pages both have to know of blocks and their
// elements, and the limits that Slack checks them against.
package blockkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Object is decoded JSON. Its numbers are of type json.Number.
type Object = map[string]any

// Decode reads JSON, keeping numbers as they are written.
func Decode(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(into)
}

// Text is a decoded value as text: "" for null, JSON for lists and objects.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool, json.Number:
		return fmt.Sprint(v)
	default:
		b, _ := json.Marshal(v)
		return string(b)
	}
}

// Words is the text of a text object.
func Words(v any) string {
	o, _ := v.(Object)
	return Text(o["text"])
}

// Escape writes &, < and > as Slack does in message text.
func Escape(t string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(t)
}

// Objects are the objects of a list.
func Objects(list any) (out []Object) {
	all, _ := list.([]any)
	for _, x := range all {
		if o, ok := x.(Object); ok {
			out = append(out, o)
		}
	}
	return out
}

// EachElement calls f for every interactive element of blocks, of those inside others, too. For those of input blocks
// input is true.
func EachElement(blocks json.RawMessage, f func(block, element Object, input bool)) {
	var list []Object
	if Decode(blocks, &list) == nil {
		eachElement(list, f)
	}
}

func eachElement(list []Object, f func(block, element Object, input bool)) {
	for _, b := range list {
		if o, ok := b["accessory"].(Object); ok {
			f(b, o, false)
		}
		if o, ok := b["element"].(Object); ok {
			f(b, o, true)
		}
		for _, o := range append(Objects(b["elements"]), Objects(b["actions"])...) {
			if o["action_id"] != nil {
				f(b, o, false)
			}
		}
		for _, row := range Rows(b) {
			for _, cell := range row {
				if o, ok := cell["element"].(Object); ok {
					f(b, o, false)
				}
			}
		}
		eachElement(Inside(b), f)
	}
}

// Inside are the blocks that a block holds: a container's, a carousel's cards, a layout's items.
func Inside(b Object) (out []Object) {
	switch b["type"] {
	case "container":
		return Objects(b["child_blocks"])
	case "carousel":
		return Objects(b["elements"])
	case "layout":
		for _, row := range Objects(b["rows"]) {
			for _, item := range Objects(row["items"]) {
				if o, ok := item["block"].(Object); ok {
					out = append(out, o)
				}
			}
		}
	}
	return out
}

// Rows are the cells of a table, row by row.
func Rows(b Object) (out [][]Object) {
	rows, _ := b["rows"].([]any)
	for _, r := range rows {
		if cells := Objects(r); cells != nil {
			out = append(out, cells)
		}
	}
	return out
}

// Options are those of a menu, the ones in groups included.
func Options(element Object) []Object {
	out := Objects(element["options"])
	for _, g := range Objects(element["option_groups"]) {
		out = append(out, Objects(g["options"])...)
	}
	return out
}

// DateTime is how a page has what is chosen in a datetimepicker, by the clock of UTC.
const DateTime = "2006-01-02T15:04"

// written is the text of rich text, a line for each of its elements.
func written(v any) string {
	o, _ := v.(Object)
	text := Text(o["text"])
	for _, e := range Objects(o["elements"]) {
		text += written(e)
	}
	if strings.HasPrefix(Text(o["type"]), "rich_text_") && o["type"] != "rich_text_list" {
		text += "\n"
	}
	return text
}

// Initial is what an element holds before anyone touches it: one value, or several where several can be chosen.
func Initial(element Object) (value string, values []string) {
	if rich, ok := element["initial_value"].(Object); ok {
		return strings.TrimSpace(written(rich)), nil
	}
	if n, err := strconv.ParseInt(Text(element["initial_date_time"]), 10, 64); err == nil {
		return time.Unix(n, 0).UTC().Format(DateTime), nil
	}
	for _, k := range []string{"value", "date", "time", "user", "channel", "conversation"} {
		if v := Text(element["initial_"+k]); v != "" {
			return v, nil
		}
	}
	if o, ok := element["initial_option"].(Object); ok {
		return Text(o["value"]), nil
	}
	for _, o := range Objects(element["initial_options"]) {
		values = append(values, Text(o["value"]))
	}
	return "", values
}
