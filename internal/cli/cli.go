// Package cli is the command line: what can be typed, which settings there are, and with which exit code it ends.
package cli

// The subcommands, and how a call becomes one of them.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/internal/server"
)

// Main runs an app's command line, of which the first of args is the program's file, until it is done or a signal
// asks it to stop, and returns the exit code.
func Main(app App, args []string) int {
	name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	p := &program{App: app, name: name, stdin: terminal()}
	p.Version = cmp.Or(app.Version, "dev")
	return p.exitCode(os.Stderr, p.run(untilSignal(), args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// program is an app as a file that can be run.
type program struct {
	App
	name  string                                            // what is typed to run it
	clock func(getenv func(string) string) func() time.Time // for the tests, in which replicas' clocks differ
	stdin io.Reader                                         // where a person can be asked; nil: nowhere
}

// untilSignal ends with the first signal, which stops gracefully. A second one ends the process right away, unless
// secondSignal waits for it.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		first := <-signals
		signal.Stop(signals)
		if first == syscall.SIGTERM {
			cancel(server.ErrTerminated)
		}
		cancel(context.Canceled)
	}()
	return ctx
}

// secondSignal ends with the next signal: who sends it doesn't want to wait for proxies. The one after that ends the
// process, as ever.
func secondSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

// exitCode tells a failure to the person and turns it into the code: 0 fine, 1 it failed, 2 the call or the
// configuration is wrong.
func (p *program) exitCode(stderr io.Writer, err error) int {
	var usage *usageError
	var wrong *server.ConfigError
	var refused *bot.TokenRefused

	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFound):
		return 1 // it was said, with its fixes
	case errors.As(err, &wrong), errors.As(err, &refused):
		fmt.Fprintln(stderr, p.name+":", err)
		if wrong != nil && nothingSet(wrong) {
			fmt.Fprintf(stderr, "New here? %s init asks for what is needed and writes it into .env.\n", p.name)
		}
		return 2
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "%s: %s\nTry: %s\n", p.name, err, strings.TrimSpace(p.name+" help "+usage.command))
		return 2
	default:
		fmt.Fprintln(stderr, p.name+":", server.InOperatorsWords(err, p.Name, p.name))
		return 1
	}
}

// nothingSet reports whether wrong is of somebody who has set nothing up yet.
func nothingSet(wrong *server.ConfigError) bool {
	return len(wrong.Problems) > 2 && !slices.ContainsFunc(wrong.Problems, func(p server.Problem) bool {
		return p.What != "is not set"
	})
}

// usageError is a call that cannot be understood.
type usageError struct {
	err     error
	command string // that was meant; "" where that can't be told
}

// badUsage is a usageError of whatever command runs.
func badUsage(format string, args ...any) error { return &usageError{err: fmt.Errorf(format, args...)} }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// environment is what a subcommand gets from the outside world.
type environment struct {
	*program
	ctx    context.Context
	getenv func(string) string
	stdout io.Writer
	stderr io.Writer
	stdin  io.Reader // where a person can be asked; nil: nowhere
}

type commandLine struct {
	Demo        demoCmd        `cmd:"" help:"Try it on this machine: a small Slack in the browser, no account needed."`
	Serve       serveCmd       `cmd:"" help:"Run the app for real."`
	Doctor      doctorCmd      `cmd:"" help:"Find out why it doesn't work, and what to do about it."`
	Init        initCmd        `cmd:"" help:"Set it up for a real Slack: write .env, and make the app there."`
	New         newCmd         `cmd:"" help:"Make a new app: a folder with a bot, its tests and everything to run it."`
	Manifest    manifestCmd    `cmd:"" help:"Print the app manifest, and compare it with the app's settings at Slack."`
	Connections connectionsCmd `cmd:"" help:"Look at the workspaces that are connected."`
	Inbox       inboxCmd       `cmd:"" help:"Look at what Slack sent that isn't done yet, and at what failed for good."`
	Import      importCmd      `cmd:"" help:"Take over the workspaces of an app that another program ran."`
	Keys        keysCmd        `cmd:"" help:"Check and change the keys that encrypt stored tokens."`
	Migrate     migrateCmd     `cmd:"" help:"Bring the database's tables up to date."`
	Backup      backupCmd      `cmd:"" help:"Back up SQLite to one file, while serve runs."`
	Healthcheck healthcheckCmd `cmd:"" help:"Check whether the serve on this machine is healthy, for a container's health check."`
	Completion  completionCmd  `cmd:"" help:"Print what makes the Tab key complete commands in bash, zsh or fish."`
	Complete    completeCmd    `cmd:"" hidden:"" name:"__complete"`
	Version     versionCmd     `cmd:"" help:"Print the version."`
	Help        helpCmd        `cmd:"" help:"Show help, also for one command: ${name} help serve."`
}

// source reads the settings.
func (env *environment) source() *source {
	s := newSource(env.getenv)
	s.program = env.name
	return s
}

// exited carries the exit code that kong asks for after it printed help.
type exited int

// run is the whole program with the world handed in. It blocks until the subcommand is done or ctx ended.
func (p *program) run(ctx context.Context, args []string, getenv func(string) string, stdout,
	stderr io.Writer) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case exited:
			if v != 0 {
				err = badUsage("exit %d", int(v))
			}
		default:
			panic(v) // a fault of ours must not look like success
		}
	}()

	if len(args) == 0 {
		args = []string{"--help"}
	}
	if args[0] == "help" { // help serve = serve --help
		args = append(slices.Clone(args[1:]), "--help")
	}

	var c commandLine
	parser, err := kong.New(&c,
		kong.Name(p.name),
		kong.Vars{"name": p.name, "checks": strings.Join(server.Checks, ",")},
		kong.Description(strings.TrimSpace(p.Summary+"\n\n"+
			"Settings come from flags, then the environment, then a .env file in this folder. "+
			"Secrets have no flags: use the environment, or NAME_FILE with the name of a file.")),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
	if err != nil {
		return err
	}

	parsed, err := parser.Parse(args)
	var unclear *kong.ParseError
	if errors.As(err, &unclear) {
		return &usageError{err: err, command: typed(unclear.Context)}
	}
	if err != nil {
		return &usageError{err: err}
	}

	err = parsed.Run(&environment{program: p, ctx: ctx, getenv: getenv, stdout: stdout, stderr: stderr,
		stdin: p.stdin})
	if wrong := (*usageError)(nil); errors.As(err, &wrong) {
		wrong.command = typed(parsed)
	}
	return err
}

// typed is the command that was typed, as far as it is one.
func typed(c *kong.Context) string {
	if selected := c.Selected(); selected != nil {
		return selected.Path()
	}
	return ""
}

type helpCmd struct {
	Command []string `arg:"" optional:"" help:"The command to explain."`
}

// Run is never reached: run turns help into a --help of the command.
func (*helpCmd) Run(*environment) error { return nil }

type versionCmd struct {
	JSON bool `help:"Print JSON."`
}

// Run prints the version, and the commit it was built from where Go recorded one.
func (v *versionCmd) Run(env *environment) error {
	info := map[string]string{"version": env.Version}
	if b, ok := debug.ReadBuildInfo(); ok {
		info["go"] = b.GoVersion
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				info["commit"] = s.Value
			}
		}
	}
	if v.JSON {
		return printJSON(env.stdout, info)
	}
	_, err := fmt.Fprintf(env.stdout, "%s %s %s %s\n", env.name, info["version"], info["commit"], info["go"])
	return err
}
