package cli

// Traces, as a collector receives them: of an event from the door to its answer, of an install and of a renewal. What
// arrives there is searched for every secret that was handed out.

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collect "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// seenSpan is a span as a collector has it.
type seenSpan struct {
	*otlp.Span
	service string
	said    map[string]string
}

// collector takes OTLP over HTTP.
type collecting struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []seenSpan
	raw     bytes.Buffer
	headers []http.Header
}

func newCollector(t *testing.T) *collecting {
	c := &collecting{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s of %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		}
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(r.Body)
		}
		raw, err := io.ReadAll(body)
		var sent collect.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(raw, &sent)
		}
		if err != nil {
			t.Errorf("a request of the exporter: %v", err)
			return
		}
		c.add(r.Header, raw, &sent)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collecting) add(header http.Header, raw []byte, sent *collect.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(raw)
	c.headers = append(c.headers, header)
	for _, of := range sent.ResourceSpans {
		service := saidBy(of.Resource.Attributes)["service.name"]
		for _, scope := range of.ScopeSpans {
			for _, span := range scope.Spans {
				c.spans = append(c.spans, seenSpan{span, service, saidBy(span.Attributes)})
			}
		}
	}
}

func saidBy(attributes []*common.KeyValue) map[string]string {
	said := map[string]string{}
	for _, a := range attributes {
		switch v := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			said[a.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			said[a.Key] = fmt.Sprint(v.IntValue)
		}
	}
	return said
}

// find returns the spans of this name that say this.
func (c *collecting) find(name, key, value string) (found []seenSpan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name && (key == "" || s.said[key] == value) {
			found = append(found, s)
		}
	}
	return found
}

// tree draws the trace that a span is of: the name of each span, two blanks deeper than its parent's.
func (c *collecting) tree(of seenSpan) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := map[string]bool{}
	children := map[string][]seenSpan{}
	for _, s := range c.spans {
		if bytes.Equal(s.TraceId, of.TraceId) {
			known[string(s.SpanId)] = true
		}
	}
	for _, s := range c.spans {
		if !known[string(s.SpanId)] {
			continue
		}
		parent := string(s.ParentSpanId)
		if !known[parent] {
			parent = ""
		}
		children[parent] = append(children[parent], s)
	}

	var out strings.Builder
	var draw func(parent, indent string)
	draw = func(parent, indent string) {
		slices.SortFunc(children[parent], func(a, b seenSpan) int {
			return cmp.Compare(a.StartTimeUnixNano, b.StartTimeUnixNano)
		})
		for _, s := range children[parent] {
			out.WriteString(indent + s.Name + "\n")
			draw(string(s.SpanId), indent+"  ")
		}
	}
	draw("", "")
	return out.String()
}

// only is the one span of this name that says this.
func (c *collecting) only(t *testing.T, name, key, value string) seenSpan {
	t.Helper()
	found := c.find(name, key, value)
	if len(found) != 1 {
		t.Fatalf("%d spans %q with %s=%q", len(found), name, key, value)
	}
	return found[0]
}

// follows fails unless these lines are in a tree, in this order.
func follows(t *testing.T, tree string, lines ...string) {
	t.Helper()
	rest := tree
	for _, line := range lines {
		_, after, found := strings.Cut("\n"+rest, "\n"+line+"\n")
		if !found {
			t.Fatalf("%q is not where it belongs in:\n%s", line, tree)
		}
		rest = after
	}
}

