package udp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// waits lets patience see n waits of the same length, and returns before how many of them it polled.
func (p *patience) waits(n int, took time.Duration) (polled int) {
	for range n {
		polls := p.polls()
		if polls {
			polled++
		}
		p.note(took, polls)
	}
	return polled
}

func TestPatiencePollsWhatComesSoon(t *testing.T) {
	var p patience
	require.Zero(t, p.waits(100, time.Second), "long waits")
	require.Equal(t, 99, p.waits(100, pollFor/2), "short waits: the first is needed to see it")
	require.Equal(t, 1, p.waits(100, time.Second), "one at the end of short ones")
	p.waits(1, pollFor/2)
	require.Equal(t, 100, p.waits(100, pollFor/2))
}

// Where polling is mostly in vain it ends, and is tried again more and more seldom.
func TestPatienceGivesUp(t *testing.T) {
	var p patience
	inVain := pollFor * 3 / 2 // and yet so short that the next might come in time
	require.Less(t, p.waits(1000, inVain), 20)
	require.Less(t, p.waits(100*pollPause, inVain), 110)
	require.Zero(t, p.trust)
	p.waits(pollPause, pollFor/2)
	require.Equal(t, pollTrust, p.waits(pollTrust, pollFor/2), "now it pays")
	require.Equal(t, patience{short: true, trust: pollTrust}, p, "what was is forgiven")
}

// A wait in vain now and then does no harm, as long as 3 of 4 succeed.
func TestPatienceBearsFailures(t *testing.T) {
	var p patience
	p.waits(2*pollTrust, pollFor/2)
	for range 1000 {
		require.Equal(t, 1, p.waits(1, pollFor*3/2))
		require.Equal(t, 4, p.waits(4, pollFor/2))
	}
}
