package link

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/codec"
	"broach/internal/deadline"
	"broach/internal/function"
	"broach/internal/handshake"
	"broach/internal/stream"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// bounds are what a test sets of an end. The zero value has the defaults of a node.
type bounds struct{ maxPacket, maxMessage int }

// end is one end of a link, with as much of a node around it as a link sees: somebody who gives it datagrams,
// functions, and a loop that the test is.
type end struct {
	t         testing.TB
	addr      netip.AddrPort
	wires     *Carrier
	tape      *tape
	link      *Link            // to the other end
	links     map[uint64]*Link // that and all others, by token
	functions map[string]*function.Func
	replies   map[string]wire.Reply // in the place of functions
	streaming map[string]func(ctx context.Context, s *stream.Pair) wire.Code
	spare     *Request
	held      []*Link
	early     []*Request // that were answered before they ran
	malformed int
	unknown   int // messages of unknown kind
}

func newEnd(t testing.TB, i int, size bounds) *end {
	random := make([]byte, handshake.RandomSize)
	binary.BigEndian.PutUint64(random, uint64(i+1))
	e := &end{t: t, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 7000),
		links: map[uint64]*Link{}, functions: map[string]*function.Func{}, replies: map[string]wire.Reply{},
		streaming: map[string]func(context.Context, *stream.Pair) wire.Code{}}
	e.tape = &tape{addr: e.addr}
	e.wires = &Carrier{
		Transport: e.tape, Process: handshake.NewProcess(random, false, time.Now()),
		MaxPacket: cmp.Or(size.maxPacket, 1400), MaxMessage: cmp.Or(size.maxMessage, 64<<20),
		Peers: 4096, Silence: 3 * time.Second,
		Nonce: rand.New(rand.NewPCG(uint64(i), 1)).Uint32, Resized: func(time.Time, netip.AddrPort, int) {},
	}
	e.wires.Init(time.Now())
	return e
}

// onEnds runs a test with two ends of a link: a calls functions of b. It runs in a bubble, so time passes only by
// sleeping.
func onEnds(t *testing.T, size bounds, test func(t *testing.T, a, b *end)) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newEnd(t, 1, size), newEnd(t, 2, size)
		time.Sleep(time.Millisecond) // the clock of the timers begins at 1 ns: round times are easier to test
		a.meet(b)
		test(t, a, b)
	})
}

// meet makes a link to another end, which knows it.
func (e *end) meet(other *end) {
	terms := &handshake.Terms{
		Rank: 1, TokenA: uint64(len(e.links)+1)<<32 | 0xa, KeyA: e.wires.Process.Key, AddrA: e.addr,
		TokenB: uint64(len(other.links)+1)<<32 | 0xb, KeyB: other.wires.Process.Key, AddrB: other.addr,
	}
	e.link, other.link = e.bear(terms, true), other.bear(terms, false)
	e.link.confirm = nil
}

// bear makes a link.
func (e *end) bear(terms *handshake.Terms, began bool) *Link {
	l := new(Link)
	require.NoError(e.t, l.Init(time.Now(), e.wires, terms, began, new(Traffic), 1))
	e.links[l.Token] = l
	return l
}

// offer makes a function callable.
func (e *end) offer(name string, fn any) {
	f, err := function.New(name, fn, lentShape)
	require.NoError(e.t, err)
	f.Most = 1 << 30
	e.functions[name] = f
}

// call begins a call with that much time left.
func (e *end) call(left time.Duration, service string, args ...any) *aCall {
	e.t.Helper()
	c := &aCall{Call: e.wires.NewCall()}
	frame := frameOf(service, args)
	now := time.Now()
	wire.SetRemaining(frame.B, Remaining(now, now.Add(left)))
	var err error
	c.slot, c.seq, err = e.link.Send(now, now.Add(left), frame, c.Call)
	require.NoError(e.t, err)
	return c
}

// aCall is a call under way.
type aCall struct {
	*Call
	slot uint16
	seq  uint32
}

// over reports whether the call has ended.
func (c *aCall) over() bool { return len(c.Done) == 1 }

// require checks how the call ended.
func (c *aCall) require(t *testing.T, code wire.Code, executed wire.Executed) {
	t.Helper()
	require.True(t, c.over(), "the call has not ended")
	require.Equal(t, code, c.Code, "%s", c.Body)
	if code != 0 {
		require.Equal(t, executed, c.Executed)
	}
}

// free gives a call that has ended up, as a caller does who has its result.
func (e *end) free(c *aCall) {
	<-c.Done
	e.wires.FreeCall(c.Call)
}

// hear gives datagrams to the end, as one batch, and lets the functions run.
func (e *end) hear(datagrams ...[]byte) {
	for _, b := range datagrams {
		e.datagram(append([]byte(nil), b...))
	}
	e.finish()
	synctest.Wait()
}

