package storage_test

// What is copied to the other database is all that there was, byte by byte, and whoever works it there goes on.

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// notCopied are tables that say how the database is laid out, and SQLite's payloads, which are copied with their rows.
var notCopied = []string{"goose_db_version", "schema_state", "inbox_payloads", "sqlite_sequence"}

// copying is a database with content, and an empty one of the other kind, in which there are no tables yet.
type copying struct {
	from storetest.Fixture
	to   *storage.DB
	url  string // of to
	keys *seal.Keyring
}

// eachCopy runs a test in both directions.
func eachCopy(t *testing.T, test func(t *testing.T, c copying)) {
	t.Helper()
	storetest.EachFresh(t, func(t *testing.T, url string) {
		other := storagetest.Postgres
		if strings.HasPrefix(url, "postgres") {
			other = storagetest.SQLite
		}
		c := copying{url: other(t), keys: storetest.Ring(t, seal.NewKey())}
		c.from = storetest.Fixture{DB: storetest.OpenWith(t, url, c.keys), URL: url, Raw: storetest.RawHandle(t, url)}
		_, err := c.from.Migrate(t.Context())
		storetest.OK(t, err)
		c.to = storetest.OpenWith(t, c.url, c.keys)
		test(t, c)
	})
}

// fill puts something into every table: as the program does it, and with values at the edges of what columns hold.
func (c copying) fill(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	acme := storetest.Put(t, c.from, storetest.Full(storetest.Key("A1", "E1", "T1")))
	grant(t, c.from, person(acme.Key, "U1"))
	start(t, c.from, attempt("one", storetest.T0))
	_, err := c.from.Take(ctx, slackapi.Budget{Name: "one", Interval: time.Second, Burst: 1}, 1, storetest.T0)
	storetest.OK(t, err)
	owner := bot.ValueOwner{ConnectionID: acme.ID, AppID: acme.AppID, TeamID: acme.TeamID}
	storetest.OK(t, c.from.Values().Put(ctx, owner, "standup", []byte("mondays"), time.Time{}))

	in, err := c.from.Inbox(ctx, inbox.Config{})
	storetest.OK(t, err)
	in.Start()
	defer in.Close()
	later := bot.Timed{Name: "remind", Key: "k", At: storetest.T0.Add(time.Hour), Data: []byte("ask")}
	storetest.OK(t, c.from.Timers("", in).Schedule(ctx, owner, later))
	add := func(id string, take bool) bot.Delivery {
		e := storetest.Event(id, "T1")
		_, err := in.Add(ctx, &e, take)
		storetest.OK(t, err)
		return e
	}
	storetest.OK(t, in.Done(ctx, add("done", true)))
	storetest.OK(t, in.DeadLetter(ctx, add("dead", true), "not_in_channel"))
	written := add("held", true)
	storetest.OK(t, in.RecordStream(ctx, written, []byte("half an answer")))
	add("ready", false)

	for i, column := range []string{"team_name", "installed_by_name", "reason"} {
		storetest.Exec(t, c.from, "UPDATE connections SET "+column+" = '"+
			[]string{"Größe 😀", "a ''b'' \"c\" \\ % ", "two\nlines\tand a tab"}[i]+"'")
	}
	storetest.Exec(t, c.from, "UPDATE connections SET expires_at = 9223372036854775807, installs = -9223372036854775808")
	// As the release before wrote it, in the row.
	c.from.PutPayload(t, "ready", storetest.Payload(t, c.from, "ready"))
	// The last number was given to a row that is gone.
	storetest.Exec(t, c.from, "INSERT INTO connection_history (connection_id, at, actor, actor_id, what, outcome, reason) "+
		"SELECT id, 1, '', '', 'check', 'done', '' FROM connections")
	storetest.Exec(t, c.from, "DELETE FROM connection_history WHERE id = (SELECT max(id) FROM connection_history)")
}

