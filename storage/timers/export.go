package timers

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// Stored is a timer as it lies in the database.
type Stored struct {
	TeamID, Name, Key string
	Recurs            string // how; "" for once
	Due               time.Time
	Parked            bool   // its connection can't be used
	Data              []byte // what it brings along; nil where there is nothing, or no key opens it
}

// Each calls visit for each timer of a connection.
func (t *Table) Each(ctx context.Context, connectionID string, visit func(Stored) error) error {
	of := t.pool.Read.Where("connection_id = ?", columns.Text(connectionID)).Order("id")
	return db.WalkRows(ctx, of, func(r *row) error {
		one := Stored{TeamID: r.TeamID, Name: r.Name, Key: r.TimerKey, Recurs: r.Spec, Due: columns.Moment(r.DueAt),
			Parked: r.Parked != 0}
		if len(r.Payload) > 0 {
			one.Data, _ = t.keys.Open(r.Payload, r.place())
		}
		return visit(one)
	}, func(rest *gorm.DB, last *row) *gorm.DB { return rest.Where("id > ?", last.ID) })
}
