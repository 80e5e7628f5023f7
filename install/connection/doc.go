// Package connection says what a connection is: an app in a workspace (Key), what it may use there (TokenPair, Scope),
// what happened to it (Change), and in which State it is. There is one connection for each Key, for ever: a new consent
// updates it, a removal erases its secrets and keeps the rest.
//
//	c.Judge(connection.Identity{}, "token_revoked", now) // what Slack said of its token
//	c.State, c.Reason                                    // reconnect_required, token_revoked
//	connection.ReasonText(nil, c.Reason)                 // Its access was withdrawn in Slack.
//	c.Missing(needed)                                    // permissions it wasn't granted
//
// The states are pure functions of what is known and of what Slack said (Connection.Judge, TokenPair.Failed): nothing
// here asks anybody, blocks or keeps anything. What people read of it stands in package words.
package connection
