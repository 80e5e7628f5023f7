package cli

// The right workspace every time: organisations beside older installs of their workspaces, workspaces that join one,
// channels that two companies share, and people of the other company. slacksim fails a test in which a token is used
// where it doesn't belong.

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// The organisation of these tests, with two workspaces.
const (
	grid             = "E0GRID0001"
	gridOne, gridTwo = "T0GRIDONE1", "T0GRIDTWO1"
	gridAdmin        = "U0GRIDGIA1" // of One
	gridMember       = "U0GRIDMIO1" // of Two
	oneGeneral       = "C0GRIDONEG"
	twoGeneral       = "C0GRIDTWOG"
	twoShared        = "C0GRIDSHAR" // with Acme
)

func (w *world) addGrid() {
	w.slack.AddWorkspace(slacksim.Workspace{ID: gridOne, Name: "Grid One", Domain: "grid-one", EnterpriseID: grid,
		EnterpriseName: "Grid Inc"})
	w.slack.AddWorkspace(slacksim.Workspace{ID: gridTwo, Name: "Grid Two", Domain: "grid-two", EnterpriseID: grid,
		EnterpriseName: "Grid Inc"})
	w.slack.AddUser(slacksim.User{ID: gridAdmin, TeamID: gridOne, Name: "gia", RealName: "Gia Park", Admin: true,
		Owner: true, PrimaryOwner: true})
	w.slack.AddUser(slacksim.User{ID: gridMember, TeamID: gridTwo, Name: "mio", RealName: "Mio Sato"})
	w.slack.AddChannel(slacksim.Channel{ID: oneGeneral, TeamID: gridOne, Name: "general", Members: []string{gridAdmin}})
	w.slack.AddChannel(slacksim.Channel{ID: twoGeneral, TeamID: gridTwo, Name: "general", Members: []string{gridMember}})
	w.slack.AddChannel(slacksim.Channel{ID: twoShared, TeamID: gridTwo, Name: "grid-and-acme",
		Members: []string{gridMember, slacksim.AcmeMember}, SharedWith: []string{slacksim.Acme}})
}

// recordOf returns the record of exactly one key.
func (w *world) recordOf(enterprise, team string) record {
	w.t.Helper()
	for _, r := range w.connections() {
		if r.EnterpriseID == enterprise && r.TeamID == team {
			return r
		}
	}
	return record{}
}

// mention has a person mention the app in a channel, waits for its answer, and fails if it was not written by who was
// mentioned.
func (w *world) mention(userID, channelID, botUserID string) {
	w.t.Helper()
	if err := w.slack.Invite(context.Background(), userID, channelID, botUserID); err != nil {
		w.t.Fatal(err)
	}
	before := len(w.fromApp(channelID, userID))
	w.say(userID, channelID, "<@"+botUserID+"> status")
	w.wait("an answer in "+channelID, func() bool { return len(w.fromApp(channelID, userID)) > before })
	if m := w.last(channelID, userID); m.User != botUserID {
		w.t.Errorf("in %s %s was asked and %s answered: %s", channelID, botUserID, m.User, m.Text)
	}
}

// status types /connection status and returns the live answer, which takes the place of the first.
func (w *world) status(userID, channelID string) slacksim.Message {
	w.t.Helper()
	before := len(w.slack.Calls("response_url"))
	w.type_(userID, channelID, "/connection status")
	w.wait("the live answer", func() bool {
		calls := w.slack.Calls("response_url")
		return len(calls) > before && calls[len(calls)-1].Done
	})
	return w.last(channelID, userID)
}

// again sends the newest command of a workspace once more, with changes to its form.
func (w *world) again(teamID string, changes map[string]string) string {
	w.t.Helper()
	all := w.slack.Deliveries()
	i := len(all) - 1
	for ; all[i].Kind != "command" || all[i].TeamID != teamID; i-- {
	}
	form, err := url.ParseQuery(string(all[i].Body))
	if err != nil {
		w.t.Fatal(err)
	}
	for name, value := range changes {
		form.Set(name, value)
	}
	ack := w.slack.Sender.Deliver(context.Background(), slacksim.Raw{Kind: "command", Body: []byte(form.Encode())})
	if ack.Status != 200 {
		w.t.Fatalf("answered %d", ack.Status)
	}
	return string(ack.Body)
}

