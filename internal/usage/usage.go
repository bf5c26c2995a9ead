// Package usage is what this process takes of its machine: processor time, memory, goroutines. It is for Stats and for
// what the process tells others of itself, so that people see which process is busy.
//
// To look costs some microseconds and stops nothing, which runtime.ReadMemStats would: it stops all goroutines. The
// package keeps nothing and acts on nothing. What a system does not tell is zero.
//
// Memory is the objects on the heap of Go, so an operator's tool shows more: stacks, what is free, other libraries.
//
//	usage.go      Usage, Now
//	cpu_unix.go   the processor time, as the system counts it; cpu_windows.go and cpu_other.go on other systems
package usage

import (
	"runtime/metrics"
	"time"
)

// Usage is what a process takes.
type Usage struct {
	CPU        time.Duration // processor time since the process began, of all processors; 0: the system does not say
	HeapBytes  uint64        // of objects, those that nobody uses any more among them until they are collected
	Goroutines int
	Processors int // that run Go code at once, at most: GOMAXPROCS
}

const (
	heapObjects = "/memory/classes/heap/objects:bytes"
	goroutines  = "/sched/goroutines:goroutines"
	processors  = "/sched/gomaxprocs:threads"
)

// Now is what this process takes now.
func Now() Usage {
	read := []metrics.Sample{{Name: heapObjects}, {Name: goroutines}, {Name: processors}}
	metrics.Read(read)
	return Usage{
		CPU: cpu(), HeapBytes: count(read[0]), Goroutines: int(count(read[1])), Processors: int(count(read[2])),
	}
}

// count is what was read, or 0 of a Go that does not know it any more.
func count(s metrics.Sample) uint64 {
	if s.Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s.Value.Uint64()
}
