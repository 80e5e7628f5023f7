package install_test

// What a failover or a restored backup costs, and what is left on the replicas' disks when access is erased.

import (
	"bufio"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// rounds does for two minutes what Run does on each of the replicas, the first one first.
func (r *rig) rounds(replicas ...replica) {
	r.T.Helper()
	for range 5 {
		for _, in := range replicas {
			_, _ = in.Replay(r.Ctx)
			r.renewDue(in)
		}
		for _, in := range replicas {
			if err := errors.Join(in.OfferRefused(r.Ctx), in.CompareErased(r.Ctx), in.CheckDue(r.Ctx)); err != nil {
				r.T.Error(err)
			}
		}
		r.Clock.Advance(31 * time.Second)
	}
}

// What is lost, in the words of docs/failover.md.
const (
	lostNothing = "nothing"
	lostRemoval = "nothing: the removal is found again when Slack is next asked"
	lostPair    = "the workspaces that it renewed in those commits need reconnecting"
	lostAll     = "every workspace that was renewed since the backup needs reconnecting"
)

// lost says what became of a connection that worked.
func (r *rig) lost(in replica, was connection.Connection, otherwise string) string {
	r.T.Helper()
	now, err := in.db.Lookup(r.Ctx, was.Key)
	switch {
	case err != nil:
		return err.Error()
	case now.State == connection.ReconnectRequired && now.Reason == connection.ReasonRefreshRejected:
		return otherwise
	case now.State != connection.Active || now.ID != was.ID:
		return string(now.State) + " " + now.Reason + " " + now.ID
	}
	// It lasts, too.
	r.Due()
	r.renewDue(in)
	now = r.Row(in.db, was.Key)
	if at, _ := r.Slack.Installed(was.TeamID); at.BotToken != now.Token.Reveal() ||
		at.RefreshToken != now.RefreshToken.Reveal() {
		return "its tokens are not the ones that Slack handed out last"
	}
	return lostNothing
}

// gaveBack checks how many tokens a replica says that its journal gave back.
func (r *rig) gaveBack(numbers *prometheus.Registry, want float64) {
	r.T.Helper()
	families, err := numbers.Gather()
	if err != nil {
		r.T.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "switchboard_journal_restored_total" {
			continue
		}
		if n := f.GetMetric()[0].GetCounter().GetValue(); n != want {
			r.T.Errorf("%v tokens were given back, not %v", n, want)
		}
		return
	}
	r.T.Error("nobody counts what is given back")
}

// failover is a row of the table in docs/failover.md. a and b are replicas on two machines.
type failover struct {
	situation string
	sqlite    bool // and no other database
	happens   func(r *rig, a, b replica) string
}

var failovers = []failover{
	{"The last commits are lost; the replica that renewed runs on", false, func(r *rig, a, _ replica) string {
		c := r.connect(a, slacksim.AcmeAdmin)
		r.Due()
		back := r.Snapshot()
		r.renewDue(a)
		back()
		r.rounds(a)
		r.Spent(1) // it did not even try the one in the row
		return r.lost(a, c, lostPair)
	}},
	{"The same; another replica runs into it, and the one that renewed runs on", false, func(r *rig, a, b replica) string {
		c := r.connect(a, slacksim.AcmeAdmin)
		r.Due()
		back := r.Snapshot()
		r.renewDue(a)
		back()
		r.renewDue(b) // Slack refuses what b finds in the row
		if now := r.Row(b.db, c.Key); now.Rejections != 1 {
			r.T.Errorf("refused %d times", now.Rejections)
		}
		if err := a.OfferRefused(r.Ctx); err != nil {
			r.T.Error(err)
		}
		r.rounds(b)
		return r.lost(b, c, lostPair)
	}},
	{"The same; the replica that renewed is started again on its disk", false, func(r *rig, a, _ replica) string {
		c := r.connect(a, slacksim.AcmeAdmin)
		r.Due()
		back := r.Snapshot()
		r.renewDue(a)
		back()
		again := r.replica(nil)
		r.rounds(again)
		r.Spent(1) // it did not even try the one in the row
		return r.lost(again, c, lostPair)
	}},
	{"The same; it comes back an hour later, when the workspace counts as lost", false, func(r *rig, a, b replica) string {
		c := r.connect(a, slacksim.AcmeAdmin)
		r.Due()
		back := r.Snapshot()
		r.renewDue(a)
		back()
		r.rounds(b)
		r.Is(b.db, c.Key, connection.ReconnectRequired, connection.ReasonRefreshRejected)
		r.Clock.Advance(time.Hour)
		again := r.replica(nil)
		r.rounds(again)
		return r.lost(again, c, lostPair)
	}},
	{"The same; the machine of the replica that renewed is gone for good", false, func(r *rig, a, b replica) string {
		c := r.connect(a, slacksim.AcmeAdmin)
		r.Due()
		back := r.Snapshot()
		r.renewDue(a)
		back()
		r.rounds(b)
		return r.lost(b, c, lostPair)
	}},
	{"A first install is in the lost commits", false, func(r *rig, a, b replica) string {
		back := r.Snapshot()
		c := r.connect(a, slacksim.AcmeAdmin)
		r.Due()
		r.renewDue(a)
		back()
		again := r.replica(nil)
		r.rounds(again, b)
		return r.lost(again, c, "")
	}},
	{"A workspace that consented again is in the lost commits", false, func(r *rig, a, b replica) string {
		r.connect(a, slacksim.AcmeAdmin)
		r.Clock.Advance(time.Hour)
		back := r.Snapshot()
		c := r.connect(a, slacksim.AcmeAdmin)
		back()
		again := r.replica(nil)
		r.rounds(again, b)
		return r.lost(again, c, "")
	}},
	{"The same; minutes after the consent before", false, func(r *rig, a, b replica) string {
		r.connect(a, slacksim.AcmeAdmin)
		r.Clock.Advance(time.Minute)
		back := r.Snapshot()
		c := r.connect(a, slacksim.AcmeAdmin)
		back()
		numbers := prometheus.NewRegistry()
		again := r.replica(func(cfg *install.Config) { cfg.Metrics = numbers })
		r.rounds(again, b)
		r.gaveBack(numbers, 1)
		return r.lost(again, c, "")
	}},
	{"A person's consent is in the lost commits", false, func(r *rig, _, b replica) string {
		in := r.replica(forPeople)
		back := r.Snapshot()
		c := r.connect(in, slacksim.AcmeAdmin)
		back()
		numbers := prometheus.NewRegistry()
		again := r.replica(func(cfg *install.Config) {
			forPeople(cfg)
			cfg.Metrics = numbers
		})
		r.rounds(again, b)
		r.gaveBack(numbers, 2) // the connection's and the person's
		u, err := again.OpenUser(r.Ctx, c.Key, slacksim.AcmeAdmin)
		if at, _ := r.Slack.Installed(c.TeamID); err != nil || u.Token.Reveal() != at.UserTokens[slacksim.AcmeAdmin] {
			return "the person's token"
		}
		return lostNothing
	}},
	{"A removal is in the lost commits", false, func(r *rig, a, b replica) string {
		c := r.connect(a, slacksim.AcmeAdmin)
		back := r.Snapshot()
		if _, err := a.Leaving().Disconnect(r.Ctx, c.Key, connection.Actor{Kind: connection.ByOperator}); err != nil {
			r.T.Fatal(err)
		}
		back()
		again := r.replica(nil)
		r.Breaches = true // a token of a removed app is tried, once
		r.Clock.Advance(7 * time.Hour)
		r.rounds(again, b)
		if now := r.Row(again.db, c.Key); now.State != connection.Removed || now.Token != "" {
			return string(now.State) + " " + now.Reason
		}
		return lostRemoval
	}},
	{"Yesterday's backup is restored under running replicas", false, func(r *rig, a, b replica) string {
		c := r.connect(a, slacksim.AcmeAdmin)
		back := r.Snapshot()
		for _, in := range []replica{a, b, a} {
			r.Due()
			r.renewDue(in)
		}
		back()
		r.rounds(b, a)
		return r.lost(b, c, lostAll)
	}},
	{"The same; the replicas are started after it", false, func(r *rig, a, b replica) string {
		c := r.connect(a, slacksim.AcmeAdmin)
		back := r.Snapshot()
		for _, in := range []replica{b, a} {
			r.Due()
			r.renewDue(in)
		}
		back()
		again := r.replica(nil)
		r.rounds(again)
		r.Spent(2)
		return r.lost(again, c, lostAll)
	}},
	{"The same; the journals are gone", false, func(r *rig, a, _ replica) string {
		c := r.connect(a, slacksim.AcmeAdmin)
		back := r.Snapshot()
		for range 2 {
			r.Due()
			r.renewDue(a)
		}
		back()
		fresh := r.elsewhere(nil)
		r.rounds(fresh)
		return r.lost(fresh, c, lostAll)
	}},
	{"SQLite: the file is replaced by an old copy", true, func(r *rig, a, b replica) string {
		c := r.connect(a, slacksim.AcmeAdmin)
		path := strings.TrimPrefix(r.Database, "sqlite:")
		r.moveFile("VACUUM INTO '" + path + ".old'")
		for range 2 {
			r.Due()
			r.renewDue(a)
		}
		if err := errors.Join(a.db.Close(), b.db.Close()); err != nil {
			r.T.Fatal(err)
		}
		for _, beside := range []string{"-wal", "-shm"} {
			_ = os.Remove(path + beside)
		}
		if err := os.Rename(path+".old", path); err != nil {
			r.T.Fatal(err)
		}
		again := r.replica(nil)
		r.rounds(again)
		return r.lost(again, c, lostAll)
	}},
}

// moveFile runs a statement of SQLite's own.
func (r *rig) moveFile(statement string) {
	r.T.Helper()
	raw := r.Raw()
	if _, err := raw.ExecContext(r.Ctx, statement); err != nil {
		r.T.Fatal(err)
	}
	_ = raw.Close()
}

// What each situation costs, in the same words as the table of docs/failover.md.
func TestWhatAFailoverCosts(t *testing.T) {
	t.Parallel()
	said := docsTable(t)
	if len(said) != len(failovers) {
		t.Errorf("docs/failover.md has %d rows, and there are %d situations", len(said), len(failovers))
	}
	for _, f := range failovers {
		t.Run(f.situation, func(t *testing.T) {
			t.Parallel()
			run := func(t *testing.T, r *rig) {
				r.Breaches = true // refresh tokens that are spent are tried, because the row holds them
				saw := f.happens(r, r.replica(nil), r.elsewhere(nil))
				t.Logf("| %s | %s |", f.situation, saw)
				if saw != said[f.situation] {
					t.Errorf("docs/failover.md says %q", said[f.situation])
				}
			}
			if f.sqlite {
				run(t, newRig(t, storagetest.SQLite(t)))
				return
			}
			eachRig(t, run)
		})
	}
}

// docsTable reads the table of docs/failover.md: what happens → what is lost.
func docsTable(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "docs", "failover.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	table := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		cells := strings.Split(lines.Text(), "|")
		if len(cells) != 4 || strings.Contains(cells[1], "---") {
			continue
		}
		if what := strings.TrimSpace(cells[1]); slices.ContainsFunc(failovers, func(f failover) bool {
			return f.situation == what
		}) {
			table[what] = strings.TrimSpace(cells[2])
		}
	}
	return table
}

