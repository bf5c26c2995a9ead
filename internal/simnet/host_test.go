package simnet

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// Two nodes are the first to write to an address. Both miss it in the table, then both add it: they must get one host,
// or what one of them wrote is forgotten.
func TestAHostIsAddedOnce(t *testing.T) {
	var table hosts
	addr := netip.MustParseAddrPort("10.0.0.1:7000")
	key := addrKey(addr)
	s := &table.shards[key%shards]
	first, second := table.add(s, addr, key), table.add(s, addr, key)
	require.Same(t, first, second)
	require.Same(t, first, table.at(addr))
	require.Len(t, table.all(), 1)
}
