// Package tokens keeps tokens good: it renews them ahead of their end, each refresh token once, whoever asks and
// however many replicas there are. What Slack hands out is on this machine's disk before the store is tried, is tried
// again until the store has it, and stays there until the next pair of its owner, for the day on which the store
// loses a commit.
//
//	keeper := tokens.New(tokens.Config{…})
//	c, err := keeper.Good(ctx, c) // with a token that works now
//	err = keeper.Renew(ctx, key)
//
// Good costs nothing while the token lives. Of any number of callers whose token ran out, on all replicas, one asks
// Slack and the others wait for what it stores.
package tokens
