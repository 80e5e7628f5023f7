package bot_test

// What is to be done at a time is done, at that time or when somebody is back, once.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// A command puts something off, and it comes back with its payload, its zone and the workspace's client. One that is
// cancelled doesn't.
func TestSchedule(t *testing.T) {
	t.Parallel()
	type reminder struct{ What string }
	ran := make(chan string, 4)
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	remind := bot.OnTimer("remind", func(ctx context.Context, r *bot.Timer) error {
		var about reminder
		if err := r.Decode(&about); err != nil {
			return err
		}
		if _, err := r.Say(ctx, slacksim.AcmeGeneral, bot.Text("Remember: "+about.What)); err != nil {
			return err
		}
		if r.Attempt == 1 {
			return errors.New("not yet") // what it said is said once
		}
		ran <- fmt.Sprint(r.Key, " ", about.What, " ", r.At.Location(), " ", r.TeamID, " ", r.UserID == "")
		return nil
	}, bot.Scopes("chat:write"))
	errs := make(chan error, 1)
	put := bot.OnCommand("/remind", func(ctx context.Context, c *bot.Command) error {
		soon := time.Now().Add(50 * time.Millisecond).In(vienna)
		_, cancelErr := c.Cancel(ctx, "remind", "nothing")
		err := errors.Join(cancelErr, c.Schedule(ctx, "remind", "a", soon.Add(time.Hour), reminder{"later"}),
			c.Schedule(ctx, "remind", "a", soon, reminder{"tea"}), // in its place
			c.Schedule(ctx, "remind", "b", soon.Add(time.Hour), reminder{"cancelled"}))
		if found, cancelErr := c.Cancel(ctx, "remind", "b"); !found || cancelErr != nil {
			err = errors.Join(err, fmt.Errorf("cancelled: %v %w", found, cancelErr))
		}
		for name, refused := range map[string]error{
			"another name":    c.Schedule(ctx, "unheard", "a", soon, nil),
			"what recurs":     c.Schedule(ctx, "nightly", "a", soon, nil),
			"no time":         c.Schedule(ctx, "remind", "a", time.Time{}, nil),
			"no key":          c.Schedule(ctx, "remind", "", soon, nil),
			"a large payload": c.Schedule(ctx, "remind", "a", soon, strings.Repeat("x", bot.LargestValue)),
		} {
			if refused == nil {
				err = errors.Join(err, errors.New(name+" was taken"))
			}
		}
		errs <- err
		return c.Respond(ctx, bot.Text("Will do."))
	}, bot.Describe("reminds", ""))
	nightly := bot.Cron("0 3 * * *", func(context.Context, *bot.Timer) error { return nil }, bot.Named("nightly"))
	s := play(t, put, remind, nightly)
	if r := command(t, s, slacksim.AcmeMember, "/remind"); r.Text != "Will do." {
		t.Fatalf("%q", r.Text)
	}
	if err := receive(t, errs, "the command"); err != nil {
		t.Error(err)
	}
	select {
	case got := <-ran:
		if want := "a tea Europe/Vienna " + slacksim.Acme + " true"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it never ran")
	}
	s.finish()
	said := 0
	for _, m := range s.sim.Messages(slacksim.AcmeGeneral, "") {
		if m.Text == "Remember: tea" {
			said++
		}
	}
	if said != 1 {
		t.Errorf("said %d times", said)
	}
}

