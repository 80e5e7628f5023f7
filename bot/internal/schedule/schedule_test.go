package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func parse(t *testing.T, spec string) *Cron {
	t.Helper()
	c, err := ParseCron(spec)
	if err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	return c
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return when.UTC()
}

func TestCron(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ spec, after, want string }{
		{"0 9 * * 1-5", "2026-11-27T09:00:00Z", "2026-11-30T09:00:00Z"}, // a Friday
		{"*/15 * * * *", "2026-11-30T09:00:00Z", "2026-11-30T09:15:00Z"},
		{"@daily", "2026-11-30T09:00:00Z", "2026-12-01T00:00:00Z"},
		{"0 0 1 1 *", "2026-11-30T09:00:00Z", "2027-01-01T00:00:00Z"},
		{"0 12 13 * 5", "2026-11-01T00:00:00Z", "2026-11-06T12:00:00Z"}, // the 13th, and each Friday
		{"0 9 31 * *", "2026-11-30T09:00:00Z", "2026-12-31T09:00:00Z"},  // months without a 31st have no turn
		{"0 9 31 * *", "2027-01-31T09:00:00Z", "2027-03-31T09:00:00Z"},
		{"0 9 29 2 *", "2026-11-30T09:00:00Z", "2028-02-29T09:00:00Z"}, // leap years alone
		{"0 9 29 2 *", "2028-02-29T09:00:00Z", "2032-02-29T09:00:00Z"},
		{"CRON_TZ=Pacific/Auckland 0 0 29 2 *", "2026-11-30T09:00:00Z", "2028-02-28T11:00:00Z"},
		{"0 9 28-31 2 *", "2027-02-28T09:00:00Z", "2028-02-28T09:00:00Z"},
		{"CRON_TZ=Europe/Vienna 0 9 * * *", "2026-11-30T08:00:00Z", "2026-12-01T08:00:00Z"},
		{"TZ=Asia/Kolkata 30 9 * * *", "2026-11-30T03:59:59Z", "2026-11-30T04:00:00Z"},
		{"CRON_TZ=Europe/Vienna 0 9 * * *", "2026-06-30T08:00:00Z", "2026-07-01T07:00:00Z"},
	} {
		if got := parse(t, test.spec).Next(at(t, test.after)); !got.Equal(at(t, test.want)) {
			t.Errorf("%s after %s: %s, want %s", test.spec, test.after, got.Format(time.RFC3339), test.want)
		}
	}
}

func TestCronRefuses(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"": "five", "* * * *": "five", "0 0 9 * * *": "five", "0 9 * * 1-5 2027": "five", "61 * * * *": "",
		"CRON_TZ=Europe/Vinna 0 9 * * *": "Vinna", "TZ= 0 9 * * *": "zone", "0 0 31 2 *": "no such day", "@often": "",
	} {
		if _, err := ParseCron(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", spec, err, want)
		}
	}
}

