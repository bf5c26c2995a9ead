package usage

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What the process does shows.
func TestUsageIsThatOfThisProcess(t *testing.T) {
	before, stop := Now(), make(chan bool)
	require.Equal(t, runtime.GOMAXPROCS(0), before.Processors)
	for range 100 {
		go func() { <-stop }()
	}
	held := make([]byte, 64<<20)
	after := Now()
	for began := time.Now(); after.CPU-before.CPU < time.Millisecond && time.Since(began) < 10*time.Second; {
		after = Now()
	}
	close(stop)
	require.GreaterOrEqual(t, after.Goroutines, 100)
	require.Greater(t, after.HeapBytes, uint64(len(held)))
	require.GreaterOrEqual(t, after.CPU-before.CPU, time.Millisecond)
	require.Less(t, after.CPU-before.CPU, time.Minute, "the unit is right")
	runtime.KeepAlive(held)
}

func TestToLookAllocatesLittle(t *testing.T) {
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { Now() }), 2.0)
}
