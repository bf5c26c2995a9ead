package trace

import (
	"context"
	"net/netip"
	"testing"

	"broach"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// idle makes spans that record and cost nothing, so that what is left is ours.
type (
	idle       struct{ noop.TracerProvider }
	idleTracer struct{ noop.Tracer }
	idleSpan   struct{ noop.Span }
)

func (idle) Tracer(string, ...trace.TracerOption) trace.Tracer { return idleTracer{} }

func (idleTracer) Start(ctx context.Context, _ string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	return ctx, idleSpan{}
}

func (idleSpan) IsRecording() bool { return true }

var anAddr = netip.MustParseAddrPort("10.0.0.1:7000")

// One end of a call makes its Span of broach, and the attributes with which that of the caller ends; one that Sample
// leaves out makes nothing.
func TestWhatACallAllocates(t *testing.T) {
	ctx := t.Context()
	for name, c := range map[string]struct {
		share        float64
		call, served float64
	}{
		"sampled":  {1, 1, 1},
		"left out": {0, 0, 0},
	} {
		tracer := New(NoMetrics(), Roots(), Sample(c.share), Provider(idle{}))
		require.Equal(t, c.call, testing.AllocsPerRun(1000, func() {
			if _, s := tracer.StartCall(ctx, "order", broach.OneAnswer); s != nil {
				s.Attempt(anAddr, 1, nil)
				s.End(anAddr, 0, nil)
			}
		}), name)
		require.Equal(t, c.served, testing.AllocsPerRun(1000, func() {
			if _, s := tracer.StartServe(ctx, "order", broach.OneAnswer, anAddr, nil); s != nil {
				s.End(anAddr, 0, nil)
			}
		}), name)
	}
}

// Who calls may do so from any address: of 4,096 at most something is kept.
func TestPlacesAreBounded(t *testing.T) {
	tracer := New(NoMetrics(), Roots(), Provider(idle{})).(*tracer)
	for i := range 3 * placesMost {
		from := netip.AddrPortFrom(anAddr.Addr(), uint16(i+1))
		_, s := tracer.StartServe(t.Context(), "order", broach.OneAnswer, from, nil)
		s.End(from, 0, nil)
	}
	require.LessOrEqual(t, len(tracer.places.made), placesMost)
	n := tracer.serves.find("order", broach.OneAnswer)
	require.Equal(t, newPlace(n, anAddr).attrs, tracer.places.find(n, anAddr).attrs)
}
