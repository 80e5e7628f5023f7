package connection

// What comes with the command, and the turn that knows under which name it goes.

import (
	"context"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/messages"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/words"
)

// Command is a slash command about the bot's own connection. Its Handlers, and what the pages and messages say, go by
// the Name that it is given.
type Command struct {
	// Name is what people type, such as "/hello-status". Slack runs one app's command of a name in a workspace, so take
	// one that has the app's name in it.
	Name string

	// Mentions answers the same words after a mention of the app, DirectMessages in its direct messages. Each takes a
	// permission, and the place of a handler of the bot's own. Home shows the state in the Home tab, which is then all
	// the tab has.
	Mentions, DirectMessages, Home bool

	// Words are what Slack shows of the command while people type it, which is written into the manifest; nil: in
	// English. All else is said in the words of switchboard.App.Words, so they should be the same.
	Words *words.Sentences
}

// The ids of buttons stand in messages that are in Slack already, so they don't change.
const (
	actionCheck       = "connection.check"
	actionTest        = "connection.test"
	actionPermissions = "connection.permissions"
	actionDisconnect  = "connection.disconnect"
	actionDetails     = "connection.details"
	actionMore        = "connection.more" // the menu behind the buttons; each choice is a word
	actionOffered     = "connection.say." // and a word, for everybody who could type it
)

// Handlers returns what answers the command, its buttons, its window, and what else c has. They belong into
// switchboard.App.Handlers.
func (c Command) Handlers() []bot.Handler {
	// What needs the permissions for reading who is who and where the app is says so where they are missing.
	handlers := []bot.Handler{
		bot.OnCommand(c.Name, func(ctx context.Context, of *bot.Command) error {
			t := turn{Request: of.Request, command: c, windows: of}
			return of.Respond(ctx, answer(ctx, t, t.Text, private))
		},
			bot.Describe(c.Words.Say("connection.help.about"), usage(c.Words)),
			bot.WithoutConnection(),
			bot.OptionalScopes("users:read", "team:read", readsPublic, readsPrivate)),
	}
	if c.DirectMessages {
		handlers = append(handlers, c.directMessage())
	}
	if c.Mentions {
		handlers = append(handlers, c.mention())
	}
	if c.Home {
		handlers = append(handlers, c.homeOpened())
	}

	for _, id := range []string{actionCheck, actionDetails, actionTest, actionPermissions, actionDisconnect} {
		word := strings.TrimPrefix(id, "connection.")
		handlers = append(handlers, c.pressed(id, func(*bot.Action) string { return word }))
	}
	handlers = append(handlers, c.pressed(actionMore, chosen))
	for _, word := range offers {
		handlers = append(handlers, c.offered(word))
	}
	return append(handlers, c.confirmed())
}

// Commands is what the pages tell people to type. It belongs into switchboard.App.Commands.
func (c Command) Commands() install.Commands {
	typed := func(name string) string {
		w, _ := getWord(c.Words, name)
		return c.Name + " " + w.typed
	}
	return install.Commands{Status: typed("status"), Reconnect: typed("reconnect"), Disconnect: typed("disconnect")}
}

// Messages writes to people about their connection, with a button in the welcome that tries whether it works. It
// belongs into switchboard.App.Messages.
func (c Command) Messages(cfg install.Config) install.Messages {
	m := messages.New(cfg)
	m.App.Commands, m.Home, m.Buttons = c.Commands(), c.Home, []slack.BlockElement{testButton(cfg.App.Words)}
	return m
}

// directMessage answers everything people write to the app: with its Messages tab on, it must not stay silent.
func (c Command) directMessage() bot.Handler {
	return bot.OnMessage(`(?s).*`, func(ctx context.Context, m *bot.Message) error {
		_, err := m.Say(ctx, answer(ctx, turn{Request: m.Request, command: c}, m.Text, direct))
		return err
	}, bot.Scopes(forDirect...))
}

// mention answers in a thread below the message, so that the channel stays readable.
func (c Command) mention() bot.Handler {
	return bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
		m.InThread()
		reply := answer(ctx, turn{Request: m.Request, command: c}, m.Text, public)
		if reply.Then != nil {
			// Everybody reads this one, and an edit notifies nobody: say the live answer only.
			live, err := reply.Then(ctx)
			if err != nil {
				return err
			}
			reply = live
		}

		_, err := m.Say(ctx, reply)
		return err
	}, bot.Scopes(forMention...))
}

// What answering takes in a direct message, and after a mention.
var (
	forDirect  = []string{"im:history", "chat:write"}
	forMention = []string{"app_mentions:read", "chat:write"}
)

// hears reports whether the words are answered in direct messages, by what is allowed.
func (c Command) hears(in connection.Connection) bool {
	return c.DirectMessages && allowed(in, forDirect...)
}

