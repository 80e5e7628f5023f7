package bot

// Who belongs to the workspace, and what people hear who don't.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/connection"
)

const annIsOurs = `{"ok":true,"user":{"id":"UANN","team_id":"T1"}}`

// Whom the payload doesn't place Slack is asked about, once in ten minutes; where it says nothing that counts as no.
func TestWhoMayPress(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_790_000_000, 0)
	address, calls := saying(t, annIsOurs)
	i := &insiders{now: func() time.Time { return now }, known: map[string]time.Time{}}
	pressed := &interaction{Type: "block_actions"}
	admit := func(address string, h Handler) (told *Reply, r *Request) {
		t.Helper()
		r = ofAnn(t, address, nil)
		r.UserTeam, r.TeamID, i.install = "", "T9", r.Install.in // the payload can name theirs as the place
		return i.admit(t.Context(), &h, r, pressed), r
	}

	for _, step := range []struct {
		later time.Duration
		calls int32
	}{{0, 1}, {insiderKept - time.Second, 1}, {insiderKept, 2}} {
		now = time.Unix(1_790_000_000, 0).Add(step.later)
		if told, _ := admit(address, Handler{}); told != nil || calls.Load() != step.calls {
			t.Errorf("after %s: told %v, and Slack was asked %d times, want %d", step.later, told, calls.Load(), step.calls)
		}
	}

	clear(i.known)
	silent, _ := saying(t, `{"ok":false,"error":"internal_error"}`)
	if told, _ := admit(silent, Handler{}); told == nil || !strings.HasPrefix(told.Text, "We couldn't ask Slack") {
		t.Errorf("Slack is silent, and they are told %v", told)
	}
	theirs, _ := saying(t, `{"ok":true,"user":{"id":"UANN","team_id":"T9"}}`)
	if told, _ := admit(theirs, Handler{}); told == nil || !strings.HasPrefix(told.Text, "Only people at") {
		t.Errorf("somebody from elsewhere is told %v", told)
	}
	told, r := admit(theirs, Handler{anyone: true})
	if told != nil || !r.External() || r.TeamID != "T1" {
		t.Errorf("External: told %v, external %v, in %s", told, r.External(), r.TeamID)
	}
	if told, r := admit(address, Handler{anyone: true}); told != nil || r.External() {
		t.Errorf("External, one of ours: told %v, external %v", told, r.External())
	}
}

// What another installation put there is refused. A shortcut is used on anybody's message.
func TestForeignBot(t *testing.T) {
	t.Parallel()
	ours := connection.Connection{ID: "con_1", BotID: "B1"}
	for body, foreign := range map[string]bool{
		`{"type":"block_actions","message":{"bot_id":"B1"}}`:               false,
		`{"type":"block_actions","message":{"bot_id":"B2"}}`:               true,
		`{"type":"block_actions","message":{}}`:                            false,
		`{"type":"message_action","message":{"bot_id":"B2"}}`:              false,
		`{"type":"view_submission","view":{"type":"modal","bot_id":"B2"}}`: true,
		`{"type":"block_actions","view":{"type":"home","bot_id":"B2"}}`:    false,
		`{"type":"shortcut","callback_id":"x","message":null,"view":null}`: false,
	} {
		var i interaction
		if err := json.Unmarshal([]byte(body), &i); err != nil {
			t.Fatal(err)
		}
		if got := i.foreignBot(ours); got != foreign {
			t.Errorf("%s: %v", body, got)
		}
	}
}

