package cli

// What Slack's values look like. A sample that was pasted with the rest, or a value in the wrong place, otherwise shows
// weeks later, when the first person installs.

import (
	"regexp"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/install/connection"
)

var (
	clientID  = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)
	appID     = regexp.MustCompile(`^A[A-Z0-9]{2,}$`)
	hexSecret = regexp.MustCompile(`^[0-9A-Fa-f]{32}$`)
)

// basics is where Slack shows an app's credentials.
const basics = "copy it from your app's Basic Information page at https://api.slack.com/apps"

// sampleIDs stand in Slack's documentation.
var sampleIDs = []string{"A0123ABC456", "A123ABC456", "A012ABCD0A0", "A123456ABCD"}

// sampleWords are parts of tokens that nobody was given.
var sampleWords = []string{"your", "my", "the", "token", "bot", "app", "slack", "secret", "here", "example", "sample",
	"test", "placeholder", "changeme", "change", "me", "replace", "insert", "not", "a", "real", "fake", "dummy", "todo",
	"goes"}

// checkClientID refuses what is no client id.
func checkClientID(s *source, id string) {
	first, second, _ := strings.Cut(id, ".")
	switch {
	case id == "":
		s.bad("SLACK_CLIENT_ID", "is not set", basics)
	case !clientID.MatchString(id):
		s.bad("SLACK_CLIENT_ID", "is not of the form 123.456", basics)
	case len(first) >= 5 && len(second) >= 5 && counted(first) && counted(second):
		s.bad("SLACK_CLIENT_ID", "is a sample", basics)
	}
}

// checkAppID refuses what is no app's id; none is fine.
func checkAppID(s *source, id string) {
	switch {
	case id == "":
	case !appID.MatchString(id):
		s.bad("SLACK_APP_ID", "is not an app's id (A…)", basics)
	case slices.Contains(sampleIDs, id), len(id) >= 5 && counted(id[1:]):
		s.bad("SLACK_APP_ID", "is a sample", basics)
	}
}

// checkSecret refuses what is neither a client secret nor a signing secret. Slack's are 32 hexadecimal digits. It comes
// after slackURL.
func checkSecret(s *source, name string, secret connection.Secret) {
	v := secret.Reveal()
	switch {
	case v == "" && s.files[name], strings.ContainsFunc(v, odd): // that was said
	case v == "":
		s.bad(name, "is not set", basics)
	case s.imitated:
	case !hexSecret.MatchString(v):
		s.bad(name, "is not 32 hexadecimal digits (0-9, a-f), as Slack's are", basics)
	case counted(strings.ToLower(v)):
		s.bad(name, "is a sample", basics)
	}
}

// checkAppToken refuses what is no app-level token. None is fine.
func checkAppToken(s *source, token connection.Secret) {
	const fix = "create one on the app's Basic Information page, with the scope connections:write; or leave it out, and " +
		"Slack sends to PUBLIC_URL/slack/events"
	switch {
	case token == "":
	case !strings.HasPrefix(token.Reveal(), "xapp-"):
		s.bad("SLACK_APP_TOKEN", "is not an app-level token (xapp-…)", fix)
	case sampleToken(token):
		s.bad("SLACK_APP_TOKEN", "is a sample", fix)
	}
}

// sampleToken reports whether a token is one to be replaced: words, or letters counted up, where Slack puts chance.
func sampleToken(token connection.Secret) bool {
	_, rest, _ := strings.Cut(token.Reveal(), "-")
	parts := strings.FieldsFunc(strings.ToLower(rest), func(r rune) bool { return strings.ContainsRune("-_.<>[]{}$", r) })
	return !slices.ContainsFunc(parts, func(part string) bool {
		return len(part) > 2 && !counted(part) && !counted(part[1:]) && !slices.Contains(sampleWords, part)
	})
}

// counted reports whether each character follows on the one before it, as in 1234567890 and 89abcdef, or all are the
// same.
func counted(s string) bool {
	const order = "0123456789abcdefghijklmnopqrstuvwxyz"
	s = strings.ToLower(s)
	same, up, down := true, true, true
	for i := 1; i < len(s); i++ {
		before, now := strings.IndexByte(order, s[i-1]), strings.IndexByte(order, s[i])
		same = same && now == before
		up = up && (now == before+1 || now == 0 && (before == 9 || before == 15))
		down = down && (now == before-1 || before == 0 && (now == 9 || now == 15))
	}
	return same || up || down
}