func TestTimersAreChecked(t *testing.T) {
	t.Parallel()
	run := func(context.Context, *bot.Timer) error { return nil }
	in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: struct{ install.Store }{}})
	if err != nil {
		t.Fatal(err)
	}
	kept := bot.NoTimers{}
	for _, test := range []struct {
		name     string
		handlers []bot.Handler
		timers   bot.Timers
		least    time.Duration
		want     string
	}{
		{"often", []bot.Handler{bot.Every(14*time.Minute, run)}, kept, 0, "14m0s in each workspace, and 15m0s is the least"},
		{"often by cron", []bot.Handler{bot.Cron("0,10 * * * *", run)}, kept, 0, "10m0s in each workspace"},
		{"often where it is allowed", []bot.Handler{bot.Every(time.Minute, run)}, kept, time.Minute, ""},
		{"a quarter", []bot.Handler{bot.Every(15*time.Minute, run), bot.Cron("*/15 * * * *", run)}, kept, 0, ""},
		{"rarely", []bot.Handler{bot.Cron("0 9 1 * *", run), bot.Cron("@yearly", run), bot.Cron("0 9 29 2 *", run)}, kept, 0,
			""},
		{"more often than a clock shows", []bot.Handler{bot.Every(time.Millisecond, run)}, kept, 1,
			"that isn't whole seconds"},
		{"between two seconds", []bot.Handler{bot.Every(time.Hour+time.Second/2, run)}, kept, 1, "that isn't whole seconds"},
		{"no cron", []bot.Handler{bot.Cron("0 9 * *", run)}, kept, 0, "five are needed"},
		{"no zone", []bot.Handler{bot.Cron("CRON_TZ=Europe/Vinna 0 9 * * *", run)}, kept, 0, "Vinna"},
		{"two of one time", []bot.Handler{bot.Every(time.Hour, run), bot.Every(60*time.Minute, run)}, kept, 0,
			"timers_test.go"},
		{"two of one time with names", []bot.Handler{bot.Every(time.Hour, run), bot.Every(time.Hour, run, bot.Named("b"))},
			kept, 0, ""},
		{"a name that does nothing", []bot.Handler{bot.OnTimer("a", run, bot.Named("b"))}, kept, 0, "Named does nothing"},
		{"no name", []bot.Handler{bot.OnTimer("", run)}, kept, 0, "empty"},
		{"an order", []bot.Handler{bot.OnTimer("a", run, bot.Ordered())}, kept, 0, "no conversation"},
		{"nowhere to keep it", []bot.Handler{bot.OnTimer("a", run)}, nil, 0, "Config.Timers"},
	} {
		_, err := bot.New(bot.Config{Install: in, SigningSecrets: []connection.Secret{"s"}, Handlers: test.handlers,
			Timers: test.timers, LeastInterval: test.least})
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// fleet is replicas of one bot on one database, with a clock that the test moves.
type fleet struct {
	t    *testing.T
	url  string
	keys *seal.Keyring
	sim  *slacksim.Sim
	now  atomic.Int64 // when it began, and how far it was moved
	from time.Time

	workers int // of each replica; 0: bot's default
	log     logged
}

// logged is what was logged.
type logged struct {
	mu sync.Mutex
	strings.Builder
}

func (s *logged) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Builder.Write(p)
}

func (s *logged) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Builder.String()
}

func newFleet(t *testing.T, url string) *fleet {
	t.Helper()
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, url: url, keys: keys, from: time.Now(), sim: slacksim.New(slacksim.Config{})}
	if err := f.sim.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.sim.Close(ctx) })
	f.now.Store(time.Date(2026, 11, 30, 9, 30, 0, 0, time.UTC).UnixMicro())
	return f
}

// time goes on by itself, and by what move adds.
func (f *fleet) time() time.Time      { return time.UnixMicro(f.now.Load()).Add(time.Since(f.from)).UTC() }
func (f *fleet) move(d time.Duration) { f.now.Add(d.Microseconds()) }

// fleetLease is longer than any step of the clock while something is being worked.
const fleetLease = 10 * time.Minute

// start runs a replica until it is stopped.
func (f *fleet) start(handlers ...bot.Handler) (db *storage.DB, in *inbox.Inbox, stop func()) {
	f.t.Helper()
	must := func(err error) {
		f.t.Helper()
		if err != nil {
			f.t.Fatal(err)
		}
	}
	db, err := storage.Open(ctx, f.url, f.keys)
	must(err)
	_, err = db.Migrate(ctx)
	must(err)
	must(db.UseClock(ctx, f.time))
	in, err = db.Inbox(ctx, inbox.Config{Now: f.time, Lease: fleetLease})
	must(err)
	in.Start()
	inst, err := install.New(install.Config{App: install.App{Name: "Parrot"}, SlackURL: f.sim.URL(), Now: f.time,
		PublicURL: "https://bot.example.com", Scopes: catalogue(handlers), Store: db})
	must(err)
	b, err := bot.New(bot.Config{Install: inst, Handlers: handlers, Inbox: in, Timers: db.Timers("", in), Now: f.time,
		Lease: fleetLease, Workers: f.workers, SigningSecrets: []connection.Secret{"s"},
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(&f.log, f.t.Output()), nil))})
	must(err)
	running, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- b.Run(running) }()
	return db, in, sync.OnceFunc(func() {
		end()
		if err := <-ended; err != nil {
			f.t.Error(err)
		}
		in.Close()
		if err := db.Close(); err != nil {
			f.t.Error(err)
		}
	})
}

