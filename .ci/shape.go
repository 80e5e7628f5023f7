//go:build ignore

// Shape prints what can be counted of how the code reads, of this repository or of a copy of any of its commits:
//
//	go run .ci/shape.go [FOLDER]
//
// Product code is every Go file but those that end in _test.go and those of packages that only tests can import,
// because they import testing. Left out are folders that the go command leaves out too (testdata, names that begin with
// . or _, other modules) and files that no build takes (go:build ignore).
//
//   - A line of code has a token of Go on it, a line of comment nothing but a comment, a blank line nothing. Shares are
//     of all lines.
//   - A column is a character, and so is a tab.
//   - A function is as long as from its func to its closing brace. Function literals in it belong to it.
//   - A branch is an if, a for, a case other than default, an && or an ||.
//   - An exported name is documented by a comment of its own, behind it on its line, or above its group. It counts
//     where others can import it: not in package main, nor below internal, nor as a method of an unexported type.
package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"log"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	mostLines    = 80  // of a function
	mostBranches = 15  // of a function
	mostColumns  = 120 // of a line
)

// lines counts the lines of files.
type lines struct{ all, code, comment, blank, wide int }

// function is one that is longer or has more branches than a reader can hold.
type function struct {
	name, at        string
	lines, branches int
}

// shape is what is known of a tree of files.
type shape struct {
	root         string
	module       string
	stages       map[string]bool // folder → whether its package is for tests
	files        *token.FileSet
	product      lines
	tests        lines
	functions    int // of the product
	large        []function
	methods      map[string]int // type → how many it has
	undocumented []string
	imports      map[string]map[string]bool // package → packages of the same module
}

func main() {
	log.SetFlags(0)
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}

	s := &shape{
		root: root, files: token.NewFileSet(),
		stages: map[string]bool{}, methods: map[string]int{}, imports: map[string]map[string]bool{},
	}
	if err := s.read(root); err != nil {
		log.Fatal(err)
	}
	s.print()
}

var moduleLine = regexp.MustCompile(`(?m)^module\s+(\S+)`)

// read looks at every Go file below root.
func (s *shape) read(root string) error {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	found := moduleLine.FindSubmatch(mod)
	if found == nil {
		return fmt.Errorf("%s/go.mod names no module", root)
	}
	s.module = string(found[1])

	return filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if file != root && (name == "testdata" || name[0] == '.' || name[0] == '_' || isModule(file)) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}

		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		at, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		return s.readFile(filepath.ToSlash(at), text)
	})
}

func isModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}

var ignored = regexp.MustCompile(`(?m)^//go:build ignore$`)

// readFile looks at one file, which is at that place below the root.
func (s *shape) readFile(at string, text []byte) error {
	file, err := parser.ParseFile(s.files, at, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if header := text[:file.Package-file.FileStart]; ignored.Match(header) {
		return nil
	}
	folder := path.Dir(at)
	if strings.HasSuffix(at, "_test.go") || s.isStage(folder) {
		s.tests.count(text)
		return nil
	}

	s.product.count(text)
	s.readImports(folder, file)
	public := file.Name.Name != "main" && !slices.Contains(strings.Split(folder, "/"), "internal")
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			s.readFunction(folder, d, public)
		case *ast.GenDecl:
			if public {
				s.readNames(d)
			}
		}
	}
	return nil
}

// isStage reports whether a folder's package is what tests stand on: it imports testing.
func (s *shape) isStage(folder string) bool {
	if stage, known := s.stages[folder]; known {
		return stage
	}
	s.stages[folder] = false
	names, _ := filepath.Glob(filepath.Join(s.root, folder, "*.go"))
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil || strings.HasSuffix(name, "_test.go") {
			continue // readFile says so of a file that can't be read
		}
		s.stages[folder] = s.stages[folder] || slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool {
			return i.Path.Value == `"testing"`
		})
	}
	return s.stages[folder]
}

// count adds the lines of one file.
func (l *lines) count(text []byte) {
	files := token.NewFileSet()
	file := files.AddFile("", -1, len(text))
	var scan scanner.Scanner
	scan.Init(file, text, nil, scanner.ScanComments)
	code, comment := map[int]bool{}, map[int]bool{}
	for {
		pos, tok, literal := scan.Scan()
		if tok == token.EOF {
			break
		}
		if tok == token.SEMICOLON && literal == "\n" { // nobody wrote it
			continue
		}
		marked := code
		if tok == token.COMMENT {
			marked = comment
		}
		for first, n := file.Line(pos), 0; n <= strings.Count(literal, "\n"); n++ {
			marked[first+n] = true
		}
	}

	for i, line := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		l.all++
		switch {
		case code[i+1]:
			l.code++
		case comment[i+1] && len(bytes.TrimSpace(line)) > 0:
			l.comment++
		default:
			l.blank++
		}
		if utf8.RuneCount(line) > mostColumns {
			l.wide++
		}
	}
}

