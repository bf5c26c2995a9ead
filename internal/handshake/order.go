package handshake

import "cmp"

// RankMax is the highest rank of an Open that is answered. Above it ranks are nothing that an honest pair comes to.
const RankMax = 1 << 31

// Order ranks the links of a pair: both ends know it, and prefer the highest, [LNK-6].
type Order struct {
	Rank    uint32
	Greater bool   // who began it has the greater public key of the two
	Stamp   uint32 // of who did not begin it
	TokenB  uint64 // by which that one receives
}

// Order is where a link with these terms stands.
func (t *Terms) Order() Order {
	return Order{Rank: t.Rank, Greater: string(t.KeyA[:]) > string(t.KeyB[:]), Stamp: t.Stamp, TokenB: t.TokenB}
}

// Compare is positive when o goes before the other. Stamps go round: the later of two is the one by less than 24.9
// days.
func (o Order) Compare(other Order) int {
	if c := cmp.Compare(o.Rank, other.Rank); c != 0 {
		return c
	}
	if o.Greater != other.Greater {
		if o.Greater {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(int32(o.Stamp-other.Stamp), 0), cmp.Compare(o.TokenB, other.TokenB))
}
