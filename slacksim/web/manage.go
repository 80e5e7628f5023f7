package web

// What admins do with an app that is installed: on the organisation's pages they add it to workspaces or take it from
// them, and on its permissions page they take one away. Slack has no page for the latter: there one removes the app and
// installs it again with less. Here it is one click, so that one can see what an app does then.

import (
	"net/http"
	"slices"

	"github.com/switchboard-go/switchboard/slacksim"
)

// mayLimit: whoever could remove the app may take a permission from it. One that acts as people alone has none of its
// own.
func (s *site) mayLimit(u slacksim.User, in slacksim.Installation) bool {
	if in.BotUserID == "" {
		return false
	}
	if in.Org {
		return s.sim.Directory.RunsOrganisation(u.ID, in.EnterpriseID)
	}
	return u.Admin
}

type permissionsPage struct {
	Title   string
	App     slacksim.App
	Where   string // the workspace or organisation
	Team    slacksim.Workspace
	Granted []permission
	Last    bool // one is left
	Taken   string
}

func (s *site) pagePermissions(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	in, ok := s.sim.Installed(u.TeamID)
	if !ok || !s.mayLimit(u, in) {
		http.Redirect(w, r, "/client/"+u.TeamID+"/app", http.StatusSeeOther)
		return
	}

	p := permissionsPage{App: s.sim.App(), Granted: permissions(in.Scopes), Last: len(in.Scopes) == 1}
	p.Title = p.App.Name + " · Permissions"
	p.Team, _ = s.sim.Directory.Workspace(u.TeamID)
	p.Where = p.Team.Name
	if in.Org {
		p.Where, _ = s.sim.Directory.Name(in.EnterpriseID)
	}
	taken := r.URL.Query().Get("taken")
	if words := slacksim.ScopeWords(taken); words != taken && !slices.Contains(in.Scopes, taken) {
		p.Taken = words
	}
	write(w, http.StatusOK, "permissions.html", p)
}

func (s *site) doPermissions(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	scope := r.PostFormValue("scope")
	in, ok := s.sim.Installed(u.TeamID)
	if !ok || !s.mayLimit(u, in) {
		problem(w, http.StatusForbidden, "Only an admin can do that", "Nothing was changed.", "")
		return
	}
	if !slices.Contains(in.Scopes, scope) || len(in.Scopes) == 1 ||
		s.sim.Admins.Permit(u.TeamID, nil, []string{scope}) != nil {
		problem(w, http.StatusConflict, "Nothing happened",
			"The app doesn't have that permission, or it's the only one left. To take that one away, remove the app.", "")
		return
	}
	http.Redirect(w, r, "/client/"+u.TeamID+"/app/permissions?taken="+scope, http.StatusSeeOther)
}

func managePath(enterprise string, app slacksim.App) string {
	return "/manage/" + enterprise + "/integrations/profile/" + app.ID + "/workspaces/add"
}

type managePage struct {
	Title, Org, Path string
	App              slacksim.App
	Me               *slacksim.User // nil: nobody is signed in who may see this
	Admins           []slacksim.User
	Installed        bool
	InstalledBy      string
	Teams            []teamPeople
	Start            string // a workspace's app page, from which it can be installed
}

// manage works out the organisation's page. ok is false for an address that leads nowhere.
func (s *site) manage(r *http.Request) (p managePage, ok bool) {
	org, app := r.PathValue("org"), s.sim.App()
	in, installed := s.sim.Installed(org)
	for _, t := range s.sim.Directory.Workspaces() {
		if t.EnterpriseID != org {
			continue
		}
		if u, ok := s.signedIn(r, t.ID); ok && p.Me == nil && s.sim.Directory.RunsOrganisation(u.ID, org) {
			p.Me, p.Start = &u, "/client/"+t.ID+"/app"
		}
		p.Teams = append(p.Teams, teamPeople{Workspace: t, Installed: slices.Contains(in.Granted, t.ID)})
	}
	if len(p.Teams) == 0 || r.PathValue("app") != app.ID {
		return p, false
	}

	p.App, p.Path, p.Installed = app, managePath(org, app), installed
	p.Org, _ = s.sim.Directory.Name(org)
	p.Title = app.Name + " in " + p.Org
	p.InstalledBy, _ = s.sim.Directory.Name(in.InstalledBy)
	for _, u := range s.sim.Directory.Users("") {
		if !u.Deleted && s.sim.Directory.RunsOrganisation(u.ID, org) {
			p.Admins = append(p.Admins, u)
		}
	}
	return p, true
}

func (s *site) pageManage(w http.ResponseWriter, r *http.Request) {
	p, ok := s.manage(r)
	switch {
	case !ok:
		problem(w, http.StatusNotFound, "No such page", "This Slack has no such organisation, or no such app.", "")
	case p.Me == nil:
		write(w, http.StatusForbidden, "manage.html", p)
	default:
		write(w, http.StatusOK, "manage.html", p)
	}
}

func (s *site) doManage(w http.ResponseWriter, r *http.Request) {
	p, ok := s.manage(r)
	if !ok || p.Me == nil {
		problem(w, http.StatusForbidden, "Only an organisation admin can do that", "Nothing was changed.", "")
		return
	}

	team := r.PostFormValue("team")
	ours := slices.ContainsFunc(p.Teams, func(t teamPeople) bool { return t.ID == team })
	var err error
	switch do := r.PostFormValue("do"); {
	case !p.Installed:
	case do == "add" && ours:
		err = s.sim.Admins.GrantTeam(r.Context(), team)
	case do == "remove" && ours:
		err = s.sim.Admins.RevokeTeam(r.Context(), team)
	case do == "uninstall" && r.PostForm.Get("confirmed") == "":
		p.askToUninstall(w)
		return
	case do == "uninstall":
		s.uninstall(r.Context(), r.PathValue("org"))
	default:
		problem(w, http.StatusBadRequest, "Nothing happened", "That workspace is not one of "+p.Org+"’s.", "")
		return
	}

	if err != nil {
		problem(w, http.StatusConflict, "Nothing happened", "The app was removed in the meantime.", "")
		return
	}
	http.Redirect(w, r, p.Path, http.StatusSeeOther)
}

func (p managePage) askToUninstall(w http.ResponseWriter) {
	confirmation{
		Title: "Remove " + p.App.Name + " from " + p.Org + "?",
		Text: p.App.Name + " will lose its access to every workspace of " + p.Org +
			" immediately. You can install it again at any time.",
		Yes: "Remove App", No: "Keep it", To: p.Path, Back: p.Path, Danger: true,
		Fields: []formField{{Name: "do", Value: "uninstall"}},
	}.ask(w)
}
