package commands

// The buttons. Each stands for a word and gives its answer, where it was pressed; only the installer and admins are shown any,
// and whoever presses is asked for again.

import (
	"context"
	"fmt"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
)

var (
	pressedCheck       = pressed(actionCheck, func(*slack.InteractionCallback) string { return "check" })
	pressedTest        = pressed(actionTest, func(*slack.InteractionCallback) string { return "test" })
	pressedPermissions = pressed(actionPermissions, func(*slack.InteractionCallback) string { return "permissions" })
	pressedDisconnect  = pressed(actionDisconnect, func(*slack.InteractionCallback) string { return "disconnect" })
	pressedMore        = pressed(actionMore, func(a *slack.InteractionCallback) string {
		for _, action := range a.ActionCallback.BlockActions {
			if action.ActionID == actionMore {
				return action.SelectedOption.Value
			}
		}
		return ""
	})
)

// The buttons under an answer to what was not understood. They stand for what everybody can type.
var (
	offeredStatus      = offered("status")
	offeredPermissions = offered("permissions")
	offeredHelp        = offered("help")
)

func offered(word string) bot.Handler {
	return bot.OnAction(actionOffered+word, func(ctx context.Context, t *bot.Turn, _ *slack.InteractionCallback) (bot.Reply, error) {
		return answer(ctx, t, word, private), nil
	}).Always()
}

// pressed makes the handler of a button, or a menu, that stands for the word that chosen names.
func pressed(id string, chosen func(a *slack.InteractionCallback) string) bot.Handler {
	return bot.OnAction(id, func(ctx context.Context, t *bot.Turn, a *slack.InteractionCallback) (bot.Reply, error) {
		w, ok := getWord(chosen(a))
		if !ok { // of another version
			return shown(ctx, t, a, bot.Reply{Text: "That is no longer offered." + more(t, "help", "to see what is")})
		}
		if no, may := (ask{}).mayAct(ctx, t, "do that"); !may {
			return shown(ctx, t, a, no)
		}
		to := ask{to: private, is: keeper}
		if a.View.Type == slack.VTHomeTab {
			return pressedAtHome(ctx, t, a, w, to)
		}
		r := w.answer(ctx, t, to)
		r.Replace = w.name == "check"
		return r, nil
	}).Always()
}

// pressedAtHome answers in the Home tab: by its new state where that is the answer, else in a window before it.
func pressedAtHome(ctx context.Context, t *bot.Turn, a *slack.InteractionCallback, w word, to ask) (bot.Reply, error) {
	if t.Slack == nil {
		return bot.Reply{}, nil // without a token nothing there can be changed; it names the time it is from
	}
	switch w.name {
	case "check":
		return bot.Reply{Then: func(ctx context.Context) (bot.Reply, error) {
			h, asked := look(ctx, t, true)
			done := ""
			if !asked {
				done = fmt.Sprintf("Slack was asked less than %[1]d seconds ago. Press again in %[1]d seconds.", int(install.RecheckEvery.Seconds()))
			}
			return bot.Reply{}, publishHome(ctx, t, h, done)
		}}, nil
	case "test":
		r := w.answer(ctx, t, to)
		return bot.Reply{Then: func(ctx context.Context) (bot.Reply, error) {
			h, _ := look(ctx, t, false)
			return bot.Reply{}, publishHome(ctx, t, h, r.Text)
		}}, nil
	}
	return shown(ctx, t, a, w.answer(ctx, t, to))
}

// shown brings r to the person who pressed: as it is, or from the Home tab, which has no place for answers, in a window.
func shown(ctx context.Context, t *bot.Turn, a *slack.InteractionCallback, r bot.Reply) (bot.Reply, error) {
	if a.View.Type != slack.VTHomeTab || r.Text == "" || t.Slack == nil {
		return r, nil
	}
	_, err := t.OpenView(ctx, window(t.Install.App().Name, r))
	return bot.Reply{}, err
}

// window is a modal that shows r and can only be closed. What has to be pressed in it can only be a link: a press would ask for
// a second window.
func window(title string, r bot.Reply) slack.ModalViewRequest {
	blocks := r.Blocks
	if len(blocks) == 0 {
		blocks = []slack.Block{section(r.Text)}
	}
	return slack.ModalViewRequest{Type: slack.VTModal, Title: label(title, maxTitle), Close: label("Close", maxTitle), Blocks: slack.Blocks{BlockSet: blocks}}
}
