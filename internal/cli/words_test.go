package cli

// Every sentence of the library stands in install/words under a key. Here the keys in the source are held against those
// in the files: what is said is there, with the parameters that are given, and what is there is said.

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/switchboard-go/switchboard/install/words"
)

// sentencesOf are the sentences in a file as words.English returns it, each in all of its forms, by their keys.
func sentencesOf(t *testing.T, file []byte) map[string]map[string]string {
	t.Helper()
	var tree map[string]any
	if err := yaml.Unmarshal(file, &tree); err != nil {
		t.Fatal(err)
	}

	all := map[string]map[string]string{}
	var gather func(at string, tree map[string]any)
	gather = func(at string, tree map[string]any) {
		for name, v := range tree {
			key := strings.TrimPrefix(at+"."+name, ".")
			switch v := v.(type) {
			case string:
				all[key] = map[string]string{"other": v}
			case map[string]any:
				if _, counted := v["other"]; !counted {
					gather(key, v)
					continue
				}
				all[key] = map[string]string{}
				for form, said := range v {
					all[key][form] = said.(string)
				}
			}
		}
	}
	gather("", tree)
	return all
}

var parameter = regexp.MustCompile(`\{([A-Za-z_]+)\}`)

// parametersOf are the names of a sentence's parameters, sorted.
func parametersOf(forms map[string]string) []string {
	names := map[string]bool{}
	for _, said := range forms {
		for _, m := range parameter.FindAllStringSubmatch(said, -1) {
			names[m[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// said is a place in the source that a sentence, or several with keys that begin alike, comes from.
type saidAt struct {
	key    string // or its beginning, where the rest is made at run time
	begins bool
	where  token.Position
	params []string // names given; nil: they can't be read off, or go through a function of the room's own
	exact  bool
}

func TestEverySentenceIsSaid(t *testing.T) {
	t.Parallel()
	all := sentencesOf(t, words.English())
	used := map[string]bool{}
	for _, at := range saidInSource(t, all) {
		found := false
		for key, forms := range all {
			if key != at.key && (!at.begins || !strings.HasPrefix(key, at.key)) {
				continue
			}
			found, used[key] = true, true
			if !at.exact {
				continue
			}
			names := parametersOf(forms)
			for _, name := range names {
				if !slices.Contains(at.params, name) {
					t.Errorf("%s: %s needs {%s}", at.where, key, name)
				}
			}
			for _, name := range at.params {
				if !at.begins && !slices.Contains(names, name) {
					t.Errorf("%s: %s has no {%s}", at.where, key, name)
				}
			}
		}
		if !found && at.exact {
			t.Errorf("%s: there is no sentence %q", at.where, at.key)
		}
	}

	for _, key := range slices.Sorted(maps.Keys(all)) {
		if !used[key] {
			t.Errorf("%s is said nowhere: take it out", key)
		}
	}
}

// saidInSource finds where sentences come from. A room with a section of its own may leave that out of its keys, in a
// function that adds it.
func saidInSource(t *testing.T, all map[string]map[string]string) (found []saidAt) {
	t.Helper()
	sections := map[string]bool{}
	for key := range all {
		section, _, _ := strings.Cut(key, ".")
		sections[section] = true
	}

	files := token.NewFileSet()
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					if at, ok := sayCall(n); ok {
						at.where = files.Position(n.Pos())
						found = append(found, at)
					}
				case *ast.BasicLit:
					found = append(found, keysIn(n, sections, all, files.Position(n.Pos()))...)
				}
				return true
			})
		}
		found = append(found, keysInPages(t, p.Dir)...)
	}
	return found
}

// sayCall reads a call of Say or Find with a key that stands there, or whose beginning does.
func sayCall(call *ast.CallExpr) (at saidAt, ok bool) {
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || fun.Sel.Name != "Say" && fun.Sel.Name != "Find" || len(call.Args) == 0 {
		return at, false
	}
	first := call.Args[0]
	for {
		sum, isSum := first.(*ast.BinaryExpr)
		if !isSum {
			break
		}
		first, at.begins = sum.X, true
	}
	key, isText := first.(*ast.BasicLit)
	if !isText || key.Kind != token.STRING || call.Ellipsis.IsValid() {
		return at, false
	}

	at.key, _ = strconv.Unquote(key.Value)
	at.exact = strings.Contains(at.key, ".")
	for i := 1; i < len(call.Args); i += 2 {
		name, isText := call.Args[i].(*ast.BasicLit)
		if !isText {
			at.exact = false
			break
		}
		written, _ := strconv.Unquote(name.Value)
		at.params = append(at.params, written)
	}
	return at, at.exact
}

// keysIn are the keys that a text in the source is, or begins: they can reach Say through variables.
func keysIn(n *ast.BasicLit, sections map[string]bool, all map[string]map[string]string, where token.Position) (
	found []saidAt,
) {
	text, err := strconv.Unquote(n.Value)
	if n.Kind != token.STRING || err != nil || text == "" || strings.ContainsAny(text, " \n") {
		return nil
	}
	for section := range sections {
		for _, key := range []string{text, section + "." + text} {
			_, whole := all[key]
			if whole {
				found = append(found, saidAt{key: key, where: where})
			}
			if strings.Contains(text, ".") {
				for _, joint := range []string{"", "_", "."} {
					if ends := key + joint; strings.HasSuffix(ends, "_") || strings.HasSuffix(ends, ".") {
						found = append(found, saidAt{key: ends, begins: true, where: where})
					}
				}
			}
		}
	}
	return found
}

var keyInPage = regexp.MustCompile(`"([a-z_]+\.[a-z_.]+)"`)

// keysInPages are the keys in the templates of pages below a room.
func keysInPages(t *testing.T, dir string) (found []saidAt) {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(dir, "*", "*.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pages {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range keyInPage.FindAllStringSubmatch(string(page), -1) {
			found = append(found, saidAt{key: m[1], where: token.Position{Filename: name}},
				saidAt{key: m[1] + ".", begins: true, where: token.Position{Filename: name}},
				saidAt{key: m[1] + "_", begins: true, where: token.Position{Filename: name}})
		}
	}
	return found
}

// Where something is counted English has both of its forms, and they differ.
func TestCountedSentencesHaveBothForms(t *testing.T) {
	t.Parallel()
	for key, forms := range sentencesOf(t, words.English()) {
		counts := slices.Contains(parametersOf(forms), "count")
		one, other := (*words.Sentences)(nil).Say(key, "count", 1), (*words.Sentences)(nil).Say(key, "count", 2)
		switch {
		case len(forms) > 1 && (forms["one"] == "" || forms["other"] == "" || len(forms) != 2):
			t.Errorf("%s: English has the forms one and other", key)
		case len(forms) > 1 && one == other:
			t.Errorf("%s says %q for one and for two", key, one)
		case counts && len(forms) == 1:
			t.Errorf("%s counts something, so it has the forms one and other", key)
		}
	}
}
