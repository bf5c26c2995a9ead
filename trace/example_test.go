package trace_test

import (
	"context"
	"fmt"

	"broach"
	"broach/trace"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func ExampleNew() {
	spans := tracetest.NewInMemoryExporter() // or one of OTLP, with sdk.WithBatcher
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithSampler(sdk.ParentBased(sdk.AlwaysSample())))
	node, err := broach.Start(broach.Config{
		Addr: "127.0.0.1:0", LogLevel: "off", Cluster: "shop",
		Tracer: trace.New(trace.Provider(provider), trace.Cluster("shop")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	_ = node.Register("price", func(item string) int { return 7 })
	price, err := broach.Call[int](context.Background(), node.Caller("price"), "milk")
	fmt.Println(price, err)
	for _, s := range spans.GetSpans() {
		fmt.Println(s.SpanKind, s.Name)
	}
	// Output:
	// 7 <nil>
	// server price
	// client price
}
