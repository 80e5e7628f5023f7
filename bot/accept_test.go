package bot

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
)

// Slack's word that it holds back events is counted, from 0 on, and told in the log with its workspace; another app's
// is neither.
func TestEventsHeldAreCounted(t *testing.T) {
	t.Parallel()
	numbers := prometheus.NewRegistry()
	b, log := loggedBot(t, func(c *Config) { c.Metrics, c.AppID = numbers, "A1" })
	families, err := numbers.Gather()
	if err != nil {
		t.Fatal(err)
	}
	there := false
	for _, f := range families {
		there = there || f.GetName() == "switchboard_app_rate_limited_total" && f.GetMetric()[0].GetCounter().GetValue() == 0
	}
	if !there {
		t.Error("there is no counter before the first")
	}
	for _, body := range []string{
		`{"type":"app_rate_limited","api_app_id":"A1","team_id":"T1","minute_rate_limited":1518467820}`,
		`{"type":"app_rate_limited","api_app_id":"A1","team_id":"T1","minute_rate_limited":"1518467820"}`,
		`{"type":"app_rate_limited","team_id":"T1"}`,
		`{"type":"app_rate_limited","api_app_id":"A9","team_id":"T9","minute_rate_limited":1518467820}`,
	} {
		if _, err := b.accept(t.Context(), transport.Delivery{Kind: transport.KindEvents, Body: []byte(body)}); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
	b.tasks.Wait()
	if n := number(t, numbers, "switchboard_app_rate_limited_total"); n != 3 {
		t.Errorf("%v are counted", n)
	}
	if said := log.String(); !strings.Contains(said, "team=T1") || strings.Contains(said, "team=T9") {
		t.Errorf("logged as %s", said)
	}
}
