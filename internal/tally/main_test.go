package tally

import (
	"testing"
	"time"
)

// withStripes runs a test where a Cell that is called often has so many stripes.
func withStripes(t *testing.T, n int) {
	was := stripes
	stripes = n
	t.Cleanup(func() { stripes = was })
}

// BenchmarkCount counts a call as its caller does, and as its provider does.
func BenchmarkCount(b *testing.B) {
	for name, isServed := range map[string]bool{"called": false, "served": true} {
		b.Run(name, func(b *testing.B) {
			c := newCell(isServed)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for now := time.Duration(0); pb.Next(); now += 997 {
					if isServed {
						c.Serve(now, 10*time.Microsecond)
					} else {
						c.Begin(now)
					}
					c.End(now, 300*time.Microsecond, 0)
				}
			})
		})
	}
}
