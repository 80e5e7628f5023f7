package oauth

// What of another program's records is worth asking Slack about, and what it takes the place of.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
)

var noon = time.Date(2026, 9, 27, 12, 0, 0, 0, time.UTC)

// record is one of T1's bot, saved some hours after noon.
func record(from string, token connection.Secret, hours int, changes ...func(i *Installation)) Installation {
	i := Installation{From: from, ClientID: "1.2", AppID: "A1", TeamID: "T1", UserID: "U1",
		Bot: Tokens{Token: token, ExpiresAt: noon}, SavedAt: noon.Add(time.Duration(hours) * time.Hour)}
	for _, change := range changes {
		change(&i)
	}
	return i
}

func TestWhichRecordsCount(t *testing.T) {
	t.Parallel()
	ends := func(hours int) func(i *Installation) {
		return func(i *Installation) { i.Bot.ExpiresAt = noon.Add(time.Duration(hours) * time.Hour) }
	}
	person := func(i *Installation) { i.User = Tokens{Token: "xoxp-1"} }
	for name, test := range map[string]struct {
		records      []Installation
		chosen, left []string
	}{
		"the newer of two": {[]Installation{record("old", "a", 1), record("new", "b", 2)},
			[]string{"new "}, []string{"old: It is older than new."}},
		"the newer comes first": {[]Installation{record("new", "b", 2), record("old", "a", 1)},
			[]string{"new "}, []string{"old: It is older than new."}},
		"of one date, the one that ends later": {
			[]Installation{record("new", "b", 1, ends(2)), record("old", "a", 1, ends(1))},
			[]string{"new "}, []string{"old: It is older than new."}},
		"of one date and end, the one that stands later": {[]Installation{record("old", "a", 1), record("new", "b", 1)},
			[]string{"new "}, []string{"old: It is older than new."}},
		"copies are not told of": {[]Installation{record("one", "a", 1), record("two", "a", 1)}, []string{"two "}, nil},
		"each older token is told once": {
			[]Installation{record("new", "b", 2), record("x", "a", 1), record("y", "a", 1)},
			[]string{"new "}, []string{"x: It is older than new."}},
		"the app's id is not in each": {
			[]Installation{record("old", "a", 1, func(i *Installation) { i.AppID = "" }), record("new", "b", 2)},
			[]string{"new "}, []string{"old: It is older than new."}},
		"bots come first": {[]Installation{record("one", "a", 1, person),
			record("two", "b", 1, person, func(i *Installation) { i.TeamID, i.User.Token = "T2", "xoxp-2" })},
			[]string{"one ", "two ", "one U1", "two U1"}, nil},
		"a token of nobody": {[]Installation{record("one", "a", 1, person, func(i *Installation) { i.UserID = "" })},
			[]string{"one "}, nil},
		"nothing in it": {[]Installation{record("one", "", 1)}, nil, []string{"one: There is no token in it."}},
		"another client": {[]Installation{record("one", "a", 1, func(i *Installation) { i.ClientID = "3.4" })}, nil,
			[]string{"one: It is of another client ID, 3.4."}},
		"no client": {[]Installation{record("one", "a", 1, func(i *Installation) { i.ClientID = "" })},
			[]string{"one "}, nil},
		"another app": {[]Installation{record("one", "a", 1, func(i *Installation) { i.AppID = "A2" })}, nil,
			[]string{"one: It is of another app, A2."}},
	} {
		var chosen, left []string
		all, out := choose(ImportRequest{Installations: test.records, ClientID: "1.2"}, "A1")
		for _, c := range all {
			chosen = append(chosen, c.From+" "+c.person)
		}
		for _, r := range out {
			left = append(left, fmt.Sprintf("%s: %s", r.From, r.Reason))
		}
		if !slices.Equal(chosen, test.chosen) || !slices.Equal(left, test.left) {
			t.Errorf("%s: chosen %q, left %q", name, chosen, left)
		}
	}
}

