package install_test

// What a link promises: it works for one workspace, once, for as long as it says, and asks for what it says. What an
// install may not keep is given back. What was just installed can be taken back. All against slacksim over HTTP and
// both databases.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/slacksim"
)

// visitor is one browser in front of one replica.
type visitor struct {
	r      *rig
	in     replica
	cookie string
	header http.Header // sent along
}

func (r *rig) visitor(in replica) *visitor { return &visitor{r: r, in: in, header: http.Header{}} }

// seen is what a page says to tools.
type seen struct {
	status                                  int
	location                                string
	Reason, Title, Message, Unchanged, Undo string
	Next                                    struct{ Label, URL string }
	Other                                   struct{ Label, URL string }
	Connection                              string
	Facts                                   []string
	First                                   []string `json:"first_steps"`
	Org                                     bool     `json:"organisation"`
}

func (v *visitor) send(req *http.Request) (p seen) {
	v.r.T.Helper()
	req.Header.Set("Accept", "application/json")
	for name := range v.header {
		req.Header.Set(name, v.header.Get(name))
	}
	if v.cookie != "" {
		req.Header.Set("Cookie", v.cookie)
	}
	w := httptest.NewRecorder()
	v.in.Handler().ServeHTTP(w, req)
	for _, c := range w.Result().Cookies() {
		v.cookie = c.Name + "=" + c.Value
	}
	p.status, p.location = w.Code, w.Header().Get("Location")
	if strings.Contains(w.Header().Get("Content-Type"), "json") {
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			v.r.T.Errorf("%v in %s", err, w.Body)
		}
	}
	return p
}

// get opens one of our addresses, with or without the host.
func (v *visitor) get(address string) seen {
	v.r.T.Helper()
	return v.send(httptest.NewRequest(http.MethodGet, stage.Redirect+strings.TrimPrefix(address, stage.Redirect), nil))
}

