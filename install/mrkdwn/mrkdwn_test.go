package mrkdwn

import "testing"

func TestEscape(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a & b": "a &amp; b", "&lt;b&gt;": "&lt;b&gt;",
		"<!channel>": "&lt;!channel&gt;"} {
		if got := Escape(in); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		words []string
		want  string
	}{
		{nil, ""},
		{[]string{"a <b>", "c"}, "a &lt;b&gt;, c"},
		{[]string{"a", "b", "c", "d"}, "a, b, c, d"}, // "and 1 more" is no shorter
		{[]string{"a", "b", "c", "d", "e"}, "a, b, c, and 2 more"},
	} {
		if got := List(test.words); got != test.want {
			t.Errorf("List(%q) = %q, want %q", test.words, got, test.want)
		}
	}
}
