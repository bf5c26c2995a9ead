package trace

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"broach"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// "order", which is served by one node, calls "stock" at another.
func (c *traced) offerOrder() {
	c.register(c.shed, "stock", func(item string) (int, error) {
		if item == "" {
			return 0, broach.Errorf(broach.InvalidArgument, "no item")
		}
		return 7, nil
	})
	c.register(c.shop, "order", func(ctx context.Context, item string) (int, error) {
		return broach.Call[int](ctx, c.shop.Caller("stock"), item)
	})
}

func TestParentsAcrossThreeNodes(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.offerOrder()
		_, err := c.till.Caller("order").Call(t.Context(), "milk")
		require.NoError(t, err)
		require.Equal(t, []string{
			"client order, attempt 1 ok",
			"  server order",
			"    client stock, attempt 1 ok",
			"      server stock",
		}, c.took())

		_, err = c.till.Caller("order").Call(t.Context(), "")
		require.ErrorIs(t, err, broach.ErrInvalidArgument)
		require.Equal(t, []string{
			"client order, attempt 1 InvalidArgument = error InvalidArgument",
			"  server order InvalidArgument",
			"    client stock, attempt 1 InvalidArgument = error InvalidArgument",
			"      server stock InvalidArgument",
		}, c.took(), "what a caller does wrong is no error of the function")
	})
}

// A span of the program is the parent of the calls that are made with its context.
func TestASpanOfTheProgramIsTheParent(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.offerOrder()
		ctx, span := c.program().Start(t.Context(), "a customer")
		_, err := c.till.Caller("stock").Call(ctx, "milk")
		require.NoError(t, err)
		span.End()
		require.Equal(t, []string{
			"internal a customer", "  client stock, attempt 1 ok", "    server stock"}, c.took())
	})
}

// Attributes are those of the conventions, and all of them.
func TestTheAttributes(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.offerOrder()
		_, err := c.till.Caller("stock").Call(t.Context(), "")
		require.Error(t, err)
		shed, till := c.shed.Addr(), c.till.Addr()
		require.Equal(t, map[string]map[string]string{
			"client": {
				"rpc.system.name": "broach", "rpc.method": "stock", "server.address": "shop",
				"network.peer.address": shed.Addr().String(), "network.peer.port": fmt.Sprint(shed.Port()),
				"rpc.status_code": "InvalidArgument", "error.type": "InvalidArgument",
				"broach.executed": "yes", "broach.attempts": "1",
			},
			"attempt": {
				"broach.attempt":       "1",
				"network.peer.address": shed.Addr().String(), "network.peer.port": fmt.Sprint(shed.Port()),
				"rpc.status_code": "InvalidArgument", "error.type": "InvalidArgument", "broach.executed": "yes",
			},
			"server": {
				"rpc.system.name": "broach", "rpc.method": "stock", "server.address": "shop",
				"network.peer.address": till.Addr().String(), "network.peer.port": fmt.Sprint(till.Port()),
				"rpc.status_code": "InvalidArgument", "error.type": "InvalidArgument", "broach.executed": "yes",
			},
		}, c.attributes())
	}, Cluster("shop"))
}

// What is made once for a name at a node, for calls that are well, says the same.
func TestTheAttributesOfWhatIsWell(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.offerOrder()
		shed, till := c.shed.Addr(), c.till.Addr()
		for range 2 {
			_, err := c.till.Caller("stock").Call(t.Context(), "milk")
			require.NoError(t, err)
			require.Equal(t, map[string]map[string]string{
				"client": {
					"rpc.system.name": "broach", "rpc.method": "stock", "server.address": "shop",
					"network.peer.address": shed.Addr().String(), "network.peer.port": fmt.Sprint(shed.Port()),
					"broach.attempts": "1",
				},
				"attempt": {
					"broach.attempt":       "1",
					"network.peer.address": shed.Addr().String(), "network.peer.port": fmt.Sprint(shed.Port()),
				},
				"server": {
					"rpc.system.name": "broach", "rpc.method": "stock", "server.address": "shop",
					"network.peer.address": till.Addr().String(), "network.peer.port": fmt.Sprint(till.Port()),
				},
			}, c.attributes())
		}
	}, Cluster("shop"))
}