// Access that ends is erased from every replica's disk within a minute, whatever ended it and wherever; and from that
// of a replica that was away, before it serves.
func TestErasedOnEveryReplica(t *testing.T) {
	t.Parallel()
	by := connection.Actor{Kind: connection.ByOperator}
	for name, end := range map[string]func(r *rig, in replica, k connection.Key) error{
		"disconnected": func(r *rig, in replica, k connection.Key) error {
			_, err := in.Leaving().Disconnect(r.Ctx, k, by)
			return err
		},
		"erased without asking Slack": func(r *rig, in replica, k connection.Key) error {
			return in.Leaving().EraseAnyway(r.Ctx, k, by)
		},
		"removed in Slack": func(r *rig, in replica, k connection.Key) error {
			if err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
				return err
			}
			return in.Lifecycle().HandleRemoval(r.Ctx, k,
				connection.Removal{Reason: connection.ReasonUninstalled, At: r.Clock.Now()})
		},
		"found removed": func(r *rig, in replica, k connection.Key) error {
			err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents)
			in.Check(r.Ctx, k)
			return err
		},
		"a person's alone": func(r *rig, in replica, k connection.Key) error {
			if err := r.Slack.Admins.RevokeUser(r.Ctx, slacksim.AcmeAdmin); err != nil {
				return err
			}
			return in.Lifecycle().HandleUsersRevoked(r.Ctx, k, []string{slacksim.AcmeAdmin}, r.Clock.Now())
		},
	} {
		for _, away := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", while it was away"}[away], func(t *testing.T) {
				t.Parallel()
				r := newRig(t, storagetest.SQLite(t))
				holds, other := r.replica(forPeople), r.elsewhere(forPeople)
				c := r.connect(holds, slacksim.AcmeAdmin)
				if n := len(r.Kept()); n != 2 {
					t.Fatalf("%d pairs are kept, not the bot's and the person's", n)
				}
				if err := holds.CompareErased(r.Ctx); err != nil {
					t.Fatal(err)
				}
				r.Clock.Advance(time.Hour)
				if !away {
					if err := holds.CompareErased(r.Ctx); err != nil {
						t.Fatal(err)
					}
				}
				if err := end(r, other, c.Key); err != nil {
					t.Fatal(err)
				}
				if away {
					holds = r.replica(forPeople)
					if left, err := holds.Replay(r.Ctx); left > 0 || err != nil {
						t.Errorf("replay: %d left, %v", left, err)
					}
				} else {
					r.Clock.Advance(15 * time.Second)
					if err := holds.CompareErased(r.Ctx); err != nil {
						t.Fatal(err)
					}
				}
				kept := r.Kept()
				if name == "a person's alone" {
					kept = slices.DeleteFunc(kept, func(p connection.Grant) bool { return p.UserID == "" })
				}
				if len(kept) > 0 {
					t.Errorf("%d pairs are left on the disk", len(kept))
				}
				r.rounds(holds)
				if now := r.Row(holds.db, c.Key); name != "a person's alone" &&
					(now.State != connection.Removed || now.Token != "") {
					t.Errorf("%s is back", now.State)
				}
				r.nobodyLeft(holds)
			})
		}
	}
}

