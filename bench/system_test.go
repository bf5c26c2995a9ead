package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEverySystemAnswersItsThreeFunctions(t *testing.T) {
	for _, s := range systems {
		if s.lossy && s.name != "broach-loss0" {
			continue // chance decides
		}
		t.Run(s.name, func(t *testing.T) {
			srv, err := s.serve()
			require.NoError(t, err)
			defer srv.stop()
			c, err := s.dial(srv.addr)
			require.NoError(t, err)
			defer c.close()

			sum, err := c.add(1_000_000, 999)
			require.NoError(t, err)
			require.Equal(t, 1_000_999, sum)

			p := bytes.Repeat([]byte("broach !"), 1<<10/8)
			back, err := c.echo(p)
			require.NoError(t, err)
			require.Equal(t, p, back)

			if s.streams {
				one := newCaller(c, 0, workload{callers: 1, size: 1 << 10, stream: true})
				require.NoError(t, one.work(time.Now().Add(10*time.Millisecond)))
				require.NoError(t, one.work(time.Now()), "another stream")
				require.Zero(t, one.failed)
				require.NotZero(t, one.answered)
			}
			if s.maxEcho == 0 {
				got, err := c.put(p)
				require.NoError(t, err)
				require.Equal(t, checksum(p), got)
			}
		})
	}
}

func TestALossyServerCountsItsExecutions(t *testing.T) {
	s, ok := systemNamed("broach-loss0")
	require.True(t, ok)
	srv, err := s.serve()
	require.NoError(t, err)
	defer srv.stop()
	c, err := s.dial(srv.addr)
	require.NoError(t, err)
	defer c.close()
	for id := range 10 {
		_, err := c.add(id, 0)
		require.NoError(t, err)
	}
	_, err = c.add(3, 0)
	require.NoError(t, err)
	u := usageNow(srv.tally)
	require.True(t, u.Counted)
	require.EqualValues(t, 11, u.Runs)
	require.EqualValues(t, 1, u.Repeated)
}

func TestFateOfADatagram(t *testing.T) {
	require.Equal(t, sent, fateOf(0, 0), "no loss, no mischief")
	require.Equal(t, lost, fateOf(0.04, 0.05))
	require.Equal(t, late, fateOf(0.06, 0.05))
	require.Equal(t, twice, fateOf(0.11, 0.05))
	require.Equal(t, sent, fateOf(0.13, 0.05))
}
