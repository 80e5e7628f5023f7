// Command switchboard runs a Slack app that installs itself into any number of workspaces and keeps one connection for
// each. `switchboard demo` shows it without Slack; `switchboard serve` is the real thing.
package main

import (
	"github.com/switchboard-go/switchboard"
	"github.com/switchboard-go/switchboard/commands"
)

// version is set by the release build (-ldflags "-X main.version=…").
var version = "dev"

func main() {
	profile, app := commands.Profile(), commands.App()
	switchboard.App{
		Name: profile.Name, Summary: profile.Description, About: profile.LongDescription, Color: profile.Color,
		Does: app.Does, Picture: app.Picture, Commands: app.Commands,
		Handlers: commands.All(), Scopes: profile.Scopes, Messages: commands.Messages,
		Guide: commands.Guide(), DemoHandlers: commands.DemoHandlers(), Version: version,
	}.Main()
}
