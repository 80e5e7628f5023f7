package bot

// Which handler gets what came. It depends on nothing but the handlers and what came, so that all replicas agree.

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// routes are the handlers by what they listen to. They don't change after newRoutes.
type routes struct {
	byName   map[string]Handler // by id
	several  map[Kind][]Handler // those whose name stands for several, in order
	messages []Handler          // in order; the first that matches runs
	mentions []Handler          // as messages
	links    []Handler
	commands map[string][]Handler // by the command that they are, or are subcommands of; in order
	ordered  map[string]bool      // types of events that a handler wants in their order
}

// newRoutes takes the handlers in, with middleware around each. The errors are everything that is wrong with them.
func newRoutes(handlers []Handler, middleware []Middleware) (r routes, problems []error) {
	r = routes{byName: map[string]Handler{}, several: map[Kind][]Handler{}, ordered: map[string]bool{},
		commands: map[string][]Handler{}}
	for _, h := range handlers {
		if err := h.check(); err != nil {
			problems = append(problems, err)
			continue
		}
		if other, double := r.byName[h.id()]; double {
			problems = append(problems, fmt.Errorf("two handlers for %s%s: the other one is%s", h.id(), h.at(), other.at()))
		}

		if use := slices.Concat(middleware, h.use); len(use) > 0 {
			h.chain = around(func(ctx context.Context, req *Request) error { return req.work(ctx, req) }, use)
		}
		r.byName[h.id()] = h
		r.add(h)
	}

	problems = slices.Concat(problems, shadowed(r.messages), shadowed(r.mentions), clashes(r.byName))
	for _, kind := range slices.Sorted(maps.Keys(r.several)) {
		problems = append(problems, shadowedNames(r.several[kind])...)
	}
	return r, problems
}

// add files h under what it listens to.
func (r *routes) add(h Handler) {
	ordered := h.Name
	switch {
	case h.Kind == KindMessage, h.Kind == KindAgentMessage:
		r.messages, ordered = append(r.messages, h), "message"
	case h.Kind == KindMention:
		r.mentions, ordered = append(r.mentions, h), "app_mention"
	case h.Kind == KindCommand:
		r.commands[h.root()] = append(r.commands[h.root()], h)
	case h.Kind == KindLink:
		r.links, ordered = append(r.links, h), "link_shared"
	case h.Kind == KindFunction:
		ordered = "function_executed"
	case h.Kind == KindHome:
		ordered = "app_home_opened"
	case h.pattern != nil:
		r.several[h.Kind] = append(r.several[h.Kind], h)
	}

	if !h.ordered || !h.ofEvents() { // a command or an action has its ordering key by itself, see postpone
		return
	}
	r.ordered[ordered] = true
	for _, name := range h.subscriptions() { // of a pattern
		r.ordered[name] = true
	}
}

// find returns the handler of a kind for a name: the one for exactly this, else the first that matches.
func (r routes) find(kind Kind, name string) (Handler, bool) {
	if h, found := r.byName[string(kind)+" "+name]; found && h.pattern == nil {
		return h, true
	}
	for _, h := range r.several[kind] {
		if _, ok := h.matches(name); ok && h.block == "" {
			return h, true
		}
	}
	return Handler{}, false
}

// findAction returns the handler of an action, or of a menu's options: those of its block go first.
func (r routes) findAction(kind Kind, action, block string) (Handler, bool) {
	if h, found := r.byName[Handler{Kind: kind, Name: action, block: block}.id()]; found && h.pattern == nil {
		return h, true
	}
	for _, h := range r.several[kind] {
		if _, ok := h.matches(action); ok && h.block != "" && h.block == block {
			return h, true
		}
	}
	return r.find(kind, action)
}

// hears reports whether any handler could want an event, before anything is looked up for it.
func (r routes) hears(kind string, in inner) bool {
	switch kind {
	case "message":
		if _, ok := in.writingOf(); ok && len(r.messages) > 0 {
			return true
		}
		_, found := r.find(KindEvent, "message."+in.Subtype)
		return found
	case "app_mention":
		return len(r.mentions) > 0
	}
	_, ours := ofTheBot[kind]
	_, theirs := r.find(KindEvent, kind)
	_, kinds := r.findByKind(kind, in)
	return ours || theirs || kinds || kind == sessionStopped
}

// findByKind returns the handler of an event that has a kind of its own. Opening the app's place is one of two, by its
// tab.
func (r routes) findByKind(kind string, in inner) (h Handler, found bool) {
	name := agentKinds[kind]
	switch {
	case kind == "link_shared":
		return r.linked(in)
	case kind == "function_executed":
		return r.find(KindFunction, in.callbackID())
	case kind == "app_home_opened" && in.Tab == "home":
		name = KindHome
	case kind == "app_home_opened" && in.Tab == "messages":
		name = KindAgentOpened
	}
	h, found = r.byName[Handler{Kind: name}.id()]
	return h, found
}

// route picks the handler for an event. One message that arrives both as message and as app_mention goes to one of
// them: to the mention's handler in a channel, if one matches it, to the message's in a direct message. That depends on
// nothing but the event, so replicas that see one each agree.
func (r routes) route(kind string, in inner, botUser string) (h Handler, match []string, ok bool) {
	if h, ok = r.findByKind(kind, in); ok {
		return h, nil, true
	}
	if kind != "message" && kind != "app_mention" {
		h, ok = r.find(KindEvent, kind)
		match, _ = h.matches(kind)
		return h, match, ok
	}

	direct := in.ChannelType == "im" || in.ChannelType == "" && strings.HasPrefix(text(in.Channel), "D")
	where := in.ChannelType
	if direct {
		where = "im"
	}

	m, ok := in.writingOf()
	switch {
	case ok && kind == "app_mention":
		if direct && slices.ContainsFunc(r.messages, func(h Handler) bool { return h.listens("im") }) {
			return Handler{}, nil, false
		}
		return first(r.mentions, m, where, besideMention(m.Text, botUser))
	case ok:
		if !direct && mentions(m.Text, botUser) {
			if _, _, theirs := first(r.mentions, m, where, besideMention(m.Text, botUser)); theirs {
				return Handler{}, nil, false
			}
		}
		if h, match, ok := first(r.messages, m, where, m.Text); ok {
			return h, match, true
		}
	}
	h, ok = r.find(KindEvent, "message."+in.Subtype)
	return h, nil, ok && kind == "message"
}

// first returns the first handler that is for a message and matches its text.
func first(handlers []Handler, m writing, where, text string) (h Handler, match []string, ok bool) {
	for _, h := range handlers {
		if !h.listens(where) || !h.hears(m) {
			continue
		}
		if match := h.pattern.FindStringSubmatch(text); match != nil {
			return h, match, true
		}
	}
	return Handler{}, nil, false
}

// pressed finds the handler of an interaction.
func (r routes) pressed(i interaction) (h Handler, found bool) {
	switch i.Type {
	case "block_actions":
		for _, a := range i.Actions {
			if h, found = r.findAction(KindAction, a.ActionID, a.BlockID); found {
				return h, true
			}
		}
	case "block_suggestion":
		return r.findAction(KindOptions, i.ActionID, i.BlockID)
	case "shortcut":
		return r.find(KindShortcut, i.CallbackID)
	case "message_action":
		return r.find(KindMessageShortcut, i.CallbackID)
	case "view_submission", "view_closed":
		if i.View == nil {
			return Handler{}, false
		}
		kind := KindViewSubmission
		if i.Type == "view_closed" {
			kind = KindViewClosed
		}
		return r.find(kind, i.View.CallbackID)
	}
	return Handler{}, false
}