// connect makes connections of n workspaces.
func (f *fleet) connect(db *storage.DB, from, n int) {
	f.t.Helper()
	var next atomic.Int64
	storagetest.Together(8, func(int) {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			_, err := db.Add(ctx, connection.Connection{Key: connection.Key{AppID: "A1", TeamID: fmt.Sprint("T", from+i)},
				TokenPair: connection.TokenPair{Token: "xoxb-1"}, State: connection.Active, InstalledAt: f.time(),
				AuthorizedAt: f.time(), Scopes: []string{"chat:write", "users:read"}, CheckAt: f.time().Add(time.Hour)})
			if err != nil {
				f.t.Error(err)
				return
			}
		}
	})
}

// runs counts the runs of handlers, by what they are of.
type runs struct {
	mu    sync.Mutex
	of    map[string]int
	total int
}

func (r *runs) add(of string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[string]int{}
	}
	r.of[of]++
	r.total++
}

func (r *runs) at(of string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[of]
}

func (r *runs) count() (total, different, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.of {
		most = max(most, n)
	}
	return r.total, len(r.of), most
}

// Who installs while a process starts has what recurs: through that process before it has looked for the others, and
// through the release before, which knows nothing of it, soon after.
func TestTimersOfWhoInstallsAtTheStart(t *testing.T) {
	t.Parallel()
	for name, fresh := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timersAtTheStart(t, newFleet(t, fresh(t)), newFleet(t, fresh(t)))
		})
	}
}

func timersAtTheStart(t *testing.T, idle, f *fleet) {
	var mu sync.Mutex
	first := map[string]time.Time{} // when each workspace had its first run
	often := bot.Every(15*time.Minute, func(_ context.Context, r *bot.Timer) error {
		mu.Lock()
		defer mu.Unlock()
		if first[r.TeamID].IsZero() {
			first[r.TeamID] = r.At
		}
		return nil
	})
	has := func(db *storage.DB, in *inbox.Inbox) bool {
		next, err := db.Timers("", in).Next(ctx, []string{often.Name})
		if err != nil {
			t.Fatal(err)
		}
		return !next[often.Name].IsZero()
	}

	idle.workers = -1 // it looks for nothing
	db, in, stop := idle.start(often)
	if idle.connect(db, 0, 1); !has(db, in) {
		t.Error("who installs before the process has looked has no timer")
	}
	stop()

	before, _, stopBefore := f.start()
	defer stopBefore()
	f.connect(before, 0, 1)
	began := f.time()
	db, in, stop = f.start(often)
	defer stop()
	until(t, "the walk at the start", func() bool { return has(db, in) })
	f.connect(before, 1, 1)
	until(t, "the first run of who installed through the release before", func() bool {
		f.move(10 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		return !first["T1"].IsZero()
	})
	if late := first["T1"].Sub(began); late > 35*time.Minute {
		t.Errorf("it came %v after the start", late)
	}
}

// All timers that may run hang, and hundreds wait behind them: what people do is handled right away.
func TestTimersThatHang(t *testing.T) {
	t.Parallel()
	for name, fresh := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timersThatHang(t, fresh(t))
		})
	}
}

// databases are where a fleet keeps what it has.
var databases = map[string]func(testing.TB) string{"sqlite": storagetest.SQLite, "postgres": storagetest.Postgres}

func timersThatHang(t *testing.T, url string) {
	f := newFleet(t, url)
	f.workers = 8
	const timers, share = 600, 2
	var running, most atomic.Int64
	var ran runs
	goOn, heard := make(chan struct{}), make(chan struct{}, 8)
	db, in, stop := f.start(bot.OnTimer("remind", func(_ context.Context, r *bot.Timer) error {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-goOn
		running.Add(-1)
		ran.add(r.Key)
		return nil
	}), bot.OnEvent("team_join", func(context.Context, *bot.Event[json.RawMessage]) error {
		heard <- struct{}{}
		return nil
	}, bot.Scopes("users:read")))
	defer stop()
	defer close(goOn)

	f.connect(db, 0, 20)
	moment := f.time().Add(time.Minute)
	for i := range timers {
		k := connection.Key{AppID: "A1", TeamID: fmt.Sprint("T", i%20)}
		c, err := db.Lookup(ctx, k)
		if err != nil {
			t.Fatal(err)
		}
		home := bot.ValueOwner{ConnectionID: c.ID, AppID: "A1", TeamID: k.TeamID}
		timed := bot.Timed{Name: "remind", Key: fmt.Sprint(i), At: moment, Data: []byte("{}")}
		if err := db.Timers("", in).Schedule(ctx, home, timed); err != nil {
			t.Fatal(err)
		}
	}
	f.move(time.Minute)
	until(t, "timers that hang", func() bool { return running.Load() >= share })

	for i := range 20 {
		f.join(in, fmt.Sprint("T", i), fmt.Sprint("Ev", i))
		select {
		case <-heard:
		case <-time.After(20 * time.Second):
			t.Fatalf("event %d waits for timers, of which %d run", i, running.Load())
		}
	}
	if n := most.Load(); n != share {
		t.Errorf("%d timers at a time, of 8 workers", n)
	}
}

