package storage

// An OAuth state is worth something exactly once. This file keeps install attempts and consumes their states.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"switchboard/install"
)

// StartAttempt is install.Store's. A StateHash that is not new is refused by the database: gorm.ErrDuplicatedKey.
func (db *DB) StartAttempt(ctx context.Context, a install.Attempt) error {
	if len(a.StateHash) == 0 {
		return errors.New("start attempt: it has no state hash")
	}
	row := attemptRowOf(a)
	if err := db.transact(ctx, func(tx *gorm.DB) error { return tx.Create(&row).Error }); err != nil {
		return fault(ctx, "start attempt", err)
	}
	return nil
}

// TakeAttempt is install.Store's. The state is valid until the moment it expires, and not in it.
func (db *DB) TakeAttempt(ctx context.Context, r install.Return) (install.Attempt, error) {
	const doing = "take attempt"
	if r.At.IsZero() {
		return install.Attempt{}, fmt.Errorf("%s: it needs a time, or the state would stay unused", doing)
	}
	var (
		taken bool
		rows  []attemptRow
	)
	err := db.transact(ctx, func(tx *gorm.DB) error {
		take := tx.Model(&attemptRow{}).
			Where("state_hash = ? AND browser_hash = ? AND returned_at = 0 AND expires_at > ?", r.StateHash, append([]byte{}, r.BrowserHash...), micros(r.At)).
			Updates(map[string]any{"returned_at": micros(r.At), "answer_hash": append([]byte{}, r.AnswerHash...)})
		if take.Error != nil {
			return take.Error
		}
		taken, rows = take.RowsAffected == 1, nil
		return tx.Where("state_hash = ?", r.StateHash).Find(&rows).Error
	})
	switch {
	case err != nil:
		return install.Attempt{}, fault(ctx, doing, err)
	case len(rows) == 0:
		return install.Attempt{}, install.ErrNotFound
	case taken:
		return rows[0].attempt(), nil
	case rows[0].ReturnedAt != 0:
		return rows[0].attempt(), install.ErrStateUsed
	case rows[0].ExpiresAt <= micros(r.At):
		return rows[0].attempt(), install.ErrStateExpired
	}
	return rows[0].attempt(), install.ErrOtherBrowser
}

// EndAttempt is install.Store's. The attempt is found by its StateHash.
func (db *DB) EndAttempt(ctx context.Context, a install.Attempt) error {
	var found int64
	row := attemptRowOf(a)
	err := db.transact(ctx, func(tx *gorm.DB) error {
		end := tx.Model(&attemptRow{}).Where("state_hash = ?", row.StateHash).
			Select("ended_at", "outcome", "reason", "connection_id", "team_id", "user_id").Updates(&row)
		found = end.RowsAffected
		return end.Error
	})
	if err != nil {
		return fault(ctx, "end attempt", err)
	}
	if found == 0 {
		return install.ErrNotFound
	}
	return nil
}

// Attempts is install.Store's.
func (db *DB) Attempts(ctx context.Context, n int) ([]install.Attempt, error) {
	if n <= 0 {
		return nil, nil
	}
	var rows []attemptRow
	if err := db.read.WithContext(ctx).Order("started_at DESC, id DESC").Limit(n).Find(&rows).Error; err != nil {
		return nil, fault(ctx, "list attempts", err)
	}
	attempts := make([]install.Attempt, len(rows))
	for i := range rows {
		attempts[i] = rows[i].attempt()
	}
	return attempts, nil
}

// SweepAttempts is install.Store's.
func (db *DB) SweepAttempts(ctx context.Context, kept, abandoned time.Time) (int64, error) {
	var swept int64
	err := db.transact(ctx, func(tx *gorm.DB) error {
		sweep := tx.Where("started_at < ? OR returned_at = 0 AND started_at < ?", micros(db.clock.spared(kept)), micros(db.clock.spared(abandoned))).Delete(&attemptRow{})
		swept = sweep.RowsAffected
		return sweep.Error
	})
	if err != nil {
		return 0, fault(ctx, "sweep attempts", err)
	}
	return swept, nil
}
