package tokens

// A commit can be lost: by a failover to a standby that lacks it, by a restored backup, by synchronous_commit=off. What
// this machine's disk kept is offered to the store then, and taken from the disk when the access it is of is erased. It
// is compared by generation, and only within one grant: of two consents Slack tells which counts.

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

const (
	// EraseEvery is how often a process looks for what was erased elsewhere, awayAfter how long it can have been away
	// before everything is compared.
	EraseEvery = 15 * time.Second
	awayAfter  = time.Minute
	// WatchEvery is how often it is tried whether the journal can be written.
	WatchEvery = 5 * time.Second
	// How many entries are compared in one question to the store.
	comparedAtOnce = 500
	// A renewal has shown by then which of two consents counts, unless it is still to be had: it comes a minute after
	// the second (Connection.soon).
	contestLife = time.Hour
	// Of how many refused refresh tokens a process looks after at a time.
	rejectedAtOnce = 256
)

// Offer gives the store what it has lost, unless somebody is asking Slack about the token pair at the moment.
func (kp *Keeper) Offer(ctx context.Context, p connection.Grant) (stored connection.Grant, fate string, err error) {
	err = kp.UpdateTokens(ctx, p.TokenOwner, func(_ *connection.TokenPair, c *connection.Connection, u *connection.UserToken) error {
		if !p.Continues(connection.RowOf(c, u)) {
			stored, fate = p, "superseded"
			return nil
		}
		if left := connection.TokensIn(c, u).LeaseUntil.Sub(kp.now()); left > 0 && left <= connection.LongestLease {
			return ErrUndecided
		}
		kp.resume(p, c, u, "journal", kp.now())
		stored, fate = p.StoredIn(c, u), FateStored
		return nil
	})
	if err == nil && fate == FateStored {
		kp.Restored(ctx, p)
	}
	return stored, fate, err
}

// Restored tells the operator that the store had lost something.
func (kp *Keeper) Restored(ctx context.Context, p connection.Grant) {
	kp.cfg.Observer.Restored()
	kp.log.WarnContext(ctx, "the database had lost tokens that the journal of this machine kept: brought back", "key", p.Key.String(),
		"user", p.UserID, "generation", p.Generation)
}

// NextGeneration is above all that the journal of this machine has of h. The row may be lower: a backup was restored,
// and what the journal kept would count as newer than a consent of today.
func (kp *Keeper) NextGeneration(ctx context.Context, h connection.TokenOwner) (next int64) {
	kept, err := kp.store.JournaledFor(h)
	if err != nil {
		kp.log.WarnContext(ctx, "generation of a consent", "key", h.Key.String(), "cause", err) // the row's own will do
	}
	for _, p := range kept {
		next = max(next, p.Generation+1)
	}
	return next
}

// OfferRefused offers what the journal of this machine has where Slack refused the refresh token of a row. Each replica
// does so, in the pause before the refusal is believed.
func (kp *Keeper) OfferRefused(ctx context.Context) error {
	refused, err := kp.store.Rejected(ctx, kp.cfg.AppID, rejectedAtOnce)
	for _, h := range refused {
		if kept, readErr := kp.store.JournaledFor(h); readErr != nil {
			err = errors.Join(err, readErr)
		} else if len(kept) > 0 {
			err = errors.Join(err, kp.offerFor(ctx, h, kept))
		}
	}
	return err
}

func (kp *Keeper) offerFor(ctx context.Context, h connection.TokenOwner, kept []connection.Grant) error {
	var c *connection.Connection
	var u *connection.UserToken
	if h.UserID != "" {
		found, err := kp.store.GetUser(ctx, h)
		if err != nil {
			return ignoreNotFound(err)
		}
		u = &found
	} else {
		found, err := kp.store.Lookup(ctx, h.Key)
		if err != nil || found.Key != h.Key {
			return ignoreNotFound(err)
		}
		c = &found
	}
	row, chain := connection.RowOf(c, u), connection.TokensIn(c, u)
	if row.Rejections == 0 || row.Erased {
		return nil
	}
	if p, lost := connection.NewestOf(kept, row); lost {
		return kp.bringKept(ctx, p)
	}

	// Perhaps another consent counts. The one that was refused is not to be tried again.
	rivals := slices.DeleteFunc(kept, func(p connection.Grant) bool {
		if p.Refresh == chain.RefreshToken {
			kp.forget(ctx, p.Journaled)
			return true
		}
		near := p.ConsentAt().Sub(row.GrantedAt).Abs() < ClocksApart
		return p.Token == "" || p.Standing == connection.Waiting || p.SameGrant(row.GrantID, row.GrantedAt) || !near && p.Generation <= row.Generation
	})
	slices.SortFunc(rivals, func(a, b connection.Grant) int { return b.ConsentAt().Compare(a.ConsentAt()) })
	for _, p := range rivals {
		if err := kp.bringKept(ctx, p); err != nil {
			return err
		}
		if now, err := kp.store.Rows(ctx, []connection.TokenOwner{h}); err != nil || now[h].GrantID == p.GrantID {
			return err
		}
	}
	return nil
}

