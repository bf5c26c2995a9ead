package stream

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// framed are items as they travel.
func framed(items ...[]byte) (b []byte) {
	for _, item := range items {
		b = append(b, Framed(append(make([]byte, ItemHead), item...))...)
	}
	return b
}

// itemsOf reads what came in chunks.
func itemsOf(most int, chunks ...[]byte) (items [][]byte, end error) {
	var p Pipe
	for _, c := range chunks {
		p.Put(c)
	}
	p.CloseWrite(nil)
	r := Items{Pipe: &p, Most: most}
	for {
		item, err := r.Next(nil)
		if err != nil {
			return items, err
		}
		items = append(items, bytes.Clone(item))
	}
}

// A chunk may end within an item, and within its length.
func TestItemsAreCutAnywhere(t *testing.T) {
	want := [][]byte{drawn(1), drawn(200), drawn(3), drawn(70000), drawn(2)}
	all := framed(want...)
	for _, size := range []int{1, 2, 7, 1400, 65536, len(all)} {
		var p Pipe
		go func() {
			for rest := all; len(rest) > 0; {
				n := min(size, len(rest))
				_ = p.Write(rest[:n], nil)
				rest = rest[n:]
			}
			p.CloseWrite(nil)
		}()
		r := Items{Pipe: &p, Most: 70000}
		for i := range want {
			got, err := r.Next(nil)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want[i], got), "item %d in chunks of %d", i, size)
		}
		_, err := r.Next(nil)
		require.Equal(t, io.EOF, err)
	}
}

// An item that is larger than the room comes through.
func TestItemLargerThanTheRoom(t *testing.T) {
	var p Pipe
	want := drawn(3 * Room)
	go func() { _ = p.Write(framed([]byte("a"), want, []byte("b")), nil) }()
	r := Items{Pipe: &p, Most: 3 * Room}
	for _, item := range [][]byte{[]byte("a"), want, []byte("b")} {
		got, err := r.Next(nil)
		require.NoError(t, err)
		require.True(t, bytes.Equal(item, got))
	}
	require.LessOrEqual(t, cap(reusable(r.part)), Room, "its memory is not kept")
}

// What is malformed ends the stream, after the items before it.
func TestMalformedItems(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"a length that goes on", bytes.Repeat([]byte{0x80}, 11), errItem},
		{"an empty item", []byte{0}, errItem},
		{"too large", framed(drawn(11)), errLarge},
		{"too large, and not there", []byte{0xff, 0xff, 0xff, 0xff, 0x7f}, errLarge},
		{"cut off", framed(drawn(10))[:10], ErrWhole},
		{"cut off in its length", []byte{0x80}, ErrWhole},
	} {
		for _, chunks := range [][][]byte{
			{append(framed([]byte("ab")), c.b...)},
			{framed([]byte("ab")), c.b},
			{framed([]byte("ab")), c.b[:1], c.b[1:]},
		} {
			items, end := itemsOf(10, chunks...)
			require.Equal(t, [][]byte{[]byte("ab")}, items, c.name)
			require.Equal(t, c.want, end, c.name)
		}
	}
}

// Who waits for an item, or for the rest of one, wakes when done is closed.
func TestItemsAreAwaitedUntilDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pipe
		p.Put(framed(drawn(10))[:5])
		done := make(chan struct{})
		var got error
		go func() { _, got = (&Items{Pipe: &p, Most: 10}).Next(done) }()
		synctest.Wait()
		require.NoError(t, got)
		close(done)
		synctest.Wait()
		require.Equal(t, ErrOver, got)
	})
}

// FuzzItems: whatever comes, in whatever chunks, the items are those of the whole, and take no more memory than they
// may.
func FuzzItems(f *testing.F) {
	f.Add(framed([]byte("ab"), drawn(300)), uint8(3))
	f.Add([]byte{0x80, 0x80, 0x80}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		if len(b) > Room {
			return
		}
		whole, end := itemsOf(1000, b)
		var chunks [][]byte
		for rest := b; len(rest) > 0; {
			n := min(int(size)+1, len(rest))
			chunks, rest = append(chunks, rest[:n]), rest[n:]
		}
		items, endOfChunks := itemsOf(1000, chunks...)
		require.Equal(t, whole, items)
		require.Equal(t, end, endOfChunks)
	})
}

// An item larger than the room is collected only where the transport has room for it, and is given back once it was
// read.
func TestLargeItemsAreAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pipe
		held, most := 0, Room+100
		p.Bound(func(n int) bool {
			if held+n > most {
				return false
			}
			held += n
			return true
		})
		go func() { _ = p.Write(framed(drawn(Room), drawn(Room+50), drawn(7), drawn(Room+101)), nil) }()
		r := Items{Pipe: &p, Most: 1 << 20}
		for _, want := range []int{0, Room + 50, 0} {
			_, err := r.Next(nil)
			require.NoError(t, err)
			require.Equal(t, want, held)
		}
		_, err := r.Next(nil)
		require.Equal(t, ErrRoom, err)
		require.Zero(t, held)
		p.Stop(nil)
	})
}
