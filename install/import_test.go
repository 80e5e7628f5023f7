package install_test

// Another program's access is taken over once, and never over what is newer here.

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/install/oauth"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

var acmeKey = connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}

// byAnother installs the app as another program does, and returns its record.
func (r *rig) byAnother(in replica, userID string) install.Installation {
	r.T.Helper()
	ask := url.Values{"client_id": {"1.2"}, "redirect_uri": {stage.Redirect}, "state": {"another"},
		"scope": {"chat:write,users:read"}, "user_scope": {"search:read"}}
	back, err := r.Slack.Authorize(r.Ctx, r.Slack.URL()+"/oauth/v2/authorize?"+ask.Encode(), userID, slacksim.Choice{})
	if err != nil {
		r.T.Fatal(err)
	}
	callback, err := url.Parse(back)
	if err != nil {
		r.T.Fatal(err)
	}
	return r.record(in, install.Installation{From: "record", ClientID: "1.2", UserID: userID}, url.Values{
		"code": {callback.Query().Get("code")}, "redirect_uri": {stage.Redirect}})
}

// renewedElsewhere is the record after the other program renewed the bot's token.
func (r *rig) renewedElsewhere(in replica, was install.Installation) install.Installation {
	r.T.Helper()
	saved := was.SavedAt
	now := r.record(in, was, url.Values{"grant_type": {"refresh_token"},
		"refresh_token": {was.Bot.RefreshToken.Reveal()}})
	now.SavedAt = saved // of the consent, as Bolt for Python has it
	return now
}

func (r *rig) record(in replica, i install.Installation, form url.Values) install.Installation {
	r.T.Helper()
	form.Set("client_id", "1.2")
	form.Set("client_secret", "client-secret")
	got, err := in.Slack().OAuth(r.Ctx, "oauth.v2.access", form)
	if err != nil {
		r.T.Fatal(err)
	}
	now := r.Clock.Now()
	tokens := func(token, refresh string, life time.Duration) install.Tokens {
		t := install.Tokens{Token: connection.Secret(token), RefreshToken: connection.Secret(refresh)}
		if life > 0 {
			t.ExpiresAt = now.Add(life)
		}
		return t
	}
	i.AppID, i.TeamID, i.TeamName = string(got.AppID), string(got.Team.ID), string(got.Team.Name)
	i.SavedAt = now
	i.Bot = tokens(string(got.AccessToken), string(got.RefreshToken), time.Duration(got.ExpiresIn))
	if u := got.AuthedUser; u.AccessToken != "" {
		i.User = tokens(string(u.AccessToken), string(u.RefreshToken), time.Duration(u.ExpiresIn))
	}
	return i
}

// imports imports records, and fails unless the bot's outcome is as wanted. The reason is returned.
func (r *rig) imports(in replica, want oauth.ImportOutcome,
	records ...install.Installation) (bot install.ImportResult) {
	r.T.Helper()
	all, err := in.Import(r.Ctx, install.ImportRequest{Installations: records, ClientID: "1.2"})
	if err != nil {
		r.T.Fatal(err)
	}
	for _, one := range all {
		if one.UserID == "" {
			bot = one
		}
	}
	if bot.Outcome != want {
		r.T.Fatalf("%s (%s), not %s", bot.Outcome, bot.Reason, want)
	}
	return bot
}

// withoutPerson is a record of the bot alone.
func withoutPerson(i install.Installation) install.Installation {
	i.User = install.Tokens{}
	return i
}

