package bot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/connection"
)

// The example of docs.slack.dev/authentication/verifying-requests-from-slack.
const (
	docSecret    = "8f742231b10e8888abcd99yyyzzz85a5"
	docStamp     = "1531420618"
	docBody      = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	docSignature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
)

func sign(secret, stamp, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v0:" + stamp + ":" + body))
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestVerify(t *testing.T) {
	t.Parallel()
	at := time.Unix(1531420618, 0)
	const sig, ts = "X-Slack-Signature", "X-Slack-Request-Timestamp"
	good := header(sig, docSignature, ts, docStamp)
	tests := []struct {
		name    string
		header  http.Header
		body    string
		secrets []connection.Secret
		now     time.Time
		ok      bool
	}{
		{"the documentation's example", good, docBody, []connection.Secret{docSecret}, at, true},
		{"five minutes late", good, docBody, []connection.Secret{docSecret}, at.Add(5 * time.Minute), true},
		{"five minutes early", good, docBody, []connection.Secret{docSecret}, at.Add(-5 * time.Minute), true},
		{"too late", good, docBody, []connection.Secret{docSecret}, at.Add(5*time.Minute + time.Second), false},
		{"too early", good, docBody, []connection.Secret{docSecret}, at.Add(-5*time.Minute - time.Second), false},
		{"second of two secrets", good, docBody, []connection.Secret{"new", docSecret}, at, true},
		{"first of two secrets", good, docBody, []connection.Secret{docSecret, "old"}, at, true},
		{"other secret", good, docBody, []connection.Secret{"other"}, at, false},
		{"no secret", good, docBody, nil, at, false},
		{"changed body", good, docBody + "&x=1", []connection.Secret{docSecret}, at, false},
		{"no signature", header(ts, docStamp), docBody, []connection.Secret{docSecret}, at, false},
		{"no timestamp", header(sig, docSignature), docBody, []connection.Secret{docSecret}, at, false},
		{"two signatures", header(sig, docSignature, sig, docSignature, ts, docStamp), docBody,
			[]connection.Secret{docSecret}, at, false},
		{"two timestamps", header(sig, docSignature, ts, docStamp, ts, docStamp), docBody, []connection.Secret{docSecret}, at,
			false},
		{"without v0=", header(sig, docSignature[3:], ts, docStamp), docBody, []connection.Secret{docSecret}, at, false},
		{"V0=", header(sig, "V0="+docSignature[3:], ts, docStamp), docBody, []connection.Secret{docSecret}, at, false},
		{"v1=", header(sig, "v1="+docSignature[3:], ts, docStamp), docBody, []connection.Secret{docSecret}, at, false},
		{"cut short", header(sig, docSignature[:40], ts, docStamp), docBody, []connection.Secret{docSecret}, at, false},
		{"not hexadecimal", header(sig, "v0="+strings.Repeat("z", 64), ts, docStamp), docBody, []connection.Secret{docSecret},
			at, false},
		{"timestamp in words", header(sig, docSignature, ts, "now"), docBody, []connection.Secret{docSecret}, at, false},
		{"signed timestamp", header(sig, sign(docSecret, "+1531420618", docBody), ts, "+1531420618"), docBody,
			[]connection.Secret{docSecret}, at, false},
		{"negative timestamp", header(sig, docSignature, ts, "-1"), docBody, []connection.Secret{docSecret}, at, false},
		{"huge timestamp", header(sig, docSignature, ts, strings.Repeat("9", 30)), docBody, []connection.Secret{docSecret},
			at, false},
	}
	for _, test := range tests {
		err := verify(test.header, []byte(test.body), test.secrets, test.now)
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
		if err != nil && strings.Contains(err.Error(), docSignature[3:20]) {
			t.Errorf("%s: the error holds the signature", test.name)
		}
	}
}

// verify is both halves of the check.
func verify(h http.Header, body []byte, secrets []connection.Secret, now time.Time) error {
	s, err := transport.ReadSignature(h, now)
	if err != nil {
		return err
	}
	return s.Verify(body, secrets)
}

// Whatever the headers say, only Slack's own signature passes.
func FuzzSignatureHeader(f *testing.F) {
	f.Add(docSignature, docStamp)
	f.Add("v0=", "")
	f.Add("v0="+strings.Repeat("0", 64), "1531420618")
	f.Add(docSignature[3:], "0x5b47a9ca")
	at := time.Unix(1531420618, 0)
	f.Fuzz(func(t *testing.T, sig, stamp string) {
		h := http.Header{"X-Slack-Signature": {sig}, "X-Slack-Request-Timestamp": {stamp}}
		err := verify(h, []byte(docBody), []connection.Secret{docSecret}, at)
		n, bad := strconv.ParseInt(stamp, 10, 64)
		want := bad == nil && n >= at.Unix()-300 && n <= at.Unix()+300 &&
			strings.EqualFold(sig, sign(docSecret, stamp, docBody)) && strings.HasPrefix(sig, "v0=")
		if (err == nil) != want {
			t.Errorf("signature %q at %q: %v, want accepted: %v", sig, stamp, err, want)
		}
	})
}