func (v *visitor) undo(signed string) seen {
	v.r.T.Helper()
	req := httptest.NewRequest(http.MethodPost, stage.Redirect+"/slack/undo",
		strings.NewReader(url.Values{"undo": {signed}}.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.send(req)
}

// asks follows a link to Slack's page and returns where it is and the scopes asked for; a page of ours is an error.
func (v *visitor) asks(link string) (authorize, scopes string) {
	v.r.T.Helper()
	p := v.get(link)
	if p.status != http.StatusFound {
		v.r.T.Fatalf("%s: %d %+v", link, p.status, p)
	}
	u, err := url.Parse(p.location)
	if err != nil {
		v.r.T.Fatal(err)
	}
	return p.location, u.Query().Get("scope")
}

// allows says yes at Slack and returns where the browser is sent back to.
func (v *visitor) allows(authorize, userID string, choice slacksim.Choice) string {
	v.r.T.Helper()
	back, err := v.r.Slack.Authorize(v.r.Ctx, authorize, userID, choice)
	if err != nil {
		v.r.T.Fatal(err)
	}
	return back
}

// installs goes all the way by a link.
func (v *visitor) installs(link, userID string, choice slacksim.Choice) seen {
	v.r.T.Helper()
	authorize, _ := v.asks(link)
	return v.get(v.allows(authorize, userID, choice))
}

// is fails the test when a page is another one.
func (p seen) is(t *testing.T, what string, status int, reason string) seen {
	t.Helper()
	if p.status != status || p.Reason != reason {
		t.Errorf("%s: %d %s, not %d %s", what, p.status, p.Reason, status, reason)
	}
	return p
}

// wide is an app of three permissions, one of which can be left out.
func wide(cfg *install.Config) {
	cfg.Scopes = []connection.Scope{{Name: "chat:write", Label: "Send messages"},
		{Name: "users:read", Label: "See who is who"},
		{Name: "files:write", Label: "Send files", Feature: "send files", Optional: true}}
}

const start = "/slack/install"

func TestLinks(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in, other := r.replica(wide), r.replica(wide)
		dana, ivy := slacksim.AcmeAdmin, slacksim.BirchAdmin
		r.visitor(in).installs(start, dana, slacksim.Choice{Untick: []string{"files:write"}}).is(t, "first", 200,
			"connected_limited")
		c := r.Row(in.db, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme})
		signed := func(link string) string { return strings.SplitAfter(link, "link=")[1] }

		// What a link says can't be changed, and nothing else passes for one.
		good := in.Links().Grant(c, links.GrantRequest{Scopes: []string{"files:write"}, Back: slacksim.AcmeGeneral})
		if strings.Contains(good, c.ID) || strings.Contains(good, "files") || len(good) > 600 {
			t.Errorf("the link %s tells what it is about, or is long", good)
		}
		bad := []string{"x", "", signed(good) + "A", signed(good)[:60], signed(good) + "%0A", strings.Repeat("A", 100_000)}
		for i := 0; i < len(signed(good)); i += 7 {
			letter := "A"
			if signed(good)[i] == 'A' {
				letter = "B"
			}
			bad = append(bad, signed(good)[:i]+letter+signed(good)[i+1:])
		}
		stranger := r.replica(func(cfg *install.Config) { cfg.ClientSecret, cfg.SigningKeys = "another secret", nil })
		bad = append(bad, signed(stranger.Links().Grant(c, links.GrantRequest{})))
		for _, s := range bad {
			want, status := "link_broken", 400
			if s == "" {
				continue // no link: the open start page
			}
			r.visitor(in).get(start+"?link="+s).is(t, "a changed link", status, want)
		}
		r.visitor(in).get(start+"?connection="+c.ID).is(t, "a link as they were once", 404, "link_unknown")
		r.visitor(in).get(in.Links().Grant(connection.Connection{ID: "con_gone"}, links.GrantRequest{})).is(t,
			"a connection that is gone", 404, "link_unknown")

		// It asks for what it says, comes back to where it was made, and adds to what there was.
		v := r.visitor(other) // any replica's link works on every other
		authorize, scopes := v.asks(good)
		if u, _ := url.Parse(authorize); scopes != "files:write" || u.Query().Get("team") != slacksim.Acme {
			t.Errorf("asked for %q", authorize)
		}
		p := v.get(v.allows(authorize, dana, slacksim.Choice{})).is(t, "granted", 200, "permissions_updated")
		if !slices.Contains(p.Facts, "Now allowed: send files.") ||
			!strings.HasSuffix(p.Next.URL, "/app_redirect?channel="+slacksim.AcmeGeneral+"&team="+slacksim.Acme) ||
			p.Undo != "" {
			t.Errorf("after a grant: %+v", p)
		}
		if now := r.Is(in.db, c.Key, connection.Active, ""); !slices.Equal(now.Scopes,
			[]string{"chat:write", "files:write", "users:read"}) || now.ID != c.ID {
			t.Errorf("granted: %v", now.Scopes)
		}
		// Then it is used up, on each replica.
		for _, at := range []replica{in, other} {
			r.visitor(at).get(good).is(t, "used", 409, "link_used")
		}
		if _, scopes := r.visitor(in).asks(in.Links().GrantURL(c)); scopes != "chat:write,users:read,files:write" {
			t.Errorf("a link without a wish asks for %q", scopes)
		}

		// Eight browsers hold one link, on two replicas. One gets through; nobody else's code is spent.
		shared := in.Links().Grant(c, links.GrantRequest{})
		var backs []func() seen
		for i := range 8 {
			v := r.visitor([]replica{in, other}[i%2])
			authorize, _ := v.asks(shared)
			back := v.allows(authorize, dana, slacksim.Choice{})
			backs = append(backs, func() seen { return v.get(back) })
		}
		before := len(r.Slack.Calls("oauth.v2.access"))
		var through, used atomic.Int32
		var all sync.WaitGroup
		for _, back := range backs {
			all.Go(func() {
				switch p := back(); {
				case p.status == 200:
					through.Add(1)
				case p.Reason == "link_used" && p.status == 409 && !strings.Contains(p.Next.URL, "link="):
					used.Add(1)
				default:
					t.Errorf("%d %+v", p.status, p)
				}
			})
		}
		all.Wait()
		if n := len(r.Slack.Calls("oauth.v2.access")) - before; through.Load() != 1 || used.Load() != 7 || n != 1 {
			t.Errorf("%d got through and %d did not, with %d exchanges", through.Load(), used.Load(), n)
		}

		// Cancelled, it is not used up, and the way on is a fresh one that asks the same.
		kept := in.Links().Grant(c, links.GrantRequest{Scopes: []string{"files:write"}, Back: "D0ACME"})
		p = r.visitor(in).installs(kept, dana, slacksim.Choice{Deny: true}).is(t, "cancelled", 200, "cancelled")
		if _, scopes := r.visitor(in).asks(p.Next.URL); scopes != "files:write" || p.Next.URL == kept {
			t.Errorf("try again asks for %q", scopes)
		}
		r.visitor(in).installs(kept, dana, slacksim.Choice{}).is(t, "after Cancel", 200, "already_connected")

		// Another workspace than the one it is for: nothing changes, what was added there is gone again.
		v = r.visitor(in)
		wish := links.GrantRequest{Scopes: []string{"users:read"}, Back: slacksim.AcmeGeneral}
		mistaken := in.Links().Grant(c, wish)
		p = v.installs(mistaken, ivy, slacksim.Choice{}).is(t, "another workspace", 409, "wrong_workspace")
		if _, there := r.Slack.Installed(slacksim.Birch); there {
			t.Error("the app stays in the workspace that was chosen by mistake")
		}
		if _, err := in.db.Lookup(r.Ctx, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Birch}); !errors.Is(err,
			connection.ErrNotFound) {
			t.Errorf("a row: %v", err)
		}
		if strings.Contains(p.Other.URL, "link=") {
			t.Errorf("the other workspace is connected by %s", p.Other.URL)
		}
		authorize, scopes = v.asks(p.Next.URL)
		if p = v.get(v.allows(authorize, dana, slacksim.Choice{})).is(t, "then the right one", 200,
			"already_connected"); scopes != "users:read" || !strings.Contains(p.Next.URL, "channel="+slacksim.AcmeGeneral) {
			t.Errorf("the fresh link asks for %q and leads to %+v", scopes, p.Next)
		}

		// What was not carried through did not use it up, for whoever else has it.
		r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Error: "internal_error", Times: 1})
		r.visitor(in).installs(mistaken, dana, slacksim.Choice{}).is(t, "Slack has trouble", 502, "slack_down")
		r.visitor(in).installs(mistaken, dana, slacksim.Choice{}).is(t, "by somebody who chooses right", 200,
			"already_connected")
		r.visitor(in).get(mistaken).is(t, "and then", 409, "link_used")

		// An hour; a week for what is read later.
		short, long := in.Links().Grant(c, links.GrantRequest{}), in.Links().Grant(c, links.GrantRequest{Stays: true})
		r.Clock.Advance(time.Hour - time.Second)
		r.visitor(in).asks(short)
		r.Clock.Advance(time.Second)
		r.visitor(in).get(short).is(t, "after an hour", 400, "link_expired")
		r.Clock.Advance(7*24*time.Hour - time.Hour - time.Second)
		r.visitor(in).asks(long)
		r.Clock.Advance(time.Second)
		r.visitor(in).get(long).is(t, "after a week", 400, "link_expired")
		r.Clock.Advance(40 * 24 * time.Hour) // long after anything was used up
		r.visitor(in).get(good).is(t, "used, and long expired", 400, "link_expired")
		r.EmptyJournal()

		// Nothing in the database is worth a link.
		for _, what := range []string{"link_hash", "wish_scopes"} {
			var n int
			if err := r.Raw().QueryRow("SELECT count(*) FROM install_attempts WHERE length(" + what + ") > 0").
				Scan(&n); err != nil || n == 0 {
				t.Errorf("%s is not kept with any attempt (%v)", what, err)
			}
		}
	})
}

