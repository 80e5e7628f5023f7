package slacksim

// Reactions of people and of the app, which hears of its own ones, too.
// docs.slack.dev/reference/events/reaction_added

import (
	"context"
	"fmt"
	"regexp"
	"slices"
)

var (
	emojiName   = regexp.MustCompile(`^[\p{L}\p{N}_+'.-]{1,100}(::skin-tone-[2-6])?$`) // without colons around it
	messageTime = regexp.MustCompile(`^\d+\.\d+$`)
)

// React adds a reaction to a message as a person: its name without colons. The app hears reaction_added.
func (s *People) React(_ context.Context, userID, channelID, ts, name string) error {
	return s.react(userID, channelID, ts, name, true)
}

// Unreact takes a person's reaction away again. The app hears reaction_removed.
func (s *People) Unreact(_ context.Context, userID, channelID, ts, name string) error {
	return s.react(userID, channelID, ts, name, false)
}

func (s *People) react(userID, channelID, ts, name string, add bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, c, m, err := s.messageLocked(userID, channelID, ts)
	if err != nil {
		return fmt.Errorf("react: %w", err)
	}
	s.events.reactLocked(c, m, userID, u.TeamID, name, add)
	return nil
}

// reactLocked adds a reaction or takes one away, and says so. It reports whether that changed anything.
func (s *events) reactLocked(c *channel, m *Message, user, team, name string, add bool) bool {
	if slices.Contains(m.Reactions[name], user) == add {
		return false
	}
	if m.Reactions == nil {
		m.Reactions = map[string][]string{}
	}
	typ := "reaction_added"
	if add {
		m.Reactions[name] = append(slices.Clone(m.Reactions[name]), user)
	} else {
		typ = "reaction_removed"
		m.Reactions[name] = slices.DeleteFunc(slices.Clone(m.Reactions[name]), func(x string) bool { return x == user })
		if len(m.Reactions[name]) == 0 {
			delete(m.Reactions, name)
		}
	}
	s.noteLocked()

	inner := map[string]any{"type": typ, "user": user, "reaction": name,
		"item": map[string]any{"type": "message", "channel": c.ID, "ts": m.TS}}
	if m.User != "" { // absent for what workflows and webhooks wrote
		inner["item_user"] = m.User
	}
	s.tellOnceLocked(c, team, typ, inner)
	return true
}

func (s chatMethods) reactionsAdd(r *apiRequest) (map[string]any, *apiError) {
	return nil, s.reactLocked(r, true, "already_reacted")
}

func (s chatMethods) reactionsRemove(r *apiRequest) (map[string]any, *apiError) {
	return nil, s.reactLocked(r, false, "no_reaction")
}

// reactLocked adds or removes the caller's reaction. same is the error where nothing changes.
func (s chatMethods) reactLocked(r *apiRequest, add bool, same string) *apiError {
	ts, name := r.arg("timestamp"), r.arg("name")
	switch {
	case !r.has("channel") || ts == "":
		return fail("no_item_specified")
	case !messageTime.MatchString(ts):
		return fail("bad_timestamp")
	case !emojiName.MatchString(name):
		return fail("invalid_name")
	}
	c, err := s.placeLocked(r, false)
	if err != nil {
		return err
	}

	m := c.find(ts)
	switch {
	case m == nil || m.Deleted || m.Ephemeral:
		return fail("message_not_found")
	case !s.events.reactLocked(c, m, r.token.chain.userID, c.TeamID, name, add):
		return fail(same)
	}
	return nil
}
