package metrics

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/broachtest"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

// crowd are the Stats of a node with many functions, which are both called and served, and many peers.
func crowd(functions, peers int) (s broach.Stats) {
	for i := range functions {
		f := broach.FunctionStats{Name: fmt.Sprintf("shop%04d", i), Calls: 1e6, Running: 3, Retries: 17,
			Errors: map[broach.Code]uint64{broach.Application: 12, broach.Unreachable: 3}}
		for class := range f.Latency.Counts {
			f.Latency.Counts[class], f.Waiting.Counts[class] = 123456, 123456
		}
		s.Called, s.Served = append(s.Called, f), append(s.Served, f)
	}
	for i := range peers {
		s.Peers = append(s.Peers, broach.PeerStats{Addr: addr(byte(i + 1)), RTT: time.Millisecond, Loss: 0.01})
	}
	return s
}

// "1,000 functions and 100 peers: at most 3 MB"; Prometheus asks for gzip, so a fraction of that travels.
func TestAThousandFunctionsFit(t *testing.T) {
	both := crowd(1000, 100)
	for what, c := range map[string]struct {
		called, served []broach.FunctionStats
		opts           []Option
	}{
		"called":                           {both.Called, nil, nil},
		"half called, half served":         {both.Called[:500], both.Served[500:], nil},
		"served, coarse":                   {nil, both.Served, []Option{Coarse()}},
		"half called, half served, coarse": {both.Called[:500], both.Served[500:], []Option{Coarse()}},
	} {
		s := broach.Stats{Called: c.called, Served: c.served, Peers: both.Peers}
		text := exposition(t, registryOf(t, s, append(c.opts, PerPeer())...))
		require.Less(t, len(text), 3_000_000, what)
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.Less(t, packed.Len(), 300_000, what)
		t.Logf("%s: %d bytes, %d with gzip", what, len(text), packed.Len())
	}
}

// Nothing is kept from one scrape to the next.
func TestNothingGrowsBetweenScrapes(t *testing.T) {
	r := registryOf(t, crowd(300, 100), PerPeer())
	heap := func(scrapes int) int64 {
		for range scrapes {
			_, err := r.Gather()
			require.NoError(t, err)
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what pools kept is gone
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	first := heap(2)
	require.InDelta(t, first, heap(20), 100_000)
	runtime.KeepAlive(r)
}

// Scrapes go on beside calls, several at once, and no counter ever falls: Prometheus takes that for a restart.
func TestScrapesBesideCalls(t *testing.T) {
	c := broachtest.New(t)
	caller, provider := c.Start("caller"), c.Start("provider")
	require.NoError(t, provider.Register("sometimes", func(i int) error {
		if i%3 == 0 {
			return broach.Errorf(broach.Code(1000+i%10), "not this time")
		}
		return nil
	}))
	c.Settle()
	registries := []*prometheus.Registry{prometheus.NewPedanticRegistry(), prometheus.NewPedanticRegistry()}
	require.NoError(t, registries[0].Register(Collector(caller)))
	require.NoError(t, registries[1].Register(Collector(provider, PerPeer())))

	var calling, scraping sync.WaitGroup
	over := make(chan struct{})
	for i := range 4 {
		calling.Go(func() {
			for i := range 300 {
				_, _ = caller.Caller("sometimes").Call(t.Context(), i)
			}
		})
		if i < 2 {
			scraping.Go(func() { scrapeUntil(t, over, registries) })
		}
	}
	calling.Wait()
	close(over)
	scraping.Wait()
	got := exposition(t, registries[0])
	require.Contains(t, got, `broach_call_duration_seconds_count{function="sometimes"} 1200`+"\n")
	require.Contains(t, got, `broach_call_failures_total{code="user",function="sometimes"} 400`+"\n")
}

// scrapeUntil scrapes again and again, and compares.
func scrapeUntil(t *testing.T, over chan struct{}, registries []*prometheus.Registry) {
	had := map[string]float64{}
	for {
		for i, r := range registries {
			families, err := r.Gather()
			if err != nil {
				t.Error(err)
				return
			}
			for name, now := range counters(families) {
				name = fmt.Sprint(i, name)
				if now < had[name] {
					t.Errorf("%s fell from %v to %v", name, had[name], now)
				}
				had[name] = now
			}
		}
		select {
		case <-over:
			return
		default:
		}
	}
}

// counters are all that must not fall, by name and labels.
func counters(families []*dto.MetricFamily) map[string]float64 {
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := fmt.Sprint(f.GetName(), m.GetLabel())
			switch {
			case m.GetCounter() != nil:
				all[name] = m.GetCounter().GetValue()
			case m.GetHistogram() != nil:
				all[name] = float64(m.GetHistogram().GetSampleCount())
				for _, b := range m.GetHistogram().GetBucket() {
					all[fmt.Sprint(name, b.GetUpperBound())] = float64(b.GetCumulativeCount())
				}
			}
		}
	}
	return all
}
