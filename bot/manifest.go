package bot

// The manifest tells Slack what the app is. It is made from the handlers, so that a permission or an event can neither
// be forgotten nor linger. https://docs.slack.dev/reference/app-manifest

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Profile is what the manifest says of the app besides what follows from its handlers.
type Profile struct {
	Name            string // at most 35 characters
	Description     string // at most 140
	LongDescription string // 175 to 4,000, or ""
	Color           string // #rrggbb
	// The catalogue of permissions: what handlers declare has to be in it, and nothing else.
	Scopes     []connection.Scope
	UserScopes []connection.Scope // of people who let the app act for them
}

// Manifest is Slack's app manifest, in the order in which it is written. JSON and YAML have the same names.
type Manifest struct {
	Metadata struct {
		Major int `yaml:"major_version" json:"major_version"`
		Minor int `yaml:"minor_version" json:"minor_version"`
	} `yaml:"_metadata" json:"_metadata"`
	Display struct {
		Name            string `yaml:"name" json:"name"`
		Description     string `yaml:"description,omitempty" json:"description,omitempty"`
		LongDescription string `yaml:"long_description,omitempty" json:"long_description,omitempty"`
		Color           string `yaml:"background_color,omitempty" json:"background_color,omitempty"`
	} `yaml:"display_information" json:"display_information"`
	Features struct {
		Home struct {
			HomeTab  bool `yaml:"home_tab_enabled" json:"home_tab_enabled"`
			Messages bool `yaml:"messages_tab_enabled" json:"messages_tab_enabled"`
			ReadOnly bool `yaml:"messages_tab_read_only_enabled" json:"messages_tab_read_only_enabled"`
		} `yaml:"app_home" json:"app_home"`
		BotUser struct {
			Name   string `yaml:"display_name" json:"display_name"`
			Online bool   `yaml:"always_online" json:"always_online"`
		} `yaml:"bot_user" json:"bot_user"`
		Commands []ManifestCommand `yaml:"slash_commands,omitempty" json:"slash_commands,omitempty"`
	} `yaml:"features" json:"features"`
	OAuth struct {
		RedirectURLs []string `yaml:"redirect_urls" json:"redirect_urls"`
		Scopes       struct {
			Bot          []string `yaml:"bot" json:"bot"`
			BotOptional  []string `yaml:"bot_optional,omitempty" json:"bot_optional,omitempty"` // of Bot, may be unticked
			User         []string `yaml:"user,omitempty" json:"user,omitempty"`
			UserOptional []string `yaml:"user_optional,omitempty" json:"user_optional,omitempty"`
		} `yaml:"scopes" json:"scopes"`
	} `yaml:"oauth_config" json:"oauth_config"`
	Settings struct {
		Events struct {
			URL       string   `yaml:"request_url,omitempty" json:"request_url,omitempty"`
			BotEvents []string `yaml:"bot_events" json:"bot_events"`
		} `yaml:"event_subscriptions" json:"event_subscriptions"`
		Interactivity struct {
			Enabled bool   `yaml:"is_enabled" json:"is_enabled"`
			URL     string `yaml:"request_url,omitempty" json:"request_url,omitempty"`
		} `yaml:"interactivity" json:"interactivity"`
		Org      bool `yaml:"org_deploy_enabled" json:"org_deploy_enabled"`
		Socket   bool `yaml:"socket_mode_enabled" json:"socket_mode_enabled"`
		Rotation bool `yaml:"token_rotation_enabled" json:"token_rotation_enabled"`
	} `yaml:"settings" json:"settings"`
}

// ManifestCommand is one slash command.
type ManifestCommand struct {
	Command     string `yaml:"command" json:"command"`
	URL         string `yaml:"url,omitempty" json:"url,omitempty"`
	Description string `yaml:"description" json:"description"`
	Usage       string `yaml:"usage_hint,omitempty" json:"usage_hint,omitempty"`
	Escape      bool   `yaml:"should_escape" json:"should_escape"`
}

// NewManifest describes an app with these handlers that is served at publicURL. It subscribes to what a Bot handles by
// itself, too. It fails when Slack would refuse the
// result, with every reason at once.
func NewManifest(p Profile, handlers []Handler, publicURL string) (Manifest, error) {
	publicURL = strings.TrimRight(publicURL, "/")
	var m Manifest
	m.Metadata.Major = 2
	m.Display.Name, m.Display.Description = p.Name, p.Description
	m.Display.LongDescription, m.Display.Color = p.LongDescription, p.Color
	m.Features.BotUser.Name, m.Features.BotUser.Online = p.Name, true
	m.Features.Home.Messages = true // the welcome message and its answers live there

	requests := publicURL + "/slack/events"
	events := lifecycleSubscriptions(Scopes(handlers))
	for _, h := range handlers {
		switch h.Kind {
		case KindEvent:
			events = append(events, h.Name)
			m.Features.Home.HomeTab = m.Features.Home.HomeTab || h.Name == "app_home_opened"
		case KindMessage:
			events = append(events, h.messageEvents()...)
		case KindCommand:
			m.Features.Commands = append(m.Features.Commands, ManifestCommand{
				Command: h.Name, URL: requests, Description: h.About, Usage: h.Usage, Escape: true,
			})
		case KindAction, KindView, KindClosed:
			m.Settings.Interactivity.Enabled = true
		}
	}
	slices.Sort(events)
	slices.SortFunc(m.Features.Commands, func(a, b ManifestCommand) int { return cmp.Compare(a.Command, b.Command) })
	m.OAuth.RedirectURLs = []string{publicURL + "/slack/oauth_redirect"}
	m.OAuth.Scopes.Bot, m.OAuth.Scopes.BotOptional = Scopes(handlers), optional(p.Scopes)
	m.OAuth.Scopes.User, m.OAuth.Scopes.UserOptional = UserScopes(handlers), optional(p.UserScopes)
	m.Settings.Events.URL, m.Settings.Events.BotEvents = requests, slices.Compact(events)
	m.Settings.Interactivity.URL = requests
	m.Settings.Org = true      // an organisation can install it once for all of its workspaces
	m.Settings.Rotation = true // a token that is stolen ends by itself; install renews ours
	return m, errors.Join(CheckCatalogue(p.Scopes, p.UserScopes, handlers), m.check())
}

