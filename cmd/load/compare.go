package main

// compare: the bare handler and serve on each database, one after the other, round after round, so that a machine that
// is slower in one minute than in the next is so for all of them. What is printed are medians.

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
)

type compareCmd struct {
	loadFlags
	Switchboard string   `default:"bin/switchboard" placeholder:"PATH" help:"The program to drive. It isn't built here. Default: ${default}."`
	Database    []string `sep:"none" placeholder:"URL" help:"sqlite:FOLDER (or sqlite: for the system's temporary one), postgres://…, or memory: for an inbox that isn't kept, to see what keeping it costs. Can be repeated. A new database or schema is made there, and removed at the end. Default: sqlite: and, where it is set, TEST_DATABASE_URL."`
	Rounds      int      `default:"3" placeholder:"N" help:"How often each is driven, at most 9. Default: ${default}."`
	Markdown    bool     `help:"Print the table's rows for docs/performance.md."`
}

// inMemory asks for serve with INBOX=memory. The workspaces are in SQLite then.
const inMemory = "memory:"

// side is one of those that are compared.
type side struct{ name, database string }

func (c *compareCmd) sides(getenv func(string) string) ([]side, error) {
	if len(c.Database) == 0 {
		c.Database = []string{"sqlite:"}
		if d := getenv("TEST_DATABASE_URL"); d != "" {
			c.Database = append(c.Database, d)
		}
	}
	all := []side{{name: "bare handler"}}
	for _, d := range c.Database {
		name := "serve, PostgreSQL"
		switch {
		case d == inMemory:
			name = "serve, memory"
		case strings.HasPrefix(d, "sqlite:"):
			name = "serve, SQLite"
		case strings.HasPrefix(d, "postgres://"), strings.HasPrefix(d, "postgresql://"):
		default:
			// What was given may hold a password, so it is not shown.
			return nil, usage("--database: write sqlite:FOLDER, postgres://… or memory:")
		}

		for n := 2; slices.ContainsFunc(all, func(s side) bool { return s.name == name }); n++ {
			name = fmt.Sprintf("%s (%d)", strings.TrimSuffix(name, fmt.Sprintf(" (%d)", n-1)), n)
		}
		all = append(all, side{name: name, database: d})
	}
	return all, nil
}

// Run starts and drives each in turn. Nothing that it starts outlives it.
func (c *compareCmd) Run(env *environment) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.Rounds < 1 || c.Rounds > 9 {
		return usage("--rounds: %d is not between 1 and 9", c.Rounds)
	}
	sides, err := c.sides(env.getenv)
	if err != nil {
		return err
	}
	program, err := filepath.Abs(c.Switchboard)
	if err != nil {
		return err
	}
	if info, err := os.Stat(program); err != nil || info.IsDir() {
		return usage("--switchboard: there is no program %s; run make build, or name another", c.Switchboard)
	}

	results := make([][]result, len(sides))
	var bad error
	for round := range c.Rounds {
		for i, s := range sides {
			fmt.Fprintf(env.stderr, "round %d of %d: %s\n", round+1, c.Rounds, s.name)
			r, err := c.drive(env, program, s)
			if env.ctx.Err() != nil {
				return errors.New("stopped before the end; nothing is left running")
			}
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if err := r.bad(c.Allow503); err != nil {
				bad = errors.Join(bad, fmt.Errorf("%s: %w", s.name, err))
			}
			results[i] = append(results[i], r)
		}
	}

	t := summarize(results)
	switch {
	case c.JSON:
		err = printJSON(env.stdout, struct {
			Rounds [][]result `json:"rounds"`
			Median []row      `json:"median"`
		}{results, t})
	case c.Markdown:
		printMarkdown(env.stdout, t)
	default:
		c.printConditions(env.stdout, t)
		printTable(env.stdout, t)
	}
	return errors.Join(err, bad)
}

// drive is one round of one side, from nothing to nothing.
func (c *compareCmd) drive(env *environment, program string, which side) (r result, err error) {
	var s *stage
	if which.database == "" {
		own, err := os.Executable()
		if err != nil {
			return result{}, err
		}
		s, err = bareStage(env.ctx, own, c.Teams)
		if err != nil {
			return result{}, err
		}
	} else if s, err = serveStage(env.ctx, program, which.database, c.Teams); err != nil {
		return result{}, err
	}
	defer func() {
		err = errors.Join(err, s.close())
		if n, first := s.server.log.trouble(); n > 0 {
			fmt.Fprintf(env.stderr, "  it logged %d warnings and errors, the first: %s\n", n, first)
		}
	}()

	meter := newMeter(&url.URL{Scheme: "http", Host: s.server.admin})
	defer meter.client.CloseIdleConnections()
	r, err = c.measure(env.ctx, target{meter: meter, secret: s.secret, appID: s.appID, workspaces: s.workspaces,
		events: &url.URL{Scheme: "http", Host: s.server.listen, Path: "/slack/events"}})
	r.Server = which.name
	if !strings.HasPrefix(which.database, "postgres") {
		r.PostgresCPU = 0 // others'
	}
	return r, err
}

