//go:build nolent

package main

import (
	"context"

	"broach"
)

// A checkout of broach that lends nothing copies.

type lentFunc func(context.Context, []byte) ([]byte, error)

func bindLent(node *broach.Node) lentFunc {
	return broach.Bind[func(context.Context, []byte) ([]byte, error)](node, "lend")
}

func echoLent(p []byte) []byte { return p }

func (f lentFunc) call(p []byte, read func([]byte)) error {
	back, err := f(context.Background(), p)
	if err == nil {
		read(back)
	}
	return err
}