// A release without the handler of a timer leaves it for the release before, for a week. Then it drops it, and says so.
func TestTimersOfAHandlerThatIsGone(t *testing.T) {
	t.Parallel()
	for name, fresh := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, fresh(t))
			var ran runs
			remind := bot.OnTimer("remind", func(_ context.Context, r *bot.Timer) error {
				ran.add(r.Key)
				return nil
			})
			db, _, stop := f.start()
			f.connect(db, 0, 1)
			stop()
			db, in, stop := f.start(remind, bot.Every(time.Hour, func(context.Context, *bot.Timer) error { return nil }))
			c, err := db.Lookup(ctx, connection.Key{AppID: "A1", TeamID: "T0"})
			if err != nil {
				t.Fatal(err)
			}
			put := func(db *storage.DB, in *inbox.Inbox, key string, at time.Time) {
				t.Helper()
				home := bot.ValueOwner{ConnectionID: c.ID, AppID: "A1", TeamID: "T0"}
				timed := bot.Timed{Name: "remind", Key: key, At: at, Data: []byte("{}")}
				if err := db.Timers("", in).Schedule(ctx, home, timed); err != nil {
					t.Fatal(err)
				}
			}
			put(db, in, "first", f.time().Add(24*time.Hour))
			put(db, in, "second", f.time().Add(10*24*time.Hour))
			until(t, "both to be there", func() bool {
				next, err := db.Timers("", in).Next(ctx, []string{"remind", "every 1h"})
				return err == nil && len(next) == 2
			})
			stop()

			f.move(4 * 24 * time.Hour)
			_, _, stop = f.start() // without any timer: too early to drop it
			stop()
			_, _, stop = f.start(remind)
			until(t, "the release before to come back", func() bool { return ran.at("first") == 1 })
			stop()

			f.move(14 * 24 * time.Hour)
			db, in, stop = f.start()
			defer stop()
			const names = "there is no handler for them any longer"
			until(t, "both to be dropped", func() bool { return strings.Count(f.log.String(), names) == 2 })
			next, err := db.Timers("", in).Next(ctx, []string{"remind", "every 1h"})
			if err != nil || len(next) > 0 || ran.at("second") > 0 {
				t.Errorf("left: %v; ran %d times; %v", next, ran.at("second"), err)
			}
		})
	}
}

// Two replicas, many workspaces, a thousand timers of one moment: each runs once, spread over the time that there is
// for it, and what people do meanwhile waits for none of it. A day in which nobody was there is made up for once.
func TestTimersOfMany(t *testing.T) {
	t.Parallel()
	for name, fresh := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			workspaces := storagetest.Rounds(1000, 4000)
			if n, err := strconv.Atoi(os.Getenv("WORKSPACES")); err == nil {
				workspaces = n // 100,000 take some ten minutes: make bench-many
			}
			timersOfMany(t, fresh(t), workspaces, storagetest.Rounds(200, 1000))
		})
	}
}

