package mrkdwn

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a & b": "a &amp; b", "&lt;b&gt;": "&lt;b&gt;",
		"<!channel>": "&lt;!channel&gt;"} {
		if got := Escape(in); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
}

// A sentence of an app's own keeps its code, also where it is cut, and nothing else.
func TestSentence(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"Type `/poll` & <ask>.": "Type `/poll` &amp; &lt;ask&gt;.",
		"Type `/standup of a team that is a large one`, and more": "Type `/standup of a team that is a l…`"} {
		if got := Sentence(in, 40); got != want {
			t.Errorf("Sentence(%q) = %q, want %q", in, got, want)
		}
	}
}

// Whatever is split, each piece fits, and together they say the same.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{"", "One two three four five six seven eight nine ten eleven twelve.",
		"```\n" + strings.Repeat("code line\n", 20) + "``` and text", strings.Repeat("é", 300),
		strings.Repeat("<https://example.com/x|a link> ", 9), strings.Repeat("&amp;", 60),
		"a\n\n\n\nb" + strings.Repeat(" ", 90) + "c"} {
		f.Add(s)
	}
	words := strings.NewReplacer(" ", "", "\n", "", "`", "")
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		const most = 60
		pieces := Split(s, most)
		for _, p := range pieces {
			if n := utf8.RuneCountInString(p); n > most || !utf8.ValidString(p) {
				t.Errorf("%q: a piece of %d characters: %q", s, n, p)
			}
		}
		if got := strings.Join(pieces, ""); words.Replace(got) != words.Replace(s) {
			t.Errorf("%q became %q", s, pieces)
		}
	})
}