// Of two consents at replicas whose clocks differ the one counts that Slack answered last. Where the first was stored
// before the second was asked about, that is known right away; where they ran side by side, a renewal shows it.
func TestCompetingConsents(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-30 * time.Second, 30 * time.Second, -time.Hour, time.Hour} {
		t.Run("one after the other, "+skew.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, storagetest.SQLite(t))
			second := r.elsewhere(nil)
			first := r.replica(func(c *install.Config) { c.Now = func() time.Time { return r.Clock.Now().Add(skew) } })
			r.connect(first, slacksim.AcmeAdmin)
			r.Clock.Advance(10 * time.Second)
			r.Works(r.connect(second, slacksim.AcmeAdmin))
		})
	}
	// Slack answers first, then second; second is stored, then first. The clock of first is behind, right, or ahead.
	for _, skew := range []time.Duration{-30 * time.Second, 0, 30 * time.Second} {
		t.Run("side by side, "+skew.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, storagetest.SQLite(t))
			r.Breaches = true // the refresh token that the later consent ended is tried
			second := r.elsewhere(forPeople)
			r.connect(second, slacksim.AcmeAdmin)
			r.Clock.Advance(time.Hour)
			stored := false
			first := r.replica(func(c *install.Config) {
				forPeople(c)
				c.Now = func() time.Time { return r.Clock.Now().Add(skew) }
				c.HTTP = stage.Between("auth.test", func(resp *http.Response) {
					if !stored {
						stored = true
						r.Clock.Advance(time.Second)
						r.connect(second, slacksim.AcmeAdmin)
					}
				})
			})
			first.Handler().ServeHTTP(httptest.NewRecorder(), r.consent(first, "/slack/install", slacksim.AcmeAdmin))
			if !stored {
				t.Fatal("they did not meet")
			}
			k := connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}
			for range 4 {
				r.rounds(first) // the journal of second is away
			}
			r.Works(r.Is(second.db, k, connection.Active, ""))
			u, err := second.OpenUser(r.Ctx, k, slacksim.AcmeAdmin)
			if err != nil {
				t.Error(err)
			} else if _, err := second.Connections().UserClientIn(u, "").AuthTestContext(r.Ctx); err != nil {
				t.Errorf("the person's token: %v", err)
			}
			r.Due()
			r.rounds(second)
			r.Works(r.Is(second.db, k, connection.Active, ""))
			if at, _ := r.Slack.Installed(slacksim.Acme); true {
				u, err := second.OpenUser(r.Ctx, k, slacksim.AcmeAdmin)
				if err != nil || u.Reason != "" || u.Token.Reveal() != at.UserTokens[slacksim.AcmeAdmin] {
					t.Errorf("the person's token after its renewal: %q, %v", u.Reason, err)
				}
			}
			// What lost is on no disk any more.
			r.Clock.Advance(2 * time.Hour)
			for _, in := range []replica{first, second} {
				if err := in.CompareAll(r.Ctx); err != nil {
					t.Error(err)
				}
				kept, err := in.db.Kept("", 100)
				now := r.Row(in.db, k)
				for _, p := range kept {
					if p.UserID == "" && (p.Token != now.Token || p.Standing != connection.Kept) {
						t.Errorf("a pair of generation %d, standing %d, is kept beside that of the row, %d", p.Generation, p.Standing,
							now.Generation)
					}
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Many consent for one workspace in one moment, and nobody waits for another's turn.
func TestManyConsentsAtOnce(t *testing.T) {
	t.Parallel()
	const many = 30
	r := newRig(t, storagetest.SQLite(t))
	r.Breaches = true
	in := r.replica(nil)
	var callbacks []*http.Request
	for range many {
		callbacks = append(callbacks, r.consent(in, "/slack/install", slacksim.AcmeAdmin))
	}
	var all sync.WaitGroup
	for _, callback := range callbacks {
		all.Go(func() {
			w := httptest.NewRecorder()
			if in.Handler().ServeHTTP(w, callback); w.Code != http.StatusOK {
				t.Errorf("callback: %d", w.Code)
			}
		})
	}
	all.Wait()
	k := connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}
	if n := r.Row(in.db, k).Installs; n != many {
		t.Errorf("%d installs, not %d", n, many)
	}
	for range 4 {
		r.rounds(in)
	}
	r.Works(r.Is(in.db, k, connection.Active, ""))
}

// The release before this one renews and consents beside it and knows no generations. What the journal has never
// replaces what that release wrote.
func TestOlderReleaseBeside(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	in := r.replica(nil)
	c := r.connect(in, slacksim.AcmeAdmin)
	back := r.Snapshot()
	r.Due()
	r.renewDue(in)
	back() // the journal has a newer pair than the row
	other := r.elsewhere(nil)
	r.connect(other, slacksim.AcmeAdmin)
	fresh := r.Row(in.db, c.Key)
	// As that release writes it: the columns that it doesn't know stay as they were.
	if _, err := r.Raw().ExecContext(r.Ctx, "UPDATE connections SET generation = ?, grant_id = ?", c.Generation,
		c.GrantID); err != nil {
		t.Fatal(err)
	}
	again := r.replica(nil)
	for range 3 {
		r.rounds(again, other)
	}
	now := r.Is(again.db, c.Key, connection.Active, "")
	r.Works(now)
	if !now.AuthorizedAt.Equal(fresh.AuthorizedAt) {
		t.Error("another consent is in force")
	}
}

// Two consents ran side by side, and the clocks have the one lose that Slack answered last. Its callback keeps its pair
// until the renewal of the other one is refused, however long nothing runs in between.
func TestLosersOwnPairIsPutAside(t *testing.T) {
	t.Parallel()
	for name, pause := range map[string]time.Duration{"renewed after a minute": 0,
		"nothing runs for hours": 3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, storagetest.SQLite(t))
			r.Breaches = true // the refresh token that the later consent ended is tried
			ahead := r.elsewhere(func(c *install.Config) {
				c.Now = func() time.Time { return r.Clock.Now().Add(30 * time.Second) }
			})
			r.connect(ahead, slacksim.AcmeAdmin)
			r.Clock.Advance(time.Hour)
			right := r.replica(exchanging(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
				r.connect(ahead, slacksim.AcmeAdmin)
				return next.RoundTrip(req)
			}))
			w := httptest.NewRecorder()
			right.Handler().ServeHTTP(w, r.consent(right, "/slack/install", slacksim.AcmeAdmin))
			k := connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}
			lost := r.Row(right.db, k)
			if at, _ := r.Slack.Installed(slacksim.Acme); w.Code != http.StatusOK ||
				at.RefreshToken == lost.RefreshToken.Reveal() {
				t.Fatalf("callback: %d; the clocks did not have the later one lose", w.Code)
			}

			r.Clock.Advance(pause)
			again := r.replica(nil)
			for range 2 {
				r.rounds(again) // the journal of the other one is away
			}
			r.Works(r.Is(again.db, k, connection.Active, ""))
		})
	}
}

