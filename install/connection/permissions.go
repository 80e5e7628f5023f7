package connection

// Permissions, and the words for what is missing.

import (
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/install/words"
)

// Scope is one permission the app asks for, with the words a person decides by.
type Scope struct {
	Name  string // as Slack spells it: chat:write
	Label string // "Send messages"
	Why   string // "To answer you."
	// Feature is what the app can't do without it, to go after "can't": "answer direct messages".
	Feature string
	// Optional: the person who installs may untick it. Without a required one nothing is stored.
	Optional bool
}

// ScopeNames returns the names of scopes, in order.
func ScopeNames(scopes []Scope) []string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = s.Name
	}
	return names
}

// Required returns those without which the app does nothing for anybody.
func Required(scopes []Scope) []Scope {
	return scopesThat(scopes, func(s Scope) bool { return !s.Optional })
}

// scopesThat returns those that fit, in order; nil when none does.
func scopesThat(scopes []Scope, fits func(s Scope) bool) (fitting []Scope) {
	for _, s := range scopes {
		if fits(s) {
			fitting = append(fitting, s)
		}
	}
	return fitting
}

// SplitScopes turns Slack's comma separated list into a sorted one without doubles.
func SplitScopes(list string) []string {
	scopes := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// Missing returns what needed holds and the connection was not granted, in needed's order.
func (c Connection) Missing(needed []Scope) []Scope {
	return scopesThat(needed, func(s Scope) bool { return !slices.Contains(c.Scopes, s.Name) })
}

// Features returns what the app can't do without these permissions, each feature once, in order.
func Features(scopes []Scope) []string {
	var features []string
	for _, s := range scopes {
		if s.Feature != "" && !slices.Contains(features, s.Feature) {
			features = append(features, s.Feature)
		}
	}
	return features
}

// Without says in whole sentences of said what the app can't do for want of these permissions, and why: what was taken
// away apart from what it never had. It calls the app by a name, "" for "it": "It can't answer mentions: it no longer
// has permission to …".
func (c Connection) Without(said *words.Sentences, app string, missing []Scope) string {
	isTaken := func(s Scope) bool { // Slack may say so before our records do
		return c.TakenAway(s.Name) || slices.Contains(c.Scopes, s.Name)
	}
	taken := scopesThat(missing, isTaken)
	never := scopesThat(missing, func(s Scope) bool { return !isTaken(s) })

	var all []string
	for _, part := range []struct {
		scopes []Scope
		why    string
	}{{taken, "taken"}, {never, "never"}} {
		if len(part.scopes) == 0 {
			continue
		}
		all = append(all, without(said, app, part.why, part.scopes))
		app = ""
	}
	return strings.Join(all, " ")
}

// without is one of these sentences.
func without(said *words.Sentences, app, why string, scopes []Scope) string {
	features := Features(scopes)
	if len(features) == 0 {
		why += "_alone"
	}
	if app == "" {
		why += "_it"
	}
	permissions := make([]string, len(scopes))
	for i, s := range scopes {
		permissions[i] = said.Within(s.Label)
	}
	return said.Say("connections.without."+why, "app", app, "features", said.Or(features),
		"permissions", said.Or(permissions))
}

// Or joins words as a sentence about what isn't does: "a", "a or b", "a, b or c".
func Or(words []string) string { return joined(words, " or ") }

// And joins words as a sentence does: "a", "a and b", "a, b and c".
func And(words []string) string { return joined(words, " and ") }

func joined(words []string, behind string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + behind + words[last]
}

// Difference returns what a has and b has not.
func Difference(a, b []string) []string {
	var only []string
	for _, s := range a {
		if !slices.Contains(b, s) {
			only = append(only, s)
		}
	}
	return only
}

// permissionsApart is what history keeps of a change of permissions: "+chat:write -team:read"; "" when there is none.
func permissionsApart(was, now []string) string {
	var changes []string
	for _, s := range Difference(now, was) {
		changes = append(changes, "+"+s)
	}
	for _, s := range Difference(was, now) {
		changes = append(changes, "-"+s)
	}
	return strings.Join(changes, " ")
}
