package oauth

// The landing page: what somebody who has not installed wants to know, and what their admins and IT team do.

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
)

// landing answers GET /: what the app does, what it asks for, who runs it, and the button.
func (f *Flow) landing(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), startBudget)
	defer cancel()
	ref := links.NewRef()
	if s := f.unready(ctx, ref, &outcomeUpdating); s != nil {
		f.pages.show(w, r, f.pages.of(*s, ref))
		return
	}
	f.pages.landing(w, r)
}

// landing writes the landing page as the visitor likes it.
func (ps *pages) landing(w http.ResponseWriter, r *http.Request) {
	ps.guard(w)
	if wantsJSON(r) {
		writeJSON(w, http.StatusOK, ps.landingFacts())
		return
	}
	ps.render(w, http.StatusOK, "landing.html", ps.landingView(r.URL.Query().Get("show") == "permissions"))
}

// landingView is what the template of the landing page takes.
type landingView struct {
	App              App
	Address, Preview string // of the page, and of the picture beside a link to it
	Icon             template.URL
	Picture          *drawn
	Benefits, More   []string // of what the app does
	Scopes           []connection.Scope
	Required         int // of them
	Optional         int
	Open             bool // the permissions are unfolded: somebody comes to read them
	InstallURL       string
	Single           bool
	Closed, Some     bool // nobody new may connect; some may
	Ask              string
	IT, Request      string
	Style            template.CSS
	Script           template.JS
}

// benefits is how much of what an app does is seen without unfolding anything.
const benefits = 3

func (ps *pages) landingView(open bool) landingView {
	cfg, public := ps.Config, ps.Links.PublicURL
	required := len(connection.Required(cfg.Scopes))
	shown := min(benefits, len(cfg.App.Does))
	v := landingView{
		App: cfg.App, Address: public + "/", Preview: public + iconPath, Icon: ps.look.icon,
		Benefits: cfg.App.Does[:shown], More: cfg.App.Does[shown:],
		Scopes: cfg.Scopes, Required: required, Optional: len(cfg.Scopes) - required, Open: open,
		InstallURL: public + "/slack/install", Single: !cfg.Mode.Consents(),
		Closed: cfg.Closed && len(cfg.Admit) == 0, Some: cfg.Closed && len(cfg.Admit) > 0, Ask: ps.support(""),
		IT: ps.itBlock(), Request: ps.adminMessage(),
		Style: template.CSS(ps.look.style), Script: template.JS(pageScript),
	}
	if p := cfg.App.Picture; p.Text != "" {
		picture := ps.draw(p)
		v.Picture = &picture
	}
	return v
}

// landingFacts are the landing page for a tool.
func (ps *pages) landingFacts() map[string]any {
	type scope struct {
		Scope    string `json:"scope"`
		Label    string `json:"label"`
		Why      string `json:"why"`
		Optional bool   `json:"optional"`
	}

	app, scopes := ps.App, make([]scope, len(ps.Scopes))
	for i, s := range ps.Scopes {
		scopes[i] = scope{Scope: s.Name, Label: s.Label, Why: s.Why, Optional: s.Optional}
	}
	facts := map[string]any{
		"app": app.Name, "summary": app.Summary, "operator": app.Operator, "scopes": scopes,
		"install_url": ps.Links.PublicURL + "/slack/install",
		"support_url": app.SupportURL, "privacy_url": app.PrivacyURL, "terms_url": app.TermsURL,
	}

	switch {
	case !ps.Mode.Consents():
		delete(facts, "install_url")
		facts["reason"] = outcomeSingleWorkspace.reason
	case ps.Closed:
		facts["reason"] = outcomeClosed.reason
	}
	return facts
}

// itBlock is what an IT team wants to know before it approves.
func (ps *pages) itBlock() string {
	app := ps.App
	lines := []string{ps.say("pages.it.app", "app", app.Name), app.Summary, ""}
	if app.Operator != "" {
		lines = append(lines, ps.say("pages.it.operator", "operator", app.Operator))
	} else {
		lines = append(lines, ps.say("pages.it.operator_unknown"))
	}

	lines = append(lines, "", ps.say("pages.it.permissions"))
	lines = append(lines, ps.listed("pages.it.permission")...)

	host := func(raw string) string {
		if u, err := url.Parse(raw); err == nil {
			return u.Host
		}
		return raw
	}
	lines = append(lines, "", ps.say("pages.it.kept", "kept", app.DataKept),
		ps.say("pages.it.servers", "ours", host(ps.Links.PublicURL), "slack", host(ps.Slack.Address)),
		ps.say("pages.it.remove"))
	for _, at := range [][2]string{{"privacy", app.PrivacyURL}, {"terms", app.TermsURL}, {"support", app.SupportURL}} {
		if at[1] != "" {
			lines = append(lines, ps.say("pages.it."+at[0], "address", at[1]))
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// listed says a line for each permission: that of a key, or of a key like it for those that can be left out.
func (ps *pages) listed(key string) (lines []string) {
	for _, s := range ps.Scopes {
		of := key
		if s.Optional {
			of += "_optional"
		}
		lines = append(lines, ps.say(of, "scope", s.Name, "label", s.Label, "why", s.Why))
	}
	return lines
}

// adminMessage is what a member can send to an admin who has to approve.
func (ps *pages) adminMessage() string {
	lines := []string{
		ps.say("pages.admin.approve", "app", ps.App.Name, "summary", ps.App.Summary),
		ps.say("pages.admin.explained", "address", ps.Links.PublicURL+"/"), ps.say("pages.admin.asks"),
	}
	return strings.Join(append(lines, ps.listed("pages.admin.permission")...), "\n") + "\n"
}

// addMessage is what somebody can send to an admin of their organisation, which has the app already.
func (ps *pages) addMessage() string { return ps.say("pages.admin.add", "app", ps.App.Name) + "\n" }
