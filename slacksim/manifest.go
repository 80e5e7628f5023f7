package slacksim

// The app's settings as Slack exports and takes them: its manifest. docs.slack.dev/reference/app-manifest

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/slacksim/internal/manifest"
)

// ManifestError is a manifest that Slack refuses, with every reason.
type ManifestError struct{ Problems []ManifestProblem }

// ManifestProblem is one reason why a manifest is refused. Pointer says where, as a JSON pointer.
type ManifestProblem = manifest.Problem

// Error is all problems, one a line.
func (e *ManifestError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = "manifest: " + p.Pointer + ": " + p.Message
	}
	return strings.Join(lines, "\n")
}

var manifestScopes = manifest.Scopes{Bot: knownBotScope, User: knownUserScope, Events: eventScopes}

// Manifest is the app's manifest, as apps.manifest.export has it: what SetManifest was given, with what was changed in
// App since.
func (a App) Manifest() json.RawMessage {
	doc := a.manifest.Clone()
	doc.Put(a.Name, "display_information", "name")
	doc.Put(a.Description, "display_information", "description")
	doc.Put(a.Color, "display_information", "background_color")
	doc.Put(cmp.Or(doc.Text("features", "bot_user", "display_name"), a.Name), "features", "bot_user", "display_name")
	doc.Put(a.HomeTab, "features", "app_home", "home_tab_enabled")
	doc.Put(a.MessagesTab, "features", "app_home", "messages_tab_enabled")
	a.putFeatures(doc)

	doc.Put(a.RedirectURLs, "oauth_config", "redirect_urls")
	doc.Put(a.BotScopes, "oauth_config", "scopes", "bot")
	doc.Put(a.UserScopes, "oauth_config", "scopes", "user")
	doc.Put(both(a.OptionalScopes, a.BotScopes), "oauth_config", "scopes", "bot_optional")
	doc.Put(both(a.OptionalScopes, a.UserScopes), "oauth_config", "scopes", "user_optional")

	doc.Put(a.EventsURL, "settings", "event_subscriptions", "request_url")
	doc.Put(a.Events, "settings", "event_subscriptions", "bot_events")
	doc.Put(!a.NoInteractivity, "settings", "interactivity", "is_enabled")
	reached := cmp.Or(a.InteractivityURL, a.EventsURL)
	if a.NoInteractivity || a.SocketMode {
		reached = a.InteractivityURL
	}
	doc.Put(reached, "settings", "interactivity", "request_url")
	doc.Put(a.OptionsURL, "settings", "interactivity", "message_menu_options_url")
	doc.Put(a.OrgReady, "settings", "org_deploy_enabled")
	doc.Put(a.SocketMode, "settings", "socket_mode_enabled")
	doc.Put(a.TokenRotation, "settings", "token_rotation_enabled")

	out, _ := json.Marshal(doc)
	return out
}

// putFeatures writes the lists of what people find in Slack.
func (a App) putFeatures(doc manifest.Document) {
	commands := []any{}
	for _, c := range a.Commands {
		x := manifest.Document{"command": c.Name, "description": cmp.Or(c.Description, c.Name), "should_escape": c.ShouldEscape}
		if c.UsageHint != "" {
			x["usage_hint"] = c.UsageHint
		}
		if url := a.urlFor("command", c.Name); url != "" && !a.SocketMode {
			x["url"] = url
		}
		commands = append(commands, x)
	}
	doc.Put(commands, "features", "slash_commands")

	shortcuts := []any{}
	for _, x := range a.Shortcuts {
		kind := map[bool]string{true: "message", false: "global"}[x.OnMessage]
		shortcuts = append(shortcuts, manifest.Document{"name": x.Name, "type": kind, "callback_id": x.CallbackID,
			"description": x.Description})
	}
	doc.Put(shortcuts, "features", "shortcuts")
	doc.Put(a.UnfurlDomains, "features", "unfurl_domains")

	if a.Agent == nil {
		doc.Put("", "features", "agent_view")
	} else {
		view, prompts, actions := manifest.Document{"agent_description": a.Agent.Description}, []any{}, []any{}
		for _, x := range a.Agent.Prompts {
			prompts = append(prompts, manifest.Document{"title": x.Title, "message": x.Message})
		}
		for _, x := range a.Agent.Actions {
			actions = append(actions, manifest.Document{"name": x.Name, "description": x.Description})
		}
		view.Put(prompts, "suggested_prompts")
		view.Put(actions, "actions")
		doc.Put(view, "features", "agent_view")
	}

	functions := manifest.Document{}
	for _, f := range a.Functions {
		functions[f.CallbackID] = manifest.Document{"title": f.Title, "description": f.Description,
			"input_parameters": parametersDocument(f.Inputs), "output_parameters": parametersDocument(f.Outputs)}
	}
	doc.Put(functions, "functions")
}

func parametersDocument(list []Parameter) manifest.Document {
	properties, required := manifest.Document{}, []any{}
	for _, p := range list {
		x := manifest.Document{"type": p.Type}
		x.Put(p.Title, "title")
		x.Put(p.Description, "description")
		properties[p.Name] = x
		if p.Required {
			required = append(required, p.Name)
		}
	}
	out := manifest.Document{"properties": properties}
	out.Put(required, "required")
	return out
}

