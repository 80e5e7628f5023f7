package cli

// demo: Switchboard and a small Slack in one process, for people who want to see it before they trust it.

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"switchboard/bot"
	"switchboard/commands"
	"switchboard/install"
	"switchboard/install/connection"
	"switchboard/internal/server"
	"switchboard/slacksim"
	"switchboard/slacksim/web"
	"switchboard/storage/seal"
)

type demoCmd struct {
	logFlags
	Addr string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where the small Slack is. If the port is taken, a free one is used. Default: ${default}."`
}

// Run serves until the context ends. Everything is in a temporary folder and gone afterwards.
func (c *demoCmd) Run(env *environment) (err error) {
	s := newSource(env.getenv)
	level, format := c.logFlags.read(s, "warn")
	if host, _, err := net.SplitHostPort(c.Addr); err != nil || !install.Loopback(host) {
		s.bad("--addr", fmt.Sprintf("%q is not an address of this machine", c.Addr), "write for example 127.0.0.1:8080; the demo is open to whoever reaches it")
	}
	if err := s.err(); err != nil {
		return err
	}
	d, err := startDemo(c.Addr)
	if err != nil {
		return err
	}
	d.cfg.Log = newLogger(env.stderr, level, format)
	d.cfg.Serving = func() {
		fmt.Fprintf(env.stdout, "Switchboard's demo is running. Open this address in a browser:\n\n    %s\n\n"+
			"It needs no Slack account and no network. Ctrl-C stops it and leaves nothing behind.\n", d.slack.URL())
	}
	return errors.Join(server.New(d.cfg).Run(env.ctx), d.close())
}

// demo is the small Slack with the app's settings for it.
type demo struct {
	slack  *slacksim.Sim
	cfg    server.Config
	folder string
}

// startDemo starts the small Slack and prepares the app's settings; the app itself is for the caller to run.
func startDemo(addr string) (*demo, error) {
	folder, err := os.MkdirTemp("", "switchboard-demo-")
	if err != nil {
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	d := &demo{folder: folder}
	if err := d.start(addr); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *demo) start(addr string) error {
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	public := "http://" + listen.Addr().String()
	also := []bot.Handler{wave, waveBack}
	simulated, err := simApp(public, also...)
	if err != nil {
		return errors.Join(err, listen.Close())
	}
	d.slack = slacksim.New(slacksim.Config{App: simulated, Pages: web.Pages(guide...)})
	d.slack.AddLargerWorld()
	if err := d.slack.Start(addr); err != nil {
		host, _, _ := net.SplitHostPort(addr)
		if err = d.slack.Start(net.JoinHostPort(host, "0")); err != nil {
			return errors.Join(fmt.Errorf("start the small Slack: %w", err), listen.Close())
		}
	}

	d.cfg = server.Config{
		Install: install.Config{
			App:          commands.App(),
			ClientID:     simulated.ClientID,
			ClientSecret: connection.Secret(simulated.ClientSecret),
			AppID:        simulated.ID,
			SlackURL:     d.slack.URL(),
			PublicURL:    public,
		},
		Bot: bot.Config{Handlers: also, SigningSecrets: []connection.Secret{connection.Secret(simulated.SigningSecret)}},
		Database: server.Database{
			URL:     connection.Secret("sqlite:" + filepath.Join(d.folder, "switchboard.db")),
			DataDir: d.folder,
			Keys:    connection.Secret(seal.NewKey()),
		},
		Listener: listen,
		Version:  version,
	}
	d.cfg.Install.App.Operator, d.cfg.Install.App.Version = "you, on this machine", version
	ours(&d.cfg)
	return nil
}

func (d *demo) close() error {
	var err error
	if d.slack != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = d.slack.Close(ctx)
	}
	return errors.Join(err, os.RemoveAll(d.folder))
}

// guide is what the demo's first page proposes.
var guide = []web.Hint{
	{Title: "Install it for one workspace.", Text: "Sign in as Dana Reyes, choose Add Switchboard in the sidebar and follow the buttons. " +
		"Then type /connection status in a channel."},
	{Title: "Install it for an organisation.", Text: "The same as Nora Feld: choose the organisation on Slack’s page, then add the app to Northwind Sales. " +
		"Ada Brandt of Northwind Labs still can’t use it."},
	{Title: "Leave a permission out.", Text: "Untick an optional one on Slack’s page, or take one away under Manage Switchboard. " +
		"/connection status says what is off, and the way back."},
	{Title: "Press a button from another company.", Text: "As Priya Nair, type /wave in #northwind-birch. Then press its button as Sam Lindqvist, " +
		"who is in that channel from Birch & Co."},
	{Title: "Remove it and add it again.", Text: "Both are under Manage Switchboard, for admins. Its history is kept."},
}

// The app itself says nothing with a button in it to a whole channel. The demo has a command that does, because one that
// people of another company can press shows best whom the app listens to.
const actionWave = "demo.wave"

var wave = bot.OnCommand("/wave", func(_ context.Context, t *bot.Turn, _ *slack.SlashCommand) (bot.Reply, error) {
	text := "<@" + t.UserID + "> waves at everybody here."
	button := slack.NewButtonBlockElement(actionWave, "", slack.NewTextBlockObject(slack.PlainTextType, "Wave back", false, false))
	return bot.Reply{InChannel: true, Text: text, Blocks: []slack.Block{
		slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, text, false, false), nil, nil), slack.NewActionBlock("", button),
	}}, nil
}).Describe("Waves at everybody in the channel; the demo has it, the app has not.", "")

var waveBack = bot.OnAction(actionWave, func(_ context.Context, t *bot.Turn, _ *slack.InteractionCallback) (bot.Reply, error) {
	return bot.Reply{InChannel: true, Text: "<@" + t.UserID + "> waves back."}, nil
})

// simApp registers the app, and what the demo has besides, with the small Slack, from a manifest like the real one's.
func simApp(public string, also ...bot.Handler) (slacksim.App, error) {
	m, err := bot.NewManifest(commands.Profile(), slices.Concat(commands.All(), also), placeholderURL)
	if err != nil {
		return slacksim.App{}, err
	}
	app := slacksim.App{
		ID: "A0SWITCHBD", Name: m.Display.Name, Description: m.Display.Description,
		ClientID: "1000000000001.2000000000002", ClientSecret: randomHex(), SigningSecret: randomHex(),
		RedirectURLs:   []string{public + "/slack/oauth_redirect"},
		EventsURL:      strings.Replace(m.Settings.Events.URL, placeholderURL, public, 1),
		InstallURL:     public + "/",
		OptionalScopes: m.OAuth.Scopes.BotOptional,
		Events:         m.Settings.Events.BotEvents,
		HomeTab:        m.Features.Home.HomeTab, MessagesTab: m.Features.Home.Messages,
		TokenRotation: m.Settings.Rotation, OrgReady: m.Settings.Org,
	}
	for _, c := range m.Features.Commands {
		app.Commands = append(app.Commands, slacksim.Command{Name: c.Command, Description: c.Description, UsageHint: c.Usage, ShouldEscape: c.Escape})
	}
	return app, nil
}

func randomHex() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
