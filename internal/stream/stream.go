// Package stream carries the items of a stream from who yields them to who ranges over them, within a process. It knows
// nothing of nodes, links and types: a Pipe carries bytes, in which there are items.
//
//	pipe.go    one direction of a stream: a bounded buffer, and who waits for whom
//	segment.go the memory of it
//	item.go    items in the bytes that it carries
//
// A stream within a process is one Pipe. One between processes is a Pipe at either end, with a transport in between:
//
//	Write → Pipe → Take → chunks on the wire → Put → Pipe → Next
//
// What waits is bounded at each end, and whoever writes waits for who reads: that is all the backpressure there is.
package stream

// A Pair is what one call streams; nil: there is no stream in that direction. A nil *Pair is a call that does not.
type Pair struct {
	In  *Pipe // from the caller
	Out *Pipe // to the caller
}
