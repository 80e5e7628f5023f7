package cli

// Lists that are longer than a screen, and than memory.

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// contract are the names that architecture.md promises of each object.
var contract = []string{"id", "app_id", "enterprise_id", "team_id", "team_name", "state", "reason", "scopes",
	"installed_by", "installed_at", "expires_at", "last_event_at"}

// listed is connections list --json.
func (w *world) listed(args ...string) (ids []string, all []map[string]any) {
	w.t.Helper()
	out, errs, code := w.command(append([]string{"connections", "list", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 {
		w.t.Fatalf("%v: exit %d %v %s", args, code, err, errs)
	}
	for _, one := range all {
		ids = append(ids, one["id"].(string))
	}
	return ids, all
}

func TestList(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.start(1, nil)
		if out, _, code := w.command("connections", "list"); code != 0 || out != "No workspace is connected yet.\n" {
			t.Errorf("an empty list: exit %d %q", code, out)
		}
		if ids, _ := w.listed(); len(ids) != 0 {
			t.Errorf("an empty list: %v", ids)
		}
		w.browser().install(slacksim.AcmeAdmin)
		w.settle()
		w.stop()
		w.addConnections(1233)

		// Scripts get all of it, and page by page the same.
		ids, all := w.listed()
		if len(ids) != 1234 || !slices.IsSorted(ids) {
			t.Fatalf("%d connections", len(ids))
		}
		for _, name := range contract {
			if _, ok := all[1000][name]; !ok {
				t.Errorf("no %s in %v", name, all[1000])
			}
		}
		var paged []string
		for after := ""; ; {
			page, some := w.listed("--limit", "500", "--after="+after)
			paged = append(paged, page...)
			if len(page) < 500 {
				break
			}
			after = some[len(some)-1]["cursor"].(string)
		}
		if !slices.Equal(paged, ids) {
			t.Errorf("page by page %d of %d", len(paged), len(ids))
		}

		// People get a page, and are told how it goes on.
		out, _, code := w.command("connections", "list")
		lines := strings.Split(strings.TrimSpace(out), "\n")
		said, cursor, _ := strings.Cut(lines[len(lines)-1], "--after ")
		if code != 0 || len(lines) != 52 || said != "Showing 50 of 1,234. For the next page, add: " {
			t.Fatalf("exit %d, %d lines, %q", code, len(lines), lines[len(lines)-1])
		}
		if out, _, _ := w.command("connections", "list", "--after", cursor, "--limit", "2"); !strings.Contains(out, ids[51]) ||
			strings.Contains(out, ids[49]) {
			t.Errorf("the next page: %s", out)
		}
		if out, errs, _ := w.command("connections", "list", "--json", "--limit", "2"); !json.Valid([]byte(out)) ||
			!strings.Contains(errs, "Showing 2 of 1,234.") {
			t.Errorf("with --json: %s%s", out, errs)
		}
	})
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.start(1, nil)
		w.browser().install(slacksim.AcmeAdmin)
		w.settle()
		w.stop()
		db := w.store()
		add := func(team string, change func(c *connection.Connection)) string {
			c := connection.Connection{Key: connection.Key{AppID: w.slack.App().ID, TeamID: team}, TeamName: "Team " + team,
				State: connection.Removed, Reason: connection.ReasonUninstalled, InstalledBy: "U0SOMEONE1",
				InstalledAt: time.Now().Add(-60 * 24 * time.Hour), StateSince: time.Now().Add(-30 * 24 * time.Hour)}
			change(&c)
			c, err := db.Add(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			return c.ID
		}
		acme, _ := w.listed()
		gone := add("T0GONE0001", func(c *connection.Connection) { c.OperatorLabel = "Left us in May" })
		quiet := add("T0QUIET001", func(c *connection.Connection) {
			c.State, c.Reason, c.LastEventAt = connection.Paused, "operator", time.Now().Add(-20*24*time.Hour)
		})

		for _, test := range []struct {
			args string
			want []string
		}{
			{"--state active", acme},
			{"--state active,removed", append(slices.Clone(acme), gone)},
			{"--state removed --state paused", []string{gone, quiet}},
			{"--reason app_uninstalled", []string{gone}},
			{"--missing chat:write", []string{gone, quiet}},
			{"--installed-by U0SOMEONE1 --state paused", []string{quiet}},
			{"--since 7d", acme},
			{"--quiet-for 10d", []string{gone, quiet}},
			{"--quiet-for 21d", []string{gone}},
			{"--label may", []string{gone}},
			{"--search t0q", []string{quiet}},
			{"--search " + acme[0], acme},
			{"--search nobody", nil},
		} {
			if got, _ := w.listed(strings.Fields(test.args)...); !slices.Equal(got, test.want) {
				t.Errorf("%s: %v, want %v", test.args, got, test.want)
			}
		}
		if out, _, _ := w.command("connections", "list", "--search", "nobody"); out != "No connection fits.\n" {
			t.Errorf("none fits: %q", out)
		}

		for args, want := range map[string]string{
			"--state fine": `must be one of "active","limited"`, "--limit=-1": "--limit must be 1 or more",
			"--after there": "that isn't what a list ended with", "--since soon": "write 90m, 2h or 7d",
			"--quiet-for=-2h": "write 90m, 2h or 7d",
		} {
			_, errs, code := w.command(append([]string{"connections", "list"}, strings.Fields(args)...)...)
			if code != 2 || !strings.Contains(errs, want) {
				t.Errorf("%s: exit %d %s", args, code, errs)
			}
		}
	})
}

func TestGrouped(t *testing.T) {
	t.Parallel()
	got := fmt.Sprint(grouped(0), " ", grouped(999), " ", grouped(1000), " ", grouped(1234567), " ", grouped(-100))
	if got != "0 999 1,000 1,234,567 -100" {
		t.Error(got)
	}
}
