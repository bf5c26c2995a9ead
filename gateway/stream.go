package gateway

import (
	"context"
	"iter"
	"net/http"
	"time"

	"broach"
)

// A function whose results stream is answered item by item: as lines of JSON, or as Server-Sent Events. The status goes
// out with the first of them, so what fails later is the last item. One that has neither an error nor an end as its
// last was cut off.

const (
	ndjsonType = "application/x-ndjson"
	eventsType = "text/event-stream"

	// The id of the event end. An EventSource asks again when a stream is over, whichever way, and says the last id.
	endID = "end"

	// Items that have come and are not written yet, beside those that the call itself lets wait: a client may read
	// slowly, or not at all. One that is large goes alone.
	readyMost = 64
	largeFrom = 4 << 10
)

// An item is what a stream brings.
type item struct {
	data     []byte
	err      error         // why it ended
	unsaid   error         // why it cannot be said in JSON
	writtenc chan struct{} // of a large one; closed when it is written
}

// asStream does what may take as long as anybody likes. It is no request under way as others are, but a stream, of
// which there may be more, and it ends with the gateway, as event streams do.
func (x *exchange) asStream(ctx context.Context, do func(context.Context) *problem) *problem {
	if x.g.streams.Add(1) > int64(x.g.set.streams) {
		x.g.streams.Add(-1)
		x.g.refused.Add(1)
		return full("the gateway has too many streams")
	}
	x.g.inFlight.Add(-1)
	defer func() {
		x.g.inFlight.Add(1)
		x.g.streams.Add(-1)
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(x.g.ctx, cancel)()
	return do(ctx)
}

// hasEnded reports whether the client asks for what it has had to the end.
func (x *exchange) hasEnded() bool { return x.takes.events && x.r.Header.Get("Last-Event-ID") == endID }

// callStream answers with a stream. By 204 an EventSource does not ask once more.
func (x *exchange) callStream(ctx context.Context, f *function, caller *broach.Caller, args []any) *problem {
	if x.hasEnded() {
		x.w.Header()["Cache-Control"] = noStore
		x.write(http.StatusNoContent, nil)
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	itemc, ended := make(chan item, readyMost), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(itemc)
		x.give(ctx, f, itemc, broach.Stream[any](ctx, caller, args...))
	}()
	defer func() {
		cancel()
		<-ended
	}()
	return x.passOn(ctx, f, itemc)
}

// give puts what comes into a channel, until nobody wants it any more.
func (x *exchange) give(ctx context.Context, f *function, itemc chan<- item, items iter.Seq2[any, error]) {
	for v, err := range items {
		it := x.itemOf(f, v, err)
		select {
		case itemc <- it:
		case <-ctx.Done():
			if err == nil {
				return
			}
			select {
			case itemc <- it: // why it ended
			default:
			}
		}
		if it.writtenc == nil {
			continue
		}
		select {
		case <-it.writtenc:
		case <-ctx.Done():
			return
		}
	}
}

// itemOf is what is written of an item, so that it is known how large that is.
func (x *exchange) itemOf(f *function, v any, err error) (it item) {
	if it.err = err; err == nil {
		it.data, it.unsaid = f.appendResult(nil, v, x.texts)
	}
	if len(it.data) >= largeFrom {
		it.writtenc = make(chan struct{})
	}
	return it
}

// passOn writes items as they come. What fails before the first of them is an answer as any other.
func (x *exchange) passOn(ctx context.Context, f *function, itemc <-chan item) *problem {
	s := &itemStream{x: x, f: f, out: newFlow(x.w)}
	defer s.out.close()
	ticker := time.NewTicker(commentEvery)
	defer ticker.Stop()
	for {
		it, ok, isIdle := next(itemc, ticker.C, s)
		switch {
		case s.isGone:
			return nil
		case isIdle:
			s.comment()
		case !ok:
			s.end()
			return nil
		case it.err != nil:
			return s.fail(it.err)
		case it.unsaid != nil:
			return s.stop(unsayable(f.name, it.unsaid))
		default:
			s.item(it)
		}
	}
}

// next takes an item. If none is ready, what was written goes out first.
func next(itemc <-chan item, idle <-chan time.Time, s *itemStream) (it item, ok, isIdle bool) {
	select {
	case it, ok = <-itemc:
		return it, ok, false
	default:
		s.flush()
	}
	select {
	case it, ok = <-itemc:
		return it, ok, false
	case <-idle:
		return item{}, true, true
	}
}

// An itemStream is an answer that goes on.
type itemStream struct {
	x      *exchange
	f      *function
	out    *flow
	buffer []byte
	count  uint64
	isGone bool // the client takes nothing any more
}

// begin sends the head, once.
func (s *itemStream) begin() {
	if s.x.isDone {
		return
	}
	h := s.x.w.Header()
	h["Cache-Control"] = noStore
	h.Set("X-Accel-Buffering", "no")
	if h.Set("Content-Type", ndjsonType); s.x.takes.events {
		h.Set("Content-Type", eventsType)
	}
	s.x.head(http.StatusOK)
}

// flush sends what was written.
func (s *itemStream) flush() {
	if len(s.buffer) > 0 && !s.out.write(s.buffer) {
		s.isGone = true
	}
	s.buffer = s.buffer[:0]
}

// put writes one item of a kind.
func (s *itemStream) put(kind string, data []byte) {
	s.begin()
	switch {
	case s.x.takes.events && kind == "end":
		s.buffer = append(append(append(s.buffer, "event: end\nid: "+endID+"\ndata: "...), data...), "\n\n"...)
	case s.x.takes.events:
		s.buffer = append(append(append(s.buffer, "event: "...), kind...), '\n')
		s.buffer = appendEvent(s.buffer, s.count, data)
	case kind == "item":
		s.buffer = append(append(s.buffer, data...), '\n')
	default:
		s.buffer = append(append(append(append(s.buffer, `{"`...), kind...), `":`...), data...)
		s.buffer = append(s.buffer, '}', '\n')
	}
	if len(s.buffer) > atOnce {
		s.flush()
	}
}

func (s *itemStream) item(it item) {
	s.count++
	s.put("item", it.data)
	if it.writtenc != nil {
		close(it.writtenc)
	}
}

// comment finds out whether the client is there. A line of JSON has no room for one.
func (s *itemStream) comment() {
	if s.x.takes.events {
		s.begin()
		s.buffer = append(s.buffer, ":\n\n"...)
	}
}

func (s *itemStream) end() {
	s.put("end", marshal(s.count))
	s.flush()
}

func (s *itemStream) fail(err error) *problem { return s.stop(s.x.streamProblem(s.f, err)) }

// stop ends the stream with a problem.
func (s *itemStream) stop(p *problem) *problem {
	if !s.x.isDone {
		return p
	}
	s.put("error", marshal(p.document(s.x)))
	s.flush()
	return nil
}

// streamProblem is that of a call, unless it is the client's own stream that was wrong, or the gateway ends.
func (x *exchange) streamProblem(f *function, err error) *problem {
	p := x.problemOf(err)
	if bad := x.input.failure(); bad != nil {
		q := x.unreadable(f.name, bad)
		q.executed = p.executed
		return q
	}
	if (f.StreamsOut || f.StreamsIn) && p.code == broach.Canceled.String() && x.g.ctx.Err() != nil {
		q := x.problemOf(broach.ErrClosed)
		q.executed, q.service = p.executed, p.service
		return q
	}
	return p
}