// Slack may answer a consent with what was asked for alone. What was granted before stays, and what the token really
// has counts.
func TestScopesAreAdded(t *testing.T) {
	r := sqliteRig(t)
	short := false
	in := r.replica(func(cfg *install.Config) {
		wide(cfg)
		cfg.HTTP = stage.Between("oauth.v2.access", func(resp *http.Response) {
			var answer map[string]any
			if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
				t.Error(err)
			}
			if short {
				answer["scope"] = "files:write"
			}
			body, _ := json.Marshal(answer)
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		})
	})
	dana := slacksim.AcmeAdmin
	r.visitor(in).installs(start, dana, slacksim.Choice{Untick: []string{"files:write"}})
	c := r.Row(in.db, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme})
	link := func() string { return in.Links().Grant(c, links.GrantRequest{Scopes: []string{"files:write"}}) }
	all := []string{"chat:write", "files:write", "users:read"}

	short = true
	r.visitor(in).installs(link(), dana, slacksim.Choice{}).is(t, "Slack names the new one alone", 200,
		"permissions_updated")
	if now := r.Row(in.db, c.Key); !slices.Equal(now.Scopes, all) {
		t.Errorf("stored: %v", now.Scopes)
	}
	r.Update(in.db, c.Key, func(c *connection.Connection) { c.Scopes = []string{"chat:write", "users:read"} })
	// One without words goes by its name.
	mute := r.replica(func(cfg *install.Config) {
		wide(cfg)
		cfg.Scopes[2].Label = ""
	})
	if p := r.visitor(mute).installs(link(), dana, slacksim.Choice{}).is(t, "no words", 200,
		"permissions_updated"); !slices.Contains(p.Facts, "Now allowed: files:write.") {
		t.Errorf("no words: %q", p.Facts)
	}
	r.Update(in.db, c.Key, func(c *connection.Connection) { c.Scopes = []string{"chat:write", "users:read"} })
	r.Slack.Inject(slacksim.Fault{Method: "auth.test", Status: 500, Body: "x", Times: 1})
	r.visitor(in).installs(link(), dana, slacksim.Choice{}).is(t, "and can't be asked", 200, "permissions_updated")
	if now := r.Row(in.db, c.Key); !slices.Equal(now.Scopes, all) ||
		!now.CheckAt.Equal(now.AuthorizedAt.Add(connection.CheckAgain)) {
		t.Errorf("stored: %v, to be checked at %v", now.Scopes, now.CheckAt)
	}
}

