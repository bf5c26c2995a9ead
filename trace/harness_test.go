package trace

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"broach"
	"broach/broachtest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// traced is a cluster of three nodes whose spans are kept in memory.
type traced struct {
	*broachtest.Cluster
	t                *testing.T
	spans            *tracetest.InMemoryExporter
	till, shop, shed *broach.Node
}

// inTraced runs a test in a bubble. Nothing is measured unless opts say so.
func inTraced(t *testing.T, test func(t *testing.T, c *traced), opts ...Option) {
	inSampled(t, sdk.ParentBased(sdk.AlwaysSample()), test, opts...)
}

func inSampled(t *testing.T, sampler sdk.Sampler, test func(t *testing.T, c *traced), opts ...Option) {
	synctest.Test(t, func(t *testing.T) {
		c := &traced{Cluster: broachtest.New(t), t: t, spans: tracetest.NewInMemoryExporter()}
		start := func(name string) *broach.Node {
			p := sdk.NewTracerProvider(sdk.WithSyncer(c.spans), sdk.WithSampler(sampler))
			all := append([]Option{NoMetrics(), Provider(p)}, opts...)
			return c.Start(name, func(cfg *broach.Config) { cfg.Tracer = New(all...) })
		}
		c.till, c.shop, c.shed = start("till"), start("shop"), start("shed")
		test(t, c)
	})
}

// took are the spans so far, as a forest of lines, those of a parent in the order in which they began.
func (c *traced) took() []string {
	synctest.Wait()
	defer c.spans.Reset()
	return forest(c.spans.GetSpans())
}

func forest(spans tracetest.SpanStubs) (lines []string) {
	below := map[trace.SpanID]tracetest.SpanStubs{}
	is := map[trace.SpanID]bool{}
	for _, s := range spans {
		is[s.SpanContext.SpanID()] = true
		below[s.Parent.SpanID()] = append(below[s.Parent.SpanID()], s)
	}
	var walk func(parent trace.SpanID, depth int)
	walk = func(parent trace.SpanID, depth int) {
		slices.SortStableFunc(below[parent], func(a, b tracetest.SpanStub) int {
			return cmp.Or(a.StartTime.Compare(b.StartTime), strings.Compare(a.Name, b.Name))
		})
		for _, s := range below[parent] {
			lines = append(lines, strings.Repeat("  ", depth)+line(s))
			walk(s.SpanContext.SpanID(), depth+1)
		}
	}
	walk(trace.SpanID{}, 0)
	for parent := range below {
		if parent.IsValid() && !is[parent] {
			lines = append(lines, fmt.Sprintf("an orphan of %v", parent))
			walk(parent, 1)
		}
	}
	return lines
}

// line is what a span is about.
func line(s tracetest.SpanStub) string {
	text := s.SpanKind.String() + " " + s.Name
	for _, e := range s.Events {
		text += fmt.Sprintf(", attempt %s %s", attrOf(e.Attributes, attrAttempt), outcome(e.Attributes))
	}
	if s.Status.Code == codes.Error {
		text += " = error"
	}
	if code := outcome(s.Attributes); code != "ok" {
		text += " " + code
	}
	return text
}

func outcome(attrs []attribute.KeyValue) string { return cmp.Or(attrOf(attrs, rpcStatusCode), "ok") }

// attrOf is an attribute as a text; "": there is none.
func attrOf(attrs []attribute.KeyValue, key string) string {
	for _, a := range attrs {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

// program traces what is not broach's.
func (c *traced) program() trace.Tracer {
	return sdk.NewTracerProvider(sdk.WithSyncer(c.spans)).Tracer("program")
}

// register has a node offer a function, and waits until the others know.
func (c *traced) register(n *broach.Node, name string, fn any, opts ...broach.RegisterOption) {
	require.NoError(c.t, n.Register(name, fn, opts...))
	c.Settle()
}

// refusing is a provider that does not run the function.
func refusing() broach.RegisterOption {
	return broach.ServeInterceptors(func(context.Context, *broach.Invocation, broach.Handler) (any, error) {
		return nil, broach.Errorf(broach.Unavailable, "not here")
	})
}

// first has a call ask the first provider, by address, first.
type first struct{}

func (first) Pick(broach.CallInfo, []broach.Provider) int { return 0 }
