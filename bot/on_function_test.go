package bot

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
)

// stepOf is a step in a Slack that answers by the token of a call: with an error, or "" for none. calls are the
// methods, with their tokens and what they say.
func stepOf(t *testing.T, token string, answers map[string]string) (s *Step, calls func() []string) {
	t.Helper()
	var all []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		all = append(all, path.Base(r.URL.Path)+" "+bearer+" "+r.FormValue("outputs")+r.FormValue("error"))
		if code := answers[bearer]; code != "" {
			_, _ = w.Write([]byte(`{"ok":false,"error":"` + code + `"}`))
			return
		}
		_, _ = w.Write([]byte(`{"ok":true}`))
	}))
	t.Cleanup(server.Close)
	r := ofAnn(t, server.URL, nil)
	r.Attempt = 1
	return newStep(r, "Fx1", "open", token, nil), func() []string { return all }
}

// A step is ended with its own token, and with the workspace's once that is over. That an earlier attempt has ended it
// is no error.
func TestHowAStepEnds(t *testing.T) {
	t.Parallel()
	const own, bots = "functions.completeSuccess xwfp-1 {}", "functions.completeSuccess xoxb-1 {}"
	for name, test := range map[string]struct {
		token   string
		answers map[string]string
		attempt int
		calls   []string
		err     string // "": none
	}{
		"with its own":        {"xwfp-1", nil, 1, []string{own}, ""},
		"of no token":         {"", nil, 1, []string{bots}, ""},
		"of one that is over": {"xwfp-1", map[string]string{"xwfp-1": "token_expired"}, 1, []string{own, bots}, ""},
		"refused": {"xwfp-1", map[string]string{"xwfp-1": "parameter_validation_failed"}, 1, []string{own},
			"parameter_validation_failed"},
		"ended by somebody": {"xwfp-1", map[string]string{"xwfp-1": "execution_not_in_running_state"}, 1, []string{own},
			ErrStepEnded.Error()},
		"ended by an earlier attempt": {"xwfp-1", map[string]string{"xwfp-1": "execution_not_in_running_state"}, 2,
			[]string{own}, ""},
	} {
		s, calls := stepOf(t, test.token, test.answers)
		s.request.Attempt = test.attempt
		err := s.Complete(t.Context(), nil)
		if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) ||
			!slices.Equal(calls(), test.calls) {
			t.Errorf("%s: %q, want %q; %v", name, calls(), test.calls, err)
		}
	}
}

// A workflow doesn't wait for what nobody does any more, and is told why; what is tried again it waits for.
func TestWhenAStepIsGivenUp(t *testing.T) {
	t.Parallel()
	final := slack.SlackErrorResponse{Err: "is_archived"}
	for name, test := range map[string]struct {
		o        outcome
		failures int
		says     string // "": nothing
	}{
		"tried again":            {outcome{begun: true, err: errors.New("broken")}, 0, ""},
		"failed for the last":    {outcome{begun: true, err: errors.New("broken")}, maxAttempts - 1, "Something went wrong"},
		"failed for good":        {outcome{begun: true, err: final}, 0, "Something went wrong"},
		"not begun":              {outcome{err: errors.New("our records are away")}, maxAttempts - 1, ""},
		"of inputs of no use":    {outcome{begun: true, err: &decodeError{errors.New("odd")}}, 0, "The inputs of this step"},
		"refused":                {outcome{told: &Reply{Text: "There is no printer."}}, 0, "There is no printer."},
		"without its permission": {outcome{missing: []string{"pins:read"}}, 0, "permission to"},
	} {
		s, calls := stepOf(t, "xwfp-1", nil)
		s.request.said = &said{event: &Delivery{Kind: transport.KindEvents, Failures: test.failures}}
		s.settle(t.Context(), test.o)
		said := strings.Join(calls(), "\n")
		if test.says == "" && said != "" || !strings.Contains(said, test.says) {
			t.Errorf("%s: %q, want %q", name, said, test.says)
		}
	}

	s, calls := stepOf(t, "xwfp-1", nil)
	if err := s.Complete(t.Context(), map[string]any{"id": 7}); err != nil {
		t.Fatal(err)
	}
	s.settle(t.Context(), outcome{begun: true, err: final})
	if got := calls(); len(got) != 1 || got[0] != `functions.completeSuccess xwfp-1 {"id":7}` {
		t.Errorf("one that has ended: %q", got)
	}
}

// The inputs are the fields of the struct that others see, but for those that JSON leaves out.
func TestInputsOfAStep(t *testing.T) {
	t.Parallel()
	type seen struct{ Plain string }
	got := parametersOf(reflect.TypeFor[struct {
		seen
		Skipped string `json:"-"`
		Who     string `json:"who" slack:"user_id"`
		Count   *int   `json:"count,omitempty"`
		Bare    float64
	}]())
	want := []Parameter{{Name: "who", Type: "slack#/types/user_id", Required: true}, {Name: "count", Type: "integer"},
		{Name: "Bare", Type: "number", Required: true}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
