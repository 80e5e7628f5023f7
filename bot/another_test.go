package bot

import (
	"testing"

	"github.com/switchboard-go/switchboard/install/connection"
)

// What people's workspace is to a connection by its id alone; the rest is asked of users.info.
func TestOfAnother(t *testing.T) {
	t.Parallel()
	workspace := connection.Connection{ID: "con_1", Key: connection.Key{TeamID: "T1"}}
	grid := connection.Connection{ID: "con_1", Key: connection.Key{EnterpriseID: "E1", TeamID: "T1"}}
	org := connection.Connection{ID: "con_1", Key: connection.Key{EnterpriseID: "E1"}}
	for _, test := range []struct {
		name string
		c    connection.Connection
		team string
		want bool
	}{
		{"not said", workspace, "", false},
		{"our own", workspace, "T1", false},
		{"another", workspace, "T9", true},
		{"an organisation that ours may have joined", workspace, "E1", false},
		{"in a grid, our own", grid, "T1", false},
		{"in a grid, by the organisation's id", grid, "E1", false},
		{"in a grid, another organisation", grid, "E9", true},
		{"in a grid, a workspace that could be anybody's", grid, "T9", false},
		{"an organisation's, by its id", org, "E1", false},
		{"an organisation's, a workspace that could be anybody's", org, "T9", false},
		{"no connection", connection.Connection{}, "T9", false},
	} {
		turn := Request{Connection: test.c, UserTeam: test.team}
		if got := turn.External(); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	if turn := (Request{Connection: workspace, UserTeam: "T1", outsider: true}); !turn.External() {
		t.Error("who can't be told to be of this company is an outsider")
	}
}
