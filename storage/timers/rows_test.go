package timers

import (
	"testing"

	"github.com/switchboard-go/switchboard/storage/internal/db"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

func TestSchemaEqualsModels(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			pool, err := db.Open(t.Context(), fresh(t))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = pool.Close() }()
			if _, err := db.NewUpkeep(pool).Migrate(t.Context(), func() error { return nil }); err != nil {
				t.Fatal(err)
			}
			storagetest.SameColumns(t, pool.Write, &row{})
		})
	}
}
