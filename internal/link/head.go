package link

import "broach/internal/wire"

// head writes the headers of a batch, whose first datagrams say which table they were made with. mu is held.
func (l *Link) head(b *batch, stamped int) {
	b.head, b.sealer = wire.HeaderSize, l.sealer(l.number+1)
	if l.confirm != nil {
		b.head = wire.ConfirmSize
	}
	sent, largest := int64(0), 0
	for i := range b.out {
		l.number++
		table := l.carrier.Table.Load()
		if i < stamped {
			table = stampOf(b.out[i].B)
		}
		b.out[i].B = l.header(b.out[i].B, wire.Header{KeyID: b.keyID(), TableVersion: table, Token: l.toToken,
			Number: l.number})
		sent += int64(b.out[i].Len() + l.carrier.Overhead())
		largest = max(largest, b.out[i].Len())
	}
	if x, ok := l.talking(); ok {
		x.path.sent(largest)
		x.path.part(b.out)
	}
	l.traffic.BytesOut.Add(uint64(sent))
	l.proof.sent(sent)
}

// header fills in the header of a datagram, for which there is room if it is not a Confirm's. Only membership messages
// go in those: calls wait until the peer knows the link. mu is held.
func (l *Link) header(datagram []byte, h wire.Header) []byte {
	if l.confirm == nil {
		wire.AppendHeader(datagram[:0], h)
		return datagram
	}
	messages := len(datagram) - wire.HeaderSize
	datagram = roomFor(datagram, wire.ConfirmMore)[:wire.ConfirmSize+messages]
	copy(datagram[wire.ConfirmSize:], datagram[wire.HeaderSize:])
	confirm := *l.confirm
	confirm.Header = h
	wire.AppendConfirm(datagram[:0], confirm)
	return datagram
}
