package main

// What is true of the whole bot: it stays small, and its manifest asks for what it needs. The module's own tests run
// it.

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// asProgram in the environment makes this test binary the bot.
const asProgram = "HELLO_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// A bot is 15 lines of code at most, and its first test 10.
func TestItStaysSmall(t *testing.T) {
	t.Parallel()
	for file, most := range map[string]int{"main.go": 15, "hello_test.go": 10} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
				lines++
			}
		}
		if lines > most {
			t.Errorf("%s: %d lines of code, want %d at most", file, lines, most)
		}
	}
}

// What it imports is what anybody can import.
func TestPublicAPIAlone(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "main.go", nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, imported := range file.Imports {
		if path := strings.Trim(imported.Path.Value, `"`); slices.Contains(strings.Split(path, "/"), "internal") {
			t.Errorf("it imports %s, which no other module can", path)
		}
	}
}

func TestManifest(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "manifest", "--public-url", "https://bot.example.com")
	cmd.Env, cmd.Dir = []string{asProgram + "=1"}, t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"name: Hello", "- app_mentions:read", "- chat:write", "- app_mention\n",
		"- app_uninstalled"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in the manifest:\n%s", want, out)
		}
	}
}
