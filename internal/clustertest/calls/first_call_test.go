package calls

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// firstCalls is what came of the first calls of many processes.
type firstCalls struct {
	took      []time.Duration // in order
	ran       int
	resent    uint64 // Requests that were sent more than once, by either side
	strangers uint64 // counted at the seed
}

// makeFirstCalls starts processes one after the other, each of which calls the seed as soon as it knows its functions,
// or is called by it, and ends.
func makeFirstCalls(c *clustertest.Cluster, processes int, call func(
	seed, newcomer *broach.Node,
) error) (f firstCalls) {
	seed := c.Start(0)
	require.NoError(c.T, seed.Register("echo", func(b []byte) []byte { f.ran++; return b }))
	_, err := seed.Subscribe("told", func([]byte) { f.ran++ }, broach.EachInstance())
	require.NoError(c.T, err)
	time.Sleep(time.Second)
	for i := range processes {
		c.Nodes = c.Nodes[:1]
		newcomer := c.Start(1+i, 0)
		begun := time.Now()
		require.NoError(c.T, call(seed, newcomer), "process %d", i)
		f.took = append(f.took, time.Since(begun))
		for _, n := range c.Nodes {
			for _, p := range n.Stats().Peers {
				f.resent += p.Retransmits
			}
		}
		require.NoError(c.T, newcomer.Close())
	}
	time.Sleep(time.Second)
	slices.Sort(f.took)
	f.strangers = seed.Stats().Strangers
	return f
}

// firstCallForms are the first things that a process may do.
func firstCallForms() map[string]func(seed, newcomer *broach.Node) error {
	echo := func(size int, options ...broach.CallOption) func(_, newcomer *broach.Node) error {
		return func(_, newcomer *broach.Node) error {
			if err := newcomer.WaitFor(context.Background(), "echo", 1); err != nil {
				return err
			}
			_, err := newcomer.Caller("echo", options...).Call(context.Background(), make([]byte, size))
			return err
		}
	}
	return map[string]func(seed, newcomer *broach.Node) error{
		"a call": echo(10), "a call of 40 ms": echo(10, broach.Timeout(40*time.Millisecond)),
		"a large call": echo(100_000),
		"a call that waits for its name": func(_, newcomer *broach.Node) error {
			_, err := newcomer.Caller("echo").Call(context.Background(), []byte{1})
			return err
		},
		"a Send": func(_, newcomer *broach.Node) error {
			return newcomer.Caller("echo").Send(context.Background(), []byte{1})
		},
		"an event": func(_, newcomer *broach.Node) error {
			if err := newcomer.WaitFor(context.Background(), "echo", 1); err != nil {
				return err
			}
			d, err := newcomer.Publish(context.Background(), "told", []byte{1})
			if err == nil && len(d.Nodes) != 1 {
				err = fmt.Errorf("it reached %v", d.Nodes)
			}
			return err
		},
		"a call of the newcomer": func(seed, newcomer *broach.Node) error {
			name := newcomer.Addr().String()
			if err := newcomer.Register(name, func([]byte) {}); err != nil {
				return err
			}
			if err := seed.WaitFor(context.Background(), name, 1); err != nil {
				return err
			}
			_, err := seed.Caller(name).Call(context.Background(), []byte{1})
			return err
		},
	}
}

// Whatever a process does first, it is done at once, and sent once: what follows the Confirm of a link is taken. From
// its start on it takes three round trips, of which two are those of the link.
// [LNK-3] whichever comes first makes the link at B, and its messages and all that follow are taken.
func TestTheFirstCallIsTakenAtOnce(t *testing.T) {
	t.Parallel()
	processes := 150
	if race.Enabled {
		processes = 30
	}
	for name, call := range firstCallForms() {
		for with, keys := range map[string][][]byte{"": nil, ", with keys": {clustertest.KeyOf(1)}} {
			if race.Enabled && keys == nil {
				continue
			}
			t.Run(name+with, func(t *testing.T) {
				clustertest.Run(t, 1, func(c *clustertest.Cluster) {
					c.Edit = func(cfg *broach.Config) { cfg.Keys = keys }
					f := makeFirstCalls(c, processes, call)
					t.Logf("median %v, longest %v", f.took[len(f.took)/2], f.took[len(f.took)-1])
					require.Less(t, f.took[len(f.took)-1], 5*time.Millisecond)
					require.Zero(t, f.resent, "Requests that were sent twice")
					require.Zero(t, f.strangers, "nobody is a stranger")
				})
			})
		}
	}
}

// Where datagrams are lost, a first call ends as well as any: none fails, and none runs twice.
func TestTheFirstCallThroughLoss(t *testing.T) {
	t.Parallel()
	for name, call := range firstCallForms() {
		if name == "a call of 40 ms" {
			continue
		}
		for _, loss := range []float64{0.05, 0.2} {
			if race.Enabled && loss < 0.2 {
				continue
			}
			t.Run(fmt.Sprint(name, ", loss ", loss), func(t *testing.T) {
				clustertest.Run(t, 1, func(c *clustertest.Cluster) {
					c.Net.SetDefault(simnet.Link{Loss: loss, Jitter: 100 * time.Microsecond})
					const processes = 100
					f := makeFirstCalls(c, processes, call)
					t.Logf("median %v, 90 %% %v, longest %v", f.took[processes/2], f.took[processes*9/10],
						f.took[processes-1])
					require.LessOrEqual(t, f.ran, processes)
					// an event waits until its node has joined
					require.Less(t, f.took[processes/2], 160*time.Millisecond)
					require.Less(t, f.took[processes*97/100], 1500*time.Millisecond)
					// each try of a call or of a Confirm is lost with more than a third
					require.Less(t, f.took[processes-1], 3*time.Second)
				})
			})
		}
	}
}
