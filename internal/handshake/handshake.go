// Package handshake is how two processes come to share a link: what the one answers to an Open, what the other makes of
// the Offer, and what the first makes of the Confirm, PROTOCOL.md section 1.4. It is pure: datagrams and times go in,
// datagrams and links come out. What may be answered how often, and which links a process holds, is its caller's.
//
// Who answers an Open keeps nothing of it: all that it must know later stands in the token of its Offer, which is a MAC
// of what was said, as a cookie is. So a flood of Opens with false senders costs a hash each and no memory.
//
// It never decides whether two processes may talk: internal/gate does, and internal/strangers says how often. It draws
// no random bytes and reads no clock.
//
//	handshake.go  a process with its key; Answer makes an Offer of an Open, IsOurs knows the Confirm of one again;
//	              Terms, from which both ends draw their keys
//	order.go      which of two links between the same processes is the better one, the same at both ends
package handshake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"broach/internal/seal"
	"broach/internal/wire"
)

// Fresh is how long an Offer can be confirmed, [LNK-3].
const Fresh = 5 * time.Second

// Process is who we are. It is made once and not changed.
type Process struct {
	Key     wire.PublicKey
	Boot    uint64 // names the process where a public key would be long
	private seal.Private
	sealed  bool
	secret  [32]byte // of the tokens in our Offers
	start   time.Time
}

// RandomSize is how many random bytes a Process is made of.
const RandomSize = 64

// NewProcess makes a process of RandomSize random bytes. With keys these are also its private key.
func NewProcess(random []byte, sealed bool, start time.Time) *Process {
	p := &Process{sealed: sealed, start: start}
	copy(p.secret[:], random[32:])
	if sealed {
		p.private = seal.NewPrivate(random[:32])
		p.Key = p.private.Public()
	} else {
		copy(p.Key[:], random)
	}
	p.Boot = BootID(p.Key)
	return p
}

// BootID is the name of the process with a public key; it is not 0.
func BootID(key wire.PublicKey) uint64 {
	h := sha256.New()
	h.Write([]byte("broach 2 boot"))
	h.Write(key[:])
	return idOf(h.Sum(nil))
}

// idOf is what a hash begins with, 1 instead of 0.
func idOf(hash []byte) uint64 { return max(binary.BigEndian.Uint64(hash), 1) }

// Shared is what X25519 makes of our private key and a peer's public one; without keys it is nothing.
func (p *Process) Shared(key wire.PublicKey) ([seal.KeySize]byte, error) {
	if !p.sealed {
		return [seal.KeySize]byte{}, nil
	}
	return p.private.Shared(key)
}

// Stamp is the time since the start as an Offer says it.
func (p *Process) Stamp(now time.Time) uint32 { return uint32(p.stamp(now)) }

// stamp is the time since the start in milliseconds. An Offer carries the low 32 bits of it.
func (p *Process) stamp(now time.Time) uint64 { return uint64(now.Sub(p.start).Milliseconds()) }

// Answer is the Offer to an Open that came from source. self is our address, unspecified if we do not know it, and held
// the highest rank of the links that we hold with who opens. Its proof is yet to be filled in.
func (p *Process) Answer(now time.Time, m wire.Open, self, source netip.AddrPort, held uint32) wire.Offer {
	o := wire.Offer{
		KeyID: m.KeyID, Rank: 1 + max(m.Rank, held), Echo: m.Token, Stamp: uint32(p.stamp(now)), Held: held,
		Key: p.Key, Addr: self, Observed: source,
	}
	if !m.Addr.Addr().IsUnspecified() {
		o.Token = p.token(o.Rank, p.stamp(now), m.Token, m.Key, m.Addr)
	}
	return o
}

// token is what we receive by on the link that an Offer begins: nobody else can tell it, and another Offer has another.
func (p *Process) token(rank uint32, stamp, echo uint64, key wire.PublicKey, addr netip.AddrPort) uint64 {
	b := make([]byte, 0, 80)
	b = binary.BigEndian.AppendUint32(append(b, 3), rank)
	b = binary.BigEndian.AppendUint64(b, stamp)
	b = binary.BigEndian.AppendUint64(b, echo)
	b = wire.AppendAddr(append(b, key[:]...), addr)
	mac := hmac.New(sha256.New, p.secret[:])
	mac.Write(b)
	return idOf(mac.Sum(nil))
}

// IsOurs reports whether the token of a Confirm is that of an Offer of ours that is not older than Fresh.
func (p *Process) IsOurs(now time.Time, m wire.Confirm) bool {
	stamp := p.stamp(now)
	age := uint32(stamp) - m.Stamp
	if time.Duration(age)*time.Millisecond > Fresh || uint64(age) > stamp {
		return false
	}
	return m.Token == p.token(m.Rank, stamp-uint64(age), m.Echo, m.Key, m.Addr)
}

// Terms are what both ends know of a link. A began it, B is the other end.
type Terms struct {
	Cluster uint64
	Rank    uint32
	Stamp   uint32
	TokenA  uint64 // by which A receives
	KeyA    wire.PublicKey
	AddrA   netip.AddrPort
	TokenB  uint64 // by which B receives
	KeyB    wire.PublicKey
	AddrB   netip.AddrPort // as B said it in its Offer
}

// Transcript is the hash of all that a link was made of.
func (t *Terms) Transcript() [sha256.Size]byte {
	b := make([]byte, 0, 160)
	b = append(b, "broach 2 link"...)
	b = binary.BigEndian.AppendUint64(b, t.Cluster)
	b = binary.BigEndian.AppendUint32(b, t.Rank)
	b = binary.BigEndian.AppendUint32(b, t.Stamp)
	b = binary.BigEndian.AppendUint64(b, t.TokenA)
	b = wire.AppendAddr(append(b, t.KeyA[:]...), t.AddrA)
	b = binary.BigEndian.AppendUint64(b, t.TokenB)
	b = wire.AppendAddr(append(b, t.KeyB[:]...), t.AddrB)
	return sha256.Sum256(b)
}
