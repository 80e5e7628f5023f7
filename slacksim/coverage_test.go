package slacksim

import (
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// TestCoverage prints how much of Slack this is: its methods, events, payloads and blocks that a bot can meet, each
// full, partial or absent (go test -v -run TestCoverage ./slacksim). testdata/coverage.txt says so by hand what is
// partial; whether something is there at all is read from the code, and the two have to agree.
func TestCoverage(t *testing.T) {
	known := coverageOfCode(t)
	raw, err := os.ReadFile("testdata/coverage.txt")
	if err != nil {
		t.Fatal(err)
	}

	listed := map[string]bool{}
	sums := map[string]map[string]int{}
	var table strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
		f := strings.SplitN(line, " ", 4)
		if strings.HasPrefix(line, "#") {
			continue
		}
		if len(f) < 3 || !slices.Contains([]string{"full", "partial", "absent"}, f[2]) ||
			(f[2] == "partial") != (len(f) == 4) {
			t.Errorf("line %d: %q is not kind, name, full or absent, or partial with what is missing", i+1, line)
			continue
		}
		kind, name, verdict := f[0], f[1], f[2]
		there := known[kind](name)
		switch {
		case listed[kind+" "+name]:
			t.Errorf("%s %s is listed twice", kind, name)
		case verdict == "absent" && there:
			t.Errorf("%s %s is listed as absent in testdata/coverage.txt, and is in the code", kind, name)
		case verdict != "absent" && !there:
			t.Errorf("%s %s is listed as %s, and isn't in the code", kind, name, verdict)
		}
		listed[kind+" "+name] = true
		if sums[kind] == nil {
			sums[kind] = map[string]int{}
		}
		sums[kind][verdict]++
		fmt.Fprintf(&table, "%-8s %-42s %-8s %s\n", kind, name, verdict, strings.Join(f[3:], ""))
	}

	for _, name := range namesInCode() {
		if !listed[name] {
			t.Errorf("%s is in the code and not in testdata/coverage.txt", name)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintf(&table, "%-8s %3d full, %3d partial, %3d absent\n", kind, sums[kind]["full"], sums[kind]["partial"],
			sums[kind]["absent"])
	}
	t.Log("\n" + table.String())
}

// namesInCode are the methods, blocks and elements that the code has tables of, and the events that need a scope.
func namesInCode() (out []string) {
	for name := range methodsOf(&parts{}) {
		out = append(out, "method "+name)
	}
	for name := range eventScopes {
		out = append(out, "event "+name)
	}
	for name := range blockkit.Blocks() {
		out = append(out, "block "+name)
	}
	for name := range blockkit.Elements() {
		out = append(out, "element "+name)
	}
	slices.Sort(out)
	return out
}

// coverageOfCode says by kind whether the code has something. An event or payload is there if its name is written
// outside the table of scopes, and not as a key.
func coverageOfCode(t *testing.T) map[string]func(name string) bool {
	t.Helper()
	words := map[string]bool{}
	files, _ := filepath.Glob("*.go")
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "scopes.go" {
			continue
		}
		tree, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		keys := map[ast.Node]bool{}
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				keys[n.Key] = true
			case *ast.CallExpr: // an error code can be called as an event is
				if f, named := n.Fun.(*ast.Ident); named && strings.HasPrefix(f.Name, "fail") && len(n.Args) > 0 {
					keys[n.Args[0]] = true
				}
			case *ast.IndexExpr:
				keys[n.Index] = true
			case *ast.BasicLit:
				if word, _ := strconv.Unquote(n.Value); n.Kind == gotoken.STRING && !keys[n] {
					words[word] = true
				}
			}
			return true
		})
	}

	named := namesInCode()
	of := func(kind string) func(string) bool {
		return func(name string) bool { return slices.Contains(named, kind+" "+name) }
	}
	written := func(name string) bool { return words[strings.TrimPrefix(name, "message/")] }
	return map[string]func(string) bool{"method": of("method"), "block": of("block"), "element": of("element"),
		"event": written, "payload": written}
}
