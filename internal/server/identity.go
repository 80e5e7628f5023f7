package server

// Which process this is, for an operator who asks whether an address leads to it. The operators' door says it to
// anybody there. The public door says it only to who has our keys: for a stranger it does what it does for everybody.

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
)

// QuestionHeader brings the question which process answers. With it a request ends here and reaches no handler.
const QuestionHeader = "X-Instance-Question"

const (
	questionLife = time.Minute // longer than any proxy takes; the asker's clock may differ by as much
	instancePath = "/instance" // on the operators' door
)

// question is what is signed to ask, and answer what is signed in return.
type (
	question struct {
		Nonce []byte `json:"n"`
		Asked int64  `json:"t"` // Unix seconds
	}
	answer struct {
		Nonce    []byte `json:"n"`
		Instance string `json:"i"`
	}
)

// Instance is a process that serves, as its operators' door describes it.
type Instance struct {
	ID        string    `json:"instance"`
	StartedAt time.Time `json:"started_at"`
	// Settings has a fingerprint for each setting that a process can run with while the one in .env is another by now. It
	// tells nothing of the value to who doesn't have our keys.
	Settings map[string]string `json:"settings"`
}

// newInstance describes a process that begins to serve.
func (s *Server) newInstance() Instance {
	return Instance{ID: hex.EncodeToString(links.NewNonce()), StartedAt: s.db.Now().UTC(),
		Settings: s.cfg.Fingerprints(s.db.SigningKeys())}
}

// Fingerprints has one for each setting that is given, made with the first of keys. Without keys there are none.
func (cfg Config) Fingerprints(keys []connection.Secret) map[string]string {
	prints := map[string]string{}
	if len(keys) == 0 {
		return prints
	}
	signing := make([]string, len(cfg.Bot.SigningSecrets))
	for i, secret := range cfg.Bot.SigningSecrets {
		signing[i] = secret.Reveal()
	}

	in := cfg.Install
	for name, value := range map[string]string{
		"SLACK_CLIENT_ID": in.ClientID, "SLACK_CLIENT_SECRET": in.ClientSecret.Reveal(), "SLACK_APP_ID": in.AppID,
		"SLACK_SIGNING_SECRET": strings.Join(signing, ","), "SLACK_APP_TOKEN": cfg.Bot.AppToken.Reveal(),
		"SLACK_BOT_TOKEN": in.BotToken.Reveal(), "SLACK_URL": in.SlackURL, "PUBLIC_URL": in.PublicURL,
		"DATABASE_URL": cfg.Database.URL.Reveal(),
	} {
		h := hmac.New(sha256.New, []byte(keys[0].Reveal()))
		fmt.Fprintf(h, "setting %s\x00%s", name, value)
		prints[name] = hex.EncodeToString(h.Sum(nil)[:8])
	}
	return prints
}

// Question is a question of which process answers, and what reads the answer.
type Question struct {
	Header string // the value of QuestionHeader
	nonce  []byte
	links  links.Links
}

// NewQuestion asks with the keys that the app's database has.
func NewQuestion(keys []connection.Secret, now func() time.Time) Question {
	q := Question{nonce: links.NewNonce(), links: links.Links{Keys: keys, Now: now}}
	q.Header = q.links.Sign("instance question", question{Nonce: q.nonce, Asked: now().Unix()})
	return q
}

// Read returns the ID of the process that answered, and false when it has none of our keys.
func (q Question) Read(body string) (id string, ours bool) {
	var a answer
	if !q.links.Verify("instance answer", strings.TrimSpace(body), &a) || !hmac.Equal(a.Nonce, q.nonce) {
		return "", false
	}
	return a.Instance, true
}

// answering lets a signed question be answered, wherever it is asked, and everything else through. The question costs
// nothing that is kept, and a stranger's is no question.
func (s *Server) answering(next http.Handler) http.Handler {
	signed := links.Links{Keys: s.db.SigningKeys(), Now: s.db.Now}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r.Header.Get(QuestionHeader)
		if asked == "" {
			next.ServeHTTP(w, r)
			return
		}

		var q question
		if !signed.Verify("instance question", asked, &q) {
			next.ServeHTTP(w, r)
			return
		}
		if age := signed.Now().Sub(time.Unix(q.Asked, 0)); age > questionLife || age < -questionLife {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprintln(w, signed.Sign("instance answer", answer{Nonce: q.Nonce, Instance: s.instance.ID}))
	})
}

// tellInstance is what the operators' door answers at instancePath.
func (r *readiness) tellInstance(w http.ResponseWriter, _ *http.Request) {
	s := r.server.Load()
	if s == nil {
		http.Error(w, "this process is starting", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.instance)
}
