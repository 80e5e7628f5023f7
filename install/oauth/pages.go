package oauth

// The pages people see while they install: plain HTML that works without JavaScript, from one template, with a JSON
// twin for tools. Nothing on them comes from another host.

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/words"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed pages/style.css
var pageStyle string

//go:embed pages/copy.js
var pageScript string

// templates are executed in an app's words only: as a clone, with its own say.
var templates = template.Must(template.New("").Funcs(funcs(nil)).ParseFS(pageFiles, "pages/*.html"))

// funcs are what the templates call.
func funcs(said *words.Sentences) template.FuncMap {
	return template.FuncMap{"say": said.Say, "lang": said.Language, "code": withCode}
}

// withCode is a sentence in which what stands between backticks, as people type it, is shown as code.
func withCode(sentence string) template.HTML {
	var shown strings.Builder
	for {
		before, after, begins := strings.Cut(sentence, "`")
		typed, rest, ends := strings.Cut(after, "`")
		if !begins || !ends {
			return template.HTML(shown.String() + template.HTMLEscapeString(sentence))
		}
		shown.WriteString(template.HTMLEscapeString(before))
		shown.WriteString("<code>" + template.HTMLEscapeString(typed) + "</code>")
		sentence = rest
	}
}

// look is how an app's pages look.
type look struct {
	templates *template.Template
	style     string
	policy    string // Content-Security-Policy
	icon      template.URL
	png       func() ([]byte, error) // the icon for others than browsers, drawn when it is asked for
}

// newLook returns the look of an app's pages.
func newLook(app App) look {
	l := look{
		templates: template.Must(templates.Clone()).Funcs(funcs(app.Words)),
		style:     colors(app.Color) + pageStyle, icon: drawIcon(app.Name, app.Color),
	}
	// The style and the script are the only ones that may run: the policy names their hashes.
	l.policy = fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; img-src data:; form-action 'self'; "+
		"base-uri 'none'; frame-ancestors 'none'",
		sourceHash(l.style), sourceHash(pageScript))
	l.png = sync.OnceValues(func() ([]byte, error) { return drawPNG(app.Name, app.Color) })
	return l
}

func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// App is how the app presents itself on the pages.
type App struct {
	Name       string
	Color      string   // #rrggbb, of its icon and what stands out; "": a quiet blue
	Summary    string   // one sentence: what it does
	Does       []string // the same in steps a newcomer can picture; what they type stands between backticks
	Picture    Picture  // a real answer of it; nothing: none is shown
	DataKept   string   // one or two sentences for the IT team; how long that is kept follows by itself
	Commands   Commands
	Operator   string // who runs this copy; "" is said as such
	SupportURL string // https://… or mailto:…; "" when there is none
	PrivacyURL string
	TermsURL   string
	Version    string
	Words      *words.Sentences // what the library says; nil: in English
}

// Commands are what people can type in Slack about the connection, such as "/connection status". The pages tell people
// to; of one that is "" they don't speak.
type Commands struct{ Status, Reconnect, Disconnect string }

// named is the command for "status", "reconnect" or "disconnect".
func (c Commands) named(name string) string {
	return map[string]string{"status": c.Status, "reconnect": c.Reconnect, "disconnect": c.Disconnect}[name]
}

// action is a link that looks like a button.
type action struct {
	Label string `json:"label"`
	URL   string `json:"url"`
	again bool   // it begins the same install again
}

// of is one answer, as HTML or as JSON.
type page struct {
	Status    int      `json:"-"`
	State     string   `json:"state"` // connected, refused, failed, or "" for pages that end nothing
	Reason    string   `json:"reason"`
	Title     string   `json:"title"`
	Happened  string   `json:"message"`
	Unchanged string   `json:"unchanged,omitempty"`
	Primary   action   `json:"next"`
	Secondary action   `json:"other"`
	More      []action `json:"more,omitempty"`
	Ref       string   `json:"ref,omitempty"`
	Copy      string   `json:"copy,omitempty"` // a message to hand on
	Facts     []string `json:"facts,omitempty"`

	Workspace    string             `json:"workspace,omitempty"`
	Org          bool               `json:"organisation,omitempty"` // Workspace is the name of a whole organisation
	ConnectionID string             `json:"connection,omitempty"`
	Missing      []connection.Scope `json:"missing,omitempty"`
	Undo         string             `json:"undo,omitempty"` // what the button that undoes this install sends
	First        []string           `json:"first_steps,omitempty"`
	Icon         template.URL       `json:"-"` // data: only
	Initial      string             `json:"-"`
	Welcome      *drawn             `json:"-"` // the message that was sent

	outcome    Outcome
	good       bool                  // nothing is wrong
	retryAfter int                   // seconds
	unasked    bool                  // Slack was not asked, so the state can be used again
	undo       connection.Connection // what Undo is made for; no id: nothing to undo
}

// pages is what people see: in the app's words, with our addresses and Slack's.
type pages struct {
	*Config
	look   look
	secure bool // PublicURL is https
}