// optional returns the names of those permissions that may be unticked, sorted.
func optional(scopes []connection.Scope) []string {
	var names []string
	for _, s := range scopes {
		if s.Optional {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return names
}

// OverSockets is m for an app that Slack reaches through Socket Mode: it sends to no address, and only the installer
// needs one.
func (m Manifest) OverSockets() Manifest {
	m.Settings.Socket = true
	m.Settings.Events.URL, m.Settings.Interactivity.URL = "", ""
	m.Features.Commands = slices.Clone(m.Features.Commands)
	for i := range m.Features.Commands {
		m.Features.Commands[i].URL = ""
	}
	return m
}

var (
	scopeName = regexp.MustCompile(`^[a-z][a-z0-9_.:-]{1,49}$`)
	eventName = regexp.MustCompile(`^[a-z][a-z0-9_.]{1,99}$`)
	color     = regexp.MustCompile(`^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$`)
)

// problems collects what Slack would refuse.
type problems []error

func (p *problems) bad(format string, args ...any) {
	*p = append(*p, fmt.Errorf("manifest: "+format, args...))
}

func (p *problems) length(what, s string, least, most int) {
	if n := utf8.RuneCountInString(s); n < least || n > most {
		p.bad("%s has %d characters, Slack allows %d to %d", what, n, least, most)
	}
}

func (p *problems) address(what, s string, most int) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
		p.bad("%s %q must be an https address without a fragment", what, s)
	}
	p.length(what, s, 1, most)
}

// check holds m against the rules of Slack's manifest reference.
func (m Manifest) check() error {
	var p problems
	p.length("name", m.Display.Name, 1, 35)
	p.length("description", m.Display.Description, 0, 140)
	if m.Display.LongDescription != "" {
		p.length("long_description", m.Display.LongDescription, 175, 4000)
	}
	if m.Display.Color != "" && !color.MatchString(m.Display.Color) {
		p.bad("background_color %q is not of the form #rrggbb", m.Display.Color)
	}
	p.length("bot_user display_name", m.Features.BotUser.Name, 1, 80)
	if n := len(m.Features.Commands); n > 50 {
		p.bad("%d slash commands, Slack allows 50", n)
	}
	for _, c := range m.Features.Commands {
		if !commandName.MatchString(c.Command) {
			p.bad("command %q is not a slash and 1 to 31 letters", c.Command)
		}
		p.length(c.Command+" description", c.Description, 1, 2000)
		p.length(c.Command+" usage_hint", c.Usage, 0, 1000)
		p.address(c.Command+" url", c.URL, 3000)
	}
	m.checkScopes(&p)
	for _, u := range m.OAuth.RedirectURLs {
		p.address("redirect URL", u, 3000)
	}
	p.address("event request_url", m.Settings.Events.URL, 3500)
	m.checkEvents(&p)
	return errors.Join(p...)
}

func (m Manifest) checkScopes(p *problems) {
	if len(m.OAuth.Scopes.Bot) == 0 || len(m.OAuth.Scopes.Bot) > 255 {
		p.bad("%d bot scopes, Slack allows 1 to 255", len(m.OAuth.Scopes.Bot))
	}
	if n := len(m.OAuth.Scopes.User); n > 255 {
		p.bad("%d user scopes, Slack allows 255", n)
	}
	for _, s := range slices.Concat(m.OAuth.Scopes.Bot, m.OAuth.Scopes.User) {
		if !scopeName.MatchString(s) {
			p.bad("scope %q is not a scope's name", s)
		}
	}
}

func (m Manifest) checkEvents(p *problems) {
	if n := len(m.Settings.Events.BotEvents); n > 100 {
		p.bad("%d bot events, Slack allows 100", n)
	}
	for _, e := range m.Settings.Events.BotEvents {
		if !eventName.MatchString(e) {
			p.bad("event %q is not an event's name", e)
		}
		need := eventScopes[e]
		for _, s := range messageScopes {
			if s.event == e {
				need = s.scope
			}
		}
		if !anyOf(need, m.OAuth.Scopes.Bot) {
			p.bad("event %q needs the scope %s", e, strings.ReplaceAll(need, " ", " or "))
		}
	}
}
