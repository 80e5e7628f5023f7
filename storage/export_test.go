package storage

// What the tests of the inbox reach for inside.

import "context"

// Sweep and LetAllGo do what Run does now and then.
func (in *Inbox) Sweep(ctx context.Context) error    { return in.sweep(ctx) }
func (in *Inbox) LetAllGo(ctx context.Context) error { return in.letAllGo(ctx) }
