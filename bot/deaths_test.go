package bot_test

// An event whose handler ends the process, in processes that are started again and again, as serve is.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// In the environment of a process that a test starts: it runs that test alone, and knows by these that it is not the
// first one.
const (
	childDatabase = "BOT_TEST_DATABASE"
	childKey      = "BOT_TEST_KEY"
)

// child runs a test of this binary in a process of its own.
func child(test, database, key string) (output string, err error) {
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), childDatabase+"="+database, childKey+"="+key)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func isChild() bool { return os.Getenv(childDatabase) != "" }

// mortal has handlers that end the process by what an event says.
var mortal = []bot.Handler{
	bot.OnMention("", func(_ context.Context, t *bot.Message) error {
		if t.Payload.Text == "panic" {
			go panic("in a goroutine of its own")
			select {}
		}
		time.Sleep(3 * time.Millisecond) // its work, beside which others end the process
		return nil
	}, bot.WithoutConnection()),
	bot.OnCommandAsync("/exit", func(context.Context, *bot.AsyncCommand) error {
		os.Exit(7)
		return nil
	}, bot.Describe("exits", ""), bot.WithoutConnection()),
}

// openInbox opens a database, makes its tables if need be, and the inbox in it.
func openInbox(t *testing.T, database, key string, cfg inbox.Config) (*storage.DB, *inbox.Inbox) {
	t.Helper()
	keys, err := seal.ParseKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	db, err := storage.Open(ctx, database, keys)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	inbox, err := db.Inbox(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	inbox.Start()
	return db, inbox
}

// workAll works an inbox until there is nothing in it.
func workAll(t *testing.T, database, key string) {
	lease := 100 * time.Millisecond
	db, inbox := openInbox(t, database, key, inbox.Config{Alone: strings.HasPrefix(database, "sqlite:"), Lease: lease})
	in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: db, Scopes: catalogue(mortal)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := bot.New(bot.Config{Install: in, Inbox: inbox, SigningSecrets: []connection.Secret{"s"}, Handlers: mortal,
		Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- b.Run(running) }()
	until(t, "an empty inbox", func() bool {
		n, err := inbox.Count(ctx)
		return err == nil && n.Ready+n.Held+n.Waiting == 0
	})
	stop()
	<-ended
	inbox.Close()
	_ = db.Close()
}

// Several events end every process that works them, beside many that do not. Each of them is a dead letter after three
// deaths, the others are worked, and none of those is buried for its neighbours' sake: with one process at a time, and
// with two replicas.
func TestWhatEndsTheProcessIsBuried(t *testing.T) {
	if isChild() {
		workAll(t, os.Getenv(childDatabase), os.Getenv(childKey))
		return
	}
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const innocents = 40
			database, key := fresh(t), seal.NewKey()
			db, events := openInbox(t, database, key, inbox.Config{})
			put := func(id, kind, name string, body string) {
				e := bot.Delivery{ID: id, Kind: kind, Type: name, Key: connection.Key{AppID: "A1", TeamID: "T1"},
					Received: time.Now(), Body: []byte(body)}
				if _, err := events.Add(ctx, &e, false); err != nil {
					t.Fatal(err)
				}
			}
			mention := func(id, text string) {
				put(id, "events_api", "app_mention", fmt.Sprintf(
					`{"type":"event_callback","event_id":%q,"api_app_id":"A1","team_id":"T1","event":{"type":"app_mention","user":"U1","channel":"C1","text":%q}}`, id, text))
			}
			for i := range innocents {
				mention(fmt.Sprint("Ev", i), "hi")
				switch i {
				case 12:
					mention("panics", "panic")
				case 30:
					if name == "postgres" { // each death costs a lease there
						continue
					}
					put("work-exits", "slash_commands", "command /exit", `{"form":"command=%2Fexit&team_id=T1"}`)
				}
			}
			events.Close()
			if err := db.Close(); err != nil { // the file belongs to one process
				t.Fatal(err)
			}

			replicas := map[string]int{"sqlite": 1, "postgres": 2}[name]
			var mu sync.Mutex
			deaths := 0
			var all sync.WaitGroup
			for range replicas {
				all.Go(func() {
					for {
						out, err := child("TestWhatEndsTheProcessIsBuried", database, key)
						var died *exec.ExitError
						if !errors.As(err, &died) {
							return
						}
						mu.Lock()
						deaths++
						n := deaths
						mu.Unlock()
						if code := died.ExitCode(); n > 20 || code != 7 && !strings.Contains(out, "in a goroutine of its own") {
							t.Errorf("death %d, code %d: %s", n, code, out)
							return
						}
					}
				})
			}
			all.Wait()

			db, events = openInbox(t, database, key, inbox.Config{})
			defer db.Close()
			defer events.Close()
			letters, err := db.Letters(ctx, "", 100)
			if err != nil {
				t.Fatal(err)
			}
			var dead []string
			for _, l := range letters {
				dead = append(dead, l.State+" "+l.Event.ID)
				if !strings.Contains(l.Error, "ended 3 times") {
					t.Errorf("%s: %s", l.Event.ID, l.Error)
				}
			}
			slices.Sort(dead)
			want := map[string]string{"sqlite": "dead panics, dead work-exits", "postgres": "dead panics"}[name]
			if got := strings.Join(dead, ", "); got != want {
				t.Errorf("not done: %s; want %s", got, want)
			}
			if most := 3 * len(letters); deaths > most || deaths < 3 {
				t.Errorf("%d processes ended, want at most %d", deaths, most)
			}
			t.Logf("%d processes ended", deaths)
		})
	}
}
