package main

import (
	"context"
	"debug/buildinfo"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// versusPlan has a before, of which it says only where it would be.
func versusPlan(t *testing.T, args ...string) plan {
	p, err := parsePlan(append(args, "-before", t.TempDir(), "-gogc", "0"))
	require.NoError(t, err)
	return p
}

func TestEachBroachIsFollowedByItsBefore(t *testing.T) {
	p := versusPlan(t, "-systems", "broach,grpc,broach-sealed", "-workloads", "add1,add16")
	var order []string
	for _, j := range p.jobs(0)[:5] {
		order = append(order, j.system.name)
	}
	require.Equal(t, []string{"broach", "broach-before", "grpc", "broach-sealed", "broach-sealed-before"}, order)
}

func TestEveryOtherRoundGoesTheOtherWay(t *testing.T) {
	p := versusPlan(t, "-systems", "broach,grpc", "-workloads", "add1,add16")
	of := func(round int) (list []cell) {
		for _, j := range p.jobs(round) {
			list = append(list, cell{j.workload.name, j.system.name})
		}
		return list
	}
	require.Equal(t, []cell{
		{"add1", "grpc"}, {"add1", "broach-before"}, {"add1", "broach"},
		{"add16", "grpc"}, {"add16", "broach-before"}, {"add16", "broach"},
	}, of(1))
	require.Equal(t, of(0), of(2))
}

func TestTheOtherProgramKnowsASystemByItsOwnName(t *testing.T) {
	p := versusPlan(t, "-systems", "broach-loss5", "-workloads", "loss")
	for _, j := range p.jobs(0) {
		require.Equal(t, order{"broach-loss5", "loss", p.window, 0}, j.order(p.window))
	}
}

func TestRoundsGoThroughTheLayoutsOfBothSides(t *testing.T) {
	built := programs{now: []string{"n1", "n2", "n3"}, before: []string{"b1", "b2", "b3"}}
	for round, want := range [][2]string{{"n1", "b1"}, {"n2", "b2"}, {"n3", "b3"}, {"n1", "b1"}} {
		got := [2]string{built.of(broachSealed, round), built.of(broachSealed.past(), round)}
		require.Equal(t, want, got)
		require.Equal(t, want[0], built.of(grpcSystem, round), "the peers are linked like the present broach")
	}
}

func TestNowIsComparedWithBeforeRoundByRound(t *testing.T) {
	p := versusPlan(t, "-workloads", "add1", "-systems", "broach,grpc")
	now := []result{{rate: 300, cpu: 1}, {rate: 110, cpu: 3}, {rate: 40, cpu: 2}}
	before := []result{{rate: 200, cpu: 2}, {rate: 100, cpu: 2}, {rate: 50, cpu: 2}}
	for i := range now {
		now[i][volume], before[i][volume] = math.NaN(), math.NaN()
		now[i][p50], now[i][p99], before[i][p50], before[i][p99] = 1, 1, 1, 1
	}
	r := results{{"add1", "broach"}: now, {"add1", "broach-before"}: before, {"add1", "grpc"}: {{rate: 50}}}
	require.Equal(t, []string{
		"add1, broach", "1.10 x (0.80 to 1.50)", "", "1.00 x (1.00 to 1.00)", "1.00 x (1.00 to 1.00)",
		"1.00 x (0.50 to 1.50)", "",
	}, r.versus(p.jobs(0)[0]))
	require.Nil(t, r.versus(p.jobs(0)[2]), "there is one grpc only")
	require.Equal(t, "1.10 x", p.rows(r, p.workloads[0], 0)[1][8],
		"beside the peers it is the ratio of medians, as for them")
	require.Contains(t, p.tables(r), "## Now and before")
}

func TestThePictureShowsThePresentOnly(t *testing.T) {
	p := versusPlan(t, "-workloads", "add1", "-systems", "broach,grpc", "-out", t.TempDir())
	require.NoError(t, p.write(example(p)))
	picture, err := os.ReadFile(filepath.Join(p.out, "results.svg"))
	require.NoError(t, err)
	require.Contains(t, string(picture), "gRPC")
	require.NotContains(t, string(picture), "before")
}

// Here the other checkout is the present one, by its absolute path.
func TestAnotherCheckoutIsMeasuredInTheSameRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds four programs")
	}
	other, err := filepath.Abs("..")
	require.NoError(t, err)
	p, err := parsePlan([]string{
		"-before", other, "-layouts", "2", "-rounds", "2", "-seconds", "0.05", "-workloads", "add1", "-systems",
		"broach",
	})
	require.NoError(t, err)
	built, err := p.programs(context.Background(), t.TempDir())
	require.NoError(t, err)
	require.Len(t, built.now, 2)
	require.Len(t, built.before, 2)
	require.Equal(t, "../", broachOf(t, built.of(broachTyped, 1)))
	require.Equal(t, other, broachOf(t, built.of(broachTyped.past(), 1)))

	r := make(results)
	require.NoError(t, p.measureRound(context.Background(), built, 0, r))
	require.NoError(t, p.measureRound(context.Background(), built, 1, r))
	require.Len(t, r.ratios(rate, p.jobs(0)[0]), 2)
	require.Positive(t, middle(r.ratios(rate, p.jobs(0)[0])))
}

// broachOf is the folder of the broach in a program.
func broachOf(t *testing.T, program string) string {
	info, err := buildinfo.ReadFile(program)
	require.NoError(t, err)
	for _, m := range info.Deps {
		if m.Path == "broach" {
			return m.Replace.Path
		}
	}
	t.Fatal("no broach in it")
	return ""
}

func TestARunEndsWithItsContext(t *testing.T) {
	own, err := os.Executable()
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	stop()
	_, err = order{"udp", "add1", 1, 0}.carryOut(ctx, own)
	require.ErrorIs(t, err, context.Canceled)
}
