// Package switchboard makes a Slack app that any number of workspaces can install out of a list of handlers.
//
//	func main() {
//		switchboard.App{Name: "Hello", Handlers: []bot.Handler{
//			bot.OnCommand("/hello", func(ctx context.Context, c *bot.Command) error {
//				return c.Respond(ctx, bot.Text("Hey <@"+c.UserID+">!"))
//			}, bot.Describe("Says hello to you", "")),
//		}}.Main()
//	}
//
// That is a whole program. `go run . demo` shows it in a small Slack in the browser, without an account and without a
// network; `go run . manifest` prints what to paste into Slack; `go run . serve` is the real thing: the install pages
// and OAuth, one connection for each workspace, tokens that are renewed ahead of their end, and events that survive a
// crash. Its settings are the environment's, and `go run . help` lists all there is.
//
// Who has a program already puts the app into it with New:
//
//	s, err := switchboard.New(switchboard.Config{App: app, PublicURL: "https://bot.example.com", …})
//	mux.Handle("/", s.Handler())
//	err = s.Run(ctx)
//
// Pages and jobs of its own (App.Routes, App.Background) get the Workspaces that the app is connected to, and from them
// the client of the one that they name.
//
// Package bot has the handlers, package install what a connection is, and examples/ small complete bots.
package switchboard
