package events

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

func TestWhatCannotBeSubscribed(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, n, peer *broach.Node) {
		heard()
		table := c.TableVersion(peer, n)
		type options []broach.SubscribeOption
		var none func(int)
		for _, test := range []struct {
			topic string
			fn    any
			opts  options
			says  string
		}{
			{"t", nil, nil, "is not a function"},
			{"t", 7, nil, "int is not a function"},
			{"t", none, nil, "the function is nil"},
			{"t", func() {}, nil, "must have one parameter for the event"},
			{"t", func(context.Context) {}, nil, "must have one parameter for the event"},
			{"t", func(int, int) {}, nil, "must have one parameter for the event"},
			{"t", func(...int) {}, nil, "must have one parameter for the event"},
			{"t", func(int) int { return 0 }, nil, "may return an error and nothing else"},
			{"t", func(int) (int, error) { return 0, nil }, nil, "may return an error and nothing else"},
			{"t", func(chan int) {}, nil, "parameter 1"},
			{"t", func(*sync.Map) {}, nil, "parameter 1: sync.Map has no exported fields"},
			{"t", func(int) {}, options{broach.EachInstance(), broach.OneAnywhere()}, "contradict each other"},
			{"t", func(int) {}, options{broach.Backlog(0)}, "the Backlog is 0, must be from 1 to 65536"},
			{"t", func(int) {}, options{broach.Backlog(65537)}, "the Backlog is 65537"},
		} {
			s, err := n.Subscribe(test.topic, test.fn, test.opts...)
			require.Nil(t, s)
			require.ErrorIs(t, err, broach.ErrInvalidArgument)
			require.ErrorContains(t, err, "subscribe t: ")
			require.ErrorContains(t, err, test.says)
		}
		for _, topic := range badTopics() {
			_, err := n.Subscribe(topic, func(int) {})
			require.ErrorIs(t, err, broach.ErrInvalidArgument)
			require.ErrorContains(t, err, "topic")
		}
		heard()
		require.Equal(t, table, c.TableVersion(peer, n), "nothing was announced")

		most := []broach.SubscribeOption{broach.OneAnywhere(), broach.OneAnywhere(), broach.Backlog(65536)}
		s, err := n.Subscribe(strings.Repeat("x", 198), func(context.Context, any) error { return nil }, most...)
		require.NoError(t, err)
		require.NoError(t, n.Close())
		_, err = n.Subscribe("t", func(int) {})
		require.ErrorIs(t, err, broach.ErrClosed)
		require.ErrorIs(t, s.Close(), broach.ErrClosed)
	})
}

// Subscriptions are no services: users do not see them and cannot call them. [EVT-2] Any other Request for such a name
// is answered NotFound.
func TestSubscriptionsAreNoServices(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, subscriber, caller *broach.Node) {
		var box inbox
		s := box.subscribe(c, 0)
		const row = "\x00gsold" // PROTOCOL.md 5.1
		require.NoError(t, caller.WaitFor(context.Background(), row, 1))
		require.Empty(t, caller.Services())
		require.Empty(t, subscriber.Services())
		for _, n := range c.Nodes {
			for _, args := range [][]any{nil, {1}, {1, 2}} {
				_, err := n.Caller(row).Call(context.Background(), args...)
				clustertest.RequireError(t, err, broach.NotFound, broach.No)
			}
		}
		require.NoError(t, s.Close())
		require.NoError(t, s.Close(), "it may be called again")
		heard()
		for _, n := range c.Nodes {
			require.False(t, clustertest.KnowsName(n, row))
		}
		require.Empty(t, box.take())
	})
}

