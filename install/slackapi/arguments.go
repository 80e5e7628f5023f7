package slackapi

// The arguments of a call on its way: looked for, added and replaced without a copy of a message where that can be
// helped.

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/switchboard-go/switchboard/install/connection"
)

// No argument that we look for is in a longer body than this.
const longestBody = 1 << 20

// argument reads an argument of a call and leaves the call as it was. It is "" when it can't be found.
func argument(r *http.Request, name string) string {
	if v := formValue(r.URL.RawQuery, name); v != "" || r.GetBody == nil || r.ContentLength <= 0 ||
		r.ContentLength > longestBody {
		return v
	}
	body, err := r.GetBody()
	if err != nil {
		return ""
	}
	defer func() { _ = body.Close() }()
	var raw text
	if _, err := io.Copy(&raw, body); err != nil {
		return ""
	}
	switch kind := r.Header.Get("Content-Type"); {
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded"):
		return formValue(string(raw), name)
	case strings.HasPrefix(kind, "application/json"):
		var arguments map[string]json.RawMessage
		var v string
		if json.Unmarshal([]byte(raw), &arguments) == nil && json.Unmarshal(arguments[name], &v) == nil {
			return v
		}
	}
	return ""
}

// text keeps what is written to it. The body of a form is a string and comes whole: it is not copied.
type text string

func (t *text) Write(b []byte) (int, error) { return t.WriteString(string(b)) }

func (t *text) WriteString(s string) (int, error) {
	*t += text(s)
	return len(s), nil
}

// formValue is url.ParseQuery for one value, without a copy of a message's blocks.
func formValue(form, name string) string {
	for pair := range strings.SplitSeq(form, "&") {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			v, _ = url.QueryUnescape(v)
			return v
		}
	}
	return ""
}

// WithArgument returns r with one more argument in its body, form or JSON, unless it has it already; r itself when it
// carries something else. The methods that know the argument need it, and all others ignore it.
func WithArgument(r *http.Request, name, value string) *http.Request {
	if value == "" || argument(r, name) != "" {
		return r
	}
	kind := r.Header.Get("Content-Type")
	asForm, asJSON := strings.HasPrefix(kind, "application/x-www-form-urlencoded"),
		strings.HasPrefix(kind, "application/json")
	if r.Body == nil || r.Body == http.NoBody || r.GetBody == nil || !asForm && !asJSON || r.ContentLength > longestBody {
		if r.Body != nil && r.Body != http.NoBody {
			return r
		}
		next := r.Clone(r.Context())
		next.URL.RawQuery = strings.TrimPrefix(next.URL.RawQuery+"&"+name+"="+url.QueryEscape(value), "&")
		return next
	}
	return rewritten(r, func(body []byte) []byte {
		if asForm {
			// slack-go sends some arguments that it was not given, empty, and the first of two counts.
			return []byte(strings.TrimSuffix(name+"="+url.QueryEscape(value)+"&"+string(body), "&"))
		}
		var arguments map[string]json.RawMessage
		if json.Unmarshal(body, &arguments) != nil || arguments == nil {
			return body
		}
		arguments[name], _ = json.Marshal(value) // a string
		whole, err := json.Marshal(arguments)
		if err != nil {
			return body
		}
		return whole
	})
}

// rewritten is r once more, with another body.
func rewritten(r *http.Request, change func(body []byte) []byte) *http.Request {
	from, err := r.GetBody()
	if err != nil {
		return r
	}
	defer func() { _ = from.Close() }()
	body, err := io.ReadAll(from)
	if err != nil {
		return r
	}
	body = change(body)
	next := r.Clone(r.Context())
	next.ContentLength = int64(len(body))
	next.Header.Del("Content-Length")
	next.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	next.Body, _ = next.GetBody()
	return next
}

// WithToken is r once more, as a call with another token.
func WithToken(r *http.Request, token connection.Secret) *http.Request {
	next := r
	if r.GetBody != nil && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		next = rewritten(r, func(body []byte) []byte {
			parts := strings.Split(string(body), "&")
			for i, p := range parts {
				if strings.HasPrefix(p, "token=") {
					parts[i] = "token=" + url.QueryEscape(token.Reveal())
				}
			}
			return []byte(strings.Join(parts, "&"))
		})
	} else if fresh, ok := again(r); ok {
		next = fresh
	}
	if next.Header.Get("Authorization") != "" {
		next.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	return next
}

// again returns r once more, if its body can be had once more.
func again(r *http.Request) (*http.Request, bool) {
	next := r.Clone(r.Context())
	if r.Body == nil || r.Body == http.NoBody {
		return next, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	var err error
	next.Body, err = r.GetBody()
	return next, err == nil
}
