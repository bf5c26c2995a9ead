// Package seal keeps datagrams secret and proves where they come from: AES-256-GCM under keys that both ends derive from the keys of
// the cluster. It knows a header, which stays readable and is authenticated, and what follows it, which is encrypted; not what either means.
//
// A key of the cluster is never used itself. Each direction between two processes has a key of its own, HKDF-Expand (RFC 5869) with SHA-256 of the
// cluster's key over the two boot ids; a receiver of 0 stands for datagrams that are meant for nobody in particular. Under such a key
// the end of the header is the nonce: its last bytes are the number of the datagram. So a sender must never seal two datagrams with the same
// number for the same receiver.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

const (
	// KeySize is the length of a key of a cluster, in bytes.
	KeySize = 32
	// Overhead is by how much sealing makes a datagram longer, in bytes: the tag of GCM.
	Overhead = 16
	// MaxKeys is how many keys a ring holds: a datagram of a stranger may be tried with each.
	MaxKeys = 8
)

// ErrKey says that no key of the ring opens a datagram, or that it was changed on its way.
var ErrKey = errors.New("seal: no key opens the datagram")

const (
	purpose   = "broach datagram 1 "
	nonceSize = 12
)

// Ring holds the keys of a cluster. The first seals, all open. It is not modified.
type Ring struct {
	keys []key
	byID map[byte][]int // which of them have an id
}

type key struct {
	id     byte // not 0; says which key a datagram was sealed with, as a hint: two may have the same
	secret []byte
}

// NewRing makes a ring of 1 to MaxKeys different keys of KeySize bytes, which are copied. A key that is one byte again and again
// is none that somebody made: it is memory that was never filled, or a placeholder.
func NewRing(keys [][]byte) (*Ring, error) {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return nil, fmt.Errorf("%d keys, must be 1 to %d", len(keys), MaxKeys)
	}
	r := &Ring{byID: make(map[byte][]int)}
	for i, k := range keys {
		if len(k) != KeySize {
			return nil, fmt.Errorf("key %d has %d bytes, must have %d", i+1, len(k), KeySize)
		}
		if bytes.Count(k, k[:1]) == KeySize {
			return nil, fmt.Errorf("key %d is one byte again and again; make one with: openssl rand -base64 32", i+1)
		}
		if slices.ContainsFunc(r.keys, func(other key) bool { return slices.Equal(other.secret, k) }) {
			return nil, fmt.Errorf("key %d is there twice", i+1)
		}
		id := idOf(k)
		r.byID[id] = append(r.byID[id], i)
		r.keys = append(r.keys, key{id, slices.Clone(k)})
	}
	return r, nil
}

// Len is how many keys the ring holds; nil holds none.
func (r *Ring) Len() int {
	if r == nil {
		return 0
	}
	return len(r.keys)
}

// idOf names a key without telling anything of it: a byte of a hash of it that is used for nothing else.
func idOf(secret []byte) byte {
	h := sha256.Sum256(append([]byte("broach key id 1 "), secret...))
	return max(h[0], 1)
}

// derive makes the key of one direction between two processes.
func (k key) derive(sender, receiver uint64) cipher.AEAD {
	info := binary.BigEndian.AppendUint64([]byte(purpose), sender)
	info = binary.BigEndian.AppendUint64(info, receiver)
	secret, err := hkdf.Expand(sha256.New, k.secret, string(info), KeySize)
	if err != nil {
		panic("broach: internal error: " + err.Error()) // only for lengths that this is not
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic("broach: internal error: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("broach: internal error: " + err.Error())
	}
	return aead
}

// Sealer seals the datagrams of one process to another. It may be used by many goroutines at once.
type Sealer struct {
	id   byte
	aead cipher.AEAD
}

// Sealer returns what seals with the first key.
func (r *Ring) Sealer(sender, receiver uint64) *Sealer {
	return &Sealer{r.keys[0].id, r.keys[0].derive(sender, receiver)}
}

// KeyID is what the header of a sealed datagram has to say; it is never 0.
func (s *Sealer) KeyID() byte { return s.id }

// Seal encrypts what follows the first head bytes of a datagram, in place, and appends the tag: there must be room for Overhead bytes more,
// or the result lies in other memory.
func (s *Sealer) Seal(datagram []byte, head int) []byte {
	header, messages := datagram[:head], datagram[head:]
	return s.aead.Seal(header, header[head-nonceSize:], messages, header)
}

// Opener opens the datagrams of one process to another. One goroutine at a time may use it.
type Opener struct {
	ring             *Ring
	sender, receiver uint64
	aeads            [MaxKeys]cipher.AEAD // by key, made at first need
}

// Opener returns what opens with any key.
func (r *Ring) Opener(sender, receiver uint64) *Opener {
	return &Opener{ring: r, sender: sender, receiver: receiver}
}

// Open decrypts what follows the first head bytes of a datagram, in place, and returns it. After ErrKey, the only error, these bytes hold
// nothing any more.
func (o *Opener) Open(datagram []byte, head int, keyID byte) ([]byte, error) {
	if len(datagram) < head+Overhead {
		return nil, ErrKey
	}
	header, sealed := datagram[:head], datagram[head:]
	fits := o.ring.byID[keyID]
	for n, i := range fits {
		from := sealed
		if n < len(fits)-1 {
			from = slices.Clone(sealed) // a wrong key wipes it
		}
		if opened, err := o.aead(i).Open(from[:0], header[head-nonceSize:], from, header); err == nil {
			return sealed[:copy(sealed, opened)], nil
		}
	}
	return nil, ErrKey
}

// aead is the i-th key as it is between the two.
func (o *Opener) aead(i int) cipher.AEAD {
	if o.aeads[i] == nil {
		o.aeads[i] = o.ring.keys[i].derive(o.sender, o.receiver)
	}
	return o.aeads[i]
}
