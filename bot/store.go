package bot

// What a bot remembers of a workspace: small values under keys, next to the connection, without a table of its own.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/switchboard-go/switchboard/install/connection"
)

// What a Store takes. What is larger belongs in a table of the bot's own.
const (
	LongestKey   = 255      // bytes
	LargestValue = 64 << 10 // bytes of JSON
)

var (
	// ErrStoreLimit says that a key or a value is none that a Store takes: too long, empty, or not printable text.
	ErrStoreLimit = errors.New("not what a store takes")
	// ErrNoStore says that the Bot has no place for values or timers (Config.Values, Config.Timers).
	ErrNoStore = errors.New("this bot keeps no data: Config.Values and Config.Timers say where")
)

// ValueOwner says whose a bot's data is: an app's, in one workspace. What is kept there follows the workspace and not
// the access that it was written with: it is found again after the workspace joined an organisation, after an
// organisation-wide install took over, and after a re-install. It goes with the connection that used it last.
type ValueOwner struct {
	ConnectionID string // con_…: that of the delivery
	AppID        string // A…
	TeamID       string // T…; E… for what concerns an organisation and none of its workspaces
}

// homeOf is the home of a delivery from a workspace, "" for none, that c was found for.
func homeOf(c connection.Connection, team string) ValueOwner {
	home := ValueOwner{ConnectionID: c.ID, AppID: c.AppID, TeamID: c.TeamID}
	if c.Org() {
		home.TeamID = team
	}
	if home.TeamID == "" {
		home.TeamID = c.EnterpriseID
	}
	return home
}

// Kept is a value as it is kept.
type Kept struct {
	Key     string
	Data    []byte // JSON
	Version int64  // another one after each write; 0: there is no value
}

// Values keeps what handlers put into their Store. It may be used from any number of goroutines and processes. A value
// whose time is over is as good as none.
type Values interface {
	// Get returns the value of a key, or the zero Kept.
	Get(ctx context.Context, of ValueOwner, key string) (Kept, error)
	// Put writes a value, whatever was there, until a time; zero: for good. connection.ErrNotFound when there is no
	// such connection.
	Put(ctx context.Context, of ValueOwner, key string, data []byte, until time.Time) error
	// Replace writes data where the value is still was, and leaves its time alone. It reports whether it did.
	Replace(ctx context.Context, of ValueOwner, was Kept, data []byte) (done bool, err error)
	// Delete deletes a value, if there is one.
	Delete(ctx context.Context, of ValueOwner, key string) error
	// List returns at most n values whose keys begin with prefix and come after a key, in the order of their bytes.
	List(ctx context.Context, of ValueOwner, prefix, after string, n int) ([]Kept, error)
}

// Store keeps small values for the workspace of a Request, as JSON. Nothing in it can be read from another workspace.
// Values are sealed. Keys are not: put ids into them, and what people wrote into values. Where a value is about a
// person or a channel, their id is a part of the key: "settings/U0123".
//
// When the app is removed the values stay for as long as the connection's record does, and a re-install before then
// finds them. Its methods block for the database, and may be called from any number of goroutines.
type Store struct {
	values Values
	of     ValueOwner
	now    func() time.Time
}

// Store is where a handler keeps what it wants to know next time. Without a connection (WithoutConnection) its methods
// return connection.ErrNotConnected.
func (req *Request) Store() Store { return req.store }

// TeamID says whose values these are: a workspace's (T…), or an organisation's (E…). "" without a connection.
func (s Store) TeamID() string { return s.of.TeamID }

// In returns the request with the Store and the timers of another workspace (T…) of the organisation that the app is
// installed for. A channel can belong to several workspaces of it, and what somebody presses there comes from theirs:
// where the value of a button says whose Store (Store.TeamID) knows more of it, whoever presses finds that. Client and
// the rest stay the request's. The connection of a single workspace has no other, and the request stays as it is.
func (req *Request) In(teamID string) *Request {
	if !req.Connection.Org() || !strings.HasPrefix(teamID, "T") {
		return req
	}
	there := *req
	there.store.of.TeamID = teamID
	return &there
}

// Get decodes the value of a key into into, a pointer, and reports whether there is one.
func (s Store) Get(ctx context.Context, key string, into any) (found bool, err error) {
	if err := s.check(key); err != nil {
		return false, err
	}
	kept, err := s.values.Get(ctx, s.of, key)
	if err != nil || kept.Version == 0 {
		return false, err
	}
	return true, decodeValue(kept, into)
}

