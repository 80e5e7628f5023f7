// Package slacksim is a small, strict Slack for tests and demonstrations: the Web API, the consent page and signed
// deliveries over HTTP or Socket Mode, all on one loopback address. With slacksim/web it has a chat in the browser,
// too.
//
// It knows one app (App), whose settings it holds like Slack's own pages do, and a world of workspaces, people and
// channels. The app calls the Web API and receives events, commands and interactions. A test acts as the people, and
// looks at what the app did:
//
//	sim := slacksim.New(slacksim.Config{App: slacksim.App{
//		ID: "A0GREETER1", Name: "Greeter", ClientID: "1.2", ClientSecret: "…", SigningSecret: "…",
//		RedirectURLs: []string{app.URL + "/callback"}, EventsURL: app.URL + "/slack/events",
//		Events:       []string{"app_mention", "message.im"},
//		Commands:     []slacksim.Command{{Name: "/greet"}},
//	}})
//	sim.AddSmallWorld() // two workspaces, each with an admin, a member and two channels
//	if err := sim.Start("127.0.0.1:0"); err != nil {
//		return err
//	}
//	defer sim.Close(ctx)
//
//	// The app has sent a browser to the consent page: an admin presses Allow, and is sent back to the app.
//	back, err := sim.Authorize(ctx, consentURL, slacksim.AcmeAdmin, slacksim.Choice{})
//
//	reply, err := sim.Command(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "/greet Dana")
//	ts, err := sim.Say(ctx, slacksim.AcmeMember, sim.DM(slacksim.AcmeMember), "Good morning!")
//	err = sim.Settle(ctx) // until all events were delivered
//	shown := sim.Messages(sim.DM(slacksim.AcmeMember), slacksim.AcmeMember)
//
// What tests use most are methods of Sim. The rest is grouped by who does it: Sim.Admins remove the app and move
// workspaces, Sim.Sockets are its connections in Socket Mode, Sim.Sender delivers what nobody's action here causes,
// Sim.Forms act like a browser, Sim.People edit, delete and share files, with other bots among them, Sim.Files are what
// was uploaded, Sim.Agents are people who talk to the app as an agent, Sim.Workflows run the app's functions, Sim.Links
// are those of messages that somebody is writing, Sim.Settings are Slack's pages for those who make apps, and
// Sim.Directory looks things up.
//
// With a configuration token (Settings.Generate) apps.manifest.export, .validate, .update and .delete work on the app's
// settings, and App.SetManifest and App.Manifest without one. A Sim whose App has no ID has no app until
// apps.manifest.create makes it, with credentials of its own. As at Slack, an app that is made so can be installed in
// its maker's workspace alone (App.NotDistributed), and no event is sent to another address than before until the app
// has answered Slack's challenge there (Sender.VerifyURL). Slack doesn't tell whether an older configuration token
// outlives its renewal. Here it does, for its 12 hours.
//
// A method of the Web API that is missing here is named among the breaches. Sim.Handle supplies it.
//
// It is strict where Slack is: tokens die, codes are spent, scopes are checked, blocks are measured, three seconds are
// three seconds. What Slack would tolerate but a careful app doesn't do is recorded as a Breach. A test asserts that
// there are none. Nothing has to wait for the clock: give a ManualClock to Config and move it.
//
//	clock.Advance(12 * time.Hour) // the app's tokens have expired
//
// # When Slack misbehaves
//
// Inject makes calls fail, hang, come late or lose their answer. Sender.DeliverTwice repeats events, and Sender.Deliver
// lies about signatures, times and retries (Raw). Sockets.Drop and Sockets.Freeze take the network away.
//
//	clear := sim.Inject(slacksim.Fault{Method: "chat.postMessage", RetryAfter: 30, Times: 1})
//	defer clear()
//
// # Addresses
//
//	/api/{method}                         the Web API
//	/hooks/response/…, /hooks/services/…  response URLs and incoming webhooks
//	/link/                                the WebSockets of Socket Mode
//	/icon/{id}-{size}.svg (or .png)       pictures of workspaces, people and the app
//
// Interactions go to App.InteractivityURL, except for block_suggestion, which goes to App.OptionsURL.
//
// Every other address is for people: see slacksim/web.
//
// # Where Slack's documents leave room
//
// A code used twice answers invalid_code or code_already_used (App.UsedCodeError). A used refresh token dies
// immediately or after a while (App.StrictRefresh, App.RefreshGrace). auth.revoke on a bot token uninstalls or does not
// (App.RevokeKeepsApp). replace_original at a command's response_url replaces the earlier answer or does not
// (App.CommandAnswersStay). An access token pushed out by two newer ones answers token_expired. A re-install with
// rotation spends the previous refresh token. The older spellings trigger_expired and trigger_exchanged, invalid_grant
// and others are played with Inject and Fault.Error. An over-used or expired response_url answers 404 with used_url or
// expired_url.
//
// In Socket Mode an acknowledgement counts only on the connection that the envelope came through. While Socket Mode is
// off, apps.connections.open still hands out addresses, and what connects there hears link_disabled.
//
// chat.startStream wants a recipient in DMs, too, or does not (App.StreamsNeedRecipient). Blanks at the beginning of a
// chunk stay or are lost (App.StreamsTrimChunks). A stream ends after 306 seconds, as was measured, and its message is
// errored then. Each call that adds to one is a message_changed event. A status or a title that an agent sets is one of
// the thread's first message, whose text stays the same. The tiers of the agents' methods leave no room for bursts.
//
// The response_urls of a submission stand beside its view or in it (App.ResponseURLsInView). Outputs that a function
// doesn't declare fail or are taken (App.ExtraOutputs). A function's token answers token_expired once its step has
// ended, and interactivity pointers live as long as trigger ids. chat.unfurl waits up to a second for the
// acknowledgement of its event before it answers cannot_unfurl_url.
//
// Group DMs are not part of it.
package slacksim
