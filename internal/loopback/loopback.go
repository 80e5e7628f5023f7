// Package loopback tells whether an address is this machine's own. What goes there needs no TLS, and comes from nobody
// else.
package loopback

import (
	"net"
	"strings"
)

// Is reports whether host (with or without a port) is this machine.
func Is(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
