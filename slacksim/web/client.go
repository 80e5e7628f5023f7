package web

// The client: a conversation or one of the app's tabs, and what changes in it while somebody looks.

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

type clientPage struct {
	Title, Kind, At string // Kind: channel, dm, home, about, app
	Team            slacksim.Workspace
	Teams           []slacksim.Workspace
	Me              slacksim.User
	People          []slacksim.User // others of the workspace
	Rooms           []room
	App             slacksim.App
	AppIcon         string
	Installed       bool
	Unread          bool // the app wrote to this person since they last looked
	Install         slacksim.Installation
	InstalledBy     string
	Permissions     []permission
	CanRemove       bool
	CanLimit        bool // may take permissions away from it
	AddLink         string
	Org             string // the organisation that has the app, when it is installed organisation-wide
	ManageLink      string // where its admins say which workspaces get it; "" for everybody else

	// a conversation
	Channel   slacksim.Channel
	ChannelID string
	Members   int
	BotIn     bool
	Shared    []string
	Messages  []messageView
	Thread    string
	ReadOnly  bool
	Hint      string

	Shortcuts []slacksim.Shortcut // global ones
	Runs      []runView           // of the app's workflow steps

	Agent *agentView
	Home  *viewView
	Modal *viewView
}

type room struct {
	ID, Name string
	Private  bool
	Current  bool
	Shared   []string // the other companies in it
}

type permission struct {
	Scope, Words string
	Optional     bool // on the consent page
}

func permissions(scopes []string) (out []permission) {
	for _, x := range scopes {
		out = append(out, permission{Scope: x, Words: slacksim.ScopeWords(x)})
	}
	return out
}

type messageView struct {
	TS, Name, Icon, Time, ISO, Day string
	App, Ephemeral, Edited, Follow bool
	CanInvite                      bool // Slack's note that a mentioned app is not in the channel
	Text, Blocks                   template.HTML
	Reactions                      []reactionView
	Replies                        int
	Thread                         string
	InThread                       bool
	Act, Menu                      string
	Shortcuts                      []slacksim.Shortcut
	Unfurls                        []unfurlView
	Change                         string // the page where this person edits or deletes it; "" where they can't
	Own                            bool   // this person wrote it
	Files                          []fileView
	Streaming                      bool   // the app is still writing it
	Session                        string // of an agent, in the thread below it
}

type fileView struct {
	Name, Link string
	Size       int
}

