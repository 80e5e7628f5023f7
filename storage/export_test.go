package storage

// What the tests of the inbox reach for inside.

import "context"

// Sweep and LetAllGo do what Run does now and then.
func (in *Inbox) Sweep(ctx context.Context) error    { return in.sweep(ctx) }
func (in *Inbox) LetAllGo(ctx context.Context) error { return in.letAllGo(ctx) }

// Queued is how many events wait for the next shared commit; Committing reports that one is under way and none waits.
func (in *Inbox) Queued() int      { return len(in.adds) }
func (in *Inbox) Committing() bool { return in.bytes.Load() > 0 && len(in.adds) == 0 }