// A time that doesn't exist, or exists twice, has one turn.
func TestClocksThatAreSet(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		spec, from, to string
		want           []string
	}{
		// 2:00 becomes 3:00 on the 8th
		{"CRON_TZ=America/New_York 30 2 * * *", "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z",
			[]string{"2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"}},
		// 2:00 becomes 1:00 on the 1st
		{"CRON_TZ=America/New_York 30 1 * * *", "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z",
			[]string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"}},
		{"CRON_TZ=Europe/Vienna 30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z",
			[]string{"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
		{"CRON_TZ=Europe/Vienna 30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z",
			[]string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"CRON_TZ=Europe/Vienna */30 * * * *", "2026-03-29T00:00:00Z", "2026-03-29T02:10:00Z",
			[]string{"2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:00:00Z"}},
		{"CRON_TZ=Australia/Lord_Howe 15 2 * * *", "2026-10-03T00:00:00Z", "2026-10-04T12:00:00Z", // half an hour is skipped
			[]string{"2026-10-03T15:30:00Z"}},
	} {
		var got []string
		c := parse(t, test.spec)
		for when := c.Next(at(t, test.from)); when.Before(at(t, test.to)); when = c.Next(when) {
			got = append(got, when.Format(time.RFC3339))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.spec, got, test.want)
		}
	}

	// Whatever the zone and the day, time goes on, and a daily time has one turn a day.
	for _, zone := range []string{"America/New_York", "Europe/Vienna", "Australia/Lord_Howe", "Africa/Cairo",
		"America/Santiago", "Pacific/Apia"} {
		for range 20 {
			c := parse(t, fmt.Sprintf("CRON_TZ=%s %d %d * * *", zone, rand.N(60), rand.N(24)))
			when := c.Next(at(t, "2026-01-01T00:00:00Z"))
			days := map[string]bool{}
			for range 700 {
				next := c.Next(when)
				if gap := next.Sub(when); gap < 20*time.Hour || gap > 28*time.Hour {
					t.Fatalf("%s: %s follows %s", c, next, when)
				}
				day := next.In(c.zone).Format(time.DateOnly)
				if days[day] {
					t.Fatalf("%s: twice on %s", c, day)
				}
				days[day], when = true, next
			}
		}
	}
}

// The runs of one handler look for their next times beside each other.
func TestCronTogether(t *testing.T) {
	c := parse(t, "0 9 31 * *")
	from := at(t, "2026-01-01T00:00:00Z")
	var want [12]time.Time
	for i := range want {
		want[i] = parse(t, c.spec).Next(from.AddDate(0, i, 0))
	}

	var all sync.WaitGroup
	for i, want := range want {
		all.Go(func() {
			for range 1000 {
				if got := c.Next(from.AddDate(0, i, 0)); !got.Equal(want) {
					t.Errorf("month %d: %v, want %v", i+1, got, want)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestEvery(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-11-30T09:00:00Z")
	for d, want := range map[time.Duration]string{time.Hour: "2026-11-30T10:00:00Z",
		24 * time.Hour: "2026-12-01T00:00:00Z", 90 * time.Minute: "2026-11-30T10:30:00Z",
		15 * time.Minute: "2026-11-30T09:15:00Z"} {
		if got := Every(d).Next(now); !got.Equal(at(t, want)) {
			t.Errorf("every %s: %s", d, got)
		}
	}
	for d, want := range map[time.Duration]string{time.Hour: "every 1h", 90 * time.Minute: "every 1h30m",
		15 * time.Minute: "every 15m", 24 * time.Hour: "every 24h", 90 * time.Second: "every 1m30s"} {
		if got := Every(d).String(); got != want {
			t.Errorf("%s: %q", d, got)
		}
	}
}

// Those with one calendar have their turns all over the first ten minutes, each at its own place each time, and nobody
// is left out.
func TestSpread(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-11-30T09:00:00Z")
	for _, test := range []struct {
		calendar Calendar
		over     time.Duration
	}{{Every(24 * time.Hour), MostSpread}, {Every(2 * time.Minute), 2 * time.Minute},
		{parse(t, "CRON_TZ=Europe/Vienna 0 9 * * 1-5"), MostSpread}} {
		const n = 10_000
		parts := make([]int, 10)
		for i := range n {
			slot, due := Next(test.calendar, fmt.Sprint("con_", i), now)
			late := due.Sub(slot)
			if late < 0 || late >= test.over || !due.After(now) || due.Sub(now) > 96*time.Hour {
				t.Fatalf("%s: %s late, at %s", test.calendar, late, due)
			}
			parts[int(late*10/test.over)]++
			next, after := Next(test.calendar, fmt.Sprint("con_", i), due)
			if !next.After(slot) || after.Sub(next) != late {
				t.Fatalf("%s: %s is followed by %s at another place (%s, %s)", test.calendar, slot, next, late, after.Sub(next))
			}
		}
		if most, least := slices.Max(parts), slices.Min(parts); least < n/10*8/10 || most > n/10*12/10 {
			t.Errorf("%s: spread like %v", test.calendar, parts)
		}
	}
}

func TestShortest(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-11-30T09:00:00Z")
	for calendar, want := range map[Calendar]time.Duration{Every(time.Hour): time.Hour,
		parse(t, "*/15 * * * *"): 15 * time.Minute, parse(t, "0,5 9 * * *"): 5 * time.Minute,
		parse(t, "0 9 * * *"): 24 * time.Hour, parse(t, "59 23,0 * * *"): time.Hour,
		parse(t, "0 9 1 * *"): 28 * 24 * time.Hour, parse(t, "@yearly"): 365 * 24 * time.Hour,
		parse(t, "0 9 29 2 *"): (4*365 + 1) * 24 * time.Hour} {
		if got := Shortest(calendar, now); got != want {
			t.Errorf("%s: %s", calendar, got)
		}
	}
}

// Whatever somebody writes as a line of cron is refused, or has times that go on, and the same ones when it is read
// again.
func FuzzParseCron(f *testing.F) {
	for _, spec := range []string{"0 9 * * 1-5", "CRON_TZ=Europe/Vienna 30 2 * * *", "@daily",
		"TZ=Asia/Kolkata 0 0 29 2 *", "*/7 1,2 L * 5#3", "@", "CRON_TZ= * * * * *", "0 0 31 2 *", "1-5/0 * * * *"} {
		f.Add(spec, int64(1_790_000_000))
	}
	f.Fuzz(func(t *testing.T, spec string, seconds int64) {
		c, err := ParseCron(spec)
		if err != nil {
			return
		}
		again, err := ParseCron(strings.TrimPrefix(c.String(), "cron "))
		if err != nil {
			t.Fatalf("%q is read once, and then: %v", spec, err)
		}
		now := time.Unix(1_500_000_000+max(seconds, -seconds)%1_500_000_000, 0)
		for when := now; when.Year() < 2090 && when.Sub(now) < 50*24*time.Hour; {
			next := c.Next(when)
			if !next.After(when) || !next.Equal(again.Next(when)) {
				t.Fatalf("%q: after %s comes %s, and read again %s", spec, when, next, again.Next(when))
			}
			when = next.Add(13 * time.Hour)
		}
		if slot, due := Next(c, "con_1", now); !due.After(now) || due.Before(slot) || due.Sub(slot) >= MostSpread {
			t.Fatalf("%q: the turn at %s is due at %s, now %s", spec, slot, due, now)
		}
	})
}
