package trace

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
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
	pids  map[int64]bool        // of the processes that have exported
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, spans: map[string]*otlp.Span{}, of: map[string]string{}, pids: map[int64]bool{}}
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
		attrs := from.GetResource().GetAttributes() // by their keys: process.pid, service.name
		r.pids[attrs[0].GetValue().GetIntValue()] = true
		for _, scope := range from.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				id := hex.EncodeToString(s.GetSpanId())
				r.spans[id] = s
				r.of[id] = attrs[1].GetValue().GetStringValue()
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
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

// Three processes in real time export over OTLP by HTTP, and the tree of spans is what happened.
func TestThreeProcessesExportOverOTLP(t *testing.T) {
	r := newReceiver(t)
	shop := r.startProcess("shop", "")
	till, shed := r.startProcess("till", shop.addr), r.startProcess("shed", shop.addr)
	all := []*process{till, shop, shed}
	for _, p := range all {
		p.ask("find")
	}
	till.ask("order")
	shed.ask("handle")
	shed.ask("feed")
	till.ask("report")
	for _, p := range all {
		p.end()
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
	require.Len(t, r.pids, 3)
	require.NotContains(t, r.pids, int64(os.Getpid()))
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
