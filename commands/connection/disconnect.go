package connection

// Leaving is asked for twice, done at Slack first, and answered in the window that asked: once the app is gone there is
// no other way left to say anything.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

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
	o, h := outcomeOf(t), t.Health()
	switch {
	case t.External():
		return refusal(t, stranger, nil, "disconnect it")
	case h.Reason == connection.ReasonRecordsSilent:
		return bot.Reply{Text: recordsSilent(t)}
	case h.State == connection.Removed || h.State == connection.NotConnected:
		return o.words("", connection.ErrNotConnected)
	case t.Client == nil && !t.Renewing() && h.GrantURL != "":
		// Nobody can be asked about, and there is nothing that could be done.
		return bot.Reply{Text: fmt.Sprintf("%s no longer has access to %s, so Slack can't be asked to remove it. "+
			"Remove it on its page in Slack: *Configuration*, *Remove App*.", o.app, o.from)}
	}
	is, err := a.standing(ctx, t)
	switch {
	case gone(err): // nobody told us
		return o.words("", connection.ErrNotConnected)
	case is != keeper:
		return refusal(t, is, err, "disconnect it")
	case h.GrantURL == "":
		return o.words("", connection.ErrByHand)
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
		return o.words("", connection.ErrNotConnected)
	}
	t.warn(ctx, "open the window that disconnects", err)
	return t.refused("The window that asks whether you are sure couldn't be opened, so nothing was changed.", err)
}

// gone reports whether Slack says that there is nothing left to disconnect.
func gone(err error) bool {
	code := slackapi.SlackError(err)
	return code == connection.ReasonAccountInactive || code == connection.ReasonTokenRevoked
}

// offer is the button that opens the window, for where there is only a message.
func offer(t turn) bot.Reply {
	text := fmt.Sprintf("To disconnect %s from %s, press the button. A window then lists what will happen, "+
		"and nothing happens before you confirm there.", t.app(), t.place())
	button := mrkdwn.Button(actionDisconnect, "Disconnect "+t.Install.App().Name+"…", "")
	r := paragraph(text, slack.NewActionBlock("", button))
	r.Text += " You can also type " + t.command.Name + " disconnect."
	return r
}

// farewell is the window: the consequences, and one button that confirms.
func farewell(t turn) (slack.ModalViewRequest, error) {
	about, err := json.Marshal(subjectOf(t.Connection))
	if err != nil {
		return slack.ModalViewRequest{}, fmt.Errorf("write what the window is for: %w", err)
	}
	here := "this workspace"
	if t.Connection.Org() {
		here = "all workspaces of the organisation"
	}
	intro := fmt.Sprintf("This removes %s from %s, for everybody.", t.app(), t.place())
	list := fmt.Sprintf("• The app leaves %s: its commands, messages and Home tab stop working.\n"+
		"• Its access and messages are erased immediately, everything else after %s.\n"+
		"• Anybody who can add apps can bring it back. Within that time it is the same connection, with its history.\n"+
		"• Other apps, and messages that it sent before, stay as they are.", here, t.Install.KeptFor())

	submit := mrkdwn.Plain("Disconnect "+t.Install.App().Name, mrkdwn.MaxTitle)
	return slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: viewDisconnect, PrivateMetadata: string(about),
		Title: mrkdwn.Plain("Disconnect?", mrkdwn.MaxTitle), Submit: submit, Close: mrkdwn.Plain("Cancel", mrkdwn.MaxTitle),
		Blocks: slack.Blocks{BlockSet: []slack.Block{mrkdwn.Section(intro), mrkdwn.Section(list)}},
	}, nil
}

// confirmed is the window's button. What came of it is said in the window: afterwards there may be no access to say it
// with.
func (c Command) confirmed() bot.Handler {
	return bot.OnViewSubmission(viewDisconnect, func(ctx context.Context, s *bot.Submission) error {
		about := s.Payload.View.PrivateMetadata
		return s.Update(window("Disconnect", goodbye(ctx, turn{Request: s.Request, command: c}, about)))
	}, bot.WithoutConnection())
}

