package metrics

import (
	"flag"
	"io"
	"math"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/broachtest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "write the exposition of the tests to testdata")

// exposition is what a Prometheus is sent.
func exposition(t testing.TB, g prometheus.Gatherer) string {
	families, err := g.Gather()
	require.NoError(t, err)
	r, w := io.Pipe()
	go func() {
		to := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
		for _, f := range families {
			if err := to.Encode(f); err != nil {
				_ = w.CloseWithError(err)
			}
		}
		_ = w.Close()
	}()
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(text)
}

// registryOf has one Collector of a node with these Stats.
func registryOf(t testing.TB, s broach.Stats, opts ...Option) *prometheus.Registry {
	c := newCollector(func() broach.Stats { return s }, opts...)
	c.library = "v0.3.0"
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(c))
	return r
}

func addr(last byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, last}), 7000)
}

// times is a Histogram of so many, all in one class.
func times(n uint64, class int, each time.Duration) (h broach.Histogram) {
	h.Counts[class], h.Sum = n, each*time.Duration(n)
	return h
}

// aNode has something of everything.
func aNode() broach.Stats {
	return broach.Stats{
		DatagramsIn: 1, DatagramsOut: 2, BytesIn: 3, BytesOut: 4, SendErrors: 5,
		Malformed: 6, ForeignVersion: 7, OtherCluster: 8, Replayed: 9, Strangers: 10, Unanswered: 11,
		UnknownKinds: 12, Unopened: 13, Unusable: 14, TablesRefused: 15, InboxOverflow: 16, Guests: 17, Uninvited: 18,
		Running: 19, Queued: 20, Done: 21, Shed: 22, Rejected: 23, Panics: 24, Unsent: 25, Resent: 26, LogLost: 27,
		Joined: true, Isolated: true,
		Peers: []broach.PeerStats{
			{Addr: addr(1), RTT: 2 * time.Millisecond, Loss: 0.25, InFlight: 3, Open: []string{"pay", "ship"}},
			{Addr: addr(2), State: broach.Suspect, RTT: time.Millisecond, Loss: 0.5},
			{Addr: addr(3), State: broach.Offline, RTT: time.Hour, Loss: 1, InFlight: 100, Open: []string{"pay"}},
			{Addr: addr(4)},
		},
		Called: []broach.FunctionStats{
			{Calls: 3, Errors: map[broach.Code]uint64{broach.NotFound: 3}, Latency: times(3, 0, time.Microsecond)},
			{Name: "pay", Calls: 7, Retries: 2, Running: 1, Latency: times(7, 20, 11*time.Second),
				Errors: map[broach.Code]uint64{broach.Unreachable: 1, broach.Application: 2, 1000: 3, 1001: 1, 999: 1}},
		},
		Served: []broach.FunctionStats{{Name: `a "b\`, Calls: 2, Running: 4,
			Latency: times(2, 4, time.Millisecond), Waiting: times(2, 1, 100*time.Microsecond)}},
		Topics: []broach.FunctionStats{{Name: "sold", Calls: 1, Latency: times(1, 3, 500*time.Microsecond),
			Errors: map[broach.Code]uint64{broach.Overloaded: 1}}},
		Timers: []broach.FunctionStats{{Name: "", Calls: 5, Latency: times(5, 6, 5*time.Millisecond)}},
	}
}

// What is exposed is known to the letter: the names, the labels and the units are an interface.
func TestTheExposition(t *testing.T) {
	old := goVersion
	t.Cleanup(func() { goVersion = old })
	goVersion = "go1.26.8"
	for path, opts := range map[string][]Option{
		"testdata/exposition.txt":          nil,
		"testdata/exposition_per_peer.txt": {PerPeer(), ConstLabels(prometheus.Labels{"node": "a"})},
	} {
		got := exposition(t, registryOf(t, aNode(), opts...))
		if *rewrite {
			require.NoError(t, os.WriteFile(path, []byte(got), 0o666))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), got, path)
	}
}

// promlint finds no fault with names, units and help texts.
func TestTheLinterFindsNothing(t *testing.T) {
	for _, opts := range [][]Option{nil, {PerPeer()}} {
		problems, err := testutil.GatherAndLint(registryOf(t, aNode(), opts...))
		require.NoError(t, err)
		require.Empty(t, problems)
	}
}

// Names that have one label are one metric: else a scrape would fail as a whole.
func TestNamesWithOneLabelAreAddedUp(t *testing.T) {
	one := func(name string, n uint64) broach.FunctionStats {
		return broach.FunctionStats{Name: name, Calls: n, Latency: times(n, 20, time.Second), Retries: n,
			Running: int(n), Waiting: times(n, 0, time.Second), Errors: map[broach.Code]uint64{broach.Closed: n}}
	}
	list := []broach.FunctionStats{one("", 1), one("_OTHER", 2), one("f\xff", 4), one("f\xfe", 8), one("g", 16)}
	got := exposition(t, registryOf(t, broach.Stats{Called: list, Served: list, Topics: list, Timers: list}))
	for _, line := range []string{
		`broach_call_duration_seconds_count{function="_OTHER"} 15`,
		`broach_call_duration_seconds_sum{function="_OTHER"} 15`,
		`broach_call_duration_seconds_bucket{function="_OTHER",le="10"} 0`,
		`broach_call_duration_seconds_bucket{function="_OTHER",le="+Inf"} 15`,
		`broach_wait_duration_seconds_bucket{function="_OTHER",le="5e-05"} 15`,
		`broach_call_failures_total{code="Closed",function="_OTHER"} 15`,
		`broach_retries_total{function="_OTHER"} 15`,
		`broach_running{function="_OTHER"} 15`,
		`broach_serve_failures_total{code="Closed",function="g"} 16`,
	} {
		require.Contains(t, got, line+"\n")
	}
	require.Empty(t, list[0].Name, "the Stats are not changed")
	require.EqualValues(t, 1, list[0].Errors[broach.Closed])
}

// An address may have two entries, while a process replaces another there.
func TestAnAddressOfTwoPeersIsShownOnce(t *testing.T) {
	s := broach.Stats{Peers: []broach.PeerStats{
		{Addr: addr(1), RTT: time.Second}, {Addr: addr(1), Loss: 0.5, InFlight: 2}, {Addr: addr(1), State: broach.Left},
	}}
	got := exposition(t, registryOf(t, s, PerPeer()))
	require.Contains(t, got, `broach_peer_rtt_seconds{peer="10.0.0.1:7000"} 1`+"\n")
	require.Contains(t, got, `broach_peer_loss_ratio{peer="10.0.0.1:7000"} 0.5`+"\n")
	require.Contains(t, got, `broach_peer_in_flight{peer="10.0.0.1:7000"} 2`+"\n")
	require.Contains(t, got, `broach_members{state="alive"} 3`+"\n")
}

func TestTheLargestNumbersAreShown(t *testing.T) {
	got := exposition(t, registryOf(t, broach.Stats{Panics: math.MaxUint64, BytesIn: 1 << 60}))
	require.Contains(t, got, "broach_panics_total 1.8446744073709552e+19\n")
	require.Contains(t, got, `broach_bytes_total{direction="in"} 1.152921504606847e+18`)
}

// Two nodes in one process are told apart by labels, and refused without.
func TestTwoNodesInOneProcessNeedLabels(t *testing.T) {
	c := broachtest.New(t)
	a, b := c.Start("a"), c.Start("b")
	r := prometheus.NewPedanticRegistry()
	named := func(name string) Option { return ConstLabels(prometheus.Labels{"node": name}) }
	require.NoError(t, r.Register(Collector(a, named("a"))))
	require.ErrorContains(t, r.Register(Collector(b, named("a"))), "duplicate")
	require.NoError(t, r.Register(Collector(b, named("b"))))
	c.Settle()
	got := exposition(t, r)
	require.Contains(t, got, `broach_members{node="a",state="alive"} 2`)
	require.Contains(t, got, `broach_members{node="b",state="alive"} 2`)
}

func TestANilNodeIsSaid(t *testing.T) {
	require.PanicsWithValue(t, "metrics: Collector: the node is nil; make the Collector when broach.Start has returned"+
		" one", func() { Collector(nil) })
}

// Closed nodes are scraped, too: a program that ends is scraped until it has.
func TestAClosedNodeIsScraped(t *testing.T) {
	c := broachtest.New(t)
	a := c.Start("a")
	scraped := Collector(a)
	c.Kill(a)
	for _, s := range []prometheus.Collector{scraped, Collector(a)} {
		r := prometheus.NewPedanticRegistry()
		require.NoError(t, r.Register(s))
		require.Contains(t, exposition(t, r), "broach_joined 1\n")
	}
}

// A guest knows those that it calls. Beside members, which know all, it would look like a cluster that is split.
func TestAGuestCountsNoMembers(t *testing.T) {
	c := broachtest.New(t)
	seed := c.Start("seed")
	guest := c.Start("guest", func(cfg *broach.Config) { cfg.Guest = true })
	broachtest.Stub(seed, "price", 7)
	_, err := guest.Caller("price", broach.WaitReady()).Call(t.Context())
	require.NoError(t, err)
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(Collector(guest)))
	got := exposition(t, r)
	require.NotContains(t, got, "broach_members")
	require.Contains(t, got, `broach_call_duration_seconds_count{function="price"} 1`+"\n")
}

// A coarse histogram has every second bound, with all that is shorter.
func TestACoarseHistogram(t *testing.T) {
	h := broach.Histogram{Sum: 3 * time.Second}
	for i := range h.Counts {
		h.Counts[i] = 1
	}
	s := broach.Stats{Called: []broach.FunctionStats{{Name: "f", Latency: h}}}
	got := exposition(t, registryOf(t, s, Coarse()))
	var lines []string
	for line := range strings.Lines(got) {
		if strings.HasPrefix(line, "broach_call_duration_seconds") {
			lines = append(lines, strings.TrimSpace(strings.TrimPrefix(line, "broach_call_duration_seconds")))
		}
	}
	require.Equal(t, []string{
		`_bucket{function="f",le="0.0001"} 2`, `_bucket{function="f",le="0.0005"} 4`,
		`_bucket{function="f",le="0.0025"} 6`, `_bucket{function="f",le="0.01"} 8`,
		`_bucket{function="f",le="0.05"} 10`, `_bucket{function="f",le="0.1"} 12`,
		`_bucket{function="f",le="0.5"} 14`, `_bucket{function="f",le="1"} 16`,
		`_bucket{function="f",le="5"} 18`, `_bucket{function="f",le="10"} 20`,
		`_bucket{function="f",le="+Inf"} 21`, `_sum{function="f"} 3`, `_count{function="f"} 21`,
	}, lines)
}
