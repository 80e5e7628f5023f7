package manifest

// A configuration token lives for 12 hours, and its refresh token works once: whoever spends it and loses the answer
// has neither. So the file that keeps the next pair is written and synced before Slack is asked, which shows that it
// can be, and again before the new pair is used. One process at a time does that.

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// File is the name of the file in the data folder that keeps the newest pair.
const File = "config-tokens.json"

const (
	renewEarly   = time.Hour // before its end a token is renewed, if its end is known
	mostAncestry = 100       // of spent tokens that the file knows, as hashes
	origin       = 2         // of them, the first: what was set, and stays so while pair follows pair
)

// Tokens is a configuration token and the refresh token that came with it, as an operator set them, and those that
// followed. It may be used from several goroutines, and several processes may share a folder.
type Tokens struct {
	Token, Refresh connection.Secret // SLACK_CONFIG_TOKEN, SLACK_CONFIG_REFRESH_TOKEN; "": not set
	Folder         string            // the data folder, made when something has to be kept
	Slack          *slackapi.API
	// Keys are what the file is sealed with; none, where this machine has none (a build that only compares): then nobody
	// but its owner can read it. See KeysOf.
	Keys    func() (*seal.Keyring, error)
	Renewed func(file string) // is told that a new pair was written there; may be nil

	mu sync.Mutex
}

// pair is what the file keeps.
type pair struct {
	Token     connection.Secret `json:"-"`
	Refresh   connection.Secret `json:"-"`
	ExpiresAt time.Time         `json:"expires_at"`
	// From are the hashes of the tokens that it descends from: what is set in the environment and among them is older.
	From []string `json:"from"`
}

// written is a pair with its secrets, which their type doesn't print.
type written struct {
	Sealed  []byte `json:"sealed,omitempty"` // all the rest, if there are keys
	Token   string `json:"token,omitempty"`
	Refresh string `json:"refresh_token,omitempty"`
	pair
}

// opened is what is in a sealed file.
func (t *Tokens) opened(box []byte) ([]byte, error) {
	keys, err := t.keyring()
	if err != nil {
		return nil, err
	}
	plain, err := keys.Open(box, sealedAt)
	if err != nil {
		return nil, errors.New("it is encrypted with none of the keys that are here")
	}
	return plain, nil
}

func (t *Tokens) keyring() (*seal.Keyring, error) {
	if t.Keys == nil {
		return nil, nil
	}
	return t.Keys()
}

// errExpired is Slack's word, for what is known without asking.
var errExpired = slack.SlackErrorResponse{Err: connection.ReasonTokenExpired}

// KeysOf are the keys of an app's database, if they are here. No key file is made.
func KeysOf(d server.Database) func() (*seal.Keyring, error) {
	return func() (*seal.Keyring, error) {
		if _, err := os.Stat(d.KeyFile()); d.Keys == "" && (d.Path() == "" || err != nil) {
			return nil, nil
		}
		return d.Keyring()
	}
}

// sealedAt is where the pair is sealed: a box of anywhere else doesn't open as one.
var sealedAt = seal.Place{Column: File}

func hashed(token connection.Secret) string {
	sum := sha256.Sum256([]byte(token.Reveal()))
	return hex.EncodeToString(sum[:])
}

// Given reports whether there is a token to work with, or one to get it with.
func (t *Tokens) Given() bool {
	p, err := t.newest()
	return err == nil && (p.Token != "" || p.Refresh != "")
}

// Good returns a token that Slack should take. It blocks for a renewal where one is due.
func (t *Tokens) Good(ctx context.Context) (connection.Secret, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, err := t.newest()
	switch {
	case err != nil:
		return "", err
	case p.Token == "" && p.Refresh == "":
		return "", server.Wrong("SLACK_CONFIG_TOKEN", "is not set, and Slack shows an app's settings to nobody without it",
			newPair)
	case p.Token != "" && (p.ExpiresAt.IsZero() || t.Slack.Now().Before(p.ExpiresAt.Add(-renewEarly)) || p.Refresh == ""):
		return p.Token, nil
	}
	return t.renew(ctx, p.Token)
}

