package slacksim

// Buttons, menus and modals: what a press sends, and what its answer does.
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
	var at spot
	ack, err := s.send(ctx, "press "+f.ActionID, func() (in *installation, p object, err error) {
		if at, err = s.messageSpotLocked(userID, channelID, ts, f); err != nil {
			return nil, nil, err
		}
		return s.pressedLocked(at, f)
	})
	s.tell(at.c, userID, ack)
	return ack, err
}

// tell shows a person in a conversation that what they did there failed.
func (s *Forms) tell(c *channel, userID string, ack Ack) {
	if ack.Shown == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.noteToLocked(c, userID, ack.Shown)
}

// spot is what a person has before them when they use an element: a message, or a view.
type spot struct {
	user *User
	inst *installation // nil where the app was removed since
	c    *channel      // that m is in; nil for a view
	m    *Message
	link string // the one in m whose unfurl it is; "" for the message itself
	v    *View
}

func (at spot) blocks() json.RawMessage {
	if at.v != nil {
		return at.v.Blocks
	}
	if at.link != "" {
		return at.m.Unfurls[at.link].Blocks
	}
	return at.m.Blocks
}

// id is the view's, or the message's.
func (at spot) id() string {
	if at.v != nil {
		return at.v.ID
	}
	return at.m.TS
}

// run is the execution of a function that the message or view was made for, nil for none.
func (at spot) run() *execution {
	if at.v != nil {
		return at.v.run
	}
	return at.m.run
}

// messageSpotLocked is a message that a person sees, or what is shown there for a link if the form's element is in
// that.
func (s *Forms) messageSpotLocked(userID, channelID, ts string, f Form) (spot, error) {
	u, c, err := s.world.memberLocked(userID, channelID)
	if err != nil {
		return spot{}, err
	}
	m := c.find(ts)
	if m == nil || m.Deleted || m.Ephemeral && m.EphemeralTo != userID {
		return spot{}, ErrNoMessage
	}
	if link := s.linkLocked(m, f); link != "" {
		in := m.Unfurls[link].inst
		if in != nil && in.gone {
			in = nil
		}
		return spot{user: u, inst: in, c: c, m: m, link: link}, nil
	}
	return spot{user: u, inst: s.oauth.authorLocked(m), c: c, m: m}, nil
}

