package connection

// The test message: the shortest proof that the connection can write.

import (
	"context"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// test writes to the person who asks, and says what came of it.
func test(ctx context.Context, t turn, a ask) bot.Reply {
	if no, may := a.mayAct(ctx, t, "do that"); !may {
		return no
	}
	app := t.app()
	text := "This is the test message you asked for. " + app + " can write to you in this workspace."
	switch {
	case a.to == direct:
		return bot.Reply{Text: text} // the answer is the proof, and is said once
	case t.Client == nil:
		return bot.Reply{Text: "The test message couldn't be sent, because " + app + " " + whyUnasked(t) + "." +
			more(t, "status", "to see what to do")}
	}

	asking, cancel := inTime(ctx, t)
	defer cancel()
	_, _, err := t.Client.PostMessageContext(asking, t.UserID, slack.MsgOptionText(text, false))
	if err == nil {
		return bot.Reply{Text: "The test message is in your direct messages with " + app + ", under *Messages*."}
	}
	t.warn(ctx, "test message", err)
	if slackapi.SlackError(err) == "" {
		// No answer is not a no: it may have been sent.
		return bot.Reply{Text: "Slack didn't answer in time, so we don't know whether the test message was sent. " +
			"Look in your direct messages." + t.ref()}
	}
	return t.refused("The test message couldn't be sent.", err, "chat:write")
}
