package main

import (
	"time"

	"broach"
)

// What happens takes this long to watch: five times what a death takes, and longer than a call that nobody answers, 3
// s.
const aftermath = 5 * time.Second

// stopped is long enough that all others have given the process up.
const stopped = 10 * time.Second

// A scenario is something that happens to one of the processes.
type scenario struct {
	title    string
	news     sign // by which the others know
	comeback sign // by which they have it back
	act      func(*stage, *trial) error
}

var scenarios = []scenario{
	{title: "nothing happens", act: quiet},
	{title: "one is killed (SIGKILL)", news: sign{kind: broach.MemberOffline}, act: kill},
	{title: "one is stopped for 10 s (SIGSTOP, SIGCONT)", act: pause,
		news: sign{kind: broach.MemberOffline}, comeback: sign{kind: broach.MemberUp}},
	{title: "one is killed and started anew at its address", act: restart,
		news: sign{kind: broach.MemberOffline}, comeback: sign{kind: broach.ServiceAdded, service: "more"}},
	{title: "one leaves (SIGTERM)", news: sign{kind: broach.MemberLeft}, act: leave},
}

func quiet(_ *stage, t *trial) error {
	t.cause = time.Now()
	return nil
}

func kill(s *stage, t *trial) error {
	p := s.take(t)
	t.cause = t.mark("SIGKILL to " + p.Addr.String())
	return p.kill()
}

func pause(s *stage, t *trial) error {
	p := s.take(t)
	s.processes = append(s.processes, p)
	t.cause = t.mark("SIGSTOP to " + p.Addr.String())
	if err := stop(p.cmd.Process); err != nil {
		return err
	}
	time.Sleep(stopped)
	t.again = t.mark("SIGCONT to " + p.Addr.String())
	return goOn(p.cmd.Process)
}

func restart(s *stage, t *trial) error {
	p := s.take(t)
	t.cause = t.mark("SIGKILL to " + p.Addr.String())
	if err := p.kill(); err != nil {
		return err
	}
	fresh, err := s.start(birth{At: p.Addr.String(), Services: []string{"add", "more"}})
	if err != nil {
		return err
	}
	t.again = fresh.Began
	t.marks = append(t.marks, mark{t.again, "runs again: " + p.Addr.String()})
	return nil
}

func leave(s *stage, t *trial) error {
	p := s.take(t)
	t.cause = t.mark("SIGTERM to " + p.Addr.String())
	return p.leave()
}
