package connection

// The words the whole library speaks: a workspace's key, its connection, and the states it can be in.

import (
	"cmp"
	"slices"
	"time"

	"github.com/switchboard-go/switchboard/install/words"
)

// Key names one connection: an app in a workspace, or in a whole organisation. It is unique in the database.
// The fields are never NULL there; "" says there is none.
type Key struct {
	AppID        string // A…
	EnterpriseID string // E…, "" for a workspace outside Enterprise Grid
	TeamID       string // T…, "" for an organisation-wide install
}

// String is the key as logs show it, for example "A1/-/T1".
func (k Key) String() string {
	return cmp.Or(k.AppID, "-") + "/" + cmp.Or(k.EnterpriseID, "-") + "/" + cmp.Or(k.TeamID, "-")
}

// Org reports whether k is an organisation-wide install.
func (k Key) Org() bool { return k.TeamID == "" }

// State is the condition of a connection. Active to Paused are kept in the database; Limited, Unknown and NotConnected
// are decided when somebody asks (install.Installer.Assess).
type State string

// The states, as scripts and the database know them. install.Health.Label has the words people read.
const (
	Active State = "active"
	// its access works, but it has fewer permissions than it needs; see install.Health
	Limited           State = "limited"
	Retrying          State = "retrying" // trouble that can pass by itself
	ReconnectRequired State = "reconnect_required"
	Removed           State = "removed"
	Paused            State = "paused"
	Unknown           State = "unknown"       // could not be checked; shown beside the last known state, never stored
	NotConnected      State = "not_connected" // there is no row
)

// Reason codes say why a connection is in its state. Where Slack gave an error code, the reason is that code.
const (
	ReasonNone            = ""
	ReasonUninstalled     = "app_uninstalled"
	ReasonDisconnected    = "disconnected"     // from Slack or the command line
	ReasonRenewalFailing  = "renewal_failing"  // its access could not be renewed yet; that is tried on
	ReasonRefreshRejected = "refresh_rejected" // Slack does not renew its access any more; what is left of it still works
	ReasonTokenRevoked    = "token_revoked"
	ReasonTokenExpired    = "token_expired"
	ReasonAccountInactive = "account_inactive"
	ReasonInvalidAuth     = "invalid_auth"
	ReasonMissingScope    = "missing_scope"
	ReasonUnreadable      = "unreadable"        // the stored token cannot be opened with the keys we have
	ReasonSlackSilent     = "slack_unavailable" // Slack did not answer, or with an error of its own
	ReasonRecordsSilent   = "records_unavailable"
	// Slack's error for a workspace of the organisation that the app was not added to.
	ReasonNotAdded = "team_access_not_granted"
)

// Webhook is an incoming webhook that Slack created during the install because the scope incoming-webhook was granted.
type Webhook struct {
	URL              Secret // posting to it needs no token, so it is kept like one
	Channel          string
	ChannelID        string
	ConfigurationURL string
}

// Connection is what Switchboard knows of one workspace (or organisation). There is one for each Key, for ever: a
// re-install updates it, a removal erases its secrets and keeps the rest.
type Connection struct {
	Key
	ID             string // con_…, public, never changes
	TeamName       string
	TeamURL        string // https://acme.slack.com/
	TeamIcon       string // address of the workspace's picture at Slack
	EnterpriseName string

	BotUserID string
	BotID     string
	Scopes    []string // as Slack granted them, sorted

	TokenPair // the bot's tokens
	Webhook   Webhook
	// RenewalError is what Slack said to the newest renewal that failed, "no_answer" where it said nothing. It counts
	// while FailingSince is set.
	RenewalError string

	InstalledBy     string // user ID of the installer: who brought the app in, or back after a removal
	InstalledByName string // "" until Slack was asked
	InstalledAt     time.Time
	AuthorizedBy    string    // user ID of the person whose consent is in force: the installer, or who reconnected since
	AuthorizedAt    time.Time // of that consent
	CreatedAt       time.Time // of the first install ever
	Installs        int       // how many consents there were

	State          State
	Reason         string    // a reason code, "" when all is well
	StateSince     time.Time // of this state with this reason; see Began
	Beginnings     []Beginning
	PendingRemoval Removal   // what Slack said of a removal and could not confirm yet; zero: nothing
	CheckedAt      time.Time // last time Slack confirmed the token
	CheckAt        time.Time // when the background check asks again
	LastEventAt    time.Time // last event Slack sent, kept to the minute
	// The first and the last of the minutes in a row for which Slack said that it holds back events of this workspace;
	// zero: it didn't.
	EventsHeldSince, EventsHeldAt time.Time

	OperatorLabel string // the operator's own words for it; people in Slack never see them

	Notice Notice // the message about the present trouble, or about what is wanted; zero: nobody was told

	Changes []Change // lines of history, written with the next write; never read back
	Asked   Mark     // of a consent: taken before Slack was asked; never kept
	// Contested: of a consent that met another of the same moment, whose tokens may be the ones that count; never kept.
	Contested bool
	// Left are workspaces that an organisation's app was taken from: the write erases what came for it from them
	// until LeftAt. Never kept.
	Left   []string
	LeftAt time.Time
}

