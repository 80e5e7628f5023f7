package doctor

// What several checks say in the same way: times, amounts, and where a setting is at Slack.

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// unix is a time that a metric holds.
func unix(seconds float64) time.Time {
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9))
}

// now is the clock that the app lives by: the database's where it is known.
func (e *Examined) now() time.Time {
	if db, err := e.Database(); err == nil {
		return db.Now()
	}
	return e.machine()
}

// machine is this machine's clock.
func (e *Examined) machine() time.Time {
	if e.Config.Clock != nil {
		return e.Config.Clock()
	}
	return time.Now()
}

// ago says how long ago a time was.
func (e *Examined) ago(t time.Time) string {
	d := e.now().Sub(t)
	if d < time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

// span is a length of time for people: 90 seconds, 3 hours, 12 days.
func span(d time.Duration) string {
	for _, unit := range []struct {
		name string
		long time.Duration
		from time.Duration
	}{
		{"day", 24 * time.Hour, 48 * time.Hour},
		{"hour", time.Hour, 2 * time.Hour},
		{"minute", time.Minute, 2 * time.Minute},
	} {
		if d >= unit.from {
			return Amount(int(d/unit.long), unit.name)
		}
	}
	return Amount(int(d/time.Second), "second")
}

// Amount is a number with its noun.
func Amount(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

// appsPage lists the apps of whoever looks, at Slack.
func (e *Examined) appsPage() string {
	if e.Config.Install.SlackURL == "https://slack-gov.com" {
		return "https://api.slack-gov.com/apps"
	}
	return "https://api.slack.com/apps"
}

// appPage is a page of this app's settings at Slack, such as "general" or "oauth".
func (e *Examined) appPage(name string) string {
	if e.Config.Install.AppID == "" {
		return e.appsPage() + " (choose the app, then its page " + pages[name] + ")"
	}
	return e.appsPage() + "/" + e.Config.Install.AppID + "/" + name
}

// pages are their names in Slack's menu.
var pages = map[string]string{
	"general": "Basic Information", "oauth": "OAuth & Permissions", "event-subscriptions": "Event Subscriptions",
	"interactive-messages": "Interactivity & Shortcuts", "slash-commands": "Slash Commands", "socket-mode": "Socket Mode",
	"app-manifest": "App Manifest", "distribute": "Manage Distribution",
}

// listed joins a list, cut short where it is long.
func listed(all []string) string {
	const most = 12
	if len(all) > most {
		return strings.Join(all[:most], ", ") + fmt.Sprintf(" and %d more", len(all)-most)
	}
	return strings.Join(all, ", ")
}

// sorted is listed for a set.
func sorted(set map[string]bool) string { return listed(slices.Sorted(maps.Keys(set))) }
