package connection

// The buttons. Each stands for a word and gives its answer, where it was pressed; only the installer and admins are
// shown any, and whoever presses is asked for again.

import (
	"context"
	"fmt"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// offers are the words on the buttons under an answer to what was not understood. Everybody can type them.
var offers = []string{"status", "permissions", "help"}

// offered is the button of one of offers.
func (c Command) offered(word string) bot.Handler {
	return bot.OnAction(actionOffered+word, func(ctx context.Context, t *bot.Turn, _ *slack.InteractionCallback) (bot.Reply, error) {
		return answer(ctx, turn{t, c}, word, private), nil
	}).Always()
}

// chosen is the word that was chosen in the menu.
func chosen(a *slack.InteractionCallback) string {
	for _, action := range a.ActionCallback.BlockActions {
		if action.ActionID == actionMore {
			return action.SelectedOption.Value
		}
	}
	return ""
}

// pressed is a button, or a menu, that stands for the word that named returns.
func (c Command) pressed(id string, named func(a *slack.InteractionCallback) string) bot.Handler {
	return bot.OnAction(id, func(ctx context.Context, of *bot.Turn, a *slack.InteractionCallback) (bot.Reply, error) {
		t := turn{of, c}
		w, ok := getWord(named(a))
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
func pressedAtHome(ctx context.Context, t turn, a *slack.InteractionCallback, w word, to ask) (bot.Reply, error) {
	if t.Slack == nil {
		return bot.Reply{}, nil // without a token nothing there can be changed; it names the time it is from
	}
	switch w.name {
	case "check":
		return bot.Reply{Then: func(ctx context.Context) (bot.Reply, error) {
			h, asked := look(ctx, t, true)
			done := ""
			if !asked {
				done = fmt.Sprintf("Slack was asked less than %[1]d seconds ago. Press again in %[1]d seconds.",
					int(install.RecheckEvery.Seconds()))
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
func shown(ctx context.Context, t turn, a *slack.InteractionCallback, r bot.Reply) (bot.Reply, error) {
	if a.View.Type != slack.VTHomeTab || r.Text == "" || t.Slack == nil {
		return r, nil
	}
	_, err := t.OpenView(ctx, window(t.Install.App().Name, r))
	return bot.Reply{}, err
}

// window is a modal that shows r and can only be closed. What has to be pressed in it can only be a link: a press would
// ask for a second window.
func window(title string, r bot.Reply) slack.ModalViewRequest {
	blocks := r.Blocks
	if len(blocks) == 0 {
		blocks = []slack.Block{mrkdwn.Section(r.Text)}
	}
	return slack.ModalViewRequest{
		Type: slack.VTModal, Title: mrkdwn.Plain(title, mrkdwn.MaxTitle), Close: mrkdwn.Plain("Close", mrkdwn.MaxTitle),
		Blocks: slack.Blocks{BlockSet: blocks},
	}
}
