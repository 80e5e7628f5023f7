package inbox

import (
	"context"
	"database/sql"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
)

// What the tests of the inbox reach for inside.

// Sweep and LetAllGo do what Run does now and then.
func (in *Inbox) Sweep(ctx context.Context) error    { return in.tidier.sweep(ctx) }
func (in *Inbox) LetAllGo(ctx context.Context) error { return in.tidier.letAllGo(ctx) }

// Queued is how many events wait for the next shared commit; Committing reports that one is under way and none waits.
func (in *Inbox) Queued() int      { return len(in.adds) }
func (in *Inbox) Committing() bool { return in.bytes.Load() > 0 && len(in.adds) == 0 }

// Tidy does what Run does now and then. Step is the clock being set, and followed.
func (in *Inbox) Tidy(ctx context.Context) error { return in.tidier.tidy(ctx) }

func (in *Inbox) Step(by time.Duration) { in.clock.Step(by) }

// Now is the inbox's time, and LookAtAll has the next claim look at everything.
func (in *Inbox) Now() time.Time { return in.now() }
func (in *Inbox) LookAtAll()     { in.lookAtAll() }

// Look compares the clock with this machine's.
func (in *Inbox) Look() { in.clock.Look() }

// LoseAnswers has what changes and returns rows committed, and its answer lost while lose is set, as when a connection
// breaks in that moment. It is called before anything else uses t.
func (t *Table) LoseAnswers(lose *atomic.Bool) error {
	if t.apart() {
		pool := losingPool{t.pool.Single.ConnPool.(*sql.DB), lose}
		t.pool.Single.ConnPool, t.pool.Single.Statement.ConnPool = pool, pool
	}
	return t.pool.Single.Callback().Row().After("gorm:row").Register("test:lost", func(tx *gorm.DB) {
		rows, returned := tx.Statement.Dest.(*sql.Rows)
		_, within := tx.Statement.ConnPool.(gorm.TxCommitter) // which has an answer of its own
		if !lose.Load() || !returned || tx.Error != nil || within || strings.HasPrefix(tx.Statement.SQL.String(), "SELECT") {
			return
		}
		for rows.Next() { // only then SQLite has committed
		}
		_ = tx.AddError(rows.Close())
		_ = tx.AddError(io.ErrUnexpectedEOF)
	})
}

// losingPool loses the answers to commits.
type losingPool struct {
	*sql.DB
	lose *atomic.Bool
}

func (p losingPool) BeginTx(ctx context.Context, options *sql.TxOptions) (gorm.ConnPool, error) {
	tx, err := p.DB.BeginTx(ctx, options)
	return &losingTx{tx, p.lose}, err
}

type losingTx struct {
	*sql.Tx
	lose *atomic.Bool
}

func (tx *losingTx) Commit() error {
	err := tx.Tx.Commit()
	if err == nil && tx.lose.Load() {
		return io.ErrUnexpectedEOF
	}
	return err
}
