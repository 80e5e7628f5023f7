// Package bolt reads the installations that an app built on Slack's Bolt keeps: the files of Bolt for JavaScript and of
// Bolt for Python, and the two tables that Bolt for Python makes in SQLite or PostgreSQL. It changes nothing of them.
package bolt

// What the two Bolts write of one installation, wherever it lies, and how it is understood.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// Error says what of a store can't be read. Then nothing of it counts, so that no workspace is left out unnoticed.
type Error struct {
	Problems []string
	Fix      string // what to do about all of them
}

// What helps against the problems of a store: of its place, its content, and a database that keeps it.
const (
	fixPlace   = "name the folder, a file, sqlite:PATH or postgres://… in which Bolt keeps its installations"
	fixContent = "copy it again from where the old app runs, or take out what isn't whole: those workspaces install again"
	fixServer  = "check the address and the password, and that the database runs"
)

// Error has one problem to a line.
func (e *Error) Error() string { return strings.Join(e.Problems, "\n") }

// refused is an Error with one problem.
func refused(fix, format string, args ...any) error {
	return &Error{Problems: []string{fmt.Sprintf(format, args...)}, Fix: fix}
}

// sqlalchemy and sqlitePath begin addresses as SQLAlchemy has them: with the driver's name in it, or three slashes
// before the path of a file.
var (
	sqlalchemy = regexp.MustCompile(`^postgres(?:ql)?\+\w+://`)
	sqlitePath = regexp.MustCompile(`^sqlite(?:\+\w+)?:///`)
)

// sqliteFile begins a SQLite file.
const sqliteFile = "SQLite format 3\x00"

var errSQLite = errors.New("is a SQLite database: name it as sqlite:PATH")

// Read returns what is kept at from: a folder, a file with one installation or a list of them, "sqlite:PATH" or
// "postgres://…". An *Error when that isn't Bolt's, or can't be read whole. No error holds a token, or the password of
// an address.
func Read(ctx context.Context, from string) ([]install.Installation, error) {
	from = sqlitePath.ReplaceAllString(sqlalchemy.ReplaceAllString(from, "postgresql://"), "sqlite:")
	switch scheme, _, _ := strings.Cut(from, ":"); {
	case from == "":
		return nil, refused(fixPlace, "names nothing")
	case scheme == "sqlite", strings.HasPrefix(from, "postgres://"), strings.HasPrefix(from, "postgresql://"):
		return readTables(ctx, from)
	case strings.Contains(from, "://"):
		return nil, refused(fixPlace, "%s:// is no kind of store that can be read", scheme)
	}
	return readFiles(from)
}

// object is a JSON object, with its numbers as they are written.
type object map[string]any

// parse understands the content of a file: one installation, or a list of them.
func parse(content []byte) ([]install.Installation, error) {
	if bytes.HasPrefix(content, []byte(sqliteFile)) {
		return nil, errSQLite
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	var whole any
	switch err := decoder.Decode(&whole); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("ends in the middle: it was not written whole")
	case err != nil:
		return nil, fmt.Errorf("is not JSON: %w", err)
	case decoder.More():
		return nil, errors.New("goes on after its end: it was not written whole")
	}

	list, isList := whole.([]any)
	if !isList {
		list = []any{whole}
	}
	var found []install.Installation
	for i, one := range list {
		made, err := installationOf(one)
		switch {
		case err != nil && isList:
			return nil, fmt.Errorf("has an entry (number %d) that %w", i+1, err)
		case err != nil:
			return nil, err
		case isList:
			made.From = fmt.Sprintf("entry %d", i+1)
		}
		found = append(found, made)
	}
	return found, nil
}

// installationOf understands one installation as either of the Bolts writes it.
func installationOf(one any) (install.Installation, error) {
	fields, _ := one.(map[string]any)
	_, hasBot := fields["bot"].(map[string]any)
	_, hasUser := fields["user"].(map[string]any)
	_, hasBotToken := fields["bot_token"]
	_, hasUserToken := fields["user_token"]
	switch {
	case hasBot || hasUser:
		return ofJavaScript(fields)
	case hasBotToken || hasUserToken:
		return ofPython(func(name string) string { return text(fields[name]) })
	}
	return install.Installation{}, errors.New("is not an installation that Bolt wrote")
}

