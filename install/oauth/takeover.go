package oauth

// What another program kept is taken over: once, only what Slack takes, as whose Slack says it is, and never over what
// is newer here.

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
)

// imports takes over what another program kept.
type imports struct {
	*consents
	dry bool

	mu   sync.Mutex
	keys map[string]connection.Key // of bots that are here, or would be, by their organisation and workspace
}

// note remembers that there is a bot, for the people whose access hangs on it.
func (im *imports) note(k connection.Key) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.keys[placeOf(k)] = k
}

// noted returns the key of the bot in the place of k.
func (im *imports) noted(k connection.Key) (connection.Key, bool) {
	im.mu.Lock()
	defer im.mu.Unlock()
	known, ok := im.keys[placeOf(k)]
	return known, ok
}

// placeOf names a workspace or an organisation, whatever the app.
func placeOf(k connection.Key) string { return k.EnterpriseID + "/" + k.TeamID }

// alive is a token that Slack took a moment ago.
type alive struct {
	candidate // by now with the key that Slack says
	id        connection.Identity
	pair      connection.TokenPair
	kept      *connection.Grant // in the journal, because the refresh token of the records is spent
}

// take takes one token over.
func (im *imports) take(ctx context.Context, c candidate) ImportResult {
	if now := im.Now(); c.SavedAt.IsZero() || c.SavedAt.After(now) {
		c.SavedAt = now
	}
	c.SavedAt = c.SavedAt.Truncate(time.Microsecond) // as the database keeps it
	got := alive{candidate: c, pair: connection.TakenOver(c.Token, c.RefreshToken, c.ExpiresAt, im.Now())}

	// What is here where the records say is looked at first. Slack needn't be asked about what is the same, and a refresh
	// token can be spent once.
	here, err := im.find(ctx, got, false)
	if err != nil {
		return c.result(ImportFailed, "The database couldn't be asked: %v.", err)
	}
	o, why := here.standing().against(got.pair, got.SavedAt, im.Now())
	stands := got.result(o, "%s", why)
	stands.ConnectionID = here.connection.ID
	if o == ImportUnchanged && here.standing().pair.Token == c.Token {
		if c.person == "" {
			im.note(here.connection.Key)
		}
		return stands
	}

	failed := im.identify(ctx, &got)
	switch {
	case failed == nil || failed.Reason != hasExpired || c.RefreshToken == "":
		return im.keep(ctx, got, failed)
	case o != "":
		return stands
	case im.dry:
		return c.result(ImportDone, "It has expired, so importing it renews it.")
	}
	return im.keep(ctx, got, im.renew(ctx, &got))
}

// hasExpired is what is said of a token that is not taken because its time is over.
const hasExpired = "Slack no longer takes it (" + connection.ReasonTokenExpired + ")."

// identify asks Slack whose a token is. It returns why it isn't taken over, nil where nothing speaks against it.
func (im *imports) identify(ctx context.Context, got *alive) *ImportResult {
	err := im.patiently(ctx, func() (err error) {
		got.id, err = im.Slack.Identify(ctx, got.pair.Token)
		return err
	})
	if err == nil {
		return im.belongs(got)
	}

	failed := got.result(ImportFailed, "Slack couldn't be asked: %v.", slackapi.Cause(err))
	if slackapi.Decisive(err) {
		failed = got.result(ImportSkipped, "Slack no longer takes it (%s).", slackapi.SlackError(err))
	}
	return &failed
}

// belongs is identify once Slack has answered.
func (im *imports) belongs(got *alive) *ImportResult {
	id, k := got.id, connection.Key{EnterpriseID: got.id.EnterpriseID, TeamID: got.id.TeamID}
	if id.IsEnterpriseInstall {
		k.TeamID = ""
	}
	known, _ := im.noted(k)
	k.AppID = cmp.Or(id.AppID, im.AppID, known.AppID)

	var why string
	switch {
	case got.person == "" && id.BotID == "":
		why = "It isn't a bot's token."
	case got.person != "" && (id.BotID != "" || id.UserID == ""):
		why = "It isn't a person's token."
	case im.AppID != "" && k.AppID != im.AppID:
		why = "Slack says that it is of another app, " + k.AppID + "."
	case k.TeamID == "" && k.EnterpriseID == "":
		why = "Slack doesn't say which workspace it is of."
	case k.AppID == "":
		why = "Slack doesn't say which app it is of. Set the app's id (A…)."
	}
	if why != "" {
		failed := got.result(ImportSkipped, "%s", why)
		return &failed
	}

	got.AppID, got.EnterpriseID, got.TeamID = k.AppID, k.EnterpriseID, k.TeamID
	if got.person == "" {
		im.note(k)
		return nil
	}
	got.person = id.UserID
	return nil
}

