package slacksim

// Menus that the app fills as people type: what is asked, what may be answered, and what was offered to whom.
// docs.slack.dev/reference/interaction-payloads/block_suggestion-payload

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// Option is one entry of a menu that the app has filled. Group is the label of the group it is in, "" for none.
type Option struct{ Text, Value, Description, Group string }

// Suggestions are what came of typing into such a menu. Without any, and without Shown, nothing was found.
type Suggestions struct {
	Ack
	Options []Option
}

// offerKey is a menu in a view, or in a message, that a person has before them.
type offerKey struct{ user, at, block, action string }

// defaultQuery is how many characters are typed before Slack asks, where min_query_length does not say.
const defaultQuery = 3

// SuggestInMessage types into a menu of a message that is filled from outside (external_select,
// multi_external_select) and waits for the options. The form's Value is the text. What is offered can be chosen by
// PressInMessage from then on, by that person in that message. Nothing is retried. An answer that Slack would refuse is
// a breach, offers nothing and shows the person an error.
func (s *Forms) SuggestInMessage(ctx context.Context, userID, channelID, ts string, f Form) (Suggestions, error) {
	return s.suggest(ctx, f, func() (spot, error) { return s.messageSpotLocked(userID, channelID, ts, f) })
}

// SuggestInView is SuggestInMessage in an open modal or, for an empty viewID, in the person's Home tab.
func (s *Forms) SuggestInView(ctx context.Context, userID, viewID string, f Form) (Suggestions, error) {
	return s.suggest(ctx, f, func() (spot, error) { return s.viewSpotLocked(userID, viewID) })
}

func (s *Forms) suggest(ctx context.Context, f Form, look func() (spot, error)) (out Suggestions, err error) {
	var key offerKey
	out.Ack, err = s.send(ctx, "type into "+f.ActionID, func() (*installation, object, error) {
		at, err := look()
		if err != nil {
			return nil, nil, err
		}
		if at.inst == nil {
			return nil, nil, ErrNotInstalled
		}
		block, err := s.askableLocked(at, f)
		if err != nil {
			return nil, nil, err
		}

		p := s.interactionLocked(at.inst, at.user, "block_suggestion")
		delete(s.hooks.triggers, p["trigger_id"].(string))
		delete(p, "trigger_id")
		p["block_id"], p["action_id"], p["value"] = block, f.ActionID, strings.Join(f.Value, "")
		s.addSpotLocked(p, at, f.Inputs)
		if at.v != nil && f.Inputs != nil {
			at.v.Typed = f.Inputs
		}
		key = offerKey{user: at.user.ID, at: at.id(), block: block, action: f.ActionID}
		return at.inst, p, nil
	})
	if err != nil {
		return out, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeOptionsLocked(&out)
	// What was offered before can still be chosen: some of it may be chosen already.
	all := slices.Clone(out.Options)
	for _, o := range s.offers[key] {
		if !slices.ContainsFunc(out.Options, func(x Option) bool { return x.Value == o.Value }) {
			all = append(all, o)
		}
	}
	s.offers[key] = all
	s.noteLocked()
	return out, nil
}

// askableLocked is the block of the menu that is typed into, if Slack would ask the app now.
func (s *Forms) askableLocked(at spot, f Form) (block string, err error) {
	err = ErrNoAction
	s.eachLocked(at, func(b, e object, _ bool) {
		if err != ErrNoAction || !f.names(b, e) || !external(e) {
			return
		}
		block, err = blockkit.Text(b["block_id"]), nil
		if utf8.RuneCountInString(strings.Join(f.Value, "")) < blockkit.Number(e["min_query_length"], defaultQuery) {
			err = ErrShortQuery
		}
	})
	if err == nil && !s.app.SocketMode && s.app.OptionsURL == "" {
		err = ErrNoOptionsURL
	}
	return block, err
}

// takeOptionsLocked reads the app's answer.
func (s *Forms) takeOptionsLocked(out *Suggestions) {
	if out.Status != http.StatusOK {
		return
	}
	var complaints []string
	if ct := out.Header.Get("Content-Type"); !strings.HasPrefix(ct, "application/json") {
		complaints = append(complaints, "the Content-Type is not application/json")
	}
	found, more := blockkit.CheckOptions(out.Body)
	complaints = append(complaints, more...)

	if len(complaints) > 0 {
		s.record.breachLocked(RuleOptions, "%s", strings.Join(complaints, "; "))
		out.Err, out.Shown = "options", "The options could not be loaded."
		return
	}
	for _, o := range found {
		out.Options = append(out.Options, Option{Text: blockkit.Words(o["text"]), Value: blockkit.Text(o["value"]),
			Description: blockkit.Words(o["description"]), Group: blockkit.Text(o["group"])})
	}
}

// Offered is what a menu in a message (by its ts) or in a view (by its id) was filled with for a person, the newest
// answer first.
func (s *Forms) Offered(userID, at, blockID, actionID string) []Option {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.offers[offerKey{user: userID, at: at, block: blockID, action: actionID}])
}

// external reports whether a menu is filled by the app, as people type.
func external(e object) bool {
	typ := blockkit.Text(e["type"])
	return typ == "external_select" || typ == "multi_external_select"
}

// eachLocked is blockkit.EachElement for what a person has before them: menus that are filled from outside have what
// that person was offered, and what was chosen from the start. Of an offered option Slack gives back no more than its
// text and value.
func (s *Forms) eachLocked(at spot, f func(block, element object, input bool)) {
	blockkit.EachElement(at.blocks(), func(b, e object, input bool) {
		if !external(e) {
			f(b, e, input)
			return
		}
		all, _ := e["initial_options"].([]any)
		if o, ok := e["initial_option"].(object); ok {
			all = []any{o}
		}
		key := offerKey{at.user.ID, at.id(), blockkit.Text(b["block_id"]), blockkit.Text(e["action_id"])}
		for _, o := range s.offers[key] {
			all = append(all, object{"text": object{"type": "plain_text", "text": o.Text, "emoji": true}, "value": o.Value})
		}
		e["options"] = all
		f(b, e, input)
	})
}

// offeredLocked refuses choices in menus filled from outside that were not to be had there.
func (s *Forms) offeredLocked(at spot, f Form) (err error) {
	s.eachLocked(at, func(b, e object, _ bool) {
		if !external(e) {
			return
		}
		in := f.Inputs[blockkit.Text(b["block_id"])][blockkit.Text(e["action_id"])]
		chosen := in.Values
		if len(chosen) == 0 || len(picked(e, in, nil)) > 0 {
			chosen = []string{in.Value} // one choice, whose value may hold a comma
		}
		if f.ActionID != "" && f.names(b, e) {
			chosen = append(slices.Clone(chosen), f.Value...)
		}
		for _, v := range chosen {
			if v != "" && len(picked(e, Input{}, []string{v})) == 0 {
				err = ErrNoOption
			}
		}
	})
	return err
}
