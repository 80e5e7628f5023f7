//go:build linux

package switchboard_test

// Every command in a block of shell in the documentation is run: by a test of its own, or here, beside a program that
// serves a connected workspace.

import (
	"bytes"
	"context"
	"crypto/rand"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// ranBy are commands that something else runs: by their page, or any, and by how they begin. The first one that fits
// counts.
var ranBy = []struct{ page, begins, by string }{
	{"README.md", "go run ./cmd/switchboard demo", ".ci/first-page"},
	{"README.md", "go test ./...", ".ci/run"},
	{"README.md", "", "TestFiveMinutes"},
	{"docs/running.md", "", "TestTenMinutes"},
	{"docs/building.md", "", "TestNewApp"},
	{"docs/performance.md", "", "TestCompare"},
	{"docs/from-bolt.md", "mybot import bolt", "TestImport"},
	{"docs/operating.md", "grep Ev0ABC1234", "TestFollowingOneEvent"},
	{"", ".ci/release", "TestRelease"},
}

// shellBlock is a block of a page. Of one that says more than "sh" the machine lacks the program, a container engine for
// example, and only its spelling is looked at.
type shellBlock struct {
	page, text string
	line       int
	needs      string
}

func shellBlocks(t *testing.T) (blocks []shellBlock) {
	t.Helper()
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "deploy/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range regexp.MustCompile("(?ms)^ *```(?:sh|bash|shell|console)( [a-z]+)?\n(.*?)^ *```$").FindAllSubmatchIndex(text, -1) {
			block := shellBlock{page: page, text: string(text[at[4]:at[5]]), line: 1 + bytes.Count(text[:at[4]], []byte("\n"))}
			if at[2] >= 0 {
				block.needs = strings.TrimSpace(string(text[at[2]:at[3]]))
			}
			blocks = append(blocks, block)
		}
		// What a terminal shows: commands behind $, and their output.
		for _, at := range regexp.MustCompile("(?ms)^ *```\n(\\$ .*?)^ *```$").FindAllSubmatchIndex(text, -1) {
			typed := regexp.MustCompile(`(?m)^\$ (.*)$`).FindAllStringSubmatch(string(text[at[2]:at[3]]), -1)
			block := shellBlock{page: page, line: 1 + bytes.Count(text[:at[2]], []byte("\n"))}
			for _, command := range typed {
				block.text += command[1] + "\n"
			}
			blocks = append(blocks, block)
		}
	}
	if len(blocks) < 15 {
		t.Fatalf("only %d blocks", len(blocks))
	}
	return blocks
}

// commands are the block's commands, each with the lines that it goes on in.
func (b shellBlock) commands() (all []string) {
	for _, command := range regexp.MustCompile(`(?m)(?:[^\n]*\\\n)*[^\n]+$`).FindAllString(b.text, -1) {
		if command = strings.TrimSpace(command); command != "" && !strings.HasPrefix(command, "#") {
			all = append(all, command)
		}
	}
	return all
}

func TestShellInThePages(t *testing.T) {
	storagetest.Long(t) // it builds a program
	var here []shellBlock
	for _, block := range shellBlocks(t) {
		if out, err := shell("bash", "-n", "-c", block.text); err != nil {
			t.Errorf("%s:%d: %v\n%s", block.page, block.line, err, out)
		}
		var rest []string
		for _, command := range block.commands() {
			by := runElsewhere(block.page, command)
			if by != "" && !isThere(t, by) {
				t.Errorf("%s:%d: %s is to be run by %s, which isn't there", block.page, block.line, command, by)
			}
			if by != "" {
				continue
			}
			rest = append(rest, command)
		}
		if len(rest) > 0 && (block.needs == "" || block.needs == "postgres") {
			here = append(here, block)
		}
	}

	pages := map[string][]shellBlock{}
	for _, block := range here {
		pages[block.page] = append(pages[block.page], block)
	}
	if len(pages) < 4 {
		t.Fatalf("only %d pages have commands that are run here", len(pages))
	}
	program := filepath.Join(t.TempDir(), "switchboard")
	if out, err := shell("go", "build", "-buildvcs=false", "-o", program, "./cmd/switchboard"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for page, blocks := range pages {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			runBeside(t, program, blocks)
		})
	}
}

// runElsewhere says what else runs a command of a page: "" is nothing.
func runElsewhere(page, command string) (by string) {
	if test := regexp.MustCompile(`^LONG_TESTS=1 go test .*-run '?(\w+)'? `).FindStringSubmatch(command + " "); test != nil {
		return test[1] // it is a test itself
	}
	for _, e := range ranBy {
		if (e.page == "" || e.page == page) && strings.HasPrefix(command, e.begins) {
			return e.by
		}
	}
	return ""
}

