package calls

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// tracer writes down what it is told.
type tracer struct {
	steps
	none   bool // it returns nil Spans
	carry  []string
	panics string // the step that it panics at
}

func (t *tracer) note(what string, a ...any) {
	step := fmt.Sprintf(what, a...)
	t.add(step)
	if t.panics != "" && strings.HasPrefix(step, t.panics) {
		panic("no milk")
	}
}

type tracerKey struct{}

func (t *tracer) StartCall(
	ctx context.Context, service string, kind broach.CallKind,
) (context.Context, broach.Span) {
	t.note("call %s %d in %v", service, kind, ctx.Value(tracerKey{}))
	return t.started(ctx, "caller")
}

func (t *tracer) StartServe(
	ctx context.Context, service string, kind broach.CallKind, from netip.AddrPort, meta map[string]string,
) (context.Context, broach.Span) {
	t.note("serve %s %d from %d %v", service, kind, nodeOf(from), meta)
	if meta != nil {
		meta["changed"] = "yes" // which reaches nobody
	}
	return t.started(ctx, "provider")
}

func (t *tracer) started(ctx context.Context, side string) (context.Context, broach.Span) {
	if t.none {
		return nil, nil
	}
	return context.WithValue(ctx, tracerKey{}, side), &span{t, side}
}

type span struct {
	*tracer
	side string
}

func (s *span) Carry() []string {
	s.note("carry")
	return s.carry
}

func (s *span) Attempt(to netip.AddrPort, n int, err error) {
	s.note("attempt %d at %d: %s", n, nodeOf(to), outcome(err))
}

func (s *span) End(to netip.AddrPort, wait time.Duration, err error) {
	s.note("%s ended at %d after %v: %s", s.side, nodeOf(to), wait, outcome(err))
	if e, ok := err.(*broach.Error); ok {
		e.Code = broach.Application // which reaches nobody
	}
}

// nodeOf is the number of the node with that address; -1: it is none.
func nodeOf(addr netip.AddrPort) int {
	for i := range 3 {
		if addr == clustertest.AddrOf(i) {
			return i
		}
	}
	return -1
}

func outcome(err error) string {
	if e, ok := err.(*broach.Error); ok {
		return fmt.Sprint(e.Code, " ", e.Executed)
	}
	return fmt.Sprint(err)
}

// inTraced runs a cluster of three, of which node 0 traces and the others offer something.
func inTraced(t *testing.T, tr *tracer, test func(c *clustertest.Cluster, n *broach.Node)) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) { cfg.Tracer = tr }
		n := c.Start(0)
		c.Edit = func(*broach.Config) {}
		for i := 1; i <= 2; i++ {
			startProvider(c, i)
		}
		require.NoError(t, n.WaitFor(c.T.Context(), "which", 2))
		c.Settle(time.Second)
		test(c, n)
	})
}

// toTheFirst has a call ask the first provider first.
func toTheFirst() broach.CallOption {
	return broach.Balance(clustertest.PickFunc(func(broach.CallInfo, []broach.Provider) int { return 0 }))
}

func TestATracerSeesACall(t *testing.T) {
	tr := &tracer{carry: []string{"traceparent", "00-1", "left over"}}
	inTraced(t, tr, func(c *clustertest.Cluster, n *broach.Node) {
		require.NoError(t, c.Nodes[1].Register("meta", func(ctx context.Context) map[string]string {
			in, _ := broach.InvocationFrom(ctx)
			return in.Meta()
		}))
		require.NoError(t, n.WaitFor(c.T.Context(), "meta", 1))
		got, err := broach.Call[map[string]string](c.T.Context(),
			n.Caller("meta", broach.Meta("traceparent", "of the user"), broach.Meta("a", "1")))
		require.NoError(t, err)
		require.Equal(t, map[string]string{"traceparent": "00-1", "a": "1"}, got)
		require.Equal(t, []string{"call meta 0 in <nil>", "carry", "attempt 1 at 1: <nil>",
			"caller ended at 1 after 0s: <nil>"}, tr.take())

		_, err = n.Caller("nobody").Call(c.T.Context())
		clustertest.RequireError(t, err, broach.NotFound, broach.No)
		require.Equal(t, []string{"call nobody 0 in <nil>", "carry", "caller ended at -1 after 0s: NotFound no"},
			tr.take())
	})
}

