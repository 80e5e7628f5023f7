package oauth

import "testing"

// What people type is code on the pages, and nothing in a sentence is HTML by itself.
func TestWithCode(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Type `/poll` or `/standup`.": "Type <code>/poll</code> or <code>/standup</code>.",
		"`<b>` & <i>":                 "<code>&lt;b&gt;</code> &amp; &lt;i&gt;",
		"it`s <b>":                    "it`s &lt;b&gt;",
		"":                            "",
	} {
		if got := string(withCode(in)); got != want {
			t.Errorf("withCode(%q) = %q, want %q", in, got, want)
		}
	}
}
