package cli

// keys: which keys the stored access is sealed with, and how it moves to a new one.

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/internal/manifest"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

type keysCmd struct {
	Check  keysCheckCmd  `cmd:"" help:"Show what is encrypted with which key, and what no key opens. Changes nothing."`
	Rotate keysRotateCmd `cmd:"" help:"Encrypt everything with the first key of ENCRYPTION_KEYS. Safe while serve runs with the same list; can be stopped and run again."`
}

type keysCheckCmd struct{ reportFlags }

// keyReport is the report as scripts see it. Fields may be added, never renamed.
type keyReport struct {
	Rows       int `json:"rows"` // connections
	UserTokens int `json:"user_tokens"`
	Journal    int `json:"journal"` // entries on this machine
	Events     int `json:"events"`  // in the inbox, not done
	Values     int `json:"values"`  // what the bot remembers of workspaces
	Timers     int `json:"timers"`  // what it put off
	// 1: configuration tokens of Slack's, on this machine
	ConfigTokens int       `json:"config_tokens"`
	Keys         []keyLine `json:"keys"`
	Unreadable   []string  `json:"unreadable"`
}

type keyLine struct {
	ID    string `json:"id"`
	First bool   `json:"first"`
	Known bool   `json:"known"`
	Rows  int    `json:"rows"` // of all kinds
}

// errUnreadable makes keys check exit with 1; the report has said why.
var errUnreadable = errors.New("some stored tokens can't be read with these keys; add the key they were encrypted " +
	"with, or let those workspaces reconnect")

// Run prints how many rows hold secrets sealed with each key.
func (c *keysCheckCmd) Run(env *environment) error {
	return c.withDatabase(env, func(db *storage.DB, _ *install.Installer) error {
		found, err := db.CheckKeys(env.ctx)
		if err != nil {
			return err
		}
		report := keyReport{
			Rows: found.Rows, UserTokens: found.UserTokens, Journal: found.Journal, Events: found.Events,
			Values: found.Values, Timers: found.Timers, Keys: []keyLine{}, Unreadable: append([]string{}, found.Unreadable...),
		}
		for _, k := range found.Keys {
			report.Keys = append(report.Keys, keyLine{ID: k.ID, First: k.First, Known: k.Known, Rows: k.Rows})
		}
		id, err := configTokens(env, c.databaseFlags).SealedWith()
		if err != nil {
			return err
		}
		report.addConfigTokens(id)

		if c.JSON {
			err = printJSON(env.stdout, report)
		} else {
			err = report.print(env)
		}
		if err == nil && len(found.Unreadable) > 0 {
			err = errUnreadable
		}
		return err
	})
}

// addConfigTokens counts the file with configuration tokens, which needs the key with that id.
func (r *keyReport) addConfigTokens(id string) {
	if id == "" {
		return
	}
	r.ConfigTokens = 1
	at := slices.IndexFunc(r.Keys, func(k keyLine) bool { return k.ID == id })
	if at < 0 {
		at, r.Keys = len(r.Keys), append(r.Keys, keyLine{ID: id})
	}
	r.Keys[at].Rows++
}

// configTokens are those of an app, to look at what they are sealed with.
func configTokens(env *environment, f databaseFlags) *manifest.Tokens {
	d := f.read(env.source(), true)
	return &manifest.Tokens{Folder: d.DataDir, Keys: manifest.KeysOf(d)}
}

func (r keyReport) print(env *environment) error {
	err := list(env, false, r.Keys, "Nothing is encrypted yet.", "KEY  ROWS  USE", func(k keyLine) []string {
		use := "opens"
		switch {
		case k.First:
			use = "encrypts and opens"
		case !k.Known:
			use = "missing from ENCRYPTION_KEYS"
		case k.Rows == 0:
			use = "opens; nothing needs it, so it can be removed"
		}
		return []string{k.ID, strconv.Itoa(k.Rows), use}
	})

	if err == nil && len(r.Unreadable) > 0 {
		_, err = fmt.Fprintln(env.stdout, "No key opens:", strings.Join(r.Unreadable, " "))
	}
	return err
}

type keysRotateCmd struct {
	reportFlags
	EraseUnreadable bool `help:"Erase what no key opens, when that key is lost for good. Those workspaces keep their id and history and have to reconnect."`
}

// Run seals everything anew that is not sealed with the first key.
func (c *keysRotateCmd) Run(env *environment) error {
	return c.withDatabase(env, func(db *storage.DB, _ *install.Installer) error {
		resealed, unreadable, err := db.Reseal(env.ctx, c.EraseUnreadable)
		if errors.Is(err, seal.ErrNoKey) {
			return server.Wrong("ENCRYPTION_KEYS", "is not set, and there is no key file beside the database",
				"give the key to encrypt with, or put the key file back")
		}
		if err != nil {
			return fmt.Errorf("%w\n%d rows are encrypted with the first key now; run it again to continue", err, resealed)
		}
		more, err := configTokens(env, c.databaseFlags).Reseal()
		if err != nil {
			return err
		}
		if more {
			resealed++
		}

		if c.JSON {
			err = printJSON(env.stdout, map[string]int{"resealed": resealed, "unreadable": unreadable})
		} else {
			_, err = fmt.Fprintf(env.stdout, "Encrypted %d row(s) with the first key. The other keys can be removed when keys "+
				"check says that nothing needs them.\n", resealed)
			if c.EraseUnreadable && err == nil {
				_, err = fmt.Fprintf(env.stdout, "Erased %d row(s) that no key opens.\n", unreadable)
			}
		}

		if err == nil && unreadable > 0 && !c.EraseUnreadable {
			err = errUnreadable
		}
		return err
	})
}
