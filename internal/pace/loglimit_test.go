package pace

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFewLinesASecondAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l LogLimit
		burst := func(n int) (logged, suppressed int) {
			for range n {
				s, ok := l.Allow(time.Now())
				if suppressed += s; ok {
					logged++
				}
			}
			return logged, suppressed
		}
		logged, suppressed := burst(100)
		require.Equal(t, logBurst, logged)
		require.Zero(t, suppressed)

		time.Sleep(time.Second - 1)
		logged, _ = burst(100)
		require.Zero(t, logged, "the second is not over")

		time.Sleep(time.Nanosecond)
		logged, suppressed = burst(1)
		require.Equal(t, 1, logged)
		require.Equal(t, 200-logBurst, suppressed, "the first line says how many there were before it")
		_, suppressed = burst(1)
		require.Zero(t, suppressed)
	})
}
