package oauth

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// What an install led to follows from what was there before.
func TestHeadlines(t *testing.T) {
	t.Parallel()
	ps := &pages{Config: &Config{App: App{Name: "Hello"}, Scopes: []connection.Scope{
		{Name: "chat:write", Label: "Send messages"}, {Name: "files:write", Label: "Send files", Optional: true},
	}}}
	full := connection.Connection{ID: "con_1", Key: connection.Key{TeamID: "T1"}, State: connection.Active,
		AuthorizedAt: noon, AuthorizedBy: "U1", InstalledBy: "U1", InstalledByName: "Dana",
		Scopes: []string{"chat:write", "files:write"}}
	with := func(change func(c *connection.Connection)) connection.Connection {
		c := full
		change(&c)
		return c
	}
	by := func(user string, ago time.Duration) connection.Connection {
		return with(func(c *connection.Connection) { c.AuthorizedBy, c.AuthorizedAt = user, noon.Add(-ago) })
	}
	less := with(func(c *connection.Connection) { c.Scopes = []string{"chat:write"} })
	org := with(func(c *connection.Connection) { c.Key = connection.Key{EnterpriseID: "E1"} })
	in := func(state connection.State) connection.Connection {
		return with(func(c *connection.Connection) { c.State = state })
	}
	first := func(now connection.Connection) installed { return installed{now: now} }
	after := func(now, was connection.Connection, by string) installed {
		return installed{now: now, before: &was, by: by}
	}
	reload := func(now, was connection.Connection) installed { return installed{now: now, before: &was, again: true} }
	for name, test := range map[string]struct {
		i            installed
		reason, says string
	}{
		"first":              {first(full), "connected", "It's ready to use."},
		"of an organisation": {first(org), "connected_org", "Next: add it to workspaces."},
		"after a removal":    {after(full, in(connection.Removed), "U1"), "connected_again", "Welcome back."},
		"a reload":           {reload(full, full), "already_finished", "Nothing to do."},
		"an old reload":      {reload(full, in(connection.Removed)), "already_finished", "Nothing to do."},
		"organisation, again": {reload(org, org), "already_finished",
			"An organisation admin adds it to workspaces"},
		"paused": {after(in(connection.Paused), in(connection.Paused), "U1"), "paused", "have paused it here"},
		"it needed reconnecting": {after(full, in(connection.ReconnectRequired), "U1"), "reconnected",
			"It's ready to use again."},
		"more than before": {after(full, less, "U1"), "permissions_updated", "Now allowed: send files."},
		"less than before": {after(less, full, "U1"), "permissions_updated", "No longer allowed: send files."},
		"a colleague installed a moment ago": {after(full, by("U1", 19*time.Minute), "U2"), "connected_by_other",
			"Dana connected this workspace a moment ago."},
		"a colleague reconnected a moment ago": {after(full, by("U3", 19*time.Minute), "U2"), "connected_by_other",
			"Somebody else connected this workspace a moment ago."},
		"a colleague, long ago": {after(full, by("U1", 20*time.Minute), "U2"), "already_connected", "Nothing to do."},
		"the same person":       {after(full, full, "U1"), "already_connected", "Nothing to do."},
		"the same, limited":     {after(less, less, "U1"), "already_connected", "It's connected as before."},
	} {
		p := ps.headline(test.i, "Acme")
		said := strings.Join(append(p.Facts, p.Happened), "\n")
		if p.Reason != test.reason || !strings.Contains(said, test.says) {
			t.Errorf("%s: %s %s", name, p.Reason, said)
		}
		if known := slices.Contains(successes[p.outcome], p.Reason); !known {
			t.Errorf("%s: no number counts %s %s", name, p.outcome, p.Reason)
		}
	}
}

