package cli

// A standup over days on which the clocks of some of its people are changed, in a browser: everybody is asked when
// their own clock shows the time, on each of the days, once.

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// clockChange is the next day after a time on which clocks in a zone are changed, forward or back.
func clockChange(t *testing.T, zone string, after time.Time, forward bool) time.Time {
	t.Helper()
	in, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	for day := range 400 {
		noon := time.Date(after.Year(), after.Month(), after.Day()+day, 12, 0, 0, 0, in)
		_, before := noon.AddDate(0, 0, -1).Zone()
		_, now := noon.Zone()
		if forward && now > before || !forward && now < before {
			return noon
		}
	}
	t.Fatalf("clocks in %s aren't changed", zone)
	return after
}

// questions is how many standups the app has asked a person about in their direct messages.
func (k *walk) questions(userID string) (n int) {
	for _, m := range k.fromApp(k.slack.DM(userID), userID) {
		if strings.Contains(m.Text, "what did you do yesterday") {
			n++
		}
	}
	return n
}

// summaries is how many the channel has.
func (k *walk) summaries() (n int) {
	for _, m := range k.fromApp(withApp, "") {
		if strings.HasPrefix(m.Text, "Standup of ") {
			n++
		}
	}
	return n
}

// question is one that is expected.
type question struct {
	who string
	at  time.Time
}

// expected are the questions at half past nine by everybody's own clock, from one day to another.
func expected(k *walk, people []string, from time.Time, days int, weekends bool) (all []question) {
	for _, who := range people {
		u, _ := k.slack.Directory.User(who)
		for day := range days {
			at := time.Date(from.Year(), from.Month(), from.Day()+day, 9, 30, 0, 0, u.Location())
			if free := at.Weekday() == time.Saturday || at.Weekday() == time.Sunday; weekends || !free {
				all = append(all, question{who: who, at: at})
			}
		}
	}
	slices.SortFunc(all, func(a, b question) int { return a.at.Compare(b.at) })
	return all
}

func TestWalkStandup(t *testing.T) {
	storagetest.Long(t)
	for _, over := range []struct {
		name, zone        string
		forward, weekends bool
		before, days      int // the day on which it begins, before the change; and for how many
	}{
		{name: "spring, on weekdays", zone: "Europe/Berlin", forward: true, before: 2, days: 4},
		{name: "autumn, on all days", zone: "America/New_York", weekends: true, before: 1, days: 3},
	} {
		t.Run(over.name, func(t *testing.T) {
			t.Parallel()
			first := clockChange(t, over.zone, time.Now().AddDate(0, 0, 7), over.forward).AddDate(0, 0, -over.before)
			k := newWalk(t, time.Date(first.Year(), first.Month(), first.Day(), 0, 30, 0, 0, time.UTC))
			k.install()
			people := []string{slacksim.AcmeAdmin, slacksim.AcmeMember, walkAbroad}
			k.setUpStandup(people, over.weekends)
			all := expected(k, people, first, over.days, over.weekends)
			asked := map[string]int{}
			for i, q := range all {
				if i == len(all)/2 {
					k.restart()
				}
				k.asks(q, asked)
			}

			// The day's summary: who has answered, and who is missing. What comes late is in it.
			k.answers(slacksim.AcmeAdmin, "Wrote the walk")
			k.pass(2*time.Hour + time.Minute)
			k.be(slacksim.AcmeAdmin, withApp)
			k.b.reads("#messages .from-app:last-child", "Standup of ", "Wrote the walk",
				"Still missing: @Leon Okafor and @Noah Kim.")
			k.answers(slacksim.AcmeMember, "Walked on")
			k.be(slacksim.AcmeAdmin, withApp)
			k.b.reads("#messages .from-app:last-child", "Walked on", "(late)", "Still missing: @Noah Kim.")
			k.b.looks("walk-standup-summary")
			if n, days := k.summaries(), len(all)/len(people); n != days {
				t.Errorf("%d summaries of %d days", n, days)
			}
			k.b.clean()
		})
	}
}

// setUpStandup has the admin set up a standup at half past nine in the window.
func (k *walk) setUpStandup(people []string, weekends bool) {
	k.t.Helper()
	k.be(slacksim.AcmeAdmin, withApp)
	k.b.says("/standup")
	k.b.puts("people", people...)
	k.b.puts("at", "09:30")
	if weekends {
		k.b.puts("days", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
	}
	k.b.looks("walk-standup-form")
	k.b.press("#modal-submit")
	k.b.reads("#modal", "Saved. @Dana Reyes, @Leon Okafor and @Noah Kim are asked")
	k.b.press("#modal-close")
	k.b.windowCloses()
	k.b.reads("#messages .from-app", "set up a standup here.",
		"@Leon Okafor and @Noah Kim are asked at 09:30 in their own time zone")
}

// asks waits for one question: not a minute too early, and only one.
func (k *walk) asks(q question, asked map[string]int) {
	k.t.Helper()
	k.until(q.at.Add(-time.Minute))
	if n := k.questions(q.who); n != asked[q.who] {
		k.t.Errorf("%s was asked %d times before %s", q.who, n, q.at)
	}
	k.until(q.at)
	asked[q.who]++
	k.be(q.who, "dm")
	k.b.reads("#messages .from-app:last-child",
		"It's time for the standup of #with-it, "+q.at.Format("Monday, 2 January"))
	k.b.is("it is half past nine on their clock", `document.querySelector("#messages .from-app:last-child time")
		.innerText === "9:30 AM"`)
	for who, times := range asked {
		if n := k.questions(who); n != times {
			k.t.Errorf("by %s %s was asked %d times, not %d", q.at, who, n, times)
		}
	}
}

// answers fills in the questions of the newest day.
func (k *walk) answers(who, did string) {
	k.t.Helper()
	k.be(who, "dm")
	k.b.press(`#messages .from-app:last-child [data-action-id="standup.answer"]`)
	k.b.reads("#modal", "What did you do yesterday?")
	k.b.puts("text", did)
	k.b.submits()
	k.b.reads("#messages .from-app:last-child", "Thanks.", "are in the standup of #with-it.")
	k.rest()
}
