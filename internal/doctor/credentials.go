package doctor

// Check 3: what Slack says to the credentials: client id and secret, the app-level token, the bot token. None of the
// questions changes anything there.

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

func credentials(ctx context.Context, e *Examined) []Finding {
	if e.Offline {
		return []Finding{offline("whether Slack takes the credentials")}
	}

	asks := []func(context.Context) Finding{}
	in := e.Config.Install
	if in.BotToken == "" {
		asks = append(asks, e.client)
	} else {
		asks = append(asks, e.botToken)
	}
	if e.overSockets() {
		asks = append(asks, e.appToken)
	}

	ctx, cancel := context.WithTimeout(ctx, callBudget)
	defer cancel()
	found := make([]Finding, len(asks))
	var asking sync.WaitGroup
	for i, ask := range asks {
		asking.Go(func() { found[i] = ask(ctx) })
	}
	asking.Wait()
	return found
}

// slack calls Slack for the doctor, apart from the app's own budgets.
func (e *Examined) slack() *slackapi.API {
	return &slackapi.API{Address: e.Config.Install.SlackURL, HTTP: slackapi.NewHTTPClient(), Now: time.Now}
}

// client tries the client id and secret with a code that nobody was given. Slack looks at the credentials first: its
// word for the code says that they are good. https://docs.slack.dev/reference/methods/oauth.v2.access#errors
func (e *Examined) client(ctx context.Context) Finding {
	in := e.Config.Install
	_, err := e.slack().OAuth(ctx, "oauth.v2.access", url.Values{"client_id": {in.ClientID},
		"client_secret": {in.ClientSecret.Reveal()}, "code": {"doctor"},
		"redirect_uri": {in.PublicURL + "/slack/oauth_redirect"}})
	restart := ", then restart " + e.Program + " serve"
	const name = "client"
	switch code := slackapi.SlackError(err); code {
	case "invalid_code", "code_already_used", "code_expired", "bad_redirect_uri":
		return Finding{Name: name, Status: OK, Text: "Slack takes the client id and the client secret."}
	case "invalid_client_id":
		return Finding{Name: name, Status: Failed, Text: "Slack knows no app with SLACK_CLIENT_ID (" + in.ClientID + ").",
			Fix: "copy the Client ID from " + e.appPage("general") + " into SLACK_CLIENT_ID" + restart}
	case "bad_client_secret":
		return Finding{Name: name, Status: Failed, Text: "SLACK_CLIENT_SECRET isn't the secret of SLACK_CLIENT_ID (" +
			in.ClientID + "): no install and no renewal works.",
			Fix: "copy the Client Secret from " + e.appPage("general") + " into SLACK_CLIENT_SECRET" + restart}
	default:
		return e.otherAnswer(name, "the client id and secret", code, err)
	}
}

// otherAnswer is for what says nothing of what was tried.
func (e *Examined) otherAnswer(name, what, code string, err error) Finding {
	switch {
	case code == "ratelimited":
		return Finding{Name: name, Status: Unknown, Text: "Slack has answered too many calls and didn't look at " + what + ".",
			Fix: "run this again in a minute"}
	case code != "":
		return Finding{Name: name, Status: Unknown, Text: fmt.Sprintf("Slack said %q, which tells nothing of %s.", code, what),
			Fix: "run this again; if it stays, look at https://slack-status.com and at " + e.appPage("general")}
	case err == nil:
		return Finding{Name: name, Status: Unknown, Text: "Slack's answer tells nothing of " + what + ".", Fix: "run this again"}
	}
	return e.noSlack(name, err)
}

// appToken opens nothing: it asks for an address to connect to, and leaves it unused.
// https://docs.slack.dev/reference/methods/apps.connections.open
func (e *Examined) appToken(ctx context.Context) Finding {
	var answer struct {
		AppID string `json:"app_id"`
	}
	_, err := e.slack().Post(ctx, "apps.connections.open", e.Config.Bot.AppToken, nil, &answer)
	const name = "app_token"
	switch code := slackapi.SlackError(err); code {
	case "":
		if err != nil {
			return e.noSlack(name, err)
		}
		return Finding{Name: name, Status: OK, Text: "Slack takes the app-level token."}
	case "invalid_auth", "not_authed", "not_allowed_token_type", "token_revoked", "token_expired", "account_inactive",
		"missing_scope", "no_permission", "forbidden_team":
		return Finding{Name: name, Status: Failed, Text: fmt.Sprintf("Slack refuses SLACK_APP_TOKEN: %s.", code),
			Fix: "make an app-level token with the scope connections:write at " + e.appPage("general") +
				", put it into SLACK_APP_TOKEN, and restart " + e.Program + " serve"}
	default:
		return e.otherAnswer(name, "the app-level token", code, err)
	}
}

// botToken asks Slack whose it is.
func (e *Examined) botToken(ctx context.Context) Finding {
	in := e.Config.Install
	who, err := e.slack().Identify(ctx, in.BotToken)
	const name = "bot_token"
	page := e.appPage("oauth")
	switch code := slackapi.SlackError(err); {
	case err == nil && in.AppID != "" && who.AppID != "" && who.AppID != in.AppID:
		return Finding{Name: name, Status: Failed, Text: "SLACK_BOT_TOKEN is of another app (" + who.AppID + ") than " +
			"SLACK_APP_ID (" + in.AppID + ").", Fix: "copy the Bot User OAuth Token from " + page + " into SLACK_BOT_TOKEN, and " +
			"restart " + e.Program + " serve"}
	case err == nil:
		return e.ownScopes(Finding{Name: name, Status: OK, Text: "Slack takes the bot token."}, who.Scopes)
	case connection.DecisiveCode(code):
		return Finding{Name: name, Status: Failed, Text: fmt.Sprintf("Slack refuses SLACK_BOT_TOKEN: %s.", code),
			Fix: "install the app to its workspace at " + page + ", copy the Bot User OAuth Token into SLACK_BOT_TOKEN, and " +
				"restart " + e.Program + " serve"}
	default:
		return e.otherAnswer(name, "the bot token", code, err)
	}
}

// ownScopes adds what a token given by hand may not do.
func (e *Examined) ownScopes(f Finding, granted []string) Finding {
	if len(granted) == 0 { // Slack didn't say
		return f
	}
	missing := required((connection.Connection{Scopes: granted}).Missing(e.Config.Install.Scopes))
	if len(missing) > 0 {
		f.Status = Warning
		f.Text += " It lacks permissions: " + listed(missing) + "."
		f.Fix = "add them at " + e.appPage("oauth") + ", and choose Reinstall there"
	}
	return f
}