// A link comes back to a channel and to nothing else, and first steps are those that the app asks for and is allowed.
func TestWhereNext(t *testing.T) {
	t.Parallel()
	l := &links.Links{PublicURL: "https://bot.example.com", Now: func() time.Time { return noon }}
	ps := &pages{Config: &Config{App: App{Name: "Hello"}, Links: l, Slack: &slackapi.API{Address: "https://slack.com"},
		Scopes: []connection.Scope{{Name: "chat:write"}, {Name: "im:history"}}}}
	c := connection.Connection{ID: "con_1", Key: connection.Key{AppID: "A1", TeamID: "T1"},
		Scopes: []string{"app_mentions:read", "chat:write", "im:history"}}
	for back, want := range map[string]string{"": "app=A1&team=T1", "C0GENERAL": "channel=C0GENERAL&team=T1",
		"https://evil.example.com": "app=A1&team=T1", "C1&team=T2": "app=A1&team=T1"} {
		p := &page{}
		ps.whereNext(p, installed{now: c, request: links.GrantRequest{Back: back}}, nil)
		if p.Primary.URL != "https://slack.com/app_redirect?"+want {
			t.Errorf("back to %q leads to %s", back, p.Primary.URL)
		}
	}

	// One main way into Slack, and at most one other.
	for name, missing := range map[string][]connection.Scope{"all is allowed": nil,
		"one is missing": {{Name: "im:history"}}} {
		p := &page{}
		ps.whereNext(p, installed{now: c}, missing)
		opens := 0
		for _, a := range append(p.More, p.Primary, p.Secondary) {
			if !strings.HasPrefix(a.URL, l.PublicURL) {
				opens++
			}
		}
		if opens < 1 || opens > 2 {
			t.Errorf("%s: %d ways into Slack: %+v %+v %+v", name, opens, p.Primary, p.Secondary, p.More)
		}
	}

	if steps := strings.Join(ps.firstSteps(c), " "); !strings.Contains(steps, "direct message") ||
		strings.Contains(steps, "/invite") {
		t.Errorf("it isn't asked to hear mentions: %s", steps)
	}
	ps.App.Does, ps.App.Commands.Status = []string{"Type `/first`.", "Type /second."}, "/how"
	if steps := ps.firstSteps(c); len(steps) != 3 || steps[0] != "Type `/first`." || !strings.Contains(steps[2], "/how") {
		t.Errorf("what it does comes first, and whether it works last: %q", steps)
	}
	ps.App = App{Name: "Hello"}
	c.Scopes = []string{"chat:write"}
	if steps := ps.firstSteps(c); len(steps) != 0 {
		t.Errorf("it isn't allowed to read: %q", steps)
	}
}

// A workspace's picture becomes part of the page if it is one, and is fetched from nowhere that isn't safe.
func TestIcon(t *testing.T) {
	t.Parallel()
	const png = "\x89PNG\x0D\x0A\x1A\x0A"
	answers := map[string]string{"/png": png, "/svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
		"/html": "<html><script>alert(1)</script>", "/large": png + strings.Repeat("x", maxIcon), "/gone": png}
	asked := 0
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Content-Type", "image/png") // whatever is said of it
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(answers[r.URL.Path]))
	})
	slack, other := httptest.NewServer(serve), httptest.NewServer(serve)
	defer slack.Close()
	defer other.Close()

	ps := &pages{Config: &Config{Slack: &slackapi.API{Address: slack.URL, HTTP: slack.Client()}}}
	if got := ps.icon(t.Context(), slack.URL+"/png"); !strings.HasPrefix(string(got), "data:image/png;base64,iVBORw0K") {
		t.Errorf("a picture is %q", got)
	}
	for _, address := range []string{slack.URL + "/svg", slack.URL + "/html", slack.URL + "/large", slack.URL + "/gone"} {
		if got := ps.icon(t.Context(), address); got != "" {
			t.Errorf("%s is shown: %.60q", address, got)
		}
	}
	asked = 0
	for _, address := range []string{other.URL + "/png", "file:///etc/passwd", "", "%"} {
		if got := ps.icon(t.Context(), address); got != "" || asked != 0 {
			t.Errorf("%q was asked for %d times, and is %.60q", address, asked, got)
		}
	}
}
