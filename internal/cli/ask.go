package cli

// Questions to a person at a terminal.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// asker asks a person, if there is one.
type asker struct {
	ctx   context.Context
	out   io.Writer
	can   bool // standard input is a terminal
	fd    int
	in    *bufio.Reader
	usual *term.State // of the terminal

	hidden *term.Terminal // for secrets; one, because it can have read further than the first

	imitated bool // as of source
}

func newAsker(env *environment) *asker {
	a := &asker{ctx: env.ctx, out: env.stderr, fd: int(os.Stdin.Fd()), in: bufio.NewReader(os.Stdin)}
	if term.IsTerminal(a.fd) {
		usual, err := term.GetState(a.fd)
		a.usual, a.can = usual, err == nil
		a.hidden = term.NewTerminal(struct {
			io.Reader
			io.Writer
		}{os.Stdin, a.out}, "")
	}
	return a
}

// close leaves the terminal as it was.
func (a *asker) close() {
	if a.can {
		_ = term.Restore(a.fd, a.usual)
	}
}

// errNoAnswer ends a call in which somebody pressed Ctrl-C or Ctrl-D. What was written stays.
var errNoAnswer = errors.New("stopped before everything was answered. Run it again to go on")

// until asks until check has nothing to complain of. A secret isn't shown.
func (a *asker) until(question string, secret bool, check func(s *source, answer string)) (string, error) {
	for {
		ask := a.line
		if secret {
			ask = a.secret
		}
		answer, err := a.wait(func() (string, error) { return ask(question) })
		if err != nil {
			return "", err
		}
		if check == nil {
			return answer, nil
		}

		s := &source{getenv: func(string) string { return "" }, files: map[string]bool{}, imitated: a.imitated}
		if check(s, answer); len(s.problems) == 0 {
			return answer, nil
		}
		for _, p := range s.problems {
			fmt.Fprintf(a.out, "That %s: %s.\n", p.What, p.Fix)
		}
	}
}

// line asks for one.
func (a *asker) line(question string) (string, error) {
	fmt.Fprint(a.out, question)
	return a.in.ReadString('\n')
}

// secret asks for one that the terminal doesn't show. It stops showing things before the question is there: who pastes
// the answer at once would see it otherwise. Ctrl-C is an error then, and no signal.
func (a *asker) secret(question string) (string, error) {
	before, err := term.MakeRaw(a.fd)
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(a.fd, before) }()
	return a.hidden.ReadPassword(question)
}

// wait returns what read does, or when the context ends.
func (a *asker) wait(read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() { // left behind when the context ends, which ends the program
		text, err := read()
		got <- answer{text, err}
	}()

	select {
	case <-a.ctx.Done():
		fmt.Fprintln(a.out)
		return "", errNoAnswer
	case x := <-got:
		if x.err != nil {
			return "", errNoAnswer
		}
		return strings.TrimSpace(x.text), nil
	}
}
