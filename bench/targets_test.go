package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBounds(t *testing.T) {
	require.True(t, atLeast(2).holds(2))
	require.False(t, atLeast(2).holds(1.99))
	require.True(t, atMost(2).holds(2))
	require.False(t, atMost(2).holds(2.01))
	require.False(t, atLeast(0).holds(math.NaN()))
	require.False(t, atMost(0).holds(math.NaN()))
}

func TestATargetIsJudgedByTheMedians(t *testing.T) {
	r := results{
		{"add1", "broach"}: {{rate: 300}},
		{"add1", "grpc"}:   {{rate: 100}},
	}
	rows := targetRows(r)
	require.Equal(t, [][]string{{"add1, calls/s, broach / grpc", "3.00 x", ">= 2.20 x", "yes", ">= 12.00 x", "**no**"}},
		rows,
		"what was not measured is not judged")
}

func TestAnAbsoluteTargetHasItsUnit(t *testing.T) {
	late := absolute(p99, "loss", "broach-loss5", unasked, atMost(0.150))
	require.Equal(t, []string{"loss, p99, broach-loss5", "20 ms", "", "", "<= 150 ms", "yes"}, late.row(0.020))
}

func TestTargetsNameWhatIsMeasured(t *testing.T) {
	all := map[cell]bool{}
	for _, j := range (plan{systems: systems, workloads: workloads}).jobs(0) {
		all[cell{j.workload.name, j.system.name}] = true
	}
	for _, target := range targets {
		require.True(t, all[target.of], target)
		require.True(t, !target.isTimes() || all[target.than], target)
		require.False(t, target.must == unasked && target.aim == unasked, target)
	}
}