// The whole of one import: due right away, and the renewal is the only thing that is spent.
func TestImportIsDueRightAway(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(forPeople)
		record := r.byAnother(in, slacksim.AcmeAdmin)
		r.Clock.Advance(time.Hour)
		r.imports(in, oauth.ImportDone, record)
		c := r.Is(in.db, acmeKey, connection.Active, "")
		if c.InstalledBy != slacksim.AcmeAdmin || !c.InstalledAt.Equal(record.SavedAt) || c.Installs != 1 ||
			c.TeamName != "Acme Corp" || c.BotID == "" || len(c.Scopes) != 2 {
			t.Errorf("stored: %+v", c)
		}
		told := map[string]int{} // by whose access it is
		lines, err := in.History(r.Ctx, c, 10)
		for _, l := range lines {
			if l.What == connection.DidImport && l.Outcome == connection.OutcomeDone {
				told[l.Reason]++
			}
		}
		if err != nil || len(told) != 2 || told[""] != 1 || told[slacksim.AcmeAdmin] != 1 {
			t.Errorf("the history tells of %v, %v", told, err)
		}
		u, err := in.db.GetUser(r.Ctx, connection.TokenOwner{Key: acmeKey, UserID: slacksim.AcmeAdmin})
		if err != nil || u.ConnectionID != c.ID || !u.Due(r.Clock.Now()) || !c.Due(r.Clock.Now()) {
			t.Errorf("not due: %v %v %v", err, u.RenewAt, c.RenewAt)
		}
		r.Spent(0)

		asked := len(r.Slack.Calls("auth.test"))
		r.imports(in, oauth.ImportUnchanged, record)
		if again := len(r.Slack.Calls("auth.test")) - asked; again != 0 {
			t.Errorf("asked %d times about what is here already", again)
		}
		if n, err := in.RenewDue(r.Ctx); n != 2 || err != nil {
			t.Fatalf("%d renewed, %v", n, err)
		}
		renewed := r.Row(in.db, acmeKey)
		r.Works(renewed)
		r.imports(in, oauth.ImportUnchanged, record)
		ahead := record // of a program whose clock is some minutes ahead
		ahead.Bot.ExpiresAt = renewed.ExpiresAt.Add(5 * time.Minute)
		r.imports(in, oauth.ImportUnchanged, ahead)
		if now := r.Row(in.db, acmeKey); now.Token != renewed.Token || now.Generation != renewed.Generation {
			t.Error("an older import took the place of what was renewed")
		}
		r.EmptyJournal()
	})
}

// The other program went on and renewed: with what it has now the import is done again.
func TestImportOfALaterRenewal(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		record := withoutPerson(r.byAnother(in, slacksim.AcmeAdmin))
		r.imports(in, oauth.ImportDone, record)
		r.Due()
		later := r.renewedElsewhere(in, record)
		r.imports(in, oauth.ImportDone, later)
		c := r.Row(in.db, acmeKey)
		if r.Works(c); c.Installs != 1 || !c.Due(r.Clock.Now()) {
			t.Errorf("%d installs, renewed at %v", c.Installs, c.RenewAt)
		}
		r.imports(in, oauth.ImportUnchanged, record) // the older one, in the wrong order
		r.Works(r.Row(in.db, acmeKey))

		// The same, after the connection has died here of it.
		r.Breaches = true // what the other program spent is presented here, too
		r.Due()
		latest := r.renewedElsewhere(in, later)
		for range 2 {
			_ = in.Tokens().Renew(r.Ctx, acmeKey)
			r.Clock.Advance(time.Minute)
		}
		r.Is(in.db, acmeKey, connection.ReconnectRequired, connection.ReasonRefreshRejected)
		if bot := r.imports(in, oauth.ImportSkipped, later); bot.Reason !=
			"Slack no longer renews it (invalid_refresh_token)." {
			t.Errorf("what Slack spent: %q", bot.Reason)
		}
		r.imports(in, oauth.ImportDone, latest)
		r.Works(r.Is(in.db, acmeKey, connection.Active, ""))
		r.EmptyJournal()
	})
}

// A record whose access token has run out is worth its refresh token, which is spent for it, once.
func TestImportOfWhatHasExpired(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(forPeople)
		record := r.byAnother(in, slacksim.AcmeAdmin)
		r.Clock.Advance(2 * stage.Life)
		all, err := in.Import(r.Ctx, install.ImportRequest{Installations: []install.Installation{record}, ClientID: "1.2",
			DryRun: true})
		if err != nil || len(all) != 2 || all[0].Outcome != oauth.ImportDone || all[1].Outcome != oauth.ImportDone {
			t.Fatalf("dry: %v %+v", err, all)
		}
		if _, err := in.db.Lookup(r.Ctx, acmeKey); !errors.Is(err, connection.ErrNotFound) {
			t.Fatalf("a dry run stored: %v", err)
		}
		r.Spent(0)

		r.imports(in, oauth.ImportDone, record)
		r.Spent(2)
		c := r.Is(in.db, acmeKey, connection.Active, "")
		r.Works(c)
		if u, err := in.OpenUser(r.Ctx, acmeKey, slacksim.AcmeAdmin); err != nil || u.Ended(r.Clock.Now()) {
			t.Errorf("the person's: %v", err)
		}
		r.imports(in, oauth.ImportUnchanged, record)
		r.Spent(2)
		r.EmptyJournal()
		if kept := r.Kept(); len(kept) != 2 {
			t.Errorf("%d pairs are kept for the day on which the store loses them", len(kept))
		}
	})
}

// failing is a store that takes no new connection.
type failing struct{ install.Store }

