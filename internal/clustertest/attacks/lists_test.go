package attacks

import (
	"net/netip"
	"testing"
	"time"

	"broach"
	"broach/internal/intruder"

	"github.com/stretchr/testify/require"
)

// [AMP-3] There are 4,096 such contacts, and 2,000 such Opens a second, at most
//
// "List of 4,096 addresses of one victim, from ten peers: bytes <= 3 x, 232 KB/s", after Lists that were honest and
// long: nothing was saved by them.
func TestListsOfOneVictim(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		target := f.talkative(5)
		var members []*intruder.Intruder
		for k := range 10 {
			members = append(members, f.member(k, target))
		}
		var known []intruder.Entry
		for _, e := range members[0].Heard() {
			known = append(known, e)
		}
		for range 80 { // what is honest is paid for and not spent
			for _, m := range members {
				m.Say(target.Addr(), intruder.List(0, 0, 1, repeated(known, 40)...))
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(4 * time.Second)
		f.tape.Cut()
		lists := f.nameOneVictim(members, target)
		time.Sleep(30 * time.Second)
		f.judge(lists)
	})
}

// repeated is a list of so many entries, made of those there are.
func repeated(list []intruder.Entry, n int) (long []intruder.Entry) {
	for i := range n {
		if len(list) > 0 {
			long = append(long, list[i%len(list)])
		}
	}
	return long
}

// victimHost is the host that all name.
var victimHost = netip.MustParseAddr("10.5.5.5")

// nameOneVictim has each member name 4,096 ports of it, and returns how many bytes that were.
func (f *field) nameOneVictim(members []*intruder.Intruder, target *broach.Node) (bytes int) {
	for at := 0; at < 4096; at += 40 {
		for _, m := range members {
			var entries []intruder.Entry
			for port := at; port < min(at+40, 4096); port++ {
				entries = append(entries, intruder.Entry{Addr: netip.AddrPortFrom(victimHost, uint16(1+port)),
					Boot: uint64(1 + port)})
			}
			before := m.Sent()
			m.Say(target.Addr(), intruder.List(0, 0, 1, entries...))
			bytes += int(m.Sent() - before)
		}
		time.Sleep(time.Millisecond)
	}
	return bytes
}

// judge compares what went to the victim, in all and in the worst second, with the Lists.
func (f *field) judge(lists int) {
	var at []intruder.Datagram
	for _, d := range f.tape.All() {
		if d.To.Addr() == victimHost {
			at = append(at, d)
		}
	}
	all, worst, window, first := 0, 0, 0, 0
	for _, d := range at {
		all, window = all+len(d.Bytes), window+len(d.Bytes)
		for ; d.At.Sub(at[first].At) >= time.Second; first++ {
			window -= len(at[first].Bytes)
		}
		worst = max(worst, window)
	}
	f.t.Logf("Lists of %d bytes; %d bytes to the victim, %d in the worst second", lists, all, worst)
	require.LessOrEqual(f.t, all, 3*lists)
	require.LessOrEqual(f.t, worst, 2*232_000, "a burst, and a second's worth")
}
