package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThePlanFollowsTheFlags(t *testing.T) {
	p, err := parsePlan([]string{"-systems", "fast, broach", "-scenarios", "kill5,join", "-nodes", "5", "-quiet", "3s"})
	require.NoError(t, err)
	require.Equal(t, "broach,fast", names(p.systems, system.id), "in the order of the table")
	require.Equal(t, "join,kill5", names(p.scenarios, scenario.id))
	require.Equal(t, 5, p.nodes)
	require.Equal(t, 3*time.Second, p.quiet)
}

func TestThePlanRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, args := range [][]string{
		{"-systems", "pigeons"}, {"-scenarios", "join,flood"}, {"-nodes", "2"}, {"-nodes", "257"}, {"-rounds", "0"},
		{"more"},
	} {
		_, err := parsePlan(args)
		require.Error(t, err, args)
	}
}
