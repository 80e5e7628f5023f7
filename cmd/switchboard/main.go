// Command switchboard runs a Slack app that installs itself into any number of workspaces and keeps one connection for
// each. `switchboard demo` shows it without Slack; `switchboard serve` is the real thing.
package main

import (
	"os"

	"switchboard/internal/cli"
)

// version is set by the release build (-ldflags "-X main.version=…").
var version = "dev"

func main() { os.Exit(cli.Main(version, os.Args[1:])) }
