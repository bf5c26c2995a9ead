package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// serveEnv names the system that a process shall serve: this program starts itself with it.
const serveEnv = "BROACH_BENCH_SERVE"

// endPatience is how long a child may take to end before it is killed.
const endPatience = 5 * time.Second

// serveChild is the child. It prints its address, answers each line of its input with a line of usage, and ends with
// its input: also when the parent dies.
func serveChild(name string) error {
	s, ok := systemNamed(name)
	if !ok {
		return fmt.Errorf("there is no system %q", name)
	}
	srv, err := s.serve()
	if err != nil {
		return err
	}
	fmt.Println(srv.addr)
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := out.Encode(usageNow(srv.tally)); err != nil {
			return err
		}
	}
	srv.stop()
	return nil
}

// child is a server's process, as its parent sees it.
type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	addr string
}

// startChild starts a server of that system.
func startChild(name string) (*child, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(path)}
	c.cmd.Env = append(os.Environ(), serveEnv+"="+name)
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, c.readAddr()
}

func (c *child) readAddr() error {
	if !c.out.Scan() {
		return fmt.Errorf("the server did not start: %w", cmp.Or(c.stop(), io.ErrUnexpectedEOF))
	}
	c.addr = c.out.Text()
	return nil
}

// usage asks the child what it has used.
func (c *child) usage() (u usage, err error) {
	if _, err := io.WriteString(c.in, "usage\n"); err != nil {
		return u, fmt.Errorf("the server has ended: %w", err)
	}
	if !c.out.Scan() {
		return u, fmt.Errorf("the server has ended: %w", io.ErrUnexpectedEOF)
	}
	return u, json.Unmarshal(c.out.Bytes(), &u)
}

// stop ends the child and waits for it.
func (c *child) stop() error {
	c.in.Close()
	tooLate := time.AfterFunc(endPatience, func() { c.cmd.Process.Kill() })
	defer tooLate.Stop()
	return c.cmd.Wait()
}
