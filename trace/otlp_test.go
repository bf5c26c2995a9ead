package trace

import (
	"context"
	"encoding/hex"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/broachtest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiver is where spans are exported to, as a collector of OpenTelemetry is.
type receiver struct {
	t   *testing.T
	web *httptest.Server

	mu    sync.Mutex
	spans map[string]*otlp.Span // by their ids
	of    map[string]string     // which service each is of
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, spans: map[string]*otlp.Span{}, of: map[string]string{}}
	r.web = httptest.NewServer(r)
	t.Cleanup(r.web.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(in.Body)
	var sent collector.ExportTraceServiceRequest
	if err != nil || in.URL.Path != "/v1/traces" || proto.Unmarshal(body, &sent) != nil {
		r.t.Errorf("%s: %v", in.URL, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, from := range sent.GetResourceSpans() {
		for _, scope := range from.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				id := hex.EncodeToString(s.GetSpanId())
				r.spans[id] = s
				r.of[id] = from.GetResource().GetAttributes()[0].GetValue().GetStringValue()
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// exporting has a node export to the receiver; the function that it returns sends what is left.
func (r *receiver) exporting(name string) (edit func(*broach.Config), flush func()) {
	exporter, err := otlptracehttp.New(r.t.Context(), otlptracehttp.WithEndpointURL(r.web.URL+"/v1/traces"))
	require.NoError(r.t, err)
	p := sdk.NewTracerProvider(sdk.WithBatcher(exporter),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", name))))
	return func(cfg *broach.Config) { cfg.Tracer = New(Provider(p)) }, func() {
		require.NoError(r.t, p.Shutdown(context.WithoutCancel(r.t.Context())))
	}
}

// path is the way from the root of a trace to a span.
func (r *receiver) path(id string) string {
	s := r.spans[id]
	line := r.of[id] + ":" + strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_") + " " + s.GetName()
	if s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR {
		line += "!"
	}
	if len(s.GetEvents()) > 1 {
		line += " again"
	}
	if parent := hex.EncodeToString(s.GetParentSpanId()); parent != "" {
		return r.path(parent) + " > " + line
	}
	return line
}

// Three nodes in real time export over OTLP by HTTP, and the tree of spans is what happened.
func TestThreeNodesExportOverOTLP(t *testing.T) {
	c, r := broachtest.New(t), newReceiver(t)
	var flushes []func()
	start := func(name string) *broach.Node {
		edit, flush := r.exporting(name)
		flushes = append(flushes, flush)
		return c.Start(name, edit)
	}
	till, shop, shed := start("till"), start("shop"), start("shed")
	doAll(t, c, till, shop, shed)
	for _, n := range []*broach.Node{till, shop, shed} {
		require.NoError(t, n.Close())
	}
	for _, flush := range flushes {
		flush()
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	var paths []string
	for id := range r.spans {
		paths = append(paths, r.path(id))
	}
	order := "till:CLIENT order > shop:SERVER order"
	retried := order + " > shop:CLIENT pay again"
	event := "shed:CONSUMER process sold"
	timer := "till:INTERNAL timer report"
	require.ElementsMatch(t, []string{
		"till:CLIENT order", order,
		retried, retried + " > till:SERVER pay!", retried + " > shed:SERVER pay", // one refused
		order + " > shop:PRODUCER publish sold", event, event + " > shed:CLIENT slow again",
		event + " > shed:CLIENT slow again > shop:SERVER slow", // never answers
		event + " > shed:CLIENT slow again > till:SERVER slow", // the hedge
		"shed:CLIENT feed", "shed:CLIENT feed > shop:SERVER feed", // a stream, which is broken off
		"shed:CLIENT feed > shop:SERVER feed > shop:CLIENT stock",
		"shed:CLIENT feed > shop:SERVER feed > shop:CLIENT stock > shed:SERVER stock",
		timer, timer + " > till:CLIENT stock", timer + " > till:CLIENT stock > shed:SERVER stock",
	}, paths)
	r.requireLink(event, "shop:PRODUCER publish sold")
}

// requireLink requires that a span links to another.
func (r *receiver) requireLink(from, to string) {
	for id, s := range r.spans {
		if r.path(id) == from {
			require.Len(r.t, s.GetLinks(), 1)
			require.Contains(r.t, r.path(hex.EncodeToString(s.GetLinks()[0].GetSpanId())), to)
			return
		}
	}
	require.Fail(r.t, "no such span", from)
}

// doAll makes a call whose function calls another one, which one provider refuses; an event whose handler makes a
// hedged call; a stream that is broken off; and a run of a timer that calls.
func doAll(t *testing.T, c *broachtest.Cluster, till, shop, shed *broach.Node) {
	register := func(n *broach.Node, name string, fn any, opts ...broach.RegisterOption) {
		require.NoError(t, n.Register(name, fn, opts...))
	}
	handled, ran := make(chan error, 1), make(chan error, 1)
	register(till, "pay", func() {}, refusing())
	register(shed, "pay", func() {})
	register(shed, "stock", func() {})
	register(shop, "slow", func(ctx context.Context) { <-ctx.Done() }, broach.Idempotent())
	register(till, "slow", func() {}, broach.Idempotent())
	register(shop, "feed", func(ctx context.Context) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			_, err := shop.Caller("stock").Call(ctx)
			for i := 0; yield(i, err); i++ {
			}
		}
	})
	register(shop, "order", func(ctx context.Context) error {
		if _, err := shop.Caller("pay", broach.Balance(at{till})).Call(ctx); err != nil {
			return err
		}
		_, err := shop.Publish(ctx, "sold", "milk")
		return err
	})
	_, err := shed.Subscribe("sold", func(ctx context.Context, _ string) {
		_, err := shed.Caller("slow", broach.Balance(at{shop}), broach.Hedge(50*time.Millisecond)).Call(ctx)
		handled <- err
	})
	require.NoError(t, err)
	c.Settle()
	_, err = till.Caller("order").Call(t.Context())
	require.NoError(t, err)
	for i, err := range broach.Stream[int](t.Context(), shed.Caller("feed")) {
		if require.NoError(t, err); i == 3 {
			break
		}
	}
	timer, err := till.Every(10*time.Millisecond, func(ctx context.Context) {
		_, err := till.Caller("stock").Call(ctx)
		select {
		case ran <- err:
			<-ctx.Done() // one run is enough
		default:
		}
	}, broach.OneOwner("report"))
	require.NoError(t, err)
	require.NoError(t, <-handled)
	require.NoError(t, <-ran)
	timer.Stop()
}

// at has a call ask one provider first, and another one if that is not there any more.
type at struct{ *broach.Node }

func (a at) Pick(_ broach.CallInfo, from []broach.Provider) int {
	for i, p := range from {
		if p.Addr == a.Addr() {
			return i
		}
	}
	return 0
}