// patiently asks Slack, and waits as long as Slack says where it is asked too often.
func (im *imports) patiently(ctx context.Context, ask func() error) error {
	const most = 5
	for try := 1; ; try++ {
		err := ask()
		wait, limited := slackapi.RetryAfter(err)
		if !limited || try == most {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// renew spends the refresh token of got, of which the access token is of no use. It returns why there is no new one,
// or why the new one isn't taken over.
func (im *imports) renew(ctx context.Context, got *alive) *ImportResult {
	var granted slackapi.Granted
	err := im.patiently(ctx, func() (err error) {
		// The refresh token is spent the moment Slack reads it: the answer is waited for, whoever leaves.
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), slackapi.CallTimeout)
		defer cancel()
		granted, err = im.Slack.OAuth(asking, "oauth.v2.access", url.Values{
			"client_id": {im.ClientID}, "client_secret": {im.ClientSecret.Reveal()},
			"grant_type": {"refresh_token"}, "refresh_token": {got.pair.RefreshToken.Reveal()},
		})
		return err
	})
	if err == nil && (granted.AccessToken == "" || granted.RefreshToken == "") {
		err = errors.New("the answer has no whole pair of tokens")
	}
	if err != nil {
		failed := got.result(ImportFailed, "Slack couldn't be asked to renew it: %v.", slackapi.Cause(err))
		if code := slackapi.SlackError(err); connection.Rejects(code) {
			failed = got.result(ImportSkipped, "Slack no longer renews it (%s).", code)
		}
		return &failed
	}

	now := im.Now()
	got.pair = connection.Started(connection.Secret(granted.AccessToken), connection.Secret(granted.RefreshToken),
		time.Duration(granted.ExpiresIn), now)
	p := im.grant(*got, now)
	im.Tokens.Journal.Keep(ctx, &p)
	got.kept = &p
	return im.identify(ctx, got)
}

// grant is got for the journal.
func (im *imports) grant(got alive, now time.Time) connection.Grant {
	p := connection.Grant{
		TokenOwner: got.owner(), Origin: connection.Consent{}, At: now, GrantedAt: got.SavedAt,
		Token: got.pair.Token, Refresh: got.pair.RefreshToken, Scopes: got.scopes(),
		GrantID: links.NewRef() + links.NewRef(),
	}
	if !got.pair.ExpiresAt.IsZero() {
		p.Life = got.pair.ExpiresAt.Sub(now)
	}
	if got.person == "" {
		c := got.connection(now)
		p.Connection = &c
	}
	return p
}

// scopes are what Slack says the token has, or else the records.
func (got alive) scopes() []string {
	if len(got.id.Scopes) > 0 {
		return got.id.Scopes
	}
	return got.Scopes
}

// connection is the connection that a bot's token makes.
func (got alive) connection(now time.Time) connection.Connection {
	c := connection.Connection{
		Key: got.owner().Key, TeamName: cmp.Or(got.id.Team, got.TeamName), TeamURL: got.id.URL,
		EnterpriseName: got.EnterpriseName, BotUserID: got.id.UserID, BotID: got.id.BotID, Scopes: got.scopes(),
		TokenPair: got.pair, Webhook: got.Webhook,
		InstalledBy: got.UserID, InstalledAt: got.SavedAt, AuthorizedBy: got.UserID, AuthorizedAt: got.SavedAt,
		State: connection.Active, StateSince: now,
		CheckedAt: now, CheckAt: connection.NextCheck(connection.Active, now, now),
	}
	if c.Org() {
		c.TeamName = cmp.Or(c.EnterpriseName, c.TeamName)
	}
	return c
}

// found is what is stored here of a token's owner.
type found struct {
	connection connection.Connection // the bot's, or the one that a person's access hangs on
	user       connection.UserToken
	person     bool
	isNew      bool // there is none of the owner yet
	orphan     bool // there is no connection that a person's access could hang on
}

// find finds what is stored of a token's owner. move: by Slack's word for the key, so that a connection from before its
// workspace joined an organisation gets the new one.
func (im *imports) find(ctx context.Context, got alive, move bool) (here found, err error) {
	here.person = got.person != ""
	h := got.owner()
	c := connection.Connection{Key: h.Key}
	if move && !im.dry {
		here.connection, here.isNew, err = im.rowFor(ctx, &c)
	} else if here.connection, err = im.Store.Lookup(ctx, c.Key); err == nil {
		here.isNew = here.connection.TeamID != c.TeamID
	}
	if errors.Is(err, connection.ErrNotFound) {
		here.isNew, err = true, nil
	}
	if err != nil || !here.person {
		return here, err
	}

	_, planned := im.noted(h.Key)
	here.orphan = (here.isNew || here.connection.State == connection.Removed) && !(im.dry && planned)
	if here.isNew {
		return here, nil
	}
	h.Key = here.connection.Key
	here.user, err = im.Store.GetUser(ctx, h)
	if here.isNew = errors.Is(err, connection.ErrNotFound); here.isNew {
		err = nil
	}
	return here, err
}

// standing is what decides about a token that is to take the place of another.
type standing struct {
	pair          connection.TokenPair
	consent       time.Time
	isNew         bool
	removed, dead bool
	since         time.Time // of that
}

func (f found) standing() standing {
	if f.person {
		return standing{pair: f.user.TokenPair, consent: f.user.GrantedAt, isNew: f.isNew,
			dead: f.user.Token == "" || f.user.Reason != connection.ReasonNone}
	}
	c := f.connection
	return standing{pair: c.TokenPair, consent: c.AuthorizedAt, isNew: f.isNew,
		removed: c.State == connection.Removed, dead: !c.Usable(), since: c.StateSince}
}

// against says why a pair that was saved at a time does not take the place of what stands here; "" where it does. What
// was renewed or granted here was so by another clock than the records'.
func (s standing) against(next connection.TokenPair, saved, now time.Time) (o ImportOutcome, why string) {
	obtained, was := next.ObtainedAt(saved), s.pair.ObtainedAt(s.consent)
	if s.pair.RefreshToken != "" && !s.pair.Due(now) {
		was = was.Add(tokens.ClocksApart)
	}
	switch {
	case s.isNew:
		return "", ""
	case s.removed && !obtained.After(s.since):
		return ImportSkipped, "The app was removed from there since."
	case s.removed || s.dead:
		return "", ""
	case s.pair.Token == next.Token:
		return ImportUnchanged, "It is here already."
	case !obtained.After(was):
		return ImportUnchanged, "What is here is newer."
	}
	return "", ""
}

// keep stores got where nothing speaks against it.
func (im *imports) keep(ctx context.Context, got alive, failed *ImportResult) ImportResult {
	const tries = 3 // somebody installs or renews at this moment
	for try := 0; failed == nil; try++ {
		if try == tries {
			return got.result(ImportFailed, "It couldn't be stored, because it is changed here at the same time.")
		}
		here, err := im.find(ctx, got, true)
		if err != nil {
			return got.result(ImportFailed, "The database couldn't be asked: %v.", err)
		}
		if failed = im.stays(here, got); failed != nil {
			break
		}
		if here.standing().dead && !here.isNew && got.pair.RefreshToken != "" && got.kept == nil && !im.dry {
			// Whether the records' pair is of before or after the one that died here, Slack alone can tell.
			failed = im.renew(ctx, &got)
			continue
		}
		if r := im.store(ctx, got, here); r != nil {
			return *r
		}
	}

	if got.kept != nil && failed.Outcome == ImportSkipped {
		im.Tokens.Journal.Drop(ctx, *got.kept)
	}
	return *failed
}

// stays says why what is here stays as it is; nil: got takes its place.
func (im *imports) stays(here found, got alive) *ImportResult {
	o, why := here.standing().against(got.pair, got.SavedAt, im.Now())
	if here.orphan {
		o, why = ImportSkipped, "There is no bot of the app there that it could belong to."
	}
	if o == "" {
		return nil
	}
	r := got.result(o, "%s", why)
	r.ConnectionID = here.connection.ID
	return &r
}

// store stores got over what was looked at, and returns how that ended; nil: what was looked at is another one by now.
func (im *imports) store(ctx context.Context, got alive, here found) *ImportResult {
	r := got.result(ImportDone, "")
	r.TeamName = cmp.Or(got.id.Team, r.TeamName)
	if im.dry {
		return &r
	}

	var err error
	switch r.ConnectionID, err = im.write(ctx, got, here); {
	case errors.Is(err, tokens.ErrUndecided):
		return nil
	case err != nil:
		r = got.result(ImportFailed, "It couldn't be stored: %v.", err)
	}
	return &r
}

// write is store, with tokens.ErrUndecided.
func (im *imports) write(ctx context.Context, got alive, here found) (connectionID string, err error) {
	// What is begun is finished, whoever leaves.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeBudget)
	defer cancel()
	now := im.Now()
	p := im.grant(got, now)
	if got.kept != nil {
		p.Journaled, p.GrantID = got.kept.Journaled, got.kept.GrantID
	}
	p.Generation = im.Tokens.Journal.NextGeneration(ctx, p.TokenOwner)

	if got.person != "" {
		p.TokenOwner.Key = here.connection.Key
		return here.connection.ID, im.storePerson(ctx, got, p, here)
	}
	c, err := im.storeBot(ctx, got, p, here)
	if err != nil {
		return "", err
	}
	im.Tokens.Journal.NotPending(p.Token)
	im.Tokens.Journal.Settle(ctx, p.StoredIn(&c), connection.Kept)
	im.Log.InfoContext(ctx, "taken over from another program", "connection", c.ID, "key", c.Key.String())
	return c.ID, nil
}

// storeBot stores a connection. Where the records tell of a renewal of the same consent, the pair alone goes on.
func (im *imports) storeBot(
	ctx context.Context, got alive, p connection.Grant, here found,
) (connection.Connection, error) {
	c, seen, now := got.connection(im.Now()), here.connection, im.Now()
	if !here.isNew {
		c.Key = seen.Key
	}
	c.GrantID, c.Generation = p.GrantID, p.Generation
	c.LeftOut(im.Scopes)
	c.Note(importLine(now))
	if here.isNew || seen.State == connection.Removed || !seen.AuthorizedAt.Equal(c.AuthorizedAt) {
		return im.storeOver(ctx, c, seen, here.isNew)
	}

	return im.Store.Update(ctx, c.Key, func(row *connection.Connection) error {
		if row.State != seen.State || row.Token != seen.Token || !row.AuthorizedAt.Equal(seen.AuthorizedAt) {
			return tokens.ErrUndecided
		}
		connection.Resume(row, p, "import", now)
		row.RenewAt = c.RenewAt
		if row.State == connection.ReconnectRequired {
			row.SetState(connection.Active, connection.ReasonNone, now)
		}
		return nil
	})
}

// storePerson stores one person's access.
func (im *imports) storePerson(ctx context.Context, got alive, p connection.Grant, here found) error {
	u := connection.UserToken{TokenOwner: p.TokenOwner, Scopes: p.Scopes, TokenPair: got.pair, GrantedAt: p.GrantedAt}
	u.GrantID, u.Generation = p.GrantID, max(p.Generation, here.user.Generation+1)
	line := importLine(im.Now())
	line.Reason = u.UserID
	u.Note(line)
	if err := im.storePersonOver(ctx, &u, here.user, here.isNew); err != nil {
		return err
	}
	im.Tokens.Journal.NotPending(p.Token)
	im.Tokens.Journal.Settle(ctx, p.StoredIn(&u), connection.Kept)
	return nil
}

// importLine is for the history.
func importLine(at time.Time) connection.Change {
	return connection.Change{At: at, By: connection.Actor{Kind: connection.ByOperator},
		What: connection.DidImport, Outcome: connection.OutcomeDone}
}
