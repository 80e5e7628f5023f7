package blockkit

import (
	"encoding/json"
	"strconv"
)

// offered is what an app answers when it is asked for the options of a menu. A list can be empty: nothing was found.
// docs.slack.dev/reference/block-kit/block-elements/select-menu-element
var offered = func() shape {
	list100 := listOf(0, 100, object(optionShape(plain(75))))
	groups := listOf(0, 100, object(shape{must: rules{"label": plain(75), "options": list100}}))
	return shape{may: rules{"options": list100, "option_groups": groups},
		either: []string{"options", "option_groups"}, apart: []string{"options", "option_groups"}}
}()

// CheckOptions validates what an app answers when Slack asks for the options of a menu, and returns them. Those of a
// group have its label as "group".
func CheckOptions(raw json.RawMessage) (options []Object, complaints []string) {
	c := newChecker(Message, nil)
	var o Object
	if err := Decode(raw, &o); err != nil || o == nil {
		c.bad("", "the answer must be a JSON object")
		return nil, c.messages()
	}

	c.shape("", o, offered, "")
	options = Objects(o["options"])
	for _, g := range Objects(o["option_groups"]) {
		for _, x := range Objects(g["options"]) {
			x["group"] = Words(g["label"])
			options = append(options, x)
		}
	}
	return options, c.messages()
}

// Number is a decoded number, or other where there is none.
func Number(v any, other int) int {
	if n, err := strconv.Atoi(Text(v)); err == nil {
		return n
	}
	return other
}
