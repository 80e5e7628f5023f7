package cli

// The promise about tokens, kept under the conditions that break it elsewhere: many replicas at once, processes that
// are killed, and a database that goes away between Slack's answer and the store. Slack hands out each pair once here,
// and a refresh token dies when it is presented (App.StrictRefresh).

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// office is a workspace with one person in it, who installed the app.
type office struct{ team, user, channel string }

// offices adds n workspaces and installs the app in each, through the replicas that run.
func (w *world) offices(n int) []office {
	w.t.Helper()
	all := make([]office, n)
	for i := range all {
		o := office{fmt.Sprintf("T0OFFICE%02d", i), fmt.Sprintf("U0OFFICE%02d", i), fmt.Sprintf("C0OFFICE%02d", i)}
		w.slack.AddWorkspace(slacksim.Workspace{ID: o.team, Name: fmt.Sprintf("Office %d", i)})
		w.slack.AddUser(slacksim.User{ID: o.user, TeamID: o.team, Name: "boss" + strconv.Itoa(i), Admin: true})
		w.slack.AddChannel(slacksim.Channel{ID: o.channel, TeamID: o.team, Name: "general", Members: []string{o.user}})
		if page := w.browser().install(o.user); page.status != http.StatusOK {
			w.t.Fatalf("install in %s: %d %s", o.team, page.status, page.body)
		}
		all[i] = o
	}
	return all
}

// rotate sets how long the tokens live that Slack hands out from now on.
func (w *world) rotate(life time.Duration) {
	w.slack.SetApp(func(a *slacksim.App) { a.TokenRotation, a.StrictRefresh, a.TokenLife = true, true, life })
}

// due makes these connections fall due one after the other, or all at one moment. The version tells the program that is
// about to write a row that it has to read it again.
func (w *world) due(offices []office, first time.Time, apart time.Duration) {
	w.t.Helper()
	db := w.sql()
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		w.t.Fatal(err)
	}
	for i, o := range offices {
		at := first.Add(time.Duration(i) * apart).UnixMicro()
		if _, err := tx.Exec(fmt.Sprintf("UPDATE connections SET renew_at = %d, version = version + 1 WHERE team_id = '%s'",
			at, o.team)); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		w.t.Fatal(err)
	}
}

// refreshes returns the times Slack was asked to renew a token, by refresh token.
func (w *world) refreshes() map[string][]slacksim.Call {
	calls := map[string][]slacksim.Call{}
	for _, c := range w.slack.Calls("oauth.v2.access") {
		if c.Arg("grant_type") == "refresh_token" {
			calls[c.Arg("refresh_token")] = append(calls[c.Arg("refresh_token")], c)
		}
	}
	return calls
}

// row is what the database keeps of a workspace.
func (w *world) row(db *storage.DB, team string) connection.Connection {
	w.t.Helper()
	c, err := db.Lookup(context.Background(), connection.Key{AppID: w.slack.App().ID, TeamID: team})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// checkNewest fails unless a row is active and has the pair that Slack handed out last.
func (w *world) checkNewest(c connection.Connection) {
	w.t.Helper()
	in, _ := w.slack.Installed(c.TeamID)
	if c.State != connection.Active || c.Token.Reveal() != in.BotToken || c.RefreshToken.Reveal() != in.RefreshToken {
		w.t.Errorf("%s: state %q, reason %q; its tokens are Slack's newest: %v and %v", c.TeamID, c.State, c.Reason,
			c.Token.Reveal() == in.BotToken, c.RefreshToken.Reveal() == in.RefreshToken)
	}
}

// journal returns the pairs that wait in the journal of a replica, by their names.
func (w *world) journal(dataDir string) map[string]connection.Grant {
	w.t.Helper()
	folder := filepath.Join(dataDir, "journal")
	files, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatal(err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			continue // taken away while we looked
		}
		if info.Mode() != 0o600 {
			w.t.Errorf("a file in the journal has mode %v", info.Mode())
		}
		if content, err := os.ReadFile(filepath.Join(folder, file.Name())); err == nil {
			_, _ = w.Write(append(content, '\n')) // searched for secrets at the end, when the file is another
		}
	}
	pairs := map[string]connection.Grant{}
	if len(files) == 0 {
		return pairs
	}
	// The world's own database may be away.
	keys, err := seal.ParseKeys(w.keys)
	if err != nil {
		w.t.Fatal(err)
	}
	db, err := storage.Open(context.Background(), "sqlite:"+filepath.Join(w.t.TempDir(), "none.db"), keys)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.UseJournal(folder); err != nil {
		w.t.Fatal(err)
	}
	waiting, err := db.Journaled()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range waiting {
		pairs[p.Journaled] = p
	}
	return pairs
}