// isThere reports whether by is a file, or in the name of a test.
func isThere(t *testing.T, by string) (found bool) {
	t.Helper()
	if _, err := os.Stat(by); err == nil {
		return true
	}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || found || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		found = regexp.MustCompile(`(?m)^func Test\w*` + strings.TrimPrefix(by, "Test") + `\w*\(`).Match(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// shell runs a command to its end.
func shell(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

// runBeside runs a page's blocks in a checkout of its own, where the program serves with SQLite, is connected to a
// workspace, and has its settings in .env. What restores or moves the database finds it stopped, as the pages say.
func runBeside(t *testing.T, program string, blocks []shellBlock) {
	checkout := filepath.Join(t.TempDir(), "switchboard")
	copyCheckout(t, checkout)
	bin := filepath.Join(checkout, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(program, filepath.Join(bin, "switchboard")); err != nil {
		t.Fatal(err)
	}

	admin, stop := serveConnected(t, checkout)
	postgres := sync.OnceValue(func() []string { return postgresOf(t, checkout) })
	env := append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "ADMIN_ADDR="+admin)
	for _, block := range blocks {
		if strings.Contains(block.text, "before-restore") || strings.Contains(block.text, "migrate copy") {
			stop()
		}
		if strings.Contains(block.text, "$NEW_DATABASE_URL") {
			env = append(env, "NEW_DATABASE_URL="+storagetest.Postgres(t))
		}
		its := env
		if block.needs == "postgres" {
			its = append(slices.Clone(env), postgres()...)
		}
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", strings.ReplaceAll(block.text, "localhost:3001", admin))
		cmd.Dir, cmd.Env = checkout, its
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s:%d: %v\n%s\n%s", block.page, block.line, err, block.text, out)
		}
	}
}

// postgresOf are the settings of a program on PostgreSQL with SQLite's keys, and where a dump of it is restored.
func postgresOf(t *testing.T, checkout string) (env []string) {
	t.Helper()
	keys, err := os.ReadFile(filepath.Join(checkout, "data", "switchboard.db.key"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := url.Parse(storagetest.Postgres(t)) // which says what to do where there is none
	if err != nil {
		t.Fatal(err)
	}
	server.RawQuery = strings.TrimPrefix(regexp.MustCompile(`&?search_path=[^&]*`).ReplaceAllString(server.RawQuery, ""), "&")
	named := func(name string) string {
		t.Cleanup(func() { onServer(t, server, "DROP DATABASE IF EXISTS "+name) })
		onServer(t, server, "DROP DATABASE IF EXISTS "+name)
		its := *server
		its.Path = "/" + name
		return its.String()
	}
	old, restored := named("switchboard_shell"), named("switchboard_restored")
	onServer(t, server, "CREATE DATABASE switchboard_shell")
	env = []string{"DATABASE_URL=" + old, "RESTORED_DATABASE_URL=" + restored,
		"ENCRYPTION_KEYS=" + strings.TrimSpace(string(keys))}

	migrate := exec.Command(filepath.Join(checkout, "bin", "switchboard"), "migrate", "up")
	migrate.Dir, migrate.Env = checkout, append(os.Environ(), env...)
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return env
}

func onServer(t *testing.T, server *url.URL, statement string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), server.String())
	if err == nil {
		_, err = conn.Exec(context.Background(), statement)
		_ = conn.Close(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// serveConnected starts serve in a checkout, and returns where it is watched, and what stops it.
func serveConnected(t *testing.T, checkout string) (admin string, stop func()) {
	t.Helper()
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	public := "http://" + door.Addr().String()
	_ = door.Close()

	slack := slacksim.New(slacksim.Config{App: slacksim.App{
		ID: "A0SWITCHBD", Name: "Switchboard", ClientID: "1000000000001.2000000000002", ClientSecret: rand.Text(),
		SigningSecret: rand.Text(), RedirectURLs: []string{public + "/slack/oauth_redirect"},
		HomeTab: true, MessagesTab: true, TokenRotation: true,
	}})
	t.Cleanup(func() { _ = slack.Close(context.Background()) })
	if err := slack.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	app := slack.App()
	dotenv := strings.Join([]string{
		"SLACK_CLIENT_ID=" + app.ClientID, "SLACK_CLIENT_SECRET=" + app.ClientSecret,
		"SLACK_SIGNING_SECRET=" + app.SigningSecret, "SLACK_APP_ID=" + app.ID, "SLACK_URL=" + slack.URL(),
		"PUBLIC_URL=" + public, "LISTEN_ADDR=" + strings.TrimPrefix(public, "http://"), "",
	}, "\n")
	if err := os.WriteFile(filepath.Join(checkout, ".env"), []byte(dotenv), 0o600); err != nil {
		t.Fatal(err)
	}

	serve := exec.Command(filepath.Join(checkout, "bin", "switchboard"), "serve", "--admin-addr", "127.0.0.1:0",
		"--log-format", "json")
	serve.Dir = checkout
	log, err := serve.StderrPipe()
	if err == nil {
		err = serve.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		if err := serve.Process.Signal(syscall.SIGINT); err == nil {
			_ = serve.Wait()
		}
	})
	t.Cleanup(stop)
	_, admin = whereItServes(t, log)
	installIn(t, slack, public)
	return admin, stop
}

// installIn has an admin of a workspace install the app.
func installIn(t *testing.T, slack *slacksim.Sim, public string) {
	t.Helper()
	slack.AddWorkspace(slacksim.Workspace{ID: "T0ACME0001", Name: "Acme Corp"})
	slack.AddUser(slacksim.User{ID: "U0ACMEADM1", TeamID: "T0ACME0001", Name: "dana", Admin: true})
	browser := http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	start, err := browser.Get(public + "/slack/install")
	if err != nil {
		t.Fatal(err)
	}
	_ = start.Body.Close()
	back, err := slack.Authorize(t.Context(), start.Header.Get("Location"), "U0ACMEADM1", slacksim.Choice{})
	if err != nil {
		t.Fatal(err)
	}

	callback, err := http.NewRequest(http.MethodGet, back, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range start.Cookies() { // Secure ones, which a jar keeps from http
		callback.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
	}
	done, err := browser.Do(callback)
	if err != nil {
		t.Fatal(err)
	}
	_ = done.Body.Close()
	if done.StatusCode != http.StatusOK {
		t.Fatalf("the install ends with %s", done.Status)
	}
}
