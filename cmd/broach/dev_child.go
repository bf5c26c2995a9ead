package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"time"
)

// child is a program that runs.
type child struct {
	cmd   *exec.Cmd
	addr  string        // where it was told to serve; "": where it likes
	donec chan struct{} // closed when it has ended; then err is set
	err   error
}

func startChild(args []string, addr string, a *app) (*child, error) {
	c := &child{cmd: exec.Command(args[0], args[1:]...), addr: addr, donec: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.Env = a.out, a.log, os.Environ()
	if addr != "" {
		c.cmd.Env = append(c.cmd.Env, "BROACH_ADDR="+addr)
	}
	setApart(c.cmd)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.donec)
	}()
	return c, nil
}

// ended is closed when it has ended. Of no program it never is.
func (c *child) ended() <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.donec
}

// outcome is how it has ended.
func (c *child) outcome() string {
	if c.err == nil {
		return "exit status 0"
	}
	return c.err.Error()
}

func (c *child) where() string {
	if c.addr == "" {
		return fmt.Sprintf("process %d", c.cmd.Process.Pid)
	}
	return fmt.Sprintf("process %d at %s", c.cmd.Process.Pid, c.addr)
}

// stopWithin is how long a program has to leave.
const stopWithin = 10 * time.Second

// stop ends a program, and waits until it has. Whoever presses Ctrl-C again does not want to wait.
func (d *developer) stop(c *child, sig os.Signal) {
	if c == nil {
		return
	}
	for len(d.interrupts) > 0 {
		<-d.interrupts // the one that began this
	}
	_ = signalTo(c.cmd, sig)
	select {
	case <-c.donec:
	case <-time.After(stopWithin):
		d.say("process %d has not left within %v, and is killed", c.cmd.Process.Pid, stopWithin)
		_ = signalTo(c.cmd, os.Kill)
	case <-d.interrupts:
		_ = signalTo(c.cmd, os.Kill)
	}
	<-c.donec
	if failed := new(exec.ExitError); errors.As(c.err, &failed) && !failed.Exited() {
		d.say("process %d ended by a signal and lost its calls: it needs signal.NotifyContext and Leave",
			c.cmd.Process.Pid)
	}
}

// freePort is an address that nobody uses, from which the seeds can be reached.
func freePort(seeds []string) (string, error) {
	ip := netip.MustParseAddrPort(bindFor(seeds)).Addr()
	if ip.IsUnspecified() {
		out, err := net.Dial("udp", seeds[0])
		if err != nil {
			return "", err
		}
		ip = out.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
		_ = out.Close()
	}
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.LocalAddr().String(), nil
}