// of makes the answer for an outcome. params are what its sentences name, besides the app: pairs as words.Say takes
// them.
func (ps *pages) of(s outcome, ref string, params ...any) *page {
	params = append(params, "app", ps.App.Name)
	p := &page{
		Status: s.status, State: string(s.outcome), Reason: s.reason, Ref: ref, outcome: s.outcome,
		good:  s.good || s.status == http.StatusOK && s.outcome != OutcomeRefused,
		Title: ps.say(s.sentence("title"), params...), Happened: ps.say(s.sentence("happened"), params...),
		Primary: ps.action(s.primary, ref, params...), Secondary: ps.action(s.secondary, ref, params...),
	}
	if typed := ps.typed(s, params); typed != "" {
		p.Happened += " " + typed
	}
	if s.unchanged != "" {
		p.Unchanged = ps.say("pages.unchanged."+s.unchanged, params...)
	}

	if s.copyText {
		p.Copy = ps.adminMessage()
		if s.reason == outcomeOrgInstalled.reason {
			p.Copy = ps.addMessage()
		}
	}
	if s.status == http.StatusServiceUnavailable {
		p.retryAfter = 60
	}
	return p
}

// mark is the sign that a page carries.
func (p *page) mark() string {
	switch {
	case p.good:
		return "done"
	case p.outcome == OutcomeFailed:
		return "problem"
	}
	return "note"
}

// say is a sentence of the app's words.
func (ps *pages) say(key string, params ...any) string { return ps.App.Words.Say(key, params...) }

// typed is what people can type to go on, "" where that can't be said of the app.
func (ps *pages) typed(s outcome, params []any) string {
	if len(s.types) == 0 {
		return ""
	}
	key := s.sentence("typed")
	for _, name := range s.types {
		command := ps.App.Commands.named(name)
		if command == "" {
			key = s.sentence("otherwise")
		}
		params = append(params, name, command)
	}
	said, _ := ps.App.Words.Find(key, params...)
	return said
}

// action resolves where a step leads. A step that leads nowhere (there is no support address) is dropped.
func (ps *pages) action(s step, ref string, params ...any) action {
	if s.where == nowhere {
		return action{}
	}
	label := ps.say("pages.step."+s.label, params...)
	switch s.where {
	case toStart, toNew:
		return action{Label: label, URL: ps.Links.PublicURL + "/slack/install", again: s.where == toStart}
	case toLanding:
		return action{Label: label, URL: ps.Links.PublicURL + "/"}
	case toPermissions:
		return action{Label: label, URL: ps.Links.PublicURL + "/?show=permissions#permissions"}
	case toSupport:
		if ps.App.SupportURL != "" {
			return action{Label: label, URL: ps.support(ref)}
		}
		return action{Label: ps.say("pages.step.who_runs"), URL: ps.Links.PublicURL + "/#operator"}
	case toSlackStatus:
		if ps.Slack.ClientURL() == ps.Slack.Address { // a Slack of somebody's own, of which that site knows nothing
			return action{Label: label, URL: ps.Slack.Address}
		}
		return action{Label: label, URL: "https://slack-status.com"}
	case toSlack:
		return action{Label: label, URL: ps.Slack.Address}
	}
	return action{}
}

// support is where people get help, with the reference filled in: as the subject of a mail, or as ?ref= for a site that
// cares.
func (ps *pages) support(ref string) string {
	u, err := url.Parse(ps.App.SupportURL)
	if err != nil || ref == "" || ps.App.SupportURL == "" {
		return ps.App.SupportURL
	}

	query := u.Query()
	if u.Scheme == "mailto" {
		query.Set("subject", ps.say("pages.admin.support_subject", "app", ps.App.Name, "reference", ref))
	} else {
		query.Set("ref", ref)
	}
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // mail programs don't know the plus
	return u.String()
}

// guard sets what every answer of the installer carries.
func (ps *pages) guard(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", ps.look.policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
	if ps.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// show writes p as the visitor likes it. Every ending passes here, so here each is counted and logged by its reason.
func (ps *pages) show(w http.ResponseWriter, r *http.Request, p *page) {
	level := slog.LevelInfo
	switch {
	case p.outcome == OutcomeFailed:
		level = slog.LevelWarn
	case p.Ref == "": // scanners and bookmarks
		level = slog.LevelDebug
	}
	ps.Log.Log(r.Context(), level, "install page", "ref", p.Ref,
		"outcome", string(p.outcome), "reason", p.Reason, "status", p.Status, "connection", p.ConnectionID)
	ps.Ended(p.outcome, p.Reason)
	ps.guard(w)
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if wantsJSON(r) {
		writeJSON(w, p.Status, p)
		return
	}
	ps.render(w, p.Status, "page.html", struct {
		*page
		App    App
		Good   bool
		Help   string // where to get it, with the reference
		Mark   string // done, note or problem
		Brand  template.URL
		Style  template.CSS
		Script template.JS
	}{p, ps.App, p.good, ps.support(p.Ref), p.mark(), ps.look.icon, template.CSS(ps.look.style), template.JS(pageScript)})
}

func (ps *pages) render(w http.ResponseWriter, status int, name string, view any) {
	var b strings.Builder
	if err := ps.look.templates.ExecuteTemplate(&b, name, view); err != nil {
		ps.Log.Error("render page", "page", name, "cause", err)
		http.Error(w, ps.say("pages.page.broken"), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, b.String()) // the visitor may be gone
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the visitor may be gone
}

// wantsJSON reports whether the visitor is a tool: it accepts JSON and did not put HTML first.
func wantsJSON(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		switch kind, _, _ := mime.ParseMediaType(strings.TrimSpace(part)); kind {
		case "application/json":
			return true
		case "text/html", "*/*":
			return false
		}
	}
	return false
}
