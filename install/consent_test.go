package install_test

// A code is spent and tokens live once Slack has answered: nothing in the answer may throw them away, and nothing may
// keep them from being renewed.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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

// answering is a client for which change edits what Slack answers to a method, before anybody reads it.
func answering(method string, change func(answer map[string]any)) func(*install.Config) {
	return func(cfg *install.Config) {
		cfg.HTTP = stage.Between(method, func(resp *http.Response) {
			var answer map[string]any
			if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
				panic(err)
			}
			change(answer)
			body, _ := json.Marshal(answer)
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			resp.Header.Del("Content-Length")
		})
	}
}

// odd are answers to a code with fields of other types than Slack documents.
var odd = map[string]func(a map[string]any){
	"a life as text":               func(a map[string]any) { a["expires_in"] = "43200" },
	"a life as text with a point":  func(a map[string]any) { a["expires_in"] = "43200.0" },
	"flags as text":                func(a map[string]any) { a["ok"], a["is_enterprise_install"] = "true", "false" },
	"flags as numbers":             func(a map[string]any) { a["ok"], a["is_enterprise_install"] = 1, 0.0 },
	"a type in capitals":           func(a map[string]any) { a["token_type"] = "BOT" },
	"no type":                      func(a map[string]any) { delete(a, "token_type") },
	"scopes as a list":             func(a map[string]any) { a["scope"] = strings.Split(a["scope"].(string), ",") },
	"an enterprise that is a flag": func(a map[string]any) { a["enterprise"] = false },
	"a workspace that is a list":   func(a map[string]any) { a["team"] = []any{a["team"]} },
	"a workspace without an id":    func(a map[string]any) { a["team"] = map[string]any{"name": true} },
	"a person that is text":        func(a map[string]any) { a["authed_user"] = "U1" },
	"a webhook that is a number":   func(a map[string]any) { a["incoming_webhook"] = 7 },
	"an app id that is null":       func(a map[string]any) { a["app_id"] = nil },
	"a bot that is an object":      func(a map[string]any) { a["bot_user_id"] = map[string]any{} },
	"fields nobody knows": func(a map[string]any) {
		a["team_ids"], a["error"], a["needed"] = []int{1}, nil, []string{}
	},
	"no life":                  func(a map[string]any) { delete(a, "expires_in") },
	"a life of nothing":        func(a map[string]any) { a["expires_in"] = 0 },
	"a life below nothing":     func(a map[string]any) { a["expires_in"] = -1 },
	"a life without an end":    func(a map[string]any) { a["expires_in"] = 1e300 },
	"a life that is no number": func(a map[string]any) { a["expires_in"] = "soon" },
}

func TestOddConsentIsKept(t *testing.T) {
	for name, change := range odd {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, storagetest.SQLite(t))
			in := r.replica(func(cfg *install.Config) {
				cfg.AppID = "A0RENEWAL1"
				answering("oauth.v2.access", change)(cfg)
			})
			c := r.connect(in, slacksim.AcmeAdmin)
			r.Works(c)
			early, late := r.Clock.Now().Add(stage.Life*15/24), r.Clock.Now().Add(stage.Life*17/24)
			if c.RenewAt.Before(early) || c.RenewAt.After(late) || !c.ExpiresAt.Equal(r.Clock.Now().Add(stage.Life)) {
				t.Errorf("to be renewed at %v, ends at %v, now %v", c.RenewAt, c.ExpiresAt, r.Clock.Now())
			}
			if c.State != connection.Active || len(c.Scopes) != 2 {
				t.Errorf("%s, scopes %v", c.State, c.Scopes)
			}
		})
	}
}

// Of an organisation's install, too, Slack is asked whose it is where the answer doesn't say so.
func TestOddConsentOfAnOrganisation(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	r.Slack.SetApp(func(a *slacksim.App) { a.OrgReady = true })
	r.Slack.AddWorkspace(slacksim.Workspace{ID: "T0GRID0001", Name: "Grid One", EnterpriseID: "E0GRID0001",
		EnterpriseName: "Grid Inc"})
	r.Slack.AddUser(slacksim.User{ID: "U0GRIDADM1", TeamID: "T0GRID0001", Name: "gia", Admin: true})
	in := r.replica(answering("oauth.v2.access", func(a map[string]any) { a["enterprise"], a["team"] = false, false }))
	r.visitor(in).installs(start, "U0GRIDADM1", slacksim.Choice{Org: true}).is(t, "an organisation", 200, "connected_org")
	r.Row(in.db, connection.Key{AppID: "A0RENEWAL1", EnterpriseID: "E0GRID0001"})
}

