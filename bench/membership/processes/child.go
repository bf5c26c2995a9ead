package main

import (
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"broach"
)

// birthEnv holds the birth of a process: this program starts itself with it.
const birthEnv = "BROACH_PROCESSES_BIRTH"

// A birth says how a process shall start.
type birth struct {
	At       string // address to bind; "" is a free port of loopback
	Seeds    []string
	Services []string // functions that it offers, all of which add
}

// A hello is the first line that a process prints.
type hello struct {
	Began time.Time // before it did anything else
	Addr  netip.AddrPort
}

func add(x, y int) int { return x + y }

// serve is the process. It prints a hello and then what it sees, one line each, until it is told to leave or its input
// ends, as it does when the parent dies.
func serve(began time.Time, order string) error {
	var b birth
	if err := json.Unmarshal([]byte(order), &b); err != nil {
		return err
	}
	n, err := b.start()
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(hello{began, n.Addr()}); err != nil {
		return err
	}
	go func() {
		<-endOfLife().Done()
		n.Close()
	}()
	watch(n, func(s sighting) { out.Encode(s) }) // to a parent that is gone: the input ends too
	<-n.Done()
	return nil
}

// start starts the node with the defaults and offers its functions.
func (b birth) start() (*broach.Node, error) {
	n, err := broach.Start(broach.Config{Addr: b.At, Join: b.Seeds, LogLevel: "off"})
	if err != nil {
		return nil, err
	}
	for _, name := range b.Services {
		if err := n.Register(name, add); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// endOfLife is done at SIGTERM and when the input ends.
func endOfLife() context.Context {
	ctx, end := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		end()
	}()
	return ctx
}
