package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// noStore knows no workspace.
type noStore struct{ install.Store }

func (noStore) Lookup(context.Context, connection.Key) (connection.Connection, error) {
	return connection.Connection{}, connection.ErrNotFound
}

// inbox notes what is accepted.
type inbox struct {
	*bot.MemoryInbox
	fresh  []bot.Delivery
	double int
}

func (i *inbox) Add(_ context.Context, e *bot.Delivery, _ bool) (bool, error) {
	for _, known := range i.fresh {
		if known.ID == e.ID {
			i.double++
			return false, nil
		}
	}
	i.fresh = append(i.fresh, *e)
	return true, nil
}

// What is sent must be what the app takes for Slack's, or the load is that of refusing it.
func TestBotTakesItForSlacks(t *testing.T) {
	for _, event := range []string{mention, message, reaction} {
		t.Run(event, func(t *testing.T) {
			in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: noStore{}})
			if err != nil {
				t.Fatal(err)
			}
			commands := 0
			typed := bot.OnCommand("/connection", func(ctx context.Context, c *bot.Command) error {
				if commands++; !strings.HasPrefix(c.TeamID, "T0LOAD") || c.Payload.Text != "help" ||
					c.Payload.ResponseURL != "" || strings.ContainsAny(c.Payload.TriggerID, "#@~") {
					t.Errorf("command %+v", c.Payload)
				}
				return c.Respond(ctx, bot.Reply{Text: "It works."})
			}, bot.WithoutConnection(), bot.Describe("says so", ""))
			kept := &inbox{MemoryInbox: bot.NewMemoryInbox()}
			door, err := bot.New(bot.Config{Install: in, Handlers: []bot.Handler{typed},
				SigningSecrets: []connection.Secret{secret}, AppID: "A0SWITCHBD", Inbox: kept})
			if err != nil {
				t.Fatal(err)
			}
			const requests, size = 400, 1536
			tr := testTraffic(trafficConfig{event: event, payload: size, commands: 25, duplicates: 10})
			kinds := map[kind]int{}
			s := newSender(tr)
			for n := range uint64(requests) {
				raw, what := s.next(n, time.Now())
				kinds[what]++
				r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
				if err != nil {
					t.Fatal(err)
				}
				w := httptest.NewRecorder()
				door.Handler().ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					t.Fatalf("request %d: HTTP %d: %s", n, w.Code, w.Body)
				}
				if r.URL.Path != "/slack/events" || r.Host != "127.0.0.1:3000" ||
					(r.Header.Get("X-Slack-Retry-Num") == "1") != (what == duplicate) {
					t.Fatalf("request %d: %s", n, raw)
				}
			}
			if kinds[command] != 100 || commands != 100 || kinds[duplicate] != 30 || kept.double != 30 ||
				len(kept.fresh) != 270 {
				t.Errorf("sent %v; taken: %d commands, %d events, %d of them twice", kinds, commands, len(kept.fresh), kept.double)
			}
			teams := map[string]bool{}
			for _, e := range kept.fresh {
				teams[e.Key.TeamID] = true
				var at struct {
					Time int64 `json:"event_time"`
				}
				if err := json.Unmarshal(e.Body, &at); err != nil || time.Since(time.Unix(at.Time, 0)).Abs() > time.Minute {
					t.Fatalf("event of %d, %v", at.Time, err)
				}
				if e.Type != event || e.Key.AppID != "A0SWITCHBD" || len(e.Body) != size ||
					bytes.ContainsAny(e.Body, "#@~") != (event == mention) {
					t.Fatalf("event %+v\n%s", e, e.Body)
				}
			}
			if len(teams) != 3 {
				t.Errorf("from %v", teams)
			}

			tr.secret = "another"
			raw, _ := newSender(tr).next(0, time.Now())
			r, _ := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
			w := httptest.NewRecorder()
			if door.Handler().ServeHTTP(w, r); w.Code != http.StatusUnauthorized {
				t.Errorf("signed with another secret: HTTP %d", w.Code)
			}
		})
	}
}

// The ids of two runs must differ, or the second would be dropped as known.
func TestRunsShareNoIDs(t *testing.T) {
	a, _ := newSender(testTraffic(trafficConfig{})).next(0, time.Now())
	b, _ := newSender(testTraffic(trafficConfig{})).next(0, time.Now())
	id := func(request []byte) string {
		_, after, _ := bytes.Cut(request, []byte(`"event_id":"`))
		return string(after[:18])
	}
	if id(a) == id(b) || !strings.HasPrefix(id(a), "Ev") {
		t.Errorf("%s and %s", id(a), id(b))
	}
}
