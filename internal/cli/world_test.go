package cli

// The stage for the end-to-end tests: the real program, run as main runs it, between slacksim and a database of its
// own, behind a proxy that stands for the load balancer. When a test ends, everything that was written, shown or said
// in it is searched for secrets, and slacksim is asked whether a rule of Slack's was broken.

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/commands"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// patience bounds every wait. Nothing waits this long unless it is broken.
const patience = 20 * time.Second

type world struct {
	of *program // what start runs; nil: ours

	t        *testing.T
	slack    *slacksim.Sim
	proxy    *httptest.Server
	upstream *http.Transport // from the proxy to the replicas
	database string
	keys     string
	dataDir  string

	mu       sync.Mutex
	replicas []*replica
	next     atomic.Int64
	seen     bytes.Buffer // logs, pages and output of commands
	private  []string     // states and cookies that passed by
	breaches bool         // some are expected
	allowed  []string     // rules that are bound to be broken here
	excused  func(slacksim.Breach) bool
}

// replica is one running `switchboard serve`.
type replica struct {
	public, admin *url.URL
	stop          context.CancelFunc
	done          chan struct{}
	err           error
	process       *os.Process // nil: it runs in this one
}

// version is what the program says of itself where no release build set it.
const version = "dev"

const placeholderURL = "https://switchboard.example.com"

// handlersOf is replaced by those that add a handler.
var handlersOf = commands.All

// ours is the app of this module, as cmd/switchboard has it.
func ours() *program {
	profile, app := commands.Profile(), commands.App()
	return &program{name: "switchboard", clock: testClock, App: App{
		Name: profile.Name, Summary: profile.Description, About: profile.LongDescription, Color: profile.Color,
		Does: app.Does, Picture: app.Picture, Commands: app.Commands,
		Handlers: handlersOf(), Scopes: profile.Scopes, Messages: commands.Messages,
		Guide: commands.Guide(), DemoHandlers: commands.DemoHandlers(), Version: version,
	}}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	return ours().run(ctx, args, getenv, stdout, stderr)
}

func exitCode(stderr io.Writer, err error) int { return ours().exitCode(stderr, err) }

// asProgram in the environment makes this test binary the program it tests, so that a test has processes to kill.
const asProgram = "SWITCHBOARD_TEST_RUN"

// atTerminal is what asProgram is when the program itself reads standard input.
const atTerminal = "terminal"

func TestMain(m *testing.M) {
	handlersOf = func() []bot.Handler { return append(commands.All(), reporter, presser) }
	if os.Getenv(asProgram) == atTerminal {
		os.Exit(exitCode(os.Stderr, run(untilSignal(), os.Args[1:], os.Getenv, os.Stdout, os.Stderr)))
	}
	if os.Getenv(asProgram) != "" {
		go func() { // standard input ends with the process that runs the tests
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(3)
		}()
		if os.Getenv(asProgram) == peakWanted {
			os.Exit(runAndSayPeak())
		}
		os.Exit(exitCode(os.Stderr, run(untilSignal(), os.Args[1:], os.Getenv, os.Stdout, os.Stderr)))
	}

	storagetest.ManyAtOnce()
	os.Exit(m.Run())
}

// onEach runs a test on both databases at once. It returns before they have ended.
func onEach(t *testing.T, test func(t *testing.T, w *world)) {
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, fresh(t)))
		})
	}
}

// newWorld prepares Slack and the database; start runs the program.
func newWorld(t *testing.T, database string) *world {
	return newWorldIn(t, database, slacksim.Config{})
}

