package inbox

// What an operator picks out of the inbox: by the database, in steps, so that neither a hundred thousand dead letters
// nor those who write meanwhile mind.

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// Selection says which events are meant: those that fit all of it. The zero value is all that isn't done.
type Selection struct {
	State  string    // ready, held, waiting, queued or dead; "": all of them
	Type   string    // of the event, or the handler's name
	Team   string    // a workspace's or an organisation's ID
	Reason string    // why the last attempt failed: what Reason says of its error
	Since  time.Time // dead letters that were given up since then, and others that came since then
}

// lookedAtOnce is how many rows are looked at in one step, changedAtOnce how many are changed: on SQLite everybody else's
// writes wait for that.
const (
	lookedAtOnce  = 5000
	changedAtOnce = 500
)

// states are conditions of which each has an index of its own.
var states = map[string]string{
	eventReady: "state = 'ready'", eventHeld: "state IN ('held', 'waiting') AND state = 'held'",
	eventWaiting: "state IN ('held', 'waiting') AND state = 'waiting'", eventDead: "state = 'dead'",
	eventQueued: "lane <> '' AND state IN ('ready', 'held', 'waiting', 'queued') AND state = 'queued'",
}

// inStates are the conditions for a selection, without done events.
func (s Selection) inStates() []string {
	if s.State != "" {
		return []string{cmp.Or(states[s.State], "1 = 0")}
	}
	return slices.Sorted(maps.Values(states))
}

// where is what a selection means in SQL, but for the reason.
func (s Selection) where() (condition string, values []any) {
	all := []string{"1 = 1"}
	if s.Type != "" {
		all, values = append(all, "type = ?"), append(values, columns.Text(s.Type))
	}
	if s.Team != "" {
		all, values = append(all, "(team_id = ? OR enterprise_id = ?)"),
			append(values, columns.Text(s.Team), columns.Text(s.Team))
	}
	if !s.Since.IsZero() {
		all, values = append(all, "CASE WHEN state = 'dead' THEN finished_at ELSE received_at END >= ?"),
			append(values, columns.Micros(s.Since))
	}
	return strings.Join(all, " AND "), values
}

// ids returns the IDs of those that fit and stand behind one (0: the beginning), in order, at most n. newest turns the
// order around.
func (t *Table) ids(ctx context.Context, s Selection, after int64, newest bool, n int) (found []int64, err error) {
	behind, order := "id > ?", "id"
	if newest {
		behind, order = "(id < ? OR ? = 0)", "id DESC"
	}
	for len(found) < n {
		condition, values := s.where()
		var parts []string
		var args []any
		for _, state := range s.inStates() {
			// In brackets of its own, each part stops where there is enough of it.
			parts = append(parts, "SELECT id, error FROM (SELECT id, error FROM inbox WHERE "+state+" AND "+behind+" AND "+
				condition+" ORDER BY "+order+" LIMIT ?) AS part")
			args = append(args, after)
			if newest {
				args = append(args, after)
			}
			args = append(append(args, values...), lookedAtOnce)
		}

		looked := 0
		query := "SELECT id, error FROM (" + strings.Join(parts, " UNION ALL ") + ") AS rows_of_all ORDER BY " + order + " LIMIT ?"
		err := each(t.pool.Read.WithContext(ctx), query, append(args, lookedAtOnce), func(r *sql.Rows) error {
			var text string
			if err := r.Scan(&after, &text); err != nil {
				return err
			}
			looked++
			if len(found) < n && (s.Reason == "" || Reason(text) == s.Reason) {
				found = append(found, after)
			}
			return nil
		})
		if err != nil {
			return nil, db.Fault(ctx, "look through the inbox", err)
		}
		if looked < lookedAtOnce {
			break
		}
	}
	return found, nil
}

// SelectEvents returns those that fit and stand behind one (its ID in the inbox; 0: the beginning), the oldest first or the
// newest, at most n, without what is in them.
func (t *Table) SelectEvents(ctx context.Context, s Selection, after int64, newest bool, n int) ([]Letter, error) {
	ids, err := t.ids(ctx, s, after, newest, n)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	order := "id"
	if newest {
		order = "id DESC"
	}
	return db.All(ctx, "list the inbox", t.withPayloads().Where("id IN ?", ids).Order(order), func(row *inboxRow) Letter {
		l := t.letter(row)
		l.Event.Body = nil
		return l
	})
}

// CountEvents returns how many fit.
func (t *Table) CountEvents(ctx context.Context, s Selection) (n int, err error) {
	if s.Reason != "" {
		for after := int64(0); ; {
			some, err := t.ids(ctx, s, after, false, lookedAtOnce)
			n += len(some)
			if err != nil || len(some) < lookedAtOnce {
				return n, err
			}
			after = some[len(some)-1]
		}
	}

	condition, values := s.where()
	var parts []string
	var args []any
	for _, state := range s.inStates() {
		parts = append(parts, "SELECT count(*) AS n FROM inbox WHERE "+state+" AND "+condition)
		args = append(args, values...)
	}
	err = t.pool.Read.WithContext(ctx).Raw("SELECT sum(n) FROM ("+strings.Join(parts, " UNION ALL ")+") AS parts", args...).
		Scan(&n).Error
	return n, db.Fault(ctx, "count events", err)
}

// ReplaySelected puts the dead letters that fit back into the inbox as if they had just come, and returns how many. It
// works in steps: with an error it says how many it were until then.
func (t *Table) ReplaySelected(ctx context.Context, s Selection) (int64, error) {
	return t.changeSelected(ctx, s, replayed)
}

