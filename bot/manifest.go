package bot

// The manifest tells Slack what the app is. It is made from the handlers, so that a permission or an event can neither
// be forgotten nor linger. https://docs.slack.dev/reference/app-manifest

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/loopback"
)

// Profile is what the manifest says of the app besides what follows from its handlers.
type Profile struct {
	Name            string // 1 to 35 characters
	Description     string // at most 140 characters
	LongDescription string // for Slack's app directory: 175 to 4,000 characters, or ""
	Color           string // #rgb or #rrggbb, behind the app's icon; "": Slack's own

	// Scopes is the catalogue of the bot's permissions: what the handlers declare has to be in it, and nothing else, or
	// it is empty. Those of it that are Optional people can untick. Catalogue makes one.
	Scopes []connection.Scope
	// UserScopes is the same for permissions of people who let the app act for them: see UserCatalogue.
	UserScopes []connection.Scope

	// Agent is for an app that has a handler of OnAgentMessage or another of an agent's. Without a description it has the
	// app's.
	Agent AgentView

	// WorkspacesOnly: organisations can't install it for all of their workspaces at once.
	WorkspacesOnly bool
	// NoRotation asks Slack for tokens that don't end. Slack can't turn rotation off for an app that has it.
	// https://docs.slack.dev/authentication/using-token-rotation
	NoRotation bool
	// NoMessages: people can't write to it, and read nothing from it in a direct message.
	NoMessages bool
	// Metadata is which message metadata it hears of, with a handler of message_metadata_posted or its like: the app that
	// posts it (A…), and its type. https://docs.slack.dev/messaging/message-metadata
	Metadata []slack.ManifestMetadataSubscription
}

// Manifest is Slack's app manifest, as JSON: slack-go's, with the switches of the App Home in it also when they are
// off. https://docs.slack.dev/reference/app-manifest
type Manifest struct {
	slack.Manifest
	Features  Features                    `json:"features"`
	Functions map[string]ManifestFunction `json:"functions,omitempty"` // by callback_id; slack-go has no steps
}

// Features are slack-go's, with an App Home that is always whole.
type Features struct {
	slack.Features
	AppHome   AppHome    `json:"app_home"`
	AgentView *AgentView `json:"agent_view,omitempty"` // which slack-go lacks
}

// AppHome says what the app's own place in Slack has. slack-go leaves out what is false, and Slack doesn't promise to
// take what is left out for false: people could not write to an app whose Messages tab is read-only.
type AppHome struct {
	HomeTab          bool `json:"home_tab_enabled"`               // a page of the app's own for each person
	MessagesTab      bool `json:"messages_tab_enabled"`           // direct messages with the app
	MessagesReadOnly bool `json:"messages_tab_read_only_enabled"` // in which people can't write
}

// NewManifest describes an app with these handlers that is served at publicURL (https://host): with its events,
// commands and interactions at /slack/events, and /slack/oauth_redirect for installs. It subscribes to what a Bot
// handles by itself, too. It fails when Slack would refuse the result, with every reason at once. An http address of
// this machine is let through: Slack sends to no such address, but Socket Mode and a small Slack need nothing else.
func NewManifest(p Profile, handlers []Handler, publicURL string) (Manifest, error) {
	publicURL = strings.TrimRight(publicURL, "/")
	requests := publicURL + "/slack/events"
	m := Manifest{
		Manifest: slack.Manifest{
			Metadata: slack.ManifestMetadata{MajorVersion: 2},
			Display: slack.Display{
				Name: p.Name, Description: p.Description, LongDescription: p.LongDescription, BackgroundColor: p.Color,
			},
			OAuthConfig: slack.OAuthConfig{
				RedirectUrls: []string{publicURL + "/slack/oauth_redirect"},
				Scopes: slack.OAuthScopes{
					Bot: ScopesOf(handlers), BotOptional: optional(p.Scopes),
					User: UserScopesOf(handlers), UserOptional: optional(p.UserScopes),
				},
			},
			Settings: slack.Settings{
				EventSubscriptions: &slack.EventSubscriptions{
					RequestUrl: requests, BotEvents: subscriptions(handlers), MetadataSubscriptions: p.Metadata,
				},
				Interactivity:        &slack.Interactivity{RequestUrl: requests},
				OrgDeployEnabled:     !p.WorkspacesOnly,
				TokenRotationEnabled: !p.NoRotation, // a token that is stolen ends by itself; install renews ours
			},
		},
		Features: Features{
			Features: slack.Features{BotUser: slack.BotUser{DisplayName: p.Name, AlwaysOnline: true}},
			AppHome:  AppHome{MessagesTab: !p.NoMessages}, // the welcome message and its answers live there

			AgentView: agentView(p, handlers),
		},
	}

	for _, h := range handlers {
		switch h.Kind {
		case KindEvent:
			m.Features.AppHome.HomeTab = m.Features.AppHome.HomeTab ||
				slices.Contains(h.subscriptions(), "app_home_opened")
		case KindHome:
			m.Features.AppHome.HomeTab = true
		case KindLink:
			m.Features.UnfurlDomains = append(m.Features.UnfurlDomains, h.Name)
		case KindFunction:
			if m.Functions == nil {
				m.Functions = map[string]ManifestFunction{}
			}
			m.Functions[h.Name] = ManifestFunction{Title: h.Title, Description: h.About,
				Inputs: manifestParameters(h.inputs), Outputs: manifestParameters(h.outputs)}
			m.Settings.FunctionRuntime = slack.ManifestFunctionRuntimeRemote
		case KindShortcut, KindMessageShortcut:
			m.Features.Shortcuts = append(m.Features.Shortcuts, h.manifestShortcut())
		case KindOptions:
			m.Settings.Interactivity.MessageMenuOptionsUrl = requests
		}
		m.Settings.Interactivity.IsEnabled = m.Settings.Interactivity.IsEnabled || h.interactive()
	}

	m.Features.SlashCommands = manifestCommands(handlers, requests)
	return m, errors.Join(CheckCatalogue(p.Scopes, p.UserScopes, handlers), m.check())
}

