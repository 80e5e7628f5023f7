package cli

import (
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// In an organisation's channel that two of its workspaces share, people of both are in one standup.
func TestStandupOfTwoWorkspaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	w.addGrid()
	w.start(1, nil)
	w.installGrid(w.browser())
	if err := w.slack.Admins.GrantTeam(t.Context(), gridOne); err != nil {
		t.Fatal(err)
	}
	w.settle()
	both := "C0GRIDBOTH"
	in, _ := w.slack.Installed(gridOne)
	w.slack.AddChannel(slacksim.Channel{ID: both, TeamID: gridOne, Name: "both",
		Members: []string{gridAdmin, gridMember, in.BotUserID}})
	fill := func(person string, values map[string]map[string]string) {
		t.Helper()
		w.wait("a window", func() bool { return len(w.slack.OpenViews(person)) == 1 })
		view := w.slack.OpenViews(person)[0].ID
		if _, err := w.slack.SubmitView(t.Context(), person, view, values); err != nil {
			t.Fatal(err)
		}
		if _, err := w.slack.CloseView(t.Context(), person, view, true); err != nil { // it says what was done
			t.Fatal(err)
		}
	}
	setUp := func(people string) {
		t.Helper()
		w.type_(gridAdmin, both, "/standup")
		fill(gridAdmin, map[string]map[string]string{
			"people": {"people": people}, "days": {"days": "Mon,Tue,Wed,Thu,Fri,Sat,Sun"},
		})
	}
	words := map[string]map[string]string{"yesterday": {"text": "Painting"}, "today": {"text": "Plumbing"}}

	setUp(gridAdmin)
	w.type_(gridAdmin, both, "/standup answer")
	fill(gridAdmin, words)
	ts := ""
	w.wait("the summary", func() bool {
		m := w.last(both, "")
		ts = m.TS
		return strings.Contains(m.Text, "1 of 1 answered.")
	})

	setUp(gridAdmin + "," + gridMember)
	if _, err := w.slack.Press(t.Context(), gridMember, both, ts, "standup.answer"); err != nil {
		t.Fatal(err)
	}
	fill(gridMember, words)
	w.shows(both, ts, "2 of 2 answered.")
}
