package seal

// The keys, and the boxes that they make.

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

var (
	// ErrSealed: none of the keys opens the box. The key was lost, or the box was made for another place.
	ErrSealed = errors.New("no key opens it")
	// ErrNoKey: a secret should be sealed, but there is no key.
	ErrNoKey = errors.New("no encryption key")
)

const (
	keySize = 32 // AES-256
	// The versions of a box: sealed with the key itself, and with one derived from it.
	boxVersion     = 1
	boxDerived     = 2
	boxHeader      = 1 + 4 // version, key id
	boxDerivedMore = 4     // the day
	// So many derived keys are kept at hand; making one again takes some microseconds.
	mostDerived = 64
)

// Keyring seals and opens secrets with AES-256-GCM: the first key seals, every key opens, so a new key is put first and
// the old one stays until nothing is sealed with it any more. A nil Keyring opens nothing. Nonces are random, which is
// safe for 2^32 secrets per key: far more than renewals of any number of tokens, and 25 days of events at 2,000 a
// second. So events get a key for each day, derived from the key (HKDF-SHA256): 49,000 a second reach no limit. The
// release before this one opens such boxes, too; what is kept of the time when events were sealed with the key itself
// is opened as ever. https://csrc.nist.gov/pubs/sp/800/38/d/final (section 8.3)
//
// A box is: version (1 byte), key id (4 bytes: the first of the key's SHA-256), in version 2 the day (4 bytes: since
// 1970, 0 for what is sealed for good), nonce (12), ciphertext, tag (16).
type Keyring struct {
	keys []ringKey
}

type ringKey struct {
	derived *derivedKeys
	id      [4]byte
	aead    cipher.AEAD
	signing connection.Secret // derived from the key
}

// Place is where a sealed secret lives. A box opens only in the place it was made for, so a row's token copied into
// another row, column or table is of no use.
type Place struct {
	Column                string // table.column
	App, Enterprise, Team string
}

// ParseKeys reads a comma separated list of keys, each 32 random bytes in standard base64. Its errors name every bad
// entry by its position and never by its content.
func ParseKeys(list string) (*Keyring, error) {
	if strings.TrimSpace(list) == "" {
		return nil, errors.New("parse keys: there is none: give 32 random bytes in base64")
	}

	var (
		ring = new(Keyring)
		bad  []string
		seen = map[string]int{}
	)

	for i, entry := range strings.Split(list, ",") {
		position := i + 1
		entry = strings.TrimSpace(entry)
		raw, err := base64.StdEncoding.Strict().DecodeString(entry)
		problem := ""
		switch {
		case entry == "":
			problem = "is empty"
		case err != nil:
			problem = "is not standard base64"
		case len(raw) != keySize:
			problem = fmt.Sprintf("has %d bytes, not %d", len(raw), keySize)
		case seen[string(raw)] > 0:
			problem = fmt.Sprintf("is the same as key %d", seen[string(raw)])
		}
		if problem != "" {
			bad = append(bad, fmt.Sprintf("key %d %s", position, problem))
			continue
		}

		seen[string(raw)] = position
		ring.keys = append(ring.keys, newRingKey(raw))
	}

	if bad != nil {
		return nil, fmt.Errorf("parse keys: %s", strings.Join(bad, "; "))
	}
	return ring, nil
}

func newRingKey(raw []byte) ringKey {
	aead := newAEAD(raw)
	sum := sha256.Sum256(raw)
	signing, err := hkdf.Key(sha256.New, raw, nil, "switchboard signing", keySize)
	if err != nil {
		panic(err)
	}
	return ringKey{id: [4]byte(sum[:4]), aead: aead, derived: &derivedKeys{root: raw, aeads: map[string]cipher.AEAD{}},
		signing: connection.Secret(signing)}
}

