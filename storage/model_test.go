package storage

// The migrations are written by hand and so are GORM's structs; this test is what keeps them the same. It is inside the
// package because the structs are nobody else's business.

import (
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"switchboard/storage/storagetest"
)

func TestSchemaEqualsModels(t *testing.T) {
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite, "postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			db, err := Open(t.Context(), fresh(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			types := map[schema.DataType]string{schema.String: "text", schema.Int: "int8 integer", schema.Bytes: "bytea blob"}
			for _, model := range []any{&connectionRow{}, &attemptRow{}} {
				parsed, err := schema.Parse(model, new(sync.Map), db.write.NamingStrategy)
				if err != nil {
					t.Fatal(err)
				}
				columns, err := db.write.Migrator().ColumnTypes(model)
				if err != nil {
					t.Fatal(err)
				}
				have := map[string]bool{}
				for _, column := range columns {
					have[column.Name()] = true
					field := parsed.FieldsByDBName[column.Name()]
					if field == nil {
						t.Errorf("%s.%s is in no struct", parsed.Table, column.Name())
						continue
					}
					got := strings.ToLower(column.DatabaseTypeName())
					if want := types[field.DataType]; want == "" || !strings.Contains(" "+want+" ", " "+got+" ") {
						t.Errorf("%s.%s is %s in the database and %s in the struct", parsed.Table, column.Name(), got, field.DataType)
					}
				}
				for _, column := range parsed.DBNames {
					if !have[column] {
						t.Errorf("%s.%s is not in the database", parsed.Table, column)
					}
				}
				for _, field := range parsed.Fields {
					if field.AutoCreateTime != 0 || field.AutoUpdateTime != 0 || field.Serializer != nil {
						t.Errorf("GORM writes %s.%s by itself", parsed.Table, field.DBName)
					}
				}
			}
			if db.write.Logger != logger.Discard || db.read.Logger != logger.Discard {
				t.Error("GORM logs statements, and statements hold values")
			}
		})
	}
}
