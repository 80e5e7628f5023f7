package commands

import (
	"strings"
	"testing"
)

func TestTagline(t *testing.T) {
	t.Parallel()
	for want, of := range map[string][]feature{
		"Polls in Slack.":                    {{name: "polls"}},
		"Polls and standups in Slack.":       {{name: "polls"}, {name: "standups"}},
		"Polls in Slack, and an answer.":     {{name: "polls"}, {closing: "an answer"}},
		"Polls in Slack, and “is it there?”": {{name: "polls"}, {closing: "“is it there?”"}},
		"An answer.":                         {{closing: "an answer"}},
	} {
		if got := tagline(of); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// What can't be done without a permission goes behind "can't": of several features it is one or the other.
func TestFeaturesOfAPermission(t *testing.T) {
	t.Parallel()
	shared := 0
	for _, s := range Catalogue() {
		if strings.Contains(s.Feature, " and ") || s.Feature == "" {
			t.Errorf("without %s it can't %q", s.Name, s.Feature)
		}
		if strings.Contains(s.Feature, " or ") {
			shared++
		}
	}
	if shared == 0 {
		t.Error("no permission is for several features, so this proves nothing")
	}
}
