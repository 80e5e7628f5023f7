package words

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// Sentences are the sentences of one language or tone: an app's own where it has them, ours in English for the rest. A
// nil *Sentences is English. Any number of goroutines may use it.
type Sentences struct {
	language language.Tag
	said     map[string]sentence // the app's own
}

// count is the parameter that chooses among the forms of a sentence.
const count = "count"

//go:embed english/*.yaml
var files embed.FS

// english is built in, so what is wrong with it is a fault of ours that the first test finds.
var english = func() *Sentences {
	s := &Sentences{language: language.English, said: map[string]sentence{}}
	for _, name := range must(fs.Glob(files, "english/*.yaml")) {
		file := must(files.ReadFile(name))
		own := must(read(file))
		for key, said := range own {
			section, _, _ := strings.Cut(key, ".")
			if path.Base(name) != section+".yaml" {
				panic("words: " + key + " doesn't belong into " + name)
			}
			s.said[key] = said
		}
	}
	return s
}()

func must[T any](value T, err error) T {
	if err != nil {
		panic("words: " + err.Error())
	}
	return value
}

// Say returns the sentence of a key with its parameters filled in: pairs of a name and a value, which is written as fmt
// does. Values go in as they are, so the caller escapes them for where the sentence is shown. Of a sentence with forms
// the parameter "count", an int, chooses one.
//
// A key that no file has is returned as it is, which a test of this module finds.
func (s *Sentences) Say(key string, params ...any) string {
	said, ok := s.Find(key, params...)
	if !ok {
		return key
	}
	return said
}

// Find is Say for keys that are made of something of Slack's, such as an error code: ok reports whether there is a
// sentence for it.
func (s *Sentences) Find(key string, params ...any) (said string, ok bool) {
	tag, found := language.English, sentence{}
	if s != nil {
		found, ok = s.said[key]
		tag = s.language
	}
	if !ok {
		tag = language.English
		found, ok = english.said[key]
	}
	if !ok {
		return "", false
	}
	return found.form(tag, params).with(params), true
}

// And lists items as the language does: "a", "a and b", "a, b and c".
func (s *Sentences) And(items []string) string {
	return s.list(items, "lists.two", "lists.more", "lists.end")
}

// Or lists items of which none is, or any will do: "a", "a or b", "a, b or c".
func (s *Sentences) Or(items []string) string {
	return s.list(items, "lists.or.two", "lists.or.more", "lists.or.end")
}

func (s *Sentences) list(items []string, two, more, end string) string {
	switch len(items) {
	case 0:
		return ""
	case 1:
		return items[0]
	case 2:
		return s.Say(two, "first", items[0], "last", items[1])
	}
	listed := items[0]
	for _, item := range items[1 : len(items)-1] {
		listed = s.Say(more, "before", listed, "next", item)
	}
	return s.Say(end, "before", listed, "last", items[len(items)-1])
}

// Within is a label, such as "Send messages", as it stands in the middle of a sentence. English begins it small there;
// in other languages it stays as it is.
func (s *Sentences) Within(label string) string {
	if s != nil {
		if base, _ := s.language.Base(); base.String() != "en" {
			return label
		}
	}
	first, size := utf8.DecodeRuneInString(label)
	if size == 0 {
		return label
	}
	return string(unicode.ToLower(first)) + label[size:]
}

// Language is the language's tag, for the lang attribute of pages: "en".
func (s *Sentences) Language() string {
	if s == nil {
		return language.English.String()
	}
	return s.language.String()
}

