package storage

// This file is the only place that knows how a connection lies in the database: which columns there are, which of them
// are sealed, and what a row becomes when its secrets cannot be opened.

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"switchboard/install"
)

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

// facts are the columns that are neither part of the key nor secret. The struct can be compared with ==.
type facts struct {
	TeamName, TeamURL, TeamIcon, EnterpriseName               string
	BotUserID, BotID, Scopes                                  string
	ExpiresAt                                                 int64
	WebhookChannel, WebhookChannelID, WebhookConfigurationURL string
	InstalledBy, InstalledByName, RenewedBy                   string
	CreatedAt                                                 int64 `gorm:"autoCreateTime:false"` // GORM would write now
	InstalledAt, RenewedAt                                    int64
	Installs                                                  int64
	State, Reason                                             string
	StateSince, CheckedAt, LastEventAt                        int64
	DoubtReason                                               string
	DoubtAt                                                   int64
}

// attemptRow is a row of install_attempts.
type attemptRow struct {
	ID                                        int64 `gorm:"primaryKey"`
	Ref                                       string
	StateHash, BrowserHash, AnswerHash        []byte
	StartedAt, ExpiresAt, ReturnedAt, EndedAt int64
	TeamHint, BoundTo, Outcome, Reason        string
	ConnectionID, TeamID, UserID              string
}

func (attemptRow) TableName() string { return "install_attempts" }

func factsOf(c install.Connection) facts {
	return facts{
		TeamName: text(c.TeamName), TeamURL: text(c.TeamURL), TeamIcon: text(c.TeamIcon),
		EnterpriseName: text(c.EnterpriseName),
		BotUserID:      text(c.BotUserID), BotID: text(c.BotID),
		Scopes:                  text(strings.Join(c.Scopes, ",")),
		ExpiresAt:               micros(c.ExpiresAt),
		WebhookChannel:          text(c.Webhook.Channel),
		WebhookChannelID:        text(c.Webhook.ChannelID),
		WebhookConfigurationURL: text(c.Webhook.ConfigurationURL),
		InstalledBy:             text(c.InstalledBy), InstalledByName: text(c.InstalledByName), RenewedBy: text(c.RenewedBy),
		CreatedAt: micros(c.CreatedAt), InstalledAt: micros(c.InstalledAt), RenewedAt: micros(c.RenewedAt), Installs: int64(c.Installs),
		State: text(string(c.State)), Reason: text(c.Reason), StateSince: micros(c.StateSince),
		DoubtReason: text(c.Doubt.Reason), DoubtAt: micros(c.Doubt.At),
		CheckedAt: micros(c.CheckedAt), LastEventAt: micros(c.LastEventAt),
	}
}

// connection is the row without its secrets.
func (r *connectionRow) connection() install.Connection {
	f := &r.Facts
	c := install.Connection{
		Key: install.Key{AppID: r.AppID, EnterpriseID: r.EnterpriseID, TeamID: r.TeamID},
		ID:  r.ID, TeamName: f.TeamName, TeamURL: f.TeamURL, TeamIcon: f.TeamIcon, EnterpriseName: f.EnterpriseName,
		BotUserID: f.BotUserID, BotID: f.BotID,
		ExpiresAt: moment(f.ExpiresAt),
		Webhook: install.Webhook{Channel: f.WebhookChannel, ChannelID: f.WebhookChannelID,
			ConfigurationURL: f.WebhookConfigurationURL},
		InstalledBy: f.InstalledBy, InstalledByName: f.InstalledByName, RenewedBy: f.RenewedBy,
		CreatedAt: moment(f.CreatedAt), InstalledAt: moment(f.InstalledAt), RenewedAt: moment(f.RenewedAt), Installs: int(f.Installs),
		State: install.State(f.State), Reason: f.Reason, StateSince: moment(f.StateSince),
		Doubt:     install.Removal{Reason: f.DoubtReason, At: moment(f.DoubtAt)},
		CheckedAt: moment(f.CheckedAt), LastEventAt: moment(f.LastEventAt),
	}
	if f.Scopes != "" {
		c.Scopes = strings.Split(f.Scopes, ",")
	}
	return c
}

// secretsOf returns where c keeps its secrets, in the order of boxes and secretColumns.
func secretsOf(c *install.Connection) [3]*install.Secret {
	return [3]*install.Secret{&c.Token, &c.RefreshToken, &c.Webhook.URL}
}

// boxes returns where the row keeps them.
func (r *connectionRow) boxes() [3]*[]byte {
	return [3]*[]byte{&r.Token, &r.RefreshToken, &r.WebhookURL}
}

var secretColumns = [3]string{"token", "refresh_token", "webhook_url"}

func (r *connectionRow) place(secret int) Place {
	return Place{Column: "connections." + secretColumns[secret], App: r.AppID, Enterprise: r.EnterpriseID, Team: r.TeamID}
}

// open turns a row into a connection. When one of the secrets cannot be opened it gives none of them, because a token
// without its refresh token would look healthy until it expires; readable is false then.
func (db *DB) open(r *connectionRow) (c install.Connection, readable bool) {
	c = r.connection()
	secrets := secretsOf(&c)
	for i, box := range r.boxes() {
		if len(*box) == 0 {
			continue
		}
		secret, err := db.keys.Open(*box, r.place(i))
		if err != nil {
			for _, s := range secrets {
				*s = ""
			}
			if c.State != install.Paused { // that is the operator's word, and no key changes it
				c.State, c.Reason = install.ReconnectRequired, install.ReasonUnreadable
			}
			return c, false
		}
		*secrets[i] = install.Secret(secret)
	}
	return c, true
}

// seal puts one of c's secrets into the row.
func (db *DB) seal(r *connectionRow, c *install.Connection, secret int) error {
	box := []byte{} // not nil: that would be NULL
	if s := *secretsOf(c)[secret]; s != "" {
		var err error
		if box, err = db.keys.Seal([]byte(s.Reveal()), r.place(secret)); err != nil {
			return err
		}
	}
	*r.boxes()[secret] = box
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
	}
}

func (r *attemptRow) attempt() install.Attempt {
	return install.Attempt{
		Ref: r.Ref, StateHash: r.StateHash, BrowserHash: r.BrowserHash, AnswerHash: r.AnswerHash,
		StartedAt: moment(r.StartedAt), ExpiresAt: moment(r.ExpiresAt), ReturnedAt: moment(r.ReturnedAt),
		EndedAt: moment(r.EndedAt), TeamHint: r.TeamHint, BoundTo: r.BoundTo,
		Outcome: install.Outcome(r.Outcome), Reason: r.Reason,
		ConnectionID: r.ConnectionID, TeamID: r.TeamID, UserID: r.UserID,
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
func checkKey(k install.Key) error {
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

func storableKey(k install.Key) bool {
	return storable(k.AppID) && storable(k.EnterpriseID) && storable(k.TeamID)
}
