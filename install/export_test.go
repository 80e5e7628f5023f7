package install

// What the tests and benchmarks of this package reach for inside.

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
)

// RenewDue does what Run does every second.
func (in *Installer) RenewDue(ctx context.Context) (int, error) { return in.tokens.RenewDue(ctx) }

// RecheckRemovals, CheckDue, TellAll and Sweep do what Run does now and then.
func (in *Installer) RecheckRemovals(ctx context.Context) error {
	return in.watch.Lifecycle.RecheckRemovals(ctx)
}
func (in *Installer) CheckDue(ctx context.Context) error { return in.watch.Connections.CheckDue(ctx) }
func (in *Installer) TellAll(ctx context.Context) error  { return in.watch.Notices.TellAll(ctx) }
func (in *Installer) Sweep(ctx context.Context) error    { return in.watch.Sweep(ctx) }

// Settle waits for what goes on in the background.
func (in *Installer) Settle() {
	in.watch.Wait()
}

// Unlimited lifts the limit on renewals and returns what brings it back, for benchmarks of what the limit hides.
func Unlimited() (back func()) {
	was := tokens.Renewals
	tokens.Renewals.Interval, tokens.Renewals.Burst = 1, 1_000_000_000
	return func() { tokens.Renewals = was }
}

// ExchangeCode spends the code in the address that Slack sent a browser back to.
func ExchangeCode(slack interface{ URL() string }, back, redirect, secret string) (connection.Grant, error) {
	u, err := url.Parse(back)
	if err != nil {
		return connection.Grant{}, err
	}
	api := &slackapi.API{Address: slack.URL(), HTTP: http.DefaultClient}
	got, err := api.OAuth(context.Background(), "oauth.v2.access",
		url.Values{"client_id": {"1.2"}, "client_secret": {secret}, "code": {u.Query().Get("code")},
			"redirect_uri": {redirect}})
	return connection.Grant{Token: connection.Secret(got.AccessToken), Refresh: connection.Secret(got.RefreshToken),
		Life: time.Duration(got.ExpiresIn)}, err
}

// Renewals and Installs are the budgets of oauth.v2.access.
var Renewals, Installs = tokens.Renewals, tokens.Installs

// Callers is how many callers are remembered.
func (in *Installer) Callers() int { return in.flow.Callers() }

// WaitForEndings sets how long a reload waits for the first request.
func (in *Installer) WaitForEndings(d time.Duration) { in.flow.Patience = d }

// OfferRefused and CompareErased do what Run does every second, and some times a minute.
func (in *Installer) OfferRefused(ctx context.Context) error {
	return in.tokens.Reconciler.OfferRefused(ctx)
}
func (in *Installer) CompareErased(ctx context.Context) error {
	return in.tokens.Reconciler.CompareErased(ctx)
}
func (in *Installer) CompareAll(ctx context.Context) error {
	return in.tokens.Reconciler.CompareAll(ctx)
}

// CountInto registers the counters as an Installer has them when it begins.
func CountInto(reg prometheus.Registerer) {
	m := newMetrics(nil, nil, nil)
	reg.MustRegister(m.renewals, m.restored, m.notices, m.tellMissing, m.checks, m.limits, m.installs, m.calls)
}

// Renew, Exchange and Replay are the Keeper's.
func (in *Installer) Renew(ctx context.Context, k connection.Key) error {
	return in.tokens.Renew(ctx, k)
}
func (in *Installer) Exchange(ctx context.Context, k connection.Key) error {
	return in.tokens.Exchange(ctx, k)
}
func (in *Installer) Replay(ctx context.Context) (left int, err error) {
	return in.tokens.Reconciler.Replay(ctx)
}