// content is what is in a table, a line for each row.
func content(t *testing.T, f storetest.Fixture, table string) []string {
	t.Helper()
	columns := slices.Sorted(maps.Keys(columnsOf(t, f)[table]))
	query := "SELECT " + strings.Join(columns, ", ") + " FROM " + table
	if table == "inbox" && f.Dialect() == "sqlite" {
		query = strings.Replace(query, " payload", " CASE WHEN length(inbox.payload) > 0 THEN inbox.payload ELSE "+
			"coalesce((SELECT payload FROM inbox_payloads p WHERE p.id = inbox.id), x'') END", 1)
	}
	rows, err := f.Raw.Query(query)
	storetest.OK(t, err)
	defer rows.Close()

	var all []string
	for rows.Next() {
		into, cells := make([]any, len(columns)), make([]any, len(columns))
		for i := range into {
			into[i] = &cells[i]
		}
		storetest.OK(t, rows.Scan(into...))
		var line strings.Builder
		for i, cell := range cells {
			if text, ok := cell.(string); ok {
				cell = []byte(text)
			}
			if b, ok := cell.([]byte); ok || cell == nil {
				cell = fmt.Sprintf("%q", b)
			}
			fmt.Fprintf(&line, "%s=%v ", columns[i], cell)
		}
		all = append(all, line.String())
	}
	storetest.OK(t, rows.Err())
	slices.Sort(all)
	return all
}

func TestCopyTo(t *testing.T) {
	t.Parallel()
	eachCopy(t, func(t *testing.T, c copying) {
		ctx := t.Context()
		c.fill(t)
		would, err := c.from.CopyTo(ctx, c.to, true)
		storetest.OK(t, err)
		if err := c.to.CheckSchema(ctx); err == nil {
			t.Error("a dry run made tables")
		}
		report, err := c.from.CopyTo(ctx, c.to, false)
		if err != nil || !slices.Equal(would.Tables, report.Tables) || would.Rows != report.Rows {
			t.Fatalf("copied %v, would have copied %v, %v", report, would, err)
		}

		// Every table that there is, with content, row by row.
		copied := storetest.Fixture{DB: c.to, URL: c.url, Raw: storetest.RawHandle(t, c.url)}
		reported := map[string]int64{}
		for _, table := range report.Tables {
			reported[table.Name] = table.Rows
		}
		for table := range columnsOf(t, copied) {
			if slices.Contains(notCopied, table) {
				continue
			}
			if copied.Dialect() == "postgres" && columnsOf(t, copied)[table]["id"] == "bigint, its own" {
				var last, highest int64
				storetest.OK(t, copied.Raw.QueryRow("SELECT nextval(pg_get_serial_sequence('"+table+"', 'id'))").Scan(&last))
				storetest.OK(t, copied.Raw.QueryRow("SELECT max(id) FROM "+table).Scan(&highest))
				if last <= highest {
					t.Errorf("the next row of %s would get the number %d, and %d is taken", table, last, highest)
				}
			}
			was, is := content(t, c.from, table), content(t, copied, table)
			if len(was) == 0 || reported[table] != int64(len(was)) {
				t.Errorf("%s has %d rows, and %d are reported", table, len(was), reported[table])
			}
			if !slices.Equal(was, is) {
				t.Errorf("%s was\n%s\nand is\n%s", table, strings.Join(was, "\n"), strings.Join(is, "\n"))
			}
		}

		// Nothing is sealed otherwise, and numbers go on behind those that were given.
		if found, err := c.to.CheckKeys(ctx); err != nil || len(found.Unreadable) > 0 || found.Rows != 1 ||
			found.UserTokens != 1 || found.Events != 3 || found.Values != 1 || found.Timers != 1 {
			t.Errorf("keys: %+v, %v", found, err)
		}
		storetest.OK(t, c.to.Ready(ctx))
		next := func(f storetest.Fixture) (id int64) {
			storetest.Exec(t, f, "INSERT INTO connection_history (connection_id, at, actor, actor_id, what, outcome, reason) "+
				"SELECT id, 1, '', '', 'check', 'done', '' FROM connections")
			storetest.OK(t, f.Raw.QueryRow("SELECT max(id) FROM connection_history").Scan(&id))
			return id
		}
		if was, is := next(c.from), next(copied); is < was {
			t.Errorf("the next line of history has the number %d, and would have had %d", is, was)
		}
	})
}

