package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// What docs/metrics.md names is there from the start, with those labels, and each counter at 0; and what is there is in
// docs/metrics.md.
func TestEveryNumberIsDocumentedAndThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t)).start(1, nil)
	page := w.browser().get(w.replicas[0].admin.String() + "/metrics").body
	kinds, labels := map[string]string{}, map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (switchboard_\w+) (\w+)$`).FindAllStringSubmatch(page, -1) {
		kinds[m[1]] = m[2]
	}
	for series, n := range w.metrics(w.replicas[0]) {
		name, rest, _ := strings.Cut(series, "{")
		// The start's own statements can wait for each other.
		if kinds[name] == "counter" && n != 0 && !strings.HasPrefix(name, "switchboard_database_wait") {
			t.Errorf("%s begins at %v", series, n)
		}
		for _, of := range []string{"_bucket", "_count", "_sum"} {
			if base := strings.TrimSuffix(name, of); kinds[base] == "histogram" {
				name = base
			}
		}
		if own := labelNames(rest); kinds[name] != "" && len(own) > len(labels[name]) {
			labels[name] = own
		}
	}

	documented := documentedNumbers(t)
	for name, d := range documented {
		switch _, there := kinds[name]; {
		case there && d.sockets:
			t.Errorf("docs/metrics.md says that %s is absent without Socket Mode, and it is there", name)
		case !there && !d.sockets:
			t.Errorf("%s is in docs/metrics.md and not there before it has counted", name)
		case there && labels[name] != d.labels:
			t.Errorf("the labels of %s are %q, and in docs/metrics.md %q", name, labels[name], d.labels)
		}
	}
	for name := range kinds {
		if _, is := documented[name]; !is {
			t.Errorf("%s is not in docs/metrics.md", name)
		}
	}
}

// documentedNumber is what docs/metrics.md says of a number: its labels, sorted, whether it is in Socket Mode alone, and
// the words for it.
type documentedNumber struct {
	labels  string
	sockets bool
	words   string
}

// documentedNumbers are those of the tables' first column.
func documentedNumbers(t *testing.T) map[string]documentedNumber {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	all, number := map[string]documentedNumber{}, regexp.MustCompile("`(switchboard_\\w+)(?:\\{([^}]*)\\})?`")
	for line := range strings.Lines(string(text)) {
		cells := strings.SplitN(line, "|", 3)
		if len(cells) < 3 || cells[0] != "" {
			continue
		}
		for _, m := range number.FindAllStringSubmatch(cells[1], -1) {
			if _, twice := all[m[1]]; twice {
				t.Errorf("%s is in docs/metrics.md twice", m[1])
			}
			names := strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' })
			slices.Sort(names)
			all[m[1]] = documentedNumber{labels: strings.Join(names, " "),
				sockets: strings.Contains(cells[2], "absent without Socket Mode"), words: cells[2]}
		}
	}
	if len(all) < 20 {
		t.Fatalf("%d numbers in docs/metrics.md", len(all))
	}
	return all
}

// labelNames are the names in what follows the { of a series, sorted, without a histogram's le.
func labelNames(rest string) string {
	var names []string
	for _, m := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(rest, -1) {
		if m[1] != "le" {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
