package main

import "fmt"

// A target is a number that broach is measured by: a metric of one cell, as such or as a multiple of that of another.
type target struct {
	metric    metric
	of, than  cell // than: the other; none where the value itself counts
	must, aim bound
}

// A bound is what a value has to keep to. The zero bound asks for nothing.
type bound struct {
	sign  string
	limit float64
}

func atLeast(x float64) bound { return bound{">=", x} }
func atMost(x float64) bound  { return bound{"<=", x} }

// holds says whether v keeps to the bound; NaN keeps to none.
func (b bound) holds(v float64) bool {
	if b.sign == ">=" {
		return v >= b.limit
	}
	return v <= b.limit
}

// against compares broach with another system at the same work.
func against(m metric, workload, other string, must, aim bound) target {
	return target{m, cell{workload, "broach"}, cell{workload, other}, must, aim}
}

// absolute looks at a value itself.
func absolute(m metric, workload, system string, must, aim bound) target {
	return target{m, cell{workload, system}, cell{}, must, aim}
}

// unasked is the bound of a column that asks for nothing.
var unasked bound

var targets = []target{
	against(rate, "add1", "grpc", atLeast(2.2), atLeast(12)),
	against(rate, "add1", "netrpc", atLeast(0.85), atLeast(1.1)),
	against(rate, "add1", "udp", unasked, atLeast(0.75)),
	against(rate, "add16", "grpc", atLeast(4.5), atLeast(12)),
	against(rate, "add64", "grpc", atLeast(6), atLeast(13)),
	against(rate, "add64", "netrpc", atLeast(2.5), atLeast(4)),
	against(rate, "add64", "nats", atLeast(1.8), unasked),
	against(p99, "add64", "netrpc", atMost(0.5), unasked),
	against(p99, "add64", "grpc", unasked, atMost(0.1)),
	against(rate, "add256", "grpc", atLeast(6), atLeast(13)),
	against(p99, "add256", "grpc", atMost(0.4), unasked),
	against(rate, "echo1k", "grpc", atLeast(5.5), atLeast(7)),
	against(rate, "echomix", "grpc", unasked, atLeast(6)),
	against(rate, "echo64k", "grpc", atLeast(1.3), atLeast(2.5)),
	against(rate, "echo64k", "netrpc", unasked, atLeast(1)),
	against(rate, "echo1m1", "grpc", unasked, atLeast(1.8)),
	against(rate, "echo1m", "grpc", atLeast(1.1), atLeast(2.5)),
	against(rate, "echo1k-lent", "grpc", unasked, atLeast(8)),
	against(rate, "echo64k-lent", "grpc", unasked, atLeast(6)),
	against(rate, "echo1m-lent", "grpc", unasked, atLeast(3.5)),
	against(rate, "stream16", "grpc", unasked, atLeast(1)),
	against(rate, "stream16", "grpc-bytes", atLeast(0.4), atLeast(0.8)),
	against(rate, "stream1k", "grpc-bytes", atLeast(0.4), atLeast(0.8)),
	against(rate, "stream64k", "grpc-bytes", atLeast(0.4), unasked),
	against(rate, "echo1m16", "grpc", unasked, atLeast(1.8)),
	against(rate, "echo1m", "netrpc", unasked, atLeast(1)),
	against(cpu, "add64", "grpc", atMost(0.2), atMost(0.1)),
	absolute(allocs, "add64", "broach-call", atMost(14), unasked),
	absolute(allocs, "add64", "broach", atMost(0.1), atMost(0.1)),
	absolute(failed, "loss", "broach-loss1", atMost(0), unasked),
	absolute(failed, "loss", "broach-loss5", atMost(0), unasked),
	absolute(failed, "loss", "broach-loss20", atMost(0), unasked),
	absolute(repeated, "loss", "broach-loss1", atMost(0), unasked),
	absolute(repeated, "loss", "broach-loss5", atMost(0), unasked),
	absolute(repeated, "loss", "broach-loss20", atMost(0), unasked),
	lossless(p50, "broach-loss1", atMost(1.2)),
	lossless(p50, "broach-loss5", atMost(1.2)),
	lossless(p50, "broach-loss20", atMost(1.2)),
	absolute(p99, "loss", "broach-loss5", unasked, atMost(0.150)),
	whileSealed("add64", 0.7),
	{rate, cell{"echo1m", "broach-sealed"}, cell{"echo1m", "grpc-tls"}, atLeast(1.1), atLeast(1.8)},
	{rate, cell{"add64", "broach-caller-interceptor"}, cell{"add64", "broach"}, atLeast(0.55), atLeast(0.7)},
	{rate, cell{"add64", "broach-provider-interceptor"}, cell{"add64", "broach"}, atLeast(0.7), atLeast(0.85)},
	{rate, cell{"add64", "broach-interceptors"}, cell{"add64", "broach"}, atLeast(0.5), atLeast(0.7)},
	{rate, cell{"add64", "broach-tracer"}, cell{"add64", "broach"}, atLeast(0.95), unasked},
	{rate, cell{"add64", "broach-context"}, cell{"add64", "broach"}, atLeast(0.9), atLeast(0.97)},
	{p99, cell{"beside", "broach"}, cell{"add4", "broach"}, atMost(10), atMost(6)},
}

// whileSealed compares broach with a key with broach without.
func whileSealed(workload string, must float64) target {
	return target{rate, cell{workload, "broach-sealed"}, cell{workload, "broach"}, atLeast(must), unasked}
}

// lossless compares broach with itself without loss.
func lossless(m metric, system string, aim bound) target {
	return target{m, cell{"loss", system}, cell{"loss", "broach-loss0"}, unasked, aim}
}

// value is what the results say of the target; false if they do not.
func (t target) value(r results) (float64, bool) {
	if t.than == (cell{}) {
		m, ok := r.median(t.of)
		return m[t.metric], ok
	}
	return r.ratio(t.metric, t.of, t.than)
}

// isTimes says that the value is a multiple.
func (t target) isTimes() bool { return t.than != (cell{}) }

// String says what is compared with what.
func (t target) String() string {
	text := fmt.Sprintf("%s, %s, %s", t.of.workload, labels[t.metric].short, t.of.system)
	switch {
	case !t.isTimes():
		return text
	case t.than.workload == t.of.workload:
		return text + " / " + t.than.system
	}
	return text + " / " + t.than.workload
}

// row is the target's line in the table.
func (t target) row(v float64) []string {
	return []string{
		t.String(), t.show(v),
		t.ask(t.must), verdict(t.must, v), t.ask(t.aim), verdict(t.aim, v),
	}
}

// show writes a value in the target's unit.
func (t target) show(v float64) string {
	if t.isTimes() {
		return fmt.Sprintf("%.2f x", v)
	}
	return labels[t.metric].show(v)
}

func (t target) ask(b bound) string {
	if b == unasked {
		return ""
	}
	return b.sign + " " + t.show(b.limit)
}

func verdict(b bound, v float64) string {
	switch {
	case b == unasked:
		return ""
	case b.holds(v):
		return "yes"
	}
	return "**no**"
}
