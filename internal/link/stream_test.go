package link

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/stream"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// streamed runs a function that streams, and returns its reply.
func streamed(ctx context.Context, f func(context.Context, *stream.Pair) wire.Code, r *Request) []byte {
	m := wire.Reply{Slot: r.Slot, Seq: r.Seq, Executed: wire.ExecutedYes}
	if r.Streams == nil {
		m.Code, m.Executed = wire.InvalidArgument, wire.ExecutedNo
		return m.Append(nil)
	}
	if m.Code = f(ctx, r.Streams); m.Code == 0 {
		m.Body = []byte{0}
	}
	if r.Streams.Out != nil {
		r.Streams.Out.CloseWrite(nil)
	}
	return m.Append(nil)
}

// stream begins a call whose input and results stream, if in and out say so.
func (e *end) stream(service string, in, out bool) *aCall {
	e.t.Helper()
	c := &aCall{Call: e.wires.NewCall()}
	c.Streams = new(stream.Pair)
	if in {
		c.Streams.In = new(stream.Pipe)
	}
	if out {
		c.Streams.Out = new(stream.Pipe)
	}
	m := wire.Request{Service: []byte(service), Args: []byte{0x90}}
	m.Meta = wire.AppendPair(wire.Streams{HasIn: in, HasOut: out}.AppendPairs(nil), "k", []byte("v"))
	frame := frameOf(service, nil)
	frame.B = m.Append(frame.B[:0])
	var err error
	now := time.Now()
	c.slot, c.seq, err = e.link.Send(now, now.Add(time.Hour), frame, c.Call)
	require.NoError(e.t, err)
	return c
}

// collect reads a pipe to its end, on a goroutine of its own.
func collect(p *stream.Pipe) (all *[]byte, ended *error) {
	all, ended = new([]byte), new(error)
	go func() {
		for {
			b, err := p.Next(nil)
			if err != nil {
				*ended = err
				return
			}
			*all = append(*all, b...)
		}
	}()
	return all, ended
}

// converse delivers and lets time pass for so long. lost says which datagrams are.
func converse(a, b *end, d time.Duration, lost func() bool) {
	for until := time.Now().Add(d); time.Now().Before(until); {
		for i, from := range []*end{a, b} {
			to := []*end{b, a}[i]
			var got [][]byte
			for _, d := range from.tape.take() {
				if lost == nil || !lost() {
					got = append(got, d)
				}
			}
			to.hear(got...)
		}
		a.step(500 * time.Microsecond)
		b.wires.Timers.Run(time.Now())
		synctest.Wait()
	}
}

// everySo loses one datagram of n.
func everySo(n int) func() bool {
	i := 0
	return func() bool { i++; return i%n == 0 }
}

// [STR-3] Chunks are taken in the order of their index, each once, whatever is lost; [STR-5] the Reply ends the call
// when the last of them has been taken.
func TestResultsStream(t *testing.T) {
	for name, lost := range map[string]func() bool{"nothing": nil, "every 7th": everySo(7)} {
		onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
			want := bytes.Repeat([]byte("0123456789"), 50_000)
			b.streaming["rows"] = func(_ context.Context, s *stream.Pair) wire.Code {
				return codeIf(s.Out.Write(want, nil) != nil)
			}
			c := a.stream("rows", false, true)
			got, ended := collect(c.Streams.Out)
			converse(a, b, 3*time.Second, lost)
			require.True(t, bytes.Equal(want, *got), "%s is lost: %d bytes of %d", name, len(*got), len(want))
			require.Equal(t, io.EOF, *ended)
			c.require(t, 0, wire.ExecutedYes)
			requireNoStreams(t, a, b)
		})
	}
}

func codeIf(failed bool) wire.Code {
	if failed {
		return wire.Application
	}
	return 0
}

// requireNoStreams checks that both ends have forgotten all streams, and hold no memory for them.
func requireNoStreams(t *testing.T, ends ...*end) {
	t.Helper()
	for _, e := range ends {
		x := e.link.exchange
		require.Empty(t, x.streams.ours)
		require.Empty(t, x.streams.served)
		require.Zero(t, x.receiving.Held.Used())
		require.False(t, x.sending.IsBusy())
	}
}

// [STR-5] A Reply with bit 8 of executed ends the call when the last chunk of the results has been taken, too; one
// without it ends it at once.
func TestReplyWaitsForTheLastChunk(t *testing.T) {
	for _, code := range []wire.Code{0, wire.Application} {
		onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
			b.streaming["rows"] = func(_ context.Context, s *stream.Pair) wire.Code {
				_ = s.Out.Write([]byte("item"), nil)
				return code
			}
			c := a.stream("rows", false, true)
			b.hear(a.tape.take()...)
			require.NotEmpty(t, messages(b.tape.take(), wire.KindChunk), "they are lost: the item, and the end")
			b.link.exchange.served.slot(c.slot) // its Reply is there, and is asked for
			a.hear(b.utter(b.link.exchange.served.slot(c.slot).reply))
			require.False(t, c.over(), "code %d", code)
			converse(a, b, time.Second, nil)
			c.require(t, code, wire.ExecutedYes)
			got, _ := c.Streams.Out.Next(nil)
			require.Equal(t, "item", string(got))

			c = a.stream("none", false, true)
			a.tape.take()
			reply := wire.Reply{Slot: c.slot, Seq: c.seq, Code: wire.NotFound, Executed: wire.ExecutedNo}
			a.hear(b.utter(reply.Append(nil)))
			c.require(t, wire.NotFound, wire.ExecutedNo)
		})
	}
}

