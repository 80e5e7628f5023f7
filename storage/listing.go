package storage

// Lists for operators are chosen and paged by the database: of 100,000 connections nobody reads more than is shown. What
// a selection means is decided twice, in Go (Fits) and in SQL (where), and a test holds them together.

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// Selection says which connections to list: those that fit all of it. The zero value is all of them.
type Selection struct {
	Needed []connection.Scope // the app's permissions, which tell Active from Limited

	States      []connection.State // as people are shown them; none: any
	Reason      string             // the code that is shown with the state
	Missing     string             // a permission that is not granted
	InstalledBy string             // a Slack user's ID
	Label       string             // in the operator's label
	Search      string             // in a name, an address, an ID or the operator's label
	Changed     time.Time          // its state or the reason has changed since then
	Quiet       time.Time          // Slack has sent nothing since then, and it was installed before
}

// Fits reports whether c is one of those. Upper and lower case of A to Z are the same in what is searched for.
func (s Selection) Fits(c connection.Connection) bool {
	state, reason := c.Shown(s.Needed)
	return (len(s.States) == 0 || slices.Contains(s.States, state)) &&
		(s.Reason == "" || reason == s.Reason) &&
		(s.Missing == "" || !slices.Contains(c.Scopes, s.Missing)) &&
		(s.InstalledBy == "" || c.InstalledBy == s.InstalledBy) &&
		(s.Label == "" || has(c.OperatorLabel, s.Label)) &&
		(s.Search == "" || slices.ContainsFunc(searchable(c), func(text string) bool { return has(text, s.Search) })) &&
		(s.Changed.IsZero() || !c.StateSince.Before(s.Changed)) &&
		(s.Quiet.IsZero() || c.LastEventAt.Before(s.Quiet) && c.InstalledAt.Before(s.Quiet))
}

// searchable is what Search looks through, and searchColumns where that lies.
func searchable(c connection.Connection) []string {
	return []string{c.TeamName, c.EnterpriseName, c.OperatorLabel, c.TeamURL, c.ID, c.TeamID, c.EnterpriseID}
}

var searchColumns = []string{"team_name", "enterprise_name", "operator_label", "team_url", "id", "team_id",
	"enterprise_id"}

func has(text, part string) bool { return strings.Contains(folded(text), folded(part)) }

// folded is s in lower case as far as both databases agree on it: A to Z.
func folded(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// Cursor is a place in a list, behind one connection. The zero value is the beginning.
type Cursor struct{ TeamName, ID string }

// CursorAt is the place behind c.
func CursorAt(c connection.Connection) Cursor { return Cursor{c.TeamName, c.ID} }

// String is the cursor as it is typed.
func (p Cursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(p.ID + "\n" + p.TeamName))
}

// ErrCursor says that a text is none of ours.
var ErrCursor = errors.New("not a cursor")

// ParseCursor reads what Cursor.String wrote. ErrCursor.
func ParseCursor(s string) (Cursor, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	id, name, found := strings.Cut(string(raw), "\n")
	if err != nil || !found || id == "" || !columns.Storable(string(raw)) {
		return Cursor{}, ErrCursor
	}
	return Cursor{TeamName: name, ID: id}, nil
}

// dialect are the words in which the two databases differ.
type dialect struct {
	find    string // a function that says where a text stands in another, 0 for nowhere
	collate string // compares byte by byte, as Go does; a SQLite column does so by itself
}

func dialectOf(name string) dialect {
	if name == db.DialectPostgres {
		return dialect{find: "strpos", collate: ` COLLATE "C"`}
	}
	return dialect{find: "instr"}
}

// conditions are put together with AND.
type conditions struct {
	sql    []string
	values []any
}

func (c *conditions) add(sql string, values ...any) {
	c.sql, c.values = append(c.sql, sql), append(c.values, values...)
}

// String is a whole condition.
func (c *conditions) String() string {
	if len(c.sql) == 0 {
		return "1 = 1"
	}
	return strings.Join(c.sql, " AND ")
}

