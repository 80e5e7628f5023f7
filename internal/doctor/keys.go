package doctor

// Check 6: the encryption keys: rows per key, and rows that none opens.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/storage"
)

const (
	// keysBudget is how long secrets are opened: all of some 50,000 workspaces, or a part of more.
	keysBudget = 3500 * time.Millisecond
	// mostUnreadable are named.
	mostUnreadable = 5
)

// keys opens what is stored, as far as there is time.
func keys(ctx context.Context, e *Examined) []Finding {
	d := e.Config.Database
	ring, err := e.Keyring()
	if err != nil {
		return []Finding{keyFile(d.KeyFile(), err)}
	}
	db, err := e.Tables()
	if err != nil {
		return []Finding{NoDatabase("what the keys open is in it.")}
	}

	reading, cancel := context.WithTimeout(ctx, keysBudget)
	defer cancel()
	report, err := db.CheckKeys(reading)
	if err != nil && reading.Err() == nil {
		return []Finding{{Name: "readable", Status: Unknown, Text: said(err), Fix: "run it again"}}
	}
	if ring == nil && report.Sealed() > 0 {
		return []Finding{{Name: "key_file", Status: Failed,
			Text: "ENCRYPTION_KEYS isn't set and there is no key file " + d.KeyFile() + ", and what is stored is encrypted.",
			Fix:  "put the key file back, or give its content as ENCRYPTION_KEYS"}}
	}
	return append(readable(e, report), partly(e, report, err)...)
}

// keyFile is a key file that can't be used.
func keyFile(path string, err error) Finding {
	f := Finding{Name: "key_file", Status: Failed, Text: said(err),
		Fix: "put back the key file that the database was encrypted with"}
	info, statErr := os.Stat(path)
	if statErr == nil && info.Mode().Perm()&0o077 != 0 {
		f.Fix, f.Repair = "chmod 600 "+path, chmod(path, 0o600)
	}
	return f
}

// readable says which keys open what, and what none opens.
func readable(e *Examined, report storage.KeyReport) (found []Finding) {
	var missing []string
	for _, k := range report.Keys {
		switch {
		case k.ID == "damaged": // was never sealed by any
		case !k.Known:
			missing = append(missing, k.ID)
		case k.First:
			found = append(found, Finding{Name: "key", Status: OK,
				Text: fmt.Sprintf("Key %s encrypts what is new, and opens %s.", k.ID, Amount(k.Rows, "row"))})
		case k.Rows == 0:
			found = append(found, Finding{Name: "key", Status: OK,
				Text: fmt.Sprintf("Key %s opens nothing, so it can be removed.", k.ID)})
		default:
			found = append(found, Finding{Name: "key", Status: OK,
				Text: fmt.Sprintf("Key %s opens %s, which %s keys rotate moves to the first key.", k.ID,
					Amount(k.Rows, "row"), e.Program)})
		}
	}
	if n := len(report.Unreadable); n > 0 {
		found = append(found, unreadable(e, report.Unreadable, missing, n == report.Sealed()))
	}
	return found
}

func unreadable(e *Examined, names, missing []string, all bool) Finding {
	f := Finding{Name: "readable", Status: Failed,
		Text: fmt.Sprintf("No key opens %s: %s.", Amount(len(names), "row"), some(names, mostUnreadable)),
		Fix: "put back what was damaged from a backup; if it is lost for good, run " + e.Program +
			" keys rotate --erase-unreadable: those workspaces have to reconnect"}
	if len(missing) > 0 {
		f.Fix = fmt.Sprintf("add the key %s to the end of ENCRYPTION_KEYS; if it is lost for good, run %s keys rotate "+
			"--erase-unreadable: those workspaces have to reconnect", strings.Join(missing, " and "), e.Program)
	}
	if all {
		f.Text = "None of the keys opens what is stored. serve doesn't start with them."
	}
	return f
}

// partly says what there was no time for.
func partly(e *Examined, report storage.KeyReport, err error) []Finding {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return []Finding{{Name: "all_read", Status: Unknown,
			Text: fmt.Sprintf("There is more than can be opened within %s; these are the first %d rows.", keysBudget,
				report.Sealed()), Fix: e.Program + " keys check"}}
	case report.Sealed() == 0:
		return []Finding{{Name: "readable", Status: OK, Text: "Nothing is encrypted yet."}}
	case len(report.Unreadable) == 0:
		return []Finding{{Name: "readable", Status: OK, Text: "All that is stored can be opened."}}
	}
	return nil
}

// some are the first n of names.
func some(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:n], ", ") + fmt.Sprintf(" and %d more", len(names)-n)
}

// counted is a number with the words for one and for many.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
