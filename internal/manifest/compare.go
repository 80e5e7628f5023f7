package manifest

// What the code says of the app against what Slack has. The code decides about the settings in the list below, and about
// nothing else: what Slack has besides is somebody's work on its pages, and stays.

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Change is what a push does to a setting at Slack.
type Change string

// The changes.
const (
	Added   Change = "add"    // the code has it, Slack hasn't
	Removed Change = "remove" // Slack has it, the code hasn't
	Changed Change = "change" // both have it, otherwise
)

// Difference is one setting, or one entry of a list, that is not the same in the code and at Slack. Its JSON is a
// contract: docs/running.md.
type Difference struct {
	Group   string `json:"group"`   // one of Groups
	Pointer string `json:"pointer"` // of the setting in a manifest
	Setting string `json:"setting"` // what it is called, in plain words
	Item    string `json:"item"`    // the entry of a list: a scope, an event, a command; "" for a setting of its own
	Change  Change `json:"change"`
	Code    any    `json:"code"`  // nil: not there
	Slack   any    `json:"slack"` // nil: not there
}

// Group is a heading for differences.
type Group struct{ Name, Title string }

// Groups are in the order in which people read them: what stops an app from working comes first.
var Groups = []Group{
	{Name: "addresses", Title: "Addresses"}, {Name: "permissions", Title: "Permissions"}, {Name: "events", Title: "Events"},
	{Name: "commands", Title: "Commands"}, {Name: "features", Title: "Features"}, {Name: "settings", Title: "Settings"},
	{Name: "name", Title: "Name and looks"},
}

// Comparison is what Compare finds.
type Comparison struct {
	Differences []Difference `json:"differences"`
	Kept        []string     `json:"kept"`  // pointers to what only Slack has and no code decides about
	Notes       []string     `json:"notes"` // sentences about what no push can change
}

// Same reports whether there is no difference.
func (c Comparison) Same() bool { return len(c.Differences) == 0 }

// Of are the differences of a group.
func (c Comparison) Of(group string) (found []Difference) {
	for _, d := range c.Differences {
		if d.Group == group {
			found = append(found, d)
		}
	}
	return found
}

// setting is one that the code decides about.
type setting struct {
	group, title, path string
	set                bool   // a list of texts, in no order
	key                string // of a list of objects: the field that tells them apart; "*": an object of objects
	left               bool   // where the code says nothing, Slack's is left alone
	reached            bool   // an address that Slack sends to, which Socket Mode needs none of
}

var settings = []setting{
	{group: "addresses", title: "redirect URL", path: "oauth_config/redirect_urls", set: true},
	{group: "addresses", title: "request URL of events", path: "settings/event_subscriptions/request_url", reached: true},
	{group: "addresses", title: "request URL of interactivity", path: "settings/interactivity/request_url", reached: true},
	{group: "addresses", title: "options URL of menus", path: "settings/interactivity/message_menu_options_url",
		reached: true},
	{group: "permissions", title: "permission of the bot", path: "oauth_config/scopes/bot", set: true},
	{group: "permissions", title: "optional permission of the bot", path: "oauth_config/scopes/bot_optional", set: true},
	{group: "permissions", title: "permission of people", path: "oauth_config/scopes/user", set: true},
	{group: "permissions", title: "optional permission of people", path: "oauth_config/scopes/user_optional", set: true},
	{group: "events", title: "event", path: "settings/event_subscriptions/bot_events", set: true},
	{group: "events", title: "metadata", path: "settings/event_subscriptions/metadata_subscriptions", key: "event_type"},
	{group: "commands", title: "command", path: "features/slash_commands", key: "command"},
	{group: "features", title: "shortcut", path: "features/shortcuts", key: "callback_id"},
	{group: "features", title: "workflow step", path: "functions", key: "*"},
	{group: "features", title: "domain of links", path: "features/unfurl_domains", set: true},
	{group: "features", title: "agent", path: "features/agent_view"},
	{group: "features", title: "Home tab", path: "features/app_home/home_tab_enabled"},
	{group: "features", title: "Messages tab", path: "features/app_home/messages_tab_enabled"},
	{group: "features", title: "Messages tab, read only", path: "features/app_home/messages_tab_read_only_enabled"},
	{group: "settings", title: "interactivity", path: "settings/interactivity/is_enabled"},
	{group: "settings", title: "Socket Mode", path: "settings/socket_mode_enabled"},
	{group: "settings", title: "token rotation", path: rotation},
	{group: "settings", title: "installs by organisations", path: "settings/org_deploy_enabled"},
	{group: "settings", title: "where workflow steps run", path: "settings/function_runtime", left: true},
	{group: "name", title: "name", path: "display_information/name"},
	{group: "name", title: "description", path: "display_information/description", left: true},
	{group: "name", title: "long description", path: "display_information/long_description", left: true},
	{group: "name", title: "color", path: "display_information/background_color", left: true},
	{group: "name", title: "name of the bot", path: "features/bot_user/display_name"},
	{group: "name", title: "always shown as online", path: "features/bot_user/always_online"},
}

