// Spans: a customer's order is a call whose function makes another one, which the first of two providers refuses. The
// spans are printed as a tree; a program that exports them, by otlptracehttp or another exporter, differs in one line.
package main

import (
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	"broach"
	"broach/trace"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	exporter := tracetest.NewInMemoryExporter() // or otlptracehttp.New(ctx), with sdk.WithBatcher
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
	tracer := trace.New(trace.Provider(provider), trace.NoMetrics())

	till, err := start(tracer)
	if err != nil {
		return err
	}
	defer till.Close()
	for _, opts := range [][]broach.RegisterOption{{broach.ServeInterceptors(refuse)}, nil} {
		bank, err := start(tracer, till.Addr().String())
		if err != nil {
			return err
		}
		defer bank.Close()
		if err := bank.Register("pay", func(sum int) int { return sum }, opts...); err != nil {
			return err
		}
	}
	pay := broach.Bind[func(context.Context, int) (int, error)](till, "pay")
	order := func(ctx context.Context, sum int) (int, error) { return pay(ctx, sum) }
	if err := till.Register("order", order); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := till.WaitFor(ctx, "pay", 2); err != nil {
		return err
	}
	for range 2 {
		ctx, span := provider.Tracer("the program").Start(ctx, "a customer")
		_, err = till.Caller("order").Call(ctx, 7)
		span.End()
		if err != nil {
			return err
		}
	}
	show(exporter.GetSpans(), oteltrace.SpanID{}, "")
	return nil
}

func start(tracer broach.Tracer, seeds ...string) (*broach.Node, error) {
	return broach.Start(broach.Config{Addr: "127.0.0.1:0", LogLevel: "off", Join: seeds, Tracer: tracer})
}

func refuse(context.Context, *broach.Invocation, broach.Handler) (any, error) {
	return nil, broach.Errorf(broach.Unavailable, "not here")
}

// show prints what is below a span.
func show(spans tracetest.SpanStubs, parent oteltrace.SpanID, indent string) {
	for _, s := range spans {
		if s.Parent.SpanID() != parent {
			continue
		}
		var attempts []string
		for _, e := range s.Events {
			attempts = append(attempts, fmt.Sprint(e.Attributes[0].Value.AsInt64()))
		}
		fmt.Printf("%s%s %s", indent, s.SpanKind, s.Name)
		if len(attempts) > 0 {
			fmt.Printf(", attempts %s", strings.Join(attempts, " and "))
		}
		fmt.Println()
		show(spans, s.SpanContext.SpanID(), indent+"    ")
	}
}
