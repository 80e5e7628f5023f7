// Package lenient reads JSON that is odd in parts.
//
// What Slack sends holds what people and other apps wrote, and Slack adds to Block Kit several times a year. slack-go
// refuses a whole payload for one element that it doesn't know, or one field of another type. So where a payload can't
// be read whole, it is read without the parts that are the reason: an element, a block, a field, in this order.
// Everything else reaches the handler.
package lenient

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const (
	// A look for what can't be read decodes no more than so many bytes, and so many times the payload, so that no
	// payload, however odd, holds up an acknowledgement: a few hundred milliseconds. A block in a message takes some
	// five times its size.
	repairBytes  = 1 << 20
	repairPasses = 8
	// So large are who acted, and what was pressed, at the most.
	small = 4 << 10
	// What a decoder costs before its first byte, in bytes.
	lookCost = 256
	// Nothing that is nested deeper is looked at. A rich text in a modal is some 15 deep.
	deepest = 100
	// Longer values are no context that the reading of others depends on, as a type or an id is.
	longestContext = 256
)

// Decode reads a JSON object into a T. left names the parts that had to be left out, by their paths, as in
// message.blocks[1].elements[0]. It is an error when data is no JSON, or nothing of it can be read into a T.
func Decode[T any](data []byte) (v *T, left []string, err error) {
	v = new(T)
	if err = json.Unmarshal(data, v); err == nil {
		return v, nil, nil
	}
	if !json.Valid(data) {
		return nil, nil, err
	}

	r := repair{
		into:   func(doc []byte) error { return json.Unmarshal(doc, new(T)) },
		effort: repairBytes + repairPasses*len(data),
	}

	whole, ok := r.mend(data, place{around: func(part json.RawMessage) json.RawMessage { return part }})
	if !ok {
		return nil, nil, err
	}

	v = new(T)
	if err := json.Unmarshal(whole, v); err != nil {
		return nil, nil, err
	}
	return v, r.left, nil
}

// repair looks for the parts of a document that can't be read.
type repair struct {
	into   func(doc []byte) error
	effort int // bytes that may still be decoded
	left   []string
}

// place is where a value stands. around puts a value there, into a document with little else, so that a look at one
// block doesn't read all of the others.
type place struct {
	path   string // "" at the top
	depth  int
	around func(json.RawMessage) json.RawMessage
}

// reads reports whether the document with v at a place can be read. Without effort left it says no, so that what was
// not looked at is left out.
func (r *repair) reads(v json.RawMessage, at place) bool {
	if r.effort < 0 || at.depth > deepest {
		return false
	}
	doc := at.around(v)
	r.effort -= len(doc) + lookCost
	return r.effort >= 0 && r.into(doc) == nil
}

// mend returns v without what can't be read of it; not ok: v itself is what can't be.
func (r *repair) mend(v json.RawMessage, at place) (mended json.RawMessage, ok bool) {
	if v = bytes.TrimSpace(v); r.reads(v, at) {
		return v, true
	}
	switch v[0] {
	case '{':
		mended, ok = r.object(v, at)
	case '[':
		mended, ok = r.array(v, at)
	}

	if ok || at.path == "" {
		return mended, ok
	}

	for _, other := range otherwise(v) {
		if r.reads(other, at) {
			return other, true
		}
	}
	r.left = append(r.left, at.path)
	return nil, false
}

// share is mend, with the part of the effort that v is of what is ahead, so that one odd part leaves enough for the
// others. Ids, texts and what else is small take what they need.
func (r *repair) share(v json.RawMessage, ahead int, at place) (mended json.RawMessage, ok bool) {
	if len(v) <= small || (member{value: v}).rank() < composite {
		return r.mend(v, at)
	}
	all := r.effort
	part := all * len(v) / max(ahead, len(v))
	r.effort = part
	mended, ok = r.mend(v, at)
	r.effort = all - (part - r.effort)
	return mended, ok
}

