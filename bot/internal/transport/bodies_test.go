package transport

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Who has taken longest gives way: to more bodies than there may be, and to more bytes than they may have together. A
// small one needs none of those.
func TestBodiesGiveWay(t *testing.T) {
	t.Parallel()
	var all bodies
	stopped := map[int]bool{}
	var under []*body
	begin := func() *body {
		n := len(under)
		under = append(under, all.begin(func() { stopped[n] = true }))
		return under[n]
	}
	small := begin()
	if !small.grow(smallBody) {
		t.Error("a small body found no room")
	}
	for all.bytes+MaxBody <= bodiesRoom {
		if !begin().grow(MaxBody) {
			t.Fatal("there is room")
		}
	}
	if len(stopped) != 0 {
		t.Errorf("%d gave way while there was room", len(stopped))
	}
	if !begin().grow(MaxBody) || !stopped[1] || len(stopped) != 1 || under[1].grow(0) {
		t.Errorf("with all room taken these gave way: %v; want the oldest large one", stopped)
	}
	for len(all.under) < MostBodies {
		begin()
	}
	if begin(); !stopped[0] || len(stopped) != 2 || len(all.under) != MostBodies {
		t.Errorf("with %d under way these gave way: %v; want the oldest, too", len(all.under), stopped)
	}
	for _, one := range under {
		one.end()
	}
	if all.bytes != 0 || len(all.under) != 0 {
		t.Errorf("after all ended %d bytes and %d bodies are counted", all.bytes, len(all.under))
	}
}

// A body that is not there by the time Slack gives up is read no longer.
func TestSlowBodyEnds(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	var all bodies
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := all.read(w, r, MaxBody, time.Now().Add(20*time.Millisecond))
		ended <- err
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	select {
	case err := <-ended:
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not end")
	}
}
