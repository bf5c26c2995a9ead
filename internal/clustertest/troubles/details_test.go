package troubles

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// "logLevel debug shows contacts, retries, refused calls and packet sizes."
func TestDebugLines(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider := debugged(c)
		p := c.Start(0)
		require.NoError(t, p.Register("echo", func(b []byte) []byte { return b }))
		require.NoError(t, p.Register("one", func() { time.Sleep(time.Second) }, broach.MaxConcurrent(1)))
		caller := debugged(c)
		n := c.Start(1, 0)
		require.NoError(t, n.WaitFor(c.T.Context(), "echo", 1))
		says := func(log *clustertest.SharedLog, words ...string) {
			t.Helper()
			time.Sleep(time.Second)
			for _, w := range words {
				require.Contains(t, log.String(), w)
			}
		}
		at := p.Addr().String()
		says(caller, `an address is contacted" addr=`+at, `an address answers, and offers a link" addr=`+at)
		says(provider, `a process has made a link" addr=`+n.Addr().String())
		_, err := broach.Call[[]byte](c.T.Context(), n.Caller("echo"), make([]byte, 1<<20))
		require.NoError(t, err)
		says(caller, `the packet size of a path has changed" addr=`+at+" bytes=1400")

		go n.Caller("one").Call(context.Background())
		time.Sleep(100 * time.Millisecond)
		_, err = n.Caller("one", broach.NoRetry()).Call(c.T.Context())
		require.ErrorIs(t, err, broach.ErrOverloaded)
		says(provider, `a call failed here" service=one from=`+n.Addr().String()+` code=Overloaded executed=no`)

		c.Net.Cut([]netip.AddrPort{p.Addr()}, []netip.AddrPort{n.Addr()})
		_, err = n.Caller("echo", broach.Timeout(time.Second)).Call(c.T.Context(), []byte{1})
		require.Error(t, err)
		says(caller, "requests were sent again, and nothing says that they arrive")
	})
}

// A path that carries less from now on is told of, too, and no size twice.
func TestPacketSizesAreToldOnce(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		log := debugged(c)
		require.NoError(t, c.Start(0).Register("echo", func(b []byte) []byte { return b }))
		n := c.Start(1, 0)
		require.NoError(t, n.WaitFor(c.T.Context(), "echo", 1))
		echo := func() {
			for range 10 {
				_, err := broach.Call[[]byte](c.T.Context(), n.Caller("echo"), make([]byte, 1<<18))
				require.NoError(t, err)
				time.Sleep(time.Second)
			}
		}
		echo()
		large := strings.Count(log.String(), "bytes=1400")
		require.LessOrEqual(t, large, 2, "each way once")
		require.NotZero(t, large)
		c.Net.SetDefault(simnet.Link{MTU: 1300})
		echo()
		require.Contains(t, log.String(), "bytes=1200")
		require.Equal(t, large, strings.Count(log.String(), "bytes=1400"))
	})
}

// Arguments are in no line, however they are refused: what does not fit is not quoted, whether anybody waits for the
// call or not.
func TestRefusedArgumentsAreNotQuoted(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider := debugged(c)
		p := c.Start(0)
		require.NoError(t, p.Register("small", func(x int8) int8 { return x }))
		require.NoError(t, p.Register("list", func(x []int8) {}))
		require.NoError(t, p.Register("map", func(x map[string]uint8) {}))
		caller := debugged(c)
		n := c.Start(1, 0)
		require.NoError(t, n.WaitFor(c.T.Context(), "map", 1))
		unfit := map[string]any{"small": 31337, "list": []int{31337}, "map": map[string]int{"sesame": 31337}}
		for name, arg := range unfit {
			for _, from := range []*broach.Node{n, p} {
				_, err := from.Caller(name).Call(c.T.Context(), arg)
				require.ErrorContains(t, err, "31337", "who called is told")
				_ = from.Caller(name).Send(c.T.Context(), arg)
				_, err = from.Caller(name).Call(c.T.Context(), arg, arg)
				require.ErrorIs(t, err, broach.ErrInvalidArgument)
				time.Sleep(time.Second) // so that the log is not limited
			}
		}
		time.Sleep(time.Second)
		for _, log := range []*clustertest.SharedLog{provider, caller} {
			require.NotContains(t, log.String(), "31337")
			require.NotContains(t, log.String(), "sesame")
		}
		require.Equal(t, 3*2, strings.Count(provider.String(), "a one-way call failed"), provider.String())
		require.Equal(t, 2*3*2, strings.Count(provider.String(), "a call failed here"), fmt.Sprint(provider))
	})
}
