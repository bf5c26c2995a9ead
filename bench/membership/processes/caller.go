package main

import (
	"context"
	"errors"
	"time"

	"broach"

	"golang.org/x/sync/errgroup"
)

const (
	callers = 2 // nodes that call
	hands   = 4 // calls that each of them makes at once
)

// A caller is a node of the parent that calls without pause.
type caller struct {
	node  *broach.Node
	count *counter
	hands errgroup.Group
}

func newCaller(seeds []string, note func(sighting), c *counter) (*caller, error) {
	n, err := birth{Seeds: seeds}.start()
	if err != nil {
		return nil, err
	}
	w := &caller{node: n, count: c}
	w.hands.Go(func() error { watch(n, note); return nil })
	return w, nil
}

// work begins the calls, which go on until the node is closed.
func (w *caller) work() {
	add := broach.Bind[func(ctx context.Context, x, y int) (int, error)](w.node, "add")
	for i := range hands {
		w.hands.Go(func() error { return w.call(i, add) })
	}
}

// call makes one call after the other. Nothing slows it down: a failure at once is followed by the next call at once.
func (w *caller) call(x int, add func(ctx context.Context, x, y int) (int, error)) error {
	for ; ; x += hands {
		begun := time.Now()
		sum, err := add(context.Background(), x, x%1000)
		if errors.Is(err, broach.ErrClosed) {
			return nil
		}
		w.count.add(time.Since(begun), sum == x+x%1000, err)
	}
}

func (w *caller) close() error {
	w.node.Close()
	return w.hands.Wait()
}
