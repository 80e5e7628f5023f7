package slacksim

// The Web API's front door: arguments, tokens, scopes, headers, faults and the record. What a method does is in
// methods.go. docs.slack.dev/apis/web-api

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// apiError is an answer with ok:false.
type apiError struct {
	code     string
	retry    int            // seconds to wait: the answer is 429
	messages []string       // in response_metadata
	extra    map[string]any // what else is in the answer
}

func fail(code string) *apiError { return &apiError{code: code} }

func failWith(code string, messages ...string) *apiError {
	return &apiError{code: code, messages: messages,
		extra: map[string]any{"response_metadata": map[string]any{"messages": messages}}}
}

type apiRequest struct {
	method string
	form   url.Values
	json   object
	isJSON bool
	token  *token
	inst   *installation
	basic  [2]string // client id and secret from HTTP Basic
	spent  *refresh
	config *configToken
	call   *Call
}

// arg is an argument as text. JSON values come back as JSON text.
func (r *apiRequest) arg(name string) string {
	if r.isJSON {
		return blockkit.Text(r.json[name])
	}
	return r.form.Get(name)
}

func (r *apiRequest) has(name string) bool {
	if r.isJSON {
		return r.json[name] != nil
	}
	return r.form.Get(name) != ""
}

func (r *apiRequest) flag(name string) bool {
	v := r.arg(name)
	return v == "true" || v == "1"
}

// method is one entry of the Web API.
type method struct {
	scopes   []string          // any one will do; nil: none needed. Methods with finer rules check them themselves
	free     bool              // needs no token
	kind     string            // "bot": no other token will do
	formOnly bool              // ignores JSON bodies, as Slack's read methods do
	orgTeam  bool              // an organisation's token must say team_id
	appToken bool              // an app-level token calls it, and no other
	config   bool              // a configuration token calls it, and no other
	client   bool              // needs the client's id and secret
	tier     int               // how often it can be called, 2 to 4; 0: as often as one likes here
	before   func(*apiRequest) // what it waits for, without the lock
	run      func(*apiRequest) (map[string]any, *apiError)
}

// writeAnswer answers with ok:true and what is in answer, or with an error.
func writeAnswer(w http.ResponseWriter, status int, answer map[string]any, err *apiError) {
	out := map[string]any{"ok": err == nil}
	maps.Copy(out, answer)
	if err != nil {
		out["error"] = err.code
		maps.Copy(out, err.extra)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	b, _ := json.Marshal(out)
	_, _ = w.Write(b)
}

// recorder holds an answer back until it is known whether it may leave.
type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(code int)        { r.code = code }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// guarded runs a handler with the fault that matches, if any. It serves the API and the hooks alike. work must not
// write before it has done all its work.
func (s *record) guarded(w http.ResponseWriter, r *http.Request, call *Call, enterprise string,
	work func(http.ResponseWriter) (onDrop func())) {
	start := time.Now()
	s.mu.Lock()
	call.At = s.clock.Now()
	s.calls = append(s.calls, call)
	f := s.takeFaultLocked(call.Method, call.TeamID, enterprise)
	s.noteLocked()
	s.mu.Unlock()

	finish := func(status int, code string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		call.Duration, call.Done, call.Status, call.Error = time.Since(start), true, status, code
		call.OK = code == "" && status >= 200 && status < 300
		s.log.Debug("call", "method", call.Method, "status", status, "error", code)
		s.noteLocked()
	}

	if f != nil {
		if done, status, code := s.misbehave(w, r, f); done {
			finish(status, code)
			if status == 0 {
				panic(http.ErrAbortHandler) // nothing was answered: cut the connection
			}
			return
		}
	}

	rec := &recorder{header: http.Header{}, code: http.StatusOK}
	dropped := work(rec)
	if f != nil && f.DropAnswer {
		if dropped != nil {
			dropped()
		}
		finish(0, "answer_dropped")
		panic(http.ErrAbortHandler)
	}

	code := ""
	var answer struct {
		OK    *bool
		Error string
	}
	if json.Unmarshal(rec.body.Bytes(), &answer) == nil && answer.OK != nil && !*answer.OK {
		code = answer.Error
	} else if rec.code >= 300 {
		code = strings.TrimSpace(rec.body.String())
	}

	// Recorded before the answer leaves, so that whoever got the answer finds the call complete.
	finish(rec.code, code)
	maps.Copy(w.Header(), rec.header)
	w.WriteHeader(rec.code)
	_, _ = w.Write(rec.body.Bytes())
}

// api is the Web API.
type api struct {
	*parts
	methods map[string]method
	given   map[string]Answerer // by Sim.Handle
	rates   *rates
}

// ServeHTTP answers one call.
func (s *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := &apiRequest{method: strings.TrimPrefix(r.URL.Path, "/api/")}
	call := &Call{Method: req.method}
	req.call = call
	early := s.parse(r, req)
	sent := tokenOf(r, req)
	call.Token = sent

	enterprise := ""
	s.mu.Lock()
	if t := s.oauth.tokens[sent]; t != nil {
		call.TeamID, enterprise = t.chain.inst.home, t.chain.inst.enterpriseID
	}
	s.mu.Unlock()

	s.record.guarded(w, r, call, enterprise, func(w http.ResponseWriter) func() {
		answer, err := map[string]any(nil), early
		if err == nil {
			answer, err = s.callMethod(w.Header(), r, req, sent)
		}
		w.Header().Set("X-Slack-Req-Id", randomHex(16))
		status := http.StatusOK
		if err != nil && err.retry > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(err.retry))
			status = http.StatusTooManyRequests
		}
		writeAnswer(w, status, answer, err)
		return func() {
			if req.spent != nil {
				s.mu.Lock()
				req.spent.lost = true
				s.mu.Unlock()
			}
		}
	})
}