// hearsMentions reports whether the words are answered after a mention.
func (c Command) hearsMentions(in connection.Connection) bool {
	return c.Mentions && allowed(in, forMention...)
}

// The buttons. Each stands for a word and gives its answer, where it was pressed. Those that act are shown to the
// installer and admins alone, and whoever presses is asked for again.

// offers are the words on the buttons under an answer to what was not understood. Everybody can type them.
var offers = []string{"status", "permissions", "help"}

// offered is the button of one of offers.
func (c Command) offered(word string) bot.Handler {
	return bot.OnAction(actionOffered+word, func(ctx context.Context, a *bot.Action) error {
		t := turn{Request: a.Request, command: c, windows: a}
		w, _ := getWord(t.words(), word)
		return a.Respond(ctx, w.answer(ctx, t, ask{to: private}))
	}, bot.WithoutConnection())
}

// chosen is the word that was chosen in the menu.
func chosen(a *bot.Action) string { return a.Action.SelectedOption.Value }

// pressed is a button, or a menu, that stands for the word that named returns.
func (c Command) pressed(id string, named func(a *bot.Action) string) bot.Handler {
	return bot.OnAction(id, func(ctx context.Context, a *bot.Action) error {
		t := turn{Request: a.Request, command: c, windows: a}
		w, ok := getWord(t.words(), named(a))
		if !ok { // of another version
			return shown(ctx, t, a, bot.Reply{Text: sentences(t.say("help.gone"), more(t, "help", "ask.offers"))})
		}
		to := ask{to: private}
		reads := w.name == "check" || w.name == "details" // what everybody can type, too
		if !reads {
			no, may := to.mayAct(ctx, t, "press")
			if !may {
				return shown(ctx, t, a, no)
			}
			to.is = keeper
		}

		switch {
		case a.Payload.View.Type == slack.VTHomeTab:
			return pressedAtHome(ctx, t, a, w, to)
		case reads && forOne(a):
			return a.Update(ctx, w.answer(ctx, t, to))
		}
		return a.Respond(ctx, w.answer(ctx, t, to))
	}, bot.WithoutConnection())
}

// forOne reports whether only the person who pressed sees the message, so that it can become the answer.
func forOne(a *bot.Action) bool {
	return a.Payload.Container.IsEphemeral || strings.HasPrefix(a.ChannelID, "D")
}

// pressedAtHome answers in the Home tab: by its new state where that is the answer, else in a window before it.
func pressedAtHome(ctx context.Context, t turn, a *bot.Action, w word, to ask) error {
	if t.Client == nil {
		return nil // without a token nothing there can be changed; it names the time it is from
	}

	switch w.name {
	case "details":
		_, err := a.OpenModal(ctx, window(t, t.plain("title.details"), detailsAtHome(ctx, t)))
		return err
	case "check":
		return a.Respond(ctx, bot.Reply{Then: func(ctx context.Context) (bot.Reply, error) {
			h, asked := look(ctx, t, true)
			done := ""
			if !asked {
				done = t.say("asof.too_soon_press", "seconds", int(install.RecheckEvery.Seconds()))
			}
			return bot.Reply{}, publishHome(ctx, t, h, done)
		}})
	case "test":
		r := w.answer(ctx, t, to)
		return a.Respond(ctx, bot.Reply{Then: func(ctx context.Context) (bot.Reply, error) {
			h, _ := look(ctx, t, false)
			return bot.Reply{}, publishHome(ctx, t, h, r.Text)
		}})
	}
	return shown(ctx, t, a, w.answer(ctx, t, to))
}

// shown brings r to the person who pressed: as it is, or from the Home tab, which has no place for answers, in a
// window.
func shown(ctx context.Context, t turn, a *bot.Action, r bot.Reply) error {
	if a.Payload.View.Type != slack.VTHomeTab || r.Text == "" || t.Client == nil {
		return a.Respond(ctx, r)
	}
	_, err := a.OpenModal(ctx, window(t, t.Install.App().Name, r))
	return err
}

// window is a modal that shows r and can only be closed. What has to be pressed in it can only be a link: a press would
// ask for a second window.
func window(t turn, title string, r bot.Reply) slack.ModalViewRequest {
	blocks := r.Blocks
	if len(blocks) == 0 {
		blocks = []slack.Block{mrkdwn.Section(r.Text)}
	}
	return slack.ModalViewRequest{
		Type: slack.VTModal, Title: mrkdwn.Plain(title, mrkdwn.MaxTitle),
		Close:  mrkdwn.Plain(t.plain("button.close"), mrkdwn.MaxTitle),
		Blocks: slack.Blocks{BlockSet: blocks},
	}
}
