package cli

// The rules of the house, as tests: which room may know which, that every package says why it exists, and that
// manifest.yaml is what the handlers make.

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/commands"
)

type listed struct {
	ImportPath, Dir, Doc, Name string
	Imports                    []string
	TestImports, XTestImports  []string
	GoFiles                    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Name,Imports,TestImports,XTestImports,GoFiles", "./...")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

const module = "github.com/switchboard-go/switchboard/"

// mayImport says which of our packages a room may know, in the patterns of the go command. Whoever is not named may
// know none.
var mayImport = map[string][]string{
	"install/words":           {},
	"install/words/wordstest": {"install/words"}, // a language for tests
	"install/connection":      {"install/words"},
	"install/slackapi":        {"install/connection"},
	"install/links":           {"install/connection"},
	"install/tokens":          {"install/connection", "install/slackapi", "internal/lasting", "internal/spans"},
	"install/watch": {"install/connection", "install/slackapi", "install/links", "install/tokens",
		"install/words", "internal/lasting"},
	"install/oauth": {"install/connection", "install/slackapi", "install/links", "install/tokens", "install/watch",
		"install/words", "internal/spans"},
	"install":     {"install/...", "internal/lasting", "internal/spans"},
	"bot":         {"install/...", "internal/loopback", "internal/lasting", "internal/spans", "bot/internal/..."},
	"commands":    {"install/...", "bot", "commands/connection"},
	"bot/bottest": {"install/connection", "install/words", "bot", "internal/cli", "slacksim"},

	"install/mrkdwn":      {"install/words"},
	"install/messages":    {"install", "install/connection", "install/mrkdwn", "install/words"},
	"commands/connection": {"install/...", "bot"}, // for others' bots, too

	// The stage of the tests of installs and tokens.
	"install/internal/stage": {"install/connection", "install/slackapi", "install/tokens", "install/watch", "slacksim",
		"storage", "storage/seal", "storage/storagetest"},

	"bot/internal/transport": {"install/connection", "install/slackapi", "internal/lasting"},
	"bot/internal/lenient":   {},
	"bot/internal/markdown":  {},
	"bot/internal/patterns":  {},
	"bot/internal/schedule":  {},

	"storage/seal": {"install/connection"},
	// for the types it keeps
	"storage": {"install/...", "bot", "storage/inbox", "storage/journal", "storage/seal", "storage/timers",
		"storage/values", "storage/internal/..."},
	// what another program keeps, in the shape in which package install takes it over
	"storage/bolt":             {"install", "install/connection", "storage/internal/db"},
	"storage/internal/columns": {"install/connection"},
	"storage/internal/db":      {"install/connection", "internal/loopback", "storage/internal/columns"},
	"storage/journal": {"install/connection", "storage/seal", "storage/internal/columns",
		"storage/internal/db"},
	"storage/inbox": {"install/...", "bot", "storage/seal", "storage/internal/columns",
		"storage/internal/db"},
	"storage/timers": {"install/connection", "bot", "storage/inbox", "storage/seal", "storage/internal/columns",
		"storage/internal/db"},
	"storage/values": {"install/connection", "bot", "storage/seal", "storage/internal/columns",
		"storage/internal/db"},
	"storage/internal/storetest": {"install/...", "bot", "storage", "storage/seal", "storage/storagetest"},
	"storage/storagetest":        {},

	"slacksim":                   {"slacksim/internal/blockkit", "slacksim/internal/manifest"},
	"slacksim/web":               {"slacksim", "slacksim/internal/blockkit"},
	"slacksim/internal/blockkit": {},
	"slacksim/internal/manifest": {},
	"slacksim/internal/simtest":  {"slacksim"},

	"internal/loopback": {},
	"internal/spans":    {},
	"internal/lasting":  {},
	"internal/server":   {"install/...", "internal/loopback", "internal/lasting", "internal/spans", "bot", "storage/..."},
	"internal/manifest": {"install/connection", "install/slackapi", "internal/server", "storage/seal"},
	"internal/doctor": {"install/...", "internal/loopback", "bot", "storage/...", "internal/server",
		"internal/manifest"},
	"internal/cli": {"install/...", "bot", "storage/...", "internal/loopback", "internal/server", "internal/doctor",
		"internal/manifest", "slacksim/..."},
	".":               {"install/...", "bot", "internal/server", "internal/cli"},
	"cmd/switchboard": {".", "commands"}, // as anybody's own
	"examples/hello":  {".", "bot"},
	"examples/triage": {".", "bot"},
	"examples/oncall": {".", "bot"},
	"examples/agent":  {".", "bot"},
	"cmd/load":        {"install/...", "slacksim"}, // it drives the program from outside, as Slack does
}

// known reports whether one of these patterns names a room.
func known(patterns []string, room string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		tree, whole := strings.CutSuffix(p, "/...")
		return room == tree || whole && strings.HasPrefix(room, tree+"/")
	})
}

