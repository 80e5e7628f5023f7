// Package wordstest has a language that nobody speaks, for tests: each sentence of the library in accented letters,
// between brackets. Whatever a person reads in plain letters then stands elsewhere than in package words, and what
// stands between no brackets, or in brackets within brackets, was put together from pieces, which no other language can
// do.
//
//	app.Words = wordstest.MadeUp()
//	faults := wordstest.Faults(text, "Acme Corp", "/hello")
package wordstest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"

	"github.com/switchboard-go/switchboard/install/words"
)

// MadeUp returns all sentences in the made-up language. Whole sentences stand in ⟦…⟧, and labels, which can be part of
// a sentence, in ⟨…⟩. It has the plural forms of English and is called German.
func MadeUp() *words.Sentences {
	var tree map[string]any
	if err := yaml.Unmarshal(words.English(), &tree); err != nil {
		panic(err)
	}
	file, err := yaml.Marshal(madeUp("", tree))
	if err != nil {
		panic(err)
	}
	said, err := words.Parse("de", file)
	if err != nil {
		panic(err)
	}
	return said
}

// typed is a section of words that people type, which stand alone.
const typed = "typed"

func madeUp(section string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		all := map[string]any{}
		for name, below := range v {
			if section != typed {
				all[name] = madeUp(name, below)
			} else {
				all[name] = Accented(below.(string))
			}
		}
		return all
	case string:
		opens, closes := "⟨", "⟩"
		if strings.HasSuffix(v, " ") || strings.ContainsAny(lastOf(v), ".!?:…") {
			opens, closes = "⟦", "⟧"
		}
		return opens + Accented(v) + closes
	}
	return v
}

// lastOf is the last character of a text that is no markup.
func lastOf(s string) string {
	s = strings.TrimRight(s, "*_~`\"”’') \n")
	runes := []rune(s)
	if len(runes) == 0 {
		return ""
	}
	return string(runes[len(runes)-1])
}

// kept is what a translator leaves as it is: parameters, code, the addresses of links, tags, entities and emoji.
var kept = regexp.MustCompile("\\{[A-Za-z_]+\\}|`[^`]*`|https?://\\S+|<[^>|]*[|>]|&[a-z0-9#]+;|:[a-z_]+:")

// Accented is a text of an app's own in the made-up language.
func Accented(s string) string {
	var out strings.Builder
	at := 0
	for _, found := range kept.FindAllStringIndex(s, -1) {
		out.WriteString(strings.Map(accent, s[at:found[0]]))
		out.WriteString(s[found[0]:found[1]])
		at = found[1]
	}
	out.WriteString(strings.Map(accent, s[at:]))
	return out.String()
}

var (
	plain    = []rune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	accented = []rune("äḃćďéḟĝĥîĵķĺḿñöṕɋřšťüṽŵẋýžÄḂĆĎÉḞĜĤÎĴĶĹḾÑÖṔɊŘŠŤÜṼŴẊÝŽ")
)

func accent(r rune) rune {
	for i, p := range plain {
		if r == p {
			return accented[i]
		}
	}
	return r
}

var (
	// notWords are parts of a text that nobody translates: code, addresses, the targets of links, tags, emoji, times.
	notWords = regexp.MustCompile("```[^`]*```|`[^`]*`|https?://[^\\s>|]+|<!date[^>]*>|<[^>|]*[|>]|&[a-z0-9#]+;|" +
		":[a-z0-9_+-]+:")
	// run are two or more words in plain letters.
	run = regexp.MustCompile(`[A-Za-z][A-Za-z'’]*(?:,? +[A-Za-z][A-Za-z'’]*)+`)
	// unfilled is a parameter that nobody gave.
	unfilled = regexp.MustCompile(`\{[a-z_]+\}`)
)

// Fault is something that a translation can't reach.
type Fault struct {
	English string // the words in plain letters; "" for what was put together from pieces
	Text    string // all that is read there
	What    string
}

// String says what is wrong, and where.
func (f Fault) String() string { return fmt.Sprintf("%s, in %q", f.What, f.Text) }

// Faults are what a text in Slack's mrkdwn, or of a page, has in it that was not said in the made-up language, or was
// put together from pieces. known are names of people, places and things, which are as they are.
func Faults(text string, known ...string) (faults []Fault) {
	for _, name := range unfilled.FindAllString(notWords.ReplaceAllString(text, " "), -1) {
		faults = append(faults, Fault{Text: text, What: "nobody gave " + name})
	}

	words := notWords.ReplaceAllString(text, " · ")
	for _, name := range known {
		words = strings.ReplaceAll(words, name, " · ")
	}
	for _, english := range run.FindAllString(words, -1) {
		faults = append(faults, Fault{English: english, Text: text, What: fmt.Sprintf("%q stands elsewhere", english)})
	}
	return append(faults, pieces(text)...)
}

// pieces finds a sentence within another, but for one behind a colon, and what goes on behind a sentence in the middle
// of a line.
func pieces(text string) (faults []Fault) {
	var open []rune
	runes := []rune(text)
	for i, r := range runes {
		switch r {
		case '⟦':
			before := strings.TrimRight(string(runes[:i]), "* ")
			if slices.Contains(open, r) && !strings.HasSuffix(before, ":") {
				faults = append(faults, Fault{Text: text, What: "a sentence is part of another"})
			}
			open = append(open, r)
		case '⟨':
			open = append(open, r)
		case '⟧', '⟩':
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
			if r == '⟧' && len(open) == 0 && goesOn(runes[i+1:]) {
				faults = append(faults, Fault{Text: text, What: "a sentence goes on behind its end"})
			}
		}
	}
	return faults
}

// goesOn reports whether a text behind a sentence is more of it.
func goesOn(rest []rune) bool {
	for _, r := range rest {
		switch {
		case r == '\n':
			return false
		case r == ',' || r == ';':
			return true
		case unicode.IsLetter(r):
			return unicode.IsLower(r)
		case !unicode.IsSpace(r) && !strings.ContainsRune("*_~)\"”", r):
			return false
		}
	}
	return false
}
