package markdown

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/slack-go/slack"
)

// outline is what blocks show, in one line for each.
func outline(blocks []slack.Block) (lines []string) {
	for _, b := range blocks {
		switch b := b.(type) {
		case *slack.HeaderBlock:
			lines = append(lines, "header "+b.Text.Text)
		case *slack.DividerBlock:
			lines = append(lines, "divider")
		case *slack.RichTextBlock:
			for _, e := range b.Elements {
				lines = append(lines, shown(e))
			}
		}
	}
	return lines
}

func shown(e slack.RichTextElement) string {
	switch e := e.(type) {
	case *slack.RichTextSection:
		return "text " + runs(e.Elements)
	case *slack.RichTextQuote:
		return "quote " + runs(e.Elements)
	case *slack.RichTextPreformatted:
		return "code " + runs(e.Elements)
	case *slack.RichTextList:
		return fmt.Sprintf("%s %d+%d %s", e.Style, e.Indent, e.Offset, shown(e.Elements[0]))
	}
	return fmt.Sprintf("%T", e)
}

func runs(elements []slack.RichTextSectionElement) (s string) {
	for _, e := range elements {
		b, _ := json.Marshal(e)
		var m struct {
			Text, URL string
			UserID    string `json:"user_id"`
			Style     map[string]bool
		}
		_ = json.Unmarshal(b, &m)
		var styles []string
		for name := range m.Style {
			styles = append(styles, name)
		}
		slices.Sort(styles)
		s += "[" + strings.Join(append([]string{m.Text + m.UserID + m.URL}, styles...), " ") + "]"
	}
	return s
}

// Each part of Markdown has its place where Slack takes no Markdown.
func TestBlocks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		src  string
		want []string
	}{
		{"# Report", []string{"header Report"}},
		{"## " + strings.Repeat("x", 151), []string{"text [" + strings.Repeat("x", 151) + " bold]"}},
		{"a **b** *c* `d` ~~e~~\nf", []string{"text [a ][b bold][ ][c italic][ ][d code][ ][e strike][ f]"}},
		{"***", []string{"divider"}},
		{"[page](https://a.example) <https://b.example> ![cat](https://c.example/c.png) [x](javascript:alert)", []string{
			"text [pagehttps://a.example][ ][https://b.examplehttps://b.example][ ][cathttps://c.example/c.png]" +
				"[ x (javascript:alert)]"}},
		{"- a\n- b\n  - c\n\n    ```\n    d\n    ```\n- e", []string{"bullet 0+0 text [a]", "bullet 0+0 text [b]",
			"bullet 1+0 text [c]", "code [d]", "bullet 0+0 text [e]"}},
		{"3. a\n4. b", []string{"ordered 0+2 text [a]", "ordered 0+3 text [b]"}},
		{"- [x] ship\n- [ ] test", []string{"bullet 0+0 text [☑ ship]", "bullet 0+0 text [☐ test]"}},
		{"> a\n>\n> - b", []string{"quote [a][\n][b]"}},
		{"```go\nx := 1\n```", []string{"code [x := 1]"}},
		{"| a | long |\n|---|---|\n| ccc | **d** |", []string{"code [a    long\n---  ----\nccc  d]"}},
		{"vector<int> &amp; 5 \\* 3", []string{"text [vector<int> & 5 * 3]"}},
		{"<@U1>, not <@U2>, <!channel>", []string{"text [U1][, not <@U2>, <!channel>]"}},
	} {
		if got := outline(Blocks(test.src, 100, []string{"U1"}, "This goes on.")); !slices.Equal(got, test.want) {
			t.Errorf("%q:\n got %q\nwant %q", test.src, got, test.want)
		}
	}
}

// No block is longer than Slack takes, and there are not more of them.
func TestBlocksFit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", 2000)
	for name, src := range map[string]string{
		"a paragraph": long, "bold": "**" + strings.TrimSpace(long) + "**", "a list item": "- " + long,
		"code": "```\n" + strings.Repeat("x := 1\n", 2000) + "```", "a quotation": "> " + long,
		"paragraphs": strings.Repeat("A paragraph.\n\n", 300), "rules": strings.Repeat("***\n\n", 300),
		"a list": strings.Repeat("- an item of a list\n", 1000),
	} {
		blocks := Blocks(src, 100, nil, "This goes on.")
		if len(blocks) > 100 || len(blocks) == 0 {
			t.Errorf("%s: %d blocks", name, len(blocks))
		}
		for _, b := range blocks {
			if r, ok := b.(*slack.RichTextBlock); ok && size(r.Elements...) > mostInBlock {
				t.Errorf("%s: a block of %d characters", name, size(r.Elements...))
			}
		}
		if got := outline(blocks); name == "rules" && !strings.Contains(got[99], "This goes on") {
			t.Errorf("%s end with %q", name, got[99])
		}
	}
}

// Nobody is mentioned who is not named, however it is written.
func TestHarmless(t *testing.T) {
	t.Parallel()
	for src, still := range map[string]bool{
		"<@U1>": true, "<@U1|dana>": true, "<!here>": true, "<!subteam^S1>": true, "<#C1|general>": true,
		"<@U2>": false, "<!channel>": false, "<!everyone>": false, "<#C2>": false, "<!subteam^S2|team>": false,
		`<\@U2>`: false, "&lt;@U2>": false, "<&#64;U2>": false, "&#60;!channel&#62;": false, "<&excl;CHANNEL>": false,
		"<https://a.example|a>": true, "<!doctype html>": true, "a < b": true, "<!-- a -->": true,
	} {
		got := Harmless("Hey "+src+"!", []string{"U1", "C1", "S1", "here"})
		if kept := got == "Hey "+src+"!"; kept != still {
			t.Errorf("%q became %q", src, got)
		}
		if strings.ReplaceAll(got, joiner, "") != "Hey "+src+"!" {
			t.Errorf("%q lost something: %q", src, got)
		}
	}
}

// Whatever comes from outside mentions nobody, on every page and in blocks.
func FuzzHarmless(f *testing.F) {
	for _, src := range []string{"<!channel>", "<@U1>", `<\!here>`, "<&#64;U1>", "&lt;!everyone&gt;", "<<!channel>>",
		"`<@U1>`", "[<@U1>](https://a.example)", "<@&#85;1>", "&LT;@U1>", "<**@U1**>", "<@U1\n|x>"} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if !utf8.ValidString(src) {
			return
		}
		harmless := Harmless(src, []string{"U0OK"})
		for _, says := range Pages(harmless, 200) {
			says = strings.ReplaceAll(says, "<@U0OK", "")
			for _, bad := range []string{"<@", "<#", "<!channel", "<!here", "<!everyone", "<!subteam^"} {
				if strings.Contains(strings.ToLower(says), bad) {
					t.Fatalf("%q says %q", src, says)
				}
			}
		}
		body, err := json.Marshal(slack.Blocks{BlockSet: Blocks(src, 100, []string{"U0OK"}, "This goes on.")})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), `"type":"user"`) && !strings.Contains(src, "U0OK") {
			t.Fatalf("%q mentions somebody: %s", src, body)
		}
	})
}
