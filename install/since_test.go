package install_test

import (
	"slices"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// Since when is when it began: of what follows from permissions, of trouble that changes its reason, and of what was
// reconnected while it worked. What nobody saw begin has no beginning. Slack's answer, our records and another replica
// say the same.
func TestSinceWhen(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		const working, limited, lacking = "Working", "Working, some features unavailable",
			"Not working, a permission is missing"
		scopes := func(cfg *install.Config) {
			cfg.Scopes = []connection.Scope{{Name: "chat:write", Label: "Send messages", Feature: "answer you"},
				{Name: "commands", Label: "Offer slash commands"}, {Name: "users:read", Label: "See who is who", Optional: true},
				{Name: "team:read", Label: "See the workspace's name", Optional: true}}
		}
		in, other := r.replica(scopes), r.replica(scopes)
		var c connection.Connection
		is := func(what string, label string, since time.Time) {
			t.Helper()
			stored := r.Row(in.db, c.Key)
			for who, h := range map[string]install.Health{"Slack": in.Check(r.Ctx, c.Key),
				"our records": other.Assess(r.Row(other.db, c.Key), nil), "the records before": other.Assess(stored, nil)} {
				if who == "the records before" && h.Label != label {
					continue // Slack told of it just now
				}
				if h.Label != label || !h.Since.Equal(since) {
					t.Errorf("%s: by %s %s since %v, want %s since %v", what, who, h.Label, h.Since, label, since)
				}
			}
		}
		later := func() time.Time {
			r.Clock.Advance(time.Hour)
			return r.Clock.Now().Truncate(time.Microsecond)
		}
		permit := func(grant, take string) {
			t.Helper()
			list := func(s string) []string { return slices.DeleteFunc([]string{s}, func(s string) bool { return s == "" }) }
			if err := r.Slack.Admins.Permit(c.TeamID, list(grant), list(take)); err != nil {
				t.Fatal(err)
			}
		}

		installed := later()
		r.visitor(in).installs(start, slacksim.AcmeAdmin, slacksim.Choice{Untick: []string{"team:read"}}).is(t, "limited",
			200, "connected_limited")
		c = r.Row(in.db, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme})
		is("left out", limited, installed)
		later()
		permit("", "users:read")
		is("one more taken", limited, installed)
		if c = r.Row(in.db, c.Key); !c.TakenAway("users:read") || c.TakenAway("team:read") ||
			!c.MissingSince("team:read").Equal(installed) {
			t.Errorf("taken away or left out: %+v", c.Beginnings)
		}
		gone := later()
		permit("", "commands")
		is("a required one taken", lacking, gone)
		later()
		permit("", "chat:write")
		is("another required one taken", lacking, gone)
		later()
		permit("commands", "")
		is("one of them back", lacking, gone)
		back := later()
		permit("chat:write", "")
		is("both back", limited, back)
		later()
		permit("users:read", "")
		whole := later()
		permit("team:read", "")
		is("all allowed", working, whole)
		taken := later()
		permit("", "users:read")
		is("taken from one that worked", limited, taken)
		mended := later()
		permit("users:read", "")
		is("given back", working, mended)

		// A consent for what works is no new beginning, and what was granted before it was taken away and not left out.
		later()
		r.visitor(in).installs(start, slacksim.AcmeMember, slacksim.Choice{})
		is("reconnected", working, mended)

		trouble := later()
		r.Update(in.db, c.Key, func(c *connection.Connection) {
			c.SetState(connection.Retrying, connection.ReasonInvalidAuth, trouble)
		})
		for _, reason := range []string{"org_login_required", connection.ReasonInvalidAuth, connection.ReasonRenewalFailing} {
			now := later()
			r.Update(in.db, c.Key, func(c *connection.Connection) { c.SetState(connection.Retrying, reason, now) })
			if h := in.Assess(r.Row(in.db, c.Key), nil); h.State != connection.Retrying || !h.Since.Equal(trouble) {
				t.Errorf("trouble with reason %s is since %v, want %v", reason, h.Since, trouble)
			}
		}
		broken := later()
		r.Update(in.db, c.Key, func(c *connection.Connection) {
			c.SetState(connection.ReconnectRequired, connection.ReasonRefreshRejected, broken)
		})
		now := later()
		r.Update(in.db, c.Key, func(c *connection.Connection) {
			c.SetState(connection.ReconnectRequired, connection.ReasonTokenRevoked, now)
		})
		if h := other.Assess(r.Row(other.db, c.Key), nil); !h.Since.Equal(broken) {
			t.Errorf("needs reconnecting since %v, want %v", h.Since, broken)
		}
		again := later()
		r.visitor(in).installs(start, slacksim.AcmeAdmin, slacksim.Choice{})
		is("works again", working, again)
	})
}
