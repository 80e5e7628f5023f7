package web

// What forms do: each ends in one call of the Sim.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// as serves what the person who is signed in to the workspace does, and tells those who aren't.
func (s *site) as(act func(http.ResponseWriter, *http.Request, slacksim.User)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		u, ok := s.signedIn(r, r.PathValue("team"))
		if !ok {
			problem(w, http.StatusForbidden, "You are signed out", "Sign in on the start page, then try again.", "")
			return
		}
		act(w, r, u)
	}
}

// back ends a form's request: the page again, or nothing for the script, which sees the change by itself.
func back(w http.ResponseWriter, r *http.Request, to string) {
	if r.Header.Get("X-Requested-With") == "fetch" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, localPath(r.PostFormValue("back"), to), http.StatusSeeOther)
}

func (s *site) placeID(u slacksim.User, place string) string {
	if place == "dm" {
		return s.sim.DM(u.ID)
	}
	return place
}

func (s *site) doSay(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	place := r.PathValue("place")
	text := strings.TrimSpace(strings.ReplaceAll(r.PostFormValue("text"), "\r\n", "\n"))
	if text != "" {
		err := s.sim.Forms.Type(r.Context(), u.ID, s.placeID(u, place), r.PostFormValue("thread_ts"), text)
		// An unknown command has its answer in the conversation already.
		if err != nil && !errors.Is(err, slacksim.ErrNoCommand) && !errors.Is(err, slacksim.ErrNotInstalled) {
			problem(w, http.StatusBadRequest, "Not sent", "The message could not be sent to this conversation.", "")
			return
		}
		if ts := (agentForms{s}).begun(u, place, r.PostFormValue("thread_ts"), text); ts != "" {
			toThread(w, r, u, ts)
			return
		}
	}
	back(w, r, "/client/"+u.TeamID+"/"+place)
}

func (s *site) doInvite(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	if in, ok := s.sim.Installed(u.TeamID); ok {
		if err := s.sim.Invite(r.Context(), u.ID, r.PathValue("place"), in.BotUserID); err != nil {
			problem(w, http.StatusBadRequest, "Not added", "The app could not be added to this conversation.", "")
			return
		}
	}
	back(w, r, "/client/"+u.TeamID+"/"+r.PathValue("place"))
}

// readForm takes in what a page's form says: which element was pressed, with which choice, and what the others held.
func readForm(r *http.Request) (f slacksim.Form, ok bool) {
	if err := r.ParseForm(); err != nil {
		return f, false
	}
	f.Inputs = slacksim.Inputs{}
	for name, values := range r.PostForm {
		rest, isField := strings.CutPrefix(name, "v/")
		parts := unfield(rest)
		if !isField || len(parts) != 2 {
			continue
		}
		if f.Inputs[parts[0]] == nil {
			f.Inputs[parts[0]] = map[string]slacksim.Input{}
		}
		f.Inputs[parts[0]][parts[1]] = slacksim.Input{
			Value: values[0], Values: slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" }),
		}
	}

	// A link's press arrives as a ping, with the element in the address.
	action := cmp.Or(r.PostForm.Get("action"), r.URL.Query().Get("action"))
	parts := unfield(action)
	if len(parts) < 2 {
		return f, action == ""
	}
	f.BlockID, f.ActionID = parts[0], parts[1]
	if len(parts) > 2 {
		f.Value = parts[2:3]
	} else if in, ok := f.Inputs[parts[0]][parts[1]]; ok {
		f.Value = in.Values
	}
	return f, true
}

// typedInto is the form of a menu that somebody has typed into, if that is what was sent.
func typedInto(r *http.Request, f slacksim.Form) (slacksim.Form, bool) {
	parts := unfield(r.PostForm.Get("suggest"))
	if len(parts) != 2 {
		return f, false
	}
	f.BlockID, f.ActionID = parts[0], parts[1]
	f.Value = []string{r.PostForm.Get("q/" + field(parts...))}
	return f, true
}

