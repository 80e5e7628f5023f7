package storage

// This file is the only place that knows how connections and people's tokens lie in the database: which columns there are,
// which of them are sealed, and what a row becomes when its secrets cannot be opened.

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"switchboard/install"
	"switchboard/install/connection"
	"switchboard/install/links"
	"switchboard/storage/seal"
)

// sealedRow is a row that holds secrets: a *connectionRow or a *userTokenRow.
type sealedRow interface {
	name() string            // in reports
	boxes() []*[]byte        // where it keeps its secrets; an empty box holds none
	sealedColumns() []string // the columns of the boxes, in their order
	place(secret int) seal.Place
	version() *int64
}

// connectionRow is a row of connections. A test compares it with the migrations. GORM's serializers are not used for the
// sealed columns: they see one field and not the row, and an update of a single column would store a box nobody can open.
type connectionRow struct {
	ID                              string `gorm:"primaryKey"`
	AppID                           string
	EnterpriseID                    string
	TeamID                          string
	Facts                           facts  `gorm:"embedded"`
	Token, RefreshToken, WebhookURL []byte // boxes; empty when there is no secret
	Version                         int64
}

func (connectionRow) TableName() string { return "connections" }
func (r *connectionRow) name() string   { return r.ID }
func (r *connectionRow) key() connection.Key {
	return connection.Key{AppID: r.AppID, EnterpriseID: r.EnterpriseID, TeamID: r.TeamID}
}
func (r *connectionRow) version() *int64  { return &r.Version }
func (r *connectionRow) boxes() []*[]byte { return []*[]byte{&r.Token, &r.RefreshToken, &r.WebhookURL} }
func (connectionRow) sealedColumns() []string {
	return []string{"token", "refresh_token", "webhook_url"}
}

func (r *connectionRow) place(secret int) seal.Place {
	return seal.Place{Column: "connections." + r.sealedColumns()[secret], App: r.AppID, Enterprise: r.EnterpriseID, Team: r.TeamID}
}

// facts are the columns that are neither part of the key nor secret. The struct can be compared with ==.
type facts struct {
	TeamName, TeamURL, TeamIcon, EnterpriseName               string
	BotUserID, BotID, Scopes                                  string
	Chain                                                     chain `gorm:"embedded"`
	RenewalError                                              string
	WebhookChannel, WebhookChannelID, WebhookConfigurationURL string
	InstalledBy, InstalledByName, RenewedBy                   string
	CreatedAt                                                 int64 `gorm:"autoCreateTime:false"` // GORM would write now
	InstalledAt, RenewedAt                                    int64
	Installs                                                  int64
	State, Reason, Beginnings                                 string
	StateSince, CheckedAt, CheckAt, LastEventAt               int64
	EventsHeldSince, EventsHeldAt                             int64
	DoubtReason                                               string
	DoubtAt                                                   int64
	NoticeReason, NoticeTo, NoticeChannel, NoticeTS           string
	NoticeAt                                                  int64
}

// chain are the columns of an install.TokenPair that are not secret, the same in both tables.
type chain struct {
	ExpiresAt, RenewAt, LeaseUntil       int64
	RenewTries, FailingSince, Rejections int64
	Generation                           int64
	GrantID                              string
}

// userTokenRow is a row of user_tokens. Its key is the connection's, which never changes.
type userTokenRow struct {
	ConnectionID, UserID        string `gorm:"primaryKey"`
	AppID, EnterpriseID, TeamID string
	Facts                       userTokenFacts `gorm:"embedded"`
	Token, RefreshToken         []byte         // boxes
	Version                     int64
}

type userTokenFacts struct {
	Scopes, Reason string
	Chain          chain `gorm:"embedded"`
	GrantedAt      int64
}

func (userTokenRow) TableName() string       { return "user_tokens" }
func (r *userTokenRow) name() string         { return r.ConnectionID + "/" + r.UserID }
func (r *userTokenRow) version() *int64      { return &r.Version }
func (r *userTokenRow) boxes() []*[]byte     { return []*[]byte{&r.Token, &r.RefreshToken} }
func (userTokenRow) sealedColumns() []string { return []string{"token", "refresh_token"} }

func (r *userTokenRow) holder() connection.TokenOwner {
	return connection.TokenOwner{Key: connection.Key{AppID: r.AppID, EnterpriseID: r.EnterpriseID, TeamID: r.TeamID}, UserID: r.UserID}
}

// place names the person too, so that one's token in another's row is of no use.
func (r *userTokenRow) place(secret int) seal.Place {
	return seal.Place{Column: "user_tokens." + r.sealedColumns()[secret] + "/" + r.UserID,
		App: r.AppID, Enterprise: r.EnterpriseID, Team: r.TeamID}
}

