package bot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
)

// Who else can see an event: all installations, page by page. Without an app-level token that can't be known, and is
// said.
func TestViewers(t *testing.T) {
	t.Parallel()
	const others = 120 // more than a page
	w := newSocketStage(t, func(c *slacksim.Config) { c.App.Events = []string{"message.channels"} })
	type result struct {
		viewers []Authorization
		err     error
	}
	got := make(chan result, 1)
	b := w.bot(OnMessage(`.*`, func(ctx context.Context, t *Message) error {
		viewers, err := t.Authorizations(ctx)
		got <- result{viewers, err}
		return nil
	}, Scopes("channels:history"), WithoutConnection()))
	b.workers.pool.open = true
	w.connect(b, nil)
	w.connected(2)
	const channel = "C0MANY0001"
	shared := slacksim.Channel{ID: channel, TeamID: slacksim.Acme, Name: "many", Members: []string{slacksim.AcmeAdmin}}
	install1 := func(user string) {
		t.Helper()
		back, err := w.Authorize(w.ctx, w.URL()+
			"/oauth/v2/authorize?client_id=1.2&state=s&redirect_uri=https://bot.example.com/cb&scope=channels:history", user,
			slacksim.Choice{})
		if err != nil {
			t.Fatal(err)
		}
		code := strings.Split(strings.SplitAfter(back, "code=")[1], "&")[0]
		granted, err := slack.GetOAuthV2ResponseContext(w.ctx, slackapi.NewHTTPClient(), "1.2", "client-secret", code,
			"https://bot.example.com/cb", slack.OAuthOptionAPIURL(w.URL()+"/api/"))
		if err != nil {
			t.Fatal(err)
		}
		shared.Members = append(shared.Members, granted.BotUserID)
	}
	install1(slacksim.AcmeAdmin)
	for i := range others {
		team, user := fmt.Sprintf("T0MANY%04d", i), fmt.Sprintf("U0MANY%04d", i)
		w.AddWorkspace(slacksim.Workspace{ID: team})
		w.AddUser(slacksim.User{ID: user, TeamID: team, Name: "u", Admin: true})
		shared.SharedWith = append(shared.SharedWith, team)
		install1(user)
	}
	w.AddChannel(shared)
	say := func() result {
		t.Helper()
		if _, err := w.Say(w.ctx, slacksim.AcmeAdmin, channel, "hello all"); err != nil {
			t.Fatal(err)
		}
		select {
		case r := <-got:
			return r
		case <-w.ctx.Done():
			t.Fatal("no handler ran")
			return result{}
		}
	}
	r := say()
	seen := map[string]bool{}
	for _, v := range r.viewers {
		seen[v.TeamID] = v.Bot
	}
	if r.err != nil || len(r.viewers) != others+1 || len(seen) != others+1 || !seen[slacksim.Acme] || !seen["T0MANY0119"] {
		t.Errorf("%d viewers, %d different, %v", len(r.viewers), len(seen), r.err)
	}
	if n := len(w.Calls("apps.event.authorizations.list")); n != 2 {
		t.Errorf("%d pages", n)
	}
	w.Inject(slacksim.Fault{Method: "apps.event.authorizations.list", Error: "invalid_event_context", Times: 1})
	if r = say(); slackapi.SlackError(r.err) != "invalid_event_context" {
		t.Errorf("%v", r.err)
	}
	b.audience.token = ""
	if r = say(); !errors.Is(r.err, ErrNoAppToken) {
		t.Errorf("without a token: %v", r.err)
	}
	if _, err := (&Request{}).Authorizations(w.ctx); err == nil || errors.Is(err, ErrNoAppToken) {
		t.Errorf("not of an event: %v", err)
	}
	b.tasks.Wait()
}
