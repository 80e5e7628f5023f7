package switchboard_test

// A bot in a module of its own, as somebody builds it who has nothing but this module: its demo, in which it is
// installed, answers and is removed.

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

const patience = 30 * time.Second

func TestABotOutsideOfThisModule(t *testing.T) {
	storagetest.Long(t) // it builds a program
	main, err := os.ReadFile(filepath.Join("examples", "hello", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	v := visitor{t: t, cookies: map[string]string{}}
	public, log := v.startDemo(buildHello(t, string(main)))

	landing := v.install(public, "Hello")
	if !strings.Contains(landing, "Send messages") || !strings.Contains(landing, "You mention it in a channel") {
		t.Errorf("the install page: %s", landing)
	}
	v.until("a welcome", func() bool {
		dm := v.get(v.slack + "/client/" + slacksim.Acme + "/dm")
		return strings.Contains(dm, "Hello is now connected to") && strings.Contains(dm, "/invite @Hello")
	})

	general := "/client/" + slacksim.Acme + "/" + slacksim.AcmeGeneral
	v.post(general+"/invite", nil)
	v.post(general+"/say", url.Values{"text": {"@Hello are you there?"}})
	v.until("an answer", func() bool { return strings.Contains(v.get(v.slack+general), "Hey ") })

	for _, place := range []string{"home", "about", "dm", "app", "app/permissions", "app/remove"} {
		v.get(v.slack + "/client/" + slacksim.Acme + "/" + place)
	}
	v.remove(log)
	for _, path := range []string{"/", "/no-such-page", "/slack/install?link=x",
		"/slack/oauth_redirect?error=access_denied", "/slack/oauth_redirect?code=1.2.abc",
		"/slack/oauth_redirect?code=1.2.abc&state=x"} {
		v.get(public + path)
	}
	v.never(`/connection[^.]|Switchboard`)
}

// An app of every kind, with its tests, is written in nothing but what this module shows to others.
func TestWholeAppOutside(t *testing.T) {
	storagetest.Long(t) // it builds a test program
	folder := outsideModule(t, filesOf(t, filepath.Join("testdata", "desk"), "desk"))
	outside(t, folder, "vet", "./...")
	outside(t, folder, "test", "./...")
}

// Of each kind of handler that package bot has the whole app has one.
func TestWholeAppHasEveryKind(t *testing.T) {
	t.Parallel()
	var app strings.Builder
	for _, text := range filesOf(t, filepath.Join("testdata", "desk"), "desk") {
		app.WriteString(text)
	}

	kinds := 0
	for name, text := range filesOf(t, "bot", "bot") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, kind := range regexp.MustCompile(`(?m)^func ([A-Z]\w+)[^\n]*(?:\n\t[^\n]*)*\) Handler {$`).
			FindAllStringSubmatch(text, -1) {
			kinds++
			if !strings.Contains(app.String(), "bot."+kind[1]+"(") {
				t.Errorf("the app in testdata/desk has no %s", kind[1])
			}
		}
	}
	if kinds < 20 {
		t.Errorf("only %d kinds of handlers in package bot", kinds)
	}
}

// The examples, and their tests, are as good in a module of their own: nothing of them needs this one's insides.
func TestExamplesOutside(t *testing.T) {
	storagetest.Long(t) // it builds test programs
	files := map[string]string{}
	for _, name := range []string{"hello", "triage", "oncall", "agent"} {
		maps.Copy(files, filesOf(t, filepath.Join("examples", name), name))
	}

	folder := outsideModule(t, files)
	outside(t, folder, "vet", "./...")
	outside(t, folder, "test", "./...")
}

// filesOf are the files of a folder, by where they are to be in a module.
func filesOf(t *testing.T, folder, in string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}

	files := map[string]string{}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[in+"/"+entry.Name()] = string(text)
	}
	return files
}

// statusMain is a bot with the command about its connection, under a name of its own.
const statusMain = `package main

import (
	"github.com/switchboard-go/switchboard"
	"github.com/switchboard-go/switchboard/commands/connection"
)

func main() {
	status := connection.Command{Name: "/hello-status", DirectMessages: true, Home: true}
	switchboard.App{
		Name: "Hello", Handlers: status.Handlers(), Commands: status.Commands(), Messages: status.Messages,
	}.Main()
}
`

