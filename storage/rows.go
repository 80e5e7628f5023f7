package storage

// This file is the only place that knows how connections and people's tokens lie in the database: which columns there
// are, which of them are sealed, and what a row becomes when its secrets cannot be opened.

import (
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/oauth"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// sealedRow is a row that holds secrets: a *connectionRow or a *userTokenRow.
type sealedRow interface {
	name() string            // in reports
	boxes() []*[]byte        // where it keeps its secrets; an empty box holds none
	sealedColumns() []string // the columns of the boxes, in their order
	place(secret int) seal.Place
	version() *int64
}

// connectionRow is a row of connections. A test compares it with the migrations. GORM's serializers are not used for
// the sealed columns: they see one field and not the row, and an update of a single column would store a box nobody
// can open.
type connectionRow struct {
	ID string `gorm:"primaryKey"`
	connection.Key
	Facts                           columns.Facts `gorm:"embedded"`
	Token, RefreshToken, WebhookURL []byte        // boxes; empty when there is no secret
	Version                         int64
}

func (connectionRow) TableName() string { return "connections" }

func (r *connectionRow) name() string { return r.ID }

func (r *connectionRow) version() *int64 { return &r.Version }

func (r *connectionRow) boxes() []*[]byte { return []*[]byte{&r.Token, &r.RefreshToken, &r.WebhookURL} }

func (connectionRow) sealedColumns() []string {
	return []string{"token", "refresh_token", "webhook_url"}
}

func (r *connectionRow) place(secret int) seal.Place {
	return seal.Place{Column: "connections." + r.sealedColumns()[secret], App: r.AppID, Enterprise: r.EnterpriseID,
		Team: r.TeamID}
}

// userTokenRow is a row of user_tokens. Its key is the connection's, which never changes.
type userTokenRow struct {
	ConnectionID, UserID string `gorm:"primaryKey"`
	connection.Key
	Facts               userTokenFacts `gorm:"embedded"`
	Token, RefreshToken []byte         // boxes
	Version             int64
}

type userTokenFacts struct {
	Scopes, Reason string
	TokenPair      columns.TokenPair `gorm:"embedded"`
	GrantedAt      int64
}

func (userTokenRow) TableName() string { return "user_tokens" }

func (r *userTokenRow) name() string { return r.ConnectionID + "/" + r.UserID }

func (r *userTokenRow) version() *int64 { return &r.Version }

func (r *userTokenRow) boxes() []*[]byte { return []*[]byte{&r.Token, &r.RefreshToken} }

func (userTokenRow) sealedColumns() []string { return []string{"token", "refresh_token"} }

func (r *userTokenRow) owner() connection.TokenOwner {
	return connection.TokenOwner{Key: r.Key, UserID: r.UserID}
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

func userTokenFactsOf(u connection.UserToken) userTokenFacts {
	return userTokenFacts{Scopes: columns.Text(strings.Join(u.Scopes, ",")), Reason: columns.Text(u.Reason),
		TokenPair: columns.TokenPairOf(u.TokenPair), GrantedAt: columns.Micros(u.GrantedAt)}
}

// userToken is the row without its secrets.
func (r *userTokenRow) userToken() connection.UserToken {
	return connection.UserToken{
		TokenOwner: r.owner(), ConnectionID: r.ConnectionID, Scopes: columns.Scopes(r.Facts.Scopes),
		TokenPair: r.Facts.TokenPair.TokenPair(), Reason: r.Facts.Reason, GrantedAt: columns.Moment(r.Facts.GrantedAt),
	}
}

func changeRowOf(connectionID string, c connection.Change) changeRow {
	return changeRow{
		ConnectionID: connectionID, At: columns.Micros(c.At), Actor: columns.Text(string(c.By.Kind)),
		ActorID: columns.Text(c.By.ID), What: columns.Text(c.What), Outcome: columns.Text(c.Outcome),
		Reason: columns.Text(c.Reason),
	}
}

func (r *changeRow) change() connection.Change {
	return connection.Change{
		ConnectionID: r.ConnectionID, At: columns.Moment(r.At),
		By: connection.Actor{Kind: connection.ActorKind(r.Actor), ID: r.ActorID}, What: r.What, Outcome: r.Outcome,
		Reason: r.Reason,
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

// sealer opens and seals what rows keep in boxes.
type sealer struct{ keys *seal.Keyring }

// open turns a row into a connection. When one of the secrets cannot be opened it gives none of them; readable is false
// then.
func (k sealer) open(r *connectionRow) (c connection.Connection, readable bool) {
	c = r.Facts.Connection(r.Key, r.ID)
	if readable = k.unseal(r, secretsOf(&c)); !readable && c.State != connection.Paused {
		// that is the operator's word, and no key changes it
		if c.State != connection.ReconnectRequired {
			c.StateSince = time.Time{} // nobody saw the key go
		}
		c.State, c.Reason = connection.ReconnectRequired, connection.ReasonUnreadable
	}
	return c, readable
}

// openUser is open for a person's token.
func (k sealer) openUser(r *userTokenRow) (u connection.UserToken, readable bool) {
	u = r.userToken()
	if readable = k.unseal(r, userSecretsOf(&u)); !readable {
		u.Reason = connection.ReasonUnreadable
	}
	return u, readable
}

// unseal opens all of a row's boxes, or none: a token without its refresh token would look healthy until it expires.
func (k sealer) unseal(r sealedRow, secrets []*connection.Secret) (readable bool) {
	for i, box := range r.boxes() {
		if len(*box) == 0 {
			continue
		}
		secret, err := k.keys.Open(*box, r.place(i))
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

// seal puts those of the secrets into the row that differ from what it was opened to, or all of them, and returns
// which. A secret that stayed the same keeps its box, byte by byte.
func (k sealer) seal(r sealedRow, was, now []*connection.Secret, all bool) (changed []int, err error) {
	for i, s := range now {
		if !all && *s == *was[i] {
			continue
		}
		box := []byte{} // not nil: that would be NULL
		if *s != "" {
			if box, err = k.keys.Seal([]byte(s.Reveal()), r.place(i)); err != nil {
				return nil, err
			}
		}
		*r.boxes()[i] = box
		changed = append(changed, i)
	}
	return changed, nil
}

// rewrite seals what changed of the secrets, or all of them, and writes a locked row if that or the rest of it changed.
func (k sealer) rewrite(tx *gorm.DB, row sealedRow, was, now []*connection.Secret, all, changed bool) error {
	boxes, err := k.seal(row, was, now, all)
	if err != nil || !changed && boxes == nil {
		return err
	}
	return writeRow(tx, row, boxes)
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
	return lost(tx.Model(row).Select("*").Omit(omit...).Where("version = ?", read).Updates(row))
}

// lost is the error of an update of one row. ErrLost, when it found none.
func lost(update *gorm.DB) error {
	if update.Error == nil && update.RowsAffected != 1 {
		return db.ErrLost
	}
	return update.Error
}

func attemptRowOf(a oauth.Attempt) attemptRow {
	return attemptRow{
		Ref: columns.Text(a.Ref), StateHash: append([]byte{}, a.StateHash...),
		BrowserHash: append([]byte{}, a.BrowserHash...), AnswerHash: append([]byte{}, a.AnswerHash...),
		StartedAt: columns.Micros(a.StartedAt), ExpiresAt: columns.Micros(a.ExpiresAt),
		ReturnedAt: columns.Micros(a.ReturnedAt), EndedAt: columns.Micros(a.EndedAt), TeamHint: columns.Text(a.TeamHint),
		BoundTo: columns.Text(a.BoundTo), Outcome: columns.Text(string(a.Outcome)), Reason: columns.Text(a.Reason),
		ConnectionID: columns.Text(a.ConnectionID), TeamID: columns.Text(a.TeamID), UserID: columns.Text(a.UserID),
		LinkHash: append([]byte{}, a.LinkHash...), WishScopes: columns.Text(strings.Join(a.Request.Scopes, ",")),
		WishBack: columns.Text(a.Request.Back), Origin: columns.Text(a.Origin),
	}
}

func (r *attemptRow) attempt() oauth.Attempt {
	return oauth.Attempt{
		Ref: r.Ref, StateHash: r.StateHash, BrowserHash: r.BrowserHash, AnswerHash: r.AnswerHash,
		StartedAt: columns.Moment(r.StartedAt), ExpiresAt: columns.Moment(r.ExpiresAt),
		ReturnedAt: columns.Moment(r.ReturnedAt), EndedAt: columns.Moment(r.EndedAt), TeamHint: r.TeamHint,
		BoundTo: r.BoundTo, Outcome: oauth.Outcome(r.Outcome), Reason: r.Reason,
		ConnectionID: r.ConnectionID, TeamID: r.TeamID, UserID: r.UserID,
		LinkHash: r.LinkHash, Request: links.GrantRequest{Scopes: columns.Scopes(r.WishScopes), Back: r.WishBack},
		Origin: r.Origin,
	}
}
