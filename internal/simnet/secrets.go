package simnet

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/rand/v2"

	"broach/internal/seal"
)

// Secrets is where the program at this conn draws its keys from, so that a simulation can be replayed: the seed of the
// network, the address and the time decide. A program must ask once. Nobody outside of this module can write a conn
// that has this method.
func (c *Conn) Secrets(seal.Simulated) io.Reader {
	b := binary.BigEndian.AppendUint64(nil, c.net.seed)
	b = binary.BigEndian.AppendUint64(b, uint64(c.net.now()))
	return rand.NewChaCha8(sha256.Sum256(append(b, c.host.addr.String()...)))
}
