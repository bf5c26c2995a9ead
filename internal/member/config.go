package member

import (
	"net/netip"
	"time"

	"broach/internal/handshake"
	"broach/internal/wire"
)

// Timing is how often a node beats to its peers, and how long it waits for them. All of it is set: PROTOCOL.md 4.3 has
// the defaults.
type Timing struct {
	Interval   time.Duration // least time between two beats to the same peer
	Budget     int           // beats a second, to all peers together
	Tick       time.Duration // how often the loop looks at its clocks
	Margin     time.Duration // how far a beat may be later than promised before the peer is probed
	ProbeEvery time.Duration // time between two Pings of a probe
	Probes     int           // unanswered Pings before the peer is suspected
	Grace      time.Duration // how long a suspected peer may refute before it is offline
	Forget     time.Duration // how long an offline peer is still contacted
}

// Config is what the membership must know of its node.
type Config struct {
	Self          netip.AddrPort
	Boot          uint64
	Name, Version string
	Tags          []wire.Tag
	Heartbeat     Timing // complete
	MaxPeers      int
	Guest         bool          // we call, and are no member
	Silence       time.Duration // as a guest: how long a peer may leave Pings unanswered

	// draws the token of an opening, of which the reader knows from then on
	Open  func(offers int32) uint64
	Terms func(o *wire.Offer, self, addr netip.AddrPort) *handshake.Terms // of the link that an Offer begins
	// calls are in flight on it, and it was heard lately
	IsBusy func(now time.Time, link uint64) bool
}

// What others can make the membership keep or send is bounded here. docs/SECURITY.md has the whole table.
const (
	// What is known by hearsay.
	// addresses contacted at once, and links that are not confirmed yet, [AMP-3]. Half are kept for what answers our
	// Joins
	contactsMax  = 4096
	opensPerSec  = 2000   // Opens in a second to addresses that others named. Half are kept likewise
	creditFactor = 3      // bytes of Opens that each byte of a List pays for, [AMP-2]
	missingMax   = 4096   // addresses that a List named and that have not been met, [AMP-4]
	joinersMax   = 4096   // those who asked for the list lately and are told of who comes after them
	listsPerSec  = 26_000 // messages of List in a second, 1,200 bytes each

	// Peers, all together.
	tiesMost    = 3        // links of one of them, [LNK-7]
	PeersMax    = 4096     // four times the largest cluster that is promised
	RowsMax     = 200_000  // rows of their tables together: about 50 MB with the routes to them
	RowBytesMax = 64 << 20 // names, signatures and documentation in these
	alarmsMax   = 4096     // addresses of those who gave an alarm of late
	helpsMax    = 64       // peers probed for others at once; further ones are not, as if the question was lost
)
