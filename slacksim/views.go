package slacksim

// Modals and Home tabs, and the methods of the Web API that show them. docs.slack.dev/surfaces/modals

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// View is a modal or a Home tab.
type View struct {
	ID, TeamID, UserID string
	Type               string // "modal" or "home"
	CallbackID         string
	ExternalID         string
	PrivateMetadata    string
	Title              string
	Submit, Close      string // the buttons' words
	Blocks             json.RawMessage
	Hash               string
	RootViewID         string
	PreviousViewID     string
	NotifyOnClose      bool
	Errors             map[string]string // by block_id, after a submission answered with errors
	Typed              Inputs            // what the person had entered when it was last sent
	AppGone            bool              // the app was removed since: nothing in it can be pressed any more

	raw  map[string]any // as the app sent it, for giving it back
	inst *installation
	run  *execution // the execution of a function that it was made for
}

// views are those that are open.
type views struct {
	*engine
	world  *world
	homes  map[string]*View   // by user
	stacks map[string][]*View // modals by user, the topmost last
}

// Home returns the Home tab the app has published for a person.
func (s *Sim) Home(userID string) (View, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.views.homes[userID]
	return v.export(), ok
}

// export is a copy, the zero value for nil.
func (v *View) export() (out View) {
	if v != nil {
		out = *v
		out.AppGone = v.inst.gone
	}
	return out
}

// OpenViews returns the person's open modals, the topmost last.
func (s *Sim) OpenViews(userID string) []View {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []View
	for _, v := range s.views.stacks[userID] {
		out = append(out, v.export())
	}
	return out
}

// findViewLocked finds an open modal of a person.
func (s *views) findViewLocked(user, id string) (*View, int) {
	i := slices.IndexFunc(s.stacks[user], func(v *View) bool { return v.ID == id })
	if i < 0 {
		return nil, -1
	}
	return s.stacks[user][i], i
}

// openLocked are everybody's open modals.
func (s *views) openLocked() []*View { return slices.Concat(slices.Collect(maps.Values(s.stacks))...) }

func (s *views) dropViewLocked(user string, from int) {
	if st := s.stacks[user]; from >= 0 && from < len(st) {
		s.stacks[user] = slices.Clone(st[:from])
	}
	s.noteLocked()
}

// failedLocked shows in a view what the person is told when the app didn't take what was sent from it.
func (s *views) failedLocked(v *View, ack Ack) {
	if ack.Shown != "" {
		v.Errors = map[string]string{"": ack.Shown}
		s.noteLocked()
	}
}

func (s *views) newViewLocked(raw json.RawMessage, typ string) (*View, []string) {
	o, msgs := blockkit.CheckView(raw, typ, s.world.idLocked)
	if len(msgs) > 0 {
		return nil, msgs
	}
	blocks, _ := json.Marshal(o["blocks"])
	v := &View{
		ID: s.world.idLocked("V"), Type: typ,
		CallbackID: blockkit.Text(o["callback_id"]), ExternalID: blockkit.Text(o["external_id"]),
		PrivateMetadata: blockkit.Text(o["private_metadata"]),
		Title:           blockkit.Words(o["title"]),
		Submit:          blockkit.Words(o["submit"]), Close: blockkit.Words(o["close"]),
		Blocks: blocks, Hash: s.hashLocked(), NotifyOnClose: o["notify_on_close"] == true, raw: o,
	}
	v.RootViewID = v.ID
	return v, nil
}

// become puts the contents of next into v, which keeps its identity.
func (v *View) become(next *View) {
	was := *v
	*v = *next
	v.ID, v.TeamID, v.UserID, v.inst = was.ID, was.TeamID, was.UserID, was.inst
	v.RootViewID, v.PreviousViewID, v.run = was.RootViewID, was.PreviousViewID, cmp.Or(next.run, was.run)
}

// viewJSONLocked is a view as the API and payloads show it.
func (s *views) viewJSONLocked(v *View, state map[string]map[string]any) map[string]any {
	out := map[string]any{"title": nil, "submit": nil, "close": nil, "clear_on_close": false, "notify_on_close": false,
		"submit_disabled": nil}
	for k := range out {
		if x, ok := v.raw[k]; ok {
			out[k] = x
		}
	}
	values := map[string]any{}
	for b, m := range state {
		values[b] = m
	}
	maps.Copy(out, map[string]any{
		"id": v.ID, "team_id": v.TeamID, "type": v.Type, "blocks": v.Blocks, "private_metadata": v.PrivateMetadata,
		"callback_id": v.CallbackID, "external_id": v.ExternalID, "hash": v.Hash, "root_view_id": v.RootViewID,
		"previous_view_id": nullable(v.PreviousViewID), "app_id": s.app.ID, "app_installed_team_id": v.inst.home,
		"bot_id": v.inst.bot.botID, "state": map[string]any{"values": values},
	})
	return out
}

