package connection

// Times that were stored are compared with the clock of now. Here is what a right clock can have written.

import "time"

// Mark is a place in the order of what is stored. 0 is before everything.
type Mark int64

// How far ahead of now times can be that are written by a right clock. What is further ahead was written by a broken
// one, and is not believed: it counts as due, over or unspent.
const (
	FurthestRenewal = usualLife * 3 / 4 // of RenewAt, see beyond
	FurthestCheck   = 7 * time.Hour     // of CheckAt: every six hours, and a tenth
	LongestLease    = 2 * LeaseLife     // of LeaseUntil
	LongestClosure  = LongestWait       // of a budget that Slack closed
	ClockSlack      = time.Minute       // of what happened: replicas agree to less
)

// Recent reports whether what happened at a time is less than d old. What is still to come can't have happened: a clock
// was wrong, and it counts as old.
func Recent(at, now time.Time, d time.Duration) bool {
	age := now.Sub(at)
	return age < d && age > -ClockSlack
}
