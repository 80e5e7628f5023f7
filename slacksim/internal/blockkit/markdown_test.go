package blockkit

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMarkdown(t *testing.T) {
	for _, x := range []struct{ md, text, shape string }{
		{"", "", ""},
		{"plain & <b>", "plain &amp; &lt;b&gt;", "section(plain & <b>)"},
		{"**b** *i* _i_ ~~s~~ `c*`", "*b* _i_ _i_ ~s~ `c*`", "section(b|bold   i|italic   i|italic   s|strike   c*|code)"},
		{"half **written `and", "half **written `and", "section(half **written `and)"},
		{"snake_case_word 2*3*4 \\*no\\*", "snake_case_word 2_3_4 *no*",
			"section(snake_case_word 2 3|italic 4 *no*)"},
		{"[t](https://x.example/) <https://y.example/>", "<https://x.example/|t> <https://y.example/|https://y.example/>",
			"section(t|link   https://y.example/|link)"},
		{"hi <@U0ZZ>", "hi <@U0ZZ>", "section(hi  U0ZZ|user)"},
		{"# Title\ntext\n\nmore", "*Title*\ntext\n\nmore", "section(Title|bold \ntext\n\nmore)"},
		{"a\n- x\n- **y**\n1. z\n> q\n> r", "a\n• x\n• *y*\n1. z\n&gt; q\n&gt; r",
			"section(a) list(section(x) section(y|bold)) list(section(z)) quote(q\nr)"},
		{"```go\nif a < b {\n```\nend", "```\nif a &lt; b {\n```\nend", "preformatted(if a < b {) section(end)"},
		{"```\nnot ended", "```\nnot ended\n```", "preformatted(not ended)"},
	} {
		block, text := Markdown(x.md)
		if text != x.text {
			t.Errorf("the text of %q is %q, want %q", x.md, text, x.text)
		}
		raw, _ := json.Marshal(block)
		var read Object
		if err := Decode(raw, &read); err != nil {
			t.Fatal(err)
		}
		if got := short(read["elements"]); got != x.shape {
			t.Errorf("%q becomes %q, want %q", x.md, got, x.shape)
		}
	}
}

// short writes rich_text in short.
func short(elements any) string {
	var out []string
	for _, o := range Objects(elements) {
		word := Text(o["text"]) + Text(o["user_id"])
		st, _ := o["style"].(Object)
		for k := range st {
			word += "|" + k
		}
		switch typ := Text(o["type"]); typ {
		case "link", "user":
			word += "|" + typ
		case "text":
		default:
			word = strings.TrimPrefix(typ, "rich_text_") + "(" + short(o["elements"]) + ")"
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

// Whatever Markdown is streamed becomes blocks that Slack takes.
func FuzzMarkdown(f *testing.F) {
	for _, s := range []string{"# One\n\n- a\n  - b\n\n1. c\n> quote\n```go\nx\n```", "**a*b**_c_~~d~~`e`",
		"[x](https://a.example)",
		"***", "- ", "```", "> > ", "<@U1> &amp; <https://a|b>", "| a |\n|---|"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, md string) {
		if !utf8.ValidString(md) || utf8.RuneCountInString(md) > 12_000 {
			return
		}
		block, _ := Markdown(md)
		if elements, _ := block["elements"].([]any); len(elements) == 0 {
			return
		}
		raw, err := json.Marshal([]any{block})
		if err != nil {
			t.Fatal(err)
		}
		if _, complaints := CheckBlocks(Message, raw, func(p string) string { return p }); len(complaints) > 0 {
			t.Errorf("%q became %s: %v", md, raw, complaints)
		}
	})
}