// Of three consents side by side the clocks name a wrong one first, and then another wrong one. That is tried soon,
// too, while there is still the third.
func TestRivalIsTriedSoon(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	r.Breaches = true // two refresh tokens that later consents ended are tried
	// during is a replica with a clock ahead, at which something happens before its code is spent.
	during := func(ahead time.Duration, happens func()) replica {
		return r.replica(func(cfg *install.Config) {
			exchanging(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
				happens()
				return next.RoundTrip(req)
			})(cfg)
			cfg.Now = func() time.Time { return r.Clock.Now().Add(ahead) }
		})
	}
	first := during(30*time.Second, func() {})
	r.connect(first, slacksim.AcmeAdmin)
	r.Clock.Advance(time.Hour)
	second := during(20*time.Second, func() { r.connect(first, slacksim.AcmeAdmin) })
	third := during(0, func() { r.connect(second, slacksim.AcmeAdmin) })
	r.connect(third, slacksim.AcmeAdmin)
	k := connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}
	for range 4 {
		r.rounds(third)
	}
	r.Works(r.Is(third.db, k, connection.Active, ""))
}

// What was stored once is no new workspace when it is brought back, whatever is asked of those by now: it is neither
// refused nor given back to Slack.
func TestLostRowIsNotGivenBack(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*install.Config){
		"closed to new workspaces": func(cfg *install.Config) { cfg.Closed = true },
		"more is required": func(cfg *install.Config) {
			cfg.Scopes = append(cfg.Scopes, connection.Scope{Name: "files:write"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, storagetest.SQLite(t))
			in := r.replica(nil)
			back := r.Snapshot()
			c := r.connect(in, slacksim.AcmeAdmin)
			back()
			again := r.replica(change)
			if left, err := again.Replay(r.Ctx); left > 0 || err != nil {
				t.Errorf("replay: %d left, %v", left, err)
			}
			if _, there := r.Slack.Installed(slacksim.Acme); !there {
				t.Fatal("the app was removed from a workspace that uses it")
			}
			r.Works(r.Is(again.db, c.Key, connection.Active, ""))
		})
	}
}