// A process that has several subscriptions to a topic under the same letter announces them once.
func TestSubscriptionsOfOneTopicShareARow(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, subscriber, publisher *broach.Node) {
		var first, second inbox
		closed := first.subscribe(c, 0)
		heard()
		table := c.TableVersion(publisher, subscriber)
		last := second.subscribe(c, 0)
		heard()
		require.Equal(t, table, c.TableVersion(publisher, subscriber))
		publish(t, publisher, 0, 10, 1)
		require.NoError(t, closed.Close())
		publish(t, publisher, 10, 20, 1)
		heard()
		require.Equal(t, table, c.TableVersion(publisher, subscriber))
		require.NoError(t, last.Close())
		publish(t, publisher, 20, 30, 0)
		heard()
		require.Equal(t, table+1, c.TableVersion(publisher, subscriber))
		require.False(t, clustertest.KnowsName(publisher, "\x00gsold"))
		requireOnce(t, first.take(), []int{0}, 10)
		requireOnce(t, second.take(), []int{0}, 20)
	})
}

// What was taken before a subscription ends is still handled, and nothing after.
func TestCloseOfASubscriptionLosesNothing(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, subscriber, publisher *broach.Node) {
		var got []int
		var s *broach.Subscription
		var err error
		s, err = subscriber.Subscribe("sold", func(e int) error {
			time.Sleep(time.Second)
			got = append(got, e)
			return s.Close()
		})
		require.NoError(t, err)
		heard()
		publish(t, publisher, 0, 20, 1)
		time.Sleep(2 * time.Second)
		publish(t, publisher, 20, 21, 0)
		handled(time.Minute)
		requireOnce(t, map[int][]int{0: got}, []int{0}, 20)
	})
}

// [EVT-2] The Send is answered with code 0 when each subscription has put the event where it waits for its turn. If
// none has room the answer is Overloaded, executed no; if only some have, Overloaded, executed maybe.
func TestASubscriberThatBlocksHarmsNobodyElse(t *testing.T) {
	functions := map[string]any{"add": func(x, y int) int { return x + y }}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, subscriber, publisher *broach.Node) {
		stop := make(chan struct{})
		var box, other inbox
		put := func(e int) { <-stop; box.put(0, e) }
		_, err := subscriber.Subscribe("sold", put, broach.EachInstance(), broach.Backlog(5))
		require.NoError(t, err)
		other.subscribe(c, 1, broach.EachInstance())
		heard()
		start := time.Now()
		publish(t, publisher, 0, 1, 2)
		time.Sleep(10 * time.Millisecond) // it runs
		publish(t, publisher, 1, 6, 2)
		for e := 6; e < 20; e++ {
			for i, from := range c.Nodes {
				if i == 0 && e > 6 {
					continue
				}
				d, err := from.Publish(context.Background(), "sold", e)
				require.Equal(t, []int{2}, ports(d.Nodes))
				failed := clustertest.RequireError(t, err, broach.Overloaded, broach.No)
				require.Equal(t, clustertest.AddrOf(0).String(), failed.Node)
			}
		}
		require.Less(t, time.Since(start), 100*time.Millisecond, "the publisher is not delayed")

		beside := box.subscribe(c, 0, broach.EachInstance())
		d, err := publisher.Publish(context.Background(), "sold", 20)
		require.Equal(t, []int{2}, ports(d.Nodes))
		require.Contains(t, clustertest.RequireError(t, err, broach.Overloaded, broach.Maybe).Message, "1 of 2")
		require.Equal(t, map[int][]int{0: {20}}, box.take(), "the healthy one of the same process has it")
		require.NoError(t, beside.Close())
		sum, err := broach.Call[int](context.Background(), publisher.Caller("add"), 1, 2)
		require.NoError(t, err)
		require.Equal(t, 3, sum)
		close(stop)
		requireOnce(t, box.take(), []int{0}, 6)
		publish(t, publisher, 20, 21, 2)
		require.Len(t, other.take()[1], 1+5+15+1+1)
	})
}

