package connection

// Who may act on a connection: asked of Slack at the moment of the act, in every way in.

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// What users.info says of somebody decides, and only what it says of the connection's own workspace or organisation.
func TestStandingIn(t *testing.T) {
	alone := connection.Connection{ID: "con_1", Key: connection.Key{TeamID: "T1"}}
	grid := connection.Connection{ID: "con_1", Key: connection.Key{EnterpriseID: "E1", TeamID: "T1"}}
	org := connection.Connection{ID: "con_1", Key: connection.Key{EnterpriseID: "E1"}}
	in := func(enterprise string, teams ...string) slack.EnterpriseUser {
		return slack.EnterpriseUser{EnterpriseID: enterprise, Teams: teams}
	}
	orgAdmin, orgOwner, otherOrgAdmin := in("E1", "T1"), in("E1", "T1"), in("E9", "T1")
	orgAdmin.IsAdmin, orgOwner.IsOwner, otherOrgAdmin.IsAdmin = true, true, true
	elsewhereOrgAdmin := in("E1", "T2")
	elsewhereOrgAdmin.IsAdmin = true

	for name, test := range map[string]struct {
		c         connection.Connection
		u         slack.User
		installer bool
		want      standing
	}{
		"member":                       {alone, slack.User{TeamID: "T1"}, false, member},
		"admin":                        {alone, slack.User{TeamID: "T1", IsAdmin: true}, false, keeper},
		"owner":                        {alone, slack.User{TeamID: "T1", IsOwner: true}, false, keeper},
		"primary owner":                {alone, slack.User{TeamID: "T1", IsPrimaryOwner: true}, false, keeper},
		"installer":                    {alone, slack.User{TeamID: "T1"}, true, keeper},
		"deactivated admin":            {alone, slack.User{TeamID: "T1", IsAdmin: true, Deleted: true}, false, stranger},
		"deactivated installer":        {alone, slack.User{TeamID: "T1", Deleted: true}, true, stranger},
		"guest":                        {alone, slack.User{TeamID: "T1", IsRestricted: true}, false, guest},
		"single-channel guest":         {alone, slack.User{TeamID: "T1", IsUltraRestricted: true}, false, guest},
		"installer, now a guest":       {alone, slack.User{TeamID: "T1", IsRestricted: true}, true, guest},
		"installer, one channel":       {alone, slack.User{TeamID: "T1", IsUltraRestricted: true}, true, guest},
		"a guest flagged admin":        {alone, slack.User{TeamID: "T1", IsRestricted: true, IsAdmin: true}, false, guest},
		"a bot flagged admin":          {alone, slack.User{TeamID: "T1", IsBot: true, IsAdmin: true}, true, stranger},
		"a stranger flagged":           {alone, slack.User{TeamID: "T1", IsStranger: true, IsAdmin: true}, true, stranger},
		"another company's admin":      {alone, slack.User{TeamID: "T9", IsAdmin: true}, false, stranger},
		"installer, elsewhere by now":  {alone, slack.User{TeamID: "T9"}, true, stranger},
		"nothing is said":              {alone, slack.User{}, true, stranger},
		"joined an organisation since": {alone, slack.User{TeamID: "E1", Enterprise: in("E1", "T1")}, true, keeper},

		"grid: member": {grid, slack.User{TeamID: "T1", Enterprise: in("E1", "T1")}, false, member},
		"grid: admin": {grid, slack.User{TeamID: "T1", IsAdmin: true, Enterprise: in("E1", "T1")},
			false, keeper},
		"grid: admin, by the organisation": {grid, slack.User{TeamID: "E1", IsAdmin: true, Enterprise: in("E1", "T1")},
			false, keeper},
		"grid: a sister's admin": {grid, slack.User{TeamID: "T2", IsAdmin: true, Enterprise: in("E1", "T2")},
			false, stranger},
		"grid: a sister's installer": {grid, slack.User{TeamID: "T2", Enterprise: in("E1", "T2")}, true, stranger},
		"grid: the sister's admin, in both": {grid, slack.User{TeamID: "T2", IsAdmin: true, Enterprise: in("E1", "T1", "T2")},
			false, member},
		"grid: the installer, in both": {grid, slack.User{TeamID: "T2", Enterprise: in("E1", "T1", "T2")}, true, keeper},
		"grid: org admin":              {grid, slack.User{TeamID: "T1", Enterprise: orgAdmin}, false, keeper},
		"grid: org admin, not in it": {grid, slack.User{TeamID: "T2", IsAdmin: true, Enterprise: elsewhereOrgAdmin}, false,
			stranger},
		"grid: admin of another org": {grid, slack.User{TeamID: "T1", Enterprise: otherOrgAdmin}, false, member},
		"grid: guest":                {grid, slack.User{TeamID: "T1", IsRestricted: true, Enterprise: orgAdmin}, true, guest},

		"org: member":           {org, slack.User{TeamID: "T1", Enterprise: in("E1", "T1")}, false, member},
		"org: workspace admin":  {org, slack.User{TeamID: "T1", IsAdmin: true, Enterprise: in("E1", "T1")}, false, member},
		"org: its admin":        {org, slack.User{TeamID: "T1", Enterprise: orgAdmin}, false, keeper},
		"org: its owner":        {org, slack.User{TeamID: "T1", Enterprise: orgOwner}, false, keeper},
		"org: installer":        {org, slack.User{TeamID: "T2", Enterprise: in("E1", "T2")}, true, keeper},
		"org: guest":            {org, slack.User{TeamID: "T1", IsRestricted: true, Enterprise: in("E1", "T1")}, true, guest},
		"org: admin of another": {org, slack.User{TeamID: "T1", Enterprise: otherOrgAdmin}, true, stranger},
		"org: deactivated":      {org, slack.User{TeamID: "T1", Deleted: true, Enterprise: orgAdmin}, true, stranger},
		"org: nothing is said":  {org, slack.User{TeamID: "T1"}, true, stranger},
	} {
		if got := standingIn(test.c, &test.u, test.installer); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// On Grid an admin of another workspace of the organisation is nobody to this one's connection, whatever the payload
// names as theirs; one who belongs to both is a member of this one.
func TestSisterWorkspaceDecidesNothing(t *testing.T) {
	const one, two, org = "T0GRID0001", "T0GRID0002", "E0GRID0001"
	sim := smallSlack(t)
	sim.AddWorkspace(slacksim.Workspace{ID: one, Name: "Grid One", Domain: "grid-one", EnterpriseID: org,
		EnterpriseName: "Grid Inc"})
	sim.AddWorkspace(slacksim.Workspace{ID: two, Name: "Grid Two", Domain: "grid-two", EnterpriseID: org,
		EnterpriseName: "Grid Inc"})
	sim.AddUser(slacksim.User{ID: "U0GRIDORG1", TeamID: two, Name: "oda", Admin: true, OrgAdmin: true})
	sim.AddUser(slacksim.User{ID: "U0GRIDONE1", TeamID: one, Name: "one", Admin: true})
	sim.AddUser(slacksim.User{ID: "U0GRIDTWO1", TeamID: two, Name: "two", Admin: true})
	sim.AddUser(slacksim.User{ID: "U0GRIDTWO2", TeamID: two, Name: "too", Admin: true, AlsoIn: []string{one}})
	client := installed(t, sim, "U0GRIDONE1", slacksim.Choice{})
	for user, want := range map[string]standing{"U0GRIDONE1": keeper, "U0GRIDTWO1": stranger, "U0GRIDTWO2": member,
		"U0GRIDORG1": stranger} {
		for _, named := range []string{"", org, one, two} {
			turn := turnOf(t, user, historyStore{})
			turn.Client, turn.UserTeam, turn.Connection.Key = client, named,
				connection.Key{AppID: "A1", EnterpriseID: org, TeamID: one}
			if is, err := standingOf(context.Background(), turn); is != want || err != nil {
				t.Errorf("%s, placed in %q: %v %v, want %v", user, named, is, err, want)
			}
		}
	}
}

// Who installed the app has its rights for as long as they are a full member: each way to act asks anew, also a button
// and a window that were shown before.
func TestInstallerWhoIsAGuestActsOnNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := play(t, storagetest.SQLite(t)) // Leon installed it
	has(t, "his details", s.command(leon, "details"), "Disconnect…", "Check again")
	buttons, _ := s.last(general, leon)
	has(t, "his Home tab", s.home(leon), "Disconnect…")
	s.command(leon, "disconnect")
	window := s.window(leon).ID
	s.sim.AddUser(slacksim.User{ID: leon, TeamID: slacksim.Acme, Name: "leon", Guest: true})

	refused := func(how, shown string) {
		t.Helper()
		has(t, how, shown, notGuests, "Ask a workspace admin.", "!/slack/install?", "!Installed. By")
	}
	ack, err := s.sim.SubmitView(ctx, leon, window, nil)
	if err != nil || ack.Status != http.StatusOK {
		t.Fatalf("submit: %v %d", err, ack.Status)
	}
	v := s.window(leon)
	refused("the window of before", read("", v.Blocks))
	closeIt := func(id string) {
		t.Helper()
		if _, err := s.sim.CloseView(ctx, leon, id, true); err != nil {
			t.Fatal(err)
		}
	}
	closeIt(v.ID)
	for _, w := range []string{"history", "reconnect", "test", "disconnect"} {
		asked := len(s.sim.Calls("users.info"))
		refused("typed "+w, s.command(leon, w))
		_, shown := s.write(leon, w)
		refused("written "+w, shown)
		if n := len(s.sim.Calls("users.info")) - asked; n != 2 {
			t.Errorf("%s: Slack was asked %d times who he is", w, n)
		}
	}
	pressed := func(action string, value ...string) {
		t.Helper()
		if ack, err := s.sim.Press(ctx, leon, general, buttons.TS, action, value...); err != nil ||
			ack.Status != http.StatusOK {
			t.Fatalf("press %s: %v %d", action, err, ack.Status)
		}
		s.wait("the refusal of "+action, func() bool {
			m, shown := s.last(general, leon)
			return m.TS != buttons.TS && strings.Contains(shown, "Guests can't use this button")
		})
	}
	pressed(actionTest)
	pressed(actionPermissions)
	for _, w := range []string{"history", "support", "disconnect"} {
		pressed(actionMore, w)
	}
	for _, w := range []string{"permissions", "test", "history", "support", "disconnect"} {
		if ack, err := s.sim.PressHome(ctx, leon, actionMore, w); err != nil || ack.Status != http.StatusOK {
			t.Fatalf("press %s at home: %v %d", w, err, ack.Status)
		}
		v := s.window(leon)
		refused(w+" at home", read("", v.Blocks))
		closeIt(v.ID)
	}

	// What everybody can ask for tells a guest the state and no more.
	if ack, err := s.sim.PressHome(ctx, leon, actionDetails); err != nil || ack.Status != http.StatusOK {
		t.Fatalf("details at home: %v %d", err, ack.Status)
	}
	v = s.window(leon)
	has(t, "details at home", read("", v.Blocks), "*Working*.", "!Acme Corp", `!"type":"button"`)
	closeIt(v.ID)
	if ack, err := s.sim.Press(ctx, leon, general, buttons.TS, actionCheck); err != nil || ack.Status != http.StatusOK {
		t.Fatalf("check: %v %d", err, ack.Status)
	}
	s.wait("the state in the place of his card", func() bool {
		for _, m := range s.sim.Messages(general, leon) {
			if shown := read(m.Text, m.Blocks); m.TS == buttons.TS {
				return strings.Contains(shown, "✅ *Working*.") && !strings.Contains(shown, "Acme Corp") &&
					!strings.Contains(shown, `"type":"button"`)
			}
		}
		return false
	})
	has(t, "status", s.command(leon, "status"), `!"type":"button"`, "!Connected by")
	has(t, "permissions", s.command(leon, "permissions"), `!"type":"button"`)
	has(t, "the Home tab", s.home(leon), `!"type":"button"`)
	if _, there := s.sim.Installed(slacksim.Acme); !there || s.connection().State != connection.Active {
		t.Error("a guest disconnected it")
	}
	for _, c := range s.sim.Calls("chat.postMessage") {
		if strings.Contains(c.Arg("text"), "This is the test message") {
			t.Error("a guest had a test message sent")
		}
	}
}

// Where Slack doesn't say who the installer is by now, they are refused as everybody is, with the reason and the next
// step.
func TestNobodyActsUnasked(t *testing.T) {
	t.Parallel()
	s := play(t, storagetest.SQLite(t))
	for _, test := range []struct {
		name  string
		fault slacksim.Fault
		says  string
	}{
		{"without permission", slacksim.Fault{Method: "users.info", Error: "missing_scope"},
			"Slack couldn't be asked whether you can "},
		{"knows no such person", slacksim.Fault{Method: "users.info", Error: "user_not_found"},
			"Only people in the workspace that installed this app can "},
		{"in trouble", slacksim.Fault{Method: "users.info", Status: 500}, "We couldn't ask Slack whether you can do that."},
		// for half a minute from here on
		{"limited", slacksim.Fault{Method: "users.info", RetryAfter: 30}, "We couldn't ask Slack whether you can do that."},
	} {
		end := s.sim.Inject(test.fault)
		for _, w := range []string{"history", "test", "disconnect"} {
			has(t, test.name+": "+w, s.command(leon, w), test.says, "!Installed. By")
		}
		if len(s.sim.OpenViews(leon)) != 0 {
			t.Errorf("%s: a window was opened", test.name)
		}
		end()
	}
}

// Slack's own word, signed and sent to the door, is in the status while it is true.
func TestStatusSaysThatEventsAreHeldBack(t *testing.T) {
	t.Parallel()
	s := play(t, storagetest.SQLite(t))
	has(t, "before", s.command(mia, "status"), "!holding back")
	minute := time.Now().Truncate(time.Minute)
	body := fmt.Sprintf(
		`{"token":"x","type":"app_rate_limited","api_app_id":"A0SWITCH01","team_id":%q,"minute_rate_limited":%d}`,
		slacksim.Acme, minute.Unix())
	if ack := s.sim.Sender.Deliver(context.Background(), slacksim.Raw{Body: []byte(body)}); ack.Status != http.StatusOK {
		t.Fatalf("%+v", ack)
	}
	look, end := time.NewTicker(5*time.Millisecond), time.After(20*time.Second)
	defer look.Stop()
	for s.connection().EventsHeldAt.IsZero() { // it is written down behind the acknowledgement
		select {
		case <-look.C:
		case <-end:
			t.Fatal("it is never written down")
		}
	}
	want := "Slack has been holding back events from this workspace since " + mrkdwn.Time(nil, minute) + " (last heard " +
		mrkdwn.Time(nil, minute) + ")"
	has(t, "a member", s.command(mia, "status"), "Working", "not everything reaches it", "!Nothing to do", want)
	has(t, "the installer", s.command(leon, "check"), want)
	has(t, "the Home tab", s.home(mia), want)
	has(t, "a guest", s.command(gus, "status"), "!holding back")
}
