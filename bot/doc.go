// Package bot takes what Slack sends, checks it, and brings it to handlers that hold the right workspace's token and no
// other. It knows package install for the connections of workspaces, and stores nothing itself.
//
// A bot is a list of handlers: plain values, each made by a function that is named after what it listens to. OnEvent,
// OnMessage, OnMention, OnHomeOpened and OnLink are for what happens in Slack; OnCommand, OnAction, OnViewSubmission,
// OnViewClosed, OnShortcut, OnMessageShortcut and OnOptions for what people do; OnFunction for steps of workflows;
// OnTimer, Every and Cron for what is done at a time; OnAgentMessage and those beside it for agents. A handler gets a
// kind of its own, which embeds the Request and has the answers that Slack takes there, and says in options which
// permissions it needs. The app's manifest and what it asks people for follow from that.
//
//	handlers := []bot.Handler{
//		bot.OnMention("hello", func(ctx context.Context, m *bot.Message) error {
//			_, err := m.Say(ctx, bot.Text("Hey <@"+m.UserID+">!"))
//			return err
//		}),
//
//		bot.OnCommand("/coin", func(ctx context.Context, c *bot.Command) error {
//			return c.Respond(ctx, bot.Reply{Text: []string{"Heads", "Tails"}[rand.N(2)], InChannel: true})
//		}, bot.Describe("Toss a coin", "")),
//	}
//
// Package switchboard, at the module's root, makes a whole program of that. What it does with them is open to others,
// too: NewManifest is what Slack is told of the app, and New makes a Bot, whose Handler or RunSockets takes what Slack
// sends and whose Run works it.
//
//	b, err := bot.New(bot.Config{Install: installer, Handlers: handlers, Inbox: inbox, SigningSecrets: secrets})
//	if err != nil {
//		return err
//	}
//	http.Handle("POST /slack/events", b.Handler())
//	go func() { ended <- b.Run(ctx) }()
//
// # What a handler can rely on
//
// A Request has the client of the workspace that the delivery is for, or none. Before a handler runs it is known that
// the connection is good, that its permissions are there, and, where people of other companies can press or submit
// something, that they are not among them. Where one of these fails, who acted reads a sentence and a next step, and
// the handler doesn't run.
//
// Events, and the work of OnCommandAsync, OnActionAsync and OnViewSubmissionAsync, are in the Inbox before they are
// acknowledged. They run at least once, also when a process dies, and are tried again until they are dead letters.
// Request.Attempt and Request.EventID are for handlers that have to know, and Say posts once for each of its calls, as
// far as Slack lets that be known.
//
// Everything else that people do runs right away and is acknowledged within Slack's 3 s, whether its handler has
// returned or not. What it answers later reaches the person anyway. Such work ends with the process.
//
// People read no internal error: a UserError's text, or "something went wrong" with a reference that is in the log. A
// panic costs one run.
//
// # What a Bot does by itself
//
// It notices that the app was uninstalled, that access was taken back, that an organisation added or removed
// workspaces, that a workspace moved into an organisation, and that a channel has another id (LifecycleEvents and
// OnEvent). It drops what the app itself did, and what Slack sends twice. What can't be read is kept as a dead letter.
//
// https://docs.slack.dev/apis/events-api, https://docs.slack.dev/apis/events-api/using-socket-mode
package bot