// Renew is for a token of which Slack says that it ran out: it returns the one that follows. It blocks for Slack.
func (t *Tokens) Renew(ctx context.Context, expired connection.Secret) (connection.Secret, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.renew(ctx, expired)
}

// newest is the pair that counts: the file's, unless the one that was set is no ancestor of it.
func (t *Tokens) newest() (pair, error) {
	set := pair{Token: t.Token, Refresh: t.Refresh}
	kept, err := t.read()
	if err != nil {
		return pair{}, err
	}
	for _, token := range []connection.Secret{t.Refresh, t.Token} {
		if token != "" && token != kept.Token && token != kept.Refresh && !slices.Contains(kept.From, hashed(token)) {
			return set, nil
		}
	}
	if kept.Token == "" {
		return set, nil
	}
	return kept, nil
}

// renew replaces a token by the next one.
func (t *Tokens) renew(ctx context.Context, expired connection.Secret) (connection.Secret, error) {
	unlock, err := t.lock()
	if err != nil {
		return "", err
	}
	defer unlock()

	p, err := t.newest()
	switch {
	case err != nil:
		return "", err
	case p.Token != expired && p.Token != "": // another process was first
		return p.Token, nil
	case p.Refresh == "":
		return "", explained(errExpired, "")
	}
	if err := ctx.Err(); err != nil { // nothing is spent for who is gone
		return "", err
	}
	if err := t.writable(); err != nil {
		return "", err
	}

	next, err := t.rotate(context.WithoutCancel(ctx), p)
	if err != nil {
		return "", err
	}
	if err := t.write(next); err != nil {
		return "", errors.Join(errors.New("the new configuration tokens could not be kept, and the old refresh token is "+
			"spent: "+newPair), err)
	}
	if t.Renewed != nil {
		t.Renewed(t.path())
	}
	return next.Token, nil
}

// rotate spends a pair's refresh token.
func (t *Tokens) rotate(ctx context.Context, p pair) (pair, error) {
	ctx, cancel := context.WithTimeout(ctx, slackapi.CallTimeout)
	defer cancel()
	var answer struct {
		Token   connection.Secret `json:"token"`
		Refresh connection.Secret `json:"refresh_token"`
		Expires json.Number       `json:"exp"`
	}
	err := t.Slack.Call(ctx, "tooling.tokens.rotate", "", url.Values{"refresh_token": {p.Refresh.Reveal()}}, &answer)
	switch code := slackapi.SlackError(err); {
	case code == "invalid_refresh_token":
		return pair{}, server.Wrong("SLACK_CONFIG_REFRESH_TOKEN", "was used already, or isn't one: each works once", newPair)
	case err != nil:
		return pair{}, fmt.Errorf("renew the configuration token: %w", err)
	case answer.Token == "" || answer.Refresh == "":
		return pair{}, errors.New("renew the configuration token: Slack's answer has none; " + newPair)
	}

	next := pair{Token: answer.Token, Refresh: answer.Refresh, From: append(p.From, hashed(p.Refresh))}
	if p.Token != "" {
		next.From = append(next.From, hashed(p.Token))
	}
	if more := len(next.From) - mostAncestry; more > 0 {
		next.From = slices.Delete(next.From, origin, origin+more)
	}
	if seconds, err := answer.Expires.Int64(); err == nil && seconds > 0 {
		next.ExpiresAt = time.Unix(seconds, 0).UTC()
	}
	return next, nil
}

// Reseal encrypts the file with the first key, and reports whether there was one that needed it. It blocks while
// another process renews.
func (t *Tokens) Reseal() (bool, error) {
	if _, err := os.Stat(t.path()); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	unlock, err := t.lock()
	if err != nil {
		return false, err
	}
	defer unlock()

	keys, err := t.keyring()
	id, idErr := t.SealedWith()
	if err = errors.Join(err, idErr); err != nil || keys == nil || id == keys.IDs()[0] {
		return false, err
	}
	kept, err := t.read()
	if err != nil {
		return false, err
	}
	return true, t.write(kept)
}

