package cli

// A poll that fifty people vote in at the same time, on each database, through two replicas where there can be two, and
// over the end of a process.

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// crowdIn adds n people of Acme to #general, with the app.
func (w *world) crowdIn(n int) (people []string) {
	w.t.Helper()
	in, _ := w.slack.Installed(slacksim.Acme)
	if err := w.slack.Invite(context.Background(), slacksim.AcmeAdmin, slacksim.AcmeGeneral, in.BotUserID); err != nil {
		w.t.Fatal(err)
	}
	general, _ := w.slack.Directory.Channel(slacksim.AcmeGeneral)
	for i := range n {
		u := w.slack.AddUser(slacksim.User{ID: fmt.Sprintf("U0CROWD%03d", i), TeamID: slacksim.Acme,
			Name: fmt.Sprintf("crowd%d", i)})
		people = append(people, u.ID)
		general.Members = append(general.Members, u.ID)
	}
	w.slack.AddChannel(general)
	return people
}

// ask posts a poll and returns the message's ts.
func (w *world) ask(line string) (ts string) {
	w.t.Helper()
	w.type_(slacksim.AcmeAdmin, slacksim.AcmeGeneral, line)
	w.wait("the poll", func() bool {
		m := w.last(slacksim.AcmeGeneral, slacksim.AcmeAdmin)
		ts = m.TS
		return strings.HasPrefix(m.Text, "Poll: ")
	})
	return ts
}

// votes has everybody press buttons of a poll, one after the other and each at the same time as the others.
func (w *world) votes(ts string, people []string, options ...int) {
	w.t.Helper()
	var all sync.WaitGroup
	for _, person := range people {
		all.Go(func() {
			for _, option := range options {
				began := time.Now()
				ack, err := w.slack.Press(context.Background(), person, slacksim.AcmeGeneral, ts,
					fmt.Sprintf("poll.vote.%d", option))
				if err != nil || ack.Status != 200 {
					w.t.Errorf("%s votes for %d: %d after %s, %v", person, option, ack.Status, time.Since(began), err)
				}
			}
		})
	}
	all.Wait()
}

// shows waits until the poll says this.
func (w *world) shows(channel, ts, says string) {
	w.t.Helper()
	w.wait(says, func() bool {
		return slices.ContainsFunc(w.slack.Messages(channel, ""), func(m slacksim.Message) bool {
			return m.TS == ts && strings.Contains(m.Text, says)
		})
	})
}

func TestFiftyPeopleVoteAtOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.start(2, nil)
		w.browser().install(slacksim.AcmeAdmin)
		people := w.crowdIn(50)

		ts := w.ask(`/poll "Lunch?" Pizza, Sushi`)
		w.votes(ts, people, 0, 1) // the second press moves the vote
		w.shows(slacksim.AcmeGeneral, ts, "Pizza: no votes. Sushi: 50 votes. 50 people voted.")
		w.votes(ts, people, 0, 0) // a double click
		w.shows(slacksim.AcmeGeneral, ts, "Pizza: 50 votes. Sushi: no votes. 50 people voted.")

		ts = w.ask(`/poll several "Dinner?" Pizza, Sushi`)
		w.votes(ts, people, 0, 1)
		w.shows(slacksim.AcmeGeneral, ts, "Pizza: 50 votes. Sushi: 50 votes. 50 people voted.")

		for _, c := range w.slack.Calls("chat.update") {
			if c.Error != "" {
				t.Errorf("the message was changed too often: %s", c.Error)
			}
		}
		if n := len(w.slack.Calls("chat.update")); n > 25 {
			t.Errorf("300 votes changed the messages %d times", n)
		}
	})
}

// The process ends between the votes and the change of the message: the next one makes up for it.
func TestVotesOutliveTheProcess(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fresh(t))
			lease := map[string]string{"INBOX_LEASE": "1s"}
			if strings.HasPrefix(w.database, "postgres") {
				w.command("migrate", "up")
			}
			first, err := w.startProcess(lease)
			if err != nil {
				t.Fatal(err)
			}
			w.browser().install(slacksim.AcmeAdmin)
			people := w.crowdIn(10)
			ts := w.ask(`/poll "Lunch?" Pizza, Sushi`)

			back := w.slack.Inject(slacksim.Fault{Method: "chat.update", Hang: true})
			w.votes(ts, people, 1)
			w.kill(first)
			back()
			if _, err := w.startProcess(lease); err != nil {
				t.Fatal(err)
			}
			w.shows(slacksim.AcmeGeneral, ts, "Sushi: 10 votes. 10 people voted.")
		})
	}
}

// In an organisation's channel that two of its workspaces share, the votes of both are one poll's.
func TestPollOfTwoWorkspaces(t *testing.T) {
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

	w.type_(gridAdmin, both, `/poll "Lunch?" Pizza, Sushi`)
	ts := w.last(both, gridAdmin).TS
	for i, person := range []string{gridAdmin, gridMember} {
		if _, err := w.slack.Press(t.Context(), person, both, ts, "poll.vote.0"); err != nil {
			t.Fatal(err)
		}
		w.shows(both, ts, fmt.Sprintf("Pizza: %d vote", i+1))
	}
	if _, err := w.slack.Press(t.Context(), gridMember, both, ts, "poll.close"); err != nil {
		t.Fatal(err)
	}
	w.wait("the refusal", func() bool {
		return strings.Contains(w.last(both, gridMember).Text, "can close this poll.")
	})
	if _, err := w.slack.Press(t.Context(), gridAdmin, both, ts, "poll.close"); err != nil {
		t.Fatal(err)
	}
	w.shows(both, ts, "Closed poll: Lunch? Pizza: 2 votes.")
}
