package switchboard_test

// The Go code in the documentation compiles.

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// imported is what a block may use without importing it.
var imported = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "rand": "math/rand/v2", "strings": "strings",
	"testing": "testing", "time": "time", "http": "net/http", "slog": "log/slog", "io": "io",
	"slack": "github.com/slack-go/slack", "slackevents": "github.com/slack-go/slack/slackevents",
	"switchboard": "github.com/switchboard-go/switchboard", "bot": "github.com/switchboard-go/switchboard/bot",
	"bottest":    "github.com/switchboard-go/switchboard/bot/bottest",
	"connection": "github.com/switchboard-go/switchboard/install/connection",
	"slacksim":   "github.com/switchboard-go/switchboard/slacksim",
}

// elsewhere is what a block may use without declaring it: what a bot has anyway.
var elsewhere = map[string]string{
	"handlers": "var handlers []bot.Handler",
	"plain":    "func plain(string) *slack.TextBlockObject { return nil }",
}

// A block is a whole file, declarations, handlers as they stand in a list, or statements of a handler. Each is a
// package; a test without declarations of its own belongs to the block before it.
func TestManualCompiles(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for _, page := range []string{"README.md", "docs/building.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}

		folder := ""
		for _, at := range regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllSubmatchIndex(text, -1) {
			block := string(text[at[2]:at[3]])
			line := 1 + strings.Count(string(text[:at[2]]), "\n")
			isTest := strings.Contains(block, "*testing.T")
			if folder == "" || !isTest {
				folder = fmt.Sprintf("line%d_%s", line, strings.ToLower(strings.NewReplacer("/", "_", ".", "_").Replace(page)))
			}

			name := folder + "/main.go"
			if isTest {
				name = folder + "/main_test.go"
			}
			around := files[folder+"/main.go"]
			if files[name] != "" {
				t.Fatalf("%s:%d: two tests behind one block", page, line)
			}
			files[name] = wholeFile(block, around, page, line)
		}
	}
	if len(files) < 20 {
		t.Fatalf("only %d blocks", len(files))
	}

	outside(t, outsideModule(t, files), "vet", "./...")
}

// wholeFile makes a file of a block; beside is the other one of its package. Errors name the page and the line.
func wholeFile(block, beside, page string, line int) string {
	at := fmt.Sprintf("//line %s:%d\n", page, line)
	if strings.HasPrefix(block, "package ") || strings.HasPrefix(block, "// Command ") {
		return block
	}

	name := "page"
	if strings.HasPrefix(beside, "package main") {
		name = "main"
	}
	before, after := "", ""
	switch {
	case strings.HasPrefix(block, "bot.On"):
		before, after = "var _ = []bot.Handler{\n", "}\n"
	case !parses("package p\n" + block):
		before, after = "func _(ctx context.Context) error {\n", "\nreturn nil\n}\n"
	}
	body := before + at + block + after

	declared := declarations("package p\n"+before+block+after) + declarations(beside)
	var more string
	for _, what := range slices.Sorted(maps.Keys(elsewhere)) {
		if regexp.MustCompile(`\b`+what+`\b`).MatchString(block) && !strings.Contains(declared, " "+what+" ") {
			more += elsewhere[what] + "\n"
		}
	}
	var imports string
	for _, what := range slices.Sorted(maps.Keys(imported)) {
		if regexp.MustCompile(`(^|[^\w."])` + what + `\.[A-Z]`).MatchString(body + more) {
			imports += fmt.Sprintf("%s %q\n", what, imported[what])
		}
	}
	return "package " + name + "\n\nimport (\n" + imports + ")\n\n" + more + "\n" + body
}

func parses(text string) bool {
	_, err := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	return err == nil
}

// declarations are the names that a file declares, each with spaces around it.
func declarations(text string) string {
	file, _ := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	if file == nil {
		return ""
	}
	names := " "
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names += d.Name.Name + " "
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok {
					for _, n := range v.Names {
						names += n.Name + " "
					}
				}
			}
		}
	}
	return names
}

// An example is 200 lines of code at most, and imports what anybody can import.
func TestExamplesStaySmall(t *testing.T) {
	t.Parallel()
	mains, err := filepath.Glob(filepath.Join("examples", "*", "main.go"))
	if err != nil || len(mains) < 2 {
		t.Fatal(mains, err)
	}
	for _, name := range mains {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
				lines++
			}
		}
		if lines > 200 {
			t.Errorf("%s: %d lines of code, want 200 at most", name, lines)
		}
		if strings.Contains(string(text), "/internal/") {
			t.Errorf("%s imports what no other module can", name)
		}
	}
}
