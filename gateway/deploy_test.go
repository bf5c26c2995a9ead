package gateway_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
	"broach/gateway"
)

// Under 500 requests a second a provider is added, replaced by a new version, and killed. "No request fails but those
// in flight at the kill that may have run (502, Broach-Executed: maybe)."
func TestHotDeployment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node, first := c.Start("gateway"), c.Start("shop")
		offer := func(n *broach.Node, version string) {
			must(t, n.Register("GET /api/hello/{name}", func(name string) string {
				time.Sleep(5 * time.Millisecond)
				return version + " " + name
			}))
		}
		offer(first, "v1")
		c.Settle()
		g := newGateway(t, node, gateway.RoutesFromNames())

		var mu sync.Mutex
		answers, failed := map[string]int{}, map[time.Time]string{}
		stopc, done := make(chan struct{}), sync.WaitGroup{}
		send := func() {
			w := ask(g, "GET", "/api/hello/ann", "")
			mu.Lock()
			defer mu.Unlock()
			if answers[w.Body.String()]++; w.Code != http.StatusOK {
				answers[w.Body.String()]--
				failed[time.Now()] = http.StatusText(w.Code) + " " + w.Header().Get("Broach-Executed") + w.Body.String()
			}
		}
		done.Go(func() {
			for {
				select {
				case <-stopc:
					return
				case <-time.After(2 * time.Millisecond):
					done.Go(send)
				}
			}
		})
		count := func(what string) int {
			mu.Lock()
			defer mu.Unlock()
			return answers[`"`+what+` ann"`+"\n"]
		}
		time.Sleep(time.Second)
		second := c.Start("shop") // one is added, of a new version
		offer(second, "v2")
		time.Sleep(time.Second)
		require.Greater(t, count("v2"), 100)
		must(t, first.Leave(t.Context())) // it has replaced the old one
		before := count("v1")
		third := c.Start("shop")
		offer(third, "v3")
		time.Sleep(time.Second)
		mu.Lock()
		require.Empty(t, failed, "nothing fails but by a kill")
		mu.Unlock()
		require.Equal(t, before, count("v1"))
		require.Greater(t, count("v3"), 100)

		killed := time.Now()
		c.Kill(second)
		time.Sleep(5 * time.Second)
		close(stopc)
		done.Wait()
		require.Greater(t, count("v3"), 2000)
		for at, what := range failed {
			require.Less(t, at.Sub(killed), 4*time.Second, "it is noticed")
			require.Contains(t, what, "Bad Gateway maybe", "what may have run is not run again")
		}
		t.Logf("%d answers, %d failed at the kill", count("v1")+count("v2")+count("v3"), len(failed))
	})
}
