package inbox

// How an event lies in the table.

import (
	"database/sql"
	"encoding/json"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
)

// inboxRow is a row of inbox.
type inboxRow struct {
	ID int64 `gorm:"primaryKey"`
	connection.Key
	EventID                  string
	Kind, Type, Lane, State  string
	Tag, VisibleAt           int64
	Attempt, Begun, Failures int
	ReceivedAt, FinishedAt   int64
	Said, Error, Trace       string
	Payload                  []byte // a box, wherever it lies; empty once the event is done
	Stream                   []byte // a box; empty unless an agent is writing
}

func (inboxRow) TableName() string { return "inbox" }

// scanEvent reads eventColumns.
func scanEvent(r *sql.Rows) (row inboxRow, err error) {
	err = r.Scan(&row.ID, &row.AppID, &row.EventID, &row.EnterpriseID, &row.TeamID, &row.Kind, &row.Type, &row.Lane,
		&row.Attempt, &row.Begun, &row.Failures,
		&row.ReceivedAt, &row.Said, &row.Tag, &row.Trace, &row.Payload)
	return row, err
}

func (r *inboxRow) name() string { return "inbox/" + r.EventID }

func (r *inboxRow) event() bot.Delivery {
	e := bot.Delivery{ID: r.EventID, Kind: r.Kind, Type: r.Type, Key: r.Key, OrderingKey: r.Lane,
		Received: columns.Moment(r.ReceivedAt), Row: r.ID, Attempt: r.Attempt, Failures: r.Failures, Deaths: r.Begun,
		Trace: r.Trace}
	_ = json.Unmarshal([]byte(r.Said), &e.Said) // ours; without it something may be said twice
	return e
}

// openRow turns a row into an event. One that can't be opened comes without its body.
func (t *Table) openRow(r *inboxRow) (e bot.Delivery, readable bool) {
	e = r.event()
	var err error
	e.Body, err = t.keys.Open(r.Payload, eventPlace(e.Key, e.ID))
	return e, err == nil
}
