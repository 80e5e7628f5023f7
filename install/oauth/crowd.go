package oauth

// Everybody can begin an install and come back from it with a code that they made up. This file keeps those who do from
// taking the place of those who don't: so many callbacks at once, and a smaller part of the calls for whoever brings
// codes that Slack does not know.

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	// Callbacks under way at once in one process. Each holds some 100 KB and waits for Slack and the database, 25 s at the
	// most.
	mostCallbacks = 128
	// Of these, one caller's: an office behind one address may be a large one.
	mostOfOne = 32
	// Whoever brought so many codes that Slack does not know, within this time, shares a smaller part of the budget with
	// others like them (installsSuspect). People who go back and reload bring some, too.
	falseCodes    = 5
	falseCodesFor = time.Minute
	busyWait      = 5 * time.Second // when to try again, told to whoever was turned away
)

// crowd is who is here. Its zero value is ready for use.
type crowd struct {
	mu      sync.Mutex
	open    int
	callers map[string]*caller
}

// caller is one address, while it has something open here or brought false codes a moment ago.
type caller struct {
	open  int
	codes int       // that Slack did not know
	since time.Time // the first of them
}

// enter lets one callback of a caller in; leave is called at its end. false: there are too many.
func (c *crowd) enter(from string, now time.Time) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.callers[from]
	if c.open >= mostCallbacks || from != "" && known != nil && known.open >= mostOfOne {
		return nil, false // and nothing is kept of who was turned away: there is no end to them
	}
	who := c.caller(from)
	c.open++
	who.open++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.open--
		who.open--
		c.forget(from, who, now)
	}, true
}

// suspect reports whether a caller brought many codes that Slack did not know.
func (c *crowd) suspect(from string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	who := c.callers[from]
	return who != nil && who.codes >= falseCodes && now.Sub(who.since) < falseCodesFor
}

// falseCode notes that Slack did not know a caller's code.
func (c *crowd) falseCode(from string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	who := c.caller(from)
	if now.Sub(who.since) >= falseCodesFor {
		who.codes, who.since = 0, now
	}
	who.codes++
}

// caller returns the entry of an address, and makes one. There are as many as callbacks are open and codes were false
// within a minute, which Slack's limit bounds; old ones go when the next callback ends.
func (c *crowd) caller(from string) *caller {
	who := c.callers[from]
	if who == nil {
		if c.callers == nil {
			c.callers = map[string]*caller{}
		}
		who = &caller{}
		c.callers[from] = who
	}
	return who
}

// forget drops an entry that says nothing any more, and with it a few others.
func (c *crowd) forget(from string, who *caller, now time.Time) {
	idle := func(who *caller) bool {
		return who.open == 0 && (who.codes == 0 || now.Sub(who.since) >= falseCodesFor)
	}
	if idle(who) {
		delete(c.callers, from)
	}
	looked := 0
	for name, other := range c.callers {
		if looked++; looked > 4 {
			return
		}
		if idle(other) {
			delete(c.callers, name)
		}
	}
}

// callerOf is who sent r, for being fair and nothing else: the address that the connection comes from, and what the
// proxy there says of its own client. Somebody who connects without a proxy can write anything there, and is the same
// as many strangers. "" is nobody: a proxy on this machine or network that names no client.
func callerOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	client := ""
	if all := r.Header.Values("X-Forwarded-For"); len(all) > 0 {
		client = all[len(all)-1]
		client = strings.TrimSpace(client[strings.LastIndexByte(client, ',')+1:])
	}
	near, err := netip.ParseAddr(host)
	far, farErr := netip.ParseAddr(client)
	if at, err := netip.ParseAddrPort(client); err == nil {
		far, farErr = at.Addr(), nil
	}
	switch {
	case farErr == nil && !inside(far):
		return host + " " + network(far)
	case farErr == nil || err != nil || inside(near):
		return ""
	}
	return network(near)
}

// inside reports whether an address is of a machine or network that many people's requests come through.
func inside(a netip.Addr) bool { return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() }

// network is an address, or of IPv6 the network of 64 bits that one person has.
func network(a netip.Addr) string {
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