// newWorldIn is newWorld in a Slack with settings of its own, all but the app.
func newWorldIn(t *testing.T, database string, settings slacksim.Config) *world {
	w := &world{t: t, database: database, keys: seal.NewKey(), dataDir: t.TempDir()}
	w.upstream = &http.Transport{MaxIdleConnsPerHost: 64}
	proxy := &httputil.ReverseProxy{
		Transport: w.upstream,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(w.replica().public)
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, err error) {
			http.Error(rw, "proxy: no replica", http.StatusBadGateway)
		},
	}
	w.proxy = httptest.NewServer(whole(proxy.ServeHTTP))
	of := ours()
	of.Handlers = commands.All() // Slack knows no names of the tests'
	app, err := of.simApp(w.proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	settings.App = app
	w.slack = slacksim.New(settings)
	w.slack.AddSmallWorld()
	if err := w.slack.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

// whole hands requests on with their bodies read. The server closes a body when the answer begins, and a ReverseProxy
// that still looks for its end then drops the answer: rarely, and only when the machine is busy.
func whole(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client is gone
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next(rw, r)
	})
}

// replica picks the next running replica, as a load balancer does.
func (w *world) replica() *replica {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.replicas) == 0 {
		return &replica{public: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}} // nobody listens there
	}
	return w.replicas[int(w.next.Add(1))%len(w.replicas)]
}

// Write collects what the program logs.
func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen.Write(b)
}

func (w *world) settings(extra map[string]string) func(string) string {
	settings := w.environment(extra)
	return func(name string) string { return settings[name] }
}

func (w *world) environment(extra map[string]string) map[string]string {
	app := w.slack.App()
	settings := map[string]string{
		"SLACK_CLIENT_ID": app.ClientID, "SLACK_CLIENT_SECRET": app.ClientSecret, "SLACK_SIGNING_SECRET": app.SigningSecret,
		"SLACK_APP_ID": app.ID, "SLACK_URL": w.slack.URL(), "PUBLIC_URL": w.proxy.URL,
		"LISTEN_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0", "LOG_LEVEL": "debug", "LOG_FORMAT": "json",
		"DATABASE_URL": w.database, "ENCRYPTION_KEYS": w.keys, "DATA_DIR": w.dataDir,
		"DRAIN_DELAY": "0s", "OPERATOR_NAME": "Acme IT", "SUPPORT_URL": "mailto:it@example.com",
	}
	for k, v := range extra {
		settings[k] = v
	}
	return settings
}

// command runs the program once and returns what it printed and its exit code.
func (w *world) command(args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	code = exitCode(&errs, run(ctx, args, w.settings(nil), &out, &errs))
	_, _ = w.Write(out.Bytes())
	_, _ = w.Write(errs.Bytes())
	return out.String(), errs.String(), code
}

// start runs n replicas of serve, on SQLite at most one, and waits until each listens.
func (w *world) start(n int, extra map[string]string) *world {
	w.t.Helper()
	if strings.HasPrefix(w.database, "sqlite:") {
		n = min(n, 1)
	}
	if strings.HasPrefix(w.database, "postgres") {
		if _, errs, code := w.command("migrate", "up"); code != 0 {
			w.t.Fatalf("migrate up: exit %d: %s", code, errs)
		}
	}
	for range n {
		w.startOne(extra)
	}
	return w
}

func (w *world) startOne(extra map[string]string) *replica {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &replica{stop: cancel, done: make(chan struct{})}
	lines := &lineReader{to: w, line: make(chan []byte, 1)}
	go func() {
		defer close(r.done)
		of := w.of
		if of == nil {
			of = ours()
		}
		r.err = of.run(ctx, []string{"serve"}, w.settings(extra), io.Discard, lines)
	}()
	if err := w.serving(r, lines, patience); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// startProcess runs serve as a process of its own, which can be killed. It may be called from any goroutine; an error
// says that the program ended instead of serving.
func (w *world) startProcess(extra map[string]string) (*replica, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "serve")
	cmd.Env = []string{asProgram + "=1"}
	for name, value := range w.environment(extra) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	lines := &lineReader{to: w, line: make(chan []byte, 1)}
	cmd.Stderr = lines
	if _, err := cmd.StdinPipe(); err != nil { // stays open as long as we live
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &replica{process: cmd.Process, done: make(chan struct{}), stop: func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}}
	go func() {
		defer close(r.done)
		r.err = cmd.Wait()
		_, _ = lines.Write([]byte("\n")) // a killed process may leave half a line
	}()
	// It may be started while its database is away for a minute, and waits for it.
	return r, w.serving(r, lines, 6*patience)
}

