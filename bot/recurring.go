package bot

// Handlers of timers.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/switchboard-go/switchboard/bot/internal/schedule"
)

// KindTimer is a time that has come: OnTimer, Every, Cron.
const KindTimer Kind = "timer"

// OnTimer returns a handler of what Request.Schedule put off under this name. It runs like that of an event: from the
// inbox, once, and again when it fails (see OnEvent). A UserError has nobody to be told to, and is logged.
func OnTimer(name string, run func(ctx context.Context, t *Timer) error, options ...Option) Handler {
	return newHandler(KindTimer, name, options, timing(run))
}

// Every returns a handler that runs for each connection every d, in step with the clock of UTC: every hour is at the
// full hour, or up to ten minutes later, because not all workspaces have their turn at the same moment. Each has it at
// the same minute each time. In an organisation-wide install it runs once for the organisation.
//
// A run that was missed, while the program was away or the connection couldn't be used, is made up for once. When a run
// still waits or isn't finished at its next time, it takes the place of that one.
//
// Its name is "every " and d; a second one with the same d needs a name of its own (Named). New refuses less than
// Config.LeastInterval, and parts of seconds.
func Every(d time.Duration, run func(ctx context.Context, t *Timer) error, options ...Option) Handler {
	c := schedule.Every(max(d.Truncate(time.Second), time.Second))
	h := newHandler(KindTimer, c.String(), options, timing(run))
	if h.calendar = c; time.Duration(c) != d {
		h.broken = fmt.Sprint("every ", d, ": that isn't whole seconds, one at least")
	}
	return h
}

// Cron is Every with a line of cron: minute, hour, day of the month, month, day of the week. A zone can stand before
// it, as in "CRON_TZ=Europe/Vienna 0 9 * * 1-5"; without it that is UTC. A time that clocks show twice, when they are
// set back, has one run; one that they skip has it when they are set forward.
func Cron(spec string, run func(ctx context.Context, t *Timer) error, options ...Option) Handler {
	h := newHandler(KindTimer, "cron "+spec, options, timing(run))
	c, err := schedule.ParseCron(spec)
	if err != nil {
		h.broken = err.Error()
		return h
	}
	h.calendar = c
	return h
}

// timing calls run with a timer.
func timing(run func(ctx context.Context, t *Timer) error) func(context.Context, *Request, any) error {
	return func(ctx context.Context, r *Request, payload any) error {
		t := payload.(*Timer)
		t.Request = r
		return run(ctx, t)
	}
}

// checkTimer finds what is wrong with a handler of a timer.
func (h *Handler) checkTimer() error {
	if h.broken != "" {
		return errors.New(h.broken)
	}
	if err := checkKey(h.Name); err != nil {
		return errors.New("the name is empty, too long or not printable text")
	}
	return nil
}

// checkTimers finds handlers of timers that this Bot can't have.
func (c Config) checkTimers() (problems []error) {
	for _, h := range c.Handlers {
		switch {
		case h.Kind != KindTimer || h.broken != "":
		case c.Timers == nil:
			problems = append(problems, fmt.Errorf("timer %q%s: there is nowhere to keep timers (Config.Timers)", h.Name,
				h.at()))
		case h.calendar == nil:
		default:
			if d := schedule.Shortest(h.calendar, c.Now()); d < c.LeastInterval {
				problems = append(problems, fmt.Errorf("timer %q%s: it runs every %s in each workspace, and %s is the least "+
					"(LeastInterval)", h.Name, h.at(), d, c.LeastInterval))
			}
		}
	}
	return problems
}