func (failing) Add(context.Context, connection.Connection) (connection.Connection, error) {
	return connection.Connection{}, errors.New("the disk is full")
}

// What was spent is not lost with the database: the pair waits in the journal, and is stored later.
func TestImportIsJournaled(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(func(cfg *install.Config) { cfg.Store = failing{cfg.Store} })
	record := withoutPerson(r.byAnother(in, slacksim.AcmeAdmin))
	r.Clock.Advance(2 * stage.Life)
	r.imports(in, oauth.ImportFailed, record)
	if waiting := r.Waiting(); len(waiting) != 1 {
		t.Fatalf("%d pairs wait", len(waiting))
	}
	r.Clock.Advance(time.Minute)
	later := r.replica(nil)
	if left := later.Finish(); left != 0 {
		t.Fatalf("%d pairs are left", left)
	}
	r.Works(r.Is(later.db, acmeKey, connection.Active, ""))
	r.imports(later, oauth.ImportUnchanged, record)
}

// A renewal that brings half a pair is none: nothing is stored of it.
func TestImportOfHalfAPair(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	record := withoutPerson(r.byAnother(r.replica(nil), slacksim.AcmeAdmin))
	in := r.replica(answering("oauth.v2.access", func(a map[string]any) { delete(a, "refresh_token") }))
	r.Clock.Advance(2 * stage.Life)
	if bot := r.imports(in, oauth.ImportFailed, record); bot.Reason !=
		"Slack couldn't be asked to renew it: the answer has no whole pair of tokens." {
		t.Error(bot.Reason)
	}
	if all, err := in.db.List(r.Ctx); err != nil || len(all) != 0 {
		t.Errorf("%d connections, %v", len(all), err)
	}
	r.EmptyJournal()
}

// stopping is a store during whose work the import is stopped.
type stopping struct {
	install.Store
	stop *func()
}

func (s stopping) Add(ctx context.Context, c connection.Connection) (connection.Connection, error) {
	(*s.stop)()
	return s.Store.Add(ctx, c)
}

// Whoever stops an import in the middle loses nothing: what Slack has renewed waits in the journal, and what is being
// stored is stored.
func TestImportIsStopped(t *testing.T) {
	t.Parallel()
	for want, age := range map[oauth.ImportOutcome]time.Duration{oauth.ImportDone: time.Hour,
		oauth.ImportFailed: 2 * stage.Life} {
		r := newRig(t, storagetest.SQLite(t))
		stop := func() {}
		in := r.replica(func(cfg *install.Config) {
			cfg.HTTP = stage.Between("oauth.v2.access", func(resp *http.Response) {
				if stop(); resp.Request.Context().Err() != nil {
					_ = resp.Body.Close() // nobody waits for the rest of it
				}
			})
			cfg.Store = stopping{cfg.Store, &stop}
		})
		request := install.ImportRequest{ClientID: "1.2",
			Installations: []install.Installation{withoutPerson(r.byAnother(in, slacksim.AcmeAdmin))}}
		r.Clock.Advance(age)
		ctx, cancel := context.WithCancel(r.Ctx)
		stop = cancel
		if all, err := in.Import(ctx, request); err != nil || len(all) != 1 || all[0].Outcome != want {
			t.Errorf("stopped in the middle: %v %+v", err, all)
		}
		if all, err := in.Import(ctx, request); !errors.Is(err, context.Canceled) || len(all) != 0 {
			t.Errorf("stopped before: %v %+v", err, all)
		}

		later := r.replica(nil)
		r.Clock.Advance(time.Minute)
		if left := later.Finish(); left != 0 {
			t.Errorf("%d pairs are left", left)
		}
		r.Works(r.Is(later.db, acmeKey, connection.Active, ""))
	}
}

// meeting is a store into which somebody installs while the import looks.
type meeting struct {
	install.Store
	once *func()
}

func (m meeting) Add(ctx context.Context, c connection.Connection) (connection.Connection, error) {
	if install := *m.once; install != nil {
		*m.once = nil
		install()
	}
	return m.Store.Add(ctx, c)
}

// Somebody installs here at that moment, or did so since: theirs counts.
func TestImportMeetsAnInstall(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		var once func()
		in := r.replica(func(cfg *install.Config) { cfg.Store = meeting{cfg.Store, &once} })
		record := withoutPerson(r.byAnother(in, slacksim.AcmeMember))
		r.Clock.Advance(time.Hour)
		here := r.replica(nil)
		once = func() { r.connect(here, slacksim.AcmeAdmin) }
		r.imports(in, oauth.ImportUnchanged, record)
		r.Works(r.Row(in.db, acmeKey))
	})
}

