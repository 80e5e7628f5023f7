package slacksim

// What happens to messages after they were written, and who else writes: people edit and delete, other apps and
// workflows post. docs.slack.dev/reference/events/message

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// ErrNotAllowed is what Slack's client says to a person who may not do that.
var ErrNotAllowed = errors.New("the person may not do that")

// People are those of a Sim in what they do less often than Sim.Say and Sim.Press, and the bots that are among them.
type People struct{ *parts }

// Edit changes the text of a person's own message. The app hears message_changed, with the text before, and
// app_mention again if the new text mentions it: a new event id, the same ts, and edited set.
func (s *People) Edit(_ context.Context, userID, channelID, ts, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, c, m, err := s.messageLocked(userID, channelID, ts)
	if err == nil && m.User != u.ID {
		err = ErrNotAllowed
	}
	if err != nil {
		return fmt.Errorf("edit message: %w", err)
	}

	before := s.world.messageJSONLocked(c, m)
	m.Text, m.Edited, m.editedTS = text, true, s.world.tsLocked()
	s.noteLocked()
	s.events.editEventLocked(c, m, "message_changed", before, u.TeamID)
	if !c.im {
		s.events.mentionsLocked(c, m, u.TeamID)
	}
	return nil
}

// Delete takes a message away: a person's own, or for an admin anybody's. The app hears message_deleted. A message
// with replies stays as a tombstone, and the app hears message_changed.
func (s *People) Delete(_ context.Context, userID, channelID, ts string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, c, m, err := s.messageLocked(userID, channelID, ts)
	if err == nil && m.User != u.ID && !u.Admin {
		err = ErrNotAllowed
	}
	if err != nil {
		return fmt.Errorf("delete message: %w", err)
	}
	s.events.deleteLocked(c, m, u.TeamID)
	return nil
}

// messageLocked finds a message that a person sees and that was not only for them.
func (s *People) messageLocked(userID, channelID, ts string) (*User, *channel, *Message, error) {
	u, c, err := s.world.memberLocked(userID, channelID)
	if err != nil {
		return nil, nil, nil, err
	}
	m := c.find(ts)
	if m == nil || m.Deleted || m.Ephemeral {
		return nil, nil, nil, ErrNoMessage
	}
	return u, c, m, nil
}

// OtherBot is another app's bot. One without UserID is a workflow or an old integration: what it writes has the subtype
// bot_message and no user. Name, BotID and AppID have defaults.
type OtherBot struct{ Name, UserID, BotID, AppID string }

// PostAs writes a message as another bot, in a thread where threadTS is one, and returns its ts. Bots mention apps,
// too.
func (s *People) PostAs(_ context.Context, b OtherBot, channelID, threadTS, text string) (ts string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.world.channelLocked(channelID)
	switch {
	case c == nil:
		return "", fmt.Errorf("post as %s: %w", b.Name, ErrNoChannel)
	case threadTS != "" && c.find(threadTS) == nil:
		return "", fmt.Errorf("post as %s: %w", b.Name, ErrNoMessage)
	}

	m := &Message{User: b.UserID, BotID: cmp.Or(b.BotID, "B0OTHERBOT"), AppID: cmp.Or(b.AppID, "A0OTHERAPP"),
		Username: cmp.Or(b.Name, "Workflow"), Text: text, ThreadTS: threadTS}
	if b.UserID == "" {
		m.Subtype = "bot_message"
	}
	s.world.postLocked(c, m)
	s.events.messageEventsLocked(c, m, "")
	return m.TS, nil
}

// Retype is People.Edit with what a person typed, as in Type.
func (s *Forms) Retype(ctx context.Context, userID, channelID, ts, text string) error {
	return s.sim.People.Edit(ctx, userID, channelID, ts, s.oauth.encode(userID, text))
}
