package bot

// Access that can't be had at this moment, and access to act for a person.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

func TestUserScopes(t *testing.T) {
	t.Parallel()
	status := OnCommand("/away", nil, Scopes("chat:write"), Describe("sets your status", ""),
		UserScopes("users.profile:write"))
	handlers := []Handler{status,
		OnAction("a", nil, Scopes("chat:write"), UserScopes("search:read", "users.profile:write"))}
	if got := UserScopesOf(handlers); fmt.Sprint(got) != "[search:read users.profile:write]" {
		t.Errorf("user scopes: %s", got)
	}
	if got := ScopesOf(handlers); fmt.Sprint(got) != "[chat:write commands]" {
		t.Errorf("a person's permissions are not the bot's: %s", got)
	}
	m, err := NewManifest(Profile{Name: "App", Description: "An app."}, handlers, "https://bot.example.com")
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(m.OAuthConfig.Scopes)
	if want := `{"bot":["chat:write","commands"],"user":["search:read","users.profile:write"]}`; err != nil ||
		string(out) != want {
		t.Errorf("manifest: %s %v", out, err)
	}
	if out, err := json.Marshal(Manifest{}.OAuthConfig.Scopes); err != nil || strings.Contains(string(out), "user") {
		t.Errorf("without user scopes: %s %v", out, err)
	}
}

// endedStore has one connection, whose token ended and whose renewal finds the database closed to writes.
type endedStore struct{ install.Store }

func (endedStore) Lookup(_ context.Context, k connection.Key) (connection.Connection, error) {
	return connection.Connection{ID: "con_1", Key: k, State: connection.Active,
		TokenPair: connection.TokenPair{Token: "ended", RefreshToken: "next", ExpiresAt: time.Unix(1, 0)}}, nil
}

func (endedStore) Journaled() ([]connection.Grant, error) { return nil, nil }

func (endedStore) JournaledFor(connection.TokenOwner) ([]connection.Grant, error) { return nil, nil }

func (endedStore) Update(context.Context, connection.Key,
	func(*connection.Connection) error) (connection.Connection, error) {
	return connection.Connection{}, errors.New("read-only")
}

func botOn(t *testing.T, store install.Store, handlers ...Handler) *Bot {
	t.Helper()
	in, err := install.New(install.Config{App: install.App{Name: "Parrot"}, PublicURL: "https://bot.example.com",
		Store: store})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Config{Install: in, Handlers: handlers, SigningSecrets: []connection.Secret{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAccessThatCannotBeRenewedNow(t *testing.T) {
	t.Parallel()
	var ran, knew bool
	needs := OnCommand("/needs", func(context.Context, *Command) error {
		ran = true
		return nil
	}, Describe("needs access", ""))
	always := OnCommand("/always", func(ctx context.Context, t *Command) error {
		knew = t.Renewing() && t.Client == nil && t.Health().Found && t.Health().Reason != connection.ReasonRecordsSilent
		return t.Respond(ctx, Reply{Text: "Here I am."})
	}, Describe("works without", ""), WithoutConnection())
	hears := OnMention("", func(context.Context, *Message) error {
		ran = true
		return nil
	})
	b := botOn(t, endedStore{}, needs, always, hears)
	ctx, cancel := context.WithTimeout(context.Background(), transport.AckBudget)
	defer cancel()
	key := connection.Key{AppID: "A1", TeamID: "T1"}
	typed := act{key: key, fill: func(*Request) {}, payload: &slack.SlashCommand{}}

	r := b.answers.immediate(ctx, &needs, typed)
	want := "Parrot couldn't renew its access with Slack just now. Try again in a minute. Reference: " + r.ref + "."
	if r.reply.Text != want || ran {
		t.Errorf("%q, ran: %v", r.reply.Text, ran)
	}
	if r := b.answers.immediate(ctx, &always, typed); r.reply.Text != "Here I am." || !knew {
		t.Errorf("%q, knew: %v", r.reply.Text, knew)
	}
	body := []byte(`{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention","user":"U1","text":"hi"}}`)
	if err := b.handle(ctx, &Delivery{ID: "Ev1", Kind: transport.KindEvents, Type: "app_mention", Key: key, Body: body},
		nil); !errors.Is(err, connection.ErrRenewing) || ran {
		t.Errorf("an event must come again: %v, ran: %v", err, ran)
	}
	if r := b.gate.failed(ctx, &Request{Ref: "7F3K2QX", Log: b.log}, &needs,
		fmt.Errorf("act: %w", connection.ErrRenewing)); !strings.Contains(r.Text, "couldn't renew its access") {
		t.Errorf("a person's own access: %q", r.Text)
	}
	b.tasks.Wait()
}

// peopleStore has one connection, and one person who let the app act for them.
type peopleStore struct{ install.Store }

func (peopleStore) Lookup(_ context.Context, k connection.Key) (connection.Connection, error) {
	return connection.Connection{ID: "con_1", Key: k, State: connection.Active,
		TokenPair: connection.TokenPair{Token: "bot"}}, nil
}

func (peopleStore) GetUser(_ context.Context, h connection.TokenOwner) (connection.UserToken, error) {
	if h.UserID != "U1" {
		return connection.UserToken{}, connection.ErrNotFound
	}
	return connection.UserToken{TokenOwner: h, TokenPair: connection.TokenPair{Token: "theirs"}}, nil
}

func TestAsUser(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := botOn(t, peopleStore{})
	turn, err := b.gate.request(ctx, visit{key: connection.Key{AppID: "A1", TeamID: "T1"}, ref: "7F3K2QX",
		patience: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for user, allowed := range map[string]bool{"U1": true, "U2": false, "": false} {
		turn.UserID = user
		client, err := turn.UserClient(ctx)
		if allowed {
			if err != nil || client == nil {
				t.Errorf("%s: %v", user, err)
			}
			continue
		}
		var told *UserError
		if client != nil || !errors.Is(err, connection.ErrNotConnected) || !errors.As(err, &told) ||
			!strings.Contains(told.Text, "https://bot.example.com/slack/install?link=") {
			t.Errorf("%q: %v", user, err)
		}
	}
}