// changeRow is a row of connection_history.
type changeRow struct {
	ID             int64 `gorm:"primaryKey"`
	ConnectionID   string
	At             int64
	Actor, ActorID string
	What, Outcome  string
	Reason         string
}

func (changeRow) TableName() string { return "connection_history" }

// attemptRow is a row of install_attempts.
type attemptRow struct {
	ID                                        int64 `gorm:"primaryKey"`
	Ref                                       string
	StateHash, BrowserHash, AnswerHash        []byte
	StartedAt, ExpiresAt, ReturnedAt, EndedAt int64
	TeamHint, BoundTo, Outcome, Reason        string
	ConnectionID, TeamID, UserID              string
	LinkHash                                  []byte
	WishScopes, WishBack, Origin              string
}

func (attemptRow) TableName() string { return "install_attempts" }

func factsOf(c connection.Connection) facts {
	return facts{
		TeamName: text(c.TeamName), TeamURL: text(c.TeamURL), TeamIcon: text(c.TeamIcon),
		EnterpriseName: text(c.EnterpriseName),
		BotUserID:      text(c.BotUserID), BotID: text(c.BotID),
		Scopes:                  text(strings.Join(c.Scopes, ",")),
		Chain:                   chainOf(c.TokenPair),
		RenewalError:            text(c.RenewalError),
		WebhookChannel:          text(c.Webhook.Channel),
		WebhookChannelID:        text(c.Webhook.ChannelID),
		WebhookConfigurationURL: text(c.Webhook.ConfigurationURL),
		InstalledBy:             text(c.InstalledBy), InstalledByName: text(c.InstalledByName), RenewedBy: text(c.AuthorizedBy),
		CreatedAt: micros(c.CreatedAt), InstalledAt: micros(c.InstalledAt), RenewedAt: micros(c.AuthorizedAt), Installs: int64(c.Installs),
		State: text(string(c.State)), Reason: text(c.Reason), StateSince: micros(c.StateSince),
		Beginnings:  text(beginningsText(c.Beginnings)),
		DoubtReason: text(c.PendingRemoval.Reason), DoubtAt: micros(c.PendingRemoval.At),
		CheckedAt: micros(c.CheckedAt), CheckAt: micros(c.CheckAt), LastEventAt: micros(c.LastEventAt),
		EventsHeldSince: micros(c.EventsHeldSince), EventsHeldAt: micros(c.EventsHeldAt),
		NoticeReason: text(c.Notice.Reason), NoticeAt: micros(c.Notice.At), NoticeTo: text(c.Notice.To),
		NoticeChannel: text(c.Notice.Channel), NoticeTS: text(c.Notice.TS),
	}
}

func chainOf(c connection.TokenPair) chain {
	return chain{
		ExpiresAt: micros(c.ExpiresAt), RenewAt: micros(c.RenewAt), LeaseUntil: micros(c.LeaseUntil),
		RenewTries: int64(c.Tries), FailingSince: micros(c.FailingSince), Rejections: int64(c.Rejections),
		Generation: c.Generation, GrantID: text(c.GrantID),
	}
}

// token pair is the token pair without its secrets.
func (r chain) chain() connection.TokenPair {
	return connection.TokenPair{
		ExpiresAt: moment(r.ExpiresAt), RenewAt: moment(r.RenewAt), LeaseUntil: moment(r.LeaseUntil),
		Tries: int(r.RenewTries), FailingSince: moment(r.FailingSince), Rejections: int(r.Rejections),
		Generation: r.Generation, GrantID: r.GrantID,
	}
}

// connection is the row without its secrets.
func (r *connectionRow) connection() connection.Connection {
	f := &r.Facts
	c := connection.Connection{
		Key: r.key(),
		ID:  r.ID, TeamName: f.TeamName, TeamURL: f.TeamURL, TeamIcon: f.TeamIcon, EnterpriseName: f.EnterpriseName,
		BotUserID: f.BotUserID, BotID: f.BotID, Scopes: scopes(f.Scopes),
		TokenPair: f.Chain.chain(), RenewalError: f.RenewalError,
		Webhook: connection.Webhook{Channel: f.WebhookChannel, ChannelID: f.WebhookChannelID,
			ConfigurationURL: f.WebhookConfigurationURL},
		InstalledBy: f.InstalledBy, InstalledByName: f.InstalledByName, AuthorizedBy: f.RenewedBy,
		CreatedAt: moment(f.CreatedAt), InstalledAt: moment(f.InstalledAt), AuthorizedAt: moment(f.RenewedAt), Installs: int(f.Installs),
		State: connection.State(f.State), Reason: f.Reason, StateSince: moment(f.StateSince),
		Beginnings:     beginnings(f.Beginnings),
		PendingRemoval: connection.Removal{Reason: f.DoubtReason, At: moment(f.DoubtAt)},
		CheckedAt:      moment(f.CheckedAt), CheckAt: moment(f.CheckAt), LastEventAt: moment(f.LastEventAt),
		EventsHeldSince: moment(f.EventsHeldSince), EventsHeldAt: moment(f.EventsHeldAt),
		Notice: connection.Notice{Reason: f.NoticeReason, At: moment(f.NoticeAt), To: f.NoticeTo, Channel: f.NoticeChannel, TS: f.NoticeTS},
	}
	if c.FailingSince.Before(c.AuthorizedAt) {
		// A release that knows nothing of renewals put a new consent's tokens beside the failures of the old ones.
		c.Tries, c.FailingSince, c.Rejections = 0, time.Time{}, 0
	}
	return c
}

