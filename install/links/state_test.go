package links

import (
	"encoding/base64"
	"testing"
)

// Only what newSecret makes is ever looked up: everything else in the address is turned away before the database.
func FuzzState(f *testing.F) {
	plain, _ := NewSecret()
	f.Add(plain)
	f.Add(plain + "=")
	f.Add(" " + plain)
	f.Add("\r" + plain)
	f.Add("")
	f.Add("../../etc/passwd")
	f.Fuzz(func(t *testing.T, state string) {
		hash, ok := HashSecret(state)
		if !ok {
			if hash != nil {
				t.Errorf("%q was refused and hashed", state)
			}
			return
		}
		// One state has one spelling, so that it cannot be used twice under two.
		b, err := base64.RawURLEncoding.DecodeString(state)
		if err != nil || len(b) != secretBytes || base64.RawURLEncoding.EncodeToString(b) != state {
			t.Errorf("%q was accepted", state)
		}
	})
}

func TestNewSecretIsNew(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		plain, hash := NewSecret()
		again, ok := HashSecret(plain)
		if !ok || string(again) != string(hash) || seen[plain] {
			t.Fatalf("%q", plain)
		}
		seen[plain] = true
	}
}
