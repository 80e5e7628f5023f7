package cli

// What commands print of what they found: JSON for scripts, a table for people.

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
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
		cells := row(one)
		for i, cell := range cells {
			cells[i] = printable(cell)
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return table.Flush()
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
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
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
	_, err := io.WriteString(w, safe.String())
	return err
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
