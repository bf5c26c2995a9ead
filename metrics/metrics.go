// Package metrics shows a node to Prometheus. Its Collector reads the Stats of the node when it is scraped, and keeps
// nothing in between:
//
//	registry := prometheus.NewRegistry()
//	registry.MustRegister(metrics.Collector(node))
//	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
//
// Times are in seconds and sizes in bytes; what ends in _total only rises while the node lives. The label function is a
// name that is or was offered, else _OTHER: nobody who calls can make series. The label code is one of broach's, such
// as NotFound, or user for all that are the application's own. docs/observe.md lists the metrics; contrib has a
// dashboard for Grafana and alerting rules.
//
// Files: metrics.go, the Collector; node.go, what there is once; functions.go, what there is for each name;
// histogram.go, times; peers.go, members and the paths to them.
package metrics

import (
	"context"
	"runtime"
	"strings"

	"broach"

	"github.com/prometheus/client_golang/prometheus"
)

// Option changes what a Collector shows.
type Option func(*collector)

// PerPeer has broach_peer_rtt_seconds, broach_peer_loss_ratio and broach_peer_in_flight for each peer, with its address
// as the label peer. Without it they are the largest of all peers. All nodes of a cluster of N together then have N²
// series of each. Collectors in one registry all have it, or none.
func PerPeer() Option { return func(c *collector) { c.perPeer = true } }

// Coarse has histograms with half of the bounds, 100 and 500 µs, 2.5, 10, 50, 100 and 500 ms, 1, 5 and 10 s: half the
// series, of which there are 23 for each function and each of its histograms. Collectors that are added up in one query
// all have it, or none.
func Coarse() Option { return func(c *collector) { c.bounds = coarse } }

// ConstLabels are labels of all metrics of a Collector. Two nodes in one process need them, with other values for each:
// else the second Collector cannot be registered. Without it there are none. A later one replaces an earlier one.
func ConstLabels(labels prometheus.Labels) Option { return func(c *collector) { c.labels = labels } }

// Collector returns what shows a node. It may be scraped by several at once, also when the node is closed: then things
// stay as they were. A scrape costs what Stats cost, and calls nobody.
func Collector(n *broach.Node, opts ...Option) prometheus.Collector {
	if n == nil {
		panic("metrics: Collector: the node is nil; make the Collector when broach.Start has returned one")
	}
	c := newCollector(n.Stats, opts...)
	c.library, c.isGuest = what(n)
	return c
}

// what is what a node says of itself that does not change.
func what(n *broach.Node) (library string, isGuest bool) {
	v, err := n.Inspect(context.Background(), n.Addr(), broach.ViewSettings)
	if err != nil { // it is closed
		return "unknown", false
	}
	for _, s := range v.Settings {
		isGuest = isGuest || s.Key == "Guest" && s.Value == "true"
	}
	_, version, _ := strings.Cut(v.Library, " ")
	if version == "" {
		version = "unknown" // the program was built without
	}
	return version, isGuest
}

// collector is a prometheus.Collector. Nothing of it changes once it is made.
type collector struct {
	stats   func() broach.Stats
	library string // its version
	isGuest bool
	perPeer bool
	labels  prometheus.Labels
	bounds  []float64 // of histograms: those of broach in seconds, or some of them

	descs []*prometheus.Desc // of all metrics
	node  nodeDescs
	calls endDescs // functions that are called
	serve endDescs // functions that are served
	event endDescs // topics
	timer endDescs
	peers peerDescs
}

func newCollector(stats func() broach.Stats, opts ...Option) *collector {
	c := &collector{stats: stats, library: "unknown", bounds: bounds}
	for _, o := range opts {
		o(c)
	}
	c.describeNode()
	c.describeFunctions()
	c.describePeers()
	return c
}

// desc makes the description of a metric, and keeps it for Describe.
func (c *collector) desc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("broach_"+name, help, labels, c.labels)
	c.descs = append(c.descs, d)
	return d
}

// Describe is for the registry.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect is for the registry, too: a scrape.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	s := c.stats()
	c.collectNode(to, &s)
	c.collectFunctions(to, &s)
	c.collectPeers(to, &s)
}

func counter(to chan<- prometheus.Metric, d *prometheus.Desc, v uint64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func gauge(to chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// goVersion is that of the program.
var goVersion = runtime.Version()
