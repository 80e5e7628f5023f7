package blockkit

// Block Kit's limits, checked as Slack checks them: a block that is one character too long is refused here, not
// discovered in production. What each block holds is in shapes.go. docs.slack.dev/reference/block-kit/blocks and
// /reference/views

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Surface is where blocks stand.
type Surface byte

// The surfaces of 2026. A stream's blocks come in chunks and at its end.
const (
	Message Surface = 'M'
	Modal   Surface = 'V'
	Home    Surface = 'H'
	Stream  Surface = 'S'
	anyOf   Surface = '*' // blocks alone: whatever stands somewhere
)

// Complaint is one thing that Slack would refuse.
type Complaint struct {
	Pointer string // a JSON pointer
	Text    string
}

// String is the complaint as response_metadata.messages has it.
func (c Complaint) String() string { return "[ERROR] " + c.Text + " [json-pointer:" + c.Pointer + "]" }

// CheckBlocks validates blocks for a surface and returns them with missing block and action ids filled in, as Slack
// does. fill makes an id with a prefix. Complaints come with JSON pointers, in Slack's wording. With any of them the
// blocks are of no use.
func CheckBlocks(on Surface, raw json.RawMessage, fill func(prefix string) string) (blocks json.RawMessage,
	complaints []string) {
	c := newChecker(on, fill)
	blocks = c.blocks("/blocks", raw)
	return blocks, c.messages()
}

// CheckAttachments is CheckBlocks for those inside the attachments of a message.
func CheckAttachments(raw json.RawMessage, fill func(prefix string) string) (json.RawMessage, []string) {
	c := newChecker(Message, fill)
	var list []Object
	if err := Decode(raw, &list); err != nil {
		c.bad("/attachments", "must be a valid JSON array of attachments")
		return nil, c.messages()
	}
	for i, a := range list {
		if a["blocks"] != nil {
			c.count = 0
			a["blocks"] = c.blocks(fmt.Sprintf("/attachments/%d/blocks", i), json.RawMessage(Text(a["blocks"])))
		}
	}
	out, _ := json.Marshal(list)
	return out, c.messages()
}

// CheckView does the same with a view, which must be of the type wanted: "modal" or "home". The blocks come back in
// the view.
func CheckView(raw json.RawMessage, wanted string, fill func(prefix string) string) (view Object, complaints []string) {
	c := newChecker(Modal, fill)
	view = c.view("/view", raw)
	if len(c.complaints) == 0 && Text(view["type"]) != wanted {
		c.bad("/view/type", "must be %s here", wanted)
	}
	return view, c.messages()
}

// Validate checks a list of blocks, a message or a view as blocks.validate does: pointers begin inside it.
func Validate(kind string, raw json.RawMessage) []Complaint {
	c := newChecker(Message, func(prefix string) string { return prefix })
	c.anyID = true
	switch kind {
	case "blocks":
		c.on = anyOf
		c.blocks("", raw)
	case "view":
		c.view("", raw)
	case "message":
		var m map[string]json.RawMessage
		if Decode(raw, &m) != nil || m == nil {
			c.bad("", "must be a valid JSON object")
		} else if blocks, ok := m["blocks"]; ok {
			c.blocks("/blocks", blocks)
		}
	}
	return c.complaints
}

type checker struct {
	*kit
	complaints []Complaint
	on         Surface
	inside     string          // the block that others stand in: a container or a layout; "" for the surface
	count      int             // blocks, those in layouts included
	sums       map[string]int  // what is limited for all blocks together
	ids        map[string]bool // block ids
	actions    map[string]bool // action ids of the block that is being checked
	fill       func(prefix string) string
	anyID      bool // filled-in ids repeat
}

func newChecker(on Surface, fill func(prefix string) string) *checker {
	return &checker{kit: shapes, on: on, fill: fill, sums: map[string]int{}, ids: map[string]bool{}}
}

func (c *checker) bad(path, format string, args ...any) {
	c.complaints = append(c.complaints, Complaint{Pointer: path, Text: fmt.Sprintf(format, args...)})
}

func (c *checker) messages() (out []string) {
	for _, x := range c.complaints {
		out = append(out, x.String())
	}
	return out
}

// sum adds to what is limited for all blocks together, and complains once.
func (c *checker) sum(p, what string, n, max int, format string) {
	before := c.sums[what]
	c.sums[what] += n
	if before <= max && c.sums[what] > max {
		c.bad(p, format, max)
	}
}