// TestTracesFromTheDoorToTheAnswer has, on PostgreSQL, one replica that takes events in and another one that works
// them.
func TestTracesFromTheDoorToTheAnswer(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		c := newCollector(t)
		w.rotate(12 * time.Hour)
		traced := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "OTEL_SERVICE_NAME": "worker",
			"OTEL_EXPORTER_OTLP_HEADERS": "api-key=hush%2Dhush"}
		w.start(1, traced)
		stop := w.stop
		if strings.HasPrefix(w.database, "postgres") {
			worker := w.replicas[0]
			w.startOne(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "OTEL_SERVICE_NAME": "door",
				"OTEL_EXPORTER_OTLP_HEADERS": "api-key=hush%2Dhush", "WORKERS": "0"})
			w.leave(worker)
			stop = func() { w.stop(); worker.stop(); <-worker.done }
		}
		w.tracedTraffic(t)
		stop()

		dana := slacksim.AcmeAdmin
		handled := c.only(t, "handle message", "slack.handler.result", "done") // the others are its own messages
		follows(t, c.tree(handled), "POST /slack/events", "  accept events_api", "    keep message",
			"      handle message", "        run message (?s).*",
			"          POST /api/chat.postMessage")
		for key, want := range map[string]string{"slack.team.id": slacksim.Acme, "slack.outcome": "done",
			"slack.attempt": "1", "slack.handler.result": "done"} {
			if handled.said[key] != want {
				t.Errorf("%s of an event is %q, not %q", key, handled.said[key], want)
			}
		}
		kept := c.only(t, "keep message", "messaging.message.id", handled.said["messaging.message.id"])
		if handled.service != "worker" || strings.HasPrefix(w.database, "postgres") && kept.service != "door" {
			t.Errorf("an event was taken in by %q and worked by %q", kept.service, handled.service)
		}

		command := c.only(t, "accept slash_commands", "slack.handler", "command /connection")
		follows(t, c.tree(command), "POST /slack/events", "  accept slash_commands", "    run command /connection",
			"    answer command /connection", "      POST")

		installed := c.only(t, "install", "slack.outcome", "connected")
		follows(t, c.tree(installed), "GET /slack/install", "  start install", "    install",
			"      POST /api/oauth.v2.access", "      POST /api/auth.test", "      store connection")
		callback := c.only(t, "GET /slack/oauth_redirect", "", "")
		if len(installed.Links) != 1 || !bytes.Equal(installed.Links[0].TraceId, callback.TraceId) {
			t.Errorf("the install isn't linked with its callback: %v", installed.Links)
		}

		renewed := c.only(t, "renew tokens", "slack.outcome", "done")
		if got, want := c.tree(renewed), "renew tokens\n  claim tokens\n  POST /api/oauth.v2.access\n  write journal\n"+
			"  store tokens\n"; got != want {
			t.Errorf("a renewal is\n%s, not\n%s", got, want)
		}
		w.noSecretsIn(t, c, dana)
	})
}

// tracedTraffic installs the app, writes to it, types a command and has a token renewed.
func (w *world) tracedTraffic(t *testing.T) {
	t.Helper()
	dana, dm := slacksim.AcmeAdmin, w.slack.DM(slacksim.AcmeAdmin)
	if page := w.browser().install(dana); page.status != http.StatusOK {
		t.Fatalf("install: %d %s", page.status, page.body)
	}
	w.wait("the welcome message", func() bool { return len(w.fromApp(dm, dana)) == 1 })
	w.say(dana, dm, "help")
	w.wait("the answer", func() bool { return len(w.fromApp(dm, dana)) == 2 })
	w.type_(dana, slacksim.AcmeGeneral, "/connection status")
	w.wait("the live status", func() bool {
		return strings.Contains(string(w.last(slacksim.AcmeGeneral, dana).Blocks), "Checked with Slack just now")
	})
	w.due([]office{{team: slacksim.Acme}}, time.Now(), 0)
	w.expect("a renewal", patience, func() bool { return len(w.refreshes()) == 1 })
	w.settle()
}

// noSecretsIn searches what a collector received for every secret that was handed out, and for what leads to one.
func (w *world) noSecretsIn(t *testing.T, c *collecting, dana string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	secrets := append(w.slack.Secrets(), w.private...)
	for _, call := range w.slack.Calls("oauth.v2.access") {
		secrets = append(secrets, call.Arg("code"), call.Arg("refresh_token"), call.Arg("client_secret"))
	}
	searched := 0
	for _, secret := range append(secrets, w.keys) {
		if len(secret) < 8 {
			continue
		}
		searched++
		if bytes.Contains(c.raw.Bytes(), []byte(secret)) {
			t.Errorf("a secret of %d characters is in the traces", len(secret))
		}
	}
	if searched < 10 {
		t.Errorf("only %d secrets to search for", searched)
	}
	for _, part := range []string{"hooks.", "/commands/", "?code", "state=", "response_url", "trigger_id", "hush"} {
		if bytes.Contains(c.raw.Bytes(), []byte(part)) {
			t.Errorf("%q is in the traces", part)
		}
	}
	for _, header := range c.headers {
		if got := header.Get("api-key"); got != "hush-hush" {
			t.Errorf("a request to the collector had the key %q", got)
		}
	}
}

