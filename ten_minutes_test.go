//go:build unix

package switchboard_test

// The ten minutes of docs/running.md, from an empty folder to Connected: its commands are typed as they stand there, and
// its steps in the browser are taken, against a small Slack over HTTP.

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/slacksim/web"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// tenMinutes are the commands of docs/running.md, by its steps.
type tenMinutes struct{ build, begin, goOn, serve, look string }

func readTenMinutes(t *testing.T) (m tenMinutes) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("docs", "running.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## With a real Slack app, in ten minutes\n")
	section, _, _ = strings.Cut(section, "\n### ")
	var all []string
	for _, block := range regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```$").FindAllStringSubmatch(section, -1) {
		all = append(all, typed(block[1])...)
	}
	if !found || len(all) != 5 || !strings.Contains(section, "run `bin/switchboard migrate up` first") {
		t.Fatalf("the ten minutes are other commands: %q", all)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil || !strings.Contains(string(readme), "docs/running.md#with-a-real-slack-app-in-ten-minutes") {
		t.Errorf("the README doesn't lead there: %v", err)
	}
	return tenMinutes{all[0], all[1], all[2], all[3], all[4]}
}

// operator is somebody with an empty folder, a Slack, and an address on the internet.
type operator struct {
	t        *testing.T
	folder   string
	sim      *slacksim.Sim
	proxy    *httptest.Server
	upstream *url.URL // where serve listens
	given    []string // what is set in the shell
	pair     slacksim.ConfigTokens
}

func newOperator(t *testing.T, program, database string) *operator {
	t.Helper()
	o := &operator{t: t, folder: t.TempDir(), sim: slacksim.New(slacksim.Config{Pages: web.Pages()})}
	if err := os.Mkdir(filepath.Join(o.folder, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(o.folder, "bin", "switchboard")); err != nil {
		t.Fatal(err)
	}

	o.sim.AddSmallWorld()
	if err := o.sim.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	o.proxy = httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(o.upstream)
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(func() {
		o.proxy.Close()
		if err := o.sim.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})

	var err error
	if o.pair, err = o.sim.Settings.Generate(slacksim.AcmeAdmin); err != nil {
		t.Fatal(err)
	}
	o.given = []string{"SLACK_URL=" + o.sim.URL()}
	if database != "" {
		o.given = append(o.given, "DATABASE_URL="+database)
	}
	return o
}

// command is what is typed, with more set in the shell.
func (o *operator) command(line string, more ...string) *exec.Cmd {
	cmd := exec.Command("sh", "-ec", "exec "+strings.ReplaceAll(line, "https://bot.example.com", o.proxy.URL))
	cmd.Dir, cmd.Env = o.folder, append([]string{"PATH=" + os.Getenv("PATH"), "PGSSLMODE=disable"}, more...)
	return cmd
}

func (o *operator) types(line string, more ...string) string {
	o.t.Helper()
	out, err := o.command(line, more...).CombinedOutput()
	if err != nil {
		o.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// opensTheLink plays Slack's page: it makes the app that the link describes, and shows its credentials.
func (o *operator) opensTheLink(said string) (credentials []string) {
	o.t.Helper()
	link, err := url.Parse(regexp.MustCompile(`(?m)^http\S+$`).FindString(said))
	if err != nil || link.Query().Get("new_app") != "1" {
		o.t.Fatalf("no link: %s", said)
	}
	var made struct {
		OK          bool
		Error       string
		AppID       string `json:"app_id"`
		Credentials struct {
			ClientID     string `json:"client_id"`
			ClientSecret string `json:"client_secret"`
			Signing      string `json:"signing_secret"`
		}
	}
	answer, err := http.PostForm(o.sim.URL()+"/api/apps.manifest.create",
		url.Values{"token": {o.pair.Token}, "manifest": {link.Query().Get("manifest_json")}})
	if err == nil {
		defer answer.Body.Close()
		err = json.NewDecoder(answer.Body).Decode(&made)
	}
	if err != nil || !made.OK {
		o.t.Fatalf("Slack makes no app of the link: %v %s", err, made.Error)
	}
	c := made.Credentials
	return []string{"SLACK_APP_ID=" + made.AppID, "SLACK_CLIENT_ID=" + c.ClientID,
		"SLACK_CLIENT_SECRET=" + c.ClientSecret, "SLACK_SIGNING_SECRET=" + c.Signing}
}

// serves starts the app, which ends with the test.
func (o *operator) serves(line string) {
	o.t.Helper()
	log := &logged{}
	cmd := o.command(line, "LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=json", "DRAIN_DELAY=0s")
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			o.t.Errorf("serve ended with %v: %s", err, log)
		}
	})

	v := visitor{t: o.t}
	v.until("the app to serve", func() bool { return log.has(`"msg":"serving"`) })
	var serving struct{ Listen string }
	if err := json.Unmarshal([]byte(log.line(`"msg":"serving"`)), &serving); err != nil {
		o.t.Fatal(err)
	}
	o.upstream = &url.URL{Scheme: "http", Host: serving.Listen}
}

func TestTenMinutes(t *testing.T) {
	storagetest.Long(t) // it builds a program
	steps := readTenMinutes(t)
	checkout := filepath.Join(t.TempDir(), "switchboard")
	copyCheckout(t, checkout)
	build := exec.Command("sh", "-ec", steps.build)
	build.Dir, build.Env = checkout, append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", steps.build, err, out)
	}

	for name, database := range map[string]func(testing.TB) string{"sqlite": nil, "postgres": storagetest.Postgres} {
		for kind, withToken := range map[string]bool{"by the link": false, "with a config token": true} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				address := ""
				if database != nil {
					address = database(t)
				}
				walkToConnected(t, steps, newOperator(t, filepath.Join(checkout, "bin", "switchboard"), address), withToken)
			})
		}
	}
}

func walkToConnected(t *testing.T, steps tenMinutes, o *operator, withToken bool) {
	t.Helper()
	given := o.given
	if withToken {
		given = append(given, "SLACK_CONFIG_TOKEN="+o.pair.Token)
	}
	said := o.types(steps.begin, given...)
	if !withToken {
		said += o.types(steps.goOn, o.opensTheLink(said)...)
	}

	if text, err := os.ReadFile(filepath.Join(o.folder, ".env")); err != nil ||
		bytes.Contains(text, []byte("DATABASE_URL=")) != (len(o.given) > 1) {
		t.Errorf(".env: %v", err)
	}
	if len(o.given) > 1 {
		o.types("bin/switchboard migrate up")
	}
	o.serves(steps.serve)
	if err := o.sim.Sender.VerifyURL(context.Background()); err != nil { // Retry
		t.Fatal(err)
	}

	v := visitor{t: t, cookies: map[string]string{}, slack: o.sim.URL()}
	v.install(o.proxy.URL, "Switchboard")
	if list := o.types(steps.look); !strings.Contains(list, "Acme Corp") || !regexp.MustCompile(`Acme Corp .* active `).MatchString(list) {
		t.Errorf("%s: %s", steps.look, list)
	}
	general := "/client/" + slacksim.Acme + "/" + slacksim.AcmeGeneral
	v.post(general+"/say", url.Values{"text": {"/connection status"}})
	v.until("the status", func() bool { return strings.Contains(v.get(v.slack+general), "Working") })

	app := o.sim.App()
	for _, secret := range []string{app.ClientSecret, app.SigningSecret, o.pair.Token} {
		if strings.Contains(said, secret) {
			t.Error("a secret is printed")
		}
	}
	if broken := o.sim.Breaches(); len(broken) != 0 {
		t.Errorf("rules of Slack's were broken: %v", broken)
	}
}
