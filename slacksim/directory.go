package slacksim

// Who and what is in this Slack, for those who show it or look something up.

import "slices"

// Directory knows the workspaces, people and channels of a Sim. What it returns are copies.
type Directory struct{ *parts }

// Workspaces returns all of them, in the order they were added.
func (d *Directory) Workspaces() []Workspace {
	d.mu.Lock()
	defer d.mu.Unlock()
	return values(d.world.teams, func(*Workspace) bool { return true })
}

// Workspace returns the one with this id. ok is false for an unknown id.
func (d *Directory) Workspace(id string) (w Workspace, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return value(d.world.teamLocked(id))
}

// Users returns the people of one workspace, or of all for "".
func (d *Directory) Users(teamID string) []User {
	d.mu.Lock()
	defer d.mu.Unlock()
	return values(d.world.users, func(u *User) bool { return teamID == "" || u.TeamID == teamID })
}

// first is the first one that is wanted, nil when none is.
func first[T any](list []*T, wanted func(*T) bool) *T {
	if i := slices.IndexFunc(list, wanted); i >= 0 {
		return list[i]
	}
	return nil
}

// values are copies of those that are wanted.
func values[T any](list []*T, wanted func(*T) bool) (out []T) {
	for _, x := range list {
		if wanted(x) {
			out = append(out, *x)
		}
	}
	return out
}

// Channels returns the channels of one workspace, those shared with it included, or all for "". DMs are not among them.
func (d *Directory) Channels(teamID string) (out []Channel) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.world.channels {
		if !c.im && (teamID == "" || c.inTeam(teamID)) {
			out = append(out, c.export())
		}
	}
	return out
}

// User returns a person. ok is false for an unknown id.
func (d *Directory) User(id string) (u User, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return value(d.world.userLocked(id))
}

// value is a copy of what was found. ok is false for nil.
func value[T any](found *T) (v T, ok bool) {
	if found == nil {
		return v, false
	}
	return *found, true
}

// Channel returns a conversation, DMs included. ok is false for an unknown id.
func (d *Directory) Channel(id string) (c Channel, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if x := d.world.channelLocked(id); x != nil {
		return x.export(), true
	}
	return Channel{}, false
}

// Name is what people call the bearer of an id: a person, a workspace, an organisation, the app. "" for an unknown id.
func (d *Directory) Name(id string) (name string, isApp bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.world.nameLocked(id)
}

// RunsOrganisation reports whether a person is an admin of this organisation.
func (d *Directory) RunsOrganisation(userID, enterpriseID string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.world.userLocked(userID)
	return u != nil && d.world.runsOrgLocked(u, enterpriseID)
}

// FirstAdmin is who acts for a workspace that nobody is signed in to: its first admin, else its first member who is no
// guest.
func (d *Directory) FirstAdmin(teamID string) (u User, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return value(d.world.firstAdminLocked(teamID))
}

// Unread reports whether the app wrote to a person since they last looked (OpenHome, Forms.Look). Slack's own notes
// and edits do not count.
func (d *Directory) Unread(userID string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.world.dmLocked(userID)
	return c != nil && slices.ContainsFunc(c.messages, func(m *Message) bool {
		return m.BotID != "" && !m.Deleted && m.TS > c.read
	})
}
