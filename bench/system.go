package main

import (
	"hash/crc32"
	"slices"
)

// A system is one way to call a function in another process. It has a server, which runs in the child, and clients,
// which run here.
type system struct {
	name  string
	title string
	serve func() (server, error)
	dial  func(addr string) (client, error)

	perCaller bool // a client serves one caller: each dials its own
	maxEcho   int  // bytes in the largest message, 0: any that is measured
	lossy     bool // of the workload with loss only
	streams   bool // its client is a streamer
	broach    bool // of this module, of which there may be another checkout
	before    bool // it runs in that one
	gogc      int  // of its processes; 0: as Go has it
}

// server is what runs in the child.
type server struct {
	addr  string
	stop  func()
	tally *tally // of executions; nil where they are not counted
}

// client calls the three functions of a server. It is safe for concurrent use, except where the system says perCaller.
type client interface {
	add(x, y int) (int, error)
	echo(p []byte) ([]byte, error)
	put(p []byte) (uint32, error) // returns the checksum of p
	close()
}

// lender is a client whose server and which need not copy what is echoed.
type lender interface {
	// lend has p echoed, and read what came back, which is valid until that returns.
	lend(p []byte, read func(back []byte)) error
}

// streamer is a client whose server streams items.
type streamer interface {
	// stream hands on items of a size, without end, until each reports false. An item is valid until that returns.
	stream(size int, each func(item []byte) bool) error
}

// systems are all that can be measured, in the order of the tables.
var systems = slices.Concat(
	[]system{broachTyped, broachReflective, broachContext, rawUDP, netRPC, grpcSystem, drpcSystem, natsSystem,
		broachSealed, grpcTLS, grpcBytes, broachCallerIntercepted, broachProviderIntercepted, broachBothIntercepted,
		broachTraced},
	lossySystems,
)

// systemNamed returns the system of that name.
func systemNamed(name string) (system, bool) {
	i := slices.IndexFunc(systems, func(s system) bool { return s.name == name })
	if i < 0 {
		return system{}, false
	}
	return systems[i], true
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is what put returns: it proves that every byte came, and costs a hundredth of the transfer.
func checksum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }
