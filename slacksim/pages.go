package slacksim

// The chat pages: routes, who is signed in, and what each page shows. Pages work with plain forms and links; the script
// only makes them live. What a form does is one call of a method in acts.go or oauth.go.

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed templates/*.html static/*
var files embed.FS

// functions are few: what a page shows is worked out before it is written.
var pageTemplates = template.Must(template.New("").Funcs(template.FuncMap{
	"initial": initialOf,
	"rank":    rank,
}).ParseFS(files, "templates/*.html"))

func (s *Sim) routes() http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", s.pageStart)
	pages.HandleFunc("POST /signin", s.doSignIn)
	pages.HandleFunc("GET /client/{team}/{$}", s.pageTeam)
	pages.HandleFunc("GET /client/{team}", s.pageTeam)
	pages.HandleFunc("GET /client/{team}/{place}", s.pageClient)
	pages.HandleFunc("POST /client/{team}/{place}/say", s.doSay)
	pages.HandleFunc("POST /client/{team}/{place}/invite", s.doInvite)
	pages.HandleFunc("POST /client/{team}/{place}/{ts}/act", s.doActMessage)
	pages.HandleFunc("POST /client/{team}/home/act", s.doActHome)
	pages.HandleFunc("POST /client/{team}/view/{view}/act", s.doView)
	pages.HandleFunc("GET /client/{team}/app/remove", s.pageRemove)
	pages.HandleFunc("POST /client/{team}/app/remove", s.doRemove)
	pages.HandleFunc("GET /client/{team}/app/permissions", s.pagePermissions)
	pages.HandleFunc("POST /client/{team}/app/permissions", s.doPermissions)
	pages.HandleFunc("GET /manage/{org}/integrations/profile/{app}/workspaces/add", s.pageManage)
	pages.HandleFunc("POST /manage/{org}/integrations/profile/{app}/workspaces/add", s.doManage)
	pages.HandleFunc("GET /app/{app}", s.pageAppAnywhere)
	pages.HandleFunc("GET /app_redirect", s.pageAppRedirect)
	pages.HandleFunc("GET /oauth/v2/authorize", s.pageConsent)
	pages.HandleFunc("POST /oauth/v2/authorize", s.doConsent)
	pages.HandleFunc("GET /live", s.live)
	pages.HandleFunc("GET /icon/{file}", s.icon)
	pages.Handle("GET /static/", http.FileServerFS(files))

	mux := http.NewServeMux()
	mux.HandleFunc("/api/", s.serveAPI)
	mux.HandleFunc("/hooks/response/{team}/{id}/{secret}", s.serveResponseURL)
	mux.HandleFunc("/hooks/services/{team}/{id}/{secret}", s.serveWebhook)
	mux.HandleFunc("GET /link/", s.serveSocket)
	// Another site must not press buttons here in somebody's name.
	mux.Handle("/", http.NewCrossOriginProtection().Handler(secured(pages)))
	return mux
}

// secured sets the headers of every page. Pictures in messages may come from anywhere; everything else is our own.
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

func initialOf(name string) string {
	for _, r := range name {
		return strings.ToUpper(string(r))
	}
	return "?"
}

func rank(u User) string {
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

func (s *Sim) signedInLocked(r *http.Request, team string) *User {
	if c, err := r.Cookie(cookieName(team)); err == nil {
		if u := s.userLocked(c.Value); u != nil && u.TeamID == team && !u.Deleted {
			return u
		}
	}
	return nil
}

func signIn(w http.ResponseWriter, u *User) {
	for _, c := range []http.Cookie{{Name: cookieName(u.TeamID), Value: u.ID}, {Name: "slacksim_last", Value: u.TeamID}} {
		c.Path, c.HttpOnly, c.SameSite = "/", true, http.SameSiteLaxMode
		http.SetCookie(w, &c)
	}
}

func (s *Sim) doSignIn(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	u := s.userLocked(r.PostFormValue("user"))
	s.mu.Unlock()
	if u == nil || u.Deleted {
		s.problem(w, http.StatusNotFound, "Nobody of that name", "That person is not in this Slack.", "")
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

func (s *Sim) write(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&b, name, data); err != nil {
		s.log.Error("render page", "page", name, "error", err)
		http.Error(w, "This page could not be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// problem is Slack's error page: what is wrong, and the code for support.
func (s *Sim) problem(w http.ResponseWriter, status int, title, detail, code string) {
	s.write(w, status, "problem.html", map[string]any{"Title": title, "Detail": detail, "Code": code})
}

// company is a card of the start page, or several in one frame: an organisation with its workspaces, or a single workspace.
type company struct {
	ID, Name  string // of the organisation; "" for a workspace that belongs to none
	Installed bool   // organisation-wide
	Teams     []teamPeople
}

type teamPeople struct {
	Workspace
	People    []person
	Installed bool
	Waiting   bool // the organisation has the app, this workspace does not
}

// person is someone with a word on what they are.
type person struct {
	User
	What string
}

// whatLocked says what a person is, and what is special about where they are.
func (s *Sim) whatLocked(u *User) string {
	what := rank(*u)
	for _, c := range s.channels {
		home := s.teamLocked(c.TeamID)
		switch {
		case c.im || !c.has(u.ID) || home == nil:
		case c.TeamID != u.TeamID:
			what += ", in #" + c.Name + " with " + home.Name
		case u.Guest:
			what += ", sees #" + c.Name + " alone"
		}
	}
	return what
}

func (s *Sim) pageStart(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	var companies []company
	for _, t := range s.teams {
		org := s.installs[t.EnterpriseID]
		x := teamPeople{Workspace: *t, Installed: s.installLocked(t.ID) != nil}
		x.Waiting = org != nil && !x.Installed
		for _, u := range s.users {
			if u.TeamID == t.ID && !u.Deleted {
				x.People = append(x.People, person{*u, s.whatLocked(u)})
			}
		}
		at := slices.IndexFunc(companies, func(c company) bool { return t.EnterpriseID != "" && c.ID == t.EnterpriseID })
		if at < 0 {
			at = len(companies)
			companies = append(companies, company{ID: t.EnterpriseID, Installed: org != nil})
			if t.EnterpriseID != "" {
				companies[at].Name = s.enterpriseNameLocked(t.EnterpriseID)
			}
		}
		companies[at].Teams = append(companies[at].Teams, x)
	}
	data := map[string]any{"Title": "A small Slack", "Companies": companies, "App": s.app, "Guide": s.guide}
	s.mu.Unlock()
	s.write(w, http.StatusOK, "start.html", data)
}

func (s *Sim) pageTeam(w http.ResponseWriter, r *http.Request) {
	team := r.PathValue("team")
	s.mu.Lock()
	u := s.signedInLocked(r, team)
	place := ""
	if u != nil {
		for _, c := range s.channels {
			if !c.im && c.inTeam(team) && c.sees(u) && (place == "" || c.Name == "general") {
				place = c.ID
			}
		}
	}
	s.mu.Unlock()
	switch {
	case u == nil:
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case place == "":
		http.Redirect(w, r, "/client/"+team+"/dm", http.StatusSeeOther)
	default:
		http.Redirect(w, r, "/client/"+team+"/"+place, http.StatusSeeOther)
	}
}

// pageAppAnywhere is /app/{id}: the app page of the workspace last looked at.
func (s *Sim) pageAppAnywhere(w http.ResponseWriter, r *http.Request) { s.toLast(w, r, "/app") }

// pageAppRedirect is slack.com/app_redirect: a channel, or the conversation with the app.
// docs.slack.dev/interactivity/deep-linking
func (s *Sim) pageAppRedirect(w http.ResponseWriter, r *http.Request) {
	place := "/dm"
	if id := r.URL.Query().Get("channel"); id != "" {
		s.mu.Lock()
		if s.channelLocked(id) != nil {
			place = "/" + id
		}
		s.mu.Unlock()
	}
	s.toLast(w, r, place)
}

func (s *Sim) toLast(w http.ResponseWriter, r *http.Request, place string) {
	team := r.URL.Query().Get("team")
	if c, err := r.Cookie("slacksim_last"); team == "" && err == nil {
		team = c.Value
	}
	s.mu.Lock()
	known := s.teamLocked(team) != nil
	s.mu.Unlock()
	if !known {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, "/client/"+team+place, http.StatusSeeOther)
}

// icon draws a coloured square with an initial: every picture of this Slack, for pages (/icon/T0ACME0001-68.svg) and,
// as real Slack has it, for apps (/icon/T0ACME0001-68.png).
func (s *Sim) icon(w http.ResponseWriter, r *http.Request) {
	base, ok := strings.CutSuffix(r.PathValue("file"), ".svg")
	base, asPNG := strings.CutSuffix(base, ".png")
	ok = ok || asPNG
	i := strings.LastIndexByte(base, '-')
	if !ok || i < 0 {
		http.NotFound(w, r)
		return
	}
	size, err := strconv.Atoi(base[i+1:])
	if err != nil || size < 8 || size > 512 {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	name, _ := s.nameLocked(base[:i])
	s.mu.Unlock()
	if name == "" {
		http.NotFound(w, r)
		return
	}
	if asPNG {
		w.Header().Set("Content-Type", "image/png")
		_ = writePNG(w, base[:i], name, size) // the reader may be gone
		return
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 48 48"><rect width="48" height="48" rx="9" fill="%s"/>`+
		`<text x="24" y="33" font-family="system-ui,sans-serif" font-size="26" font-weight="700" fill="#fff" text-anchor="middle">%s</text></svg>`,
		size, size, colour(base[:i]), template.HTMLEscapeString(initialOf(name)))
}

// colour is one of a few that white text reads well on, always the same for the same id.
func colour(id string) string {
	list := []string{"#7a3e9d", "#1264a3", "#0b6e4f", "#a8326e", "#8a5a00", "#b0413e", "#3b5b92", "#5b6236", "#6a4c93", "#00696f"}
	h := fnv.New32a()
	h.Write([]byte(id))
	return list[h.Sum32()%uint32(len(list))]
}

// nameLocked is what people call the bearer of an id.
func (s *Sim) nameLocked(id string) (name string, isApp bool) {
	if u := s.userLocked(id); u != nil {
		return u.RealName, false
	}
	if t := s.teamLocked(id); t != nil {
		return t.Name, false
	}
	if strings.HasPrefix(id, "E") {
		for _, t := range s.teams {
			if t.EnterpriseID == id {
				return s.enterpriseNameLocked(id), false
			}
		}
	}
	if s.botByUserLocked(id) != nil || id == s.app.ID && id != "" {
		n := s.app.Name
		if n == "" {
			n = "App"
		}
		return n, true
	}
	if id == Slackbot {
		return "Slackbot", false
	}
	return "", false
}

// --- the client

type clientPage struct {
	Title, Kind, At string // Kind: channel, dm, home, about, app
	Team            Workspace
	Teams           []Workspace
	Me              User
	People          []User // others of the workspace
	Rooms           []room
	App             App
	AppIcon         string
	Installed       bool
	Unread          bool // the app wrote to this person since they last looked
	Install         Installation
	InstalledBy     string
	Permissions     []permission
	CanRemove       bool
	CanLimit        bool // may take permissions away from it
	AddLink         string
	Org             string // the organisation that has the app, when it is installed organisation-wide
	ManageLink      string // where its admins say which workspaces get it; "" for everybody else

	// a conversation
	Channel   Channel
	ChannelID string
	Members   int
	BotIn     bool
	Shared    []string
	Messages  []messageView
	Thread    string
	ReadOnly  bool
	Hint      string

	Home  *viewView
	Modal *viewView
}

type room struct {
	ID, Name string
	Private  bool
	Current  bool
	Shared   []string // the other companies in it
}

type permission struct{ Scope, Words string }

type messageView struct {
	TS, Name, Icon, Time, ISO, Day string
	App, Ephemeral, Edited, Follow bool
	CanInvite                      bool // Slack's note that a mentioned app is not in the channel
	Text, Blocks                   template.HTML
	Reactions                      []reactionView
	Replies                        int
	Thread                         string
	InThread                       bool
	Act                            string
}

type reactionView struct {
	Name, Emoji string
	Count       int
}

type viewView struct {
	ID, Title, Submit, Close string
	Body                     template.HTML
	Error                    string
	Act                      string
	Depth                    int
}

var errSignedOut = errors.New("signed out")

// clientLocked works out what a page shows. It has no side effects: live updates come through here, too.
func (s *Sim) clientLocked(r *http.Request, team, place, thread string) (*clientPage, error) {
	me := s.signedInLocked(r, team)
	if me == nil {
		return nil, errSignedOut
	}
	t := s.teamLocked(team)
	p := &clientPage{Team: *t, Me: *me, App: s.app, AppIcon: s.app.ID, Thread: thread, At: "/client/" + team + "/" + place}
	if thread != "" {
		p.At += "?thread=" + url.QueryEscape(thread)
	}
	if p.App.Name == "" {
		p.App.Name = "App"
	}
	for _, x := range s.teams {
		p.Teams = append(p.Teams, *x)
	}
	for _, u := range s.users {
		if u.TeamID == team && u.ID != me.ID && !u.Deleted {
			p.People = append(p.People, *u)
		}
	}
	p.AddLink = safeURL(s.app.InstallURL)
	in := s.installLocked(team)
	if in != nil {
		p.Installed, p.Install = true, in.export()
		p.InstalledBy, _ = s.nameLocked(in.installedBy)
		for _, x := range p.Install.Scopes {
			p.Permissions = append(p.Permissions, permission{x, wordsFor(x)})
		}
		p.Unread = s.unreadLocked(me.ID)
		p.CanRemove = !in.org && (me.Admin || in.installedBy == me.ID)
		p.CanLimit = s.mayLimitLocked(me, in)
	}
	if org := s.installs[t.EnterpriseID]; org != nil {
		p.Org = s.enterpriseNameLocked(t.EnterpriseID)
		if s.runsOrgLocked(me, t.EnterpriseID) {
			p.ManageLink = s.managePath(t.EnterpriseID)
		}
	}
	n := s.namesLocked(me)
	var c *channel
	switch place {
	case "home", "about", "app":
		p.Kind = place
		p.Title = p.App.Name + map[string]string{"home": "", "about": " · About", "app": " · App"}[place]
		if v := s.homes[me.ID]; v != nil && place == "home" {
			p.Home = s.viewViewLocked(v, n, in, "/client/"+team+"/home/act")
		}
	case "dm":
		p.Kind, p.Title = "dm", p.App.Name
		c = s.dmLocked(me.ID)
		p.ReadOnly = !s.app.MessagesTab
	default:
		p.Kind = "channel"
		c = s.channelLocked(place)
		if c == nil || c.im && c.imUser != me.ID || !c.sees(me) {
			return nil, ErrNoChannel
		}
		if c.im {
			p.Kind, p.Title = "dm", p.App.Name
		} else {
			p.Title = "#" + c.Name
		}
	}
	for _, x := range s.channels {
		if !x.im && x.inTeam(team) && x.sees(me) {
			p.Rooms = append(p.Rooms, room{x.ID, x.Name, x.Private, x == c, s.sharedWithLocked(x, team)})
		}
	}
	if c != nil {
		p.Channel, p.ChannelID, p.Members = c.Channel, c.ID, len(c.Members)
		p.BotIn = in == nil || c.im || c.has(in.bot.userID)
		p.Shared = s.sharedWithLocked(c, team)
		p.Messages = s.messageViewsLocked(c, me, thread, n)
		p.Hint = "Message " + p.Title
	}
	if st := s.stacks[me.ID]; len(st) > 0 {
		v := st[len(st)-1]
		p.Modal = s.viewViewLocked(v, n, v.inst, "/client/"+team+"/view/"+v.ID+"/act")
		p.Modal.Depth = len(st)
	}
	return p, nil
}

// sharedWithLocked names the workspaces that are in a channel besides this one.
func (s *Sim) sharedWithLocked(c *channel, team string) (others []string) {
	for _, id := range append([]string{c.TeamID}, c.SharedWith...) {
		if x := s.teamLocked(id); x != nil && id != team {
			others = append(others, x.Name)
		}
	}
	return others
}

func (s *Sim) namesLocked(me *User) names {
	return names{
		user: func(id string) string { name, _ := s.nameLocked(id); return name },
		channel: func(id string) string {
			c := s.channelLocked(id)
			if c == nil || c.im || !c.sees(me) {
				return ""
			}
			return c.Name
		},
		zone: s.zoneOf(me), now: s.clock.Now(), self: me.ID,
	}
}

// choicesLocked fills the select menus of people and channels.
func (s *Sim) choicesLocked(me *User) func(string) []option {
	return func(kind string) (out []option) {
		if kind == "users_select" {
			for _, u := range s.users {
				if u.TeamID == me.TeamID && !u.Deleted {
					out = append(out, option{u.ID, u.RealName})
				}
			}
			return out
		}
		for _, c := range s.channels {
			if !c.im && c.inTeam(me.TeamID) && c.sees(me) && !(kind == "channels_select" && c.Private) {
				out = append(out, option{c.ID, "#" + c.Name})
			}
		}
		return out
	}
}

func (s *Sim) viewViewLocked(v *View, n names, in *installation, act string) *viewView {
	me := s.userLocked(v.UserID)
	f := surface{names: n, inView: v.Type == "modal", dead: in == nil || in.gone, typed: v.typed, errors: v.Errors,
		prefix: v.ID, choices: s.choicesLocked(me), pingTo: act}
	out := &viewView{ID: v.ID, Title: v.Title, Submit: v.Submit, Close: v.Close, Body: f.blocks(v.Blocks), Error: v.Errors[""], Act: act}
	if out.Close == "" {
		out.Close = "Cancel"
	}
	return out
}

func (s *Sim) messageViewsLocked(c *channel, me *User, thread string, n names) []messageView {
	replies := map[string]int{}
	for _, m := range c.messages {
		if m.ThreadTS != "" && m.ThreadTS != m.TS && !m.Deleted && !m.Ephemeral {
			replies[m.ThreadTS]++
		}
	}
	var out []messageView
	var before *Message
	for i := range c.messages {
		m := c.messages[i]
		inThread := m.ThreadTS != "" && m.ThreadTS != m.TS
		if m.Deleted || m.Ephemeral && m.EphemeralTo != me.ID || thread != "" && m.TS != thread && m.ThreadTS != thread ||
			thread == "" && inThread && (!m.Ephemeral || m.User == Slackbot) {
			continue
		}
		at := m.At.In(n.zone)
		v := messageView{TS: m.TS, Time: at.Format("3:04 PM"), ISO: at.UTC().Format(time.RFC3339), Ephemeral: m.Ephemeral, Edited: m.Edited,
			Text: n.mrkdwn(m.Text), Replies: replies[m.TS], Thread: m.TS, InThread: inThread,
			Act: "/client/" + me.TeamID + "/" + c.ID + "/" + m.TS + "/act"}
		v.Name, v.App = s.nameLocked(m.User)
		v.Icon = m.User
		if v.App {
			v.Icon = s.app.ID
		}
		if u := s.userLocked(m.User); u != nil && u.TeamID != me.TeamID {
			if t := s.teamLocked(u.TeamID); t != nil {
				v.Name += " (" + t.Name + ")"
			}
		}
		if before == nil || before.At.In(n.zone).YearDay() != at.YearDay() || before.At.Year() != m.At.Year() {
			v.Day = n.dateWord(at, "{day_divider_pretty}")
			v.Day = strings.ToUpper(v.Day[:1]) + v.Day[1:]
		} else {
			v.Follow = before.User == m.User && before.Ephemeral == m.Ephemeral && m.At.Sub(before.At) < 5*time.Minute
		}
		b := s.botByUserLocked(m.User)
		if m.Blocks != nil {
			dead := b == nil || s.installs[b.home] == nil
			f := surface{names: n, dead: dead, prefix: "m" + m.TS, choices: s.choicesLocked(me), pingTo: v.Act}
			v.Blocks = f.blocks(m.Blocks)
		}
		if m.User == Slackbot && !c.im {
			for id := range c.pending {
				v.CanInvite = v.CanInvite || mentions(m.Text, id)
			}
		}
		for name, who := range m.Reactions {
			e := emojis[name]
			if e == "" {
				e = ":" + name + ":"
			}
			v.Reactions = append(v.Reactions, reactionView{name, e, len(who)})
		}
		slices.SortFunc(v.Reactions, func(a, b reactionView) int { return strings.Compare(a.Name, b.Name) })
		out = append(out, v)
		before = m
	}
	return out
}

func (s *Sim) pageClient(w http.ResponseWriter, r *http.Request) {
	team, place := r.PathValue("team"), r.PathValue("place")
	s.mu.Lock()
	if s.teamLocked(team) == nil {
		s.mu.Unlock()
		s.problem(w, http.StatusNotFound, "No such workspace", "This Slack has no workspace with that address.", "")
		return
	}
	s.lookLocked(r, team, place)
	p, err := s.clientLocked(r, team, place, r.URL.Query().Get("thread"))
	s.mu.Unlock()
	switch {
	case errors.Is(err, errSignedOut):
		// One click is all it takes to sign in, on the start page.
		http.Redirect(w, r, "/#"+url.QueryEscape(team), http.StatusSeeOther)
		return
	case err != nil:
		s.problem(w, http.StatusNotFound, "No such conversation", "It does not exist, or you are not a member of it.", "")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "slacksim_last", Value: team, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	if p.Installed && (place == "home" || place == "dm") {
		// Opening a tab is what app_home_opened tells of; the live updates of the page are not.
		_ = s.OpenHome(r.Context(), p.Me.ID, map[string]string{"home": "home", "dm": "messages"}[place])
	}
	s.write(w, http.StatusOK, "client.html", p)
}

// lookLocked notes that the signed-in person has the app's messages before them, on a page or its live updates.
func (s *Sim) lookLocked(r *http.Request, team, place string) {
	if me := s.signedInLocked(r, team); me != nil && (place == "dm" || place == s.dmLocked(me.ID).ID) {
		s.readLocked(me.ID)
	}
}

// regions are the parts of a client page that change while one looks at it.
var regions = []string{"sidebar", "content", "modal"}

// live sends the regions of a page whenever they change, as Server-Sent Events.
func (s *Sim) live(w http.ResponseWriter, r *http.Request) {
	at, err := url.Parse(r.URL.Query().Get("at"))
	parts := strings.Split(strings.Trim(at.EscapedPath(), "/"), "/")
	flush, ok := w.(http.Flusher)
	if err != nil || len(parts) != 3 || parts[0] != "client" || !ok {
		http.Error(w, "at must be the address of a client page", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	sent := map[string]string{}
	for {
		changed := s.change()
		s.mu.Lock()
		s.lookLocked(r, parts[1], parts[2])
		p, err := s.clientLocked(r, parts[1], parts[2], at.Query().Get("thread"))
		s.mu.Unlock()
		if err != nil {
			return
		}
		for _, name := range regions {
			var b bytes.Buffer
			if err := pageTemplates.ExecuteTemplate(&b, name, p); err != nil {
				return
			}
			html := b.String()
			if before, known := sent[name]; !known || before != html {
				sent[name] = html
				msg, _ := json.Marshal(map[string]string{"region": name, "html": html})
				if _, err := fmt.Fprintf(w, "data: %s\n\n", msg); err != nil {
					return
				}
			}
		}
		flush.Flush()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-s.life.Done():
			return
		}
	}
}

// --- what forms do

// acting finds who presses a form's button. It answers the request itself when nobody is signed in.
func (s *Sim) acting(w http.ResponseWriter, r *http.Request) (User, bool) {
	s.mu.Lock()
	u := s.signedInLocked(r, r.PathValue("team"))
	s.mu.Unlock()
	if u == nil {
		s.problem(w, http.StatusForbidden, "You are signed out", "Sign in on the start page, then try again.", "")
		return User{}, false
	}
	return *u, true
}

// back ends a form's request: the page again, or nothing for the script, which sees the change by itself.
func back(w http.ResponseWriter, r *http.Request, to string) {
	if r.Header.Get("X-Requested-With") == "fetch" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, localPath(r.PostFormValue("back"), to), http.StatusSeeOther)
}

func (s *Sim) placeID(u User, place string) string {
	if place == "dm" {
		return s.DM(u.ID)
	}
	return place
}

func (s *Sim) doSay(w http.ResponseWriter, r *http.Request) {
	u, ok := s.acting(w, r)
	if !ok {
		return
	}
	place := r.PathValue("place")
	channel := s.placeID(u, place)
	text := strings.TrimSpace(strings.ReplaceAll(r.PostFormValue("text"), "\r\n", "\n"))
	var err error
	switch {
	case text == "":
	case strings.HasPrefix(text, "/") && r.PostFormValue("thread_ts") != "":
		err = s.refuseInThread(u.ID, channel, r.PostFormValue("thread_ts"), text)
	case strings.HasPrefix(text, "/"):
		err = s.typedCommand(r.Context(), u, channel, text)
	default:
		s.mu.Lock()
		wire := s.encodeLocked(text, u.TeamID, false)
		s.mu.Unlock()
		_, err = s.Reply(r.Context(), u.ID, channel, r.PostFormValue("thread_ts"), wire)
	}
	// An unknown command has its answer in the conversation already.
	if err != nil && !errors.Is(err, ErrNoCommand) && !errors.Is(err, ErrNotInstalled) {
		s.problem(w, http.StatusBadRequest, "Not sent", "The message could not be sent to this conversation.", "")
		return
	}
	back(w, r, "/client/"+u.TeamID+"/"+place)
}

// typedCommand runs a slash command; /invite is Slack's own.
func (s *Sim) typedCommand(ctx context.Context, u User, channel, text string) error {
	if rest, ok := strings.CutPrefix(text, "/invite "); ok {
		s.mu.Lock()
		wire := s.encodeLocked(strings.TrimSpace(rest), u.TeamID, false)
		s.mu.Unlock()
		return s.Invite(ctx, u.ID, channel, strings.Trim(wire, "<@>"))
	}
	_, err := s.Command(ctx, u.ID, channel, text)
	return err
}

// refuseInThread is what Slack does with a slash command typed in a thread, its own ones included: a note, and nothing
// for the app.
func (s *Sim) refuseInThread(userID, channelID, threadTS, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, c, err := s.memberLocked(userID, channelID)
	if err != nil {
		return err
	}
	if c.find(threadTS) == nil {
		return ErrNoMessage
	}
	s.postLocked(c, &Message{User: Slackbot, ThreadTS: threadTS, Ephemeral: true, EphemeralTo: userID,
		Text: "`" + escapeText(strings.Fields(text)[0]) + "` is not supported in threads. Sorry!"})
	return nil
}

func (s *Sim) doInvite(w http.ResponseWriter, r *http.Request) {
	u, ok := s.acting(w, r)
	if !ok {
		return
	}
	if in, ok := s.Installed(u.TeamID); ok {
		if err := s.Invite(r.Context(), u.ID, r.PathValue("place"), in.BotUserID); err != nil {
			s.problem(w, http.StatusBadRequest, "Not added", "The app could not be added to this conversation.", "")
			return
		}
	}
	back(w, r, "/client/"+u.TeamID+"/"+r.PathValue("place"))
}

// pressed is the button of a form: which element, with which choice, and what the other controls held.
type pressed struct {
	where target
	value []string
	state map[string]map[string]Input
}

func readForm(r *http.Request) (p pressed, ok bool) {
	if err := r.ParseForm(); err != nil {
		return p, false
	}
	p.state = map[string]map[string]Input{}
	for name, values := range r.PostForm {
		rest, isField := strings.CutPrefix(name, "v/")
		parts := unfield(rest)
		if !isField || len(parts) != 2 {
			continue
		}
		if p.state[parts[0]] == nil {
			p.state[parts[0]] = map[string]Input{}
		}
		in := Input{Values: slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })}
		in.Value = values[0]
		p.state[parts[0]][parts[1]] = in
	}
	// A link's press arrives as a ping, with the element in the address.
	action := r.PostForm.Get("action")
	if action == "" {
		action = r.URL.Query().Get("action")
	}
	parts := unfield(action)
	if len(parts) < 2 {
		return p, action == ""
	}
	p.where = target{parts[0], parts[1]}
	if len(parts) > 2 {
		p.value = parts[2:3]
	} else if in, ok := p.state[parts[0]][parts[1]]; ok {
		p.value = in.Values
	}
	return p, true
}

// confirmed asks on a page of its own when the element wants a confirmation and the script has not asked already.
func (s *Sim) confirmed(w http.ResponseWriter, r *http.Request, blocks json.RawMessage, where target) bool {
	if r.PostForm.Get("confirmed") != "" {
		return true
	}
	var ask object
	eachElement(blocks, func(b, e object, _ bool) {
		if textOf(b["block_id"]) == where.block && textOf(e["action_id"]) == where.action {
			ask, _ = e["confirm"].(object)
		}
	})
	if ask == nil {
		return true
	}
	word := func(k string) string { o, _ := ask[k].(object); return entities.Replace(textOf(o["text"])) }
	type pair struct{ Name, Value string }
	var fields []pair
	for k, vs := range r.PostForm {
		for _, v := range vs {
			fields = append(fields, pair{k, v})
		}
	}
	slices.SortFunc(fields, func(a, b pair) int { return strings.Compare(a.Name+a.Value, b.Name+b.Value) })
	s.write(w, http.StatusOK, "confirm.html", map[string]any{
		"Title": word("title"), "Text": word("text"), "Yes": word("confirm"), "No": word("deny"), "Fields": fields,
		"To": r.URL.Path, "Back": localPath(r.PostForm.Get("back"), "/"),
	})
	return false
}

func (s *Sim) doActMessage(w http.ResponseWriter, r *http.Request) {
	u, ok := s.acting(w, r)
	if !ok {
		return
	}
	p, ok := readForm(r)
	channel, ts := s.placeID(u, r.PathValue("place")), r.PathValue("ts")
	var blocks json.RawMessage
	for _, m := range s.Messages(channel, u.ID) {
		if m.TS == ts {
			blocks = m.Blocks
		}
	}
	if !ok || blocks == nil {
		s.problem(w, http.StatusNotFound, "That message is gone", "It was deleted or changed in the meantime.", "")
		return
	}
	if !s.confirmed(w, r, blocks, p.where) {
		return
	}
	if _, err := s.pressMessage(r.Context(), u.ID, channel, ts, p.where, p.value, p.state); err != nil {
		s.problem(w, http.StatusConflict, "Nothing happened", "That button is gone, or the app was removed.", "")
		return
	}
	back(w, r, "/client/"+u.TeamID+"/"+r.PathValue("place"))
}

func (s *Sim) doActHome(w http.ResponseWriter, r *http.Request) {
	u, ok := s.acting(w, r)
	if !ok {
		return
	}
	p, _ := readForm(r)
	v, _ := s.Home(u.ID)
	if !s.confirmed(w, r, v.Blocks, p.where) {
		return
	}
	if _, err := s.pressView(r.Context(), u.ID, "", p.where, p.value, p.state); err != nil {
		s.problem(w, http.StatusConflict, "Nothing happened", "That button is gone, or the app was removed.", "")
		return
	}
	back(w, r, "/client/"+u.TeamID+"/home")
}

func (s *Sim) doView(w http.ResponseWriter, r *http.Request) {
	u, ok := s.acting(w, r)
	if !ok {
		return
	}
	p, _ := readForm(r)
	id := r.PathValue("view")
	var err error
	switch r.PostForm.Get("do") {
	case "close":
		_, err = s.CloseView(r.Context(), u.ID, id, false)
	case "submit":
		_, err = s.submit(r.Context(), u.ID, id, p.state)
	default:
		s.mu.Lock()
		v, _ := s.findViewLocked(u.ID, id)
		var blocks json.RawMessage
		if v != nil {
			blocks = v.Blocks
		}
		s.mu.Unlock()
		if !s.confirmed(w, r, blocks, p.where) {
			return
		}
		_, err = s.pressView(r.Context(), u.ID, id, p.where, p.value, p.state)
	}
	if err != nil && !errors.Is(err, ErrNoView) { // a view that is closed already is as good as closed
		s.problem(w, http.StatusConflict, "Nothing happened", "That button is gone, or the app was removed.", "")
		return
	}
	back(w, r, "/client/"+u.TeamID+"/")
}

func (s *Sim) pageRemove(w http.ResponseWriter, r *http.Request) {
	u, ok := s.acting(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	p, err := s.clientLocked(r, u.TeamID, "app", "")
	s.mu.Unlock()
	if err != nil || !p.Installed || !p.CanRemove {
		http.Redirect(w, r, "/client/"+u.TeamID+"/app", http.StatusSeeOther)
		return
	}
	s.write(w, http.StatusOK, "confirm.html", map[string]any{
		"Title": "Remove " + p.App.Name + "?",
		"Text":  p.App.Name + " will lose its access to " + p.Team.Name + " at once. You can add it again at any time.",
		"Yes":   "Remove App", "No": "Keep it", "To": r.URL.Path, "Back": "/client/" + u.TeamID + "/app", "Danger": true,
	})
}

func (s *Sim) doRemove(w http.ResponseWriter, r *http.Request) {
	u, ok := s.acting(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	in := s.installLocked(u.TeamID)
	if in != nil && !in.org && (u.Admin || in.installedBy == u.ID) {
		s.uninstallLocked(in)
	}
	s.mu.Unlock()
	http.Redirect(w, r, "/client/"+u.TeamID+"/app", http.StatusSeeOther)
}

func (s *Sim) uninstallLocked(in *installation) {
	bots, users := s.removeLocked(in)
	// Slack promises no order, so the pages take them in turn.
	order := RevokedFirst
	if s.removals++; s.removals%2 == 0 {
		order = UninstalledFirst
	}
	s.sendUninstallLocked(in, order, bots, users, 0)
}

// --- the consent page

type consentPage struct {
	Title, Query string
	App          App
	Team         Workspace
	Teams        []Workspace
	Me           User
	Permissions  []consentScope
	Held         []permission // asked for, and granted before
	UserScopes   []consentScope
	Channels     []Channel // for the incoming webhook
	Org          string    // the organisation the workspace belongs to, if the app can be installed for all of it
	CanOrg       bool      // by this person
	OrgHasIt     bool
	Already      bool
	Refused      string // why this person cannot press Allow
	Target       string // host of the app's callback
}

type consentScope struct {
	permission
	Optional bool
}

func (s *Sim) pageConsent(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	pick := q.Get("pick_team")
	if old := q.Get("pick_query"); old != "" { // the picker's form brings the whole request along
		q, _ = url.ParseQuery(old)
	}
	s.mu.Lock()
	req, bad := s.checkAuthorizeLocked(q)
	if bad != nil {
		s.mu.Unlock()
		s.authorizeProblem(w, bad)
		return
	}
	// The picker's choice, the app's wish if the person is signed in there, the workspace last used, any.
	team := pick
	if t := s.teamLocked(req.team); team == "" && t != nil && s.signedInLocked(r, t.ID) != nil {
		team = t.ID
	}
	if c, err := r.Cookie("slacksim_last"); team == "" && err == nil {
		team = c.Value
	}
	t := s.teamLocked(team)
	if t == nil && len(s.teams) > 0 {
		t = s.teams[0]
	}
	var me *User
	if t != nil {
		if me = s.signedInLocked(r, t.ID); me == nil {
			me = s.firstAdminLocked(t.ID)
		}
	}
	if me == nil {
		s.mu.Unlock()
		s.authorizeProblem(w, &AuthorizeError{"invalid_team", "Nobody can sign in to that workspace"})
		return
	}
	p := &consentPage{Title: s.app.Name + " is asking for permission", App: s.app, Team: *t, Me: *me}
	in, org := s.installs[t.ID], s.installs[t.EnterpriseID]
	if org != nil {
		in = org // it covers what was installed for one workspace before
	}
	p.Already, p.OrgHasIt = in != nil, org != nil
	for _, x := range req.scopes {
		if in != nil && in.has(x) {
			p.Held = append(p.Held, permission{x, wordsFor(x)})
			continue
		}
		p.Permissions = append(p.Permissions, consentScope{permission{x, wordsFor(x)}, slices.Contains(s.app.OptionalScopes, x)})
	}
	for _, x := range req.userScopes {
		p.UserScopes = append(p.UserScopes, consentScope{permission: permission{x, wordsFor(x)}})
	}
	if slices.Contains(req.scopes, "incoming-webhook") {
		for _, c := range s.channels {
			if !c.im && c.inTeam(t.ID) && c.sees(me) {
				p.Channels = append(p.Channels, c.Channel)
			}
		}
	}
	for _, x := range s.teams {
		p.Teams = append(p.Teams, *x)
	}
	if s.app.OrgReady && t.EnterpriseID != "" {
		p.Org, p.CanOrg = s.enterpriseNameLocked(t.EnterpriseID), s.runsOrgLocked(me, t.EnterpriseID)
	}
	if me.Guest {
		p.Refused = "Guests can’t add apps. Ask a member or an admin of " + t.Name + "."
	}
	to, _ := url.Parse(req.redirect)
	p.Target = to.Host
	p.Query = q.Encode()
	s.mu.Unlock()
	signIn(w, &p.Me)
	// The form ends at the app's callback, which the policy has to allow, too.
	w.Header().Set("Content-Security-Policy", pagePolicy("'self' "+to.Scheme+"://"+to.Host))
	s.write(w, http.StatusOK, "consent.html", p)
}

func (s *Sim) authorizeProblem(w http.ResponseWriter, e *AuthorizeError) {
	s.problem(w, http.StatusBadRequest, "Something went wrong when authorizing this app",
		e.Detail+" Contact the developer of the app if the problem stays.", e.Code)
}

func (s *Sim) doConsent(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.PostFormValue("query"))
	if err != nil {
		s.authorizeProblem(w, &AuthorizeError{"invalid_arguments", "The form was incomplete."})
		return
	}
	s.mu.Lock()
	req, bad := s.checkAuthorizeLocked(q)
	me := s.signedInLocked(r, r.PostForm.Get("team"))
	var to string
	var empty bool // every box was unticked
	if bad == nil && me != nil {
		choice := Choice{Deny: r.PostForm.Get("do") == "cancel", Org: r.PostForm.Get("org") != "", WebhookChannel: r.PostForm.Get("webhook_channel")}
		held := s.installs[me.TeamID]
		if org := s.installs[s.teamLocked(me.TeamID).EnterpriseID]; org != nil {
			held = org
		}
		for _, x := range req.scopes {
			// What is granted already has no box to untick.
			if slices.Contains(s.app.OptionalScopes, x) && !slices.Contains(r.PostForm["optional"], x) && !(held != nil && held.has(x)) {
				choice.Untick = append(choice.Untick, x)
			}
		}
		if empty = !choice.Deny && len(choice.Untick) == len(req.scopes)+len(req.userScopes); !empty {
			to, err = s.decideLocked(req, me.ID, choice)
		}
	}
	s.mu.Unlock()
	var refused *AuthorizeError
	switch {
	case bad != nil:
		s.authorizeProblem(w, bad)
	case me == nil:
		s.problem(w, http.StatusForbidden, "You are signed out", "Go back, reload the page and try again.", "")
	case empty:
		s.problem(w, http.StatusBadRequest, "Nothing is left to allow", "Every permission was unticked. Go back and tick one, or press Cancel there.", "")
	case errors.Is(err, ErrApprovalPending):
		s.problem(w, http.StatusOK, "Your request was sent", "An admin of this workspace has to approve the app first. You can close this page.", "")
	case errors.As(err, &refused):
		s.authorizeProblem(w, refused)
	default:
		w.Header().Set("Referrer-Policy", "no-referrer") // the query holds the state
		http.Redirect(w, r, to, http.StatusFound)
	}
}