func newAEAD(raw []byte) cipher.AEAD {
	block, err := aes.NewCipher(raw)
	if err != nil { // cannot be: the length was checked
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// SigningKeys are derived from the keys, one for each in the ring's order: what is signed says nothing of what seals.
func (k *Keyring) SigningKeys() []connection.Secret {
	if k == nil {
		return nil
	}
	keys := make([]connection.Secret, len(k.keys))
	for i, key := range k.keys {
		keys[i] = key.signing
	}
	return keys
}

// IDs name the keys in the ring's order: 8 hexadecimal digits each, derived from the key and no secret.
func (k *Keyring) IDs() []string {
	if k == nil {
		return nil
	}
	ids := make([]string, len(k.keys))
	for i, key := range k.keys {
		ids[i] = hex.EncodeToString(key.id[:])
	}
	return ids
}

// Where the ID of its key lies in a box, counted from 1 as SQL does.
const (
	PrefixAt     = 2
	PrefixLength = 4
)

// Prefixes are what boxes have there that one of the keys may open, so that a database can tell which ones none does.
func (k *Keyring) Prefixes() [][]byte {
	if k == nil {
		return nil
	}
	prefixes := make([][]byte, len(k.keys))
	for i := range k.keys {
		prefixes[i] = k.keys[i].id[:]
	}
	return prefixes
}

// KeyID is the ID of the key that a box was sealed with; "" when it is no box.
func KeyID(box []byte) string {
	if len(box) < boxHeader {
		return ""
	}
	return hex.EncodeToString(box[1:boxHeader])
}

// Stale reports whether one of the boxes is not sealed with the first key. An empty one holds nothing.
func (k *Keyring) Stale(boxes ...*[]byte) bool {
	first := k.keys[0].id[:]
	return slices.ContainsFunc(boxes, func(box *[]byte) bool {
		return len(*box) > 0 && (len(*box) < boxHeader || !bytes.Equal((*box)[1:boxHeader], first))
	})
}

// NewKey makes a key, in the form ParseKeys reads.
func NewKey() string {
	raw := make([]byte, keySize)
	_, _ = rand.Read(raw) // never fails: it ends the program instead
	return base64.StdEncoding.EncodeToString(raw)
}

// Seal makes a box of secret for one place. ErrNoKey.
func (k *Keyring) Seal(secret []byte, at Place) ([]byte, error) {
	return k.seal(boxVersion, nil, secret, at)
}

// SealOn is Seal with the key of a day (zero: of all days) for what is at such places. ErrNoKey.
func (k *Keyring) SealOn(day time.Time, secret []byte, at Place) ([]byte, error) {
	var days uint32
	if !day.IsZero() {
		days = uint32(day.Unix() / (24 * 60 * 60))
	}
	return k.seal(boxDerived, binary.BigEndian.AppendUint32(nil, days), secret, at)
}

func (k *Keyring) seal(version byte, day, secret []byte, at Place) ([]byte, error) {
	if k == nil || len(k.keys) == 0 {
		return nil, ErrNoKey
	}
	first := k.keys[0]
	box := make([]byte, 0, boxHeader+len(day)+len(secret)+first.aead.Overhead())
	box = append(append(append(box, version), first.id[:]...), day...)
	return first.on(version, day, at).Seal(box, nil, secret, at.bind(version)), nil
}

// on is what seals and opens boxes of a version: the key itself, or the one derived for a day.
func (k ringKey) on(version byte, day []byte, at Place) cipher.AEAD {
	if version == boxDerived {
		return k.derived.of(at.purpose(), day)
	}
	return k.aead
}

// Open opens a box that Seal or SealOn made for the same place. ErrSealed.
func (k *Keyring) Open(box []byte, at Place) ([]byte, error) {
	if k == nil || len(box) < boxHeader {
		return nil, ErrSealed
	}

	version, header := box[0], boxHeader
	switch {
	case version == boxDerived && len(box) >= boxHeader+boxDerivedMore:
		header += boxDerivedMore
	case version != boxVersion:
		return nil, ErrSealed
	}

	bound := at.bind(version)
	for _, key := range k.keys { // ids are short: two keys may share one
		if !bytes.Equal(key.id[:], box[1:boxHeader]) {
			continue
		}
		if secret, err := key.on(version, box[boxHeader:header], at).Open(nil, nil, box[header:], bound); err == nil {
			return secret, nil
		}
	}
	return nil, ErrSealed
}

// derivedKeys are what is derived from one key. It may be used from any number of goroutines.
type derivedKeys struct {
	root  []byte
	mu    sync.Mutex
	aeads map[string]cipher.AEAD
}

// of returns the key for a purpose on a day.
func (d *derivedKeys) of(purpose string, day []byte) cipher.AEAD {
	name := purpose + " " + string(day)
	d.mu.Lock()
	defer d.mu.Unlock()
	if aead := d.aeads[name]; aead != nil {
		return aead
	}
	if len(d.aeads) >= mostDerived {
		clear(d.aeads)
	}
	aead := newAEAD(derive(d.root, purpose, day))
	d.aeads[name] = aead
	return aead
}

func derive(root []byte, purpose string, day []byte) []byte {
	raw, err := hkdf.Key(sha256.New, root, nil, "switchboard sealing "+purpose+" "+hex.EncodeToString(day), keySize)
	if err != nil { // cannot be: no hash makes keys of another length
		panic(err)
	}
	return raw
}

// purpose is what shares a key: tokens, the journal, the inbox.
func (p Place) purpose() string {
	table, _, _ := strings.Cut(p.Column, ".")
	if table == "connections" || table == "user_tokens" {
		return "tokens"
	}
	return table
}

// bind is the place as the cipher's associated data. Each part is preceded by its length, so that no two places look
// alike ("a"+"bc" and "ab"+"c").
func (p Place) bind(version byte) []byte {
	parts := [...]string{p.Column, p.App, p.Enterprise, p.Team}
	data := make([]byte, 1, 128)
	data[0] = version
	for _, part := range parts {
		data = binary.AppendUvarint(data, uint64(len(part)))
		data = append(data, part...)
	}
	return data
}

// Format keeps every verb of fmt from printing what is inside.
func (k *Keyring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[keys]") }
