package broach

import (
	"broach/internal/member"
	"broach/internal/seal"
)

// sharedKept is how many outputs of X25519 are kept: those of all peers that there may be, and of some others that were tried last.
const sharedKept = member.PeersMax + 256

// SetKeys changes the keys of the cluster on a running node: the first seals, all open. To change the key of a cluster without a cut, give
// every node the new key behind the old one, then every node the new one first, and then every node the new one alone. The keys are
// copied; they obey the rules of Config.Keys. What is wrong with them is an InvalidArgument, as is a node that was started
// without keys; a closed node returns ErrClosed.
func (n *Node) SetKeys(keys [][]byte) error {
	ring, err := seal.NewRing(keys)
	switch {
	case n.isClosed():
		return ErrClosed
	case err != nil:
		return Errorf(InvalidArgument, "set keys: %w", err)
	case n.wires.ring.Load() == nil:
		return Errorf(InvalidArgument, "set keys: the node was started without any")
	}
	n.wires.ring.Store(ring)
	return nil
}
