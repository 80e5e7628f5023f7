package install_test

// What the pages say is so: of a workspace that is connected they don't say that it isn't, of an install that was taken
// back not that it stands, and they tell people to type only what the app has.

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// says fails the test unless a page says all of these.
func (p seen) says(t *testing.T, words ...string) {
	t.Helper()
	said := strings.Join(append([]string{p.Title, p.Message, p.Unchanged, p.Next.Label}, p.Facts...), "\n")
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("no %q in %s", w, said)
		}
	}
	if strings.Contains(said, "Not connected") || strings.ContainsAny(said, "{}") {
		t.Errorf("says %s", said)
	}
}

// html is what a browser with v's cookie is shown.
func (v *visitor) html(address string) string {
	v.r.T.Helper()
	req := httptest.NewRequest(http.MethodGet, stage.Redirect+strings.TrimPrefix(address, stage.Redirect), nil)
	req.Header.Set("Cookie", v.cookie)
	req.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	v.in.Handler().ServeHTTP(w, req)
	return w.Body.String()
}

func TestConnectedIsSaid(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(named("Renewal"))
		v, dana := r.visitor(in), slacksim.AcmeAdmin
		authorize, _ := v.asks(start)
		v.get(v.allows(authorize, dana, slacksim.Choice{})).is(t, "the install", 200, "connected")
		k := connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}
		link := func() string { return strings.TrimPrefix(in.Links().GrantURL(r.Row(in.db, k)), stage.Redirect) }

		second := v.allows(authorize, dana, slacksim.Choice{})
		v.get(second).is(t, "allowed again in the same tab", 409, "second_answer").
			says(t, "You're already connected", "Renewal is in Acme Corp.", "Start a new install")
		if page := v.html(second); !strings.Contains(page, `class="state done good" role="status"`) {
			t.Error("a connected workspace is shown in red")
		}

		used := link()
		late, _ := v.asks(used)
		v.installs(used, dana, slacksim.Choice{})
		v.get(used).is(t, "a used link", 409, "link_used").says(t, "You're already connected")
		v.get(v.allows(late, dana, slacksim.Choice{})).is(t, "a link that was used meanwhile", 409, "link_used").says(t,
			"You're already connected")
		v.installs(link(), dana, slacksim.Choice{Deny: true}).is(t, "Cancel", 200, "cancelled").says(t, "You pressed Cancel",
			"Nothing was changed. Acme Corp stays connected.")
		v.installs(link(), dana, slacksim.Choice{DenyWithoutDescription: true}).is(t, "denied", 403, "access_denied").says(t,
			"Acme Corp stays connected.")
		v.installs(link(), slacksim.BirchAdmin, slacksim.Choice{}).is(t, "another workspace", 409, "wrong_workspace").
			says(t, "You chose Birch & Co, this link is for Acme Corp", "Acme Corp is as it was.",
				"What you allowed was given back.")
		expired, _ := v.asks(link())
		r.Clock.Advance(11 * time.Minute)
		v.get(v.allows(expired, dana, slacksim.Choice{})).is(t, "expired", 400, "state_expired").says(t,
			"Acme Corp stays connected.")
		old := link()
		r.Clock.Advance(2 * time.Hour)
		v.get(old).is(t, "an old link", 400, "link_expired").says(t, "This link has expired")

		// Where it isn't connected any longer, nothing says that it is.
		used = link()
		v.installs(used, dana, slacksim.Choice{})
		r.Update(in.db, k, func(c *connection.Connection) {
			c.SetState(connection.ReconnectRequired, connection.ReasonTokenRevoked, r.Clock.Now())
		})
		v.installs(link(), dana, slacksim.Choice{Deny: true}).is(t, "Cancel", 200, "cancelled")
		if p := v.installs(link(), dana, slacksim.Choice{Deny: true}); strings.Contains(p.Unchanged, "stays connected") {
			t.Errorf("a broken connection: %q", p.Unchanged)
		}
		r.Update(in.db, k, func(c *connection.Connection) { c.SetState(connection.Paused, "", r.Clock.Now()) })
		if p := v.get(used).is(t, "a used link of a paused one", 409, "link_used"); strings.Contains(p.Title, "connected") {
			t.Errorf("a paused connection: %q", p.Title)
		}
	})
}

// named is an app of this name, without a command.
func named(name string) func(*install.Config) {
	return func(cfg *install.Config) { wide(cfg); cfg.App.Name = name }
}

