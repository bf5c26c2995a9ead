package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"broach"
)

// A sighting is one event of Watch, as the processes report it.
type sighting struct {
	When    time.Time // wall clock: all processes read the same one
	By      netip.AddrPort
	Kind    broach.EventKind
	About   netip.AddrPort
	Service string `json:",omitempty"`
}

// watch notes what a node sees until the node is closed.
func watch(n *broach.Node, note func(sighting)) {
	for e := range n.Watch(context.Background()) {
		note(sighting{time.Now(), n.Addr(), e.Kind, e.Member.Addr, e.Service})
	}
}

// A journal collects what all nodes see. Readers of many processes write to it.
type journal struct {
	mu   sync.Mutex // protects seen
	seen []sighting
}

func (j *journal) note(s sighting) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seen = append(j.seen, s)
}

// take returns what was noted since it was last called.
func (j *journal) take() []sighting {
	j.mu.Lock()
	defer j.mu.Unlock()
	seen := j.seen
	j.seen = nil
	return seen
}