// One record says who installed and where it may post, the other has the token: together they are whole. Of another
// consent nothing is taken.
func TestRecordsOfOneConsentComplete(t *testing.T) {
	t.Parallel()
	hook := connection.Webhook{URL: "https://hooks.example.com", ChannelID: "C1"}
	bare := func(i *Installation) { i.UserID, i.TeamName = "", "" }
	for name, test := range map[string]struct {
		other    Installation
		complete bool
	}{
		"of the same moment":       {record("other", "b", 2), true},
		"of the same token":        {record("other", "a", 1), true},
		"of a consent before this": {record("other", "b", 1), false},
	} {
		test.other.Webhook, test.other.TeamName = hook, "Acme"
		all, _ := choose(ImportRequest{ClientID: "1.2", Installations: []Installation{test.other,
			record("bare", "a", 2, bare)}}, "A1")
		if len(all) != 1 || all[0].From != "bare" {
			t.Fatalf("%s: %+v", name, all)
		}
		got := all[0].UserID == "U1" && all[0].Webhook == hook && all[0].TeamName == "Acme"
		none := all[0].UserID == "" && all[0].Webhook == connection.Webhook{} && all[0].TeamName == ""
		if got != test.complete || none == test.complete {
			t.Errorf("%s: %+v", name, all[0].Installation)
		}
	}
}

// What is here stays unless what comes is of a later state, and a clock that is some minutes ahead makes nothing later.
func TestWhatTakesThePlace(t *testing.T) {
	t.Parallel()
	// Slack handed it out so long before noon.
	pair := func(token connection.Secret, ago time.Duration) connection.TokenPair {
		return connection.TokenPair{Token: token, RefreshToken: "xoxe-" + token, ExpiresAt: noon.Add(12*time.Hour - ago),
			RenewAt: noon.Add(time.Hour)}
	}
	here := func(change func(s *standing)) standing {
		s := standing{pair: pair("here", 2*time.Hour), consent: noon.Add(-2 * time.Hour)}
		change(&s)
		return s
	}
	as := func(*standing) {}
	longLived := func(s *standing) { s.pair.RefreshToken, s.pair.ExpiresAt = "", time.Time{} }
	due := func(s *standing) { s.pair.RenewAt = noon.Add(-time.Minute) }
	dead := func(s *standing) { s.dead = true }
	removed := func(ago time.Duration) func(s *standing) {
		return func(s *standing) { s.removed, s.dead, s.since = true, true, noon.Add(-ago) }
	}
	for name, test := range map[string]struct {
		here standing
		next connection.TokenPair
		want ImportOutcome
	}{
		"nothing is here":                       {standing{isNew: true}, pair("next", 3*time.Hour), ""},
		"the same":                              {here(as), pair("here", time.Hour), ImportUnchanged},
		"earlier":                               {here(as), pair("next", 3*time.Hour), ImportUnchanged},
		"of the same moment":                    {here(as), pair("next", 2*time.Hour), ImportUnchanged},
		"later":                                 {here(as), pair("next", time.Hour), ""},
		"later by less than clocks differ":      {here(as), pair("next", 115*time.Minute), ImportUnchanged},
		"the same, of what is to be renewed":    {here(due), pair("next", 115*time.Minute), ""},
		"the same, of what never is renewed":    {here(longLived), pair("next", 115*time.Minute), ""},
		"earlier than what died here":           {here(dead), pair("next", 3*time.Hour), ""},
		"from before the app was removed":       {here(removed(time.Hour)), pair("next", 2*time.Hour), ImportSkipped},
		"from the moment at which it was":       {here(removed(2 * time.Hour)), pair("next", 2*time.Hour), ImportSkipped},
		"from after it, though older than here": {here(removed(4 * time.Hour)), pair("next", 3*time.Hour), ""},
	} {
		if o, why := test.here.against(test.next, noon, noon); o != test.want || (why == "") != (o == "") {
			t.Errorf("%s: %q (%s), not %q", name, o, why, test.want)
		}
	}
}