// expect waits until ok, looking again now and then: nothing tells when a file or a row changes.
func (w *world) expect(what string, patience time.Duration, ok func() bool) {
	w.t.Helper()
	end := time.After(patience)
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-end:
			w.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// traffic has people type these commands and write to the app, all over, until stop is called, which returns how often
// they did. On a machine that can't keep up there is an end to it before.
func (w *world) traffic(offices []office, people int, commands ...string) (stop func() int64) {
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	var times atomic.Int64
	w.t.Cleanup(func() { cancel(); working.Wait() })
	for range people {
		working.Go(func() {
			pace := time.NewTicker(slowdown * slowdown * 100 * time.Millisecond)
			defer pace.Stop()
			for range storagetest.Rounds(50, 10_000) {
				select {
				case <-ctx.Done():
					return
				case <-pace.C:
				}
				var err error
				o := offices[rand.N(len(offices))]
				switch i := rand.N(len(commands) + 2); i {
				case 0:
					_, err = w.slack.Say(context.Background(), o.user, w.slack.DM(o.user), "status")
				case 1:
					_, err = w.slack.Say(context.Background(), o.user, w.slack.DM(o.user), "help")
				default:
					_, err = w.slack.Command(context.Background(), o.user, o.channel, commands[i-2])
				}
				if err != nil {
					w.t.Error(err)
				}
				times.Add(1)
			}
		})
	}
	return func() int64 {
		cancel()
		working.Wait()
		return times.Load()
	}
}

// Any number of replicas, and all connections due at the same moment: each refresh token is presented once, and no call
// is made with a token that ran out.
func TestReplicasRenewOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		const replicas = 4
		generations, many := storagetest.Rounds(1, 5), storagetest.Rounds(10, 50)
		// A third of it is what a renewal may take, and who got the old token a moment before its end to use it: four
		// replicas that write to one SQLite file hold each other up for some ten seconds on a machine with other work.
		const life = 2 * time.Minute
		// Four replicas and their traffic on such a machine: an event that can't be stored in time is refused and sent again.
		// What is promised of acknowledgements has tests of its own.
		w.allowed = append(w.allowed, slacksim.RuleEventStatus, slacksim.RuleLateAck)
		w.rotate(0)
		w.start(replicas, nil)
		offices := w.offices(many)
		w.rotate(life)
		stop := w.traffic(offices, 4, "/connection status", "/connection help")

		db, began := w.store(), time.Now()
		newest, renewed := map[string]string{}, map[string]int{}
		for _, o := range offices {
			in, _ := w.slack.Installed(o.team)
			newest[o.team] = in.RefreshToken
		}
		waiting, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		for generation := 1; generation <= generations; generation++ {
			if generation == 3 { // Slack takes longer than a command waits: who asked has left when the answer comes
				w.slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Times: 12, Delay: 1200 * time.Millisecond})
			}
			if generation == 1 || generation < generations { // the last of several comes by itself, at two thirds
				w.due(offices, time.Now().Add(time.Second), 0)
			}

			if err := w.slack.WaitFor(waiting, func() bool {
				least := generation
				for _, o := range offices {
					if in, _ := w.slack.Installed(o.team); in.RefreshToken != newest[o.team] {
						newest[o.team] = in.RefreshToken
						renewed[o.team]++
					}
					least = min(least, renewed[o.team])
				}
				return least == generation
			}); err != nil {
				t.Fatalf("not all were renewed %d times: %v", generation, renewed)
			}
			w.expect("all pairs in the database", patience, func() bool {
				return !slices.ContainsFunc(offices, func(o office) bool {
					in, _ := w.slack.Installed(o.team)
					return w.row(db, o.team).RefreshToken.Reveal() != in.RefreshToken
				})
			})
		}
		took := time.Since(began)
		used := stop()
		w.wait("an answer to everything that was written", func() bool {
			for _, o := range offices {
				all := w.slack.Messages(w.slack.DM(o.user), o.user)
				if answers := len(w.fromApp(w.slack.DM(o.user), o.user)) - 1; answers < len(all)-answers-1 {
					// the first one is the welcome
					return false
				}
			}
			return true
		})
		w.settle()
		w.stop()

		calls := w.refreshes()
		for _, presented := range calls {
			if len(presented) != 1 || !presented[0].OK {
				t.Errorf("a refresh token was presented %d times: %s", len(presented), outcomes(presented))
			}
		}
		lines, most := 0, 0
		for _, o := range offices {
			c := w.row(db, o.team)
			w.checkNewest(c)
			history, err := db.History(context.Background(), c.ID, 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range history {
				if line.What == connection.DidRenew && line.Outcome == connection.OutcomeDone {
					lines++
				}
			}
			most = max(most, renewed[o.team])
		}
		if lines != len(calls) {
			t.Errorf("%d renewals are in the history, and Slack saw %d", lines, len(calls))
		}
		if left := w.journal(w.dataDir); len(left) != 0 {
			t.Errorf("%d files are left in the journal", len(left))
		}
		t.Logf("%d replicas renewed %d connections %d times in %v, each %d to %d times; people used the app %d times, "+
			"Slack was called %d times",
			replicas, len(offices), len(calls), took.Round(time.Second), generations, most, used, len(w.slack.Calls()))
	})
}

