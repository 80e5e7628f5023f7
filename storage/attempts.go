package storage

// An OAuth state is worth something exactly once. This file keeps install attempts, which begin when a state is used.

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/oauth"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// attempts are the installs that were begun.
type attempts struct{ pool *db.Pool }

// BeginAttempt is install.Store's. A row that is there and unused is one of the release before, which kept it from
// the start on, or one whose state was given back.
func (s attempts) BeginAttempt(ctx context.Context, a oauth.Attempt) error {
	const doing = "begin attempt"
	if len(a.StateHash) == 0 {
		return fmt.Errorf("%s: it has no state hash", doing)
	}

	row := attemptRowOf(a)
	unused := clause.OnConflict{
		Columns:   []clause.Column{{Name: "state_hash"}},
		Where:     clause.Where{Exprs: []clause.Expression{gorm.Expr("install_attempts.returned_at = 0")}},
		DoUpdates: clause.AssignmentColumns([]string{"returned_at", "answer_hash", "ended_at", "outcome", "reason"}),
	}

	var won bool
	err := s.pool.Exec(ctx, func(g *gorm.DB) error {
		row.ID = 0
		begin := g.Clauses(unused).Create(&row)
		won = begin.RowsAffected == 1
		return begin.Error
	})
	if err == nil && !won {
		return oauth.ErrStateUsed
	}
	return db.Fault(ctx, doing, err)
}

// GetAttempt is install.Store's.
func (s attempts) GetAttempt(ctx context.Context, stateHash []byte) (oauth.Attempt, error) {
	row, err := db.One[attemptRow](s.pool.Read.WithContext(ctx).Where("state_hash = ?", append([]byte{}, stateHash...)).
		Limit(1))
	if err != nil {
		return oauth.Attempt{}, db.Fault(ctx, "find attempt", err, connection.ErrNotFound)
	}
	return row.attempt(), nil
}

// EndAttempt is install.Store's. The attempt is found by its StateHash.
func (s attempts) EndAttempt(ctx context.Context, a oauth.Attempt) error {
	var found int64
	row := attemptRowOf(a)
	err := s.pool.Transact(ctx, func(tx *gorm.DB) error {
		end := tx.Model(&attemptRow{}).Where("state_hash = ?", row.StateHash).
			Select("returned_at", "answer_hash", "ended_at", "outcome", "reason", "connection_id", "team_id", "user_id").
			Updates(&row)
		found = end.RowsAffected
		return end.Error
	})
	if err == nil && found == 0 {
		return connection.ErrNotFound
	}
	return db.Fault(ctx, "end attempt", err)
}

// Attempts returns the newest attempts, newest first, at most n.
func (s attempts) Attempts(ctx context.Context, n int) ([]oauth.Attempt, error) {
	if n <= 0 {
		return nil, nil
	}
	return db.All(ctx, "list attempts", s.pool.Read.Order("started_at DESC, id DESC").Limit(n), (*attemptRow).attempt)
}

// SweepAttempts is install.Store's.
func (s attempts) SweepAttempts(ctx context.Context, kept, nameless time.Time) (int64, error) {
	var swept int64
	err := s.pool.Transact(ctx, func(tx *gorm.DB) error {
		sweep := tx.Where("started_at < ? OR user_id = '' AND started_at < ?",
			columns.Micros(s.pool.Clock.Spared(kept)), columns.Micros(s.pool.Clock.Spared(nameless))).Delete(&attemptRow{})
		swept = sweep.RowsAffected
		return sweep.Error
	})
	return swept, db.Fault(ctx, "sweep attempts", err)
}