// subscriptions are the events that Slack sends for these handlers and for what every bot handles by itself, sorted.
func subscriptions(handlers []Handler) []string {
	events := lifecycleSubscriptions(ScopesOf(handlers))
	for _, h := range handlers {
		events = append(events, h.subscriptions()...)
	}
	slices.Sort(events)
	return slices.Compact(events)
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

// OverSockets returns m for an app that Slack reaches through Socket Mode: Slack sends to no address of it, and only
// installs need one.
func (m Manifest) OverSockets() Manifest {
	m.Settings.SocketModeEnabled = true
	events := *m.Settings.EventSubscriptions
	events.RequestUrl = ""
	m.Settings.EventSubscriptions = &events
	m.Settings.Interactivity = &slack.Interactivity{IsEnabled: m.Settings.Interactivity.IsEnabled}

	m.Features.SlashCommands = slices.Clone(m.Features.SlashCommands)
	for i := range m.Features.SlashCommands {
		m.Features.SlashCommands[i].Url = ""
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
	local := err == nil && u.Scheme == "http" && loopback.Is(u.Host)
	if err != nil || u.Scheme != "https" && !local || u.Host == "" || u.Fragment != "" {
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

	if m.Display.BackgroundColor != "" && !color.MatchString(m.Display.BackgroundColor) {
		p.bad("background_color %q is not of the form #rrggbb", m.Display.BackgroundColor)
	}
	p.length("bot_user display_name", m.Features.BotUser.DisplayName, 1, 80)
	if n := len(m.Features.SlashCommands); n > 50 {
		p.bad("%d slash commands, Slack allows 50", n)
	}

	if n := len(m.Features.UnfurlDomains); n > 5 {
		p.bad("%d domains of links, Slack allows 5", n)
	}
	if n := len(m.Features.Shortcuts); n > 10 {
		p.bad("%d shortcuts, Slack allows 10", n)
	}
	if n := len(m.Functions); n > 50 {
		p.bad("%d steps of workflows, Slack allows 50", n)
	}
	if len(m.Functions) > 0 && !m.Settings.OrgDeployEnabled {
		p.bad("Workflow Builder finds steps only of apps that organisations can install: leave WorkspacesOnly out")
	}

	for _, c := range m.Features.SlashCommands {
		if !commandName.MatchString(c.Command) {
			p.bad("command %q is not a slash and 1 to 31 letters", c.Command)
		}
		p.length(c.Command+" description", c.Description, 1, 2000)
		p.length(c.Command+" usage_hint", c.UsageHint, 0, 1000)
		p.address(c.Command+" url", c.Url, 3000)
	}

	m.Features.AgentView.check(&p)
	m.checkScopes(&p)
	for _, u := range m.OAuthConfig.RedirectUrls {
		p.address("redirect URL", u, 3000)
	}

	p.address("event request_url", m.Settings.EventSubscriptions.RequestUrl, 3500)
	m.checkEvents(&p)
	return errors.Join(p...)
}

func (m Manifest) checkScopes(p *problems) {
	switch n := len(m.OAuthConfig.Scopes.Bot); {
	case n == 0: // the Home tab and steps of workflows need none
		p.bad("no permission of the bot, and Slack installs no app without one: give a handler Scopes(%q)", "chat:write")
	case n > 255:
		p.bad("%d bot scopes, Slack allows 255", n)
	}
	if n := len(m.OAuthConfig.Scopes.User); n > 255 {
		p.bad("%d user scopes, Slack allows 255", n)
	}

	for _, s := range slices.Concat(m.OAuthConfig.Scopes.Bot, m.OAuthConfig.Scopes.User) {
		if !scopeName.MatchString(s) {
			p.bad("scope %q is not a scope's name", s)
		}
	}
}

func (m Manifest) checkEvents(p *problems) {
	subscribed := m.Settings.EventSubscriptions
	hears := slices.ContainsFunc(subscribed.BotEvents, func(e string) bool {
		return strings.HasPrefix(e, "message_metadata_")
	})
	if n := len(subscribed.MetadataSubscriptions); n > 20 {
		p.bad("%d metadata_subscriptions, Slack allows 20", n)
	} else if hears != (n > 0) {
		p.bad("message_metadata events come for metadata_subscriptions alone, and the other way round: set both")
	}
	for _, s := range subscribed.MetadataSubscriptions {
		p.length("event_type of metadata", s.EventType, 1, 50)
	}

	if n := len(m.Settings.EventSubscriptions.BotEvents); n > 100 {
		p.bad("%d bot events, Slack allows 100", n)
	}
	for _, e := range m.Settings.EventSubscriptions.BotEvents {
		if !eventName.MatchString(e) {
			p.bad("event %q is not an event's name", e)
		}
		need := eventScopes[e]
		for _, s := range messageScopes {
			if s.event == e {
				need = s.scope
			}
		}
		if !anyOf(need, m.OAuthConfig.Scopes.Bot) {
			p.bad("event %q needs the scope %s", e, strings.ReplaceAll(need, " ", " or "))
		}
	}
}