// outcomes is how calls ended, without what they held.
func outcomes(calls []slacksim.Call) string {
	var all []string
	for _, c := range calls {
		all = append(all, fmt.Sprintf("%s %q (%d) after %v", c.At.Format(time.StampMilli), c.Error, c.Status, c.Duration))
	}
	return strings.Join(all, ", ")
}

// wire is the way of one replica to Slack. It notes what was exchanged on it, so that who was killed can be told from
// who was not.
type wire struct {
	*httptest.Server
	mu    sync.Mutex
	asked map[string]time.Time // refresh token → when it was first presented here
}

// newWire returns a wire that tells after the answer to each exchange has reached it, and before the replica has it.
func (w *world) newWire(answered func()) *wire {
	to, err := url.Parse(w.slack.URL())
	if err != nil {
		w.t.Fatal(err)
	}
	x := &wire{asked: map[string]time.Time{}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: func(r *http.Response) error {
			if r.Request.URL.Path == "/api/oauth.v2.access" {
				answered()
			}
			return nil
		},
		ErrorLog: log.New(io.Discard, "", 0), // of processes that were killed
	}
	x.Server = httptest.NewServer(whole(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/oauth.v2.access" {
			body, _ := io.ReadAll(r.Body)
			form, _ := url.ParseQuery(string(body))
			x.mu.Lock()
			if token := form.Get("refresh_token"); x.asked[token].IsZero() {
				x.asked[token] = time.Now()
			}
			x.mu.Unlock()
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		proxy.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(func() { w.stop(); x.Close() })
	return x
}

// slot is where one replica runs, killed and started again: with the same folder and the same wire.
type slot struct {
	folder string
	wire   *wire
	now    *replica
	killed []time.Time
}

// Processes that are killed at any moment lose no connection, but for the one window that nothing can close: Slack has
// answered and the pair is not on the disk yet.
func TestReplicasAreKilled(t *testing.T) {
	storagetest.Long(t)
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		const (
			killing = 20 * time.Second
			life    = 8 * time.Second
			window  = time.Second // generous: a killed process takes some milliseconds from Slack's answer to its disk
		)
		seed := uint64(time.Now().UnixNano())
		if s := os.Getenv("SWITCHBOARD_TEST_SEED"); s != "" {
			var err error
			if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("SWITCHBOARD_TEST_SEED=%d", seed)
		chance := rand.New(rand.NewPCG(seed, 0))
		// A killed process answers nothing, which Slack takes for an answer that breaks its rules.
		// A token lives shorter here than the lease of a process that was killed, so some run out while they are in use.
		w.allowed = append(w.allowed, slacksim.RuleEventStatus, slacksim.RuleCommandStatus, slacksim.RuleExpiredToken)
		lost := map[string]bool{}
		w.excused = func(b slacksim.Breach) bool {
			for team := range lost {
				if strings.HasSuffix(b.Detail, " "+team) || strings.Contains(b.Detail, " "+team+" ") {
					return b.Rule == slacksim.RuleRefreshReused || b.Rule == slacksim.RuleExpiredToken
				}
			}
			return false
		}

		slots, many := make([]*slot, 3), 24
		if strings.HasPrefix(w.database, "sqlite") {
			slots, many = slots[:1], 10 // a file belongs to one process
		}
		answered := make(chan int, 1000)
		start := func(s *slot) {
			t.Helper()
			var err error
			// A database that has just lost a process may need a moment; a supervisor would try again, too.
			for range 5 {
				if s.now, err = w.startProcess(map[string]string{"DATA_DIR": s.folder, "SLACK_URL": s.wire.URL}); err == nil {
					return
				}
				t.Log("start again:", err)
			}
			t.Fatal(err)
		}
		w.rotate(0)
		w.start(0, nil)
		for i := range slots {
			slots[i] = &slot{folder: filepath.Join(w.dataDir, "replica"+strconv.Itoa(i)), wire: w.newWire(func() {
				select {
				case answered <- i:
				default:
				}
			})}
			start(slots[i])
		}
		offices := w.offices(many)
		w.rotate(life)
		// an answer to a response_url would go past the wire, and is not sent
		stop := w.traffic(offices, 3, "/connection help")
		w.due(offices, time.Now(), life/2/time.Duration(many)) // a kill takes along what is answered together

		// Half of the kills hit a process that has just been answered, within what it takes it to store the pair.
		replayed := 0
		going, cancel := context.WithTimeout(context.Background(), killing)
		defer cancel()
		for going.Err() == nil {
			var last int
			for range 1 + chance.IntN(6) {
				select {
				case last = <-answered:
				case <-going.Done():
				}
			}
			s := slots[last]
			if chance.IntN(2) == 0 {
				s = slots[chance.IntN(len(slots))]
			}
			<-time.After(time.Duration(chance.IntN(60)) * time.Millisecond)
			w.kill(s.now)
			s.killed = append(s.killed, time.Now())
			replayed += len(w.journal(s.folder))
			start(s)
			for len(answered) > 0 { // while it started
				<-answered
			}
		}

		// Everything that is not lost is renewed once more; what is lost is refused by Slack, when its lease has ended.
		db := w.store()
		before := map[string]string{}
		for _, o := range offices {
			in, _ := w.slack.Installed(o.team)
			before[o.team] = in.RefreshToken
		}
		w.expect("one more generation", 2*time.Minute, func() bool {
			refused := map[string]bool{}
			for token, calls := range w.refreshes() {
				refused[token] = calls[len(calls)-1].Error == "invalid_refresh_token"
			}
			return !slices.ContainsFunc(offices, func(o office) bool {
				in, _ := w.slack.Installed(o.team)
				return in.RefreshToken == before[o.team] && !refused[w.row(db, o.team).RefreshToken.Reveal()]
			})
		})
		used := stop()
		w.settle()
		w.stop()

		kills, exchanges := 0, 0
		for _, s := range slots {
			kills += len(s.killed)
			if left := w.journal(s.folder); len(left) != 0 {
				t.Errorf("%d files are left in a journal", len(left))
			}
		}
		calls := w.refreshes()
		for _, o := range offices {
			c := w.row(db, o.team)
			in, _ := w.slack.Installed(o.team)
			if c.RefreshToken.Reveal() == in.RefreshToken {
				w.checkNewest(c)
				continue
			}
			lost[o.team] = true
			// The row still holds the token that bought the lost pair.
			asked := time.Time{}
			var by *slot
			for _, s := range slots {
				if at := s.wire.asked[c.RefreshToken.Reveal()]; !at.IsZero() && (by == nil || at.Before(asked)) {
					asked, by = at, s
				}
			}
			if by == nil || !slices.ContainsFunc(by.killed, func(at time.Time) bool {
				return at.After(asked) && at.Sub(asked) < window
			}) {
				t.Errorf("%s is lost, and who renewed it was not killed: state %q, asked at %v; %s", o.team, c.State, asked,
					outcomes(calls[c.RefreshToken.Reveal()]))
			}
		}
		mine := map[string]bool{}
		for team := range lost {
			mine[w.row(db, team).RefreshToken.Reveal()] = true
		}
		for token, presented := range calls {
			good := 0
			for _, c := range presented {
				if c.OK {
					good++
				}
			}
			exchanges += good
			if !mine[token] && (good != 1 || len(presented) != 1) {
				t.Errorf("a refresh token of a connection that is not lost was presented %d times: %s", len(presented),
					outcomes(presented))
			}
		}
		t.Logf("%d kills, %d exchanges, %d of %d connections lost in the window, %d pairs replayed from a journal; people "+
			"used the app %d times",
			kills, exchanges, len(lost), len(offices), replayed, used)
	})
}

// What that window costs: each process here is killed when Slack has answered and before it has the answer. Within
// Slack's grace the refresh token before buys the pair again. Without one somebody has to reconnect, and the access
// before works meanwhile.
func TestKilledBeforeThePairIsOnTheDisk(t *testing.T) {
	storagetest.Long(t) // it takes a minute until the lease of a process that died counts as over
	t.Parallel()
	for name, strict := range map[string]bool{"within Slack's grace": false, "after it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const kills = 5
			w := newWorld(t, storageURL(t))
			// nobody answers events while the process is dead
			w.allowed = append(w.allowed, slacksim.RuleRefreshReused, slacksim.RuleEventStatus)
			w.slack.SetApp(func(a *slacksim.App) {
				a.TokenRotation, a.StrictRefresh, a.RefreshGrace = true, strict, 10*time.Minute
			})
			victim, dead := make(chan *replica, 1), make(chan struct{})
			wire := w.newWire(func() {
				select {
				case r := <-victim:
					w.kill(r)
					dead <- struct{}{}
				default: // nobody is to die yet
				}
			})
			settings := map[string]string{"SLACK_URL": wire.URL}
			running, err := w.startProcess(settings)
			if err != nil {
				t.Fatal(err)
			}
			offices := w.offices(kills)
			for _, o := range offices {
				w.settle()
				victim <- running
				w.due([]office{o}, time.Now(), 0)
				<-dead
				if running, err = w.startProcess(settings); err != nil {
					t.Fatal(err)
				}
			}

			db, began := w.store(), time.Now()
			lost := 0
			w.expect("the end of all leases", 3*time.Minute, func() bool {
				decided := 0
				lost = 0
				for _, o := range offices {
					in, _ := w.slack.Installed(o.team)
					switch c := w.row(db, o.team); {
					case c.State == connection.ReconnectRequired:
						lost++
						decided++
					case c.RefreshToken.Reveal() == in.RefreshToken:
						decided++
					}
				}
				return decided == kills
			})
			says := "Working"
			if strict {
				says = "It works until "
			}
			for _, o := range offices {
				if reply := w.type_(o.user, o.channel, "/connection status"); !strings.Contains(reply.Text, says) {
					t.Errorf("%s: status: %q, want %q", o.team, reply.Text, says)
				}
				dm := w.slack.DM(o.user)
				w.say(o.user, dm, "help")
				w.wait("an answer with the access that is left", func() bool {
					return strings.Contains(w.last(dm, o.user).Text, "Here is what you can ask")
				})
			}
			if want := map[bool]int{true: kills, false: 0}[strict]; lost != want {
				t.Errorf("%d of %d need reconnecting, want %d", lost, kills, want)
			}
			t.Logf("%d processes were killed between Slack's answer and their disk: %v later %d workspaces have Slack's "+
				"newest pair, "+
				"and %d need reconnecting, where the access before still works", kills, time.Since(began).Round(time.Second),
				kills-lost, lost)
		})
	}
}

