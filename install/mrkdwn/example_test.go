package mrkdwn_test

import (
	"fmt"
	"time"

	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// What comes from outside becomes no markup, and everybody reads a time in their own zone.
func Example() {
	title, due := "Budget <!channel> & more", time.Date(2027, 3, 1, 9, 30, 0, 0, time.UTC)
	fmt.Println("*" + mrkdwn.Escape(title) + "* is due " + mrkdwn.Time(nil, due) + ", " + mrkdwn.Person("U1") + ".")
	fmt.Println(mrkdwn.Link("https://example.com/?a=1&b=2", "Open it"))
	// Output:
	// *Budget &lt;!channel&gt; &amp; more* is due <!date^1803893400^{date_short_pretty} at {time}|2027-03-01 09:30 UTC>, <@U1>.
	// <https://example.com/?a=1&amp;b=2|Open it>
}
