//go:build unix

package switchboard_test

// The README's five minutes, as somebody spends them who has just cloned this repository: its commands are typed, its
// lines are pasted, and the command they make is answered in the demo.

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// fiveMinutes is the README's section with that name: what is typed before the lines, the lines, what is typed then.
type fiveMinutes struct {
	before, after []string
	lines         string
	command       string // that the lines add
}

func readFiveMinutes(t *testing.T) (f fiveMinutes) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Five minutes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?ms)^```(sh|go)\n(.*?)^```$").FindAllStringSubmatch(section, -1)
	if !found || len(blocks) != 3 || blocks[0][1] != "sh" || blocks[1][1] != "go" || blocks[2][1] != "sh" {
		t.Fatalf("the README's five minutes are not commands, lines and commands: %s", section)
	}

	f = fiveMinutes{before: typed(blocks[0][2]), lines: blocks[1][2], after: typed(blocks[2][2])}
	if name := regexp.MustCompile(`bot\.OnCommand\("(/[a-z]+)"`).FindStringSubmatch(f.lines); name != nil {
		f.command = name[1]
	}

	// What the section promises is counted, so that it stays true.
	numbers := []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
	promise := fmt.Sprintf("%s commands and %s lines of Go", numbers[len(f.before)+len(f.after)],
		numbers[strings.Count(f.lines, "\n")])
	if !strings.Contains(strings.ToLower(section), strings.ToLower(promise)) {
		t.Errorf("the README doesn't say %q", promise)
	}
	if f.command == "" || !strings.Contains(section, "type `"+f.command+"`") {
		t.Errorf("the README doesn't say to type %q", f.command)
	}
	return f
}

// typed are the commands of a block, without their comments.
func typed(block string) (commands []string) {
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, " #")
		if line = strings.TrimSpace(line); line != "" {
			commands = append(commands, line)
		}
	}
	return commands
}

func TestFiveMinutes(t *testing.T) {
	storagetest.Long(t) // it builds programs
	f := readFiveMinutes(t)
	checkout := filepath.Join(t.TempDir(), "switchboard")
	copyCheckout(t, checkout)
	env := append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off")

	shell := exec.Command("sh", "-ec", strings.Join(append(f.before, "pwd"), "\n"))
	shell.Dir, shell.Env = checkout, append(env, "PWD="+checkout)
	var stdout, stderr strings.Builder
	shell.Stdout, shell.Stderr = &stdout, &stderr
	if err := shell.Run(); err != nil {
		t.Fatalf("%q: %v\n%s%s", f.before, err, stdout.String(), stderr.String())
	}
	said := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	folder := said[len(said)-1]

	addHandlers(t, filepath.Join(folder, "main.go"), f.lines)

	shell = exec.Command("sh", "-ec", "exec "+strings.Join(f.after, "\n"))
	shell.Dir, shell.Env = folder, append(env, "LOG_LEVEL=info", "LOG_FORMAT=json", "TMPDIR="+t.TempDir())
	// Ctrl-C reaches the program and the go command that runs it.
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	v := visitor{t: t, cookies: map[string]string{}, goRun: true}
	public, _ := v.start(shell, func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGINT) })

	v.install(public, "Mybot")
	general := "/client/" + slacksim.Acme + "/" + slacksim.AcmeGeneral
	v.post(general+"/say", url.Values{"text": {f.command}})
	answer := spoken(f.lines)
	v.until("the answer "+strconv.Quote(answer), func() bool {
		return strings.Contains(v.get(v.slack+general), answer)
	})
}

// copyCheckout copies what a clone has, so that the commands find the folder beside it empty.
func copyCheckout(t *testing.T, to string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == ".git", path == "bin", path == "data":
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, path), 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, path), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// addHandlers pastes lines where main.go lists its handlers.
func addHandlers(t *testing.T, name, lines string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const list = "\nvar handlers = []bot.Handler{\n"
	if strings.Count(string(text), list) != 1 {
		t.Fatalf("%s has no list of handlers: %s", name, text)
	}
	if err := os.WriteFile(name, []byte(strings.Replace(string(text), list, list+lines, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// spoken is the longest string in Go code that people read, as a page shows it.
func spoken(lines string) (longest string) {
	for _, found := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(lines, -1) {
		text := regexp.MustCompile(`[<>@]`).ReplaceAllString(found[1], "")
		if before, _, _ := strings.Cut(lines, found[0]); strings.Contains(before, "Describe(") {
			continue // says what the command does, and not what it answers
		}
		if len(text) > len(longest) {
			longest = text
		}
	}
	return strings.TrimSpace(longest)
}