// A link to allow one permission, and another workspace chosen: that one loses none of those it has.
func TestElsewhereLosesNothing(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(func(cfg *install.Config) {
		wide(cfg)
		cfg.HTTP = stage.Between("oauth.v2.access", func(resp *http.Response) {
			body, _ := io.ReadAll(resp.Body)
			// the new one alone
			body = bytes.Replace(body, []byte("chat:write,users:read,files:write"), []byte("files:write"), 1)
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		})
	})
	some := slacksim.Choice{Untick: []string{"files:write"}}
	r.visitor(in).installs(start, slacksim.AcmeAdmin, some)
	r.visitor(in).installs(start, slacksim.BirchAdmin, some)
	link := in.Links().Grant(r.Row(in.db, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}),
		links.GrantRequest{Scopes: []string{"files:write"}})
	r.visitor(in).installs(link, slacksim.BirchAdmin, slacksim.Choice{}).is(t, "another workspace", 409, "wrong_workspace")
	birch := r.Row(in.db, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Birch})
	if !slices.Equal(birch.Scopes, []string{"chat:write", "files:write", "users:read"}) {
		t.Errorf("stored: %v", birch.Scopes)
	}
	// One that needs reconnecting is not taken from its workspace either.
	r.Update(in.db, birch.Key, func(c *connection.Connection) {
		c.Erase(connection.ReconnectRequired, connection.ReasonTokenRevoked, r.Clock.Now())
	})
	link = in.Links().Grant(r.Row(in.db, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}), links.GrantRequest{})
	r.visitor(in).installs(link, slacksim.BirchAdmin, slacksim.Choice{}).is(t, "one that needs reconnecting", 409,
		"wrong_workspace")
	r.Is(in.db, birch.Key, connection.ReconnectRequired, connection.ReasonTokenRevoked)
	if _, there := r.Slack.Installed(slacksim.Birch); !there {
		t.Error("the app was removed from a workspace that was chosen by mistake")
	}
}