// Counts are how many connections there are.
type Counts struct {
	States  map[State]int
	Notices map[string]int // those that need a person (ReconnectRequired), by NoticeUntold and its like
}

// Whether somebody was told of a connection that needs a person, as Counts has it.
const (
	NoticeUntold      = "untold"
	NoticeTold        = "told"
	NoticeUnreachable = "unreachable" // nobody can be written to, or it isn't known whether the message arrived
)

// Notice is the message that told a person of trouble. It is written down before it is sent, so that it is sent once.
type Notice struct {
	Reason  string    // what it is about; ReasonMissingScope: people ask for what is off
	At      time.Time // when somebody set out to send it; of what is wanted: zero, or when all of it was allowed
	To      string    // user ID, "" when nobody could be reached
	Channel string    // where it is, so that it can be edited
	TS      string
}

// Note adds a line of history, to be written together with what it is about.
func (c *Connection) Note(line Change) { c.Changes = append(c.Changes, line) }

// importLines are those of a caller's lines that stand beside a consent's own: where what was taken over came from.
func importLines(noted []Change) []Change {
	return slices.DeleteFunc(slices.Clone(noted), func(line Change) bool { return line.What != DidImport })
}

// First is c as the first consent for its key makes it.
func (c Connection) First(id string) Connection {
	c.ID, c.CreatedAt, c.Installs, c.Generation = id, c.InstalledAt, 1, max(c.Generation, 1)
	line := Change{At: c.AuthorizedAt, By: Person(c.AuthorizedBy), What: DidInstall, Outcome: OutcomeDone}
	c.Changes = append([]Change{line}, importLines(c.Changes)...)
	return c
}

// Admin names who besides the installer decides about c, to go into a sentence. For a whole organisation an admin of
// one of its workspaces does not.
func (c Connection) Admin(said *words.Sentences) string {
	if c.Everywhere() {
		return said.Say("connections.who.admin_everywhere")
	}
	return said.Say("connections.who.admin")
}

// WhoCan names whom somebody asks who can't do it themselves, to go into a sentence. asker is that person's id.
func (c Connection) WhoCan(said *words.Sentences, asker string) string {
	switch {
	case c.InstalledBy == "" || c.InstalledBy == asker:
		return c.Admin(said)
	case c.Everywhere():
		return said.Say("connections.who.installer_everywhere", "person", "<@"+c.InstalledBy+">")
	}
	return said.Say("connections.who.installer", "person", "<@"+c.InstalledBy+">")
}

// Place names what c is for, to go into a sentence: its workspace, or the whole organisation.
func (c Connection) Place(said *words.Sentences) string {
	switch {
	case c.Everywhere():
		return said.Say("connections.place.everywhere", "organisation", cmp.Or(c.EnterpriseName, c.EnterpriseID))
	case c.TeamName == "":
		return said.Say("connections.place.unnamed")
	}
	return c.TeamName
}

// Everywhere reports whether c is stored, and for a whole organisation.
func (c Connection) Everywhere() bool { return c.ID != "" && c.Org() }

// LateConsent bounds how far apart two consents can be whose callbacks ran side by side: a callback takes less.
const LateConsent = time.Minute

