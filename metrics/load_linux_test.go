package metrics

import (
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"
)

// A scrape of 1,000 functions, half of them called and half served, as it goes to Prometheus but for the network. Other
// work on the machine does not count in ms-processor/op.
func BenchmarkScrape(b *testing.B) {
	s := crowd(1000, 100)
	s.Called, s.Served = s.Called[:500], s.Served[500:]
	r := registryOf(b, s, PerPeer())
	before := processor(b)
	for b.Loop() {
		families, err := r.Gather()
		require.NoError(b, err)
		to := expfmt.NewEncoder(io.Discard, expfmt.NewFormat(expfmt.TypeTextPlain))
		for _, f := range families {
			require.NoError(b, to.Encode(f))
		}
	}
	b.ReportMetric((processor(b)-before).Seconds()*1000/float64(b.N), "ms-processor/op")
}

// processor is the time of processors that this process has taken.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
