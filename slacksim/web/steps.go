package web

// The steps that the app offers to workflows. Slack has a builder for whole workflows. Here a person fills in one
// step's inputs and runs it by itself, as a workflow does that has come to it.

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/slacksim"
)

// mostRuns are shown on the app's page, the newest ones.
const mostRuns = 5

// runView is one run of a step.
type runView struct {
	Title, By, Time, ISO string
	State                string // one of the Execution… constants
	Error                string // what the app said of its failure
	Outputs              []outputView
}

type outputView struct{ Title, Value, Link string }

// runs are those of a workspace, the newest first.
func (s screen) runs() (out []runView) {
	for _, x := range slices.Backward(s.sim.Workflows.Executions()) {
		if x.TeamID != s.p.Team.ID || len(out) == mostRuns {
			continue
		}
		at := x.Started.In(s.n.zone)
		v := runView{Title: x.CallbackID, State: x.State, Error: x.Error, Time: at.Format("3:04 PM"),
			ISO: at.UTC().Format("2006-01-02T15:04:05Z")}
		v.By, _ = s.sim.Directory.Name(x.UserID)

		f, _ := functionOf(s.p.App, x.CallbackID)
		v.Title = cmp.Or(f.Title, x.CallbackID)
		for _, name := range slices.Sorted(maps.Keys(x.Outputs)) {
			value := spell(x.Outputs[name])
			v.Outputs = append(v.Outputs, outputView{Title: titleOf(f.Outputs, name), Value: value, Link: safeURL(value)})
		}
		out = append(out, v)
	}
	return out
}

func functionOf(app slacksim.App, id string) (slacksim.Function, bool) {
	i := slices.IndexFunc(app.Functions, func(f slacksim.Function) bool { return f.CallbackID == id })
	if i < 0 {
		return slacksim.Function{}, false
	}
	return app.Functions[i], true
}

func titleOf(all []slacksim.Parameter, name string) string {
	for _, p := range all {
		if p.Name == name {
			return cmp.Or(p.Title, name)
		}
	}
	return name
}

// spell is a value as people read it: words as they are, all else as JSON.
func spell(v any) string {
	if words, ok := v.(string); ok {
		return words
	}
	raw, _ := json.Marshal(v)
	return string(raw)
}

// stepPage asks for the inputs of a step.
type stepPage struct {
	Title, Callback, Description string
	App                          slacksim.App
	Team                         slacksim.Workspace
	Inputs                       []inputView
	Wrong                        string // why it didn't run
}

type inputView struct {
	slacksim.Parameter
	Kind    string // text, number, checkbox, select, json
	Step    string // of a number: "1" for whole ones
	Choices []option
	Value   string
}

// interactivity is filled in by the small Slack itself.
const interactivity = "slack#/types/interactivity"

func (s *site) newStepPage(u slacksim.User, f slacksim.Function) stepPage {
	p := stepPage{Title: cmp.Or(f.Title, f.CallbackID), Callback: f.CallbackID, Description: f.Description,
		App: s.sim.App()}
	p.Team, _ = s.sim.Directory.Workspace(u.TeamID)
	sc := screen{sim: s.sim, p: &clientPage{Me: u, Team: p.Team}}
	for _, in := range f.Inputs {
		if in.Type == interactivity {
			continue
		}
		in.Title = cmp.Or(in.Title, in.Name)
		v := inputView{Parameter: in, Kind: "json"}
		switch strings.TrimPrefix(in.Type, "slack#/types/") {
		case "string":
			v.Kind = "text"
		case "integer":
			v.Kind, v.Step = "number", "1"
		case "number":
			v.Kind, v.Step = "number", "any"
		case "boolean":
			v.Kind = "checkbox"
		case "user_id":
			v.Kind, v.Choices = "select", sc.choices("users_select")
		case "channel_id":
			v.Kind, v.Choices = "select", sc.choices("conversations_select")
		}
		p.Inputs = append(p.Inputs, v)
	}
	return p
}

// stepFor is the step at the request's address, for somebody whose workspace has the app.
func (s *site) stepFor(w http.ResponseWriter, r *http.Request, u slacksim.User) (f slacksim.Function, ok bool) {
	f, known := functionOf(s.sim.App(), r.FormValue("id"))
	if _, installed := s.sim.Installed(u.TeamID); !known || !installed {
		problem(w, http.StatusNotFound, "No such step", "The app doesn't offer it, or isn't installed here.", "")
		return f, false
	}
	return f, true
}

func (s *site) pageStep(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	if f, ok := s.stepFor(w, r, u); ok {
		write(w, http.StatusOK, "step.html", s.newStepPage(u, f))
	}
}

func (s *site) doStep(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	f, ok := s.stepFor(w, r, u)
	if !ok {
		return
	}

	p, inputs := s.newStepPage(u, f), map[string]any{}
	for i, in := range p.Inputs {
		given := strings.TrimSpace(r.PostFormValue("in/" + in.Name))
		p.Inputs[i].Value = given
		switch {
		case in.Kind == "checkbox":
			inputs[in.Name] = given != ""
		case given == "":
		case in.Kind == "number":
			inputs[in.Name] = json.Number(given)
			if json.Unmarshal([]byte(given), new(float64)) != nil {
				p.Wrong = fmt.Sprintf("%s has to be a number.", in.Title)
			}
		case in.Kind == "json":
			var v any
			if json.Unmarshal([]byte(given), &v) != nil {
				v = given
			}
			inputs[in.Name] = v
		default:
			inputs[in.Name] = given
		}
	}

	if p.Wrong == "" {
		if _, err := s.sim.Workflows.Run(r.Context(), u.ID, f.CallbackID, inputs); err != nil {
			p.Wrong = "The step didn't run: " + err.Error() + "."
		}
	}
	if p.Wrong != "" {
		write(w, http.StatusBadRequest, "step.html", p)
		return
	}
	http.Redirect(w, r, "/client/"+u.TeamID+"/app#runs", http.StatusSeeOther)
}
