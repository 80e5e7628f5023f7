package manifest

// What an app manifest can hold. The keys and limits are those of Slack's published schema, with the newer features that
// its documentation has beside it. github.com/slackapi/manifest-schema, docs.slack.dev/reference/app-manifest

import (
	"regexp"
	"strings"
)

// shape is what a value of a manifest must be. The zero value lets anything pass.
type shape struct {
	kind     string            // "object", "list", "text", "bool", "number"
	keys     map[string]*shape // of an object; no others
	any      *shape            // of an object whose keys are free
	required []string
	items    *shape
	least    int // length of a text
	most     int // length of a text, or of a list
	unique   bool
	like     *regexp.Regexp
	one      []string // the only texts
}

var (
	webAddress = regexp.MustCompile(`^https?://`)
	colorCode  = regexp.MustCompile(`^#[0-9a-fA-F]{3}([0-9a-fA-F]{3})?$`)
	ipRange    = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?$`)

	onOff    = &shape{kind: "bool"}
	aNumber  = &shape{kind: "number"}
	anything = &shape{}
)

func textOf(least, most int) *shape { return &shape{kind: "text", least: least, most: most} }

func addressOf(most int) *shape { return &shape{kind: "text", most: most, like: webAddress} }

func listOf(most int, items *shape) *shape { return &shape{kind: "list", most: most, items: items} }

func setOf(most int, items *shape) *shape {
	return &shape{kind: "list", most: most, items: items, unique: true}
}

func objectOf(required string, keys map[string]*shape) *shape {
	return &shape{kind: "object", required: strings.Fields(required), keys: keys}
}

var manifestShape = objectOf("display_information", map[string]*shape{
	"$schema": textOf(0, 0),
	"_metadata": objectOf("", map[string]*shape{"schema_version": aNumber, "min_version": aNumber, "major_version": aNumber,
		"minor_version": aNumber}),
	"display_information": objectOf("name", map[string]*shape{
		"name": textOf(1, 35), "description": textOf(1, 140), "long_description": textOf(175, 4000),
		"background_color": {kind: "text", least: 4, most: 7, like: colorCode},
	}),
	"features":     featuresShape,
	"oauth_config": oauthShape,
	"settings":     settingsShape,
	"functions":    {kind: "object", any: functionShape, most: 50},
	"app_directory": objectOf("installation_landing_page privacy_policy_url support_url support_email "+
		"supported_languages pricing", map[string]*shape{
		"app_directory_categories": listOf(3, textOf(1, 255)), "use_direct_install": onOff, "direct_install_url": addressOf(255),
		"installation_landing_page": addressOf(255), "privacy_policy_url": addressOf(500), "support_url": addressOf(350),
		"support_email": textOf(1, 100), "supported_languages": listOf(50, textOf(1, 50)), "pricing": textOf(1, 30),
	}),
	"outgoing_domains": listOf(10, textOf(1, 0)),
	"workflows":        anything, "datastores": anything, "types": anything, "external_auth_providers": anything, "mcp_servers": anything,
})

var featuresShape = objectOf("", map[string]*shape{
	"app_home": objectOf("", map[string]*shape{"home_tab_enabled": onOff, "messages_tab_enabled": onOff,
		"messages_tab_read_only_enabled": onOff}),
	"bot_user": objectOf("display_name", map[string]*shape{"display_name": textOf(1, 80), "always_online": onOff}),
	"slash_commands": listOf(50, objectOf("command description", map[string]*shape{
		"command": {kind: "text", least: 2, most: 32, like: regexp.MustCompile(`^/`)}, "url": addressOf(3000),
		"description": textOf(1, 2000), "usage_hint": textOf(1, 1000), "should_escape": onOff,
	})),
	"shortcuts": listOf(10, objectOf("name type callback_id description", map[string]*shape{
		"name": textOf(1, 24), "type": {kind: "text", one: []string{"message", "global"}}, "callback_id": textOf(1, 255),
		"description": textOf(1, 150),
	})),
	"unfurl_domains": setOf(5, &shape{kind: "text", most: 255,
		like: regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)}),
	"agent_view": objectOf("agent_description", map[string]*shape{"agent_description": textOf(1, 300),
		"suggested_prompts": listOf(4, objectOf("title message", map[string]*shape{"title": textOf(1, 0), "message": textOf(1, 0)})),
		"actions":           listOf(0, objectOf("name description", map[string]*shape{"name": textOf(1, 0), "description": textOf(1, 0)})),
	}),
	"assistant_view": anything, "functions": anything, "workflow_steps": anything, "code_channels": anything, "search": anything,
	"rich_previews": anything, "user_connections": anything,
})

var oauthShape = objectOf("", map[string]*shape{
	"redirect_urls": setOf(1000, textOf(0, 2500)), "token_management_enabled": onOff, "pkce_enabled": onOff,
	"scopes": objectOf("", map[string]*shape{"bot": listOf(255, textOf(1, 50)), "user": listOf(255, textOf(1, 50)),
		"bot_optional": listOf(255, textOf(1, 50)), "user_optional": listOf(255, textOf(1, 50))}),
})

var settingsShape = objectOf("", map[string]*shape{
	"allowed_ip_address_ranges": setOf(50, &shape{kind: "text", like: ipRange}),
	"event_subscriptions": objectOf("", map[string]*shape{
		"request_url": addressOf(3500), "bot_events": setOf(100, textOf(1, 50)), "user_events": setOf(100, textOf(1, 50)),
		"metadata_subscriptions": listOf(20, objectOf("app_id event_type", map[string]*shape{"app_id": textOf(1, 0),
			"event_type": textOf(1, 50)})),
	}),
	"interactivity": objectOf("is_enabled", map[string]*shape{"is_enabled": onOff, "request_url": addressOf(3500),
		"message_menu_options_url": addressOf(3500)}),
	"incoming_webhooks":  objectOf("", map[string]*shape{"incoming_webhooks_enabled": onOff}),
	"siws_links":         objectOf("", map[string]*shape{"initiate_uri": addressOf(3500)}),
	"org_deploy_enabled": onOff, "socket_mode_enabled": onOff, "token_rotation_enabled": onOff, "is_hosted": onOff,
	"is_mcp_enabled": onOff, "function_runtime": textOf(0, 0), "hermes_app_type": textOf(0, 0),
})

var functionShape = objectOf("title description input_parameters output_parameters", map[string]*shape{
	"title": textOf(1, 0), "description": textOf(1, 0), "input_parameters": parametersShape,
	"output_parameters": parametersShape,
})

var parametersShape = objectOf("properties", map[string]*shape{
	"properties": {kind: "object", any: &shape{kind: "object", required: []string{"type"}}, most: 50},
	"required":   listOf(0, textOf(1, 0)),
})
