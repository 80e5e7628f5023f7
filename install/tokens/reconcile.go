package tokens

// A commit can be lost: by a failover to a standby that lacks it, by a restored backup, by synchronous_commit=off. What
// this machine's disk kept is offered to the store then, and taken from the disk when the access it is of is erased. It
// is compared by generation, and only within one grant: of two consents Slack tells which counts.

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
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
	// EraseEvery is how often a process looks for what was erased elsewhere, awayAfter how long it can have been away
	// before everything is compared.
	EraseEvery = 15 * time.Second
	awayAfter  = time.Minute
	// WatchEvery is how often it is tried whether the journal can be written.
	WatchEvery = 5 * time.Second
	// How many entries are compared in one question to the store.
	comparedAtOnce = 500
	// Of how many refused refresh tokens a process looks after at a time.
	rejectedAtOnce = 256
)

// ReconcileStore is what a Reconciler needs of the database.
type ReconcileStore interface {
	// Rows returns what there is of these owners, for comparison with the journal. Those without a row are not in it.
	Rows(ctx context.Context, of []connection.TokenOwner) (map[connection.TokenOwner]connection.Row, error)
	// Rejected returns token pairs whose refresh token Slack refused and that are not given up yet, at most n.
	Rejected(ctx context.Context, app string, n int) ([]connection.TokenOwner, error)
	// Erased returns the connections that lost their access since a time, or one of whose people took theirs back.
	Erased(ctx context.Context, since time.Time) ([]connection.Key, error)
}

// Reconciler compares what the journal of this machine keeps with the store: what is erased there is erased here, and
// what is lost there is brought back.
type Reconciler struct {
	cfg      *Config
	store    ReconcileStore
	journal  *Journal
	pairs    *Pairs
	delivery *Delivery

	compared atomic.Pointer[time.Time] // when the journal was last compared; zero: never yet
}

// Replay stores what waits in the journal of this machine. It is run at start before anything is renewed, when it also
// compares the store with what the journal kept, and by Run until nothing waits. It returns how many entries are left
// and why, not counting those that a callback is about to store.
func (r *Reconciler) Replay(ctx context.Context) (left int, err error) {
	left, tried, err := r.delivery.bringAll(ctx)
	if !tried {
		return left, err
	}

	if r.compared.Load().IsZero() {
		err = errors.Join(err, r.CompareAll(ctx))
	}
	return left, err
}

// OfferRefused offers what the journal of this machine has where Slack refused the refresh token of a row. Each replica
// does so, in the pause before the refusal is believed.
func (r *Reconciler) OfferRefused(ctx context.Context) error {
	refused, err := r.store.Rejected(ctx, r.cfg.AppID, rejectedAtOnce)
	for _, h := range refused {
		if kept, readErr := r.journal.disk.JournaledFor(h); readErr != nil {
			err = errors.Join(err, readErr)
		} else if len(kept) > 0 {
			err = errors.Join(err, r.offerFor(ctx, h, kept))
		}
	}
	return err
}

// offerFor offers what is kept of h until the row has other tokens than those that were refused.
func (r *Reconciler) offerFor(ctx context.Context, h connection.TokenOwner, kept []connection.Grant) error {
	a, err := r.pairs.get(ctx, h)
	if err != nil {
		return unless(err, connection.ErrNotFound)
	}
	row := a.Row()
	if row.Rejections == 0 || row.Erased {
		return nil
	}
	if p, lost := connection.NewestOf(kept, row); lost {
		return r.bringKept(ctx, p)
	}

	for _, p := range r.rivals(ctx, kept, row, a.Pair().RefreshToken) {
		if err := r.bringKept(ctx, p); err != nil {
			return err
		}
		if now, err := r.store.Rows(ctx, []connection.TokenOwner{h}); err != nil || now[h].GrantID == p.GrantID {
			return err
		}
	}
	return nil
}

// rivals are those of the pairs that are of another consent than the row's, which perhaps counts: the latest first.
// The one that was refused is not to be tried again.
func (r *Reconciler) rivals(
	ctx context.Context, kept []connection.Grant, row connection.Row, refused connection.Secret,
) []connection.Grant {
	kept = slices.DeleteFunc(kept, func(p connection.Grant) bool {
		if p.Refresh == refused {
			r.journal.forget(ctx, p.Journaled)
			return true
		}
		near := p.ConsentAt().Sub(row.GrantedAt).Abs() < ClocksApart
		return !p.Opened() || p.Standing == connection.Waiting || p.SameGrant(row.GrantID, row.GrantedAt) ||
			!near && p.Generation <= row.Generation
	})
	slices.SortFunc(kept, func(a, b connection.Grant) int { return b.ConsentAt().Compare(a.ConsentAt()) })
	return kept
}

// bringKept is Bring for what is in the journal and not waiting.
func (r *Reconciler) bringKept(ctx context.Context, p connection.Grant) error {
	return unless(r.delivery.bringSoon(ctx, p), ErrUndecided)
}

