package connection_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/install/connection"
)

func TestSecretDoesNotPrint(t *testing.T) {
	t.Parallel()
	const token = "xoxb-123-456-abc"
	c := connection.Connection{TokenPair: connection.TokenPair{Token: token}, Webhook: connection.Webhook{URL: token}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10v", "%-5s"} {
		fmt.Fprintf(&out, verb+"\n", c)
		fmt.Fprintf(&out, verb+"\n", c.Token)
		fmt.Fprintf(&out, verb+"\n", &c)
	}
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)),
		slog.New(slog.NewJSONHandler(&out, nil))} {
		log.Info("m", "token", c.Token, "connection", c, "pointer", &c, "list", []connection.Secret{c.Token})
	}
	if err := json.NewEncoder(&out).Encode(c); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&out, fmt.Errorf("with %w and %v", errors.New("a problem"), c.Token))
	for _, leak := range []string{token, "123-456", fmt.Sprintf("%x", token), fmt.Sprintf("%X", token)} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q was printed:\n%s", leak, out.String())
		}
	}
	if c.Token.Reveal() != token {
		t.Error("Reveal does not reveal")
	}
	if got := fmt.Sprint(connection.Secret("")); got != "" {
		t.Errorf("no secret prints %q", got)
	}
}