// goodbye disconnects the connection that about speaks of, if it still is the same, and says what came of it.
func goodbye(ctx context.Context, t turn, about string) bot.Reply {
	o := outcomeOf(t)
	if t.Health().State == connection.Removed {
		// By somebody else's press, or this one's first: nobody can be asked about any longer.
		return o.words("", connection.ErrNotConnected)
	}
	if no, may := (ask{}).mayAct(ctx, t, "disconnect it"); !may {
		return no
	}
	var meant subject
	if err := json.Unmarshal([]byte(about), &meant); err != nil || meant != subjectOf(t.Connection) {
		return bot.Reply{Text: fmt.Sprintf("%s was connected to %s again since this window was opened, so nothing was "+
			"changed. "+
			"If you still want to disconnect it, type %s disconnect.", o.app, o.from, o.command)}
	}

	asking, cancel := inTime(ctx, t)
	defer cancel()
	said, err := t.Install.Disconnect(asking, connection.Person(t.UserID))
	if err != nil {
		t.Log.WarnContext(ctx, "disconnect", "slack_said", said,
			"slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
	}
	return o.words(said, err)
}

func outcomeOf(t turn) outcome {
	back := t.Install.Grant(links.GrantRequest{Stays: true}) // it is looked for later, if ever
	return outcome{
		app: t.app(), from: t.place(), command: t.command.Name, back: back, ref: t.Ref,
	}
}

// outcome is what there is to say about a disconnect, all of it escaped.
type outcome struct {
	app, from, command string
	back               string // the page that brings the app back
	ref                string
}

func (o outcome) words(said string, err error) bot.Reply {
	var text string
	switch slackSaid := slackapi.SlackError(err); {
	case err == nil:
		text = fmt.Sprintf("%s is disconnected from %s. %s", o.app, o.from, disconnectSaid(said))
		if said == "" {
			text += " If it is still on the list of apps there, remove it on its page in Slack: " +
				"*Configuration*, *Remove App*."
		}
		text += " To bring it back, open " + mrkdwn.Link(o.back, "the install page") + "."
		return bot.Reply{Text: text}
	case errors.Is(err, connection.ErrByHand):
		return bot.Reply{Text: fmt.Sprintf("%s was connected to %s by hand, so it is removed on its page in Slack: "+
			"*Configuration*, *Remove App*.", o.app, o.from)}
	case errors.Is(err, connection.ErrNotConnected):
		return bot.Reply{Text: fmt.Sprintf("%s isn't connected to %s, so there is nothing to disconnect.", o.app, o.from)}
	case errors.Is(err, connection.ErrRenewing):
		text = fmt.Sprintf("%s couldn't renew its access, and without it Slack can't be asked to remove the app. "+
			"It is still connected to %s. Try again in a minute.", o.app, o.from)
	case errors.Is(err, slackapi.ErrUnclear):
		text = fmt.Sprintf("Slack gave no clear answer in time, so we don't know whether %s was removed from %s. "+
			"Type %s status in a minute: if Slack no longer knows that command, it was.", o.app, o.from, o.command)
	case slackSaid == "ratelimited":
		text = fmt.Sprintf("Slack asked us to slow down, so %s wasn't removed. It is still connected to %s. "+
			"Try again in a few minutes.", o.app, o.from)
	case slackSaid != "":
		text = fmt.Sprintf("Slack didn't remove %s; it said %s. It is still connected to %s. "+
			"Try again, or remove it on its page in Slack: *Configuration*, *Remove App*.", o.app, mrkdwn.Code(slackSaid),
			o.from)
	case said != "":
		text = fmt.Sprintf("%s is gone from %s. We couldn't erase its access from our records yet. "+
			"That is done as soon as they answer.", o.app, o.from)
	default:
		text = fmt.Sprintf("%s couldn't be disconnected from %s just now, and Slack wasn't asked. "+
			"Try again in a few minutes.", o.app, o.from)
	}
	return bot.Reply{Text: text + " Reference: " + o.ref + "."}
}
