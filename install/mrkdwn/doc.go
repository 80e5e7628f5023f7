// Package mrkdwn writes text and blocks for Slack: what comes from outside becomes no markup, and nothing is longer
// than Slack takes, which would refuse the whole message.
//
//	text := "*" + mrkdwn.Escape(title) + "* is due " + mrkdwn.Time(said, due) + ", " + mrkdwn.Person(userID) + "."
//	return bot.Reply{Text: text, Blocks: []slack.Block{mrkdwn.Section(text)}}, nil
package mrkdwn