// SealedWith is the id of the key that the file needs; "" where there is none, or it isn't sealed.
func (t *Tokens) SealedWith() (keyID string, err error) {
	raw, err := os.ReadFile(t.path())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	var w written
	if err == nil {
		err = json.Unmarshal(raw, &w)
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %s", t.path(), cause(err))
	}
	if w.Sealed == nil {
		return "", nil
	}
	return seal.KeyID(w.Sealed), nil
}

func (t *Tokens) path() string { return filepath.Join(t.Folder, File) }

// read is the pair in the file, none if there is no file.
func (t *Tokens) read() (pair, error) {
	raw, err := os.ReadFile(t.path())
	if errors.Is(err, fs.ErrNotExist) {
		return pair{}, nil
	}
	var w written
	if err == nil {
		err = json.Unmarshal(raw, &w)
	}
	if err == nil && w.Sealed != nil {
		var plain []byte
		if plain, err = t.opened(w.Sealed); err == nil {
			err = json.Unmarshal(plain, &w)
		}
	}
	if err == nil && (w.Token == "") != (w.Refresh == "") && len(w.From) > 0 {
		err = errors.New("it has only one of the two tokens")
	}
	if err != nil {
		return pair{}, server.Wrong("DATA_DIR", "the configuration tokens in "+t.path()+" can't be read: "+cause(err),
			"move that file away and "+newPair)
	}
	w.pair.Token, w.pair.Refresh = connection.Secret(w.Token), connection.Secret(w.Refresh)
	return w.pair, nil
}

// cause is what is wrong, without what the file holds.
func cause(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	if errors.As(err, &syntax) || errors.As(err, &kind) {
		return "it isn't the JSON that was written there"
	}
	return err.Error()
}

// writable writes and syncs what is there already. Another pair that was set, and that Slack may refuse, replaces
// nothing.
func (t *Tokens) writable() error {
	kept, err := t.read()
	if err != nil {
		return err
	}
	return t.write(kept)
}

// write returns when the pair is on the disk.
func (t *Tokens) write(p pair) error {
	raw, err := json.Marshal(written{Token: p.Token.Reveal(), Refresh: p.Refresh.Reveal(), pair: p})
	keys, keyErr := t.keyring()
	if err = errors.Join(err, keyErr); err == nil && keys != nil {
		var box []byte
		if box, err = keys.Seal(raw, sealedAt); err == nil {
			raw, err = json.Marshal(map[string][]byte{"sealed": box})
		}
	}
	if err == nil {
		err = replace(t.path(), raw)
	}
	if err != nil {
		return server.Wrong("DATA_DIR", "the configuration tokens can't be kept: "+err.Error(), server.DataDirFix)
	}
	return nil
}

// replace writes a file that only we can read. After a crash there is the old one or the new one.
func replace(path string, content []byte) error {
	draft, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = draft.Write(content)
	err = errors.Join(err, draft.Sync(), draft.Close())
	if err == nil {
		err = os.Rename(draft.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(draft.Name()))
	}

	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	err = folder.Sync()
	if err != nil && strings.Contains(err.Error(), "invalid") { // not every system syncs folders
		err = nil
	}
	return errors.Join(err, folder.Close())
}

// lock waits until no other process renews.
func (t *Tokens) lock() (unlock func(), err error) {
	if err = os.MkdirAll(t.Folder, 0o700); err == nil {
		var file *os.File
		if file, err = os.OpenFile(t.path()+".lock", os.O_CREATE|os.O_RDWR, 0o600); err == nil {
			if err = lockFile(file); err == nil {
				return func() { _ = file.Close() }, nil // which gives the lock up
			}
			_ = file.Close()
		}
	}
	return nil, server.Wrong("DATA_DIR", "the configuration tokens can't be kept: "+err.Error(), server.DataDirFix)
}
