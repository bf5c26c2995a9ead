package broach

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func badTopics() []string {
	return []string{"", strings.Repeat("x", 199), "\xff", "a\x00b", "a\nb"}
}

func TestWhatCannotBeSubscribed(t *testing.T) {
	inPair(t, nil, func(c *cluster, n, _ *Node) {
		var none func(int)
		for _, test := range []struct {
			topic string
			fn    any
			opts  []SubscribeOption
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
			{"t", func(int) {}, []SubscribeOption{EachInstance(), OneAnywhere()}, "contradict each other"},
			{"t", func(int) {}, []SubscribeOption{Backlog(0)}, "the Backlog is 0, must be from 1 to 65536"},
			{"t", func(int) {}, []SubscribeOption{Backlog(65537)}, "the Backlog is 65537"},
		} {
			s, err := n.Subscribe(test.topic, test.fn, test.opts...)
			require.Nil(t, s)
			require.ErrorIs(t, err, ErrInvalidArgument)
			require.ErrorContains(t, err, "subscribe t: ")
			require.ErrorContains(t, err, test.says)
		}
		for _, topic := range badTopics() {
			_, err := n.Subscribe(topic, func(int) {})
			require.ErrorIs(t, err, ErrInvalidArgument)
			require.ErrorContains(t, err, "topic")
		}
		require.Empty(t, n.serving.offered.rows())

		s, err := n.Subscribe(strings.Repeat("x", 198), func(context.Context, any) error { return nil }, OneAnywhere(), OneAnywhere(), Backlog(65536))
		require.NoError(t, err)
		require.NoError(t, n.Close())
		_, err = n.Subscribe("t", func(int) {})
		require.ErrorIs(t, err, ErrClosed)
		require.ErrorIs(t, s.Close(), ErrClosed)
	})
}

// Subscriptions are no services: users do not see them and cannot call them. [EVT-2] Any other Request for such a name
// is answered NotFound.
func TestSubscriptionsAreNoServices(t *testing.T) {
	inPair(t, nil, func(c *cluster, subscriber, caller *Node) {
		var box inbox
		s := box.subscribe(c, 0)
		row := oneOfGroup.row("sold")
		require.NoError(t, caller.WaitFor(context.Background(), row, 1))
		require.Empty(t, caller.Services())
		require.Empty(t, subscriber.Services())
		for _, n := range c.nodes {
			for _, args := range [][]any{nil, {1}, {1, 2}} {
				_, err := n.Caller(row).Call(context.Background(), args...)
				requireError(t, err, NotFound, No)
			}
		}
		require.NoError(t, s.Close())
		require.NoError(t, s.Close(), "it may be called again")
		heard()
		require.Empty(t, subscriber.serving.offered.rows())
		require.Empty(t, box.take())
	})
}

// A process that has several subscriptions to a topic under the same letter announces them once.
func TestSubscriptionsOfOneTopicShareARow(t *testing.T) {
	inPair(t, nil, func(c *cluster, subscriber, publisher *Node) {
		var first, second inbox
		closed := first.subscribe(c, 0)
		last := second.subscribe(c, 0)
		heard()
		require.Len(t, subscriber.serving.offered.rows(), 1)
		publish(t, publisher, 0, 10, 1)
		require.NoError(t, closed.Close())
		publish(t, publisher, 10, 20, 1)
		require.Len(t, subscriber.serving.offered.rows(), 1)
		require.NoError(t, last.Close())
		publish(t, publisher, 20, 30, 0)
		require.Empty(t, subscriber.serving.offered.rows())
		requireOnce(t, first.take(), []int{0}, 10)
		requireOnce(t, second.take(), []int{0}, 20)
	})
}

