package transport

// Slack signs every request; what does not verify is not Slack's and nothing of it is looked at.

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// maxSkew is how far the request's time may be from ours, in both directions, so that neither an old nor a
// pre-dated request can be replayed later.
const maxSkew = 5 * time.Minute

// Slack's headers. https://docs.slack.dev/authentication/verifying-requests-from-slack
const (
	SignatureHeader = "X-Slack-Signature"
	StampHeader     = "X-Slack-Request-Timestamp"
)

// Signature is what the headers of a request say.
type Signature struct {
	stamp string
	given []byte
}

// refusal is why a request is not taken for Slack's: for the numbers, and in words. It never holds a signature.
type refusal struct{ cause, words string }

func (r *refusal) Error() string { return r.words }

// ReadSignature reads the headers, which are refused without a look at the body when they are missing, malformed or of
// another time: with a *refusal.
// https://docs.slack.dev/authentication/verifying-requests-from-slack
func ReadSignature(h http.Header, now time.Time) (Signature, error) {
	value, err := single(h, SignatureHeader)
	if err != nil {
		return Signature{}, err
	}

	stamp, err := single(h, StampHeader)
	if err != nil {
		return Signature{}, err
	}

	at, err := strconv.ParseUint(stamp, 10, 40)
	if err != nil {
		return Signature{}, &refusal{refusedStamp, "timestamp is not a number"}
	}

	if skew := now.Sub(time.Unix(int64(at), 0)); skew > maxSkew || skew < -maxSkew {
		return Signature{}, &refusal{refusedStamp, "timestamp is more than 5 minutes from our clock"}
	}
	const version = "v0="
	if len(value) != len(version)+2*sha256.Size || value[:len(version)] != version {
		return Signature{}, &refusal{refusedSignature, "signature is not of the form v0=…"}
	}

	given, err := hex.DecodeString(value[len(version):])
	if err != nil {
		return Signature{}, &refusal{refusedSignature, "signature is not hexadecimal"}
	}
	return Signature{stamp: stamp, given: given}, nil
}

// Verify checks the v0 signature over the raw body against each secret; a *refusal when none fits.
func (s Signature) Verify(body []byte, secrets []connection.Secret) error {
	var good bool
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret.Reveal()))
		mac.Write([]byte("v0:" + s.stamp + ":"))
		mac.Write(body)
		// No early end, so that the time taken does not tell which secret came close.
		good = hmac.Equal(mac.Sum(nil), s.given) || good
	}

	if !good {
		return &refusal{refusedSignature, "signature does not match the body"}
	}
	return nil
}

// single returns the one value of a header. Two values mean that a proxy and Slack may disagree about which one counts.
func single(h http.Header, name string) (string, error) {
	switch values := h.Values(name); len(values) {
	case 1:
		return values[0], nil
	case 0:
		return "", &refusal{refusedHeaders, "no header " + name}
	default:
		return "", &refusal{refusedHeaders, "more than one header " + name}
	}
}
