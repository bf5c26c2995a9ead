package main

import (
	"bytes"
	"encoding/gob"
	"strings"
	"testing"
	"time"

	"broach"

	"broach/bench/internal/checkout"

	"github.com/stretchr/testify/require"
)

func TestTheLogIsThatOfOneNodeAndTheSurprisesOfAll(t *testing.T) {
	p := paused(
		saw(700.26, near, broach.MemberOffline), saw(700, far, broach.MemberOffline),
		sighting{When: at(10000.5), By: victim, Kind: broach.MemberOffline, About: far},
		saw(10007, near, broach.MemberUp),
		sighting{When: at(10007), By: near, Kind: broach.ServiceAdded, About: victim, Service: "add"},
	)
	require.Equal(t, `         0.0 ms  SIGSTOP
       700.3 ms  member offline: 127.0.0.1:1
     10000.0 ms  SIGCONT
     10000.5 ms  member offline: 127.0.0.1:3, says 127.0.0.1:1
     10007.0 ms  member up: 127.0.0.1:1
     10007.0 ms  service added: add of 127.0.0.1:1
`, p.log(near))
}

func TestARowHasOnlyWhatHappened(t *testing.T) {
	p := paused(saw(700, near, broach.MemberOffline), saw(900, far, broach.MemberOffline),
		saw(10007, near, broach.MemberUp))
	p.tally = tally{calls: 1234, failed: map[failure]int{{broach.Unreachable, broach.Maybe}: 4},
		longest: 9 * time.Millisecond}
	require.Equal(t, []string{"700 ms", "900 ms", "never", "0", "0", "1,234", "4 Unreachable (maybe)", "0", "9.0 ms",
		""}, p.row())
	q := trial{scenario: scenario{title: "quiet"}}
	require.Equal(t, []string{"", "", "", "0", "0", "0", "0", "0", "", ""}, q.row())
}

// played is a side on which both of two scenarios went like that.
func played(name string) *side {
	stopped, quiet := paused(), trial{scenario: scenario{title: "quiet"}}
	return &side{name: name, accounts: []account{stopped.account(near), quiet.account(near)}}
}

func TestThePageHasEveryTrial(t *testing.T) {
	page := results([]*side{played("")}, checkout.Pair{})
	require.Contains(t, page, "| stopped |")
	require.Contains(t, page,
		"\n## What one of them saw\n\nMilliseconds since the cause; the process is 127.0.0.1:2.\n")
	require.Contains(t, page, "### quiet\n\n```\n     no event\n```\n")
}

func TestThePageHasBothSidesOfEachScenarioSideBySide(t *testing.T) {
	page := results([]*side{played("now"), played("before")}, checkout.Pair{})
	last := 0
	for _, next := range []string{
		"| stopped, now ", "| stopped, before ", "| quiet, now ", "| quiet, before ",
		"## What one of them saw, now", "### quiet, now", "## What one of them saw, before", "### quiet, before",
	} {
		at := strings.Index(page, next)
		require.Greater(t, at, last, next)
		last = at
	}
}

func TestWhatASideTellsIsReadToItsEnd(t *testing.T) {
	var told bytes.Buffer
	out, want := gob.NewEncoder(&told), played("now")
	for _, a := range want.accounts {
		require.NoError(t, out.Encode(a))
	}
	half := bytes.NewReader(told.Bytes()[:told.Len()-1])
	got := &side{name: "now"}
	require.NoError(t, got.read(&told))
	require.Equal(t, want, got)
	require.Error(t, new(side).read(half))
}

func TestTimesAreWrittenWithThreeDigits(t *testing.T) {
	require.Equal(t, []string{"0.3 ms", "12 ms", "1.20 s", "never", ""},
		[]string{short(300 * time.Microsecond), short(12 * time.Millisecond), short(1200 * time.Millisecond),
			short(never), short(0)})
}