// What an Interceptor does not see: that another provider was asked.
func TestATracerSeesARetry(t *testing.T) {
	tr := new(tracer)
	inTraced(t, tr, func(c *clustertest.Cluster, n *broach.Node) {
		refuse := func(context.Context, *broach.Invocation, broach.Handler) (any, error) {
			return nil, broach.Errorf(broach.Unavailable, "not here")
		}
		require.NoError(t, c.Nodes[1].Register("f", func() {}, broach.ServeInterceptors(refuse)))
		require.NoError(t, c.Nodes[2].Register("f", func() {}))
		require.NoError(t, n.WaitFor(c.T.Context(), "f", 2))
		_, err := n.Caller("f", toTheFirst()).Call(c.T.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"call f 0 in <nil>", "carry",
			"attempt 1 at 1: Unavailable no", "attempt 2 at 2: <nil>",
			"caller ended at 2 after 0s: <nil>"}, tr.take())
	})
}

// The attempts of a hedged call overlap: the one that is given up ends last but before the call.
func TestATracerSeesAHedge(t *testing.T) {
	tr := new(tracer)
	inTraced(t, tr, func(c *clustertest.Cluster, n *broach.Node) {
		require.NoError(t, c.Nodes[1].Register("f", clustertest.Hang, broach.Idempotent()))
		require.NoError(t, c.Nodes[2].Register("f", func() {}, broach.Idempotent()))
		require.NoError(t, n.WaitFor(c.T.Context(), "f", 2))
		_, err := n.Caller("f", toTheFirst(), broach.Hedge(time.Second)).Call(c.T.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"call f 0 in <nil>", "carry",
			"attempt 2 at 2: <nil>", "attempt 1 at 1: Canceled maybe",
			"caller ended at 2 after 0s: <nil>"}, tr.take())
	})
}

// All asks each provider by a call of its own.
func TestATracerSeesAllCallsOfAll(t *testing.T) {
	tr := new(tracer)
	inTraced(t, tr, func(c *clustertest.Cluster, n *broach.Node) {
		for r := range n.Caller("which").All(c.T.Context()) {
			require.NoError(t, r.Err)
		}
		require.ElementsMatch(t, []string{"call which 2 in <nil>", "carry", "attempt 1 at 1: <nil>",
			"caller ended at 1 after 0s: <nil>", "call which 2 in <nil>", "carry", "attempt 1 at 2: <nil>",
			"caller ended at 2 after 0s: <nil>"}, tr.take())
	})
}

// A one-way call ends for its caller when it is accepted, and where it runs when it has run.
func TestATracerSeesAOneWayCall(t *testing.T) {
	tr := new(tracer)
	inTraced(t, tr, func(c *clustertest.Cluster, n *broach.Node) {
		require.NoError(t, n.Caller("which").Send(c.T.Context()))
		require.Len(t, tr.take(), 4)
		require.NoError(t, n.Register("f", func() error { return errors.New("no milk") }))
		require.NoError(t, c.Nodes[1].WaitFor(c.T.Context(), "f", 1))
		require.NoError(t, c.Nodes[1].Caller("f").Send(c.T.Context()))
		time.Sleep(time.Second)
		require.Equal(t, []string{"serve f 1 from 1 map[]", "provider ended at 0 after 0s: Application yes"}, tr.take())
	})
}

// Of an event each subscription is told apart, with the topic as the service, and with metadata of its own.
func TestATracerSeesEvents(t *testing.T) {
	tr := &tracer{carry: []string{"traceparent", "00-1"}}
	inTraced(t, tr, func(c *clustertest.Cluster, n *broach.Node) {
		for range 2 {
			_, err := n.Subscribe("sold", func(int) {})
			require.NoError(t, err)
		}
		_, err := n.Publish(c.T.Context(), "sold", 1)
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.ElementsMatch(t, []string{"call sold 3 in <nil>", "carry", "attempt 1 at 0: <nil>",
			"caller ended at 0 after 0s: <nil>",
			"serve sold 3 from 0 map[traceparent:00-1]", "provider ended at 0 after 0s: <nil>",
			"serve sold 3 from 0 map[traceparent:00-1]", "provider ended at 0 after 0s: <nil>"}, tr.take())
	})
}

