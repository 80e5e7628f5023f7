package bot

// An option that does nothing where it stands is a slip: who wrote it relies on it. So it is refused at the start.

import (
	"fmt"
	"slices"
	"strings"
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

// checkOptions finds an option that does nothing on h.
func (h Handler) checkOptions() error {
	bad := func(o option, why string) error {
		return fmt.Errorf("%s %q: %s does nothing here: %s", h.Kind, h.Name, o, why)
	}
	command, event := h.Kind == KindCommand, h.Kind == KindEvent || h.Kind == KindMessage
	if !command && (h.About != "" || h.Usage != "") && !slices.Contains(h.given, optionDescribe) {
		return bad(optionDescribe, "only commands are in Slack's menu")
	}
	for _, o := range h.given {
		switch {
		case o == optionDescribe && !command:
			return bad(o, "only commands are in Slack's menu")
		case o == optionAnyone && (command || event):
			return bad(o, "only buttons and forms are refused to people of other companies")
		case o == optionSlow && event:
			return bad(o, "events are always worked from the inbox")
		case o == optionSlow && !command && h.Kind != KindAction:
			return bad(o, "only commands and buttons can be slow")
		case o == optionOpens && !h.slow:
			return bad(o, "it is for slow handlers. Others open their modal by Turn.OpenView")
		case o == optionOpens && h.opens == nil:
			return bad(o, "there is no function that makes the view")
		case o == optionWithin && !event && !h.slow:
			return bad(o, "the time of a handler that isn't slow is set by Slack")
		case o == optionWithin && h.limit <= 0:
			return bad(o, "a limit is above 0")
		case o == optionInOrder && !event && !h.slow:
			return bad(o, "what isn't slow runs when it comes")
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
				return other.listens(m.channelType) && other.Name != h.Name && !leavesOver(h.Name, other.Name)
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
	case KindAction, KindView, KindClosed:
		if strings.ContainsAny(h.Name, `*^\`) {
			return "an id is compared as it stands, and is no pattern: the handler runs only for exactly this one"
		}
	}
	return ""
}
