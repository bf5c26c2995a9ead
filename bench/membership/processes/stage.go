package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	processes    = 10
	settle       = 2 * time.Second  // after which all have met all
	gatherLimit  = 10 * time.Second // for a start that takes milliseconds
	firstVictim  = 2                // the first process is the seed, the second the bystander
	theBystander = 1
)

// A stage is the processes and the callers, and what they tell.
type stage struct {
	journal   journal
	counter   counter
	processes []*process
	callers   []*caller
}

// gather starts all and lets them meet.
func (s *stage) gather() error {
	for range processes {
		if _, err := s.start(birth{Services: []string{"add"}}); err != nil {
			return err
		}
	}
	for range callers {
		c, err := newCaller(s.seeds(), s.journal.note, &s.counter)
		if err != nil {
			return err
		}
		s.callers = append(s.callers, c)
	}
	return s.meet()
}

// meet begins the calls when all providers are there, and waits until nothing moves any more.
func (s *stage) meet() error {
	ctx, cancel := context.WithTimeout(context.Background(), gatherLimit)
	defer cancel()
	for _, c := range s.callers {
		if err := c.node.WaitFor(ctx, "add", processes); err != nil {
			return err
		}
		c.work()
	}
	time.Sleep(settle)
	s.journal.take()
	s.counter.take()
	return nil
}

// start starts a process that joins by the first one.
func (s *stage) start(b birth) (*process, error) {
	b.Seeds = s.seeds()
	p, err := startProcess(b, s.journal.note)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

// seeds is the first process, for all that come after it.
func (s *stage) seeds() []string {
	if len(s.processes) == 0 {
		return nil
	}
	return []string{s.processes[0].Addr.String()}
}

func (s *stage) bystander() netip.AddrPort { return s.processes[theBystander].Addr }

// take chooses whom it happens to, who is not of the stage any more.
func (s *stage) take(t *trial) *process {
	p := s.processes[firstVictim]
	s.processes = slices.Delete(s.processes, firstVictim, firstVictim+1)
	t.victim, t.others = p.Addr, s.addrs()
	return p
}

// addrs are those of all that live.
func (s *stage) addrs() (list []netip.AddrPort) {
	for _, p := range s.processes {
		list = append(list, p.Addr)
	}
	for _, c := range s.callers {
		list = append(list, c.node.Addr())
	}
	return list
}

// playAll lets everything happen, and tells of it.
func (s *stage) playAll(tell func(any) error) error {
	if err := s.gather(); err != nil {
		return err
	}
	for _, one := range scenarios {
		t, err := s.play(one)
		if err != nil {
			return fmt.Errorf("%s: %w", one.title, err)
		}
		if err := tell(t.account(s.bystander())); err != nil {
			return err
		}
	}
	return nil
}

// play lets a scenario happen and watches what comes of it.
func (s *stage) play(one scenario) (trial, error) {
	t := trial{scenario: one}
	if err := one.act(s, &t); err != nil {
		return t, err
	}
	time.Sleep(aftermath)
	t.sightings, t.tally = s.journal.take(), s.counter.take()
	return t, nil
}

// close ends all that was started.
func (s *stage) close() error {
	var group errgroup.Group
	for _, c := range s.callers {
		group.Go(c.close)
	}
	for _, p := range s.processes {
		group.Go(p.end)
	}
	return group.Wait()
}
