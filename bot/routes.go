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
	byID     map[string]*Handler // as the inbox and the log name them
	exact    map[target]*Handler // by what they listen to, a pattern too
	several  map[Kind][]*Handler // those whose name stands for several, in order
	messages []*Handler          // in order; the first that matches runs
	mentions []*Handler          // as messages
	links    []*Handler
	commands map[string][]*Handler // by the command that they are, or are subcommands of; in order
	ordered  map[string]bool       // types of events that a handler wants in their order
}

// target is what a handler listens to.
type target struct {
	kind        Kind
	name, block string
}

// newRoutes takes the handlers in, with middleware around each. The errors are everything that is wrong with them.
func newRoutes(handlers []Handler, middleware []Middleware) (r routes, problems []error) {
	r = routes{
		byID: map[string]*Handler{}, exact: map[target]*Handler{}, several: map[Kind][]*Handler{},
		commands: map[string][]*Handler{}, ordered: map[string]bool{},
	}
	for _, h := range handlers {
		if err := h.check(); err != nil {
			problems = append(problems, err)
			continue
		}
		h.named = h.id()
		if other := r.byID[h.named]; other != nil {
			problems = append(problems, fmt.Errorf("two handlers for %s%s: the other one is at %s. Keep one", h.named, h.at(),
				other.place))
		}

		if use := slices.Concat(middleware, h.use); len(use) > 0 {
			h.chain = around(func(ctx context.Context, req *Request) error { return req.work(ctx, req) }, use)
		}
		r.add(&h)
	}

	problems = slices.Concat(problems, shadowed(r.messages), shadowed(r.mentions), r.clashes())
	for _, kind := range slices.Sorted(maps.Keys(r.several)) {
		problems = append(problems, shadowedNames(r.several[kind])...)
	}
	return r, problems
}

// add files h under what it listens to.
func (r *routes) add(h *Handler) {
	r.byID[h.id()] = h
	r.exact[target{kind: h.Kind, name: h.Name, block: h.block}] = h

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

// all are the handlers, and those of every Bot, each once: what can run.
func (r *routes) all() []*Handler {
	all := maps.Clone(r.byID)
	for _, h := range append(slices.Collect(maps.Values(ofTheBot)), stopped(true)) {
		if all[h.id()] == nil {
			all[h.id()] = h
		}
	}
	return slices.Collect(maps.Values(all))
}

// find returns the handler of a kind for a name: the one for exactly this, else the first that matches; nil: there is
// none.
func (r *routes) find(kind Kind, name string) *Handler {
	if h := r.exact[target{kind: kind, name: name}]; h != nil && h.pattern == nil {
		return h
	}
	for _, h := range r.several[kind] {
		if h.block == "" && h.is(name) {
			return h
		}
	}
	return nil
}

// findAction returns the handler of an action, or of a menu's options: those of its block go first.
func (r *routes) findAction(kind Kind, action, block string) *Handler {
	if h := r.exact[target{kind: kind, name: action, block: block}]; h != nil && h.pattern == nil {
		return h
	}
	for _, h := range r.several[kind] {
		if h.block != "" && h.block == block && h.is(action) {
			return h
		}
	}
	return r.find(kind, action)
}

// hears reports whether any handler could want an event, before anything is looked up for it.
func (r *routes) hears(kind string, in *inner) bool {
	switch kind {
	case "message":
		if len(r.messages) > 0 {
			if _, ok := in.writingOf(); ok {
				return true
			}
		}
		return r.find(KindEvent, "message."+in.Subtype) != nil
	case "app_mention":
		return len(r.mentions) > 0
	}
	return ofTheBot[kind] != nil || kind == sessionStopped || r.find(KindEvent, kind) != nil ||
		r.findByKind(kind, in) != nil
}

// findByKind returns the handler of an event that has a kind of its own; nil: there is none. Opening the app's place is
// one of two, by its tab.
func (r *routes) findByKind(kind string, in *inner) *Handler {
	of := agentKinds[kind]
	switch {
	case kind == "link_shared":
		if all := r.linked(in); len(all) > 0 {
			return all[0]
		}
		return nil
	case kind == "function_executed":
		return r.find(KindFunction, in.callbackID())
	case kind == "app_home_opened" && in.Tab == "home":
		of = KindHome
	case kind == "app_home_opened" && in.Tab == "messages":
		of = KindAgentOpened
	}
	return r.exact[target{kind: of}]
}

// route picks the handler for an event, and returns what its pattern found; nil: there is none. One message that
// arrives both as message and as app_mention goes to one of them: to the mention's handler in a channel, if one matches
// it, to the message's in a direct message. That depends on nothing but the event, so replicas that see one each agree.
func (r *routes) route(kind string, in *inner, botUser string) (h *Handler, match []string) {
	switch kind {
	case "message":
		return r.routeMessage(in, botUser)
	case "app_mention":
		return r.routeMention(in, botUser)
	}

	if h := r.findByKind(kind, in); h != nil {
		return h, nil
	}
	if h = r.find(KindEvent, kind); h != nil {
		match, _ = h.matches(kind)
	}
	return h, match
}

// routeMessage is route for what arrives as a message.
func (r *routes) routeMessage(in *inner, botUser string) (h *Handler, match []string) {
	if m, written := in.writingOf(); written {
		where := in.place()
		if where != "im" && mentions(m.Text, botUser) {
			if theirs, _ := first(r.mentions, &m, where, besideMention(m.Text, botUser)); theirs != nil {
				return nil, nil
			}
		}
		if h, match = first(r.messages, &m, where, m.Text); h != nil {
			return h, match
		}
	}
	return r.find(KindEvent, "message."+in.Subtype), nil
}

// routeMention is route for what arrives as a mention.
func (r *routes) routeMention(in *inner, botUser string) (h *Handler, match []string) {
	m, written := in.writingOf()
	where := in.place()
	if !written || where == "im" && slices.ContainsFunc(r.messages, func(h *Handler) bool { return h.listens("im") }) {
		return nil, nil
	}
	return first(r.mentions, &m, where, besideMention(m.Text, botUser))
}

// place is the type of the channel that a message was written in.
func (in *inner) place() string {
	if in.ChannelType == "" && strings.HasPrefix(text(in.Channel), "D") {
		return "im"
	}
	return in.ChannelType
}

// first returns the first handler that is for a message and matches its text, and what it found there.
func first(handlers []*Handler, m *writing, where, text string) (h *Handler, match []string) {
	for _, h := range handlers {
		if !h.listens(where) || !h.hears(m) {
			continue
		}
		if match := h.pattern.FindStringSubmatch(text); match != nil {
			return h, match
		}
	}
	return nil, nil
}

// pressed finds the handler of an interaction; nil: there is none.
func (r *routes) pressed(i *interaction) *Handler {
	switch i.Type {
	case "block_actions":
		for _, a := range i.Actions {
			if h := r.findAction(KindAction, a.ActionID, a.BlockID); h != nil {
				return h
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
			return nil
		}
		kind := KindViewSubmission
		if i.Type == "view_closed" {
			kind = KindViewClosed
		}
		return r.find(kind, i.View.CallbackID)
	}
	return nil
}