// A copy is whole or isn't there, and none is made of what can't be one.
func TestCopyToRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(t *testing.T, c *copying)
		want  error
		says  string
	}{
		"another program works the source": {
			func(t *testing.T, c *copying) {
				if c.from.Dialect() == "sqlite" {
					storetest.OK(t, storetest.OpenWithout(t, c.from.URL).Exclusive())
				} else {
					storetest.OK(t, storetest.OpenWithout(t, c.url).Exclusive())
				}
			}, storage.ErrInUse, "stop it first"},
		"the target has content": {
			func(t *testing.T, c *copying) {
				_, err := c.to.Migrate(t.Context())
				storetest.OK(t, err)
				storetest.Put(t, c.to, storetest.Full(storetest.Key("A1", "", "T9")))
			}, storage.ErrOccupied, "connections"},
		"the source is of an older release": {
			func(t *testing.T, c *copying) {
				storetest.Exec(t, c.from, "DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM "+
					"goose_db_version)")
			}, storage.ErrUnfit, "the database to copy: the tables are of an older release"},
		"the source is of a newer release": {
			func(t *testing.T, c *copying) {
				storetest.Exec(t, c.from, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)")
			}, storage.ErrUnfit, "the database to copy: the tables are of a newer release"},
		"the target is of a newer release": {
			func(t *testing.T, c *copying) {
				_, err := c.to.Migrate(t.Context())
				storetest.OK(t, err)
				f := storetest.Fixture{DB: c.to, URL: c.url, Raw: storetest.RawHandle(t, c.url)}
				storetest.Exec(t, f, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)")
			}, storage.ErrUnfit, "the database to copy to: the tables are of a newer release"},
		"the keys are others": {
			func(t *testing.T, c *copying) {
				storetest.OK(t, c.from.Close())
				c.from.DB = storetest.OpenWith(t, c.from.URL, storetest.Ring(t, seal.NewKey()))
			}, storage.ErrUnopened, "can't be opened"},
		"a column that nobody knows": {
			func(t *testing.T, c *copying) {
				storetest.Exec(t, c.from, "ALTER TABLE budgets ADD COLUMN of_tomorrow text NOT NULL DEFAULT ''")
			}, nil, "budgets: the two databases don't have the same columns"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachCopy(t, func(t *testing.T, c copying) {
				c.fill(t)
				test.spoil(t, &c)
				_, err := c.from.CopyTo(t.Context(), c.to, false)
				if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("%v, not %q", err, test.says)
				}
				c.nothingCopied(t)
			})
		})
	}
}

// nothingCopied fails the test where the target has any of what fill wrote.
func (c copying) nothingCopied(t *testing.T) {
	t.Helper()
	copied := storetest.Fixture{DB: c.to, URL: c.url, Raw: storetest.RawHandle(t, c.url)}
	for table := range columnsOf(t, copied) {
		if slices.Contains(notCopied, table) {
			continue
		}
		if n := copied.CountOf(t, "SELECT count(*) FROM "+table); n > 0 && (table != "connections" &&
			table != "connection_history" || n > 1) {
			t.Errorf("%d rows of %s were copied", n, table)
		}
	}
}

// What the other database made something else of is noticed, and taken back.
func TestCopyIsReadBack(t *testing.T) {
	t.Parallel()
	eachCopy(t, func(t *testing.T, c copying) {
		c.fill(t)
		_, err := c.to.Migrate(t.Context())
		storetest.OK(t, err)
		f := storetest.Fixture{DB: c.to, URL: c.url, Raw: storetest.RawHandle(t, c.url)}
		if f.Dialect() == "sqlite" {
			storetest.Exec(t, f, "CREATE TRIGGER odd AFTER INSERT ON budgets BEGIN UPDATE budgets SET free_at = free_at + 1; END")
		} else {
			storetest.Exec(t, f, "CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS "+
				"'BEGIN NEW.free_at = NEW.free_at + 1; RETURN NEW; END'")
			storetest.Exec(t, f, "CREATE TRIGGER odd BEFORE INSERT ON budgets FOR EACH ROW EXECUTE FUNCTION odd()")
		}
		if _, err := c.from.CopyTo(t.Context(), c.to, false); err == nil || !strings.Contains(err.Error(), "taken back") {
			t.Errorf("a copy that differs: %v", err)
		}
		c.nothingCopied(t)
	})
}

// Both are of one kind: there are better ways.
func TestCopyToTheSameKind(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		if _, err := f.CopyTo(t.Context(), f.DB, false); !errors.Is(err, storage.ErrSameKind) {
			t.Errorf("to the same kind: %v", err)
		}
	})
}
