package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Who has our keys is told which process answers, on every path; to everybody else a question is no question.
func TestOnlyWhoHasTheKeysLearnsWhichProcessAnswers(t *testing.T) {
	t.Parallel()
	s, err := New(config(t))
	if err != nil {
		t.Fatal(err)
	}
	began, ended := make(chan bool, 1), make(chan error, 1)
	s.cfg.Serving = func() { began <- true }
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { ended <- s.Run(ctx) }()
	within(t, "the app to serve", began)
	ask := func(header string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/slack/events", strings.NewReader(""))
		r.Header.Set(QuestionHeader, header)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w
	}

	keys := s.db.SigningKeys()
	q := NewQuestion(keys, s.db.Now)
	if id, ours := q.Read(ask(q.Header).Body.String()); !ours || id != s.instance.ID || len(id) != 32 {
		t.Errorf("with our keys: %q, %v", id, ours)
	}
	if _, ours := NewQuestion(keys, s.db.Now).Read(ask(q.Header).Body.String()); ours {
		t.Error("an answer to another question is taken")
	}

	early := func() time.Time { return s.db.Now().Add(-2 * time.Minute) }
	late := func() time.Time { return s.db.Now().Add(2 * time.Minute) }
	for name, header := range map[string]string{
		"nonsense": "x", "without keys": NewQuestion(nil, s.db.Now).Header,
		"other keys": NewQuestion([]connection.Secret{"another"}, s.db.Now).Header,
		"old":        NewQuestion(keys, early).Header, "of tomorrow": NewQuestion(keys, late).Header,
	} {
		w := ask(header)
		if _, ours := q.Read(w.Body.String()); ours || w.Code != http.StatusUnauthorized ||
			strings.Contains(w.Body.String(), s.instance.ID) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}

	stop()
	if err := within(t, "the app to end", ended); err != nil {
		t.Error(err)
	}
}