// The same for a renewal and for a person's token, whose answers are read by the same rules.
func TestLivesThatSlackDidNotSay(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	in := r.replica(func(cfg *install.Config) {
		cfg.UserScopes = []connection.Scope{{Name: "search:read"}}
		answering("oauth.v2.access", func(a map[string]any) {
			delete(a, "expires_in")
			if person, ok := a["authed_user"].(map[string]any); ok {
				person["expires_in"] = "0"
			}
		})(cfg)
	})
	c := r.connect(in, slacksim.AcmeAdmin)
	person := connection.TokenOwner{Key: c.Key, UserID: slacksim.AcmeAdmin}
	for round := range 3 {
		c = r.Row(in.db, c.Key)
		u, err := in.db.GetUser(r.Ctx, person)
		if err != nil {
			t.Fatal(err)
		}
		for what, chain := range map[string]connection.TokenPair{"bot": c.TokenPair, "person": u.TokenPair} {
			if left := chain.RenewAt.Sub(r.Clock.Now()); left <= 0 || left > stage.Life || chain.ExpiresAt.IsZero() {
				t.Errorf("round %d, %s: to be renewed in %v", round, what, left)
			}
		}
		r.Due()
		if n, err := in.RenewDue(r.Ctx); n != 2 || err != nil {
			t.Fatalf("round %d: %d renewed, %v", round, n, err)
		}
	}
}

// Tokens brought from elsewhere are renewed ahead of their end, however little their old home said of them.
func TestImportedTokensAreRenewedAhead(t *testing.T) {
	for name, chain := range map[string]func(was connection.TokenPair, now time.Time) connection.TokenPair{
		"by hand": func(was connection.TokenPair, _ time.Time) connection.TokenPair {
			was.RenewAt = time.Time{}
			return was
		},
		"by hand, end not known": func(was connection.TokenPair, _ time.Time) connection.TokenPair {
			was.RenewAt, was.ExpiresAt = time.Time{}, time.Time{}
			return was
		},
		"Imported": func(was connection.TokenPair, now time.Time) connection.TokenPair {
			return connection.Imported(was.Token, was.RefreshToken, was.ExpiresAt, now)
		},
		"Imported, end not known": func(was connection.TokenPair, now time.Time) connection.TokenPair {
			return connection.Imported(was.Token, was.RefreshToken, time.Time{}, now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, storagetest.SQLite(t))
			old := r.replica(func(cfg *install.Config) { cfg.UserScopes = []connection.Scope{{Name: "search:read"}} })
			c := r.connect(old, slacksim.AcmeAdmin)
			u, err := old.db.GetUser(r.Ctx, connection.TokenOwner{Key: c.Key, UserID: slacksim.AcmeAdmin})
			if err != nil {
				t.Fatal(err)
			}
			r.Database = storagetest.SQLite(t) // from here on elsewhere
			in := r.replica(nil)
			c.ID, c.TokenPair = "", chain(c.TokenPair, r.Clock.Now())
			u.TokenPair = connection.Imported(u.Token, u.RefreshToken, u.ExpiresAt, r.Clock.Now())
			if _, err := in.db.Add(r.Ctx, c); err != nil {
				t.Fatal(err)
			}
			if err := in.db.AddUser(r.Ctx, u); err != nil {
				t.Fatal(err)
			}
			r.Clock.Advance(stage.Life - 10*time.Minute)
			if n, err := in.RenewDue(r.Ctx); n != 2 || err != nil {
				t.Errorf("ten minutes before their end %d were renewed (%v), not 2", n, err)
			}
		})
	}
	if c := connection.Imported("xoxb-1", "", time.Time{}, time.Now()); !c.RenewAt.IsZero() || !c.ExpiresAt.IsZero() {
		t.Errorf("a token that lives for ever: %v %v", c.RenewAt, c.ExpiresAt)
	}
}

// An answer for another app than the one that is served is not stored, whatever it brings.
func TestConsentOfAnotherAppIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	in := r.replica(func(cfg *install.Config) { cfg.AppID = "A0ANOTHER1" })
	v := r.visitor(in)
	v.installs(start, slacksim.AcmeAdmin, slacksim.Choice{}).is(t, "another app", http.StatusBadGateway, "not_set_up")
	if all, err := in.db.List(r.Ctx); err != nil || len(all) != 0 {
		t.Errorf("%d connections, %v", len(all), err)
	}
	r.EmptyJournal()
}