// parse reads the arguments. An error is answered without looking at anything else.
func (s *api) parse(r *http.Request, req *apiRequest) *apiError {
	body, err := readBody(r.Body)
	if err != nil {
		return fail("request_timeout")
	}
	id, secret, _ := r.BasicAuth()
	req.basic = [2]string{unescaped(id), unescaped(secret)}
	query := r.URL.Query()
	if query.Has("token") {
		s.record.breach(RuleTokenInQuery, "%s was called with a token in the address", req.method)
		return fail("invalid_auth")
	}
	if err := req.readArguments(r, body, s.methods[req.method].formOnly); err != nil {
		return err
	}
	for k, v := range query {
		if _, ok := req.form[k]; !ok {
			req.form[k] = v
		}
	}
	req.call.Form = req.form
	return nil
}

// unescaped: Basic credentials are form-encoded first (RFC 6749, 2.3.1).
func unescaped(v string) string {
	if plain, err := url.QueryUnescape(v); err == nil {
		return plain
	}
	return v
}

// readArguments takes in the body. With formOnly one of JSON holds no arguments: Slack ignores it.
func (r *apiRequest) readArguments(from *http.Request, body []byte, formOnly bool) *apiError {
	ct, _, _ := strings.Cut(strings.ToLower(from.Header.Get("Content-Type")), ";")
	r.form = url.Values{}

	switch strings.TrimSpace(ct) {
	case "application/json":
		if len(body) == 0 {
			return nil // no arguments: slack-go sends apps.connections.open so
		}
		r.call.JSON = body
		if blockkit.Decode(body, &r.json) != nil || r.json == nil {
			r.isJSON = true
			return fail("invalid_json")
		}
		r.isJSON = !formOnly

	case "multipart/form-data":
		from.Body = io.NopCloser(bytes.NewReader(body))
		if from.ParseMultipartForm(maxBody) != nil {
			return fail("invalid_form_data")
		}
		r.form = from.PostForm

	case "application/x-www-form-urlencoded", "":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return fail("invalid_form_data")
		}
		r.form = form

	default:
		return fail("invalid_post_type")
	}
	return nil
}

// tokenOf finds the token: the Authorization header wins over the form field. A token inside a JSON body is not one.
func tokenOf(r *http.Request, req *apiRequest) string {
	if h := r.Header.Get("Authorization"); len(h) > 7 && strings.EqualFold(h[:7], "bearer ") {
		return strings.TrimSpace(h[7:])
	}
	if req.method == "oauth.v2.exchange" {
		return "" // its token argument is what is exchanged
	}
	return req.form.Get("token")
}

func (s *api) callMethod(h http.Header, r *http.Request, req *apiRequest, sent string) (map[string]any, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, known := s.methods[req.method]
	given := s.given[req.method]
	if !known && given == nil {
		return nil, s.unknownLocked(req.method)
	}
	if r.Method != http.MethodPost && r.Method != http.MethodGet {
		return nil, fail("invalid_post_type")
	}
	if !known {
		m.free = sent != "" && sent == s.app.AppToken
	}

	if !m.free {
		if err := s.admitLocked(h, req, m, sent); err != nil {
			return nil, err
		}
		s.foreignLocked(req)
		if wait := s.rates.takeLocked(req.method, req.inst.home, m.tier); wait > 0 {
			return nil, &apiError{code: "ratelimited", retry: wait}
		}
	}
	if err := s.proofLocked(req, m); err != nil {
		return nil, err
	}
	if given != nil {
		return s.answerLocked(given, *req.call)
	}
	if m.before != nil {
		s.mu.Unlock()
		m.before(req)
		s.mu.Lock()
	}
	return m.run(req)
}