// Of a call in the process both ends are told. What the Tracer has put into the context is there in the Interceptors
// and in the function, and in what that calls; its end is as it was.
func TestATracerSeesALocalCall(t *testing.T) {
	tr := &tracer{carry: []string{"traceparent", "00-1"}}
	inTraced(t, tr, func(c *clustertest.Cluster, n *broach.Node) {
		require.NoError(t, n.Register("inner", func() {}))
		require.NoError(t, n.Register("outer", func(ctx context.Context) error {
			_, limited := ctx.Deadline()
			require.True(t, limited)
			_, err := n.Caller("inner").Call(ctx)
			return err
		}))
		pass := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			tr.note("Interceptor in %v", ctx.Value(tracerKey{}))
			return next(ctx, call)
		}
		_, err := n.Caller("outer", broach.CallInterceptors(pass)).Call(c.T.Context())
		require.NoError(t, err)
		require.Equal(t, []string{
			"call outer 0 in <nil>", "Interceptor in caller", "carry", "serve outer 0 from 0 map[traceparent:00-1]",
			"call inner 0 in provider", "carry", "serve inner 0 from 0 map[traceparent:00-1]",
			"provider ended at 0 after 0s: <nil>", "attempt 1 at 0: <nil>", "caller ended at 0 after 0s: <nil>",
			"provider ended at 0 after 0s: <nil>", "attempt 1 at 0: <nil>", "caller ended at 0 after 0s: <nil>",
		}, tr.take())
	})
}

// A Span learns of a panic of the function, and cannot change what its caller learns.
func TestATracerSeesAPanic(t *testing.T) {
	tr := new(tracer)
	inTraced(t, tr, func(c *clustertest.Cluster, n *broach.Node) {
		require.NoError(t, n.Register("f", func() { panic("no milk") }))
		_, err := n.Caller("f").Call(c.T.Context())
		clustertest.RequireError(t, err, broach.Internal, broach.Yes)
		require.Contains(t, tr.take(), "provider ended at 0 after 0s: Internal yes")
	})
}

// A Span learns the end of a call whose goroutine ends before, by an argument, or by an Interceptor as t.FailNow does.
func TestATracerSeesAGoroutineEnd(t *testing.T) {
	tr := new(tracer)
	inTraced(t, tr, func(c *clustertest.Cluster, n *broach.Node) {
		require.NoError(t, n.Register("f", func(any) {}))
		exit := func(context.Context, *broach.Invocation, broach.Handler) (any, error) { exit(); return nil, nil }
		for _, f := range []*broach.Caller{n.Caller("f"), n.Caller("f", broach.CallInterceptors(exit))} {
			_, err := broach.Go[any](c.T.Context(), f, exiting{}).Wait()
			clustertest.RequireError(t, err, broach.Internal, broach.Maybe)
			told := tr.take()
			require.Regexp(t, "^caller ended at .*: Internal maybe$", told[len(told)-1])
		}
	})
}

// With nil Spans nobody is told more, and all works as without a Tracer.
func TestNilSpans(t *testing.T) {
	tr := &tracer{none: true, carry: []string{"a", "1"}}
	inTraced(t, tr, func(c *clustertest.Cluster, n *broach.Node) {
		require.NoError(t, n.Register("f", func(ctx context.Context) int {
			in, _ := broach.InvocationFrom(ctx)
			return len(in.Meta())
		}))
		for range 2 {
			got, err := broach.Call[int](c.T.Context(), n.Caller("f", broach.Meta("b", "2")))
			require.NoError(t, err)
			require.Equal(t, 1, got)
		}
		require.Equal(t, []string{"call f 0 in <nil>", "serve f 0 from 0 map[b:2]", "call f 0 in <nil>",
			"serve f 0 from 0 map[b:2]"}, tr.take())
	})
}

