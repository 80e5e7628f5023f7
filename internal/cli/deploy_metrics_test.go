package cli

// The alerts and the dashboard in deploy, by Prometheus' own tool: that they are right, that each alert fires when it
// should, and that they name what a real program has after real traffic.

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

var deployed = filepath.Join("..", "..", "deploy")

// promtool runs Prometheus' tool with input, and fails the test unless it is content.
func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("promtool is missing: install the package prometheus")
		}
		t.Skip("promtool is missing: the package prometheus has it")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 && args[0] == "check" && args[1] == "metrics" {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// rule is an alert of rules.yaml.
type rule struct {
	Alert, Expr         string
	Labels, Annotations map[string]string
}

func deployedRules(t *testing.T) (rules []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	text, err := os.ReadFile(filepath.Join(deployed, "prometheus", "rules.yaml"))
	if err == nil {
		err = yaml.Unmarshal(text, &file)
	}
	if err != nil || len(file.Groups) != 1 || len(file.Groups[0].Rules) < 15 {
		t.Fatalf("%d groups, %v", len(file.Groups), err)
	}
	return file.Groups[0].Rules
}

// panel is one of the dashboard.
type panel struct {
	Title, Type, Description string
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []struct{ Expr string }
	GridPos                  struct{ X, Y, W, H int }
}

func deployedPanels(t *testing.T) []panel {
	t.Helper()
	var board struct{ Panels []panel }
	text, err := os.ReadFile(filepath.Join(deployed, "grafana", "switchboard.json"))
	if err == nil {
		err = json.Unmarshal(text, &board)
	}
	if err != nil || len(board.Panels) < 20 {
		t.Fatalf("%d panels, %v", len(board.Panels), err)
	}
	return board.Panels
}

// Each alert says what is wrong, which command says more, and where to read on; and the repository's own test of it has
// it fire, alone, and not before.
func TestAlerts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t)).start(1, nil)
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	tests, page := read("deploy/prometheus/rules_test.yaml"), read("docs/alerts.md")
	commands := map[string]bool{}
	for _, r := range deployedRules(t) {
		_, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "/docs/alerts.md#")
		if !slices.Contains(anchors(page), anchor) || !strings.Contains(page, "`"+r.Alert+"`, "+r.Labels["severity"]+",") {
			t.Errorf("%s: docs/alerts.md has no section %q that names it and how bad it is", r.Alert, anchor)
		}
		if !strings.HasSuffix(r.Annotations["summary"], ".") {
			t.Errorf("%s: %q is no sentence", r.Alert, r.Annotations["summary"])
		}
		if !strings.Contains(page, "Look: `"+r.Annotations["command"]+"`.") {
			t.Errorf("%s: docs/alerts.md doesn't name %q", r.Alert, r.Annotations["command"])
		}
		commands[r.Annotations["command"]] = true
		if !strings.Contains(tests, `alertname="`+r.Alert+`"`) {
			t.Errorf("%s: rules_test.yaml doesn't have it fire", r.Alert)
		}
	}
	for command := range commands {
		args := strings.Fields(strings.TrimPrefix(command, "switchboard "))
		if args[0] == "doctor" || args[0] == "healthcheck" {
			args = []string{"help", args[0]} // they ask the world, which has tests of its own for them
		}
		if out, errs, code := w.command(args...); code != 0 {
			t.Errorf("%s: exit %d %s%s", command, code, out, errs)
		}
	}

	promtool(t, "", "check", "config", filepath.Join(deployed, "prometheus", "prometheus.yaml"))
	promtool(t, "", "check", "rules", filepath.Join(deployed, "prometheus", "rules.yaml"))
	promtool(t, "", "test", "rules", filepath.Join(deployed, "prometheus", "rules_test.yaml"))
}

// anchors are those that headings of a page have on GitHub.
func anchors(page string) (all []string) {
	for line := range strings.Lines(page) {
		if title, is := strings.CutPrefix(strings.TrimSpace(line), "## "); is {
			bare := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(title), "")
			all = append(all, strings.ReplaceAll(bare, " ", "-"))
		}
	}
	return all
}

// Whoever looks at the dashboard reads first whether it works, and of each panel what it shows, in which unit.
func TestDashboard(t *testing.T) {
	t.Parallel()
	panels := deployedPanels(t)
	if panels[0].Type != "row" || panels[0].Title != "Is it working?" {
		t.Errorf("the dashboard begins with %q", panels[0].Title)
	}
	titles, taken := map[string]bool{}, map[[2]int]string{}
	for _, p := range panels {
		if titles[p.Title] {
			t.Errorf("%q is there twice", p.Title)
		}
		titles[p.Title] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q lies over %q, or beside the page", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && (!strings.HasSuffix(p.Description, ".") || p.FieldConfig.Defaults.Unit == "" ||
			len(p.Targets) == 0) {
			t.Errorf("%q has no description, no unit or no query", p.Title)
		}
	}
}

