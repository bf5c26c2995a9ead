package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// Simulated is what a connection of a simulation is asked with for its randomness: no other package can make a
// connection that is.
type Simulated struct{}

// Private is the private key of a process.
type Private struct{ key *ecdh.PrivateKey }

// NewPrivate makes a private key of KeySize random bytes.
func NewPrivate(random []byte) Private {
	return Private{must(ecdh.X25519().NewPrivateKey(random))}
}

// Public is the public key that belongs to it.
func (p Private) Public() (public [KeySize]byte) {
	copy(public[:], p.key.PublicKey().Bytes())
	return public
}

// Shared is what X25519 makes of a private key and the public key of another process. It is the same at both. A public
// key that is not one, of low order, is an error.
func (p Private) Shared(public [KeySize]byte) (shared [KeySize]byte, err error) {
	key, err := ecdh.X25519().NewPublicKey(public[:])
	if err != nil {
		return shared, err
	}
	b, err := p.key.ECDH(key)
	copy(shared[:], b)
	return shared, err
}

// Secret is what the keys of a link are made of, beside a key of the cluster. Both ends have the same, but for Began.
type Secret struct {
	Shared     [KeySize]byte     // by X25519
	Transcript [sha256.Size]byte // of how the link was made
	Began      bool              // this end did
}

// derive makes the key of an epoch, for what the end sends that began the link, or the other.
func (k *key) derive(s *Secret, began bool, epoch uint64) cipher.AEAD {
	salt := must(hkdf.Extract(sha256.New, s.Transcript[:], k.secret))
	secret := must(hkdf.Extract(sha256.New, s.Shared[:], salt))
	direction := "b"
	if began {
		direction = "a"
	}
	info := binary.BigEndian.AppendUint64([]byte("broach 2 key "+direction), epoch)
	block := must(aes.NewCipher(must(hkdf.Expand(sha256.New, secret, string(info), KeySize))))
	return must(cipher.NewGCM(block))
}
