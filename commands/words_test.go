package commands

import (
	"testing"

	"switchboard/bot"
	"switchboard/install"
)

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

// What people are to a workspace by their ids alone; the rest is asked of users.info.
func TestOutsider(t *testing.T) {
	workspace := install.Connection{ID: "con_1", Key: install.Key{TeamID: "T1"}, InstalledBy: "U1"}
	grid := install.Connection{ID: "con_1", Key: install.Key{EnterpriseID: "E1", TeamID: "T1"}, InstalledBy: "U1"}
	org := install.Connection{ID: "con_1", Key: install.Key{EnterpriseID: "E1"}, InstalledBy: "U1"}
	for _, test := range []struct {
		name      string
		c         install.Connection
		team      string
		outsider  bool
		installer bool
	}{
		{"not said", workspace, "", false, true},
		{"our own", workspace, "T1", false, true},
		{"another", workspace, "T9", true, false},
		{"in a grid, our own", grid, "T1", false, true},
		{"in a grid, by the organisation's id", grid, "E1", false, true},
		{"in a grid, another organisation", grid, "E9", true, false},
		{"an organisation's, by its id", org, "E1", false, true},
		{"an organisation's, a workspace that could be anybody's", org, "T9", false, false},
		{"no connection", install.Connection{}, "T9", false, false},
	} {
		turn := &bot.Turn{Connection: test.c, UserID: "U1", UserTeam: test.team}
		if got := outsider(turn); got != test.outsider {
			t.Errorf("%s: outsider %v", test.name, got)
		}
		if got := isInstaller(turn); got != test.installer {
			t.Errorf("%s: installer %v", test.name, got)
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
