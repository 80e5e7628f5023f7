package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/inbox"
)

// What is stored of a workspace is all there, whatever the part, and no secret; nothing is another workspace's. That no
// secret is printed the stage sees to when the test ends.
func TestExport(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.start(1, nil)
		w.browser().install(slacksim.AcmeAdmin)
		w.browser().install(slacksim.BirchAdmin)
		w.settle()
		w.stop()
		db, ctx := w.store(), t.Context()
		acme, err := db.Lookup(ctx, w.key(slacksim.Acme))
		if err != nil {
			t.Fatal(err)
		}
		w.change(db, slacksim.Acme, func(c *connection.Connection) {
			for range 1200 { // more than are read in one step
				c.Note(connection.Change{At: time.Now(), What: connection.DidCheck, Outcome: connection.OutcomeWorking})
			}
		})
		for _, team := range []string{slacksim.Acme, slacksim.Birch} {
			of := bot.ValueOwner{AppID: acme.AppID, TeamID: team, ConnectionID: acme.ID}
			if err := db.Values().Put(ctx, of, "plans/"+team, []byte(`{"at":"9:30","n":12345678901234567,`+
				`"access_token":"hush"}`), time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		in, err := db.Inbox(ctx, inbox.Config{})
		if err != nil {
			t.Fatal(err)
		}
		in.Start()
		for _, team := range []string{slacksim.Acme, slacksim.Birch} {
			e := bot.Delivery{ID: "Ev" + team, Kind: "events_api", Type: "message", Key: w.key(team), Received: time.Now(),
				Body: []byte(`{"text":"lunch?","response_url":"https://hooks.slack.com/x"}`)}
			if _, err := in.Add(ctx, &e, false); err != nil {
				t.Fatal(err)
			}
		}
		raw := bot.Delivery{ID: "EvRaw", Kind: "interactive", Type: "raw", Key: acme.Key, Received: time.Now(),
			Body: []byte("token=hush&text=lunch")}
		if _, err := in.Add(ctx, &raw, false); err != nil {
			t.Fatal(err)
		}
		in.Close()

		out, errs, code := w.command("connections", "export", slacksim.Acme)
		var all struct {
			ExportedAt string `json:"exported_at"`
			Connection exported
			History    []change
			Attempts   []attempt `json:"install_attempts"`
			People     []exportedUser
			Values     []exportedValue
			Timers     []exportedTimer
			Events     []letterLine
		}
		if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 {
			t.Fatalf("exit %d, %v: %s%.3000s", code, err, errs, out)
		}
		if all.Connection.ID != acme.ID || !all.Connection.HasToken || all.Connection.TeamURL == "" || len(all.History) < 1201 ||
			len(all.Attempts) != 1 || len(all.Values) != 1 || len(all.Events) < 1 {
			t.Errorf("connection %+v, %d lines, %d attempts, %d values, %d events", all.Connection, len(all.History),
				len(all.Attempts), len(all.Values), len(all.Events))
		}
		if missing := inOrder(out, `"at": "9:30"`, `"n": 12345678901234567`, `"text": "lunch?"`); missing != "" || strings.Contains(out, slacksim.Birch) ||
			strings.Contains(out, "hush") || strings.Contains(out, "hooks.slack.com") {
			t.Errorf("no %q, or what is not Acme's or a secret: %.3000s", missing, out)
		}
	})
}