// attributes are those of the spans so far, by kind, and of the attempt of a call.
func (c *traced) attributes() map[string]map[string]string {
	synctest.Wait()
	defer c.spans.Reset()
	all := map[string]map[string]string{}
	for _, s := range c.spans.GetSpans() {
		all[s.SpanKind.String()] = texts(s.Attributes)
		if s.SpanKind == trace.SpanKindClient {
			all["attempt"] = texts(s.Events[0].Attributes)
			require.Equal(c.t, "broach.attempt", s.Events[0].Name)
		}
		require.Equal(c.t, "https://opentelemetry.io/schemas/1.45.0", s.InstrumentationScope.SchemaURL)
	}
	return all
}

func texts(attrs []attribute.KeyValue) map[string]string {
	m := map[string]string{}
	for _, a := range attrs {
		m[string(a.Key)] = a.Value.String()
	}
	return m
}

// A call that a provider refuses is made at another one: one span, two attempts.
func TestARetry(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.register(c.shop, "pay", func() {}, refusing())
		c.register(c.shed, "pay", func() {})
		_, err := c.till.Caller("pay", broach.Balance(first{})).Call(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{
			"client pay, attempt 1 Unavailable, attempt 2 ok", "  server pay = error Unavailable", "  server pay",
		}, c.took())
	})
}

func TestAHedge(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.register(c.shop, "pay", func(ctx context.Context) { <-ctx.Done() }, broach.Idempotent())
		c.register(c.shed, "pay", func() {}, broach.Idempotent())
		_, err := c.till.Caller("pay", broach.Balance(first{}), broach.Hedge(time.Second)).Call(t.Context())
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.Equal(t, []string{
			"client pay, attempt 2 ok, attempt 1 Canceled", "  server pay", "  server pay",
		}, c.took())
	})
}

// Of All each call is a span; one by Send ends where it is made before it has run.
func TestOtherFormsOfCalls(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.register(c.shop, "pay", func() { time.Sleep(time.Second) })
		c.register(c.shed, "pay", func() { time.Sleep(time.Second) })
		for r := range c.till.Caller("pay").All(t.Context()) {
			require.NoError(t, r.Err)
		}
		require.Equal(t, []string{
			"client pay, attempt 1 ok", "  server pay", "client pay, attempt 1 ok", "  server pay"}, c.took())
		require.NoError(t, c.till.Caller("pay").Send(t.Context()))
		time.Sleep(2 * time.Second)
		for _, s := range c.spans.GetSpans() {
			require.Equal(t, "one_way", attrOf(s.Attributes, attrForm))
			if took := s.EndTime.Sub(s.StartTime); s.SpanKind == trace.SpanKindClient {
				require.Less(t, took, time.Second)
			} else {
				require.Equal(t, time.Second, took)
			}
		}
		require.Equal(t, []string{"client pay, attempt 1 ok", "  server pay"}, c.took())
	})
}