// EventsURL is the pointer to the address that Slack sends events to.
const EventsURL = "/settings/event_subscriptions/request_url"

const rotation = "settings/token_rotation_enabled"

// rotationStays is a note.
const rotationStays = "Slack has token rotation on and can't turn it off again, and the code doesn't want it. " +
	"Renewals go on."

type document = map[string]any

// Compare says what differs between two manifests, the code's and the one that Slack exports.
func Compare(code, slack json.RawMessage) (Comparison, error) {
	ours, theirs, err := both(code, slack)
	if err != nil {
		return Comparison{}, err
	}
	sockets := at(ours, "settings/socket_mode_enabled") == true
	found := Comparison{Differences: []Difference{}, Kept: kept(theirs), Notes: []string{}}

	for _, s := range settings {
		a, b := at(ours, s.path), at(theirs, s.path)
		switch {
		case s.reached && sockets, s.left && blank(a):
		case s.path == rotation && b == true && a != true:
			found.Notes = append(found.Notes, rotationStays)
		case s.set:
			found.Differences = append(found.Differences, s.sets(texts(a), texts(b))...)
		case s.key != "":
			found.Differences = append(found.Differences, s.entries(s.byKey(a), s.byKey(b), sockets)...)
		default:
			if d, differ := s.values("", a, b); differ {
				found.Differences = append(found.Differences, d)
			}
		}
	}
	return found, nil
}

func both(code, slack json.RawMessage) (ours, theirs document, err error) {
	if err := json.Unmarshal(code, &ours); err != nil {
		return nil, nil, fmt.Errorf("read the code's manifest: %w", err)
	}
	if err := json.Unmarshal(slack, &theirs); err != nil {
		return nil, nil, fmt.Errorf("read Slack's manifest: %w", err)
	}
	return ours, theirs, nil
}

func (s setting) difference(item string, a, b any) Difference {
	d := Difference{Group: s.group, Pointer: "/" + s.path, Setting: s.title, Item: item, Change: Changed, Code: a, Slack: b}
	switch {
	case blank(a):
		d.Change, d.Code = Removed, nil
	case blank(b):
		d.Change, d.Slack = Added, nil
	}
	return d
}

// values compares two values. Slack's export leaves out what is off or empty, or doesn't.
func (s setting) values(item string, a, b any) (Difference, bool) {
	if blank(a) && blank(b) || reflect.DeepEqual(a, b) {
		return Difference{}, false
	}
	d := s.difference(item, a, b)
	if _, isSwitch := a.(bool); isSwitch || b == true {
		d.Change, d.Code, d.Slack = Changed, a == true, b == true
	}
	return d, true
}

func (s setting) sets(a, b []string) (found []Difference) {
	for _, x := range a {
		if !slices.Contains(b, x) {
			found = append(found, s.difference(x, x, nil))
		}
	}
	for _, x := range b {
		if !slices.Contains(a, x) {
			found = append(found, s.difference(x, nil, x))
		}
	}
	return found
}

// entries compares lists of objects: those of one name by each field that the code has, or could have.
func (s setting) entries(a, b map[string]document, sockets bool) (found []Difference) {
	for _, name := range slices.Sorted(maps.Keys(a)) {
		theirs, there := b[name]
		if !there {
			found = append(found, s.difference(name, any(a[name]), nil))
			continue
		}
		for _, field := range slices.Sorted(maps.Keys(merged(a[name], theirs))) {
			if field == "url" && sockets || !s.knows(field, a[name]) {
				continue
			}
			of := s
			of.title, of.path = s.title+" "+strings.ReplaceAll(field, "_", " "), s.path+"/"+name+"/"+field
			if s.key != "*" {
				of.path = s.path
			}
			if d, differ := of.values(name, a[name][field], theirs[field]); differ {
				d.Change = Changed
				found = append(found, d)
			}
		}
	}

	for _, name := range slices.Sorted(maps.Keys(b)) {
		if _, there := a[name]; !there {
			found = append(found, s.difference(name, nil, any(b[name])))
		}
	}
	return found
}

// knows reports whether the code decides about a field of an entry.
func (s setting) knows(field string, ours document) bool {
	_, has := ours[field]
	return has || slices.Contains([]string{"usage_hint", "should_escape", "url"}, field)
}