func timersOfMany(t *testing.T, url string, workspaces, timers int) {
	f := newFleet(t, url)
	var hourly, once runs
	heard := make(chan time.Time, 1000)
	handlers := []bot.Handler{
		bot.Every(time.Hour, func(_ context.Context, r *bot.Timer) error {
			hourly.add(r.Connection.ID + r.At.String())
			return nil
		}),
		bot.OnTimer("remind", func(_ context.Context, r *bot.Timer) error {
			once.add(r.Key)
			return nil
		}),
		bot.OnEvent("team_join", func(context.Context, *bot.Event[json.RawMessage]) error {
			heard <- time.Now()
			return nil
		}, bot.Scopes("users:read")),
	}

	first, in, stopFirst := f.start(handlers...)
	defer stopFirst()
	f.connect(first, 0, workspaces) // as they are connected
	_, _, stopSecond := f.start(handlers...)
	defer stopSecond()

	moment := f.time().Add(time.Minute)
	for i := range timers {
		k := connection.Key{AppID: "A1", TeamID: fmt.Sprint("T", i%workspaces)}
		c, err := first.Lookup(ctx, k)
		if err != nil {
			t.Fatal(err)
		}
		home := bot.ValueOwner{ConnectionID: c.ID, AppID: "A1", TeamID: k.TeamID}
		timed := bot.Timed{Name: "remind", Key: fmt.Sprint(i), At: moment, Data: []byte("{}")}
		if err := first.Timers("", in).Schedule(ctx, home, timed); err != nil {
			t.Fatal(err)
		}
	}

	// The moment.
	f.move(time.Minute)
	slowest := f.meanwhile(in, heard, func() bool { total, _, _ := once.count(); return total >= timers })
	if total, different, most := once.count(); total != timers || different != timers || most != 1 {
		t.Errorf("%d runs of %d timers of one moment, one of them %d times", total, different, most)
	}
	t.Logf("%d timers of one moment; an event beside them waited %v at most", timers, slowest)

	f.settled(in)
	// The hour, in ten steps: a tenth of the workspaces in each.
	f.move(29 * time.Minute)
	began := time.Now()
	for step := range 10 {
		f.move(time.Minute)
		due := f.due(first)
		slowest = max(slowest, f.meanwhile(in, heard, func() bool { total, _, _ := hourly.count(); return total >= due }))
		total, _, _ := hourly.count()
		if due = f.due(first); total > due || step == 0 && total == workspaces {
			t.Errorf("minute %d: %d of %d ran, and %d were due", step, total, workspaces, due)
		}
	}
	if total, different, most := hourly.count(); total != workspaces || different != workspaces || most != 1 {
		t.Errorf("%d runs of %d workspaces, one of them %d times", total, different, most)
	}
	t.Logf("%d workspaces in %v; an event beside them waited %v at most", workspaces,
		time.Since(began).Round(time.Millisecond), slowest)
	if slowest > 5*time.Second {
		t.Errorf("an event beside the timers waited %v", slowest)
	}

	// A day without anybody.
	f.settled(in)
	stopFirst()
	stopSecond()
	f.move(24 * time.Hour)
	_, in, stop := f.start(handlers...)
	defer stop()
	f.meanwhile(in, heard, func() bool { total, _, _ := hourly.count(); return total >= 2*workspaces })
	if total, _, most := hourly.count(); total != 2*workspaces || most != 1 {
		t.Errorf("after a day %d runs, want %d; one of them %d times", total, 2*workspaces, most)
	}
}

// settled waits until nothing is being worked: what is would be taken for somebody's who died, when the clock is moved.
func (f *fleet) settled(in *inbox.Inbox) {
	f.t.Helper()
	until(f.t, "an empty inbox", func() bool {
		n, err := in.Count(ctx)
		return err == nil && n.Ready+n.Held+n.Waiting == 0
	})
}

// due is how many runs of the hour there are to be by now.
func (f *fleet) due(db *storage.DB) int {
	f.t.Helper()
	all, err := db.List(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	n := 0
	h := bot.Every(time.Hour, nil)
	hour := time.Date(2026, 11, 30, 9, 59, 0, 0, time.UTC)
	for _, c := range all {
		if _, due := bot.NextOf(h, c.ID, hour); !due.After(f.time()) {
			n++
		}
	}
	return n
}

// join has somebody join a workspace.
func (f *fleet) join(in *inbox.Inbox, team, id string) {
	f.t.Helper()
	e := bot.Delivery{ID: id, Kind: "events_api", Type: "team_join", Key: connection.Key{AppID: "A1", TeamID: team},
		Received: f.time(), Body: []byte(`{"type":"event_callback","team_id":"` + team + `","api_app_id":"A1","event_id":"` +
			id + `","event":{"type":"team_join","user":{"id":"U9"}}}`)}
	if _, err := in.Add(ctx, &e, false); err != nil {
		f.t.Fatal(err)
	}
}

// meanwhile waits until done, and returns how long an event waited at most that people caused in that time.
func (f *fleet) meanwhile(in *inbox.Inbox, heard chan time.Time, done func() bool) (slowest time.Duration) {
	f.t.Helper()
	for i, deadline := 0, time.Now().Add(10*time.Minute); !done(); i++ {
		if time.Now().After(deadline) {
			f.t.Fatal("it is never done")
		}
		began := time.Now()
		id := fmt.Sprint("Ev", f.time().UnixMicro(), "-", i)
		f.join(in, "T1", id)
		select {
		case at := <-heard:
			slowest = max(slowest, at.Sub(began))
		case <-time.After(time.Minute):
			f.t.Fatal("an event is never worked")
		}
	}
	return slowest
}
