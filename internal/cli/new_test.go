package cli

// What new writes into a folder, and what it leaves alone. That the app which it makes passes its tests and runs is
// TestNewApp's, in the root of the module.

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const library = "github.com/switchboard-go/switchboard"

// inCheckout makes a checkout of the library in a folder whose name has a space, and goes into a folder of it.
func inCheckout(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	inside := filepath.Join(root, "check out", "cmd", "x")
	if err := os.MkdirAll(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "check out", "go.mod"),
		"module "+library+"\n\ngo 1.26.0\n\nrequire (\n\texample.com/a v1.0.0\n)\n\nrequire example.com/b v1.0.0\n")
	write(t, filepath.Join(root, "check out", "go.sum"), "example.com/a v1.0.0 h1:sum\n")
	write(t, filepath.Join(root, "check out", "cmd", "go.mod"), "module example.com/another\n")
	t.Chdir(inside)
	return root
}

func TestNewWritesAnApp(t *testing.T) {
	root := inCheckout(t)
	folder := filepath.Join(root, "apps", "weather-bot")
	const typed = "../../../apps/weather-bot"
	out, errs, code := try(nil, "new", typed)
	if code != 0 || errs != "" || !strings.HasPrefix(out, "Weather bot is ready.") ||
		!strings.Contains(out, "cd "+typed+"\n") {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}

	files := names(t, folder)
	if want := []string{".dockerignore", ".gitignore", "Dockerfile", "Makefile", "README.md", "go.mod", "go.sum",
		"main.go", "main_test.go"}; !slices.Equal(files, want) {
		t.Fatalf("it wrote %q, not %q", files, want)
	}
	text := map[string]string{}
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		text[name] = string(content)
		if strings.Contains(text[name], "{{") || strings.Contains(text[name], "<no value>") {
			t.Errorf("%s is not filled in: %s", name, content)
		}
		if _, err := parser.ParseFile(token.NewFileSet(), name, content, 0); strings.HasSuffix(name, ".go") && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	if want := "module example.com/weather-bot\n\ngo " + goVersion() + "\n\nrequire " + library + " v0.0.0\n\n" +
		"replace " + library + ` => "../../check out"` +
		"\n\nrequire (\n\texample.com/a v1.0.0\n)\n\nrequire example.com/b v1.0.0\n"; text["go.mod"] != want {
		t.Errorf("go.mod:\n%s, not\n%s", text["go.mod"], want)
	}
	for name, want := range map[string]string{"go.sum": "example.com/a v1.0.0 h1:sum\n", ".gitignore": "/weather-bot\n",
		".dockerignore": ".env\n",
		"main.go":       `Name:     "Weather bot"`, "main_test.go": `"/weather-bot"`, "README.md": "# Weather bot\n",
		"Dockerfile": "FROM golang:" + goVersion() + " AS"} {
		if !strings.Contains(text[name], want) {
			t.Errorf("%s has no %q: %s", name, want, text[name])
		}
	}
}

// What new can't make is refused, and nothing is written, neither there nor elsewhere.
func TestNewLeavesAlone(t *testing.T) {
	root := inCheckout(t)
	for _, folder := range []string{"full", "empty"} {
		if err := os.Mkdir(filepath.Join(root, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "full", ".env"), "SECRET=1")
	write(t, filepath.Join(root, "file"), "something")
	before := names(t, root)

	for _, test := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"a full folder", []string{filepath.Join(root, "full")}, 1, "is not empty"},
		{"a file", []string{filepath.Join(root, "file")}, 1, "not a directory"},
		{"a folder in a file", []string{filepath.Join(root, "file", "bot")}, 1, "not a directory"},
		{"a name that is none", []string{filepath.Join(root, "My Bot")}, 2, "the folder \"My Bot\" names the app"},
		{"a name with a digit first", []string{filepath.Join(root, "2bots")}, 2, "names the app"},
		{"a name too long for a command", []string{filepath.Join(root, strings.Repeat("b", 32))}, 2, "at most 31"},
		{"no module path", []string{filepath.Join(root, "empty"), "--module", "no module"}, 2, "isn't a module path"},
	} {
		out, errs, code := try(nil, append([]string{"new"}, test.args...)...)
		if code != test.code || out != "" || !strings.Contains(errs, test.says) {
			t.Errorf("%s: exit %d, no %q in %s%s", test.name, code, test.says, out, errs)
		}
	}

	// Built from a checkout and outside of one, it has no version that an app could require.
	t.Chdir(filepath.Join(root, "empty"))
	out, errs, code := try(nil, "new", "bot")
	if code != 1 || out != "" || !strings.Contains(errs, "Nothing was written") {
		t.Errorf("outside of a checkout: exit %d: %s%s", code, out, errs)
	}
	if after := names(t, root); !slices.Equal(before, after) {
		t.Errorf("it left %q, not %q", after, before)
	}

	// A folder that is empty is as good as none.
	t.Chdir(filepath.Join(root, "check out"))
	if _, errs, code := try(nil, "new", "../empty", "--module", "github.com/you/bot"); code != 0 {
		t.Errorf("an empty folder: exit %d: %s", code, errs)
	}
	if mod, err := os.ReadFile(filepath.Join(root, "empty", "go.mod")); err != nil ||
		!strings.HasPrefix(string(mod), "module github.com/you/bot\n") {
		t.Errorf("its go.mod: %s %v", mod, err)
	}
}

// A toolchain can say more of itself than a go.mod takes.
func TestReleaseOfGo(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{"go1.26.0": "1.26.0", "go1.27": "1.27", "go1.27rc1": "1.27rc1",
		"go1.26.3 X:jsonv2": "1.26.3", "devel go1.27-0f1b2c3d4e Mon Nov 2 10:00:00 2026 +0000": "1.27"} {
		if got := releaseOf(said); got != want {
			t.Errorf("%s is %q, not %q", said, got, want)
		}
	}
}
