package doctor

// Check 7: the journal: writable, synced, not shared with another replica, its entries and their age.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
)

const (
	// serve stores what waits every second; what is still there after so long needs somebody.
	entryLate = time.Minute
	// slowSync is a write to the disk that lets people wait.
	slowSync = time.Second
	// Entries that are compared with the database to see whether the journal is this database's.
	compared = 200
	// lookedUp are looked for in every way before a journal is called another's: a workspace can have moved.
	lookedUp = 10
)

// journalOf looks at the journal's folder, which is this machine's own.
func journalOf(ctx context.Context, e *Examined) []Finding {
	folder := e.Config.Database.Journal()
	_, missing := os.Stat(folder)
	db, err := e.Database()
	switch {
	case errors.Is(missing, os.ErrNotExist):
		return []Finding{noJournal(e, folder)}
	case err != nil:
		return []Finding{NoDatabase("the journal's entries belong to its rows.")}
	case e.journal != nil:
		return []Finding{closed(folder, e.journal)}
	}

	found := []Finding{synced(ctx, e, db)}
	if f, is := inMemory(e, folder); is {
		found = append(found, f)
	}
	found = append(found, shared(e, folder))
	if e.noTables != nil {
		return append(found, NoDatabase("the journal's entries belong to its rows."))
	}
	return append(found, entries(ctx, e, db)...)
}

// noJournal is the state before the first start.
func noJournal(e *Examined, folder string) Finding {
	if _, err := e.Process(); err != nil {
		return Finding{Name: "journal", Status: OK, Text: "There is none yet: serve makes it in " + folder + "."}
	}
	return Finding{Name: "journal", Status: Failed,
		Text: "serve runs, and " + folder + " isn't there: it has another DATA_DIR, or the folder was deleted.",
		Fix:  "run this with the DATA_DIR that serve has, or give serve one that outlives it"}
}

// closed is a journal that can't be used.
func closed(folder string, err error) Finding {
	f := Finding{Name: "journal", Status: Failed, Text: "New tokens can't be kept: " + said(err),
		Fix: "let the user that serve runs as write to " + folder}
	if info, err := os.Stat(folder); err == nil && info.Mode().Perm()&0o022 != 0 {
		f.Fix, f.Repair = "chmod 700 "+folder, chmod(folder, 0o700)
	}
	return f
}

// synced writes to the disk and waits until it is there.
func synced(ctx context.Context, e *Examined, db *storage.DB) Finding {
	folder := e.Config.Database.Journal()
	began := time.Now()
	err := db.JournalReady(ctx)
	took := time.Since(began)
	switch {
	case err != nil:
		return Finding{Name: "writable", Status: Failed, Text: "New tokens can't be kept: " + said(err),
			Fix: "let the user that serve runs as write to " + folder + ", and free space on its disk"}
	case took > slowSync:
		return Finding{Name: "writable", Status: Warning,
			Text: fmt.Sprintf("It can be written to, but the disk took %s, and each install waits for it.",
				took.Round(100*time.Millisecond)),
			Fix: "put DATA_DIR on a faster disk"}
	}
	return Finding{Name: "writable", Status: OK,
		Text: fmt.Sprintf("It can be written to: %s, on the disk after %s.", folder, took.Round(time.Millisecond/10))}
}

// inMemory is a folder that goes with the machine, or with the container.
func inMemory(e *Examined, folder string) (f Finding, is bool) {
	disk, err := e.disk(folder)
	if err != nil || disk.Passing == "" {
		return f, false
	}
	return Finding{Name: "lasting", Status: Warning,
		Text: folder + " lies on " + disk.Passing + ", and what is in it goes with that.",
		Fix:  "name a folder in DATA_DIR that outlives the process: a volume of its own for each replica"}, true
}

// shared asks the process that serves, which keeps trying for the folder's lock.
func shared(e *Examined, folder string) Finding {
	f := Finding{Name: "shared", Status: OK, Text: "No other process serves with it."}
	p, err := e.Process()
	if err != nil {
		f.Text = "No process serves with it at ADMIN_ADDR."
		return f
	}
	if n, _ := p.Number("switchboard_journal_shared"); n > 0 {
		f = Finding{Name: "shared", Status: Failed,
			Text: "Another process serves from " + folder + ", too, so new tokens have one copy instead of two.",
			Fix:  "give each replica a DATA_DIR of its own, or stop one of the two, and run this again after ten seconds"}
	}
	return f
}

// entries looks at what waits, and whether it is this database's.
func entries(ctx context.Context, e *Examined, db *storage.DB) []Finding {
	sums, err := db.JournalSums()
	if err != nil {
		return []Finding{{Name: "entries", Status: Failed, Text: said(err),
			Fix: "let the user that serve runs as read " + e.Config.Database.Journal()}}
	}
	if foreign(ctx, db) {
		return []Finding{{Name: "foreign", Status: Failed,
			Text: fmt.Sprintf("The journal belongs to another database: this one knows none of its %s.",
				counted(sums.Kept+sums.Waiting, "workspace's token", "workspaces' tokens")),
			Fix: "set DATABASE_URL and DATA_DIR to a pair that belongs together; if that database is lost for good, move " +
				e.Config.Database.Journal() + " away"}}
	}

	age := db.Now().Sub(sums.Oldest)
	if sums.Waiting == 0 || age < entryLate {
		return []Finding{{Name: "entries", Status: OK, Text: fmt.Sprintf("Nothing has waited for long. It keeps %s.",
			counted(sums.Kept, "copy of a token", "copies of tokens"))}}
	}
	f := Finding{Name: "entries", Status: Failed,
		Text: fmt.Sprintf("%s from Slack waiting to be stored, the oldest for %s.",
			counted(sums.Waiting, "new token is", "new tokens are"), span(age)),
		Fix: "look in serve's log for “new tokens wait in the journal”, which has the cause"}
	if _, err := e.Process(); err != nil {
		f.Fix = "start " + e.Program + " serve with this DATA_DIR: it stores them"
	}
	return []Finding{f}
}

// foreign reports whether there are entries, and the database knows none of the workspaces that they are of.
func foreign(ctx context.Context, db *storage.DB) bool {
	kept, err := db.Kept("", compared)
	if waiting, waitErr := db.Journaled(); err != nil || waitErr != nil || len(kept) == 0 || len(waiting) > compared {
		return false
	}
	owners := make([]connection.TokenOwner, len(kept))
	for i, p := range kept {
		owners[i] = p.TokenOwner
	}
	if rows, err := db.Rows(ctx, owners); err != nil || len(rows) > 0 {
		return false
	}
	for _, h := range owners[:min(lookedUp, len(owners))] {
		name := h.TeamID
		if h.Org() {
			name = h.EnterpriseID
		}
		if found, err := db.Named(ctx, name, 1); err != nil || len(found) > 0 {
			return false
		}
	}
	return true
}