// The exchange and auth.test have to mean the same workspace.
func TestTokenOfAnotherWorkspaceIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	in := r.replica(answering("auth.test", func(a map[string]any) { a["team_id"] = slacksim.Birch }))
	r.visitor(in).installs(start, slacksim.AcmeAdmin, slacksim.Choice{}).is(t, "another workspace",
		http.StatusInternalServerError, "unexpected")
	if all, err := in.db.List(r.Ctx); err != nil || len(all) != 0 {
		t.Errorf("%d connections, %v", len(all), err)
	}
	r.EmptyJournal()
}

// Without a bot's token there is no connection.
func TestConsentWithoutABotIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(a map[string]any){
		"no token":        func(a map[string]any) { delete(a, "access_token") },
		"a user's token":  func(a map[string]any) { a["token_type"] = "user" },
		"one in capitals": func(a map[string]any) { a["token_type"] = "USER" },
	} {
		r := newRig(t, storagetest.SQLite(t))
		in := r.replica(answering("oauth.v2.access", change))
		r.visitor(in).installs(start, slacksim.AcmeAdmin, slacksim.Choice{}).is(t, name, http.StatusBadGateway, "not_set_up")
		if all, err := in.db.List(r.Ctx); err != nil || len(all) != 0 {
			t.Errorf("%s: %d connections, %v", name, len(all), err)
		}
		r.EmptyJournal()
	}
}

// What Slack says of a token right after it gave it out is believed, also where a connection works that it would renew.
// That it has ended already happens to tokens that are renewed, and to no others.
func TestWordAfterTheExchangeCounts(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	in := r.replica(nil)
	says := func(what, word string) {
		t.Helper()
		r.Slack.Inject(slacksim.Fault{Method: "auth.test", Error: word, Times: 1})
		r.visitor(in).installs(start, slacksim.AcmeAdmin, slacksim.Choice{}).is(t, what, http.StatusBadGateway, "not_active")
		r.EmptyJournal()
	}
	c := r.connect(in, slacksim.AcmeAdmin)
	says("a reconnect", "account_inactive")
	if now := r.Row(in.db, c.Key); now.Token != c.Token {
		t.Error("a token that Slack doesn't take was stored")
	}

	r.Slack.SetApp(func(a *slacksim.App) { a.TokenRotation = false })
	r.Update(in.db, c.Key, func(c *connection.Connection) { c.Erase(connection.Removed, "test", r.Clock.Now()) })
	says("a token that never ends", "token_expired")
	r.Is(in.db, c.Key, connection.Removed, "test")
}

// A first install that the database could not take is stored later, unless the person was faster.
func TestInstallIsJournaled(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("again=%v", again), func(t *testing.T) {
			eachRig(t, func(t *testing.T, r *rig) {
				var in replica
				in = r.replica(func(cfg *install.Config) {
					cfg.HTTP = stage.Between("auth.test", func(*http.Response) { _ = in.db.Close() })
				})
				start := httptest.NewRecorder()
				in.Handler().ServeHTTP(start, httptest.NewRequest(http.MethodGet, stage.Redirect+"/slack/install", nil))
				back, err := r.Slack.Authorize(r.Ctx, start.Header().Get("Location"), slacksim.AcmeAdmin, slacksim.Choice{})
				if err != nil {
					t.Fatal(err)
				}
				callback := httptest.NewRequest(http.MethodGet, back, nil)
				callback.AddCookie(start.Result().Cookies()[0])
				w := httptest.NewRecorder()
				in.Handler().ServeHTTP(w, callback)
				if w.Code != http.StatusServiceUnavailable {
					t.Fatalf("callback: %d", w.Code)
				}

				next := r.replica(nil)
				if again {
					r.Clock.Advance(time.Second)
					r.connect(next, slacksim.AcmeAdmin)
				}
				r.Clock.Advance(time.Minute)
				r.settle(next)
				c := r.Row(next.db, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme})
				if c.State != connection.Active || c.InstalledBy != slacksim.AcmeAdmin || c.Installs != 1 {
					t.Errorf("%+v", c)
				}
				r.Works(c)
				r.EmptyJournal()
			})
		})
	}
}