// Slack's word for whose a token is counts, and what it leaves open is not guessed.
func TestWhoseATokenIs(t *testing.T) {
	t.Parallel()
	bot := connection.Identity{AppID: "A1", TeamID: "T1", BotID: "B1", UserID: "UBOT"}
	person := connection.Identity{AppID: "A1", TeamID: "T1", UserID: "U1"}
	with := func(id connection.Identity, change func(id *connection.Identity)) connection.Identity {
		change(&id)
		return id
	}
	for name, test := range map[string]struct {
		app, person string // of the settings; whom the records say that it acts for
		id          connection.Identity
		key         string
		why         string
	}{
		"a bot":       {"A1", "", bot, "/T1", ""},
		"a person":    {"A1", "U0LIE", person, "/T1 U1", ""},
		"no bot":      {"A1", "", person, "", "It isn't a bot's token."},
		"no person":   {"A1", "U1", bot, "", "It isn't a person's token."},
		"nobody":      {"A1", "U1", connection.Identity{AppID: "A1", TeamID: "T1"}, "", "It isn't a person's token."},
		"another app": {"A2", "", bot, "", "Slack says that it is of another app, A1."},
		"no workspace": {"A1", "", with(bot, func(id *connection.Identity) { id.TeamID = "" }), "",
			"Slack doesn't say which workspace it is of."},
		"no app, and none in the settings": {"", "", with(bot, func(id *connection.Identity) { id.AppID = "" }), "",
			"Slack doesn't say which app it is of. Set the app's id (A…)."},
		"the app of the settings": {"A1", "", with(bot, func(id *connection.Identity) { id.AppID = "" }), "/T1", ""},
		"the app of the bot there": {"", "U1", with(person, func(id *connection.Identity) { id.AppID, id.TeamID = "", "T9" }),
			"/T9 U1", ""},
		"an organisation's": {"A1", "", with(bot, func(id *connection.Identity) {
			id.EnterpriseID, id.IsEnterpriseInstall = "E1", true
		}), "E1/", ""},
		"a workspace of an organisation": {"A1", "", with(bot, func(id *connection.Identity) { id.EnterpriseID = "E1" }),
			"E1/T1", ""},
	} {
		im := imports{consents: &consents{Config: &Config{AppID: test.app}},
			keys: map[string]connection.Key{"/T9": {AppID: "A1", TeamID: "T9"}}}
		got := alive{id: test.id, candidate: candidate{person: test.person,
			Installation: Installation{AppID: "A0LIE", EnterpriseID: "E0LIE", TeamID: "T0LIE"}}}
		why, key := "", ""
		if failed := im.belongs(&got); failed != nil {
			why = failed.Reason
		} else {
			key = placeOf(got.owner().Key)
			if got.person != "" {
				key += " " + got.person
			}
			if got.AppID != "A1" {
				t.Errorf("%s: of the app %q", name, got.AppID)
			}
		}
		if why != test.why || key != test.key {
			t.Errorf("%s: %q (%s), not %q (%s)", name, key, why, test.key, test.why)
		}
		if _, noted := im.noted(got.owner().Key); noted != (why == "" && (test.person == "" || got.TeamID == "T9")) {
			t.Errorf("%s: noted %v", name, noted)
		}
	}
}

// What a connection is made of: Slack's word first, then the record, and an organisation goes by its own name.
func TestConnectionOfARecord(t *testing.T) {
	t.Parallel()
	hook := connection.Webhook{URL: "https://hooks.example.com", ChannelID: "C1"}
	got := alive{candidate: candidate{Installation: record("one", "a", 1, func(i *Installation) {
		i.TeamName, i.EnterpriseName, i.Webhook = "Old name", "Grid Inc", hook
	})}, id: connection.Identity{Team: "Acme", UserID: "UBOT", BotID: "B1"}}
	c := got.connection(noon)
	if c.TeamName != "Acme" || c.Webhook != hook || c.BotUserID != "UBOT" || c.InstalledBy != "U1" ||
		!c.AuthorizedAt.Equal(noon.Add(time.Hour)) || !c.StateSince.Equal(noon) {
		t.Errorf("a workspace's: %+v", c)
	}
	got.TeamID, got.EnterpriseID = "", "E1"
	if c := got.connection(noon); c.TeamName != "Grid Inc" {
		t.Errorf("an organisation's: %+v", c)
	}
}

// Where Slack asks to wait it is waited for, a few times, and not by somebody who left.
func TestImportWaits(t *testing.T) {
	t.Parallel()
	im, limited := &imports{}, error(&slack.RateLimitedError{RetryAfter: time.Millisecond})
	for refusals, want := range map[int]int{0: 1, 1: 2, 4: 5, 9: 5} {
		asked := 0
		err := im.patiently(t.Context(), func() error {
			if asked++; asked <= refusals {
				return limited
			}
			return nil
		})
		if asked != want || (err != nil) != (refusals == 9) {
			t.Errorf("refused %d times: asked %d times, %v", refusals, asked, err)
		}
	}

	left, cancel := context.WithCancel(t.Context())
	cancel()
	asked := 0
	err := im.patiently(left, func() error { asked++; return &slack.RateLimitedError{RetryAfter: time.Hour} })
	if !errors.Is(err, context.Canceled) || asked != 1 {
		t.Errorf("somebody who left: asked %d times, %v", asked, err)
	}
}
