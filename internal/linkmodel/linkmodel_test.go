package linkmodel

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

var explore = flag.Bool("explore", false, "explore the large settings too, which takes minutes and a gigabyte or two")

// The model runs in one goroutine: the race detector, which makes it four times as slow, finds nothing there.
func TestMain(m *testing.M) {
	if race.Enabled {
		fmt.Println("one goroutine has no races")
		return
	}
	os.Exit(m.Run())
}

// small are visited in a few seconds, to the last state unless there is a limit. In one line: contacts, Offers, ages,
// Forgets, restarts, calls, lies.
var small = []Setting{
	{Budget: Budget{1, 1, 2, 1, 0, 0, 0}, Sends: 1},
	{Budget: Budget{1, 1, 0, 1, 0, 1, 0}, Sends: 1, Sample: 3},
	{Budget: Budget{1, 1, 0, 1, 1, 0, 0}, Sends: 1},
	{Budget: Budget{1, 1, 0, 0, 1, 0, 1}, Sends: 1, Sample: 7},
	// as far as calls on two links of one side, which begins a third
	{Budget: Budget{1, 1, 0, 0, 0, 1, 0}, Links: 1, Sends: 1, Limit: 90_000},
}

// large are visited with -explore only.
var large = []Setting{
	{Budget: Budget{1, 1, 1, 1, 0, 1, 0}, Sends: 1},
	{Budget: Budget{1, 1, 2, 1, 0, 0, 0}, Sends: 2, Sample: 7},
	{Budget: Budget{1, 2, 2, 1, 0, 0, 0}, Sends: 1, Sample: 7},
	{Budget: Budget{1, 2, 2, 0, 1, 0, 0}, Sends: 1, Sample: 7},
	{Budget: Budget{1, 1, 0, 1, 1, 1, 0}, Sends: 1, Sample: 7},
	{Budget: Budget{1, 1, 0, 1, 1, 0, 1}, Sends: 1, Sample: 7},
	{Budget: Budget{2, 1, 0, 0, 0, 1, 1}, Sends: 1, Sample: 7},
	{Budget: Budget{2, 2, 0, 0, 0, 0, 0}, Sends: 1, Sample: 7},
	{Budget: Budget{1, 1, 0, 0, 0, 1, 0}, Links: 1, Sends: 1, Sample: 7},
	{Budget: Budget{1, 1, 0, 0, 0, 0, 0}, Links: 2, Sends: 1},
	{Budget: Budget{1, 1, 0, 1, 0, 1, 0}, Links: 1, Sends: 1, Sample: 7},
	{Budget: Budget{2, 2, 0, 0, 0, 1, 0}, Links: 2, Sends: 1, Sample: 7},
}

// "Whenever the network behaves, both prefer one confirmed link after at most three rounds, two of them doubts."
const roundsPromised = 3

func TestNothingGoesWrongWithinTheSmallBudgets(t *testing.T) {
	for _, set := range small {
		t.Run(fmt.Sprint(set.Budget, set.Links), func(t *testing.T) { requireSound(t, Explore(set)) })
	}
}

func TestNothingGoesWrongWithinTheLargeBudgets(t *testing.T) {
	if !*explore {
		t.Skip("only with -explore")
	}
	for _, set := range large {
		set.Limit = 3_000_000
		t.Run(fmt.Sprint(set.Budget, set.Links, set.Sends), func(t *testing.T) { requireSound(t, Explore(set)) })
	}
}

func TestNothingGoesWrongOnWalks(t *testing.T) {
	walks := 300
	if *explore {
		walks = 100_000
	}
	for links := range uint8(3) {
		set := Setting{Budget: Budget{3, 4, 2, 1, 1, 2, 1}, Links: links, Sends: 2, Sample: 2}
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%d links, seed %d", links, seed),
				func(t *testing.T) { requireSound(t, Walk(set, seed, walks, 45)) })
		}
	}
}

func requireSound(t *testing.T, r Result) {
	t.Helper()
	t.Logf("%d states, %d steps, complete %v, rounds %v", r.States, r.Steps, r.Complete, r.Rounds)
	require.Empty(t, r.Fault, "after\n%s", r.Trace)
	require.LessOrEqual(t, r.Worst(), roundsPromised)
}

func TestEachRuleTakenAwayIsMissed(t *testing.T) {
	for _, c := range []struct {
		name   string
		rules  Rules
		budget Budget
		links  uint8
		fault  string
	}{
		{"a Confirm repeated after Forget makes its link again", Rules{NoSpent: true}, Budget{1, 1, 0, 1, 0, 0, 0}, 0,
			"replay"},
		{"an old Confirm makes its link again when its token is forgotten", Rules{NoAge: true},
			Budget{1, 1, 2, 1, 0, 0, 0}, 0, "replay"},
		{"a token is forgotten before the reader knows its age", Rules{BatchClock: true}, Budget{1, 1, 1, 1, 0, 0, 0},
			0, "replay"},
		{"two that open at once stay on two links", Rules{LastPreferred: true}, Budget{1, 1, 0, 0, 0, 0, 0}, 0,
			"agree"},
		{"a Confirm held back replaces the successor of its sender", Rules{Revive: true}, Budget{1, 1, 0, 0, 1, 0, 0},
			0, "revived"},
		{"who hears an Open and answers first ends a link of others", Rules{EarlyHeld: true},
			Budget{2, 1, 0, 0, 0, 0, 1}, 0, "ended"},
		{"one false rank spends the ranks of a pair", Rules{HighRank: true}, Budget{1, 1, 0, 0, 0, 0, 1}, 0, "agree"},
		{"a liar spoils the process that comes after it", Rules{HighRank: true}, Budget{1, 1, 0, 0, 1, 0, 1}, 0,
			"agree"},
		{"a third link ends a call between two that are well", Rules{CutBusy: true}, Budget{1, 1, 0, 0, 0, 0, 0}, 1,
			"cut"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Explore(Setting{Budget: c.budget, Rules: c.rules, Links: c.links, Sends: 1, Sample: 1})
			require.Equal(t, c.fault, r.Fault)
			t.Logf("after %d states\n%s", r.States, r.Trace)
		})
	}
}
