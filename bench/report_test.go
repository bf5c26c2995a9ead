package main

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumbersAreWrittenShort(t *testing.T) {
	require.Equal(t, []string{"2.5 µs", "1.23 ms", "1.5 s", ""},
		[]string{duration(2.5e-6), duration(1.2345e-3), duration(1.5), duration(math.NaN())})
	require.Equal(t, []string{"3.50", "35.0", "350", "3.50k", "350k"},
		[]string{brief(3.5), brief(35), brief(350), brief(3500), brief(350e3)})
	require.Equal(t, "", decimals(1)(math.NaN()))
}

// example has a number for everything that a plan measures.
func example(p plan) results {
	r := make(results)
	for i, j := range p.jobs(0) {
		r[cell{j.workload.name, j.system.name}] = []result{{rate: 1000 * float64(i+1), volume: float64(i + 1)}}
	}
	return r
}

func TestTheReportShowsEverySystemAndWorkload(t *testing.T) {
	p, err := parsePlan([]string{"-out", t.TempDir()})
	require.NoError(t, err)
	require.NoError(t, p.write(example(p)))
	page, err := os.ReadFile(filepath.Join(p.out, "RESULTS.md"))
	require.NoError(t, err)
	for _, w := range workloads {
		require.Contains(t, string(page), "## "+w.name+": "+w.title)
	}
	for _, s := range systems {
		require.Contains(t, string(page), "| "+s.title)
	}
	picture, err := os.ReadFile(filepath.Join(p.out, "results.svg"))
	require.NoError(t, err)
	for _, text := range []string{"add256", "echo1m", "raw UDP", "100,000"} {
		require.Contains(t, string(picture), text)
	}
}

func TestTheRatioColumnComparesWithBroach(t *testing.T) {
	p, err := parsePlan([]string{"-workloads", "add1", "-systems", "broach,grpc"})
	require.NoError(t, err)
	r := results{{"add1", "broach"}: {{rate: 300}}, {"add1", "grpc"}: {{rate: 100}}}
	rows := p.rows(r, p.workloads[0], 0)
	require.Equal(t, "1.00 x", rows[0][len(rows[0])-1])
	require.Equal(t, "3.00 x", rows[1][len(rows[1])-1])
}

func TestASecondTableHasEverySystemWithALargerHeap(t *testing.T) {
	p, err := parsePlan([]string{"-workloads", "add1", "-systems", "broach,grpc"})
	require.NoError(t, err)
	r := results{
		{"add1", "broach"}: {{rate: 300}}, {"add1", "grpc"}: {{rate: 100}},
		{"add1", "broach-gogc400"}: {{rate: 500}}, {"add1", "grpc-gogc400"}: {{rate: 250}},
	}
	usual, roomy := p.rows(r, p.workloads[0], 0), p.rows(r, p.workloads[0], 400)
	require.Equal(t, []string{"gRPC", "3.00 x"}, []string{usual[1][0], usual[1][len(usual[1])-1]})
	require.Equal(t, []string{"gRPC, GOGC=400", "2.00 x"}, []string{roomy[1][0], roomy[1][len(roomy[1])-1]})
	require.Contains(t, p.tables(r), "With GOGC=400:")
	p, err = parsePlan([]string{"-gogc", "0"})
	require.NoError(t, err)
	require.Equal(t, systems[len(systems)-1].name, p.systems[len(systems)-1].name, "each once")
}

// The processes of such a system have that GOGC, and it is known by its own name there, in another checkout too.
func TestTheOrderHasTheHeapOfItsSystem(t *testing.T) {
	p, err := parsePlan([]string{"-systems", "broach", "-workloads", "add1", "-before", t.TempDir()})
	require.NoError(t, err)
	var names []string
	for _, j := range p.jobs(0) {
		names = append(names, j.system.name)
		require.Equal(t, order{"broach", "add1", p.window, j.system.gogc}, j.order(p.window))
	}
	require.Equal(t, []string{"broach", "broach-before", "broach-gogc400", "broach-gogc400-before"}, names)
}

func TestNoPictureOfNothing(t *testing.T) {
	p, err := parsePlan([]string{"-workloads", "loss"})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "results.svg")
	require.NoError(t, p.draw(example(p), path))
	require.NoFileExists(t, path)
}
