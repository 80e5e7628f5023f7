package doctor

// Check 6: the encryption keys: rows per key, and rows that none opens.

import "context"

// keys looks at nothing yet.
func keys(context.Context, *Examined) []Finding { return []Finding{} }
