package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// A value of a body takes more memory than the bytes it is written in: `[{},{}` is a map for each three of them. So
// what bodies take is reckoned while they are read, and all of them together have a limit.

const (
	valueBytes = 128     // of memory that a value takes, at the most
	valuesOnce = 1024    // that are reckoned together; a body with fewer counts by its bytes
	heldLeast  = 1 << 30 // bytes for the bodies of all requests under way, or 4 times MaxBody if that is more
)

var errNoRoom = errors.New("the gateway has no room for another body")

// A meter reckons what one body takes, until release. It belongs to whoever reads the body. A nil meter is of a text
// that is bounded otherwise.
type meter struct {
	g    *Gateway
	held int64
}

func (m *meter) take(n int64) error {
	if m == nil {
		return nil
	}
	m.held += n
	if m.g.held.Add(n) > m.g.heldMost {
		return errNoRoom
	}
	return nil
}

// values is told of each value, by its number.
func (m *meter) values(n int) error {
	if n%valuesOnce != 0 {
		return nil
	}
	return m.take(valuesOnce * valueBytes)
}

func (m *meter) release() {
	m.g.held.Add(-m.held)
	m.held = 0
}

// A metered reader reckons what is read.
type metered struct {
	io.Reader
	meter *meter
	err   error // why there is no more, though it is not the end
}

func (r *metered) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if full := r.meter.take(int64(n)); full != nil {
		err = full
	}
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// lines is bufio.ScanLines, which takes what has come of a line for a line when the body is cut off: half a number is a
// number, too.
func (r *metered) lines(data []byte, atEOF bool) (int, []byte, error) {
	if atEOF && r.err != nil && bytes.IndexByte(data, '\n') < 0 {
		return 0, nil, r.err
	}
	return bufio.ScanLines(data, atEOF)
}

// unreadable is what a body cannot be read for.
func (x *exchange) unreadable(service string, err error) *problem {
	if errors.Is(err, errNoRoom) {
		x.g.refused.Add(1)
		return full(err.Error())
	}
	return invalid(service, err.Error())
}