func userTokenFactsOf(u connection.UserToken) userTokenFacts {
	return userTokenFacts{Scopes: text(strings.Join(u.Scopes, ",")), Reason: text(u.Reason), Chain: chainOf(u.TokenPair), GrantedAt: micros(u.GrantedAt)}
}

// userToken is the row without its secrets.
func (r *userTokenRow) userToken() connection.UserToken {
	return connection.UserToken{
		TokenOwner: r.holder(), ConnectionID: r.ConnectionID, Scopes: scopes(r.Facts.Scopes), TokenPair: r.Facts.Chain.chain(),
		Reason: r.Facts.Reason, GrantedAt: moment(r.Facts.GrantedAt),
	}
}

// scopes is the list in a column.
func scopes(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// beginningsText is how beginnings lie in their column: "retrying@1764435600000000,-im:history@1764435600000000".
func beginningsText(list []connection.Beginning) string {
	parts := make([]string, len(list))
	for i, b := range list {
		parts[i] = b.Of + "@" + strconv.FormatInt(micros(b.At), 10)
	}
	return strings.Join(parts, ",")
}

// beginnings is beginningsText read. What can't be read, of a later version, is left out.
func beginnings(list string) (read []connection.Beginning) {
	for _, part := range scopes(list) {
		of, at, _ := strings.Cut(part, "@")
		if n, err := strconv.ParseInt(at, 10, 64); err == nil && of != "" {
			read = append(read, connection.Beginning{Of: of, At: moment(n)})
		}
	}
	return read
}

func changeRowOf(connectionID string, c connection.Change) changeRow {
	return changeRow{
		ConnectionID: connectionID, At: micros(c.At), Actor: text(string(c.By.Kind)), ActorID: text(c.By.ID),
		What: text(c.What), Outcome: text(c.Outcome), Reason: text(c.Reason),
	}
}

func (r *changeRow) change() connection.Change {
	return connection.Change{
		ConnectionID: r.ConnectionID, At: moment(r.At), By: connection.Actor{Kind: connection.ActorKind(r.Actor), ID: r.ActorID},
		What: r.What, Outcome: r.Outcome, Reason: r.Reason,
	}
}

// secretsOf returns where c keeps its secrets, in the order of connectionRow.boxes.
func secretsOf(c *connection.Connection) []*connection.Secret {
	return []*connection.Secret{&c.Token, &c.RefreshToken, &c.Webhook.URL}
}

// userSecretsOf is secretsOf for a person's token.
func userSecretsOf(u *connection.UserToken) []*connection.Secret {
	return []*connection.Secret{&u.Token, &u.RefreshToken}
}

// open turns a row into a connection. When one of the secrets cannot be opened it gives none of them; readable is false
// then.
func (db *DB) open(r *connectionRow) (c connection.Connection, readable bool) {
	c = r.connection()
	if readable = db.unseal(r, secretsOf(&c)); !readable && c.State != connection.Paused { // that is the operator's word, and no key changes it
		if c.State != connection.ReconnectRequired {
			c.StateSince = time.Time{} // nobody saw the key go
		}
		c.State, c.Reason = connection.ReconnectRequired, connection.ReasonUnreadable
	}
	return c, readable
}

// openUser is open for a person's token.
func (db *DB) openUser(r *userTokenRow) (u connection.UserToken, readable bool) {
	u = r.userToken()
	if readable = db.unseal(r, userSecretsOf(&u)); !readable {
		u.Reason = connection.ReasonUnreadable
	}
	return u, readable
}

// unseal opens all of a row's boxes, or none: a token without its refresh token would look healthy until it expires.
func (db *DB) unseal(r sealedRow, secrets []*connection.Secret) (readable bool) {
	for i, box := range r.boxes() {
		if len(*box) == 0 {
			continue
		}
		secret, err := db.keys.Open(*box, r.place(i))
		if err != nil {
			blank(secrets)
			return false
		}
		*secrets[i] = connection.Secret(secret)
	}
	return true
}

func blank(secrets []*connection.Secret) {
	for _, s := range secrets {
		*s = ""
	}
}

// seal puts those of the secrets into the row that differ from what it was opened to, or all of them, and returns which. A
// secret that stayed the same keeps its box, byte by byte.
func (db *DB) seal(r sealedRow, was, now []*connection.Secret, all bool) (changed []int, err error) {
	for i, s := range now {
		if !all && *s == *was[i] {
			continue
		}
		box := []byte{} // not nil: that would be NULL
		if *s != "" {
			if box, err = db.keys.Seal([]byte(s.Reveal()), r.place(i)); err != nil {
				return nil, err
			}
		}
		*r.boxes()[i] = box
		changed = append(changed, i)
	}
	return changed, nil
}

// writeRow writes a locked row and counts its version up. Of the sealed columns it writes only the changed ones. That
// the version is still the one we read is asked again in the statement: the lock saves work, this makes it right.
func writeRow(tx *gorm.DB, row sealedRow, changed []int) error {
	omit := []string{"app_id", "enterprise_id", "team_id"} // and GORM writes no primary key
	for i, column := range row.sealedColumns() {
		if !slices.Contains(changed, i) {
			omit = append(omit, column)
		}
	}
	read := *row.version()
	*row.version()++
	update := tx.Model(row).Select("*").Omit(omit...).Where("version = ?", read).Updates(row)
	if update.Error != nil {
		return update.Error
	}
	if update.RowsAffected != 1 {
		return errLost
	}
	return nil
}

func attemptRowOf(a install.Attempt) attemptRow {
	return attemptRow{
		Ref: text(a.Ref), StateHash: append([]byte{}, a.StateHash...), BrowserHash: append([]byte{}, a.BrowserHash...),
		AnswerHash: append([]byte{}, a.AnswerHash...),
		StartedAt:  micros(a.StartedAt), ExpiresAt: micros(a.ExpiresAt), ReturnedAt: micros(a.ReturnedAt),
		EndedAt: micros(a.EndedAt), TeamHint: text(a.TeamHint), BoundTo: text(a.BoundTo),
		Outcome: text(string(a.Outcome)), Reason: text(a.Reason),
		ConnectionID: text(a.ConnectionID), TeamID: text(a.TeamID), UserID: text(a.UserID),
		LinkHash: append([]byte{}, a.LinkHash...), WishScopes: text(strings.Join(a.Request.Scopes, ",")), WishBack: text(a.Request.Back),
		Origin: text(a.Origin),
	}
}

func (r *attemptRow) attempt() install.Attempt {
	return install.Attempt{
		Ref: r.Ref, StateHash: r.StateHash, BrowserHash: r.BrowserHash, AnswerHash: r.AnswerHash,
		StartedAt: moment(r.StartedAt), ExpiresAt: moment(r.ExpiresAt), ReturnedAt: moment(r.ReturnedAt),
		EndedAt: moment(r.EndedAt), TeamHint: r.TeamHint, BoundTo: r.BoundTo,
		Outcome: install.Outcome(r.Outcome), Reason: r.Reason,
		ConnectionID: r.ConnectionID, TeamID: r.TeamID, UserID: r.UserID,
		LinkHash: r.LinkHash, Request: links.GrantRequest{Scopes: scopes(r.WishScopes), Back: r.WishBack}, Origin: r.Origin,
	}
}

// newID makes a public id: 80 random bits in 16 lower-case letters and digits.
func newID(prefix string) string {
	var raw [10]byte
	_, _ = rand.Read(raw[:]) // never fails: it ends the program instead
	return prefix + strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
}

// micros is t as the database keeps it: microseconds since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// storable reports whether PostgreSQL takes s as text; SQLite takes anything.
func storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// text makes s storable. Some texts come from strangers (?team= in a link), and what is odd in them must not make a
// database fail, and not one of two.
func text(s string) string {
	if storable(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// checkKey refuses what cannot be anybody's key before it is written.
func checkKey(k connection.Key) error {
	switch {
	case k.AppID == "":
		return errors.New("the key has no app")
	case k.EnterpriseID == "" && k.TeamID == "":
		return errors.New("the key has neither a workspace nor an organisation")
	case !storableKey(k):
		return errors.New("the key is not valid text")
	}
	return nil
}

func storableKey(k connection.Key) bool {
	return storable(k.AppID) && storable(k.EnterpriseID) && storable(k.TeamID)
}
