package cli

// The Tab key in bash, as its script fills it in. zsh and fish ask the same way for the same answers.

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// pressTab is what bash offers in a folder for the last of the words behind a program's name.
func pressTab(t *testing.T, folder, name string, words ...string) string {
	t.Helper()
	var script bytes.Buffer
	of := ours()
	of.name = name
	none := func(string) string { return "" }
	if err := of.run(context.Background(), []string{"completion", "bash"}, none, &script, io.Discard); err != nil {
		t.Fatal(err)
	}

	// What bash does on Tab: it looks up the function, sets what was typed, and calls it.
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const press = `source "$1"
	registered=$(complete -p "$2") || exit 9
	set -- "${@:3}"
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
	eval "set -- $registered"
	"$3"
	printf '%s\n' "${COMPREPLY[@]}"`
	file := write(t, filepath.Join(t.TempDir(), "completion"), script.String())
	cmd := exec.Command("bash", append([]string{"-c", press, "bash", file, name, program}, words...)...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), asProgram+"=1")
	if _, err := cmd.StdinPipe(); err != nil { // stays open as long as we live
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

func TestCompletionInBash(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "before.db"), "")
	for i, test := range []struct {
		typed []string
		want  string // offered, with whatever else
		never string
	}{
		{[]string{""}, "serve", "__complete"},
		{[]string{"ser"}, "serve", "demo"},
		{[]string{"connections", ""}, "list", "serve"},
		{[]string{"connections", "--json", "s"}, "show", "list"},
		{[]string{"serve", "--data"}, "--data-dir --database-url", "--help"},
		{[]string{"serve", "--log-level", "debug", "--public"}, "--public-url", "--data-dir"},
		{[]string{"healthcheck", "--exclude", "j"}, "journal", "database"},
		{[]string{"healthcheck", "--exclude", "=", "j"}, "journal", "--exclude"},
		{[]string{"healthcheck", "--exclude", "="}, "database schema", "--exclude"},
		{[]string{"connections", "list", "--state", "re"}, "retrying reconnect_required removed", "active"},
		{[]string{"completion", ""}, "bash zsh fish", "serve"},
		{[]string{"help", "connections", "sh"}, "show", "list"},
		{[]string{"backup", "b"}, "before.db", ":"},
		{[]string{"serve", "--data-dir", "=", "b"}, "before.db", ":"},
		{[]string{"no-such-command", "x"}, "", "e"},
	} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			got := pressTab(t, folder, "switchboard", test.typed...)
			if has := " " + got + " "; test.want != "" && !contains(has, test.want) || contains(has, test.never) {
				t.Errorf("%q: %q, want %q and never %q", test.typed, got, test.want, test.never)
			}
		})
	}
}

// contains reports whether each of words, which have spaces between them, is in a list of the same form.
func contains(list, words string) bool {
	for word := range strings.FieldsSeq(words) {
		if !strings.Contains(list, " "+word+" ") {
			return false
		}
	}
	return true
}

// A program can have any name that a file can.
func TestCompletionForAnyName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"mybot", "my-bot.v2", "it's mine"} {
		if got := pressTab(t, t.TempDir(), name, "keys", "ro"); got != "rotate" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestCompletionOfAnotherShell(t *testing.T) {
	t.Parallel()
	for shell, want := range map[string][2]string{
		"zsh":  {"keys:Check and change the keys that encrypt stored tokens.", "--exclude=journal:"},
		"fish": {"keys\tCheck and change the keys that encrypt stored tokens.", "--exclude=journal\t"},
	} {
		if out, errs, code := try(nil, "completion", shell); code != 0 || !strings.Contains(out, "switchboard") {
			t.Errorf("%s: exit %d: %s%s", shell, code, out, errs)
		}
		first, _, _ := try(nil, "__complete", shell, "--", "key")
		second, _, _ := try(nil, "__complete", shell, "--", "healthcheck", "--exclude=j")
		if strings.TrimRight(first, "\n") != want[0] || strings.TrimRight(second, "\n") != want[1] {
			t.Errorf("%s: %q and %q, want %q", shell, first, second, want)
		}
	}
	if _, _, code := try(nil, "completion", "tcsh"); code != 2 {
		t.Errorf("tcsh: exit %d", code)
	}
}
