package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"broach"
)

// front is what stands before a member of its own and is served over HTTP: a gateway, a page.
type front struct {
	name, node, addr   string // of the member, where it binds, and where HTTP is served
	greeting, fragment string // what is said before and behind the address
	// open makes it, and says what comes before the server is shut down, if anything but that the member leaves.
	open func(*broach.Node) (*http.Server, func(), error)
}

// serve starts the member, and serves what stands before it until it is interrupted. What could keep it from that is
// found out first: a member that joins and ends is news for all others.
func (a *app) serve(ctx context.Context, f front) error {
	listener, err := net.Listen("tcp", f.addr)
	if err != nil {
		return usageError{err}
	}
	defer listener.Close()
	s, err := a.serving(ctx, f.name, f.node)
	if err != nil {
		return err
	}
	defer s.leave()
	server, before, err := f.open(s.Node)
	if err != nil {
		return usageError{err}
	}
	a.say("%s http://%v%s; a member at %v", f.greeting, listener.Addr(), f.fragment, s.Addr())
	if before == nil {
		before = s.leave // what it streams ends with the node
	}
	return serveUntil(ctx, server, listener, before)
}

// serving starts the member.
func (a *app) serving(ctx context.Context, name, addr string) (*session, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	cfg.Name = name
	if addr != "" {
		cfg.Addr, cfg.Advertise = addr, os.Getenv("BROACH_ADVERTISE")
	}
	node, err := broach.Start(cfg)
	if err != nil {
		return nil, usageError{err}
	}
	waiting, cancel := context.WithTimeout(ctx, seedPatience)
	defer cancel()
	if err := node.WaitJoined(waiting); err != nil { // it joins when a seed is there
		a.say("no seed has answered yet: %v", err)
	}
	return &session{Node: node}, nil
}

// shutdownWithin is how long requests under way have to end.
const shutdownWithin = 10 * time.Second

// serveUntil serves until it is interrupted, and then does what comes before the server is shut down.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener, before func()) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("the server has ended: %w", err)
	case <-ctx.Done():
	}
	before()
	ending, cancel := context.WithTimeout(context.Background(), shutdownWithin)
	defer cancel()
	if err := server.Shutdown(ending); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