// unless is err, and nil where that is one that is fine.
func unless(err, fine error) error {
	if errors.Is(err, fine) {
		return nil
	}
	return err
}

// CompareAll compares all that the journal of this machine keeps with the store: what is erased there is erased here,
// and what is lost there is offered.
func (r *Reconciler) CompareAll(ctx context.Context) error {
	began := r.cfg.Now()
	var lost []connection.Grant
	for after := ""; ; {
		kept, err := r.journal.disk.Kept(after, comparedAtOnce)
		if err != nil {
			return err
		}
		if len(kept) == 0 {
			break
		}
		found, err := r.compare(ctx, kept)
		if err != nil {
			return err
		}
		lost, after = append(lost, found...), kept[len(kept)-1].Journaled
	}

	r.compared.Store(&began)
	return r.bringLost(ctx, lost)
}

// bringLost gives the store what it lost: connections, and then the people who hang on them.
func (r *Reconciler) bringLost(ctx context.Context, lost []connection.Grant) (err error) {
	bring := func(lost []connection.Grant) {
		for _, p := range lost {
			if ctx.Err() == nil {
				err = errors.Join(err, r.bringKept(ctx, p))
			}
		}
	}

	bring(lost)
	for _, p := range lost {
		if p.UserID != "" {
			continue
		}
		kept, readErr := r.journal.disk.JournaledUnder(p.Key)
		people := slices.DeleteFunc(kept, func(p connection.Grant) bool { return p.UserID == "" })
		found, compareErr := r.compare(ctx, people)
		bring(found)
		err = errors.Join(err, readErr, compareErr)
	}
	return errors.Join(err, ctx.Err())
}

// CompareErased compares what the journal keeps of connections that lost access lately, wherever that happened.
func (r *Reconciler) CompareErased(ctx context.Context) error {
	now, last := r.cfg.Now(), *r.compared.Load()
	if apart := now.Sub(last); last.IsZero() || apart < 0 || apart > awayAfter {
		return r.CompareAll(ctx)
	}

	erased, err := r.store.Erased(ctx, last.Add(-ClocksApart))
	if err != nil {
		return err
	}

	for _, k := range erased {
		if err := r.compareUnder(ctx, k); err != nil {
			return err
		}
	}

	r.compared.Store(&now)
	return nil
}

func (r *Reconciler) compareUnder(ctx context.Context, k connection.Key) error {
	kept, err := r.journal.disk.JournaledUnder(k)
	if err != nil || len(kept) == 0 {
		return err
	}
	lost, err := r.compare(ctx, kept)
	return errors.Join(err, r.bringLost(ctx, lost))
}

// compare erases from the journal those of the pairs that are of no use any longer, or of access that was erased, and
// returns those that the store has lost.
func (r *Reconciler) compare(ctx context.Context, kept []connection.Grant) (lost []connection.Grant, err error) {
	rows, err := r.rowsOf(ctx, kept)
	if err != nil {
		return nil, err
	}

	find := func(h connection.TokenOwner) *connection.Row {
		if row, known := rows[h]; known {
			return &row
		}
		return nil
	}

	var gone []string
	for _, p := range kept {
		switch compareGrant(p, find(p.TokenOwner), find(connection.TokenOwner{Key: p.Key}), r.cfg.Now()) {
		case connection.VerdictNo:
			gone = append(gone, p.Journaled)
		case connection.VerdictYes:
			lost = append(lost, p)
		}
	}

	if len(gone) == 0 {
		return lost, nil
	}
	return lost, r.journal.disk.Unjournal(gone...)
}

// rowsOf returns what the store has of the owners of pairs. Where a workspace joined an organisation since, they
// become owners of the key that it has by now.
func (r *Reconciler) rowsOf(
	ctx context.Context, kept []connection.Grant,
) (map[connection.TokenOwner]connection.Row, error) {
	owners := make([]connection.TokenOwner, len(kept))
	for i, p := range kept {
		owners[i] = p.TokenOwner
	}
	rows, err := r.store.Rows(ctx, owners)
	if err != nil {
		return nil, err
	}

	var moved []connection.TokenOwner
	for i, p := range kept {
		if _, connected := rows[connection.TokenOwner{Key: p.Key}]; connected {
			continue
		}
		if h, there := r.pairs.readdress(ctx, p.TokenOwner); there {
			kept[i].TokenOwner, moved = h, append(moved, h)
		}
	}

	now, err := r.store.Rows(ctx, moved)
	maps.Copy(rows, now)
	return rows, err
}

// ForgetErased takes from this machine's disk what it kept of access that was just erased.
func (r *Reconciler) ForgetErased(ctx context.Context, k connection.Key) {
	if left, err := r.Replay(ctx); err != nil {
		r.cfg.Log.WarnContext(ctx, "journal after erasing", "left", left, "cause", err)
	}
	if err := r.compareUnder(ctx, k); err != nil {
		r.cfg.Log.WarnContext(ctx, "journal after erasing", "key", k.String(), "cause", err) // CompareErased looks again
	}
}

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
