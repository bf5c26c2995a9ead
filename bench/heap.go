package main

import (
	"fmt"
	"strconv"
	"strings"
)

// Programs that do nothing but echo have next to no heap, so Go collects their garbage after every few MiB. A program
// with a heap of its own is spared that, and GOGC gives the same to one without. So every system is measured in both
// ways, and what a larger heap goal gives to each is seen beside what it gives to the others.

// heapInfix stands before the GOGC with which a system runs, if that is not Go's own.
const heapInfix = "-gogc"

// withHeap is the system with that GOGC, in all its processes.
func (s system) withHeap(gogc int) system {
	s.name += heapInfix + strconv.Itoa(gogc)
	s.title += fmt.Sprintf(", GOGC=%d", gogc)
	s.gogc = gogc
	return s
}

// withHeaps puts each system of the list beside itself with that GOGC; 0: as they are. Where datagrams are lost there
// is more to wait for than the collector.
func withHeaps(list []system, gogc int) (all []system) {
	for _, s := range list {
		all = append(all, s)
		if gogc > 0 && !s.lossy {
			all = append(all, s.withHeap(gogc))
		}
	}
	return all
}

// plainName is the name of a system without what this file and before.go add.
func plainName(name string) string {
	name, _, _ = strings.Cut(strings.TrimSuffix(name, beforeSuffix), heapInfix)
	return name
}
