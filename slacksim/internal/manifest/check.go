package manifest

// What Slack refuses. The pointers are as Slack's. Its own wording is known for the first three sentences of together
// alone.

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Problem is one reason why a manifest is refused. Pointer says where, as a JSON pointer.
type Problem struct {
	Message string `json:"message"`
	Pointer string `json:"pointer"`
}

// Scopes are the permissions that a manifest can name.
type Scopes struct {
	Bot, User func(name string) bool // whether there is such a scope
	Events    map[string][]string    // any of which an event needs
}

// Read is a manifest, with all that is wrong with it.
func Read(raw []byte, scopes Scopes) (Document, []Problem) {
	var doc Document
	if err := json.Unmarshal(raw, &doc); err != nil || doc == nil {
		return Document{}, []Problem{{Message: "must be a JSON object"}}
	}
	c := check{scopes: scopes}
	c.value("", map[string]any(doc), manifestShape)
	if len(c.problems) == 0 {
		c.together(doc)
	}
	return doc, c.problems
}

// check collects what is wrong with one manifest.
type check struct {
	scopes   Scopes
	problems []Problem
}

func (c *check) bad(pointer, format string, args ...any) {
	c.problems = append(c.problems, Problem{Message: fmt.Sprintf(format, args...), Pointer: pointer})
}

// value holds one value against its shape, and what is in it against theirs.
func (c *check) value(at string, v any, want *shape) {
	switch v := v.(type) {
	case map[string]any:
		if c.kind(at, "object", want) {
			c.object(at, v, want)
		}
	case []any:
		if c.kind(at, "list", want) {
			c.list(at, v, want)
		}
	case string:
		if c.kind(at, "text", want) {
			c.text(at, v, want)
		}
	case bool:
		c.kind(at, "bool", want)
	case float64:
		c.kind(at, "number", want)
	default:
		c.kind(at, "null", want)
	}
}

// kind reports whether a value of this kind is to be looked at further.
func (c *check) kind(at, got string, want *shape) bool {
	if want.kind == "" {
		return false
	}
	if got != want.kind {
		c.bad(at, "must be a %s, not a %s", want.kind, got)
	}
	return got == want.kind
}

func (c *check) object(at string, v map[string]any, want *shape) {
	for _, name := range want.required {
		if v[name] == nil {
			c.bad(at, "must have required property '%s'", name)
		}
	}
	if want.most > 0 && len(v) > want.most {
		c.bad(at, "must not have more than %d entries", want.most)
	}

	for _, name := range Document(v).Keys() {
		under := want.any
		if under == nil && want.keys != nil {
			if under = want.keys[name]; under == nil {
				c.bad(at+"/"+name, "is not a property of a manifest")
				continue
			}
		}
		if under != nil {
			c.value(at+"/"+name, v[name], under)
		}
	}
}

func (c *check) list(at string, v []any, want *shape) {
	if want.most > 0 && len(v) > want.most {
		c.bad(at, "must not have more than %d items", want.most)
	}
	for i, x := range v {
		c.value(at+"/"+strconv.Itoa(i), x, want.items)
		if want.unique && slices.ContainsFunc(v[:i], func(y any) bool { return x == y }) {
			c.bad(at+"/"+strconv.Itoa(i), "is there twice")
		}
	}
}

func (c *check) text(at, v string, want *shape) {
	n := utf8.RuneCountInString(v)
	switch {
	case n < want.least:
		c.bad(at, "must have at least %d characters", want.least)
	case want.most > 0 && n > want.most:
		c.bad(at, "must not have more than %d characters", want.most)
	case want.like != nil && !want.like.MatchString(v):
		c.bad(at, "must match %s", want.like)
	case want.one != nil && !slices.Contains(want.one, v):
		c.bad(at, "must be one of %s", strings.Join(want.one, ", "))
	}
}

// together looks at what must fit together.
func (c *check) together(doc Document) {
	sockets := doc.At("settings", "socket_mode_enabled") == true
	events := doc.Words("settings", "event_subscriptions", "bot_events")
	heard := len(events) + len(doc.Words("settings", "event_subscriptions", "user_events"))
	if heard > 0 && !sockets && doc.At("settings", "event_subscriptions", "request_url") == nil {
		c.bad("/settings/event_subscriptions", "Event Subscription requires either Request URL or Socket Mode Enabled")
	}
	if doc.At("settings", "interactivity", "is_enabled") == true && !sockets &&
		doc.At("settings", "interactivity", "request_url") == nil {
		c.bad("/settings/interactivity", "Interactivity requires a Request URL")
		c.bad("/settings/interactivity", "Interactivity requires Socket Mode enabled")
	}
	commands, _ := doc.At("features", "slash_commands").([]any)
	for i, x := range commands {
		if command, _ := x.(map[string]any); !sockets && command["url"] == nil {
			c.bad(fmt.Sprintf("/features/slash_commands/%d", i), "Slash Command requires a Request URL")
		}
	}

	bot, user := doc.Words("oauth_config", "scopes", "bot"), doc.Words("oauth_config", "scopes", "user")
	c.named("bot", bot, doc.Words("oauth_config", "scopes", "bot_optional"), c.scopes.Bot)
	c.named("user", user, doc.Words("oauth_config", "scopes", "user_optional"), c.scopes.User)
	if len(bot) > 0 && doc.At("features", "bot_user") == nil {
		c.bad("/features", "Bot scopes require a bot user")
	}
	for i, name := range events {
		need := c.scopes.Events[name]
		if need != nil && !slices.ContainsFunc(need, func(x string) bool { return slices.Contains(bot, x) }) {
			c.bad(fmt.Sprintf("/settings/event_subscriptions/bot_events/%d", i), "%s requires the scope %s", name,
				strings.Join(need, " or "))
		}
	}
}

func (c *check) named(kind string, scopes, optional []string, known func(string) bool) {
	for i, x := range scopes {
		if !known(x) {
			c.bad(fmt.Sprintf("/oauth_config/scopes/%s/%d", kind, i), "%s is not a scope of the %s", x, kind)
		}
	}
	for i, x := range optional {
		if !slices.Contains(scopes, x) {
			c.bad(fmt.Sprintf("/oauth_config/scopes/%s_optional/%d", kind, i), "%s must also be in %s", x, kind)
		}
	}
}