// Where one instance of an application has no room, another one gets the event, also if that one is the publisher's.
func TestAnotherInstanceTakesWhatABlockedOneCannot(t *testing.T) {
	inShop(t, func(c *clustertest.Cluster, publisher *broach.Node) {
		stop := make(chan struct{})
		var box inbox
		for _, i := range []int{1, 4} {
			_, err := c.Nodes[i].Subscribe("sold", func(int) { <-stop }, broach.Backlog(2))
			require.NoError(t, err)
		}
		for _, i := range []int{2, 3, 5, 6} {
			box.subscribe(c, i)
		}
		heard()
		start := time.Now()
		publish(t, publisher, 0, 500, 2)
		publish(t, c.Nodes[1], 500, 1000, 2)
		publish(t, c.Nodes[2], 1000, 1500, 2)
		require.Less(t, time.Since(start), time.Second)
		got := box.take()
		require.GreaterOrEqual(t, len(got[2])+len(got[3]), 1497)
		require.GreaterOrEqual(t, len(got[5])+len(got[6]), 1497)
		close(stop)
	})
}

// A subscriber that panics or ends its goroutine loses that event and no other, and what goes wrong in it is in the
// log.
func TestASubscriberThatFailsLosesOneEvent(t *testing.T) {
	var log clustertest.SharedLog // the handler locks it, and both nodes have the same
	logger := slog.New(slog.NewTextHandler(&log, nil))
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, subscriber, publisher *broach.Node) {
		var box inbox
		_, err := subscriber.Subscribe("sold", func(_ context.Context, e int) error {
			switch e {
			case 10, 11, 12:
				panic("no milk")
			case 20, 21:
				runtime.Goexit()
			case 30:
				return errors.New("no bread")
			}
			box.put(0, e)
			return nil
		})
		require.NoError(t, err)
		heard()
		for e := range 100 {
			d, err := c.Nodes[e%2].Publish(context.Background(), "sold", e)
			require.NoError(t, err)
			require.Len(t, d.Nodes, 1)
			if e%10 == 0 {
				time.Sleep(time.Second) // so that the log is not limited
			}
		}
		require.Len(t, box.take()[0], 94)
		for _, payload := range []any{"text", nil, 1.5, 99} {
			_, err = publisher.Publish(context.Background(), "sold", payload)
			require.NoError(t, err, "the publisher has its answer before that is known")
		}
		require.Equal(t, map[int][]int{0: {99}}, box.take())
		require.Contains(t, log.String(), `msg="broach: function panicked" service=sold panic="no milk"`)
		require.Contains(t, log.String(), "runtime.Goexit")
		from := ` from=` + clustertest.AddrOf(0).String()
		require.Contains(t, log.String(), `service=sold`+from+` code=Application err="no bread"`)
		require.Contains(t, log.String(), `code=InvalidArgument err="argument 1 of sold(int)`)
		require.NotContains(t, log.String(), "\x00")
		require.Zero(t, subscriber.Stats().Running)
	}, func(cfg *broach.Config) { cfg.Logger = logger })
}

// Subscriptions are handled side by side, as far as there are workers, and a busy one lets the others have their turn.
func TestSubscriptionsShareTheWorkers(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, subscriber, publisher *broach.Node) {
		var order []string // one worker: never two at once
		for _, topic := range []string{"a", "b"} {
			_, err := subscriber.Subscribe(topic,
				func(int) { time.Sleep(time.Millisecond); order = append(order, topic) })
			require.NoError(t, err)
		}
		heard()
		for _, topic := range []string{"a", "b"} {
			for e := range 100 {
				_, err := publisher.Publish(context.Background(), topic, e)
				require.NoError(t, err)
			}
		}
		handled(time.Second)
		require.Len(t, order, 200)
		first := strings.Join(order[:100], "")
		require.GreaterOrEqual(t, strings.Count(first, "b"), 25, "%s", first)
	}, func(cfg *broach.Config) { cfg.Pool = broach.Pool{Core: 1, Max: 1} })
}

