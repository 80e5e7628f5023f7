// Package bottest tests handlers in a few lines: a small Slack, a database and the app, which is installed in a
// workspace whose people act.
//
//	func TestHello(t *testing.T) {
//		s := bottest.New(t, handlers...)
//		s.As(bottest.Member).Mention("#general", "hello")
//		s.Posted("#general").Want("Hey <@" + bottest.Member.ID + ">!")
//	}
//
// All of it is real but Slack: the app runs as it does in production, takes signed requests over HTTP, and keeps its
// events in SQLite in the test's own folder. The small Slack keeps to Slack's rules; a rule that the app breaks fails
// the test at its end (Sim.Breaches).
//
// What is asked for is waited for, and nothing sleeps: Want returns as soon as it is there, and fails the test when it
// is not there after Patience. The clock stands still until the test moves it (Suite.Advance).
//
// The people are Dana, who is an admin (Admin), Leon (Member) and Mia, who is a guest (Guest), at Acme Corp; Sam
// (Outsider) works for Birch & Co, and meets them in #shared. Suite.Install installs the app in his workspace, too.
// What bottest has no word for the small Slack has: Suite.Sim, package slacksim.
package bottest
