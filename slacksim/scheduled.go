package slacksim

// Messages that the app schedules: they are posted when the Sim's clock gets there.
// docs.slack.dev/reference/methods/chat.scheduleMessage

import (
	"slices"
	"strconv"
	"time"
)

const (
	furthestPost   = 120 * 24 * time.Hour
	scheduleWindow = 5 * time.Minute
	scheduleMost   = 30          // in one channel within the window
	scheduleShut   = time.Minute // so long before it is posted, a message can't be deleted any more
)

// ScheduledMessage is a message that the app has scheduled, and that wasn't posted or deleted yet.
type ScheduledMessage struct {
	ID, ChannelID string
	PostAt        time.Time
	Message       Message // without a ts
}

type scheduled struct {
	ScheduledMessage
	inst *installation
	made time.Time
}

// schedule are the messages to come.
type schedule struct {
	*engine
	world  *world
	oauth  *oauth
	events *events
	record *record
	list   []*scheduled
}

// Scheduled returns the messages that the app has scheduled, in the order it did.
func (d *Directory) Scheduled() (out []ScheduledMessage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, x := range d.schedule.list {
		out = append(out, x.ScheduledMessage)
	}
	return out
}

// postLocked posts a message whose time has come, unless it was deleted, or the app was removed or left the channel.
func (s *schedule) postLocked(x *scheduled) {
	if !slices.Contains(s.list, x) {
		return
	}
	s.dropLocked(x)
	c, m := s.world.channelLocked(x.ChannelID), x.Message
	if c == nil || s.oauth.installs[x.inst.home] != x.inst || !c.im && c.Private && !c.has(m.User) {
		return
	}
	if m.Metadata != nil {
		// Slack's own page says so: with metadata it is never posted.
		s.record.breachLocked(RuleNeverPosted, "a scheduled message had metadata: it is never posted")
		return
	}
	s.world.postLocked(c, &m)
	s.events.messageEventsLocked(c, &m, "")
}

func (s *schedule) dropLocked(x *scheduled) {
	s.list = slices.DeleteFunc(s.list, func(y *scheduled) bool { return y == x })
	s.noteLocked()
}

// fullLocked reports whether a span of scheduleWindow that a time is in has all messages already that it can have.
func (s *schedule) fullLocked(channelID string, at time.Time) bool {
	var near []time.Time
	for _, x := range s.list {
		if x.ChannelID == channelID && x.PostAt.Sub(at).Abs() < scheduleWindow {
			near = append(near, x.PostAt)
		}
	}
	slices.SortFunc(near, time.Time.Compare)

	for i := scheduleMost - 1; i < len(near); i++ {
		from, to := near[i-scheduleMost+1], near[i]
		if at.Before(from) {
			from = at
		} else if at.After(to) {
			to = at
		}
		if to.Sub(from) < scheduleWindow {
			return true
		}
	}
	return false
}

func (s chatMethods) scheduleMessage(r *apiRequest) (map[string]any, *apiError) {
	c, m, err := s.draftLocked(r)
	if err != nil {
		return nil, err
	}
	seconds, convErr := strconv.ParseInt(r.arg("post_at"), 10, 64)
	at, now := time.Unix(seconds, 0), s.clock.Now()
	switch {
	case convErr != nil:
		return nil, fail("invalid_time")
	case !at.After(now):
		return nil, fail("time_in_past")
	case at.Sub(now) > furthestPost:
		return nil, fail("time_too_far")
	}

	if s.schedule.fullLocked(c.ID, at) {
		return nil, fail("restricted_too_many")
	}

	x := &scheduled{inst: r.inst, made: now, ScheduledMessage: ScheduledMessage{ID: s.world.idLocked("Q"), ChannelID: c.ID,
		PostAt: at, Message: *m}}
	s.schedule.list = append(s.schedule.list, x)
	s.laterLocked(at.Sub(now), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.schedule.postLocked(x)
	})
	s.noteLocked()

	shown := s.world.messageJSONLocked(c, m)
	shown["type"], shown["subtype"] = "delayed_message", "bot_message"
	delete(shown, "ts")
	return map[string]any{"channel": c.ID, "scheduled_message_id": x.ID, "post_at": seconds, "message": shown}, nil
}

func (s chatMethods) deleteScheduled(r *apiRequest) (map[string]any, *apiError) {
	if c := s.world.channelLocked(r.arg("channel")); c == nil || !s.oauth.reachesLocked(r.inst, c) {
		return nil, fail("channel_not_found")
	}
	x := first(s.schedule.list, func(x *scheduled) bool {
		return x.ID == r.arg("scheduled_message_id") && x.ChannelID == r.arg("channel") && x.inst == r.inst
	})
	if x == nil || x.PostAt.Sub(s.clock.Now()) < scheduleShut {
		return nil, fail("invalid_scheduled_message_id")
	}
	s.schedule.dropLocked(x)
	return nil, nil
}

func (s chatMethods) listScheduled(r *apiRequest) (map[string]any, *apiError) {
	if id := r.arg("channel"); id != "" {
		if c := s.world.channelLocked(id); c == nil || !s.oauth.reachesLocked(r.inst, c) {
			return nil, fail("invalid_channel")
		}
	}
	oldest, _ := strconv.ParseFloat(r.arg("oldest"), 64)
	latest, err := strconv.ParseFloat(r.arg("latest"), 64)
	out := []any{}
	for _, x := range s.schedule.list {
		at := float64(x.PostAt.Unix())
		if x.inst != r.inst || r.has("channel") && x.ChannelID != r.arg("channel") || at < oldest ||
			err == nil && at > latest {
			continue
		}
		out = append(out, map[string]any{"id": x.ID, "channel_id": x.ChannelID, "post_at": x.PostAt.Unix(),
			"date_created": x.made.Unix(), "text": x.Message.Text})
	}
	return paged(r, "scheduled_messages", out)
}
