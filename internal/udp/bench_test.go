package udp

import (
	"fmt"
	"testing"
)

// BenchmarkTransport moves batches between two sockets on loopback, in one goroutine, and gives
// the time per datagram, both directions' calls together. Compare batch with plain.
func BenchmarkTransport(b *testing.B) {
	for _, p := range transportPaths {
		for _, n := range []int{1, 16, 64} {
			for _, size := range []int{100, 1400} {
				b.Run(fmt.Sprintf("%s/%d/%dB", p.name, n, size), func(b *testing.B) {
					open := newOpener(b, p.wrap)
					moveBatches(b, open(""), open(""), n, size)
				})
			}
		}
	}
}

// moveBatches sends n datagrams and receives them, again and again.
func moveBatches(b *testing.B, from, to Transport, n, size int) {
	out, in := numberedDatagrams(to.LocalAddr(), n, size), make([]Datagram, maxBatch)
	b.ReportAllocs()
	b.SetBytes(int64(n * size))
	for b.Loop() {
		if _, err := from.Send(out); err != nil {
			b.Fatal(err)
		}
		for left := n; left > 0; {
			k, err := to.Receive(in, false)
			if err != nil {
				b.Fatal(err)
			}
			left -= k
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/datagram")
}

// BenchmarkTransportSenders has as many senders as processors write to one socket nobody reads.
func BenchmarkTransportSenders(b *testing.B) {
	for _, p := range transportPaths {
		b.Run(p.name, func(b *testing.B) {
			open := newOpener(b, p.wrap)
			from, to := open(""), open("")
			b.RunParallel(func(pb *testing.PB) {
				out := numberedDatagrams(to.LocalAddr(), 16, 100)
				for pb.Next() {
					if _, err := from.Send(out); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*16), "ns/datagram")
		})
	}
}