// ofJavaScript understands Bolt for JavaScript's, which doesn't say when it was made.
func ofJavaScript(whole object) (install.Installation, error) {
	team, enterprise := whole.at("team"), whole.at("enterprise")
	bot, user, webhook := whole.at("bot"), whole.at("user"), whole.at("incomingWebhook")
	made := install.Installation{
		AppID: whole.text("appId"), TeamID: team.text("id"), TeamName: team.text("name"),
		EnterpriseID: enterprise.text("id"), EnterpriseName: enterprise.text("name"), UserID: user.text("id"),
		Webhook: connection.Webhook{
			URL: connection.Secret(webhook.text("url")), Channel: webhook.text("channel"),
			ChannelID: webhook.text("channelId"), ConfigurationURL: webhook.text("configurationUrl"),
		},
	}
	if isYes(whole.text("isEnterpriseInstall")) {
		made.TeamID = ""
	}

	var err, bad error
	if made.Bot, err = bot.tokens(); err != nil {
		bad = fmt.Errorf("has a bot.%w", err)
	}
	if made.User, err = user.tokens(); err != nil {
		bad = fmt.Errorf("has a user.%w", err)
	}
	return made, bad
}

func (o object) at(name string) object {
	inner, _ := o[name].(map[string]any)
	return inner
}

func (o object) text(name string) string { return text(o[name]) }

func (o object) tokens() (install.Tokens, error) {
	expires, err := moment(o.text("expiresAt"))
	if err != nil {
		return install.Tokens{}, fmt.Errorf("expiresAt %w", err)
	}
	return install.Tokens{
		Token: connection.Secret(o.text("token")), RefreshToken: connection.Secret(o.text("refreshToken")),
		ExpiresAt: expires, Scopes: connection.SplitScopes(o.text("scopes")),
	}, nil
}

// ofPython understands Bolt for Python's: the same names in its files and as the columns of its tables.
func ofPython(get func(name string) string) (install.Installation, error) {
	made := install.Installation{
		ClientID: get("client_id"), AppID: get("app_id"), TeamID: get("team_id"), TeamName: get("team_name"),
		EnterpriseID: get("enterprise_id"), EnterpriseName: get("enterprise_name"), UserID: get("user_id"),
		Bot: install.Tokens{Token: connection.Secret(get("bot_token")), Scopes: connection.SplitScopes(get("bot_scopes")),
			RefreshToken: connection.Secret(get("bot_refresh_token"))},
		User: install.Tokens{Token: connection.Secret(get("user_token")), Scopes: connection.SplitScopes(get("user_scopes")),
			RefreshToken: connection.Secret(get("user_refresh_token"))},
		Webhook: connection.Webhook{
			URL: connection.Secret(get("incoming_webhook_url")), Channel: get("incoming_webhook_channel"),
			ChannelID: get("incoming_webhook_channel_id"), ConfigurationURL: get("incoming_webhook_configuration_url"),
		},
	}
	if isYes(get("is_enterprise_install")) {
		made.TeamID = ""
	}

	for name, at := range map[string]*time.Time{"installed_at": &made.SavedAt,
		"bot_token_expires_at": &made.Bot.ExpiresAt, "user_token_expires_at": &made.User.ExpiresAt} {
		var err error
		if *at, err = moment(get(name)); err != nil {
			return made, fmt.Errorf("has a %s %w", name, err)
		}
	}
	return made, nil
}

// text is a value in words: a list with commas between, and "" for what has none.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case []any:
		words := make([]string, len(v))
		for i, one := range v {
			words[i] = text(one)
		}
		return strings.Join(words, ",")
	}
	return ""
}

// isYes reports whether a value is true, as JSON and the databases write it.
func isYes(word string) bool {
	return slices.Contains([]string{"true", "t", "1"}, strings.ToLower(word))
}

// Seconds since 1970 that are no date of ours: what is above is milliseconds.
const mostSeconds = 100_000_000_000

// moments are how databases write a time. Without a zone it is UTC: both Bolts keep it so.
var moments = []string{"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999Z07",
	"2006-01-02 15:04:05.999999999"}

// moment understands a time: seconds since 1970, or as a database writes it. "" is none.
func moment(word string) (time.Time, error) {
	if word == "" {
		return time.Time{}, nil
	}

	if seconds, err := strconv.ParseFloat(word, 64); err == nil {
		if seconds > mostSeconds {
			seconds /= 1000
		}
		if !(seconds > 0 && seconds < mostSeconds) {
			return time.Time{}, errors.New("that is no time")
		}
		whole, part := math.Modf(seconds)
		return time.Unix(int64(whole), int64(part*float64(time.Second))).UTC().Round(time.Microsecond), nil
	}

	word = strings.Replace(word, "T", " ", 1)
	for _, layout := range moments {
		if at, err := time.Parse(layout, word); err == nil {
			return at.UTC().Round(time.Microsecond), nil
		}
	}
	return time.Time{}, errors.New("that is no time")
}
