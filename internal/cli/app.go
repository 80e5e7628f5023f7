package cli

// An app in plain values, and what follows from them: its manifest, its pages, and what a newcomer is told to try.

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/messages"
	"github.com/switchboard-go/switchboard/install/words"
	"github.com/switchboard-go/switchboard/internal/server"
)

// App is what the command line runs. Its fields are those of the module's App, where they are explained, with what asks
// for workspaces bound to Workspaces.
type App struct {
	Name         string
	Summary      string
	About        string
	Color        string
	Does         []string
	Picture      install.Picture
	DataKept     string
	Commands     install.Commands
	Words        *words.Sentences
	Handlers     []bot.Handler
	Use          []bot.Middleware
	OnError      func(ctx context.Context, r *bot.Request, err error) error
	Scopes       []connection.Scope
	UserScopes   []connection.Scope
	Messages     func(cfg install.Config) install.Messages
	Routes       map[string]http.Handler
	Background   []func(ctx context.Context) error
	Workspaces   *server.Workspaces
	Guide        []bot.Hint
	DemoHandlers []bot.Handler
	Version      string

	LeastInterval time.Duration

	Agent                                  bot.AgentView
	WorkspacesOnly, NoRotation, NoMessages bool
	Metadata                               []slack.ManifestMetadataSubscription
}

// Fill adds the app to the settings in cfg.
func (a App) Fill(cfg *server.Config) {
	cfg.Bot.Handlers = slices.Concat(a.Handlers, cfg.Bot.Handlers)
	cfg.Bot.Use, cfg.Bot.OnError, cfg.Bot.LeastInterval = a.Use, a.OnError, a.LeastInterval
	cfg.Routes, cfg.Background, cfg.Workspaces = a.Routes, a.Background, a.Workspaces

	in := &cfg.Install
	in.App.Name, in.App.Summary, in.App.Does, in.App.DataKept = a.Name, a.Summary, a.does(), a.DataKept
	if in.App.DataKept == "" {
		in.App.DataKept = a.Words.Say("app.data_kept")
	}
	in.App.Commands, in.App.Version, in.App.Color, in.App.Words = a.Commands, a.Version, a.Color, a.Words
	in.Scopes, in.UserScopes = bot.Catalogue(a.Words, a.Scopes, cfg.Bot.Handlers),
		bot.UserCatalogue(a.Words, a.UserScopes, cfg.Bot.Handlers)
	in.Messages = a.messages(*in, cfg.Bot.Handlers)
	in.App.Picture = a.picture(in.Messages, in.Scopes)
}

// picture is the app's own, or else the message that greets whoever installs, if that is the library's.
func (a App) picture(from install.Messages, scopes []connection.Scope) install.Picture {
	ours, isOurs := from.(messages.Messages)
	if a.Picture.Text != "" || !isOurs {
		return a.Picture
	}
	welcome, err := install.PictureWelcome(context.Background(), ours, connection.Connection{
		Key: connection.Key{TeamID: "T0ACME0001"}, TeamName: "Acme Corp", State: connection.Active,
		Scopes: connection.ScopeNames(scopes),
	})
	if err != nil { // which no message can bring about
		return install.Picture{}
	}
	return welcome
}

// messages are the app's own, or else what any app can say that may write.
func (a App) messages(cfg install.Config, handlers []bot.Handler) install.Messages {
	if a.Messages != nil {
		return a.Messages(cfg)
	}
	if !slices.Contains(connection.ScopeNames(cfg.Scopes), "chat:write") {
		return nil
	}
	m := messages.New(cfg)
	m.Home = slices.ContainsFunc(handlers, showsHome)
	return m
}

// manifest is what Slack is told of the app, with the handlers in also besides its own.
func (a App) manifest(publicURL string, also ...bot.Handler) (bot.Manifest, error) {
	handlers := slices.Concat(a.Handlers, also)
	return bot.NewManifest(bot.Profile{
		Name: a.Name, Description: a.Summary, LongDescription: a.About, Color: a.Color,
		Scopes: bot.Catalogue(a.Words, a.Scopes, handlers), UserScopes: bot.UserCatalogue(a.Words, a.UserScopes, handlers),
		Agent: a.Agent, WorkspacesOnly: a.WorkspacesOnly, NoRotation: a.NoRotation, NoMessages: a.NoMessages,
		Metadata: a.Metadata,
	}, handlers, publicURL)
}

// does says what people can do with the app, in the order of its handlers, if the app doesn't say it in its own words.
func (a App) does() []string {
	if len(a.Does) > 0 {
		return a.Does
	}
	var steps []string
	for _, h := range a.Handlers {
		if step := a.step(h); step != "" && !slices.Contains(steps, step) {
			steps = append(steps, step)
		}
	}
	return steps
}

