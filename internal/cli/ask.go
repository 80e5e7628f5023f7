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

	imitated bool // as of source
}

func newAsker(env *environment) *asker {
	a := &asker{ctx: env.ctx, out: env.stderr, fd: int(os.Stdin.Fd()), in: bufio.NewReader(os.Stdin)}
	if term.IsTerminal(a.fd) {
		usual, err := term.GetState(a.fd)
		a.usual, a.can = usual, err == nil
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
		fmt.Fprint(a.out, question)
		answer, err := a.line(secret)
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

// line reads one. It returns when the context ends, too.
func (a *asker) line(secret bool) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() { // left behind when the context ends, which ends the program
		if secret {
			text, err := term.ReadPassword(a.fd)
			got <- answer{string(text), err}
			return
		}
		text, err := a.in.ReadString('\n')
		got <- answer{text, err}
	}()

	select {
	case <-a.ctx.Done():
		fmt.Fprintln(a.out)
		return "", errNoAnswer
	case x := <-got:
		if secret {
			fmt.Fprintln(a.out)
		}
		if x.err != nil {
			return "", errNoAnswer
		}
		return strings.TrimSpace(x.text), nil
	}
}