// Put keeps value, as JSON, for so long; 0: for good. What was there before is replaced.
func (s Store) Put(ctx context.Context, key string, value any, life time.Duration) error {
	if err := s.check(key); err != nil {
		return err
	}
	data, err := encodeValue(key, value)
	if err != nil {
		return err
	}

	var until time.Time
	switch {
	case life < 0:
		return fmt.Errorf("store: the life of %q is %s: %w", key, life, ErrStoreLimit)
	case life > 0:
		until = s.now().Add(life)
	}
	return s.values.Put(ctx, s.of, key, data, until)
}

// Delete deletes the value of a key. That there is none is no error.
func (s Store) Delete(ctx context.Context, key string) error {
	if err := s.check(key); err != nil {
		return err
	}
	return s.values.Delete(ctx, s.of, key)
}

// listedAtOnce is how many values of a list are in memory at a time: 16 MB at most.
const listedAtOnce = 256

// Entry is a value in a Store.
type Entry struct {
	Key  string
	kept Kept
}

// Decode decodes the value into into, a pointer.
func (e Entry) Decode(into any) error { return decodeValue(e.kept, into) }

// List goes through the values whose keys begin with prefix ("": all of the workspace's), in the order of their bytes.
// After an error it ends. What is written meanwhile is in it or not.
func (s Store) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := s.check(prefix + "x"); err != nil {
			yield(Entry{}, err)
			return
		}

		for after := ""; ; {
			some, err := s.values.List(ctx, s.of, prefix, after, listedAtOnce)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, kept := range some {
				if !yield(Entry{Key: kept.Key, kept: kept}, nil) {
					return
				}
			}

			if len(some) < listedAtOnce {
				return
			}
			after = some[len(some)-1].Key
		}
	}
}

// Update changes a value: fn gets what is there, or the zero T, and what it leaves in v is kept. If somebody else wrote
// the value meanwhile, fn runs again with theirs, so it must do nothing but that. An error of fn is returned, and
// nothing is changed. A value keeps the time that it is kept until; a new one is kept for good.
func Update[T any](ctx context.Context, s Store, key string, fn func(v *T) error) error {
	if err := s.check(key); err != nil {
		return err
	}

	for try := 0; ; try++ {
		kept, err := s.values.Get(ctx, s.of, key)
		if err != nil {
			return err
		}

		var v T
		if kept.Version == 0 {
			kept.Key = key
		} else if err := decodeValue(kept, &v); err != nil {
			return err
		}
		if err := fn(&v); err != nil {
			return err
		}
		data, err := encodeValue(key, v)
		if err != nil {
			return err
		}

		done, err := s.values.Replace(ctx, s.of, kept, data)
		if err != nil || done {
			return err
		}
		if err := yieldTo(ctx, try); err != nil { // somebody else's change went in
			return fmt.Errorf("store: update %q: %w", key, err)
		}
	}
}

// yieldTo waits up to 2, 4, 8 … 64 ms, by chance, so that those who write one value don't meet again.
func yieldTo(ctx context.Context, try int) error {
	timer := time.NewTimer(rand.N(time.Millisecond << min(try+1, 6)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// check finds what keeps s from being asked for key.
func (s Store) check(key string) error {
	switch {
	case s.values == nil:
		return ErrNoStore
	case s.of.ConnectionID == "" || s.of.TeamID == "":
		return connection.ErrNotConnected
	}
	return checkKey(key)
}

// checkKey finds what is no key of a value or a timer.
func checkKey(key string) error {
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case key == "":
		return fmt.Errorf("store: the key is empty: %w", ErrStoreLimit)
	case len(key) > LongestKey:
		return fmt.Errorf("store: the key %.40q… has %d bytes, and %d is the most: %w", key, len(key), LongestKey,
			ErrStoreLimit)
	case !utf8.ValidString(key) || strings.ContainsFunc(key, odd):
		return fmt.Errorf("store: the key %q is not printable text: %w", key, ErrStoreLimit)
	}
	return nil
}

func encodeValue(key string, value any) ([]byte, error) {
	data, err := json.Marshal(value)
	switch {
	case err != nil:
		return nil, fmt.Errorf("store: the value of %q can't be written as JSON: %w", key, err)
	case len(data) > LargestValue:
		return nil, fmt.Errorf("store: the value of %q has %d bytes of JSON, and %d is the most: %w", key, len(data),
			LargestValue, ErrStoreLimit)
	}
	return data, nil
}

func decodeValue(kept Kept, into any) error {
	if err := json.Unmarshal(kept.Data, into); err != nil {
		return fmt.Errorf("store: read the value of %q: %w", kept.Key, err)
	}
	return nil
}
