package connection

import (
	"context"
	"strings"
	"testing"
)

// The words are the words, however they are written: what surrounds them is not.
func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"<@U0BOT> status":                   "status",
		"<@U0BOT|switchboard> hi":           "hi",
		"/connection status":                "status",
		"Connection status":                 "status",
		"connection":                        "",
		"/connection /connection":           "",
		"connection-problem here":           "connection-problem here",
		"is my connection ok":               "is my connection ok",
		"/CONNECTION: Status!":              "Status",
		"Switchboard, help":                 "help",
		"@Switchboard help disconnect":      "help disconnect",
		"switchboard /connection help":      "help",
		"it's, it’s 'help'":                 "it's it’s help",
		"<!here> help <#C1|general>":        "help general",
		"<https://example.com/a|help>":      "help",
		"<mailto:it@help|help>":             "help",
		"<http://help>":                     "help",
		"how’s re-connecting":               "how’s re-connecting",
		"he\u200bl\u00adp dis\u2060connect": "help disconnect",
		"größe":                             "größe",
		"…":                                 "",
		"":                                  "",
	} {
		if got := heard(text, "/connection", "Switchboard"); got != want {
			t.Errorf("words(%q) = %q, want %q", text, got, want)
		}
	}
	// An app whose name is one of the words is still asked by it.
	if got := heard("status of it", "/connection", "Status Page"); got != "status of it" {
		t.Errorf("an app called Status Page is asked %q", got)
	}
}

// What people copy, quote, format and paste is understood alike in the command, the direct message and after a mention:
// it passes one function, and means the same as the bare word.
func TestWordsAsPeopleWriteThem(t *testing.T) {
	around := []string{"%s", " %s ", "%s.", "%s!", "%s?!", "%s,", "%s…", "`%s`", "```%s```", "```\n%s\n```", "*%s*",
		"_%s_", "~%s~", "*_%s_*", "`*%s*`.", "“%s”", "\"%s\"", "'%s'", "‘%s’", "‚%s‘", "„%s“", "«%s»", "« %s »", "‹%s›",
		"「%s」", "(%s)", "[%s]", "{%s}", "<%s>", "&lt;%s&gt;", "&gt; %s", "&amp; %s", "> %s", "• %s", "- %s", "— %s", "--%s",
		"/%s", "#%s", "@%s", "\u200b%s\u200b", "\ufeff%s", "%s\u00ad", "\u2060%s\u200d", "\u00a0%s\u00a0", "\u202f%s",
		"\u3000%s", "\u202e%s\u202c",
		"%s\ufe0f", "<http://%[1]s|%[1]s>", "<https://%s>", "<https://%s/>", "/connection %s", "`/connection %s`",
		"“/connection %s”", "/Connection: %s", "<@U0BOT> %s", "<@U0BOT>: `%s`", "Switch &amp; board: %s",
		"*Switch & board* _%s_", "\t%s\r\n", ":wave: %s", "👉 %s 👈", "%s 🙏"}
	turn := turnOf(t, "U1", historyStore{})
	for _, form := range around {
		for _, w := range []string{"help", "HELP", "Help", "hElP", "ｈｅｌｐ", "𝐡𝐞𝐥𝐩"} {
			text := strings.ReplaceAll(strings.ReplaceAll(form, "%[1]s", w), "%s", w)
			for _, to := range []audience{private, direct, public} {
				if got := answer(context.Background(), turn, text, to).Text; !strings.HasPrefix(got, "Here is what you can ask") {
					t.Errorf("%q is not understood: %.60q", text, got)
				}
			}
		}
	}
	for _, text := range []string{"`history`", "/connection “History”.", "*HISTORY*"} {
		if got := answer(context.Background(), turn, text, public).Text; !strings.Contains(got,
			"I only answer that privately") {
			t.Errorf("%q in a channel: %.60q", text, got)
		}
	}
}

func FuzzWords(f *testing.F) {
	for _, s := range []string{"", "/connection `help`", "<http://a|b> &gt; *x*", "e\u200b\u0301", "ﬁ ｈ Ⅷ ①", "<<a|b>|c>",
		"<@U1", "&amp;lt;", "\xff'-_’", "\u1100\u1161\u3164", "switchboard switchboard connection"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := heard(s, "/connection", "Switchboard")
		if again := heard(got, "/connection", "Switchboard"); again != got {
			t.Errorf("words(%q) = %q, and of that %q", s, got, again)
		}
		for _, r := range got {
			if r != ' ' && !inWord(r) {
				t.Errorf("words(%q) = %q has %q", s, got, r)
			}
		}
		lookupWord(nil, strings.Fields(got))
	})
}
