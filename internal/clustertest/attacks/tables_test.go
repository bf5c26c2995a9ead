package attacks

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/intruder"

	"github.com/stretchr/testify/require"
)

// mostFunctions is how many a node can have.
const mostFunctions = 10_000

// logged lets the nodes that start from now on write to a log.
func (f *field) logged() *clustertest.SharedLog {
	log := new(clustertest.SharedLog)
	f.edit = func(cfg *broach.Config) { cfg.Logger = slog.New(slog.NewTextHandler(log, nil)) }
	return log
}

// A table that finds no room is counted, and the operator is told once what to do.
func TestTablesWithoutRoomAreTold(t *testing.T) {
	t.Parallel()
	inField(t, 1, nil, func(t *testing.T, f *field) {
		log := f.logged()
		full := f.start(0)
		f.edit = func(*broach.Config) {}
		provider := f.start(1) // it offers count as well
		for _, name := range numbered(mostFunctions - 1) {
			require.NoError(t, provider.Register(name, func() {}))
		}
		f.net.Tap(nil)
		table := intruder.Table(numbered(mostFunctions)...) // 20 of them take all the rows that one holds, [TAB-9]
		for i := range 20 {
			f.member(i, full, func(m *intruder.Intruder) { m.Table = table })
		}
		f.untilEach(100*time.Millisecond, time.Minute, "all room is taken", func() bool {
			return providersOf(full, "f00000") == 20
		})
		require.NoError(t, full.Join(provider.Addr().String()))
		time.Sleep(30 * time.Second)
		require.NoError(t, provider.Unregister("count"))
		require.NoError(t, provider.Register("g", func() {}))
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 1, full.Stats().TablesRefused)
		require.Equal(t, 1, strings.Count(log.String(), "too large"))
		require.Equal(t, broach.Alive, clustertest.MemberAt(full, provider.Addr()).State)
		_, err := full.Caller("g").Call(context.Background())
		require.ErrorIs(t, err, broach.ErrNotFound)
		for _, m := range f.bad {
			require.True(t, m.Say(full.Addr(), intruder.Of(intruder.KindLeave)))
		}
		time.Sleep(time.Minute) // [TAB-9] it is pulled again after a minute
		_, err = full.Caller("g").Call(context.Background())
		require.NoError(t, err)
	})
}

// Tables that cannot be read are counted, and the operator is told.
func TestTablesThatCannotBeReadAreTold(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		log := f.logged()
		n := f.start(0)
		// too long for a hello: it is pulled
		f.member(0, n, func(m *intruder.Intruder) { m.Table = clustertest.Noise(2000) })
		time.Sleep(time.Second)
		require.EqualValues(t, 1, n.Stats().TablesRefused)
		require.Contains(t, log.String(), "cannot be read")
	})
}
