package connection

// Since when is since when: here is decided when a state began that people are shown, also one that follows from
// permissions and that no column holds. What nobody saw begin has no beginning, and none is made up for it.

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Beginning is when something about a connection became what it is. Of names it: a State that began before its
// present reason did, or a permission behind a sign.
type Beginning struct {
	Of string
	At time.Time
}

// What a sign before a permission says of it.
const (
	signGranted = "+" // after it had been missing
	signTaken   = "-" // it was granted before
	signLeftOut = "~" // the app asked for it, and the consent came without
)

// Began is when the stored state began, whatever the reasons were since.
func (c Connection) Began() time.Time {
	for _, b := range c.Beginnings {
		if b.Of == string(c.State) && b.At.Before(c.StateSince) {
			return b.At
		}
	}
	return c.StateSince
}

// stateBegins keeps since when c is in its state, before SetState gives it another reason for it.
func (c *Connection) stateBegins(next State) {
	began := c.Began()
	kept := slices.DeleteFunc(slices.Clone(c.Beginnings), func(b Beginning) bool { return permissionOf(b) == "" })
	if next == c.State && !began.IsZero() {
		kept = append(kept, Beginning{Of: string(next), At: began})
	}
	c.Beginnings = kept
}

// TakenAway reports whether the connection had a permission that it is missing now.
func (c Connection) TakenAway(scope string) bool {
	return !slices.Contains(c.Scopes, scope) && c.noted(signTaken+scope) != (Beginning{})
}

// MissingSince is when a missing permission was taken away or left out; zero: nobody saw it.
func (c Connection) MissingSince(scope string) time.Time { return c.gap(scope).from }

// gap is the last time in which a permission was missing. Without an end it lasts, without a beginning nobody saw that.
type gap struct {
	from, to time.Time
	open     bool
}

func (c Connection) gap(scope string) gap {
	from := cmp.Or(c.noted(signTaken+scope), c.noted(signLeftOut+scope)).At
	if !slices.Contains(c.Scopes, scope) {
		return gap{from: from, open: true}
	}
	return gap{from: from, to: c.noted(signGranted + scope).At}
}

func (c Connection) noted(of string) Beginning {
	if at := slices.IndexFunc(c.Beginnings, func(b Beginning) bool { return b.Of == of }); at >= 0 {
		return c.Beginnings[at]
	}
	return Beginning{}
}

// Since is when a state that is shown of c began; zero: nobody saw it begin. lacking: it is Limited for want of a
// permission that the app can't do without. needed are the permissions of the app.
func (c Connection) Since(state State, lacking bool, needed []Scope) time.Time {
	switch state {
	case Unknown, NotConnected:
		return time.Time{}
	case Active, Limited:
	default:
		return c.Began()
	}

	// What is worse ended at a time; what is missing of each permission is a gap.
	ended := c.Began()
	var gaps []gap
	for _, s := range needed {
		g := c.gap(s.Name)
		if state == Limited && (!lacking || !s.Optional) {
			gaps = append(gaps, g)
		}
		if worse := state == Active || !lacking && !s.Optional; worse && g.to.After(ended) {
			ended = g.to
		}
	}
	if state == Active {
		return ended
	}

	began, seen := missingFrom(gaps)
	if seen && began.Before(ended) {
		return ended
	}
	return began
}

// missingFrom is since when one after the other of these was missing. Not seen: nobody saw that begin.
func missingFrom(gaps []gap) (began time.Time, seen bool) {
	for _, g := range gaps {
		switch {
		case g.open && g.from.IsZero():
			return time.Time{}, false
		case g.open && (began.IsZero() || g.from.Before(began)):
			began = g.from
		}
	}

	for range gaps { // each can reach further back than the last
		for _, g := range gaps {
			if !g.reachesBackFrom(began) {
				continue
			}
			if began = g.from; began.IsZero() {
				return time.Time{}, false
			}
		}
	}
	return began, true
}

// reachesBackFrom reports whether g was over only after a time, and had begun before it.
func (g gap) reachesBackFrom(at time.Time) bool {
	return !g.open && !g.to.IsZero() && !g.to.Before(at) && g.from.Before(at)
}

// permissionOf is the permission that b is about, "" when it is about a state.
func permissionOf(b Beginning) string {
	if b.Of != "" && strings.Contains(signGranted+signTaken+signLeftOut, b.Of[:1]) {
		return b.Of[1:]
	}
	return ""
}

// noteScopes is list after the permissions changed from was to now at a time.
func noteScopes(list []Beginning, was, now []string, at time.Time) []Beginning {
	granted, taken := Difference(now, was), Difference(was, now)
	noted := slices.DeleteFunc(slices.Clone(list), func(b Beginning) bool {
		name := permissionOf(b)
		return slices.Contains(taken, name) || b.Of == signGranted+name && slices.Contains(granted, name)
	})
	for _, name := range granted {
		noted = append(noted, Beginning{Of: signGranted + name, At: at})
	}
	for _, name := range taken {
		noted = append(noted, Beginning{Of: signTaken + name, At: at})
	}
	return noted
}

// LeftOut notes in a consent which of the permissions that the app asks for it came without.
func (c *Connection) LeftOut(needed []Scope) {
	c.Beginnings = nil
	for _, s := range c.Missing(needed) {
		c.Beginnings = append(c.Beginnings, Beginning{Of: signLeftOut + s.Name, At: c.AuthorizedAt})
	}
}

// continued is what is noted after one more consent, c, whose own notes count only where the app had been removed:
// what was missing before it is missing since then.
func (c Connection) continued(next Connection) []Beginning {
	if c.State == Removed {
		return next.Beginnings
	}
	kept := c.Beginnings
	if next.State != c.State {
		kept = slices.DeleteFunc(slices.Clone(kept), func(b Beginning) bool { return permissionOf(b) == "" })
	}
	return noteScopes(kept, c.Scopes, next.Scopes, next.AuthorizedAt)
}
