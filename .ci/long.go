//go:build ignore

// Long prints the tests that do more with LONG_TESTS=1, each with its folder, a line each:
//
//	go run .ci/long.go
//
// They are those that reach storagetest.Long, storagetest.Rounds or the variable itself, through whatever functions and
// variables of their folder's tests. It goes by names alone, so it lists rather too many than too few.
package main

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const switches = "storage/storagetest" // the one folder that reads the variable for others

// uses is what a folder's tests declare → the names that stand in it.
type uses map[string]map[string]bool

func main() {
	log.SetFlags(0)
	folders := map[string]uses{}
	if err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if name := entry.Name(); name != "." && (name == "testdata" || strings.HasPrefix(name, ".")) {
				return fs.SkipDir
			}
			return nil
		case !strings.HasSuffix(path, ".go") || filepath.Dir(path) == switches:
			return nil
		}
		return read(path, folders)
	}); err != nil {
		log.Fatal(err)
	}

	out := bufio.NewWriter(os.Stdout)
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		for _, test := range folders[folder].long() {
			fmt.Fprintf(out, "%s\t./%s\n", test, folder)
		}
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}

// read adds what a file declares. A file that is no test's must not ask, because its callers are not looked for.
func read(path string, folders map[string]uses) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, imported := range file.Imports {
		if strings.Contains(imported.Path.Value, switches) && imported.Name != nil {
			return fmt.Errorf("%s: %s goes by another name here", path, switches)
		}
	}

	of := uses{}
	if strings.HasSuffix(path, "_test.go") {
		folder := filepath.Dir(path)
		if folders[folder] == nil {
			folders[folder] = of
		}
		of = folders[folder]
	}

	for _, declared := range file.Decls {
		switch declared := declared.(type) {
		case *ast.FuncDecl:
			of.add(declared.Name.Name, declared)
		case *ast.GenDecl:
			for _, spec := range declared.Specs {
				if value, ok := spec.(*ast.ValueSpec); ok {
					for _, name := range value.Names {
						of.add(name.Name, value)
					}
				}
			}
		}
	}

	if !strings.HasSuffix(path, "_test.go") {
		for name, used := range of {
			if asks(used) {
				return fmt.Errorf("%s: %s asks whether tests are to take long; only tests may", path, name)
			}
		}
	}
	return nil
}

// add notes the names in a declaration. Methods and functions of one name are one.
func (u uses) add(name string, declared ast.Node) {
	if u[name] == nil {
		u[name] = map[string]bool{}
	}

	ast.Inspect(declared, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if of, ok := n.X.(*ast.Ident); ok {
				u[name][of.Name+"."+n.Sel.Name] = true
			}
		case *ast.Ident:
			u[name][n.Name] = true
		case *ast.BasicLit:
			u[name][n.Value] = true
		}
		return true
	})
}

func asks(used map[string]bool) bool {
	return used["storagetest.Long"] || used["storagetest.Rounds"] || used[`"LONG_TESTS"`]
}

// long returns the tests that ask, or use what does.
func (u uses) long() []string {
	found := map[string]bool{}
	for more := true; more; {
		more = false
		for name, used := range u {
			if found[name] {
				continue
			}
			if asks(used) || slices.ContainsFunc(slices.Collect(maps.Keys(used)), func(n string) bool { return found[n] }) {
				found[name], more = true, true
			}
		}
	}

	return slices.DeleteFunc(slices.Sorted(maps.Keys(found)), func(name string) bool {
		return !strings.HasPrefix(name, "Test")
	})
}