// Without a permission that the app can't do without nothing is stored, and Slack has its access back.
func TestRequiredPermissions(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(wide)
		dana := slacksim.AcmeAdmin
		k := connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}
		refused := func(what string) {
			t.Helper()
			p := r.visitor(in).installs(start, dana, slacksim.Choice{Untick: []string{"users:read", "files:write"}}).is(t, what,
				403, "permission_required")
			if !strings.HasSuffix(p.Title, "can't work without “See who is who”") || p.Unchanged != "Nothing was saved." ||
				len(p.Facts) != 1 || p.Facts[0] != "What you allowed was given back." {
				t.Errorf("%s: %+v", what, p)
			}
			if _, there := r.Slack.Installed(slacksim.Acme); there {
				t.Errorf("%s: Slack still has the app", what)
			}
			r.EmptyJournal()
		}
		refused("a first install")
		if _, err := in.db.Lookup(r.Ctx, k); !errors.Is(err, connection.ErrNotFound) {
			t.Errorf("a row: %v", err)
		}
		// Slack doesn't take it back: the person is told what to do.
		r.Slack.Inject(slacksim.Fault{Method: "apps.uninstall", Error: "internal_error", Times: 1})
		p := r.visitor(in).installs(start, dana, slacksim.Choice{Untick: []string{"users:read"}}).is(t, "not taken back", 403,
			"permission_required")
		if len(p.Facts) != 1 || !strings.Contains(p.Facts[0], "Remove App") {
			t.Errorf("not taken back: %q", p.Facts)
		}
		_ = r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents)
		r.Slack.Inject(slacksim.Fault{Method: "apps.uninstall", DropAnswer: true, Times: 1})
		r.visitor(in).installs(start, dana, slacksim.Choice{Untick: []string{"users:read"}}).is(t, "no answer", 403,
			"permission_required").says(t, "Slack may still list")

		// Without optional ones it says what it can't do.
		p = r.visitor(in).installs(start, dana, slacksim.Choice{Untick: []string{"files:write"}}).is(t, "an optional one",
			200, "connected_limited")
		if !strings.Contains(strings.Join(p.Facts, " "), "It can't send files: it doesn't have permission to send files. "+
			"Everything else works.") || p.Next.Label != "Allow the rest" {
			t.Errorf("limited: %+v", p)
		}
		if _, scopes := r.visitor(in).asks(p.Next.URL); scopes != "files:write" {
			t.Errorf("the rest is %q", scopes)
		}
		// A connection that works keeps working, whatever is unticked.
		more := r.replica(func(cfg *install.Config) {
			wide(cfg)
			cfg.Scopes = append(cfg.Scopes, connection.Scope{Name: "team:read", Label: "See the workspace's name"})
		})
		r.visitor(more).installs(start, dana, slacksim.Choice{Untick: []string{"team:read"}}).is(t,
			"a new required one is refused", 200, "permissions_updated_limited").
			says(t, "can't work in Acme Corp without “See the workspace's name”")
		r.Works(r.Is(in.db, k, connection.Active, ""))
		// Removed, it is a first install again.
		r.Update(in.db, k, func(c *connection.Connection) { c.Erase(connection.Removed, "test", r.Clock.Now()) })
		_ = r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents)
		refused("after a removal")
		r.Is(in.db, k, connection.Removed, "test")
	})
}

// The page promises no answer where what that takes was left out, and doesn't call what is limited all well.
func TestSuccessPromisesWhatIsAllowed(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(func(cfg *install.Config) {
		wide(cfg)
		cfg.App.Commands.Status = "/standup status"
		cfg.Scopes = append(cfg.Scopes, connection.Scope{Name: "im:history", Label: "Read direct messages to it",
			Feature: "answer direct messages", Optional: true},
			connection.Scope{Name: "app_mentions:read", Label: "See messages that mention it", Feature: "answer mentions",
				Optional: true})
	})
	none := slacksim.Choice{Untick: []string{"im:history", "app_mentions:read"}}
	p := r.visitor(in).installs(start, slacksim.AcmeAdmin, none).is(t, "limited", 200, "connected_limited")
	if first := strings.Join(p.First, " "); strings.Contains(first, "direct message") ||
		strings.Contains(first, "/invite") || !strings.Contains(first, "/standup status") {
		t.Errorf("limited: %s", first)
	}
	if facts := strings.Join(p.Facts, " "); !strings.Contains(facts, "It can't answer direct messages or answer "+
		"mentions: it doesn't have permission to read direct messages to it or see messages that mention it.") {
		t.Errorf("limited: %s", facts)
	}
	p = r.visitor(in).installs(start, slacksim.AcmeAdmin, none).is(t, "once more", 200, "already_connected_limited")
	if strings.Contains(p.Message, "verything") {
		t.Errorf("once more: %s", p.Message)
	}
	p = r.visitor(in).installs(start, slacksim.BirchAdmin, slacksim.Choice{}).is(t, "all allowed", 200, "connected")
	if first := strings.Join(p.First, " "); !strings.Contains(first, "direct message") ||
		!strings.Contains(first, "/invite") {
		t.Errorf("all allowed: %s", first)
	}
}

