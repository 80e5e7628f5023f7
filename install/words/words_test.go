package words_test

import (
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/install/words"
)

// Without an app's own words, and where they leave one out, people read English.
func TestEnglishIsTheDefault(t *testing.T) {
	t.Parallel()
	partly, err := words.Parse("de", []byte("lists:\n  two: \"{first} und {last}\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		of    *words.Sentences
		items []string
		want  string
	}{
		{nil, nil, ""},
		{nil, []string{"a"}, "a"},
		{nil, []string{"a", "b"}, "a and b"},
		{nil, []string{"a", "b", "c", "d"}, "a, b, c and d"},
		{partly, []string{"a", "b"}, "a und b"},
		{partly, []string{"a", "b", "c"}, "a, b and c"},
	} {
		if got := tt.of.And(tt.items); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.of.Language(), got, tt.want)
		}
	}
}

// What is wrong with an app's file is said right away, and all of it.
func TestParseNamesAllThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := words.Parse("de", []byte("lists:\n  two: \"{first} und {letztes}\"\n  three: \"{a}\"\n"+
		"  end: {one: x, other: y}\n"))
	for _, want := range []string{
		"lists.two: no parameter {letztes}; it has first, last", "lists.three: there is no such sentence",
		"lists.end: nothing is counted in it",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}

	for _, bad := range []string{
		"lists: {two: \"{first\"}", "lists: {two: 1}", "lists: [", "lists: {two: {other: a, any: b}}",
	} {
		if _, err := words.Parse("de", []byte(bad)); err == nil {
			t.Errorf("%s: was taken", bad)
		}
	}
	if _, err := words.Parse("no language", nil); err == nil {
		t.Error("took a language that is none")
	}
}

// The whole file can be handed to a translator and read back.
func TestEnglishReadsBack(t *testing.T) {
	t.Parallel()
	if _, err := words.Parse("fr", words.English()); err != nil {
		t.Error(err)
	}
}
