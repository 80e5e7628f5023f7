package commands

// Pieces of messages and forms that several features are made of.

import (
	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// formText is a text in a form, where Slack shows no markup.
func formText(words string) *slack.TextBlockObject { return mrkdwn.Plain(words, mrkdwn.MaxText) }

// valued is a button that is about something. spoken is what a screen reader says for it; "": its words.
func valued(actionID, words, spoken, about string) *slack.ButtonBlockElement {
	b := mrkdwn.Button(actionID, words, spoken)
	b.Value = about
	return b
}