func (w *world) installGrid(b *browser) {
	w.t.Helper()
	b.get(b.consent(b.begin("/slack/install"), gridAdmin, slacksim.Choice{Org: true}))
	for _, team := range []string{gridTwo} {
		if err := w.slack.Admins.GrantTeam(context.Background(), team); err != nil {
			w.t.Fatal(err)
		}
	}
	w.settle()
}

// An organisation of two workspaces, one of which had the app before, and a channel that is shared with a company that
// has it too.
func TestOrganisation(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.startFor()
		w.addGrid()
		b := w.browser()
		b.install(gridAdmin) // the workspace One, before anybody thought of the organisation
		b.install(slacksim.AcmeAdmin)
		w.installGrid(b)
		org, own := w.recordOf(grid, ""), w.recordOf(grid, gridOne)
		if len(w.connections()) != 3 || org.ID == "" || own.ID == "" {
			t.Fatalf("rows: %+v", w.connections())
		}
		w.mention(gridAdmin, oneGeneral, own.BotUserID)
		w.mention(gridMember, twoGeneral, org.BotUserID)
		w.mention(slacksim.AcmeMember, twoShared, org.BotUserID) // written by the other company
		w.mention(gridMember, twoShared, w.recordOf("", slacksim.Acme).BotUserID)
		// Every call with the organisation's token says which workspace it is about.
		for _, c := range w.slack.Calls() {
			if c.TeamID == grid && !strings.HasPrefix(c.Method, "auth.") && c.Method != "response_url" &&
				!strings.HasPrefix(c.Method, "oauth") && c.Arg("team_id") != gridTwo && c.Arg("channel") != gridAdmin &&
				c.Arg("user") != gridAdmin {
				t.Errorf("%s without a workspace: %v %s", c.Method, c.Form, c.JSON)
			}
		}

		if m := w.status(gridMember, twoGeneral); !strings.Contains(m.Text, "Working") {
			t.Errorf("in Two: %s", m.Text)
		}

		// The organisation takes it away from Two and its connection stays; what is left over there says what is the matter.
		if err := w.slack.Admins.RevokeTeam(ctx, gridTwo); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.waitHistory(org.ID, "workspaces")
		w.again(gridTwo, nil)
		w.wait("the sentence", func() bool {
			return strings.Contains(w.last(twoGeneral, gridMember).Text, "Your organisation has it. This workspace doesn't.")
		})
		if got := string(w.last(twoGeneral, gridMember).Blocks); !strings.Contains(got, "/manage/"+grid) {
			t.Errorf("no link for an admin: %s", got)
		}
		if r := w.recordOf(grid, ""); r.State != "active" {
			t.Errorf("the organisation's: %+v", r)
		}
		// So does a word about one workspace that names the organisation too.
		for _, inner := range []map[string]any{{"type": "app_uninstalled"},
			{"type": "tokens_revoked", "tokens": map[string]any{"bot": []string{org.BotUserID}}}} {
			if _, err := w.slack.Sender.Emit(ctx, slacksim.Event{TeamID: gridTwo, EnterpriseID: grid, NoAuthorizations: true,
				Inner: inner}); err != nil {
				t.Fatal(err)
			}
		}
		// And One's own, when it leaves.
		if err := w.slack.Admins.Uninstall(ctx, gridOne, slacksim.RevokedFirst); err != nil {
			t.Fatal(err)
		}
		w.waitRow("One's own to be removed", func(r record) bool { return r.ID == own.ID && r.State == "removed" })
		if r := w.recordOf(grid, ""); r.State != "active" {
			t.Errorf("the organisation's: %+v", r)
		}
		if err := w.slack.Admins.Uninstall(ctx, grid, slacksim.UninstalledFirst); err != nil {
			t.Fatal(err)
		}
		w.waitRow("the organisation's to be removed", func(r record) bool { return r.ID == org.ID && r.State == "removed" })
		if r := w.recordOf("", slacksim.Acme); r.State != "active" {
			t.Errorf("Acme's: %+v", r)
		}
	})
}

// waitHistory waits until a connection's history has a line of a kind.
func (w *world) waitHistory(id, what string) {
	w.t.Helper()
	store := w.store()
	w.waitRow("a line about "+what, func(r record) bool {
		lines, err := store.History(context.Background(), id, 20)
		return err == nil && slices.ContainsFunc(lines, func(c connection.Change) bool { return c.What == what })
	})
}

