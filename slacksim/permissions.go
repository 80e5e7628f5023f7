package slacksim

// Permissions that change while an app is installed: an admin takes one away, or allows one, on Slack's own pages. Slack tells
// the app of neither; every answer just says what the token may do now. docs.slack.dev/authentication/installing-with-oauth

import (
	"fmt"
	"slices"
)

// Permit changes what the app may do in a workspace, or an organisation when given an enterprise id. Tokens stay as they are.
func (s *Sim) Permit(teamID string, allow, takeAway []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.installLocked(teamID)
	if in == nil || in.chain == nil {
		return fmt.Errorf("permit: %w", ErrNotInstalled)
	}
	scopes := slices.DeleteFunc(slices.Concat(in.chain.scopes, allow), func(x string) bool { return slices.Contains(takeAway, x) })
	slices.Sort(scopes)
	in.chain.scopes = slices.Compact(scopes)
	s.noteLocked()
	return nil
}
