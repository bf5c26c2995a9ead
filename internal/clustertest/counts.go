package clustertest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"broach"

	"github.com/stretchr/testify/require"
)

// Counts is what a list of Stats says of a name in words, such as "3: 1 NotFound, 2 retries, 1 running".
// It holds that the numbers agree with each other.
func Counts(t *testing.T, list []broach.FunctionStats, name string) string {
	t.Helper()
	s := CountsOf(list, name)
	require.Equal(t, s.Calls, total(s.Latency))
	words := []string{}
	for _, code := range slices.Sorted(maps.Keys(s.Errors)) {
		words = append(words, fmt.Sprint(s.Errors[code], " ", code))
	}
	if s.Retries > 0 {
		words = append(words, fmt.Sprint(s.Retries, " retries"))
	}
	if s.Running > 0 {
		words = append(words, fmt.Sprint(s.Running, " running"))
	}
	return strings.TrimSuffix(fmt.Sprint(s.Calls, ": ", strings.Join(words, ", ")), ": ")
}

func total(h broach.Histogram) (n uint64) {
	for _, count := range h.Counts {
		n += count
	}
	return n
}

// Classes are those that a histogram has anything in, by their bounds; "longer" is the last.
func Classes(h broach.Histogram) map[string]uint64 {
	found := map[string]uint64{}
	for i, n := range h.Counts {
		bound := "longer"
		if i < len(broach.HistogramBounds) {
			bound = broach.HistogramBounds[i].String()
		}
		if n > 0 {
			found[bound] = n
		}
	}
	return found
}

// CountsOf is what a list says of a name; all of it zero if there is nothing.
func CountsOf(list []broach.FunctionStats, name string) broach.FunctionStats {
	for _, s := range list {
		if s.Name == name {
			return s
		}
	}
	return broach.FunctionStats{}
}
