package broach

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"broach/internal/race"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// What a changed row costs does not depend on how many others there are.
func TestAChangedRowCostsLittle(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates, too")
	}
	h := newHall(t, 200, 1000)
	const changes = 50
	cost := uint64(0)
	for range changes {
		h.pause(1000)
		cost += allocatedBy(func() { h.publish(h.now) })
	}
	require.Less(t, cost/changes, uint64(8<<10), "bytes, of them 1,600 for the list of the peers")
	require.Len(t, h.calling.view.Load().peers, 200)
	require.Equal(t, h.version, h.calling.view.Load().peers[0].Tver, "each change was one")
	require.NotNil(t, h.calling.view.Load().routes.get(tableOf(0, 501)[500].Name))
}

// allocatedBy is the number of bytes that f allocates.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A peer that has not changed is the same in the next view, so that Watch and the routes need not look at it.
func TestUnchangedPeersAreShared(t *testing.T) {
	h := newHall(t, 3, 1)
	before := h.calling.view.Load()
	h.says(h.now, h.peers[1], 1, wire.Leave{})
	h.publish(h.now)
	after := h.calling.view.Load()
	for i := range before.peers {
		require.Equal(t, i != 1, before.peers[i] == after.peers[i], "peer %d", i)
	}
	require.Equal(t, []Event{{Kind: MemberLeft, Member: h.member(after.peers[1])}}, slices.Collect(h.changes(before, after)))
}

// Views are made at most a tenth of the time, and a mass join does not make them all the time either; the first change
// after a while is shown at once.
func TestPublishingIsPacedByItsCost(t *testing.T) {
	require.Equal(t, 100*time.Microsecond, publishGap(10, 5*time.Microsecond))
	require.Equal(t, 5*time.Millisecond, publishGap(10, 500*time.Microsecond))
	require.Equal(t, publishLate, publishGap(10, time.Minute), "what is shown is never older")

	h := newHall(t, 1, 1)
	h.loop.viewTook = 20 * time.Millisecond
	h.publishSoon()
	require.Equal(t, h.loop.published.Add(200*time.Millisecond), h.loop.publishAt)
}
