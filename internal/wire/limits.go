package wire

// Everything a stranger can make long is bounded here. The frame bounds the rest: a body has at most 65,535 bytes.
const (
	// MaxName is the longest name of a service, in bytes. With the rest of a Request it leaves most of the smallest
	// datagram to the arguments.
	MaxName = 200

	// MaxTags is the number of tags in an Announce or Welcome. More would crowd out the service table beside them.
	MaxTags = 32

	// MaxBitmap is the length of the bitmap of a FragmentAck, in bytes: 1,024 fragments, as many as a window holds.
	MaxBitmap = 128

	// MinFragment is the least size of the fragments of a transfer, in bytes. Smaller ones would let a sender make the
	// receiver's accounts of them dearer than the data.
	MinFragment = 256

	// MaxMember is the size of the largest datagram with messages of the membership, in bytes, header included. It
	// passes every path without IP fragments, also those on which larger packets are yet to be tried.
	MaxMember = 1200

	// MaxTable is the size of the largest service table, in bytes.
	MaxTable = 1 << 20

	// MaxFunctions is the number of functions in a service table. Prefix compression turns 5 bytes into a name of
	// MaxName, so it is this number, not MaxTable, which bounds the names of a decoded table: to less than 2 MiB.
	MaxFunctions = 10_000

	// MaxSignature is the longest signature in a service table, in bytes: as much as its length field can say.
	MaxSignature = 1<<16 - 1

	// MaxDoc is the longest documentation of a function in a service table, in bytes.
	MaxDoc = 1 << 10
)

// The names of a table stay below 2 MiB: a negative constant does not compile.
const _ = uint(2<<20 - MaxFunctions*MaxName)
