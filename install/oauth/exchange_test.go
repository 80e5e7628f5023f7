package oauth

import (
	"testing"

	"github.com/switchboard-go/switchboard/install/connection"
)

// A link is for the workspace, the organisation and the app that it was made for.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	key := func(enterprise, team string) connection.Key {
		return connection.Key{AppID: "A1", EnterpriseID: enterprise, TeamID: team}
	}
	for name, test := range map[string]struct {
		bound     connection.Key
		got       connection.Key
		elsewhere bool
	}{
		"the same workspace":              {key("", "T1"), key("", "T1"), false},
		"it joined an organisation since": {key("", "T1"), key("E1", "T1"), false},
		"another workspace":               {key("", "T1"), key("", "T2"), true},
		"another app":                     {key("", "T1"), connection.Key{AppID: "A2", TeamID: "T1"}, true},
		"the same organisation":           {key("E1", ""), key("E1", ""), false},
		"another organisation":            {key("E1", ""), key("E2", ""), true},
		"a workspace of the organisation": {key("E1", ""), key("E1", "T1"), true},
		"the organisation of a workspace": {key("E1", "T1"), key("E1", ""), true},
	} {
		got := consent{c: connection.Connection{Key: test.got}}
		if got.isElsewhere(connection.Connection{ID: "con_1", Key: test.bound}) != test.elsewhere {
			t.Errorf("%s: elsewhere is not %v", name, test.elsewhere)
		}
		if got.isElsewhere(connection.Connection{}) {
			t.Errorf("%s: elsewhere without a link", name)
		}
	}
}
