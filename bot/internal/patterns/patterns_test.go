package patterns

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestPatternsThatLeaveNothingOver(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		earlier, later string
		over           bool
	}{
		// Nothing before it: does any text match?
		{"", `hello`, true},
		{"", ``, true},
		{"", `.*`, true},
		{"", `^$`, true},
		{"", `hello^`, false},
		{"", `$hello`, false},
		{"", `(?m)hello$\n^there`, true},
		{"", `a\bb`, false},
		{"", `^a.*\Ab`, false},
		{"", `[^\x00-\x{10FFFF}]`, false},
		{"", `(?i)^HELP$`, true},
		{"", `\pL+ \d{2,40}`, true},

		{`.*`, `^help`, false},
		{`^`, `^help`, false},
		{`(?s)^.*$`, `^help`, false},
		{`^.*$`, `^help`, true}, // a text of two lines
		{`^.*$`, `^help$`, false},
		{`^help`, `^help me`, false},
		{`^help me`, `^help`, true},
		{`help`, `(please )?help`, false},
		{`(?i)help`, `HELP`, false},
		{`help`, `(?i)help`, true},
		{`^(yes|no)$`, `^no$`, false},
		{`^(yes|no)$`, `^(no|never)$`, true},
		{`\bhi\b`, `^hi$`, false},
		{`\bhi\b`, `hi`, true},
		{`\d+`, `\d{3}`, false},
		{`\d{3}`, `\d+`, true},
		{`^\w+$`, `^[a-z]+$`, false},
		{`^[a-z]+$`, `^\w+$`, true},
		{`a`, `b`, true},
		{`(?i)straße`, `STRASSE`, true},
		{`(?i)k`, "\u212a", false}, // the sign for Kelvin is a K
		{`x*`, `anything`, false},
	} {
		if got := LeavesOver(test.later, test.earlier); got != test.over {
			t.Errorf("%q behind %q leaves something over: %v", test.later, test.earlier, got)
		}
	}
}

// However large patterns are, the start doesn't wait for them; what can't be told counts as fine.
func TestLargePatternsHoldUpNothing(t *testing.T) {
	t.Parallel()
	began := time.Now()
	for _, large := range []string{`^(\pL+[^x]{1,200}|\d{1,500}).*(a|b|c){1,50}$`, `(a|aa|[ab]{1,90}){1,9}b.{80}$`} {
		LeavesOver(large, large+`|x`)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// What is said to leave nothing over leaves nothing over.
func FuzzLeavesOver(f *testing.F) {
	f.Add(`^help`, `^help me`, "help me")
	f.Add(`(?i)a\b`, `A$`, "aA")
	f.Fuzz(func(t *testing.T, earlier, later, text string) {
		a, errA := regexp.Compile(earlier)
		b, errB := regexp.Compile(later)
		if errA != nil || errB != nil || earlier == "" || len(earlier)+len(later) > 60 ||
			strings.ContainsRune(text, '\uFFFD') {
			return
		}
		if b.MatchString(text) && !a.MatchString(text) && !LeavesOver(later, earlier) {
			t.Errorf("%q matches %q and %q does not", later, text, earlier)
		}
		if b.MatchString(text) && !LeavesOver(later, "") {
			t.Errorf("%q matches %q", later, text)
		}
	})
}
