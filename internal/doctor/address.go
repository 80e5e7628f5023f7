package doctor

// Check 2: whether PUBLIC_URL leads to this process, when its certificate ends, and whether the clock is right by
// Slack's.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/storage/seal"
)

func address(ctx context.Context, e *Examined) []Finding {
	if e.Offline {
		return []Finding{offline("whether PUBLIC_URL leads here, its certificate, and the clock by Slack's")}
	}
	clock := make(chan Finding, 1)
	go func() { clock <- e.clock(ctx) }()
	found := e.reach(ctx)
	return append(found, <-clock)
}

// offline stands for what would have left the machine.
func offline(what string) Finding {
	return Finding{Name: "offline", Status: Unknown, Text: "Not checked, because of --offline: " + what + ".",
		Fix: "run it without --offline"}
}

// callBudget is how long one address has to answer: less than a check has, so that it can say which one didn't.
const callBudget = 4 * time.Second

// tries are how often an address is asked that leads to other replicas, too.
const tries = 6

// reach asks at PUBLIC_URL, where Slack sends, which process answers.
func (e *Examined) reach(ctx context.Context) []Finding {
	public := e.Config.Install.PublicURL
	switch {
	case public == "" && e.overSockets():
		return []Finding{{Name: "public_url", Status: OK, Text: "No public address is needed: Socket Mode, and no installs."}}
	case public == "":
		return []Finding{{Name: "public_url", Status: Unknown, Text: "PUBLIC_URL isn't set, so it isn't known whether Slack " +
			"reaches this process.", Fix: "set PUBLIC_URL to the address that Slack sends to, for example https://bot.example.com"}}
	}

	ctx, cancel := context.WithTimeout(ctx, callBudget)
	defer cancel()
	mine := e.instance(ctx)
	var seen answered
	for range tries {
		seen = e.knock(ctx, public)
		if seen.err != nil || seen.id == "" || mine == "" || seen.id == mine {
			break
		}
	}
	found := []Finding{e.whoAnswers(public, seen, mine)}
	if seen.certificate != nil {
		found = append(found, e.certificate(seen.certificate))
	}
	return found
}

// instance is the id of the process that serves here, "" where there is none.
func (e *Examined) instance(ctx context.Context) string {
	p, err := e.Process()
	if err != nil {
		return ""
	}
	page, err := p.Get(ctx, "/instance")
	var instance server.Instance
	if err != nil || json.Unmarshal([]byte(page), &instance) != nil {
		return ""
	}
	return instance.ID
}

// answered is what came back from PUBLIC_URL.
type answered struct {
	err         error
	status      int
	from        string // the Server header
	location    string // the host of a redirect
	body        string
	id          string // of the process; "" for none of ours
	certificate *x509.Certificate
}

// knock asks once, on a connection of its own, so that a load balancer can choose again.
func (e *Examined) knock(ctx context.Context, public string) (seen answered) {
	q := server.NewQuestion(e.signingKeys(), e.now)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, public+"/slack/events", http.NoBody)
	if err != nil {
		return answered{err: err}
	}
	req.Header.Set(server.QuestionHeader, q.Header)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	transport.TLSClientConfig = &tls.Config{RootCAs: e.roots}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // of a redirected POST Slack's events are lost
	}}

	resp, err := client.Do(req)
	if err != nil {
		return answered{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return answered{err: err}
	}

	seen = answered{status: resp.StatusCode, from: resp.Header.Get("Server"), body: string(body)}
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		seen.certificate = resp.TLS.PeerCertificates[0]
	}
	if to, err := resp.Location(); err == nil {
		seen.location = to.Scheme + "://" + to.Host
	}
	seen.id, _ = q.Read(seen.body)
	return seen
}

// signingKeys are those that a process of this app signs with; none, where the keys aren't here.
func (e *Examined) signingKeys() []connection.Secret {
	if db, err := e.Database(); err == nil {
		return db.SigningKeys()
	}
	if e.Config.Database.Keys == "" {
		return nil
	}
	keys, err := seal.ParseKeys(e.Config.Database.Keys.Reveal())
	if err != nil {
		return nil
	}
	return keys.SigningKeys()
}

// whoAnswers says where PUBLIC_URL leads. mine is the process that serves here.
func (e *Examined) whoAnswers(public string, seen answered, mine string) Finding {
	f := Finding{Name: "public_url", Status: Failed}
	door := "LISTEN_ADDR (" + e.Config.ListenAddr + ")"
	switch {
	case seen.err != nil:
		f.Text, f.Fix = e.unreachable(public, seen.err)
	case seen.id != "" && seen.id == mine:
		return Finding{Name: "public_url", Status: OK, Text: public + " leads to this process."}
	case seen.id != "" && mine == "":
		return Finding{Name: "public_url", Status: OK, Text: public + " leads to a process of this app, not run from here."}
	case seen.id != "":
		f.Status = Warning
		f.Text = fmt.Sprintf("%s led to another process of this app %d times, and never to this one.", public, tries)
		f.Fix = "with several replicas, have the proxy in front send to this one, too, at " + door + "; with one, stop the other"
	case seen.status == http.StatusUnauthorized && strings.HasPrefix(seen.body, "The signature does not match."):
		f.Text = public + " leads to a process with other ENCRYPTION_KEYS: another app, or one that wasn't restarted."
		f.Fix = "stop that one, or point the proxy or tunnel for " + public + " to " + door + " here"
	case seen.location != "":
		f.Text = fmt.Sprintf("%s redirects to %s, and what Slack posts is lost on the way.", public, seen.location)
		f.Fix = "set PUBLIC_URL to the address that answers by itself, restart " + e.Program + " serve, and put it into " +
			"the app's settings: " + e.Program + " manifest"
	case seen.status >= 502 && seen.status <= 504:
		f.Text = fmt.Sprintf("A proxy answers at %s, but doesn't reach the app (status %d).", public, seen.status)
		f.Fix = e.serveFix(mine) + "the proxy has to send to " + door
	default:
		f.Text = fmt.Sprintf("Something else answers at %s/slack/events (status %d%s).", public, seen.status, named(seen.from))
		f.Fix = e.serveFix(mine) + "point the proxy or tunnel for " + public + " to " + door + ", with all paths and headers"
	}
	return f
}