// A workspace that moved into an organisation since it was connected is the same workspace: what it relies on is not
// given back.
func TestNothingReliedOnIsGivenBack(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in, closed := r.replica(wide), r.replica(func(cfg *install.Config) { wide(cfg); cfg.Closed = true })
		row := func(k connection.Key) {
			t.Helper()
			now := r.Clock.Now()
			c := connection.Connection{Key: k, TeamName: "was here", State: connection.Active,
				TokenPair: connection.TokenPair{Token: "xoxb-of-before"}, InstalledAt: now, AuthorizedAt: now}
			if _, _, err := in.db.Put(r.Ctx, c); err != nil {
				t.Fatal(err)
			}
		}
		row(connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme})
		r.Slack.AddWorkspace(slacksim.Workspace{ID: slacksim.Acme, Name: "Acme Corp", EnterpriseID: "E0GRID0001",
			EnterpriseName: "Grid Inc"})
		r.visitor(closed).installs(start, slacksim.AcmeAdmin, slacksim.Choice{Untick: []string{"users:read"}})
		if at, there := r.Slack.Installed(slacksim.Acme); !there || at.EnterpriseID != "E0GRID0001" {
			t.Error("the app was removed from a workspace that relied on it")
		}
		// Neither is what the organisation's install gives its workspaces.
		r.Slack.SetApp(func(a *slacksim.App) { a.OrgReady = true })
		r.Slack.AddWorkspace(slacksim.Workspace{ID: "T0GRID0002", Name: "Grid Two", EnterpriseID: "E0GRID0002",
			EnterpriseName: "Grid Two Inc"})
		r.Slack.AddUser(slacksim.User{ID: "U0GRIDADM2", TeamID: "T0GRID0002", Name: "gio", Admin: true})
		row(connection.Key{AppID: "A0RENEWAL1", EnterpriseID: "E0GRID0002"})
		r.visitor(closed).installs(start, "U0GRIDADM2", slacksim.Choice{}).is(t,
			"a workspace of an organisation that is connected", 403, "closed")
		if _, there := r.Slack.Installed("T0GRID0002"); !there {
			t.Error("the app was removed where an organisation relies on it")
		}
		r.EmptyJournal()
	})
}

// A process that dies after Slack's answer leaves a consent in the journal. What would have been refused is refused
// then, too.
func TestReplayRefusesToo(t *testing.T) {
	r := sqliteRig(t)
	closed := func(cfg *install.Config) { cfg.Closed = true }
	r.killed(slacksim.AcmeAdmin, closed)
	in := r.replica(closed)
	if left, err := in.Replay(r.Ctx); left != 0 || err != nil {
		t.Errorf("%d left, %v", left, err)
	}
	r.EmptyJournal()
	if _, err := in.db.Lookup(r.Ctx, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}); !errors.Is(err,
		connection.ErrNotFound) {
		t.Errorf("a row: %v", err)
	}
	if _, there := r.Slack.Installed(slacksim.Acme); there {
		t.Error("Slack still has the app")
	}
}

// Closed to new workspaces: those who are connected reconnect, those who are named connect, the others leave nothing
// behind.
func TestClosedInstalls(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		open := r.replica(nil)
		r.visitor(open).installs(start, slacksim.AcmeAdmin, slacksim.Choice{}).is(t, "open", 200, "connected")
		closed := r.replica(func(cfg *install.Config) { cfg.Closed = true })
		named := r.replica(func(cfg *install.Config) { cfg.Closed, cfg.Admit = true, []string{"T0OTHER001", slacksim.Birch} })
		r.visitor(closed).installs(start, slacksim.AcmeMember, slacksim.Choice{}).is(t, "reconnects", 200,
			"connected_by_other")
		acme := connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}
		r.Update(open.db, acme, func(c *connection.Connection) {
			c.Erase(connection.ReconnectRequired, connection.ReasonTokenRevoked, r.Clock.Now())
		})
		r.visitor(closed).installs(closed.Links().GrantURL(r.Row(open.db, acme)), slacksim.AcmeAdmin, slacksim.Choice{}).is(t,
			"reconnects without any access", 200, "reconnected")
		r.Works(r.Is(open.db, acme, connection.Active, ""))
		p := r.visitor(closed).installs(start, slacksim.BirchAdmin, slacksim.Choice{}).is(t, "new", 403, "closed")
		if p.Unchanged != "Nothing was saved." {
			t.Errorf("%+v", p)
		}
		if _, there := r.Slack.Installed(slacksim.Birch); there {
			t.Error("Slack still has the app")
		}
		r.EmptyJournal()
		r.visitor(named).installs(start, slacksim.BirchAdmin, slacksim.Choice{}).is(t, "named", 200, "connected")
		r.Slack.SetApp(func(a *slacksim.App) { a.OrgReady = true })
		r.Slack.AddWorkspace(slacksim.Workspace{ID: "T0GRID0001", Name: "Grid One", EnterpriseID: "E0GRID0001",
			EnterpriseName: "Grid Inc"})
		r.Slack.AddUser(slacksim.User{ID: "U0GRIDADM1", TeamID: "T0GRID0001", Name: "gia", Admin: true})
		r.visitor(named).installs(start, "U0GRIDADM1", slacksim.Choice{Org: true}).is(t, "an organisation", 403, "closed")
		byOrg := r.replica(func(cfg *install.Config) { cfg.Closed, cfg.Admit = true, []string{"E0GRID0001"} })
		org := r.visitor(byOrg).installs(start, "U0GRIDADM1", slacksim.Choice{Org: true}).is(t,
			"an organisation that is named", 200, "connected_org")
		if !org.Org || !strings.HasPrefix(strings.Join(org.First, " "), "Add it to workspaces") {
			t.Errorf("an organisation: %+v", org)
		}
		// A link of an organisation's connection is bound to the organisation.
		row := r.Row(open.db, connection.Key{AppID: "A0RENEWAL1", EnterpriseID: "E0GRID0001"})
		r.visitor(open).installs(open.Links().GrantURL(row), "U0GRIDADM1", slacksim.Choice{Org: true}).is(t, "its link", 200,
			"already_connected")
		r.visitor(open).installs(open.Links().GrantURL(row), slacksim.AcmeAdmin, slacksim.Choice{}).is(t,
			"its link, for a workspace", 409, "wrong_workspace")
	})
}

