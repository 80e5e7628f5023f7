package blockkit

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// The limits of what fills a menu from outside. docs.slack.dev/reference/block-kit/block-elements/select-menu-element
const (
	mostOptions  = 100 // in a list or a group
	mostGroups   = 100
	longestText  = 75 // characters, as in labels and descriptions
	longestValue = 150
)

// CheckOptions validates what an app answers when Slack asks for the options of a menu, and returns them. Those of a
// group have its label as "group".
func CheckOptions(raw json.RawMessage) (options []Object, complaints []string) {
	c := &checker{}
	var o Object
	if err := Decode(raw, &o); err != nil || o == nil {
		c.bad("", "the answer must be a JSON object")
		return nil, c.complaints
	}

	_, hasOptions := o["options"]
	_, hasGroups := o["option_groups"]
	switch {
	case hasOptions && hasGroups:
		c.bad("", "options and option_groups exclude each other")
	case hasOptions:
		options = c.offered("", o, "")
	case hasGroups:
		options = c.offeredGroups(o)
	default:
		c.bad("", "missing required field: options or option_groups")
	}
	return options, c.complaints
}

func (c *checker) offeredGroups(o Object) (options []Object) {
	groups, ok := o["option_groups"].([]any)
	if !ok {
		c.bad("/option_groups", "must be an array")
	}
	if len(groups) > mostGroups {
		c.bad("/option_groups", "no more than %d items allowed", mostGroups)
	}
	for i, x := range groups {
		p := fmt.Sprintf("/option_groups/%d", i)
		if g, ok := c.object(p, x); ok {
			c.text(p+"/label", g["label"], longestText, true, true)
			options = append(options, c.offered(p, g, Words(g["label"]))...)
		}
	}
	return options
}

// offered checks a list of options. An empty one says that nothing was found.
func (c *checker) offered(p string, o Object, group string) (options []Object) {
	list, ok := o["options"].([]any)
	if !ok {
		c.bad(p+"/options", "must be an array")
	}
	if len(list) > mostOptions {
		c.bad(p+"/options", "no more than %d items allowed", mostOptions)
	}
	for i, x := range list {
		q := fmt.Sprintf("%s/options/%d", p, i)
		m, ok := c.object(q, x)
		if !ok {
			continue
		}
		c.text(q+"/text", m["text"], longestText, true, true)
		c.note(q+"/description", m["description"], longestText)
		c.str(q+"/value", m["value"], longestValue, true)
		m["group"] = group
		options = append(options, m)
	}
	return options
}

// Number is a decoded number, or other where there is none.
func Number(v any, other int) int {
	if n, err := strconv.Atoi(Text(v)); err == nil {
		return n
	}
	return other
}
