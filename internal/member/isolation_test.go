package member

import (
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-13] When no witness answers at all, 40 probes come first, and neither Suspect nor Offline is sent.
func TestWhoIsCutOffAccusesNobody(t *testing.T) {
	s := newSociety(t)
	all := s.grow(8)
	lonely := all[0]
	s.cut = func(from, to *citizen) bool { return to == lonely } // its own datagrams still arrive
	sent := s.watch(lonely)
	s.run(20 * time.Second)
	require.Zero(t, kindsOf(*sent)[wire.KindSuspect])
	require.Zero(t, kindsOf(*sent)[wire.KindOffline])
	require.Equal(t, 7, lonely.in(Offline))
}