// Consent returns was after one more consent, c, for the same key. Id, history, an operator's pause and the facts
// that Slack did not repeat stay; the rest is c's. later: was was stored before Slack was asked for c, so c came last
// there whatever the clocks say. Otherwise the two callbacks may have run side by side. Then the clocks decide for
// now, and a renewal soon shows who was right; the caller puts the loser's tokens aside until then.
func (c Connection) Consent(next Connection, later bool) Connection {
	apart := c.AuthorizedAt.Sub(next.AuthorizedAt)
	sideBySide := next.Asked > 0 || apart.Abs() < LateConsent
	if later || !c.Usable() || !sideBySide {
		return c.Replaced(next)
	}
	if apart > 0 && apart < LateConsent {
		c.Installs++
		c.Changes = []Change{c.consentLine(next)}
		c.Contested = true
		c.Soon(next.AuthorizedAt)
		return c
	}
	next.Contested = true
	next.Soon(next.AuthorizedAt)
	return c.Replaced(next)
}

// Usable reports whether a connection has access that Slack takes, as far as is known.
func (c Connection) Usable() bool {
	return c.Token != "" && c.State != Removed && c.State != ReconnectRequired
}

func (c Connection) consentLine(next Connection) Change {
	line := Change{At: next.AuthorizedAt, By: Person(next.AuthorizedBy), What: DidReconnect, Outcome: OutcomeDone}
	if c.State == Removed {
		line.What = DidReinstall
	}
	return line
}

// Replaced is Consent for a consent that is known to be the later one.
func (c Connection) Replaced(next Connection) Connection {
	next.ID, next.CreatedAt, next.Installs, next.LastEventAt = c.ID, c.CreatedAt, c.Installs+1, c.LastEventAt
	next.Generation = max(next.Generation, c.Generation+1)
	next.EventsHeldSince, next.EventsHeldAt = c.EventsHeldSince, c.EventsHeldAt
	next.OperatorLabel = c.OperatorLabel
	next.Notice, next.Changes = c.Notice, append([]Change{c.consentLine(next)}, importLines(next.Changes)...)

	if next.AwaitsScopes() {
		next.CheckAt = next.AuthorizedAt // perhaps this allowed it
	}
	next.TeamIcon = cmp.Or(next.TeamIcon, c.TeamIcon)
	if next.BotID == "" {
		next.BotID, next.TeamURL, next.CheckedAt = c.BotID, c.TeamURL, c.CheckedAt // Slack could not be asked
	}

	if changes := permissionsApart(c.Scopes, next.Scopes); changes != "" && c.State != Removed {
		next.Note(Change{At: next.AuthorizedAt, By: Person(next.AuthorizedBy), What: DidPermissions, Outcome: OutcomeDone,
			Reason: changes})
	}
	if c.State != Removed {
		// Whoever reconnects does not become the installer, who has rights that any member could take so.
		next.InstalledBy, next.InstalledByName, next.InstalledAt = c.InstalledBy, c.InstalledByName, c.InstalledAt
	}
	// A webhook works as long as the app is installed; a removal has erased it.
	next.Webhook = cmp.Or(next.Webhook, c.Webhook)

	switch c.State {
	case Active: // it worked before, and has since then
		next.StateSince = c.StateSince
	case Paused:
		// What happened to the access before, its reason, is over.
		next.State, next.Reason, next.StateSince = c.State, ReasonNone, c.StateSince
	}
	next.Beginnings = c.continued(next)
	return next
}

// Soon has the token renewed a minute after a consent that came close to another. Which of the two pairs Slack handed
// out last, and so keeps, can't be told from here when two replicas were involved: the renewal finds out while people
// are about.
func (c *TokenPair) Soon(at time.Time) {
	if verify := at.Add(LateConsent); !c.RenewAt.IsZero() && verify.Before(c.RenewAt) {
		c.RenewAt = verify
	}
}

// Erase drops every secret and sets the state the connection ends in. Facts and id stay, so that a later install finds
// them again. With the app gone (Removed) the store drops people's tokens along with it.
func (c *Connection) Erase(end State, reason string, at time.Time) {
	// What journals still hold is told by these.
	c.TokenPair = TokenPair{Generation: c.Generation, GrantID: c.GrantID}
	c.Webhook, c.PendingRemoval = Webhook{}, Removal{}
	c.SetState(end, reason, at)
}

// SetState changes the state; StateSince moves only when state or reason really change.
func (c *Connection) SetState(s State, reason string, at time.Time) {
	if c.State == s && c.Reason == reason {
		return
	}
	c.stateBegins(s)
	c.State, c.Reason, c.StateSince = s, reason, at
	if s == ReconnectRequired && c.Notice.Reason == ReasonMissingScope {
		c.Notice.At = time.Time{} // that it needs reconnecting is still to be told
	}
}
