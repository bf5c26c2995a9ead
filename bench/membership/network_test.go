package main

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	first  = netip.MustParseAddrPort("127.0.0.1:1")
	second = netip.MustParseAddrPort("127.0.0.1:2")
	third  = netip.MustParseAddrPort("127.0.0.1:6")
)

func TestACutPartsTheHalvesUntilItIsHealed(t *testing.T) {
	n := newNetwork(1)
	n.cut([]netip.AddrPort{first, second})
	require.True(t, n.passes(first, second, 0))
	require.False(t, n.passes(first, third, 0))
	require.False(t, n.passes(third, second, 0))
	require.False(t, n.connects(third, second))
	require.True(t, n.connects(second, first))
	n.heal()
	require.True(t, n.passes(first, third, 0))
	require.True(t, n.connects(third, second))
}

func TestLossTakesItsShareAndTheSameWithTheSameSeed(t *testing.T) {
	a, b := newNetwork(7), newNetwork(7)
	a.setLoss(0.25)
	b.setLoss(0.25)
	lost := 0
	for i := range 10_000 {
		passed := a.passes(first, second, 0)
		require.Equal(t, passed, b.passes(first, second, 0), i)
		if !passed {
			lost++
		}
	}
	require.InDelta(t, 2500, lost, 150, "three and a half standard deviations; the seed is fixed")
	require.True(t, a.connects(first, second), "TCP hides loss")
}

func TestWhatIsSentIsCountedThoughItIsLost(t *testing.T) {
	n := newNetwork(1)
	n.setLoss(1)
	n.passes(first, second, 100)
	n.passes(first, second, 20)
	n.stream(7)
	require.Equal(t, traffic{datagrams: 2, bytes: 120 + 2*headers, streamed: 7}, n.total())
}

func TestASilentPortSendsNothingAndCountsNothing(t *testing.T) {
	p := &port{net: newNetwork(1), self: first}
	require.True(t, p.sends(second, 10))
	require.NoError(t, p.dials(second))
	p.silent.Store(true)
	require.False(t, p.sends(second, 10))
	require.ErrorIs(t, p.dials(second), errCut)
	require.Equal(t, 1, p.net.total().datagrams)
}
