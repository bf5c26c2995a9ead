package broach

import "time"

// What others can make this node keep, send or do is bounded here. Strangers are processes that have not shown yet that they get what is
// sent to them, and, where there are keys, that they have one. SECURITY.md has the whole table, with what the configuration bounds; what a single
// message may have is bounded in internal/wire, values in codec_guard.go, and transfers in fragment.go.
const (
	// Strangers.
	pendingMax     = 1024            // announcers that are not believed yet; the oldest makes room
	pendingKept    = 5 * time.Second // they have answered by then or never will
	joinersMax     = 4096            // those who asked for the list lately and are told of who comes after them
	answerTimes    = 3               // an unproven address is sent so many times what came from it at most, [MEM-5]
	answersPerSec  = 4096            // and so many datagrams in a second, all of them together, [MEM-28]: one for each peer that there may be
	stalePerSec    = 100             // of them tell of misdirected datagrams, [HDR-4]
	strangersMax   = 256             // addresses that the log tells of in a minute, because no key opens what they send
	strangersEvery = time.Minute     // and then again
	inboxMax       = 1024            // membership messages that wait for the loop

	// Peers, all together.
	maxPeers       = 4096 // four times the largest cluster that is promised
	pastMax        = 1024 // boot ids of processes that are gone for good, remembered against late datagrams
	helpsMax       = 64   // peers probed for others at once; further ones are not, as if the question was lost
	backgroundMax  = 16   // name look-ups and table pulls at once
	reassemblyNode = 8    // of the largest messages may have half arrived

	// A call has run already when there is no room for its reply. So there is for what honest callers ask for at once: one peer
	// has half of it, 4 of the largest messages, or 128 MiB where these are small: 64 callers and 1 MiB for each.
	replyMoving      = 8         // of the largest messages may be under way as replies: what peers hold by not acknowledging them
	replyMovingLeast = 256 << 20 // bytes of those, if that is more
	replyStored      = 64 << 20  // bytes of replies that are kept beyond replyKeepMin of each peer

	// Each peer.
	reassemblyPeer = 2                // of the largest messages may have half arrived
	replyKept      = 60 * time.Second // how long a reply is kept to be asked for again: longer than any datagram lives in a network
	replyKeepMin   = 16 << 10         // bytes of those, whatever other peers have: 64 MiB for as many as there may be
	replyKeepMax   = 16 << 20         // bytes of those at most
	outboxMax      = 4096             // datagrams that wait while the system takes none, 6 MiB of them; more are lost, as a datagram may be, and sent or asked for again
	maxSlots       = 1 << 16          // calls in flight, in each direction: a slot number has 16 bits
)

// allowance bounds what is done in a second. The zero value is ready.
type allowance struct {
	until time.Time // the end of the present second
	spent int
}

// take reports whether one more is allowed of so many in a second.
func (a *allowance) take(now time.Time, most int) bool {
	if !now.Before(a.until) {
		a.until, a.spent = now.Add(time.Second), 0
	}
	if a.spent >= most {
		return false
	}
	a.spent++
	return true
}