// suggested ends typing into a menu: its options are on the page now.
func suggested(w http.ResponseWriter, r *http.Request, u slacksim.User, place string, got slacksim.Suggestions,
	err error) {
	if errors.Is(err, slacksim.ErrNoOptionsURL) {
		got.Shown, err = "The app doesn't say where to ask for them.", nil
	}
	if got.Shown != "" {
		problem(w, http.StatusBadGateway, "No options", got.Shown, "")
		return
	}
	if errors.Is(err, slacksim.ErrShortQuery) {
		err = nil
	}
	pressed(w, r, u, place, err)
}

// doShortcut runs a shortcut from the menu of a message, or a global one.
func (s *site) doShortcut(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	place, ts, id := r.PathValue("place"), r.PathValue("ts"), r.PostFormValue("shortcut")
	if ts != "" {
		_, err := s.sim.Forms.MessageShortcut(r.Context(), u.ID, s.placeID(u, place), ts, id)
		pressed(w, r, u, place, err)
		return
	}

	ack, err := s.sim.Forms.Shortcut(r.Context(), u.ID, id)
	if err == nil && ack.Shown != "" {
		problem(w, http.StatusBadGateway, "That didn’t work", ack.Shown, "")
		return
	}
	pressed(w, r, u, place, err)
}

// confirmed asks on a page of its own when the element wants a confirmation and the script has not asked already.
func confirmed(w http.ResponseWriter, r *http.Request, blocks json.RawMessage, f slacksim.Form) bool {
	if r.PostForm.Get("confirmed") != "" {
		return true
	}
	var ask blockkit.Object
	blockkit.EachElement(blocks, func(b, e blockkit.Object, _ bool) {
		if blockkit.Text(b["block_id"]) == f.BlockID && blockkit.Text(e["action_id"]) == f.ActionID {
			ask, _ = e["confirm"].(blockkit.Object)
		}
	})
	if ask == nil {
		return true
	}

	word := func(k string) string { return entities.Replace(blockkit.Words(ask[k])) }
	var fields []formField
	for k, vs := range r.PostForm {
		for _, v := range vs {
			fields = append(fields, formField{Name: k, Value: v})
		}
	}
	slices.SortFunc(fields, func(a, b formField) int { return strings.Compare(a.Name+a.Value, b.Name+b.Value) })
	confirmation{
		Title: word("title"), Text: word("text"), Yes: word("confirm"), No: word("deny"), Fields: fields,
		To: r.URL.Path, Back: localPath(r.PostForm.Get("back"), "/"),
	}.ask(w)
	return false
}

// pressed ends a press at a place of the client, or says that it led nowhere.
func pressed(w http.ResponseWriter, r *http.Request, u slacksim.User, place string, err error) {
	if err != nil {
		problem(w, http.StatusConflict, "Nothing happened", "That button is gone, or the app was removed.", "")
		return
	}
	back(w, r, "/client/"+u.TeamID+"/"+place)
}

// blocksOf are a message's blocks, and those of what is shown for its links.
func blocksOf(m slacksim.Message) json.RawMessage {
	var all []any
	_ = json.Unmarshal(m.Blocks, &all)
	for _, u := range m.Unfurls {
		var more []any
		_ = json.Unmarshal(u.Blocks, &more)
		all = append(all, more...)
	}
	out, _ := json.Marshal(all)
	return out
}

