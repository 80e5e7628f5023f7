// Package columns knows how what a connection is lies in columns, and values of any row with it.
package columns

// What a connection is in columns. The journal keeps it in the same form, so the names of fields are as fixed as those
// of the columns.

import (
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Facts are the columns that are neither part of the key nor secret. The struct can be compared with ==.
type Facts struct {
	TeamName, TeamURL, TeamIcon, EnterpriseName string
	BotUserID, BotID, Scopes                    string
	// by this name journals have it
	TokenPair                                                 TokenPair `gorm:"embedded" json:"Chain"`
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
	OperatorLabel                                             string
}

// TokenPair are the columns of a connection.TokenPair that are not secret, the same in both tables.
type TokenPair struct {
	ExpiresAt, RenewAt, LeaseUntil       int64
	RenewTries, FailingSince, Rejections int64
	Generation                           int64
	GrantID                              string
}

// FactsOf are the columns of c.
func FactsOf(c connection.Connection) Facts {
	return Facts{
		TeamName: Text(c.TeamName), TeamURL: Text(c.TeamURL), TeamIcon: Text(c.TeamIcon),
		EnterpriseName: Text(c.EnterpriseName),
		BotUserID:      Text(c.BotUserID), BotID: Text(c.BotID),
		Scopes:                  Text(strings.Join(c.Scopes, ",")),
		TokenPair:               TokenPairOf(c.TokenPair),
		RenewalError:            Text(c.RenewalError),
		WebhookChannel:          Text(c.Webhook.Channel),
		WebhookChannelID:        Text(c.Webhook.ChannelID),
		WebhookConfigurationURL: Text(c.Webhook.ConfigurationURL),
		InstalledBy:             Text(c.InstalledBy), InstalledByName: Text(c.InstalledByName),
		RenewedBy: Text(c.AuthorizedBy), CreatedAt: Micros(c.CreatedAt), InstalledAt: Micros(c.InstalledAt),
		RenewedAt: Micros(c.AuthorizedAt), Installs: int64(c.Installs), State: Text(string(c.State)), Reason: Text(c.Reason),
		StateSince: Micros(c.StateSince), Beginnings: Text(beginningsText(c.Beginnings)),
		DoubtReason: Text(c.PendingRemoval.Reason), DoubtAt: Micros(c.PendingRemoval.At),
		CheckedAt: Micros(c.CheckedAt), CheckAt: Micros(c.CheckAt), LastEventAt: Micros(c.LastEventAt),
		EventsHeldSince: Micros(c.EventsHeldSince), EventsHeldAt: Micros(c.EventsHeldAt),
		NoticeReason: Text(c.Notice.Reason), NoticeAt: Micros(c.Notice.At), NoticeTo: Text(c.Notice.To),
		NoticeChannel: Text(c.Notice.Channel), NoticeTS: Text(c.Notice.TS), OperatorLabel: Text(c.OperatorLabel),
	}
}

// TokenPairOf is c without its secrets.
func TokenPairOf(c connection.TokenPair) TokenPair {
	return TokenPair{
		ExpiresAt: Micros(c.ExpiresAt), RenewAt: Micros(c.RenewAt), LeaseUntil: Micros(c.LeaseUntil),
		RenewTries: int64(c.Tries), FailingSince: Micros(c.FailingSince), Rejections: int64(c.Rejections),
		Generation: c.Generation, GrantID: Text(c.GrantID),
	}
}

// TokenPair is the token pair without its secrets.
func (r TokenPair) TokenPair() connection.TokenPair {
	return connection.TokenPair{
		ExpiresAt: Moment(r.ExpiresAt), RenewAt: Moment(r.RenewAt), LeaseUntil: Moment(r.LeaseUntil),
		Tries: int(r.RenewTries), FailingSince: Moment(r.FailingSince), Rejections: int(r.Rejections),
		Generation: r.Generation, GrantID: r.GrantID,
	}
}

// Row is what is compared with the journal. erased: there is no token.
func (r TokenPair) Row(erased bool, grantedAt int64) connection.Row {
	return connection.Row{Erased: erased, GrantedAt: Moment(grantedAt), Generation: r.Generation, GrantID: r.GrantID,
		RenewAt: Moment(r.RenewAt), Tries: int(r.RenewTries), Rejections: int(r.Rejections)}
}

// Connection is the row of a key without its secrets.
func (f *Facts) Connection(k connection.Key, id string) connection.Connection {
	c := connection.Connection{
		Key: k,
		ID:  id, TeamName: f.TeamName, TeamURL: f.TeamURL, TeamIcon: f.TeamIcon, EnterpriseName: f.EnterpriseName,
		BotUserID: f.BotUserID, BotID: f.BotID, Scopes: Scopes(f.Scopes),
		TokenPair: f.TokenPair.TokenPair(), RenewalError: f.RenewalError,
		Webhook: connection.Webhook{Channel: f.WebhookChannel, ChannelID: f.WebhookChannelID,
			ConfigurationURL: f.WebhookConfigurationURL},
		InstalledBy: f.InstalledBy, InstalledByName: f.InstalledByName, AuthorizedBy: f.RenewedBy,
		CreatedAt: Moment(f.CreatedAt), InstalledAt: Moment(f.InstalledAt), AuthorizedAt: Moment(f.RenewedAt),
		Installs: int(f.Installs), State: connection.State(f.State), Reason: f.Reason, StateSince: Moment(f.StateSince),
		Beginnings:     beginnings(f.Beginnings),
		PendingRemoval: connection.Removal{Reason: f.DoubtReason, At: Moment(f.DoubtAt)},
		CheckedAt:      Moment(f.CheckedAt), CheckAt: Moment(f.CheckAt), LastEventAt: Moment(f.LastEventAt),
		EventsHeldSince: Moment(f.EventsHeldSince), EventsHeldAt: Moment(f.EventsHeldAt),
		Notice: connection.Notice{Reason: f.NoticeReason, At: Moment(f.NoticeAt), To: f.NoticeTo, Channel: f.NoticeChannel,
			TS: f.NoticeTS},
		OperatorLabel: f.OperatorLabel,
	}
	if c.FailingSince.Before(c.AuthorizedAt) {
		// A release that knows nothing of renewals put a new consent's tokens beside the failures of the old ones.
		c.Tries, c.FailingSince, c.Rejections = 0, time.Time{}, 0
	}
	return c
}

// Scopes is the list in a column.
func Scopes(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// beginningsText is how beginnings lie in their column: "retrying@1764435600000000,-im:history@1764435600000000".
func beginningsText(list []connection.Beginning) string {
	parts := make([]string, len(list))
	for i, b := range list {
		parts[i] = b.Of + "@" + strconv.FormatInt(Micros(b.At), 10)
	}
	return strings.Join(parts, ",")
}

// beginnings is beginningsText read. What can't be read, of a later version, is left out.
func beginnings(list string) (read []connection.Beginning) {
	for _, part := range Scopes(list) {
		of, at, _ := strings.Cut(part, "@")
		if n, err := strconv.ParseInt(at, 10, 64); err == nil && of != "" {
			read = append(read, connection.Beginning{Of: of, At: Moment(n)})
		}
	}
	return read
}
