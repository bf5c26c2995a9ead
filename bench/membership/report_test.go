package main

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"broach/bench/internal/page"
)

// example has three rounds of everything that a plan measures.
func example(p plan) results {
	r := make(results)
	for _, s := range p.scenarios {
		for i, with := range p.systems {
			for round := range 3 {
				r.add(s, with, []float64{float64(1 + i + round), 2, 3}[:len(s.rows)])
			}
		}
	}
	return r
}

func TestTheReportShowsEverySystemAndRow(t *testing.T) {
	p, err := parsePlan([]string{"-out", t.TempDir()})
	require.NoError(t, err)
	require.NoError(t, p.write(example(p)))
	page, err := os.ReadFile(filepath.Join(p.out, "RESULTS.md"))
	require.NoError(t, err)
	for _, s := range scenarios {
		for _, one := range s.rows {
			require.Contains(t, string(page), "| "+one.title)
		}
	}
	picture, err := os.ReadFile(filepath.Join(p.out, "results.svg"))
	require.NoError(t, err)
	for _, s := range systems {
		require.Contains(t, string(page), s.title)
		require.Contains(t, string(picture), s.title)
	}
}

func TestACellHasTheMedianAndTheMaximum(t *testing.T) {
	times, counts := row{show: seconds}, row{show: page.Count}
	require.Equal(t, "250 ms (never)", times.cell([]float64{0.25, math.Inf(1), 0.2}))
	require.Equal(t, "never", times.cell([]float64{math.Inf(1), math.Inf(1), 1}))
	require.Equal(t, "0 (1,234)", counts.cell([]float64{0, 1234, 0}))
	require.Equal(t, "0", counts.cell([]float64{0, 0}))
	require.Equal(t, "", counts.cell(nil))
}

func TestNumbersAreWrittenShort(t *testing.T) {
	require.Equal(t, []string{"6 ms", "1.20 s", "never"}, []string{seconds(0.006), seconds(1.2), seconds(math.Inf(1))})
	require.Equal(t, []string{"0", "gives no reason"}, []string{untold(0), untold(math.NaN())})
	require.Equal(t, []string{"a", "a, 5 % loss"}, []string{lossy("a", 0), lossy("a", 5)})
}

func TestNoPictureOfNothing(t *testing.T) {
	p, err := parsePlan([]string{"-scenarios", "join,leave"})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "results.svg")
	require.NoError(t, p.draw(example(p), path))
	require.NoFileExists(t, path)
}