// Another bot's command about its connection goes by that bot's name for it, everywhere.
func TestTheCommandUnderAnotherName(t *testing.T) {
	storagetest.Long(t) // it builds a program
	v := visitor{t: t, cookies: map[string]string{}}
	public, log := v.startDemo(buildHello(t, statusMain))

	if landing := v.install(public, "Hello"); !strings.Contains(landing, "/hello-status") {
		t.Errorf("the install page: %s", landing)
	}
	acme := "/client/" + slacksim.Acme
	dm, general := acme+"/dm", acme+"/"+slacksim.AcmeGeneral
	v.until("a welcome", func() bool {
		page := v.get(v.slack + dm)
		return strings.Contains(page, "/hello-status status") && strings.Contains(page, "Send a test message")
	})

	for _, test := range []struct{ typed, shown string }{
		{"", "Details"}, {" details", "Review permissions"}, {" status verbose", "Data kept"},
		{" help", "/hello-status disconnect"},
		{" help disconnect", "A window lists"}, {" permissions", "Send messages"}, {" channels", "Hello is in"},
		{" history", "Installed"}, {" reconnect", "It works once"}, {" test", "The test message is in"},
		{" support", "Copy these details"}, {" hlep", "Did you mean"},
		{" disconnect", "This removes Hello"},
	} {
		v.post(general+"/say", url.Values{"text": {"/hello-status" + test.typed}})
		v.until("the answer to"+test.typed, func() bool { return strings.Contains(v.get(v.slack+general), test.shown) })
	}
	for _, said := range []string{"hello-status help", "disconnect"} {
		v.post(dm+"/say", url.Values{"text": {said}})
	}
	v.until("the answers in the direct message", func() bool {
		page := v.get(v.slack + dm)
		return strings.Contains(page, "Here is what you can ask Hello.") && strings.Contains(page, "To disconnect Hello from")
	})
	v.until("the Home tab", func() bool { return strings.Contains(v.get(v.slack+acme+"/home"), "/hello-status status") })

	v.remove(log)
	v.never(`/connection[^.]|Switchboard`) // with a full stop it is the id of a button
}

// A new app is whole: it passes vet and its tests, and its demo runs, from an empty folder.
func TestNewApp(t *testing.T) {
	storagetest.Long(t) // it builds programs
	folder := filepath.Join(t.TempDir(), "weather-bot")
	run := func(in string, args ...string) string {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Env = in, append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}

	said := run(".", "go", "run", "./cmd/switchboard", "new", folder, "--module", "github.com/you/weather-bot")
	if !strings.Contains(said, "Weather bot is ready") {
		t.Errorf("new says %s", said)
	}
	run(folder, "go", "vet", "./...")
	run(folder, "go", "test", "./...")
	run(folder, "go", "build", "-o", "weather-bot", ".")
	if manifest := run(folder, "./weather-bot", "manifest", "--public-url", "https://bot.example.com"); !strings.Contains(
		manifest, "/weather-bot") {
		t.Errorf("its manifest: %s", manifest)
	}
	v := visitor{t: t, cookies: map[string]string{}}
	public, _ := v.startDemo(filepath.Join(folder, "weather-bot"))
	if landing := v.get(public); !strings.Contains(landing, "Weather bot") {
		t.Errorf("the install page: %s", landing)
	}

	for _, wrong := range [][]string{{folder}, {filepath.Join(t.TempDir(), "Not A Name")},
		{filepath.Join(t.TempDir(), "fine"), "--module", "no module"}} {
		cmd := exec.Command("go", append([]string{"run", "./cmd/switchboard", "new"}, wrong...)...)
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("new %q: %s", wrong, out)
		}
	}
}

// install installs an app in Acme Corp as its admin, and returns the page where that began.
func (v *visitor) install(public, app string) (landing string) {
	v.t.Helper()
	v.get(v.slack)
	v.post("/signin", url.Values{"user": {slacksim.AcmeAdmin}})
	landing = v.get(public)
	consent := v.get(public + "/slack/install")
	query := regexp.MustCompile(`name="query" value="([^"]*)"`).FindStringSubmatch(consent)
	if query == nil {
		v.t.Fatalf("no form on Slack's page: %s", consent)
	}
	form := url.Values{"query": {html.UnescapeString(query[1])}, "team": {slacksim.Acme}, "do": {"allow"}}
	for _, ticked := range regexp.MustCompile(`name="optional" value="([^"]*)" checked`).FindAllStringSubmatch(consent,
		-1) {
		form.Add("optional", ticked[1])
	}
	done := v.post("/oauth/v2/authorize", form)
	if !strings.Contains(done, "Acme Corp") || !strings.Contains(done, app) {
		v.t.Fatalf("after the install: %s", done)
	}
	return landing
}

// remove removes the app, and waits until it knows.
func (v *visitor) remove(log *logged) {
	v.t.Helper()
	v.post("/client/"+slacksim.Acme+"/app/remove", nil)
	v.until("a line about the removal", func() bool {
		return log.has(`"msg":"removal handled"`, `"state":"removed"`)
	})
}

// never reports what no page may say.
func (v *visitor) never(pattern string) {
	v.t.Helper()
	seen := v.seen.String()
	if found := regexp.MustCompile(pattern).FindStringIndex(seen); found != nil {
		v.t.Errorf("a page says %q: …%s…", pattern, seen[max(0, found[0]-200):min(len(seen), found[1]+200)])
	}
}

// buildHello builds a bot in a module of its own and returns the program. main is its source.
func buildHello(t *testing.T, main string) string {
	t.Helper()
	folder := outsideModule(t, map[string]string{"main.go": main})
	// This is what "go run ." does, but for the demo's signals: "go run" would keep them.
	outside(t, folder, "build", "-o", "hello", ".")
	return filepath.Join(folder, "hello")
}