// A worker that is ended, and a queue that is full, cannot make a subscription forget that events wait.
func TestEventsWaitBesideAFullQueue(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, subscriber, publisher *broach.Node) {
		stop := make(chan struct{})
		require.NoError(t, subscriber.Register("wait", func() { <-stop }))
		var box inbox
		_, err := subscriber.Subscribe("sold", func(e int) { box.put(0, e); runtime.Goexit() })
		require.NoError(t, err)
		heard()
		send := func() error { return publisher.Caller("wait", broach.NoRetry()).Send(context.Background()) }
		require.NoError(t, send())
		time.Sleep(time.Millisecond)
		require.NoError(t, send())
		clustertest.RequireError(t, send(), broach.Overloaded, broach.No)
		publish(t, publisher, 0, 50, 1)
		close(stop)
		requireOnce(t, box.take(), []int{0}, 50)
	}, func(cfg *broach.Config) { cfg.Pool = broach.Pool{Core: 1, Max: 1, Queue: 1, RejectWhenFull: true} })
}

// Close drops what waits, and says how much.
func TestCloseOfANodeCountsWhatItDrops(t *testing.T) {
	var log clustertest.SharedLog // the handler locks it, and both nodes have the same
	logger := slog.New(slog.NewTextHandler(&log, nil))
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, subscriber, publisher *broach.Node) {
		times := 0
		_, err := subscriber.Subscribe("sold", func(ctx context.Context, _ int) { times++; <-ctx.Done() })
		require.NoError(t, err)
		heard()
		publish(t, publisher, 0, 10, 1)
		require.NoError(t, subscriber.Close())
		handled(time.Second)
		require.Equal(t, 1, times)
		require.Contains(t, log.String(), `events=9`)
		require.NoError(t, publisher.Close())
		require.Equal(t, 1, strings.Count(log.String(), `events=`), "who drops nothing says nothing")
	}, func(cfg *broach.Config) { cfg.Logger = logger })
}

// However many and however large events are, a backlog holds no more of them than it may, and no memory that other
// messages need. What was handled gives its room back.
func TestABacklogIsBounded(t *testing.T) {
	const most = 1 << 20
	var log clustertest.SharedLog // both nodes have the same
	functions := map[string]any{"size": func(b []byte) int { return len(b) }}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, subscriber, publisher *broach.Node) {
		goOn := make(chan struct{}) // ends the wait of what is handled
		defer func() { close(goOn) }()
		_, err := subscriber.Subscribe("photo", func([]byte) { <-goOn }, broach.Backlog(1000))
		require.NoError(t, err)
		heard()
		fillBacklog(t, publisher)
		beside := make(chan error, 1)
		go func() { // two of them take all that a peer has
			_, err := publisher.Caller("size").Call(context.Background(), make([]byte, most-100))
			beside <- err
		}()
		n, err := broach.Call[int](context.Background(), publisher.Caller("size"), make([]byte, most-100))
		require.NoError(t, err)
		require.Equal(t, most-100, n)
		require.NoError(t, <-beside)
		for range 1 + 1000 {
			goOn <- struct{}{}
		}
		handled(time.Second)
		fillBacklog(t, publisher)
		require.NoError(t, subscriber.Close())
		require.Contains(t, log.String(), "events=1000", "as many wait, and not those that were handled")
	}, func(cfg *broach.Config) { cfg.MaxMessage, cfg.Logger = most, slog.New(slog.NewTextHandler(&log, nil)) })
}

// fillBacklog publishes photos until a backlog of 1,000 and of 1 MiB has no room for any.
func fillBacklog(t *testing.T, publisher *broach.Node) {
	t.Helper()
	flood := func(times, size int) (took int) {
		for range times {
			_, err := publisher.Publish(context.Background(), "photo", make([]byte, size))
			if err == nil {
				took++
				time.Sleep(time.Millisecond)
				continue
			}
			clustertest.RequireError(t, err, broach.Overloaded, broach.No)
		}
		return took
	}
	require.Equal(t, 1+10, flood(50, 100<<10), "one is handled, ten have 1 MiB together")
	require.Equal(t, 990, flood(1100, 10))
}
