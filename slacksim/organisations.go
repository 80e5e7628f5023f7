package slacksim

// Organisations of workspaces (Enterprise Grid), and who sees what across companies: workspaces that join an
// organisation, channels that change their ids, who else can see an event, and which calls reach for what is not
// theirs. docs.slack.dev/enterprise/developing-for-enterprise-orgs

import (
	"context"
	"fmt"
	"slices"
)

// StartMigration begins to move a workspace into an organisation: grid_migration_started is sent, and until
// FinishMigration every call with a token of that workspace answers org_login_required. It is an error if there is no
// such workspace.
func (s *Admins) StartMigration(_ context.Context, teamID, enterpriseID string) error {
	return s.migrate(teamID, enterpriseID, "", true)
}

// FinishMigration ends it: the workspace belongs to the organisation, its installation keeps its tokens and is that of
// the organisation's workspace now, and grid_migration_finished is sent.
func (s *Admins) FinishMigration(_ context.Context, teamID, enterpriseID, enterpriseName string) error {
	return s.migrate(teamID, enterpriseID, enterpriseName, false)
}

func (s *Admins) migrate(teamID, enterpriseID, name string, begin bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.world.teamLocked(teamID)
	if t == nil {
		return fmt.Errorf("migrate %s: no such workspace", teamID)
	}

	what := "grid_migration_finished"
	if begin {
		what = "grid_migration_started"
		s.oauth.migrating[teamID] = true
	} else {
		delete(s.oauth.migrating, teamID)
		t.EnterpriseID, t.EnterpriseName = enterpriseID, name
		if in := s.oauth.installs[teamID]; in != nil {
			in.enterpriseID = enterpriseID
		}
	}

	s.noteLocked()
	in := s.oauth.installLocked(teamID)
	if in == nil || !s.events.subscribedLocked(what) {
		return nil
	}
	s.events.tellLocked(Event{TeamID: teamID, EnterpriseID: t.EnterpriseID,
		Inner: map[string]any{"type": what, "enterprise_id": enterpriseID}}, in)
	return nil
}

// Supersede lets the organisation's installation take the place of a workspace's own, as an organisation-wide
// deployment does: the workspace's tokens die without a word, and the organisation's app may act there.
// docs.slack.dev/enterprise/migrating-to-organization-wide-deployment
func (s *Admins) Supersede(_ context.Context, teamID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, own := s.world.teamLocked(teamID), s.oauth.installs[teamID]
	if t == nil || own == nil || s.oauth.installs[t.EnterpriseID] == nil {
		return fmt.Errorf("supersede: %s has not both an own installation and its organisation's", teamID)
	}
	s.oauth.removeLocked(own)
	if org := s.oauth.installs[t.EnterpriseID]; !slices.Contains(org.granted, teamID) {
		org.granted = append(org.granted, teamID)
	}
	s.noteLocked()
	return nil
}

// ChangeChannelID gives a channel another id, as Slack Connect can do, and sends channel_id_changed.
// docs.slack.dev/reference/events/channel_id_changed
func (s *Admins) ChangeChannelID(_ context.Context, from, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.world.channelLocked(from)
	if c == nil || s.world.channelLocked(to) != nil {
		return fmt.Errorf("change channel id: %s is not there, or %s is", from, to)
	}
	c.ID = to
	s.noteLocked()
	for _, in := range s.oauth.sidesLocked(c, c.TeamID) {
		if !s.events.wantedLocked(in, "channel_id_changed") {
			continue
		}
		s.events.tellLocked(s.events.fromLocked(c, in, c.TeamID, Event{Inner: map[string]any{
			"type": "channel_id_changed", "old_channel_id": from, "new_channel_id": to}}), in)
		break
	}
	return nil
}

func (in *installation) authorization() map[string]any {
	user, isBot := in.bot.userID, in.chain != nil
	if !isBot {
		user = in.installedBy
	}
	return map[string]any{"enterprise_id": nullable(in.enterpriseID), "team_id": nullable(in.teamID), "user_id": user,
		"is_bot": isBot, "is_enterprise_install": in.org}
}

