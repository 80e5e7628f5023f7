package inbox

// Errors are sentences, each a little different. Who looks for what they have in common needs one word for it.

import (
	"regexp"
	"strings"
)

// The words for what isn't Slack's. Scripts rely on them.
const (
	ReasonNoHandler    = "no_handler"    // no handler of that name is in the running release
	ReasonEndedProcess = "ended_process" // its handler ended the process each time
	ReasonPanic        = "panic"         // its handler did
	ReasonTimeout      = "timeout"       // something took too long
	ReasonUnreadable   = "unreadable"    // none of the keys opens it
	ReasonLimited      = "ratelimited"   // Slack's limit, also where our own limiter waits for it
	ReasonOther        = "other"
)

// ofSlack finds an error code of Slack's: a word with underscores that ends what was said, or a part of it.
var ofSlack = regexp.MustCompile(`(?:^|[:;\n]) ?([a-z][a-z0-9]*(?:_[a-z0-9]+)+)(?:$|[;\n]| \()`)

// ofOurs are parts of sentences that say something that isn't Slack's.
var ofOurs = []struct{ part, reason string }{
	{"there is no handler", ReasonNoHandler},
	{"the process ended", ReasonEndedProcess},
	{"handler panicked", ReasonPanic},
	{"can't be opened with the keys", ReasonUnreadable},
	{"ratelimited", ReasonLimited}, {"rate limit", ReasonLimited},
	{"deadline exceeded", ReasonTimeout}, {"took longer than", ReasonTimeout}, {"Client.Timeout", ReasonTimeout},
}

// Reason is one stable word for an error of an attempt: Slack's code where it gave one, "" where nothing failed.
func Reason(text string) string {
	if text == "" {
		return ""
	}
	for _, known := range ofOurs {
		if strings.Contains(text, known.part) {
			return known.reason
		}
	}
	if found := ofSlack.FindAllStringSubmatch(text, -1); len(found) > 0 {
		return found[len(found)-1][1]
	}
	return ReasonOther
}
