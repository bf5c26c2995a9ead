package broach

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"broach/internal/codec"
	"broach/internal/member"
)

// tableService is the protocol's own function by which a peer pulls our service table, PROTOCOL.md [TAB-3].
const tableService = "\x00table"

// pullTimeout is how long a pull may take. The loop asks again when it failed.
const pullTimeout = 3 * time.Second

// tableFunction is what answers tableService.
func (n *Node) tableFunction() *service {
	f, err := newService("table", func() []byte { return *n.ownTable.Load() })
	if err != nil {
		panic("broach: internal error: " + err.Error())
	}
	return f
}

// pull asks a peer for its service table, in the background.
func (n *Node) pull(now time.Time, p member.Pull) {
	started := n.background.TryGo(func() error {
		version, table, err := n.pullFrom(p.Link)
		return n.do(func(now time.Time) { n.members.Pulled(now, p.Process, version, table, err == nil) })
	})
	if !started {
		n.members.Pulled(now, p.Process, 0, nil, false)
	}
}

// pullFrom makes the call.
func (n *Node) pullFrom(link uint64) (version uint32, table []byte, err error) {
	l := n.tokens.link(link)
	if l == nil {
		return 0, nil, errLinkDown
	}
	ctx, cancel := context.WithTimeout(n.provider.ctx, pullTimeout)
	defer cancel()
	now := time.Now()
	p, failed := n.Caller(tableService).attempt(ctx, now, l, outCall{deadline: now.Add(pullTimeout)})
	if failed != nil {
		return 0, nil, failed
	}
	defer n.freePending(p)
	b, err := codec.DecodeAs[[]byte](p.body)
	if err == nil && len(b) < 4 {
		err = fmt.Errorf("a table of %d bytes", len(b))
	}
	if err != nil {
		return 0, nil, err
	}
	return binary.BigEndian.Uint32(b), b[4:], nil
}
