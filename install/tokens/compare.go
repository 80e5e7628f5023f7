package tokens

// The journal keeps a copy of what the store has. Where the two differ, one of them is behind: here is decided which.

import (
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

const (
	// ClocksApart is the bound within which two consents can have come in the other order than the clocks of two
	// machines say.
	ClocksApart = 10 * time.Minute
	// A renewal has shown by then which of two consents counts, unless it is still to be had: it comes a minute after
	// the second (TokenPair.Soon).
	contestLife = time.Hour
)

// compareGrant compares what the journal keeps with the row of its owner, and with that of the connection (nil: there
// is none): yes, the store has lost it. No, it is of no use. Unclear: it stays where it is.
func compareGrant(p connection.Grant, row, parent *connection.Row, now time.Time) connection.Verdict {
	if p.UserID != "" {
		switch {
		case parent == nil:
			return connection.VerdictUnclear // as long as there is nothing that it could hang on
		case parent.Removed && !p.ConsentAt().After(parent.GrantedAt):
			return connection.VerdictNo // people's access goes with the connection's
		}
	}

	switch {
	case !p.Opened():
		if row != nil && row.Erased {
			return connection.VerdictNo
		}
		return connection.VerdictUnclear // sealed with a key that is not here
	case row == nil, p.Continues(*row):
		return connection.VerdictYes
	case !p.SameGrant(row.GrantID, row.GrantedAt):
		return compareConsents(p, *row, now)
	case row.Erased, p.Generation < row.Generation:
		return connection.VerdictNo // it bought what the row holds, and is spent
	}
	return connection.VerdictUnclear
}

// compareConsents is compareGrant for a pair of another consent than the row's.
func compareConsents(p connection.Grant, row connection.Row, now time.Time) connection.Verdict {
	older := p.Generation <= row.Generation || !p.ConsentAt().After(row.GrantedAt)
	near := p.ConsentAt().Sub(row.GrantedAt).Abs() < ClocksApart
	switch {
	case row.Erased && older:
		return connection.VerdictNo
	case p.Generation > row.Generation:
		return connection.VerdictYes // a later consent, perhaps
	case near && (now.Sub(row.GrantedAt) < contestLife || row.IsDue(now)):
		return connection.VerdictUnclear // a renewal is about to tell
	}
	return connection.VerdictNo
}
