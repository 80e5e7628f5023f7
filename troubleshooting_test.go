package switchboard_test

// What the pages for operators quote is what people read, and what they list is all there is.

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// wordsOf are the library's sentences of a file in install/words/english, by their keys.
func wordsOf(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("install", "words", "english", file))
	if err != nil {
		t.Fatal(err)
	}
	var whole any
	if err := yaml.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}

	all := map[string]string{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				walk(strings.TrimPrefix(at+"."+name, "."), inner)
			}
		case string:
			all[at] = v
		}
	}
	walk("", whole)
	return all
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTroubleshootingQuotes(t *testing.T) {
	t.Parallel()
	var said []*regexp.Regexp
	for _, file := range []string{"bot.yaml", "connections.yaml", "pages.yaml"} {
		for _, sentence := range wordsOf(t, file) {
			pattern := regexp.QuoteMeta(strings.TrimSpace(sentence))
			said = append(said, regexp.MustCompile("^"+regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(pattern, ".+")))
		}
	}

	quotes := regexp.MustCompile(`“([^”]+)”`).FindAllStringSubmatch(readPage(t, "troubleshooting.md"), -1)
	if len(quotes) < 40 {
		t.Fatalf("only %d sentences are quoted", len(quotes))
	}
	for _, quote := range quotes {
		// A reference follows what the page quotes, where there is one.
		is := slices.ContainsFunc(said, func(p *regexp.Regexp) bool {
			return p.MatchString(quote[1]) || p.MatchString(quote[1]+" Reference: 7F3K2QX.")
		})
		if !is {
			t.Errorf("nobody reads “%s”", quote[1])
		}
	}
}

// Every state and every reason that people can read is explained to operators.
func TestTroubleshootingIsWhole(t *testing.T) {
	t.Parallel()
	page := readPage(t, "troubleshooting.md")
	for key, sentence := range wordsOf(t, "connections.yaml") {
		family, name, _ := strings.Cut(strings.TrimPrefix(key, "connections."), ".")
		switch {
		case family == "reason" && !strings.Contains(page, "`"+name+"`"):
			t.Errorf("the reason %s isn't explained", name)
		case family == "state" && name != "not_added" && !strings.Contains(page, "“"+sentence+"”"):
			t.Errorf("the state “%s” isn't explained", sentence)
		}
	}
}

// What docs/security.md says is stored is what the migrations make.
func TestSecurityNamesEveryTable(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("storage", "internal", "db", "migrations", "*", "*.sql"))
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	page, tables := readPage(t, "security.md"), map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`CREATE TABLE (\w+)`).FindAllStringSubmatch(string(text), -1) {
			tables[found[1]] = true
		}
	}
	for table := range tables {
		if !strings.Contains(page, "`"+table+"`") {
			t.Errorf("docs/security.md doesn't say what is in %s", table)
		}
	}
}
