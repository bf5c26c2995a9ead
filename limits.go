package broach

import (
	"time"
)

// What others can make this node keep, send or do is bounded here. Strangers are processes that have not shown yet that they get what is
// sent to them, and, where there are keys, that they have one. SECURITY.md has the whole table, with what the configuration bounds; what a single
// message may have is bounded in internal/wire, values in internal/codec, transfers in internal/transfer, what is believed of the cluster in
// internal/member, and what links may hold in internal/link.
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
	inboxMax      = 1024 // membership messages that wait for the loop
	backgroundMax = 16   // table pulls at once
	lookUpsMax    = 128  // names of seeds looked up at once, of either family
	seedAddrsMax  = 1024 // addresses of a family that a name of a seed may lead to

	// Each peer.
	inboxEach = 64 // membership messages of a link that wait for the loop
)
