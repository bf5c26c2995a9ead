package seal

import (
	"fmt"
	"testing"
)

func BenchmarkSeal(b *testing.B) {
	r, _ := NewRing([][]byte{keyOf(0)})
	s := r.Sealer(1, 2)
	for _, size := range []int{100, 1400} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			d := make([]byte, size, size+Overhead)
			b.ReportAllocs()
			for b.Loop() {
				s.Seal(d, 40)
			}
		})
	}
	b.Run("derive", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Sealer(1, 2)
		}
	})
}