// The organisation-wide install took the place of a workspace's own: the first call that finds the old access dead goes
// on with the new one, and everything after does at once.
func TestSuperseded(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.allowed = []string{slacksim.RuleRevokedToken} // that is how the app learns of it
		w.startFor()
		w.addGrid()
		b := w.browser()
		b.install(gridAdmin)
		w.type_(gridAdmin, oneGeneral, "/connection history")
		w.installGrid(b)
		own := w.recordOf(grid, gridOne)
		if err := w.slack.Admins.Supersede(context.Background(), gridOne); err != nil {
			t.Fatal(err)
		}
		// A delivery of before: it names the workspace and no organisation-wide install.
		before := len(w.slack.Calls("users.info"))
		if got := w.again(gridOne, map[string]string{"text": "history", "is_enterprise_install": "false",
			"user_id": gridMember}); strings.Contains(got, "Something went wrong") {
			t.Errorf("with the dead access: %s", got)
		}
		calls := w.slack.Calls("users.info")[before:]
		if len(calls) != 2 || calls[0].TeamID != gridOne || calls[0].OK || calls[1].TeamID != grid || !calls[1].OK ||
			calls[1].Arg("team_id") != gridOne {
			t.Errorf("calls: %+v", calls)
		}
		w.waitRow("One's own to be removed", func(r record) bool { return r.ID == own.ID && r.State == "removed" })
		before = len(w.slack.Calls("users.info"))
		w.again(gridOne, map[string]string{"text": "history", "is_enterprise_install": "false", "user_id": gridMember})
		if calls := w.slack.Calls("users.info")[before:]; len(calls) != 1 || calls[0].TeamID != grid {
			t.Errorf("afterwards: %+v", calls)
		}
		if m := w.status(gridAdmin, oneGeneral); !strings.Contains(m.Text, "Working") {
			t.Errorf("in One: %s", m.Text)
		}
	})
}

// A workspace that joins an organisation keeps its connection, under its new key; Slack's own word about the token
// decides.
func TestJoinAnOrganisation(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} {
		t.Run(fmt.Sprintf("told=%v", told), func(t *testing.T) {
			onEach(t, func(t *testing.T, w *world) {
				ctx := context.Background()
				w.startFor()
				w.addGrid()
				b := w.browser()
				b.install(slacksim.BirchAdmin)
				was := w.recordOf("", slacksim.Birch)
				if !told { // nothing is said of it, and the next delivery names the organisation
					w.slack.SetApp(func(a *slacksim.App) {
						a.Events = slices.DeleteFunc(a.Events, func(name string) bool { return strings.HasPrefix(name, "grid_") })
					})
				}
				w.status(slacksim.BirchAdmin, slacksim.BirchGeneral)
				if err := w.slack.Admins.StartMigration(ctx, slacksim.Birch, grid); err != nil {
					t.Fatal(err)
				}
				if m := w.status(slacksim.BirchAdmin, slacksim.BirchGeneral); !strings.Contains(m.Text,
					"The workspace is being moved into an organisation.") {
					t.Errorf("meanwhile: %s", m.Text)
				}
				if err := w.slack.Admins.FinishMigration(ctx, slacksim.Birch, grid, "Grid Inc"); err != nil {
					t.Fatal(err)
				}
				w.mention(slacksim.BirchAdmin, slacksim.BirchGeneral, was.BotUserID)
				now := w.waitRow("the new key", func(r record) bool { return r.EnterpriseID == grid && r.TeamID == slacksim.Birch })
				if now.ID != was.ID || now.InstalledBy != was.InstalledBy || now.Installs != was.Installs ||
					len(w.connections()) != 1 {
					t.Errorf("it was %+v and is %+v", was, now)
				}
				w.waitRow("working", func(r record) bool { return r.State == "active" })
				lines, err := w.store().History(ctx, was.ID, 50)
				n := 0
				for _, c := range lines {
					if c.What == connection.DidMove && c.Outcome == connection.OutcomeDone {
						n++
					}
				}
				if err != nil || n != 1 {
					t.Errorf("%d lines, %v: %+v", n, err, lines)
				}
				w.mention(slacksim.BirchAdmin, slacksim.BirchGeneral, was.BotUserID)
			})
		})
	}
}

