// Package linkmodel explores the handshake of PROTOCOL.md: two addresses with a process each, which make links, lose
// them and start anew, and a network that may deliver whatever was ever sent, any number of times, in any order, to any
// later process of that address, or never. It visits all states within the budgets of a Setting, or walks at random
// within larger ones, and looks in each for a fault:
//
//	reuse    a process seals two datagrams under one key and number
//	replay   a datagram is accepted twice
//	bounded  a process holds more than three confirmed links of a pair
//	once     a call runs twice
//	revived  a process that is gone replaces its successor
//	ended    a link that both ends hold is closed by what somebody else said
//	cut      a link with a call in flight, which both ends hold, makes room for another, though it is not one of four
//	agree    from here, though the network behaves, the two do not come to prefer one confirmed link
//	parted   the same, but for a doubt, though no end has lost a link for another reason than that another came
//
// Where the two agree no call begins on a link that the other end has let go. One that waits on such a link ends by
// itself, CALL-11: nothing comes on it.
//
// A Rules value takes rules away, to show that the model would notice. In the path sits, where lies are allowed, a
// member that has the cluster's key: it can raise the rank of an Open and answer one in the other's name, but has no
// private key of the two.
//
// Not modelled: a third process, limits and floods, credit, several cluster keys, the outputs of X25519 that are kept,
// learners, and clocks as such: that 5 s and 6 s have passed are two steps, which may come at any time, in this order.
// Links that were heard within 5 s are those that the other end still holds.
package linkmodel

// Budget is how often something happens in a run: on each side, but for Lies, which are of both.
type Budget struct {
	Contacts uint8 // begun
	Offers   uint8 // answered Opens
	Ages     uint8 // 5 s or 6 s pass
	Forgets  uint8 // all links closed at once
	Restarts uint8
	Calls    uint8 // of the first side, sent twice each
	Lies     uint8
}

// Rules are the rules that are taken away. The zero value keeps all.
type Rules struct {
	NoSpent bool // tokens of closed links are not remembered, LNK-3
	NoAge   bool // stamps do not age, LNK-3
	// the reader judges age by the time at which its batch began, and spent tokens go when 5 s are over
	BatchClock    bool
	LastPreferred bool // the link made last is preferred, in place of LNK-6
	Revive        bool // a Confirm of another process counts whatever its stamp, LNK-10
	EarlyHeld     bool // held closes links at the Offer, before the new one is confirmed, LNK-8
	HighRank      bool // an Open may have, and say, any rank but the greatest, LNK-6
	CutBusy       bool // a third link closes the lowest even if that carries calls, LNK-7
}

// Setting is what to explore.
type Setting struct {
	Budget
	Rules
	Links  uint8 // that stand at first, each with a call of the first side in flight
	Sends  uint8 // datagrams of each side on a link, beside calls
	Limit  int   // states at most; 0: all
	Sample int   // agreement is tried from one in so many states; 0: from all
}

const (
	rankTop  = 200 // stands for 2^32-1
	rankHalf = 100 // stands for 2^31
)

// maxRank is the greatest rank that an Open may have.
func (r *Rules) maxRank() uint8 {
	if r.HighRank {
		return rankTop - 1
	}
	return rankHalf - 1
}