// object mends each field by itself, the small ones first: ids, who acted, what was pressed. Blocks are the largest.
func (r *repair) object(v json.RawMessage, at place) (json.RawMessage, bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(v, &fields) != nil || !r.reads(json.RawMessage("{}"), at) {
		return nil, false
	}

	members := make([]member, 0, len(fields))
	for name, value := range fields {
		members = append(members, member{name: name, value: value})
	}
	slices.SortFunc(members, member.compare)

	var kept, context []member
	ahead := len(v)
	for _, m := range members {
		inside := place{path: strings.TrimPrefix(at.path+"."+m.name, "."), depth: at.depth + 1}
		inside.around = func(part json.RawMessage) json.RawMessage {
			return at.around(compose(context, member{name: m.name, value: part}))
		}
		value, ok := r.share(m.value, ahead, inside)
		ahead -= len(m.value)
		switch {
		case !ok && m.name == "type" && at.path != "":
			return nil, false // of no kind, it would be read as something else
		case !ok:
			continue
		}
		m.value = value
		kept = append(kept, m)
		if m.rank() < composite && len(m.value) <= longestContext {
			context = append(context, m)
		}
	}
	return compose(kept), true
}

// array mends each element by itself, and leaves out those that can't be read.
func (r *repair) array(v json.RawMessage, at place) (json.RawMessage, bool) {
	var elements []json.RawMessage
	if json.Unmarshal(v, &elements) != nil || !r.reads(json.RawMessage("[]"), at) {
		return nil, false
	}

	var kept [][]byte
	ahead := len(v)
	for i, e := range elements {
		inside := place{path: fmt.Sprintf("%s[%d]", at.path, i), depth: at.depth + 1}
		inside.around = func(part json.RawMessage) json.RawMessage { return at.around(jsonList(part)) }
		value, ok := r.share(e, ahead, inside)
		if ahead -= len(e); ok {
			kept = append(kept, value)
		}
	}
	return jsonList(kept...), true
}

// member is a field of an object.
type member struct {
	name  string
	value json.RawMessage
}

// composite is the rank of objects and lists.
const composite = 2

// rank is the order in which fields are looked at: the type says how the others are read.
func (m member) rank() int {
	switch {
	case m.name == "type":
		return 0
	case len(m.value) > 0 && (m.value[0] == '{' || m.value[0] == '['):
		return composite
	}
	return 1
}

func (m member) compare(o member) int {
	return cmp.Or(cmp.Compare(m.rank(), o.rank()), cmp.Compare(len(m.value), len(o.value)), cmp.Compare(m.name, o.name))
}

// compose writes an object.
func compose(members []member, more ...member) json.RawMessage {
	fields := make([][]byte, 0, len(members)+len(more))
	for _, m := range slices.Concat(members, more) {
		fields = append(fields, slices.Concat(quote(m.name), []byte(":"), m.value))
	}
	return slices.Concat([]byte("{"), bytes.Join(fields, []byte(",")), []byte("}"))
}

// jsonList writes a list.
func jsonList(elements ...[]byte) json.RawMessage {
	return slices.Concat([]byte("["), bytes.Join(elements, []byte(",")), []byte("]"))
}

func quote(s string) json.RawMessage {
	quoted, _ := json.Marshal(s) // of a string: never fails
	return quoted
}

// otherwise returns what a value of another type than expected can mean: the text of a number or boolean, a number or
// boolean in quotes, an object for its id and the other way round.
func otherwise(v json.RawMessage) []json.RawMessage {
	switch v[0] {
	case '"':
		others := []json.RawMessage{compose([]member{{name: "id", value: v}})}
		var s string
		err := json.Unmarshal(v, &s)
		if err == nil && json.Valid([]byte(s)) && s != "null" && !strings.ContainsAny(s[:1], "\"{[") {
			others = append(others, json.RawMessage(s))
		}
		return others
	case '{':
		var o struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(v, &o); err == nil && o.ID != "" {
			return []json.RawMessage{quote(o.ID)}
		}
		return nil
	case '[', 'n':
		return nil
	}
	return []json.RawMessage{quote(string(v))}
}
