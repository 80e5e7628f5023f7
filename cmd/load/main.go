// Command load says what a running Switchboard can take. It sends signed events and commands, at a set rate or as fast
// as they are answered, and prints how fast they were acknowledged and what that cost the server. `load compare` does
// it for several databases beside a handler that does next to nothing.
package main

// The command line, with the exit codes of switchboard itself: 0 fine, 1 something was not acknowledged or failed, 2
// the call is wrong.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/switchboard-go/switchboard/install/connection"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(exitCode(os.Stderr, run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)))
}

func exitCode(stderr io.Writer, err error) int {
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "load: %s\nTry: load --help\n", err)
		return 2
	default:
		fmt.Fprintln(stderr, "load:", err)
		return 1
	}
}

// usageError is a call that cannot be carried out.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// environment is what a subcommand gets from the outside world.
type environment struct {
	ctx            context.Context
	getenv         func(string) string
	stdout, stderr io.Writer
}

type cli struct {
	Drive   driveCmd   `cmd:"" default:"withargs" help:"Send signed requests to a server that runs on this machine. This is what load does when no command is named."`
	Bare    bareCmd    `cmd:"" help:"Serve a handler that only reads the body and checks the signature, to compare with."`
	Compare compareCmd `cmd:"" help:"Start the bare handler and switchboard serve in turn, drive each, and print them side by side."`
}

// exited carries the exit code that kong asks for after it printed help.
type exited int

// run is the whole program with the world handed in.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case exited:
			if v != 0 {
				err = usage("exit %d", int(v))
			}
		default:
			panic(v)
		}
	}()

	var c cli
	parser, err := kong.New(&c,
		kong.Name("load"),
		kong.Description("Drives a Switchboard on this machine and says what it can take.\n\n"+
			"SLACK_SIGNING_SECRET comes from the environment. It has no flag, because other users of a machine can "+
			"read those."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return &usageError{err}
	}
	return parsed.Run(&environment{ctx: ctx, getenv: getenv, stdout: stdout, stderr: stderr})
}

// signingSecret is what the requests are signed with: the first, while a secret is being changed.
func (env *environment) signingSecret() (connection.Secret, error) {
	if s := firstOf(env.getenv("SLACK_SIGNING_SECRET")); s != "" {
		return connection.Secret(s), nil
	}
	return "", usage("SLACK_SIGNING_SECRET is not set: export the one that the server has, " +
		"so that it takes the requests for Slack's")
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
