package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMiddle(t *testing.T) {
	require.Equal(t, 2.0, middle([]float64{3, 1, 2}))
	require.Equal(t, 2.5, middle([]float64{4, 1, 3, 2}))
	require.True(t, math.IsNaN(middle(nil)))
}

func TestMedianHidesNoFailure(t *testing.T) {
	m := median([]result{
		{rate: 100, p99: 3, failed: 5},
		{rate: 300, p99: 1, repeated: 1},
		{rate: 200, p99: 2},
	})
	require.Equal(t, 200.0, m[rate])
	require.Equal(t, 2.0, m[p99])
	require.Equal(t, 5.0, m[failed], "in one round of three")
	require.Equal(t, 1.0, m[repeated])
}

func TestRatioIsThatOfMedians(t *testing.T) {
	a, b := cell{"add1", "broach"}, cell{"add1", "grpc"}
	r := results{a: {{rate: 10}, {rate: 1000}, {rate: 30}}, b: {{rate: 10}}}
	x, ok := r.ratio(rate, a, b)
	require.True(t, ok)
	require.Equal(t, 3.0, x)
	_, ok = r.ratio(rate, a, cell{"add1", "nats"})
	require.False(t, ok, "not measured")
}
