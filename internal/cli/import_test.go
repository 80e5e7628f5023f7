package cli

// An app that was built on Bolt moves here: what each of the two Bolts keeps is written as their libraries write it,
// of installs that slacksim made, and taken over.

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// kept is one install as a Bolt has it in memory: what Slack answered, and when.
type kept struct {
	client, app, team, teamName, enterprise, enterpriseName string
	org                                                     bool
	bot, user                                               keptTokens
	userID, botUserID                                       string
	at                                                      time.Time
}

type keptTokens struct {
	token, refresh string
	expires        int64 // Unix time; 0: never
	scopes         string
}

// ofBolt is a store of one of the Bolts, into which saves go one after the other.
type ofBolt struct {
	from string // as the command is told it
	save func(t *testing.T, k kept)
}

// asBolt installs the app as Bolt does, which has the same paths, and returns what it keeps.
func (w *world) asBolt(userID, userScopes string, choice slacksim.Choice, at time.Time) kept {
	w.t.Helper()
	app, redirect := w.slack.App(), w.proxy.URL+"/slack/oauth_redirect"
	ask := url.Values{"client_id": {app.ClientID}, "redirect_uri": {redirect}, "state": {"bolt"},
		"scope": {"chat:write,commands,app_mentions:read,im:history,users:read,team:read"}, "user_scope": {userScopes}}
	back, err := w.slack.Authorize(context.Background(), w.slack.URL()+"/oauth/v2/authorize?"+ask.Encode(), userID, choice)
	if err != nil {
		w.t.Fatal(err)
	}
	callback, err := url.Parse(back)
	if err != nil {
		w.t.Fatal(err)
	}
	form := url.Values{"code": {callback.Query().Get("code")}, "redirect_uri": {redirect}}
	return w.granted(form, kept{userID: userID}, at)
}

// renewedByBolt is what Bolt keeps after it renewed the bot's token.
func (w *world) renewedByBolt(k kept, at time.Time) kept {
	w.t.Helper()
	return w.granted(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.bot.refresh}}, k, at)
}

