package install_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-go/switchboard/install"
)

// Every ending that a page can have is in the numbers before the first of its kind, and so is every other counter.
func TestCountersAreThereAtZero(t *testing.T) {
	t.Parallel()
	numbers := prometheus.NewRegistry()
	install.CountInto(numbers)
	families, err := numbers.Gather()
	if err != nil {
		t.Fatal(err)
	}

	there := map[string]bool{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, l := range m.GetLabel() { // they are sorted by name
				key += " " + l.GetValue()
			}
			if there[key] = true; m.GetCounter().GetValue() != 0 {
				t.Errorf("%s begins at %v", key, m.GetCounter().GetValue())
			}
		}
	}
	want := []string{
		"switchboard_renewals_total bot ok", "switchboard_renewals_total user invalid_refresh_token",
		"switchboard_renewals_total move other", "switchboard_checks_total no_answer", "switchboard_notices_total told",
		"switchboard_wanted_total resolved", "switchboard_slack_limited_total chat.postMessage waited",
		"switchboard_slack_limited_total other turned_away", "switchboard_slack_calls_total oauth.v2.access slack_failed",
		"switchboard_slack_calls_total other ok", "switchboard_install_attempts_total none started",
		"switchboard_install_attempts_total none started_again", "switchboard_journal_restored_total",
	}

	outcomes := map[string]string{"": "none", "OutcomeRefused": "refused", "OutcomeFailed": "failed",
		"undoneOutcome": "undone"}
	for _, m := range found(t, "oauth/outcomes.go", `reason: "(\w+)", status: http\.\w+,(?: outcome: (\w+),)?`) {
		want = append(want, "switchboard_install_attempts_total "+outcomes[m[2]]+" "+m[1])
	}
	for _, m := range found(t, "oauth/success.go", `p\.Reason(?:, p\.\w+)* = "(\w+)"|Reason: "(\w+)"`) {
		reason, outcome := m[1], " reconnected "
		if reason == "" {
			reason, outcome = m[2], " connected "
		}
		want = append(want, "switchboard_install_attempts_total"+outcome+reason,
			"switchboard_install_attempts_total"+outcome+reason+"_limited")
	}
	for _, key := range want {
		if !there[key] {
			t.Errorf("%s is not there", key)
		}
	}
}

// found is what a pattern matches in a file below this folder: at least five times, or it fits no longer.
func found(t *testing.T, file, pattern string) [][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1)
	if len(all) < 5 {
		t.Fatalf("%d matches of %s in %s", len(all), pattern, file)
	}
	return all
}
