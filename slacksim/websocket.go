package slacksim

// The server's half of RFC 6455. It is written out here: this package needs nothing but the standard library, and it
// must see what a library would hide, such as an answer in fragments, which Slack drops without a word.

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// socket is one open connection.
type socket struct {
	id     int
	conn   net.Conn
	in     *bufio.Reader
	gone   chan struct{} // closed when the connection has ended and everything that came over it was looked at
	frozen atomic.Bool
	write1 sync.Mutex // one frame at a time
	left   bool       // nothing goes out behind the close frame

	// Of a message that comes in several frames.
	partOp byte
	part   []byte
	parts  int
}

func asksForWebSocket(h http.Header) bool {
	key, err := base64.StdEncoding.DecodeString(h.Get("Sec-WebSocket-Key"))
	return err == nil && len(key) == 16 && h.Get("Sec-WebSocket-Version") == "13" &&
		strings.EqualFold(h.Get("Upgrade"), "websocket") && strings.Contains(strings.ToLower(h.Get("Connection")), "upgrade")
}

const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

var (
	errFrame = errors.New("a frame that breaks RFC 6455")
	errLeft  = errors.New("the closing handshake has begun")
)

// disconnect announces the end of the connection.
func (c *socket) disconnect(reason string) {
	m, _ := json.Marshal(map[string]any{
		"type": "disconnect", "reason": reason, "debug_info": map[string]any{"host": socketHost},
	})
	_ = c.write(opText, m)
}

// leave closes the connection in order: a close frame, and the connection itself once the peer has answered it.
func (c *socket) leave() {
	c.write1.Lock()
	_ = c.frame(opClose, []byte{1000 >> 8, 1000 & 0xff})
	c.left = true
	c.write1.Unlock()
	_ = c.conn.SetReadDeadline(time.Now().Add(closePatience))
}

func (c *socket) write(op byte, body []byte) error {
	c.write1.Lock()
	defer c.write1.Unlock()
	return c.frame(op, body)
}

// frame writes one whole frame. The caller has write1.
func (c *socket) frame(op byte, body []byte) error {
	switch {
	case c.left:
		return errLeft
	case c.frozen.Load():
		return nil
	}
	b := []byte{0x80 | op}
	switch n := len(body); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(writePatience))
	_, err := c.conn.Write(append(b, body...))
	return err
}

// read returns the next message, and in how many frames it came. Control frames may come between those.
func (c *socket) read() (op byte, body []byte, parts int, err error) {
	for {
		final, code, data, err := c.readFrame()
		if err != nil {
			return 0, nil, 0, err
		}
		if code >= opClose {
			return code, data, 1, nil
		}
		if (code == opContinuation) != (c.parts > 0) {
			return 0, nil, 0, fmt.Errorf("%w: fragments out of order", errFrame)
		}

		if c.parts == 0 {
			c.partOp = code
		}
		c.part, c.parts = append(c.part, data...), c.parts+1
		if final {
			op, body, parts = c.partOp, c.part, c.parts
			c.part, c.parts = nil, 0
			return op, body, parts, nil
		}
	}
}

func (c *socket) readFrame() (final bool, code byte, data []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return false, 0, nil, err
	}
	final, code = head[0]&0x80 != 0, head[0]&0x0f
	if head[0]&0x70 != 0 || head[1]&0x80 == 0 {
		return false, 0, nil, fmt.Errorf("%w: reserved bits, or not masked", errFrame)
	}
	n, err := c.length(head[1] & 0x7f)
	if err != nil {
		return false, 0, nil, err
	}
	if n > uint64(maxBody-len(c.part)) || code >= opClose && (n > 125 || !final) {
		return false, 0, nil, fmt.Errorf("%w: too long", errFrame)
	}

	data = make([]byte, 4+n)
	if _, err := io.ReadFull(c.in, data); err != nil {
		return false, 0, nil, err
	}
	mask, data := data[:4], data[4:]
	for i := range data {
		data[i] ^= mask[i%4]
	}
	return final, code, data, nil
}

// length reads the rest of a frame's length, which has two or eight bytes more where the first says so.
func (c *socket) length(first byte) (n uint64, err error) {
	size := map[byte]int{126: 2, 127: 8}[first]
	if size == 0 {
		return uint64(first), nil
	}
	more := make([]byte, size)
	_, err = io.ReadFull(c.in, more)
	for _, x := range more {
		n = n<<8 | uint64(x)
	}
	return n, err
}
