package handshake

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// handshakeStep is what a datagram of a stranger, or a link, costs: tests count its allocations and benchmarks time it.
type handshakeStep struct {
	name   string
	allocs float64 // at most
	run    func()
}

func handshakeSteps(t testing.TB) []handshakeStep {
	x := sealedExchange(t)
	confirm, terms := x.confirm(), x.terms()
	order := terms.Order()
	return []handshakeStep{
		{"Answer", 7, func() { x.b.Answer(at(1_000_000), x.open, addrB, addrA, 0) }},
		{"IsOurs", 7, func() { x.b.IsOurs(at(1_000_000), confirm) }},
		{"TooOld", 0, func() { x.b.IsOurs(at(2_000_000), confirm) }},
		{"Transcript", 0, func() { terms.Transcript() }},
		{"Compare", 0, func() { order.Compare(order) }},
	}
}

func TestHandshakesAllocateLittle(t *testing.T) {
	for _, s := range handshakeSteps(t) {
		require.LessOrEqual(t, testing.AllocsPerRun(100, s.run), s.allocs, s.name)
	}
}

func BenchmarkHandshake(b *testing.B) {
	for _, s := range handshakeSteps(b) {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.run()
			}
		})
	}
}
