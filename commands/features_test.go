package commands

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// registered are the lines of the list of features: a function each, in the file of its name.
var registered = regexp.MustCompile(`(?m)^\t\t(\w+)\(\),\n`)

// A feature is its file and its line: with both taken out, and its test, the app builds, its other tests still
// compile, and nothing in what the app says of itself speaks of it.
func TestFeaturesCanBeTakenOut(t *testing.T) {
	storagetest.Long(t)
	t.Parallel()
	list, err := os.ReadFile("commands.go")
	if err != nil {
		t.Fatal(err)
	}
	features := registered.FindAllSubmatch(list, -1)
	if len(features) < 3 {
		t.Fatalf("found %d features", len(features))
	}

	for _, f := range features {
		name := string(f[1])
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			without := overlay(t, map[string]string{
				name + ".go": "", name + "_test.go": "",
				"commands.go": strings.Replace(string(list), string(f[0]), "", 1),
			})
			run(t, "vet", "-overlay", without, ".", "../cmd/switchboard")
			manifest := run(t, "run", "-overlay", without, "../cmd/switchboard", "manifest")

			spoken := map[string]*regexp.Regexp{"standup": regexp.MustCompile(`(?i)stand-?up`),
				"poll": regexp.MustCompile(`(?i)\bpolls?\b`), "status": regexp.MustCompile(`/connection`)}[name]
			if spoken == nil {
				t.Fatalf("say what the manifest calls %s by", name)
			}
			if found := spoken.FindString(manifest); found != "" {
				t.Errorf("the manifest still says %q:\n%s", found, manifest)
			}
			if whole := run(t, "run", "../cmd/switchboard", "manifest"); !spoken.MatchString(whole) {
				t.Errorf("with it the manifest doesn't say %s, so it proves nothing", spoken)
			}
		})
	}
}

// overlay is a file for -overlay of the go command: what stands in files of this folder instead, "" for no file.
func overlay(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	replace := map[string]string{}
	for name, text := range files {
		here, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		if replace[here] = ""; text != "" {
			replace[here] = filepath.Join(folder, name)
			if err := os.WriteFile(replace[here], []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}

	written, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(path, written, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func run(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, complaints.String()))
	}
	return string(out)
}
