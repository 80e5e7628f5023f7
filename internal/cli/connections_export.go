package cli

// connections export: what is stored of one workspace, for a person who has the right to know.

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/oauth"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/timers"
	"github.com/switchboard-go/switchboard/storage/values"
)

type exportCmd struct {
	databaseFlags
	Name string `arg:"" help:"The connection's id (con_…) or the workspace's (T…, or E… for an organisation)."`
}

// exported is a connection with all that is kept of it. Of secrets it says whether there are any.
type exported struct {
	record
	EnterpriseName  string   `json:"enterprise_name"`
	TeamURL         string   `json:"team_url"`
	TeamIcon        string   `json:"team_icon"`
	BotID           string   `json:"bot_id"`
	InstalledByName string   `json:"installed_by_name"`
	HasToken        bool     `json:"has_token"`
	HasRefreshToken bool     `json:"has_refresh_token"`
	HasWebhook      bool     `json:"has_webhook"`
	WebhookChannel  string   `json:"webhook_channel"`
	WebhookIn       string   `json:"webhook_channel_id"`
	WebhookSettings string   `json:"webhook_configuration_url"`
	StateNotes      []string `json:"state_notes"` // when the state and permissions became what they are
	CheckAt         *string  `json:"check_at"`
	HeldSince       *string  `json:"events_held_since"`
	HeldAt          *string  `json:"events_held_at"`
	NoticeReason    string   `json:"notice_reason"` // of the message that told somebody of trouble
	NoticeAt        *string  `json:"notice_at"`
	NoticeTo        string   `json:"notice_to"`
	NoticeChannel   string   `json:"notice_channel"`
	NoticeTS        string   `json:"notice_ts"`
	RemovalSaid     string   `json:"pending_removal"` // what Slack said of a removal that isn't confirmed
	RemovalAt       *string  `json:"pending_removal_at"`
}

func exportedOf(in *install.Installer, c connection.Connection) exported {
	notes := []string{}
	for _, b := range c.Beginnings {
		notes = append(notes, b.Of+" "+*stamp(b.At))
	}
	return exported{
		record: recordOf(in, c), EnterpriseName: c.EnterpriseName, TeamURL: c.TeamURL, TeamIcon: c.TeamIcon, BotID: c.BotID,
		InstalledByName: c.InstalledByName, HasToken: c.Token != "", HasRefreshToken: c.RefreshToken != "",
		HasWebhook: c.Webhook.URL != "", WebhookChannel: c.Webhook.Channel, WebhookIn: c.Webhook.ChannelID,
		WebhookSettings: c.Webhook.ConfigurationURL, StateNotes: notes, CheckAt: stamp(c.CheckAt),
		HeldSince: stamp(c.EventsHeldSince), HeldAt: stamp(c.EventsHeldAt), NoticeReason: c.Notice.Reason,
		NoticeAt: stamp(c.Notice.At), NoticeTo: c.Notice.To, NoticeChannel: c.Notice.Channel, NoticeTS: c.Notice.TS,
		RemovalSaid: c.PendingRemoval.Reason, RemovalAt: stamp(c.PendingRemoval.At),
	}
}

type exportedUser struct {
	UserID    string   `json:"user_id"`
	Scopes    []string `json:"scopes"`
	GrantedAt *string  `json:"granted_at"`
	ExpiresAt *string  `json:"expires_at"`
	Reason    string   `json:"reason"`
}

type exportedValue struct {
	TeamID    string  `json:"team_id"`
	Key       string  `json:"key"`
	Readable  bool    `json:"readable"`
	Value     any     `json:"value"`
	ExpiresAt *string `json:"expires_at"`
}

type exportedTimer struct {
	TeamID string  `json:"team_id"`
	Name   string  `json:"name"`
	Key    string  `json:"key"`
	Recurs string  `json:"recurs"`
	DueAt  *string `json:"due_at"`
	Parked bool    `json:"parked"`
	Data   any     `json:"data"`
}