// A payload that names an organisation makes the app ask Slack, and no more.
func TestPayloadMovesNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.startFor()
		w.browser().install(slacksim.BirchAdmin)
		w.status(slacksim.BirchAdmin, slacksim.BirchGeneral)
		before := len(w.slack.Calls("auth.test"))
		w.again(slacksim.Birch, map[string]string{"enterprise_id": "E0LIAR0001"})
		w.wait("Slack to be asked", func() bool { return len(w.slack.Calls("auth.test")) > before })
		w.stop() // what is under way is finished
		if rows := w.connections(); len(rows) != 1 || rows[0].EnterpriseID != "" {
			t.Errorf("%+v", rows)
		}
	})
}

// An outsider presses our button in a shared channel. Slack's payload may name either side as the team.
func TestOutsidersPress(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.startFor()
		w.addGrid()
		b := w.browser()
		b.install(slacksim.AcmeAdmin)
		w.installGrid(b)
		const shared = "C0SHARED01"
		w.slack.AddChannel(slacksim.Channel{ID: shared, TeamID: slacksim.Acme, Name: "acme-and-birch",
			SharedWith: []string{slacksim.Birch},
			Members:    []string{slacksim.AcmeAdmin, slacksim.AcmeMember, slacksim.BirchAdmin, slacksim.BirchMember}})
		buttons := map[string]string{}
		for channel, home := range map[string]string{shared: slacksim.Acme, twoShared: grid} {
			in, _ := w.slack.Installed(home)
			if err := w.slack.Invite(ctx, map[string]string{shared: slacksim.AcmeAdmin, twoShared: gridMember}[channel], channel,
				in.BotUserID); err != nil {
				t.Fatal(err)
			}
			button := slack.NewButtonBlockElement("connection.check", "",
				slack.NewTextBlockObject("plain_text", "Check again", false, false))
			client := slack.New(in.BotToken, slack.OptionAPIURL(w.slack.URL()+"/api/"))
			_, ts, err := client.PostMessage(channel, slack.MsgOptionText("It works.", false),
				slack.MsgOptionBlocks(slack.NewActionBlock("", button)))
			if err != nil {
				t.Fatal(err)
			}
			buttons[channel] = ts
		}
		press := func(what, user, channel string, refused bool) {
			t.Helper()
			before := len(w.slack.Messages(channel, user))
			answers := len(w.slack.Calls("response_url"))
			if ack, err := w.slack.Press(ctx, user, channel, buttons[channel], "connection.check"); err != nil ||
				ack.Status != 200 {
				t.Fatalf("%s: %v %+v", what, err, ack)
			}
			w.wait("an answer", func() bool {
				if refused {
					return len(w.slack.Messages(channel, user)) > before
				}
				calls := w.slack.Calls("response_url")
				return len(calls) > answers && calls[answers].Done
			})
			w.settle()
			all := w.slack.Messages(channel, user)[before:]
			if !refused {
				return
			}
			shown, err := json.Marshal(all)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"Grid One", "Dana", "Gia", "Working", slacksim.AcmeAdmin, gridAdmin} {
				if strings.Contains(string(shown), secret) {
					t.Errorf("%s: shows %s: %s", what, secret, shown)
				}
			}
			if len(all) != 1 || all[0].EphemeralTo != user || all[0].Text == "" {
				t.Errorf("%s: %s", what, shown)
			}
		}
		for _, installed := range []bool{false, true} {
			if installed {
				b.install(slacksim.BirchAdmin)
			}
			for _, theirs := range []bool{false, true} {
				w.slack.SetApp(func(a *slacksim.App) { a.OutsidersNameTheirOwn = theirs })
				what := fmt.Sprintf("theirs installed %v, payload names theirs %v", installed, theirs)
				press(what+", admin of the other company", slacksim.BirchAdmin, shared, true)
				press(what+", member of the other company", slacksim.BirchMember, shared, true)
				press(what+", the organisation's button", slacksim.AcmeMember, twoShared, true)
				press(what+", an admin of our own", slacksim.AcmeAdmin, shared, false)
				press(what+", a member of the organisation", gridMember, twoShared, false)
			}
		}
	})
}
