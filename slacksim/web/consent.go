package web

// The consent page. What may be asked for, and what a press on Allow does, the Sim decides.
// docs.slack.dev/authentication/installing-with-oauth

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/switchboard-go/switchboard/slacksim"
)

type consentPage struct {
	Title, Query string
	App          slacksim.App
	Team         slacksim.Workspace
	Teams        []slacksim.Workspace
	Me           slacksim.User
	Permissions  []permission
	Held         []permission // asked for, and granted before
	UserScopes   []permission
	Channels     []slacksim.Channel // for the incoming webhook
	Org          string             // the organisation the workspace belongs to, if the app can be installed for all of it
	CanOrg       bool               // by this person
	OrgHasIt     bool
	Already      bool
	Refused      string // why this person cannot press Allow
	Target       string // host of the app's callback
}

func (s *site) pageConsent(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	pick := q.Get("pick_team")
	if old := q.Get("pick_query"); old != "" { // the picker's form brings the whole request along
		q, _ = url.ParseQuery(old)
	}
	req, err := s.sim.Forms.CheckAuthorize(q)
	if err != nil {
		refuse(w, err)
		return
	}
	team, me, ok := s.asked(r, pick, req.TeamID)
	if !ok {
		refuse(w, &slacksim.AuthorizeError{Code: "invalid_team", Detail: "Nobody can sign in to that workspace"})
		return
	}

	p := s.consent(req, team, me)
	to, _ := url.Parse(req.RedirectURL)
	p.Target, p.Query = to.Host, q.Encode()
	signIn(w, me)
	// The form ends at the app's callback, which the policy has to allow, too.
	w.Header().Set("Content-Security-Policy", pagePolicy("'self' "+to.Scheme+"://"+to.Host))
	write(w, http.StatusOK, "consent.html", p)
}

// asked is who is asked for which workspace: the picker's choice, the app's wish if the person is signed in there, the
// workspace last used, any.
func (s *site) asked(r *http.Request, pick, wish string) (t slacksim.Workspace, me slacksim.User, ok bool) {
	team := pick
	if _, ok := s.signedIn(r, wish); team == "" && ok {
		team = wish
	}
	if c, err := r.Cookie(lastCookie); team == "" && err == nil {
		team = c.Value
	}
	if t, ok = s.sim.Directory.Workspace(team); !ok {
		all := s.sim.Directory.Workspaces()
		if len(all) == 0 {
			return t, me, false
		}
		t = all[0]
	}
	if me, ok = s.signedIn(r, t.ID); !ok {
		me, ok = s.sim.Directory.FirstAdmin(t.ID)
	}
	return t, me, ok
}

// held is what the app has in a workspace. An organisation's installation covers what was installed there before.
func (s *site) held(t slacksim.Workspace) (in slacksim.Installation, ok, forAll bool) {
	if in, ok = s.sim.Installed(t.EnterpriseID); ok {
		return in, true, true
	}
	in, ok = s.sim.Installed(t.ID)
	return in, ok, false
}

func (s *site) consent(req slacksim.AuthorizeRequest, t slacksim.Workspace, me slacksim.User) *consentPage {
	app := s.sim.App()
	p := &consentPage{Title: app.Name + " is asking for permission", App: app, Team: t, Me: me,
		Teams: s.sim.Directory.Workspaces()}
	in, already, forAll := s.held(t)
	p.Already, p.OrgHasIt = already, forAll

	for _, x := range permissions(req.Scopes) {
		if slices.Contains(in.Scopes, x.Scope) {
			p.Held = append(p.Held, x)
			continue
		}
		x.Optional = slices.Contains(app.OptionalScopes, x.Scope)
		p.Permissions = append(p.Permissions, x)
	}
	p.UserScopes = permissions(req.UserScopes)

	if slices.Contains(req.Scopes, "incoming-webhook") {
		unseen := func(c slacksim.Channel) bool { return !c.VisibleTo(me) }
		p.Channels = slices.DeleteFunc(s.sim.Directory.Channels(t.ID), unseen)
	}
	if app.OrgReady && t.EnterpriseID != "" {
		p.Org, _ = s.sim.Directory.Name(t.EnterpriseID)
		p.CanOrg = s.sim.Directory.RunsOrganisation(me.ID, t.EnterpriseID)
	}
	if me.Guest {
		p.Refused = "Guests can’t add apps. Ask a member or an admin of " + t.Name + "."
	}
	return p
}

// refuse shows why the page asks for nothing.
func refuse(w http.ResponseWriter, err error) {
	var e *slacksim.AuthorizeError
	if !errors.As(err, &e) {
		e = &slacksim.AuthorizeError{Code: "internal_error", Detail: err.Error()}
	}
	problem(w, http.StatusBadRequest, "Something went wrong when authorizing this app",
		e.Detail+" Contact the developer of the app if the problem stays.", e.Code)
}

func (s *site) doConsent(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.PostFormValue("query"))
	if err != nil {
		refuse(w, &slacksim.AuthorizeError{Code: "invalid_arguments", Detail: "The form was incomplete."})
		return
	}
	req, err := s.sim.Forms.CheckAuthorize(q)
	if err != nil {
		refuse(w, err)
		return
	}
	me, ok := s.signedIn(r, r.PostForm.Get("team"))
	if !ok {
		problem(w, http.StatusForbidden, "You are signed out", "Go back, reload the page and try again.", "")
		return
	}
	choice := s.choice(r, req, me)
	if !choice.Deny && len(choice.Untick) == len(req.Scopes)+len(req.UserScopes) {
		problem(w, http.StatusBadRequest, "Nothing is left to allow",
			"Every permission was unticked. Go back and tick one, or press Cancel there.", "")
		return
	}

	to, err := s.sim.Authorize(r.Context(), s.sim.URL()+"/oauth/v2/authorize?"+q.Encode(), me.ID, choice)
	switch {
	case errors.Is(err, slacksim.ErrApprovalPending):
		problem(w, http.StatusOK, "Your request was sent",
			"An admin of this workspace has to approve the app first. You can close this page.", "")
	case err != nil:
		refuse(w, err)
	default:
		w.Header().Set("Referrer-Policy", "no-referrer") // the query holds the state
		http.Redirect(w, r, to, http.StatusFound)
	}
}

// choice is what the form of the consent page says.
func (s *site) choice(r *http.Request, req slacksim.AuthorizeRequest, me slacksim.User) slacksim.Choice {
	c := slacksim.Choice{Deny: r.PostForm.Get("do") == "cancel", Org: r.PostForm.Get("org") != "",
		WebhookChannel: r.PostForm.Get("webhook_channel")}
	t, _ := s.sim.Directory.Workspace(me.TeamID)
	in, _, _ := s.held(t)
	for _, x := range s.sim.App().OptionalScopes {
		// What is granted already has no box to untick.
		if slices.Contains(req.Scopes, x) && !slices.Contains(r.PostForm["optional"], x) && !slices.Contains(in.Scopes, x) {
			c.Untick = append(c.Untick, x)
		}
	}
	return c
}