// exporter writes an object whose members are lists, as they come.
type exporter struct {
	out  *bufio.Writer
	list jsonList
}

// part writes a member that is a list; each calls its function for each element.
func (e *exporter) part(name string, each func(add func(v any) error) error) error {
	if _, err := e.out.WriteString(",\n  \"" + name + "\": "); err != nil {
		return err
	}
	e.list = jsonList{out: e.out, indent: "  "}
	if err := each(e.list.add); err != nil {
		return err
	}
	return e.list.end()
}

// Run prints the export.
func (c *exportCmd) Run(env *environment) error {
	return c.withStore(env, func(db *storage.DB, in *install.Installer) error {
		found, err := env.lookup(db, c.Name)
		if err != nil {
			return err
		}
		whole, err := db.Get(env.ctx, found.ID) // which says whether there are secrets
		if err != nil {
			return err
		}

		head, err := jsonText(exportedOf(in, whole), "  ")
		if err != nil {
			return err
		}
		e := &exporter{out: bufio.NewWriter(env.stdout)}
		_, err = e.out.WriteString("{\n  \"exported_at\": \"" + *stamp(in.Now()) + "\",\n  \"connection\": " +
			head[:len(head)-1]) // without its line break
		if err == nil {
			err = e.parts(env, db, whole)
		}
		if err == nil {
			_, err = e.out.WriteString("\n}\n")
		}
		return errors.Join(err, e.out.Flush())
	})
}

// parts writes what hangs on a connection.
func (e *exporter) parts(env *environment, db *storage.DB, c connection.Connection) error {
	for _, part := range []struct {
		name string
		each func(add func(v any) error) error
	}{
		{"history", func(add func(v any) error) error {
			return db.EachChange(env.ctx, c.ID, func(l connection.Change) error { return add(changeOf(l)) })
		}},
		{"install_attempts", func(add func(v any) error) error {
			return db.EachAttempt(env.ctx, c.ID, func(a oauth.Attempt) error { return add(attemptOf(a)) })
		}},
		{"people", func(add func(v any) error) error {
			return db.EachUser(env.ctx, c.ID, func(u connection.UserToken) error {
				return add(exportedUser{UserID: u.UserID, Scopes: append([]string{}, u.Scopes...), GrantedAt: stamp(u.GrantedAt),
					ExpiresAt: stamp(u.ExpiresAt), Reason: u.Reason})
			})
		}},
		{"values", func(add func(v any) error) error {
			return db.Values().Each(env.ctx, c.Key, c.ID, func(v values.Stored) error {
				return add(exportedValue{TeamID: v.TeamID, Key: v.Key, Readable: v.Value != nil, Value: plainly(v.Value),
					ExpiresAt: stamp(v.Expires)})
			})
		}},
		{"timers", func(add func(v any) error) error {
			return db.EachTimer(env.ctx, c.ID, func(t timers.Stored) error {
				return add(exportedTimer{TeamID: t.TeamID, Name: t.Name, Key: t.Key, Recurs: t.Recurs, DueAt: stamp(t.Due),
					Parked: t.Parked, Data: plainly(t.Data)})
			})
		}},
		{"events", func(add func(v any) error) error {
			return db.EachOf(env.ctx, c.Key, func(l inbox.Letter) error {
				line := letterOf(l)
				line.Payload = harmless(l.Event.Body) // what isn't JSON can't be searched for what gives access
				return add(line)
			})
		}},
	} {
		if err := e.part(part.name, part.each); err != nil {
			return err
		}
	}
	return nil
}

// plainly is what lies sealed, as JSON shows it: without what gives access, text as text, and anything else in base64.
func plainly(data []byte) any {
	switch {
	case len(data) == 0:
		return nil
	case json.Valid(data):
		return harmless(data)
	case utf8.Valid(data):
		return string(data)
	}
	return base64.StdEncoding.EncodeToString(data)
}