func TestDatabaseStopsInBetweenSQLite(t *testing.T) {
	t.Parallel()
	stopsInBetween(t, storagetest.SQLite(t), func(w *world) (string, func() (back func())) {
		return w.database, func() func() {
			db := w.sql()
			held, err := db.Conn(context.Background())
			if err == nil {
				_, err = held.ExecContext(context.Background(), "BEGIN EXCLUSIVE")
			}
			if err != nil {
				t.Fatal(err)
			}
			return func() { _, _ = held.Close(), db.Close() }
		}
	})
}

func TestDatabaseStopsInBetweenPostgres(t *testing.T) {
	t.Parallel()
	stopsInBetween(t, storagetest.Postgres(t), func(w *world) (string, func() (back func())) {
		u, err := url.Parse(w.database)
		if err != nil {
			t.Fatal(err)
		}
		to := newLine(t, u.Host)
		u.Host = to.Addr().String()
		return u.String(), func() func() {
			to.set(true, false)
			return func() { to.set(false, false) }
		}
	})
}

// The database goes away when Slack has been asked for a new pair and has not answered yet, stays away for a time, and
// the process is killed meanwhile: nothing is lost, and nobody has to do anything.
func stopsInBetween(t *testing.T, database string, prepare func(w *world) (address string, stop func() (back func()))) {
	const life, hold = 10 * time.Minute, 2 * time.Second
	outage := time.Duration(storagetest.Rounds(1, 60)) * time.Second
	w := newWorld(t, database)
	w.rotate(life)
	w.start(0, nil)
	address, goAway := prepare(w)
	folder := filepath.Join(w.dataDir, "replica")
	settings := map[string]string{"DATABASE_URL": address, "DATA_DIR": folder}
	first, err := w.startProcess(settings)
	if err != nil {
		t.Fatal(err)
	}
	offices := w.offices(5)
	w.settle()

	clear := w.slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Delay: hold})
	w.due(offices, time.Now(), 0)
	arrived := func(done bool) int {
		n := 0
		for _, calls := range w.refreshes() {
			for _, c := range calls {
				if c.Done == done {
					n++
				}
			}
		}
		return n
	}
	w.wait("Slack to be asked for all", func() bool { return arrived(false) == len(offices) })
	back := goAway()
	away := time.Now()
	w.wait("Slack's answers", func() bool { return arrived(true) == len(offices) })
	clear()
	var kept map[string]connection.Grant
	w.expect("all pairs in the journal", patience, func() bool {
		kept = w.journal(folder)
		return len(kept) == len(offices)
	})
	w.kill(first)

	// What a supervisor does. Without its SQLite file serve ends, without PostgreSQL it waits.
	var failed []error
	up, giveUp := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() {
		close(giveUp)
		<-up
	})
	go func() {
		defer close(up)
		for {
			_, err := w.startProcess(settings)
			if err == nil {
				return
			}
			failed = append(failed, err)
			select {
			case <-giveUp:
				return
			case <-time.After(time.Second):
			}
		}
	}()

	<-time.After(time.Until(away.Add(outage)))
	for name := range kept {
		if _, there := w.journal(folder)[name]; !there {
			t.Errorf("%s is not in the journal any more, and not in the database", name)
		}
	}
	waited := time.Since(away)
	back()
	select {
	case <-up:
	case <-time.After(2 * patience):
		t.Fatal("serve does not come up again")
	}
	for _, err := range failed {
		if !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("without its database serve ended with: %v", err)
		}
	}
	db := w.store()
	stored := func() bool {
		return !slices.ContainsFunc(offices, func(o office) bool {
			in, _ := w.slack.Installed(o.team)
			return w.row(db, o.team).RefreshToken.Reveal() != in.RefreshToken
		})
	}
	w.expect("the pairs in the database", 2*patience, stored)
	w.expect("an empty journal", patience, func() bool { return len(w.journal(folder)) == 0 })
	for _, o := range offices {
		w.checkNewest(w.row(db, o.team))
		if ours := w.fromApp(w.slack.DM(o.user), o.user); len(ours) != 1 {
			t.Errorf("%s: %d messages, want the welcome alone: %+v", o.team, len(ours), ours)
		}
		history, errs, code := w.command("connections", "history", o.team)
		if code != 0 || !strings.Contains(history, "renew") || strings.Contains(history, "fail") ||
			strings.Contains(history, "reconnect") {
			t.Errorf("%s: exit %d %s\n%s", o.team, code, errs, history)
		}
		reply := w.type_(o.user, o.channel, "/connection status")
		if reply.Status != http.StatusOK || !strings.Contains(reply.Text, "Working") {
			t.Errorf("%s: status: %d %q", o.team, reply.Status, reply.Text)
		}
	}
	presentedOnce := func() {
		for _, calls := range w.refreshes() {
			if len(calls) != 1 || !calls[0].OK {
				t.Errorf("a refresh token was presented %d times: %s", len(calls), outcomes(calls))
			}
		}
	}
	presentedOnce()

	// A process that is killed between storing a pair and forgetting it leaves an entry behind. It must not bring the pair
	// back when there is a newer one.
	w.due(offices, time.Now(), 0)
	w.wait("the next generation", func() bool { return len(w.refreshes()) == 2*len(offices) && arrived(false) == 0 })
	w.expect("the next pairs in the database", patience, stored)
	for _, p := range kept {
		if _, err := w.withJournal(w.keys, filepath.Join(folder, "journal")).Journal(p); err != nil {
			t.Fatal(err)
		}
	}
	w.expect("an empty journal again", patience, func() bool { return len(w.journal(folder)) == 0 })
	w.settle()
	w.stop()
	for _, o := range offices {
		w.checkNewest(w.row(db, o.team))
	}
	presentedOnce()
	t.Logf("%d pairs waited %v in the journal; serve was started %d times in vain", len(kept), waited.Round(time.Second),
		len(failed))
}
