package trace

import (
	"context"
	"time"

	"broach"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// durations are the metrics; nil: there are none.
type durations struct{ client, server metric.Float64Histogram }

func (t *tracer) makeMetrics() {
	if t.hasNoMetrics {
		return
	}
	m := t.meter.Meter("broach/trace", metric.WithSchemaURL(schemaURL))
	t.client = histogram(m, clientDuration, "Duration of outbound remote procedure calls.")
	t.server = histogram(m, serverDuration, "Duration of inbound remote procedure calls, with their waiting.")
}

// histogram has the bounds of broach's own.
func histogram(m metric.Meter, name, description string) metric.Float64Histogram {
	bounds := make([]float64, len(broach.HistogramBounds))
	for i, b := range broach.HistogramBounds {
		bounds[i] = b.Seconds()
	}
	h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(bounds...))
	if err != nil { // of a library that is set up wrongly: calls go on without
		otel.Handle(err)
		return nil
	}
	return h
}

// measures reports whether somebody wants to know how long calls take at one end.
func (b *book) measures(ctx context.Context, kind broach.CallKind) bool {
	h := b.durations()
	return h != nil && kind != broach.OneEvent && kind != broach.OneRun && h.Enabled(ctx)
}

func (b *book) durations() metric.Float64Histogram {
	if b.isCallers {
		return b.t.client
	}
	return b.t.server
}

// record measures a call that has ended. One that found nobody is counted under no name of its own: who calls may have
// names from anywhere.
func (s *span) record(hasPeer bool, wait time.Duration, err error) {
	if s.began.IsZero() {
		return
	}
	took, method := wait+time.Since(s.began), s.name.service
	switch {
	case s.name.isOffered.Load():
	case hasPeer:
		s.name.isOffered.Store(true)
	default:
		method = other
	}
	s.name.book.durations().Record(s.ctx, took.Seconds(), s.measured(method, codeOf(err))...)
}

// outcomes are the codes that are told apart in metrics: 0 for what went well, the 14 of broach, and one for all of
// applications, which choose as many as they like.
const (
	outcomes = int(broach.Closed) + 2
	userCode = broach.Closed + 1
)

// measured are the attributes of a call that has ended. They are made once for each code.
func (s *span) measured(method string, code broach.Code) []metric.RecordOption {
	code = min(code, userCode)
	if method != s.name.service {
		return s.name.book.t.attributes(method, code)
	}
	at := &s.name.measure[code]
	o := at.Load()
	if o == nil {
		made := s.name.book.t.attributes(method, code)
		o = &made
		at.Store(o)
	}
	return *o
}

func (t *tracer) attributes(method string, code broach.Code) []metric.RecordOption {
	attrs := []attribute.KeyValue{attribute.String(rpcSystemName, system),
		attribute.String(rpcMethod, method), attribute.String(serverAddress, t.cluster)}
	if code != 0 {
		text := code.String()
		if code == userCode {
			text = "user"
		}
		attrs = append(attrs, attribute.String(rpcStatusCode, text), attribute.String(errorType, text))
	}
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}
