package streams

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// steps are what happened, in order.
type steps struct {
	mu   sync.Mutex
	list []string
}

func (s *steps) add(format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, fmt.Sprintf(format, a...))
}

func (s *steps) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.list
	s.list = nil
	return list
}

// around notes when a call begins and ends, and what it came to.
func (s *steps) around(side string) broach.Interceptor {
	return func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		s.add("%s begins", side)
		v, err := next(ctx, call)
		s.add("%s ends %v %v", side, v, err != nil)
		return v, err
	}
}

// Interceptors surround the whole stream, at either end.
func TestInterceptorsSurroundStreams(t *testing.T) {
	var s steps
	anywhere(t, func(p place) {
		p.offer("list", countTo, broach.ServeInterceptors(s.around("provider")))
		p.offer("fail", func() iter.Seq2[int, error] {
			return func(yield func(int, error) bool) { yield(0, errors.New("no milk")) }
		}, broach.ServeInterceptors(s.around("provider")))
		for n, err := range broach.Stream[int](p.T.Context(),
			p.caller.Caller("list", broach.CallInterceptors(s.around("caller"))), 2) {
			require.NoError(p.T, err)
			s.add("item %d", n)
		}
		steps := s.taken()
		require.Equal(p.T, []string{"caller begins", "provider begins"}, steps[:2])
		require.ElementsMatch(p.T, []string{"item 1", "item 2", "provider ends <nil> false", "caller ends <nil> false"},
			steps[2:])
		_, err := all(broach.Stream[int](p.T.Context(),
			p.caller.Caller("fail", broach.CallInterceptors(s.around("caller")))))
		clustertest.RequireError(p.T, err, broach.Application, broach.Yes)
		require.Equal(p.T, []string{"caller begins", "provider begins", "provider ends <nil> true",
			"caller ends <nil> true"}, s.taken())
	})
}

// doubled is an Interceptor that wraps the sequence among the arguments.
func doubled(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
	args := call.Args()
	seq := args[len(args)-1].(iter.Seq2[int, error])
	args[len(args)-1] = iter.Seq2[int, error](func(yield func(int, error) bool) {
		for n, err := range seq {
			if !yield(2*n, err) {
				return
			}
		}
	})
	return next(ctx, call)
}

// Invocation.Args has the sequence, which they may wrap, at either end.
func TestInterceptorsWrapSequences(t *testing.T) {
	anywhere(t, func(p place) {
		p.offer("sum", sum, broach.ServeInterceptors(doubled))
		total, err := broach.Call[int](p.T.Context(),
			p.caller.Caller("sum", broach.CallInterceptors(doubled)), countTo(3))
		require.NoError(p.T, err)
		require.Equal(p.T, 4*6, total)
	})
}

// What Interceptors may not do with a stream.
func TestInterceptorsAndTheirMistakes(t *testing.T) {
	anywhere(t, func(p place) {
		p.offer("list", countTo)
		p.offer("sum", sum)
		twice := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			_, _ = next(ctx, call)
			synctest.Wait() // until the loop has got an item
			return next(ctx, call)
		}
		items, err := all(broach.Stream[int](p.T.Context(),
			p.caller.Caller("list", broach.CallInterceptors(twice)), 3))
		e, ok := errors.AsType[*broach.Error](err)
		require.True(p.T, ok)
		require.Equal(p.T, "next was called again for a stream that had begun", e.Message)
		require.Equal(p.T, []int{1, 2, 3}, items)
		_, err = broach.Call[int](p.T.Context(), p.caller.Caller("sum", broach.CallInterceptors(twice)), countTo(3))
		require.ErrorIs(p.T, err, broach.ErrInvalidArgument)

		value := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) { return 7, nil }
		_, err = all(broach.Stream[int](p.T.Context(), p.caller.Caller("list", broach.CallInterceptors(value)), 3))
		clustertest.RequireError(p.T, err, broach.Internal, broach.No)
		nothing := func(context.Context, *broach.Invocation, broach.Handler) (any, error) { return nil, nil }
		items, err = all(broach.Stream[int](p.T.Context(),
			p.caller.Caller("list", broach.CallInterceptors(nothing)), 3))
		require.NoError(p.T, err)
		require.Empty(p.T, items)
		boom := func(context.Context, *broach.Invocation, broach.Handler) (any, error) { panic("boom") }
		_, err = all(broach.Stream[int](p.T.Context(), p.caller.Caller("list", broach.CallInterceptors(boom)), 3))
		clustertest.RequireError(p.T, err, broach.Internal, broach.No)
	})
}

// Those of a provider may refuse, or panic, before the function runs.
func TestAuthorizeStandsBeforeStreams(t *testing.T) {
	anywhere(t, func(p place) {
		p.offer("refused", count2, broach.Authorize(func(context.Context, *broach.Invocation) error {
			return errors.New("not you")
		}))
		p.offer("panics", count2, broach.ServeInterceptors(
			func(context.Context, *broach.Invocation, broach.Handler) (any, error) { panic("boom") }))
		p.offer("other", sum, broach.ServeInterceptors(
			func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
				call.SetArgs("no sequence")
				return next(ctx, call)
			}))
		_, err := all(broach.Stream[int](p.T.Context(), p.caller.Caller("refused")))
		require.Equal(p.T, "not you", clustertest.RequireError(p.T, err, broach.Unauthenticated, broach.No).Message)
		_, err = all(broach.Stream[int](p.T.Context(), p.caller.Caller("panics")))
		clustertest.RequireError(p.T, err, broach.Internal, broach.No)
		_, err = broach.Call[int](p.T.Context(), p.caller.Caller("other"), countTo(3))
		clustertest.RequireError(p.T, err, broach.Internal, broach.No)
	})
}

