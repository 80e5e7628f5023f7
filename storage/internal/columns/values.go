package columns

// How single values lie in columns: times, texts that both databases take, keys, ids.

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/switchboard-go/switchboard/install/connection"
)

// NewID makes a public id: 80 random bits in 16 lower-case letters and digits.
func NewID(prefix string) string {
	var raw [10]byte
	_, _ = rand.Read(raw[:]) // never fails: it ends the program instead
	return prefix + strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
}

// Micros is t as the database keeps it: microseconds since 1970, 0 for the zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func Moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Storable reports whether PostgreSQL takes s as text; SQLite takes anything.
func Storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// Text makes s storable. Some texts come from strangers (?team= in a link), and what is odd in them must not make a
// database fail, and not one of two.
func Text(s string) string {
	if Storable(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// CheckKey refuses what cannot be anybody's key before it is written.
func CheckKey(k connection.Key) error {
	switch {
	case k.AppID == "":
		return errors.New("the key has no app")
	case k.EnterpriseID == "" && k.TeamID == "":
		return errors.New("the key has neither a workspace nor an organisation")
	case !StorableKey(k):
		return errors.New("the key is not valid text")
	}
	return nil
}

func StorableKey(k connection.Key) bool {
	return Storable(k.AppID) && Storable(k.EnterpriseID) && Storable(k.TeamID)
}