// An event begins a trace where it is handled, and links to where it was published.
func TestAnEvent(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.register(c.shed, "stock", func() {})
		_, err := c.shop.Subscribe("sold", func(ctx context.Context, _ string) error {
			_, err := c.shop.Caller("stock").Call(ctx)
			return err
		})
		require.NoError(t, err)
		c.Settle()
		_, err = c.till.Publish(t.Context(), "sold", "milk")
		require.NoError(t, err)
		time.Sleep(time.Second)
		var producer, consumer tracetest.SpanStub
		for _, s := range c.spans.GetSpans() {
			switch s.SpanKind {
			case trace.SpanKindProducer:
				producer = s
			case trace.SpanKindConsumer:
				consumer = s
			}
		}
		require.Equal(t, []string{
			"producer publish sold, attempt 1 ok",
			"consumer process sold", "  client stock, attempt 1 ok", "    server stock",
		}, c.took())
		require.Len(t, consumer.Links, 1)
		require.Equal(t, producer.SpanContext.SpanID(), consumer.Links[0].SpanContext.SpanID())
		require.NotEqual(t, producer.SpanContext.TraceID(), consumer.SpanContext.TraceID())
		require.Equal(t, "broach sold process process", attrOf(consumer.Attributes, messagingSystem)+" "+
			attrOf(consumer.Attributes, messagingDestination)+" "+attrOf(consumer.Attributes, messagingOperation)+" "+
			attrOf(consumer.Attributes, messagingOperationType))
	})
}

// What a run of a timer calls is below it.
func TestATimer(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.register(c.shed, "stock", func() {})
		for _, opts := range [][]broach.TimerOption{{broach.OneOwner("report")}, nil} {
			timer, err := c.till.Every(time.Second, func(ctx context.Context) error {
				_, err := c.till.Caller("stock").Call(ctx)
				return err
			}, append(opts, broach.Jitter(0))...)
			require.NoError(t, err)
			time.Sleep(1500 * time.Millisecond)
			timer.Stop()
		}
		require.Equal(t, []string{
			"internal timer report", "  client stock, attempt 1 ok", "    server stock",
			"internal timer", "  client stock, attempt 1 ok", "    server stock",
		}, forest(c.spans.GetSpans()))
		require.NotContains(t, c.attributes()["internal"], "network.peer.address", "nobody has asked for it")
	})
}

func TestAPanic(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.register(c.shed, "stock", func() { panic("no milk") })
		_, err := c.till.Caller("stock").Call(t.Context())
		require.ErrorIs(t, err, broach.ErrInternal)
		require.Equal(t, []string{
			"client stock, attempt 1 Internal = error Internal", "  server stock = error Internal"}, c.took())
	})
}

// A name that nobody offers may be anything: it is none of a span.
func TestANameThatNobodyOffers(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		_, err := c.till.Caller("stock/4711").Call(t.Context())
		require.ErrorIs(t, err, broach.ErrNotFound)
		s := c.spans.GetSpans()[0]
		require.Equal(t, "_OTHER", attrOf(s.Attributes, rpcMethod))
		require.Equal(t, "stock/4711", attrOf(s.Attributes, rpcMethodOriginal))
		require.Equal(t, []string{"client _OTHER = error NotFound"}, c.took())
	})
}

// Baggage arrives whether or not the call is sampled, also through a function that has no span.
func TestBaggage(t *testing.T) {
	item, err := baggage.NewMember("customer", "7")
	require.NoError(t, err)
	all, err := baggage.New(item)
	require.NoError(t, err)
	for name, in := range map[string]func(*testing.T, func(*testing.T, *traced), ...Option){
		"sampled": inTraced, "not sampled": inUnsampled,
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, c *traced) {
				c.register(c.shed, "stock", func(ctx context.Context) string {
					return baggage.FromContext(ctx).Member("customer").Value()
				})
				c.register(c.shop, "order", func(ctx context.Context) (string, error) {
					return broach.Call[string](ctx, c.shop.Caller("stock"))
				})
				got, err := broach.Call[string](baggage.ContextWithBaggage(t.Context(), all), c.till.Caller("order"))
				require.NoError(t, err)
				require.Equal(t, "7", got)
			})
		})
	}
}

// Requests of the nodes themselves have no spans.
func TestTheNodesOwnCallsHaveNone(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.Settle()
		_, err := c.till.Inspect(t.Context(), c.shop.Addr())
		require.NoError(t, err)
		require.Empty(t, c.took())
	})
}
