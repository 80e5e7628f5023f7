package bot

// Which handler gets what came. It depends on nothing but the handlers and what came, so that all replicas agree.

import (
	"fmt"
	"slices"
	"strings"
)

// routes are the handlers by what they listen to. They don't change after newRoutes.
type routes struct {
	byName   map[string]Handler // kind and name
	messages []Handler          // in order; the first that matches runs
	ordered  map[string]bool    // types of events that a handler wants in their order
}

// newRoutes takes the handlers in. The errors are everything that is wrong with them.
func newRoutes(handlers []Handler) (r routes, problems []error) {
	r = routes{byName: map[string]Handler{}, ordered: map[string]bool{}}
	for _, h := range handlers {
		if err := h.check(); err != nil {
			problems = append(problems, err)
			continue
		}
		if _, double := r.byName[h.id()]; double {
			problems = append(problems, fmt.Errorf("two handlers for %s %q", h.Kind, h.Name))
		}
		r.byName[h.id()] = h
		if h.Kind == KindMessage {
			r.messages = append(r.messages, h)
		}

		switch {
		case h.inOrder && h.Kind == KindMessage:
			r.ordered["message"] = true
		case h.inOrder && h.Kind == KindEvent: // a command or an action has its ordering key by itself, see postpone
			r.ordered[h.Name] = true
		}
	}
	return r, append(problems, shadowed(r.messages)...)
}

// find returns the handler of a kind for exactly this name.
func (r routes) find(kind Kind, name string) (Handler, bool) {
	h, found := r.byName[string(kind)+" "+name]
	return h, found
}

// mentions reports whether a text mentions the user, as <@U1> or <@U1|name>.
func mentions(text, user string) bool {
	return user != "" && (strings.Contains(text, "<@"+user+">") || strings.Contains(text, "<@"+user+"|"))
}

// hears reports whether any handler could want an event, before anything is looked up for it.
func (r routes) hears(kind string, in inner) bool {
	if kind == "message" {
		return len(r.messages) > 0 && in.written()
	}
	_, ours := ofTheBot[kind]
	_, theirs := r.find(KindEvent, kind)
	return ours || theirs
}

// route picks the handler for an event. One message that arrives both as message and as app_mention goes to one of
// them: to the mention's handler in a channel, to the message's in a direct message. That depends on nothing but the
// event, so replicas that see one each agree.
func (r routes) route(kind string, in inner, botUser string) (h Handler, match []string, ok bool) {
	mention, mentionable := r.find(KindEvent, "app_mention")
	direct := in.ChannelType == "im" || in.ChannelType == "" && strings.HasPrefix(text(in.Channel), "D")

	switch kind {
	case "message":
		if !in.written() {
			return Handler{}, nil, false
		}
		if !direct && mentionable && mentions(in.Text, botUser) {
			return Handler{}, nil, false
		}

		where := in.ChannelType
		if direct {
			where = "im"
		}
		for _, h := range r.messages {
			if !h.listens(where) {
				continue
			}
			if match := h.pattern.FindStringSubmatch(in.Text); match != nil {
				return h, match, true
			}
		}
		return Handler{}, nil, false

	case "app_mention":
		if direct && slices.ContainsFunc(r.messages, func(h Handler) bool { return h.listens("im") }) {
			return Handler{}, nil, false
		}
		return mention, nil, mentionable
	}
	h, ok = r.find(KindEvent, kind)
	return h, nil, ok
}

// pressed finds the handler of an interaction.
func (r routes) pressed(i interaction) (h Handler, found bool) {
	switch i.Type {
	case "block_actions":
		for _, a := range i.Actions {
			if h, found = r.find(KindAction, a.ActionID); found {
				return h, true
			}
		}
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
