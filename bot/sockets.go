package bot

// Socket Mode as a program sees it: it runs, and says how it is doing.

import (
	"context"
	"errors"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
)

// The states of Socket Mode: see Bot.SocketHealth.
const (
	SocketsOff        = "off"        // not asked for, or stopped
	SocketsConnecting = "connecting" // no connection yet, or none any longer; it is tried again
	SocketsLive       = "live"       // at least one connection
	SocketsDisabled   = "disabled"   // switched off in the app's settings; looked for again every minute
	SocketsRefused    = "refused"    // Slack has refused the app-level token for minutes; tried again every minute
)

// TokenRefused says that Slack will not open a connection with the app-level token. Slack has said so of good tokens,
// too, and taken them again a moment later.
// https://docs.slack.dev/reference/methods/apps.connections.open
type TokenRefused struct {
	Code  string // Slack's word: invalid_auth …; "app A…" when the token belongs to another app than Config.AppID
	words string
}

// Error is for the operator: what is wrong with the token, and where to make one that works.
func (e *TokenRefused) Error() string { return e.words }

// refusedToken is err, a *TokenRefused where the token was.
func refusedToken(err error) error {
	var refused *transport.TokenRefused
	if errors.As(err, &refused) {
		return &TokenRefused{Code: refused.Code, words: refused.Error()}
	}
	return err
}

// RunSockets keeps the connections of Socket Mode until ctx ends. Then it takes nothing new, acknowledges what is being
// accepted, for at most 5 s, closes them and returns nil. Trouble with the network never ends it. Only a token that
// Slack refuses from the start, three times in a row, does, with a *TokenRefused: it is mistyped. One that has opened a
// connection is tried for as long as it takes; SocketHealth tells. Without Config.AppToken it returns nil right away.
//
// It goes beside Run, whose ctx should end later. https://docs.slack.dev/apis/events-api/using-socket-mode
func (b *Bot) RunSockets(ctx context.Context) error {
	if b.cfg.AppToken == "" {
		return nil
	}
	return refusedToken(b.sockets.Run(ctx))
}

// SocketHealth says how many connections of Socket Mode are open, in which of the Sockets… states that is, and, if it
// is not as it should be, why. It doesn't block.
func (b *Bot) SocketHealth() (live int, state string, err error) {
	switch h := b.sockets.Health(); {
	case h.Refused != nil:
		return h.Live, SocketsRefused, refusedToken(h.Refused)
	case h.Ended, !h.Begun && b.cfg.AppToken == "":
		return h.Live, SocketsOff, nil
	case h.Live > 0:
		return h.Live, SocketsLive, nil
	case errors.Is(h.Problem, transport.ErrSwitchedOff):
		return 0, SocketsDisabled, h.Problem
	default:
		return 0, SocketsConnecting, refusedToken(h.Problem)
	}
}

// sayNoSockets tells whoever forgot RunSockets that nothing will come.
func (b *Bot) sayNoSockets() {
	if b.cfg.AppToken != "" && !b.sockets.Health().Begun {
		b.log.Warn("Socket Mode is on (Config.AppToken) and nobody has called the Bot's RunSockets: " +
			"nothing comes in through it")
	}
}
