// Package transport has the two ways from Slack: a Door for requests over HTTP, and Sockets for Socket Mode. Both check
// that what comes is Slack's, bring it to one Accept, and acknowledge it once Accept has it, with the answer that it
// gave. Neither knows what a handler is.
//
// Until something is known to be Slack's it costs next to nothing: bodies and connections are bounded, and nothing of
// them is looked at.
package transport
