// Package seal keeps datagrams secret and proves where they come from, PROTOCOL.md section 1.3. It knows a header,
// which stays readable and is authenticated, and what follows it, which is encrypted; not what either means.
//
// A key of the cluster is never used itself. Outside of links an HMAC under a key that is made of it proves that a
// datagram comes from who has it. A link's keys are made of the key of the cluster, of what X25519 makes of a private
// key of one end and the public key of the other, and of the transcript by which the link was made: so no two links
// have a key in common, and who has the key of the cluster alone has none of them. Such a key seals 2^22 datagrams of
// one direction; the number of a datagram is the end of its nonce, and says which key it is sealed with. So a sender
// must never seal two datagrams of a link with the same number.
//
//	ring.go    the keys of a cluster, proofs
//	secret.go  what two processes share, and the keys that are made of it
//	seal.go    sealing and opening
package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"slices"
)

const (
	// Overhead is by how much sealing makes a datagram longer, in bytes: the tag of GCM.
	Overhead = 16
	// epochBits is how many of the low bits of a number the datagrams under one key differ in: 2^34 blocks of AES at 64
	// KiB each, with which the advantage of who tells them from random ones is 2^-61.
	epochBits = 22

	nonceStart, nonceEnd = 12, 24 // in the header
	numberStart          = 16
)

// ErrKey says that no key of the ring opens a datagram, or that it was changed on its way.
var ErrKey = errors.New("seal: no key opens the datagram")

// Epoch tells which key of a link and direction seals the datagram with a number.
func Epoch(number uint64) uint64 { return number >> epochBits }

// numberOf is the number in the header of a datagram.
func numberOf(datagram []byte) uint64 { return binary.BigEndian.Uint64(datagram[numberStart:]) }

// Sealer seals the datagrams that one end of a link sends. It may be used by many goroutines at once.
type Sealer struct {
	ring  *Ring
	id    byte
	epoch uint64
	aeads [2]cipher.AEAD // of the epoch and, once it is near, of the next
}

// Sealer returns what seals datagrams from a number on with the first key: at least 2^20 of them.
func (r *Ring) Sealer(s *Secret, number uint64) *Sealer {
	k, epoch := &r.keys[0], Epoch(number)
	sealer := &Sealer{ring: r, id: k.id, epoch: epoch}
	sealer.aeads[0] = k.derive(s, s.Began, epoch)
	if isNearEnd(number) {
		sealer.aeads[1] = k.derive(s, s.Began, epoch+1)
	}
	return sealer
}

// isNearEnd reports that a number is in the last quarter of its epoch.
func isNearEnd(number uint64) bool { return number>>(epochBits-2)&3 == 3 }

// Seals reports whether the sealer is still what the ring seals a datagram of that number with, and of the next
// million.
func (s *Sealer) Seals(ring *Ring, number uint64) bool {
	return s.ring == ring && s.epoch == Epoch(number) && (s.aeads[1] != nil || !isNearEnd(number))
}

// KeyID is what the header of a sealed datagram has to say; it is never 0.
func (s *Sealer) KeyID() byte { return s.id }

// Seal encrypts what follows the first head bytes of a datagram, in place, and appends the tag: there must be room for
// Overhead bytes more, or the result lies in other memory.
func (s *Sealer) Seal(datagram []byte, head int) []byte {
	header, messages := datagram[:head], datagram[head:]
	aead := s.aeads[Epoch(numberOf(datagram))-s.epoch]
	return aead.Seal(header, header[nonceStart:nonceEnd], messages, header)
}

// Opener opens the datagrams that one end of a link receives. One goroutine at a time may use it. The zero Opener is
// ready.
type Opener struct {
	ring   *Ring
	epochs [3]epochKeys // of the highest epoch, the one before and the next: by their numbers modulo 3
}

// epochKeys are the keys of an epoch, by their place in the ring, each made at first need.
type epochKeys struct {
	epoch uint64
	aeads [MaxKeys]cipher.AEAD
}

// Open decrypts what follows the first head bytes of a datagram, in place, and returns it. highest is the highest
// number of those that were opened: keys of epochs next to its own are kept. After ErrKey, the only error, these bytes
// hold nothing any more.
func (o *Opener) Open(r *Ring, s *Secret, datagram []byte, head int, keyID byte, highest uint64) ([]byte, error) {
	if len(datagram) < head+Overhead {
		return nil, ErrKey
	}
	header, sealed := datagram[:head], datagram[head:]
	keys := o.keys(r, Epoch(numberOf(datagram)), Epoch(highest))
	fits := r.byID[keyID]
	for n, i := range fits {
		from := sealed
		if n < len(fits)-1 {
			from = slices.Clone(sealed) // a wrong key wipes it
		}
		if opened, err := keys.aead(r, s, i).Open(from[:0], header[nonceStart:nonceEnd], from, header); err == nil {
			return sealed[:copy(sealed, opened)], nil
		}
	}
	return nil, ErrKey
}

// keys are those of an epoch. What is farther from the highest than its neighbours is not kept: it may be junk.
func (o *Opener) keys(r *Ring, epoch, highest uint64) *epochKeys {
	if o.ring != r {
		*o = Opener{ring: r}
	}
	if IsFar(epoch, highest) {
		return &epochKeys{epoch: epoch}
	}
	k := &o.epochs[epoch%3]
	if k.epoch != epoch {
		*k = epochKeys{epoch: epoch}
	}
	return k
}

// IsFar reports that an epoch is not next to that of the highest number opened: keys have to be made for each datagram
// of it.
func IsFar(epoch, highest uint64) bool { return epoch > highest+1 || epoch+1 < highest }

// aead is the i-th key of the ring as it is for the epoch.
func (k *epochKeys) aead(r *Ring, s *Secret, i int) cipher.AEAD {
	if k.aeads[i] == nil {
		k.aeads[i] = r.keys[i].derive(s, !s.Began, k.epoch)
	}
	return k.aeads[i]
}