// step is what people can do because of a handler, "" for nothing of its own.
func (a App) step(h bot.Handler) string {
	switch {
	case h.Kind == bot.KindCommand && !a.partOf(h):
		return a.with(h, "app.does.command", "command", h.Name)
	case h.Kind == bot.KindMention:
		return a.Words.Say("app.does.mention")
	case h.Kind == bot.KindAgentMessage:
		return a.Words.Say("app.does.agent")
	case hearsDirectly(h):
		return a.Words.Say("app.does.direct")
	case showsHome(h):
		return a.Words.Say("app.does.home")
	case h.Kind == bot.KindShortcut:
		return a.with(h, "app.does.shortcut", "title", h.Title)
	case h.Kind == bot.KindMessageShortcut:
		return a.with(h, "app.does.message_shortcut", "title", h.Title)
	case h.Kind == bot.KindFunction:
		return a.with(h, "app.does.step", "title", h.Title)
	case h.Kind == bot.KindLink:
		return a.Words.Say("app.does.link", "domain", h.Name)
	}
	return ""
}

// with is a sentence about a handler, with what that says about itself, if anything.
func (a App) with(h bot.Handler, key, param, value string) string {
	if h.About == "" {
		return a.Words.Say(key, param, value)
	}
	return a.Words.Say(key+"_about", param, value, "about", strings.TrimSuffix(h.About, "."))
}

func showsHome(h bot.Handler) bool {
	return h.Kind == bot.KindHome || h.Kind == bot.KindEvent && h.Name == "app_home_opened"
}

// hearsDirectly reports whether people can write to a handler in a direct message.
func hearsDirectly(h bot.Handler) bool {
	return h.Kind == bot.KindMessage && slices.Contains(h.Scopes, "im:history")
}

// partOf reports whether a handler is a subcommand of a command that is described as a whole.
func (a App) partOf(h bot.Handler) bool {
	root, _, sub := strings.Cut(h.Name, " ")
	return sub && slices.ContainsFunc(a.Handlers, func(x bot.Handler) bool {
		return x.Kind == bot.KindCommand && x.Name == root
	})
}

// sentence is what a handler says about itself as a sentence.
func sentence(about string) string {
	first, size := utf8.DecodeRuneInString(about)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(about[size:], ".") + "."
}

// guide is what the demo's first page proposes.
func (a App) guide() []bot.Hint {
	if len(a.Guide) > 0 {
		return a.Guide
	}

	hints := []bot.Hint{{Title: "Install it for one workspace.",
		Text: "Sign in as Dana Reyes, choose Add " + a.Name + " in the sidebar and follow the buttons."}}
	for _, h := range a.Handlers {
		if hint := a.hint(h); hint.Title != "" && !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
	}
	return append(hints, bot.Hint{Title: "Remove it and add it again.",
		Text: "Both are under Manage " + a.Name + ", for admins."})
}

// hint is how to try a handler in the demo. The zero Hint is for one that nobody tries by itself.
func (a App) hint(h bot.Handler) bot.Hint {
	messages := "Under Direct messages, choose " + a.Name
	switch {
	case h.Kind == bot.KindCommand && !a.partOf(h):
		typed := strings.TrimSpace(h.Name + " " + h.Usage)
		return bot.Hint{Title: "Type " + typed + " in a channel.", Text: sentence(h.About)}
	case h.Kind == bot.KindMention:
		return bot.Hint{Title: "Mention it.",
			Text: "In a channel, type /invite @" + a.Name + ". Then mention it: @" + a.Name + " hello."}
	case h.Kind == bot.KindAgentMessage:
		return bot.Hint{Title: "Ask it something.", Text: messages + ", and write to it."}
	case hearsDirectly(h):
		return bot.Hint{Title: "Write to it.", Text: messages + "."}
	case showsHome(h):
		return bot.Hint{Title: "Open its Home tab.", Text: messages + ", then Home."}
	case h.Kind == bot.KindShortcut:
		return bot.Hint{Title: "Use the shortcut “" + h.Title + "”.",
			Text: strings.TrimSpace(sentence(h.About) + " It is behind the ⚡ above a conversation.")}
	case h.Kind == bot.KindMessageShortcut:
		return bot.Hint{Title: "Use “" + h.Title + "” on a message.",
			Text: strings.TrimSpace(sentence(h.About) + " It is behind the ⋮ beside a message.")}
	case h.Kind == bot.KindFunction:
		return bot.Hint{Title: "Run its step “" + h.Title + "”.",
			Text: "It is under Manage " + a.Name + ", and runs there as in a workflow."}
	case h.Kind == bot.KindLink:
		return bot.Hint{Title: "Post a link.", Text: "Write https://" + h.Name + "/1 in a channel, for example."}
	}
	return bot.Hint{}
}
