package web

// The addresses, who is signed in, and the start page.

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/switchboard-go/switchboard/slacksim"
)

//go:embed templates/*.html static/*
var files embed.FS

// There is but one function: what a page shows is worked out before it is written.
var pageTemplates = template.Must(template.New("").Funcs(template.FuncMap{
	"rank": rank,
}).ParseFS(files, "templates/*.html"))

// Hint is one thing to try: what, in a few words, and how.
type Hint struct{ Title, Text string }

// site is the chat of one Sim.
type site struct {
	sim      *slacksim.Sim
	guide    []Hint
	removals atomic.Int64
}

// Pages is for slacksim.Config. The guide tells on the start page what there is to try, one thing after the other.
// Without one it says where to begin.
func Pages(guide ...Hint) func(*slacksim.Sim) http.Handler {
	return func(sim *slacksim.Sim) http.Handler {
		s := &site{sim: sim, guide: guide}
		// Another site must not press buttons here in somebody's name.
		return http.NewCrossOriginProtection().Handler(secured(s.routes()))
	}
}

func (s *site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.pageStart)
	mux.HandleFunc("POST /signin", s.doSignIn)
	mux.HandleFunc("GET /client/{team}/{$}", s.pageTeam)
	mux.HandleFunc("GET /client/{team}", s.pageTeam)
	mux.HandleFunc("GET /client/{team}/{place}", s.pageClient)
	mux.HandleFunc("POST /client/{team}/{place}/say", s.as(s.doSay))
	mux.HandleFunc("POST /client/{team}/{place}/invite", s.as(s.doInvite))
	mux.HandleFunc("POST /client/{team}/{place}/{ts}/act", s.as(s.doActMessage))
	mux.HandleFunc("GET /client/{team}/{place}/{ts}/change", s.as(messageForms{s}.pageChange))
	mux.HandleFunc("POST /client/{team}/{place}/{ts}/change", s.as(messageForms{s}.doChange))
	mux.HandleFunc("GET /client/{team}/files/{id}", s.as(messageForms{s}.file))
	mux.HandleFunc("POST /client/{team}/{place}/{ts}/shortcut", s.as(s.doShortcut))
	mux.HandleFunc("POST /client/{team}/{place}/shortcut", s.as(s.doShortcut))
	agentForms{s}.routes(mux)
	mux.HandleFunc("POST /client/{team}/home/act", s.as(s.doActHome))
	mux.HandleFunc("POST /client/{team}/view/{view}/act", s.as(s.doView))
	mux.HandleFunc("GET /client/{team}/app/remove", s.as(s.pageRemove))
	mux.HandleFunc("POST /client/{team}/app/remove", s.as(s.doRemove))
	mux.HandleFunc("GET /client/{team}/app/permissions", s.as(s.pagePermissions))
	mux.HandleFunc("POST /client/{team}/app/permissions", s.as(s.doPermissions))
	mux.HandleFunc("GET /client/{team}/app/step", s.as(s.pageStep))
	mux.HandleFunc("POST /client/{team}/app/step", s.as(s.doStep))
	mux.HandleFunc("GET /manage/{org}/integrations/profile/{app}/workspaces/add", s.pageManage)
	mux.HandleFunc("POST /manage/{org}/integrations/profile/{app}/workspaces/add", s.doManage)
	mux.HandleFunc("GET /app/{app}", s.pageAppAnywhere)
	mux.HandleFunc("GET /app_redirect", s.pageAppRedirect)
	mux.HandleFunc("GET /oauth/v2/authorize", s.pageConsent)
	mux.HandleFunc("POST /oauth/v2/authorize", s.doConsent)
	mux.HandleFunc("GET /live", s.live)
	mux.Handle("GET /static/", http.FileServerFS(files))
	return mux
}

// secured sets the headers of every page. Pictures in messages may come from anywhere. Everything else is our own.
func secured(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", pagePolicy("'self'"))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "same-origin")
		if !strings.HasPrefix(r.URL.Path, "/static/") {
			w.Header().Set("Cache-Control", "no-store")
		}
		h.ServeHTTP(w, r)
	})
}

func pagePolicy(formAction string) string {
	return "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; " +
		"frame-ancestors 'none'; img-src 'self' data: https: http://127.0.0.1:* http://localhost:*; form-action " + formAction
}

func rank(u slacksim.User) string {
	switch {
	case u.OrgAdmin:
		return "organisation admin"
	case u.PrimaryOwner:
		return "primary owner"
	case u.Owner:
		return "owner"
	case u.Admin:
		return "admin"
	case u.Guest:
		return "guest"
	}
	return "member"
}

// --- who is signed in

// A person is signed in per workspace, as in Slack: the cookie holds the user id. Nothing here is worth protecting.
func cookieName(team string) string { return "slacksim_" + team }

const lastCookie = "slacksim_last" // the workspace last looked at

func (s *site) signedIn(r *http.Request, team string) (u slacksim.User, ok bool) {
	c, err := r.Cookie(cookieName(team))
	if err != nil {
		return u, false
	}
	u, ok = s.sim.Directory.User(c.Value)
	return u, ok && u.TeamID == team && !u.Deleted
}

