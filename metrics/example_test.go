package metrics_test

import (
	"fmt"

	"broach"
	"broach/metrics"

	"github.com/prometheus/client_golang/prometheus"
)

func ExampleCollector() {
	node, err := broach.Start(broach.Config{Addr: "127.0.0.1:0", LogLevel: "off"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.Collector(node))

	families, err := registry.Gather() // promhttp.HandlerFor does so when it is scraped
	for _, f := range families {
		if f.GetName() == "broach_members" {
			fmt.Println(f.GetMetric()[0].GetGauge().GetValue(), "alive")
		}
	}
	fmt.Println(err)
	// Output:
	// 1 alive
	// <nil>
}

// Of two nodes in one process each needs a label of its own.
func ExampleConstLabels() {
	registry := prometheus.NewRegistry()
	for _, name := range []string{"till", "store"} {
		node, err := broach.Start(broach.Config{Addr: "127.0.0.1:0", LogLevel: "off"})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer node.Close()
		labels := prometheus.Labels{"node": name}
		fmt.Println(registry.Register(metrics.Collector(node, metrics.ConstLabels(labels))))
	}
	// Output:
	// <nil>
	// <nil>
}