// row is the median of each figure over the rounds. The ratios are taken within a round, against the bare handler that
// was driven in the same minute.
type row struct {
	result
	Ratio         float64 `json:"cpu_ratio_to_bare"`
	RatioWithWork float64 `json:"cpu_with_work_ratio_to_bare"`
}

// summarize takes the rounds of each side, the bare handler's first.
func summarize(rounds [][]result) []row {
	all := make([]row, len(rounds))
	for i, of := range rounds {
		m := of[0] // for what is the same in every round
		for _, r := range of[1:] {
			m.Seconds += r.Seconds
			m.Trouble = cmp.Or(m.Trouble, r.Trouble)
			m.add(r.counts) // what went wrong once is not to vanish in a median
		}

		middle := func(figure func(round int) float64) float64 {
			values := make([]float64, len(of))
			for n := range of {
				values[n] = figure(n)
			}
			return median(values)
		}
		into := reflect.ValueOf(&m.figures).Elem()
		for f := range into.NumField() {
			into.Field(f).SetFloat(middle(func(n int) float64 { return reflect.ValueOf(of[n].figures).Field(f).Float() }))
		}
		all[i] = row{result: m,
			Ratio:         middle(func(n int) float64 { return share(of[n].CPU, rounds[0][n].CPU) }),
			RatioWithWork: middle(func(n int) float64 { return share(of[n].CPUWithWork, rounds[0][n].CPUWithWork) })}
	}
	return all
}

// add adds those of another round.
func (c *counts) add(more counts) {
	into, from := reflect.ValueOf(c).Elem(), reflect.ValueOf(more)
	for i := range into.NumField() {
		into.Field(i).SetInt(into.Field(i).Int() + from.Field(i).Int())
	}
}

func share(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// printConditions says what the figures hold for.
func (c *compareCmd) printConditions(w io.Writer, t []row) {
	r := t[0]
	how := fmt.Sprintf("closed loop, %d connections", r.Connections)
	if r.Mode == "open" {
		how = fmt.Sprintf("open loop, %.0f a second, at most %d under way", c.Rate, r.Connections)
	}
	fmt.Fprintf(w, "%s/%s, %d cores shared with this program; %s; %d bytes of %s from %d workspaces",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), how, r.Payload, r.Event, r.Workspaces)
	if c.Commands+c.Duplicates > 0 {
		fmt.Fprintf(w, ", %d %% commands, %d %% duplicates", c.Commands, c.Duplicates)
	}
	fmt.Fprintf(w, "; medians of %d\n\n", c.Rounds)
}

// columns are the same in both tables, and docs/performance.md has them as its headings.
var columns = []string{"server", "acks/s", "p50", "p95", "p99", "max", "CPU µs/ack", "× bare", "with the work",
	"× bare", "PostgreSQL µs", "peak RAM", "not 200"}

func (r row) cells() []string {
	postgres := "–"
	if r.PostgresCPU > 0 {
		postgres = fmt.Sprintf("%.1f", r.PostgresCPU)
	}
	with := fmt.Sprintf("%.1f", r.CPUWithWork)
	if r.SettledAfter < 0 {
		with = "> " + with
	}
	return []string{r.Server, fmt.Sprintf("%.0f", r.PerSecond), millis(r.P50), millis(r.P95), millis(r.P99),
		millis(r.Max), fmt.Sprintf("%.1f", r.CPU), fmt.Sprintf("%.2f", r.Ratio), with, fmt.Sprintf("%.2f", r.RatioWithWork),
		postgres, megabytes(r.MemoryPeak), fmt.Sprint(r.Sent + r.Unsent - r.OK)}
}

func printTable(w io.Writer, t []row) {
	lines := [][]string{columns}
	for _, r := range t {
		lines = append(lines, r.cells())
	}
	width := make([]int, len(columns))
	for _, l := range lines {
		for i, cell := range l {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}

	for _, l := range lines {
		fmt.Fprintf(w, "%-*s", width[0], l[0])
		for i, cell := range l[1:] {
			fmt.Fprintf(w, "  %*s", width[i+1], cell)
		}
		fmt.Fprintln(w)
	}
}

func printMarkdown(w io.Writer, t []row) {
	for _, r := range t {
		fmt.Fprintf(w, "| %s |\n", strings.Join(r.cells(), " | "))
	}
}