// What went wrong is told to who acted, and nothing of it to people of another company.
func TestWhatPeopleReadOfErrors(t *testing.T) {
	t.Parallel()
	b, _ := loggedBot(t, nil, oneOf("command"))
	moving := slack.SlackErrorResponse{Err: "org_login_required"}
	limited := &slack.RateLimitedError{RetryAfter: 7 * time.Second}
	for _, test := range []struct {
		err     error
		outside bool
		want    string
	}{
		{errors.New("broken"), false, "Something went wrong on our side."},
		{slack.SlackErrorResponse{Err: connection.ReasonNotAdded}, false, "An admin of the organisation can add it here"},
		{moving, false, "This workspace is being moved"},
		{fmt.Errorf("post: %w", limited), false, "Try again in 7 seconds."},
		{slack.SlackErrorResponse{Err: connection.ReasonNotAdded}, true, "Something went wrong on our side."},
		{moving, true, "Something went wrong on our side."},
		{limited, true, "Something went wrong on our side."},
	} {
		r := ofAnn(t, "", nil)
		r.outsider = test.outside
		if got := b.gate.failed(t.Context(), r, &Handler{}, test.err).Text; !strings.Contains(got, test.want) ||
			!strings.Contains(got, "Reference: REF") && !strings.Contains(test.want, "add it here") {
			t.Errorf("%v, outside %v: %q, want %q", test.err, test.outside, got, test.want)
		}
	}

	for _, outside := range []bool{false, true} {
		r := ofAnn(t, "", nil)
		r.outsider = outside
		if got := b.gate.unavailable(t.Context(), r, connection.ErrNotConnected).Text; outside !=
			strings.Contains(got, "can't do that here right now.") {
			t.Errorf("no connection, outside %v: %q", outside, got)
		}
	}
}

// How a run ends is counted under one name.
func TestResultsOfRuns(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for _, test := range []struct {
		ctx  context.Context
		err  error
		want string
	}{
		{context.Background(), nil, ranDone}, {over, nil, ranDone},
		{context.Background(), &UserError{Text: "No."}, ranUserError},
		{context.Background(), fmt.Errorf("so: %w", &NotAllowedError{Scopes: []string{"pins:read"}}), ranNotAllowed},
		{context.Background(), slack.SlackErrorResponse{Err: connection.ReasonNotAdded}, ranNotConnected},
		{context.Background(), &panicError{}, ranPanicked},
		{over, errors.New("broken"), ranEnded}, {context.Background(), errTooLong, ranEnded},
		{context.Background(), &slack.RateLimitedError{}, ranLimited},
		{context.Background(), connection.ErrRenewing, ranLimited},
		{context.Background(), errors.New("broken"), ranFailed},
	} {
		if got := resultOf(test.ctx, &Handler{}, ofAnn(t, "", nil), test.err); got != test.want {
			t.Errorf("%v: %s, want %s", test.err, got, test.want)
		}
	}
}

// A handler of events and durable work has a minute, an agent longer, and each what its Timeout says.
func TestHowLongAHandlerHas(t *testing.T) {
	t.Parallel()
	b, _ := loggedBot(t, nil, oneOf("event"))
	for _, test := range []struct {
		kind  Kind
		limit time.Duration
		want  time.Duration
	}{
		{KindEvent, 0, eventBudget}, {KindTimer, 0, eventBudget}, {KindAgentMessage, 0, agentBudget},
		{KindEvent, time.Hour, time.Hour}, {KindAgentMessage, time.Second, time.Second},
	} {
		left := time.Duration(0)
		h := Handler{Kind: test.kind, limit: test.limit, run: func(ctx context.Context, _ *Request, _ any) error {
			if end, bounded := ctx.Deadline(); bounded {
				left = time.Until(end)
			}
			return nil
		}}
		if _, err := b.gate.within(t.Context(), &h, ofAnn(t, "", nil), nil); err != nil {
			t.Fatal(err)
		}
		if h.limit != test.limit {
			t.Errorf("%s: the handler's own limit became %s, for all that run it", test.kind, h.limit)
		}
		if left > test.want || left < test.want-test.want/2 {
			t.Errorf("%s, limit %s: has %s, want %s", test.kind, test.limit, left, test.want)
		}
	}
}

// OnError is for the app's own handlers. The Bot's know what to do with their errors.
func TestOnErrorIsForTheApp(t *testing.T) {
	t.Parallel()
	seen := 0
	b, _ := loggedBot(t, func(c *Config) {
		c.OnError = func(context.Context, *Request, error) error { seen++; return nil }
	}, oneOf("event"))
	for first, want := range map[bool]int{true: 0, false: 1} {
		seen = 0
		h := Handler{first: first, run: func(context.Context, *Request, any) error { return errors.New("broken") }}
		if _, err := b.gate.timed(t.Context(), &h, ofAnn(t, "", nil), nil); (err == nil) != (want > 0) || seen != want {
			t.Errorf("the Bot's own: %v, seen %d times, %v", first, seen, err)
		}
	}
}

