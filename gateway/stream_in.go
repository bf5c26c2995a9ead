package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"sync"
	"time"

	"broach"
)

// A function whose last argument is a stream gets the lines of a body, as they come. The arguments before it stand in
// the query, as those of a GET. A body of JSON does as well: its last argument is an array then.

// lineMost is how long a client may be silent between two lines.
const lineMost = 2 * time.Minute

// An input is the body of a request, line by line. The call ranges over it in a goroutine of its own.
type input struct {
	body  *bufio.Scanner
	meter meter // of the line that is read
	most  int64 // bytes of the longest so far, for which the Scanner keeps room
	c     *http.ResponseController

	mu       sync.Mutex // guards what follows
	wrong    error      // the client's own fault, which ended it
	hasEnded bool       // all of it was read
	isClosed bool       // nobody wants more of it
}

// openInput has the lines of the body read while the answer is written. The connection is not used again, or net/http
// would take what was not read of the body for the next request.
func (x *exchange) openInput() *input {
	in := &input{c: http.NewResponseController(x.w), meter: meter{g: x.g}}
	r := &metered{Reader: x.r.Body, meter: &in.meter}
	in.body = bufio.NewScanner(r)
	in.body.Split(r.lines)
	if x.r.ProtoMajor == 1 { // HTTP/2 has all that anyway
		_ = in.c.EnableFullDuplex()
		x.w.Header().Set("Connection", "close")
	}
	in.body.Buffer(nil, int(min(x.g.set.maxBody, 1<<30)))
	return in
}

// close lets nobody wait for the client any more.
func (in *input) close() {
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.isClosed = true
	deadline := time.Unix(1, 0) // has passed
	if in.hasEnded {
		deadline = time.Time{}
	}
	_ = in.c.SetReadDeadline(deadline)
}

// failure is what the client did wrong.
func (in *input) failure() error {
	if in == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.wrong
}

// items are the lines, as values for a type.
func (in *input) items(f *function, t *broach.Type) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		defer in.meter.release()
		for n := 1; in.scan(); n++ {
			line := bytes.TrimSpace(in.body.Bytes())
			if len(line) == 0 {
				continue
			}
			v, err := parseJSON(string(line), &in.meter)
			if err == nil {
				v, err = f.read(v, t)
			}
			if err != nil {
				yield(nil, in.fail(fmt.Errorf("line %d: %w", n, err)))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
		if err := in.finish(); err != nil {
			yield(nil, err)
		}
	}
}

// scan reads a line. A server that has no deadlines is not told of one.
func (in *input) scan() bool {
	in.mu.Lock()
	if in.isClosed {
		in.mu.Unlock()
		return false
	}
	_ = in.c.SetReadDeadline(time.Now().Add(lineMost))
	in.mu.Unlock()
	in.meter.release()
	_ = in.meter.take(in.most) // if that is too much, so is the first byte that comes
	ok := in.body.Scan()
	in.most = max(in.most, int64(len(in.body.Bytes())))
	return ok
}

func (in *input) fail(err error) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.wrong = err
	return err
}

// finish says how the body ended.
func (in *input) finish() error {
	err := in.body.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		return in.fail(errors.New("a line of the stream is larger than the gateway takes"))
	case errors.Is(err, errNoRoom):
		return in.fail(err)
	case err != nil:
		return in.fail(errors.New("the stream was cut off"))
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.hasEnded = true
	return nil
}

// listed are items that came in an array.
func listed(list []any) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// streamArgs are the arguments of a POST whose body is a stream.
func (x *exchange) streamArgs(f *function) ([]any, *problem) {
	if !f.StreamsIn {
		return nil, unsupported("the function takes no stream: say Content-Type: application/json")
	}
	if x.input != nil {
		return nil, invalid(f.name, "the function has changed meanwhile: send it again")
	}
	args := make([]any, 0, 4)
	for _, text := range x.query["arg"] {
		args = append(args, word(text))
	}
	x.input = x.openInput()
	return append(args, x.input), nil
}

// stream turns the last argument into a sequence.
func (f *function) stream(v any) (any, error) {
	t := f.param(len(f.Params) - 1)
	switch v := v.(type) {
	case *input:
		return v.items(f, t), nil
	case []any:
		for i := range v {
			x, err := f.read(v[i], t)
			if err != nil {
				return nil, within(fmt.Sprintf("[%d]", i), err)
			}
			v[i] = x
		}
		return listed(v), nil
	}
	return nil, errors.New(show(v) + " is no stream: send application/x-ndjson, or an array of the items")
}
