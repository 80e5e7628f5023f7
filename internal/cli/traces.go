package cli

// Where traces go. The names are OpenTelemetry's own, and whatever has no word here the SDK reads itself.
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/internal/server"
)

const (
	tracesEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesHeaders  = "OTEL_EXPORTER_OTLP_HEADERS"
	tracesProtocol = "OTEL_EXPORTER_OTLP_PROTOCOL"
)

// tracesNames are those that are most used, so that a misspelt one is told.
var tracesNames = []string{tracesEndpoint, tracesProtocol, "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES",
	"OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"}

// samplers are those that the SDK knows. It would take another name for its default, and write that to the standard
// error output.
var samplers = []string{"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
	"parentbased_traceidratio"}

// collector reads where traces go. Without an address, and where OpenTelemetry is told to keep quiet, they go nowhere.
func collector(s *source, app App) server.Collector {
	s.export("OTEL_")
	address := s.get("", tracesEndpoint, "")
	disabled := strings.EqualFold(s.get("", "OTEL_SDK_DISABLED", ""), "true")
	if address == "" || disabled || s.get("", "OTEL_TRACES_EXPORTER", "otlp") == "none" {
		return server.Collector{}
	}

	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		s.bad(tracesEndpoint, "is not an http:// or https:// address",
			"write the collector's for OTLP over HTTP, for example http://localhost:4318")
	}
	if p := s.get("", tracesProtocol, "http/protobuf"); p != "http/protobuf" {
		s.bad(tracesProtocol, fmt.Sprintf("is %q, and traces are sent as http/protobuf alone", p),
			"leave it out, and write the collector's address for OTLP over HTTP, which has port 4318 as a rule")
	}
	if name := s.get("", "OTEL_TRACES_SAMPLER", samplers[0]); !slices.Contains(samplers, name) {
		s.bad("OTEL_TRACES_SAMPLER", fmt.Sprintf("is %q", name), "write one of "+strings.Join(samplers, ", "))
	}

	return server.Collector{
		URL:     address,
		Headers: headers(s),
		Service: s.get("", "OTEL_SERVICE_NAME", strings.ToLower(strings.ReplaceAll(app.Name, " ", "-"))),
	}
}

// headers reads OTEL_EXPORTER_OTLP_HEADERS, which is written as the W3C's baggage is: name=value, separated by commas.
func headers(s *source) map[string]string {
	all := map[string]string{}
	for pair := range strings.SplitSeq(s.secret(tracesHeaders).Reveal(), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !ok || name == "" || err != nil {
			s.bad(tracesHeaders, "is not name=value, separated by commas", "write for example api-key=abc123")
			return nil
		}
		all[name] = value
	}
	return all
}

// export puts names of .env that begin so into the environment, where others' code looks for them. What is there goes
// before.
func (s *source) export(prefix string) {
	for name, value := range s.dotenv {
		if strings.HasPrefix(name, prefix) && s.getenv(name) == "" {
			_ = os.Setenv(name, value)
		}
	}
}
