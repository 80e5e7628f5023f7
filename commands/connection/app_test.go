package connection

// The app of these tests: a bot that is nothing but the command, with all that comes with it.

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

var whole = Command{Name: "/connection", Mentions: true, DirectMessages: true, Home: true}

func catalogue() []connection.Scope {
	return []connection.Scope{
		{Name: "chat:write", Label: "Send messages", Feature: "answer you",
			Why: "To answer you. It writes only where it was added, and in your direct messages with it."},
		{Name: "commands", Label: "Offer slash commands", Feature: "offer its commands",
			Why: "So that you can type its commands."},
		{Name: "app_mentions:read", Label: "See messages that mention it", Feature: "answer mentions", Optional: true,
			Why: "To answer when you mention it in a channel. It sees no other messages there."},
		{Name: "im:history", Label: "Read direct messages to it", Feature: "answer direct messages", Optional: true,
			Why: "To answer when you write to it. It sees no other direct messages."},
		{Name: "users:read", Label: "See who is who", Feature: "show admins their buttons", Optional: true,
			Why: "To tell who may manage it: admins, and the person who installed it while they are a full member."},
		{Name: "team:read", Label: "See the workspace's name and icon", Feature: "show the workspace's icon", Optional: true,
			Why: "To show which workspace it is connected to."},
		{Name: readsPublic, Label: "See public channels", Feature: "list the public channels it is in", Optional: true,
			Why: "To list the public channels it is in."},
		{Name: readsPrivate, Label: "See private channels it is in", Feature: "list the private channels it is in",
			Optional: true, Why: "To list the private channels it is in."},
	}
}

func profile() bot.Profile {
	return bot.Profile{Name: "Switchboard", Description: theApp().Summary, Color: "#0b6b4f", Scopes: catalogue()}
}

func theApp() install.App {
	return install.App{
		Name: "Switchboard", Summary: "Tells you in Slack whether an app's connection works.",
		DataKept: "The workspace's name and id.", Commands: whole.Commands(),
		Does: []string{"Ask in any channel whether it works."},
	}
}

// described are the catalogue's words for a permission, or its name.
func described(name string) connection.Scope {
	for _, s := range catalogue() {
		if s.Name == name {
			return s
		}
	}
	return connection.Scope{Name: name, Label: "use " + name}
}

// written is the message that write sends.
func written(t *testing.T, write func(client *slack.Client) error) (r bot.Reply) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, call *http.Request) {
		var blocks slack.Blocks
		if err := json.Unmarshal([]byte(call.FormValue("blocks")), &blocks); err != nil {
			t.Errorf("%v in %s", err, call.FormValue("blocks"))
		}
		r = bot.Reply{Text: call.FormValue("text"), Blocks: blocks.BlockSet}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"ok":true,"channel":"D1","ts":"1.2"}`))
	}))
	defer api.Close()
	if err := write(slack.New("xoxb-1", slack.OptionAPIURL(api.URL+"/"))); err != nil {
		t.Error(err)
	}
	return r
}