// Parse reads the sentences of a language (a BCP 47 tag such as "de" or "pt-BR") from a file as English returns it.
// What the file leaves out stays English. The error names everything that is wrong: a key or a parameter that the
// English sentence doesn't have, a brace that isn't closed, a form that no language has.
func Parse(tag string, file []byte) (*Sentences, error) {
	lang, err := language.Parse(tag)
	if err != nil {
		return nil, fmt.Errorf("the language %q: %w", tag, err)
	}
	own, err := read(file)
	if err != nil {
		return nil, err
	}

	var wrong []error
	for _, key := range slices.Sorted(maps.Keys(own)) {
		ours, known := english.said[key]
		if !known {
			wrong = append(wrong, fmt.Errorf("%s: there is no such sentence", key))
			continue
		}
		for _, name := range own[key].names() {
			if !slices.Contains(ours.names(), name) {
				wrong = append(wrong, fmt.Errorf("%s: no parameter {%s}; it has %s", key, name,
					cmp.Or(strings.Join(ours.names(), ", "), "none")))
			}
		}
		if own[key].counted() && !ours.counted() {
			wrong = append(wrong, fmt.Errorf("%s: nothing is counted in it, so it has one form", key))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return &Sentences{language: lang, said: own}, nil
}

// English is the file with all of the library's sentences, to translate or to change.
func English() []byte {
	var all []byte
	for _, name := range must(fs.Glob(files, "english/*.yaml")) {
		all = append(all, must(files.ReadFile(name))...)
	}
	return all
}

// sentence is one in all of its forms, by their names in CLDR: "one", "few", "other". One that counts nothing has only
// "other".
type sentence map[string]text

var forms = map[string]plural.Form{
	"zero": plural.Zero, "one": plural.One, "two": plural.Two, "few": plural.Few, "many": plural.Many,
	"other": plural.Other,
}

func (s sentence) counted() bool { return len(s) > 1 }

// form is the one for the number among params.
func (s sentence) form(lang language.Tag, params []any) text {
	if !s.counted() {
		return s["other"]
	}
	n, _ := value(params, count).(int)
	fits := plural.Cardinal.MatchPlural(lang, max(n, -n), 0, 0, 0, 0)
	for name, said := range s {
		if forms[name] == fits {
			return said
		}
	}
	return s["other"]
}

// names are those of all parameters, each once.
func (s sentence) names() []string {
	var names []string
	for _, said := range s {
		for _, p := range said {
			if p.param {
				names = append(names, p.text)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// text is one form, in pieces: as they stand, and parameters by their names.
type text []piece

type piece struct {
	text  string
	param bool
}

func (t text) with(params []any) string {
	var said strings.Builder
	for _, p := range t {
		if p.param {
			fmt.Fprint(&said, value(params, p.text))
			continue
		}
		said.WriteString(p.text)
	}
	return said.String()
}

// value is that of a parameter; one that wasn't given shows its name.
func value(params []any, name string) any {
	for i := 0; i+1 < len(params); i += 2 {
		if params[i] == name {
			return params[i+1]
		}
	}
	return "{" + name + "}"
}

// read reads a file: sections in sections, and in them sentences, or the forms of one.
func read(file []byte) (map[string]sentence, error) {
	var tree map[string]any
	if err := yaml.Unmarshal(file, &tree); err != nil {
		return nil, fmt.Errorf("read the sentences: %w", err)
	}
	all := map[string]sentence{}
	return all, gather(all, "", tree)
}

func gather(into map[string]sentence, at string, tree map[string]any) error {
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		key := strings.TrimPrefix(at+"."+name, ".")
		switch below := tree[name].(type) {
		case string:
			said, err := split(below)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %w", key, err))
			}
			into[key] = sentence{"other": said}
		case map[string]any:
			if _, counted := below["other"]; counted {
				said, err := gatherForms(below)
				if err != nil {
					wrong = append(wrong, fmt.Errorf("%s: %w", key, err))
				}
				into[key] = said
				continue
			}
			wrong = append(wrong, gather(into, key, below))
		default:
			wrong = append(wrong, fmt.Errorf("%s: has to be a sentence, or a section of them", key))
		}
	}
	return errors.Join(wrong...)
}

// gatherForms reads the forms of a sentence that counts something.
func gatherForms(tree map[string]any) (sentence, error) {
	all := sentence{}
	for name, said := range tree {
		written, isText := said.(string)
		if _, known := forms[name]; !known || !isText {
			return nil, fmt.Errorf("%q is none of the forms zero, one, two, few, many, other", name)
		}
		one, err := split(written)
		if err != nil {
			return nil, err
		}
		all[name] = one
	}
	return all, nil
}

// split takes a sentence apart at its parameters.
func split(written string) (text, error) {
	var t text
	for rest := written; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		if before != "" {
			t = append(t, piece{text: before})
		}
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed || name == "" || strings.ContainsAny(name, " {") {
			return nil, fmt.Errorf("a parameter isn't closed in %q", written)
		}
		t = append(t, piece{text: name, param: true})
		rest = tail
	}
	return t, nil
}
