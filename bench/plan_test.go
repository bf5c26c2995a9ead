package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThePlanFollowsTheFlags(t *testing.T) {
	p, err := parsePlan([]string{"-systems", "broach, udp", "-workloads", "add1,echo64k", "-seconds", "0.5", "-rounds",
		"2", "-gogc", "0"})
	require.NoError(t, err)
	require.Equal(t, 500*time.Millisecond, p.window)
	require.Equal(t, 2, p.rounds)
	var jobs []cell
	for _, j := range p.jobs(0) {
		jobs = append(jobs, cell{j.workload.name, j.system.name})
	}
	require.Equal(t, []cell{{"add1", "broach"}, {"add1", "udp"}, {"echo64k", "broach"}}, jobs,
		"64 KiB is not for raw UDP")
}

func TestThePlanRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, args := range [][]string{
		{"-systems", "pigeons"}, {"-workloads", "add2"}, {"-seconds", "61"}, {"-seconds", "0"}, {"-rounds", "0"},
		{"-layouts", "-1"}, {"-gogc", "-1"}, {"more"},
	} {
		_, err := parsePlan(args)
		require.Error(t, err, args)
	}
}

func TestOnlyLossySystemsMeetLoss(t *testing.T) {
	p, err := parsePlan(nil)
	require.NoError(t, err)
	for _, j := range p.jobs(0) {
		require.Equal(t, j.workload.lossy, j.system.lossy, j)
	}
}
