package link

import (
	"net/netip"
	"time"

	"broach/internal/handshake"
	"broach/internal/seal"
	"broach/internal/wire"
)

// Init makes it the link of an Open and its Offer. began says which end we are. What passes is counted in t. The error
// is that of a public key that is none.
func (l *Link) Init(now time.Time, c *Carrier, terms *handshake.Terms, began bool, t *Traffic, seed uint64) error {
	l.carrier, l.traffic, l.born, l.Began = c, t, c.Timers.Stamp(now), began
	order := terms.Order()
	l.rank, l.stamp, l.greater = order.Rank, order.Stamp, order.Greater
	if began {
		l.Token, l.toToken, l.Key, l.ID.Addr = terms.TokenA, terms.TokenB, terms.KeyB, terms.AddrB
		l.confirm = &wire.Confirm{Echo: terms.TokenA, Key: terms.KeyA, Addr: terms.AddrA, Rank: terms.Rank,
			Stamp: terms.Stamp}
	} else {
		l.Token, l.toToken, l.Key, l.ID.Addr = terms.TokenB, terms.TokenA, terms.KeyA, terms.AddrA
		l.first = max(time.Duration(c.Process.Stamp(now)-terms.Stamp)*time.Millisecond, 1)
	}
	l.ID.Boot = handshake.BootID(l.Key)
	if c.Ring.Load() != nil {
		shared, err := c.Shared(l.Key)
		if err != nil {
			return err
		}
		l.sealed = &linkSeals{secret: seal.Secret{Shared: shared, Transcript: terms.Transcript(), Began: began}}
	}
	l.rng.Seed(seed, l.Token)
	l.heard.Store(c.Timers.Stamp(now))
	return nil
}

// noteFirst takes the time from the first Confirm to the first answer as a first measure of the round trip. Who did not
// begin the link has the age of its Offer for that. Where one of them had to go again it is too long. mu is held.
func (l *Link) noteFirst(now time.Time) {
	if l.first == 0 {
		l.first = max(now.Sub(l.BornAt()), 1)
	}
}

// Order is where the link stands among those of the pair. Its token is one of the link's own.
func (l *Link) Order() handshake.Order {
	o := handshake.Order{Rank: l.rank, Greater: l.greater, Stamp: l.stamp, TokenB: l.Token}
	if l.Began {
		o.TokenB = l.toToken
	}
	return o
}

// BornAt is when the link was made.
func (l *Link) BornAt() time.Time { return l.carrier.Timers.time(l.born) }

// StampOfBirth is when the link was made, as our Offers say the time.
func (l *Link) StampOfBirth() uint32 {
	if l.Began {
		return l.carrier.Process.Stamp(l.BornAt())
	}
	return l.stamp
}

// IsConfirmed reports whether the peer is known to know the link.
func (l *Link) IsConfirmed() bool {
	if !l.Began {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.confirm == nil
}

// Terms are those of the link that an Offer begins, from us to addr.
func (c *Carrier) Terms(o *wire.Offer, self, addr netip.AddrPort) *handshake.Terms {
	return &handshake.Terms{
		Cluster: c.Cluster, Rank: o.Rank, Stamp: o.Stamp, TokenA: o.Echo, KeyA: c.Process.Key, AddrA: self,
		TokenB: o.Token, KeyB: o.Key, AddrB: addr,
	}
}

// TermsOf are those of the link that a Confirm makes. self is the address in our Offer.
func (c *Carrier) TermsOf(m *wire.Confirm, self netip.AddrPort) *handshake.Terms {
	return &handshake.Terms{
		Cluster: c.Cluster, Rank: m.Rank, Stamp: m.Stamp, TokenA: m.Echo, KeyA: m.Key, AddrA: m.Addr,
		TokenB: m.Token, KeyB: c.Process.Key, AddrB: self,
	}
}