// proofLocked checks what a method needs besides a workspace's token, or instead of one.
func (s *api) proofLocked(r *apiRequest, m method) *apiError {
	id, secret := r.client()
	switch sent := r.call.Token; {
	case m.client && (id == "" || id != s.app.ClientID):
		return fail("invalid_client_id")
	case m.client && secret != s.app.ClientSecret:
		return fail("bad_client_secret")
	case !m.appToken && !m.config:
		return nil
	case sent == "":
		return fail("not_authed")
	case s.oauth.tokens[sent] != nil, m.config && sent == s.app.AppToken, m.appToken && s.settings.tokens[sent] != nil:
		return fail("not_allowed_token_type")
	case m.config:
		return s.settings.admitLocked(r, sent)
	case s.app.AppToken == "" || sent != s.app.AppToken:
		return fail("invalid_auth")
	}
	return nil
}

// admitLocked checks the token before the method sees anything.
func (s *api) admitLocked(h http.Header, req *apiRequest, m method, sent string) *apiError {
	if sent == "" {
		return fail("not_authed")
	}
	t := s.oauth.tokens[sent]
	switch {
	case t == nil && s.settings.tokens[sent] != nil:
		return fail("not_allowed_token_type")
	case t == nil:
		return fail("invalid_auth")
	}
	in := t.chain.inst
	if rule, dead, code := s.endedLocked(t); code != "" {
		// auth.test is how an app asks whether a token lives. Asking is no breach.
		if req.method != "auth.test" {
			s.record.breachLocked(rule, "%s was called with %s %s token of %s", req.method, dead, t.chain.kind, in.home)
		}
		return fail(code)
	}
	if s.oauth.migrating[in.teamID] {
		return fail("org_login_required")
	}

	h.Set("X-Oauth-Scopes", strings.Join(t.chain.scopes, ","))
	h.Set("X-Accepted-Oauth-Scopes", strings.Join(m.scopes, ","))
	if m.kind != "" && m.kind != t.chain.kind {
		return fail("not_allowed_token_type")
	}
	req.token, req.inst = t, in
	if len(m.scopes) > 0 && !slices.ContainsFunc(m.scopes, req.scope) {
		return req.missing(m.scopes...)
	}
	if m.orgTeam && in.org {
		switch team := req.arg("team_id"); {
		case team == "":
			return failWith("missing_argument", "[ERROR] missing required field: team_id (organisation-wide token)")
		case !in.covers(team):
			if !s.oauth.relatedLocked(in, team) {
				s.foreignLocked(req)
			}
			return fail("team_access_not_granted")
		}
	}
	return nil
}

// endedLocked says how a token ended, and which rule forbids its use. Without a code it lives.
func (s *api) endedLocked(t *token) (rule, dead, code string) {
	switch {
	case t.state == inactive, t.run != nil && t.chain.inst.gone:
		return RuleRevokedToken, "a dead", "account_inactive"
	case t.state == revoked:
		return RuleRevokedToken, "a dead", "token_revoked"
	case t.state == retired, !t.expires.IsZero() && !s.clock.Now().Before(t.expires):
		return RuleExpiredToken, "an expired", "token_expired"
	}
	return "", "", ""
}

func (r *apiRequest) scope(x string) bool { return slices.Contains(r.token.chain.scopes, x) }

// missing is missing_scope with what would have been needed and what the token has.
func (r *apiRequest) missing(needed ...string) *apiError {
	return &apiError{code: "missing_scope", extra: map[string]any{
		"needed": strings.Join(needed, ","), "provided": strings.Join(r.token.chain.scopes, ","),
	}}
}

// team is the workspace a call is about: the token's, or for an organisation's token the team_id argument.
func (r *apiRequest) team() string {
	if r.inst.org {
		return r.arg("team_id")
	}
	return r.inst.teamID
}

// paged is the answer that names a list, cut by limit and cursor. The cursor is the offset.
func paged[T any](r *apiRequest, name string, list []T) (map[string]any, *apiError) {
	limit, _ := strconv.Atoi(r.arg("limit"))
	if limit <= 0 || limit > 1000 {
		limit = 100
	}
	start := 0
	if c := r.arg("cursor"); c != "" {
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(c, "offset:"), "="))
		if err != nil || n < 0 || n > len(list) || !strings.HasPrefix(c, "offset:") {
			return nil, fail("invalid_cursor")
		}
		start = n
	}

	end, next := min(start+limit, len(list)), ""
	if end < len(list) {
		next = "offset:" + strconv.Itoa(end) + "="
	}
	return map[string]any{name: list[start:end], "response_metadata": map[string]any{"next_cursor": next}}, nil
}
