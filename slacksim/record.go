package slacksim

// What happened, for those who look afterwards: calls, deliveries, rule breaches and every secret handed out.

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// Call is one request the app made: a Web API call, or a post to a response URL (Method "response_url") or to an
// incoming webhook (Method "webhook").
type Call struct {
	At     time.Time // by the Sim's clock
	Method string    // "chat.postMessage", "response_url", "webhook"
	Token  string    // as sent, "" when none
	TeamID string    // of the installation the token belongs to; the enterprise's id for an organisation-wide one
	Form   url.Values
	JSON   json.RawMessage // the body, when it was JSON
	// OK and Error are what was answered. Status is the HTTP status, 0 when the connection was cut instead.
	OK       bool
	Error    string
	Status   int
	Duration time.Duration // real time
	Done     bool          // false while the answer is still being held back
}

// Arg returns an argument of the call wherever it was sent, as text. Nested JSON comes back as JSON.
func (c Call) Arg(name string) string {
	if v := c.Form.Get(name); v != "" {
		return v
	}
	var m map[string]any
	if json.Unmarshal(c.JSON, &m) != nil {
		return ""
	}
	return blockkit.Text(m[name])
}

// Delivery is one request the Sim sent to the app, or one envelope through a socket.
type Delivery struct {
	At      time.Time
	Kind    string // "event", "command", "interaction", "verification", "raw"
	URL     string // or "socket 3"
	EventID string
	Type    string // inner event type, command name or interaction type
	TeamID  string
	// RetryNum and RetryReason are the x-slack-retry headers, and zero on the first attempt.
	RetryNum    int
	RetryReason string
	Body        []byte        // as sent; in Socket Mode as it would have been sent over HTTP
	Status      int           // 0 when no answer came
	Answer      []byte        // as received
	Took        time.Duration // real time
	Err         string        // as in Ack
	Done        bool          // false while the answer is waited for
}

// Breach is a rule of Slack's that the app broke.
type Breach struct {
	At     time.Time
	Rule   string // short and stable, see the Rule… constants
	Detail string // for people; holds no secret
}

// The rules whose breaches are recorded.
const (
	RuleTokenInQuery     = "token-in-query"           // a token in the address of a request
	RuleUnknownMethod    = "unknown-method"           // a method that this Slack lacks; see Sim.Handle
	RuleRevokedToken     = "revoked-token"            // a revoked or uninstalled token used for more than auth.test
	RuleExpiredToken     = "expired-token"            // an expired token used for more than auth.test
	RuleRefreshReused    = "refresh-reused"           // a spent refresh token presented again
	RuleLateAck          = "late-ack"                 // no acknowledgement within AckTimeout
	RuleEventStatus      = "event-status"             // an event answered with something other than 2xx
	RuleCommandStatus    = "command-status"           // a command answered with something other than 200
	RuleCommandBody      = "command-body"             // a command's reply that Slack would refuse
	RuleActionStatus     = "interaction-status"       // an interaction answered with something other than 200
	RuleActionBody       = "interaction-body"         // an interaction whose answer Slack ignores, answered with a body
	RuleOptions          = "options"                  // options for a menu that Slack would refuse
	RuleFunctionLate     = "function-late"            // a function that gives options completed after its event's ack
	RuleViewAck          = "view-ack"                 // a view_submission acknowledged with a body Slack would refuse
	RuleHookOverused     = "response-url-used"        // a response_url used a sixth time
	RuleHookExpired      = "response-url-expired"     // a response_url used after 30 minutes
	RuleHookBody         = "response-url-body"        // a post to a response_url that Slack would refuse
	RuleNoText           = "blocks-without-text"      // blocks without the text that notifications show
	RuleUninstalledHook  = "response-url-uninstalled" // a response_url used after the app was removed
	RuleForeignToken     = "foreign-token"            // a token whose installation can't reach what the call names
	RuleVerification     = "url-verification"         // a challenge that did not come back
	RuleNeverPosted      = "never-posted"             // a message scheduled with metadata, which Slack never posts
	RuleTooManyRedirects = "too-many-redirects"       // a delivery that was redirected more than twice
)

type record struct {
	*engine
	calls      []*Call
	deliveries []*Delivery
	breaches   []Breach
	secrets    []string
	faults     []*fault
	twice      int
}

func (s *record) breachLocked(rule, format string, args ...any) {
	s.breaches = append(s.breaches, Breach{At: s.clock.Now(), Rule: rule, Detail: fmt.Sprintf(format, args...)})
	s.log.Warn("Slack would refuse this", "rule", rule, "detail", s.breaches[len(s.breaches)-1].Detail)
	s.noteLocked()
}

func (s *record) breach(rule, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breachLocked(rule, format, args...)
}

// Calls returns the calls of these methods ("chat.postMessage", "response_url", "webhook"), or every one when none is
// named, in the order of arrival.
func (s *Sim) Calls(methods ...string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return values(s.record.calls, func(c *Call) bool { return methods == nil || slices.Contains(methods, c.Method) })
}

// Deliveries returns every delivery attempt so far, in the order of sending.
func (s *Sim) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return values(s.record.deliveries, func(*Delivery) bool { return true })
}

// Breaches returns every rule breach so far. A test that expects none asserts that it is empty.
func (s *Sim) Breaches() []Breach {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.record.breaches)
}

// Secrets returns every secret ever configured or issued: client and signing secret, app token, codes, access and
// refresh tokens, tickets, the secret parts of response and webhook URLs. Tests search logs, pages and databases for
// them.
func (s *Sim) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := append(slices.Clone(s.record.secrets), s.app.ClientSecret, s.app.SigningSecret, s.app.AppToken)
	return slices.DeleteFunc(all, func(x string) bool { return x == "" })
}

func (s *record) secretLocked(v string) string {
	s.secrets = append(s.secrets, v)
	return v
}