// A workspace that removed the app since is not brought back by an old record, but by one of a later install.
func TestImportAfterARemoval(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		record := withoutPerson(r.byAnother(in, slacksim.AcmeAdmin))
		r.imports(in, oauth.ImportDone, record)
		id := r.Row(in.db, acmeKey).ID
		r.Clock.Advance(time.Hour)
		r.Update(in.db, acmeKey, func(c *connection.Connection) {
			c.Erase(connection.Removed, connection.ReasonDisconnected, r.Clock.Now())
		})
		if bot := r.imports(in, oauth.ImportSkipped, record); bot.Reason != "The app was removed from there since." {
			t.Error(bot.Reason)
		}
		r.Is(in.db, acmeKey, connection.Removed, connection.ReasonDisconnected)

		r.Clock.Advance(time.Hour)
		r.imports(in, oauth.ImportDone, withoutPerson(r.byAnother(in, slacksim.AcmeMember)))
		if c := r.Is(in.db, acmeKey, connection.Active, ""); c.ID != id || c.InstalledBy != slacksim.AcmeMember {
			t.Errorf("%s installed by %s", c.ID, c.InstalledBy)
		}
	})
}

// What a record says of its workspace and person is not believed: Slack is asked, and trouble there decides nothing.
func TestImportBelievesSlack(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(forPeople)
	record := r.byAnother(in, slacksim.AcmeAdmin)
	record.TeamID, record.EnterpriseID, record.TeamName, record.UserID = "T0LIE", "E0LIE", "Lies", "U0LIE"

	clear := r.Slack.Inject(slacksim.Fault{Method: "auth.test", Status: 503})
	r.imports(in, oauth.ImportFailed, record)
	clear()
	if _, err := in.db.Lookup(r.Ctx, acmeKey); !errors.Is(err, connection.ErrNotFound) {
		t.Fatalf("stored: %v", err)
	}

	bot := r.imports(in, oauth.ImportDone, record)
	if bot.Key != acmeKey || r.Row(in.db, acmeKey).TeamName != "Acme Corp" {
		t.Errorf("%+v", bot)
	}
	if _, err := in.db.GetUser(r.Ctx, connection.TokenOwner{Key: acmeKey, UserID: slacksim.AcmeAdmin}); err != nil {
		t.Errorf("the person's: %v", err)
	}
	all, err := in.db.List(r.Ctx)
	if err != nil || len(all) != 1 {
		t.Errorf("%d connections, %v", len(all), err)
	}
}

// What is not worth storing is left out, each for its reason.
func TestImportLeavesOut(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(func(cfg *install.Config) { cfg.AppID = "A0RENEWAL1" })
	good := r.byAnother(in, slacksim.AcmeAdmin)
	for why, change := range map[string]func(i *install.Installation){
		"It is of another client ID, 3.4.":         func(i *install.Installation) { i.ClientID = "3.4" },
		"It is of another app, A0ANOTHER1.":        func(i *install.Installation) { i.AppID = "A0ANOTHER1" },
		"There is no token in it.":                 func(i *install.Installation) { i.Bot = install.Tokens{} },
		"It isn't a bot's token.":                  func(i *install.Installation) { i.Bot = good.User },
		"Slack no longer takes it (invalid_auth).": func(i *install.Installation) { i.Bot.Token += "x" },
	} {
		one := withoutPerson(good)
		change(&one)
		if bot := r.imports(in, oauth.ImportSkipped, one); bot.Reason != why {
			t.Errorf("%q, not %q", bot.Reason, why)
		}
	}

	another := r.replica(func(cfg *install.Config) { cfg.AppID = "A0ANOTHER1" })
	quiet := withoutPerson(good)
	quiet.AppID = ""
	if bot := r.imports(another, oauth.ImportSkipped, quiet); bot.Reason !=
		"Slack says that it is of another app, A0RENEWAL1." {
		t.Error(bot.Reason)
	}

	alone := good
	alone.Bot = install.Tokens{}
	all, err := in.Import(r.Ctx, install.ImportRequest{Installations: []install.Installation{alone}, ClientID: "1.2"})
	if err != nil || len(all) != 1 || all[0].Reason != "There is no bot of the app there that it could belong to." {
		t.Errorf("a person alone: %v %+v", err, all)
	}
	if rows, err := in.db.List(r.Ctx); err != nil || len(rows) != 0 {
		t.Errorf("%d connections, %v", len(rows), err)
	}
}
