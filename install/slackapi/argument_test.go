package slackapi

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// An organisation's calls name their workspace, however slack-go makes them; a call that names one keeps it, and what
// is no call with arguments stays as it is.
func TestWithArgument(t *testing.T) {
	t.Parallel()
	const form, asJSON = "application/x-www-form-urlencoded", "application/json; charset=utf-8"
	for name, test := range map[string]struct{ kind, query, body, want string }{
		"a form":             {form, "", "limit=20&token=xoxb-1", "T1"},
		"an empty form":      {form, "", "", "T1"},
		"empty there":        {form, "", "limit=20&team_id=&token=xoxb-1", "T1"},
		"named":              {form, "", "team_id=T2", "T2"},
		"JSON":               {asJSON, "", `{"view":{"blocks":[{"a":1.50}]},"trigger_id":"1"}`, "T1"},
		"empty JSON":         {asJSON, "", `{}`, "T1"},
		"empty there, JSON":  {asJSON, "", `{"team_id":"","x":1}`, "T1"},
		"named in JSON":      {asJSON, "", `{"team_id":"T2"}`, "T2"},
		"broken JSON":        {asJSON, "", `{"x":`, ""},
		"no object":          {asJSON, "", `null`, ""},
		"in the address":     {form, "?team_id=T2", "", "T2"},
		"another kind":       {"text/plain", "", "hello", ""},
		"longer than looked": {form, "", "text=" + strings.Repeat("x", longestBody), ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodPost, "https://slack.com/api/users.list"+test.query,
				strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", test.kind)
			next := WithArgument(r, "team_id", "T1")
			if next = WithArgument(next, "team_id", "T9"); argument(next, "team_id") != test.want {
				t.Errorf("names %q", argument(next, "team_id"))
			}
			for range 2 { // it can be sent again
				body, err := io.ReadAll(next.Body)
				if err != nil || int64(len(body)) != next.ContentLength {
					t.Fatalf("%d bytes, said %d, %v", len(body), next.ContentLength, err)
				}
				if test.want == "" && string(body) != test.body {
					t.Errorf("became %q", body)
				}
				if strings.Contains(test.kind, "json") && test.want != "" {
					var before, after map[string]any
					if json.Unmarshal([]byte(test.body), &before) != nil || json.Unmarshal(body, &after) != nil ||
						after["team_id"] != test.want {
						t.Errorf("became %s", body)
					}
					for name, v := range before {
						if name != "team_id" && !strings.Contains(string(body), `"`+name+`"`) {
							t.Errorf("lost %s: %v", name, v)
						}
					}
				} else if form, err := url.ParseQuery(string(body)); test.body != "" &&
					test.kind == "application/x-www-form-urlencoded" && test.query == "" &&
					(err != nil || form.Get("team_id") != test.want) {
					t.Errorf("became %q", body)
				}
				if next.Body, err = next.GetBody(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// The organisation's token takes the place of another wherever slack-go puts it.
func TestWithToken(t *testing.T) {
	t.Parallel()
	for _, inForm := range []bool{true, false} {
		body, kind := `{"x":1}`, "application/json"
		if inForm {
			body, kind = "a=1&token=xoxb-old&b=token%3D2", "application/x-www-form-urlencoded"
		}
		r, err := http.NewRequest(http.MethodPost, "https://slack.com/api/chat.postMessage", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		if !inForm {
			r.Header.Set("Authorization", "Bearer xoxb-old")
		}
		if _, err := io.ReadAll(r.Body); err != nil { // it was sent before
			t.Fatal(err)
		}
		next := WithToken(r, "xoxb-new")
		sent, err := io.ReadAll(next.Body)
		if all := string(sent) + next.Header.Get("Authorization"); err != nil || strings.Contains(all, "old") ||
			strings.Count(all, "xoxb-new") != 1 || len(sent) != len(body) ||
			r.Header.Get("Authorization") != map[bool]string{false: "Bearer xoxb-old"}[inForm] {
			t.Errorf("sent %s", all)
		}
	}
}
