package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"

	"broach"
)

// wanted are the services of all processes, one after the other.
var wanted = []string{"pricing", "inventory", "inventory", "orders", "orders", "notifications", "notifications"}

// processes are those that this one has started.
type processes struct {
	ctx   context.Context // when it ends, they are told to
	node  *broach.Node    // that they join
	file  string          // that they are configured by
	began time.Time
	all   []*child // as wanted
}

// child is one of them. It ends with this process, whatever ends that: its standard input is a pipe from here.
type child struct {
	*exec.Cmd
	leave context.CancelFunc // sends SIGTERM
}

func (p *processes) startAll() error {
	for _, service := range wanted {
		c, err := p.start(service)
		if err != nil {
			return err
		}
		p.all = append(p.all, c)
	}
	return p.ready()
}

// start starts this program again, as a service.
func (p *processes) start(service string) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, leave := context.WithCancel(p.ctx)
	c := &child{exec.CommandContext(ctx, exe, "-config", p.file), leave}
	c.Env = append(os.Environ(), "BROACH_NAME="+service, "BROACH_SEEDS="+p.node.Addr().String())
	c.Stderr = os.Stderr
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 10 * time.Second // then SIGKILL
	if _, err := c.StdinPipe(); err != nil {
		return nil, err
	}
	return c, c.Start()
}

// ready waits until all serve.
func (p *processes) ready() error {
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	return p.node.WaitFor(ctx, "Getpid", len(wanted))
}

// end ends a process, which leaves.
func (c *child) end() error {
	c.leave()
	err := c.Wait()
	if c.ProcessState != nil && c.ProcessState.Success() {
		return nil // err is that it was told to end
	}
	return err
}

// endAll ends all, at the same time.
func (p *processes) endAll() (err error) {
	for _, c := range p.all {
		c.leave()
	}
	for _, c := range p.all {
		err = errors.Join(err, c.end())
	}
	return err
}
