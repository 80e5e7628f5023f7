package bot

// What happens where a permission is missing for what somebody asked for, whether that is known before the handler runs
// or Slack says so while it does: the person reads what the app can't do and gets a button that asks for exactly what
// is missing, somebody who can allow it hears of it once a day, and everything else goes on. Nothing is tried again,
// for that would not help.

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// NotAllowedError is a handler's word that permissions of the bot are missing for what it was to do. A handler returns
// what Request.Need made, and the person is told.
type NotAllowedError struct {
	Scopes []string // their names
}

// Error names the permissions, for the log. People read their labels.
func (e *NotAllowedError) Error() string { return "not allowed here: " + strings.Join(e.Scopes, ", ") }

// Missing returns those of scopes, permissions of the bot, that the workspace has not allowed, by what Slack last said.
// It asks nobody.
func (req *Request) Missing(scopes ...string) []string {
	var missing []string
	for _, s := range scopes {
		if !slices.Contains(req.Connection.Scopes, s) {
			missing = append(missing, s)
		}
	}
	return missing
}

// Need returns nil when the workspace has allowed all of these, else a *NotAllowedError. A handler that returns that
// error, as it is or wrapped, has the person told what the app can't do and how it is allowed: in the answer of a
// command or button, or in a message that only they see, once an hour. It is not run again.
func (req *Request) Need(scopes ...string) error {
	if missing := req.Missing(scopes...); len(missing) > 0 {
		return &NotAllowedError{Scopes: missing}
	}
	return nil
}

// NotAllowed is the answer to somebody who asked for what these permissions are missing for: what the app can't do, and
// a button that asks for exactly them. It also has somebody told who can allow them, at most once a day. Its link is
// for who asked, so that Say shows it to that person alone. People of another company are not told what is missing. It
// does not block. Most handlers need only return Need's error.
func (req *Request) NotAllowed(missing ...string) Reply {
	req.Log.Info("not allowed", "missing_scopes", missing)
	if req.External() {
		return req.notForOutsiders()
	}

	scopes := req.Install.Describe(missing)
	req.Install.in.Notices().NotifyMissing(req.Install.c, scopes, req.UserID)
	req.Install.in.Connections().RecheckScopes(req.Install.c)

	lang := req.lang()
	text := mrkdwn.Escape(req.Connection.Without(lang, req.Install.App().Name, scopes))
	more := func(name string) bool { return !slices.Contains(missing, name) }
	if !slices.ContainsFunc(req.Missing(connection.ScopeNames(req.Install.Scopes())...), more) {
		text += " " + lang.Say("connections.means.rest_works")
	}

	url := req.Install.GrantPage(links.GrantRequest{Scopes: missing, Back: req.ChannelID})
	if url == "" {
		return Reply{Text: text + " " + lang.Say("bot.allow_by_hand"), private: true}
	}

	next := lang.Say("bot.ask_to_allow", "who", req.Connection.WhoCan(lang, req.UserID))
	button := mrkdwn.Button("allow", lang.Say("bot.allow"), lang.Say("bot.allow_spoken"))
	button.URL, button.Style = url, slack.StylePrimary
	return Reply{Text: text + " " + next + " " + mrkdwn.Link(url, lang.Say("bot.allow")) + ".", private: true,
		Blocks: []slack.Block{mrkdwn.Section(text + "\n" + next), slack.NewActionBlock("", button)}}
}

// missing returns the scopes that h needs, for what req is about, and the workspace has not allowed.
func (h *Handler) missing(req *Request) []string {
	missing := req.Missing(h.Scopes...)
	if h.Kind != KindMessage || req.channelType == "" {
		return missing
	}

	// Of the permissions to listen, the one for this kind of conversation is enough.
	return slices.DeleteFunc(missing, func(name string) bool {
		return slices.ContainsFunc(messageScopes, func(m messageScope) bool {
			return m.scope == name && m.channelType != req.channelType
		})
	})
}

// refused returns the scopes that err says are missing for h; none when it says something else, or names permissions
// that the app doesn't use: then there is nothing that anybody could allow, and it is the app's own fault.
func (h *Handler) refused(req *Request, err error) []string {
	var known *NotAllowedError
	if errors.As(err, &known) {
		return known.Scopes
	}

	var said slack.SlackErrorResponse
	if !errors.As(err, &said) || said.Err != connection.ReasonMissingScope {
		return nil
	}

	// Any one of the needed would do. Those that the handler declared come first, then what else the app uses.
	has, used := connection.SplitScopes(said.Provided), connection.ScopeNames(req.Install.Scopes())
	var declared, others []string
	for _, name := range connection.SplitScopes(said.Needed) {
		switch {
		case slices.Contains(has, name), !slices.Contains(used, name):
		case slices.Contains(h.UserScopes, name) && slices.Contains(req.Connection.Scopes, name):
			// It was a person's token that lacks it, and not the workspace's.
		case slices.Contains(h.Scopes, name), slices.Contains(h.OptionalScopes, name):
			declared = append(declared, name)
		default:
			others = append(others, name)
		}
	}

	if len(declared) > 0 {
		return declared
	}
	return others
}

// whisperNotAllowed tells the person whose event found permissions missing: in the conversation, so that only they see
// it, or in a direct message; once an hour for each feature. Without the permission to write nobody can be told.
func (g *gate) whisperNotAllowed(ctx context.Context, req *Request, missing []string) {
	if !g.insiders.mayHear(ctx, req) {
		req.Log.InfoContext(ctx, "not allowed, and asked for by somebody who may be of another company",
			"missing_scopes", missing)
		return
	}

	r := req.NotAllowed(missing...)
	if req.Client == nil || req.UserID == "" || len(req.Missing("chat:write")) > 0 {
		return
	}

	if !g.install.Notices().ShouldTellMissing(ctx, req.Connection, req.UserID, req.Install.Describe(missing)) {
		return
	}
	if err := req.privately(ctx, r); err != nil {
		req.Log.WarnContext(ctx, "say what is not allowed", "slack_error", slackapi.SlackError(err), "cause", reason(err))
	}
}
