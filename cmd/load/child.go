package main

// Children: the programs that compare drives, each in a process of its own, so that its processor time and memory are
// its own.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startBudget = 30 * time.Second
	stopBudget  = 2 * time.Minute // serve finishes what it acknowledged
)

// child is a program that serves.
type child struct {
	cmd           *exec.Cmd
	listen, admin string
	log           *childLog
	done          chan struct{}
	err           error // once done
}

// settings is the whole environment of a child: what this machine's people set for themselves must not reach it.
func settings(own map[string]string) []string {
	var all []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GODEBUG"} {
		if v, ok := os.LookupEnv(name); ok {
			all = append(all, name+"="+v)
		}
	}
	for name, v := range own {
		all = append(all, name+"="+v)
	}
	return all
}

// startChild runs a program in a folder and waits until it says where it listens.
func startChild(ctx context.Context, folder string, env []string, name string, args ...string) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, name, args...), done: make(chan struct{}),
		log: &childLog{serving: make(chan []byte, 1)}}
	c.cmd.Dir, c.cmd.Env, c.cmd.Stderr = folder, env, c.log
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGTERM) }
	c.cmd.WaitDelay = stopBudget
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(c.done)
		c.err = c.cmd.Wait()
	}()

	select {
	case line := <-c.log.serving:
		var at struct{ Listen, Admin string }
		if err := json.Unmarshal(line, &at); err != nil {
			return nil, errors.Join(fmt.Errorf("read where %s listens: %w", name, err), c.stop())
		}
		c.listen, c.admin = at.Listen, at.Admin
		return c, nil
	case <-c.done:
		return nil, fmt.Errorf("%s ended instead of serving: %w\n%s", name, c.err, c.log.tail())
	case <-time.After(startBudget):
		return nil, errors.Join(fmt.Errorf("%s did not serve within %v\n%s", name, startBudget, c.log.tail()), c.stop())
	}
}

// stop ends it as an operator does, and waits.
func (c *child) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // unless it ended by itself, which is told below
	select {
	case <-c.done:
	case <-time.After(stopBudget):
		_ = c.cmd.Process.Kill()
		<-c.done
	}

	if c.err != nil && c.cmd.ProcessState.ExitCode() != 0 {
		return fmt.Errorf("%s: %w\n%s", c.cmd.Args[0], c.err, c.log.tail())
	}
	return nil
}

// childLog keeps the last lines, counts the ones that tell of trouble, and hands on the one that says where it listens.
type childLog struct {
	serving chan []byte

	mu       sync.Mutex
	rest     []byte
	last     []string
	troubles int
	first    string // of the troubles
}

func (l *childLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, b...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 {
			return len(b), nil
		}

		line := l.rest[:end]
		switch {
		case bytes.Contains(line, []byte(`"msg":"serving"`)):
			select {
			case l.serving <- bytes.Clone(line):
			default:
			}
		case bytes.Contains(line, []byte(`"level":"ERROR"`)) || bytes.Contains(line, []byte(`"level":"WARN"`)):
			if l.troubles++; l.troubles == 1 {
				l.first = string(line)
			}
		}

		if l.last = append(l.last, string(line)); len(l.last) > 10 {
			l.last = l.last[1:]
		}
		l.rest = append(l.rest[:0], l.rest[end+1:]...)
	}
}

func (l *childLog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, "\n")
}

// trouble is how often the program warned or failed, and the first time it did.
func (l *childLog) trouble() (n int, first string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.troubles, l.first
}
