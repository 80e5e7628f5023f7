package bot_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/slacksim"
)

// A handler has no way to another workspace's access or records, whatever it writes into its Request: what is about its
// connection is bound to the delivery.
func TestTurnReachesNoOtherWorkspace(t *testing.T) {
	t.Parallel()
	var other connection.Connection
	type found struct {
		health, checked install.Health
		history         []connection.Change
		acts            error
		grant, page     string
	}
	got := make(chan found, 1)
	s := play(t, bot.OnCommand("/reach", func(ctx context.Context, t *bot.Command) error {
		own := t.Connection.ID
		t.Key, t.Connection, t.TeamID = other.Key, other, other.TeamID
		var f found
		_, f.acts = t.UserClient(ctx)
		f.health, f.checked, f.grant, f.page = t.Health(), t.Check(ctx), t.Install.Grant(links.GrantRequest{}),
			t.Install.StartPage()
		f.history, _ = t.Install.History(ctx, 10)
		if f.health.Connection.ID != own || f.checked.Connection.ID != own {
			return errors.New("another workspace's connection")
		}
		got <- f
		return t.Respond(ctx, bot.Reply{Text: "Tried."})
	}, bot.Scopes("chat:write"), bot.Describe("reaches out", "")))
	now := time.Now()
	var err error
	other, _, err = s.db.Put(ctx, connection.Connection{Key: connection.Key{AppID: "A0PARROT01", TeamID: slacksim.Birch},
		TeamName: "Birch", TokenPair: connection.TokenPair{Token: "xoxb-of-birch"}, State: connection.Active,
		InstalledBy: slacksim.BirchAdmin, InstalledAt: now, AuthorizedBy: slacksim.BirchAdmin, AuthorizedAt: now})
	if err != nil {
		t.Fatal(err)
	}
	u := connection.UserToken{TokenOwner: connection.TokenOwner{Key: other.Key, UserID: slacksim.AcmeMember},
		TokenPair: connection.TokenPair{Token: "xoxp-of-birch"}, GrantedAt: now}
	if err := s.db.AddUser(ctx, u); err != nil {
		t.Fatal(err)
	}
	if r := command(t, s, slacksim.AcmeMember, "/reach"); r.Text != "Tried." {
		t.Fatalf("%q", r.Text)
	}
	f := receive(t, got, "the handler")
	if !errors.Is(f.acts, connection.ErrNotConnected) {
		t.Errorf("it acts for a person of another workspace: %v", f.acts)
	}
	for _, line := range f.history {
		if line.By.ID == slacksim.BirchAdmin {
			t.Errorf("it reads another workspace's history: %+v", line)
		}
	}
	if !strings.HasPrefix(f.grant, f.page+"?link=") {
		t.Errorf("its own link is %q", f.grant)
	}
}

// What a Request offers names no connection, so none of another workspace can be named.
func TestInstallationTakesNoKey(t *testing.T) {
	t.Parallel()
	for _, of := range []reflect.Type{reflect.TypeFor[bot.Installation](), reflect.TypeFor[*bot.Request]()} {
		for i := range of.NumMethod() {
			m := of.Method(i)
			for in := range m.Type.NumIn() {
				switch m.Type.In(in) {
				case reflect.TypeFor[connection.Key](), reflect.TypeFor[connection.Connection](),
					reflect.TypeFor[connection.TokenOwner](), reflect.TypeFor[connection.UserToken]():
					t.Errorf("%s.%s takes a %s", of, m.Name, m.Type.In(in))
				}
			}
			for out := range m.Type.NumOut() {
				if m.Type.Out(out) == reflect.TypeFor[*install.Installer]() {
					t.Errorf("%s.%s returns the Installer", of, m.Name)
				}
			}
		}
	}
	turn := reflect.TypeFor[bot.Request]()
	for i := range turn.NumField() {
		if f := turn.Field(i); f.IsExported() && f.Type == reflect.TypeFor[*install.Installer]() {
			t.Errorf("Request.%s is any workspace's", f.Name)
		}
	}
}
