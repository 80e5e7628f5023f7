package tokens

// One process renews a pair at a time, with a lease in the row. One whose process died has to end by itself.

import (
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// leaseObservation is a lease of another process and when it was first seen here.
type leaseObservation struct{ lease, first time.Time }

// mostLeases bounds the memory for leases of other processes.
const mostLeases = 10_000

// leases are those that were seen in rows.
type leases struct {
	mu   sync.Mutex
	seen map[connection.TokenOwner]leaseObservation
}

// isOver reports whether whoever took a lease can be taken for dead. The clocks of replicas differ, so the time in the
// row is only a name for the lease: it is over when this process has seen the same one for as long as a lease lives.
func (ls *leases) isOver(h connection.TokenOwner, lease, now time.Time) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if lease.IsZero() {
		delete(ls.seen, h)
		return true
	}

	o, known := ls.seen[h]
	if !known || !o.lease.Equal(lease) || o.first.After(now) {
		if len(ls.seen) > mostLeases {
			clear(ls.seen) // costs those whose owner died one more wait
		}
		ls.seen[h] = leaseObservation{lease: lease, first: now}
		return false
	}
	return now.Sub(o.first) >= connection.LeaseLife
}
