package bot

// What each permission of Slack means to the people who are asked for it. An app that has better words of its own
// gives them; every other one has these. https://docs.slack.dev/reference/scopes

import (
	"cmp"
	"slices"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/words"
)

// Catalogue completes an app's own words about permissions of the bot. What its handlers declare and own doesn't name
// gets built-in words, in the language of lang (nil: English), and people can untick it if every handler runs without
// it. own stays in front, in its order. A permission that is unknown here stays away, for CheckCatalogue to name.
func Catalogue(lang *words.Sentences, own []connection.Scope, handlers []Handler) []connection.Scope {
	return complete(own, ScopesOf(handlers), func(name string) connection.Scope {
		needed := slices.ContainsFunc(handlers, func(h Handler) bool {
			return slices.Contains(h.Scopes, name) || name == "commands" && h.Kind == KindCommand
		})
		s := wordsOfScope(lang, "scopes.bot."+name)
		s.Optional = !needed
		return s
	})
}

// UserCatalogue is Catalogue for what handlers need of people to act for them. People can untick all of it.
func UserCatalogue(lang *words.Sentences, own []connection.Scope, handlers []Handler) []connection.Scope {
	return complete(own, UserScopesOf(handlers), func(name string) connection.Scope {
		s := wordsOfScope(lang, "scopes.person."+name)
		if s.Label == "" { // what it means is the same for a person as for a bot
			s = wordsOfScope(lang, "scopes.bot."+name)
		}
		s.Why, s.Optional = lang.Say("scopes.why_for_you"), true
		return s
	})
}

// wordsOfScope are the built-in words for a permission. Without a label there are none.
func wordsOfScope(lang *words.Sentences, key string) (s connection.Scope) {
	s.Label, _ = lang.Find(key + ".label")
	s.Feature, _ = lang.Find(key + ".feature")
	s.Why, _ = lang.Find(key + ".why")
	return s
}

// complete adds to own what is declared and isn't in it, the required ones first.
func complete(own []connection.Scope, declared []string, describe func(string) connection.Scope) []connection.Scope {
	all := slices.Clone(own)
	for _, name := range declared {
		if slices.ContainsFunc(own, func(s connection.Scope) bool { return s.Name == name }) {
			continue
		}
		if s := describe(name); s.Label != "" {
			s.Name = name
			all = append(all, s)
		}
	}

	slices.SortStableFunc(all[len(own):], func(a, b connection.Scope) int {
		rank := map[bool]int{true: 1}
		return cmp.Compare(rank[a.Optional], rank[b.Optional])
	})
	return all
}
