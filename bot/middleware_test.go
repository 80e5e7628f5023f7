package bot

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// passes reports whether middleware lets r in, and what who acted reads otherwise.
func passes(t *testing.T, m Middleware, r *Request) (in bool, told string) {
	t.Helper()
	err := m(func(context.Context, *Request) error { in = true; return nil })(t.Context(), r)
	word, refused := userWord(err)
	if refused == in || err != nil && !refused {
		t.Errorf("let in: %v, and the error is %v", in, err)
	}
	return in, word.Text
}

// saying is a Slack that answers every call alike, and the calls.
func saying(t *testing.T, answer string) (address string, calls *atomic.Int32) {
	calls = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(s.Close)
	return s.URL, calls
}

// ofAnn is a Request of a person in a workspace, as a Slack at an address knows it, by a clock.
func ofAnn(t *testing.T, slackURL string, now func() time.Time, scopes ...string) *Request {
	t.Helper()
	in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: noStore{}, SlackURL: slackURL, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	c := connection.Connection{ID: "con_1", Scopes: scopes, Key: connection.Key{AppID: "A1", TeamID: "T1"},
		TokenPair: connection.TokenPair{Token: "xoxb-1"}, State: connection.Active}
	return &Request{UserID: "UANN", UserTeam: "T1", TeamID: "T1", Ref: "REF", Log: slog.New(slog.DiscardHandler),
		Connection: c, Key: c.Key, Client: in.Client(c), Install: InstallationOf(in, c.Key, c)}
}

// Slack's word decides who is an admin, and what it doesn't say counts as no.
func TestAdminsOnly(t *testing.T) {
	t.Parallel()
	const couldNotAsk = "We couldn't ask Slack whether you're an admin."
	for name, test := range map[string]struct {
		answer string // of users.info
		change func(*Request)
		told   string // "": let in
	}{
		"an admin":             {`"id":"UANN","team_id":"T1","is_admin":true`, nil, ""},
		"an owner":             {`"id":"UANN","team_id":"T1","is_owner":true`, nil, ""},
		"a member":             {`"id":"UANN","team_id":"T1"`, nil, "Only workspace admins"},
		"of another workspace": {`"id":"UANN","team_id":"T2","is_admin":true`, nil, "Only workspace admins"},
		"deactivated":          {`"id":"UANN","team_id":"T1","is_admin":true,"deleted":true`, nil, "Only workspace admins"},
		"a stranger":           {`"id":"UANN","is_admin":true,"is_stranger":true`, nil, "Only workspace admins"},
		"Slack fails":          {"", nil, couldNotAsk},
		"without the permission": {`"id":"UANN","is_admin":true`, func(r *Request) {
			r.Connection.Scopes = nil
		}, couldNotAsk},
		"an admin of another company": {`"id":"UANN","is_admin":true`, func(r *Request) { r.outsider = true },
			"Only workspace admins"},
		"nobody acted":         {`"is_admin":true`, func(r *Request) { r.UserID = "" }, "Only workspace admins"},
		"without a connection": {"", func(r *Request) { r.Client = nil }, "Only workspace admins"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := `{"ok":true,"user":{` + test.answer + `}}`
			if test.answer == "" {
				answer = `{"ok":false,"error":"internal_error"}`
			}
			address, _ := saying(t, answer)
			r := ofAnn(t, address, nil, "users:read")
			if test.change != nil {
				test.change(r)
			}
			in, told := passes(t, AdminsOnly(), r)
			if in != (test.told == "") || !strings.HasPrefix(told, test.told) {
				t.Errorf("let in: %v, told %q, want %q", in, told, test.told)
			}
		})
	}
}

// The workspace or its organisation has to be among those.
func TestOnlyIn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		team, organisation string
		in                 bool
	}{{"T1", "", true}, {"T2", "E1", true}, {"T2", "E2", false}, {"T2", "", false}, {"", "", false}} {
		r := ofAnn(t, "", nil)
		r.TeamID, r.EnterpriseID = test.team, test.organisation
		if in, told := passes(t, OnlyIn("T1", "E1"), r); in != test.in {
			t.Errorf("%+v: let in %v, told %q", test, in, told)
		}
	}
}

// Each person has their own count, by workspace and handler, and it ends with the time.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_790_000_000, 0)
	opens := oneOf("async command", OpensModal(func(context.Context, *Request) (slack.ModalViewRequest, error) {
		return slack.ModalViewRequest{}, errors.New("not called")
	}))
	ann := func(change func(*Request)) *Request {
		r := ofAnn(t, "", func() time.Time { return now })
		r.handler = &Handler{Kind: KindCommand, Name: "/x"}
		if change != nil {
			change(r)
		}
		return r
	}
	nobody := func(r *Request) { r.UserID = "" }
	for name, test := range map[string]struct {
		first, next func(*Request)
		later       time.Duration
		in          bool
	}{
		"again":             {},
		"another person":    {next: func(r *Request) { r.UserID = "UBOB" }, in: true},
		"another workspace": {next: func(r *Request) { r.Key.TeamID, r.TeamID = "T2", "T2" }, in: true},
		"another handler": {next: func(r *Request) {
			r.handler = &Handler{Kind: KindCommand, Name: "/y"}
		}, in: true},
		"another attempt":          {next: func(r *Request) { r.Attempt = 2 }, in: true},
		"the first attempt":        {next: func(r *Request) { r.Attempt = 1 }},
		"nobody acted":             {first: nobody, next: nobody, in: true},
		"counted before its modal": {next: func(r *Request) { r.handler, r.Attempt = &opens, 1 }, in: true},
		"short of the time":        {later: time.Hour - time.Second},
		"when the time is over":    {later: time.Hour, in: true},
	} {
		limit, began := RateLimit(2, time.Hour), now
		for range 2 {
			if in, told := passes(t, limit, ann(test.first)); !in {
				t.Errorf("%s: the beginning is refused: %s", name, told)
			}
		}
		now = began.Add(test.later)
		if in, told := passes(t, limit, ann(test.next)); in != test.in {
			t.Errorf("%s: let in %v, told %q", name, in, told)
		}
		now = began
	}

	if in, told := passes(t, RateLimit(0, time.Hour), ann(nil)); in || !strings.Contains(told, "again in 60 minutes") {
		t.Errorf("none at all: let in %v, told %q", in, told)
	}
}
