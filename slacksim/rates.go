package slacksim

// How often a method can be called. Slack counts per method, app and workspace, and tells none of the bursts that it
// puts up with, so there are none here: what a tier allows in a minute by the clock, and not one call more.
// docs.slack.dev/apis/web-api/rate-limits

import "time"

// perMinute is what the tiers allow.
var perMinute = map[int]int{2: 20, 3: 50, 4: 100}

// rates knows when methods that have a tier were called.
type rates struct {
	*engine
	calls map[string][]time.Time // by method and home, within the last minute
}

func newRates(e *engine) *rates { return &rates{engine: e, calls: map[string][]time.Time{}} }

// takeLocked counts a call, or says in how many seconds the next one is allowed.
func (s *rates) takeLocked(method, home string, tier int) (wait int) {
	if tier == 0 {
		return 0
	}
	key, now := method+" "+home, s.clock.Now()
	recent := s.calls[key]
	for len(recent) > 0 && now.Sub(recent[0]) >= time.Minute {
		recent = recent[1:]
	}
	s.calls[key] = recent

	if len(recent) >= perMinute[tier] {
		left := time.Minute - now.Sub(recent[len(recent)-perMinute[tier]])
		return int((left + time.Second - 1) / time.Second)
	}
	s.calls[key] = append(recent, now)
	return 0
}
