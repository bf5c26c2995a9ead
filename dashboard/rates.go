package dashboard

import (
	"math"
	"slices"
	"sort"
	"time"

	"broach"
)

// How often things happen, out of counts that only rise. A window holds three samples of one node; rates are from the
// oldest to the newest, which are 5 to 10 s apart once there are enough: so numbers are steady while one reads them.

const (
	windowStep = 5 * time.Second
	namesMost  = 256 // functions whose counts are kept of one node, those called most
)

// sample is what a node had counted at one time.
type sample struct {
	at             time.Time
	cpu            time.Duration
	called, served []broach.FunctionStats // sorted by name
}

// window is the newest samples of one node.
type window struct{ base, mid, last sample }

// add takes the next sample. Counts that fell are another process's: it begins anew.
func (w *window) add(s sample) {
	s.called, s.served = busiest(s.called), busiest(s.served)
	switch {
	case w.last.at.IsZero() || s.cpu < w.last.cpu:
		*w = window{s, s, s}
	case s.at.Sub(w.mid.at) >= windowStep:
		*w = window{w.mid, s, s}
	default:
		w.last = s
	}
}

// seconds is how long the window is; 0: there are no rates yet.
func (w *window) seconds() float64 { return w.last.at.Sub(w.base.at).Seconds() }

// paces are those of all functions together. They are made when a sample comes, not each time they are shown.
func (w *window) paces() (called, served pace) {
	each(w.base.called, w.last.called, w.seconds(), func(_ string, p *pace) { called.add(p) })
	each(w.base.served, w.last.served, w.seconds(), func(_ string, p *pace) { served.add(p) })
	return called, served
}

// busiest are the functions with most calls, sorted by name. What a member says may be of any size.
func busiest(list []broach.FunctionStats) []broach.FunctionStats {
	list = slices.Clone(list)
	if len(list) > namesMost {
		sort.Slice(list, func(i, j int) bool { return list[i].Calls > list[j].Calls })
		list = slices.Clone(list[:namesMost])
	}
	for i := range list {
		list[i].Name = short(list[i].Name)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}

// pace is how a function does, or many together, at one node or many.
type pace struct {
	calls, errors, retries float64 // a second
	running                int
	codes                  map[broach.Code]float64 // errors a second
	took                   [21]float64             // how many in each class, a second
}

// add adds up.
func (p *pace) add(o *pace) {
	p.calls += o.calls
	p.errors += o.errors
	p.retries += o.retries
	p.running += o.running
	for code, n := range o.codes {
		if p.codes == nil {
			p.codes = map[broach.Code]float64{}
		}
		p.codes[code] += n
	}
	for i := range p.took {
		p.took[i] += o.took[i]
	}
}

// each yields the pace of each function, of two lists sorted by name.
func each(base, last []broach.FunctionStats, seconds float64, yield func(name string, p *pace)) {
	for i, j := 0, 0; i < len(last); i++ {
		for j < len(base) && base[j].Name < last[i].Name {
			j++
		}
		before := broach.FunctionStats{}
		if j < len(base) && base[j].Name == last[i].Name {
			before = base[j]
		}
		yield(last[i].Name, paceOf(&before, &last[i], seconds))
	}
}

// paceOf is 0 where there is no time between the two.
func paceOf(before, now *broach.FunctionStats, seconds float64) *pace {
	p := &pace{running: now.Running}
	if seconds <= 0 {
		return p
	}
	p.calls = rise(before.Calls, now.Calls) / seconds
	p.retries = rise(before.Retries, now.Retries) / seconds
	for code, n := range now.Errors {
		if r := rise(before.Errors[code], n) / seconds; r > 0 {
			if p.codes == nil {
				p.codes = map[broach.Code]float64{}
			}
			p.codes[code] = r
			p.errors += r
		}
	}
	for i := range p.took {
		p.took[i] = rise(before.Latency.Counts[i], now.Latency.Counts[i]) / seconds
	}
	return p
}

func rise(from, to uint64) float64 { return float64(to - min(from, to)) }

// percentile is the time, in µs, that a share of the calls did not exceed: by its class, in which the calls are taken
// to be spread evenly. 0: there were none. Times above the longest bound count as that.
func (p *pace) percentile(share float64) float64 {
	total := 0.0
	for _, n := range p.took {
		total += n
	}
	if total == 0 {
		return 0
	}
	rest, low := total*share, 0.0
	for i, bound := range broach.HistogramBounds {
		high := float64(bound.Microseconds())
		if rest <= p.took[i] && p.took[i] > 0 {
			return low + (high-low)*rest/p.took[i]
		}
		rest -= p.took[i]
		low = high
	}
	return low
}

// round leaves two digits, so that what hardly changes does not change on the screen, nor travel.
func round(x float64) float64 {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(x)))-1)
	if unit < 1 {
		return math.Round(x/unit) / math.Round(1/unit)
	}
	return math.Round(x/unit) * unit
}