// Who opened the Home tab reads of the first failure there, and a bot reads of none.
func TestWhoHearsOfAFailure(t *testing.T) {
	t.Parallel()
	b, _ := loggedBot(t, nil, oneOf("event"))
	for name, test := range map[string]struct {
		failures int
		change   func(*Request)
		calls    int32
	}{
		"Home":            {0, func(r *Request) { r.inHome = true }, 1},
		"Home, once more": {1, func(r *Request) { r.inHome = true }, 0},
		"a person":        {maxAttempts - 1, func(r *Request) { r.handler = &Handler{Name: "person"} }, 1},
		"a bot":           {maxAttempts - 1, func(r *Request) { r.BotID, r.handler = "B1", &Handler{Name: "bot"} }, 0},
		"no conversation": {maxAttempts - 1, func(r *Request) { r.ChannelID, r.handler = "", &Handler{Name: "nowhere"} }, 0},
		"before the last": {1, func(r *Request) { r.handler = &Handler{Name: "early"} }, 0},
		"without a way to": {maxAttempts - 1, func(r *Request) {
			r.Connection.Scopes, r.handler = nil, &Handler{Name: "mute"}
		}, 0},
	} {
		address, calls := saying(t, `{"ok":true}`)
		r := ofAnn(t, address, nil, "chat:write")
		r.ChannelID, r.Attempt = "C1", test.failures+1
		test.change(r)
		e := &Delivery{Kind: transport.KindEvents, Type: "reaction_added", Failures: test.failures, Attempt: r.Attempt}
		b.tellOfFailure(t.Context(), e, r, errors.New("broken"))
		if calls.Load() != test.calls {
			t.Errorf("%s: %d calls, want %d", name, calls.Load(), test.calls)
		}
	}
}

// A way to allow what is missing is for people of this workspace.
func TestActingForNobody(t *testing.T) {
	t.Parallel()
	for _, outside := range []bool{false, true} {
		r := ofAnn(t, "", nil)
		r.UserID, r.outsider = "", outside
		r.Connection = connection.Connection{}
		_, err := r.UserClient(t.Context())
		word, told := userWord(err)
		if !told || !errors.Is(err, connection.ErrNotConnected) || strings.Contains(word.Text, "To allow it, open http") ==
			outside {
			t.Errorf("outside %v: %v, %q", outside, err, word.Text)
		}
	}
}

// What ended the process again and again is given up, whatever its kind.
func TestTimerThatEndsTheProcess(t *testing.T) {
	t.Parallel()
	b, _ := loggedBot(t, nil, oneOf("event"))
	e := &Delivery{Kind: transport.KindTimer, Type: "timer x", Deaths: mostDeaths, Body: []byte(`{}`)}
	if err := b.handle(t.Context(), e, nil); !errors.Is(err, errEndsProcess) {
		t.Error(err)
	}
}

// What another release has a handler for waits for that release. Of durable work whose answer has nowhere to go nothing
// is left to do.
func TestWorkForNobodyHere(t *testing.T) {
	t.Parallel()
	b, _ := loggedBot(t, nil, oneOf("event"))
	for kind, handler := range map[string]string{transport.KindTimer: "timer gone",
		transport.KindCommands: "command /gone", transport.KindInteractive: "action gone"} {
		e := &Delivery{Kind: kind, Type: handler, Body: []byte(`{}`)}
		if err := b.handle(t.Context(), e, nil); err == nil || !strings.Contains(err.Error(), "no handler "+handler) {
			t.Errorf("%s: %v", handler, err)
		}
	}

	h := oneOf("async command")
	silent := outcome{req: ofAnn(t, "", nil), by: &h, begun: true, ran: ranFailed, err: &undelivered{errSilent}}
	if err := b.handledSlow(t.Context(), &Delivery{Attempt: 1}, silent); err != nil {
		t.Errorf("an answer that goes nowhere: %v", err)
	}
}