// Begun over http, or under another name, the cookie stays behind. The page says so instead of blaming the browser.
func TestBegunAtAnotherAddress(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(nil)
	for name, begun := range map[string]http.Header{
		"over http":    {"X-Forwarded-Proto": {"http"}},
		"another host": {"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"10.0.0.5:3000"}},
	} {
		v := r.visitor(in)
		v.header = begun
		authorize, _ := v.asks(start)
		v.cookie, v.header = "", http.Header{"X-Forwarded-Proto": {"https"}}
		back := v.allows(authorize, slacksim.AcmeAdmin, slacksim.Choice{})
		v.get(back).is(t, name, 421, "other_address")
	}
	// A browser that has a cookie of ours is another one, whatever address the install began at.
	v := r.visitor(in)
	v.header = http.Header{"X-Forwarded-Proto": {"http"}}
	authorize, _ := v.asks(start)
	other := r.visitor(in)
	other.get(start)
	other.get(v.allows(authorize, slacksim.AcmeAdmin, slacksim.Choice{})).is(t, "another browser", 400, "other_browser")

	v = r.visitor(in)
	v.header = http.Header{"X-Forwarded-Proto": {"https"}}
	authorize, _ = v.asks(start)
	v.cookie = ""
	v.get(v.allows(authorize, slacksim.AcmeAdmin, slacksim.Choice{})).is(t, "the right address without the cookie", 400,
		"other_browser")
}

func TestUndo(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		k := connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}
		dana := slacksim.AcmeAdmin
		connect := func() (*visitor, seen) {
			t.Helper()
			v := r.visitor(in)
			p := v.installs(start, dana, slacksim.Choice{})
			if p.Undo == "" {
				t.Fatalf("no undo: %+v", p)
			}
			return v, p
		}
		v, p := connect()
		v.get(start+"?link="+p.Undo).is(t, "taken for a link", 400, "link_broken")
		r.visitor(in).undo(p.Undo).is(t, "another browser", 403, "undo_other_browser")
		other := r.visitor(in)
		other.get(start)
		other.undo(p.Undo).is(t, "another browser of ours", 403, "undo_other_browser")
		v.undo(p.Undo[:len(p.Undo)-1]).is(t, "cut short", 400, "undo_broken")
		v.undo(strings.SplitAfter(in.Links().GrantURL(r.Row(in.db, k)), "link=")[1]).is(t, "a link", 400, "undo_broken")
		v.undo("").is(t, "nothing", 400, "undo_broken")
		r.Works(r.Is(in.db, k, connection.Active, ""))

		// Slack refuses, and gives no clear answer: nothing is erased, and it can be tried again.
		r.Slack.Inject(slacksim.Fault{Method: "apps.uninstall", Error: "must_revoke_access", Times: 1})
		refused := v.undo(p.Undo).is(t, "Slack refuses", 502, "undo_refused")
		v.undo(p.Undo).is(t, "the same again", 409, "undo_under_way")
		r.Slack.Inject(slacksim.Fault{Method: "apps.uninstall", Error: "internal_error", Times: 1})
		refused = v.undo(refused.Undo).is(t, "no clear answer", 502, "undo_unclear")
		r.Works(r.Is(in.db, k, connection.Active, ""))
		// Once, however often it is pressed.
		var done, used atomic.Int32
		var all sync.WaitGroup
		for range 5 {
			w := &visitor{r: r, in: in, cookie: v.cookie, header: http.Header{}}
			all.Go(func() {
				switch p := w.undo(refused.Undo); p.Reason {
				case "undone":
					done.Add(1)
				case "undo_used", "undo_under_way":
					used.Add(1)
				default:
					t.Errorf("%d %+v", p.status, p)
				}
			})
		}
		all.Wait()
		if done.Load() != 1 || used.Load() != 4 {
			t.Errorf("undone %d times, refused %d times", done.Load(), used.Load())
		}
		c := r.Is(in.db, k, connection.Removed, connection.ReasonDisconnected)
		if _, there := r.Slack.Installed(slacksim.Acme); there || c.Token != "" {
			t.Error("it is not gone")
		}
		lines, err := in.History(r.Ctx, c, 5)
		if err != nil || len(lines) == 0 || lines[0].What != connection.DidDisconnect ||
			lines[0].By != connection.Person(dana) || lines[0].Outcome != connection.OutcomeDone {
			t.Errorf("history: %+v (%v)", lines, err)
		}

		// A reload offers it again, as long as it can be done.
		v = r.visitor(in)
		authorize, _ := v.asks(start)
		back := v.allows(authorize, dana, slacksim.Choice{})
		p = v.get(back).is(t, "back again", 200, "connected_again")
		reloaded := v.get(back).is(t, "reloaded", 200, "already_finished")
		if reloaded.Undo == "" || reloaded.Undo == p.Undo {
			t.Error("a reload offers no undo of its own")
		}
		v.undo(reloaded.Undo).is(t, "the reloaded one", 200, "undone")
		v.undo(p.Undo).is(t, "the first one", 409, "undo_used")

		// Somebody else relies on it.
		v, p = connect()
		r.Clock.Advance(time.Minute)
		if again := r.visitor(in).installs(start, slacksim.AcmeMember, slacksim.Choice{}); again.Undo != "" {
			t.Error("a reconnect can be undone")
		}
		v.undo(p.Undo).is(t, "connected again since", 409, "undo_reinstalled")
		r.Works(r.Is(in.db, k, connection.Active, ""))

		// Half an hour.
		r.Update(in.db, k, func(c *connection.Connection) { c.Erase(connection.Removed, "test", r.Clock.Now()) })
		_ = r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents)
		v = r.visitor(in)
		back = v.back(start, dana)
		p = v.get(back).is(t, "for half an hour", 200, "connected_again")
		r.Clock.Advance(30 * time.Minute)
		if late := v.get(back).is(t, "reloaded later", 200, "already_finished"); late.Undo != "" {
			t.Error("a reload after half an hour offers to undo")
		}
		v.undo(p.Undo).is(t, "after half an hour", 400, "undo_expired")
		if late := v.get("/slack/undo"); late.status != 404 {
			t.Errorf("a plain visit: %d", late.status)
		}
		r.Works(r.Is(in.db, k, connection.Active, ""))
		r.EmptyJournal()
	})
}