// where is Fits for rows: of what can't be opened it knows what was sealed with a key that is not here.
func (d *DB) where(s Selection) *conditions {
	in := dialectOf(d.pool.Dialect)
	all := &conditions{}
	state, reason := d.shown(s.Needed)

	if len(s.States) > 0 {
		states := slices.Compact(slices.Sorted(slices.Values(s.States)))
		all.add(state.String()+" IN ?", append(state.values, states)...)
	}
	if s.Reason != "" {
		all.add(reason.String()+" = ?", append(reason.values, columns.Text(s.Reason))...)
	}
	if s.Missing != "" {
		all.add("NOT "+granted(in), columns.Text(s.Missing))
	}
	if s.InstalledBy != "" {
		all.add("installed_by = ?", columns.Text(s.InstalledBy))
	}
	if s.Label != "" {
		all.add(in.contains("operator_label"), folded(columns.Text(s.Label)))
	}
	if s.Search != "" {
		var any conditions
		for _, column := range searchColumns {
			any.add(in.contains(column), folded(columns.Text(s.Search)))
		}
		all.add("("+strings.Join(any.sql, " OR ")+")", any.values...)
	}
	if !s.Changed.IsZero() {
		all.add("state_since >= ?", columns.Micros(s.Changed))
		unseen := d.unreadable() // nobody saw when the key went
		all.add("NOT (state <> 'reconnect_required' AND "+unseen.String()+")", unseen.values...)
	}
	if !s.Quiet.IsZero() {
		all.add("last_event_at < ? AND installed_at < ?", columns.Micros(s.Quiet), columns.Micros(s.Quiet))
	}
	return all
}

// contains is a condition with one value, in lower case.
func (in dialect) contains(column string) string {
	return in.find + "(lower(" + column + in.collate + "), ?) > 0"
}

// granted is a condition with one value, the name of a permission.
func granted(in dialect) string {
	return in.find + "(',' || scopes || ',', ',' || ? || ',') > 0"
}

// shown are expressions for what connection.Shown returns, after what sealer.open makes of a row that can't be opened.
func (d *DB) shown(needed []connection.Scope) (state, reason *conditions) {
	in := dialectOf(d.pool.Dialect)
	unreadable, missing := d.unreadable(), &conditions{}
	for _, s := range needed {
		missing.add("NOT "+granted(in), columns.Text(s.Name))
	}

	state, reason = &conditions{}, &conditions{}
	state.add("CASE WHEN "+unreadable.String()+" THEN 'reconnect_required'", unreadable.values...)
	reason.add("CASE WHEN "+unreadable.String()+" THEN 'unreadable'", unreadable.values...)
	if len(missing.sql) > 0 {
		lacks := " WHEN state = 'active' AND (" + strings.Join(missing.sql, " OR ") + ")"
		state.sql[0] += lacks + " THEN 'limited'"
		reason.sql[0] += lacks + " THEN 'missing_scope'"
		state.values, reason.values = append(state.values, missing.values...), append(reason.values, missing.values...)
	}
	state.sql[0] = "(" + state.sql[0] + " ELSE state END)"
	reason.sql[0] = "(" + reason.sql[0] + " ELSE reason END)"
	return state, reason
}

// unreadable is a condition for rows with a secret that was sealed with none of our keys. A pause is the operator's
// word, and stays.
func (d *DB) unreadable() *conditions {
	known := d.keys.Prefixes()
	var boxes []string
	var values []any
	for _, column := range (connectionRow{}).sealedColumns() {
		box := "length(" + column + ") > 0"
		if len(known) > 0 {
			box = "(" + box + " AND substr(" + column + ", ?, ?) NOT IN ?)"
			values = append(values, seal.PrefixAt, seal.PrefixLength, known)
		}
		boxes = append(boxes, box)
	}
	some := &conditions{}
	some.add("(state <> 'paused' AND ("+strings.Join(boxes, " OR ")+"))", values...)
	return some
}

// Select returns those of a selection that stand behind a place in the list, at most n, without their secrets, in the
// states that Lookup would give. The list is ordered by TeamName and ID, and read along an index.
func (d *DB) Select(ctx context.Context, s Selection, after Cursor, n int) ([]connection.Connection, error) {
	if n <= 0 {
		return nil, nil
	}
	where := d.where(s)
	if after != (Cursor{}) {
		collate := dialectOf(d.pool.Dialect).collate
		where.add("(team_name"+collate+", id"+collate+") > (?, ?)", columns.Text(after.TeamName), columns.Text(after.ID))
	}
	collate := dialectOf(d.pool.Dialect).collate
	page := d.pool.Read.Where(where.String(), where.values...).Order("team_name" + collate + ", id" + collate).Limit(n)
	return db.All(ctx, "list connections", page, d.withoutSecrets)
}

// CountSelected returns how many there are of a selection.
func (d *DB) CountSelected(ctx context.Context, s Selection) (int, error) {
	var n int
	where := d.where(s)
	err := d.pool.Read.WithContext(ctx).Raw("SELECT count(*) FROM connections WHERE "+where.String(), where.values...).
		Scan(&n).Error
	return n, db.Fault(ctx, "count connections", err)
}

// withoutSecrets opens a row to learn whether it can be, and drops what was in it.
func (d *DB) withoutSecrets(row *connectionRow) connection.Connection {
	c, _ := d.open(row)
	blank(secretsOf(&c))
	return c
}
