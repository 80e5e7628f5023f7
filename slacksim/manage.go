package slacksim

// What admins do with an app that is installed: on the organisation's pages they add it to workspaces or take it from them,
// and on its permissions page they take one away. Slack has no page for the latter: there one removes the app and installs
// it again with less. Here it is one click, so that one can see what an app does then.

import (
	"net/http"
	"slices"
)

// mayLimitLocked: whoever could remove the app may take a permission from it.
func (s *Sim) mayLimitLocked(u *User, in *installation) bool {
	if in == nil || in.chain == nil {
		return false
	}
	if in.org {
		return s.runsOrgLocked(u, in.enterpriseID)
	}
	return u.Admin && in.covers(u.TeamID)
}

type permissionsPage struct {
	Title   string
	App     App
	Where   string // the workspace or organisation
	Team    Workspace
	Granted []permission
	Last    bool // one is left
	Taken   string
}

func (s *Sim) pagePermissions(w http.ResponseWriter, r *http.Request) {
	u, ok := s.acting(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	in := s.installLocked(u.TeamID)
	if !s.mayLimitLocked(&u, in) {
		s.mu.Unlock()
		http.Redirect(w, r, "/client/"+u.TeamID+"/app", http.StatusSeeOther)
		return
	}
	p := permissionsPage{App: s.app, Team: *s.teamLocked(u.TeamID), Last: len(in.chain.scopes) == 1}
	p.Title = s.app.Name + " · Permissions"
	p.Where = p.Team.Name
	if in.org {
		p.Where = s.enterpriseNameLocked(in.enterpriseID)
	}
	for _, x := range in.chain.scopes {
		p.Granted = append(p.Granted, permission{x, wordsFor(x)})
	}
	if x := r.URL.Query().Get("taken"); knownBotScope(x) && !in.has(x) {
		p.Taken = wordsFor(x)
	}
	s.mu.Unlock()
	s.write(w, http.StatusOK, "permissions.html", p)
}

func (s *Sim) doPermissions(w http.ResponseWriter, r *http.Request) {
	u, ok := s.acting(w, r)
	if !ok {
		return
	}
	scope := r.PostFormValue("scope")
	s.mu.Lock()
	in := s.installLocked(u.TeamID)
	may := s.mayLimitLocked(&u, in)
	has := may && scope != "" && in.has(scope) && len(in.chain.scopes) > 1
	s.mu.Unlock()
	if !may {
		s.problem(w, http.StatusForbidden, "Only an admin can do that", "Nothing was changed.", "")
		return
	}
	if !has || s.Permit(u.TeamID, nil, []string{scope}) != nil {
		s.problem(w, http.StatusConflict, "Nothing happened", "The app does not have that permission, or nothing besides it. To take the last one, remove the app.", "")
		return
	}
	http.Redirect(w, r, "/client/"+u.TeamID+"/app/permissions?taken="+scope, http.StatusSeeOther)
}

func (s *Sim) managePath(enterprise string) string {
	return "/manage/" + enterprise + "/integrations/profile/" + s.app.ID + "/workspaces/add"
}

type managePage struct {
	Title, Org, Path string
	App              App
	Me               *User // nil: nobody is signed in who may see this
	Admins           []User
	Installed        bool
	InstalledBy      string
	Teams            []teamPeople
	Start            string // a workspace's app page, from which it can be installed
}

// manageLocked works out the organisation's page; ok is false for an address that leads nowhere.
func (s *Sim) manageLocked(r *http.Request) (p managePage, ok bool) {
	org := r.PathValue("org")
	name, _ := s.nameLocked(org)
	if name == "" || s.teamLocked(org) != nil || r.PathValue("app") != s.app.ID {
		return p, false
	}
	p = managePage{Title: s.app.Name + " in " + name, Org: name, Path: s.managePath(org), App: s.app}
	in := s.installs[org]
	if in != nil {
		p.Installed = true
		p.InstalledBy, _ = s.nameLocked(in.installedBy)
	}
	for _, t := range s.teams {
		if t.EnterpriseID != org {
			continue
		}
		if u := s.signedInLocked(r, t.ID); u != nil && s.runsOrgLocked(u, org) && p.Me == nil {
			me := *u
			p.Me, p.Start = &me, "/client/"+t.ID+"/app"
		}
		p.Teams = append(p.Teams, teamPeople{Workspace: *t, Installed: in != nil && in.covers(t.ID)})
	}
	for _, u := range s.users {
		if !u.Deleted && s.runsOrgLocked(u, org) {
			p.Admins = append(p.Admins, *u)
		}
	}
	return p, true
}

func (s *Sim) pageManage(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	p, ok := s.manageLocked(r)
	s.mu.Unlock()
	switch {
	case !ok:
		s.problem(w, http.StatusNotFound, "No such page", "This Slack has no such organisation, or no such app.", "")
	case p.Me == nil:
		s.write(w, http.StatusForbidden, "manage.html", p)
	default:
		s.write(w, http.StatusOK, "manage.html", p)
	}
}

func (s *Sim) doManage(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	p, ok := s.manageLocked(r)
	s.mu.Unlock()
	if !ok || p.Me == nil {
		s.problem(w, http.StatusForbidden, "Only an organisation admin can do that", "Nothing was changed.", "")
		return
	}
	team := r.PostFormValue("team")
	ours := slices.ContainsFunc(p.Teams, func(t teamPeople) bool { return t.ID == team })
	var err error
	switch do := r.PostFormValue("do"); {
	case !p.Installed:
	case do == "add" && ours:
		err = s.GrantTeam(r.Context(), team)
	case do == "remove" && ours:
		err = s.RevokeTeam(r.Context(), team)
	case do == "uninstall" && r.PostForm.Get("confirmed") == "":
		type pair struct{ Name, Value string }
		s.write(w, http.StatusOK, "confirm.html", map[string]any{
			"Title": "Remove " + p.App.Name + " from " + p.Org + "?",
			"Text":  p.App.Name + " will lose its access to every workspace of " + p.Org + " at once. You can install it again at any time.",
			"Yes":   "Remove App", "No": "Keep it", "To": p.Path, "Back": p.Path, "Danger": true, "Fields": []pair{{"do", "uninstall"}},
		})
		return
	case do == "uninstall":
		s.mu.Lock()
		if in := s.installs[r.PathValue("org")]; in != nil {
			s.uninstallLocked(in)
		}
		s.mu.Unlock()
	default:
		s.problem(w, http.StatusBadRequest, "Nothing happened", "That workspace is not one of "+p.Org+"’s.", "")
		return
	}
	if err != nil {
		s.problem(w, http.StatusConflict, "Nothing happened", "The app was removed in the meantime.", "")
		return
	}
	http.Redirect(w, r, p.Path, http.StatusSeeOther)
}