// viewSpotLocked is an open modal of a person or, for an empty viewID, their Home tab.
func (s *Forms) viewSpotLocked(userID, viewID string) (spot, error) {
	v := s.views.homes[userID]
	if viewID != "" {
		v, _ = s.views.findViewLocked(userID, viewID)
	}
	u := s.world.userLocked(userID)
	if u == nil || v == nil {
		return spot{}, ErrNoView
	}
	if s.oauth.installs[v.inst.home] != v.inst {
		return spot{}, ErrNotInstalled
	}
	return spot{user: u, inst: v.inst, v: v}, nil
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

// pressedLocked is the payload of a press, and the installation that it is for.
func (s *Forms) pressedLocked(at spot, f Form) (*installation, object, error) {
	action := s.actionLocked(at, f)
	switch {
	case action == nil:
		return nil, nil, ErrNoAction
	case at.inst == nil:
		return nil, nil, ErrNotInstalled
	}
	if err := s.offeredLocked(at, f); err != nil {
		return nil, nil, err
	}

	p := s.interactionLocked(at.inst, at.user, "block_actions")
	p["actions"] = []any{action}
	s.addSpotLocked(p, at, f.Inputs)
	if at.m != nil {
		p["state"] = object{"values": s.stateLocked(at, f.Inputs)}
	}
	if at.m != nil && at.run() == nil {
		h := s.hooks.newHookLocked(at.inst, at.user.ID, at.c.ID, at.m.TS)
		h.link = at.link
		p["response_url"] = h.url
	}
	return at.inst, p, nil
}

// addSpotLocked says in a payload where it comes from. given are what the elements of a view hold.
func (s *Forms) addSpotLocked(p object, at spot, given Inputs) {
	s.workflows.addRunLocked(p, at.run(), at.inst, at.user)
	if at.v != nil {
		p["container"] = object{"type": "view", "view_id": at.v.ID}
		p["view"] = s.views.viewJSONLocked(at.v, s.stateLocked(at, given))
		return
	}

	container := object{"type": "message", "message_ts": at.m.TS, "channel_id": at.c.ID, "is_ephemeral": at.m.Ephemeral}
	if at.m.ThreadTS != "" {
		container["thread_ts"] = at.m.ThreadTS
	}
	if at.link != "" {
		s.addUnfurlLocked(p, container, at.m, at.link)
	}
	p["container"] = container
	p["channel"] = object{"id": at.c.ID, "name": commandChannelName(at.c)}
	if !at.m.Ephemeral {
		p["message"] = s.world.messageJSONLocked(at.c, at.m) // Slack leaves the message out for ephemeral ones
	}
}

// PressHome is Press in the person's Home tab.
func (s *Sim) PressHome(ctx context.Context, userID, actionID string, value ...string) (Ack, error) {
	return s.Forms.PressInView(ctx, userID, "", Form{ActionID: actionID, Value: value})
}

// PressInView is Press in an open modal or, for an empty viewID, in the person's Home tab.
func (s *Forms) PressInView(ctx context.Context, userID, viewID string, f Form) (Ack, error) {
	var at spot
	ack, err := s.send(ctx, "press "+f.ActionID, func() (in *installation, p object, err error) {
		if at, err = s.viewSpotLocked(userID, viewID); err != nil {
			return nil, nil, err
		}
		if in, p, err = s.pressedLocked(at, f); err == nil {
			at.v.Errors, at.v.Typed = nil, f.Inputs
		}
		return in, p, err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views.failedLocked(at.v, ack)
	return ack, err
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

// answersMatter are the interactions whose answer's body means something.
var answersMatter = map[string]bool{"view_submission": true, "block_suggestion": true}

// interact sends an interaction. Anything but 200 shows the person a warning.
func (s *Forms) interact(ctx context.Context, in *installation, p object) Ack {
	raw, _ := json.Marshal(p)
	typ := blockkit.Text(p["type"])
	body := url.Values{"payload": {string(raw)}}.Encode()
	ack := s.outbox.post(ctx, &outgoing{kind: "interaction", typ: typ, team: in.home, body: []byte(body)}, sending{})
	if ack.Status != 0 && ack.Status != http.StatusOK {
		s.record.breach(RuleActionStatus, "%s was answered with HTTP %d", typ, ack.Status)
	}
	if body := strings.TrimSpace(string(ack.Body)); ack.Status == http.StatusOK && body != "" && !answersMatter[typ] {
		s.record.breach(RuleActionBody, "%s was answered with a body, which Slack ignores: %.60q", typ, body)
	}
	if ack.Status != http.StatusOK && s.life.Err() == nil && ctx.Err() == nil {
		ack.Shown = "This app responded with an error. (" + ack.Err + ")"
		if ack.Err == "http_timeout" {
			ack.Shown = "This app did not respond in time."
		}
	}
	return ack
}

// names reports whether the form is about this element.
func (f Form) names(b, e object) bool {
	return blockkit.Text(e["action_id"]) == f.ActionID && (f.BlockID == "" || f.BlockID == blockkit.Text(b["block_id"]))
}

// actionLocked builds the entry of actions[] for what was pressed, or nil where there is no such element.
func (s *Forms) actionLocked(at spot, f Form) object {
	var out object
	s.eachLocked(at, func(b, e object, _ bool) {
		if out != nil || !f.names(b, e) {
			return
		}

		a := object{"type": e["type"], "action_id": f.ActionID, "block_id": b["block_id"],
			"action_ts": timestamp(s.clock.Now())}

		switch e["type"] {
		case "button", "icon_button":
			for _, k := range []string{"text", "value", "style", "url", "icon"} {
				if e[k] != nil {
					a[k] = e[k]
				}
			}
		case "feedback_buttons":
			side := feedback(e, f.Value)
			if side == nil {
				return
			}
			a["text"], a["value"] = side["text"], side["value"]
		default:
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

// feedback is which one of two feedback buttons has a value.
func feedback(e object, value []string) object {
	for _, k := range []string{"positive_button", "negative_button"} {
		if o, ok := e[k].(object); ok && slices.Contains(value, blockkit.Text(o["value"])) {
			return o
		}
	}
	return nil
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
		}
	case "multi_static_select", "checkboxes", "multi_external_select":
		out["selected_options"] = picked(e, in, all)
	case "multi_users_select", "multi_channels_select", "multi_conversations_select":
		out[stateKeys[typ]] = all
	case "rich_text_input":
		out["rich_text_value"] = nil
		if in.Value != "" {
			out["rich_text_value"], _ = blockkit.Markdown(in.Value)
		}
	case "datetimepicker":
		out["selected_date_time"] = nil
		if t, err := time.Parse(blockkit.DateTime, in.Value); err == nil {
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
func (s *Forms) stateLocked(at spot, given Inputs) map[string]map[string]any {
	out := map[string]map[string]any{}
	s.eachLocked(at, func(b, e object, _ bool) {
		switch e["type"] {
		case "button", "overflow", "image", "feedback_buttons", "icon_button":
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
		if e["type"] == "file_input" {
			out[bid][aid] = object{"type": "file_input", "files": s.files.givenLocked(at.inst, in.Values)}
			return
		}
		state := elementState(e, in)
		if rich := e["initial_value"]; !ok && e["type"] == "rich_text_input" && rich != nil {
			state["rich_text_value"] = rich // untouched
		}
		out[bid][aid] = state
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
	var at spot
	incomplete := false
	ack, err := s.send(ctx, "submit view", func() (in *installation, p object, err error) {
		if viewID == "" {
			return nil, nil, ErrNoView // a Home tab has no submit button
		}
		if at, err = s.viewSpotLocked(userID, viewID); err != nil {
			return nil, nil, err
		}
		if err = s.offeredLocked(at, Form{Inputs: given}); err != nil {
			return nil, nil, err
		}

		v, values := at.v, s.stateLocked(at, given)
		v.Errors, v.Typed = missingInputs(v.Blocks, values), given
		if incomplete = len(v.Errors) > 0; incomplete {
			s.noteLocked()
			return nil, nil, nil // Slack's own client does not send an incomplete form
		}
		p = s.interactionLocked(v.inst, at.user, "view_submission")
		p["view"] = s.views.viewJSONLocked(v, values)
		s.workflows.addRunLocked(p, v.run, v.inst, at.user)
		s.addResponseURLsLocked(p, at, values)
		return v.inst, p, nil
	})
	if incomplete {
		return Ack{Err: "incomplete"}, nil
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if ack.Status == http.StatusOK {
		s.viewAckLocked(&ack, userID, at.v)
	}
	s.views.failedLocked(at.v, ack)
	return ack, err
}

// addResponseURLsLocked gives a submission a response_url for each chosen conversation whose menu asks for one.
// Slack's sample has them in the view and its SDKs beside it. App.ResponseURLsInView says which.
func (s *Forms) addResponseURLsLocked(p object, at spot, values map[string]map[string]any) {
	urls := []any{}
	s.eachLocked(at, func(b, e object, input bool) {
		typ, block, action := blockkit.Text(e["type"]), blockkit.Text(b["block_id"]), blockkit.Text(e["action_id"])
		if !input || e["response_url_enabled"] != true || typ != "conversations_select" && typ != "channels_select" {
			return
		}
		chosen, _ := values[block][action].(object)
		if id := blockkit.Text(chosen[stateKeys[typ]]); id != "" {
			urls = append(urls, object{"block_id": block, "action_id": action, "channel_id": id,
				"response_url": s.hooks.newHookLocked(at.inst, at.user.ID, id, "").url})
		}
	})

	if s.app.ResponseURLsInView {
		p["view"].(map[string]any)["response_urls"] = urls
		return
	}
	p["response_urls"] = urls
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
		next.inst, next.run = v.inst, v.run
		if a.Action == "update" {
			v.become(next)
		} else if len(s.views.stacks[user]) >= 3 {
			refuse("push beyond three views")
			return
		} else if s.views.externalTakenLocked(next) {
			refuse("push with the external_id of an open view")
			return
		} else {
			next.UserID, next.TeamID = user, v.TeamID
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
		s.workflows.addRunLocked(p, v.run, v.inst, u)
		p["view"], p["is_cleared"] = s.views.viewJSONLocked(v, nil), all
		return v.inst, p, nil
	})
	if err == nil && !told {
		ack.Status = http.StatusOK
	}
	return ack, err
}
