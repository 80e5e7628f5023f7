// Package blockkit reads Block Kit: what the simulator's engine and its pages both have to know of blocks and their
// elements, and the limits that Slack checks them against.
package blockkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
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

// EachElement calls f for every interactive element of blocks. For those of input blocks input is true.
func EachElement(blocks json.RawMessage, f func(block, element Object, input bool)) {
	var list []Object
	if Decode(blocks, &list) != nil {
		return
	}
	for _, b := range list {
		if o, ok := b["accessory"].(Object); ok {
			f(b, o, false)
		}
		if o, ok := b["element"].(Object); ok {
			f(b, o, true)
		}
		els, _ := b["elements"].([]any)
		for _, e := range els {
			if o, ok := e.(Object); ok && o["action_id"] != nil {
				f(b, o, false)
			}
		}
	}
}

// EachOption calls f for every option of a menu, those in groups included.
func EachOption(element Object, f func(option Object)) {
	lists := []any{element["options"]}
	groups, _ := element["option_groups"].([]any)
	for _, g := range groups {
		if m, ok := g.(Object); ok {
			lists = append(lists, m["options"])
		}
	}
	for _, l := range lists {
		list, _ := l.([]any)
		for _, o := range list {
			if m, ok := o.(Object); ok {
				f(m)
			}
		}
	}
}

// Initial is what an element holds before anyone touches it: one value, or several where several can be chosen.
func Initial(element Object) (value string, values []string) {
	for _, k := range []string{"value", "date", "time", "user", "channel", "conversation"} {
		if v := Text(element["initial_"+k]); v != "" {
			return v, nil
		}
	}
	if o, ok := element["initial_option"].(Object); ok {
		return Text(o["value"]), nil
	}
	list, _ := element["initial_options"].([]any)
	for _, o := range list {
		if m, ok := o.(Object); ok {
			values = append(values, Text(m["value"]))
		}
	}
	return "", values
}
