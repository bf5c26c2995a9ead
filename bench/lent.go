//go:build !nolent

package main

import (
	"context"

	"broach"
)

// lentFunc is an echo of bytes that are lent.
type lentFunc func(context.Context, []byte) (broach.Lent, error)

func bindLent(node *broach.Node) lentFunc {
	return broach.Bind[func(context.Context, []byte) (broach.Lent, error)](node, "lend")
}

func echoLent(p broach.Lent) broach.Lent { return p }

// call has p echoed and what came back read.
func (f lentFunc) call(p []byte, read func([]byte)) error {
	back, err := f(context.Background(), p)
	if err == nil {
		read(back.Bytes)
		back.Release()
	}
	return err
}