// unfurlView is what the app shows for a link.
type unfurlView struct {
	URL  string
	Body template.HTML
	Form bool // it has blocks
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

var errNoConversation = errors.New("no such conversation, or the person is not in it")

// look is what a page shows to a person who has it before them, and so has read what the app wrote if it is there.
func (s *site) look(me slacksim.User, place, thread string) (*clientPage, error) {
	if place == "dm" || place == s.sim.DM(me.ID) {
		s.sim.Forms.Look(me.ID)
	}
	return s.client(me, place, thread)
}

// screen is a page while it is worked out.
type screen struct {
	sim *slacksim.Sim
	p   *clientPage
	n   names
}

// client works out what a page shows. It changes nothing: live updates come through here, too.
func (s *site) client(me slacksim.User, place, thread string) (*clientPage, error) {
	p := &clientPage{Me: me, App: s.sim.App(), Teams: s.sim.Directory.Workspaces(), Thread: thread,
		At: "/client/" + me.TeamID + "/" + place}
	p.Team, _ = s.sim.Directory.Workspace(me.TeamID)
	p.AppIcon, p.App.Name = p.App.ID, cmp.Or(p.App.Name, "App")
	if thread != "" {
		p.At += "?thread=" + url.QueryEscape(thread)
	}
	p.People = slices.DeleteFunc(s.sim.Directory.Users(me.TeamID), func(u slacksim.User) bool {
		return u.ID == me.ID || u.Deleted
	})

	p.AddLink = safeURL(p.App.InstallURL)
	if p.Install, p.Installed = s.sim.Installed(p.Team.ID); p.Installed {
		p.InstalledBy, _ = s.sim.Directory.Name(p.Install.InstalledBy)
		p.Permissions = permissions(p.Install.Scopes)
		p.CanRemove, p.CanLimit = mayRemove(me, p.Install), s.mayLimit(me, p.Install)
	}
	if _, forAll := s.sim.Installed(p.Team.EnterpriseID); forAll {
		p.Org, _ = s.sim.Directory.Name(p.Team.EnterpriseID)
		if s.sim.Directory.RunsOrganisation(me.ID, p.Team.EnterpriseID) {
			p.ManageLink = managePath(p.Team.EnterpriseID, p.App)
		}
	}

	sc := screen{sim: s.sim, p: p, n: namesFor(s.sim, me)}
	if err := sc.addPlace(place); err != nil {
		return nil, err
	}
	sc.addRooms()
	p.Shortcuts = sc.shortcuts(false)
	// Who looks at the messages has read them, whatever came since that was noted.
	p.Unread = p.Installed && p.Kind != "dm" && s.sim.Directory.Unread(me.ID)
	if open := s.sim.OpenViews(me.ID); len(open) > 0 {
		v := open[len(open)-1]
		p.Modal = sc.view(v, v.AppGone, "/client/"+me.TeamID+"/view/"+v.ID+"/act")
		p.Modal.Depth = len(open)
	}
	return p, nil
}

func namesFor(sim *slacksim.Sim, me slacksim.User) names {
	return names{
		user: func(id string) string { name, _ := sim.Directory.Name(id); return name },
		channel: func(id string) string {
			if c, ok := sim.Directory.Channel(id); ok && c.VisibleTo(me) {
				return c.Name
			}
			return ""
		},
		zone: me.Location(), now: sim.Now(), self: me.ID,
	}
}

// addPlace adds what is at a place of the client: "home", "about", "app", "dm" or a conversation's id.
func (s screen) addPlace(place string) error {
	p := s.p
	switch place {
	case "home", "about", "app":
		p.Kind = place
		p.Title = p.App.Name + map[string]string{"about": " · About", "app": " · App"}[place]
		if v, ok := s.sim.Home(p.Me.ID); ok && place == "home" {
			p.Home = s.view(v, v.AppGone || !p.Installed, "/client/"+p.Team.ID+"/home/act")
		}
		if place == "app" {
			p.Runs = s.runs()
		}
		return nil
	case "dm":
		p.ReadOnly = !p.App.MessagesTab
		place = s.sim.DM(p.Me.ID)
	}

	c, ok := s.sim.Directory.Channel(place)
	if !ok || !c.VisibleTo(p.Me) {
		return errNoConversation
	}
	p.Kind, p.Title = "channel", "#"+c.Name
	if c.ID == s.sim.DM(p.Me.ID) {
		p.Kind, p.Title = "dm", p.App.Name
	}
	p.Channel, p.ChannelID, p.Members = c, c.ID, len(c.Members)
	p.BotIn = !p.Installed || p.Kind == "dm" || slices.Contains(c.Members, p.Install.BotUserID)
	p.Shared = s.sharedWith(c)
	p.Messages = s.messages(s.sim.Messages(c.ID, p.Me.ID))
	p.Hint = "Message " + p.Title
	p.Agent = s.agent()
	return nil
}

// shortcuts are those of the app that its workspace has.
func (s screen) shortcuts(onMessage bool) (out []slacksim.Shortcut) {
	if !s.p.Installed || !slices.Contains(s.p.Install.Scopes, "commands") {
		return nil
	}
	for _, x := range s.p.App.Shortcuts {
		if x.OnMessage == onMessage {
			out = append(out, x)
		}
	}
	return out
}

// addRooms adds the channels of the sidebar.
func (s screen) addRooms() {
	for _, c := range s.sim.Directory.Channels(s.p.Team.ID) {
		if c.VisibleTo(s.p.Me) {
			s.p.Rooms = append(s.p.Rooms, room{ID: c.ID, Name: c.Name, Private: c.Private,
				Current: c.ID == s.p.ChannelID, Shared: s.sharedWith(c)})
		}
	}
}

// sharedWith names the workspaces that are in a channel besides this one.
func (s screen) sharedWith(c slacksim.Channel) (others []string) {
	for _, id := range append([]string{c.TeamID}, c.SharedWith...) {
		if name, _ := s.sim.Directory.Name(id); name != "" && id != s.p.Team.ID {
			others = append(others, name)
		}
	}
	return others
}

// offered are the options that the person was offered in a message or view.
func (s screen) offered(at string) func(block, action string) []slacksim.Option {
	return func(block, action string) []slacksim.Option { return s.sim.Forms.Offered(s.p.Me.ID, at, block, action) }
}

// choices fills the select menus of people and channels.
func (s screen) choices(kind string) (out []option) {
	if kind == "users_select" {
		for _, u := range s.sim.Directory.Users(s.p.Team.ID) {
			if !u.Deleted {
				out = append(out, option{Value: u.ID, Text: u.RealName})
			}
		}
		return out
	}
	for _, c := range s.sim.Directory.Channels(s.p.Team.ID) {
		if c.VisibleTo(s.p.Me) && !(kind == "channels_select" && c.Private) {
			out = append(out, option{Value: c.ID, Text: "#" + c.Name})
		}
	}
	return out
}

func (s screen) view(v slacksim.View, dead bool, act string) *viewView {
	f := surface{names: s.n, inView: v.Type == "modal", offered: s.offered(v.ID), dead: dead, typed: v.Typed,
		errors: v.Errors, prefix: v.ID, choices: s.choices, pingTo: act}
	return &viewView{ID: v.ID, Title: v.Title, Submit: v.Submit, Close: cmp.Or(v.Close, "Cancel"),
		Body: f.blocks(v.Blocks), Error: v.Errors[""], Act: act}
}

// messages are those of a conversation that the page shows: all but replies, or those of one thread.
func (s screen) messages(all []slacksim.Message) (out []messageView) {
	replies := map[string]int{}
	for _, m := range all {
		if isReply(m) && !m.Deleted && !m.Ephemeral {
			replies[m.ThreadTS]++
		}
	}

	thread := s.p.Thread
	var before *slacksim.Message
	for i := range all {
		m := &all[i]
		if m.Deleted && replies[m.TS] == 0 || thread != "" && m.TS != thread && m.ThreadTS != thread {
			continue
		}
		// What the app tells one person in a thread shows in the channel, too. What Slack tells does not.
		if thread == "" && isReply(*m) && (!m.Ephemeral || m.User == slacksim.Slackbot) {
			continue
		}
		v := s.message(m)
		v.Replies = replies[m.TS]
		placeBelow(before, m, &v, s.n)
		out = append(out, v)
		before = m
	}
	return out
}

func isReply(m slacksim.Message) bool { return m.ThreadTS != "" && m.ThreadTS != m.TS }

func (s screen) message(m *slacksim.Message) messageView {
	p, at := s.p, m.At.In(s.n.zone)
	if m.Deleted {
		return messageView{TS: m.TS, Thread: m.TS, Name: "Slackbot", Icon: slacksim.Slackbot,
			Text: "This message was deleted.", Time: at.Format("3:04 PM"), ISO: at.UTC().Format(time.RFC3339)}
	}
	v := messageView{TS: m.TS, Time: at.Format("3:04 PM"), ISO: at.UTC().Format(time.RFC3339),
		Ephemeral: m.Ephemeral, Edited: m.Edited, CanInvite: m.OffersApp, Text: s.n.mrkdwn(m.Text),
		Icon: m.User, Thread: m.TS, InThread: isReply(*m), Streaming: m.Streaming == "in_progress",
		Session: s.session(m.TS),
		Act:     "/client/" + p.Me.TeamID + "/" + p.ChannelID + "/" + m.TS + "/act"}

	v.Name, v.App = s.sim.Directory.Name(m.User)
	if v.App {
		v.Icon = p.App.ID
	}
	if m.Username != "" {
		v.Name, v.App, v.Icon = m.Username, true, cmp.Or(m.AppID, v.Icon)
	}
	if mayChange(p.Me, m) {
		v.Own = m.User == p.Me.ID
		v.Change = "/client/" + p.Me.TeamID + "/" + p.ChannelID + "/" + m.TS + "/change"
	}
	for _, f := range m.Files {
		v.Files = append(v.Files, fileView{Name: f.Name, Size: len(f.Content),
			Link: "/client/" + p.Me.TeamID + "/files/" + f.ID})
	}
	if u, ok := s.sim.Directory.User(m.User); ok && u.TeamID != p.Me.TeamID {
		if home, _ := s.sim.Directory.Name(u.TeamID); home != "" {
			v.Name += " (" + home + ")"
		}
	}

	if !m.Ephemeral {
		v.Shortcuts = s.shortcuts(true)
		v.Menu = "/client/" + p.Me.TeamID + "/" + p.ChannelID + "/" + m.TS + "/shortcut"
	}
	if m.Blocks != nil {
		f := surface{names: s.n, dead: m.AppGone, prefix: "m" + m.TS, choices: s.choices, offered: s.offered(m.TS),
			pingTo: v.Act}
		v.Blocks = f.blocks(m.Blocks)
	}
	for _, at := range slices.Sorted(maps.Keys(m.Unfurls)) {
		u := m.Unfurls[at]
		f := surface{names: s.n, dead: !p.Installed, prefix: "u" + m.TS, choices: s.choices, offered: s.offered(m.TS),
			pingTo: v.Act}
		v.Unfurls = append(v.Unfurls, unfurlView{URL: at, Body: f.unfurl(u), Form: u.Blocks != nil})
	}
	for _, name := range slices.Sorted(maps.Keys(m.Reactions)) {
		emoji := cmp.Or(emojis[name], ":"+name+":")
		v.Reactions = append(v.Reactions, reactionView{Name: name, Emoji: emoji, Count: len(m.Reactions[name])})
	}
	return v
}

// unfurl shows what an app has for a link: blocks, or an attachment's words.
func (f surface) unfurl(u slacksim.Unfurl) template.HTML {
	if u.Blocks != nil {
		return f.blocks(u.Blocks)
	}
	var words struct{ Title, Text, Fallback string }
	_ = json.Unmarshal(u.Attachment, &words)
	out := template.HTML("")
	if title := cmp.Or(words.Title, u.Title); title != "" {
		out = template.HTML("<strong>" + esc(title) + "</strong> ")
	}
	return out + f.mrkdwn(cmp.Or(words.Text, words.Fallback))
}

// placeBelow says how a message stands below the one before it: on a new day, or as more of the same.
func placeBelow(before, m *slacksim.Message, v *messageView, n names) {
	at := m.At.In(n.zone)
	if before != nil && before.At.In(n.zone).YearDay() == at.YearDay() && before.At.Year() == m.At.Year() {
		v.Follow = before.User == m.User && before.Username == m.Username && !before.Deleted &&
			before.Ephemeral == m.Ephemeral && m.At.Sub(before.At) < 5*time.Minute
		return
	}
	day := n.dateWord(at, "{day_divider_pretty}")
	v.Day = strings.ToUpper(day[:1]) + day[1:]
}

func (s *site) pageClient(w http.ResponseWriter, r *http.Request) {
	team, place := r.PathValue("team"), r.PathValue("place")
	if _, ok := s.sim.Directory.Workspace(team); !ok {
		problem(w, http.StatusNotFound, "No such workspace", "This Slack has no workspace with that address.", "")
		return
	}
	me, ok := s.signedIn(r, team)
	if !ok {
		// One click is all it takes to sign in, on the start page.
		http.Redirect(w, r, "/#"+url.QueryEscape(team), http.StatusSeeOther)
		return
	}

	p, err := s.look(me, place, r.URL.Query().Get("thread"))
	if err != nil {
		problem(w, http.StatusNotFound, "No such conversation", "It does not exist, or you are not a member of it.", "")
		return
	}
	setCookie(w, lastCookie, team)
	agentForms{s}.notice(r, p)
	if p.Installed && (place == "home" || place == "dm") {
		// app_home_opened tells that a tab was opened. The live updates of the page are no such thing.
		_ = s.sim.OpenHome(r.Context(), me.ID, map[string]string{"home": "home", "dm": "messages"}[place])
	}
	write(w, http.StatusOK, "client.html", p)
}

// regions are the parts of a client page that change while one looks at it.
var regions = []string{"sidebar", "thread", "content", "modal"}

// live sends the regions of a page whenever they change, as Server-Sent Events, until the person signs out or leaves.
func (s *site) live(w http.ResponseWriter, r *http.Request) {
	at, err := url.Parse(r.URL.Query().Get("at"))
	if err != nil {
		at = &url.URL{} // the address of no page
	}
	parts := strings.Split(strings.Trim(at.EscapedPath(), "/"), "/")
	flush, ok := w.(http.Flusher)
	if len(parts) != 3 || parts[0] != "client" || !ok {
		http.Error(w, "at must be the address of a client page", http.StatusBadRequest)
		return
	}

	w.Header().Set("Content-Type", "text/event-stream")
	sent := map[string]string{}
	for {
		changed := s.sim.Changed() // taken before looking, so that no change falls between
		me, ok := s.signedIn(r, parts[1])
		if !ok {
			return
		}
		p, err := s.look(me, parts[2], at.Query().Get("thread"))
		if err != nil || sendChanged(w, p, sent) != nil {
			return
		}
		flush.Flush()

		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// sendChanged sends the regions that differ from what was sent before.
func sendChanged(w http.ResponseWriter, p *clientPage, sent map[string]string) error {
	for _, name := range regions {
		if name == "thread" && p.Thread == "" {
			continue // there is no such part
		}
		var b bytes.Buffer
		if err := pageTemplates.ExecuteTemplate(&b, name, p); err != nil {
			return err
		}
		html := b.String()
		if before, known := sent[name]; known && before == html {
			continue
		}
		sent[name] = html
		msg, _ := json.Marshal(map[string]string{"region": name, "html": html})
		if _, err := fmt.Fprintf(w, "data: %s\n\n", msg); err != nil {
			return err
		}
	}
	return nil
}
