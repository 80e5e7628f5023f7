package slacksim

// Buttons, menus, modals and shortcuts: what a press sends, and what its answer does.
// docs.slack.dev/interactivity/handling-user-interaction

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// Input is what a person chose in one element: Value for typed text and single choices, Values for several.
type Input struct {
	Value  string
	Values []string
}

// Inputs are those of a form, by block_id and action_id. What is left out keeps its initial value.
type Inputs map[string]map[string]Input

// Form is what a page sends when a person presses something in it.
type Form struct {
	// ActionID names the element, the first one of that name where BlockID is empty.
	BlockID, ActionID string
	// Value is what a menu was set to, one value or several. It is empty for a button.
	Value []string
	// Inputs are what the other elements held.
	Inputs Inputs
}

// Press presses a button, or changes a menu, in a message and waits for the acknowledgement. value is what a menu was
// set to and is left out for buttons. The person may come from another workspace if the channel is shared. Interactions
// are never retried. docs.slack.dev/reference/interaction-payloads/block_actions-payload
func (s *Sim) Press(ctx context.Context, userID, channelID, ts, actionID string, value ...string) (Ack, error) {
	return s.Forms.PressInMessage(ctx, userID, channelID, ts, Form{ActionID: actionID, Value: value})
}

// PressInMessage is Sim.Press with the whole form that the message's elements are.
func (s *Forms) PressInMessage(ctx context.Context, userID, channelID, ts string, f Form) (Ack, error) {
	var c *channel
	ack, err := s.send(ctx, "press "+f.ActionID, func() (in *installation, p object, err error) {
		c, in, p, err = s.pressedLocked(userID, channelID, ts, f)
		return in, p, err
	})
	if ack.Shown != "" {
		s.mu.Lock()
		s.world.noteToLocked(c, userID, ack.Shown)
		s.mu.Unlock()
	}
	return ack, err
}

// send makes an interaction under the lock and sends it without. One that is nil is not sent, and its Ack is empty.
func (s *Forms) send(ctx context.Context, what string, build func() (*installation, object, error)) (Ack, error) {
	s.mu.Lock()
	in, p, err := build()
	s.mu.Unlock()
	if err != nil {
		return Ack{}, fmt.Errorf("%s: %w", what, err)
	}
	if p == nil {
		return Ack{}, nil
	}
	return s.interact(ctx, in, p), nil
}

// pressedLocked is the payload of a press in a message, the conversation it is in and the installation it is for.
func (s *Forms) pressedLocked(userID, channelID, ts string, f Form) (*channel, *installation, object, error) {
	u, c, err := s.world.memberLocked(userID, channelID)
	if err != nil {
		return nil, nil, nil, err
	}
	m := c.find(ts)
	if m == nil || m.Deleted || m.Ephemeral && m.EphemeralTo != userID {
		return nil, nil, nil, ErrNoMessage
	}
	action, in := s.actionLocked(m.Blocks, f), s.oauth.authorLocked(m)
	switch {
	case action == nil:
		return nil, nil, nil, ErrNoAction
	case in == nil:
		return nil, nil, nil, ErrNotInstalled
	}

	p := s.interactionLocked(in, u, "block_actions")
	container := object{"type": "message", "message_ts": m.TS, "channel_id": c.ID, "is_ephemeral": m.Ephemeral}
	if m.ThreadTS != "" {
		container["thread_ts"] = m.ThreadTS
	}
	p["container"] = container
	p["channel"] = object{"id": c.ID, "name": commandChannelName(c)}
	p["response_url"] = s.hooks.newHookLocked(in, userID, c.ID, m.TS).url
	p["state"] = object{"values": s.stateLocked(m.Blocks, f.Inputs)}
	p["actions"] = []any{action}
	if !m.Ephemeral {
		p["message"] = s.world.messageJSONLocked(c, m) // Slack leaves the message out for ephemeral ones
	}
	return c, in, p, nil
}

// PressHome is Press in the person's Home tab.
func (s *Sim) PressHome(ctx context.Context, userID, actionID string, value ...string) (Ack, error) {
	return s.Forms.PressInView(ctx, userID, "", Form{ActionID: actionID, Value: value})
}