// bringKept is bring for what is in the journal and not waiting.
func (kp *Keeper) bringKept(ctx context.Context, p connection.Grant) error {
	storing, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	if err := kp.Bring(storing, p); err != nil && !errors.Is(err, ErrUndecided) {
		return err
	}
	return nil
}

func ignoreNotFound(err error) error {
	if errors.Is(err, connection.ErrNotFound) {
		return nil
	}
	return err
}

// compareFirst compares everything once, when the process starts.
func (kp *Keeper) compareFirst(ctx context.Context) error {
	kp.mu.Lock()
	first := kp.compared.IsZero()
	kp.mu.Unlock()
	if !first {
		return nil
	}
	return kp.CompareAll(ctx)
}

// CompareAll compares all that the journal of this machine keeps with the store: what is erased there is erased here,
// and what is lost there is offered.
func (kp *Keeper) CompareAll(ctx context.Context) error {
	began := kp.now()
	var lost []connection.Grant
	for after := ""; ; {
		kept, err := kp.store.Kept(after, comparedAtOnce)
		if err != nil {
			return err
		}
		if len(kept) == 0 {
			break
		}
		found, err := kp.compare(ctx, kept)
		if err != nil {
			return err
		}
		lost, after = append(lost, found...), kept[len(kept)-1].Journaled
	}
	kp.mu.Lock()
	kp.compared = began
	kp.mu.Unlock()
	return kp.bringLost(ctx, lost)
}

// bringLost gives the store what it lost: connections, and then the people who hang on them.
func (kp *Keeper) bringLost(ctx context.Context, lost []connection.Grant) (err error) {
	bring := func(lost []connection.Grant) {
		for _, p := range lost {
			if ctx.Err() == nil {
				err = errors.Join(err, kp.bringKept(ctx, p))
			}
		}
	}
	bring(lost)
	for _, p := range lost {
		if p.UserID != "" {
			continue
		}
		kept, readErr := kp.store.JournaledUnder(p.Key)
		people := slices.DeleteFunc(kept, func(p connection.Grant) bool { return p.UserID == "" })
		found, compareErr := kp.compare(ctx, people)
		bring(found)
		err = errors.Join(err, readErr, compareErr)
	}
	return errors.Join(err, ctx.Err())
}

// JournalReady looks whether the journal can be written, by writing to it, and keeps the answer for the metrics. Run does it now
// and then; whoever asks whether the process is ready does it in between.
func (kp *Keeper) JournalReady(ctx context.Context) error {
	err := kp.store.JournalReady(ctx)
	kp.cfg.Observer.Writable(err == nil)
	return err
}

// CompareErased compares what the journal keeps of connections that lost access lately, wherever that happened.
func (kp *Keeper) CompareErased(ctx context.Context) error {
	now := kp.now()
	kp.mu.Lock()
	last := kp.compared
	kp.mu.Unlock()
	if apart := now.Sub(last); last.IsZero() || apart < 0 || apart > awayAfter {
		return kp.CompareAll(ctx)
	}
	erased, err := kp.store.Erased(ctx, last.Add(-ClocksApart))
	if err != nil {
		return err
	}
	for _, k := range erased {
		if err := kp.compareUnder(ctx, k); err != nil {
			return err
		}
	}
	kp.mu.Lock()
	kp.compared = now
	kp.mu.Unlock()
	return nil
}

func (kp *Keeper) compareUnder(ctx context.Context, k connection.Key) error {
	kept, err := kp.store.JournaledUnder(k)
	if err != nil || len(kept) == 0 {
		return err
	}
	lost, err := kp.compare(ctx, kept)
	return errors.Join(err, kp.bringLost(ctx, lost))
}

// compare erases from the journal those of the pairs that are of no use any more, or of access that was erased, and
// returns those that the store has lost.
func (kp *Keeper) compare(ctx context.Context, kept []connection.Grant) (lost []connection.Grant, err error) {
	rows, err := kp.rowsOf(ctx, kept)
	if err != nil {
		return nil, err
	}
	var gone []string
	for _, p := range kept {
		row, known := rows[p.TokenOwner]
		parent, connected := rows[connection.TokenOwner{Key: p.Key}]
		switch compareGrant(p, row, known, parent, connected, kp.now()) {
		case connection.VerdictNo:
			gone = append(gone, p.Journaled)
		case connection.VerdictYes:
			lost = append(lost, p)
		}
	}
	if len(gone) == 0 {
		return lost, nil
	}
	return lost, kp.store.Unjournal(gone...)
}

