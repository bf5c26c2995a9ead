//go:build nostream

package main

import "encoding/binary"

// A checkout of broach without streams gets each item by a call.

func itemsOf(int) {}

func (c *typedClient) stream(size int, each func(item []byte) bool) error {
	item := make([]byte, size)
	for n := uint64(0); ; n++ {
		binary.LittleEndian.PutUint64(item, n)
		back, err := c.echo(item)
		if err != nil || !each(back) {
			return err
		}
	}
}
