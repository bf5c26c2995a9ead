package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"
)

const (
	// KeySize is the length of a key of a cluster, in bytes.
	KeySize = 32
	// MaxKeys is how many keys a ring holds: a datagram of a stranger may be tried with each.
	MaxKeys = 8
	// ProofSize is the length of a proof, in bytes.
	ProofSize = 16

	outsidePurpose = "broach 2 outside"
)

// Ring holds the keys of a cluster. The first seals, all open. It is not modified.
type Ring struct {
	keys []key
	byID map[byte][]int // which of them have an id
}

type key struct {
	id      byte // not 0; says which key a datagram was sealed with, as a hint: two may have the same
	secret  []byte
	outside []byte // key of the proofs
}

// NewRing makes a ring of 1 to MaxKeys different keys of KeySize bytes, which are copied. A key that is one byte again
// and again is none that somebody made: it is memory that was never filled, or a placeholder.
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
		r.keys = append(r.keys, key{id: id, secret: slices.Clone(k),
			outside: must(hkdf.Expand(sha256.New, k, outsidePurpose, KeySize))})
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

// KeyID is the id of the key that seals and proves.
func (r *Ring) KeyID() byte { return r.keys[0].id }

// Prove fills in the proof at the end of a datagram, with the n-th key: 0, or what Check returned for the datagram that
// this one answers.
func (r *Ring) Prove(datagram []byte, n int) {
	body, proof := datagram[:len(datagram)-ProofSize], datagram[len(datagram)-ProofSize:]
	copy(proof, r.keys[n].proof(body))
}

// Check reports whether the proof at the end of a datagram is that of a key with an id, and which one it is.
func (r *Ring) Check(datagram []byte, keyID byte) (n int, ok bool) {
	body, proof := datagram[:len(datagram)-ProofSize], datagram[len(datagram)-ProofSize:]
	for _, n := range r.byID[keyID] {
		if hmac.Equal(proof, r.keys[n].proof(body)) {
			return n, true
		}
	}
	return 0, false
}

func (k *key) proof(body []byte) []byte {
	mac := hmac.New(sha256.New, k.outside)
	mac.Write(body)
	return mac.Sum(nil)[:ProofSize]
}

// must is for what fails only with lengths that ours are not.
func must[T any](v T, err error) T {
	if err != nil {
		panic("broach: internal error: " + err.Error())
	}
	return v
}
