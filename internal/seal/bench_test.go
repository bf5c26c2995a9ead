package seal

import (
	"fmt"
	"testing"
)

// Opening includes a copy: it is in place.
func BenchmarkSealAndOpen(b *testing.B) {
	r := newRing(b, 1)
	began, other := ends(1)
	s, o := r.Sealer(began, 1), new(Opener)
	for _, size := range []int{100, 1400} {
		d := datagram(1, string(make([]byte, size-head)))
		room := make([]byte, 0, size+Overhead)
		b.Run(fmt.Sprintf("Seal/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Seal(append(room[:0], d...), head)
			}
		})
		sealed := s.Seal(d, head)
		b.Run(fmt.Sprintf("Open/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := o.Open(r, other, append(room[:0], sealed...), head, s.KeyID(), 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a link costs at its birth, and what a stranger can have computed.
func BenchmarkHandshake(b *testing.B) {
	r := newRing(b, 1)
	began, _ := ends(1)
	private, public := NewPrivate(counting(1)), NewPrivate(counting(2)).Public()
	d := proven(r, 0)
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"Prove", func() { r.Prove(d, 0) }},
		{"Check", func() { r.Check(d, r.KeyID()) }},
		{"Sealer", func() { r.Sealer(began, 1) }},
		{"NewPrivate", func() { NewPrivate(counting(1)) }},
		{"Shared", func() { _, _ = private.Shared(public) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.run()
			}
		})
	}
}
