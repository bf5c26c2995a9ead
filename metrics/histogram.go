package metrics

import (
	"broach"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// histogram is one of broach's as a prometheus.Metric. A thousand are written at a scrape, and those of the client
// library are made from a map each.
type histogram struct {
	desc   *prometheus.Desc
	of     *broach.Histogram
	name   string
	bounds []float64 // all, or coarse
}

func (h *histogram) Desc() *prometheus.Desc { return h.desc }

// Write writes it, with counts that include those of shorter times. The many small things that the client library
// wants pointers to are made in one piece.
func (h *histogram) Write(to *dto.Metric) error {
	pieces := new(struct {
		histogram dto.Histogram
		sum       float64
		counts    [classes]uint64
		buckets   [classes]dto.Bucket
		list      [classes]*dto.Bucket
	})
	step, all := len(bounds)/len(h.bounds), uint64(0)
	for i, n := range h.of.Counts {
		all += n
		pieces.counts[i] = all
	}
	for i := range h.bounds {
		b := &pieces.buckets[i]
		b.CumulativeCount, b.UpperBound = &pieces.counts[(i+1)*step-1], &h.bounds[i]
		pieces.list[i] = b
	}
	pieces.sum = h.of.Sum.Seconds()
	pieces.histogram.SampleCount, pieces.histogram.SampleSum = &pieces.counts[classes-1], &pieces.sum
	pieces.histogram.Bucket = pieces.list[:len(h.bounds)]
	to.Histogram, to.Label = &pieces.histogram, prometheus.MakeLabelPairs(h.desc, []string{h.name})
	return nil
}

// classes are those of a Histogram: the last has what is longer than all bounds.
const classes = len(broach.HistogramBounds) + 1

// bounds are those of broach in seconds, coarse every second one.
var bounds, coarse = func() (all, some []float64) {
	for i, b := range broach.HistogramBounds {
		all = append(all, b.Seconds())
		if i%2 == 1 {
			some = append(some, b.Seconds())
		}
	}
	return all, some
}()
