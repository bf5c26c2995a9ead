package link

import (
	"time"
)

// What a peer can make its link keep is bounded here.
const (
	reassemblyPeer = 2 // of the largest messages may have half arrived
	// how long a reply is kept to be asked for again: longer than any datagram lives in a network
	replyKept    = 60 * time.Second
	replyKeepMin = 16 << 10 // bytes of those, whatever other peers have: 64 MiB for as many as there may be
	replyKeepMax = 16 << 20 // bytes of those at most
	// datagrams that wait while the system takes none, and the memory that they take at which none is begun; more are
	// lost, as a datagram may be, and sent or asked for again
	outboxMax   = 4096
	outboxBytes = 6 << 20
	maxSlots    = 1 << 16 // calls in flight, in each direction: a slot number has 16 bits

	// Half of what may have half arrived is set aside for small messages, the same part of it for each link there may
	// be, whatever others hold: 64 KiB by the defaults, so that who begins messages and does not go on keeps no small
	// one of another out.
	reassemblyParts = 2 // times as many as peers there may be
)

// And what all peers together can.
const (
	reassemblyNode = 8 // of the largest messages may have half arrived

	// A call has run already when there is no room for its reply. So there is for what honest callers ask for at once:
	// one peer has half of it, 4 of the largest messages, or 128 MiB where these are small: 64 callers and 1 MiB for
	// each.
	replyMoving      = 8         // of the largest messages may be under way as replies that peers do not acknowledge
	replyMovingLeast = 256 << 20 // bytes of those, if that is more
	replyStored      = 64 << 20  // bytes of replies that are kept beyond replyKeepMin of each peer
)