// forbidden are imports of others' packages that belong in one room only.
var forbidden = []struct{ prefix, only, why string }{
	{"gorm.io/", "storage", "the database is one room's business; the others speak through install.Store"},
	{"github.com/jackc/", "storage", "the database is one room's business"},
	{"modernc.org/", "storage", "the database is one room's business"},
	{"go.opentelemetry.io/otel/sdk/", "internal/server", "a library begins spans; where they go is the program's choice"},
	{"go.opentelemetry.io/otel/exporters/", "internal/server", "a library begins spans; where they go is the program's choice"},
	{"testing", "", "a package that ships must not carry the testing flags"},
	{"github.com/chromedp/", "", "a browser is for tests"},
}

// apart are the rooms that may import what is forbidden above, each for its reason.
var apart = map[string]string{
	"install/internal/stage":     "testing",                   // it is the stage of the tests of installs and tokens
	"storage/internal/storetest": "testing",                   // it opens databases for tests
	"storage/storagetest":        "github.com/jackc/ testing", // it hands databases to tests
	"slacksim/internal/simtest":  "testing",                   // it is the stage of the simulator's own tests
	"bot/bottest":                "testing",                   // it is what tests of bots are written with
	// it makes an empty schema for the program it drives, and drops it
	"cmd/load": "github.com/jackc/",
}

// roomOf is the room with an import path, "." for the module's root, and "" for what is others'.
func roomOf(path string) string {
	if path+"/" == module {
		return "."
	}
	room, ours := strings.CutPrefix(path, module)
	if !ours {
		return ""
	}
	return room
}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		room := roomOf(p.ImportPath)
		allowed, named := mayImport[room]
		if !named {
			t.Errorf("%s is a new room: say in mayImport what it may know", room)
		}
		for _, imported := range p.Imports {
			if ours := roomOf(imported); ours != "" && !known(allowed, ours) {
				t.Errorf("%s imports %s: the direction is install/words, connection, slackapi, links, tokens, watch, oauth, install, "+
					"bot, "+
					"internal/server, internal/doctor, internal/cli, the module's root, cmd; storage and slacksim are known to internal/ and tests "+
					"alone", room, ours)
			}
			for _, f := range forbidden {
				if (imported == f.prefix || strings.HasPrefix(imported, f.prefix) && strings.HasSuffix(f.prefix, "/")) &&
					!within(room, f.only) && !slices.Contains(strings.Fields(apart[room]), f.prefix) {
					t.Errorf("%s imports %s: %s", room, imported, f.why)
				}
			}
			others := strings.Contains(strings.Split(imported, "/")[0], ".") && !strings.HasPrefix(imported, module)
			if strings.HasPrefix(room, "slacksim") && others {
				t.Errorf("slacksim imports %s: it needs the standard library alone, so that it can check us", imported)
			}
		}
	}
}

// within reports whether a room is one, or one of its rooms.
func within(room, of string) bool { return room == of || of != "" && strings.HasPrefix(room, of+"/") }

// ofOurs are words of the app and the program that the library is served with here. What the library says comes from
// the app that is built on it; only names that others rely on (of metrics, columns, cookies) and the words of keys
// stay.
var ofOurs = regexp.MustCompile(
	`Switchboard|/connection|switchboard [a-z]+ [a-z]+|\b(SLACK|PUBLIC|LISTEN|ADMIN|DATA|DATABASE|ENCRYPTION|KEEP|LOG|INBOX)_[A-Z_]+\b`)

// ofOurApp are those of them that no other app's program says either; the settings are the same for all.
var ofOurApp = regexp.MustCompile(`Switchboard|/connection|switchboard [a-z]+ [a-z]+`)

// ofTheApp are the rooms that can name it: the app itself, what drives it, and Slack's side, where apps have names.
var ofTheApp = map[string]bool{"commands": true, "cmd/switchboard": true, "cmd/load": true, "slacksim": true,
	"slacksim/internal/simtest": true}