func (s *shape) readImports(folder string, file *ast.File) {
	if s.imports[folder] == nil {
		s.imports[folder] = map[string]bool{}
	}
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // the parser took it
		if imported == s.module {
			s.imports[folder]["."] = true
		} else if ours, ok := strings.CutPrefix(imported, s.module+"/"); ok {
			s.imports[folder][ours] = true
		}
	}
}

func (s *shape) readFunction(folder string, d *ast.FuncDecl, public bool) {
	s.functions++
	name, receiver := d.Name.Name, ""
	if d.Recv != nil {
		receiver = typeName(d.Recv.List[0].Type)
		s.methods[folder+"."+receiver]++
		name = receiver + "." + name
	}

	from, to := s.files.Position(d.Pos()), s.files.Position(d.End())
	f := function{name: name, at: fmt.Sprintf("%s:%d", from.Filename, from.Line), lines: to.Line - from.Line + 1,
		branches: branches(d)}
	if f.lines > mostLines || f.branches > mostBranches {
		s.large = append(s.large, f)
	}

	if public && d.Name.IsExported() && (receiver == "" || ast.IsExported(receiver)) && d.Doc == nil {
		s.undocumented = append(s.undocumented, f.at+" "+name)
	}
}

// typeName is the name of a receiver's type, without its pointer and its parameters.
func typeName(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.StarExpr:
		return typeName(t.X)
	case *ast.ParenExpr:
		return typeName(t.X)
	case *ast.IndexExpr:
		return typeName(t.X)
	case *ast.IndexListExpr:
		return typeName(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}

func branches(n ast.Node) (count int) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			count++
		case *ast.CaseClause:
			count += min(1, len(n.List))
		case *ast.CommClause:
			if n.Comm != nil {
				count++
			}
		case *ast.BinaryExpr:
			if n.Op == token.LAND || n.Op == token.LOR {
				count++
			}
		}
		return true
	})
	return count
}

// readNames looks for exported types, constants and variables that nothing is said of.
func (s *shape) readNames(d *ast.GenDecl) {
	said := d.Doc != nil
	for _, spec := range d.Specs {
		var names []*ast.Ident
		var own bool
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			names, own = []*ast.Ident{spec.Name}, spec.Doc != nil || spec.Comment != nil
		case *ast.ValueSpec:
			names, own = spec.Names, spec.Doc != nil || spec.Comment != nil
		}
		for _, name := range names {
			if name.IsExported() && !said && !own {
				at := s.files.Position(name.Pos())
				s.undocumented = append(s.undocumented, fmt.Sprintf("%s:%d %s", at.Filename, at.Line, name.Name))
			}
		}
	}
}

func (s *shape) print() {
	fmt.Printf("%s, Go files\n", s.module)
	fmt.Printf("%8s %8s %16s %16s %16s\n", "lines", "of code", "of comment", "blank", fmt.Sprintf("over %d", mostColumns))
	s.product.print("product")
	s.tests.print("tests")

	fmt.Println("\nThe types with most methods:")
	types := slices.Sorted(maps.Keys(s.methods))
	slices.SortStableFunc(types, func(a, b string) int { return s.methods[b] - s.methods[a] })
	for _, name := range types[:min(3, len(types))] {
		fmt.Printf("%8d  %s\n", s.methods[name], name)
	}

	fmt.Printf("\n%d of %d functions have more than %d lines or %d branches:\n",
		len(s.large), s.functions, mostLines, mostBranches)
	slices.SortStableFunc(s.large, func(a, b function) int {
		return cmp.Or(b.branches-a.branches, b.lines-a.lines, strings.Compare(a.at, b.at))
	})
	for _, f := range s.large {
		fmt.Printf("%4d lines %3d branches  %s %s\n", f.lines, f.branches, f.at, f.name)
	}

	fmt.Printf("\n%d exported names have no documentation:\n", len(s.undocumented))
	for _, name := range s.undocumented {
		fmt.Printf("  %s\n", name)
	}

	fmt.Println("\nPackages, and those of ours that each imports:")
	for _, folder := range slices.Sorted(maps.Keys(s.imports)) {
		fmt.Printf("  %s: %s\n", folder, strings.Join(slices.Sorted(maps.Keys(s.imports[folder])), " "))
	}
}

func (l *lines) print(name string) {
	share := func(n int) string { return fmt.Sprintf("%d (%.1f %%)", n, 100*float64(n)/float64(max(1, l.all))) }
	fmt.Printf("%8d %8d %16s %16s %16s  %s\n", l.all, l.code, share(l.comment), share(l.blank), share(l.wide), name)
}
