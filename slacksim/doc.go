// Package slacksim is a small, strict Slack for tests and demonstrations: the Web API, the consent page, signed
// deliveries over HTTP or Socket Mode, all on one loopback address, and, with slacksim/web, a chat in the browser.
//
// It knows one app (App), whose settings it holds like Slack's own pages do, and a world of workspaces, people and
// channels. People act through methods (Say, Command, Press, Authorize, Uninstall …) or, doing the same, through the
// chat. The app calls the Web API and receives events, commands and interactions.
//
//	sim := slacksim.New(slacksim.Config{App: app})
//	sim.AddSmallWorld()
//	if err := sim.Start("127.0.0.1:0"); err != nil { … }
//	defer sim.Close(ctx)
//
// It is strict where Slack is: tokens die, codes are spent, scopes are checked, blocks are measured, three seconds are
// three seconds. What Slack would tolerate but a careful app does not do is recorded as a Breach; a test asserts that
// there are none. Faults (Inject, DeliverTwice, Raw) make it misbehave.
//
// # Addresses
//
//	/api/{method}                         the Web API
//	/hooks/response/…, /hooks/services/…  response URLs and incoming webhooks
//	/link/                                the WebSockets of Socket Mode
//	/icon/{id}-{size}.svg (or .png)       pictures of workspaces, people and the app
//
// Every other address is for people: see slacksim/web.
//
// # Where Slack's documents leave room
//
// A code used twice answers invalid_code or code_already_used (App.UsedCodeError). A used refresh token dies at once or
// after a grace (App.StrictRefresh, App.RefreshGrace). auth.revoke on a bot token uninstalls or does not
// (App.RevokeKeepsApp). replace_original at a command's response_url replaces the earlier answer or does not
// (App.CommandAnswersStay). An access token pushed out by two newer ones answers token_expired. A re-install with
// rotation spends the previous refresh token. The older spellings trigger_expired and trigger_exchanged, invalid_grant
// and others are played with Inject and Fault.Error. An over-used or expired response_url answers 404 with used_url or
// expired_url.
//
// In Socket Mode an acknowledgement counts only on the connection that the envelope came through. While Socket Mode is
// off, apps.connections.open still hands out addresses, and what connects there hears link_disabled.
//
// Files, group DMs and message menus are not part of it.
package slacksim
