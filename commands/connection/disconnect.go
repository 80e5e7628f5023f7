package connection

// Leaving is asked for twice, done at Slack first, and answered in the window that asked: once the app is gone there is
// no other way left to say anything.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// viewDisconnect is the window that asks whether one is sure.
const viewDisconnect = "connection.disconnect"

// subject is what the window was opened for. It is no secret, and nothing follows from it: who submits is asked for
// again, and a connection that is another by then is left alone.
type subject struct {
	Connection string `json:"connection"`
	Consent    int64  `json:"consent"` // of the install it spoke of, in microseconds
}

func subjectOf(c connection.Connection) subject { return subject{c.ID, c.AuthorizedAt.UnixMicro()} }

// disconnect opens the window that says what would happen; where none can be opened, it offers the button for that.
func disconnect(ctx context.Context, t turn, a ask) bot.Reply {
	h := t.Health()
	switch {
	case t.External():
		return refusal(t, stranger, nil, "disconnect")
	case h.Reason == connection.ReasonRecordsSilent:
		return recordsSilent(t)
	case h.State == connection.Removed || h.State == connection.NotConnected:
		return disconnected(t, "", connection.ErrNotConnected)
	case t.Client == nil && !t.Renewing() && h.GrantURL != "":
		// Nobody can be asked about, and there is nothing that could be done.
		return bot.Reply{Text: t.say("disconnect.no_access")}
	}
	is, err := a.standing(ctx, t)
	switch {
	case gone(err): // nobody told us
		return disconnected(t, "", connection.ErrNotConnected)
	case is != keeper:
		return refusal(t, is, err, "disconnect")
	case h.GrantURL == "":
		return disconnected(t, "", connection.ErrByHand)
	case t.windows == nil:
		return offer(t)
	}

	asking, cancel := inTime(ctx, t)
	defer cancel()
	view, err := farewell(t)
	if err == nil {
		_, err = t.windows.OpenModal(asking, view)
	}
	switch {
	case err == nil:
		return bot.Reply{} // the window is the answer
	case gone(err):
		return disconnected(t, "", connection.ErrNotConnected)
	}
	t.warn(ctx, "open the window that disconnects", err)
	return t.refused(t.say("disconnect.no_window"), err)
}

// gone reports whether Slack says that there is nothing left to disconnect.
func gone(err error) bool {
	code := slackapi.SlackError(err)
	return code == connection.ReasonAccountInactive || code == connection.ReasonTokenRevoked
}

// offer is the button that opens the window, for where there is only a message.
func offer(t turn) bot.Reply {
	button := mrkdwn.Button(actionDisconnect, t.plain("button.disconnect_app"), "")
	r := paragraph(t.say("disconnect.offer"), slack.NewActionBlock("", button))
	r.Text = sentences(r.Text, t.say("disconnect.offer_typed", "typed", t.typed("disconnect")))
	return r
}

// farewell is the window: the consequences, and one button that confirms.
func farewell(t turn) (slack.ModalViewRequest, error) {
	about, err := json.Marshal(subjectOf(t.Connection))
	if err != nil {
		return slack.ModalViewRequest{}, fmt.Errorf("write what the window is for: %w", err)
	}
	list := []string{
		t.sayFor("disconnect.leaves"), t.say("disconnect.erased", "kept", t.Install.KeptFor()), t.say("disconnect.back"),
		t.say("disconnect.stays"),
	}
	return slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: viewDisconnect, PrivateMetadata: string(about),
		Title:  mrkdwn.Plain(t.plain("title.disconnect_ask"), mrkdwn.MaxTitle),
		Submit: mrkdwn.Plain(t.plain("button.confirm"), mrkdwn.MaxTitle),
		Close:  mrkdwn.Plain(t.plain("button.cancel"), mrkdwn.MaxTitle),
		Blocks: slack.Blocks{BlockSet: []slack.Block{
			mrkdwn.Section(t.say("disconnect.intro")), mrkdwn.Section(strings.Join(list, "\n")),
		}},
	}, nil
}

// confirmed is the window's button. What came of it is said in the window: afterwards there may be no access to say it
// with.
func (c Command) confirmed() bot.Handler {
	return bot.OnViewSubmission(viewDisconnect, func(ctx context.Context, s *bot.Submission) error {
		about := s.Payload.View.PrivateMetadata
		t := turn{Request: s.Request, command: c}
		return s.Update(window(t, t.plain("title.disconnect"), goodbye(ctx, t, about)))
	}, bot.WithoutConnection())
}

// goodbye disconnects the connection that about speaks of, if it still is the same, and says what came of it.
func goodbye(ctx context.Context, t turn, about string) bot.Reply {
	if t.Health().State == connection.Removed {
		// By somebody else's press, or this one's first: nobody can be asked about any longer.
		return disconnected(t, "", connection.ErrNotConnected)
	}
	if no, may := (ask{}).mayAct(ctx, t, "disconnect"); !may {
		return no
	}
	var meant subject
	if err := json.Unmarshal([]byte(about), &meant); err != nil || meant != subjectOf(t.Connection) {
		return bot.Reply{Text: t.say("disconnect.again", "typed", t.typed("disconnect"))}
	}

	asking, cancel := inTime(ctx, t)
	defer cancel()
	said, err := t.Install.Disconnect(asking, connection.Person(t.UserID))
	if err != nil {
		t.Log.WarnContext(ctx, "disconnect", "slack_said", said,
			"slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
	}
	return disconnected(t, said, err)
}

// disconnected says what came of it: said is what Slack answered.
func disconnected(t turn, said string, err error) bot.Reply {
	var text string
	switch slackSaid := slackapi.SlackError(err); {
	case err == nil:
		return bot.Reply{Text: goneWell(t, said)}
	case errors.Is(err, connection.ErrByHand):
		return bot.Reply{Text: t.say("disconnect.by_hand")}
	case errors.Is(err, connection.ErrNotConnected):
		return bot.Reply{Text: t.say("disconnect.not_connected")}
	case errors.Is(err, connection.ErrRenewing):
		text = t.say("disconnect.renewing")
	case errors.Is(err, slackapi.ErrUnclear):
		text = t.say("disconnect.unclear", "typed", t.typed("status"))
	case slackSaid == "ratelimited":
		text = t.say("disconnect.rate_limited")
	case slackSaid != "":
		text = t.say("disconnect.refused", "code", mrkdwn.Code(slackSaid))
	case said != "":
		text = t.say("disconnect.not_erased")
	default:
		text = t.say("disconnect.not_asked")
	}
	return bot.Reply{Text: sentences(text, t.ref())}
}

// goneWell says that the app is gone, and how it comes back.
func goneWell(t turn, said string) string {
	listed := ""
	if said == "" { // Slack wasn't asked
		listed = t.say("disconnect.listed")
	}
	back := t.Install.Grant(links.GrantRequest{Stays: true}) // it is looked for later, if ever
	return sentences(t.say("disconnect.done"), disconnectSaid(t, said), listed,
		t.say("disconnect.bring_back", "address", mrkdwn.Address(back)))
}
