package oauth

// The welcome message as it is sent, to show people what awaits them in Slack: no second version of it is kept.

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/watch"
)

// overheard is the HTTP client of a Web API client, and keeps the first message that is sent through it.
type overheard struct {
	next slackapi.Doer

	mu   sync.Mutex
	text string
	said slack.Blocks
}

func (o *overheard) Do(r *http.Request) (*http.Response, error) {
	form := sentForm(r)
	resp, err := o.next.Do(r)
	if err == nil && strings.HasSuffix(r.URL.Path, "/chat.postMessage") {
		o.keep(form)
	}
	return resp, err
}

// sentForm is what r sends, as far as it can be read twice.
func sentForm(r *http.Request) url.Values {
	if r.GetBody == nil {
		return nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil
	}
	defer func() { _ = body.Close() }()
	read, err := io.ReadAll(body)
	if err != nil {
		return nil
	}
	form, _ := url.ParseQuery(string(read)) // what can't be read isn't shown
	return form
}

func (o *overheard) keep(form url.Values) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text != "" || form.Get("text") == "" {
		return
	}
	o.text = form.Get("text")
	if blocks := form.Get("blocks"); blocks != "" && o.said.UnmarshalJSON([]byte(blocks)) != nil {
		o.said = slack.Blocks{}
	}
}

// picture is the message that was kept. One without a text is none.
func (o *overheard) picture(c connection.Connection) Picture {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := Picture{Text: o.text, Blocks: o.said.BlockSet}
	if c.InstalledByName != "" {
		p.Names = map[string]string{c.InstalledBy: c.InstalledByName}
	}
	return p
}

// sent is a Slack that takes every message, and shows it to nobody.
type sent struct{}

func (sent) Do(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"ok":true,"channel":"D1","ts":"1.1"}`)),
	}, nil
}

// PictureWelcome is a picture of the message that m would greet the person with who made c. Slack isn't asked and gets
// nothing, so m must do nothing else than to write.
func PictureWelcome(ctx context.Context, m watch.Messages, c connection.Connection) (Picture, error) {
	heard := &overheard{next: sent{}}
	client := slack.New("", slack.OptionHTTPClient(heard), slack.OptionAPIURL("https://slack.com/api/"))
	if err := m.Welcome(ctx, client, c, ""); err != nil {
		return Picture{}, fmt.Errorf("picture the welcome message: %w", err)
	}
	return heard.picture(c), nil
}
