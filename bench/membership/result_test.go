package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMedian(t *testing.T) {
	never := math.Inf(1)
	require.Equal(t, 2.0, median([]float64{3, 1, 2}))
	require.Equal(t, 2.5, median([]float64{4, 1, 2, 3}))
	require.Equal(t, 23.0, median([]float64{never, 23, 1}))
	require.Equal(t, never, median([]float64{never, 23, never}))
	require.True(t, math.IsNaN(median(nil)))
}

func TestMedianLeavesTheRoundsInOrder(t *testing.T) {
	rounds := []float64{3, 1, 2}
	median(rounds)
	require.Equal(t, []float64{3, 1, 2}, rounds)
}