// comparing is a store that tells when a comparison with the whole journal has seen all of it.
type comparing struct {
	install.Store
	seen func()
}

func (s comparing) Kept(after string, n int) ([]connection.Grant, error) {
	kept, err := s.Store.Kept(after, n)
	if len(kept) == 0 {
		s.seen()
	}
	return kept, err
}

// Renewals that wait for Slack hold up no offer: a refused refresh token is believed half a minute later.
func TestSlowRenewalHoldsUpNoOffer(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	var armed atomic.Bool
	renewing, offered, compared := make(chan struct{}, 10), make(chan struct{}), make(chan struct{}, 10)
	in := r.replica(func(cfg *install.Config) {
		cfg.Store = comparing{cfg.Store, func() { compared <- struct{}{} }}
		cfg.HTTP = stage.Between("oauth.v2.access", func(resp *http.Response) {
			if armed.Load() && stage.IsRefresh(resp.Request) {
				renewing <- struct{}{}
				select {
				case <-offered:
				case <-r.Ctx.Done():
				}
			}
		})
	})
	c := r.connect(in, slacksim.AcmeAdmin)
	slow := r.connect(in, slacksim.BirchAdmin)
	r.Due()
	r.Snapshot()
	r.renewDue(in)
	armed.Store(true)
	r.Update(in.db, slow.Key, func(c *connection.Connection) { c.RenewAt = r.Clock.Now() })

	if err := in.CompareAll(r.Ctx); err != nil {
		t.Fatal(err)
	}
	<-compared
	// After the one comparison at the start Acme's commit is lost, and another replica was refused.
	old := func(column string) string {
		return column + " = (SELECT " + column + " FROM old_connections o WHERE o.id = connections.id), "
	}
	lose := "UPDATE connections SET " + old("token") + old("refresh_token") + old("generation") +
		"rejections = 1, renew_tries = 1, failing_since = renewed_at WHERE team_id = '" + slacksim.Acme + "'"
	lost := false
	r.runUntil(in, func() bool {
		if !lost && len(renewing) > 0 && len(compared) > 0 {
			_, err := r.Raw().ExecContext(r.Ctx, lose)
			lost = err == nil // else somebody else is writing
		}
		if !lost || r.Row(in.db, c.Key).Rejections > 0 {
			return false
		}
		close(offered)
		return true
	})
	r.Works(r.Is(in.db, c.Key, connection.Active, ""))
}