func setCookie(w http.ResponseWriter, name, value string) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func signIn(w http.ResponseWriter, u slacksim.User) {
	setCookie(w, cookieName(u.TeamID), u.ID)
	setCookie(w, lastCookie, u.TeamID)
}

func (s *site) doSignIn(w http.ResponseWriter, r *http.Request) {
	u, ok := s.sim.Directory.User(r.PostFormValue("user"))
	if !ok || u.Deleted {
		problem(w, http.StatusNotFound, "No such person", "That person is not in this Slack.", "")
		return
	}
	signIn(w, u)
	http.Redirect(w, r, localPath(r.PostFormValue("next"), "/client/"+u.TeamID+"/"), http.StatusSeeOther)
}

// localPath keeps redirects on this site.
func localPath(p, other string) string {
	if strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "//") && !strings.ContainsAny(p, "\\\r\n") {
		return p
	}
	return other
}

// --- small pages

func write(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, "This page could not be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// problem is Slack's error page: what is wrong, and the code for support.
func problem(w http.ResponseWriter, status int, title, detail, code string) {
	write(w, status, "problem.html", map[string]any{"Title": title, "Detail": detail, "Code": code})
}

// confirmation is the page that asks before something is done.
type confirmation struct {
	Title, Text, Yes, No string
	To, Back             string // where the form goes, and where No leads
	Danger               bool
	Fields               []formField
}

type formField struct{ Name, Value string }

func (c confirmation) ask(w http.ResponseWriter) { write(w, http.StatusOK, "confirm.html", c) }

// company is a card of the start page, or several in one frame: an organisation with its workspaces, or one workspace.
type company struct {
	ID, Name  string // of the organisation; "" for a workspace that belongs to none
	Installed bool   // organisation-wide
	Teams     []teamPeople
}

type teamPeople struct {
	slacksim.Workspace
	People    []person
	Installed bool
	Waiting   bool // the organisation has the app, this workspace does not
}

// person is someone with a word on what they are.
type person struct {
	slacksim.User
	What string
}

// describe says what a person is, and what is special about where they are.
func (s *site) describe(u slacksim.User) string {
	what := rank(u)
	for _, c := range s.sim.Directory.Channels("") {
		home, _ := s.sim.Directory.Name(c.TeamID)
		switch {
		case home == "" || !slices.Contains(c.Members, u.ID):
		case c.TeamID != u.TeamID:
			what += ", in #" + c.Name + " with " + home
		case u.Guest:
			what += ", sees #" + c.Name + " alone"
		}
	}
	return what
}

func (s *site) pageStart(w http.ResponseWriter, _ *http.Request) {
	var companies []company
	for _, t := range s.sim.Directory.Workspaces() {
		x := teamPeople{Workspace: t}
		_, x.Installed = s.sim.Installed(t.ID)
		_, forAll := s.sim.Installed(t.EnterpriseID)
		x.Waiting = forAll && !x.Installed
		for _, u := range s.sim.Directory.Users(t.ID) {
			if !u.Deleted {
				x.People = append(x.People, person{User: u, What: s.describe(u)})
			}
		}

		at := slices.IndexFunc(companies, func(c company) bool { return t.EnterpriseID != "" && c.ID == t.EnterpriseID })
		if at < 0 {
			at = len(companies)
			companies = append(companies, company{ID: t.EnterpriseID, Installed: forAll})
			companies[at].Name, _ = s.sim.Directory.Name(t.EnterpriseID)
		}
		companies[at].Teams = append(companies[at].Teams, x)
	}

	write(w, http.StatusOK, "start.html", map[string]any{
		"Title": "A small Slack", "Companies": companies, "App": s.sim.App(), "Guide": s.guide,
	})
}

func (s *site) pageTeam(w http.ResponseWriter, r *http.Request) {
	team := r.PathValue("team")
	u, ok := s.signedIn(r, team)
	if !ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}

	place := ""
	for _, c := range s.sim.Directory.Channels(team) {
		if c.VisibleTo(u) && (place == "" || c.Name == "general") {
			place = c.ID
		}
	}
	if place == "" {
		place = "dm"
	}
	http.Redirect(w, r, "/client/"+team+"/"+place, http.StatusSeeOther)
}

// pageAppAnywhere is /app/{id}: the app page of the workspace last looked at.
func (s *site) pageAppAnywhere(w http.ResponseWriter, r *http.Request) { s.toLast(w, r, "/app") }

// pageAppRedirect is slack.com/app_redirect: a channel, or the conversation with the app.
// docs.slack.dev/interactivity/deep-linking
func (s *site) pageAppRedirect(w http.ResponseWriter, r *http.Request) {
	if c, ok := s.sim.Directory.Channel(r.URL.Query().Get("channel")); ok {
		s.toLast(w, r, "/"+c.ID)
		return
	}
	s.toLast(w, r, "/dm")
}

func (s *site) toLast(w http.ResponseWriter, r *http.Request, place string) {
	team := r.URL.Query().Get("team")
	if c, err := r.Cookie(lastCookie); team == "" && err == nil {
		team = c.Value
	}
	if _, known := s.sim.Directory.Workspace(team); !known {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, "/client/"+team+place, http.StatusSeeOther)
}