func (s *views) hashLocked() string {
	return fmt.Sprintf("%d.%s", s.clock.Now().Unix(), randomText(8))
}

func (s *views) externalTakenLocked(v *View) bool {
	return v.ExternalID != "" && slices.ContainsFunc(s.openLocked(), func(x *View) bool {
		return x.ExternalID == v.ExternalID && x.inst == v.inst
	})
}

// viewLocked checks the view argument and makes it a View with fresh id and hash.
func (s viewMethods) viewLocked(r *apiRequest, typ string) (*View, *apiError) {
	raw := r.arg("view")
	if raw == "" {
		return nil, failWith("invalid_arguments", "[ERROR] missing required field: view")
	}
	if len(raw) > 250_000 {
		return nil, fail("view_too_large")
	}
	v, msgs := s.views.newViewLocked(json.RawMessage(raw), typ)
	if len(msgs) > 0 {
		return nil, failWith("invalid_arguments", msgs...)
	}
	v.inst, v.run = r.inst, r.token.run
	return v, nil
}

// showLocked is views.open and views.push.
func (s viewMethods) showLocked(r *apiRequest) (map[string]any, *apiError) {
	v, err := s.viewLocked(r, "modal")
	if err != nil {
		return nil, err
	}
	t, err := s.hooks.takeTriggerLocked(r)
	if err != nil {
		return nil, err
	}
	if s.views.externalTakenLocked(v) {
		return nil, fail("duplicate_external_id")
	}

	stack := s.views.stacks[t.user]
	if r.method == "views.open" {
		stack = nil // opening replaces whatever was open
	} else if len(stack) == 0 {
		return nil, fail("not_found")
	} else if len(stack) >= 3 {
		return nil, fail("push_limit_reached")
	}

	v.UserID, v.TeamID = t.user, t.team
	if n := len(stack); n > 0 {
		v.RootViewID, v.PreviousViewID = stack[0].ID, stack[n-1].ID
	}
	s.views.stacks[t.user] = append(slices.Clone(stack), v)
	return s.shownLocked(v)
}

func (s viewMethods) viewsUpdate(r *apiRequest) (map[string]any, *apiError) {
	next, err := s.viewLocked(r, "modal")
	if err != nil {
		return nil, err
	}
	id, ext := r.arg("view_id"), r.arg("external_id")
	if id == "" && ext == "" {
		return nil, failWith("invalid_arguments", "[ERROR] missing required field: view_id or external_id")
	}
	v := first(s.views.openLocked(), func(v *View) bool {
		return v.inst.home == r.inst.home && (id != "" && v.ID == id || ext != "" && v.ExternalID == ext)
	})
	if v == nil {
		return nil, fail("not_found")
	}
	if h := r.arg("hash"); h != "" && h != v.Hash {
		return nil, fail("hash_conflict")
	}
	v.become(next)
	return s.shownLocked(v)
}

// shownLocked is the answer about a view that is shown now.
func (s viewMethods) shownLocked(v *View) (map[string]any, *apiError) {
	s.noteLocked()
	return map[string]any{"view": s.views.viewJSONLocked(v, nil)}, nil
}

func (s viewMethods) viewsPublish(r *apiRequest) (map[string]any, *apiError) {
	if !s.app.HomeTab {
		return nil, fail("not_enabled")
	}
	if !r.has("user_id") {
		return nil, failWith("invalid_arguments", "[ERROR] missing required field: user_id")
	}
	u := s.world.userLocked(r.arg("user_id"))
	if u == nil || !r.inst.covers(u.TeamID) {
		return nil, fail("user_not_found")
	}
	next, err := s.viewLocked(r, "home")
	if err != nil {
		return nil, err
	}

	old := s.views.homes[u.ID]
	if h := r.arg("hash"); h != "" && (old == nil || old.Hash != h) {
		return nil, fail("hash_conflict")
	}
	next.UserID, next.TeamID = u.ID, u.TeamID
	if old != nil {
		next.ID, next.RootViewID = old.ID, old.ID
	}
	s.views.homes[u.ID] = next
	return s.shownLocked(next)
}

// blocksValidate checks blocks, a message or a view, exactly one of them, without showing it anywhere.
func (s viewMethods) blocksValidate(r *apiRequest) (map[string]any, *apiError) {
	var given []string
	for _, k := range []string{"blocks", "message", "view"} {
		if r.has(k) {
			given = append(given, k)
		}
	}
	if len(given) != 1 {
		return nil, failWith("invalid_arguments", "[ERROR] must provide exactly one of: blocks, message, view")
	}

	wrong := []any{}
	for _, c := range blockkit.Validate(given[0], json.RawMessage(r.arg(given[0]))) {
		wrong = append(wrong, map[string]any{"pointer": c.Pointer, "code": "failed_constraint", "message": c.Text})
	}
	if len(wrong) > 0 {
		return nil, &apiError{code: "invalid_" + given[0], extra: map[string]any{"errors": wrong}}
	}
	return nil, nil
}
