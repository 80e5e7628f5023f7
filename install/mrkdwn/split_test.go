package mrkdwn

import (
	"strings"
	"testing"
)

// Where Split cuts, of what can be cut in several places.
func TestSplit(t *testing.T) {
	t.Parallel()
	words := strings.Repeat("word ", 10) // 50 characters
	for name, test := range map[string]struct {
		text string
		most int
		want []string
	}{
		"nothing":      {"", 50, nil},
		"what fits":    {words, 50, []string{words}},
		"words":        {"one two three four five six seven", 24, []string{"one two three four", "five six seven"}},
		"lines":        {"one two\nthree\nfour five six seven", 24, []string{"one two\nthree", "four five six seven"}},
		"paragraphs":   {"first one more\n\nsecond\nthird 4", 24, []string{"first one more", "second\nthird 4"}},
		"no space":     {strings.Repeat("x", 30), 24, []string{strings.Repeat("x", 20), strings.Repeat("x", 10)}},
		"wide letters": {strings.Repeat("é", 30), 24, []string{strings.Repeat("é", 20), strings.Repeat("é", 10)}},
		"a link": {strings.Repeat("x", 20) + "<https://a.co|a b c d>", 40, []string{strings.Repeat("x", 20),
			"<https://a.co|a b c d>"}},
		"an escape": {strings.Repeat("x", 16) + "&amp;" + strings.Repeat("y", 9), 24, []string{strings.Repeat("x", 16),
			"&amp;yyyyyyyyy"}},
		"code": {"```\none two\n  three\n  four\n```\nend", 24, []string{"```\none two\n  three\n```",
			"```\n  four\n```\nend"}},
		"behind a code": {"```one```\ntwo three four five", 24, []string{"```one```\ntwo three", "four five"}},
	} {
		got := Split(test.text, test.most)
		if strings.Join(got, "|") != strings.Join(test.want, "|") || len(got) != len(test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