// A browser that is closed before its page comes loses nothing of what it began.
func TestWhoLeavesLosesNothing(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(nil)
	v := r.visitor(in)
	back := v.back(start, slacksim.AcmeAdmin)
	left, leave := context.WithCancel(r.Ctx)
	leave()
	p := v.send(httptest.NewRequest(http.MethodGet, back, nil).WithContext(left)).is(t, "an install", 200, "connected")

	press := httptest.NewRequest(http.MethodPost, stage.Redirect+"/slack/undo",
		strings.NewReader(url.Values{"undo": {p.Undo}}.Encode())).WithContext(left)
	press.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	v.send(press).is(t, "an undo", 200, "undone")
	r.Is(in.db, acmeKey, connection.Removed, connection.ReasonDisconnected)
}

// The button that undoes works for half an hour, so the cookie that it takes lasts as long.
func TestCookieLastsAsLongAsUndo(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(nil)
	v := r.visitor(in)
	req := httptest.NewRequest(http.MethodGet, v.back(start, slacksim.AcmeAdmin), nil)
	req.Header.Set("Cookie", v.cookie)
	w := httptest.NewRecorder()
	in.Handler().ServeHTTP(w, req)
	name, value, _ := strings.Cut(v.cookie, "=")
	set := w.Result().Cookies()
	if len(set) != 1 || set[0].Name != name || set[0].Value != value || set[0].MaxAge != 30*60 || !set[0].HttpOnly {
		t.Errorf("the page of an install sets %+v", set)
	}
}
