package cli

// A poll from the form to its end, in a browser: everybody votes, the program ends and starts again while it is open,
// and the clock passes the time at which it closes.

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// walkedPolls is how many polls are in the channel.
func (k *walk) walkedPolls() (n int) {
	for _, m := range k.fromApp(withApp, "") {
		if !m.Ephemeral && strings.Contains(strings.ToLower(m.Text), "poll: ") {
			n++
		}
	}
	return n
}

func TestWalkPoll(t *testing.T) {
	storagetest.Long(t)
	t.Parallel()
	k := newWalk(t, time.Now().Truncate(time.Hour))
	k.install()
	ends := k.clock.Now().Add(50 * time.Hour).UTC()
	const newest = "#messages .from-app:last-child"

	// Leon asks in the form, and is told what is wrong in it, where it is.
	k.be(slacksim.AcmeMember, withApp)
	k.b.says("/poll")
	k.b.ask("put in the options", `((q, o) => {
		if (!q || !o) return false;
		q.value = "Lunch?"; o.value = "Pizza";
		return true;
	})(...document.querySelectorAll('#modal [data-action-id="text"]'))`)
	k.b.looks("walk-poll-form")
	k.b.press("#modal-submit")
	k.b.reads("#modal", "A poll needs 2 to 10 options, and this one has 1.")
	k.b.ask("mend the options", `(o => { if (!o) return false; o.value = "Pizza\nSushi\nSalad"; return true })(
		document.querySelector('#modal textarea[data-action-id="text"]'))`)
	k.b.puts("ends", ends.Format("2006-01-02T15:04"))
	k.b.submits()
	k.b.reads("#messages .from-app", "Lunch?", "Pizza", "no votes", "Close poll")

	// Everybody votes, the guest and the other company, too. A double click is one press.
	for i, who := range append(roles, walkAbroad) {
		k.be(who, withApp)
		option := fmt.Sprintf("poll.vote.%d", i%2)
		k.presses(fmt.Sprintf(`#messages [data-action-id=%q]`, option))
		all := k.slack.Messages(withApp, who) // of two clicks so close a page may send one
		if _, err := k.slack.Press(t.Context(), who, withApp, all[len(all)-1].TS, option); err != nil {
			t.Fatal(err)
		}
		k.pass(3 * time.Second)
		voted := fmt.Sprintf("%d people voted.", i+1)
		if i == 0 {
			voted = "1 person voted."
		}
		k.b.reads("#messages .from-app", voted)
	}
	k.b.reads("#messages .from-app", "3 votes, 60%", "2 votes, 40%", "@Noah Kim")
	k.b.looks("walk-poll")
	k.b.press(`#messages [data-action-id="poll.close"]`)
	k.b.click("#confirm-yes")
	k.b.reads("#messages .ephemeral", "Only @Leon Okafor, who asked it, and workspace admins can close this poll.")

	// A day later, after a restart, it goes on with what it had.
	k.rest()
	k.stop()
	k.clock.Advance(24 * time.Hour)
	k.run()
	k.be(slacksim.AcmeMember, withApp)
	k.b.reads("#messages .from-app", "5 people voted.")
	k.presses(`#messages [data-action-id="poll.vote.2"]`)
	k.pass(3 * time.Second)
	k.b.reads("#messages .from-app", "1 vote, 20%", "5 people voted.")

	// It is open until its time, and closed then.
	k.until(ends.Add(-time.Minute))
	k.b.is("it is still open", `!!document.querySelector('#messages [data-action-id="poll.vote.0"]')`)
	k.until(ends.Add(3 * time.Second))
	k.b.reads("#messages .from-app", "This poll closed", "3 votes, 60%", "@Leon Okafor asked.")
	k.b.is("nothing can be pressed in it", `!document.querySelector('#messages [data-action-id^="poll."]')`)
	k.b.looks("walk-poll-closed")

	// One whose time passes while the program is away closes when it is back, once.
	k.b.says(`/poll anonymous "Again?" Yes, No`).reads([]string{"Again?", "Anonymous"}, nil)
	k.rest()
	k.stop()
	k.clock.Advance(31 * 24 * time.Hour)
	k.run()
	k.be(slacksim.AcmeMember, withApp)
	k.b.reads(newest, "Again?", "This poll closed")
	k.restart()
	k.rest()
	if n := k.walkedPolls(); n != 2 {
		t.Errorf("%d messages of two polls", n)
	}
	k.b.clean()
}
