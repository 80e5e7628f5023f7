// Package slackapi calls Slack: with limits on time and size that slack-go's defaults do not have, at the pace that
// Slack allows, and with what went wrong told apart. It knows tokens and workspaces, and keeps nothing.
//
//	api := &slackapi.API{Address: "https://slack.com", HTTP: slackapi.NewHTTPClient(), Now: time.Now, Met: count}
//	id, err := api.Identify(ctx, token)             // auth.test
//	client := api.Client(token, key, "", api.HTTP)  // slack-go's, which waits its turn
//	if slackapi.Decisive(err) { … }                 // the token is at fault; else Slack or the network had trouble
package slackapi
