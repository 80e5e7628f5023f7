package bot

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
)

// unreadable is a body that is not to be looked at.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// Without headers as Slack's, of now, nothing of a body is looked at, whatever is announced.
func TestHeadersComeBeforeTheBody(t *testing.T) {
	t.Parallel()
	door := newSocketStage(t).bot().Handler()
	now := strconv.FormatInt(time.Now().Unix(), 10)
	old := strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)
	form := strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		header http.Header
		length int64
		want   int
	}{
		"no headers": {http.Header{}, 10, 401},
		"no headers, a long form": {header("Content-Type", "application/x-www-form-urlencoded"),
			transport.LargestCheck + 1, 401},
		"no headers, a form in parts": {header("Content-Type", "application/x-www-form-urlencoded"), -1, 401},
		"no timestamp":                {header(transport.SignatureHeader, "v0="+form), 10, 401},
		"no signature": {header(transport.StampHeader, now, "Content-Type",
			"application/x-www-form-urlencoded"), 10, 401},
		"a timestamp of an hour ago": {header(transport.SignatureHeader, "v0="+form, transport.StampHeader, old), 10, 401},
		"no form of a signature":     {header(transport.SignatureHeader, "v0=zz", transport.StampHeader, now), 10, 401},
		"two signatures": {header(transport.SignatureHeader, "v0="+form, transport.SignatureHeader, "v0="+form,
			transport.StampHeader, now), 10, 401},
		"more than is ever taken": {header(transport.SignatureHeader, "v0="+form, transport.StampHeader, now),
			transport.MaxBody + 1, 413},
	} {
		r := httptest.NewRequest(http.MethodPost, "/slack/events", unreadable{t})
		r.Header, r.ContentLength = test.header, test.length
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		if w.Code != test.want {
			t.Errorf("%s: %d, want %d", name, w.Code, test.want)
		}
	}
}

// Slack's test of the certificate is not signed, and nothing else comes in with it.
func TestCertificateCheck(t *testing.T) {
	t.Parallel()
	door := newSocketStage(t).bot().Handler()
	for body, want := range map[string]int{"ssl_check=1&token=x": 200, "ssl_check=0&token=x": 401,
		"command=%2Fconnection": 401} {
		r := httptest.NewRequest(http.MethodPost, "/slack/events", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		if w.Code != want || w.Code == 200 && w.Body.Len() != 0 {
			t.Errorf("%s: %d %s, want %d", body, w.Code, w.Body, want)
		}
	}
}

// What a body takes grows with what has come of it, also with headers that look like Slack's.
func TestAnnouncedLengthTakesNoMemory(t *testing.T) {
	door := newSocketStage(t).bot().Handler()
	const most = 64 << 10
	for _, headers := range []http.Header{{},
		header(transport.SignatureHeader, "v0="+strings.Repeat("0", 64), transport.StampHeader,
			strconv.FormatInt(time.Now().Unix(), 10))} {
		r := httptest.NewRequest(http.MethodPost, "/slack/events", strings.NewReader(""))
		r.Header, r.ContentLength = headers, transport.MaxBody
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		door.ServeHTTP(httptest.NewRecorder(), r)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Errorf("an empty request that announces %d bytes took %d, want at most %d", transport.MaxBody, took, most)
		}
	}
}

// A body that does not end costs nobody else the door.
func TestStalledBodiesHoldUpNobody(t *testing.T) {
	t.Parallel()
	stage := newSocketStage(t)
	b := stage.bot()
	server := httptest.NewServer(b.Handler())
	defer server.Close()
	head := fmt.Sprintf("POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s: v0=%s\r\n%s: %d\r\n\r\n{",
		transport.MaxBody, transport.SignatureHeader, strings.Repeat("0", 64), transport.StampHeader, time.Now().Unix())
	var answers []*bufio.Reader
	for range transport.MostBodies + 8 {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, head); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, bufio.NewReader(conn))
	}
	r := signed("signing-secret", "event", someEvent("Ev1"))
	post, err := http.NewRequest(http.MethodPost, server.URL+"/slack/events", r.Body)
	if err != nil {
		t.Fatal(err)
	}
	post.Header = r.Header
	began := time.Now()
	resp, err := http.DefaultClient.Do(post)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if took := time.Since(began); resp.StatusCode != http.StatusOK || took > transport.AckBudget {
		t.Errorf("an event beside stalled bodies: %d after %v", resp.StatusCode, took)
	}
	gaveWay := make(chan struct{}, len(answers))
	for _, a := range answers {
		go func() {
			if resp, err := http.ReadResponse(a, nil); err == nil && resp.StatusCode == http.StatusServiceUnavailable {
				gaveWay <- struct{}{}
			}
		}()
	}
	for range 8 {
		select {
		case <-gaveWay:
		case <-stage.ctx.Done():
			t.Fatal("too few gave way")
		}
	}
}
