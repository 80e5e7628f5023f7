package db

// Rows are read one alone, all together, or in batches without a lock between them.

import (
	"context"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/install/connection"
)

// One is the first row that query finds. connection.ErrNotFound.
func One[T any](query *gorm.DB) (row T, err error) {
	rows := make([]T, 0, 3) // GORM would take room for 20
	if err := query.Find(&rows).Error; err != nil {
		return row, err
	}
	if len(rows) == 0 {
		return row, connection.ErrNotFound
	}
	return rows[0], nil
}

// All is what query finds, each row turned into what it stands for.
func All[Row, T any](ctx context.Context, doing string, query *gorm.DB, turn func(*Row) T) ([]T, error) {
	var rows []Row
	if err := query.WithContext(ctx).Find(&rows).Error; err != nil {
		return nil, Fault(ctx, doing, err)
	}
	all := make([]T, len(rows))
	for i := range rows {
		all[i] = turn(&rows[i])
	}
	return all, nil
}

// rowsAtOnce bounds the memory of a walk over all rows.
const rowsAtOnce = 500

func WalkRows[T any](ctx context.Context, all *gorm.DB, visit func(*T) error,
	after func(rest *gorm.DB, last *T) *gorm.DB) error {
	all = all.WithContext(ctx)
	rest, n := all, 1 // who asks for any secret, as each visit to the landing page does, is done with the first
	for ; ; n = rowsAtOnce {
		var rows []T
		if err := rest.Limit(n).Find(&rows).Error; err != nil {
			return Fault(ctx, "read encrypted rows", err)
		}
		for i := range rows {
			if err := visit(&rows[i]); err != nil {
				return err
			}
		}
		if len(rows) < n {
			return nil
		}
		rest = after(all, &rows[len(rows)-1])
	}
}
