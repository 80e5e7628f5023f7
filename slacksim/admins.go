package slacksim

// What admins do with an app that is installed: they remove it, withdraw what it was granted, and say which workspaces
// of an organisation have it. docs.slack.dev/authentication/installing-with-oauth

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// UninstallOrder says which of the two events follow an uninstall, and in which order. Slack promises none.
type UninstallOrder int

// What follows an uninstall.
const (
	RevokedFirst      UninstallOrder = iota // tokens_revoked, then app_uninstalled
	UninstalledFirst                        // app_uninstalled, then tokens_revoked
	OnlyRevoked                             // tokens_revoked alone
	OnlyUninstalled                         // app_uninstalled alone
	NoUninstallEvents                       // neither, as when deliveries were lost
)

// Admins act for the admins of workspaces and organisations: they remove the app, and say what it can do where.
type Admins struct{ *parts }

// Uninstall removes the app from a workspace (or organisation, given its enterprise id) as an admin does under Manage
// apps: every token dies, then the events of the order are sent in the background, one after the other's answer. It is
// an error if the app is not installed there. docs.slack.dev/reference/events/app_uninstalled
func (s *Admins) Uninstall(ctx context.Context, teamID string, order UninstallOrder) error {
	return s.UninstallLate(ctx, teamID, order, 0)
}

// UninstallLate is Uninstall whose events are sent when the clock has moved by delay, with the event_time of the
// removal. An app that is re-installed in between gets them late.
func (s *Admins) UninstallLate(_ context.Context, teamID string, order UninstallOrder, delay time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.oauth.installs[teamID]
	if in == nil {
		return fmt.Errorf("uninstall: the app is not installed in %s", teamID)
	}
	bots, users := s.oauth.removeLocked(in)
	s.events.sendUninstallLocked(in, order, bots, users, delay)
	return nil
}

// RepeatUninstallEvents sends the two events again, with new event ids and the present time, whether or not the app is
// installed. An app must not take such stray events for a removal without looking.
func (s *Admins) RepeatUninstallEvents(_ context.Context, teamID string, order UninstallOrder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := &installation{home: teamID, teamID: teamID, bot: s.world.botLocked(teamID)}
	if t := s.world.teamLocked(teamID); t != nil {
		in.enterpriseID = t.EnterpriseID
	} else {
		in.teamID, in.enterpriseID, in.org = "", teamID, true
	}
	s.events.sendUninstallLocked(in, order, []string{in.bot.userID}, nil, 0)
}

// RevokeUser withdraws one person's user token. The workspace's installation stays, and tokens_revoked names the person
// under oauth alone. It is an error if that person granted none.
func (s *Admins) RevokeUser(_ context.Context, userID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range s.oauth.installs {
		c := in.users[userID]
		if c == nil {
			continue
		}
		for _, t := range c.access {
			t.state = revoked
		}
		delete(in.users, userID)
		if s.events.subscribedLocked("tokens_revoked") {
			s.events.tellLocked(Event{TeamID: in.teamID, EnterpriseID: in.enterpriseID, NoAuthorizations: true,
				Inner: tokensRevoked(nil, []string{userID})}, in)
		}
		s.noteLocked()
		return nil
	}
	return fmt.Errorf("revoke user: %s has granted no user token", userID)
}

// GrantTeam adds the organisation-wide app to a workspace and sends team_access_granted.
// docs.slack.dev/enterprise/organization-ready-apps
func (s *Admins) GrantTeam(_ context.Context, teamID string) error { return s.grant(teamID, true) }

// RevokeTeam takes the organisation-wide app from a workspace and sends team_access_revoked.
func (s *Admins) RevokeTeam(_ context.Context, teamID string) error { return s.grant(teamID, false) }

func (s *Admins) grant(teamID string, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.world.teamLocked(teamID)
	if t == nil || s.oauth.installs[t.EnterpriseID] == nil {
		return fmt.Errorf("grant team: no organisation-wide installation covers %s", teamID)
	}
	in := s.oauth.installs[t.EnterpriseID]
	name := "team_access_granted"
	in.granted = slices.DeleteFunc(in.granted, func(x string) bool { return x == teamID })
	if on {
		in.granted = append(in.granted, teamID)
	} else {
		name = "team_access_revoked"
	}
	s.noteLocked()
	if s.events.subscribedLocked(name) {
		s.events.tellLocked(Event{EnterpriseID: in.enterpriseID,
			Inner: map[string]any{"type": name, "team_ids": []string{teamID}}}, in)
	}
	return nil
}

// Permit changes what the app can do in a workspace, or in an organisation when given an enterprise id. Slack doesn't
// tell the app. Its tokens stay, and every answer names the scopes that they have now.
func (s *Admins) Permit(teamID string, allow, takeAway []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.oauth.installLocked(teamID)
	if in == nil || in.chain == nil {
		return fmt.Errorf("permit: %w", ErrNotInstalled)
	}
	scopes := slices.DeleteFunc(slices.Concat(in.chain.scopes, allow), func(x string) bool {
		return slices.Contains(takeAway, x)
	})
	slices.Sort(scopes)
	in.chain.scopes = slices.Compact(scopes)
	s.noteLocked()
	return nil
}