func TestTheLibraryNamesNoAppOfOurs(t *testing.T) {
	t.Parallel()
	rooms := []string{"install/oauth/pages", "storage/internal/db/migrations/postgres",
		"storage/internal/db/migrations/sqlite"} // no packages
	for room := range mayImport {
		if !ofTheApp[room] {
			rooms = append(rooms, room)
		}
	}
	for _, room := range rooms {
		files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(room), "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(err, files)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || room == "." && filepath.Ext(file) != ".go" {
				continue
			}
			words := ofOurs
			if !strings.HasPrefix(room, "install") && !strings.HasPrefix(room, "bot") &&
				!strings.HasPrefix(room, "storage") {
				words = ofOurApp
			}
			for _, said := range texts(t, file) {
				if found := words.FindString(said); found != "" {
					t.Errorf("%s says %q: the words come from the app that it serves", file, found)
				}
			}
		}
	}
}

// texts are what a file can say: the strings of a Go file, all of another one.
func texts(t *testing.T, file string) (all []string) {
	t.Helper()
	if info, err := os.Stat(file); err != nil || info.IsDir() {
		return nil
	}
	if filepath.Ext(file) != ".go" {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return []string{string(text)}
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if _, ok := n.(*ast.ImportSpec); ok {
			return false
		}
		if expression, ok := n.(ast.Expr); ok {
			if text := literal(expression); text != "" {
				all = append(all, text)
				return false
			}
		}
		return true
	})
	return all
}

// literal is the text of a string, also of one that goes on in the next line; "" for anything else.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, _ := strconv.Unquote(e.Value)
			return text
		}
	case *ast.BinaryExpr:
		if before, after := literal(e.X), literal(e.Y); e.Op == token.ADD && before != "" && after != "" {
			return before + after
		}
	}
	return ""
}

func TestEveryPackageSaysWhy(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue
		}
		if len(p.Doc) < 40 {
			t.Errorf("%s has no doc comment that says why it exists", p.ImportPath)
		}
		if slices.Contains([]string{"util", "utils", "helper", "helpers", "common", "manager"}, p.Name) {
			t.Errorf("%s: a name that says nothing", p.ImportPath)
		}
	}
}

func TestManifestIsCurrent(t *testing.T) {
	t.Parallel()
	m, err := bot.NewManifest(commands.Profile(), commands.All(), placeholderURL)
	if err != nil {
		t.Fatalf("Slack would refuse the manifest: %v", err)
	}
	var want bytes.Buffer
	if err := writeManifest(&want, m, "switchboard"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "..", "manifest.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("manifest.yaml is stale: run make manifest")
	}
	running, err := os.ReadFile(filepath.Join("..", "..", "docs", "running.md"))
	if err != nil {
		t.Fatal(err)
	}
	if table := permissionTable(commands.Catalogue()); !strings.Contains(string(running),
		"<!-- permissions -->\n"+table+"<!-- /permissions -->\n") {
		t.Error("the table of permissions in docs/running.md is stale: run make manifest")
	}
}

// modernc.org/sqlite is tested with exactly the libc that its own go.mod names. A replace would hold for this module
// alone and not for those that import it, so nothing that we require may ask for a newer one.
// https://gitlab.com/cznic/sqlite/-/issues/177
func TestLibcIsTheOneOfSQLite(t *testing.T) {
	t.Parallel()
	list := func(format, module string) string {
		cmd := exec.Command("go", "list", "-m", "-f", format, module)
		cmd.Dir = filepath.Join("..", "..")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	mod, err := os.ReadFile(list("{{.GoMod}}", "modernc.org/sqlite"))
	if err != nil {
		t.Fatal(err)
	}

	libc := list("{{.Path}} {{.Version}}{{with .Replace}} replaced{{end}}", "modernc.org/libc")
	if !regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(libc) + `$`).Match(mod) {
		t.Errorf("we use %s, and modernc.org/sqlite names another: choose versions of what else requires it that don't "+
			"lift it", libc)
	}
}

// Links in the docs lead somewhere: to a file that is there, and to a heading that it has.
func TestDocsLinksWork(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 10 {
		t.Fatalf("only %q", pages)
	}

	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			file, heading, _ := strings.Cut(m[1], "#")
			if strings.Contains(file, ":") { // another site's
				continue
			}
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), filepath.FromSlash(file))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %s leads nowhere", page, m[1])
			} else if heading != "" && !slices.Contains(headings(t, target), heading) {
				t.Errorf("%s: the link %s leads to a heading that isn't there", page, m[1])
			}
		}
	}
}

// headings are a page's, as GitHub names them in links.
func headings(t *testing.T, page string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	left := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(text), -1) {
		name := left.ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}
