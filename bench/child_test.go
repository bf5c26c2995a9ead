package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAChildServesReportsAndEnds(t *testing.T) {
	srv, err := startChild("udp")
	require.NoError(t, err)
	c, err := rawUDP.dial(srv.addr)
	require.NoError(t, err)
	defer c.close()
	before, err := srv.usage()
	require.NoError(t, err)
	sum, err := c.add(1, 2)
	require.NoError(t, err)
	require.Equal(t, 3, sum)
	after, err := srv.usage()
	require.NoError(t, err)
	require.Greater(t, after.Mallocs, before.Mallocs, "what the child does is seen here")
	require.False(t, after.Counted)
	require.NoError(t, srv.stop())
}

func TestAChildThatCannotServeIsAnError(t *testing.T) {
	_, err := startChild("pigeons")
	require.ErrorContains(t, err, "the server did not start")
}
