package oauth

// The landing page: what somebody who has not installed wants to know, and what their admins and IT team do.

import (
	"cmp"
	"context"
	"fmt"
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
	Counted          string // how many of them are required
	Open             bool   // the permissions are unfolded: somebody comes to read them
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
	shown := min(benefits, len(cfg.App.Does))
	v := landingView{
		App: cfg.App, Address: public + "/", Preview: public + iconPath, Icon: ps.look.icon,
		Benefits: cfg.App.Does[:shown], More: cfg.App.Does[shown:],
		Scopes: cfg.Scopes, Counted: counted(cfg.Scopes), Open: open,
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

// counted says how many permissions there are.
func counted(scopes []connection.Scope) string {
	required := len(connection.Required(scopes))
	return fmt.Sprintf("Permissions: %d required, %d optional", required, len(scopes)-required)
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
	var b strings.Builder
	fmt.Fprintf(&b, "%s, a Slack app\n%s\n\nRun by: %s\n", app.Name, app.Summary,
		cmp.Or(app.Operator, "not stated by the people who run this copy"))

	b.WriteString("\nPermissions (bot):\n")
	for _, s := range ps.Scopes {
		fmt.Fprintf(&b, "- %s%s: %s. %s\n", s.Name, canBeLeftOut(s), s.Label, s.Why)
	}

	host := func(raw string) string {
		if u, err := url.Parse(raw); err == nil {
			return u.Host
		}
		return raw
	}
	fmt.Fprintf(&b, "\nData kept: %s\n", app.DataKept)
	fmt.Fprintf(&b, "Servers: this app runs at %s and talks to %s only.\n",
		host(ps.Links.PublicURL), host(ps.Slack.Address))
	b.WriteString("To remove it: in Slack, open the app's page, choose Configuration, then Remove App.\n")
	for _, at := range [][2]string{{"Privacy", app.PrivacyURL}, {"Terms", app.TermsURL}, {"Support", app.SupportURL}} {
		if at[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", at[0], at[1])
		}
	}
	return b.String()
}

func canBeLeftOut(s connection.Scope) string {
	if s.Optional {
		return ", optional"
	}
	return ""
}

// adminMessage is what a member can send to an admin who has to approve.
func (ps *pages) adminMessage() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Could you approve the Slack app %s for our workspace? %s\n", ps.App.Name, ps.App.Summary)
	fmt.Fprintf(&b, "It is installed from %s, where each permission is explained.\nIt asks for:\n",
		ps.Links.PublicURL+"/")
	for _, s := range ps.Scopes {
		fmt.Fprintf(&b, "- %s (%s%s): %s\n", s.Label, s.Name, canBeLeftOut(s), s.Why)
	}
	return b.String()
}

// addMessage is what somebody can send to an admin of their organisation, which has the app already.
func (ps *pages) addMessage() string {
	return fmt.Sprintf("Our organisation has the Slack app %s already. Could you add it to our workspace, too? "+
		"That is done in Slack's settings of the organisation, on the app's page; nothing has to be installed again.\n",
		ps.App.Name)
}
