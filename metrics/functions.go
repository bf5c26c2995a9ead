package metrics

import (
	"unicode/utf8"

	"broach"

	"github.com/prometheus/client_golang/prometheus"
)

// other is the label of what is counted together: names that nobody has offered, timers without a name, and names
// beyond those that a node keeps apart.
const other = "_OTHER"

// endDescs describe what there is for each name at one end; nil: that is not shown there.
type endDescs struct{ took, waited, failed, retries, running *prometheus.Desc }

// What has ended well is not a counter of its own: a call that has, and whose result its caller cannot use, becomes one
// that has failed, and a counter must not fall. All are the _count of the histogram.
func (c *collector) describeFunctions() {
	c.calls = endDescs{
		took: c.desc("call_duration_seconds",
			"Calls made here that have ended: from Call to its return, with all attempts.", "function"),
		failed: c.desc("call_failures_total", "Calls made here that failed.", "function", "code"),
		retries: c.desc("retries_total",
			"Attempts of calls made here beyond the first, hedges among them.", "function"),
		running: c.desc("calls_in_flight", "Calls made here that have not ended.", "function"),
	}
	c.serve = endDescs{
		took: c.desc("serve_duration_seconds",
			"Calls served here: from arrival to answer, with the time that they waited.", "function"),
		waited: c.desc("wait_duration_seconds",
			"How long calls that ran here waited for a worker.", "function"),
		failed: c.desc("serve_failures_total", "Calls served here that failed, refused ones too.",
			"function", "code"),
		running: c.desc("running", "Calls that run here now.", "function"),
	}
	c.event = endDescs{
		took: c.desc("event_duration_seconds",
			"Events handled here: from arrival until the subscription has returned.", "topic"),
		failed: c.desc("event_failures_total", "Events that a subscription here failed at.", "topic", "code"),
	}
	c.timer = endDescs{
		took:   c.desc("timer_duration_seconds", "Runs of timers here, with the time that they waited.", "timer"),
		failed: c.desc("timer_failures_total", "Runs of timers here that failed.", "timer", "code"),
	}
}

func (c *collector) collectFunctions(to chan<- prometheus.Metric, s *broach.Stats) {
	c.collectNames(to, &c.calls, s.Called)
	c.collectNames(to, &c.serve, s.Served)
	c.collectNames(to, &c.event, s.Topics)
	c.collectNames(to, &c.timer, s.Timers)
}

// collectNames shows each name once. Those whose label is other are added up: the registry refuses a scrape in which
// two metrics have the same labels, and a function may be named so.
func (c *collector) collectNames(to chan<- prometheus.Metric, d *endDescs, list []broach.FunctionStats) {
	var rest broach.FunctionStats
	hasRest := false
	for i := range list {
		if f := &list[i]; labelOf(f.Name) == other {
			addUp(&rest, f)
			hasRest = true
		} else {
			c.show(to, d, f, f.Name)
		}
	}
	if hasRest {
		c.show(to, d, &rest, other)
	}
}

// labelOf is the label of a name. Prometheus takes no text that is not UTF-8.
func labelOf(name string) string {
	if name == "" || !utf8.ValidString(name) {
		return other
	}
	return name
}

// addUp adds what was counted under one more name.
func addUp(sum, f *broach.FunctionStats) {
	sum.Calls += f.Calls
	sum.Retries += f.Retries
	sum.Running += f.Running
	addTimes(&sum.Latency, &f.Latency)
	addTimes(&sum.Waiting, &f.Waiting)
	if sum.Errors == nil {
		sum.Errors = make(map[broach.Code]uint64, len(f.Errors))
	}
	for code, n := range f.Errors {
		sum.Errors[code] += n
	}
}

func addTimes(sum, h *broach.Histogram) {
	sum.Sum += h.Sum
	for i := range h.Counts {
		sum.Counts[i] += h.Counts[i]
	}
}

// show shows one name.
func (c *collector) show(to chan<- prometheus.Metric, d *endDescs, f *broach.FunctionStats, name string) {
	to <- &histogram{d.took, &f.Latency, name, c.bounds}
	if d.waited != nil {
		to <- &histogram{d.waited, &f.Waiting, name, c.bounds}
	}
	if d.retries != nil {
		counter(to, d.retries, f.Retries, name)
	}
	if d.running != nil {
		gauge(to, d.running, float64(f.Running), name)
	}
	d.showFailures(to, f, name)
}

// showFailures counts all codes of applications as one: they choose them, and may choose many.
func (d *endDescs) showFailures(to chan<- prometheus.Metric, f *broach.FunctionStats, name string) {
	own := uint64(0)
	for code, n := range f.Errors {
		if code >= broach.Application && code <= broach.Closed {
			counter(to, d.failed, n, name, code.String())
		} else {
			own += n
		}
	}
	if own > 0 {
		counter(to, d.failed, own, name, "user")
	}
}
