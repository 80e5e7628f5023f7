package doctor

// Check 4: the app's settings at Slack against what its code asks for.

import "context"

// settings looks at nothing yet.
func settings(context.Context, *Examined) []Finding { return []Finding{} }
