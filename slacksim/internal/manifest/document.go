// Package manifest reads app manifests as Slack does: strictly, and without losing what it doesn't know.
package manifest

import (
	"maps"
	"slices"
)

// Document is a manifest, or a part of one, as JSON.
type Document map[string]any

// At is the value at a path, nil where there is none.
func (d Document) At(path ...string) any {
	var v any = map[string]any(d)
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// Text is the text at a path, "" where there is none.
func (d Document) Text(path ...string) string {
	s, _ := d.At(path...).(string)
	return s
}

// On reports whether the switch at a path is on.
func (d Document) On(path ...string) bool { return d.At(path...) == true }

// Part is the object at a path, empty where there is none.
func (d Document) Part(path ...string) Document {
	m, _ := d.At(path...).(map[string]any)
	return m
}

// Words are the texts of the list at a path.
func (d Document) Words(path ...string) (out []string) {
	items, _ := d.At(path...).([]any)
	for _, x := range items {
		if s, is := x.(string); is {
			out = append(out, s)
		}
	}
	return out
}

// Parts are the objects of the list at a path.
func (d Document) Parts(path ...string) (out []Document) {
	items, _ := d.At(path...).([]any)
	for _, x := range items {
		if m, is := x.(map[string]any); is {
			out = append(out, m)
		}
	}
	return out
}

// Keys are the names in the document, sorted.
func (d Document) Keys() []string { return slices.Sorted(maps.Keys(d)) }

// Put sets the value at a path. What is empty is taken away: Slack's export has no empty texts and lists.
func (d Document) Put(v any, path ...string) {
	empty := v == ""
	switch x := v.(type) {
	case []any:
		empty = len(x) == 0
	case []string:
		empty = len(x) == 0
	case Document:
		empty, v = len(x) == 0, map[string]any(x)
	}

	for _, name := range path[:len(path)-1] {
		next, is := d[name].(map[string]any)
		if !is {
			if empty {
				return
			}
			next = map[string]any{}
			d[name] = next
		}
		d = next
	}
	if name := path[len(path)-1]; empty {
		delete(d, name)
	} else {
		d[name] = v
	}
}

// Clone copies a document: what is put into the copy doesn't show in d.
func (d Document) Clone() Document {
	out := Document{}
	for name, v := range d {
		if m, is := v.(map[string]any); is {
			v = map[string]any(Document(m).Clone())
		}
		out[name] = v
	}
	return out
}