// kill ends a process as a lost machine does: nothing is finished.
func (w *world) kill(r *replica) {
	w.leave(r)
	_ = r.process.Kill()
	<-r.done
}

// serving waits until a replica listens, and lets the load balancer know it.
func (w *world) serving(r *replica, lines *lineReader, patience time.Duration) error {
	select {
	case line := <-lines.line:
		var serving struct{ Listen, Admin string }
		if err := json.Unmarshal(line, &serving); err != nil {
			return err
		}
		r.public, r.admin = &url.URL{Scheme: "http", Host: serving.Listen}, &url.URL{Scheme: "http", Host: serving.Admin}
	case <-r.done:
		return fmt.Errorf("serve ended: %w", r.err)
	case <-time.After(patience):
		r.stop()
		return errors.New("serve does not serve")
	}
	w.mu.Lock()
	w.replicas = append(w.replicas, r)
	w.mu.Unlock()
	return nil
}

// lineReader hands whole lines on, because several processes log into one place, and waits for the one that says where
// the program listens.
type lineReader struct {
	to   io.Writer
	line chan []byte

	mu   sync.Mutex
	rest []byte
}

func (l *lineReader) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, b...)
	for {
		end := bytes.IndexByte(l.rest, '\n') + 1
		if end == 0 {
			return len(b), nil
		}
		if bytes.Contains(l.rest[:end], []byte(`"msg":"serving"`)) {
			l.line <- bytes.Clone(l.rest[:end])
		}
		if _, err := l.to.Write(l.rest[:end]); err != nil {
			return 0, err
		}
		l.rest = l.rest[end:]
	}
}

// stop ends all replicas and fails the test if one did not end well.
func (w *world) stop() {
	w.mu.Lock()
	replicas := w.replicas
	w.replicas = nil
	w.mu.Unlock()
	// A server that stops waits 5 s for a connection on which nothing was ever asked, and the proxy keeps such spares.
	w.upstream.CloseIdleConnections()
	for _, r := range replicas {
		r.stop()
	}
	for _, r := range replicas {
		select {
		case <-r.done:
			if r.err != nil {
				w.t.Errorf("serve ended with %v", r.err)
			}
		case <-time.After(patience):
			w.t.Error("serve does not end")
		}
	}
}

