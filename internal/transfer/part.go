package transfer

import (
	"time"

	"broach/internal/wire"
)

// A Part is a fragment of a message, or a chunk of a stream.
type Part struct {
	wire.Fragment
	Chunk *wire.Chunk // nil: it is the fragment

	// Of a fragment: its message, as Start was given it.
	Tag  uint64
	Body Body
}

// IsOfTail says whether the data of a fragment is a part of the tail of its message, all of it.
func (p *Part) IsOfTail() bool {
	return int64(p.Index)*int64(p.Fragment.Size) >= int64(len(p.Body.Head))
}

// Append appends the message.
func (p *Part) Append(b []byte) []byte {
	if p.Chunk != nil {
		return p.Chunk.Append(b)
	}
	return p.Fragment.Append(b)
}

// Size is how many bytes Append appends.
func (p *Part) Size() int {
	if p.Chunk != nil {
		return p.Chunk.Size()
	}
	return wire.FrameSize + wire.FragmentHead + len(p.Data) + len(p.Rest)
}

// A Body is a message in two pieces, which lie apart. The second may be nil.
type Body struct{ Head, Tail []byte }

// size is how many bytes it has.
func (b Body) size() int64 { return int64(len(b.Head)) + int64(len(b.Tail)) }

// cut is its bytes from one to before another, in one or two pieces.
func (b Body) cut(from, to int64) (data, rest []byte) {
	head := int64(len(b.Head))
	switch {
	case to <= head:
		return b.Head[from:to], nil
	case from >= head:
		return b.Tail[from-head : to-head], nil
	}
	return b.Head[from:], b.Tail[:to-head]
}

// Ready says whether Next has a fragment.
func (o *Out) Ready(now time.Time) bool {
	t, _ := o.pick(now)
	return t != nil
}

// Next returns a fragment or chunk to be sent now, in a datagram with that number, and false when the window is full or
// nothing is left. Its data is part of the body, and valid until Next or Ack is called.
func (o *Out) Next(now time.Time, number uint32) (Part, bool) {
	t, index := o.pick(now)
	switch {
	case t == nil:
		return Part{}, false
	case t.open != nil:
		return o.nextChunk(now, t, index, number), true
	}
	o.flight.send(now, t, index, number)
	if index == t.next {
		t.next++
		t.high = max(t.high, t.next)
		o.turn++
		o.isTurn = true
	}
	from, to := t.bounds(index)
	f := wire.Fragment{Transfer: t.Id, Total: t.total, Size: uint16(t.size), Index: index}
	f.Data, f.Rest = t.Body.cut(from, to)
	return Part{Fragment: f, Tag: t.tag, Body: t.Body}, true
}

// nextChunk is Next for a stream.
func (o *Out) nextChunk(now time.Time, t *Outgoing, index, number uint32) Part {
	isNew := index == t.next
	if isNew {
		o.takeChunk(t)
	}
	o.part = t.chunk(index)
	o.flight.send(now, t, index, number)
	if isNew {
		t.next++
		t.high = t.next
		o.isTurn = false
		o.rotate(now, t)
	}
	return Part{Chunk: &o.part}
}