// Access that ends is erased from the disk also where the workspace joined an organisation since, and nothing was
// renewed.
func TestErasedAfterJoining(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	holds, other := r.replica(forPeople), r.elsewhere(forPeople)
	c := r.connect(holds, slacksim.BirchAdmin)
	if err := holds.CompareAll(r.Ctx); err != nil || len(r.Kept()) != 2 {
		t.Fatalf("%d pairs are kept, not the bot's and the person's (%v)", len(r.Kept()), err)
	}
	r.Join(slacksim.Birch)
	moved := other.Check(r.Ctx, c.Key).Connection
	if moved.EnterpriseID != stage.Grid {
		t.Fatalf("%+v", moved.Key)
	}
	if err := holds.CompareAll(r.Ctx); err != nil || len(r.Kept()) != 2 {
		t.Errorf("%d pairs are kept of what lives (%v)", len(r.Kept()), err)
	}
	if _, err := other.Leaving().Disconnect(r.Ctx, moved.Key, connection.Actor{Kind: connection.ByOperator}); err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(15 * time.Second)
	if err := holds.CompareErased(r.Ctx); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Kept()); n > 0 {
		t.Errorf("%d pairs are left on the disk", n)
	}
}

// A consent after a restore is the newest pair of its owner, whatever generation the journal has from before.
func TestConsentAfterARestoreIsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	in := r.replica(forPeople)
	r.connect(in, slacksim.AcmeAdmin)
	back := r.Snapshot()
	for range 3 {
		r.Due()
		r.renewDue(in)
	}
	back()
	c := r.connect(in, slacksim.AcmeAdmin)
	if err := in.CompareAll(r.Ctx); err != nil {
		t.Fatal(err)
	}
	kept := r.Kept()
	if len(kept) != 2 {
		t.Errorf("%d pairs are kept, not the bot's and the person's", len(kept))
	}
	for _, p := range kept {
		if p.UserID == "" && p.Token != c.Token || p.GrantID != c.GrantID {
			t.Errorf("generation %d of another consent is kept", p.Generation)
		}
	}
	r.Works(r.Is(in.db, c.Key, connection.Active, ""))
}

// A removal is about the consent that was asked about: the same tokens under a newer consent are left alone.
func TestRemovalMeetsAConsent(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	plain := r.replica(nil)
	c := r.connect(plain, slacksim.AcmeAdmin)
	in := r.replica(func(cfg *install.Config) {
		cfg.HTTP = stage.Between("auth.test", func(*http.Response) {
			r.Update(plain.db, c.Key, func(c *connection.Connection) { c.AuthorizedAt = c.AuthorizedAt.Add(time.Second) })
		})
	})
	if err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
		t.Fatal(err)
	}
	if err := in.Lifecycle().HandleRemoval(r.Ctx, c.Key,
		connection.Removal{Reason: connection.ReasonUninstalled, At: r.Clock.Now()}); err != nil {
		t.Fatal(err)
	}
	if now := r.Is(plain.db, c.Key, connection.Active, ""); now.Token != c.Token {
		t.Error("its access is erased")
	}
}
