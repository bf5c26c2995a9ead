package broach

import (
	"sync/atomic"
	"time"

	"broach/internal/balance"
	"broach/internal/handshake"
	"broach/internal/link"
	"broach/internal/wire"
)

// conn is a link as this node holds it: in its table of tokens, and in the hands of the reader and the loop.
type conn struct {
	link.Link
	record *balance.Record
	beside *conn // another whose peer's address has the same chain; the token table's

	noted     int64        // when the loop was last told of traffic, as of link.Timers.Stamp; the reader's
	tableSeen uint32       // highest table version in the peer's headers; the reader's
	told      atomic.Int32 // messages of it that wait for the loop
	known     bool         // to the membership; the loop's
}

// newConn makes the link of an Open and its Offer. began says which end we are; siblings are the links that we have with who is at the same
// address. The error is that of a public key that is none.
func newConn(now time.Time, c *link.Carrier, terms *handshake.Terms, began bool, siblings []*conn, seed uint64) (*conn, error) {
	peer := terms.KeyA
	if began {
		peer = terms.KeyB
	}
	l := &conn{record: recordAmong(siblings, peer)}
	if err := l.Init(now, c, terms, began, &l.record.Traffic, seed); err != nil {
		return nil, err
	}
	return l, nil
}

// recordAmong is what is known already of the process with a public key, by another of its links.
func recordAmong(links []*conn, key wire.PublicKey) *balance.Record {
	for _, l := range links {
		if l.Key == key {
			return l.record
		}
	}
	return new(balance.Record)
}

// visit is a call's stay at the peer that is not counted as one of a function.
func (l *conn) visit() *balance.Visit { return &balance.Visit{Link: &l.Link, Record: l.record} }
