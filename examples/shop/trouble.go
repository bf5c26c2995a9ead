package main

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"broach"
)

// trouble is what happens while orders are placed.
func (p *processes) trouble() error {
	for i := range wanted {
		if err := p.restart(i); err != nil {
			return err
		}
	}
	for _, service := range []string{"pricing", "orders", "notifications"} {
		if err := p.kill(slices.Index(wanted, service)); err != nil {
			return err
		}
	}
	return nil
}

// restart ends a process as one that is replaced by a newer version is ended.
func (p *processes) restart(i int) error {
	begin := time.Now()
	if err := p.all[i].end(); err != nil {
		return err
	}
	return p.replace(i, begin, "has left")
}

// kill ends a process that cannot tell anybody.
func (p *processes) kill(i int) error {
	begin, c := time.Now(), p.all[i]
	addr := p.addrOf(c.Process.Pid)
	if err := c.Process.Kill(); err != nil {
		return err
	}
	_ = c.Wait() // it was killed
	for e := range p.node.Watch(p.ctx) {
		if e.Kind == broach.MemberOffline && e.Member.Addr == addr {
			break
		}
	}
	return p.replace(i, begin, "was killed, which was noticed")
}

// replace starts another process in the place of one that has ended.
func (p *processes) replace(i int, begin time.Time, what string) error {
	gone := time.Since(begin)
	c, err := p.start(wanted[i])
	if err != nil {
		return err
	}
	p.all[i] = c
	if err := p.ready(); err != nil {
		return err
	}
	fmt.Printf("%4.1f s: %s %s within %v, another one serves after %v\n", time.Since(p.began).Seconds(),
		wanted[i], what, gone.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
	time.Sleep(500 * time.Millisecond)
	return nil
}

// addrOf asks all processes which one they are.
func (p *processes) addrOf(pid int) (addr netip.AddrPort) {
	for r := range broach.All[int](p.ctx, p.node.Caller("Getpid")) {
		if r.Value == pid {
			addr = r.Node
		}
	}
	return addr
}
