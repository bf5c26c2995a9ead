package simnet_test

import (
	"flag"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// With -seconds 30 -v this is the measurement that the package is tuned by: 600,000 datagrams.
var seconds = flag.Int("seconds", 1, "virtual seconds that TestThousandConns runs for")

// A thousand conns send 20 datagrams a second each, to everybody in turn, and all arrive.
func TestThousandConns(t *testing.T) {
	const conns, rate = 1000, 20
	started := time.Now()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		var wg sync.WaitGroup
		for i := range conns {
			c := listen(t, n, addr(i))
			wg.Go(func() { drain(c) })
			wg.Go(func() { sendInTurn(c, i, conns, rate) })
		}
		time.Sleep(time.Duration(*seconds)*time.Second + time.Second)
		s := n.Stats()
		n.Close()
		wg.Wait()
		require.EqualValues(t, conns*rate**seconds, s.Sent.Datagrams)
		require.Equal(t, s.Sent.Datagrams, s.Delivered)
	})
	t.Logf("%d conns, %d datagrams: %v", conns, conns*rate**seconds, time.Since(started))
}

// drain reads until c is closed.
func drain(c *simnet.Conn) {
	b := make([]byte, 1500)
	for {
		if _, _, err := c.ReadFromUDPAddrPort(b); err != nil {
			return
		}
	}
}

// sendInTurn writes rate datagrams a second, evenly spaced and out of step with the other conns.
func sendInTurn(c *simnet.Conn, self, conns, rate int) {
	gap := time.Second / time.Duration(rate)
	time.Sleep(gap * time.Duration(self) / time.Duration(conns))
	b := make([]byte, 200)
	for i := range rate * *seconds {
		c.WriteToUDPAddrPort(b, addr((self+1+i)%conns))
		time.Sleep(gap)
	}
}