// What became of an install is read on its own page, by the browser that installed and by no other.
func TestWhatBecameOfAnInstall(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(named("Renewal"))
		k := connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}
		connect := func() (v *visitor, back string, p seen) {
			t.Helper()
			v = r.visitor(in)
			back = v.back(start, slacksim.AcmeAdmin)
			return v, back, v.get(back)
		}
		remove := func() {
			t.Helper()
			r.Update(in.db, k, func(c *connection.Connection) {
				c.Erase(connection.Removed, connection.ReasonUninstalled, r.Clock.Now())
			})
			_ = r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents)
		}

		v, back, p := connect()
		v.undo(p.Undo).is(t, "undo", 200, "undone").says(t, "Its access and its messages are erased.")
		v.get(back).is(t, "back after the undo", 409, "undone_since").says(t, "You undid this install",
			"Slack removed Renewal from Acme Corp.", "Install again")
		r.visitor(in).get(back).is(t, "in another browser", 409, "state_used").says(t, "This link was already used")

		r.Clock.Advance(time.Second) // another consent, and not the one that was undone
		v, back, _ = connect()
		v.get(back).is(t, "a reload", 200, "already_finished").says(t, "This install finished earlier.")
		remove()
		v.get(back).is(t, "removed in Slack", 409, "removed_since").says(t, "Renewal was removed from Acme Corp",
			"Install again")

		// Somebody else undid an install of theirs since: that was not this one.
		r.Clock.Advance(time.Second)
		other, _, theirs := connect()
		other.undo(theirs.Undo).is(t, "their undo", 200, "undone")
		v.get(back).is(t, "after somebody else's undo", 409, "removed_since")

		r.Clock.Advance(time.Second)
		v, back, _ = connect()
		r.Update(in.db, k, func(c *connection.Connection) { c.SetState(connection.Retrying, "", r.Clock.Now()) })
		v.get(back).is(t, "it is tried again", 200, "already_finished")
		r.Update(in.db, k, func(c *connection.Connection) { c.SetState(connection.Paused, "", r.Clock.Now()) })
		v.get(back).is(t, "paused", 409, "paused_since").says(t, "Renewal is paused in Acme Corp")
		r.Update(in.db, k, func(c *connection.Connection) {
			c.SetState(connection.ReconnectRequired, connection.ReasonTokenRevoked, r.Clock.Now())
		})
		v.get(back).is(t, "broken", 409, "broken_since").says(t, "Renewal needs reconnecting in Acme Corp", "Reconnect")
	})
}

// A reload offers to undo an install, as long as it is the last word of its workspace: nobody's reconnect, and nothing
// that was connected again since, be it at the same moment or by the same person.
func TestReloadOffersToUndoTheLastWord(t *testing.T) {
	t.Parallel()
	for since, again := range map[string]func(r *rig, in replica){
		"nothing":                   func(*rig, replica) {},
		"a colleague, at that time": func(r *rig, in replica) { r.connect(in, slacksim.AcmeMember) },
		"the same person later": func(r *rig, in replica) {
			r.Clock.Advance(time.Second)
			r.connect(in, slacksim.AcmeAdmin)
		},
	} {
		r := newRig(t, storagetest.SQLite(t))
		in := r.replica(nil)
		v := r.visitor(in)
		back := v.back(start, slacksim.AcmeAdmin)
		v.get(back).is(t, since, 200, "connected")
		again(r, in)
		if p := v.get(back).is(t, since, 200, "already_finished"); (p.Undo != "") != (since == "nothing") {
			t.Errorf("after %s a reload offers to undo: %v", since, p.Undo != "")
		}

		w := r.visitor(in)
		reconnect := w.back(start, slacksim.AcmeAdmin)
		w.get(reconnect)
		if p := w.get(reconnect).is(t, "a reconnect", 200, "already_finished"); p.Undo != "" {
			t.Error("a reload of a reconnect offers to undo it")
		}
	}
}