func (w *world) close() {
	w.settle()
	before := len(w.slack.Breaches())
	w.stop()
	for i, b := range w.slack.Breaches() {
		if i >= before && b.Rule == slacksim.RuleEventStatus {
			continue // of what was said during the stop: nobody is there to answer
		}
		if !w.breaches && !slices.Contains(w.allowed, b.Rule) && (w.excused == nil || !w.excused(b)) {
			w.t.Errorf("a rule of Slack's was broken: %s: %s", b.Rule, b.Detail)
		}
	}
	w.proxy.Close()
	w.searchForSecrets()
	w.noLinksInLogs()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.slack.Close(ctx); err != nil {
		w.t.Errorf("close slacksim: %v", err)
	}
	if w.t.Failed() {
		for line := range strings.Lines(w.seen.String()) {
			if strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"ERROR"`) ||
				strings.Contains(line, `"level":"INFO"`) {
				w.t.Log(strings.TrimSpace(line))
			}
		}
	}
}

// searchForSecrets looks for every secret that Slack ever issued, and for our own, in everything this test wrote.
func (w *world) searchForSecrets() {
	secrets := append(w.slack.Secrets(), w.private...)
	secrets = append(secrets, w.keys)
	places := map[string][]byte{"logs, pages and output": w.seen.Bytes(), "database": w.dump()}
	var said bytes.Buffer
	for _, c := range w.slack.Directory.Channels("") {
		for _, u := range w.slack.Directory.Users("") {
			fmt.Fprintf(&said, "%+v\n", w.slack.Messages(c.ID, u.ID))
		}
	}
	for _, u := range w.slack.Directory.Users("") {
		fmt.Fprintf(&said, "%+v\n", w.slack.Messages(w.slack.DM(u.ID), u.ID))
		if home, ok := w.slack.Home(u.ID); ok {
			said.Write(home.Blocks)
		}
	}
	places["messages"] = said.Bytes()
	_ = filepath.WalkDir(w.dataDir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			places["file "+path], _ = os.ReadFile(path) // replicas have folders of their own, with the same names in them
		}
		return nil
	})
	// Found by how they begin: one pass over each place, where a search for each of a thousand secrets takes seconds.
	const head = 8
	searched, forms := 0, map[string][]string{}
	for _, secret := range secrets {
		if len(secret) < head {
			continue
		}
		searched++
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)),
			hex.EncodeToString([]byte(secret))} {
			forms[form[:head]] = append(forms[form[:head]], form)
		}
	}
	for place, content := range places {
		for at := range max(0, len(content)-head+1) {
			for _, form := range forms[string(content[at:at+head])] {
				if bytes.HasPrefix(content[at:], []byte(form)) {
					w.t.Errorf("a secret of %d characters is in the %s, behind %q", len(form), place, content[max(0, at-80):at])
				}
			}
		}
	}
	if searched < 3 {
		w.t.Errorf("only %d secrets to search for; there must be more", searched)
	}
}

// dump returns everything in the database.
func (w *world) dump() []byte {
	var out bytes.Buffer
	if path, ok := strings.CutPrefix(w.database, "sqlite:"); ok {
		files, _ := filepath.Glob(path + "*")
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil && !strings.HasSuffix(f, ".key") {
				out.Write(b)
			}
		}
		return out.Bytes()
	}
	db := w.sql()
	defer db.Close()
	for _, table := range []string{"connections", "install_attempts", "user_tokens", "connection_history", "budgets"} {
		rows, err := db.Query("SELECT t::text FROM " + table + " t")
		if err != nil {
			continue // the test made no tables
		}
		for rows.Next() {
			var row string
			if err := rows.Scan(&row); err != nil {
				w.t.Error(err)
			}
			out.WriteString(row + "\n")
		}
		rows.Close()
	}
	return out.Bytes()
}

// sql opens the database without the program's own code.
func (w *world) sql() *sql.DB {
	driver, address := "pgx", w.database
	if path, ok := strings.CutPrefix(w.database, "sqlite:"); ok {
		driver, address = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		w.t.Fatal(err)
	}
	return db
}

// sealOne puts a connection of nobody's into the database, sealed with these keys, so that they open something there.
func (w *world) sealOne(keys string) {
	w.t.Helper()
	ring, err := seal.ParseKeys(keys)
	if err != nil {
		w.t.Fatal(err)
	}
	db, err := storage.Open(context.Background(), w.database, ring)
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	c := connection.Connection{Key: connection.Key{AppID: w.slack.App().ID, TeamID: "T0NOBODY01"},
		TokenPair: connection.TokenPair{Token: "xoxb-0-nobody"}, State: connection.Active, InstalledAt: time.Now()}
	if _, _, err := db.Put(context.Background(), c); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) settle() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.slack.Settle(ctx); err != nil {
		w.t.Errorf("deliveries do not settle: %v", err)
	}
}

// wait waits until ok, looking again whenever something happened in Slack.
func (w *world) wait(what string, ok func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.slack.WaitFor(ctx, ok); err != nil {
		w.t.Fatalf("waited in vain for %s", what)
	}
}

// waitRow waits until a connection's record is as wanted; nothing tells when the database changes, so it is asked.
func (w *world) waitRow(what string, ok func(record) bool) record {
	w.t.Helper()
	var found record
	until(w.t, what, func() bool {
		rows := w.connections()
		i := slices.IndexFunc(rows, ok)
		if i >= 0 {
			found = rows[i]
		}
		return i >= 0
	})
	return found
}

// connections is `connections list --json`, as a script reads it.
func (w *world) connections() []record {
	w.t.Helper()
	out, errs, code := w.command("connections", "list", "--json")
	if code != 0 {
		w.t.Fatalf("connections list: exit %d: %s", code, errs)
	}
	var records []record
	if err := json.Unmarshal([]byte(out), &records); err != nil {
		w.t.Fatal(err)
	}
	return records
}

// browser keeps cookies like one on this machine, where Secure cookies are sent over plain http too.
type browser struct {
	w       *world
	mu      sync.Mutex
	cookies map[string]string
	accept  string
}

func (w *world) browser() *browser {
	return &browser{w: w, cookies: map[string]string{}, accept: "text/html"}
}

type answer struct {
	status   int
	header   http.Header
	body     string
	location string
}

// get fetches an address without following redirects.
func (b *browser) get(address string) answer {
	b.w.t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return b.send(req)
}

// post sends a form.
func (b *browser) post(address string, form url.Values) answer {
	b.w.t.Helper()
	req, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.send(req)
}

func (b *browser) send(req *http.Request) answer {
	b.w.t.Helper()
	req.Header.Set("Accept", b.accept)
	b.mu.Lock()
	for k, v := range b.cookies {
		req.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	b.mu.Unlock()
	client := http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	resp, err := client.Do(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	b.mu.Lock()
	for _, c := range resp.Cookies() {
		b.cookies[c.Name] = c.Value
	}
	b.mu.Unlock()
	_, _ = b.w.Write(body)
	b.w.mu.Lock()
	for _, c := range resp.Cookies() {
		b.w.private = append(b.w.private, c.Value)
	}
	if u, err := resp.Location(); err == nil && u.Query().Get("state") != "" {
		b.w.private = append(b.w.private, u.Query().Get("state"))
	}
	b.w.mu.Unlock()
	return answer{resp.StatusCode, resp.Header, string(body), resp.Header.Get("Location")}
}

// begin presses Add to Slack and returns the address of Slack's consent page.
func (b *browser) begin(path string) string {
	b.w.t.Helper()
	a := b.get(b.w.proxy.URL + path)
	if a.status != http.StatusFound {
		b.w.t.Fatalf("GET %s: %d %s", path, a.status, a.body)
	}
	return a.location
}

// consent plays Slack's page and returns where it sends the browser back to.
func (b *browser) consent(authorize, userID string, choice slacksim.Choice) string {
	b.w.t.Helper()
	back, err := b.w.slack.Authorize(context.Background(), authorize, userID, choice)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return back
}

// install goes all the way and returns the last page.
func (b *browser) install(userID string) answer {
	b.w.t.Helper()
	return b.get(b.consent(b.begin("/slack/install"), userID, slacksim.Choice{}))
}

// say, type and press go through the simulator as the chat page does.
func (w *world) type_(userID, channelID, line string) slacksim.CommandReply {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reply, err := w.slack.Command(ctx, userID, channelID, line)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply
}

func (w *world) say(userID, channelID, text string) string {
	w.t.Helper()
	ts, err := w.slack.Say(context.Background(), userID, channelID, text)
	if err != nil {
		w.t.Fatal(err)
	}
	return ts
}

// last returns the newest message that a person sees in a conversation.
func (w *world) last(channelID, userID string) slacksim.Message {
	all := w.slack.Messages(channelID, userID)
	if len(all) == 0 {
		return slacksim.Message{}
	}
	return all[len(all)-1]
}

// fromApp returns the messages of the app that a person sees in a conversation.
func (w *world) fromApp(channelID, userID string) []slacksim.Message {
	var ours []slacksim.Message
	for _, m := range w.slack.Messages(channelID, userID) {
		if m.BotID != "" && !m.Deleted {
			ours = append(ours, m)
		}
	}
	return ours
}

// storageURL is the database for tests in which it plays no part.
func storageURL(t *testing.T) string { return storagetest.SQLite(t) }