func (c *checker) blocks(path string, raw json.RawMessage) json.RawMessage {
	var list []any
	if err := Decode(raw, &list); err != nil {
		c.bad(path, "must be a valid JSON array of blocks")
		return nil
	}
	most := 100
	if c.on == Message || c.on == Stream {
		most = 50
	}

	for i, b := range list {
		c.block(fmt.Sprintf("%s/%d", path, i), b)
	}
	if c.count > most {
		c.bad(path, "no more than %d items allowed", most)
	}
	out, _ := json.Marshal(list)
	return out
}

// block checks a block where it stands.
func (c *checker) block(p string, v any) {
	b, ok := c.object(p, v)
	if !ok {
		return
	}
	c.count++
	typ, _ := b["type"].(string)
	s, known := c.kit.blocks[typ]
	if !known || !s.stands(c.on) {
		c.bad(p+"/type", "unsupported type: %s", typ)
		return
	}

	outer := c.actions
	c.actions = map[string]bool{}
	c.id(p, b, "block_id", c.ids, "block_id already exists: %s")
	c.shape(p, b, s, "block_id")
	c.actions = outer
}

// element checks an element in a block that takes elements of this place.
func (c *checker) element(p string, v any, place string) {
	o, ok := c.object(p, v)
	if !ok {
		return
	}
	typ, _ := o["type"].(string)
	s, known := c.kit.elements[typ]
	if !known || !s.stands(c.on) || !slices.Contains(strings.Fields(s.in), place) {
		c.bad(p+"/type", "unsupported type: %s", typ)
		return
	}
	if typ == "image" {
		c.shape(p, o, s, "")
		return
	}
	c.id(p, o, "action_id", c.actions, "action_id %q already exists")
	c.shape(p, o, s, "action_id")
}

// id checks a block's or an element's id, which must not be among those seen, and fills in a missing one. Its prefix is
// the first letter of its name. again is the complaint about one that was there before.
func (c *checker) id(p string, o Object, name string, seen map[string]bool, again string) {
	if o[name] != nil {
		str(0, 255)(c, p+"/"+name, o[name])
	}
	id, _ := o[name].(string)
	if id == "" {
		id = c.fill(name[:1])
		o[name] = id
		if c.anyID {
			return
		}
	}
	if seen[id] {
		c.bad(p+"/"+name, again, id)
	}
	seen[id] = true
}

// shape checks what an object holds, its type and its id apart.
func (c *checker) shape(p string, o Object, s shape, id string) {
	for _, k := range slices.Sorted(maps.Keys(o)) {
		_, must := s.must[k]
		_, may := s.may[k]
		if !must && !may && k != "type" && k != id {
			c.bad(p, "invalid additional property: %s", k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(s.must)) {
		if o[k] == nil {
			c.bad(p, "missing required field: %s", k)
		} else {
			s.must[k](c, p+"/"+k, o[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(s.may)) {
		if o[k] != nil {
			s.may[k](c, p+"/"+k, o[k])
		}
	}

	has := func(k string) bool { return o[k] != nil }
	if s.either != nil && !slices.ContainsFunc(s.either, has) {
		c.bad(p, "missing required field: %s", strings.Join(s.either, " or "))
	}
	if len(s.apart) == 2 && has(s.apart[0]) && has(s.apart[1]) {
		c.bad(p, "must provide only one of: %s, %s", s.apart[0], s.apart[1])
	}
	if s.also != nil {
		s.also(c, p, o)
	}
}

func (c *checker) object(p string, v any) (o Object, ok bool) {
	if o, ok = v.(Object); !ok {
		c.bad(p, "must be an object")
	}
	return o, ok
}

// view checks a view, whose type says which surface it is.
func (c *checker) view(p string, raw json.RawMessage) Object {
	var v Object
	if err := Decode(raw, &v); err != nil || v == nil {
		c.bad(p, "must be a valid JSON object")
		return nil
	}
	typ := Text(v["type"])
	s, known := c.kit.views[typ]
	if !known {
		c.bad(p+"/type", "must be a valid enum value: modal, home")
		return nil
	}
	if c.on = Modal; typ == "home" {
		c.on = Home
	}

	c.shape(p, v, s, "")
	list, _ := v["blocks"].([]any)
	if c.count > 100 {
		c.bad(p+"/blocks", "no more than 100 items allowed")
	}
	input := slices.ContainsFunc(Objects(list), func(b Object) bool { return b["type"] == "input" })
	if typ == "modal" && v["submit"] == nil && input {
		c.bad(p, "missing required field: submit (the view has input blocks)")
	}
	return v
}