// serveFix begins a fix where nothing serves here.
func (e *Examined) serveFix(mine string) string {
	if mine == "" {
		return "start it: " + e.Program + " serve. Then: "
	}
	return ""
}

func named(server string) string {
	if server == "" {
		return ""
	}
	return ", from " + server
}

// unreachable says why nothing answered, and what to do.
func (e *Examined) unreachable(public string, err error) (text, fix string) {
	host := public
	if u, bad := url.Parse(public); bad == nil {
		host = u.Hostname()
	}
	var dns *net.DNSError
	var expired x509.CertificateInvalidError
	var otherName x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var invalid *tls.CertificateVerificationError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("The name %s of PUBLIC_URL isn't known.", host),
			"make a DNS record for " + host + ", or correct PUBLIC_URL"
	case errors.As(err, &expired) && expired.Reason == x509.Expired:
		return fmt.Sprintf("The certificate of %s can't be used now: %s.", host, expired.Detail),
			"renew it at the proxy in front, or set the clock that is wrong; Slack sends nothing until then"
	case errors.As(err, &otherName):
		return fmt.Sprintf("The certificate at %s is for another name.", host), "get one for " + host + ", or correct PUBLIC_URL"
	case errors.As(err, &unknown):
		return fmt.Sprintf("The certificate of %s is by an authority that isn't known, or the certificates in between are "+
				"missing.", host),
			"use one that browsers take, and have the proxy send the whole chain"
	case errors.As(err, &invalid):
		return fmt.Sprintf("The certificate of %s can't be used: %s.", host, invalid.Err), "get another one"
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("Nothing answered at %s in time.", public),
			"look at the firewall, and at the proxy or tunnel in front of LISTEN_ADDR (" + e.Config.ListenAddr + ")"
	}
	return fmt.Sprintf("Nothing answers at %s: %s.", public, withoutAddress(err)),
		fmt.Sprintf("start it: %s serve, and the proxy or tunnel in front of LISTEN_ADDR (%s); or correct PUBLIC_URL",
			e.Program, e.Config.ListenAddr)
}

// withoutAddress is the cause of a failed call. The address is said already, and what is asked there needn't be.
func withoutAddress(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

// certificate says when it ends: soon is when whatever renews it should have done so.
func (e *Examined) certificate(c *x509.Certificate) Finding {
	left, life := c.NotAfter.Sub(e.machine()), c.NotAfter.Sub(c.NotBefore)
	f := Finding{Name: "certificate", Status: OK, Text: fmt.Sprintf("Its certificate is good for %s.", span(left))}
	if left < min(life/6, 14*24*time.Hour) {
		f.Status = Warning
		f.Fix = "find out why nothing renews it, at the proxy in front; once it has ended, Slack sends nothing"
	}
	return f
}

// How far the clock can be off: Slack's signatures are refused from 5 minutes on.
const (
	clockOff  = 30 * time.Second
	clockDead = 5 * time.Minute
)

// clock compares this machine's with Slack's.
func (e *Examined) clock(ctx context.Context) Finding {
	ctx, cancel := context.WithTimeout(ctx, callBudget)
	defer cancel()
	slack := e.Config.Install.SlackURL
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, slack+"/api/api.test", http.NoBody)
	if err != nil {
		return Finding{Name: "clock", Status: Unknown, Text: "Slack's clock isn't known.", Fix: "correct SLACK_URL"}
	}
	before := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return e.noSlack("clock", err)
	}
	took := time.Since(before)
	_ = resp.Body.Close()
	theirs, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return Finding{Name: "clock", Status: Unknown, Text: "Slack's answer has no time, so the clock can't be compared.",
			Fix: "run this again"}
	}

	// The header has whole seconds, of some moment while we waited.
	off := e.machine().Add(-took / 2).Sub(theirs.Add(time.Second / 2))
	f := Finding{Name: "clock", Status: OK, Text: "The clock is right, by Slack's."}
	if off.Abs() < clockOff+took {
		return f
	}
	direction := "ahead of"
	if off < 0 {
		direction = "behind"
	}
	f.Status = Warning
	f.Text = fmt.Sprintf("The clock of this machine is %s %s Slack's.", span(off.Abs()), direction)
	if off.Abs() >= clockDead {
		f.Status = Failed
		f.Text += " From 5 minutes on, what Slack sends is refused."
	}
	f.Fix = "set the clock: timedatectl set-ntp true; in a container, on the machine that runs it"
	return f
}

// noSlack says that Slack can't be asked.
func (e *Examined) noSlack(name string, err error) Finding {
	return Finding{Name: name, Status: Failed,
		Text: fmt.Sprintf("Slack can't be reached at %s: %s.", e.Config.Install.SlackURL, withoutAddress(err)),
		Fix: "let this machine open connections to that address, port 443; where only a proxy leads out, set HTTPS_PROXY. " +
			"Slack's own state is at https://slack-status.com"}
}