// A trace that begins in a proxy goes on here, and so does the proxy's name for a request: where it is one.
func TestTracesOfAProxyGoOn(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	w := newWorld(t, storagetest.SQLite(t)).start(1, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL + "/"})
	const trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	long := strings.Repeat("a", 65)
	for sent, want := range map[string]string{"edge-17/abc": "edge-17/abc", "two words": "", long: "", "": "", "a\"b": ""} {
		r, err := http.NewRequest(http.MethodGet, w.replicas[0].public.String()+"/?code=hush", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("traceparent", "00-"+trace+"-"+parent+"-01")
		r.Header.Set("X-Request-Id", sent)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		switch got := resp.Header.Get("X-Request-Id"); {
		case got == "", want != "" && got != want, want == "" && got == sent:
			t.Errorf("the request %q is answered as %q", sent, got)
		}
	}
	w.stop()

	spans := c.find("GET /", "", "")
	if len(spans) != 5 {
		t.Fatalf("%d spans", len(spans))
	}
	named := false
	for _, s := range spans {
		if hex.EncodeToString(s.TraceId) != trace || hex.EncodeToString(s.ParentSpanId) != parent ||
			s.Kind != otlp.Span_SPAN_KIND_SERVER || s.said["http.response.status_code"] != "200" {
			t.Errorf("a request's span: %v", s.Span)
		}
		named = named || s.said["slack.request.id"] == "edge-17/abc"
	}
	if !named {
		t.Error("no span has the proxy's name for its request")
	}
	for _, want := range []string{`"request":"edge-17/abc"`, `"trace":"` + trace + `"`} {
		if !strings.Contains(w.seen.String(), want) {
			t.Errorf("the log has no %s", want)
		}
	}
}

// A collector that is away holds nothing up, not even the stop, and is one line in the log.
func TestTracesToNobody(t *testing.T) {
	t.Parallel()
	away := httptest.NewServer(nil)
	away.Close()
	w := newWorld(t, storagetest.SQLite(t)).start(1, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": away.URL})
	if page := w.browser().install(slacksim.AcmeAdmin); page.status != http.StatusOK {
		t.Fatalf("install: %d %s", page.status, page.body)
	}
	w.settle()
	began := time.Now()
	w.stop()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if n := w.logged("traces are not delivered: the collector doesn't take them"); n != 1 {
		t.Errorf("%d lines of one collector that is away", n)
	}
}

func TestTracesSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	for name, test := range map[string]struct {
		settings map[string]string
		says     string
	}{
		"address":  {map[string]string{tracesEndpoint: "localhost:4318"}, "is not an http:// or https:// address"},
		"protocol": {map[string]string{tracesEndpoint: "http://localhost:4317", tracesProtocol: "grpc"}, `is "grpc"`},
		"sampler": {map[string]string{tracesEndpoint: "http://localhost:4318", "OTEL_TRACES_SAMPLER": "all"},
			"write one of always_on"},
		"headers": {map[string]string{tracesEndpoint: "http://localhost:4318", tracesHeaders: "hush"},
			"is not name=value, separated by commas"},
	} {
		var errs bytes.Buffer
		code := exitCode(&errs, run(t.Context(), []string{"serve"}, w.settings(test.settings), io.Discard, &errs))
		if code != 2 || !strings.Contains(errs.String(), test.says) || strings.Contains(errs.String(), "hush") {
			t.Errorf("%s: exit %d: %s", name, code, errs.String())
		}
	}
}
