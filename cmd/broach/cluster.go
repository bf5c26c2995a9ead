package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"broach"
)

// What all members say, each for itself.

const (
	inspectAtOnce = 16              // members that are asked at the same time
	inspectWithin = 2 * time.Second // how long one has to answer
)

// answer is what one member says.
type answer struct {
	addr netip.AddrPort
	view broach.View
	err  error
}

// openToAll starts a guest, and has everybody say what they believe and count.
func (a *app) openToAll(ctx context.Context) (s *session, seed broach.View, all []answer, err error) {
	if s, err = a.open(ctx); err != nil {
		return nil, seed, nil, err
	}
	if seed, all, err = s.everybody(ctx, broach.ViewMembers, broach.ViewStats); err != nil {
		_ = s.Close()
	}
	return s, seed, all, err
}

// everybody asks all members that the seed believes to be there. The seed's own view comes beside.
func (s *session) everybody(ctx context.Context, parts ...broach.ViewPart) (seed broach.View, all []answer, err error) {
	seed, err = s.view(ctx, "", append(parts, broach.ViewMembers)...)
	if err != nil {
		return seed, nil, err
	}
	var addrs []netip.AddrPort
	for _, m := range seed.Members {
		if m.State == broach.Alive || m.State == broach.Suspect {
			addrs = append(addrs, m.Addr)
		}
	}
	return seed, s.inspectAll(ctx, addrs, parts...), ctx.Err()
}

// inspectAll asks each of them, some at a time.
func (s *session) inspectAll(ctx context.Context, addrs []netip.AddrPort, parts ...broach.ViewPart) []answer {
	answers := make([]answer, len(addrs))
	room := make(chan struct{}, inspectAtOnce)
	var asks sync.WaitGroup
	for i, at := range addrs {
		room <- struct{}{}
		asks.Go(func() {
			defer func() { <-room }()
			asking, cancel := context.WithTimeout(ctx, inspectWithin)
			defer cancel()
			v, err := s.Inspect(asking, at, parts...)
			answers[i] = answer{at, v, err}
		})
	}
	asks.Wait()
	return answers
}
