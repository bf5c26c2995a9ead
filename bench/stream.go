//go:build !nostream

package main

import (
	"context"
	"encoding/binary"
	"iter"

	"broach"
)

// itemsOf is the function that streams items of a size, without end. Each begins with its number. They are in one
// buffer: what is yielded was copied when yield returns.
func itemsOf(size int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		item := make([]byte, size)
		for n := uint64(0); ; n++ {
			binary.LittleEndian.PutUint64(item, n)
			if !yield(item, nil) {
				return
			}
		}
	}
}

func (c *typedClient) stream(size int, each func(item []byte) bool) error {
	for item, err := range broach.Stream[[]byte](context.Background(), c.node.Caller("items"), size) {
		if err != nil || !each(item) {
			return err
		}
	}
	return nil
}