// SetManifest makes the settings those of a manifest, all of them: what the manifest leaves out is off. Its ID and
// credentials, and what no manifest tells, stay. A manifest that Slack refuses changes nothing and is a *ManifestError.
func (a *App) SetManifest(raw []byte) error {
	doc, problems := manifest.Read(raw, manifestScopes)
	if a.TokenRotation && !doc.On("settings", "token_rotation_enabled") {
		problems = append(problems, manifest.Problem{Message: "Token rotation can't be turned off",
			Pointer: "/settings/token_rotation_enabled"})
	}
	if len(problems) > 0 {
		return &ManifestError{Problems: problems}
	}

	if a.Color != "" && doc.Text("display_information", "background_color") == "" {
		doc.Put(a.Color, "display_information", "background_color") // it can be changed, and not taken away
	}
	a.manifest = doc
	a.Name = doc.Text("display_information", "name")
	a.Description = doc.Text("display_information", "description")
	a.Color = doc.Text("display_information", "background_color")
	a.readFeatures(doc)

	a.RedirectURLs = doc.Words("oauth_config", "redirect_urls")
	a.BotScopes = doc.Words("oauth_config", "scopes", "bot")
	a.UserScopes = doc.Words("oauth_config", "scopes", "user")
	a.OptionalScopes = append(doc.Words("oauth_config", "scopes", "bot_optional"),
		doc.Words("oauth_config", "scopes", "user_optional")...)

	a.SocketMode = doc.On("settings", "socket_mode_enabled")
	was := a.EventsURL
	a.EventsURL = doc.Text("settings", "event_subscriptions", "request_url")
	a.EventsUnverified = a.EventsURL != "" && (a.EventsUnverified || a.EventsURL != was)
	a.Events = doc.Words("settings", "event_subscriptions", "bot_events")
	a.NoInteractivity = !doc.On("settings", "interactivity", "is_enabled")
	a.InteractivityURL = doc.Text("settings", "interactivity", "request_url")
	a.OptionsURL = doc.Text("settings", "interactivity", "message_menu_options_url")
	a.OrgReady = doc.On("settings", "org_deploy_enabled")
	a.TokenRotation = doc.On("settings", "token_rotation_enabled")
	return nil
}

// readFeatures takes over what people find in Slack.
func (a *App) readFeatures(doc manifest.Document) {
	a.HomeTab = doc.On("features", "app_home", "home_tab_enabled")
	a.MessagesTab = doc.On("features", "app_home", "messages_tab_enabled")
	a.UnfurlDomains = doc.Words("features", "unfurl_domains")

	a.Commands, a.CommandsURL, a.Shortcuts, a.Functions, a.Agent = nil, "", nil, nil, nil
	for _, x := range doc.Parts("features", "slash_commands") {
		a.Commands = append(a.Commands, Command{Name: x.Text("command"), Description: x.Text("description"),
			UsageHint: x.Text("usage_hint"), ShouldEscape: x.On("should_escape"), URL: x.Text("url")})
	}
	for _, x := range doc.Parts("features", "shortcuts") {
		a.Shortcuts = append(a.Shortcuts, Shortcut{Name: x.Text("name"), CallbackID: x.Text("callback_id"),
			Description: x.Text("description"), OnMessage: x.Text("type") == "message"})
	}

	functions := doc.Part("functions")
	for _, id := range functions.Keys() {
		x := functions.Part(id)
		a.Functions = append(a.Functions, Function{CallbackID: id, Title: x.Text("title"),
			Description: x.Text("description"), Inputs: parametersOf(x.Part("input_parameters")),
			Outputs: parametersOf(x.Part("output_parameters"))})
	}

	if view := doc.Part("features", "agent_view"); view != nil {
		a.Agent = &AgentView{Description: view.Text("agent_description")}
		for _, x := range view.Parts("suggested_prompts") {
			a.Agent.Prompts = append(a.Agent.Prompts, Prompt{Title: x.Text("title"), Message: x.Text("message")})
		}
		for _, x := range view.Parts("actions") {
			a.Agent.Actions = append(a.Agent.Actions,
				AgentAction{Name: x.Text("name"), Description: x.Text("description")})
		}
	}
}

func parametersOf(doc manifest.Document) (list []Parameter) {
	properties := doc.Part("properties")
	for _, name := range properties.Keys() {
		x := properties.Part(name)
		list = append(list, Parameter{Name: name, Title: x.Text("title"), Description: x.Text("description"),
			Type: x.Text("type"), Required: slices.Contains(doc.Words("required"), name)})
	}
	return list
}

func both(a, b []string) (out []string) {
	for _, x := range a {
		if slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}

// permissions are the scopes that installs ask for, in an order in which they can be compared.
func (a App) permissions() string {
	bot, user := slices.Sorted(slices.Values(a.BotScopes)), slices.Sorted(slices.Values(a.UserScopes))
	return strings.Join(bot, " ") + "; " + strings.Join(user, " ")
}