// granted asks Slack for tokens, and puts the answer into k.
func (w *world) granted(form url.Values, k kept, at time.Time) kept {
	w.t.Helper()
	app := w.slack.App()
	form.Set("client_id", app.ClientID)
	form.Set("client_secret", app.ClientSecret)
	answer, err := http.PostForm(w.slack.URL()+"/api/oauth.v2.access", form)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	type pair struct {
		Token   string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Expires int64  `json:"expires_in"`
		Scope   string
	}
	var got struct {
		pair
		OK               bool
		AppID            string `json:"app_id"`
		BotUser          string `json:"bot_user_id"`
		Org              bool   `json:"is_enterprise_install"`
		Team, Enterprise struct{ ID, Name string }
		User             pair `json:"authed_user"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil || !got.OK {
		w.t.Fatalf("Slack gave no tokens: %v", err)
	}
	tokens := func(p pair) keptTokens {
		t := keptTokens{token: p.Token, refresh: p.Refresh, scopes: p.Scope}
		if p.Expires > 0 {
			t.expires = time.Now().Unix() + p.Expires
		}
		return t
	}
	k.client, k.app, k.org, k.botUserID, k.at = app.ClientID, got.AppID, got.Org, got.BotUser, at
	k.team, k.teamName, k.enterprise, k.enterpriseName = got.Team.ID, got.Team.Name, got.Enterprise.ID, got.Enterprise.Name
	k.bot = tokens(got.pair)
	if got.User.Token != "" {
		k.user = tokens(got.User)
	}
	return k
}

// orNull is JSON's or SQL's null for "".
func orNull[T comparable](v T) any {
	if v == *new(T) {
		return nil
	}
	return v
}

// write puts a file into a folder of the store, which is as old as what is in it.
func (k kept) write(t *testing.T, folder, name string, content any) {
	t.Helper()
	raw, err := json.Marshal(content)
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name), raw, 0o600)
	}
	if err == nil {
		err = os.Chtimes(filepath.Join(folder, name), k.at, k.at)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// javaScriptFiles is Bolt for JavaScript's FileInstallationStore.
func javaScriptFiles(t *testing.T) ofBolt { return javaScriptStore(t, "/") }

// joinedFiles is that of @slack/oauth 4.0.0, which leaves out a slash.
func joinedFiles(t *testing.T) ofBolt { return javaScriptStore(t, "") }

func javaScriptStore(t *testing.T, slash string) ofBolt {
	base := t.TempDir()
	return ofBolt{from: base, save: func(t *testing.T, k kept) {
		t.Helper()
		part := func(x keptTokens, more map[string]any) map[string]any {
			for name, value := range map[string]any{"token": orNull(x.token), "refreshToken": orNull(x.refresh),
				"expiresAt": orNull(x.expires)} {
				if value != nil {
					more[name] = value
				}
			}
			if x.scopes != "" {
				more["scopes"] = strings.Split(x.scopes, ",")
			}
			return more
		}
		whole := map[string]any{
			"appId": k.app, "authVersion": "v2", "isEnterpriseInstall": k.org, "tokenType": "bot",
			"user": part(k.user, map[string]any{"id": k.userID}),
			"bot":  part(k.bot, map[string]any{"userId": k.botUserID, "id": "B0ANYTHING"}),
		}
		name := slash + k.team
		if k.team != "" {
			whole["team"] = map[string]any{"id": k.team, "name": k.teamName}
		}
		if k.enterprise != "" {
			whole["enterprise"] = map[string]any{"id": k.enterprise, "name": k.enterpriseName}
			name = "/" + strings.TrimSuffix(k.enterprise+"-"+k.team, "-")
		}

		folder, millis := filepath.Join(base, k.client+name), fmt.Sprint(k.at.UnixMilli())
		for _, file := range []string{"app-latest", "user-" + k.userID + "-latest", "app-" + millis,
			"user-" + k.userID + "-" + millis} {
			k.write(t, folder, file, whole)
		}
	}}
}

// columns are those of slack_bots, and with the person those of slack_installations. whole: as SQLAlchemy has them.
func (k kept) columns(person bool) map[string]any {
	c := map[string]any{
		"client_id": k.client, "app_id": k.app, "enterprise_id": orNull(k.enterprise),
		"enterprise_name": orNull(k.enterpriseName), "team_id": orNull(k.team), "team_name": orNull(k.teamName),
		"bot_token": orNull(k.bot.token), "bot_id": "B0ANYTHING", "bot_user_id": k.botUserID, "bot_scopes": k.bot.scopes,
		"bot_refresh_token": orNull(k.bot.refresh), "bot_token_expires_at": orNull(k.bot.expires),
		"is_enterprise_install": k.org, "installed_at": float64(k.at.UnixMicro()) / 1e6,
	}
	if person {
		c["user_id"], c["user_token"], c["user_scopes"] = k.userID, orNull(k.user.token), orNull(k.user.scopes)
		c["user_refresh_token"], c["user_token_expires_at"] = orNull(k.user.refresh), orNull(k.user.expires)
		c["incoming_webhook_url"], c["token_type"] = nil, "bot"
	}
	return c
}

// pythonFiles is Bolt for Python's FileInstallationStore, which has no client id in the files.
func pythonFiles(t *testing.T) ofBolt {
	base := t.TempDir()
	return ofBolt{from: base, save: func(t *testing.T, k kept) {
		t.Helper()
		folder := filepath.Join(base, k.client, cmp.Or(k.enterprise, "none")+"-"+cmp.Or(k.team, "none"))
		bot, whole := k.columns(false), k.columns(true)
		for _, c := range []map[string]any{bot, whole} {
			delete(c, "client_id")
			c["bot_scopes"], c["custom_values"] = strings.Split(k.bot.scopes, ","), map[string]any{}
		}
		at := fmt.Sprint(whole["installed_at"])
		for _, name := range []string{"latest", at} {
			k.write(t, folder, "bot-"+name, bot)
			k.write(t, folder, "installer-"+name, whole)
			k.write(t, folder, "installer-"+k.userID+"-"+name, whole)
		}
	}}
}

// inTables makes Bolt for Python's tables. Of a save the columns go through change.
func inTables(t *testing.T, driver, address, from, types string, change func(map[string]any)) ofBolt {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	define := func(person bool) string {
		var all []string
		for name := range (kept{}).columns(person) {
			kind := "text"
			switch name {
			case "bot_token_expires_at", "user_token_expires_at", "installed_at":
				kind = types
			case "is_enterprise_install":
				kind = "boolean"
			}
			all = append(all, name+" "+kind)
		}
		return strings.Join(all, ", ")
	}
	number := "integer primary key autoincrement"
	if driver == "pgx" {
		number = "serial primary key"
	}
	for table, person := range map[string]bool{"slack_installations": true, "slack_bots": false} {
		if _, err := db.Exec("create table " + table + " (id " + number + ", " + define(person) + ")"); err != nil {
			t.Fatal(err)
		}
	}

	return ofBolt{from: from, save: func(t *testing.T, k kept) {
		t.Helper()
		db, err := sql.Open(driver, address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		for table, person := range map[string]bool{"slack_installations": true, "slack_bots": false} {
			row := k.columns(person)
			change(row)
			var names, marks []string
			var values []any
			for name, value := range row {
				names, values = append(names, name), append(values, value)
				marks = append(marks, fmt.Sprintf("$%d", len(values)))
			}
			if _, err := db.Exec("insert into "+table+" ("+strings.Join(names, ", ")+") values ("+
				strings.Join(marks, ", ")+")", values...); err != nil {
				t.Fatal(err)
			}
		}
	}}
}

// moments makes times of a save's numbers, as SQLAlchemy does: in UTC and without a zone.
func moments(row map[string]any, format func(at time.Time) any) {
	for _, name := range []string{"bot_token_expires_at", "user_token_expires_at", "installed_at"} {
		switch v := row[name].(type) {
		case int64:
			row[name] = format(time.Unix(v, 0).UTC())
		case float64:
			row[name] = format(time.UnixMicro(int64(v * 1e6)).UTC())
		}
	}
}

func pythonSQLite(t *testing.T) ofBolt {
	path := filepath.Join(t.TempDir(), "bolt.db")
	return inTables(t, "sqlite", path, "sqlite:"+path, "datetime", func(row map[string]any) {
		for _, name := range []string{"enterprise_id", "team_id"} {
			if row[name] == nil {
				row[name] = ""
			}
		}
		at := row["installed_at"].(float64)
		row["installed_at"] = time.Unix(int64(at), 0).UTC().Format(time.DateTime) // current_timestamp's
	})
}

func sqlalchemySQLite(t *testing.T) ofBolt {
	path := filepath.Join(t.TempDir(), "bolt.db")
	return inTables(t, "sqlite", path, "sqlite:"+path, "DATETIME", func(row map[string]any) {
		moments(row, func(at time.Time) any { return at.Format("2006-01-02 15:04:05.000000") })
	})
}

func sqlalchemyPostgres(t *testing.T) ofBolt {
	address := storagetest.Postgres(t)
	from := strings.Replace(address, "postgres://", "postgresql+psycopg2://", 1)
	return inTables(t, "pgx", address, from, "timestamp without time zone", func(row map[string]any) {
		moments(row, func(at time.Time) any { return at })
	})
}

// bring runs the import and returns its report.
func (w *world) bring(code int, args ...string) (r importReport) {
	w.t.Helper()
	out, errs, got := w.command(append([]string{"import", "bolt", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil || got != code {
		w.t.Fatalf("import: exit %d, want %d: %v %s%s", got, code, err, out, errs)
	}
	return r
}

// is fails unless the report has these lines, each "result team person", in any order.
func (r importReport) is(t *testing.T, when string, want ...string) {
	t.Helper()
	count := map[string]int{}
	for _, l := range r.Installations {
		count[strings.TrimSpace(l.Result+" "+cmp.Or(l.TeamID, l.EnterpriseID)+" "+l.UserID)]++
	}
	for _, line := range want {
		count[line]--
	}
	for line, n := range count {
		if n != 0 {
			t.Errorf("%s: %q %+d times", when, line, n)
			for _, l := range r.Installations {
				t.Logf("%+v", l)
			}
		}
	}
}

// snapshot is all that is in a store, to see that it stays as it is.
func (b ofBolt) snapshot(t *testing.T) map[string]string {
	t.Helper()
	root := b.from
	if path, ok := strings.CutPrefix(root, "sqlite:"); ok {
		root = filepath.Dir(path)
	}
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a server's
		}
		if err == nil && !entry.IsDir() {
			var content []byte
			content, err = os.ReadFile(path)
			all[path] = string(content)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// An app moves from each of the Bolts' stores: an old workspace with two people's access, an organisation, one with a
// long-lived token, and beside them what is older, dead, or of another app. Then the old app's next event is answered
// here.
func TestImportFromBolt(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]func(t *testing.T) ofBolt{
		"JavaScript, files": javaScriptFiles, "JavaScript, joined files": joinedFiles,
		"Python, files": pythonFiles, "Python, SQLite": pythonSQLite,
		"SQLAlchemy, SQLite": sqlalchemySQLite, "SQLAlchemy, PostgreSQL": sqlalchemyPostgres,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := storagetest.SQLite
			if strings.Contains(name, "SQLAlchemy") {
				database = storagetest.Postgres
			}
			importFrom(t, newWorld(t, database(t)), store(t))
		})
	}
}

func importFrom(t *testing.T, w *world, store ofBolt) {
	w.addGrid()
	w.savedByBolt(store)
	before := store.snapshot(t)
	if _, errs, code := w.command("migrate", "up"); code != 0 {
		t.Fatal(errs)
	}

	skipped := []string{"skipped T0ANOTHER1", "skipped T0ANOTHER2", "skipped " + slacksim.Acme, "skipped T0GONE0001"}
	good := func(result string) []string {
		return append([]string{result + " " + slacksim.Acme, result + " " + slacksim.Birch, result + " " + grid,
			result + " " + slacksim.Acme + " " + slacksim.AcmeAdmin, result + " " + slacksim.Acme + " " + slacksim.AcmeMember,
			result + " " + grid + " " + gridAdmin}, skipped...)
	}
	w.bring(0, "--from", store.from, "--dry-run").is(t, "dry", good("imported")...)
	if rows := w.connections(); len(rows) != 0 {
		t.Fatalf("a dry run stored %+v", rows)
	}
	w.bring(0, "--from", store.from).is(t, "first", good("imported")...)
	w.bring(0, "--from", store.from).is(t, "second", good("unchanged")...)
	if rows := w.connections(); len(rows) != 3 {
		t.Fatalf("rows: %+v", rows)
	}
	if asked := len(w.refreshes()); asked != 1 { // Bolt's own
		t.Errorf("the import spent %d refresh tokens", asked-1)
	}

	w.start(1, nil)
	if err := w.slack.Admins.GrantTeam(context.Background(), gridTwo); err != nil {
		w.t.Fatal(err)
	}
	db := w.store()
	acme, org := w.key(slacksim.Acme), connection.Key{AppID: w.slack.App().ID, EnterpriseID: grid}
	w.renewedHere(db, connection.TokenOwner{Key: acme}, connection.TokenOwner{Key: org},
		connection.TokenOwner{Key: acme, UserID: slacksim.AcmeAdmin},
		connection.TokenOwner{Key: acme, UserID: slacksim.AcmeMember}, connection.TokenOwner{Key: org, UserID: gridAdmin})
	w.checkNewest(w.row(db, slacksim.Acme))
	places := map[string][2]string{slacksim.Acme: {slacksim.AcmeAdmin, slacksim.AcmeGeneral},
		slacksim.Birch: {slacksim.BirchAdmin, slacksim.BirchGeneral}, "": {gridMember, twoGeneral}}
	for _, c := range w.connections() {
		w.mention(places[c.TeamID][0], places[c.TeamID][1], c.BotUserID)
	}

	held := w.row(db, slacksim.Acme)
	w.bring(0, "--from", store.from).is(t, "after the renewal", good("unchanged")...)
	if now := w.row(db, slacksim.Acme); now.Token != held.Token || now.RefreshToken != held.RefreshToken {
		t.Error("an older import took the place of what was renewed here")
	}
	if !reflect.DeepEqual(before, store.snapshot(t)) {
		t.Error("the import changed what Bolt keeps")
	}
	for _, b := range briefs(w.lines(slacksim.Acme)) {
		if strings.Contains(b, "operator import done") {
			return
		}
	}
	t.Errorf("the history doesn't tell of the import: %q", briefs(w.lines(slacksim.Acme)))
}

// savedByBolt has Bolt keep what importFrom says.
func (w *world) savedByBolt(store ofBolt) {
	w.t.Helper()
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d).Truncate(time.Millisecond) }
	w.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = false })
	store.save(w.t, w.asBolt(slacksim.BirchAdmin, "", slacksim.Choice{}, ago(9*time.Hour))) // before it had rotation
	w.rotate(12 * time.Hour)

	gone := w.asBolt(slacksim.AcmeMember, "search:read", slacksim.Choice{}, ago(8*time.Hour))
	store.save(w.t, gone)
	acme := w.asBolt(slacksim.AcmeAdmin, "search:read", slacksim.Choice{}, ago(7*time.Hour))
	acme = w.renewedByBolt(acme, ago(6*time.Hour))
	store.save(w.t, acme)
	store.save(w.t, w.asBolt(gridAdmin, "search:read", slacksim.Choice{Org: true}, ago(5*time.Hour)))

	other := acme
	other.client, other.team, other.user, other.bot.token = "9.9", "T0ANOTHER1", keptTokens{}, "xoxb-0-one"
	store.save(w.t, other)
	other.client, other.app, other.team, other.bot.token = acme.client, "A0ANOTHER1", "T0ANOTHER2", "xoxb-0-two"
	store.save(w.t, other)
	dead := acme
	dead.team, dead.user, dead.bot.token = "T0GONE0001", keptTokens{}, "xoxb-0-revoked"
	store.save(w.t, dead)
}

// renewedHere waits until the program has renewed what it took over.
func (w *world) renewedHere(db *storage.DB, owners ...connection.TokenOwner) {
	w.t.Helper()
	for _, h := range owners {
		w.expect("a renewal of "+h.Key.String()+" "+h.UserID, patience, func() bool {
			var pair connection.TokenPair
			var err error
			if h.UserID == "" {
				var c connection.Connection
				c, err = db.Lookup(context.Background(), h.Key)
				pair = c.TokenPair
			} else {
				var u connection.UserToken
				u, err = db.GetUser(context.Background(), h)
				pair = u.TokenPair
			}
			return err == nil && !pair.Due(time.Now()) && pair.Tries == 0
		})
	}
}

// What an operator reads, and the exit codes: 0 also where something was left out, 1 where Slack had trouble.
func TestImportSaysWhatItDid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	w.keys = "" // the file beside the database has them
	keyFile := strings.TrimPrefix(w.database, "sqlite:") + ".key"
	w.rotate(12 * time.Hour)
	store := javaScriptFiles(t)
	acme := w.asBolt(slacksim.AcmeAdmin, "", slacksim.Choice{}, time.Now().Add(-time.Hour))
	store.save(t, acme)
	gone := acme
	gone.team, gone.teamName, gone.bot.token = "T0GONE0001", "Gone \x1b[31mLtd", "xoxb-0-gone"
	store.save(t, gone)
	if _, errs, code := w.command("migrate", "up"); code != 0 {
		t.Fatal(errs)
	}

	says := func(when string, code int, want ...string) {
		t.Helper()
		args := []string{"import", "bolt", "--from", store.from}
		if when == "dry" {
			args = append(args, "--dry-run")
		}
		out, errs, got := w.command(args...)
		if missing := inOrder(out+errs, want...); missing != "" || got != code || strings.Contains(out, "\x1b") {
			t.Errorf("%s: exit %d, no %q in\n%s%s", when, got, missing, out, errs)
		}
	}
	says("dry", 0, "RESULT", "WHY", "imported", "Acme Corp", slacksim.Acme, "the bot", "skipped", "Gone ?[31mLtd",
		"Slack no longer takes it (invalid_auth).", "Would import 1, left 0 unchanged, skipped 1, failed 0.",
		"Nothing was stored.")
	if _, err := os.Stat(keyFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dry run made a key: %v", err)
	}
	if _, err := os.Stat(filepath.Join(w.dataDir, "journal")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dry run made a journal: %v", err)
	}
	clear := w.slack.Inject(slacksim.Fault{Method: "auth.test", Status: http.StatusBadGateway})
	says("Slack is away", 1, "failed", "Slack couldn't be asked", "Run it again: what was imported stays")
	says("dry", 1, "failed", "Slack couldn't be asked", "2 of them couldn't be looked at now. Run it again")
	clear()
	says("first", 0, "imported", "Imported 1,", "switchboard serve renews the imported tokens right away")
	says("again", 0, "unchanged", "It is here already.", "Imported 0, left 1 unchanged", "Nothing was changed.")

	key, err := os.ReadFile(keyFile)
	if err := errors.Join(err, os.Remove(keyFile)); err != nil {
		t.Fatal(err)
	}
	says("the key is lost", 2, "ENCRYPTION_KEYS", "encrypted with the missing key", "put the key file back")
	w.keys = strings.TrimSpace(string(key))
	says("the key as a setting", 0, "unchanged")
	w.keys = seal.NewKey()
	says("another key", 1, "none of the keys given opens what is stored here")
	w.keys = strings.TrimSpace(string(key))

	// What the report says of each for scripts, and what of another app is left out.
	lines := w.bring(0, "--from", store.from).Installations
	line := lines[slices.IndexFunc(lines, func(l importLine) bool { return l.TeamID == slacksim.Acme })]
	line.From = ""
	if c := w.connections()[0]; line != (importLine{Result: "unchanged", AppID: w.slack.App().ID, TeamID: slacksim.Acme,
		TeamName: "Acme Corp", ConnectionID: c.ID, Renews: true, Reason: "It is here already."}) {
		t.Errorf("for scripts: %+v", line)
	}
	w.bring(0, "--from", store.from, "--slack-app-id", "A0ANOTHER1").is(t, "another app's", "skipped "+slacksim.Acme,
		"skipped T0GONE0001")

	// Stopped in the middle, it says so.
	many := javaScriptFiles(t)
	for i := range 20 {
		other := acme
		other.team = fmt.Sprintf("T0STOP%04d", i)
		many.save(t, other)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	w.slack.Handle("auth.test", func(slacksim.Call) (map[string]any, error) {
		stop()
		return nil, errors.New("internal_error")
	})
	var out, errs bytes.Buffer
	code := exitCode(&errs, run(ctx, []string{"import", "bolt", "--from", many.from}, w.settings(nil), &out, &errs))
	if code != 1 || !strings.Contains(errs.String(), "stopped before all of them were looked at") ||
		!strings.Contains(errs.String(), "Run it again to continue") {
		t.Errorf("stopped: exit %d: %s%s", code, &out, &errs)
	}
}

// Whose access each line is about, and the word about the old app where something of its renews here from now on.
func TestImportReport(t *testing.T) {
	t.Parallel()
	report := func(dry bool, results ...install.ImportResult) string {
		var out bytes.Buffer
		r := importReport{DryRun: dry}
		for _, one := range results {
			r.add(one)
		}
		if err := r.print(&environment{program: another(), stdout: &out}, false); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	org := install.ImportResult{From: "a", Key: connection.Key{EnterpriseID: "E1"}, TeamName: "Grid", UserID: "U1",
		Outcome: "imported"}
	stays := install.ImportResult{From: "b", Key: connection.Key{TeamID: "T1"}, Outcome: "unchanged", Renews: true}
	renews := stays
	renews.Outcome = "imported"
	const stop = "The old app must stop renewing them"

	said := report(false, org, stays)
	if missing := inOrder(said, "imported", "Grid", "E1", "U1", "a", "unchanged", "T1", "the bot", "b",
		"Imported 1, left 1 unchanged, skipped 0, failed 0."); missing != "" || strings.Contains(said, stop) {
		t.Errorf("no %q in %s", missing, said)
	}
	if said := report(false, org, renews); !strings.Contains(said, "hello serve renews") || !strings.Contains(said, stop) {
		t.Error(said)
	}
	if said := report(true, renews); strings.Contains(said, stop) || !strings.Contains(said, "Would import 1,") {
		t.Error(said)
	}
}

// What can't be read whole is refused with everything that is wrong, and nothing of it is imported.
func TestImportRefusesWhatIsNotWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	store := pythonFiles(t)
	store.save(t, w.asBolt(slacksim.AcmeAdmin, "", slacksim.Choice{}, time.Now().Add(-time.Hour)))
	folder := filepath.Join(store.from, w.slack.App().ClientID)
	for _, workspace := range []string{"none-T0HALF0001", "none-T0ODD00001"} {
		if err := os.Mkdir(filepath.Join(folder, workspace), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(folder, "none-T0HALF0001", "bot-latest"), `{"bot_token": "xoxb-hush`)
	write(t, filepath.Join(folder, "none-T0ODD00001", "installer-latest"), `hush`)
	if _, errs, code := w.command("migrate", "up"); code != 0 {
		t.Fatal(errs)
	}

	for from, want := range map[string][]string{
		store.from: {"--from:", "none-T0HALF0001/bot-latest ends in the middle", "none-T0ODD00001/installer-latest",
			"Fix: copy it again"},
		"/nowhere": {"there is no file or folder /nowhere", "Fix: name the folder"},
		w.database: {"neither of the tables slack_installations and slack_bots"},
	} {
		asked := len(w.slack.Calls("auth.test"))
		out, errs, code := w.command("import", "bolt", "--from", from)
		if missing := inOrder(errs, want...); code != 2 || out != "" || missing != "" || strings.Contains(errs, "hush") ||
			strings.Count(errs, "Fix:") != 1 {
			t.Errorf("%s: exit %d, no %q in %s%s", from, code, missing, out, errs)
		}
		if len(w.slack.Calls("auth.test")) != asked || len(w.connections()) != 0 {
			t.Errorf("%s: something was done", from)
		}
	}
}
