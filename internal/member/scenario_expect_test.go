package member

import (
	"fmt"
	"slices"
	"time"

	"broach/internal/wire"
)

func (s *scenario) wait(a operands) error {
	s.run(a.time)
	return nil
}

// soon runs until a condition holds for each of some nodes, for at most the given time.
func (s *scenario) soon(limit time.Duration, nodes []*citizen, holds func(*citizen) bool) error {
	doubts := func(c *citizen) bool { return !holds(c) }
	for end := s.now.Add(limit); slices.ContainsFunc(nodes, doubts); {
		if !s.now.Before(end) {
			return fmt.Errorf("not in time for %d", numberOf(nodes[slices.IndexFunc(nodes, doubts)].cfg.Self))
		}
		s.run(time.Millisecond)
	}
	return nil
}

func (s *scenario) allSeeAll(a operands) error {
	live := s.live()
	return s.soon(a.time, live, func(c *citizen) bool {
		seen := 0
		for _, other := range live {
			if other != c && believes(c, other, "up") {
				seen++
			}
		}
		return seen == len(live)-1 && c.Joined()
	})
}

// believes reports that a process holds another to be in a state, as scripts call it.
func believes(c, other *citizen, word string) bool {
	p := c.of(other)
	switch {
	case p == nil:
		return false
	case p.state() == Alive && p.unreachable:
		return word == "unreachable"
	case p.state() == Alive:
		return word == "up"
	}
	return word == p.state().String()
}

func (s *scenario) know(a operands) error {
	return s.expect(a, func(c, other *citizen) bool { return believes(c, other, a.word) })
}

func (s *scenario) knowOffer(a operands) error {
	return s.expect(a, func(c, other *citizen) bool {
		p := c.of(other)
		return p != nil && slices.ContainsFunc(p.functions, func(f wire.Function) bool { return f.Name == a.word })
	})
}

// expect waits for some nodes to believe something of another.
func (s *scenario) expect(a operands, holds func(c, other *citizen) bool) error {
	other, err := s.node(a.nodes[1][0])
	if err != nil {
		return err
	}
	who, err := s.observers(a.nodes[0], other)
	if err != nil {
		return err
	}
	return s.soon(a.time, who, func(c *citizen) bool { return holds(c, other) })
}

// observers are the processes named, or all but the one that is looked at.
func (s *scenario) observers(nodes []int, other *citizen) (list []*citizen, err error) {
	if nodes == nil {
		return slices.DeleteFunc(s.live(), func(c *citizen) bool { return c == other }), nil
	}
	for _, n := range nodes {
		c, err := s.running(n)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// never lets time pass in which nobody may come to believe something of anybody.
func (s *scenario) never(a operands) error {
	before := len(s.trace.list)
	s.run(a.time)
	for _, seen := range s.trace.list[before:] {
		if seen.what == a.word {
			return fmt.Errorf("after %v %d held %d to be %s", seen.at, seen.who, seen.about, seen.what)
		}
	}
	return nil
}
