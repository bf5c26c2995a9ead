package broach

import (
	"net/netip"
	"time"

	"broach/internal/handshake"
	"broach/internal/seal"
	"broach/internal/wire"
)

// init makes it the link of an Open and its Offer. began says which end we are. What passes is counted in t. The error is that of a public key that is
// none.
func (l *link) init(now time.Time, c *carrier, terms *handshake.Terms, began bool, t *traffic, seed uint64) error {
	l.carrier, l.traffic, l.born, l.began = c, t, c.timers.stamp(now), began
	order := terms.Order()
	l.rank, l.stamp, l.greater = order.Rank, order.Stamp, order.Greater
	if began {
		l.token, l.toToken, l.key, l.id.Addr = terms.TokenA, terms.TokenB, terms.KeyB, terms.AddrB
		l.confirm = &wire.Confirm{Echo: terms.TokenA, Key: terms.KeyA, Addr: terms.AddrA, Rank: terms.Rank, Stamp: terms.Stamp}
	} else {
		l.token, l.toToken, l.key, l.id.Addr = terms.TokenB, terms.TokenA, terms.KeyA, terms.AddrA
		l.first = max(time.Duration(c.process.Stamp(now)-terms.Stamp)*time.Millisecond, 1)
	}
	l.id.Boot = handshake.BootID(l.key)
	if c.ring.Load() != nil {
		shared, err := c.shared(l.key)
		if err != nil {
			return err
		}
		l.sealed = &linkSeals{secret: seal.Secret{Shared: shared, Transcript: terms.Transcript(), Began: began}}
	}
	l.rng.Seed(seed, l.token)
	l.heard.Store(c.timers.stamp(now))
	return nil
}

// noteFirst takes the time from the first Confirm to the first answer as a first measure of the round trip. Who did not begin the link has the age of
// its Offer for that. Where one of them had to go again it is too long. mu is held.
func (l *link) noteFirst(now time.Time) {
	if l.first == 0 {
		l.first = max(now.Sub(l.bornAt()), 1)
	}
}

// order is where the link stands among those of the pair. Its token is one of the link's own.
func (l *link) order() handshake.Order {
	o := handshake.Order{Rank: l.rank, Greater: l.greater, Stamp: l.stamp, TokenB: l.token}
	if l.began {
		o.TokenB = l.toToken
	}
	return o
}

// bornAt is when the link was made.
func (l *link) bornAt() time.Time { return l.timers.time(l.born) }

// stampOfBirth is when the link was made, as our Offers say the time.
func (l *link) stampOfBirth() uint32 {
	if l.began {
		return l.process.Stamp(l.bornAt())
	}
	return l.stamp
}

// isConfirmed reports whether the peer is known to know the link.
func (l *link) isConfirmed() bool {
	if !l.began {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.confirm == nil
}

// terms are those of the link that an Offer begins, from us to addr.
func (c *carrier) terms(o *wire.Offer, self, addr netip.AddrPort) *handshake.Terms {
	return &handshake.Terms{
		Cluster: c.cluster, Rank: o.Rank, Stamp: o.Stamp, TokenA: o.Echo, KeyA: c.process.Key, AddrA: self,
		TokenB: o.Token, KeyB: o.Key, AddrB: addr,
	}
}

// termsOf are those of the link that a Confirm makes. self is the address in our Offer.
func (c *carrier) termsOf(m *wire.Confirm, self netip.AddrPort) *handshake.Terms {
	return &handshake.Terms{
		Cluster: c.cluster, Rank: m.Rank, Stamp: m.Stamp, TokenA: m.Echo, KeyA: m.Key, AddrA: m.Addr,
		TokenB: m.Token, KeyB: c.process.Key, AddrB: self,
	}
}
