package clustertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"broach"
)

// Names is a name server, which answers look-ups of hosts as a test wants. The resolver of package net asks it, where
// ServeNames has put that in: nodes look names up as they always do. A query is answered when the test says, also if
// that is later than a resolver waits for one name server: what goes by is time in which it would ask the others.
type Names struct {
	c    *Cluster
	zone string        // in which its hosts are: clusters that run side by side have servers of their own
	endc chan struct{} // closed with the cluster

	mu       sync.Mutex // protects all below: look-ups come side by side
	hosts    map[string]Host
	asked    map[string]int // by host and family
	answered int
	waiting  int // queries without an answer yet
	most     int // of them at once
}

// Host is what is known of a host.
type Host struct {
	After time.Duration // before the answer
	Addrs []netip.Addr  // none: there is no such host
	Dead  bool          // no answer ever
}

// zones are the servers of the clusters that run now.
var zones struct {
	mu     sync.Mutex // protects all below: tests are parallel
	number int
	by     map[string]*Names
}

// NewNames makes a name server that lasts as long as the cluster.
func (c *Cluster) NewNames() *Names {
	s := &Names{c: c, endc: make(chan struct{}), hosts: map[string]Host{}, asked: map[string]int{}}
	zones.mu.Lock()
	zones.number++
	s.zone = fmt.Sprintf("zone%d.test.", zones.number)
	zones.by[s.zone] = s
	zones.mu.Unlock()
	c.T.Cleanup(func() {
		zones.mu.Lock()
		defer zones.mu.Unlock()
		delete(zones.by, s.zone)
		close(s.endc)
	})
	return s
}

// Set makes a host lead to the places of nodes, after a while.
func (s *Names) Set(host string, after time.Duration, nodes ...int) {
	h := Host{After: after}
	for _, addr := range AddrsAt(nodes) {
		h.Addrs = append(h.Addrs, addr.Addr())
	}
	s.Put(host, h)
}

// PutAll makes hosts known.
func (s *Names) PutAll(hosts map[string]Host) {
	for host, h := range hosts {
		s.Put(host, h)
	}
}

// Put makes a host known, or known otherwise.
func (s *Names) Put(host string, h Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[host] = h
}

// Seed is the seed that leads to a host, with a port or at that of all nodes. What is an address stays as it is.
func (s *Names) Seed(text string) string {
	if _, err := netip.ParseAddrPort(text); err == nil {
		return text
	}
	host, port, ok := strings.Cut(text, ":")
	if !ok {
		port = "7000"
	}
	return net.JoinHostPort(host+"."+s.zone, port)
}

// Start starts node i, whose seeds are hosts of the server, or addresses.
func (s *Names) Start(i int, seeds ...string) *broach.Node {
	s.c.T.Helper()
	return s.c.StartWith(i, func(cfg *broach.Config) {
		for _, seed := range seeds {
			cfg.Join = append(cfg.Join, s.Seed(seed))
		}
	})
}

// Asked is how often a host was asked for in a family, "ip4" or "ip6".
func (s *Names) Asked(host, family string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[host+" "+family]
}

// Answered is how many queries were answered.
func (s *Names) Answered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered
}

// Most is how many queries have waited for an answer at once.
func (s *Names) Most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

func (s *Names) begin(q query) Host {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[q.host()+" "+q.family()]++
	s.waiting++
	s.most = max(s.most, s.waiting)
	return s.hosts[q.host()]
}

func (s *Names) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
	if err == nil {
		s.answered++
	}
}

// answer answers a query when it is time.
func (s *Names) answer(ctx context.Context, q query) ([]byte, error) {
	h := s.begin(q)
	err := s.wait(ctx, h)
	s.end(err)
	if err != nil {
		return nil, err
	}
	return q.reply(h.Addrs), nil
}

// wait waits until the answer is due, the look-up is given up, or the cluster has ended.
func (s *Names) wait(ctx context.Context, h Host) error {
	var duec <-chan time.Time
	if !h.Dead {
		duec = time.After(h.After)
	}
	for donec := ctx.Done(); ; {
		select {
		case <-duec:
			return nil
		case <-s.endc:
			return net.ErrClosed
		case <-donec:
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			donec = nil // the next server would be asked now: this one is all of them
		}
	}
}