// rowsOf returns what the store has of the holders of pairs. Where a workspace joined an organisation since, they
// become holders of the key that it has by now.
func (kp *Keeper) rowsOf(ctx context.Context, kept []connection.Grant) (map[connection.TokenOwner]connection.Row, error) {
	holders := make([]connection.TokenOwner, len(kept))
	for i, p := range kept {
		holders[i] = p.TokenOwner
	}
	rows, err := kp.store.Rows(ctx, holders)
	if err != nil {
		return nil, err
	}
	var moved []connection.TokenOwner
	for i, p := range kept {
		if _, connected := rows[connection.TokenOwner{Key: p.Key}]; connected {
			continue
		}
		if h, there := kp.readdress(ctx, p.TokenOwner); there {
			kept[i].TokenOwner, moved = h, append(moved, h)
		}
	}
	now, err := kp.store.Rows(ctx, moved)
	maps.Copy(rows, now)
	return rows, err
}

// compareGrant compares what the journal keeps with the row of its owner, and with that of the connection: yes, the store
// has lost it; no, it is of no use; unclear, it stays where it is.
func compareGrant(p connection.Grant, row connection.Row, known bool, parent connection.Row, connected bool, now time.Time) connection.Verdict {
	older := p.Generation <= row.Generation || !p.ConsentAt().After(row.GrantedAt)
	switch {
	case p.UserID != "" && connected && parent.Removed && !p.ConsentAt().After(parent.GrantedAt):
		return connection.VerdictNo // people's access goes with the connection's
	case p.UserID != "" && !connected:
		return connection.VerdictUnclear // as long as there is nothing that it could hang on
	case p.Token == "":
		if known && row.Erased {
			return connection.VerdictNo
		}
		return connection.VerdictUnclear // sealed with a key that is not here
	case !known, p.Continues(row):
		return connection.VerdictYes
	case p.SameGrant(row.GrantID, row.GrantedAt):
		if row.Erased || p.Generation < row.Generation {
			return connection.VerdictNo // it bought what the row holds, and is spent
		}
		return connection.VerdictUnclear
	case row.Erased && older:
		return connection.VerdictNo
	case p.Generation > row.Generation:
		return connection.VerdictYes // a later consent, perhaps
	case p.ConsentAt().Sub(row.GrantedAt).Abs() < ClocksApart && (now.Sub(row.GrantedAt) < contestLife || row.IsDue(now)):
		return connection.VerdictUnclear // a renewal is about to tell
	}
	return connection.VerdictNo
}

// ForgetErased takes from this machine's disk what it kept of access that was just erased.
func (kp *Keeper) ForgetErased(ctx context.Context, k connection.Key) {
	if left, err := kp.Replay(ctx); err != nil {
		kp.log.WarnContext(ctx, "journal after erasing", "left", left, "cause", err)
	}
	if err := kp.compareUnder(ctx, k); err != nil {
		kp.log.WarnContext(ctx, "journal after erasing", "key", k.String(), "cause", err) // compareErased looks again
	}
}

// ForgetPerson is forgetErased for what one person took back.
func (kp *Keeper) ForgetPerson(ctx context.Context, u connection.UserToken) {
	kept, err := kp.store.JournaledFor(u.TokenOwner)
	for _, p := range kept {
		if p.Standing != connection.Waiting && !p.ConsentAt().After(u.GrantedAt) {
			err = errors.Join(err, kp.store.Unjournal(p.Journaled))
		}
	}
	if err != nil {
		kp.log.WarnContext(ctx, "journal after erasing", "key", u.Key.String(), "user", u.UserID, "cause", err)
	}
}

// Rehome gives the connection of k's workspace the key k, which Slack itself named it by in a consent or for its token: so a consent
// after the workspace joined an organisation renews the connection that there is. What can't be moved stays, and gets company.
func (kp *Keeper) Rehome(ctx context.Context, k connection.Key) {
	if k.EnterpriseID == "" || k.Org() {
		return
	}
	c, err := kp.store.Lookup(ctx, k)
	if err != nil || c.TeamID != k.TeamID || c.Key == k {
		return
	}
	line := connection.Change{At: kp.now(), By: connection.Actor{Kind: connection.BySlack}, What: connection.DidMove, Outcome: connection.OutcomeDone, Reason: k.EnterpriseID}
	if _, err := kp.store.Rekey(ctx, c.Key, k, c.Token, line); err != nil && !errors.Is(err, connection.ErrExists) && !errors.Is(err, connection.ErrNotFound) {
		kp.log.WarnContext(ctx, "move connection to its organisation", "connection", c.ID, "cause", err)
	}
}

// readdress returns h with the key that its connection has by now, if that is another one.
func (kp *Keeper) readdress(ctx context.Context, h connection.TokenOwner) (connection.TokenOwner, bool) {
	if h.TeamID == "" {
		return h, false
	}
	c, err := kp.store.Lookup(ctx, h.Key)
	if err != nil || c.TeamID != h.TeamID || c.Key == h.Key {
		return h, false
	}
	h.Key = c.Key
	return h, true
}
