package web

// The app as an agent: its prompts, and what it says of a thread.

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/slacksim"
)

// agentView is what a page shows of that.
type agentView struct {
	Title, Line string // of a thread: what it is called, and what the agent does there
	Stoppable   bool
	To          string // where the forms of a thread go
	Prompts     slacksim.SuggestedPrompts
}

// statusLines are what Slack says of a thread. Of one whose agent is ready it says nothing.
var statusLines = map[string]string{
	"processing": "Working…", "suspended": "Waiting for you", "closed": "This conversation is closed",
}

// agent is what there is to show at a place, nil for nothing.
func (s screen) agent() *agentView {
	p := s.p
	if p.Thread == "" {
		if p.Kind != "dm" || !p.Installed || p.App.Agent == nil {
			return nil
		}
		return &agentView{Prompts: s.sim.Agents.Prompts(p.Me.ID)}
	}
	x, ok := s.sim.Agents.Session(p.ChannelID, p.Thread)
	if !ok {
		return nil
	}
	line := statusLines[x.Status]
	if x.Status == "processing" && x.Username != "" {
		line = x.Username + ": " + line
	}
	return &agentView{Title: x.Title, Line: line, Stoppable: x.Stoppable,
		To: "/client/" + p.Me.TeamID + "/" + p.ChannelID + "/" + p.Thread}
}

// session is what the list of messages says of the thread below one of them.
func (s screen) session(ts string) string {
	x, _ := s.sim.Agents.Session(s.p.ChannelID, ts)
	words := slices.DeleteFunc([]string{x.Title, statusLines[x.Status]}, func(w string) bool { return w == "" })
	return strings.Join(words, " · ")
}

// agentForms are what people press there.
type agentForms struct{ *site }

func (s agentForms) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /client/{team}/dm/prompt", s.as(s.doPrompt))
	mux.HandleFunc("POST /client/{team}/{place}/{ts}/stop", s.as(s.doStop))
	mux.HandleFunc("POST /client/{team}/{place}/{ts}/rename", s.as(s.doRename))
}

func (s agentForms) doPrompt(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	ts, err := s.sim.Agents.PressPrompt(r.Context(), u.ID, r.PostFormValue("title"))
	if err != nil {
		problem(w, http.StatusConflict, "Nothing happened", "That prompt is gone, or the app was removed.", "")
		return
	}
	toThread(w, r, u, ts)
}

// toThread leads to the thread that somebody has begun.
func toThread(w http.ResponseWriter, r *http.Request, u slacksim.User, ts string) {
	to := "/client/" + u.TeamID + "/dm?thread=" + ts
	if r.Header.Get("X-Requested-With") == "fetch" {
		w.Header().Set("X-Next", to)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// begun is the thread that a person has begun with what they just wrote to an agent, "" if that was none.
func (s agentForms) begun(u slacksim.User, place, threadTS, text string) string {
	if place != "dm" || threadTS != "" || strings.HasPrefix(text, "/") || s.sim.App().Agent == nil {
		return ""
	}
	ts := ""
	for _, m := range s.sim.Messages(s.sim.DM(u.ID), u.ID) {
		if m.User == u.ID && m.ThreadTS == "" {
			ts = m.TS
		}
	}
	return ts
}

// doStop has nothing to say when the agent was done before the press arrived.
func (s agentForms) doStop(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	place, ts := r.PathValue("place"), r.PathValue("ts")
	_ = s.sim.Agents.Stop(r.Context(), u.ID, s.placeID(u, place), ts)
	back(w, r, "/client/"+u.TeamID+"/"+place+"?thread="+ts)
}

func (s agentForms) doRename(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	place, ts := r.PathValue("place"), r.PathValue("ts")
	title := strings.TrimSpace(r.PostFormValue("title"))
	if err := s.sim.Agents.Rename(r.Context(), u.ID, s.placeID(u, place), ts, title); err != nil {
		problem(w, http.StatusBadRequest, "Not renamed", "A title has 1 to 200 characters.", "")
		return
	}
	back(w, r, "/client/"+u.TeamID+"/"+place+"?thread="+ts)
}

// notice has the agent hear what a person looks at.
func (s agentForms) notice(r *http.Request, p *clientPage) {
	if p.Kind == "channel" && p.Installed && p.App.Agent != nil {
		team := cmp.Or(p.Channel.TeamID, p.Team.ID)
		_ = s.sim.Agents.ChangeContext(r.Context(), p.Me.ID,
			slacksim.Entity{Type: slacksim.EntityChannel, Value: p.ChannelID, TeamID: team})
	}
}
