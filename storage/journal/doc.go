// Package journal keeps what Slack handed out on this machine's own disk, before and besides the database.
//
//	j := journal.New(keys)
//	err := j.UseJournal("data/journal") // a folder of this process's own
//	defer j.Close()
//	name, err := j.Journal(grant)       // sealed, and on the disk for good once this returned
//	waiting, err := j.Journaled()       // what the database may not have yet, oldest first
//	err = j.Unjournal(name)
//
// A storage.DB has one built in.
package journal
