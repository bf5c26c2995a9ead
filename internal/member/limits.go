package member

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