// What Slack's answer leaves open is not told as a refusal; an undo that Slack carried out and we could not write down
// is told as what it is.
func TestUndoSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		slow := &noErase{}
		in := r.replica(func(cfg *install.Config) { named("Renewal")(cfg); slow.Store = cfg.Store; cfg.Store = slow })
		v := r.visitor(in)
		p := v.get(v.back(start, slacksim.AcmeAdmin))
		for _, fault := range []slacksim.Fault{{Error: "internal_error"}, {Error: "fatal_error"},
			{Status: http.StatusBadGateway}, {DropAnswer: true}} {
			fault.Method, fault.Times = "apps.uninstall", 1
			r.Slack.Inject(fault)
			p = v.undo(p.Undo).is(t, fault.Error, 502, "undo_unclear")
			p.says(t, "We don't know whether Slack removed Renewal from Acme Corp.")
			if fault.DropAnswer {
				break // Slack did it
			}
		}
		slow.fails = true
		v.undo(p.Undo).is(t, "the records are away", 200, "undone").says(t,
			"We couldn't erase its access from our records yet")
		r.Breaches = true // the token of an app that is gone
	})
}

// noErase is a store that writes nothing down once it fails.
type noErase struct {
	install.Store
	fails bool
}

func (s *noErase) Update(ctx context.Context, k connection.Key,
	change func(*connection.Connection) error) (connection.Connection, error) {
	if s.fails {
		return connection.Connection{}, errors.New("read only")
	}
	return s.Store.Update(ctx, k, change)
}

// The pages of an app speak of its own commands, and of none where it has none.
func TestPagesNameTheAppsOwnCommands(t *testing.T) {
	t.Parallel()
	for _, commands := range []install.Commands{{},
		{Status: "/standup how", Reconnect: "/standup again", Disconnect: "/standup bye"}, {Status: "/standup how"}} {
		r := newRig(t, storagetest.SQLite(t))
		change := func(cfg *install.Config) { named("Standup")(cfg); cfg.App.Commands = commands }
		in := r.replica(change)
		closed := r.replica(func(cfg *install.Config) { change(cfg); cfg.Closed = true })
		v := r.visitor(in)
		back := v.back(start, slacksim.AcmeAdmin)
		p := v.get(back)
		c := r.Row(in.db, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme})
		used := in.Links().GrantURL(c)
		v.installs(used, slacksim.AcmeAdmin, slacksim.Choice{})
		expired := in.Links().GrantURL(c)

		stranger := r.visitor(in)
		said := v.html("/") + r.visitor(closed).html("/") + v.html(back) + strings.Join(p.First, "\n") +
			v.html(start+"?link=abc") + v.html(used)
		r.Update(in.db, c.Key, func(c *connection.Connection) {
			c.SetState(connection.ReconnectRequired, connection.ReasonTokenRevoked, r.Clock.Now())
		})
		said += v.html(used) + stranger.undo(p.Undo).Message
		r.Clock.Advance(2 * time.Hour)
		said += v.html(expired) + v.undo(p.Undo).Message

		for name, want := range map[string]string{"status": commands.Status, "reconnect": commands.Reconnect,
			"disconnect": commands.Disconnect} {
			if want != "" && !strings.Contains(said, want) {
				t.Errorf("%+v: nothing tells people to type the command for %s", commands, name)
			}
		}
		for _, wrong := range []string{"/connection", "Switchboard", "{status}", "{reconnect}", "{disconnect}", "{app}",
			"type in", "type ."} {
			if strings.Contains(said, wrong) {
				t.Errorf("%+v: the pages say %q", commands, wrong)
			}
		}
		if commands.Disconnect == "" && strings.Count(said, "To remove Standup, open its page in Slack") != 2 {
			t.Errorf("%+v: a late undo says no other way", commands)
		}
		r.EmptyJournal()
	}
}

// How long things are kept is said with the number that is set.
func TestKeptForIsSaid(t *testing.T) {
	t.Parallel()
	for want, keep := range map[string]time.Duration{"90 days": 0, "7 days": 7 * 24 * time.Hour, "1 day": 24 * time.Hour} {
		r := newRig(t, storagetest.SQLite(t))
		in := r.replica(func(cfg *install.Config) { cfg.Keep, cfg.App.DataKept = keep, "The name." })
		text := "Data kept: The name. What people send to the app is kept, encrypted, until it is handled. What couldn't " +
			"be handled is kept for up to " + want +
			". When the app is removed, its access and these messages are erased immediately, everything else after " + want +
			"."
		if page := r.visitor(in).html("/"); !strings.Contains(strings.ReplaceAll(page, "&#39;", "'"), text) ||
			in.KeptFor() != want {
			t.Errorf("%v: no %q in %s", keep, text, page)
		}
	}
}
