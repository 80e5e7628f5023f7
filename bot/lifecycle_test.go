package bot

import (
	"encoding/json"
	"testing"
)

func TestRevokedListsMayBeMissing(t *testing.T) {
	for payload, want := range map[string][2]int{
		`{"type":"tokens_revoked","tokens":{"oauth":["U1","U2"],"bot":["U3"]}}`: {1, 2},
		`{"tokens":{"oauth":["U1"]}}`:                                           {0, 1}, `{"tokens":{"bot":["U3"]}}`: {1, 0},
		`{}`: {0, 0},
	} {
		var e revoked
		if err := json.Unmarshal([]byte(payload), &e); err != nil {
			t.Fatal(err)
		}
		if got := [2]int{len(e.Tokens.Bot), len(e.Tokens.People)}; got != want {
			t.Errorf("%s: %v", payload, got)
		}
	}
}
