package links

// What is signed: how it is made, and how it is known again.

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// How long what is signed can be used.
const (
	StateLife = 10 * time.Minute // the same as the code's at Slack
	LinkLife  = time.Hour
	stayLife  = 7 * 24 * time.Hour // of one that is put where it is read days later
	UndoLife  = 30 * time.Minute
	// How long it is remembered that something signed was used: longer than anything signed lives.
	UsedKept = stayLife + 24*time.Hour
	// A link goes into a button's address, which Slack takes up to 3000 characters of. A state holds a link's words and
	// some more.
	LongestSigned = 4000
)

// Links makes and checks what is signed. Its methods ask nobody and may be called from any number of goroutines.
type Links struct {
	PublicURL    string              // what browsers see, without a path
	Keys         []connection.Secret // the first signs, any of them verifies
	ClientSecret connection.Secret   // what the release before signed links with; "" for none
	Now          func() time.Time
}

// GrantRequest is what a link asks a person to allow.
type GrantRequest struct {
	Scopes []string // exactly these, besides what is granted already; nil: all that the app can use
	Back   string   // the channel to come back to, "" for the app itself
	Stays  bool     // the link is put where it may be read days later: it lasts 7 days instead of an hour
}

// Link is what stands in a link, in as few letters as will do.
type Link struct {
	Connection string   `json:"c"`
	Scopes     []string `json:"s,omitempty"`
	Back       string   `json:"b,omitempty"`
	Until      int64    `json:"u"` // Unix seconds
	Nonce      []byte   `json:"n"`
}

// GrantURL is the page that connects, reconnects or allows more, without a wish of its own: see Grant.
func (l *Links) GrantURL(c connection.Connection) string { return l.Grant(c, GrantRequest{}) }

// Grant is the page that connects, reconnects or allows more: one click for a person, then Slack asks for consent. Each
// call makes a new link, which is used up by the first install that is carried through with it and lasts an hour, or 7
// days when it stays. It is bound to c's workspace; without a known c it is the open start page. It asks nobody.
func (l *Links) Grant(c connection.Connection, w GrantRequest) string {
	life := LinkLife
	if w.Stays {
		life = stayLife
	}
	return l.GrantUntil(c, w, l.Now().Add(life))
}

// GrantUntil is Grant for a link that lasts until a time.
func (l *Links) GrantUntil(c connection.Connection, w GrantRequest, until time.Time) string {
	start := l.PublicURL + "/slack/install"
	if c.ID == "" {
		return start
	}
	return start + "?" + url.Values{"link": {l.Sign("grant", Link{
		Connection: c.ID, Scopes: w.Scopes, Back: w.Back, Until: until.Unix(), Nonce: NewNonce(),
	})}}.Encode()
}

// NewNonce is what makes one signed thing differ from the next, 16 random bytes.
func NewNonce() []byte {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	return nonce
}

// HashOf is what is stored of a nonce that was used.
func HashOf(nonce []byte) []byte {
	sum := sha256.Sum256(nonce)
	return sum[:]
}

// Sign returns v as text that only we can have written, for one purpose: what is signed for another does not open. All
// replicas have the keys, and a new first key leaves what is on its way as it is.
func (l *Links) Sign(purpose string, v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // a struct of ours that does not marshal is a mistake in the program
	}
	var key connection.Secret // without any: it is text that nobody takes
	if len(l.Keys) > 0 {
		key = l.Keys[0]
	}
	return base64.RawURLEncoding.EncodeToString(append(mac(key, purpose, body), body...))
}

// Verify brings v back from what sign returned with any of the keys. false: it is cut short, changed, or never was
// ours.
func (l *Links) Verify(purpose, signed string, v any) bool {
	if len(signed) > LongestSigned {
		return false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(signed)
	if err != nil || len(b) < sha256.Size || strings.ContainsAny(signed, "\r\n") { // which the decoder skips
		return false
	}
	keys := l.Keys
	if purpose != "state" && l.ClientSecret != "" {
		// The release before this one signed with the client secret, and its links last for up to 8 days. The release after
		// this one needs no such key.
		keys = append(slices.Clip(keys), l.ClientSecret)
	}
	body := b[sha256.Size:]
	for _, key := range keys {
		if hmac.Equal(b[:sha256.Size], mac(key, purpose, body)) {
			return json.Unmarshal(body, v) == nil
		}
	}
	return false
}

func mac(root connection.Secret, purpose string, body []byte) []byte {
	key, err := hkdf.Key(sha256.New, []byte(root.Reveal()), nil, "switchboard link: "+purpose, sha256.Size)
	if err != nil {
		panic(err) // only a key of another length could fail
	}
	h := hmac.New(sha256.New, key)
	h.Write(body)
	return h.Sum(nil)
}

// ChannelID is what a link may come back to; it ends in an address at Slack.
var ChannelID = regexp.MustCompile(`^[CDG][A-Z0-9]{2,20}$`)