// What was taken before a subscription ends is still handled, and nothing after.
func TestCloseOfASubscriptionLosesNothing(t *testing.T) {
	inPair(t, nil, func(c *cluster, subscriber, publisher *Node) {
		var got []int
		var s *Subscription
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
	inPair(t, map[string]any{"add": func(x, y int) int { return x + y }}, func(c *cluster, subscriber, publisher *Node) {
		stop := make(chan struct{})
		var box, other inbox
		_, err := subscriber.Subscribe("sold", func(e int) { <-stop; box.put(0, e) }, EachInstance(), Backlog(5))
		require.NoError(t, err)
		other.subscribe(c, 1, EachInstance())
		heard()
		start := time.Now()
		publish(t, publisher, 0, 1, 2)
		time.Sleep(10 * time.Millisecond) // it runs
		publish(t, publisher, 1, 6, 2)
		for e := 6; e < 20; e++ {
			for i, from := range c.nodes {
				if i == 0 && e > 6 {
					continue
				}
				d, err := from.Publish(context.Background(), "sold", e)
				require.Equal(t, []int{2}, ports(d.Nodes))
				failed := requireError(t, err, Overloaded, No)
				require.Equal(t, addrOf(0).String(), failed.Node)
			}
		}
		require.Less(t, time.Since(start), 100*time.Millisecond, "the publisher is not delayed")

		beside := box.subscribe(c, 0, EachInstance())
		d, err := publisher.Publish(context.Background(), "sold", 20)
		require.Equal(t, []int{2}, ports(d.Nodes))
		require.Contains(t, requireError(t, err, Overloaded, Maybe).Message, "1 of 2")
		require.Equal(t, map[int][]int{0: {20}}, box.take(), "the healthy one of the same process has it")
		require.NoError(t, beside.Close())
		sum, err := Call[int](context.Background(), publisher.Caller("add"), 1, 2)
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
	inShop(t, func(c *cluster, publisher *Node) {
		stop := make(chan struct{})
		var box inbox
		for _, i := range []int{1, 4} {
			_, err := c.nodes[i].Subscribe("sold", func(int) { <-stop }, Backlog(2))
			require.NoError(t, err)
		}
		for _, i := range []int{2, 3, 5, 6} {
			box.subscribe(c, i)
		}
		heard()
		start := time.Now()
		publish(t, publisher, 0, 500, 2)
		publish(t, c.nodes[1], 500, 1000, 2)
		publish(t, c.nodes[2], 1000, 1500, 2)
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
	var log sharedLog // the handler locks it, and both nodes have the same
	logger := slog.New(slog.NewTextHandler(&log, nil))
	inPair(t, nil, func(c *cluster, subscriber, publisher *Node) {
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
			d, err := c.nodes[e%2].Publish(context.Background(), "sold", e)
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
		require.Contains(t, log.String(), `service=sold from=`+addrOf(0).String()+` code=Application err="no bread"`)
		require.Contains(t, log.String(), `code=InvalidArgument err="argument 1 of sold(int)`)
		require.NotContains(t, log.String(), "\x00")
		require.Zero(t, subscriber.serving.pool.Stats().Running)
	}, func(cfg *Config) { cfg.Logger = logger })
}

// Subscriptions are handled side by side, as far as there are workers, and a busy one lets the others have their turn.
func TestSubscriptionsShareTheWorkers(t *testing.T) {
	inPair(t, nil, func(c *cluster, subscriber, publisher *Node) {
		var order []string // one worker: never two at once
		for _, topic := range []string{"a", "b"} {
			_, err := subscriber.Subscribe(topic, func(int) { time.Sleep(time.Millisecond); order = append(order, topic) })
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
	}, func(cfg *Config) { cfg.Pool = Pool{Core: 1, Max: 1} })
}

// A worker that is ended, and a queue that is full, cannot make a subscription forget that events wait.
func TestEventsWaitBesideAFullQueue(t *testing.T) {
	inPair(t, nil, func(c *cluster, subscriber, publisher *Node) {
		stop := make(chan struct{})
		require.NoError(t, subscriber.Register("wait", func() { <-stop }))
		var box inbox
		_, err := subscriber.Subscribe("sold", func(e int) { box.put(0, e); runtime.Goexit() })
		require.NoError(t, err)
		heard()
		send := func() error { return publisher.Caller("wait", NoRetry()).Send(context.Background()) }
		require.NoError(t, send())
		time.Sleep(time.Millisecond)
		require.NoError(t, send())
		requireError(t, send(), Overloaded, No)
		publish(t, publisher, 0, 50, 1)
		close(stop)
		requireOnce(t, box.take(), []int{0}, 50)
	}, func(cfg *Config) { cfg.Pool = Pool{Core: 1, Max: 1, Queue: 1, RejectWhenFull: true} })
}

// Close drops what waits, and says how much.
func TestCloseOfANodeCountsWhatItDrops(t *testing.T) {
	var log sharedLog // the handler locks it, and both nodes have the same
	logger := slog.New(slog.NewTextHandler(&log, nil))
	inPair(t, nil, func(c *cluster, subscriber, publisher *Node) {
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
	}, func(cfg *Config) { cfg.Logger = logger })
}

// However many and however large events are, a backlog holds no more of them than it may, and no memory that other
// messages need.
func TestABacklogIsBounded(t *testing.T) {
	const most = 1 << 20
	inPair(t, map[string]any{"size": func(b []byte) int { return len(b) }}, func(c *cluster, subscriber, publisher *Node) {
		stop := make(chan struct{})
		s, err := subscriber.Subscribe("photo", func([]byte) { <-stop }, Backlog(1000))
		require.NoError(t, err)
		heard()
		flood := func(times, size int) (took int) {
			for range times {
				_, err := publisher.Publish(context.Background(), "photo", make([]byte, size))
				if err == nil {
					took++
					time.Sleep(time.Millisecond)
					continue
				}
				requireError(t, err, Overloaded, No)
			}
			return took
		}
		large := flood(50, 100<<10)
		require.Equal(t, 1+10, large, "one is handled, ten have 1 MiB together")
		require.LessOrEqual(t, s.backlog.size, most)
		beside := make(chan error, 1)
		go func() { // two of them take all that a peer has
			_, err := publisher.Caller("size").Call(context.Background(), make([]byte, most-100))
			beside <- err
		}()
		n, err := Call[int](context.Background(), publisher.Caller("size"), make([]byte, most-100))
		require.NoError(t, err)
		require.Equal(t, most-100, n)
		require.NoError(t, <-beside)
		small := flood(1100, 10)
		require.Equal(t, 990, small)
		require.EqualValues(t, 1000, subscriber.serving.events.waiting.Load())
		close(stop)
		handled(time.Second)
		require.Zero(t, subscriber.serving.events.waiting.Load())
		require.Zero(t, s.backlog.size)
		t.Logf("%d large and %d small events of 50 and 1,100 found room", large, small)
	}, func(cfg *Config) { cfg.MaxMessage = most })
}
