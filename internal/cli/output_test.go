package cli

import (
	"bytes"
	"strings"
	"testing"
)

// What others wrote steers no terminal, whatever column it stands in.
func TestTablesArePrintable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	env := &environment{stdout: &out}
	evil := "a\x1b[2Jb\u202ec\nd\u0085"
	err := list(env, false, []string{evil}, "", "ONE  TWO", func(s string) []string { return []string{s, s} })
	if err == nil {
		err = details(env, false, nil, [][2]string{{"Reason", evil}, {"Since", ""}})
	}
	const want = "ONE          TWO\na?[2Jb?c?d?  a?[2Jb?c?d?\nReason  a?[2Jb?c?d?\nSince   -\n"
	if err != nil || out.String() != want {
		t.Errorf("%v: %q, want %q", err, out.String(), want)
	}
	out.Reset()
	if err := list(env, true, []string{evil}, "", "", nil); err != nil || strings.ContainsAny(out.String(), "\x1b\u0085") {
		t.Errorf("%v: %q", err, out.String())
	}
}