// messages are the messages of one kind in datagrams.
func messages(datagrams [][]byte, want wire.Kind) (bodies [][]byte) {
	for _, d := range datagrams {
		for rest := d[wire.HeaderSize:]; len(rest) > 0; {
			kind, body, next, err := wire.ConsumeMessage(rest)
			if err != nil {
				break
			}
			if kind == want {
				bodies = append(bodies, body)
			}
			rest = next
		}
	}
	return bodies
}

// An input comes to the function, which answers when it has all of it.
func TestInputStreams(t *testing.T) {
	for _, lost := range []func() bool{nil, everySo(5)} {
		onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
			want := bytes.Repeat([]byte("0123456789"), 50_000)
			var got []byte
			b.streaming["sum"] = func(_ context.Context, s *stream.Pair) wire.Code {
				for {
					p, err := s.In.Next(nil)
					if err != nil {
						return codeIf(err != io.EOF)
					}
					got = append(got, p...)
				}
			}
			c := a.stream("sum", true, false)
			go func() {
				_ = c.Streams.In.Write(want, nil)
				c.Streams.In.CloseWrite(nil)
			}()
			converse(a, b, 3*time.Second, lost)
			require.True(t, bytes.Equal(want, got), "%d bytes of %d", len(got), len(want))
			c.require(t, 0, wire.ExecutedYes)
			requireNoStreams(t, a, b)
		})
	}
}

// [STR-6] Input that is not read any more is stopped: Stop, by receiver, code Canceled. It is no failure of the call.
func TestInputThatIsNotRead(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.streaming["first"] = func(ctx context.Context, s *stream.Pair) wire.Code {
			_, err := s.In.Next(nil)
			s.In.Stop(nil)
			<-ctx.Done()
			return codeIf(err != nil)
		}
		c := a.stream("first", true, false)
		var stopped error
		go func() {
			for stopped == nil {
				stopped = c.Streams.In.Write(make([]byte, 10_000), nil)
			}
		}()
		converse(a, b, 100*time.Millisecond, nil)
		require.Equal(t, stream.ErrStopped, stopped)
		require.False(t, c.over())

		require.True(t, a.link.Abandon(c.slot, c.seq))
		converse(a, b, 100*time.Millisecond, nil)
		requireNoStreams(t, a, b)
	})
}

// [STR-6] It is so at the latest when the call is answered.
func TestAnswerEndsTheInput(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.streaming["none"] = func(context.Context, *stream.Pair) wire.Code { return 0 }
		c := a.stream("none", true, true)
		go func() { _ = c.Streams.In.Write(make([]byte, 1<<20), nil) }()
		converse(a, b, 100*time.Millisecond, nil)
		c.require(t, 0, wire.ExecutedYes)
		requireNoStreams(t, a, b)
		c.Streams.In.Stop(nil)
	})
}

// [STR-6] A Stop of results by their receiver does what Cancel does; so does Cancel itself.
func TestResultsThatNobodyWants(t *testing.T) {
	for _, how := range []string{"Cancel", "Stop", "newer call", "link lost"} {
		onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
			var failed error
			b.streaming["feed"] = func(ctx context.Context, s *stream.Pair) wire.Code {
				for failed == nil {
					failed = s.Out.Write(make([]byte, 10_000), nil)
				}
				<-ctx.Done()
				return wire.Canceled
			}
			c := a.stream("feed", false, true)
			converse(a, b, 100*time.Millisecond, nil)
			require.NoError(t, failed, "it waits for its reader")
			f := b.link.exchange.flowOf(false, c.slot, c.seq)
			switch how {
			case "Cancel":
				require.True(t, a.link.Abandon(c.slot, c.seq))
			case "Stop":
				b.hear(a.utter(wire.Stop{Transfer: f.sending.ID(), ByReceiver: true, Code: wire.Canceled}.Append(nil)))
			case "newer call":
				b.hear(a.utter(wire.Request{Slot: c.slot, Seq: c.seq + 1, Service: []byte("x")}.Append(nil)))
			case "link lost":
				b.link.Fail(Outcome{Code: wire.Unreachable})
			}
			b.hear(a.tape.take()...)
			synctest.Wait()
			require.ErrorIs(t, failed, ErrGivenUp, how)
			require.Empty(t, b.link.exchange.streams.served, how)
			require.Nil(t, b.link.exchange.served.slot(c.slot).request, "%s: its ctx has ended", how)
		})
	}
}