// DropSelected gives the dead letters that fit up, as DropLetters does, in steps.
func (t *Table) DropSelected(ctx context.Context, s Selection) (int64, error) {
	return t.changeSelected(ctx, s, finished, []byte{}, columns.Micros(t.pool.Now()), "")
}

func (t *Table) changeSelected(ctx context.Context, s Selection, set string, args ...any) (n int64, err error) {
	s.State = eventDead
	for after := int64(0); ; {
		ids, err := t.ids(ctx, s, after, false, changedAtOnce)
		if err != nil || len(ids) == 0 {
			return n, err
		}
		after = ids[len(ids)-1]
		changed, err := t.pool.Change(ctx, "UPDATE inbox SET "+set+" WHERE state = 'dead' AND id IN ?",
			append(slices.Clone(args), ids)...)
		if n += changed; err != nil {
			return n, db.Fault(ctx, "change dead letters", err)
		}
	}
}

// Sum is how many events have something in common.
type Sum struct {
	State  string
	Type   string
	Key    connection.Key // whose they are
	Reason string
	N      int
	Oldest time.Time // when the first of them came
}

// Sums are what fits, once by type, once by workspace and once by reason, the most of them first. Those that wait and
// those that are dead are summed up apart.
type Sums struct{ ByType, ByWorkspace, ByReason []Sum }

// SumEvents sums up what fits.
func (t *Table) SumEvents(ctx context.Context, s Selection) (Sums, error) {
	condition, values := s.where()
	var parts []string
	var args []any
	for _, state := range s.inStates() {
		parts = append(parts, "SELECT state, type, app_id, enterprise_id, team_id, error, count(*) AS n, "+
			"min(received_at) AS oldest FROM inbox WHERE "+state+" AND "+condition+" GROUP BY 1, 2, 3, 4, 5, 6")
		args = append(args, values...)
	}

	byType, byWorkspace, byReason := map[Sum]Sum{}, map[Sum]Sum{}, map[Sum]Sum{}
	err := each(t.pool.Read.WithContext(ctx), strings.Join(parts, " UNION ALL "), args, func(r *sql.Rows) error {
		var one Sum
		var text string
		var oldest int64
		err := r.Scan(&one.State, &one.Type, &one.Key.AppID, &one.Key.EnterpriseID, &one.Key.TeamID, &text, &one.N, &oldest)
		one.Oldest, one.Reason = columns.Moment(oldest), Reason(text)
		if err != nil || s.Reason != "" && one.Reason != s.Reason {
			return err
		}
		if one.State != eventDead {
			one.State = ""
		}

		add(byType, Sum{State: one.State, Type: one.Type}, one)
		add(byWorkspace, Sum{State: one.State, Key: one.Key}, one)
		if one.Reason != "" {
			add(byReason, Sum{State: one.State, Reason: one.Reason}, one)
		}
		return nil
	})
	if err != nil {
		return Sums{}, db.Fault(ctx, "sum up the inbox", err)
	}
	return Sums{ordered(byType), ordered(byWorkspace), ordered(byReason)}, nil
}

func add(sums map[Sum]Sum, by, one Sum) {
	sum, seen := sums[by]
	if !seen {
		sum = by
	}
	sum.N += one.N
	if sum.Oldest.IsZero() || one.Oldest.Before(sum.Oldest) {
		sum.Oldest = one.Oldest
	}
	sums[by] = sum
}

// ordered are sums of what waits, then of what is dead, each with the most first.
func ordered(sums map[Sum]Sum) []Sum {
	return slices.SortedFunc(maps.Values(sums), func(a, b Sum) int {
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(b.N, a.N), cmp.Compare(a.Type, b.Type),
			cmp.Compare(a.Key.String(), b.Key.String()), cmp.Compare(a.Reason, b.Reason))
	})
}

// Queue is a conversation in which events wait for an earlier one.
type Queue struct {
	N      int       // how many wait
	Oldest time.Time // when the first of them came
	First  Letter    // what they wait for; without an ID when that ended this moment
}

// Queues returns the longest, at most n.
func (t *Table) Queues(ctx context.Context, n int) ([]Queue, error) {
	var rows []struct {
		Lane   string
		N      int
		Oldest int64
	}
	err := t.pool.Read.WithContext(ctx).Raw("SELECT lane, count(*) AS n, min(received_at) AS oldest FROM inbox WHERE "+
		states[eventQueued]+" GROUP BY lane ORDER BY 2 DESC, 1 LIMIT ?", n).Scan(&rows).Error
	if err != nil {
		return nil, db.Fault(ctx, "look for conversations that wait", err)
	}

	queues := make([]Queue, len(rows))
	for i, r := range rows {
		queues[i] = Queue{N: r.N, Oldest: columns.Moment(r.Oldest)}
		first, err := db.One[inboxRow](t.withPayloads().WithContext(ctx).
			Where("lane = ? AND lane <> '' AND state IN ('ready', 'held', 'waiting')", r.Lane))
		if err == nil {
			queues[i].First = t.letter(&first)
			queues[i].First.Event.Body = nil
		} else if !errors.Is(err, connection.ErrNotFound) {
			return nil, db.Fault(ctx, "look for conversations that wait", err)
		}
	}
	return queues, nil
}

// NextAttempt is when the first event that waits for its next attempt is due; zero: none does.
func (t *Table) NextAttempt(ctx context.Context) (time.Time, error) {
	var at int64
	err := t.pool.Read.WithContext(ctx).Raw("SELECT coalesce(min(visible_at), 0) FROM inbox WHERE " + states[eventWaiting]).
		Scan(&at).Error
	return columns.Moment(at), db.Fault(ctx, "look for the next attempt", err)
}
