package cookbook

import (
	"context"
	"errors"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"broach"
	"broach/broachtest"

	"github.com/stretchr/testify/require"
)

var blocks = regexp.MustCompile("(?s)```go\n(.*?)```")

// What the document shows is what is run here, line by line; only how far it is indented may differ.
func TestTheDocumentShowsWhatIsRun(t *testing.T) {
	document, err := os.ReadFile("../../docs/cookbook.md")
	require.NoError(t, err)
	code := ""
	for _, name := range []string{"recipes.go", "cookbook_test.go"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		code += flat(string(text))
	}
	found := blocks.FindAllStringSubmatch(string(document), -1)
	require.Len(t, found, 17, "recipes")
	for _, block := range found {
		require.Contains(t, code, flat(block[1]))
		lines := strings.Count(block[1], "\n") - strings.Count(block[1], "\n\n") // blank ones part two pieces
		require.LessOrEqual(t, lines, 10, "a recipe is short: %s", block[1])
	}
}

// flat is a text without the indents of its lines.
func flat(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

// run runs a recipe in virtual time, with a caller and some providers that know each other.
func run(t *testing.T, offer func(*broach.Node, int), recipe func(*testing.T, *broachtest.Cluster, *broach.Node)) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		caller := c.Start("caller")
		for i := range 3 {
			offer(c.Start("provider"), i)
		}
		c.Settle()
		recipe(t, c, caller)
	})
}

func register(t *testing.T, name string, fn any, opts ...broach.RegisterOption) func(*broach.Node, int) {
	return func(n *broach.Node, _ int) { require.NoError(t, n.Register(name, fn, opts...)) }
}

func TestOfferAndCall(t *testing.T) {
	run(t, func(n *broach.Node, _ int) { require.NoError(t, offerStock(n)) },
		func(t *testing.T, _ *broachtest.Cluster, caller *broach.Node) {
			is, err := isInStock(t.Context(), caller, "milk")
			require.NoError(t, err)
			require.True(t, is)
			_, err = isInStock(t.Context(), caller, "gold")
			require.ErrorContains(t, err, `no "gold" here`)
		})
}

