package db

// All rows of a table are read in batches, without a lock between them.

import (
	"context"

	"gorm.io/gorm"
)

// rowsAtOnce bounds the memory of a walk over all rows.
const rowsAtOnce = 500

func WalkRows[T any](ctx context.Context, all *gorm.DB, visit func(*T) error, after func(rest *gorm.DB, last *T) *gorm.DB) error {
	all = all.WithContext(ctx)
	rest, n := all, 1 // who asks for any secret, as each visit to the landing page does, is done with the first
	for ; ; n = rowsAtOnce {
		var rows []T
		if err := rest.Limit(n).Find(&rows).Error; err != nil {
			return Fault(ctx, "read sealed rows", err)
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