// finish ends a batch.
func (e *end) finish() {
	for _, l := range e.held {
		l.Unhold()
	}
	e.held = nil
}

// datagram takes one datagram of a batch.
func (e *end) datagram(b []byte) {
	h, _, err := wire.ConsumeHeader(b)
	require.NoError(e.t, err)
	l, now := e.links[h.Token], time.Now()
	if l == nil || !l.MayTake(now, h.Number) {
		return
	}
	l.Take(now, h.Number, len(b))
	if l.Lock(now, uint32(h.Number)) {
		e.held = append(e.held, l)
	}
	after := e.steps(now, l, b[wire.HeaderSize:])
	l.Unlock()
	for _, f := range after {
		f()
	}
}

// steps steps a link through the messages of a datagram, and returns what is to be done when it is unlocked.
func (e *end) steps(now time.Time, l *Link, rest []byte) (after []func()) {
	for len(rest) > 0 {
		kind, body, next, err := wire.ConsumeMessage(rest)
		if err == nil && kind < wire.KindJoin {
			var f func()
			f, err = e.stepOne(now, l, kind, body)
			after = append(after, f)
		}
		if err != nil {
			e.malformed++
			break
		}
		rest = next
	}
	return after
}

func (e *end) stepOne(now time.Time, l *Link, kind wire.Kind, body []byte) (after func(), _ error) {
	if e.spare == nil {
		e.spare = new(Request)
	}
	a := Arrival{Spare: e.spare}
	err := l.Step(now, kind, body, &a)
	if a.IsUnknown {
		e.unknown++
	}
	name := string(a.Service)
	if a.IsNew {
		e.spare = nil
	}
	return func() {
		if a.Abandoned != nil {
			a.Abandoned.GiveUp()
		}
		switch {
		case a.IsNew && a.Spare.Way == OneWay:
			l.AnswerEarly(now, a.Spare, wire.Reply{Slot: a.Spare.Slot, Seq: a.Spare.Seq, Body: []byte{0}}.Append(nil))
			e.early = append(e.early, a.Spare)
		case a.IsNew:
			go e.serve(l, a.Spare, name)
		}
	}, err
}

// serve runs a function and answers, as a worker does.
func (e *end) serve(l *Link, r *Request, name string) {
	ctx := new(deadline.Context)
	ctx.Begin(context.Background(), r.Deadline)
	defer ctx.End()
	r.Context.Store(ctx)
	frame := e.run(ctx, name, r)
	r.ReleaseArgs()
	l.Answer(time.Now(), r, wire.SetLength(frame))
}

// run runs a function, or whatever stands for it, and returns the reply.
func (e *end) run(ctx context.Context, name string, r *Request) []byte {
	if f := e.streaming[name]; f != nil {
		return streamed(ctx, f, r)
	}
	m, ok := e.replies[name]
	f := e.functions[name]
	if !ok && f == nil {
		m = wire.Reply{Code: wire.NotFound, Executed: wire.ExecutedNo, Body: []byte("it is not offered")}
	}
	m.Slot, m.Seq = r.Slot, r.Seq
	if f == nil {
		return m.Append(nil)
	}
	m.Executed = wire.ExecutedYes
	frame, tail, err := f.InvokeLent(ctx, r.Args.B, m.Append(nil), nil, f.Borrows())
	if r.CameAsTransfer() {
		r.Args.Tail = tail
	} else {
		frame = append(frame, tail...)
	}
	var failed *codec.Error
	if errors.As(err, &failed) {
		m.Code, m.Executed, m.Body = failed.Code, failed.Executed, []byte(failed.Text)
		frame = m.Append(nil)
	}
	return frame
}

// step lets time pass, and the loop step the link.
func (e *end) step(d time.Duration) {
	time.Sleep(d)
	e.wires.Timers.Run(time.Now())
	synctest.Wait()
}

// deliver delivers everything both ways until nobody says anything any more.
func deliver(a, b *end) (datagrams int) {
	for {
		toB, toA := a.tape.take(), b.tape.take()
		if len(toA)+len(toB) == 0 {
			return datagrams
		}
		datagrams += len(toA) + len(toB)
		b.hear(toB...)
		a.hear(toA...)
	}
}

// utter makes a datagram on the link from one end to the other, with the next number.
func (e *end) utter(encoded ...[]byte) []byte {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	e.link.number++
	d := make([]byte, wire.HeaderSize)
	for _, m := range encoded {
		d = append(d, m...)
	}
	return e.link.header(d, wire.Header{TableVersion: 1, Token: e.link.toToken, Number: e.link.number})
}
