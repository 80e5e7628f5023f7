package cli

// init at a terminal, which a test can make on Linux; and on a disk that is full.

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// person sits at a terminal in which the program runs.
type person struct {
	t        *testing.T
	terminal *os.File
	cmd      *exec.Cmd

	mu    sync.Mutex
	shown strings.Builder
	news  chan struct{}
	gone  chan struct{} // closed when the program has left the terminal, and all that it said is shown
}

// sit starts the program in a folder, at a terminal of its own.
func sit(t *testing.T, folder string, args ...string) *person {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	fd := int(terminal.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	other, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()

	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	p := &person{t: t, terminal: terminal, cmd: exec.CommandContext(ctx, program, args...), news: make(chan struct{}, 1),
		gone: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = folder, []string{asProgram + "=" + atTerminal}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = other, other, other
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // Ctrl-C reaches it
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.gone)
		_, _ = io.Copy(p, terminal)
	}()
	return p
}

// Write gets what the terminal shows.
func (p *person) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown.Write(b)
	select {
	case p.news <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (p *person) sees() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown.String()
}

// answer waits for a question and types the answer.
func (p *person) answer(question, text string) {
	p.t.Helper()
	for deadline := time.After(patience); !strings.HasSuffix(p.sees(), question); {
		select {
		case <-p.news:
		case <-deadline:
			p.t.Fatalf("no %q: %s", question, p.sees())
		}
	}
	if _, err := p.terminal.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

// leaves waits for the end.
func (p *person) leaves(want int) string {
	p.t.Helper()
	err := p.cmd.Wait()
	<-p.gone
	if code := p.cmd.ProcessState.ExitCode(); code != want {
		p.t.Errorf("exit %d, want %d, %v: %s", code, want, err, p.sees())
	}
	return p.sees()
}

// What is wrong is asked again, what is secret isn't shown, and what isn't at hand can wait.
func TestInitAtATerminal(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	p := sit(t, folder, "init")
	p.answer("https://bot.example.com: ", "bot.example.com\n")
	p.answer("https://bot.example.com: ", "https://bot.example.com\n")
	p.answer("write postgres for PostgreSQL: ", "mysql\n")
	p.answer("write postgres for PostgreSQL: ", "postgres\n")
	p.answer("(not shown): ", "postgres://bot:hush-password@db.example.com/bot\n")
	p.answer("(Enter: nobody): ", "Acme IT\n")
	p.answer("App ID: ", "A0G7H2KQ\n")
	p.answer("Client ID: ", "\n")
	shown := p.leaves(0)
	for _, want := range []string{"That is not an address with https://", "That is neither", "?new_app=1&manifest_json=",
		"Added to .env: SLACK_APP_ID."} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q isn't shown: %s", want, shown)
		}
	}

	// Later, with the rest at hand.
	p = sit(t, folder, "init")
	p.answer("Client ID: ", "927361.827364\n")
	p.answer("Client Secret (not shown): ", "927361.827364\n")
	p.answer("Client Secret (not shown): ", testClientSecret+"\n")
	p.answer("Signing Secret (not shown): ", testSigningSecret+"\n")
	shown += p.leaves(0)
	if !strings.Contains(shown, "switchboard migrate up") || !strings.Contains(shown, "switchboard serve") {
		t.Errorf("what comes next isn't shown: %s", shown)
	}

	_, has := envIn(t, folder)
	for name, want := range map[string]string{"PUBLIC_URL": "https://bot.example.com", "OPERATOR_NAME": "Acme IT",
		"DATABASE_URL": "postgres://bot:hush-password@db.example.com/bot", "SLACK_APP_ID": "A0G7H2KQ",
		"SLACK_CLIENT_ID": "927361.827364", "SLACK_CLIENT_SECRET": testClientSecret,
		"SLACK_SIGNING_SECRET": testSigningSecret} {
		if has[name] != want {
			t.Errorf("%s is %q, want %q", name, has[name], want)
		}
	}
	for _, secret := range []string{"hush", testClientSecret, testSigningSecret, has["ENCRYPTION_KEYS"]} {
		if strings.Contains(shown, secret) {
			t.Error("a secret is on the screen")
		}
	}
}

// Ctrl-C ends it at any question, and gives the terminal back as it was.
func TestInitStopsAtAQuestion(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	p := sit(t, folder, "init")
	p.answer("https://bot.example.com: ", "\x03")
	if shown := p.leaves(1); !strings.Contains(shown, "Run it again") || len(names(t, folder)) != 0 {
		t.Errorf("%s, and left %v", shown, names(t, folder))
	}

	write(t, filepath.Join(folder, ".env"), "PUBLIC_URL=https://bot.example.com\nSLACK_APP_ID=A0G7H2KQ\nSLACK_CLIENT_ID=927361.827364\n")
	p = sit(t, folder, "init")
	p.answer("Client Secret (not shown): ", "\x03")
	p.leaves(1)
	state, err := unix.IoctlGetTermios(int(p.terminal.Fd()), unix.TCGETS)
	if err != nil || state.Lflag&unix.ECHO == 0 {
		t.Errorf("the terminal doesn't show what is typed: %v", err)
	}
}

// The disk fills up between the two writes, after Slack has told the credentials.
func TestInitOnAFullDisk(t *testing.T) {
	t.Parallel()
	sim, folder, elsewhere := emptySlack(t), t.TempDir(), t.TempDir()
	settings := over(withConfigTokens(t, sim), map[string]string{"TMPDIR": elsewhere,
		"OPERATOR_NAME": strings.Repeat("x", 800)}) // 1,024 bytes are the most
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-c", "ulimit -f 1; exec "+program+" init")
	cmd.Dir, cmd.Env = folder, []string{asProgram + "=1", "PATH=" + os.Getenv("PATH")}
	for name, value := range settings {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	said, err := cmd.CombinedOutput()

	app := sim.App()
	kept, _ := filepath.Glob(filepath.Join(elsewhere, "*", "credentials"))
	if err == nil || app.ID == "" || len(kept) != 1 || !strings.Contains(string(said), kept[0]) ||
		!strings.Contains(string(said), "/apps/"+app.ID+"/general") || strings.Contains(string(said), app.ClientSecret) {
		t.Fatalf("%v, app %q, kept %v: %s", err, app.ID, kept, said)
	}
	lines, err := os.ReadFile(kept[0])
	if err != nil || !strings.Contains(string(lines), "SLACK_CLIENT_SECRET="+app.ClientSecret+"\n") {
		t.Errorf("what was kept: %v", err)
	}
	if info, err := os.Stat(kept[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, has := envIn(t, folder); has["SLACK_APP_ID"] != "" || has["PUBLIC_URL"] == "" {
		t.Errorf(".env has half of it: %v", has)
	}
}
