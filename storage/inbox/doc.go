// Package inbox keeps events until they are worked. It is bot.Inbox on PostgreSQL and SQLite.
//
//	in, err := db.Inbox(ctx, inbox.Config{}) // of a storage.DB
//	in.Start()
//	defer in.Close()
//	fresh, err := in.Add(ctx, &event, false) // false: Slack had sent it before
//	claimed, err := in.Claim(ctx, 10, 2, nil) // lent to this process for Config.Lease
//	err = in.Done(ctx, claimed[0])
//
// An event is there for good once Add returned. It is lent to one process at a time, and to another one when that has
// died. What failed for good stays as a dead letter, which Table lists, replays and drops.
package inbox