func (s *site) doActMessage(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	f, ok := readForm(r)
	channel, ts := s.placeID(u, r.PathValue("place")), r.PathValue("ts")
	all := s.sim.Messages(channel, u.ID)
	i := slices.IndexFunc(all, func(m slacksim.Message) bool { return m.TS == ts })
	if !ok || i < 0 || all[i].Blocks == nil && all[i].Unfurls == nil {
		problem(w, http.StatusNotFound, "That message is gone", "It was deleted or changed in the meantime.", "")
		return
	}

	if q, ok := typedInto(r, f); ok {
		got, err := s.sim.Forms.SuggestInMessage(r.Context(), u.ID, channel, ts, q)
		suggested(w, r, u, r.PathValue("place"), got, err)
		return
	}
	if confirmed(w, r, blocksOf(all[i]), f) {
		_, err := s.sim.Forms.PressInMessage(r.Context(), u.ID, channel, ts, f)
		pressed(w, r, u, r.PathValue("place"), err)
	}
}

func (s *site) doActHome(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	f, _ := readForm(r)
	if q, ok := typedInto(r, f); ok {
		got, err := s.sim.Forms.SuggestInView(r.Context(), u.ID, "", q)
		suggested(w, r, u, "home", got, err)
		return
	}
	v, _ := s.sim.Home(u.ID)
	if confirmed(w, r, v.Blocks, f) {
		_, err := s.sim.Forms.PressInView(r.Context(), u.ID, "", f)
		pressed(w, r, u, "home", err)
	}
}

func (s *site) doView(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	f, _ := readForm(r)
	id := r.PathValue("view")
	if q, ok := typedInto(r, f); ok {
		got, err := s.sim.Forms.SuggestInView(r.Context(), u.ID, id, q)
		suggested(w, r, u, "", got, err)
		return
	}

	var err error
	switch r.PostForm.Get("do") {
	case "close":
		_, err = s.sim.CloseView(r.Context(), u.ID, id, false)
	case "submit":
		_, err = s.sim.Forms.Submit(r.Context(), u.ID, id, f.Inputs)
	default:
		open := s.sim.OpenViews(u.ID)
		i := slices.IndexFunc(open, func(v slacksim.View) bool { return v.ID == id })
		if i >= 0 && !confirmed(w, r, open[i].Blocks, f) {
			return
		}
		_, err = s.sim.Forms.PressInView(r.Context(), u.ID, id, f)
	}

	if errors.Is(err, slacksim.ErrNoView) {
		err = nil // a view that is closed already is as good as closed
	}
	pressed(w, r, u, "", err)
}

// mayRemove: an admin, or whoever installed it. What an organisation has, one workspace can't remove.
func mayRemove(u slacksim.User, in slacksim.Installation) bool {
	return !in.Org && (u.Admin || in.InstalledBy == u.ID)
}

func (s *site) pageRemove(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	p, err := s.client(u, "app", "")
	if err != nil || !p.Installed || !p.CanRemove {
		http.Redirect(w, r, "/client/"+u.TeamID+"/app", http.StatusSeeOther)
		return
	}
	confirmation{
		Title: "Remove " + p.App.Name + "?",
		Text:  p.App.Name + " will lose its access to " + p.Team.Name + " immediately. You can add it again at any time.",
		Yes:   "Remove App", No: "Keep it", To: r.URL.Path, Back: "/client/" + u.TeamID + "/app", Danger: true,
	}.ask(w)
}

func (s *site) doRemove(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	if in, ok := s.sim.Installed(u.TeamID); ok && mayRemove(u, in) {
		s.uninstall(r.Context(), u.TeamID)
	}
	http.Redirect(w, r, "/client/"+u.TeamID+"/app", http.StatusSeeOther)
}

// uninstall removes the app from a workspace or an organisation. Slack promises no order of the two events, so the
// pages take them in turn.
func (s *site) uninstall(ctx context.Context, home string) {
	order := slacksim.RevokedFirst
	if s.removals.Add(1)%2 == 0 {
		order = slacksim.UninstalledFirst
	}
	_ = s.sim.Admins.Uninstall(ctx, home, order) // somebody else may have removed it in the meantime
}

// field names a control: ids may hold any character, so each part is escaped before the slashes go in.
func field(parts ...string) string {
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

func unfield(name string) []string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i], _ = url.PathUnescape(p)
	}
	return parts
}
