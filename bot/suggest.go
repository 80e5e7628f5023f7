package bot

// What nobody handles is said once, with the line of Go that would handle it.

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
)

// mostSuggested bounds what is remembered: names come from outside.
const mostSuggested = 1_000

// suggestions are what was said already. The zero value is ready.
type suggestions struct {
	mu   sync.Mutex
	said map[string]bool
}

// suggestion is the line for each kind, with the name that came.
var suggestion = map[Kind]string{
	KindEvent:          "bot.OnEvent(%q, func(ctx context.Context, e *bot.Event[slackevents.…]) error { … })",
	KindMessage:        "bot.OnMessage(%q, func(ctx context.Context, m *bot.Message) error { … }, bot.Scopes(…))",
	KindMention:        "bot.OnMention(%q, func(ctx context.Context, m *bot.Message) error { … })",
	KindCommand:        "bot.OnCommand(%q, func(ctx context.Context, c *bot.Command) error { … }, bot.Describe(…))",
	KindAction:         "bot.OnAction(%q, func(ctx context.Context, a *bot.Action) error { … })",
	KindViewSubmission: "bot.OnViewSubmission(%q, func(ctx context.Context, s *bot.Submission) error { … })",
	KindViewClosed:     "bot.OnViewClosed(%q, func(ctx context.Context, v *bot.ViewClosed) error { … })",
	KindAgentStopped:   agentSuggestion("Stopped"),
	KindAgentContext:   agentSuggestion("Context"),
	KindAgentTitle:     agentSuggestion("Title"),
	KindShortcut:       "bot.OnShortcut(%q, func(ctx context.Context, s *bot.Shortcut) error { … }, bot.Titled(…))",
	KindMessageShortcut: "bot.OnMessageShortcut(%q, func(ctx context.Context, s *bot.Shortcut) error { … }, " +
		"bot.Titled(…))",
	KindOptions:  "bot.OnOptions(%q, func(ctx context.Context, o *bot.Options) error { … })",
	KindFunction: "bot.OnFunction(%q, func(ctx context.Context, f *bot.Function[…]) error { … }, bot.Titled(…))",
	KindLink:     "bot.OnLink(%q, func(ctx context.Context, l *bot.Link) error { … })",
}

func agentSuggestion(what string) string {
	return "bot.OnAgent" + what + "(func(ctx context.Context, t *bot.Thread) error { … })"
}

// suggest says that nothing handles a name, and what would. It does so once for each.
func (s *suggestions) suggest(ctx context.Context, log *slog.Logger, kind Kind, name string) {
	name = transport.Clip(name)
	s.mu.Lock()
	id := string(kind) + " " + name
	known := s.said[id] || len(s.said) >= mostSuggested
	if !known {
		if s.said == nil {
			s.said = map[string]bool{}
		}
		s.said[id] = true
	}
	s.mu.Unlock()

	if known {
		return
	}
	line := suggestion[kind]
	if strings.Contains(line, "%q") {
		line = fmt.Sprintf(line, name)
	}
	log.InfoContext(ctx, "nothing handles this "+string(kind), "name", name, "handle_it_with", line)
}

// unhandled suggests a handler for an event.
func (s *suggestions) unhandled(ctx context.Context, log *slog.Logger, in *inner) {
	switch m, written := in.writingOf(); {
	case in.Type == "message" && written && !m.edited && !m.deleted:
		s.suggest(ctx, log, KindMessage, "")
	case in.Type == "message":
		s.suggest(ctx, log, KindEvent, "message."+in.Subtype)
	case in.Type == "app_mention":
		s.suggest(ctx, log, KindMention, "")
	case agentKinds[in.Type] != "":
		s.suggest(ctx, log, agentKinds[in.Type], in.Type)
	case in.Type == "function_executed":
		s.suggest(ctx, log, KindFunction, in.callbackID())
	case in.Type == "link_shared" && len(in.Links) > 0:
		s.suggest(ctx, log, KindLink, in.Links[0].Domain)
	default:
		s.suggest(ctx, log, KindEvent, in.Type)
	}
}

// unheard suggests a handler for an interaction. A button that is only a link arrives here, too.
func (s *suggestions) unheard(ctx context.Context, log *slog.Logger, i *interaction) {
	switch {
	case i.Type == "block_actions" && len(i.Actions) > 0:
		s.suggest(ctx, log, KindAction, i.Actions[0].ActionID)
	case i.Type == "view_submission" && i.View != nil:
		s.suggest(ctx, log, KindViewSubmission, i.View.CallbackID)
	case i.Type == "shortcut":
		s.suggest(ctx, log, KindShortcut, i.CallbackID)
	case i.Type == "message_action":
		s.suggest(ctx, log, KindMessageShortcut, i.CallbackID)
	case i.Type == "block_suggestion":
		s.suggest(ctx, log, KindOptions, i.ActionID)
	case i.Type == "view_closed" && i.View != nil:
		s.suggest(ctx, log, KindViewClosed, i.View.CallbackID)
	default:
		log.DebugContext(ctx, "interaction without a handler", "type", transport.Clip(i.Type))
	}
}