// count2 yields without end.
func count2() iter.Seq2[int, error] { return count }

// One-way calls, calls of all providers and hedged calls cannot stream, and say so.
func TestCallsThatCannotStream(t *testing.T) {
	anywhere(t, func(p place) {
		p.offer("list", countTo, broach.Idempotent())
		p.offer("sum", sum)
		ctx := p.T.Context()
		for name, err := range map[string]error{
			"a one-way call cannot stream: nobody would hear how it ends": p.caller.Caller("sum").Send(ctx, countTo(3)),
			"the function streams, which a one-way call cannot: nobody would hear how it ends": p.caller.Caller("list").
				Send(ctx, 3),
			"a call of all providers cannot stream: a sequence can be ranged over once, so call each with On": firstOf(
				p.caller.Caller("sum").All(ctx, countTo(3))),
			"list(int) stream int: it returns a stream: call it by Stream or Bind": firstOf(
				p.caller.Caller("list").All(ctx, 3)),
			"a call that streams cannot be hedged: use a Caller without Hedge": second(all(broach.Stream[int](ctx,
				p.caller.Caller("list", broach.Hedge(time.Second)), 3))),
			"items of a stream: chan int cannot be sent": second(all(broach.Stream[chan int](ctx,
				p.caller.Caller("list"), 3))),
		} {
			e := clustertest.RequireError(p.T, err, broach.InvalidArgument, broach.No)
			require.Equal(p.T, name, e.Message)
		}
	})
}

func firstOf(replies iter.Seq[broach.Reply[any]]) error {
	for r := range replies {
		return r.Err
	}
	return nil
}

func second[T any](_ T, err error) error { return err }

// MaxConcurrent bounds the streams of a function that run.
func TestMaxConcurrentBoundsStreams(t *testing.T) {
	anywhere(t, func(p place) {
		w := newWatched()
		p.offer("feed", w.feed, broach.MaxConcurrent(1))
		for _, err := range broach.Stream[int](p.T.Context(), p.caller.Caller("feed")) {
			require.NoError(p.T, err)
			_, err = all(broach.Stream[int](p.T.Context(), p.caller.Caller("feed", broach.NoRetry())))
			clustertest.RequireError(p.T, err, broach.Overloaded, broach.No)
			break
		}
		w.requireEnd(p.T, time.Second)
		p.Until(time.Second, "there is room again", func() bool {
			for _, err := range broach.Stream[int](p.T.Context(), p.caller.Caller("feed", broach.NoRetry())) {
				return err == nil
			}
			return false
		})
		w.requireEnd(p.T, time.Second)
	})
}

// A Tracer is told of streams as such, and that they have ended when they have.
func TestTracersSeeStreams(t *testing.T) {
	var s steps
	anywhere(t, func(p place) {
		p.offer("list", countTo)
		p.offer("sum", sum)
		_, err := all(broach.Stream[int](p.T.Context(), p.caller.Caller("list"), 3))
		require.NoError(p.T, err)
		_, err = broach.Call[int](p.T.Context(), p.caller.Caller("sum"), countTo(3))
		require.NoError(p.T, err)
		require.ElementsMatch(p.T, []string{"call list true", "serve list true", "tried", "end", "end",
			"call sum true", "serve sum true", "tried", "end", "end"}, s.taken())
	}, func(cfg *broach.Config) { cfg.Tracer = tracer{&s} })
}

// tracer notes what it is told.
type tracer struct{ *steps }

func (t tracer) StartCall(ctx context.Context, service string, kind broach.CallKind) (context.Context, broach.Span) {
	t.add("call %s %v", service, kind == broach.Streaming)
	return ctx, t
}

func (t tracer) StartServe(ctx context.Context, service string, kind broach.CallKind, _ netip.AddrPort,
	_ map[string]string) (context.Context, broach.Span) {
	t.add("serve %s %v", service, kind == broach.Streaming)
	return ctx, t
}

func (t tracer) Carry() []string                          { return nil }
func (t tracer) Attempt(netip.AddrPort, int, error)       { t.add("tried") }
func (t tracer) End(netip.AddrPort, time.Duration, error) { t.add("end") }

// Metadata reach a function that streams, and calls that it makes are part of the call.
func TestMetadataReachStreams(t *testing.T) {
	anywhere(t, func(p place) {
		p.offer("who", func(ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				call, ok := broach.InvocationFrom(ctx)
				yield(fmt.Sprintln(ok, call.Service, call.Meta(), call.From == p.caller.Addr()), nil)
			}
		})
		got, err := all(broach.Stream[string](p.T.Context(), p.caller.Caller("who", broach.Meta("k", "v"))))
		require.NoError(p.T, err)
		require.Equal(p.T, []string{"true who map[k:v] true\n"}, got)
	})
}
