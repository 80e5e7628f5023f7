package web

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

// testNames knows one person and one channel and reads in Berlin on 2 November 2026, 10:30.
func testNames() names {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		zone = time.FixedZone("Europe/Berlin", 3600)
	}
	return names{
		user:    func(id string) string { return map[string]string{"U1": "Dana <Reyes>"}[id] },
		channel: func(id string) string { return map[string]string{"C1": "general"}[id] },
		zone:    zone, now: time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC), self: "U1",
	}
}

func TestMrkdwn(t *testing.T) {
	n := testNames()
	for in, want := range map[string]string{
		"plain":                                              "plain",
		"*bold* _it_ ~no~ `code`":                            "<strong>bold</strong> <em>it</em> <s>no</s> <code>code</code>",
		"*bold _and it_*":                                    "<strong>bold <em>and it</em></strong>",
		"snake_case_name 2*3*4 a ~b":                         "snake_case_name 2*3*4 a ~b",
		"* not bold *":                                       "* not bold *",
		"`*not bold*`":                                       "<code>*not bold*</code>",
		"a &lt;b&gt; &amp; &quot;":                           "a &lt;b&gt; &amp; &amp;quot;",
		"<script>alert(1)</script>":                          "&lt;script&gt;alert(1)&lt;/script&gt;",
		"one\ntwo":                                           "one<br>two",
		"&gt; said\n&gt; more\nme":                           "<blockquote>said<br>more</blockquote>me",
		"```x < y\n<https://a.example|z>```after":            "<pre>x &lt; y\nz</pre>after",
		"<https://a.example/?q=1&amp;r=2|see *this*>":        `<a href="https://a.example/?q=1&amp;r=2" target="_blank" rel="noopener noreferrer">see *this*</a>`,
		"<mailto:a@b.example>":                               `<a href="mailto:a@b.example" target="_blank" rel="noopener noreferrer">a@b.example</a>`,
		"<javascript:alert(1)|click>":                        "&lt;javascript:alert(1)|click&gt;",
		"*<https://a.example/a*b|x>*":                        `<strong><a href="https://a.example/a*b" target="_blank" rel="noopener noreferrer">x</a></strong>`,
		"<@U1> <@U9|who> <@U8>":                              `<span class="mention me">@Dana &lt;Reyes&gt;</span> <span class="mention">@who</span> <span class="mention">@U8</span>`,
		"<#C1|old> <#C9|> <#C9|named>":                       `<span class="mention">#general</span> <span class="mention">#private channel</span> <span class="mention">#named</span>`,
		"<!here> <!subteam^S1|@team>":                        `<span class="mention broadcast">@here</span> <span class="mention broadcast">@team</span>`,
		":wave: :nosuch: 10:30:45":                           `<span class="emoji" role="img" aria-label="wave">👋</span> :nosuch: 10:30:45`,
		"• one\n• two":                                       "• one<br>• two",
		"<!date^1793611800^{date_num} {time}|x>":             `<time datetime="2026-11-02T09:30:00Z" title="x">2026-11-02 10:30 AM</time>`,
		"<!date^1793611800^{date_short_pretty} at {time}|x>": `<time datetime="2026-11-02T09:30:00Z" title="x">today at 10:30 AM</time>`,
		"<!date^1793611800^{date}^https://a.example|x>":      `<a href="https://a.example" target="_blank" rel="noopener noreferrer"><time datetime="2026-11-02T09:30:00Z" title="x">November 2nd, 2026</time></a>`,
		"<!date^soon^{date}|2026 &lt; 2027>":                 "2026 &lt; 2027",
		"open < end":                                         "open &lt; end",
	} {
		if got := string(n.mrkdwn(in)); got != want {
			t.Errorf("%q\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestDateTokens(t *testing.T) {
	n := testNames()
	at := n.now.Add(-25*time.Hour - 3*time.Minute - 4*time.Second).In(n.zone)
	for k, want := range map[string]string{
		"{date_num}": "2026-11-01", "{date_slash}": "11/01/2026", "{date}": "November 1st, 2026",
		"{date_pretty}": "yesterday",
		"{date_short}":  "Nov 1, 2026", "{date_short_pretty}": "yesterday", "{date_long}": "Sunday, November 1st, 2026",
		"{date_long_full}": "Sunday, November 1st, 2026", "{date_long_pretty}": "yesterday", "{time}": "9:26 AM",
		"{time_secs}": "9:26:56 AM",
		"{ago}":       "25 hours ago", "{other}": "{other}",
	} {
		if got := n.dateWord(at, k); got != want {
			t.Errorf("%s = %q, want %q", k, got, want)
		}
	}
	if got := n.dateWord(n.now.In(n.zone).AddDate(0, 0, 1), "{date_pretty}"); got != "tomorrow" {
		t.Error(got)
	}
	if got := ago(-90 * time.Second); got != "in 1 minute" {
		t.Error(got)
	}
	for d, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th",
		21: "21st", 22: "22nd", 23: "23rd", 30: "30th"} {
		if got := ordinal(d); got != want {
			t.Errorf("%d: %s", d, got)
		}
	}
}

func TestBlocksAsHTML(t *testing.T) {
	f := surface{names: testNames(), prefix: "p", pingTo: "/act", choices: func(string) []option {
		return []option{{"U1", "Dana <R>"}}
	}}
	for in, want := range map[string]string{
		`{"type":"header","block_id":"h","text":{"type":"plain_text","text":"A & B :wave:"}}`: `<div class="block block-header" data-block-id="h"><h2>A &amp; B 👋</h2></div>`,
		`{"type":"divider"}`: `<hr class="block block-divider">`,
		`{"type":"section","block_id":"s","text":{"type":"mrkdwn","text":"*x*"},"fields":[{"type":"plain_text","text":"*y*"}]}`:                                        `<div class="block block-section" data-block-id="s"><div class="section-body"><div class="section-text"><strong>x</strong></div><div class="fields"><div class="field">*y*</div></div></div></div>`,
		`{"type":"context","block_id":"c","elements":[{"type":"mrkdwn","text":"t"},{"type":"image","image_url":"https://x.example/i.png","alt_text":"\"i\""}]}`:        `<div class="block block-context" data-block-id="c"><span class="context-text">t</span><img class="context-image" src="https://x.example/i.png" alt="&#34;i&#34;" loading="lazy"></div>`,
		`{"type":"image","block_id":"i","image_url":"javascript:x","alt_text":"alt"}`:                                                                                  `<figure class="block block-image" data-block-id="i"><span class="no-image">alt</span></figure>`,
		`{"type":"actions","block_id":"a/1","elements":[{"type":"button","action_id":"go","style":"primary","text":{"type":"plain_text","text":"Go"}}]}`:               `<div class="block block-actions" data-block-id="a/1"><button type="submit" name="action" value="a%2F1/go" class="button primary" data-action-id="go">Go</button></div>`,
		`{"type":"actions","block_id":"a","elements":[{"type":"button","action_id":"u","url":"https://x.example/?a=1&b=2","text":{"type":"plain_text","text":"Go"}}]}`: `<div class="block block-actions" data-block-id="a"><a class="button" data-action-id="u" href="https://x.example/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer" ping="/act?action=a%2Fu">Go</a></div>`,
		`{"type":"actions","block_id":"a","elements":[{"type":"button","action_id":"u","url":"javascript:alert(1)","text":{"type":"plain_text","text":"Go"}}]}`:        `<div class="block block-actions" data-block-id="a"><span class="button" data-action-id="u" aria-disabled="true">Go</span></div>`,
		`{"type":"sparkle","block_id":"v"}`: `<div class="block block-unknown" data-block-id="v">` +
			`This block is not shown here: <code>sparkle</code></div>`,
		`{"type":"rich_text","block_id":"r","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"<b>","style":{"bold":true}},{"type":"user","user_id":"U1"}]}]}`: `<div class="block block-rich-text" data-block-id="r"><div><strong>&lt;b&gt;</strong><span class="mention me">@Dana &lt;Reyes&gt;</span></div></div>`,
		`{"type":"input","block_id":"n","label":{"type":"plain_text","text":"Name"},"element":{"type":"plain_text_input","action_id":"x","initial_value":"\"><b>"}}`:                   `<div class="block block-input" data-block-id="n"><label for="p-n">Name</label><input type="text" id="p-n" name="v/n/x" data-action-id="x" placeholder="" value="&#34;&gt;&lt;b&gt;"></div>`,
		`{"type":"input","block_id":"n","label":{"type":"plain_text","text":"Who"},"element":{"type":"users_select","action_id":"x"}}`:                                                 `<div class="block block-input" data-block-id="n"><label for="p-n">Who</label><select id="p-n" name="v/n/x" data-action-id="x"><option value="">Choose…</option><option value="U1">Dana &lt;R&gt;</option></select></div>`,
	} {
		if got := string(f.blocks(json.RawMessage("[" + in + "]"))); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
	menu := string(f.blocks(json.RawMessage(
		`[{"type":"section","block_id":"s","text":{"type":"mrkdwn","text":"t"},"accessory":{"type":"overflow","action_id":"o","confirm":{"title":{"type":"plain_text","text":"Sure?"},"text":{"type":"plain_text","text":"x"},"confirm":{"type":"plain_text","text":"Yes"},"deny":{"type":"plain_text","text":"No"}},"options":[{"text":{"type":"plain_text","text":"One"},"value":"1"}]}}]`)))
	for _, want := range []string{`<details class="overflow">`, `value="s/o/1"`, `data-confirm-title="Sure?"`,
		`data-confirm-yes="Yes"`, `>One</button>`} {
		if !strings.Contains(menu, want) {
			t.Errorf("overflow lacks %s: %s", want, menu)
		}
	}
	f.errors, f.typed = map[string]string{"n": "taken"}, slacksim.Inputs{"n": {"x": {Value: "Zed"}}}
	bad := string(
		f.blocks(
			json.RawMessage(
				`[{"type":"input","block_id":"n","label":{"type":"plain_text","text":"Name"},"element":{"type":"plain_text_input","action_id":"x"}}]`)))
	for _, want := range []string{`aria-invalid="true"`, `aria-describedby="p-n-error"`, `value="Zed"`,
		`id="p-n-error" role="alert">taken`} {
		if !strings.Contains(bad, want) {
			t.Errorf("an invalid input lacks %s: %s", want, bad)
		}
	}
}

func TestMarkdownAsHTML(t *testing.T) {
	f := surface{names: testNames()}
	const done, open = `<span role="img" aria-label="done">☑</span> `, `<span role="img" aria-label="to do">☐</span> `
	for in, want := range map[string]string{
		"- [x] a\n- [ ] b": `<ul><li class="task"><div>` + done + `a</div></li><li class="task"><div>` + open +
			`b</div></li></ul>`,
		"See\n|a|*b*|\n|---|--:|\n|1|2|3|\n|x \\| y|<b>|\n\nEnd": `<div>See</div><table><tr><th><div>a</div></th>` +
			`<th align="right"><div><em>b</em></div></th></tr><tr><td><div>1</div></td><td align="right"><div>2</div></td>` +
			`</tr><tr><td><div>x | y</div></td><td align="right"><div>&lt;b&gt;</div></td></tr></table><div><br>End</div>`,
		"```\n|a|\n|-|\n```": "<pre>|a|<br>|-|</pre>",
		"a | b\nno | table":  "<div>a | b<br>no | table</div>",
		"<script>x</script> <@U1>": `<div>&lt;script&gt;x&lt;/script&gt; ` +
			`<span class="mention me">@Dana &lt;Reyes&gt;</span></div>`,
	} {
		if got := f.markdown(in); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

// ours matches the tags that rendering writes; what remains of the output may hold no tag at all.
var ours = regexp.MustCompile(`</?(strong|em|s|code|pre|blockquote)>|<br>|</(a|span|time)>|` +
	`<a href="(https?|mailto|tel|slack):[^"<>]*" target="_blank" rel="noopener noreferrer">|` +
	`<span class="(mention|mention me|mention broadcast)">|<span class="emoji" role="img" aria-label="[a-z0-9_+-]+">|` +
	`<time datetime="[0-9TZ:-]+" title="[^"<>]*">`)

func FuzzMrkdwn(f *testing.F) {
	for _, s := range []string{"*a* <b> `c`", "<https://x|y>", "<!date^1^{date}^https://x|\">", "```<script>```",
		"> q\n*x\n_y_*", "<@U1|\"><img>", ":wave:", "&lt;&amp;lt;",
		"<!date^1", "<javascript:x|y>", "<https://x\"onclick=|y>", "*_~*_~", "`<`>", "<!date^9^{time}|'\"<>"} {
		f.Add(s)
	}
	n := testNames()
	f.Fuzz(func(t *testing.T, in string) {
		out := string(n.mrkdwn(in))
		rest := ours.ReplaceAllString(out, "")
		if strings.ContainsAny(rest, `<>"'`) {
			t.Fatalf("%q leaves %q of %q", in, rest, out)
		}
		for _, tag := range []string{"strong", "em", "s", "code", "pre", "blockquote", "a", "span", "time"} {
			open := strings.Count(out, "<"+tag+">") + strings.Count(out, "<"+tag+" ")
			if open != strings.Count(out, "</"+tag+">") {
				t.Fatalf("%q: <%s> is not balanced in %q", in, tag, out)
			}
		}
	})
}
