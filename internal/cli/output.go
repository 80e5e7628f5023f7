package cli

// What commands print of what they found: JSON for scripts, a table for people.

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// list prints found as JSON, or as a table with a heading, of which row returns the columns. Where there is nothing it
// says none.
func list[T any](env *environment, asJSON bool, found []T, none, heading string, row func(T) []string) error {
	if asJSON {
		return printJSON(env.stdout, found)
	}
	if len(found) == 0 && none != "" {
		_, err := fmt.Fprintln(env.stdout, none)
		return err
	}

	table := tabwriter.NewWriter(env.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, strings.ReplaceAll(heading, "  ", "\t"))
	for _, one := range found {
		printRow(table, row(one))
	}
	return table.Flush()
}

func printRow(table io.Writer, cells []string) {
	for i, cell := range cells {
		cells[i] = printable(cell)
	}
	fmt.Fprintln(table, strings.Join(cells, "\t"))
}

// details prints what is known of one thing: whole as JSON, or facts line by line, each with its name.
func details(env *environment, asJSON bool, whole any, facts [][2]string) error {
	if asJSON {
		return printJSON(env.stdout, whole)
	}
	table := tabwriter.NewWriter(env.stdout, 0, 4, 2, ' ', 0)
	for _, f := range facts {
		fmt.Fprintf(table, "%s\t%s\n", f[0], printable(cmp.Or(f[1], "-")))
	}
	return table.Flush()
}

func printJSON(w io.Writer, v any) error {
	text, err := jsonText(v, "")
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}

// jsonText is v as JSON on lines of its own, each but the first behind a prefix.
func jsonText(v any, prefix string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent(prefix, "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}

	// encoding/json leaves U+007F to U+009F alone, and a terminal obeys them. In JSON they can only be inside a string.
	var safe strings.Builder
	for _, r := range b.String() {
		if r >= 0x7f && r < 0xa0 {
			fmt.Fprintf(&safe, `\u%04x`, r)
			continue
		}
		safe.WriteRune(r)
	}
	return safe.String(), nil
}

// jsonList prints a JSON array as it comes, so that a long one takes no memory. It looks as printJSON's does.
type jsonList struct {
	out    *bufio.Writer
	indent string // of the line that the array ends on
	n      int
}

// add prints one element. Call end after the last one.
func (l *jsonList) add(v any) error {
	text, err := jsonText(v, l.indent+"  ")
	if err != nil {
		return err
	}
	before := ",\n  "
	if l.n == 0 {
		before = "[\n  "
	}
	l.n++
	_, err = l.out.WriteString(before + l.indent + strings.TrimSuffix(text, "\n"))
	return err
}

func (l *jsonList) end() error {
	end := "\n" + l.indent + "]"
	if l.n == 0 {
		end = "[]"
	}
	_, err := l.out.WriteString(end)
	return err
}

// grouped is a number as people read it: 1,234,567.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// printable keeps a workspace's name from steering the terminal, or from turning the rest of its line around.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, s)
}

func short(t *string) string {
	if t == nil {
		return "-"
	}
	return strings.TrimSuffix(strings.Replace(*t, "T", " ", 1), "Z") + " UTC"
}

// stamp is a time for scripts, nil for none.
func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(time.RFC3339)
	return &s
}
