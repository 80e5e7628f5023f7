package cli

// healthcheck: whether the serve beside it is well, for an image that has neither a shell nor curl.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// How long an answer may take. Readiness itself waits two seconds for a database.
const healthPatience = 4 * time.Second

type healthcheckCmd struct {
	AdminAddr string   `name:"admin-addr" placeholder:"HOST:PORT" help:"ADMIN_ADDR, as serve has it. Default: 127.0.0.1:3001."`
	Live      bool     `xor:"exclude" help:"Ask only whether the process runs (/livez)."`
	Exclude   []string `xor:"exclude" placeholder:"CHECK" enum:"${checks}" help:"Leave out checks of /readyz: ${checks}."`
}

// Run asks once. It ends with 0 or 1 only, whatever is wrong: 2 is Docker's own.
func (c *healthcheckCmd) Run(env *environment) error {
	s := env.source()
	addr := s.get(c.AdminAddr, "ADMIN_ADDR", "127.0.0.1:3001")
	checkListen(s, "ADMIN_ADDR", addr)
	if strings.HasSuffix(addr, ":0") {
		s.bad("ADMIN_ADDR", "has port 0, so nobody knows where serve listens", "give it a port")
	}
	if err := s.err(); err != nil {
		return errors.New(err.Error())
	}

	path := "/livez"
	if !c.Live {
		path = "/readyz?" + url.Values{"exclude": c.Exclude}.Encode()
	}
	status, body, err := askAdmin(env.ctx, addr, path)
	switch {
	case err != nil:
		return fmt.Errorf("not healthy: no answer at %s (ADMIN_ADDR): %w", addr, err)
	case status == http.StatusOK && c.Live:
		_, err = fmt.Fprintln(env.stdout, "It runs.")
		return err
	case status == http.StatusOK:
		_, err = fmt.Fprintln(env.stdout, "It is ready.")
		return err
	}
	return fmt.Errorf("not healthy: %s", failedChecks(status, body))
}

// askAdmin asks the operators' door of the serve that was told to listen at addr. Where that is every address of this
// machine, as in :3001, it is dialed at this machine's own.
func askAdmin(ctx context.Context, addr, path string) (status int, body string, err error) {
	client := http.Client{Timeout: healthPatience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		},
	}}

	// The door answers to localhost, under whatever name it listens.
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return 0, "", err
	}
	answer, err := client.Do(r)
	var why *url.Error
	if errors.As(err, &why) {
		err = why.Err // without an address that isn't the one we dialed
	}
	if err != nil {
		return 0, "", err
	}

	defer func() { _ = answer.Body.Close() }()
	read, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	return answer.StatusCode, string(read), err
}

// failedChecks is one line of what /readyz says is wrong, each reason once: a start is the reason of every check.
func failedChecks(status int, body string) string {
	var reasons []string
	for line := range strings.Lines(body) {
		check, failed := strings.CutPrefix(strings.TrimSpace(line), "[-]")
		if _, why, _ := strings.Cut(check, " failed: "); failed && !slices.Contains(reasons, why) {
			reasons = append(reasons, why)
		}
	}
	if len(reasons) == 0 {
		return fmt.Sprintf("what answers at ADMIN_ADDR said %d, and no serve does", status)
	}
	return strings.Join(reasons, "; ")
}