// PressInView is Press in an open modal or, for an empty viewID, in the person's Home tab.
func (s *Forms) PressInView(ctx context.Context, userID, viewID string, f Form) (Ack, error) {
	var v *View
	ack, err := s.send(ctx, "press "+f.ActionID, func() (*installation, object, error) {
		if v = s.views.homes[userID]; viewID != "" {
			v, _ = s.views.findViewLocked(userID, viewID)
		}
		u, err := s.viewerLocked(userID, v)
		if err != nil {
			return nil, nil, err
		}
		action := s.actionLocked(v.Blocks, f)
		if action == nil {
			return nil, nil, ErrNoAction
		}

		p := s.interactionLocked(v.inst, u, "block_actions")
		p["container"] = object{"type": "view", "view_id": v.ID}
		p["view"] = s.views.viewJSONLocked(v, s.stateLocked(v.Blocks, f.Inputs))
		p["actions"] = []any{action}
		v.Errors, v.Typed = nil, f.Inputs
		return v.inst, p, nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views.failedLocked(v, ack)
	return ack, err
}

// viewerLocked is the person that a view is shown to, while the app is installed that shows it.
func (s *Forms) viewerLocked(userID string, v *View) (*User, error) {
	u := s.world.userLocked(userID)
	if u == nil || v == nil {
		return nil, ErrNoView
	}
	if s.oauth.installs[v.inst.home] != v.inst {
		return nil, ErrNotInstalled
	}
	return u, nil
}

// interactionLocked holds the fields all interaction payloads share.
func (s *Forms) interactionLocked(in *installation, u *User, typ string) object {
	team := s.world.teamLocked(u.TeamID)
	p := object{
		"type": typ, "token": "deprecated-verification-token", "api_app_id": s.app.ID, "enterprise": nil,
		"is_enterprise_install": in.org, "trigger_id": s.hooks.newTriggerLocked(in, u.ID, u.TeamID),
		"user": object{"id": u.ID, "username": u.Name, "name": u.Name, "team_id": u.TeamID},
	}

	// team is the installed side. Someone from outside shows by user.team_id alone.
	side := team
	outside := !s.oauth.relatedLocked(in, u.TeamID)

	if outside && !in.org && !s.app.OutsidersNameTheirOwn {
		side = s.world.teamLocked(in.teamID)
	}
	if side != nil {
		p["team"] = object{"id": side.ID, "domain": side.Domain}
		if side.EnterpriseID != "" {
			p["team"].(object)["enterprise_id"] = side.EnterpriseID
			p["team"].(object)["enterprise_name"] = s.world.enterpriseNameLocked(side.EnterpriseID)
		}
	}
	if outside && s.app.OutsidersNameTheirOwn {
		p["is_enterprise_install"] = false
		if team.EnterpriseID != "" {
			p["enterprise"] = object{"id": team.EnterpriseID, "name": s.world.enterpriseNameLocked(team.EnterpriseID)}
		}
		return p
	}

	if in.org {
		p["team"] = nil // organisation-wide: only the person's side says which workspace
	}
	if in.enterpriseID != "" {
		p["enterprise"] = object{"id": in.enterpriseID, "name": s.world.enterpriseNameLocked(in.enterpriseID)}
	}
	return p
}

// interact sends an interaction. Anything but 200 shows the person a warning.
func (s *Forms) interact(ctx context.Context, in *installation, p object) Ack {
	raw, _ := json.Marshal(p)
	typ := blockkit.Text(p["type"])
	body := url.Values{"payload": {string(raw)}}.Encode()
	ack := s.outbox.post(ctx, &outgoing{kind: "interaction", typ: typ, team: in.home, body: []byte(body)}, sending{})
	if ack.Status != 0 && ack.Status != http.StatusOK {
		s.record.breach(RuleActionStatus, "%s was answered with HTTP %d", typ, ack.Status)
	}
	if ack.Status != http.StatusOK && s.life.Err() == nil && ctx.Err() == nil {
		ack.Shown = "This app responded with an error. (" + ack.Err + ")"
		if ack.Err == "http_timeout" {
			ack.Shown = "This app did not respond in time."
		}
	}
	return ack
}

// actionLocked builds the entry of actions[] for what was pressed, or nil if blocks have no such element.
func (s *Forms) actionLocked(blocks json.RawMessage, f Form) object {
	var out object
	blockkit.EachElement(blocks, func(b, e object, _ bool) {
		if out != nil || blockkit.Text(e["action_id"]) != f.ActionID ||
			f.BlockID != "" && f.BlockID != blockkit.Text(b["block_id"]) {
			return
		}

		a := object{"type": e["type"], "action_id": f.ActionID, "block_id": b["block_id"],
			"action_ts": timestamp(s.clock.Now())}

		if e["type"] == "button" {
			a["text"] = e["text"]
			for _, k := range []string{"value", "style", "url"} {
				if e[k] != nil {
					a[k] = e[k]
				}
			}
		} else {
			in := Input{Values: f.Value}
			if len(f.Value) > 0 {
				in.Value = f.Value[0]
			}
			maps.Copy(a, elementState(e, in))
		}
		out = a
	})
	return out
}

// elementState is what state.values holds for one element with an input.
func elementState(e object, in Input) object {
	typ := blockkit.Text(e["type"])
	out := object{"type": typ}
	all := in.Values
	if len(all) == 0 && in.Value != "" {
		all = []string{in.Value}
	}

	switch typ {
	case "static_select", "radio_buttons", "overflow", "external_select":
		out["selected_option"] = nil
		if l := picked(e, in, all); len(l) > 0 {
			out["selected_option"] = l[0]
		} else if typ == "external_select" && in.Value != "" {
			out["selected_option"] = object{"text": object{"type": "plain_text", "text": in.Value}, "value": in.Value}
		}
	case "multi_static_select", "checkboxes", "multi_external_select":
		out["selected_options"] = picked(e, in, all)
	case "multi_users_select", "multi_channels_select", "multi_conversations_select":
		out[stateKeys[typ]] = all
	case "datetimepicker":
		out["selected_date_time"] = nil
		if t, err := time.Parse("2006-01-02T15:04", in.Value); err == nil {
			out["selected_date_time"] = t.Unix()
		}
	default:
		out[cmp.Or(stateKeys[typ], "value")] = nullable(in.Value)
	}
	return out
}

// stateKeys say under which key the state of an element has what was chosen.
var stateKeys = map[string]string{
	"users_select": "selected_user", "multi_users_select": "selected_users",
	"channels_select": "selected_channel", "multi_channels_select": "selected_channels",
	"conversations_select": "selected_conversation", "multi_conversations_select": "selected_conversations",
	"datepicker": "selected_date", "timepicker": "selected_time",
}

// picked are the options that were chosen.
func picked(e object, in Input, all []string) []any {
	list := []any{}
	for _, o := range blockkit.Options(e) {
		// A single choice whose value holds a comma is not a list.
		if v := blockkit.Text(o["value"]); slices.Contains(all, v) || v == in.Value && v != "" {
			list = append(list, o)
		}
	}
	return list
}

// stateLocked builds state.values: the given inputs over the initial ones, for every element but buttons.
func (s *Forms) stateLocked(blocks json.RawMessage, given Inputs) map[string]map[string]any {
	out := map[string]map[string]any{}
	blockkit.EachElement(blocks, func(b, e object, _ bool) {
		switch e["type"] {
		case "button", "overflow", "image":
			return
		}
		bid, aid := blockkit.Text(b["block_id"]), blockkit.Text(e["action_id"])
		in, ok := given[bid][aid]
		if !ok {
			in.Value, in.Values = blockkit.Initial(e)
		}
		if out[bid] == nil {
			out[bid] = map[string]any{}
		}
		out[bid][aid] = elementState(e, in)
	})
	return out
}

// SubmitView presses a modal's submit button. values holds, by block_id and action_id, what was typed or chosen (for
// several choices, comma-separated). Inputs left out keep their initial values. The acknowledgement does what Slack
// does with it: an empty body closes the view, response_action may show errors, update, push or clear. Anything else is
// a breach and shows the person an error. docs.slack.dev/reference/interaction-payloads/view-interactions-payload
func (s *Sim) SubmitView(ctx context.Context, userID, viewID string,
	values map[string]map[string]string) (Ack, error) {
	given := Inputs{}
	for b, m := range values {
		given[b] = map[string]Input{}
		for a, v := range m {
			given[b][a] = Input{Value: v, Values: strings.Split(v, ",")}
		}
	}
	return s.Forms.Submit(ctx, userID, viewID, given)
}

// Submit is Sim.SubmitView with inputs as a page sends them.
func (s *Forms) Submit(ctx context.Context, userID, viewID string, given Inputs) (Ack, error) {
	var v *View
	incomplete := false
	ack, err := s.send(ctx, "submit view", func() (*installation, object, error) {
		v, _ = s.views.findViewLocked(userID, viewID)
		u, err := s.viewerLocked(userID, v)
		if err != nil {
			return nil, nil, err
		}

		values := s.stateLocked(v.Blocks, given)
		v.Errors, v.Typed = missingInputs(v.Blocks, values), given
		if incomplete = len(v.Errors) > 0; incomplete {
			s.noteLocked()
			return nil, nil, nil // Slack's own client does not send an incomplete form
		}
		p := s.interactionLocked(v.inst, u, "view_submission")
		p["view"] = s.views.viewJSONLocked(v, values)
		p["response_urls"] = []any{}
		return v.inst, p, nil
	})
	if incomplete {
		return Ack{Err: "incomplete"}, nil
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if ack.Status == http.StatusOK {
		s.viewAckLocked(&ack, userID, v)
	}
	s.views.failedLocked(v, ack)
	return ack, err
}

func missingInputs(blocks json.RawMessage, values map[string]map[string]any) map[string]string {
	out := map[string]string{}
	blockkit.EachElement(blocks, func(b, e object, input bool) {
		if !input || b["optional"] == true {
			return
		}
		o, _ := values[blockkit.Text(b["block_id"])][blockkit.Text(e["action_id"])].(object)
		for k, v := range o {
			if k == "type" {
				continue
			}
			if l, ok := v.([]any); v == nil || ok && len(l) == 0 {
				out[blockkit.Text(b["block_id"])] = "Please complete this required field."
			}
		}
	})
	return out
}

// viewAckLocked applies the answer to a view_submission.
func (s *Forms) viewAckLocked(ack *Ack, user string, v *View) {
	_, at := s.views.findViewLocked(user, v.ID)
	refuse := func(format string, args ...any) {
		why := fmt.Sprintf(format, args...)
		s.record.breachLocked(RuleViewAck, "%s", why)
		ack.Err, ack.Shown = "view_ack", "We had some trouble connecting. Try again?"
	}

	if len(strings.TrimSpace(string(ack.Body))) == 0 {
		s.views.dropViewLocked(user, at)
		return
	}

	var a struct {
		Action string            `json:"response_action"`
		Errors map[string]string `json:"errors"`
		View   json.RawMessage   `json:"view"`
	}
	if json.Unmarshal(ack.Body, &a) != nil || a.Action == "" {
		refuse("the body is neither empty nor a response_action: %.60q", ack.Body)
		return
	}

	switch a.Action {
	case "clear":
		s.views.dropViewLocked(user, 0)

	case "errors":
		inputs := map[string]bool{}
		blockkit.EachElement(v.Blocks, func(b, _ object, input bool) { inputs[blockkit.Text(b["block_id"])] = input })
		if len(a.Errors) == 0 {
			refuse("errors without errors")
			return
		}
		for id := range a.Errors {
			if !inputs[id] {
				refuse("errors for %q, which is no input block", id)
				return
			}
		}
		v.Errors = a.Errors
		s.noteLocked()

	case "update", "push":
		next, msgs := s.views.newViewLocked(a.View, "modal")
		if len(msgs) > 0 {
			refuse("%s with an invalid view: %s", a.Action, strings.Join(msgs, "; "))
			return
		}
		if a.Action == "update" {
			v.become(next)
		} else if len(s.views.stacks[user]) >= 3 {
			refuse("push beyond three views")
			return
		} else {
			next.inst, next.UserID, next.TeamID = v.inst, user, v.TeamID
			next.RootViewID, next.PreviousViewID = v.RootViewID, v.ID
			s.views.stacks[user] = append(slices.Clone(s.views.stacks[user]), next)
		}
		s.noteLocked()

	default:
		refuse("unknown response_action %q", a.Action)
	}
}

// CloseView closes a modal with its close button. With all it closes the whole stack. The app hears of it as
// view_closed only if the view asked for that. docs.slack.dev/reference/interaction-payloads/view-interactions-payload
func (s *Sim) CloseView(ctx context.Context, userID, viewID string, all bool) (Ack, error) {
	told := false
	ack, err := s.Forms.send(ctx, "close view", func() (*installation, object, error) {
		u := s.world.userLocked(userID)
		v, at := s.views.findViewLocked(userID, viewID)
		if u == nil || v == nil {
			return nil, nil, ErrNoView
		}
		if all {
			at = 0
		}
		s.views.dropViewLocked(userID, at)
		if told = v.NotifyOnClose; !told {
			return nil, nil, nil
		}

		p := s.Forms.interactionLocked(v.inst, u, "view_closed")
		delete(p, "trigger_id")
		p["view"], p["is_cleared"] = s.views.viewJSONLocked(v, nil), all
		return v.inst, p, nil
	})
	if err == nil && !told {
		ack.Status = http.StatusOK
	}
	return ack, err
}

// Shortcut sends a global shortcut, which has no channel and no response_url.
// docs.slack.dev/reference/interaction-payloads/shortcuts-interaction-payload
func (s *Forms) Shortcut(ctx context.Context, userID, callbackID string) (Ack, error) {
	return s.send(ctx, "shortcut", func() (*installation, object, error) {
		u := s.world.userLocked(userID)
		if u == nil {
			return nil, nil, ErrNoUser
		}
		in := s.oauth.installLocked(u.TeamID)
		if in == nil || !in.has("commands") {
			return nil, nil, ErrNotInstalled
		}
		p := s.interactionLocked(in, u, "shortcut")
		p["callback_id"], p["action_ts"] = callbackID, fmt.Sprintf("%d.000000", s.clock.Now().Unix())
		return in, p, nil
	})
}
