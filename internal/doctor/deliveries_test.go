package doctor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/switchboard-go/switchboard/internal/server"
)

// What was refused before a good delivery is over, or a stranger's; what was refused after it is a wrong setting.
func TestRefusedSinceTheLastGoodOne(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(ago time.Duration) float64 { return float64(now.Add(-ago).Unix()) }
	for name, test := range map[string]struct {
		cause         string
		n             int
		good, refused float64
		want          string // parts of the findings; "" for none
	}{
		"never":                  {"signature", 0, 0, 0, ""},
		"put right":              {"signature", 9, at(time.Minute), at(time.Hour), ""},
		"still":                  {"signature", 9, at(time.Hour), at(time.Minute), "failed 9 deliveries were refused"},
		"one":                    {"timestamp", 1, 0, at(3 * time.Minute), "failed 1 delivery was refused"},
		"no signature":           {"headers", 2, at(time.Hour), at(time.Minute), ""},
		"no signature, no other": {"headers", 2, 0, at(time.Minute), "warning 2 deliveries were refused"},
		"a GET":                  {"method", 2, 0, at(time.Minute), ""},
	} {
		text := fmt.Sprintf("switchboard_last_delivery_timestamp_seconds %f\nswitchboard_refused_total{cause=%q} %d\n"+
			"switchboard_last_refusal_timestamp_seconds{cause=%q} %f\n", test.good, test.cause, test.n, test.cause, test.refused)
		parser := expfmt.NewTextParser(model.UTF8Validation)
		metrics, err := parser.TextToMetricFamilies(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		e := &Examined{Program: "mybot", Config: server.Config{Database: server.Database{URL: "sqlite:/nowhere/x.db"}}}
		var got []string
		for _, f := range e.refused(&Process{Metrics: metrics}) {
			got = append(got, string(f.Status)+" "+f.Text)
		}
		if all := strings.Join(got, "; "); test.want == "" && all != "" || !strings.HasPrefix(all, test.want) {
			t.Errorf("%s: %q", name, all)
		}
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"0 seconds": 0, "1 second": 1900 * time.Millisecond, "119 seconds": 119 * time.Second, "2 minutes": 2 * time.Minute,
		"119 minutes": 119 * time.Minute, "47 hours": 47*time.Hour + 59*time.Minute, "2 days": 48 * time.Hour,
	} {
		if got := span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