// What a Span carries does not fail a call: too much, or what is no metadata, stays behind.
func TestWhatASpanCarriesHasLimits(t *testing.T) {
	for _, carry := range [][]string{
		{"k", string(make([]byte, 8192))}, {"", "v"}, {"\x00k", "v"}, {"a", "2", "\xff", "v"}, {"k"},
	} {
		tr := &tracer{carry: carry}
		inTraced(t, tr, func(c *clustertest.Cluster, n *broach.Node) {
			require.NoError(t, n.Register("f", func(ctx context.Context) map[string]string {
				in, _ := broach.InvocationFrom(ctx)
				return in.Meta()
			}))
			got, err := broach.Call[map[string]string](c.T.Context(), n.Caller("f", broach.Meta("a", "1")))
			require.NoError(t, err)
			require.Equal(t, map[string]string{"a": "1"}, got)
		})
	}
}

// A Tracer that panics, wherever it does, harms no call. It is told nothing more, and the log has it once.
func TestATracerThatPanics(t *testing.T) {
	for _, step := range []string{"call", "serve", "carry", "attempt", "caller", "provider"} {
		var log clustertest.SharedLog
		tr := &tracer{panics: step}
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			c.Edit = func(cfg *broach.Config) {
				cfg.Tracer, cfg.Logger = tr, slog.New(slog.NewTextHandler(&log, nil))
			}
			n := c.Start(0)
			require.NoError(t, n.Register("f", func(ctx context.Context, x int) int { return x }))
			for range 3 {
				got, err := broach.Call[int](c.T.Context(), n.Caller("f"), 7)
				require.NoError(t, err)
				require.Equal(t, 7, got)
			}
			time.Sleep(time.Second)
		})
		list := tr.take()
		require.Len(t, stepsOf(list, step), 1, "%s: %q", step, list)
		require.True(t, strings.HasPrefix(list[len(list)-1], step))
		require.Equal(t, 1, strings.Count(log.String(), "the Tracer panicked"))
		require.NotContains(t, log.String(), "function panicked")
	}
}

// stepsOf are those of that name.
func stepsOf(list []string, prefix string) (some []string) {
	for _, s := range list {
		if strings.HasPrefix(s, prefix+" ") || s == prefix {
			some = append(some, s)
		}
	}
	return some
}

// What nodes ask each other by calls of their own is nothing that a Tracer hears of.
func TestTheProtocolsOwnCallsAreNotTraced(t *testing.T) {
	tr := &tracer{}
	inTraced(t, tr, func(c *clustertest.Cluster, n *broach.Node) {
		require.NoError(t, n.Register("here", func() {}))
		for i := 1; i <= 2; i++ {
			require.NoError(t, c.Nodes[i].WaitFor(c.T.Context(), "here", 1))
			_, err := c.Nodes[i].Describe(c.T.Context(), "here")
			require.NoError(t, err)
			_, err = c.Nodes[i].Inspect(c.T.Context(), n.Addr())
			require.NoError(t, err)
		}
		require.Empty(t, tr.take())
	})
}

// A run of a timer is told by the name that OneOwner gives it. What the Tracer has put into the context is there in the
// function, and in what that calls; a panic ends the run as any.
func TestATracerSeesRunsOfTimers(t *testing.T) {
	tr := new(tracer)
	inTraced(t, tr, func(c *clustertest.Cluster, n *broach.Node) {
		runs := 0
		timer, err := n.Every(time.Second, func(ctx context.Context) error {
			tr.note("runs in %v", ctx.Value(tracerKey{}))
			if runs++; runs == 2 {
				panic("no milk")
			}
			return broach.Errorf(broach.Unavailable, "not now")
		}, broach.OneOwner("report"), broach.Jitter(0))
		require.NoError(t, err)
		time.Sleep(2500 * time.Millisecond)
		timer.Stop()
		run := "serve report 4 from 0 map[]"
		require.Equal(t, []string{
			run, "runs in provider", "provider ended at 0 after 0s: Unavailable yes",
			run, "runs in provider", "provider ended at 0 after 0s: Internal yes",
		}, tr.take())
	})
}