func TestStartup(t *testing.T) {
	run(t, func(*broach.Node, int) {}, func(t *testing.T, c *broachtest.Cluster, caller *broach.Node) {
		require.ErrorContains(t, startup(caller, "price"), "0 of 1 providers")
		late := c.Start("late")
		time.AfterFunc(10*time.Second, func() { broachtest.Stub(late, "price", 7) })
		require.NoError(t, startup(caller, "price"))
	})
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"params": {"rpcIp": "10.0.0.2"}, "app": {"shelves": 12}}`), 0o600))
	t.Setenv("BROACH_SEEDS", "10.0.0.1:7000")
	cfg, own, err := load(path)
	require.NoError(t, err)
	require.Equal(t, settings{12}, own)
	require.Equal(t, []string{"10.0.0.1:7000"}, cfg.Join)
	require.NoError(t, os.WriteFile(path, []byte(`{"params": {"rpcIp": "10.0.0.2"}, "app": {"shelfs": 12}}`), 0o600))
	_, _, err = load(path)
	require.ErrorContains(t, err, "shelfs")
}

// Signals come to the whole process, so this one runs in real time.
func TestUntilTold(t *testing.T) {
	c := broachtest.New(t)
	node := c.Start("shop")
	told, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- untilTold(told, node, time.Second) }()
	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	if self.Signal(syscall.SIGTERM) != nil {
		t.Skip("this system sends no signals")
	}
	require.NoError(t, <-ended)
}

func TestReadyz(t *testing.T) {
	var all []*broach.Node // but the caller
	collect := func(n *broach.Node, _ int) { all = append(all, n) }
	run(t, collect, func(t *testing.T, c *broachtest.Cluster, caller *broach.Node) {
		require.Equal(t, http.StatusOK, statusOf(readyz(caller), "/readyz", ""))
		c.Kill(all[0])
		c.Settle()
		require.Equal(t, http.StatusOK, statusOf(readyz(caller), "/readyz", ""), "a death is not its own")
		lost := c.Start("lost", func(cfg *broach.Config) { cfg.Join = []string{"10.9.9.9:7000"} })
		require.Equal(t, http.StatusServiceUnavailable, statusOf(readyz(lost), "/readyz", ""))
		c.Cut([]*broach.Node{caller}, all[1:])
		time.Sleep(3 * time.Second)
		require.Equal(t, http.StatusServiceUnavailable, statusOf(readyz(caller), "/readyz", ""), "it is cut off")
	})
}

func statusOf(h http.Handler, path, token string) int {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 18090}
	h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local)))
	return w.Code
}

func TestTakeOrWait(t *testing.T) {
	take := func(item string) error {
		if item == "gold" {
			return errSoldOut
		}
		return nil
	}
	run(t, register(t, "stock.take", take), func(t *testing.T, _ *broachtest.Cluster, caller *broach.Node) {
		for item, want := range map[string]bool{"milk": true, "gold": false} {
			is, err := takeOrWait(t.Context(), caller, item)
			require.NoError(t, err)
			require.Equal(t, want, is)
		}
	})
}

func TestPayOnce(t *testing.T) {
	var ran atomic.Int32
	pay := func(ctx context.Context, order string) error {
		ran.Add(1)
		if order == "slow" {
			<-ctx.Done()
		}
		return nil
	}
	run(t, register(t, "pay", pay), func(t *testing.T, _ *broachtest.Cluster, caller *broach.Node) {
		isUnsure, err := payOnce(t.Context(), caller, "quick")
		require.NoError(t, err)
		require.False(t, isUnsure)
		isUnsure, err = payOnce(t.Context(), caller, "slow")
		require.Error(t, err)
		require.True(t, isUnsure)
		require.EqualValues(t, 2, ran.Load())
	})
}

func TestFlushAll(t *testing.T) {
	run(t, func(n *broach.Node, i int) {
		require.NoError(t, n.Register("cache.flush", func() error { return []error{nil, nil, errors.New("busy")}[i] }))
	}, func(t *testing.T, _ *broachtest.Cluster, caller *broach.Node) {
		missed := flushAll(t.Context(), caller)
		require.Len(t, missed, 1)
		require.Contains(t, missed[0], "busy")
	})
}

func TestCart(t *testing.T) {
	run(t, func(n *broach.Node, _ int) {
		require.NoError(t, n.Register("cart", func(string) []string { return []string{n.Addr().String()} }))
	}, func(t *testing.T, _ *broachtest.Cluster, caller *broach.Node) {
		first, err := cart(t.Context(), caller, "ann")
		require.NoError(t, err)
		for range 20 {
			again, err := cart(t.Context(), caller, "ann")
			require.NoError(t, err)
			require.Equal(t, first, again)
		}
	})
}

func TestQuickPrice(t *testing.T) {
	var asked atomic.Int32
	price := func(ctx context.Context, _ string) int {
		if asked.Add(1) == 1 {
			<-ctx.Done() // the first one hangs
		}
		return 7
	}
	run(t, register(t, "price", price, broach.Idempotent()),
		func(t *testing.T, _ *broachtest.Cluster, caller *broach.Node) {
			v, err := quickPrice(t.Context(), caller, "milk")
			require.NoError(t, err)
			require.Equal(t, 7, v)
			require.EqualValues(t, 2, asked.Load())
		})
}

func TestSales(t *testing.T) {
	mails := make(chan sold, 10)
	run(t, func(n *broach.Node, _ int) {
		_, err := mailSales(n, func(s sold) { mails <- s })
		require.NoError(t, err)
	}, func(t *testing.T, _ *broachtest.Cluster, caller *broach.Node) {
		require.NoError(t, caller.WaitForSubscribers(t.Context(), "sold", 3))
		require.NoError(t, tellOfSale(t.Context(), caller, sold{"milk"}))
		time.Sleep(time.Second)
		require.Len(t, mails, 1)
		require.Equal(t, sold{"milk"}, <-mails)
	})
}

func TestReportHourly(t *testing.T) {
	var ran atomic.Int32
	run(t, func(n *broach.Node, _ int) {
		_, err := reportHourly(n, func(context.Context) error { ran.Add(1); return nil })
		require.NoError(t, err)
	}, func(t *testing.T, _ *broachtest.Cluster, _ *broach.Node) {
		require.Zero(t, ran.Load(), "none is due at once")
		time.Sleep(70 * time.Minute)
		require.EqualValues(t, 1, ran.Load(), "of all nodes")
	})
}

// readAll reads until there is no error, five times at most.
func readAll(ctx context.Context, node *broach.Node) (got []int, err error) {
	numbers := node.Caller("numbers", broach.WaitReady(), broach.Timeout(10*time.Second))
	for next, i := 0, 0; i < 5; i++ {
		if next, err = readFrom(ctx, numbers, next, func(n int) { got = append(got, n) }); err == nil {
			break
		}
	}
	return got, err
}

func TestReadAll(t *testing.T) {
	run(t, register(t, "numbers", numbersFrom), func(t *testing.T, _ *broachtest.Cluster, caller *broach.Node) {
		got, err := readAll(t.Context(), caller)
		require.NoError(t, err)
		require.Len(t, got, 100)
		require.True(t, slices.IsSorted(got))
	})
}

// A provider that breaks off costs no item and brings none twice, behind the last item, too.
func TestReadAllGoesOn(t *testing.T) {
	for _, end := range []int{40, 100} {
		var broken atomic.Int32
		breaks := func(from int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for n := from; n < end || broken.Load() > 0 && n < 100; n++ {
					if !yield(n, nil) {
						return
					}
				}
				if broken.Add(1) == 1 {
					yield(0, errors.New("the disk is gone"))
				}
			}
		}
		run(t, register(t, "numbers", breaks), func(t *testing.T, _ *broachtest.Cluster, caller *broach.Node) {
			got, err := readAll(t.Context(), caller)
			require.NoError(t, err)
			require.Len(t, got, 100)
			require.Equal(t, 99, got[99])
			require.EqualValues(t, 2, broken.Load(), "it has been asked twice")
		})
	}
}

func TestRefund(t *testing.T) {
	run(t, func(n *broach.Node, _ int) { require.NoError(t, offerToStaff(n, func(string) {})) },
		func(t *testing.T, _ *broachtest.Cluster, caller *broach.Node) {
			require.NoError(t, refund(t.Context(), caller, "order 1"))
			_, err := caller.Caller("refund").Call(t.Context(), "order 1")
			require.ErrorIs(t, err, broach.ErrUnauthenticated)
		})
}

func TestOverHTTP(t *testing.T) {
	run(t, func(n *broach.Node, _ int) { require.NoError(t, offerStock(n)) },
		func(t *testing.T, _ *broachtest.Cluster, caller *broach.Node) {
			token := strings.Repeat("t", 32)
			h, err := overHTTP(caller, map[string]string{token: "ann"})
			require.NoError(t, err)
			defer h.Close()
			require.Equal(t, http.StatusOK, statusOf(h, "/stock/milk", token))
			require.Equal(t, http.StatusUnauthorized, statusOf(h, "/stock/milk", "guessed"))
		})
}

func TestTheShopOutlivesAProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		web, one, two := c.Start("web"), c.Start("shop"), c.Start("shop")
		broachtest.Stub(one, "price", 7)
		prices := broachtest.Stub(two, "price", 7)
		c.Settle()
		c.Kill(one)
		c.Settle() // web has noticed
		price, err := quickPrice(t.Context(), web, "milk")
		require.NoError(t, err)
		require.Equal(t, 7, price)
		require.Len(t, prices.Calls(), 1)
	})
}