// outsideModule makes a module of its own, with these files, that requires this one, and returns its folder.
func outsideModule(t *testing.T, files map[string]string) (folder string) {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}

	// What this module requires stands in its go.mod; the other one gets it along, so that nothing has to be fetched.
	first, _, _ := strings.Cut(string(own), "\n")
	_, requires, _ := strings.Cut(string(own), "\nrequire")
	const mod = "module hello\n\ngo 1.26.0\n\nrequire %s v0.0.0\n\nreplace %[1]s => %s\n\nrequire%s"
	all := map[string]string{
		"go.mod": fmt.Sprintf(mod, strings.TrimPrefix(first, "module "), root, requires), "go.sum": string(sums),
	}
	maps.Copy(all, files)

	folder = t.TempDir()
	for file, text := range all {
		path := filepath.Join(folder, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// outside runs the go command in another module, with what the caches have.
func outside(t *testing.T, folder string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), "GOFLAGS=-mod=mod -buildvcs=false", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// visitor is a browser without a window. The demo's two addresses are one host, which shares its cookies.
type visitor struct {
	t       *testing.T
	slack   string
	cookies map[string]string
	seen    strings.Builder // all pages
	goRun   bool            // the go command runs the program
}

// startDemo runs the program's demo and returns where the app is, and what it logs.
func (v *visitor) startDemo(program string) (public string, log *logged) {
	v.t.Helper()
	cmd := exec.Command(program, "demo", "--addr", "127.0.0.1:0")
	cmd.Env = []string{"LOG_LEVEL=info", "LOG_FORMAT=json", "TMPDIR=" + v.t.TempDir()}
	cmd.Dir = v.t.TempDir()
	return v.start(cmd, func() error { return cmd.Process.Signal(os.Interrupt) })
}

// start runs a command that is a demo; interrupt is how one presses Ctrl-C.
func (v *visitor) start(cmd *exec.Cmd, interrupt func() error) (public string, log *logged) {
	v.t.Helper()
	log = &logged{}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		v.t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewScanner(out)
	for v.slack == "" && lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if address := strings.TrimSpace(lines.Text()); strings.HasPrefix(address, "http://") {
			v.slack = address
		}
	}
	v.t.Cleanup(func() {
		_, _ = io.Copy(io.Discard, out)
		// Once it is interrupted, go run ends with 1, however the program ended.
		if err := cmd.Wait(); err != nil && !(v.goRun && log.has(`"msg":"stopped"`)) {
			v.t.Errorf("the demo ended with %v, and logs %s", err, log)
		}
	})
	v.t.Cleanup(func() { // before it is waited for
		if err := interrupt(); err != nil {
			v.t.Errorf("Ctrl-C: %v", err)
		}
	})
	if v.slack == "" || !strings.Contains(said.String(), "'s demo is running") {
		v.t.Fatalf("the demo says %q, and logs %s", said.String(), log)
	}
	v.until("the app to serve", func() bool { return log.has(`"msg":"serving"`) })
	var serving struct {
		PublicURL string `json:"public_url"`
	}
	if err := json.Unmarshal([]byte(log.line(`"msg":"serving"`)), &serving); err != nil {
		v.t.Fatal(err)
	}
	return serving.PublicURL, log
}

func (v *visitor) get(address string) string { return v.send(http.MethodGet, address, nil) }

// post sends a form to a page of Slack's.
func (v *visitor) post(path string, form url.Values) string {
	return v.send(http.MethodPost, v.slack+path, form)
}

// send follows redirects and returns the page they end at.
func (v *visitor) send(method, address string, form url.Values) string {
	v.t.Helper()
	client := http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	for range 10 {
		r, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
		if err != nil {
			v.t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html")
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", v.slack)
		}
		for name, value := range v.cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		resp, err := client.Do(r)
		if err != nil {
			v.t.Fatal(err)
		}
		page, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			v.t.Fatal(err)
		}
		v.seen.Write(page)
		for _, c := range resp.Cookies() {
			v.cookies[c.Name] = c.Value
		}
		to, err := resp.Location()
		if err != nil {
			if resp.StatusCode >= http.StatusInternalServerError { // a refusal has a page, too
				v.t.Fatalf("%s %s: %s %s", method, address, resp.Status, page)
			}
			return string(page)
		}
		method, address, form = http.MethodGet, to.String(), nil
	}
	v.t.Fatalf("%s redirects for ever", address)
	return ""
}

func (v *visitor) until(what string, ok func() bool) {
	v.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			v.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// logged is what a program logs while it runs.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// line is the first line with all these words, "" if there is none.
func (l *logged) line(words ...string) string {
	for line := range strings.Lines(l.String()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return line
		}
	}
	return ""
}

func (l *logged) has(words ...string) bool { return l.line(words...) != "" }
