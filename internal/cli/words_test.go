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
	for _, at := range saidInSource(t) {
		found := false
		for key, forms := range all {
			if key != at.key && (!at.begins || !strings.HasPrefix(key, at.key)) {
				continue
			}
			found = true
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
}

// saidInSource finds where sentences come from.
func saidInSource(t *testing.T) (found []saidAt) {
	t.Helper()
	files := token.NewFileSet()
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				call, isCall := n.(*ast.CallExpr)
				if !isCall {
					return true
				}
				if at, ok := sayCall(call); ok {
					at.where = files.Position(n.Pos())
					found = append(found, at)
				}
				return true
			})
		}
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

// saidOfData begin the keys whose ends are Slack's words, or those of our records.
var saidOfData = []string{"connection.happened.", "connection.status.knew_", "connections.means.",
	"connections.reason.", "connections.state.", "scopes.bot.", "scopes.person."}

// A sentence that nothing says is work for each translator. Every key stands in the source of one room: whole, or in
// pieces that are put together there.
func TestNoSentenceIsSpare(t *testing.T) {
	t.Parallel()
	keys := slices.Sorted(maps.Keys(sentencesOf(t, words.English())))
	for _, begins := range saidOfData {
		if !slices.ContainsFunc(keys, func(key string) bool { return strings.HasPrefix(key, begins) }) {
			t.Errorf("no key begins with %s", begins)
		}
	}

	rooms := textsInSource(t)
	for _, key := range keys {
		ofData := slices.ContainsFunc(saidOfData, func(begins string) bool { return strings.HasPrefix(key, begins) })
		if !ofData && !slices.ContainsFunc(rooms, func(of pieces) bool { return of.say(key) }) {
			t.Errorf("%s is said nowhere: take it out", key)
		}
	}
}

// pieces are the texts in a room's source, each once: a key is one of them, or made of several.
type pieces []string

// say reports whether a key is made of these texts. A room with a section of its own adds that in a function.
func (of pieces) say(key string) bool {
	section, rest, _ := strings.Cut(key, ".")
	if slices.Contains(of, section+".") && of.make(rest) {
		return true
	}
	return slices.ContainsFunc(of, func(text string) bool {
		return strings.HasPrefix(text, section+".") && of.goOn(key, text)
	})
}

// make reports whether a key, or the rest of one, is made of these texts.
func (of pieces) make(key string) bool {
	return slices.ContainsFunc(of, func(text string) bool { return of.goOn(key, text) })
}

// goOn reports whether a key is a text alone, or with others behind it. Pieces meet at a dot or an underscore.
func (of pieces) goOn(key, text string) bool {
	const joints = "._"
	rest, begins := strings.CutPrefix(key, text)
	if !begins || rest == "" {
		return begins
	}
	return (strings.ContainsAny(text[len(text)-1:], joints) || strings.ContainsAny(rest[:1], joints)) && of.make(rest)
}

// textsInSource are the texts of each of our packages, with those of its pages.
func textsInSource(t *testing.T) (rooms []pieces) {
	t.Helper()
	inPage := regexp.MustCompile(`"([^"\s]+)"`)
	for _, p := range packages(t) {
		found := map[string]bool{}
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					text, _ := strconv.Unquote(literal.Value)
					found[text] = true
				}
				return true
			})
		}

		pages, err := filepath.Glob(filepath.Join(p.Dir, "*", "*.html"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range pages {
			page, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range inPage.FindAllStringSubmatch(string(page), -1) {
				found[m[1]] = true
			}
		}
		delete(found, "")
		rooms = append(rooms, slices.Collect(maps.Keys(found)))
	}
	return rooms
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
