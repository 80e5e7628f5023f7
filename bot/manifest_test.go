package bot

import (
	"strings"
	"testing"

	"github.com/slack-go/slack"
)

// What an app turns off is off in its manifest, and metadata comes only as Slack sends it.
func TestManifestSettings(t *testing.T) {
	t.Parallel()
	metadata := []slack.ManifestMetadataSubscription{{AppID: "A0OTHER", EventType: "deployed"}}
	hears := OnEvent[struct{}]("message_metadata_posted", nil, Scopes("metadata.message:read"))
	p := Profile{Name: "Test", WorkspacesOnly: true, NoRotation: true, NoMessages: true, Metadata: metadata}
	m, err := NewManifest(p, []Handler{hears}, "https://bot.example.com")
	if err != nil {
		t.Fatal(err)
	}
	s := m.Settings
	if s.OrgDeployEnabled || s.TokenRotationEnabled || m.Features.AppHome.MessagesTab {
		t.Errorf("turned off, and on in %+v, %+v", s, m.Features.AppHome)
	}
	over := m.OverSockets().Settings.EventSubscriptions
	if len(s.EventSubscriptions.MetadataSubscriptions) != 1 || len(over.MetadataSubscriptions) != 1 ||
		over.RequestUrl != "" ||
		s.EventSubscriptions.RequestUrl == "" {
		t.Errorf("metadata: %+v, over sockets %+v", s.EventSubscriptions, over)
	}

	step := OnFunction[struct{}]("open", nil, Titled("Open", "Opens one"))
	for _, alone := range []bool{false, true} {
		p := Profile{Name: "Test", WorkspacesOnly: alone}
		_, err := NewManifest(p, []Handler{OnMention("", nil), step}, "https://bot.example.com")
		if alone != (err != nil && strings.Contains(err.Error(), "leave WorkspacesOnly out")) {
			t.Errorf("a step of an app for workspaces alone (%v): %v", alone, err)
		}
	}

	for _, bad := range []struct {
		p        Profile
		handlers []Handler
	}{
		{Profile{Name: "Test"}, []Handler{hears}},
		{Profile{Name: "Test", Metadata: metadata}, []Handler{OnMention("", nil)}},
	} {
		if _, err := NewManifest(bad.p, bad.handlers, "https://bot.example.com"); err == nil ||
			!strings.Contains(err.Error(), "metadata_subscriptions") {
			t.Errorf("%+v: %v", bad.p.Metadata, err)
		}
	}
}
