package server

import (
	"context"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/storage/timers"
)

// unfired are timers without an inbox in the database (MemoryInbox): they are kept, and none becomes an event, since
// its row and the event couldn't change in one step. Those that were due run when the database has the inbox again.
type unfired struct{ *timers.Table }

var _ bot.Timers = unfired{}

// Enlist is bot.Timers'. What recurs is enlisted by whoever can run it.
func (unfired) Enlist(context.Context) error { return nil }

// Drop is bot.Timers'.
func (unfired) Drop(context.Context, []string, time.Time) (map[string]int, error) { return nil, nil }

// Next is bot.Timers'.
func (unfired) Next(context.Context, []string) (map[string]time.Time, error) { return nil, nil }

// Fire is bot.Timers'.
func (unfired) Fire(context.Context, string, int, func(bot.Due) bot.Delivery) (int, error) {
	return 0, nil
}
