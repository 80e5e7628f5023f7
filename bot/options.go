package bot

// An option that does nothing where it stands is a slip: who wrote it relies on it. So it is refused at the start.

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/bot/internal/patterns"
)

// option is one that doesn't suit every kind of handler. Always, Uses and ActsFor do.
type option string

const (
	optionAnyone   option = "Anyone"
	optionSlow     option = "Slow"
	optionOpens    option = "Opens"
	optionWithin   option = "Within"
	optionInOrder  option = "InOrder"
	optionDescribe option = "Describe"
)

// with notes that an option was used.
func (h Handler) with(o option) Handler {
	h.given = append(slices.Clip(h.given), o)
	return h
}

// idleOptions says on which handlers an option does nothing, and why.
var idleOptions = []struct {
	option option
	idle   func(h Handler) bool
	why    string
}{
	{optionDescribe, func(h Handler) bool { return h.Kind != KindCommand }, "only commands are in Slack's menu"},
	{optionAnyone, func(h Handler) bool { return h.Kind == KindCommand || h.ofEvents() },
		"only buttons and forms are refused to people of other companies"},
	{optionSlow, Handler.ofEvents, "events are always worked from the inbox"},
	{optionSlow, func(h Handler) bool { return h.Kind != KindCommand && h.Kind != KindAction },
		"only commands and buttons can be slow"},
	{optionOpens, func(h Handler) bool { return !h.slow },
		"it is for slow handlers. Others open their modal by Request.OpenModal"},
	{optionOpens, func(h Handler) bool { return h.opens == nil }, "there is no function that makes the view"},
	{optionWithin, func(h Handler) bool { return !h.ofEvents() && !h.slow },
		"the time of a handler that isn't slow is set by Slack"},
	{optionWithin, func(h Handler) bool { return h.limit <= 0 }, "a limit is above 0"},
	{optionInOrder, func(h Handler) bool { return !h.ofEvents() && !h.slow }, "what isn't slow runs when it comes"},
}

// ofEvents reports whether h is run for events, which come from the inbox and have nobody who waits for an answer.
func (h Handler) ofEvents() bool { return h.Kind == KindEvent || h.Kind == KindMessage }

// checkOptions finds an option that does nothing on h.
func (h Handler) checkOptions() error {
	given := h.given
	if h.About != "" || h.Usage != "" { // as fields
		given = append(slices.Clip(given), optionDescribe)
	}

	for _, o := range given {
		for _, rule := range idleOptions {
			if rule.option == o && rule.idle(h) {
				return fmt.Errorf("%s %q: %s does nothing here: %s", h.Kind, h.Name, o, rule.why)
			}
		}
	}
	return nil
}

// shadowed finds handlers of messages that never run, because one before each takes every text that they could have,
// wherever they listen.
func shadowed(messages []Handler) (problems []error) {
	for i, h := range messages {
		first := ""
		free := slices.ContainsFunc(messageScopes, func(m messageScope) bool {
			if !h.listens(m.channelType) {
				return false
			}
			before := slices.IndexFunc(messages[:i], func(other Handler) bool {
				return other.listens(m.channelType) && other.Name != h.Name && !patterns.LeavesOver(h.Name, other.Name)
			})
			if before >= 0 {
				first = messages[before].Name
			}
			return before < 0
		})
		if !free && first != "" {
			problems = append(problems, fmt.Errorf("message %q: never runs, because %q before it takes every text "+
				"that matches it. Put it first", h.Name, first))
		}
	}
	return problems
}

// odd is what is worth a word about h at the start, though it may be meant; "" when there is nothing.
func (h Handler) odd() string {
	switch h.Kind {
	case KindEvent:
		if _, known := eventScopes[h.Name]; !known {
			return "this release knows no event of this name: the handler runs only if Slack has it"
		}
	case KindAction, KindViewSubmission, KindViewClosed:
		if strings.ContainsAny(h.Name, `*^\`) {
			return "an id is compared as it stands, and is no pattern: the handler runs only for exactly this one"
		}
	}
	return ""
}
