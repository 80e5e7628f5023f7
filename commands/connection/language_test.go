package connection

// The command in another language: all that it says comes from the app's words, and the words that people type, too.

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/words"
	"github.com/switchboard-go/switchboard/install/words/wordstest"
)

// What of everything the app says isn't in the words: names, what people type, codes, times, and the app's own.
var notOurs = regexp.MustCompile(`<[^<>]*\|?[^<>]*>|\x60[^\x60]*\x60|/[a-z-]+( [a-z]+)?|[a-z_.]+:[a-z.]+|` +
	`[“"][^”"]*[”"]|con_[0-9a-f]+|[A-Z0-9]{7}\b|UTC|https?://\S+`)

// TestEverySentenceIsInTheWords holds all that the app can say in a language where no sentence has an English letter.
func TestEverySentenceIsInTheWords(t *testing.T) {
	t.Parallel()
	c, said := casts()[0], wordstest.MadeUp()
	c.app = install.App{Name: "Жук", Summary: "Жук.", DataKept: said.Say("app.data_kept"), Operator: "Жук", Words: said,
		Does: []string{"Жук."}}
	c.team, c.scopes, c.alsoAsks = "Жук", slices.Clone(c.scopes), nil
	for i := range c.scopes {
		c.scopes[i].Label, c.scopes[i].Why, c.scopes[i].Feature = "Жук", "Жук.", "Жук"
	}

	known := map[string]bool{"done": true, "acme": true, "slack": true, "com": true} // of the stage's own
	found := map[string]string{}
	for _, s := range sayings(t, c) {
		texts := []string{s.reply.Text}
		texts = append(texts, shownTexts(t, s.reply.Blocks)...)
		texts = append(texts, shownTexts(t, s.view)...)
		for _, text := range texts {
			for _, w := range regexp.MustCompile(`[A-Za-z]{3,}`).FindAllString(notOurs.ReplaceAllString(text, " "), -1) {
				if found[w] == "" && !known[strings.ToLower(w)] {
					found[w] = s.name + ": " + text
				}
			}
		}
	}
	for w, where := range found {
		t.Errorf("%q is not in the words: %.300s", w, where)
	}
}

// shownTexts are all texts that people read in blocks or a view.
func shownTexts(t *testing.T, v any) (texts []string) {
	t.Helper()
	raw, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal(raw, &tree); err != nil {
		t.Fatal(err)
	}
	var look func(key string, v any)
	look = func(key string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, below := range v {
				look(k, below)
			}
		case []any:
			for _, below := range v {
				look(key, below)
			}
		case string:
			if key == "text" || key == "accessibilitylabel" {
				texts = append(texts, v)
			}
		}
	}
	look("", tree)
	return texts
}

// A German app is asked in German, and in English, too.
func TestTypedInAnotherLanguage(t *testing.T) {
	t.Parallel()
	german, err := words.Parse("de", []byte(`
connection:
  typed:
    status: "status, zustand, läuft"
    help: "hilfe"
    history: "verlauf"
    hello: "hallo, moin"
    thanks: "danke"
  help:
    welcome: "Gern geschehen."
    unknown: "„{word}“ kenne ich nicht. Versuch es mit {status}, {permissions}, {channels} oder {help}."
    intro: "Das kannst du {app} fragen."
`))
	if err != nil {
		t.Fatal(err)
	}
	of := turnOf(t, "U1", historyStore{})
	in, err := install.New(install.Config{App: install.App{Name: "Klappe", Summary: "Umfragen in Slack.", Words: german},
		PublicURL: "https://bot.example.com", Scopes: catalogue(), Store: historyStore{}})
	if err != nil {
		t.Fatal(err)
	}
	of.Install = bot.InstallationOf(in, of.Connection.Key, of.Connection)

	for typed, want := range map[string]string{
		"hilfe":         "Das kannst du Klappe fragen.",
		"Hilfe!":        "Das kannst du Klappe fragen.",
		"help":          "Das kannst du Klappe fragen.",
		"danke":         "Gern geschehen.",
		"thanks":        "Gern geschehen.",
		"moin":          "Umfragen in Slack.",
		"wetter":        "„wetter“ kenne ich nicht. Versuch es mit status, permissions, channels oder hilfe.",
		"läuft es noch": "Not working, a permission is missing",
		"verlauf":       "Slack can't be asked who you are.",
	} {
		if got := answer(context.Background(), of, typed, private).Text; !strings.Contains(got, want) {
			t.Errorf("%q is answered %q, want %q", typed, got, want)
		}
	}
	if got := usage(german); !strings.Contains(got, "hilfe") || strings.Contains(got, "help") ||
		strings.Contains(got, "hallo") {
		t.Errorf("the hint is %s", got)
	}
	commands := Command{Name: "/klappe", Words: german}.Commands()
	if commands.Status != "/klappe status" {
		t.Errorf("the pages say %q", commands.Status)
	}
}

// Every key that the code says is in the words.
func TestKeysAreKnown(t *testing.T) {
	t.Parallel()
	code := ""
	for _, name := range []string{"channels", "command", "disconnect", "facts", "history", "home", "permissions",
		"reconnect", "standing", "status", "support", "test_message", "turn", "words"} {
		file, err := os.ReadFile(name + ".go")
		if err != nil {
			t.Fatal(err)
		}
		code += string(file)
	}
	said := regexp.MustCompile(`\.(?:say|plain|sayFor)\("([a-z_.]+[a-z])"[,)]`).FindAllStringSubmatch(code, -1)
	if len(said) < 100 {
		t.Fatalf("only %d keys are found", len(said))
	}
	for _, m := range said {
		if _, ok := (*words.Sentences)(nil).Find("connection." + m[1]); !ok {
			t.Errorf("connection.%s has no sentence", m[1])
		}
	}
}