// viewersLocked are the installations that can see an event about a channel. in is the one it is delivered for.
func (s *oauth) viewersLocked(in *installation, channelID string) []*installation {
	out := []*installation{in}
	if c := s.world.channelLocked(channelID); c != nil && !c.im {
		for _, x := range s.sidesLocked(c, c.TeamID) {
			if c.has(x.bot.userID) && !slices.Contains(out, x) {
				out = append(out, x)
			}
		}
	}
	return out
}

// eventAuthorizations is apps.event.authorizations.list, for an app-level token.
// docs.slack.dev/reference/methods/apps.event.authorizations.list
func (s appMethods) eventAuthorizations(r *apiRequest) (map[string]any, *apiError) {
	viewers, ok := s.events.contexts[r.arg("event_context")]
	if !ok {
		return nil, fail("invalid_event_context")
	}
	all := []map[string]any{}
	for _, in := range viewers {
		if !in.gone {
			all = append(all, in.authorization())
		}
	}
	return paged(r, "authorizations", all)
}

// relatedLocked reports whether a workspace is the installation's own or of its organisation, added or not.
func (s *oauth) relatedLocked(in *installation, team string) bool {
	if in.covers(team) {
		return true
	}
	t := s.world.teamLocked(team)
	return t != nil && in.enterpriseID != "" && t.EnterpriseID == in.enterpriseID
}

// foreignLocked records a breach when a call names something of this Slack that its token's installation can't reach:
// the app then acts for one installation with the token of another. The method answers as Slack would anyway.
func (s *api) foreignLocked(r *apiRequest) {
	in := r.inst
	breach := func(what, id string) {
		s.record.breachLocked(RuleForeignToken, "%s named the %s %s with a token of %s", r.method, what, id, in.home)
	}
	c := s.world.channelLocked(r.arg("channel"))
	if c != nil && !s.oauth.reachesLocked(in, c) && !s.oauth.relatedLocked(in, c.TeamID) {
		breach("channel", c.ID)
	}
	people := splitScopes(r.arg("channel") + "," + r.arg("user") + "," + r.arg("user_id") + "," + r.arg("users"))
	for _, id := range people {
		if u := s.world.userLocked(id); u != nil && !s.oauth.sharesLocked(in, u) {
			breach("person", id)
		}
	}
	for _, name := range []string{"team", "team_id"} {
		if id := r.arg(name); s.world.teamLocked(id) != nil && !s.oauth.relatedLocked(in, id) {
			breach("workspace", id)
		}
	}

	if t := s.hooks.triggers[r.arg("trigger_id")]; t != nil && !in.includes(t.inst) {
		breach("trigger of", t.inst.home)
	}
	for _, v := range s.views.openLocked() {
		if v.ID == r.arg("view_id") && !in.includes(v.inst) {
			breach("view", v.ID)
		}
	}
}

// includes: the same installation, or one of the organisation that this one is for.
func (in *installation) includes(x *installation) bool {
	return x.home == in.home || in.org && x.enterpriseID == in.enterpriseID
}

// sidesLocked lists the installations that could see a conversation, the author's side first.
func (s *oauth) sidesLocked(c *channel, authorTeam string) []*installation {
	var out []*installation
	for _, team := range append([]string{authorTeam, c.TeamID}, c.SharedWith...) {
		if !c.inTeam(team) {
			continue
		}
		if in := s.installLocked(team); in != nil && !slices.Contains(out, in) {
			out = append(out, in)
		}
	}
	return out
}

// reachesLocked: the conversation lies in a workspace the installation covers.
func (s *oauth) reachesLocked(in *installation, c *channel) bool {
	return in.covers(c.TeamID) || slices.ContainsFunc(c.SharedWith, in.covers)
}

// sharesLocked: the installation can see the person, at home or through a shared channel.
func (s *oauth) sharesLocked(in *installation, u *User) bool {
	if s.relatedLocked(in, u.TeamID) {
		return true
	}
	return slices.ContainsFunc(s.world.channels, func(c *channel) bool {
		return !c.im && len(c.SharedWith) > 0 && c.inTeam(u.TeamID) && s.reachesLocked(in, c)
	})
}
