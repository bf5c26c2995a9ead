package clustertest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"broach"
)

// Report is an event as a user of one node is told it.
type Report struct {
	By, About netip.AddrPort
	Kind      broach.EventKind
	At        time.Time // when it was told
}

// Watch collects the reports of members by all live nodes, until it is ended.
func (c *Cluster) Watch() (end func() []Report) {
	var mu sync.Mutex
	var reports []Report
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	for _, n := range c.Live() {
		wg.Go(func() {
			for e := range n.Watch(ctx) {
				mu.Lock()
				reports = append(reports, Report{n.Addr(), e.Member.Addr, e.Kind, time.Now()})
				mu.Unlock()
			}
		})
	}
	return func() []Report { cancel(); wg.Wait(); return reports }
}

// DeathsOf picks the reports that somebody is offline.
func DeathsOf(reports []Report) []Report {
	return slices.DeleteFunc(slices.Clone(reports), func(r Report) bool { return r.Kind != broach.MemberOffline })
}

// Watched is what a reader of events has seen, as words.
func Watched(e broach.Event) string {
	if e.Service != "" {
		return fmt.Sprintf("%v: %s %s", e.Kind, e.Member.Name, e.Service)
	}
	return fmt.Sprintf("%v: %s", e.Kind, e.Member.Name)
}

// Follow reads events into a channel, which it closes when Watch has ended.
func Follow(ctx context.Context, n *broach.Node) <-chan string {
	eventc := make(chan string, 100)
	go func() {
		defer close(eventc)
		for e := range n.Watch(ctx) {
			eventc <- Watched(e)
		}
	}()
	return eventc
}

// Take reads all events that have come.
func Take(eventc <-chan string) []string {
	var list []string
	for len(eventc) > 0 {
		list = append(list, <-eventc)
	}
	return list
}
