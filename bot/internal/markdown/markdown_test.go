package markdown

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// Each page stands for itself: it fits, its code is closed, and its rows have their heading.
func TestPages(t *testing.T) {
	t.Parallel()
	para := strings.TrimSpace(strings.Repeat("A sentence of some words. ", 10))
	rows := ""
	for i := range 40 {
		rows += fmt.Sprintf("| row %d | a value |\n", i)
	}
	code := strings.Repeat("x := 1\n", 60)
	for name, test := range map[string]struct {
		src  string
		want func(page string) bool
	}{
		"paragraphs": {strings.Repeat(para+"\n\n", 5), func(page string) bool { return strings.HasSuffix(page, "words.") }},
		"a list": {strings.Repeat("- "+para[:51]+"\n", 30), func(page string) bool {
			return strings.HasPrefix(page, "- ")
		}},
		"code": {"```go\n" + code + "```\n", func(page string) bool {
			return strings.HasPrefix(page, "```go\n") && strings.HasSuffix(page, "\n```")
		}},
		"tildes": {"~~~~\n" + code + "~~~~\n", func(page string) bool {
			return strings.HasPrefix(page, "~~~~\n") && strings.HasSuffix(page, "\n~~~~")
		}},
		"a table": {"| a | b |\n|---|:-:|\n" + rows, func(page string) bool {
			return strings.HasPrefix(page, "| a | b |\n|---|:-:|\n| row")
		}},
		"a quotation": {"> " + strings.Repeat("word ", 200), func(page string) bool {
			return strings.HasPrefix(page, "> ")
		}},
		"one long word": {strings.Repeat("ö", 1000), func(page string) bool { return utf8.ValidString(page) }},
	} {
		pages := Pages(test.src, 300)
		if len(pages) < 2 {
			t.Errorf("%s: %d pages", name, len(pages))
		}
		for _, page := range pages {
			if n := utf8.RuneCountInString(page); n > 300 || n == 0 || !test.want(page) {
				t.Errorf("%s: a page of %d characters:\n%s", name, n, page)
			}
		}
	}
	long := "```" + strings.Repeat("x", 400) + "\ncode\n```"
	if got := strings.Join(Pages(long, 300), ""); got != long {
		t.Errorf("of a fence that fills a page: %q", got)
	}
	if got := Pages(para, Most); len(got) != 1 || got[0] != para {
		t.Errorf("what fits was cut: %q", got)
	}
}

// The words are read aloud: whole sentences, no marks, nothing of the addresses.
func TestText(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"":                         "",
		"# Report\n\nAll **good**": "Report. All good.",
		"See [the page](https://a.example/x?y=1), ok?": "See the page, ok?",
		"- one\n- two\n  - three":                      "one. two. three.",
		"```go\nx := 1\n```":                           "x := 1.",
		"| a | b |\n|---|---|\n| c | d |":              "a, b. c, d.",
		"- [x] ship\n- [ ] test":                       "done: ship. to do: test.",
		`5 \* 3 &amp; more`:                            "5 * 3 & more.",
		"~~old~~ new\nline":                            "old new line.",
		"<b>html</b> stays":                            "html stays.",
		"![a cat](https://a.example/c.png)":            "a cat.",
	} {
		if got := Text(src, 1000, task); got != want {
			t.Errorf("%q reads %q, not %q", src, got, want)
		}
	}
	if got := Text(strings.Repeat("word ", 100), 20, task); got != "word word word word…" {
		t.Errorf("cut: %q", got)
	}
}

// No word is lost or written twice, whatever comes, and no page is too long.
func FuzzPages(f *testing.F) {
	for _, src := range []string{"a\n\nb", "```\nx", "> a\n> b", "| a |\n|-|\n| b |", "- a\n\n  b",
		"[x]: http://a.example\n\n[x]", strings.Repeat("word ", 100), strings.Repeat("```\n", 100),
		strings.Repeat("|-|\n", 100)} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if !utf8.ValidString(src) || strings.ContainsAny(src, "`~|>") {
			src = strings.ToValidUTF8(src, "?")
		}
		pages := Pages(src, 200)
		for _, page := range pages {
			if n := utf8.RuneCountInString(page); n > 200 {
				t.Fatalf("%d characters: %q", n, page)
			}
		}
		_ = Text(src, 200, task)
		_ = Blocks(src, 100, nil, "This goes on.")
		if strings.ContainsAny(src, "`~|>") {
			return // what stands on every page stands there again
		}
		join := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if got := join(strings.Join(pages, " ")); got != join(src) {
			t.Fatalf("%q became %q", src, pages)
		}
	})
}

func task(done bool, item string) string {
	if done {
		return "done: " + item
	}
	return "to do: " + item
}
