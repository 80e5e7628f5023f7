package bot

// Handlers declare which permissions they use, and the app's catalogue says in words what each is for. Here the two are
// held against each other, so that a permission can neither be forgotten nor linger.

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/install/connection"
)

// ScopesOf returns the names of the bot's permissions that handlers declare together (their Scopes and
// OptionalScopes), sorted.
func ScopesOf(handlers []Handler) []string {
	var names []string
	for _, h := range handlers {
		names = append(names, h.Scopes...)
		names = append(names, h.OptionalScopes...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// UserScopesOf returns the names of the permissions that handlers need of a person to act for them, sorted.
func UserScopesOf(handlers []Handler) []string {
	var names []string
	for _, h := range handlers {
		names = append(names, h.UserScopes...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// CheckCatalogue holds the catalogue of permissions, of the bot and of people, against what handlers declare: each
// permission has to be in both, with a label, a reason and a feature. The error has everything that is wrong, each with
// its fix. Without any catalogue there is nothing to check: nobody is asked for anything. New and NewManifest call it.
func CheckCatalogue(scopes, ofPeople []connection.Scope, handlers []Handler) error {
	if len(scopes)+len(ofPeople) == 0 {
		return nil
	}
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("catalogue: "+format, args...))
	}

	check := func(whose string, catalogue []connection.Scope, declared []string, by func(Handler) []string) {
		known := map[string]bool{}
		for _, s := range catalogue {
			if known[s.Name] {
				bad("%s %s is listed twice", whose, s.Name)
			}
			known[s.Name] = true

			for what, words := range map[string]string{"label": s.Label, "reason": s.Why, "feature": s.Feature} {
				if strings.TrimSpace(words) == "" {
					bad("%s %s has no %s", whose, s.Name, what)
				}
			}
			if !slices.Contains(declared, s.Name) {
				bad("%s %s is used by no handler: take it out, or declare it where it is used", whose, s.Name)
			}
		}

		for _, name := range declared {
			if known[name] {
				continue
			}
			for _, h := range handlers {
				if slices.Contains(by(h), name) {
					bad("%s %s is not in it, and %s uses it: add it, with its reason and the feature it is for", whose, name, h.id())
				}
			}
		}
	}

	check("the permission", scopes, ScopesOf(handlers), func(h Handler) []string { return ScopesOf([]Handler{h}) })
	check("people's permission", ofPeople, UserScopesOf(handlers), func(h Handler) []string { return h.UserScopes })
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(problems...)
}
