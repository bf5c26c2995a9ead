package main

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// small is for trials with real sockets that end as soon as the nodes agree.
var small = settings{nodes: 3}

// measured runs a scenario once, and checks that it ended.
func measured(t *testing.T, name string, with system, s settings) []float64 {
	t.Helper()
	what, err := choose(name, scenarios, scenario.id)
	require.NoError(t, err)
	values, err := s.try(what[0], with, 1)
	require.NoError(t, err)
	require.Len(t, values, len(what[0].rows))
	require.False(t, math.IsInf(values[0], 1), "it ends")
	return values
}

func TestEverySystemJoinsLeavesAndRestarts(t *testing.T) {
	for _, with := range systems {
		t.Run(with.name, func(t *testing.T) {
			t.Parallel()
			for _, name := range []string{"join", "one", "leave", "restart"} {
				measured(t, name, with, small)
			}
		})
	}
}

func TestEverySystemNoticesADeath(t *testing.T) {
	for _, with := range systems {
		t.Run(with.name, func(t *testing.T) {
			t.Parallel()
			values := measured(t, "kill0", with, small)
			require.LessOrEqual(t, values[0], values[1], "the first knows before all know")
			require.Greater(t, values[1], 0.1, "nobody can know at once")
		})
	}
}

// A leave of broach is told as that, so that an application need not take it for a failure.
func TestBroachTellsALeaveFromAFailure(t *testing.T) {
	require.Zero(t, measured(t, "leave", broachSystem, small)[1])
}

func TestACutNetworkHealsForBroach(t *testing.T) {
	measured(t, "cut", broachSystem, settings{nodes: 4, cut: 3 * time.Second})
}
