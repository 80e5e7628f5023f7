package links

// What a browser brings back: the state of an install under way, the cookie, the button that undoes.

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// secretBytes is how long a cookie's secret is.
const secretBytes = 32

// State is what stands in a state, in as few letters as will do.
type State struct {
	Ref      string `json:"r"`
	Browser  []byte `json:"b"` // hash of the cookie
	Started  int64  `json:"a"` // Unix microseconds
	Origin   string `json:"o"`
	TeamHint string `json:"t,omitempty"`
	Link     Link   `json:"l,omitzero"` // the one it began with
	Nonce    []byte `json:"n"`
	Trace    string `json:"p,omitempty"` // the traceparent of the start, where somebody collects traces
}

// Undo is what the button on the success page sends.
type Undo struct {
	Connection string `json:"c"`
	Consent    int64  `json:"r"` // AuthorizedAt in Unix microseconds
	By         string `json:"w"` // user ID of the installer
	Browser    []byte `json:"b"` // hash of the cookie
	Until      int64  `json:"u"` // Unix seconds
	Nonce      []byte `json:"n"`
}

// NewSecret returns 256 random bits as they appear in an address or a cookie, and the hash that is kept of them.
func NewSecret() (plain string, hash []byte) {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails
	plain = base64.RawURLEncoding.EncodeToString(b)
	hash, _ = HashSecret(plain)
	return plain, hash
}

// HashSecret returns the hash under which a state or cookie is kept; false when the value was never ours.
func HashSecret(plain string) ([]byte, bool) {
	if len(plain) != base64.RawURLEncoding.EncodedLen(secretBytes) {
		// the decoder skips line breaks, of which we write none
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(plain)
	if err != nil || len(b) != secretBytes {
		return nil, false
	}
	sum := sha256.Sum256(b)
	return sum[:], true
}

// refAlphabet has no letters that sound or look alike, so that a reference survives a telephone call.
const refAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

// NewRef returns a short reference for a person to quote and an operator to search for. 32^7 of them make two the same
// in a log unlikely; nothing depends on it.
func NewRef() string {
	b := make([]byte, 7)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = refAlphabet[int(b[i])%len(refAlphabet)]
	}
	return string(b)
}

// SameHash compares two hashes of what a browser brought. No hash is none's.
func SameHash(a, b []byte) bool { return len(a) > 0 && subtle.ConstantTimeCompare(a, b) == 1 }
