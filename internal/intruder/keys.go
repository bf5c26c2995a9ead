package intruder

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
)

// keySpan is how many datagrams, in bits, one key seals.
const keySpan = 22

// KeyID is how datagrams name a key of the cluster.
func KeyID(key []byte) byte {
	sum := sha256.Sum256(append([]byte("broach key id 1 "), key...))
	return max(sum[0], 1)
}

// outsideKey proves what is said outside of links.
func outsideKey(key []byte) []byte { return expand(key, "broach 2 outside") }

// appendProof proves b, which lacks the proof only.
func appendProof(b, key []byte) []byte {
	if key == nil {
		return append(b, make([]byte, proofSize)...)
	}
	mac := hmac.New(sha256.New, outsideKey(key))
	mac.Write(b)
	return append(b, mac.Sum(nil)[:proofSize]...)
}

// IsProven reports whether the proof of an Open or Offer fits the key.
func IsProven(b, key []byte) bool {
	return len(b) == HandshakeSize && string(appendProof(b[:proven:proven], key)) == string(b)
}

// Transcript is h, the hash of all that two processes have said to each other to make a link.
func Transcript(open Open, offer Offer) [32]byte {
	b := be.AppendUint64([]byte("broach 2 link"), open.Cluster)
	b = be.AppendUint32(be.AppendUint32(b, offer.Rank), offer.Stamp)
	b = appendAddr18(append(be.AppendUint64(b, open.Token), open.Public[:]...), open.Addr)
	b = appendAddr18(append(be.AppendUint64(b, offer.Token), offer.Public[:]...), offer.Addr)
	return sha256.Sum256(b)
}

// Agree is the output of X25519 with another process; nil if its public key is none, or there are no keys.
func (p *Process) Agree(public [32]byte) []byte {
	if p.private == nil {
		return nil
	}
	other, err := ecdh.X25519().NewPublicKey(public[:])
	if err != nil {
		return nil
	}
	shared, _ := p.private.ECDH(other) // nil for a point of low order
	return shared
}

// Secret is that of a link, of the cluster's key, its transcript and the output of X25519.
func Secret(key, shared []byte, h [32]byte) []byte { return extract(shared, extract(h[:], key)) }

// aeadOf seals what one side of a link sends under numbers that have the upper bits e.
func aeadOf(secret []byte, side byte, e uint64) cipher.AEAD {
	block, err := aes.NewCipher(expand(secret, string(be.AppendUint64(append([]byte("broach 2 key "), side), e))))
	must(err)
	sealer, err := cipher.NewGCM(block)
	must(err)
	return sealer
}

func extract(secret, salt []byte) []byte {
	b, err := hkdf.Extract(sha256.New, secret, salt)
	must(err)
	return b
}

func expand(key []byte, info string) []byte {
	b, err := hkdf.Expand(sha256.New, key, info, 32)
	must(err)
	return b
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
