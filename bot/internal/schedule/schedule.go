// Package schedule knows when something is to be done that recurs: every so often, or by a line of cron in a zone of
// the world, whatever its clocks do there in spring and autumn.
package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/cronexpr"
)

// MostSpread bounds how much later than others one can have its turn.
const MostSpread = 10 * time.Minute

// Calendar has the times of what recurs.
type Calendar interface {
	// Next returns the first time after t.
	Next(t time.Time) time.Time
	// String tells one calendar from others.
	String() string
}

// Next returns the first time of c that is due for somebody after now, and when that is. Those with the same calendar
// are spread over the time between two of its times, or MostSpread where that is longer. Each has the same place in it
// each time.
func Next(c Calendar, who string, now time.Time) (slot, due time.Time) {
	place := sha256.Sum256([]byte(who))
	share := float64(binary.BigEndian.Uint64(place[:])>>11) / (1 << 53)
	for slot = c.Next(now.Add(-MostSpread)); ; {
		following := c.Next(slot)
		due = slot.Add(time.Duration(share * float64(min(following.Sub(slot), MostSpread)))).Truncate(time.Microsecond)
		if due.After(now) {
			return slot, due
		}
		slot = following
	}
}

// Shortest is the shortest time between two times of c, of the next thousand after from. There are fewer where c ends
// before.
func Shortest(c Calendar, from time.Time) time.Duration {
	const looked = 1000
	shortest := time.Duration(1<<63 - 1)
	at := c.Next(from)
	for range looked {
		following := c.Next(at)
		if !following.After(at) {
			break
		}
		shortest = min(shortest, following.Sub(at))
		at = following
	}
	return shortest
}

// Every is the calendar of what is done every d, in step with the clock of UTC: every hour is at the full hour. d is
// whole microseconds, and more than none.
type Every time.Duration

// Next is Calendar's.
func (d Every) Next(t time.Time) time.Time {
	return t.UTC().Truncate(time.Duration(d)).Add(time.Duration(d))
}

func (d Every) String() string {
	s := time.Duration(d).String()
	if s, whole := strings.CutSuffix(s, "m0s"); whole {
		s += "m"
		if s, whole := strings.CutSuffix(s, "h0m"); whole {
			return "every " + s + "h"
		}
		return "every " + s
	}
	return "every " + s
}

// Cron is a calendar by a line of cron.
type Cron struct {
	spec string
	zone *time.Location

	mu   sync.Mutex // a line keeps the days of the month that it looks at
	line *cronexpr.Expression
}

// ParseCron reads five fields (minute, hour, day of the month, month, day of the week) or a word like @daily. A zone
// can stand before them, as in "CRON_TZ=Europe/Vienna 0 9 * * 1-5"; without it that is UTC.
func ParseCron(spec string) (*Cron, error) {
	c := &Cron{spec: spec, zone: time.UTC}
	line := strings.TrimSpace(spec)
	for _, prefix := range []string{"CRON_TZ=", "TZ="} {
		if rest, zoned := strings.CutPrefix(line, prefix); zoned {
			name, fields, _ := strings.Cut(rest, " ")
			zone, err := time.LoadLocation(name)
			if err != nil || name == "" {
				return nil, fmt.Errorf("unknown time zone %q", name)
			}
			c.zone, line = zone, strings.TrimSpace(fields)
			break
		}
	}

	if n := len(strings.Fields(line)); n != 5 && !strings.HasPrefix(line, "@") {
		return nil, fmt.Errorf("%d fields, and five are needed: minute, hour, day of the month, month, day of the week", n)
	}
	var err error
	if c.line, err = cronexpr.Parse(line); err != nil {
		return nil, err
	}
	if c.line.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, errors.New("there is no such day")
	}
	return c, nil
}

func (c *Cron) String() string { return "cron " + c.spec }

// Next is Calendar's. The line is about what the clocks on the wall show. A time that they show twice, when they are
// set back, is the first of the two; one that they skip is the moment in which they are set forward. Where the line has
// several times in the skipped hour that is one.
func (c *Cron) Next(t time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()

	shown := onTheWall(t.In(c.zone))
	for {
		if shown = c.line.Next(shown); shown.IsZero() { // the calendar of the line ends in 2099
			return time.Unix(1<<40, 0).UTC()
		}
		if at := c.moment(shown); at.After(t) {
			return at
		}
	}
}

// onTheWall is what a clock shows, as if it were UTC's: a time without a zone.
func onTheWall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// moment is when the clocks of the zone show this for the first time, or skip it.
func (c *Cron) moment(shown time.Time) time.Time {
	at := time.Date(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), shown.Second(), 0, c.zone)
	begin, end := at.ZoneBounds()
	switch seen := onTheWall(at); {
	case seen.Before(shown): // skipped, and Go took the time before
		at = end
	case seen.After(shown): // skipped, and Go took the time after
		at = begin
	case !begin.IsZero():
		_, offset := at.Zone()
		_, earlier := begin.Add(-time.Second).Zone()
		first := at.Add(time.Duration(offset-earlier) * time.Second)
		if earlier > offset && first.Before(begin) { // shown twice, and Go took the second
			at = first
		}
	}
	return at.UTC()
}
