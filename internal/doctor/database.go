package doctor

// Check 5: the database: reachable, writable, schema, one row per workspace, TLS, synchronous_commit, pgbouncer.

import "context"

// database looks at nothing yet.
func database(context.Context, *Examined) []Finding { return []Finding{} }
