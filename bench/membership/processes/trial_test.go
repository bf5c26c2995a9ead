package main

import (
	"net/netip"
	"testing"
	"time"

	"broach"

	"github.com/stretchr/testify/require"
)

var (
	victim = netip.MustParseAddrPort("127.0.0.1:1")
	near   = netip.MustParseAddrPort("127.0.0.1:2")
	far    = netip.MustParseAddrPort("127.0.0.1:3")
	cause  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// at is a time after the cause.
func at(ms float64) time.Time { return cause.Add(time.Duration(ms * float64(time.Millisecond))) }

// saw is what a node told of the victim.
func saw(ms float64, by netip.AddrPort, kind broach.EventKind) sighting {
	return sighting{When: at(ms), By: by, Kind: kind, About: victim}
}

// paused is the scenario in which the victim is stopped for ten seconds.
func paused(seen ...sighting) trial {
	return trial{
		scenario: scenario{title: "stopped", news: sign{kind: broach.MemberOffline},
			comeback: sign{kind: broach.MemberUp}},
		victim: victim, others: []netip.AddrPort{near, far}, cause: cause, again: at(10000), sightings: seen,
		marks: []mark{{cause, "SIGSTOP"}, {at(10000), "SIGCONT"}},
	}
}

func TestTheFirstAndTheLastToKnow(t *testing.T) {
	p := paused(
		saw(-50, near, broach.MemberOffline), // of another scenario
		saw(400, near, broach.MemberSuspect),
		saw(900, far, broach.MemberOffline), saw(700, near, broach.MemberOffline), saw(950, near, broach.MemberOffline),
		saw(9000, far, broach.MemberUp), // before it ran again
		saw(10020, far, broach.MemberUp), saw(10007, near, broach.MemberUp),
	)
	first, all := p.known()
	require.Equal(t, []time.Duration{700 * time.Millisecond, 900 * time.Millisecond}, []time.Duration{first, all})
	require.Equal(t, 20*time.Millisecond, p.back())
}

func TestWhoNeverKnows(t *testing.T) {
	p := paused(saw(700, near, broach.MemberOffline), saw(800, victim, broach.MemberOffline))
	first, all := p.known()
	require.Equal(t, 700*time.Millisecond, first)
	require.Equal(t, never, all)
	require.Equal(t, never, p.back())
}

func TestAComebackIsKnownByTheFunctionThatIsNew(t *testing.T) {
	p := paused()
	p.comeback = sign{broach.ServiceAdded, "more"}
	for i, name := range []string{"add", "more"} {
		for _, by := range p.others {
			p.sightings = append(p.sightings, sighting{When: at(float64(10010 + i)), By: by, Kind: broach.ServiceAdded,
				About: victim, Service: name})
		}
	}
	require.Equal(t, 11*time.Millisecond, p.back())
}

func TestTroubleThatIsNoneIsASurprise(t *testing.T) {
	of := func(about netip.AddrPort, s sighting) sighting { s.About = about; return s }
	deserved := []sighting{
		saw(400, near, broach.MemberSuspect), saw(700, near, broach.MemberOffline), saw(701, far, broach.MemberOffline),
		saw(10001, near, broach.MemberUp),
	}
	surprising := []sighting{
		saw(500, near, broach.MemberSuspect),               // again
		saw(10100, near, broach.MemberOffline),             // again
		saw(600, far, broach.MemberUnreachable),            // the others do not reach it either
		of(near, saw(650, far, broach.MemberOffline)),      // nothing happened to that one
		of(near, saw(10001, victim, broach.MemberSuspect)), // nor did it when the victim woke
		of(near, sighting{When: at(10002), By: victim, Kind: broach.MemberOffline}),
	}
	p := paused(append(deserved, surprising...)...)
	require.Equal(t, surprising, p.surprises())
	alarms, doubts := p.alarms()
	require.Equal(t, []int{4, 2}, []int{alarms, doubts})
}

func TestALeaverIsNotOffline(t *testing.T) {
	p := paused(saw(1, near, broach.MemberLeft), saw(2, far, broach.MemberOffline))
	p.news = sign{kind: broach.MemberLeft}
	alarms, _ := p.alarms()
	require.Equal(t, 1, alarms)
}