// byKey are the entries of a list of objects by their names.
func (s setting) byKey(v any) map[string]document {
	found := map[string]document{}
	if s.key == "*" {
		all, _ := v.(document)
		for name, x := range all {
			found[name], _ = x.(document)
		}
		return found
	}
	list, _ := v.([]any)
	for _, x := range list {
		entry, _ := x.(document)
		name, _ := entry[s.key].(string)
		if app, _ := entry["app_id"].(string); app != "" {
			name = app + " " + name
		}
		found[name] = entry
	}
	return found
}

// Merge is the manifest to push: the code's settings on top of what Slack has, and nothing of that with prune.
func Merge(code, slack json.RawMessage, prune bool) (json.RawMessage, error) {
	ours, theirs, err := both(code, slack)
	if err != nil {
		return nil, err
	}
	sockets := at(ours, "settings/socket_mode_enabled") == true
	out := theirs
	if prune {
		out = document{}
		for _, s := range settings { // which Slack can't take back, or the code leaves to its pages
			if s.left || s.path == rotation {
				put(out, at(theirs, s.path), s.path)
			}
		}
	}

	for _, s := range settings {
		v, now := at(ours, s.path), at(theirs, s.path)
		switch {
		case s.left && blank(v), s.path == rotation && v != true, s.reached && sockets:
			continue
		case s.key != "" && !prune:
			v = s.merge(v, now)
		}
		put(out, v, s.path)
	}
	if meta := at(ours, "_metadata"); prune && meta != nil {
		out["_metadata"] = meta
	}
	return json.Marshal(out)
}

// merge is the code's list of objects, each with the fields that Slack's of that name has besides.
func (s setting) merge(v, now any) any {
	theirs := s.byKey(now)
	whole := func(name string, ours document) document {
		entry := merged(theirs[name], ours)
		for field := range entry {
			if _, has := ours[field]; !has && s.knows(field, ours) {
				delete(entry, field)
			}
		}
		return entry
	}
	if all, is := v.(document); is {
		out := document{}
		for name, x := range all {
			ours, _ := x.(document)
			out[name] = whole(name, ours)
		}
		return out
	}

	list, _ := v.([]any)
	out := []any{}
	for _, x := range list {
		for name, ours := range s.byKey([]any{x}) {
			out = append(out, whole(name, ours))
		}
	}
	return out
}

// kept are pointers to what only Slack's manifest has, as far as there is something in it.
func kept(theirs document) []string {
	found := []string{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch {
		case blank(v) || at == "_metadata" || at == "$schema":
			return
		case slices.ContainsFunc(settings, func(s setting) bool { return s.path == at }):
			return
		case at != "" && !slices.ContainsFunc(settings, func(s setting) bool { return strings.HasPrefix(s.path, at+"/") }):
			found = append(found, "/"+at)
			return
		}
		parent, _ := v.(document)
		for _, name := range slices.Sorted(maps.Keys(parent)) {
			walk(strings.TrimPrefix(at+"/"+name, "/"), parent[name])
		}
	}
	walk("", theirs)
	return found
}

// Permissions are what a manifest asks for on behalf of the bot.
type Permissions struct{ Required, Optional []string }

// Scopes are the bot's permissions in a manifest.
func Scopes(manifest json.RawMessage) (Permissions, error) {
	var doc document
	if err := json.Unmarshal(manifest, &doc); err != nil {
		return Permissions{}, fmt.Errorf("read manifest: %w", err)
	}
	p := Permissions{Optional: texts(at(doc, "oauth_config/scopes/bot_optional"))}
	for _, x := range texts(at(doc, "oauth_config/scopes/bot")) {
		if !slices.Contains(p.Optional, x) {
			p.Required = append(p.Required, x)
		}
	}
	return p, nil
}

func merged(under, over document) document {
	out := document{}
	maps.Copy(out, under)
	maps.Copy(out, over)
	return out
}

// blank reports whether a value says nothing: it is absent, off or empty.
func blank(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case document:
		return len(v) == 0
	}
	return false
}

func at(doc document, path string) any {
	var v any = doc
	for name := range strings.SplitSeq(path, "/") {
		m, _ := v.(document)
		v = m[name]
	}
	return v
}

// put sets a value, or takes it away if it says nothing and there is none. A switch that is off stays in the manifest.
func put(doc document, v any, path string) {
	names := strings.Split(path, "/")
	_, isSwitch := v.(bool)
	for _, name := range names[:len(names)-1] {
		next, is := doc[name].(document)
		if !is {
			if blank(v) {
				return
			}
			next = document{}
			doc[name] = next
		}
		doc = next
	}
	if last := names[len(names)-1]; blank(v) && !isSwitch {
		delete(doc, last)
	} else {
		doc[last] = v
	}
}

func texts(v any) (found []string) {
	list, _ := v.([]any)
	for _, x := range list {
		if s, is := x.(string); is {
			found = append(found, s)
		}
	}
	return found
}
