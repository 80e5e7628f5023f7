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
	if no, may := a.mayAct(ctx, t, "test"); !may {
		return no
	}
	text := t.say("test.text")
	switch {
	case a.to == direct:
		return bot.Reply{Text: text} // the answer is the proof, and is said once
	case t.Client == nil:
		return bot.Reply{Text: sentences(t.say("test.failed"), whyUnasked(t), more(t, "status", "ask.fix"))}
	}

	asking, cancel := inTime(ctx, t)
	defer cancel()
	_, _, err := t.Client.PostMessageContext(asking, t.UserID, slack.MsgOptionText(text, false))
	if err == nil {
		return bot.Reply{Text: t.say("test.sent")}
	}
	t.warn(ctx, "test message", err)
	if slackapi.SlackError(err) == "" {
		// No answer is not a no: it may have been sent.
		return bot.Reply{Text: sentences(t.say("test.unclear"), t.ref())}
	}
	return t.refused(t.say("test.failed"), err, "chat:write")
}
