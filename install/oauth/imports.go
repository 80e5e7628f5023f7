package oauth

// Another program ran the app before, and kept what Slack handed out. Its records say where to look. This file chooses
// what of them is worth asking Slack about.

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Installation is what another program's records say of one install of the app.
type Installation struct {
	From           string // where it stands, for the operator
	ClientID       string // this and the app's id are "" where the records don't say
	AppID          string
	EnterpriseID   string
	EnterpriseName string
	TeamID         string // "" for an organisation's
	TeamName       string
	UserID         string // who installed
	Bot, User      Tokens // without a Token: there is none
	Webhook        connection.Webhook
	SavedAt        time.Time // of two records of the same workspace the later one counts
}

// Tokens are one token, and what the next one is bought with.
type Tokens struct {
	Token, RefreshToken connection.Secret
	ExpiresAt           time.Time // zero: never, or not known
	Scopes              []string
}

// ImportRequest is what to take over.
type ImportRequest struct {
	Installations []Installation
	ClientID      string // the app's: what is of another one is left out
	DryRun        bool   // Slack is asked, and nothing is stored
}

// ImportResult is what became of one installation, or of one person's access in it.
type ImportResult struct {
	From         string
	Key          connection.Key // as Slack says, once it was asked
	TeamName     string
	UserID       string // whom the access acts for; "" is the bot
	ConnectionID string
	Renews       bool // it is renewed, which is due right away
	Outcome      ImportOutcome
	Reason       string // a sentence, "" when it was simply taken over
}

// ImportOutcome is how it ended.
type ImportOutcome string

// The outcomes of an import.
const (
	ImportDone      ImportOutcome = "imported"
	ImportUnchanged ImportOutcome = "unchanged" // what is here is the same, or newer
	ImportSkipped   ImportOutcome = "skipped"   // it is of no use
	ImportFailed    ImportOutcome = "failed"    // Slack or the database had trouble: worth another try
)

// importers is how many tokens are looked at at a time. Slack's limits are for each workspace.
const importers = 8

// Import takes over what another program kept, the bots first. It returns what became of each, in order. An error says
// that ctx ended before all of them had been looked at. It blocks for one or two calls to Slack for each, some at a
// time.
func (f *Flow) Import(ctx context.Context, r ImportRequest) ([]ImportResult, error) {
	im := &imports{consents: f.consents, dry: r.DryRun, keys: map[string]connection.Key{}}
	chosen, results := choose(r, f.cfg.AppID)
	people := slices.IndexFunc(chosen, func(c candidate) bool { return c.person != "" })
	if people < 0 {
		people = len(chosen)
	}

	ends := make([]*ImportResult, len(chosen))
	for _, part := range [][2]int{{0, people}, {people, len(chosen)}} {
		var group errgroup.Group
		group.SetLimit(importers)
		for i := part[0]; i < part[1] && ctx.Err() == nil; i++ {
			group.Go(func() error {
				end := im.take(ctx, chosen[i])
				ends[i] = &end
				return nil
			})
		}
		_ = group.Wait()
	}

	for _, end := range ends {
		if end == nil {
			return results, ctx.Err()
		}
		results = append(results, *end)
	}
	return results, nil
}

// candidate is a token that is worth asking Slack about.
type candidate struct {
	Installation
	Tokens
	person string // whom it acts for; "" is the bot
}

// owner is whom the records say that it belongs to.
func (c candidate) owner() connection.TokenOwner {
	k := connection.Key{AppID: c.AppID, EnterpriseID: c.EnterpriseID, TeamID: c.TeamID}
	return connection.TokenOwner{Key: k, UserID: c.person}
}

// isNewer reports whether c is of a later state than another candidate of the same owner, which stood before it.
func (c candidate) isNewer(than candidate) bool {
	if d := c.SavedAt.Compare(than.SavedAt); d != 0 {
		return d > 0
	}
	return !c.ExpiresAt.Before(than.ExpiresAt)
}

func (c candidate) result(o ImportOutcome, reason string, args ...any) ImportResult {
	return ImportResult{From: c.From, Key: c.owner().Key, TeamName: cmp.Or(c.TeamName, c.EnterpriseName), UserID: c.person,
		Renews: c.RefreshToken != "", Outcome: o, Reason: fmt.Sprintf(reason, args...)}
}

// choice is what of a program's records is worth asking Slack about, and why the rest is left out.
type choice struct {
	chosen []candidate
	left   []ImportResult
	told   map[connection.Secret]bool // tokens in left: each is named once, however many copies there are
}

// choose returns the newest of what there is of each owner, bots first, and why the rest is left out.
func choose(r ImportRequest, appID string) (chosen []candidate, left []ImportResult) {
	made := choice{told: map[connection.Secret]bool{}}
	all := made.usable(r, appID)
	isPerson := func(c candidate) bool { return c.person != "" }
	made.newest(slices.DeleteFunc(slices.Clone(all), isPerson))
	made.newest(slices.DeleteFunc(all, func(c candidate) bool { return !isPerson(c) }))
	return made.chosen, made.left
}

func (m *choice) leave(c candidate, why string, args ...any) {
	if token := cmp.Or(c.Token, c.User.Token); token == "" || !m.told[token] {
		m.left, m.told[token] = append(m.left, c.result(ImportSkipped, why, args...)), true
	}
}

// usable are the tokens of this app.
func (m *choice) usable(r ImportRequest, appID string) (all []candidate) {
	for _, i := range r.Installations {
		bot := candidate{Installation: i, Tokens: i.Bot}
		person := candidate{Installation: i, Tokens: i.User, person: i.UserID}
		hasPerson := person.Token != "" && person.person != ""
		switch {
		case i.ClientID != "" && i.ClientID != r.ClientID:
			m.leave(bot, "It is of another client ID, %s.", i.ClientID)
			continue
		case i.AppID != "" && appID != "" && i.AppID != appID:
			m.leave(bot, "It is of another app, %s.", i.AppID)
			continue
		case bot.Token == "" && !hasPerson:
			m.leave(bot, "There is no token in it.")
		}

		bot.AppID, person.AppID = cmp.Or(i.AppID, appID), cmp.Or(i.AppID, appID)
		if bot.Token != "" {
			all = append(all, bot)
		}
		if hasPerson {
			all = append(all, person)
		}
	}
	return all
}

// newest chooses the newest of each owner.
func (m *choice) newest(of []candidate) {
	at := map[connection.TokenOwner]int{}
	for _, c := range of {
		i, known := at[c.owner()]
		if !known {
			at[c.owner()] = len(m.chosen)
			m.chosen = append(m.chosen, c)
			continue
		}

		older := c
		if c.isNewer(m.chosen[i]) {
			older, m.chosen[i] = m.chosen[i], c
		}
		m.chosen[i].complete(older)
		if older.Token != m.chosen[i].Token { // else it is a copy
			m.leave(older, "It is older than %s.", m.chosen[i].From)
		}
	}
}

// complete adds to c what another record of the same consent says: of two tables one alone tells who installed.
func (c *candidate) complete(other candidate) {
	if c.Token == other.Token || c.SavedAt.Equal(other.SavedAt) {
		c.UserID, c.Webhook = cmp.Or(c.UserID, other.UserID), cmp.Or(c.Webhook, other.Webhook)
		c.TeamName, c.EnterpriseName = cmp.Or(c.TeamName, other.TeamName), cmp.Or(c.EnterpriseName, other.EnterpriseName)
	}
}