// queries are those of the alerts and the dashboard, by where they are, with Grafana's variables replaced.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, r := range deployedRules(t) {
		all["alert "+r.Alert] = r.Expr
	}
	filled := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*")
	for _, p := range deployedPanels(t) {
		for i, q := range p.Targets {
			all[fmt.Sprintf("panel %s, %d", p.Title, i+1)] = filled.Replace(q.Expr)
		}
	}
	return all
}

// A counter is asked for its rate, and summed over replicas. What every replica reads from the database is the same
// everywhere, and summing it would multiply it.
func TestQueriesSumWhatCanBeSummed(t *testing.T) {
	t.Parallel()
	shared := map[string]bool{}
	for name, d := range documentedNumbers(t) {
		shared[name] = strings.Contains(d.words, "from the database") || strings.Contains(d.words, "`max by`")
	}
	if !shared["switchboard_connections"] || !shared["switchboard_last_delivery_timestamp_seconds"] {
		t.Fatal("docs/metrics.md doesn't say which numbers are shared")
	}
	aggregated := regexp.MustCompile(`(?:(max|min|sum)(?: by \([^)]*\))? ?\()?(?:(rate|increase|delta)\()?(switchboard_\w+)`)
	for where, q := range queries(t) {
		for _, m := range aggregated.FindAllStringSubmatch(q, -1) {
			by, over, name := m[1], m[2], m[3]
			counts := strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_bucket")
			if counts && (by != "sum" || over != "rate" && over != "increase") {
				t.Errorf("%s: %s is a counter, and not sum by (…) (rate(…)) of it", where, name)
			}
			if shared[name] && by != "max" {
				t.Errorf("%s: %s is the same on every replica, and not max by (…) of it", where, name)
			}
		}
	}
}

// Every query of the alerts and the dashboard comes to something in Prometheus, with what a program shows after people
// used it; and Prometheus' tool finds nothing wrong with the numbers themselves.
func TestQueriesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t)).start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	w.quick("a command", slacksim.AcmeAdmin, "/connection status", "Working")
	w.say(slacksim.AcmeAdmin, w.slack.DM(slacksim.AcmeAdmin), "help")
	w.settle()
	page := w.browser().get(w.replicas[0].admin.String() + "/metrics").body
	numbers := w.metrics(w.replicas[0])
	for series, least := range map[string]float64{
		`switchboard_slack_calls_total{method="oauth.v2.access",result="ok"}`:                   1,
		`switchboard_handled_total{handler="command /connection",kind="command",result="done"}`: 1,
		`switchboard_deliveries_total{kind="events_api",result="accepted"}`:                     1,
		`switchboard_looked_after{work="check"}`:                                                1,
		`switchboard_ready{check="database"}`:                                                   1,
		`switchboard_database_connections{state="idle"}`:                                        1,
		`switchboard_connections{state="active"}`:                                               1,
	} {
		if numbers[series] < least {
			t.Errorf("%s is %v after a person used the app", series, numbers[series])
		}
	}
	promtool(t, page, "check", "metrics")

	socket := newWorld(t, storagetest.SQLite(t))
	socket.overSockets(1)
	all := socket.metrics(socket.replicas[0])
	maps.Copy(all, numbers)
	labels := map[string]bool{"job": true, "instance": true, "le": true}
	var input strings.Builder
	for series, n := range all {
		for _, m := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(series, -1) {
			labels[m[1]] = true
		}
		series, rest, _ := strings.Cut(series, "{")
		rest = strings.TrimSuffix(rest, "}")
		if rest != "" {
			rest = "," + rest
		}
		fmt.Fprintf(&input, "      - {series: %s, values: %s}\n", quoted(series+`{job="bot",instance="a"`+rest+"}"),
			quoted(fmt.Sprintf("%vx15", n)))
	}

	selector := regexp.MustCompile(`\b(?:switchboard|process|go)_\w+(?:\{[^}]*\})?`)
	grouping := regexp.MustCompile(`\b(?:by|on) \(([^)]*)\)`)
	var asked strings.Builder
	ask := func(where, q string) {
		fmt.Fprintf(&asked, "      - {expr: %s, eval_time: 12m, exp_samples: [{labels: '{}', value: 1}]} # %s\n",
			quoted("(count("+q+") > bool 0) or vector(-1)"), where)
	}
	for where, q := range queries(t) {
		for _, s := range selector.FindAllString(q, -1) {
			ask(where, s)
		}
		if strings.HasPrefix(where, "panel ") {
			ask(where, strings.TrimSuffix(q, " > 0"))
		}
		for _, m := range grouping.FindAllStringSubmatch(q, -1) {
			for name := range strings.SplitSeq(m[1], ", ") {
				if !labels[name] {
					t.Errorf("%s groups by %s, which no number has", where, name)
				}
			}
		}
	}
	file := filepath.Join(t.TempDir(), "tests.yaml")
	text := "rule_files: []\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n" + input.String() +
		"    promql_expr_test:\n" + asked.String()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "test", "rules", file)
}

// quoted is a string of YAML.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
