package commands

import "testing"

func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"<@U0BOT> status":         "  status",
		"<@U0BOT|switchboard> hi": "  hi",
		"/connection status":      "status",
		"Connection status":       "status",
		"connection":              "",
		"connection-problem here": "connection-problem here",
		"is my connection ok":     "is my connection ok",
	} {
		if got := words(text); got != want {
			t.Errorf("words(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{"a & b": "a &amp; b", "&lt;b&gt;": "&lt;b&gt;", "<!channel>": "&lt;!channel&gt;"} {
		if got := escape(in); got != want {
			t.Errorf("escape(%q) = %q, want %q", in, got, want)
		}
	}
}
