package broach

import (
	"time"

	"broach/internal/member"
)

// What others can make this node keep, send or do is bounded here. Strangers are processes that have not shown yet that they get what is
// sent to them, and, where there are keys, that they have one. SECURITY.md has the whole table, with what the configuration bounds; what a single
// message may have is bounded in internal/wire, values in codec_guard.go, transfers in internal/transfer, and what is believed of the cluster in
// limits_member.go.
const (
	// Strangers.
	opensBatch     = 96          // Opens that are looked at, of the 256 datagrams of a batch
	confirmsBatch  = 96          // and Confirms with a token that is not known
	offersPerSec   = 4096        // Offers in a second, [AMP-1]: one for each peer that there may be
	offersKnown    = 1024        // of them for the addresses of peers and seeds alone
	offersEach     = 8           // to one address
	derivedBatch   = 16          // X25519 for links that others begin, in one batch, [LNK-14]: a millisecond
	derivedPerSec  = 2000        // and in a second
	linksPerSec    = 2000        // such links in a second, and as many of peers and seeds
	seenMax        = 16384       // Opens that were answered and are remembered, of two generations each, with keys
	strangersMax   = 256         // addresses that the log tells of in a minute: no key opens what they send, or they are of another cluster or version
	strangersEvery = time.Minute // and then again
	arrivalsMax    = 1024        // links made and Offers that wait for the loop

	// Peers, all together.
	inboxMax       = 1024 // membership messages that wait for the loop
	backgroundMax  = 16   // table pulls at once
	lookUpsMax     = 128  // names of seeds looked up at once, of either family
	seedAddrsMax   = 1024 // addresses of a family that a name of a seed may lead to
	reassemblyNode = 8    // of the largest messages may have half arrived

	// One of as many parts of that is set aside for each link there may be, whatever others hold: 64 KiB, so that who begins messages and does not go
	// on keeps no small one of another out.
	reassemblyParts = 2 * member.PeersMax

	// A call has run already when there is no room for its reply. So there is for what honest callers ask for at once: one peer
	// has half of it, 4 of the largest messages, or 128 MiB where these are small: 64 callers and 1 MiB for each.
	replyMoving      = 8         // of the largest messages may be under way as replies: what peers hold by not acknowledging them
	replyMovingLeast = 256 << 20 // bytes of those, if that is more
	replyStored      = 64 << 20  // bytes of replies that are kept beyond replyKeepMin of each peer

	// Each peer.
	inboxEach      = 64               // membership messages of a link that wait for the loop
	reassemblyPeer = 2                // of the largest messages may have half arrived
	replyKept      = 60 * time.Second // how long a reply is kept to be asked for again: longer than any datagram lives in a network
	replyKeepMin   = 16 << 10         // bytes of those, whatever other peers have: 64 MiB for as many as there may be
	replyKeepMax   = 16 << 20         // bytes of those at most
	outboxMax      = 4096             // datagrams that wait while the system takes none, 6 MiB of them; more are lost, as a datagram may be, and sent or asked for again
	maxSlots       = 1 << 16          // calls in flight, in each direction: a slot number has 16 bits
)
