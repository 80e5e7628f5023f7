package bot

import (
	"testing"

	"github.com/switchboard-go/switchboard/install/connection"
)

// The Store and the timers of another workspace are those of the same organisation alone, and the request that they
// are asked of keeps its own.
func TestStoreInAnotherWorkspace(t *testing.T) {
	t.Parallel()
	workspace := connection.Connection{ID: "con_1", Key: connection.Key{AppID: "A1", EnterpriseID: "E1", TeamID: "T1"}}
	org := connection.Connection{ID: "con_1", Key: connection.Key{AppID: "A1", EnterpriseID: "E1"}}
	for _, test := range []struct {
		c          connection.Connection
		team, want string
	}{
		{org, "T2", "T2"}, {org, "T1", "T1"}, {org, "E9", "T1"}, {org, "", "T1"}, {workspace, "T2", "T1"},
	} {
		r := ofAnn(t, "", nil)
		r.Connection, r.store = test.c, Store{of: homeOf(test.c, "T1")}
		there := r.In(test.team)
		if got := there.Store().TeamID(); got != test.want || there.store.of.ConnectionID != "con_1" {
			t.Errorf("in %q by %s: %+v, want %s", test.team, test.c.Key, there.store.of, test.want)
		}
		if r.Store().TeamID() != "T1" || there.TeamID != r.TeamID || there.Client != r.Client {
			t.Errorf("in %q: the request is %+v, and there %+v", test.team, r, there)
		}
	}
}
