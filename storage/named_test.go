package storage_test

// What an operator types is an id, and the database knows every one of them by an index.

import (
	"slices"
	"testing"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
)

func TestNamed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		ids := map[string]string{} // by what stands for it below
		for name, k := range map[string]connection.Key{
			"alone":         {AppID: "A1", TeamID: "T1"},
			"moved":         {AppID: "A1", EnterpriseID: "E1", TeamID: "T2"},
			"moved before":  {AppID: "A1", TeamID: "T2"},
			"org":           {AppID: "A1", EnterpriseID: "E1"},
			"one of many":   {AppID: "A1", EnterpriseID: "E2", TeamID: "T3"},
			"two of many":   {AppID: "A1", EnterpriseID: "E2", TeamID: "T4"},
			"another app":   {AppID: "A2", TeamID: "T1"},
			"a third app":   {AppID: "A9", TeamID: "T9"},
			"its own org":   {AppID: "A2", EnterpriseID: "E9"},
			"named like it": {AppID: "A0", TeamID: "E9"},
		} {
			c, err := f.Add(t.Context(), connection.Connection{Key: k, TeamName: name,
				TokenPair: connection.TokenPair{Token: "xoxb-1"}})
			if err != nil {
				t.Fatal(err)
			}
			ids[name] = c.ID
		}

		for asked, want := range map[string][]string{
			ids["alone"]: {"alone"}, ids["org"]: {"org"},
			"T1": {"alone", "another app"}, "T2": {"moved", "moved before"}, "T9": {"a third app"}, "T3": {"one of many"},
			"E1": {"org"}, "E2": {"one of many", "two of many"}, "E9": {"its own org", "named like it"},
			"": nil, "T": nil, "t1": nil, "A1": nil, "con_none": nil, "x\x00y": nil, "\xff": nil, "%": nil,
		} {
			found, err := f.Named(t.Context(), asked, 5)
			var got []string
			for _, c := range found {
				got = append(got, c.TeamName)
				if c.Token != "" {
					t.Errorf("%q: a secret comes along", asked)
				}
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%q: %q %v, want %q", asked, got, err, want)
			}
		}
		if found, err := f.Named(t.Context(), "E2", 1); err != nil || len(found) != 1 {
			t.Errorf("at most one: %v %v", found, err)
		}
	})
}
