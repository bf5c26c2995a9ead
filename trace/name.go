package trace

import (
	"sync"
	"sync/atomic"

	"broach"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// name is what is made once for a function, a topic or a timer at one end.
type name struct {
	key
	span  string // its name
	attrs []attribute.KeyValue
	start []trace.SpanStartOption // its kind, attrs

	book *book

	isOffered atomic.Bool           // some node has been called by it
	last      atomic.Pointer[place] // that was looked for; nil: none yet

	isCall  bool // not an event or a run: there are metrics
	measure [outcomes]atomic.Pointer[[]metric.RecordOption]
}

// key is what a name is found by.
type key struct {
	service string
	kind    broach.CallKind
}

// book has the names of one end.
type book struct {
	plan      func(t *tracer, k key) *name
	t         *tracer
	isCallers bool // not that of what is served

	mu    sync.RWMutex // protects names: they come while calls look theirs up
	names map[key]*name
}

// namesMost is how many names a book keeps: who calls may have them from anywhere. Further ones are made for each call.
const namesMost = 10_000

func (t *tracer) newBook(plan func(*tracer, key) *name, isCallers bool) *book {
	return &book{plan: plan, t: t, isCallers: isCallers, names: make(map[key]*name)}
}

func (b *book) find(service string, kind broach.CallKind) *name {
	k := key{service, kind}
	b.mu.RLock()
	n := b.names[k]
	b.mu.RUnlock()
	if n == nil {
		n = b.plan(b.t, k)
		n.book = b
		n = b.add(n)
	}
	return n
}

// add keeps a name if there is room, and returns it, or what another goroutine has kept meanwhile.
func (b *book) add(n *name) *name {
	b.mu.Lock()
	defer b.mu.Unlock()
	if is := b.names[n.key]; is != nil {
		return is
	}
	if len(b.names) < namesMost {
		b.names[n.key] = n
	}
	return n
}

// callName is a name where it is called.
func callName(t *tracer, k key) *name {
	if k.kind == broach.OneEvent {
		return topicName(k, "publish", "send", trace.SpanKindProducer)
	}
	return t.functionName(k, trace.SpanKindClient)
}

// serveName is a name where it is served.
func serveName(t *tracer, k key) *name {
	switch k.kind {
	case broach.OneEvent:
		return topicName(k, "process", "process", trace.SpanKindConsumer)
	case broach.OneRun:
		return timerName(k)
	}
	return t.functionName(k, trace.SpanKindServer)
}

// forms are the forms of calls that are not the usual one.
var forms = map[broach.CallKind]string{
	broach.OneWay: "one_way", broach.AllAnswers: "all_answers", broach.Streaming: "streaming",
}

func (t *tracer) functionName(k key, role trace.SpanKind) *name {
	attrs := []attribute.KeyValue{attribute.String(rpcSystemName, system),
		attribute.String(rpcMethod, k.service), attribute.String(serverAddress, t.cluster)}
	if form := forms[k.kind]; form != "" {
		attrs = append(attrs, attribute.String(attrForm, form))
	}
	n := newName(k, k.service, role, attrs...)
	n.isCall = true
	return n
}

func topicName(k key, operation, operationType string, role trace.SpanKind) *name {
	return newName(k, operation+" "+k.service, role,
		attribute.String(messagingSystem, system), attribute.String(messagingDestination, k.service),
		attribute.String(messagingOperation, operation), attribute.String(messagingOperationType, operationType))
}

func timerName(k key) *name {
	if k.service == "" {
		return newName(k, "timer", trace.SpanKindInternal)
	}
	return newName(k, "timer "+k.service, trace.SpanKindInternal, attribute.String(attrTimer, k.service))
}

func newName(k key, span string, role trace.SpanKind, attrs ...attribute.KeyValue) *name {
	return &name{key: k, span: span, attrs: attrs,
		start: []trace.SpanStartOption{trace.WithSpanKind(role), trace.WithAttributes(attrs...)}}
}
