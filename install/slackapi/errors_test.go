package slackapi

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/slack-go/slack"
)

func TestDetails(t *testing.T) {
	t.Parallel()
	refused := slack.SlackErrorResponse{Err: "invalid_blocks", ResponseMetadata: slack.ResponseMetadata{
		Messages: []string{"[ERROR] no more than 50 items allowed [json-pointer:/blocks]", strings.Repeat("ü", 1000)},
	}}
	said := Details(fmt.Errorf("say: %w", refused))
	if !strings.HasPrefix(said, "[ERROR] no more than 50 items allowed [json-pointer:/blocks]; ü") ||
		len([]rune(said)) != 500 {
		t.Errorf("%q", said)
	}
	for _, err := range []error{nil, errors.New("x"), slack.SlackErrorResponse{Err: "ratelimited"}} {
		if said := Details(err); said != "" {
			t.Errorf("of %v: %q", err, said)
		}
	}
}
